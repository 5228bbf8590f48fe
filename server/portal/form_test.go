package portal_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/submission"
	"github.com/citel-pa/citel/testdata/page"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/town"
)

const nursery = "/servizi/iscrizione-nido"

// trusts lets signatures of the test cards be good.
func (d *desk) trusts() {
	d.t.Helper()
	p := pki.Shared(d.t)
	anchors := trust.NewStore(trust.AllowTest())
	if _, err := anchors.AddPEM(p.AnchorsPEM(pki.CNS), "cns", profile.CNS); err != nil {
		d.t.Fatal(err)
	}
	list, err := p.CRL(p.CNS)
	if err == nil {
		err = anchors.AddCRL(list, "cns")
	}
	if err != nil {
		d.t.Fatal(err)
	}
	a := d.Applications
	a.Trust, a.Revocation, a.Policy = anchors, &trust.Revocation{Store: anchors}, validation.Strict()
}

// citizen is a visitor with a card.
func (d *desk) citizen(n int) *visitor {
	v := d.visitor()
	v.card(n)
	return v
}

// sendValues posts a form with the page's token.
func (v *visitor) sendValues(path string, values url.Values) answer {
	v.d.t.Helper()
	x := url.Values{}
	for k, s := range values {
		x[k] = s
	}
	if !x.Has("csrf") {
		if s := v.session(); s != nil {
			x.Set("csrf", s.CSRF)
		} else {
			x.Set("csrf", v.csrf("/accedi"))
		}
	}
	return v.send(form(path, x))
}

var draftID = regexp.MustCompile(`name="_bozza" value="([0-9a-f]{32})"`)

// begin begins a draft of a service with the answers of its first step; the draft's address.
func (v *visitor) begin(service string, values url.Values) string {
	v.d.t.Helper()
	a := v.get(service + "/compila")
	m := draftID.FindStringSubmatch(a.body)
	if m == nil {
		v.d.t.Fatalf("no form: %d %s", a.code, a.to)
	}
	x := url.Values{"_bozza": {m[1]}, "_passo": {"1"}}
	for k, s := range values {
		x[k] = s
	}
	at := "/pratiche/" + v.d.Applications.DraftID(m[1])
	if a := v.sendValues(service, x); a.code != http.StatusSeeOther || !strings.HasPrefix(a.to, at+"/") {
		v.d.t.Fatalf("it does not begin: %d %s", a.code, a.to)
	}
	return at
}

func pairs(x ...string) url.Values {
	out := url.Values{}
	for i := 0; i+1 < len(x); i += 2 {
		out.Add(x[i], x[i+1])
	}
	return out
}

// nurserySteps are the answers of the nursery's eight steps.
func nurserySteps() []url.Values { return page.Nursery() }

// nurseryForm is all of them, as the form that is written before the login asks.
func nurseryForm() map[string]string {
	out := map[string]string{}
	for _, step := range nurserySteps() {
		for k := range step {
			out[k] = step.Get(k)
		}
	}
	return out
}

// filled is a draft with all steps answered; more adds to a step's answers.
func (v *visitor) filled(more ...url.Values) string {
	v.d.t.Helper()
	steps := nurserySteps()
	at := v.begin(nursery, steps[0])
	for i := 1; i < len(steps); i++ {
		if i < len(more) {
			for k, s := range more[i] {
				steps[i][k] = s
			}
		}
		steps[i].Set("_script", "1")
		if a := v.sendValues(fmt.Sprintf("%s/passo/%d", at, i+1), steps[i]); a.code != http.StatusSeeOther {
			v.d.t.Fatalf("step %d: %d %s", i+1, a.code, a.body)
		}
	}
	return at
}

func (v *visitor) made(more ...url.Values) string {
	v.d.t.Helper()
	at := v.filled(more...)
	if a := v.sendValues(at+"/riepilogo", pairs("warned", "yes", "privacy", "yes", "version", "2")); a.to != at+"/firma" {
		v.d.t.Fatalf("no document: %d %s", a.code, a.body)
	}
	return at
}

