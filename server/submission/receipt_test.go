package submission_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/mandate"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/submission"
	"github.com/citel-pa/citel/testdata/pki"
)

// What makes an istanza valid (CAD, art. 65 c. 1) and who sent it is in the receipt, as a
// screen reader finds it; what is not so is not in it. Every receipt has what L. 241/1990,
// art. 8 c. 2 and art. 18-bis ask.
func TestReceipts(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx := t.Context()
		boss, urp := c.Operator("prova", 1, "R6"), c.Operator("prova", 6, "R12")
		e, err := c.Enti.Get(ctx, "prova")
		if err != nil {
			t.Fatal(err)
		}
		e.Domicile, e.Fiscal, e.IPA, e.AOO = "protocollo@pec.comune.example", "00743110157", "c_prova", "AOO1"
		if err := errors.Join(c.Enti.Update(ctx, boss, *e), c.Enti.SaveOffice(ctx, boss, "prova", ente.Office{Name: "Istruzione", Address: "Piazza dell'Esempio 2", Hours: "martedì 9-12"})); err != nil {
			t.Fatal(err)
		}
		publish := func(signature string) {
			t.Helper()
			now, err := c.Services.Current(ctx, "prova", "iscrizione-nido")
			if err != nil {
				t.Fatal(err)
			}
			text := strings.Replace(string(service.Defaults["iscrizione-nido"]), "signature: required", "signature: "+signature, 1)
			if _, err := c.Services.Publish(ctx, boss, []byte(text), now.Number); err != nil {
				t.Fatal(err)
			}
		}
		publish("optional")
		cns := c.visitor(0)
		cie, qualified := cns, cns
		cie.Profile, qualified.Profile = "cie", "qualified"
		sign := func(v submission.Visitor, a *submission.Application) {
			t.Helper()
			if _, err := c.d.Sign(ctx, v, a.ID, bytes.NewReader(c.signed(a, pki.Invented(0))), message.Italian); err != nil {
				t.Fatal(err)
			}
		}
		attach := func(v submission.Visitor, a *submission.Application, slots ...string) {
			t.Helper()
			for _, s := range slots {
				if _, err := c.d.Attach(ctx, v, a.ID, s, s+".png", bytes.NewReader(picture(t)), int64(len(picture(t)))); err != nil {
					t.Fatal(err)
				}
			}
		}
		const letter = "art. 65, c. 1, lett. "
		check := func(name string, v submission.Visitor, a *submission.Application, letters string, words ...string) {
			t.Helper()
			a, err := c.d.Send(ctx, v, a.ID)
			if err != nil || a.Letter != letters {
				t.Errorf("%s: letter %q: %v", name, a.Letter, err)
				return
			}
			due := a.Sent.In(register.Rome()).AddDate(0, 0, 60).Format("02/01/2006")
			flat := c.receipt(a, append(words, a.Number.String(), a.ID, a.Fingerprint(), due, "art. 18-bis", "artt. 7 e 8", e.Name, "Iscrizione al nido comunale", "Istruzione, Piazza dell'Esempio 2, martedì 9-12",
				e.Domicile, "Responsabile del servizio Istruzione", "il silenzio non equivale ad accoglimento", "art. 2, c. 9-bis", "artt. 31 e 117", "pratica "+a.ID)...)
			for _, x := range "abc" {
				if has := strings.Contains(strings.ReplaceAll(flat, " ", ""), strings.ReplaceAll(letter, " ", "")+string(x)); has != strings.ContainsRune(letters, x) {
					t.Errorf("%s: lett. %c: %v", name, x, has)
				}
			}
			if test := strings.Contains(flat, "PROVA: fatto con certificati di prova"); test != a.Test || test != (v.Profile != "" || name == "at the desk, card") {
				t.Errorf("%s: test certificate %v, in the receipt %v\n%s", name, a.Test, test, flat)
			}
			if data, err := c.d.Segnatura(ctx, urp, a.Number); err != nil || !bytes.Contains(data, []byte("<prot:CFAmministrazione>00743110157<")) {
				t.Errorf("%s: segnatura: %v", name, err)
			} else if again, err := c.d.Segnatura(ctx, urp, a.Number); err != nil || !bytes.Equal(data, again) {
				t.Errorf("%s: another segnatura: %v", name, err)
			}
		}
		a := c.made(cns, "iscrizione-nido", child(nursery))
		sign(cns, a)
		check("CNS, signed", cns, a, "ab", cns.Person.CodiceFiscale, "TOTAL-PASSED")
		check("CNS", cns, c.made(cns, "iscrizione-nido", child(nursery)), "b")
		check("CIE", cie, c.made(cie, "iscrizione-nido", child(nursery)), "b")
		a = c.made(qualified, "iscrizione-nido", child(nursery))
		if _, err := c.d.Send(ctx, qualified, a.ID); !errors.Is(err, submission.ErrSigners) {
			t.Error("a qualified certificate is no CNS: ", err)
		}
		sign(qualified, a)
		check("qualified, signed", qualified, a, "a", "CAdES")
		a = c.made(qualified, "iscrizione-nido", child(nursery))
		attach(qualified, a, submission.SlotPaper)
		if _, err := c.d.Send(ctx, qualified, a.ID); !errors.Is(err, submission.ErrSigners) {
			t.Error("signed by hand, without the document of identity:", err)
		}
		attach(qualified, a, submission.SlotIdentity)
		check("copies", qualified, a, "c", "identity.png")
		publish("none")
		a = c.made(qualified, "iscrizione-nido", child(nursery))
		if _, err := c.d.Send(ctx, qualified, a.ID); !errors.Is(err, submission.ErrCard) {
			t.Error(err)
		}

		// For another, by a mandate: both are named.
		publish("optional")
		ward := c.account(person.Natural, pki.Invented(4).CF)
		m, err := c.Mandates.Grant(ctx, c.Operator("prova", 9, "R8"), mandate.Mandate{Kind: mandate.Ward, Principal: ward.ID, Agent: cns.Person.ID, Title: "Amministratore di sostegno", Since: c.Today().AddDate(0, 0, -1).Format(time.DateOnly), Proof: "Decreto"})
		if err != nil {
			t.Fatal(err)
		}
		acts := cns
		acts.Mandate = m.ID
		check("for another", acts, c.made(acts, "iscrizione-nido", child(nursery)), "b", ward.CodiceFiscale, cns.Person.CodiceFiscale, "Amministratore di sostegno")

		// At the desk: the operator is named, and how the person signed.
		caf := c.Operator("prova", 5, "R-CAF1")
		desk := submission.Visitor{Ente: "prova", Level: session.None, Person: cns.Person, Operator: &caf, Shown: "carta d'identità CA00000AA", Address: "192.0.2.9:1"}
		a = c.made(desk, "iscrizione-nido", child(nursery))
		sign(desk, a)
		check("at the desk, card", desk, a, "a", caf.Name, "firmata con la carta")
		a = c.made(desk, "iscrizione-nido", child(nursery))
		attach(desk, a, submission.SlotPaper, submission.SlotIdentity)
		if err := c.d.SignAtDesk(ctx, desk, a.ID, submission.OnPaper, ""); err != nil {
			t.Fatal(err)
		}
		check("at the desk, paper", desk, a, "c", caf.Name, "presentata allo sportello", "art. 38, c. 3")
		a = c.made(desk, "iscrizione-nido", child(nursery))
		if _, err := c.d.SendCode(ctx, desk, a.ID); !errors.Is(err, submission.ErrCodeAct) {
			t.Error("a one-time code signs an istanza:", err)
		}
	})
}
