package console_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/server/mandate"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/server/submission"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/town"
)

// cards makes the town trust test cards, and gives their maker.
func cards(t *testing.T, w *town.Town) *pki.PKI {
	t.Helper()
	p, err := pki.New()
	if err != nil {
		t.Fatal(err)
	}
	anchors := trust.NewStore(trust.AllowTest())
	if _, err := anchors.AddPEM(p.AnchorsPEM(pki.CNS), "cns", profile.CNS); err != nil {
		t.Fatal(err)
	}
	list, err := p.CRL(p.CNS)
	if err == nil {
		err = anchors.AddCRL(list, "cns")
	}
	if err != nil {
		t.Fatal(err)
	}
	d := w.Applications
	d.Trust, d.Revocation, d.Policy, d.Log = anchors, &trust.Revocation{Store: anchors}, validation.Strict(), slog.New(slog.DiscardHandler)
	return p
}

func signed(t *testing.T, p *pki.PKI, who pki.Person, content []byte) []byte {
	t.Helper()
	id := p.MustIssue(t, pki.CNS, pki.P256, who)
	var out bytes.Buffer
	err := cades.Sign(t.Context(), cades.SignOptions{Certificate: id.Cert, SigningTime: time.Now(),
		Sign: func(_ context.Context, sum []byte, o crypto.SignerOpts) ([]byte, error) {
			return id.Key.Sign(rand.Reader, sum, o)
		},
	}, bytes.NewReader(content), int64(len(content)), &out)
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// beginAt fills in who is at the desk; the page that follows is the draft's first step.
func (b *browser) beginAt(w *town.Town, service string, who int, more ...string) *browser {
	b.t.Helper()
	b.get(path+"/assistita/nuova").wants(http.StatusOK, "La persona è davanti a te")
	return b.send(path+"/assistita/nuova", append(append(append(whoIs("", who), document(w)...), "service", service, "email", town.FormOf(who).Email, "id", store.NewID()), more...)...)
}

// draft is where the browser's last redirect has led.
func (b *browser) draft() string {
	b.t.Helper()
	b.wants(http.StatusSeeOther)
	at, _, _ := strings.Cut(b.header.Get("Location"), "?")
	return at
}

var nidoSteps = [][]string{
	{"child-given", "Bimba", "child-family", "Esempio", "child-cf", pki.Child(1).CF, "child-born", "2024-05-01"},
	{"relation", "parent", "email", "genitore@example.org", "other", "none"},
	{"first", "girasole", "time", "full"},
	{},
	{},
	{"collectors.items", "1", "collectors.1.collector-given", "Nonna", "collectors.1.collector-family", "Esempio", "collectors.1.collector-born", "1960-02-03", "collectors.1.collector-is", "grandparent", "collectors.1.collector-phone", "06 1234567"},
	{"vaccination", "done"},
	{},
}

// toSign fills the nidoSteps's form in and makes its document.
func (b *browser) toSign(one string) {
	b.t.Helper()
	for i, step := range nidoSteps {
		at := fmt.Sprintf("%s/passo/%d", one, i+1)
		b.get(at).wants(http.StatusOK, fmt.Sprintf("Passo %d di %d", i+1, len(nidoSteps))).send(at, step...).wants(http.StatusSeeOther)
	}
	b.follow().wants(http.StatusOK, "Controlla con la persona", "Girasole", "Bimba", message.Text(message.Italian, "application.warnings"))
	b.send(one+"/riepilogo", "version", "2", "privacy", "yes").wants(http.StatusUnprocessableEntity, "conferma le avvertenze")
	b.send(one+"/riepilogo", "version", "2", "privacy", "yes", "warned", "yes").wants(http.StatusSeeOther)
	b.follow().wants(http.StatusOK, "La persona firma", "Su carta")
}

func (w world) application(one string) *submission.Application {
	w.t.Helper()
	v := submission.Visitor{Ente: "prova", Level: session.Forte, Profile: "cns", Person: account(w.t, w.Town, person.Natural, town.FormOf(20).Code)}
	a, err := w.Applications.Get(w.t.Context(), v, one[strings.LastIndexByte(one, '/')+1:])
	if err != nil {
		w.t.Fatal("the citizen does not find it in the own area:", err)
	}
	return a
}

type world struct {
	*town.Town
	t *testing.T
}

// On paper: the signed sheet and the identity document, hostile files refused, sent once.
func TestAssistedOnPaper(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		cards(t, w)
		h := pages(t, w)
		caf := w.Operator("prova", 5, "R-CAF1")
		b := as(t, w, h, caf, "192.0.2.8:1")
		b.get(path+"/").wants(http.StatusOK, "Nuova pratica allo sportello")
		b.get(path+"/assistita/nuova").send(path+"/assistita/nuova", "service", "iscrizione-nido", "code", "x").wants(http.StatusUnprocessableEntity, "codice fiscale")
		b.beginAt(w, "iscrizione-nido", 20, "document.expires", "01-01-2020").wants(http.StatusUnprocessableEntity, "Il documento è scaduto")
		b.beginAt(w, "iscrizione-nido", 20, "family", "Altrui").wants(http.StatusUnprocessableEntity, "Il cognome non corrisponde")
		b.beginAt(w, "iscrizione-nido", 5).wants(http.StatusUnprocessableEntity, "Sei tu la persona")
		b.beginAt(w, "niente", 20).wants(http.StatusNotFound)
		id := store.NewID()
		one := b.beginAt(w, "iscrizione-nido", 20, "id", id).draft()
		if again := b.beginAt(w, "iscrizione-nido", 20, "id", id).draft(); again != one {
			t.Errorf("sent twice, and begun twice: %s, %s", one, again)
		}
		b.follow().wants(http.StatusOK, "Passo 1 di 8", town.FormOf(20).Code, caf.Name)

		// What is wrong is told and kept; what an answer brings up is asked.
		b.send(one+"/passo/1", "child-given", "Bimba", "child-cf", "x").wants(http.StatusUnprocessableEntity, "Bimba")
		b.get(one+"/passo/2").send(one+"/passo/2", "relation", "guardian", "email", "genitore@example.org", "other", "consents").wants(http.StatusOK, "Codice fiscale dell'altro genitore")
		b.get(path+"/assistita").wants(http.StatusOK, "Bozza", one)
		b.get(one + "/passo/9").wants(http.StatusNotFound)
		b.get(one + "/firma").wants(http.StatusSeeOther)

		// A guardian's decision is asked for: a file that is not what it claims is refused.
		b.get(one+"/allegati").wants(http.StatusOK, "Provvedimento di affidamento o tutela")
		b.file(one+"/allegati", "file", "decreto.pdf", []byte("%PDF-1.7\n1 0 obj<</OpenAction<</S/JavaScript>>>>"), "slot", "custody").wants(http.StatusUnprocessableEntity)
		b.file(one+"/allegati", "file", "decreto.pdf", []byte("<html><script>alert(1)</script>"), "slot", "custody").wants(http.StatusUnprocessableEntity)
		b.file(one+"/allegati", "file", "decreto.png", picture(t), "slot", "nowhere").wants(http.StatusUnprocessableEntity)
		b.file(one+"/allegati", "file", "decreto.png", picture(t), "slot", "paper").wants(http.StatusUnprocessableEntity)
		b.file(one+"/allegati", "", "", nil, "slot", "custody").wants(http.StatusUnprocessableEntity)
		b.file(one+"/allegati", "file", "decreto.png", picture(t), "slot", "custody").wants(http.StatusSeeOther)
		b.follow().wants(http.StatusOK, "decreto.png")

		b.toSign(one)
		b.get(one + "/documento.pdf").wants(http.StatusOK)
		if !strings.HasPrefix(b.body, "%PDF-") || b.header.Get("Content-Type") != "application/pdf" {
			t.Error("no document to print", b.header)
		}
		b.get(one + "/firma")
		if strings.Contains(b.body, "/firma/codice") {
			t.Error("a code is offered for an istanza")
		}
		b.send(one+"/firma/codice").wants(http.StatusUnprocessableEntity, "non basta per firmare un'istanza")
		b.send(one+"/firma/conferma", "code", "00000000").wants(http.StatusUnprocessableEntity, "non basta per firmare un'istanza")
		b.send(one+"/invia").wants(http.StatusUnprocessableEntity, "Manca una firma")
		b.send(one+"/firma/foglio").wants(http.StatusUnprocessableEntity, "Allega la scansione del documento firmato")
		b.file(one+"/allegati", "file", "foglio.png", picture(t), "slot", "paper").wants(http.StatusSeeOther)
		b.get(one+"/firma").send(one+"/firma/foglio").wants(http.StatusUnprocessableEntity, "copia del documento d'identità")
		b.file(one+"/allegati", "file", "carta.png", picture(t), "slot", "identity").wants(http.StatusSeeOther)
		// Corrected: the sheet that was signed goes with its document.
		b.get(one + "/firma").send(one + "/riapri").wants(http.StatusSeeOther)
		b.follow().send(one+"/riepilogo", "version", "2", "privacy", "yes", "warned", "yes").wants(http.StatusSeeOther)
		b.follow().send(one+"/firma/foglio").wants(http.StatusUnprocessableEntity, "Allega la scansione")
		b.file(one+"/allegati", "file", "foglio.png", picture(t), "slot", "paper").wants(http.StatusSeeOther)
		b.follow().send(one + "/firma/foglio").wants(http.StatusSeeOther)
		b.follow().wants(http.StatusOK, "La pratica è inviata", "Stampa la ricevuta", "lett. c", caf.Name, town.FormOf(20).Code)
		token := b.token()
		for range 2 { // sent twice
			b.post(one+"/firma/foglio", token).wants(http.StatusSeeOther)
		}
		if n := storetest.Count(t, w.Store, "SELECT count(*) FROM register_entry"); n != 1 {
			t.Errorf("%d numbers", n)
		}
		b.get(one + "/ricevuta.pdf").wants(http.StatusOK)
		if !strings.HasPrefix(b.body, "%PDF-") {
			t.Error("no receipt")
		}
		for _, gone := range []string{"/passo/1", "/allegati", "/riepilogo", "/firma"} {
			b.get(one + gone).wants(http.StatusSeeOther)
		}
		a := world{w, t}.application(one)
		if a.Letter != "c" || a.Assisted != submission.OnPaper || a.Operator != caf.Operator || a.State != submission.StateSent {
			t.Errorf("%+v", a)
		}
		if mails := w.Mails("genitore@example.org"); len(mails) != 1 || mails[0][0] != "application-received" {
			t.Error("the person is not written to", mails)
		}
	})
}

