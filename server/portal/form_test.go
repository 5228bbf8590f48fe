package portal_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/server/attachment"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/service"
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
	if a := v.sendValues(service, x); a.code != http.StatusSeeOther || !strings.HasPrefix(a.to, "/pratiche/"+m[1]+"/") {
		v.d.t.Fatalf("it does not begin: %d %s", a.code, a.to)
	}
	return "/pratiche/" + m[1]
}

func pairs(x ...string) url.Values {
	out := url.Values{}
	for i := 0; i+1 < len(x); i += 2 {
		out.Add(x[i], x[i+1])
	}
	return out
}

// nurserySteps are the answers of the nursery's five steps.
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
	if a := v.sendValues(at+"/riepilogo", pairs("warned", "yes", "privacy", "yes", "version", "1")); a.to != at+"/firma" {
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
	has(t, d.visitor().get("/servizi"), "Educazione e formazione", `href="/servizi/iscrizione-nido"`, "Iscrizione al nido comunale", "Anagrafe e stato civile", "aperto")
	has(t, d.visitor().get(nursery), "Accedi e compila", "Provvedimento di affidamento", "Risposta entro 60 giorni", "il silenzio non equivale", "Responsabile del servizio Istruzione", "versione 1", "Gratuito", "artt. 15-22")
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
		has(t, v.get(fmt.Sprintf("%s/passo/%d", at, i+1)), `aria-current="step"`, fmt.Sprintf("Passo %d di 8", i+1), at+"/passo/1")
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
	has(t, a, "Nina", "Arcobaleno", at+"/passo/3?da=riepilogo", `name="warned"`, `name="privacy"`, "artt. 46 e 47", "versione 1")
	if strings.Contains(a.body, `id="gaps"`) {
		t.Error("something is missing in a full form")
	}
	for _, x := range []url.Values{pairs("privacy", "yes", "version", "1"), pairs("warned", "yes", "version", "1"), pairs("warned", "yes", "privacy", "yes", "version", "0")} {
		if a := v.sendValues(at+"/riepilogo", x); a.code != http.StatusUnprocessableEntity || !strings.Contains(a.body, "avvertenze") {
			t.Errorf("%v: %d", x, a.code)
		}
	}
	if a := v.sendValues(at+"/riepilogo", pairs("warned", "yes", "privacy", "yes", "version", "1")); a.to != at+"/firma" {
		t.Fatalf("%d %s", a.code, a.to)
	}
	// Twice, and back in the browser: the page is where the application is.
	if a := v.sendValues(at+"/riepilogo", pairs("warned", "yes", "privacy", "yes", "version", "1")); a.to != at+"/firma" {
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
	if x := d.app(at); x.State != submission.StateSent || x.Letter != "ab" || x.Privacy != "1" || x.Warned.IsZero() {
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
	if a := v.sendValues(at+"/riepilogo", pairs("warned", "yes", "privacy", "yes", "version", "1")); a.code != http.StatusUnprocessableEntity {
		t.Errorf("made all the same: %d", a.code)
	}
	// Changed from the summary, back to the summary.
	one := nurserySteps()[0]
	one.Set("_da", "riepilogo")
	has(t, v.get(at+"/passo/1?da=riepilogo"), `name="_da" value="riepilogo"`)
	if a := v.sendValues(at+"/passo/1", one); a.to != at+"/riepilogo" {
		t.Errorf("%d %s", a.code, a.to)
	}
	for _, n := range []string{"0", "6", "x", "01", "-1"} {
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
		if a := v.sendValues(nursery, x); !strings.HasPrefix(a.to, "/pratiche/"+m[1]+"/passo/2") {
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
	has(t, a, "chiuso", "31/01/2020")
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
	v.sendValues(at+"/riepilogo", pairs("warned", "yes", "privacy", "yes", "version", "1"))
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

// pdfWith writes a PDF whose catalogue and trailer have more in them.
func pdfWith(catalog, trailer string, objects ...string) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n")
	all := append([]string{"<</Type/Catalog/Pages 2 0 R " + catalog + ">>", "<</Type/Pages/Kids[3 0 R]/Count 1>>", "<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Resources<<>>>>"}, objects...)
	var at []int
	for i, o := range all {
		at = append(at, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	start := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(all)+1)
	for _, n := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", n)
	}
	fmt.Fprintf(&b, "trailer\n<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF\n", len(all)+1, trailer, start)
	return b.Bytes()
}

// pngOf is a picture's header alone where it is large, else a picture.
func pngOf(w, h uint32) []byte {
	head := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR")
	head = binary.BigEndian.AppendUint32(head, w)
	head = append(binary.BigEndian.AppendUint32(head, h), 8, 0, 0, 0, 0)
	head = binary.BigEndian.AppendUint32(head, crc32.ChecksumIEEE(head[12:]))
	if w > 1000 {
		return head
	}
	return page.Picture(int(w), int(h))
}

func zipBomb(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create("a.pdf")
	if err == nil {
		_, err = io.CopyN(f, zeros{}, 32<<20)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// Each hostile file is refused with a sentence that says why, and leaves nothing behind.
func TestHostileUploads(t *testing.T) {
	d := newDesk(t)
	d.Applications.Limits = attachment.Limits{Bytes: 1 << 20, Dir: t.TempDir()}
	v := d.citizen(1)
	at := v.filled(nil, pairs("relation", "guardian"))
	has(t, v.get(at+"/allegati"), `id="s-custody"`, "1 MB", "Provvedimento")
	good := pdfWith("", "")
	for name, x := range map[string]struct {
		file string
		data []byte
		want string
	}{
		"script":                  {"a.pdf", pdfWith("/OpenAction<</S/JavaScript/JS(app.alert(1))>>", ""), "JavaScript"},
		"XFA":                     {"a.pdf", pdfWith("/AcroForm<</Fields[]/XFA(x)>>", ""), "XFA"},
		"embedded files":          {"a.pdf", pdfWith("/Names<</EmbeddedFiles<</Names[(a)4 0 R]>>>>", "", "<</Type/Filespec/F(a.exe)/EF<</F 5 0 R>>>>", "<</Type/EmbeddedFile/Length 1>>stream\na\nendstream"), "contiene altri file"},
		"layers":                  {"a.pdf", pdfWith("/OCProperties<</OCGs[4 0 R]/D<<>>>>", "", "<</Type/OCG/Name(a)>>"), "livelli"},
		"encrypted":               {"a.pdf", pdfWith("", "/Encrypt<</Filter/Standard>>"), "password"},
		"external content":        {"a.pdf", pdfWith("/OpenAction<</S/Launch/F(calc.exe)>>", ""), "fuori dal documento"},
		"macro document":          {"a.docm", []byte("PK\x03\x04word/vbaProject.bin"), "tipo di file"},
		"macro document as PDF":   {"a.pdf", []byte("PK\x03\x04word/vbaProject.bin"), "tipo di file"},
		"zip bomb":                {"a.zip", zipBomb(t), "tipo di file"},
		"picture bomb":            {"a.png", pngOf(60000, 60000), "troppi punti"},
		"program as a picture":    {"foto.jpg", []byte("MZ\x90\x00"), "tipo di file"},
		"page as a PDF":           {"a.pdf", []byte("<html><script>alert(1)</script>"), "tipo di file"},
		"nothing":                 {"a.pdf", nil, "vuoto"},
		"cut":                     {"a.pdf", good[:len(good)-40], "danneggiato"},
		"huge":                    {"a.pdf", append(bytes.Clone(good), make([]byte, 2<<20)...), "troppo grande: al massimo 1 MB"},
		"a byte over the limit":   {"a.pdf", append(bytes.Clone(good), make([]byte, 1<<20-len(good)+1)...), "troppo grande"},
		"envelope that is none":   {"a.p7m", []byte("0\x82\x01\x00\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"), "danneggiato"},
		"script behind a picture": {"foto.png", append(pngOf(5, 5)[:40], "<script>"...), "danneggiata"},
	} {
		t.Run(name, func(t *testing.T) {
			a := v.uploads(at+"/allegati", "custody", x.file, x.data)
			if a.code != http.StatusUnprocessableEntity || !strings.Contains(a.body, x.want) {
				t.Errorf("%d %s", a.code, regexp.MustCompile(`(?s)<ul>.*?</ul>`).FindString(a.body))
			}
			has(t, a, `id="wrong"`, `href="#f-custody"`)
			if files, err := d.Applications.Files(t.Context(), d.app(at)); err != nil || len(files) > 0 {
				t.Error(files, err)
			}
		})
	}
	if left, err := os.ReadDir(d.Applications.Limits.Dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	// The name tells nothing: a picture that is called PDF is a picture.
	if a := v.uploads(at+"/allegati", "custody", "../../<b>foto.pdf", pngOf(5, 5)); a.code != http.StatusSeeOther {
		t.Fatalf("%d", a.code)
	}
	a := v.get(at + "/allegati")
	if strings.Contains(a.body, "<b>foto") || strings.Contains(a.body, "../") {
		t.Error("the name is not tidied")
	}
	files, err := d.Applications.Files(t.Context(), d.app(at))
	if err != nil || len(files) != 1 || files[0].Kind != attachment.PNG {
		t.Fatal(files, err)
	}
	// Without the token nothing of the file is read; who is not the owner uploads nothing.
	w := d.citizen(2)
	if a := w.uploads(at+"/allegati", "custody", "a.pdf", good); a.code != http.StatusNotFound {
		t.Errorf("another's: %d", a.code)
	}
	if a := w.sendValues(at+"/allegati/"+files[0].ID+"/togli", nil); a.code != http.StatusNotFound {
		t.Errorf("another takes it away: %d", a.code)
	}
	mine := w.filled(nil, pairs("relation", "guardian"))
	if a := w.sendValues(mine+"/allegati/"+files[0].ID+"/togli", nil); a.code != http.StatusNotFound {
		t.Errorf("by the own draft: %d", a.code)
	}
	if a := v.sendValues(at+"/allegati/"+files[0].ID+"/togli", nil); a.to != at+"/allegati" {
		t.Errorf("%d %s", a.code, a.to)
	}
	// A required one is asked for before the end.
	has(t, v.get(at+"/riepilogo"), `id="gaps"`, "manca il file")
	if a := v.sendValues(at+"/riepilogo", pairs("warned", "yes", "privacy", "yes", "version", "1")); a.code != http.StatusUnprocessableEntity {
		t.Error(a.code)
	}
}

// scanner says what a test wants.
type scanner func() (attachment.Verdict, error)

func (s scanner) Scan(context.Context, io.Reader, int64) (attachment.Verdict, error) { return s() }

func TestScannerIsShown(t *testing.T) {
	d := newDesk(t)
	v := d.citizen(1)
	at := v.filled(nil, pairs("relation", "guardian"))
	d.Applications.Scanner = scanner(func() (attachment.Verdict, error) { return attachment.Verdict{}, io.ErrUnexpectedEOF })
	if a := v.uploads(at+"/allegati", "custody", "a.pdf", pdfWith("", "")); a.code != http.StatusSeeOther {
		t.Fatalf("%d", a.code)
	}
	has(t, v.get(at+"/allegati"), "in attesa del controllo antivirus")
	d.Applications.Scanner = scanner(func() (attachment.Verdict, error) { return attachment.Verdict{Threat: "Eicar"}, nil })
	a := v.uploads(at+"/allegati", "custody", "b.pdf", pdfWith("", ""))
	if a.code != http.StatusUnprocessableEntity {
		t.Fatalf("%d", a.code)
	}
	has(t, a, "antivirus ha trovato", "non accettato")
}

// What is known is not asked again (C.SE.1.5).
func TestPrefilled(t *testing.T) {
	d := newDesk(t)
	d.media(1)
	v := d.citizen(1)
	at := v.begin(nursery, nurserySteps()[0])
	has(t, v.get(at+"/passo/2"), `value="`+town.FormOf(1).Email+`"`)
}
