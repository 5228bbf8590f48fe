package portal_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/submission"
	"github.com/citel-pa/citel/testdata/pki"
)

// Two sign, one after the other, each in an own session.
func TestCosigners(t *testing.T) {
	d := newDesk(t)
	d.trusts()
	v, w := d.citizen(1), d.citizen(2)
	more := pairs("other", "consents", "other-cf", pki.Invented(2).CF, "other-signs", "yes")
	at := v.made(nil, more)
	has(t, v.get(at+"/firma"), `id="signers"`, pki.Invented(2).CF, "si aspetta la firma")
	if a := w.signs(at, d.signedBy(at, pki.Invented(2))); a.code != http.StatusUnprocessableEntity {
		t.Errorf("the second signs first: %d %s", a.code, a.body)
	}
	has(t, w.get(at+"/firma"), `id="not-yet"`)
	if a := v.signs(at, d.signedBy(at, pki.Invented(1))); !strings.Contains(a.body, at+"/firma?firmato=1") {
		t.Fatalf("%d %s", a.code, a.body)
	}
	a := v.get(at + "/firma?firmato=1")
	has(t, a, `id="signed"`, "si aspetta la firma", "http://127.0.0.1:8480"+at+"/firma")
	if strings.Contains(a.body, `id="send"`) {
		t.Error("it can be sent without the second signature")
	}
	// The second sees what is signed, and only that.
	a = w.get(at + "/firma")
	has(t, a, "Firma insieme", d.app(at).Fingerprint(), at+"/documento.pdf", `id="card-sign"`)
	for _, secret := range []string{pki.Invented(1).CF, `id="signers"`, `id="reopen"`, `id="discard"`, `id="send"`, "/riepilogo", "/passo/"} {
		if strings.Contains(a.body, secret) {
			t.Errorf("the second sees %q", secret)
		}
	}
	for _, path := range []string{"/passo/1", "/allegati", "/riepilogo"} {
		if a := w.get(at + path); a.code != http.StatusNotFound {
			t.Errorf("the second gets to %s: %d %s", path, a.code, a.to)
		}
	}
	for _, path := range []string{"/riapri", "/scarta", "/invia", "/riepilogo", "/passo/1", "/allegati/x/togli"} {
		if a := w.sendValues(at+path, nil); a.code != http.StatusNotFound {
			t.Errorf("the second posts to %s: %d %s", path, a.code, a.to)
		}
	}
	if a := d.citizen(3).get(at + "/firma"); a.code != http.StatusNotFound {
		t.Errorf("a third: %d", a.code)
	}
	// With another program this time.
	if a := w.uploads(at+"/firma", "", "istanza.pdf.p7m", d.signedBy(at, pki.Invented(2))); a.to != at+"/firma?firmato=1" {
		t.Fatalf("%d %s", a.code, a.body)
	}
	has(t, w.get(at+"/firma"), "la domanda la invia chi l")
	has(t, v.get(at+"/firma"), `id="send"`)
	if a := v.sendValues(at+"/invia", nil); a.to != at {
		t.Fatalf("%d %s", a.code, a.body)
	}
	if a := v.sendValues(at+"/invia", nil); a.to != at {
		t.Errorf("again: %d %s", a.code, a.to)
	}
	if a := w.get(at + "/firma"); a.code != http.StatusNotFound {
		t.Errorf("the second after the end: %d", a.code)
	}
}

func TestChangedAgainAndDiscarded(t *testing.T) {
	d := newDesk(t)
	d.trusts()
	v := d.citizen(1)
	at := v.made(nil, pairs("other", "consents", "other-cf", pki.Invented(2).CF, "other-signs", "yes"))
	old := d.signedBy(at, pki.Invented(1))
	v.signs(at, old)
	for range 2 {
		if a := v.sendValues(at+"/riapri", nil); a.to != at+"/riepilogo" {
			t.Fatalf("%d %s", a.code, a.to)
		}
	}
	d.Move(time.Minute)
	x := nurserySteps()[0]
	x.Set("child-given", "Altra")
	x.Set("_da", "riepilogo")
	v.sendValues(at+"/passo/1", x)
	v.sendValues(at+"/riepilogo", pairs("warned", "yes", "privacy", "yes", "version", "2"))
	if a := v.signs(at, old); a.code != http.StatusUnprocessableEntity {
		t.Errorf("the old document's signature: %d %s", a.code, a.body)
	}
	if a := v.sendValues(at+"/scarta", nil); a.to != nursery+"?bozza=scartata" {
		t.Fatalf("%d %s", a.code, a.to)
	}
	if a := v.get(at + "/riepilogo"); a.code != http.StatusNotFound {
		t.Error(a.code)
	}
}