// Items at the desk: the form's own buttons, errors that name the item, forged ones refused;
// the office that answers sees them as groups.
func TestAssistedItems(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	unsigned(t, w)
	h := pages(t, w)
	b := as(t, w, h, w.Operator("prova", 5, "R-CAF1"), "192.0.2.8:1")
	one := b.beginAt(w, "iscrizione-nido", 20).draft()
	at := one + "/passo/6"
	b.get(at).wants(http.StatusOK, "nessuna voce indicata").send(at, "collectors.items", "0", "_voce", "collectors.add").wants(http.StatusSeeOther)
	b.follow().wants(http.StatusOK, "Persona delegata 1", `value="" type="text" autofocus`)
	typed := []string{"collectors.items", "1", "collectors.1.collector-given", "Nonna", "collectors.1.collector-phone", "boh"}
	b.send(at, append(typed, "_voce", "collectors.add")...).wants(http.StatusSeeOther)
	b.follow().wants(http.StatusOK, "Persona delegata 2", `value="Nonna"`, `value="boh"`)
	b.send(at, append(typed, "_script", "1")...).wants(http.StatusUnprocessableEntity, "Persona delegata 1: Telefono", "Scrivi un numero di telefono")
	for _, forged := range [][]string{{"collectors.items", "99"}, {"collectors.items", "1", "collectors.2.collector-given", "x"}, {"collectors.items", "1", "_voce", "collectors.7"}, {"child.1.child-given", "x"}} {
		b.send(at, forged...).wants(http.StatusUnprocessableEntity, "voci che questa pagina non ha chiesto", `value="Nonna"`)
	}
	b.send(at, "collectors.items", "5", "_voce", "collectors.add").wants(http.StatusUnprocessableEntity, "al massimo 5")
	b.send(at, append(typed, "_voce", "collectors.1")...).wants(http.StatusSeeOther)
	b.follow().wants(http.StatusOK, "Voce tolta. Voci rimaste: 0", "nessuna voce indicata")
	b.send(at, nidoSteps[5]...).wants(http.StatusSeeOther)
	b.get(one+"/riepilogo").wants(http.StatusOK, "Persona delegata 1</h3>", "03/02/1960")

	a := nursery(t, w, 2, "collectors.items", "1", "collectors.1.collector-given", "Nonna", "collectors.1.collector-family", "Delegata", "collectors.1.collector-born", "1960-02-03", "collectors.1.collector-is", "sitter",
		"collectors.1.collector-phone", "06 1234567", "vaccination", "booked")
	as(t, w, h, w.Operator("prova", 6, "R20"), "192.0.2.9:1").get(path+"/pratiche/"+a.ID).wants(http.StatusOK, "Persona delegata 1</h3>", "Delegata", "nessuna voce indicata", "Sono state chieste", "Categorie particolari di dati")
	as(t, w, h, w.Operator("prova", 7, "R12"), "192.0.2.10:1").get(path + "/pratiche/" + a.ID).wants(http.StatusForbidden)
}

