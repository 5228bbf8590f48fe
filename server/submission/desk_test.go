package submission_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/server/attachment"
	"github.com/citel-pa/citel/server/mandate"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/submission"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/town"
)

// counter is a town with a desk, citizens with cards, and operators.
type counter struct {
	*town.Town
	t   *testing.T
	d   *submission.Desk
	pki *pki.PKI
}

func newCounter(t *testing.T, place *town.Town) *counter {
	t.Helper()
	p, err := pki.New()
	if err != nil {
		t.Fatal(err)
	}
	d := place.Applications
	d.Policy, d.Log = validation.Strict(), slog.New(slog.DiscardHandler)
	c := &counter{Town: place, t: t, d: d, pki: p}
	c.anchors()
	c.lists()
	return c
}

// anchors trusts the cards' issuer, of whose lists nothing is known yet.
func (c *counter) anchors() {
	c.t.Helper()
	c.d.Trust = trust.NewStore(trust.AllowTest())
	c.d.Revocation = &trust.Revocation{Store: c.d.Trust}
	if _, err := c.d.Trust.AddPEM(c.pki.AnchorsPEM(pki.CNS), "cns", profile.CNS); err != nil {
		c.t.Fatal(err)
	}
}

// lists has the issuer's newest list.
func (c *counter) lists() {
	c.t.Helper()
	list, err := c.pki.CRL(c.pki.CNS)
	if err == nil {
		err = c.d.Trust.AddCRL(list, "cns")
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

func each(t *testing.T, f func(t *testing.T, c *counter)) {
	t.Helper()
	town.Each(t, func(t *testing.T, place *town.Town) { f(t, newCounter(t, place)) })
}

func (c *counter) account(kind person.Kind, code string) *person.Person {
	c.t.Helper()
	var p *person.Person
	err := c.Store.Tx(context.Background(), func(tx *sql.Tx) (err error) {
		p, err = person.EnsureAccount(context.Background(), tx, kind, code, "Prova", "Esempio "+code[:3], c.Today())
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return p
}

// visitor has logged in with the card.
func (c *counter) visitor(n int) submission.Visitor {
	return submission.Visitor{Ente: "prova", Level: session.Forte, Profile: "cns", Person: c.account(person.Natural, pki.Invented(n).CF), Email: "persona@example.org", Address: "192.0.2.1:1"}
}

func (c *counter) document(a *submission.Application) []byte {
	c.t.Helper()
	f, err := c.d.Document(context.Background(), a)
	if err != nil {
		c.t.Fatal(err)
	}
	content, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		c.t.Fatal(err)
	}
	return content
}

func (c *counter) signed(a *submission.Application, who pki.Person) []byte {
	c.t.Helper()
	return c.signedWith(c.pki.MustIssue(c.t, pki.CNS, pki.P256, who), c.document(a))
}

func (c *counter) signedWith(id *pki.Identity, content []byte) []byte {
	c.t.Helper()
	var out bytes.Buffer
	err := cades.Sign(context.Background(), cades.SignOptions{Certificate: id.Cert, SigningTime: time.Now(),
		Sign: func(_ context.Context, sum []byte, o crypto.SignerOpts) ([]byte, error) {
			return id.Key.Sign(rand.Reader, sum, o)
		},
	}, bytes.NewReader(content), int64(len(content)), &out)
	if err != nil {
		c.t.Fatal(err)
	}
	return out.Bytes()
}

func get(m map[string]string) func(string) string { return func(id string) string { return m[id] } }

var nursery = map[string]string{
	"child-given": "Bimba", "child-family": "Esempio", "child-born": "2024-05-01", "relation": "parent", "email": "genitore@example.org", "other": "none", "first": "girasole",
	"time": "full", "vaccination": "done",
}

func child(m map[string]string, more ...string) map[string]string {
	out := map[string]string{"child-cf": pki.Child(1).CF}
	for k, v := range m {
		out[k] = v
	}
	for i := 0; i+1 < len(more); i += 2 {
		out[more[i]] = more[i+1]
	}
	return out
}

// made is an application whose document waits for its signature.
func (c *counter) made(v submission.Visitor, id string, values map[string]string) *submission.Application {
	c.t.Helper()
	a, err := c.d.Start(context.Background(), v, id)
	if err != nil {
		c.t.Fatal(err)
	}
	if errs, err := c.d.Save(context.Background(), v, a.ID, get(values), true); err != nil || len(errs) > 0 {
		c.t.Fatal(errs, err)
	}
	if a, err = c.d.Make(context.Background(), v, a.ID, true, a.Service.Privacy.Version); err != nil {
		c.t.Fatal(err)
	}
	return a
}

// The whole way: draft, signatures of two, protocol, receipt, office, more, answer, close;
// what one side does the other sees.
func TestFromDraftToAnswer(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx := t.Context()
		v, other := c.visitor(0), c.visitor(2)
		school, urp := c.Operator("prova", 5, "R20"), c.Operator("prova", 6, "R12")
		a, err := c.d.Start(ctx, v, "iscrizione-nido")
		if err != nil {
			t.Fatal(err)
		}
		// Saved in part, resumed, wrong values kept.
		errs, err := c.d.Save(ctx, v, a.ID, get(map[string]string{"child-given": "Bimba", "child-cf": "x"}), false)
		if err != nil || errs["child-cf"] == "" {
			t.Error(errs, err)
		}
		if a, err = c.d.Get(ctx, v, a.ID); err != nil || a.Fields["child-given"] != "Bimba" || a.Fields["child-cf"] != "x" {
			t.Error(a, err)
		}
		if _, err := c.d.Make(ctx, v, a.ID, true, a.Service.Privacy.Version); !errors.Is(err, submission.ErrFields) {
			t.Error(err)
		}
		values := child(nursery, "other", "consents", "other-cf", pki.Invented(2).CF, "other-signs", "on")
		if errs, err := c.d.Save(ctx, v, a.ID, get(values), true); err != nil || len(errs) > 0 {
			t.Fatal(errs, err)
		}
		for _, x := range []struct {
			warned  bool
			privacy string
		}{{false, a.Service.Privacy.Version}, {true, "0"}} {
			if _, err := c.d.Make(ctx, v, a.ID, x.warned, x.privacy); !errors.Is(err, submission.ErrNotices) {
				t.Error(x, err)
			}
		}
		if a, err = c.d.Make(ctx, v, a.ID, true, a.Service.Privacy.Version); err != nil {
			t.Fatal(err)
		}
		if _, err := c.d.Save(ctx, v, a.ID, get(values), true); !errors.Is(err, submission.ErrState) {
			t.Error("changed after the document", err)
		}
		if _, err := c.d.Get(ctx, c.visitor(3), a.ID); !errors.Is(err, submission.ErrNotFound) {
			t.Error("a stranger reads it", err)
		}
		if _, err := c.d.Open(ctx, school, a.ID); !errors.Is(err, submission.ErrNotFound) {
			t.Error("the desk sees a draft", err)
		}
		if _, err := c.d.Sign(ctx, v, a.ID, bytes.NewReader(c.signed(a, pki.Invented(3))), message.Italian); !errors.Is(err, submission.ErrOtherSigner) {
			t.Error(err)
		}
		if _, err := c.d.Sign(ctx, v, a.ID, bytes.NewReader(c.signed(a, pki.Invented(0))), message.Italian); err != nil {
			t.Fatal(err)
		}
		if _, err := c.d.Send(ctx, v, a.ID); !errors.Is(err, submission.ErrSigners) {
			t.Error("sent without the other's signature", err)
		}
		if _, err := c.d.Sign(ctx, other, a.ID, bytes.NewReader(c.signed(a, pki.Invented(2))), message.Italian); err != nil {
			t.Fatal("the other parent signs", err)
		}
		if _, err := c.d.Send(ctx, other, a.ID); !errors.Is(err, submission.ErrState) {
			t.Error("the other parent sends", err)
		}
		low := v
		low.Level, low.Profile = session.Media, ""
		if _, err := c.d.Send(ctx, low, a.ID); !errors.Is(err, submission.ErrLevel) {
			t.Error(err)
		}
		if a, err = c.d.Send(ctx, v, a.ID); err != nil || a.State != submission.StateSent || a.Letter != "ab" || a.Number.Number != 1 || a.Office != "Istruzione" {
			t.Fatalf("%+v, %v", a, err)
		}
		again, err := c.d.Send(ctx, v, a.ID)
		if err != nil || again.Number != a.Number {
			t.Error("sent twice", again, err)
		}
		c.receipt(a, v.Person.CodiceFiscale, "lett. a", "lett. b", a.Number.String(), "Responsabile del servizio Istruzione", a.Fingerprint()[:20], "9-bis")

		// The office.
		if _, err := c.d.Open(ctx, urp, a.ID); !errors.Is(err, role.ErrDenied) {
			t.Error(err)
		}
		if _, err := c.d.Open(ctx, c.Operator("altro", 7, "R20"), a.ID); !errors.Is(err, submission.ErrNotFound) {
			t.Error("another ente's", err)
		}
		queue, err := c.d.Work(ctx, school, submission.Queue{Offices: []string{"Istruzione"}})
		if err != nil || len(queue) != 1 {
			t.Fatal(queue, err)
		}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(c.d.Take(ctx, school, a.ID))
		due := a.Due
		must(c.d.More(ctx, school, a.ID, "Manca un dato"))
		c.Move(10 * 24 * time.Hour)
		if _, err := c.d.Attach(ctx, v, a.ID, submission.SlotMore, "foto.png", bytes.NewReader(picture(t)), int64(len(picture(t)))); err != nil {
			t.Error(err)
		}
		must(c.d.Reply(ctx, v, a.ID, "Ecco"))
		if a, err = c.d.Get(ctx, v, a.ID); err != nil || a.State != submission.StateInCharge || a.Due <= due {
			t.Error("the term did not stand still", a.Due, due, err)
		}
		must(c.d.Reroute(ctx, school, a.ID, "Demografici", "di vostra competenza"))
		must(c.d.Take(ctx, school, a.ID))
		must(c.d.Answer(ctx, school, a.ID, "Accolta"))
		must(c.d.Answer(ctx, school, a.ID, "Accolta")) // a button pressed twice
		if err := c.d.Answer(ctx, school, a.ID, "Respinta"); !errors.Is(err, submission.ErrState) {
			t.Error("answered twice", err)
		}
		must(c.d.Close(ctx, school, a.ID, ""))
		if err := c.d.Withdraw(ctx, v, a.ID, ""); !errors.Is(err, submission.ErrState) {
			t.Error("withdrawn after the end", err)
		}
		steps, err := c.d.Steps(ctx, a)
		var kinds []string
		for _, s := range steps {
			kinds = append(kinds, s.Kind)
		}
		if got := strings.Join(kinds, " "); err != nil || got != "started made signed signed sent charge more message reroute charge answer close" {
			t.Error(got, err)
		}
		var mails []string
		for _, m := range c.Mails("genitore@example.org") {
			mails = append(mails, m[0])
		}
		if strings.Join(mails, " ") != "application-received application-more application-answered application-closed" {
			t.Error(mails)
		}
		n, gaps, err := c.Register.Verify(ctx, "prova", a.Number.Year)
		if n != 2 || len(gaps) > 0 || err != nil {
			t.Error("the answer has a number too", n, gaps, err)
		}
		counts, err := c.d.Counts(ctx, school, c.Today().AddDate(0, -1, 0), c.Today())
		var csv bytes.Buffer
		if err != nil || len(counts) != 1 || submission.WriteCSV(&csv, counts) != nil || !strings.Contains(csv.String(), "iscrizione-nido;Demografici;closed;1;10,0;0") {
			t.Error(counts, err, csv.String())
		}
		if _, err := c.d.Counts(ctx, c.Operator("prova", 8, "R11"), c.Today(), c.Today()); !errors.Is(err, role.ErrDenied) {
			t.Error(err)
		}
	})
}

// receipt looks at the sealed PDF as a citizen, a judge and a screen reader would.
func (c *counter) receipt(a *submission.Application, words ...string) (flat string) {
	c.t.Helper()
	r, err := c.d.Receipt(context.Background(), a)
	if err != nil {
		c.t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		c.t.Fatal(err)
	}
	r, err = c.d.Receipt(context.Background(), a)
	if err != nil {
		c.t.Fatal(err)
	}
	again, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil || !bytes.Equal(data, again) {
		c.t.Error("the receipt is another one the second time", err)
	}
	dir := c.t.TempDir()
	name, pem := filepath.Join(dir, "ricevuta.pdf"), filepath.Join(dir, "ENTE.pem")
	trusted, err := c.Seals.PEM(context.Background(), a.Ente, "")
	if err := errors.Join(err, os.WriteFile(name, data, 0o600), os.WriteFile(pem, trusted, 0o600)); err != nil {
		c.t.Fatal(err)
	}
	if keep := os.Getenv("CITEL_KEEP_RECEIPT"); keep != "" {
		_ = os.WriteFile(keep, data, 0o600) //nolint:gosec // a developer's wish
	}
	out, err := exec.CommandContext(context.Background(), "pdfinfo", "-struct-text", name).CombinedOutput() //nolint:gosec // our own file
	if err != nil {
		c.t.Fatalf("%v (make deps)\n%s", err, out)
	}
	flat = strings.Join(strings.Fields(strings.ReplaceAll(string(out), "\"", " ")), " ")
	for _, w := range words {
		if !strings.Contains(flat, w) && !strings.Contains(strings.ReplaceAll(flat, " ", ""), strings.ReplaceAll(w, " ", "")) {
			c.t.Errorf("%q is not in the structure text:\n%s", w, out)
		}
	}
	if out, err := exec.CommandContext(context.Background(), agent(c.t), "verify", "--offline", "--trust", pem, name).CombinedOutput(); err != nil { //nolint:gosec // our own program
		c.t.Errorf("citel-agent verify: %v\n%s", err, out)
	}
	if out, err := exec.CommandContext(context.Background(), "pdfsig", "-nocert", name).CombinedOutput(); err != nil || !strings.Contains(string(out), "Signature is Valid") { //nolint:gosec // our own file
		c.t.Errorf("pdfsig: %v\n%s", err, out)
	}
	if out, err := exec.CommandContext(context.Background(), "qpdf", "--check", name).CombinedOutput(); err != nil { //nolint:gosec // our own file
		c.t.Errorf("qpdf: %v\n%s", err, out)
	}
	return flat
}

var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "citel-agent-")
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "citel-agent")
	out, err := exec.CommandContext(context.Background(), "go", "build", "-o", name, "github.com/citel-pa/citel/agent/cmd/citel-agent").CombinedOutput() //nolint:gosec // our own words
	if err != nil {
		return "", errors.New(string(out))
	}
	return name, nil
})