// app is the application of an address.
func (d *desk) app(at string) *submission.Application {
	d.t.Helper()
	var who int64
	var credential string
	id := strings.TrimPrefix(at, "/pratiche/")
	err := d.Store.QueryRowContext(d.t.Context(), "SELECT person, credential FROM application WHERE id = ?", id).Scan(&who, &credential)
	if err != nil {
		d.t.Fatal(err)
	}
	x := submission.Visitor{Ente: "prova", Level: session.Forte, Credential: credential}
	if who != 0 {
		if x.Person, err = person.Get(d.t.Context(), d.Store, who); err != nil {
			d.t.Fatal(err)
		}
	}
	a, err := d.Applications.Get(d.t.Context(), x, id)
	if err != nil {
		d.t.Fatal(err)
	}
	return a
}

// signedBy is the document of an application with a card's signature.
func (d *desk) signedBy(at string, who pki.Person) []byte {
	d.t.Helper()
	f, err := d.Applications.Document(d.t.Context(), d.app(at))
	if err != nil {
		d.t.Fatal(err)
	}
	content, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		d.t.Fatal(err)
	}
	id := pki.Shared(d.t).MustIssue(d.t, pki.CNS, pki.P256, who)
	var out bytes.Buffer
	err = cades.Sign(d.t.Context(), cades.SignOptions{Certificate: id.Cert, SigningTime: d.Today(),
		Sign: func(_ context.Context, sum []byte, o crypto.SignerOpts) ([]byte, error) {
			return id.Key.Sign(rand.Reader, sum, o)
		},
	}, bytes.NewReader(content), int64(len(content)), &out)
	if err != nil {
		d.t.Fatal(err)
	}
	return out.Bytes()
}

func (v *visitor) signs(at string, signed []byte) answer {
	v.d.t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/api"+at+"/firma", bytes.NewReader(signed))
	r.Header.Set("X-CSRF-Token", v.session().CSRF)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return v.send(r)
}

// uploads sends a file as a page's form does.
func (v *visitor) uploads(path, slot, name string, data []byte) answer {
	v.d.t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	_ = w.WriteField("csrf", v.session().CSRF)
	_ = w.WriteField("slot", slot)
	part, err := w.CreateFormFile("file", name)
	if err == nil {
		_, err = part.Write(data)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		v.d.t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, path, &b)
	r.Header.Set("Content-Type", w.FormDataContentType())
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return v.send(r)
}

func TestServicesByTopic(t *testing.T) {
	d := newDesk(t)
	has(t, d.visitor().get("/servizi"), "Educazione e formazione", `href="/servizi/iscrizione-nido"`, "Iscrizione al nido comunale", "Anagrafe e stato civile", "Si può presentare adesso")
	has(t, d.visitor().get(nursery), "Accedi e compila", "Provvedimento di affidamento", "Risposta entro 60 giorni", "il silenzio non equivale", "Responsabile del servizio Istruzione", "versione 2", "Gratuito", "artt. 15-22")
	has(t, d.citizen(1).get(nursery), ">Compila<")
	if a := d.visitor().get("/servizi/niente"); a.code != http.StatusNotFound {
		t.Error(a.code)
	}
	// From the sheet through the login into the flow (C.SE.1.1).
	if a := d.visitor().get(nursery + "/compila"); verdict(a) != window || !strings.Contains(a.to, url.QueryEscape(nursery+"/compila")) {
		t.Errorf("%d %s", a.code, a.to)
	}
}