// With the card: the person's, never the operator's.
func TestAssistedWithCard(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		p := cards(t, w)
		h := pages(t, w)
		b := as(t, w, h, w.Operator("prova", 5, "R-PAAS"), "192.0.2.8:1")
		one := b.beginAt(w, "iscrizione-nido", 20).draft()
		b.toSign(one)
		b.wants(http.StatusOK, `data-code="`+town.FormOf(20).Code+`"`)
		token := b.token()
		content := b.get(one + "/documento.pdf").body
		send := func(body []byte, token string) {
			r := httptest.NewRequest(http.MethodPost, path+"/api/assistita/"+one[strings.LastIndexByte(one, '/')+1:]+"/firma", bytes.NewReader(body))
			r.Header.Set("Content-Type", "application/pkcs7-mime")
			r.Header.Set("X-CSRF-Token", token)
			b.do(r)
		}
		good := signed(t, p, pki.Invented(20), []byte(content))
		if send(good, "x"); b.status != http.StatusForbidden {
			t.Error("without the form's token", b.status)
		}
		for name, bad := range map[string]struct {
			body []byte
			code string
		}{
			"the operator's card": {signed(t, p, pki.Invented(5), []byte(content)), "other-signer"},
			"another document":    {signed(t, p, pki.Invented(20), []byte("%PDF-1.7 altro")), "other-content"},
			"no signature":        {[]byte("niente"), "not-signed"},
			"nothing":             {nil, "not-signed"},
		} {
			if send(bad.body, token); b.status != http.StatusUnprocessableEntity || !strings.Contains(b.body, `"error":"`+bad.code+`"`) {
				t.Errorf("%s: %d %s", name, b.status, b.body)
			}
		}
		for range 2 { // sent twice
			if send(good, token); b.status != http.StatusOK || !strings.Contains(b.body, one) {
				t.Fatal(b.status, b.body)
			}
		}
		b.get(one).wants(http.StatusOK, "lett. a", "firmata con la carta")
		if a := (world{w, t}).application(one); a.Letter != "a" || a.Assisted != submission.WithCard {
			t.Errorf("%+v", a)
		}
	})
}