func agent(t *testing.T) string {
	t.Helper()
	name, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func picture(t *testing.T) []byte {
	t.Helper()
	data, err := attachmentPNG()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Who may: levels, ages, kinds of person, mandates.
func TestWhoMay(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx := t.Context()
		v := c.visitor(0)
		youth := v
		youth.Person = c.account(person.Natural, pki.Child(2).CF)
		company := v
		company.Person = c.account(person.Corporate, "00743110157")
		weak := submission.Visitor{Ente: "prova", Level: session.Debole, Credential: "w1", Email: "w@example.org"}
		for name, x := range map[string]struct {
			v    submission.Visitor
			id   string
			want error
		}{
			"card":            {v, "iscrizione-nido", nil},
			"child":           {youth, "instradamento", submission.ErrAge},
			"company nursery": {company, "iscrizione-nido", submission.ErrActor},
			"company writes":  {company, "instradamento", nil},
			"weak writes":     {weak, "instradamento", nil},
			"weak nursery":    {weak, "iscrizione-nido", submission.ErrLevel},
			"nobody":          {submission.Visitor{Ente: "prova"}, "instradamento", submission.ErrLevel},
			"no such service": {v, "niente", service.ErrNotFound},
		} {
			if _, err := c.d.Start(ctx, x.v, x.id); !errors.Is(err, x.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		// A weak credential's message goes by itself to the office of its topic, without
		// being an istanza.
		a := c.made(weak, "instradamento", map[string]string{"topic": "waste", "subject": "Cassonetto", "text": "È pieno", "email": "estranea@example.org"})
		a, err := c.d.Send(ctx, weak, a.ID)
		if a != nil && a.To() != "w@example.org" {
			t.Error("a form of somebody whom nobody knows mails", a.To())
		}
		if err != nil || a.Office != "Ambiente" || a.Letter != "" || a.Number.Number == 0 {
			t.Fatalf("%+v, %v", a, err)
		}
		if _, err := c.d.Get(ctx, submission.Visitor{Ente: "prova", Level: session.Debole, Credential: "w2"}, a.ID); !errors.Is(err, submission.ErrNotFound) {
			t.Error("another weak credential reads it", err)
		}
		if _, err := c.d.Get(ctx, submission.Visitor{Ente: "prova", Level: session.Debole}, a.ID); !errors.Is(err, submission.ErrNotFound) {
			t.Error("no credential reads it", err)
		}
		// Overdue.
		urp := c.Operator("prova", 6, "R12")
		c.Move(40 * 24 * time.Hour)
		late, err := c.d.Work(ctx, urp, submission.Queue{Overdue: true})
		if err != nil || len(late) != 1 || !late[0].Overdue(c.Today()) {
			t.Error(late, err)
		}
		c.Move(-40 * 24 * time.Hour)

		// A self-certification is the person's own: no number, no receipt.
		self := c.made(v, "autocertificazione", map[string]string{"born": "1980-01-01", "birth-place": "Pisa", "residence": "Via Prova 1", "town": "Prova", "facts": "birth,residence"})
		self, err = c.d.Send(ctx, v, self.ID)
		if err != nil || self.Number.Number != 0 || self.State != submission.StateClosed {
			t.Errorf("%+v, %v", self, err)
		}

		// By a mandate; revoked at once.
		ward := c.account(person.Natural, pki.Invented(4).CF)
		m, err := c.Mandates.Grant(ctx, c.Operator("prova", 9, "R8"), mandate.Mandate{Kind: mandate.Ward, Principal: ward.ID, Agent: v.Person.ID, Title: "Tutore", Since: c.Today().AddDate(0, 0, -1).Format(time.DateOnly), Proof: "Decreto"})
		if err != nil {
			t.Fatal(err)
		}
		acts := v
		acts.Mandate = m.ID
		b := c.made(acts, "segnalazione-anagrafe", map[string]string{"what": "name", "is": "A", "should-be": "B"})
		if b.Person != ward.ID || b.Agent != v.Person.ID {
			t.Errorf("%+v", b)
		}
		owner := v
		owner.Person = ward
		if _, err := c.d.Get(ctx, owner, b.ID); err != nil {
			t.Error("whose it is does not see it", err)
		}
		sent, err := c.d.Send(ctx, acts, b.ID)
		if err != nil {
			t.Fatal(err)
		}
		c.receipt(sent, ward.CodiceFiscale, v.Person.CodiceFiscale, "Tutore")
		d := c.made(acts, "segnalazione-anagrafe", map[string]string{"what": "name", "is": "A", "should-be": "B"})
		if err := c.Mandates.Revoke(ctx, "prova", m.ID, mandate.By{Person: ward.ID, Level: session.Media}, "basta"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.d.Send(ctx, acts, d.ID); !errors.Is(err, submission.ErrNotFound) {
			t.Error("sent by a mandate that was revoked", err)
		}
		if _, err := c.d.Start(ctx, acts, "segnalazione-anagrafe"); !errors.Is(err, submission.ErrMandate) {
			t.Error(err)
		}
	})
}

// An application is shown with the form that it was made with.
func TestVersionStays(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		weak := submission.Visitor{Ente: "prova", Level: session.Debole, Credential: "w1"}
		a := c.made(weak, "instradamento", map[string]string{"topic": "waste", "subject": "Cassonetto", "text": "È pieno"})
		text := strings.Replace(string(service.Defaults["instradamento"]), "Rifiuti e ambiente", "Spazzatura", 1)
		if _, err := c.Services.Publish(t.Context(), c.Operator("prova", 1, "R6"), []byte(text), 1); err != nil {
			t.Fatal(err)
		}
		a, err := c.d.Get(t.Context(), weak, a.ID)
		if err != nil || a.Service.Number != 1 || a.Service.Preview(a.Fields, message.Italian)[0].Lines[0].Value != "Rifiuti e ambiente" {
			t.Errorf("%+v, %v", a, err)
		}
		b, err := c.d.Start(t.Context(), weak, "instradamento")
		if err != nil || b.Service.Number != 2 {
			t.Error(b, err)
		}
	})
}

// scanner finds what it is told to, or is down.
type scanner struct {
	answer func() (attachment.Verdict, error)
}

func (s scanner) Scan(_ context.Context, r io.Reader, _ int64) (attachment.Verdict, error) {
	if _, err := io.Copy(io.Discard, r); err != nil {
		return attachment.Verdict{}, err
	}
	return s.answer()
}

func TestAttachments(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx := t.Context()
		down := true
		c.d.Scanner = scanner{func() (attachment.Verdict, error) {
			if down {
				return attachment.Verdict{}, attachment.ErrScanner
			}
			return attachment.Verdict{Clean: true}, nil
		}}
		weak := submission.Visitor{Ente: "prova", Level: session.Debole, Credential: "w1"}
		a, err := c.d.Start(ctx, weak, "instradamento")
		if err != nil {
			t.Fatal(err)
		}
		attach := func(slot, name string, data []byte) (*submission.File, error) {
			return c.d.Attach(ctx, weak, a.ID, slot, name, bytes.NewReader(data), int64(len(data)))
		}
		for name, data := range map[string]string{"foto.png": "MZ\x90\x00 a program", "x.pdf": "%PDF-1.7 nothing", "empty.png": ""} {
			var refused *attachment.Refused
			if _, err := attach("file", name, []byte(data)); !errors.As(err, &refused) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := attach("custody", "a.png", picture(t)); !errors.Is(err, submission.ErrFiles) {
			t.Error("a slot that the service has not", err)
		}
		f, err := attach("file", `..\..\C:\evil\foto<script>.exe`, picture(t))
		if err != nil || f.State != submission.FileWaiting || f.Name != "foto_script_.exe.png" {
			t.Fatalf("%+v, %v", f, err)
		}
		if _, _, err := c.d.OpenFile(ctx, a, f.ID); !errors.Is(err, submission.ErrScan) {
			t.Error("opened before it was scanned", err)
		}
		down = false
		if err := c.d.ScanWaiting(ctx); err != nil {
			t.Fatal(err)
		}
		g, r, err := c.d.OpenFile(ctx, a, f.ID)
		if err != nil || g.State != submission.FileClean {
			t.Fatal(g, err)
		}
		data, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil || !bytes.Equal(data, picture(t)) {
			t.Error(err)
		}
		c.d.Scanner = scanner{func() (attachment.Verdict, error) { return attachment.Verdict{Threat: "Eicar"}, nil }}
		if f, err = attach("file", "b.png", picture(t)); err != nil || f.State != submission.FileInfected {
			t.Error(f, err)
		}
		if _, _, err := c.d.OpenFile(ctx, a, f.ID); !errors.Is(err, submission.ErrScan) {
			t.Error("an infected file is opened", err)
		}
		if err := c.d.Detach(ctx, weak, a.ID, f.ID); err != nil {
			t.Error(err)
		}
	})
}