// The whole way with a card: what each step says is there at the next, and after the send
// there is a number.
func TestFromSheetToNumber(t *testing.T) {
	d := newDesk(t)
	d.trusts()
	v := d.citizen(1)
	steps := nurserySteps()
	at := v.begin(nursery, steps[0])
	for i := 1; i < len(steps); i++ {
		has(t, v.get(fmt.Sprintf("%s/passo/%d", at, i+1)), `aria-current="step"`, fmt.Sprintf("Passo %d di 11", i+1), at+"/passo/1")
		want := fmt.Sprintf("%s/passo/%d", at, i+2)
		if i == len(steps)-1 {
			want = at + "/allegati"
		}
		steps[i].Set("_script", "1")
		if a := v.sendValues(fmt.Sprintf("%s/passo/%d", at, i+1), steps[i]); a.to != want {
			t.Fatalf("step %d: %d %s, want %s", i+1, a.code, a.to, want)
		}
	}
	has(t, v.get(at+"/allegati"), `id="none-needed"`)
	a := v.get(at + "/riepilogo")
	has(t, a, "Nina", "Arcobaleno", at+"/passo/3?da=riepilogo", `name="warned"`, `name="privacy"`, "artt. 46 e 47", "versione 2")
	if strings.Contains(a.body, `id="gaps"`) {
		t.Error("something is missing in a full form")
	}
	for _, x := range []url.Values{pairs("privacy", "yes", "version", "2"), pairs("warned", "yes", "version", "2"), pairs("warned", "yes", "privacy", "yes", "version", "0")} {
		if a := v.sendValues(at+"/riepilogo", x); a.code != http.StatusUnprocessableEntity || !strings.Contains(a.body, "avvertenze") {
			t.Errorf("%v: %d", x, a.code)
		}
	}
	if a := v.sendValues(at+"/riepilogo", pairs("warned", "yes", "privacy", "yes", "version", "2")); a.to != at+"/firma" {
		t.Fatalf("%d %s", a.code, a.to)
	}
	// Twice, and back in the browser: the page is where the application is.
	if a := v.sendValues(at+"/riepilogo", pairs("warned", "yes", "privacy", "yes", "version", "2")); a.to != at+"/firma" {
		t.Errorf("sent twice: %d %s", a.code, a.to)
	}
	for _, path := range []string{"/passo/1", "/riepilogo", "/allegati"} {
		if a := v.get(at + path); a.to != at+"/firma" {
			t.Errorf("back to %s: %d %s", path, a.code, a.to)
		}
	}
	has(t, v.get(at+"/firma"), `id="card-sign"`, d.app(at).Fingerprint(), "Firma con la carta e invia")
	if a := v.sendValues(at+"/invia", nil); a.code != http.StatusUnprocessableEntity || !strings.Contains(a.body, "Manca una firma") {
		t.Errorf("sent unsigned: %d %s", a.code, a.to)
	}
	signed := d.signedBy(at, pki.Invented(1))
	if a := v.signs(at, d.signedBy(at, pki.Invented(2))); a.code != http.StatusUnprocessableEntity {
		t.Errorf("another's signature: %d %s", a.code, a.body)
	}
	var first struct{ Next, Protocol string }
	for range 2 { // a second time gives the same
		a := v.signs(at, signed)
		var got struct{ Next, Protocol string }
		if err := json.Unmarshal([]byte(a.body), &got); err != nil || got.Next != at || got.Protocol == "" {
			t.Fatalf("%d %s", a.code, a.body)
		}
		if first.Protocol != "" && got != first {
			t.Errorf("another number: %v %v", got, first)
		}
		first = got
	}
	if x := d.app(at); x.State != submission.StateSent || x.Letter != "ab" || x.Privacy != "2" || x.Warned.IsZero() {
		t.Errorf("%+v", x)
	}
	for _, path := range []string{"/firma", "/riepilogo", "/passo/1"} {
		if a := v.get(at + path); a.to != at {
			t.Errorf("%s of a sent one: %d %s", path, a.code, a.to)
		}
	}
	for _, path := range []string{"/scarta", "/riapri"} {
		if a := v.sendValues(at+path, nil); a.code != http.StatusConflict && a.to != at {
			t.Errorf("%s of a sent one: %d %s", path, a.code, a.to)
		}
	}
	if d.app(at).State != submission.StateSent {
		t.Error("a sent application has changed")
	}
}