// Where two sign they do so one after the other at the same desk, each with the own card;
// what is refused is in the log with the operator's name.
func TestAssistedWithTwoCards(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		p := cards(t, w)
		h := pages(t, w)
		operator := w.Operator("prova", 5, "R-PAAS")
		b := as(t, w, h, operator, "192.0.2.8:1")
		one := b.beginAt(w, "iscrizione-nido", 20).draft()
		steps := slices.Clone(nidoSteps)
		steps[1] = []string{"relation", "parent", "email", "genitore@example.org", "other", "consents", "other-cf", town.FormOf(22).Code, "other-signs", "yes"}
		for i, step := range steps {
			at := fmt.Sprintf("%s/passo/%d", one, i+1)
			b.get(at).send(at, step...)
			if b.status == http.StatusOK { // an answer brings others up
				b.send(at, step...)
			}
			b.wants(http.StatusSeeOther)
		}
		b.get(one+"/riepilogo").send(one+"/riepilogo", "version", "2", "privacy", "yes", "warned", "yes").wants(http.StatusSeeOther)
		b.follow().wants(http.StatusOK, town.FormOf(20).Code+": deve firmare", town.FormOf(22).Code+": deve firmare", `data-code="`+town.FormOf(20).Code+`"`)
		token := b.token()
		content := []byte(b.get(one + "/documento.pdf").body)
		send := func(who int) {
			t.Helper()
			r := httptest.NewRequest(http.MethodPost, path+"/api/assistita/"+one[strings.LastIndexByte(one, '/')+1:]+"/firma", bytes.NewReader(signed(t, p, pki.Invented(who), content)))
			r.Header.Set("Content-Type", "application/pkcs7-mime")
			r.Header.Set("X-CSRF-Token", token)
			b.do(r)
		}
		send(20)
		b.wants(http.StatusOK, `"next":"`+one+`/firma"`)
		b.get(one+"/firma").wants(http.StatusOK, town.FormOf(20).Code+": ha firmato", town.FormOf(22).Code+": deve firmare", `data-code="`+town.FormOf(22).Code+`"`)
		b.send(one+"/invia").wants(http.StatusUnprocessableEntity, "Manca una firma")
		send(23)
		b.wants(http.StatusUnprocessableEntity, `"error":"other-signer"`, "la carta di un'altra persona")
		send(22)
		b.wants(http.StatusOK, one+"?fatto=assisted.sent")
		b.get(one).wants(http.StatusOK, "lett. a", "firmata con la carta", operator.Name)
		if a := (world{w, t}).application(one); a.Letter != "a" || a.Assisted != submission.WithCard {
			t.Errorf("%+v", a)
		}
		if n := storetest.Count(t, w.Store, fmt.Sprintf("SELECT count(*) FROM journal WHERE kind = 'signature-refused' AND operator = %d", operator.Operator)); n != 1 {
			t.Errorf("%d refusals in the log name the operator", n)
		}
		if n := storetest.Count(t, w.Store, fmt.Sprintf("SELECT count(*) FROM application_step WHERE kind = 'signed' AND operator = %d", operator.Operator)); n != 2 {
			t.Errorf("%d signatures of two before the operator", n)
		}
	})
}