// At the desk: operator and person are both named; signed by a code or on paper.
func TestAssisted(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx := t.Context()
		caf := c.Operator("prova", 5, "R-CAF1")
		v := submission.Visitor{Ente: "prova", Level: session.None, Person: c.account(person.Natural, pki.Invented(2).CF), Operator: &caf, Address: "192.0.2.9:1", Shown: "identity-card CA00000AA"}
		urp := c.Operator("prova", 6, "R12")
		for name, x := range map[string]struct {
			change func(*submission.Visitor)
			want   error
		}{
			"no right":    {func(v *submission.Visitor) { v.Operator = &urp }, role.ErrDenied},
			"not shown":   {func(v *submission.Visitor) { v.Shown = " " }, submission.ErrIdentity},
			"for oneself": {func(v *submission.Visitor) { v.Person = c.account(person.Natural, caf.Code) }, submission.ErrSelf},
			"a company":   {func(v *submission.Visitor) { v.Person = c.account(person.Corporate, "00743110157") }, submission.ErrActor},
			"nobody":      {func(v *submission.Visitor) { v.Person = nil }, submission.ErrActor},
		} {
			wrong := v
			x.change(&wrong)
			if _, err := c.d.Start(ctx, wrong, "iscrizione-nido"); !errors.Is(err, x.want) {
				t.Errorf("%s: %v", name, err)
			}
		}

		// A code signs no istanza, unless the ente has adopted it for that.
		a := c.made(v, "iscrizione-nido", child(nursery))
		if _, err := c.d.Send(ctx, v, a.ID); !errors.Is(err, submission.ErrSigners) {
			t.Error("sent unsigned", err)
		}
		if _, err := c.d.SendCode(ctx, v, a.ID); !errors.Is(err, submission.ErrCodeAct) {
			t.Error("a code for an istanza", err)
		}
		if err := c.d.SignAtDesk(ctx, v, a.ID, submission.WithCode, "00000000"); !errors.Is(err, submission.ErrCodeAct) {
			t.Error(err)
		}
		text := strings.Replace(string(service.Defaults["iscrizione-nido"]), "signature: required", "signature: required\nadvanced-code: true", 1)
		if _, err := c.Services.Publish(ctx, c.Operator("prova", 7, "R6"), []byte(text), 1); err != nil {
			t.Fatal(err)
		}
		a = c.made(v, "iscrizione-nido", child(nursery))
		// The address of the form was typed at this desk: it may be the operator's other one.
		if to, err := c.d.SendCode(ctx, v, a.ID); !errors.Is(err, submission.ErrReached) || to != "" {
			t.Error("a signature that goes where the desk says", to, err)
		}
		c.record(v, `{"form":{"email":"nota@example.org","residence":"Via Segreta 1"}}`)
		if to, err := c.d.SendCode(ctx, v, a.ID); err != nil || to != "nota@example.org" {
			t.Fatal(to, err)
		}
		var code string
		if err := c.Store.QueryRowContext(ctx, "SELECT number FROM outbox WHERE kind = 'application-code'").Scan(&code); err != nil || len(code) != 8 {
			t.Fatal(code, err)
		}
		if err := c.d.SignAtDesk(ctx, v, a.ID, submission.WithCode, "x"+code[1:]); !errors.Is(err, submission.ErrCode) {
			t.Error(err)
		}
		c.Move(time.Minute)
		if err := c.d.SignAtDesk(ctx, v, a.ID, submission.WithCode, code); err != nil {
			t.Fatal(err)
		}
		c.Move(time.Minute)
		if err := c.d.SignAtDesk(ctx, v, a.ID, submission.WithCode, code); !errors.Is(err, submission.ErrCode) {
			t.Error("a code signs twice", err)
		}
		a, err := c.d.Send(ctx, v, a.ID)
		if err != nil || a.Assisted != submission.WithCode || a.Operator != caf.Operator || a.Letter != "a" {
			t.Fatalf("%+v, %v", a, err)
		}
		c.receipt(a, caf.Name, v.Person.CodiceFiscale, "codice usa e getta", "firma elettronica avanzata")

		// A message: a simple signature, and no letter.
		m := c.made(v, "instradamento", map[string]string{"topic": "waste", "subject": "Cassonetto", "text": "È pieno", "email": "persona@example.org"})
		if _, err := c.d.SendCode(ctx, v, m.ID); err != nil {
			t.Fatal(err)
		}
		if err := c.Store.QueryRowContext(ctx, "SELECT number FROM outbox WHERE kind = 'application-code' ORDER BY created DESC LIMIT 1").Scan(&code); err != nil {
			t.Fatal(err)
		}
		if err := c.d.SignAtDesk(ctx, v, m.ID, submission.WithCode, code); err != nil {
			t.Fatal(err)
		}
		if m, err = c.d.Send(ctx, v, m.ID); err != nil || m.Letter != "" {
			t.Errorf("%+v, %v", m, err)
		}

		// On paper: the signed sheet and the identity document, of this very document.
		b := c.made(v, "iscrizione-nido", child(nursery))
		attach := func(slot string) *submission.File {
			f, err := c.d.Attach(ctx, v, b.ID, slot, "firma.png", bytes.NewReader(picture(t)), int64(len(picture(t))))
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
		paper := func(want error) {
			t.Helper()
			if err := c.d.SignAtDesk(ctx, v, b.ID, submission.OnPaper, ""); !errors.Is(err, want) {
				t.Error("signed on paper:", err)
			}
		}
		paper(submission.ErrAssisted)
		attach(submission.SlotPaper)
		paper(submission.ErrAssisted)
		document := attach(submission.SlotIdentity)
		paper(nil)
		if err := c.d.Reopen(ctx, v, b.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := c.d.Make(ctx, v, b.ID, true, b.Service.Privacy.Version); err != nil {
			t.Fatal(err)
		}
		paper(submission.ErrAssisted) // what was signed is another document
		attach(submission.SlotPaper)
		paper(nil)
		if err := c.d.Detach(ctx, v, b.ID, document.ID); err != nil {
			t.Fatal(err)
		}
		if _, err = c.d.Send(ctx, v, b.ID); !errors.Is(err, submission.ErrAssisted) {
			t.Error("sent without the identity document", err)
		}
		attach(submission.SlotIdentity)
		if b, err = c.d.Send(ctx, v, b.ID); err != nil || b.Letter != "c" {
			t.Fatalf("%+v, %v", b, err)
		}
		if list, err := c.d.AtDesk(ctx, caf, 1); err != nil || len(list) != 4 {
			t.Error(len(list), err)
		}
		var detail, personal string
		err = c.Store.QueryRowContext(ctx, "SELECT j.detail, p.data FROM journal j JOIN journal_personal p ON p.ente = j.ente AND p.seq = j.seq WHERE j.kind = 'submitted' ORDER BY j.seq DESC LIMIT 1").Scan(&detail, &personal)
		var d map[string]string
		if err := errors.Join(err, json.Unmarshal([]byte(detail), &d)); err != nil || d["assisted"] != "paper" || !strings.Contains(personal, caf.Code) {
			t.Error(detail, personal, err)
		}
	})
}