func TestAStepKeepsWhatIsWrong(t *testing.T) {
	d := newDesk(t)
	v := d.citizen(1)
	at := v.begin(nursery, pairs("child-given", "Nina", "child-cf", "nonsense"))
	a := v.get(at + "/passo/1?controlla=1")
	has(t, a, `value="Nina"`, `value="nonsense"`, `href="#f-child-family"`)
	a = v.sendValues(at+"/passo/1", pairs("child-given", "Nina", "child-cf", "nonsense"))
	if a.code != http.StatusUnprocessableEntity {
		t.Fatal(a.code)
	}
	has(t, a, `id="wrong"`, `href="#f-child-cf"`, `aria-invalid="true"`, `value="nonsense"`)
	// One may go on to look, leave and go back all the same; nothing is lost.
	if a := v.sendValues(at+"/passo/2", pairs("email", "not one", "_vai", "indietro")); a.to != at+"/passo/1" {
		t.Errorf("back: %d %s", a.code, a.to)
	}
	if a := v.sendValues(at+"/passo/3", pairs("first", "girasole", "_vai", "esci")); a.to != nursery+"?bozza=salvata" {
		t.Errorf("leave: %d %s", a.code, a.to)
	}
	has(t, v.get(nursery), at+"/passo/1", "Riprendi la bozza")
	has(t, v.get(nursery+"?bozza=salvata"), "La bozza è salvata")
	x := d.app(at)
	if x.Fields["child-given"] != "Nina" || x.Fields["email"] != "not one" || x.Fields["first"] != "girasole" {
		t.Error(x.Fields)
	}
	has(t, v.get(at+"/riepilogo"), `id="gaps"`, at+"/passo/1?da=riepilogo#f-child-cf", "E-mail")
	if a := v.sendValues(at+"/riepilogo", pairs("warned", "yes", "privacy", "yes", "version", "2")); a.code != http.StatusUnprocessableEntity {
		t.Errorf("made all the same: %d", a.code)
	}
	// Changed from the summary, back to the summary.
	one := nurserySteps()[0]
	one.Set("_da", "riepilogo")
	has(t, v.get(at+"/passo/1?da=riepilogo"), `name="_da" value="riepilogo"`)
	if a := v.sendValues(at+"/passo/1", one); a.to != at+"/riepilogo" {
		t.Errorf("%d %s", a.code, a.to)
	}
	for _, n := range []string{"0", "9", "x", "01", "-1"} {
		if a := v.get(at + "/passo/" + n); a.code != http.StatusNotFound {
			t.Errorf("step %s: %d", n, a.code)
		}
	}
}

// Without the script a question that depends on an answer appears after the answer.
func TestConditionsWithoutScript(t *testing.T) {
	d := newDesk(t)
	v := d.citizen(1)
	at := v.begin(nursery, nurserySteps()[0])
	has(t, v.get(at+"/passo/2"), `data-when="other" data-is="consents" hidden`)
	x := pairs("relation", "parent", "email", "a@example.org", "other", "consents")
	a := v.sendValues(at+"/passo/2", x)
	if a.to != at+"/passo/2?nuove=1" {
		t.Fatalf("%d %s", a.code, a.to)
	}
	a = v.get(a.to)
	has(t, a, `id="new-questions"`, `data-when="other" data-is="consents">`, `name="other" value="consents" checked`)
	if strings.Contains(a.body, `id="wrong"`) {
		t.Error("a question that nobody has seen is called wrong")
	}
	if a := v.sendValues(at+"/passo/2", x); a.code != http.StatusUnprocessableEntity {
		t.Errorf("seen and left open: %d %s", a.code, a.to)
	}
	x.Set("other-cf", pki.Invented(2).CF)
	if a := v.sendValues(at+"/passo/2", x); a.to != at+"/passo/3" {
		t.Errorf("%d %s", a.code, a.to)
	}
	// The answer is taken back: what depended on it goes.
	x.Set("other", "none")
	v.sendValues(at+"/passo/2", x)
	if f := d.app(at).Fields; f["other-cf"] != "" || f["email"] == "" {
		t.Error(f)
	}
}