// A message needs a weak credential and no card, and goes at once.
func TestMessageOfADebole(t *testing.T) {
	d := newDesk(t)
	v := d.debole("ida@example.org", "")
	def, err := d.Services.Current(t.Context(), "prova", "instradamento")
	if err != nil {
		t.Fatal(err)
	}
	x := url.Values{}
	for _, q := range def.Fields() {
		switch q.Kind {
		case service.Choice:
			x.Set(q.ID, q.Options[0].Value)
		case service.Email:
			x.Set(q.ID, "ida@example.org")
		case service.Check:
			x.Set(q.ID, "yes")
		default:
			x.Set(q.ID, "Un lampione è spento")
		}
	}
	has(t, v.get("/servizi/instradamento"), "non è un&#39;istanza")
	at := v.begin("/servizi/instradamento", x)
	if a := d.debole("ugo@example.org", "").get(at + "/riepilogo"); a.code != http.StatusNotFound {
		t.Errorf("another: %d", a.code)
	}
	if a := v.uploads(at+"/allegati", def.Attachments[0].ID, "foto.png", pngOf(10, 10)); a.code != http.StatusSeeOther {
		t.Fatalf("%d %s", a.code, a.body)
	}
	has(t, v.get(at+"/riepilogo"), "foto.png", ">Invia<", "lampione")
	if a := v.sendValues(at+"/riepilogo", pairs("privacy", "yes", "version", def.Privacy.Version)); a.to != at {
		t.Fatalf("%d %s", a.code, a.body)
	}
	if x := d.app(at); x.State != submission.StateSent || x.Number.Number == 0 || x.Letter != "" {
		t.Errorf("%+v", x)
	}
}

// Where the signature is a choice, a card's session is enough; who has no card signs by
// hand and attaches a copy of the identity document.
func TestSignatureIsAChoice(t *testing.T) {
	d := newDesk(t)
	d.trusts()
	d.publish("iscrizione-nido", func(s string) string { return strings.Replace(s, "signature: required", "signature: optional", 1) })
	v := d.citizen(1)
	at := v.made()
	a := v.get(at + "/firma")
	has(t, a, "Invia senza firma", `id="card-sign"`)
	if strings.Contains(a.body, `id="a-mano"`) {
		t.Error("a copy is asked of whom the card has identified")
	}
	if a := v.sendValues(at+"/invia", nil); a.to != at || d.app(at).Letter != "b" {
		t.Errorf("%d %s %q", a.code, a.to, d.app(at).Letter)
	}
	if _, err := d.Store.ExecContext(t.Context(), "UPDATE session SET profile = ''"); err != nil {
		t.Fatal(err)
	}
	at = v.made()
	has(t, v.get(at+"/firma"), `id="a-mano"`, "lett. c")
	if a := v.sendValues(at+"/invia", nil); a.code != http.StatusUnprocessableEntity {
		t.Errorf("unproved: %d %s", a.code, a.to)
	}
	v.uploads(at+"/allegati", "paper", "firmato.pdf", pdfWith("", ""))
	if a := v.uploads(at+"/allegati", "identity", "script.pdf", pdfWith("/OpenAction<</S/JavaScript/JS(1)>>", "")); a.code != http.StatusUnprocessableEntity {
		t.Errorf("%d", a.code)
	}
	v.uploads(at+"/allegati", "identity", "carta.png", pngOf(5, 5))
	if a := v.sendValues(at+"/invia", nil); a.to != at || d.app(at).Letter != "c" {
		t.Errorf("%d %s %q", a.code, a.to, d.app(at).Letter)
	}
}