// outside is a protocol system that is down at first.
type outside struct {
	down  bool
	asked map[string]int
}

func (o *outside) Register(_ context.Context, key string, e register.Entry, document io.Reader) (string, error) {
	if o.down {
		return "", errors.New("down")
	}
	if n, err := io.Copy(io.Discard, document); err != nil || n == 0 || len(e.SHA256) != 32 {
		return "", errors.New("no document")
	}
	o.asked[key]++
	return "EXT-77", nil
}

func TestOutsideProtocol(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx := t.Context()
		system := &outside{down: true, asked: map[string]int{}}
		c.d.Outside = map[string]submission.Outside{"prova": system}
		weak := submission.Visitor{Ente: "prova", Level: session.Debole, Credential: "w1", Email: "w@example.org"}
		a := c.made(weak, "instradamento", map[string]string{"topic": "waste", "subject": "Cassonetto", "text": "È pieno"})
		a, err := c.d.Send(ctx, weak, a.ID)
		if err != nil || a.Protocol() != "" {
			t.Fatal(a, err)
		}
		c.receipt(a, a.ID, "il numero di protocollo sarà comunicato", a.Fingerprint()[:20])
		if err := c.d.Follow(ctx); err == nil {
			t.Error("down, and nobody says so")
		}
		system.down = false
		for range 2 {
			if err := c.d.Follow(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if a, err = c.d.Get(ctx, weak, a.ID); err != nil || a.Protocol() != "EXT-77" || system.asked[a.ID] != 1 {
			t.Error(a, system.asked, err)
		}
		c.receipt(a, "EXT-77")
		// At once by the id, and by the number when it is there: one mail each.
		for kind, number := range map[string]string{"application-received": a.ID, "application-number": "EXT-77"} {
			var got string
			if err := c.Store.QueryRowContext(ctx, "SELECT number FROM outbox WHERE kind = ? AND recipient = 'w@example.org'", kind).Scan(&got); err != nil || got != number {
				t.Errorf("%s: %q %v", kind, got, err)
			}
		}
		if n := len(c.Mails("w@example.org")); n != 2 {
			t.Errorf("%d mails", n)
		}
		if n, _, _ := c.Register.Verify(ctx, "prova", a.Sent.In(register.Rome()).Year()); n != 0 {
			t.Error("the register here gave a number too", n)
		}
	})
}