// What was typed when the session was over is there after the login, in the form and not
// yet in the draft; another person gets none of it.
func TestSessionThatEndsInAStep(t *testing.T) {
	d := newDesk(t)
	v := d.citizen(1)
	at := v.begin(nursery, nurserySteps()[0])
	x := nurserySteps()[1]
	x.Set("csrf", v.session().CSRF)
	x.Set("_serve", "forte")
	x.Set("email", "typed@example.org")
	d.Move(31 * time.Minute)
	a := v.sendValues(at+"/passo/2", x)
	if verdict(a) != window || !strings.Contains(a.to, url.QueryEscape(at+"/passo/2")) || !strings.Contains(a.to, "serve=forte") {
		t.Fatalf("%d %s", a.code, a.to)
	}
	other := d.citizen(2)
	if a := other.get(at + "/passo/2"); a.code != http.StatusNotFound {
		t.Error(a.code)
	}
	v.card(1)
	has(t, v.get(at+"/passo/2"), `value="typed@example.org"`, `id="kept-note"`)
	if d.app(at).Fields["email"] != "" {
		t.Error("saved in nobody's name")
	}
	x.Set("csrf", v.session().CSRF)
	x.Set("_script", "1")
	if a := v.sendValues(at+"/passo/2", x); a.to != at+"/passo/3" {
		t.Fatalf("%d %s", a.code, a.to)
	}
	if a := v.get(at + "/passo/2"); strings.Contains(a.body, `id="kept-note"`) {
		t.Error("it is kept after it was saved")
	}
	if d.app(at).Fields["email"] != "typed@example.org" {
		t.Error("lost")
	}
	// An address that is none keeps nothing.
	if a := d.visitor().sendValues("/pratiche/../x/passo/1", x); a.code < 300 {
		t.Error(a.code)
	}
	if a := d.visitor().sendValues("/pratiche/zz/passo/1", x); a.code != http.StatusNotFound {
		t.Error(a.code)
	}
}

// A form that is sent twice begins one draft; the id of another's draft begins none.
func TestDoubleSubmit(t *testing.T) {
	d := newDesk(t)
	v := d.citizen(1)
	m := draftID.FindStringSubmatch(v.get(nursery + "/compila").body)
	x := nurserySteps()[0]
	x.Set("_bozza", m[1])
	x.Set("_passo", "1")
	for range 3 {
		if a := v.sendValues(nursery, x); !strings.HasPrefix(a.to, "/pratiche/"+d.Applications.DraftID(m[1])+"/passo/2") {
			t.Fatalf("%d %s", a.code, a.to)
		}
	}
	var n int
	if err := d.Store.QueryRowContext(t.Context(), "SELECT count(*) FROM application").Scan(&n); err != nil || n != 1 {
		t.Errorf("%d drafts, %v", n, err)
	}
	if a := d.citizen(2).sendValues(nursery, x); a.code != http.StatusNotFound {
		t.Errorf("another's id: %d %s", a.code, a.to)
	}
	for _, id := range []string{"", "x", strings.Repeat("a", 31), strings.Repeat("A", 32), "../../etc/passwd/aaaaaaaaaaaaaaaa"} {
		x.Set("_bozza", id)
		if a := v.sendValues(nursery, x); a.code != http.StatusNotFound {
			t.Errorf("id %q: %d %s", id, a.code, a.to)
		}
	}
}

// Hidden fields that were changed do nothing: fields of other steps, unknown ones, another
// level, another version.
func TestTamperedFields(t *testing.T) {
	d := newDesk(t)
	v := d.citizen(1)
	at := v.begin(nursery, nurserySteps()[0])
	x := nurserySteps()[1]
	for k, s := range map[string]string{"child-given": "Altra", "points": "100", "state": "sent", "person": "2", "_serve": "debole", "_script": "1", "sibling": "yes"} {
		x.Set(k, s)
	}
	if a := v.sendValues(at+"/passo/2", x); a.to != at+"/passo/3" {
		t.Fatalf("%d %s", a.code, a.to)
	}
	f := d.app(at).Fields
	if f["child-given"] != "Nina" || f["points"] != "" || f["sibling"] != "" || d.app(at).State != submission.StateDraft {
		t.Error(f)
	}
	// The level that a form claims only chooses the window; the page asks again.
	w, _ := d.media(1)
	for _, claim := range []string{"debole", "media", "", "forte"} {
		x.Set("_serve", claim)
		x.Del("csrf")
		if a := w.sendValues(at+"/passo/2", x); verdict(a) != window || !strings.Contains(a.to, "serve=forte") {
			t.Errorf("claimed %q: %d %s", claim, a.code, a.to)
		}
	}
	for _, slot := range []string{"paper", "more", "custody", "nothing", "", "../x"} {
		if a := v.uploads(at+"/allegati", slot, "a.pdf", pdfWith("", "")); a.code != http.StatusNotFound && a.code != http.StatusConflict {
			t.Errorf("slot %q: %d", slot, a.code)
		}
	}
	if files, err := d.Applications.Files(t.Context(), d.app(at)); err != nil || len(files) != 0 {
		t.Error(files, err)
	}
}