// With a code: mailed to the person, typed in once, for this document alone.
func TestAssistedWithCode(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		cards(t, w)
		h := pages(t, w)
		b := as(t, w, h, w.Operator("prova", 5, "R-CAF1"), "192.0.2.8:1")
		code := func() (code string) {
			t.Helper()
			if err := w.Store.QueryRowContext(t.Context(), "SELECT number FROM outbox WHERE kind = 'application-code' AND recipient = ? ORDER BY created DESC LIMIT 1", town.FormOf(20).Email).Scan(&code); err != nil {
				t.Fatal(err)
			}
			return code
		}
		ready := func() string {
			t.Helper()
			one := b.beginAt(w, "segnalazione-anagrafe", 20).draft()
			b.follow()
			fillAny(t, w, b, one)
			return one
		}
		one := ready()
		b.wants(http.StatusOK, "Con un codice usa e getta", "Senza firma")
		b.send(one+"/firma/codice").wants(http.StatusSeeOther).follow().wants(http.StatusOK, "Il codice è partito")
		first := code()
		if strings.Contains(b.body, first) {
			t.Fatal("the operator sees the code")
		}
		b.send(one+"/firma/conferma", "code", "00000000").wants(http.StatusUnprocessableEntity, "Il codice non è giusto")
		b.send(one+"/firma/conferma", "code", "").wants(http.StatusUnprocessableEntity, "Il codice non è giusto")
		// Another document's code, and one that was mailed before the last.
		other := ready()
		w.Move(time.Minute)
		b.send(other + "/firma/codice").wants(http.StatusSeeOther).follow()
		w.Move(time.Minute)
		b.send(one+"/firma/conferma", "code", code()).wants(http.StatusUnprocessableEntity, "Il codice non è giusto")
		b.get(one + "/firma").send(one + "/firma/codice").wants(http.StatusSeeOther).follow()
		w.Move(time.Minute)
		b.send(one+"/firma/conferma", "code", first).wants(http.StatusUnprocessableEntity, "Il codice non è giusto")
		last := code()
		w.Move(time.Minute)
		b.send(one+"/firma/conferma", "code", last).wants(http.StatusSeeOther)
		b.follow().wants(http.StatusOK, "La pratica è inviata", "codice usa e getta")
		b.send(one+"/firma/conferma", "code", last).wants(http.StatusSeeOther) // used up: it leads to what was sent
		if a := (world{w, t}).application(one); a.Assisted != submission.WithCode || a.Letter != "" {
			t.Errorf("%+v", a)
		}
		// One that is too old.
		b.get(other + "/firma").send(other + "/firma/codice").wants(http.StatusSeeOther)
		late := code()
		w.Move(11 * time.Minute)
		b.get(other+"/firma").send(other+"/firma/conferma", "code", late).wants(http.StatusUnprocessableEntity, "è scaduto")
		// Guessing is slowed down.
		for range 12 {
			b.send(other+"/firma/conferma", "code", "12345678")
		}
		b.wants(http.StatusTooManyRequests, "secondi")
		b.send(other + "/elimina").wants(http.StatusSeeOther)
		b.get(other).wants(http.StatusNotFound)

		// To the operator's own address it does not go.
		one = b.beginAt(w, "segnalazione-anagrafe", 21, "email", "").draft()
		b.follow()
		fillAny(t, w, b, one)
		b.send(one+"/firma/codice").wants(http.StatusUnprocessableEntity, "Manca un indirizzo e-mail")
	})
}