// What was thrown away is gone from the disk too: attachments, documents, signatures.
func TestDiscardedIsGone(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx := t.Context()
		v := c.visitor(0)
		a, err := c.d.Start(ctx, v, "iscrizione-nido")
		if err == nil {
			_, err = c.d.Save(ctx, v, a.ID, get(child(nursery, "relation", "guardian")), true)
		}
		if err != nil {
			t.Fatal(err)
		}
		attach := func() string {
			t.Helper()
			f, err := c.d.Attach(ctx, v, a.ID, "custody", "a.png", bytes.NewReader(picture(t)), int64(len(picture(t))))
			if err != nil {
				t.Fatal(err)
			}
			return "attachments/" + f.ID[:2] + "/" + f.ID
		}
		there := func(name string) bool {
			t.Helper()
			if err := c.Store.SweepFiles(ctx, time.Now().Add(2*time.Hour)); err != nil {
				t.Fatal(err)
			}
			f, err := c.Store.OpenFile(ctx, name)
			if err == nil {
				_ = f.Close()
			}
			return err == nil
		}
		one, two := attach(), attach()
		if err := c.d.Detach(ctx, v, a.ID, one[len(one)-32:]); err != nil || there(one) || !there(two) {
			t.Error("detached", err, there(one), there(two))
		}
		if a, err = c.d.Make(ctx, v, a.ID, true, a.Service.Privacy.Version); err != nil {
			t.Fatal(err)
		}
		if _, err := c.d.Sign(ctx, v, a.ID, bytes.NewReader(c.signed(a, pki.Invented(0))), message.Italian); err != nil {
			t.Fatal(err)
		}
		signed, err := c.d.Signatures(ctx, a)
		if err != nil || len(signed) != 1 || !there(signed[0].File) {
			t.Fatal(signed, err)
		}
		document := func() bool {
			f, err := c.d.Document(ctx, a)
			if err == nil {
				_ = f.Close()
			}
			return err == nil
		}
		if err := c.d.Reopen(ctx, v, a.ID); err != nil || there(signed[0].File) || document() || !there(two) {
			t.Error("reopened", err)
		}
		if err := c.d.Discard(ctx, v, a.ID); err != nil || there(two) {
			t.Error("discarded", err)
		}
	})
}