// A card of somebody under age opens only what a service allows, and says so before
// anything is typed.
func TestUnderAge(t *testing.T) {
	d := newDesk(t)
	v := d.visitor()
	v.cardOf(pki.Child(1).CF)
	if a := v.get(nursery + "/compila"); a.code != http.StatusConflict || !strings.Contains(a.body, "età") {
		t.Errorf("%d", a.code)
	}
	x := nurserySteps()[0]
	x.Set("_bozza", strings.Repeat("a", 32))
	x.Set("_passo", "1")
	if a := v.sendValues(nursery, x); a.code != http.StatusConflict {
		t.Errorf("%d %s", a.code, a.to)
	}
}

func (d *desk) publish(id string, change func(text string) string) {
	d.t.Helper()
	now, err := d.Services.Current(d.t.Context(), "prova", id)
	if err == nil {
		_, err = d.Services.Publish(d.t.Context(), d.Operator("prova", 80+now.Number, "R6"), []byte(change(string(now.Text))), now.Number)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

func TestClosedService(t *testing.T) {
	d := newDesk(t)
	v := d.citizen(1)
	at := v.filled()
	d.publish("iscrizione-nido", func(s string) string { return s + "\ncloses: \"2020-01-31\"\n" })
	a := v.get(nursery)
	has(t, a, "Chiuso", "31/01/2020")
	if strings.Contains(a.body, `id="begin"`) {
		t.Error("a button that leads nowhere")
	}
	if a := v.get(nursery + "/compila"); a.code != http.StatusConflict {
		t.Error(a.code)
	}
	x := nurserySteps()[0]
	x.Set("_bozza", strings.Repeat("b", 32))
	if a := v.sendValues(nursery, x); a.code != http.StatusConflict {
		t.Errorf("%d %s", a.code, a.to)
	}
	// A draft keeps the version that it was begun with, its dates too.
	has(t, v.get(at+"/riepilogo"), "Nina")
}

// cardOf is card for any codice fiscale.
func (v *visitor) cardOf(code string) {
	v.d.t.Helper()
	ctx, w := context.Background(), httptest.NewRecorder()
	err := v.d.Store.Tx(ctx, func(tx *sql.Tx) error {
		p, err := person.EnsureAccount(ctx, tx, person.Natural, code, "Prova", "Esempio", v.d.Today())
		if err != nil {
			return err
		}
		c, err := v.d.Credentials.EnsureCard(ctx, tx, "prova", p, []byte(code))
		if err != nil {
			return err
		}
		_, err = v.d.portal.Sessions.RiseAt(ctx, tx, w, v.session(), session.Session{Level: session.Forte, Person: p.ID, Credential: c.ID, Releaser: "prova", Profile: "cns"}, "prova")
		return err
	})
	if err != nil {
		v.d.t.Fatal(err)
	}
	for _, c := range w.Result().Cookies() {
		v.cookies[c.Name] = c.Value
	}
}

// What is known is not asked again (C.SE.1.5).
func TestPrefilled(t *testing.T) {
	d := newDesk(t)
	d.media(1)
	v := d.citizen(1)
	at := v.begin(nursery, nurserySteps()[0])
	has(t, v.get(at+"/passo/2"), `value="`+town.FormOf(1).Email+`"`)
}