// fillAny answers every required question of a draft, and makes its document.
func fillAny(t *testing.T, w *town.Town, b *browser, one string) {
	t.Helper()
	s, err := w.Services.Current(t.Context(), "prova", "segnalazione-anagrafe")
	if err != nil {
		t.Fatal(err)
	}
	for i, section := range s.Sections {
		var pairs []string
		for _, q := range section.Questions {
			switch {
			case !q.Required || q.When != nil:
			case len(q.Options) > 0:
				pairs = append(pairs, q.ID, q.Options[0].Value)
			default:
				pairs = append(pairs, q.ID, "Prova")
			}
		}
		at := fmt.Sprintf("%s/passo/%d", one, i+1)
		b.get(at).wants(http.StatusOK).send(at, pairs...).wants(http.StatusSeeOther)
	}
	b.get(one + "/riepilogo").wants(http.StatusOK)
	b.send(one+"/riepilogo", "version", s.Privacy.Version, "privacy", "yes", "warned", "yes").wants(http.StatusSeeOther)
	b.follow()
}

// A draft is its operator's: not a colleague's, not another ente's, not who lacks the right.
func TestAssistedIsTheOperators(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	cards(t, w)
	h := pages(t, w)
	b := as(t, w, h, w.Operator("prova", 5, "R-CAF1"), "192.0.2.8:1")
	one := b.beginAt(w, "iscrizione-nido", 20).draft()
	for name, c := range map[string]struct {
		a      role.Actor
		status int
	}{
		"a colleague":    {w.Operator("prova", 6, "R-CAF1"), http.StatusNotFound},
		"another ente's": {w.Operator("altro", 7, "R-CAF1"), http.StatusNotFound},
		"no right":       {w.Operator("prova", 8, "R-Ente", "R8"), http.StatusForbidden},
		"system":         {w.Operator("", 9), http.StatusForbidden},
	} {
		x := as(t, w, h, c.a, "192.0.2.9:1")
		token := x.get(path + "/password").token()
		for _, at := range []string{"", "/passo/1", "/allegati", "/riepilogo", "/firma", "/documento.pdf", "/ricevuta.pdf"} {
			if x.get(one + at); x.status != c.status {
				t.Errorf("%s: GET %s: %d", name, at, x.status)
			}
		}
		for _, at := range []string{"/passo/1", "/togli", "/riepilogo", "/firma/foglio", "/firma/codice", "/firma/conferma", "/invia", "/riapri", "/elimina"} {
			if x.post(one+at, token, "file", "x", "code", "x"); x.status != c.status {
				t.Errorf("%s: POST %s: %d", name, at, x.status)
			}
		}
		if x.get(path + "/assistita"); x.status == http.StatusOK && strings.Contains(x.body, one) {
			t.Errorf("%s lists it", name)
		}
	}
	b.get(one).follow().wants(http.StatusOK, "Passo 1 di 8") // resumed by whoever began it
}

// For another: by a mandate that holds, and both are named.
func TestAssistedForAnother(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	cards(t, w)
	h := pages(t, w)
	b := as(t, w, h, w.Operator("prova", 5, "R-CAF1"), "192.0.2.8:1")
	b.beginAt(w, "iscrizione-nido", 20, "other", "yes").wants(http.StatusUnprocessableEntity, "non ha una delega valida")
	ward := account(t, w, person.Natural, town.FormOf(30).Code)
	m, err := w.Mandates.Grant(t.Context(), w.Operator("prova", 6, "R8"), mandate.Mandate{Kind: mandate.Ward, Principal: ward.ID, Agent: account(t, w, person.Natural, town.FormOf(20).Code).ID,
		Title: "Tutore", Since: w.Today().AddDate(0, 0, -1).Format(time.DateOnly), Proof: "Decreto 12/2026"})
	if err != nil {
		t.Fatal(err)
	}
	b.beginAt(w, "iscrizione-nido", 20, "other", "yes").wants(http.StatusUnprocessableEntity, "Scegli per chi agisce", ward.CodiceFiscale)
	b.beginAt(w, "iscrizione-nido", 20, "other", "yes", "mandate", "altro").wants(http.StatusUnprocessableEntity, "Non hai un titolo valido")
	one := b.beginAt(w, "iscrizione-nido", 20, "other", "yes", "mandate", m.ID).draft()
	b.follow().wants(http.StatusOK, "Agisce per", ward.CodiceFiscale, "(Tutore)", town.FormOf(20).Code)
	b.toSign(one)
	b.wants(http.StatusOK, `data-code="`+town.FormOf(20).Code+`"`) // who acts signs
	for _, slot := range []string{"paper", "identity"} {
		b.get(one+"/firma").file(one+"/allegati", "file", slot+".png", picture(t), "slot", slot).wants(http.StatusSeeOther)
	}
	if err := w.Mandates.RevokeAtDesk(t.Context(), w.Operator("prova", 7, "R8"), m.ID, "revocata dal giudice"); err != nil {
		t.Fatal(err)
	}
	b.get(one+"/firma").send(one+"/firma/foglio").wants(http.StatusUnprocessableEntity, "Non hai un titolo valido")
}
