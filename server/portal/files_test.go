package portal_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"image"
	"image/png"
	"io"
	"log/slog"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
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
	"github.com/citel-pa/citel/server/rooms"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/submission"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/town"
)

// ofSent are the addresses of an application that was sent, and who gets there.
var ofSent = func() map[string]row {
	owner := row{window, window, window, opens, gone, gone}
	return map[string]row{
		"GET /pratiche/{id}": owner, "POST /pratiche/{id}/risposta": owner, "POST /pratiche/{id}/risposta/togli": owner,
		"GET /pratiche/{id}/ritira": owner, "POST /pratiche/{id}/ritira": owner, "POST /pratiche/{id}/valuta": owner,
		"GET /pratiche/{id}/documento.pdf": owner, "GET /pratiche/{id}/ricevuta.pdf": owner, "GET /pratiche/{id}/rapporto.json": owner, "GET /pratiche/{id}/firmato/{n}": owner,
		"GET /pratiche/{id}/risposta.pdf":  {window, window, window, gone, gone, gone},                                                                                    // not answered yet
		"GET /pratiche/{id}/preavviso.pdf": {window, window, window, gone, gone, gone}, "GET /pratiche/{id}/osservazioni/{n}": {window, window, window, gone, gone, gone}, // no notice
		"GET /pratiche/{id}/prove/{n}": owner, "GET /pratiche/{id}/fascicolo.zip": owner, "GET /pratiche/{id}/file/{file}": owner,
	}
}()

func init() { //nolint:gochecknoinits // the table of a part stands beside its tests
	maps.Copy(access, ofSent)
	maps.Copy(access, map[string]row{
		"GET /pratiche": {window, opens, opens, opens, opens, opens}, "GET /area/messaggi": {window, opens, opens, opens, opens, opens}, "GET /area/accessi": {window, opens, opens, opens, opens, opens},
		"GET /sigillo.pem": same(opens), "GET /verifica-ricevuta": same(opens),
	})
}

// verifying lets the desk of applications verify signatures of test cards.
func (d *desk) verifying() *submission.Desk {
	d.t.Helper()
	p := pki.Shared(d.t)
	anchors := trust.NewStore(trust.AllowTest())
	_, err := anchors.AddPEM(p.AnchorsPEM(pki.CNS), "cns", profile.CNS)
	if err == nil {
		var list []byte
		if list, err = p.CRL(p.CNS); err == nil {
			err = anchors.AddCRL(list, "cns")
		}
	}
	if err != nil {
		d.t.Fatal(err)
	}
	a := d.Applications
	a.Trust, a.Revocation, a.Policy, a.Log = anchors, &trust.Revocation{Store: anchors}, validation.Strict(), slog.New(slog.DiscardHandler)
	return a
}

// at is the visitor with the card of an invented person, as the rooms know it.
func (d *desk) at(n int) submission.Visitor {
	d.t.Helper()
	f := town.FormOf(n)
	return submission.Visitor{Ente: "prova", Level: session.Forte, Profile: "cns", Person: d.account(person.Natural, f.Code, f.Given, f.Family), Email: f.Email, Address: "192.0.2.1:1"}
}

func (d *desk) account(kind person.Kind, code, given, family string) *person.Person {
	d.t.Helper()
	var p *person.Person
	err := d.Store.Tx(context.Background(), func(tx *sql.Tx) (err error) {
		p, err = person.EnsureAccount(context.Background(), tx, kind, code, given, family, d.Today())
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return p
}

var enrolment = map[string]string{
	"child-given": "Bimba", "child-family": "Esempio", "child-born": "2025-05-01", "relation": "parent", "email": "genitore@example.org", "other": "none", "first": "girasole",
	"time": "full", "vaccination": "done", "diet": "medical",
}

func with(m map[string]string, pairs ...string) map[string]string {
	out := maps.Clone(m)
	for i := 0; i+1 < len(pairs); i += 2 {
		out[pairs[i]] = pairs[i+1]
	}
	return out
}

func picture(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 8, 8))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// made is an application whose document waits for its signature; attached is a file's name.
func (d *desk) made(v submission.Visitor, service string, values map[string]string, slot, attached string) *submission.Application {
	d.t.Helper()
	ctx, x := context.Background(), d.Applications
	a, err := x.Start(ctx, v, service)
	if err != nil {
		d.t.Fatal(err)
	}
	if errs, err := x.Save(ctx, v, a.ID, func(id string) string { return values[id] }, true); err != nil || len(errs) > 0 {
		d.t.Fatal(errs, err)
	}
	if attached != "" {
		p := picture(d.t)
		if _, err := x.Attach(ctx, v, a.ID, slot, attached, bytes.NewReader(p), int64(len(p))); err != nil {
			d.t.Fatal(err)
		}
	}
	if a, err = x.Make(ctx, v, a.ID, true, a.Service.Privacy.Version); err != nil {
		d.t.Fatal(err)
	}
	return a
}

func (d *desk) signs(v submission.Visitor, a *submission.Application, n int) {
	d.t.Helper()
	ctx := context.Background()
	f, err := d.Applications.Document(ctx, a)
	if err != nil {
		d.t.Fatal(err)
	}
	content, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		d.t.Fatal(err)
	}
	id := pki.Shared(d.t).MustIssue(d.t, pki.CNS, pki.P256, pki.Invented(n))
	var signed bytes.Buffer
	err = cades.Sign(ctx, cades.SignOptions{Certificate: id.Cert, SigningTime: d.Today(), Sign: func(_ context.Context, sum []byte, o crypto.SignerOpts) ([]byte, error) {
		return id.Key.Sign(rand.Reader, sum, o)
	}}, bytes.NewReader(content), int64(len(content)), &signed)
	if err == nil {
		_, err = d.Applications.Sign(ctx, v, a.ID, &signed, message.Italian)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) sends(v submission.Visitor, a *submission.Application) *submission.Application {
	d.t.Helper()
	a, err := d.Applications.Send(context.Background(), v, a.ID)
	if err != nil {
		d.t.Fatal(err)
	}
	return a
}

// enrolled is a signed application of an invented person, sent, with an attachment.
func (d *desk) enrolled(n int) *submission.Application {
	d.t.Helper()
	if d.Applications.Trust == nil {
		d.verifying()
	}
	v := d.at(n)
	a := d.made(v, "iscrizione-nido", with(enrolment, "child-cf", pki.Child(1).CF), "diet", "certificato.png")
	d.signs(v, a, n)
	return d.sends(v, a)
}

// wrote is a message to the municipality.
func (d *desk) wrote(v submission.Visitor) *submission.Application {
	d.t.Helper()
	return d.sends(v, d.made(v, "instradamento", map[string]string{"topic": "waste", "subject": "Cassonetto", "text": "È rotto.", "email": "scrive@example.org"}, "", ""))
}

// replies posts a form with files; pairs are names and values, "file:NAME" a file.
func (v *visitor) replies(page, path string, files map[string][]byte, pairs ...string) answer {
	v.d.t.Helper()
	return v.multipart(path, v.csrf(page), files, pairs...)
}

func (v *visitor) multipart(path, csrf string, files map[string][]byte, pairs ...string) answer {
	v.d.t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	_ = w.WriteField("csrf", csrf)
	for i := 0; i+1 < len(pairs); i += 2 {
		_ = w.WriteField(pairs[i], pairs[i+1])
	}
	for name, content := range files {
		h := textproto.MIMEHeader{"Content-Disposition": {mime.FormatMediaType("form-data", map[string]string{"name": "file", "filename": name})}, "Content-Type": {"application/octet-stream"}}
		part, err := w.CreatePart(h)
		if err == nil {
			_, err = part.Write(content)
		}
		if err != nil {
			v.d.t.Fatal(err)
		}
	}
	_ = w.Close()
	r := httptest.NewRequest(http.MethodPost, path, &b)
	r.Header.Set("Content-Type", w.FormDataContentType())
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return v.send(r)
}

func lacks(t *testing.T, a answer, not ...string) {
	t.Helper()
	for _, w := range not {
		if strings.Contains(a.body, w) {
			t.Errorf("%q is on the page", w)
		}
	}
}

// The loop: sent, taken in charge, asked for more, answered with a file, answered, closed;
// the citizen's page shows each stage and each word, once it was read and after a restart.
func TestFileFromReceiptToAnswer(t *testing.T) {
	d := newDesk(t)
	a := d.enrolled(1)
	school, ctx := d.Operator("prova", 5, "R20"), t.Context()
	v := d.visitor()
	v.card(1)
	at := "/pratiche/" + a.ID
	page := v.get(at)
	has(t, page, "Iscrizione al nido comunale", a.Protocol(), a.ID, `aria-current="step"`, "<strong>Inviata</strong>", "Presa in carico", "Istruzione", "Responsabile del servizio Istruzione", "genitore@example.org",
		"(60 giorni dalla presentazione)", "il silenzio non equivale", "TAR", "lett. a)", "lett. b)", "TOTAL-PASSED", "certificato.png", "Modulo: versione 1", "Informativa sui dati: versione 2", "Bimba",
		at+"/ricevuta.pdf", at+"/fascicolo.zip", at+"/firmato/1", at+"/prove/1", a.Fingerprint(), `data-element="feedback-rate-5"`, `data-element="feedback-title"`, `data-element="feedback-input-text"`)
	day := a.Sent.In(register.Rome()).AddDate(0, 0, 60).Format("02/01/2006")
	has(t, page, day)
	lacks(t, page, `type="file"`)
	has(t, v.get("/pratiche"), at, `id="in-corso"`)

	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		d.Move(time.Minute)
	}
	do(d.Applications.Take(ctx, school, a.ID))
	has(t, v.get(at), "sta lavorando alla pratica", `<li class="stage stage-now" aria-current="step"><strong>Presa in carico</strong>`)
	do(d.Applications.Reroute(ctx, school, a.ID, "Demografici", "parola tra uffici"))
	lacks(t, v.get(at), "parola tra uffici")
	do(d.Applications.More(ctx, school, a.ID, "Manca l'ISEE:\nallegalo."))
	area := v.get("/area")
	has(t, area, "Da leggere", "Iscrizione al nido comunale: richiesta di integrazione", at+"#messaggi")
	page = v.get(at)
	has(t, page, "Manca l&#39;ISEE:\nallegalo.", `type="file"`, "Sospeso dal", `href="#rispondi"`)
	lacks(t, v.get("/area"), "Da leggere")

	// Files first, one of them refused: what was written stays, and what was taken too.
	if x := v.replies(at, at+"/risposta", map[string][]byte{"virus.exe": []byte("MZ nothing")}, "words", "Ecco l'ISEE", "do", "send"); x.code != http.StatusUnprocessableEntity || !strings.Contains(x.body, "Ecco l&#39;ISEE</textarea>") || !strings.Contains(x.body, "virus.exe: ") {
		t.Fatalf("%d %s", x.code, x.to)
	}
	if x := v.replies(at, at+"/risposta", map[string][]byte{"isee.png": picture(t), "altro.png": picture(t)}, "words", "Ecco l'ISEE", "do", "attach"); x.code != http.StatusOK || !strings.Contains(x.body, "Ecco l&#39;ISEE</textarea>") {
		t.Fatalf("%d %s", x.code, x.to)
	}
	page = v.get(at)
	has(t, page, "isee.png", "altro.png")
	m := regexp.MustCompile(`name="file" value="([a-z0-9]+)">Togli<span class="visually-hidden"> altro.png`).FindStringSubmatch(page.body)
	if m == nil {
		t.Fatal("altro.png cannot be removed")
	}
	if x := v.post(at+"#", "file", m[1]); x.code != http.StatusMethodNotAllowed && x.code != http.StatusNotFound {
		t.Errorf("a form at the page itself: %d", x.code)
	}
	if x := v.send(form(at+"/risposta/togli", map[string][]string{"csrf": {v.csrf(at)}, "file": {m[1]}})); x.to != at+"#rispondi" {
		t.Fatalf("%d %s", x.code, x.to)
	}
	lacks(t, v.get(at), "altro.png")
	if x := v.replies(at, at+"/risposta", nil, "words", "  ", "do", "send"); x.code != http.StatusUnprocessableEntity {
		t.Errorf("an empty answer: %d", x.code)
	}
	d.Move(time.Second)
	if x := v.replies(at, at+"/risposta", nil, "words", "Ecco l'ISEE", "do", "send"); x.to != at+"?fatto=risposta#messaggi" {
		t.Fatalf("%d %s", x.code, x.to)
	}
	page = v.get(at + "?fatto=risposta")
	has(t, page, "La tua risposta è arrivata", "<strong>Tu</strong>", "isee.png</a>")
	lacks(t, page, "Sospeso dal", `type="file"`)
	seen, err := d.Applications.Open(ctx, school, a.ID)
	do(err)
	if seen.State != submission.StateInCharge {
		t.Errorf("the desk sees %s", seen.State)
	}
	do(d.Applications.Answer(ctx, school, a.ID, "La domanda è accolta."))
	has(t, v.get("/area/messaggi"), "Iscrizione al nido comunale: risposta", "Da leggere")
	page = v.get(at)
	has(t, page, "La domanda è accolta.", "ha risposto", at+"/risposta.pdf", "protocollo in uscita")
	if x := v.get(at + "/risposta.pdf"); x.code != http.StatusOK || !strings.HasPrefix(x.body, "%PDF") {
		t.Errorf("the sealed answer: %d", x.code)
	}
	if x := d.citizen(7).get(at + "/risposta.pdf"); x.code != http.StatusNotFound {
		t.Errorf("a stranger's answer: %d", x.code)
	}
	lacks(t, page, at+"/ritira")
	do(d.Applications.Close(ctx, school, a.ID, ""))

	// A second server on the same store.
	again := d.restarted()
	w := again.visitor()
	w.cookies = v.cookies
	page = w.get(at)
	has(t, page, "La pratica è conclusa", "La domanda è accolta.", "Ecco l&#39;ISEE", "isee.png</a>", a.Protocol(), "<strong>Conclusa</strong>")
	if i, j, k := strings.Index(page.body, "Manca l&#39;ISEE"), strings.Index(page.body, "Ecco l&#39;ISEE"), strings.Index(page.body, "La domanda è accolta"); i < 0 || i > j || j > k {
		t.Error("the messages are not in their order", i, j, k)
	}
	has(t, w.get("/pratiche"), `id="concluse"`)
	first, second := v.get(at+"/ricevuta.pdf"), w.get(at+"/ricevuta.pdf")
	if first.body != second.body || !strings.HasPrefix(first.body, "%PDF-") {
		t.Error("the receipt is another after the restart")
	}
}

// restarted is another server on the same store and keys.
func (d *desk) restarted() *desk {
	d.t.Helper()
	out := *d
	place := *d.Town
	place.Rooms = rooms.New(rooms.Options{Store: d.Store, Keys: d.Keys, Origin: origin, Demo: true, Log: slog.New(slog.DiscardHandler), Now: d.Today})
	out.Town = &place
	p := *d.portal
	p.Rooms, p.Now = out.Rooms, out.Today
	citizens := *out.Citizens
	citizens.Ente = "prova"
	p.Sessions = &citizens
	out.portal = &p
	out.verifying()
	h, err := p.Handler()
	if err != nil {
		d.t.Fatal(err)
	}
	out.handler = h
	return &out
}

func TestWithdrawIsAskedTwice(t *testing.T) {
	d := newDesk(t)
	a := d.enrolled(1)
	v := d.visitor()
	v.card(1)
	at := "/pratiche/" + a.ID
	has(t, v.get(at+"/ritira"), "Ritirare la pratica?", a.Protocol())
	if x := v.post(at+"/ritira", "words", "Ho cambiato idea"); x.code != http.StatusUnprocessableEntity || !strings.Contains(x.body, "Ho cambiato idea") {
		t.Errorf("without the box: %d", x.code)
	}
	if x := v.post(at+"/ritira", "words", "Ho cambiato idea", "sure", "yes"); x.to != at+"?fatto=ritirata" {
		t.Fatalf("%d %s", x.code, x.to)
	}
	page := v.get(at)
	has(t, page, "Resta leggibile", "Ho cambiato idea", a.Protocol(), "Ritirata")
	lacks(t, page, at+"/ritira", `id="rispondi"`)
	if x := v.get(at + "/ritira"); x.to != at {
		t.Errorf("%d %s", x.code, x.to)
	}
}

func TestRatedOnceWithoutTheName(t *testing.T) {
	d := newDesk(t)
	a := d.enrolled(1)
	v := d.visitor()
	v.card(1)
	at := "/pratiche/" + a.ID
	token := v.csrf(at)
	rate := func(pairs ...string) answer {
		x := map[string][]string{"csrf": {token}}
		for i := 0; i+1 < len(pairs); i += 2 {
			x[pairs[i]] = []string{pairs[i+1]}
		}
		return v.send(form(at+"/valuta", x))
	}
	if x := rate("stars", "7"); x.code != http.StatusUnprocessableEntity {
		t.Error(x.code)
	}
	for range 2 {
		if x := rate("stars", "2", "negative", "unclear", "positive", "clear", "text", "Lungo"); x.code != http.StatusSeeOther {
			t.Error(x.code)
		}
	}
	page := v.get(at)
	has(t, page, "Grazie, la tua valutazione")
	lacks(t, page, "feedback-rate-1")
	all, err := d.Ratings.Counts(t.Context(), d.Operator("prova", 7, "R12"))
	if err != nil || len(all) != 1 || all[0].N() != 1 || all[0].Stars[1] != 1 || all[0].Aspects["unclear"] != 1 {
		t.Errorf("%+v %v", all, err)
	}
	var row string
	if err := d.Store.QueryRowContext(t.Context(), "SELECT id || ente || service || month || aspect || content FROM rating").Scan(&row); err != nil || strings.Contains(row, a.ID) || strings.Contains(row, town.FormOf(1).Code) {
		t.Error(row, err)
	}
}

// What a citizen sees is the own alone: not another's, not another ente's, not above the
// level, not by a mandate that has ended; who only signs too sees the document alone.
func TestFilesAreTheVisitorsAlone(t *testing.T) {
	d := newDesk(t)
	a := d.enrolled(1)
	ctx := t.Context()
	at := "/pratiche/" + a.ID
	stranger := d.visitor()
	stranger.card(2)
	lacks(t, stranger.get("/pratiche"), a.ID)
	lacks(t, stranger.get("/area"), a.ID)

	// Another ente's list and address.
	v := d.visitor()
	v.card(1)
	lacks(t, v.get("/enti/altro/pratiche"), a.ID)
	if x := v.get("/enti/altro" + at); x.code != http.StatusNotFound {
		t.Errorf("another ente: %d", x.code)
	}

	// Below the level: counted, not named; the window and back.
	m, _ := d.media(1)
	list := m.get("/pratiche")
	lacks(t, list, a.ID, "Iscrizione")
	has(t, list, `id="closed"`, "serve=forte")
	if x := m.get(at); verdict(x) != window || !strings.Contains(x.to, "poi=%2Fpratiche%2F"+a.ID) || !strings.Contains(x.to, "serve=forte") {
		t.Errorf("%d %s", x.code, x.to)
	}

	// A mail's link, read by nobody in particular.
	if x := d.visitor().get(at); verdict(x) != window || !strings.Contains(x.to, "poi=%2Fpratiche%2F"+a.ID) || !strings.Contains(x.to, "serve=forte") {
		t.Errorf("%d %s", x.code, x.to)
	}
	if x := d.visitor().get("/pratiche/" + strings.Repeat("a", 32)); verdict(x) != window {
		t.Errorf("what there is none of looks different: %d", x.code)
	}

	// For a child, by a mandate; then the mandate ends.
	desk := d.Operator("prova", 60, "R8")
	child := d.account(person.Natural, pki.Child(3).CF, "Bimbo", "Esempio")
	agent := d.at(4)
	given, err := d.Mandates.Grant(ctx, desk, mandate.Mandate{Kind: mandate.Minor, Principal: child.ID, Agent: agent.Person.ID, Title: "Genitore", Since: d.Today().Format(time.DateOnly), Proof: "Estratto di nascita"})
	if err != nil {
		t.Fatal(err)
	}
	agent.Mandate = given.ID
	b := d.made(agent, "iscrizione-nido", with(enrolment, "child-cf", pki.Child(3).CF), "diet", "certificato.png")
	d.signs(agent, b, 4)
	b = d.sends(agent, b)
	p := d.visitor()
	p.card(4)
	has(t, p.get("/pratiche"), b.ID, "per Bimbo Esempio")
	has(t, p.get("/pratiche/"+b.ID), "Bimbo Esempio", "Agisce per il richiedente", "(Genitore)")
	if err := d.Mandates.Revoke(ctx, "prova", given.ID, mandate.By{Person: agent.Person.ID, Level: session.Forte}, "fine"); err != nil {
		t.Fatal(err)
	}
	lacks(t, p.get("/pratiche"), b.ID)
	for _, path := range []string{"", "/ricevuta.pdf", "/fascicolo.zip", "/documento.pdf"} {
		if x := p.get("/pratiche/" + b.ID + path); x.code != http.StatusNotFound {
			t.Errorf("%s after the mandate's end: %d", path, x.code)
		}
	}

	// The other parent signs too: the document, and nothing else.
	first := d.at(1)
	c := d.made(first, "iscrizione-nido", with(enrolment, "child-cf", pki.Child(1).CF, "other", "consents", "other-cf", pki.Invented(5).CF, "other-signs", "yes"), "diet", "segreto.png")
	files, err := d.Applications.Files(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	o := d.visitor()
	o.card(5)
	has(t, o.get("/pratiche"), c.ID, `id="da-firmare"`)
	if x := o.get("/pratiche/" + c.ID); x.to != "/pratiche/"+c.ID+"/firma" {
		t.Errorf("%d %s", x.code, x.to)
	}
	if x := o.get("/pratiche/" + c.ID + "/documento.pdf"); x.code != http.StatusOK {
		t.Errorf("what is to be signed cannot be read: %d", x.code)
	}
	for _, path := range []string{"/file/" + files[0].ID, "/ricevuta.pdf", "/fascicolo.zip", "/rapporto.json", "/ritira"} {
		if x := o.get("/pratiche/" + c.ID + path); x.code != http.StatusNotFound {
			t.Errorf("%s: %d", path, x.code)
		}
	}
	d.signs(first, c, 1)
	d.signs(d.at(5), c, 5)
	d.sends(first, c)
	lacks(t, o.get("/pratiche"), c.ID)
	if x := o.get("/pratiche/" + c.ID); x.code != http.StatusNotFound {
		t.Errorf("after it was sent: %d", x.code)
	}
}

// A delegation opens what was made with it; the person's own stays the person's.
func TestDelegateSeesWhatWasDelegated(t *testing.T) {
	d := newDesk(t)
	d.verifying()
	owner, agent := d.at(1), d.at(2)
	own := d.wrote(owner)
	given, err := d.Mandates.Grant(t.Context(), d.Operator("prova", 60, "R8"), mandate.Mandate{Kind: mandate.Delegate, Principal: owner.Person.ID, Agent: agent.Person.ID, Title: "Delegata", Since: d.Today().Format(time.DateOnly), Proof: "Delega"})
	if err != nil {
		t.Fatal(err)
	}
	agent.Mandate = given.ID
	made := d.wrote(agent)
	all, err := d.Applications.List(t.Context(), agent)
	if err != nil || len(all) != 1 || all[0].ID != made.ID {
		t.Errorf("%v %v", all, err)
	}
	if _, err := d.Applications.Get(t.Context(), agent, own.ID); !errors.Is(err, submission.ErrNotFound) {
		t.Error("a delegate reads the owner's own", err)
	}
	v := d.visitor()
	v.card(1)
	has(t, v.get("/pratiche"), made.ID, own.ID)
	has(t, v.get("/area"), "agisce per te (Delegata)")
}

// A message of a debole credential: seen with it, and by the person that it joined.
func TestFileOfADebole(t *testing.T) {
	d := newDesk(t)
	d.verifying()
	v := d.debole("zoe@example.org", "")
	s := v.session()
	a := d.wrote(submission.Visitor{Ente: "prova", Level: session.Debole, Credential: s.Credential, Email: "zoe@example.org"})
	at := "/pratiche/" + a.ID
	has(t, v.get(at), "non provato", "Scrivi al Comune", a.Protocol(), `id="rispondi"`)
	has(t, v.get("/pratiche"), a.ID)
	other := d.debole("altra@example.org", "")
	if x := other.get(at); x.code != http.StatusNotFound {
		t.Errorf("another debole: %d", x.code)
	}
	if x := v.replies(at, at+"/risposta", nil, "words", "Ancora rotto", "do", "send"); x.code != http.StatusSeeOther {
		t.Fatalf("%d", x.code)
	}
	p := d.visitor()
	who := p.card(1)
	if x := p.get(at); x.code != http.StatusNotFound {
		t.Errorf("before it joined: %d", x.code)
	}
	if _, err := d.Store.ExecContext(t.Context(), "UPDATE credential SET person = ?, joined = '2026-01-01T00:00:00.000Z' WHERE id = ?", who.ID, s.Credential); err != nil {
		t.Fatal(err)
	}
	has(t, p.get(at), "Ancora rotto")
	has(t, p.get("/pratiche"), a.ID)
}

// Names that a stranger chose are harmless where they are shown and where they are sent.
func TestHostileNamesOfAttachments(t *testing.T) {
	d := newDesk(t)
	d.verifying()
	v := d.visitor()
	v.card(1)
	for name, want := range map[string]string{
		"../../etc/passwd":              "passwd.png",
		`C:\Windows\system32\calc.exe`:  "calc.exe.png",
		"a\r\nSet-Cookie: x=1.png":      "a__Set-Cookie_ x_1.png",
		"fattura\u202egnp.exe":          "fattura_gnp.exe.png",
		`"; filename="evil.html`:        "__ filename__evil.html.png",
		"<script>alert(1)</script>.png": "script_.png",
		"perché è così.png":             "perché è così.png",
	} {
		at := d.at(1)
		a, err := d.Applications.Start(t.Context(), at, "instradamento")
		if err != nil {
			t.Fatal(err)
		}
		p := picture(t)
		f, err := d.Applications.Attach(t.Context(), at, a.ID, "file", name, bytes.NewReader(p), int64(len(p)))
		if err != nil {
			t.Fatal(err)
		}
		x := v.get("/pratiche/" + a.ID + "/file/" + f.ID)
		kind, params, err := mime.ParseMediaType(x.header.Get("Content-Disposition"))
		if err != nil || x.code != http.StatusOK || kind != "attachment" || params["filename"] != want {
			t.Errorf("%q: %d %q (%v), want %q", name, x.code, params["filename"], err, want)
		}
		if x.header.Get("Content-Security-Policy") != "default-src 'none'; sandbox" || x.header.Get("X-Content-Type-Options") != "nosniff" || x.header.Get("Content-Type") != "image/png" {
			t.Errorf("%q: %v", name, x.header)
		}
	}
}

// slow has no verdict, then one.
type slow struct{ verdict *attachment.Verdict }

func (s *slow) Scan(context.Context, io.Reader, int64) (attachment.Verdict, error) {
	if s.verdict == nil {
		return attachment.Verdict{}, errors.New("down")
	}
	return *s.verdict, nil
}

func TestAttachmentsWaitForTheScanner(t *testing.T) {
	d := newDesk(t)
	d.verifying()
	s := &slow{}
	d.Applications.Scanner = s
	a := d.enrolled(1)
	v := d.visitor()
	v.card(1)
	files, err := d.Applications.Files(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	at := "/pratiche/" + a.ID
	page := v.get(at)
	has(t, page, "controllo antivirus in corso")
	lacks(t, page, at+"/file/")
	if x := v.get(at + "/file/" + files[0].ID); x.code != http.StatusConflict || !strings.Contains(x.body, "antivirus") {
		t.Errorf("%d", x.code)
	}
	s.verdict = &attachment.Verdict{Clean: true}
	if err := d.Applications.ScanWaiting(t.Context()); err != nil {
		t.Fatal(err)
	}
	has(t, v.get(at), at+"/file/"+files[0].ID)
	if x := v.get(at + "/file/" + strings.Repeat("a", 32)); x.code != http.StatusNotFound {
		t.Errorf("another file: %d", x.code)
	}
}

// outsideSystem is a protocol system that is down, then up.
type outsideSystem struct{ number string }

func (o *outsideSystem) Register(context.Context, string, register.Entry, io.Reader) (string, error) {
	if o.number == "" {
		return "", errors.New("down")
	}
	return o.number, nil
}

func TestReceiptBeforeTheOutsideNumber(t *testing.T) {
	d := newDesk(t)
	d.verifying()
	o := &outsideSystem{}
	d.Applications.Outside = map[string]submission.Outside{"prova": o}
	a := d.enrolled(1)
	v := d.visitor()
	v.card(1)
	at := "/pratiche/" + a.ID
	has(t, v.get(at), "segue: il numero di protocollo", a.ID, a.Fingerprint(), a.Sent.In(register.Rome()).Format("02/01/2006 15:04:05"))
	if x := v.get(at + "/ricevuta.pdf"); x.code != http.StatusOK || !strings.Contains(x.header.Get("Content-Disposition"), a.ID[:12]) {
		t.Errorf("%d %v", x.code, x.header)
	}
	_ = d.Applications.Follow(t.Context())
	o.number = "2026/E/4711"
	if err := d.Applications.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	has(t, v.get(at), "2026/E/4711")
}

func run(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Fatalf("%v (`make deps` installs it)", err)
	}
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	return string(out), err
}

// The receipt as it comes through the page: pdfsig, qpdf and its structure, and the
// citizen's own program with the certificate of the page; a changed one fails.
func TestReceiptVerifiesWithWhatThePagesGive(t *testing.T) {
	dir := t.TempDir()
	agent := filepath.Join(dir, "citel-agent")
	if out, err := run(t, "go", "build", "-o", agent, "github.com/citel-pa/citel/agent/cmd/citel-agent"); err != nil {
		t.Fatal(err, out)
	}
	d := newDesk(t)
	a := d.enrolled(1)
	v := d.visitor()
	v.card(1)
	save := func(name, path string) string {
		t.Helper()
		x := v.get(path)
		if x.code != http.StatusOK {
			t.Fatalf("%s: %d", path, x.code)
		}
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(x.body), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	receipt, certificate := save("ricevuta.pdf", "/pratiche/"+a.ID+"/ricevuta.pdf"), save("sigillo-prova.pem", "/sigillo.pem")
	out, err := run(t, agent, "verify", "--offline", "--trust", certificate, receipt)
	if err != nil || !strings.Contains(out, "VALIDA") || !strings.Contains(out, "Sigillo Comune di Prova") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := run(t, "pdfsig", "-nocert", receipt); err != nil || !strings.Contains(out, "Signature is Valid") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := run(t, "qpdf", "--check", receipt); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = run(t, "pdfinfo", "-struct-text", receipt)
	flat := strings.Join(strings.Fields(strings.ReplaceAll(out, `"`, " ")), " ")
	for _, want := range []string{"H1", a.Protocol(), a.ID, "L. 241/1990, art. 18-bis", "Ufficio competente", "Istruzione", "Responsabile del procedimento", "Termine per la risposta", "Rimedi", "Dove seguire la pratica", "lett. a)"} {
		if !strings.Contains(flat, want) {
			t.Errorf("%v: the structure lacks %q", err, want)
		}
	}
	// The fingerprint of the page is that of the certificate.
	out, err = run(t, "openssl", "x509", "-in", certificate, "-noout", "-fingerprint", "-sha256")
	_, sum, _ := strings.Cut(strings.TrimSpace(out), "=")
	if err != nil || sum == "" {
		t.Fatal(err, out)
	}
	has(t, d.visitor().get("/verifica-ricevuta"), sum, "citel-agent verify --trust sigillo-prova.pem ricevuta.pdf", "/sigillo.pem")
	data, err := os.ReadFile(receipt)
	if err != nil {
		t.Fatal(err)
	}
	changed := filepath.Join(dir, "changed.pdf")
	if err := os.WriteFile(changed, bytes.Replace(data, []byte("/Lang"), []byte("/Lamg"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := run(t, agent, "verify", "--offline", "--trust", certificate, changed); err == nil {
		t.Errorf("a changed receipt passes\n%s", out)
	}
	// What the verdict on the signature rests on, judged again by the same program.
	evidence := save("prove.zip", "/pratiche/"+a.ID+"/prove/1")
	if out, err := run(t, agent, "verify", "--json", evidence); err != nil || !strings.Contains(out, "TOTAL-PASSED") {
		t.Errorf("%v\n%s", err, out)
	}
}

// An old seal's certificate stays on the pages, and an ente that has left keeps its own.
func TestSealsOfThePastStay(t *testing.T) {
	d := newDesk(t)
	a := d.enrolled(1)
	v := d.visitor()
	v.card(1)
	v.get("/pratiche/" + a.ID + "/ricevuta.pdf")
	before := v.get("/sigillo.pem").body
	if err := d.Keys.Rotate(d.Today()); err != nil {
		t.Fatal(err)
	}
	now := v.get("/sigillo.pem").body
	if now == before || !strings.Contains(now, strings.TrimSpace(before)) || strings.Count(now, "BEGIN CERTIFICATE") != 2 {
		t.Error("the old certificate is gone")
	}
	has(t, v.get("/verifica-ricevuta"), "in uso", "usato in passato")
	if x := v.get("/enti/altro/sigillo.pem"); x.code != http.StatusOK {
		t.Error(x.code)
	}
	if _, err := d.Store.ExecContext(t.Context(), "UPDATE ente SET active = 0 WHERE code = 'altro'"); err != nil {
		t.Fatal(err)
	}
	if x := v.get("/enti/altro/sigillo.pem"); x.code != http.StatusOK || strings.Count(x.body, "BEGIN CERTIFICATE") != 1 {
		t.Errorf("%d", x.code)
	}
}

func TestEverythingOfAFile(t *testing.T) {
	d := newDesk(t)
	a := d.enrolled(1)
	v := d.visitor()
	v.card(1)
	at := "/pratiche/" + a.ID
	school := d.Operator("prova", 5, "R20")
	if err := errors.Join(d.Applications.Reroute(t.Context(), school, a.ID, "Demografici", "parola tra uffici"), d.Applications.Write(t.Context(), school, a.ID, "parola alla persona")); err != nil {
		t.Fatal(err)
	}
	x := v.get(at + "/fascicolo.zip")
	z, err := zip.NewReader(strings.NewReader(x.body), int64(len(x.body)))
	if err != nil {
		t.Fatal(x.code, err)
	}
	var names []string
	all := ""
	for _, f := range z.File {
		names = append(names, f.Name)
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(f.Name, err)
		}
		all += string(data)
	}
	if strings.Contains(all, "parola tra uffici") || !strings.Contains(all, "parola alla persona") {
		t.Error("the archive has what offices said to each other, or lacks what was said to the person")
	}
	for _, want := range []string{"istanza.pdf", "istanza-1.pdf.p7m", "rapporto-1.json", "allegato-01.png", "ricevuta.pdf", "messaggi.json", "servizio.yaml"} {
		if !strings.Contains(strings.Join(names, " ")+" ", want+" ") {
			t.Errorf("%s is not in %v", want, names)
		}
	}
	var report struct {
		Protocol   string
		Signatures []struct {
			Report struct{ Signatures []struct{ Indication string } }
		}
	}
	if err := json.Unmarshal([]byte(v.get(at+"/rapporto.json").body), &report); err != nil || report.Protocol != a.Protocol() || report.Signatures[0].Report.Signatures[0].Indication != "TOTAL-PASSED" {
		t.Errorf("%+v %v", report, err)
	}
	for _, n := range []string{"0", "2", "-1", "x"} {
		for _, what := range []string{"/firmato/", "/prove/"} {
			if x := v.get(at + what + n); x.code != http.StatusNotFound {
				t.Errorf("%s%s: %d", what, n, x.code)
			}
		}
	}
	var downloads int
	if err := d.Store.QueryRowContext(t.Context(), "SELECT count(*) FROM journal WHERE kind = 'downloaded'").Scan(&downloads); err != nil || downloads == 0 {
		t.Error(downloads, err)
	}
}

// A session that ended while somebody wrote to the office loses no word.
func TestReplyOfASessionThatEnded(t *testing.T) {
	d := newDesk(t)
	a := d.enrolled(1)
	v := d.visitor()
	v.card(1)
	at := "/pratiche/" + a.ID
	token := v.csrf(at)
	d.Move(31 * time.Minute)
	if x := v.multipart(at+"/risposta", token, map[string][]byte{"a.png": picture(t)}, "words", "Una lunga lettera", "do", "send"); verdict(x) != window || !strings.Contains(x.to, "poi=%2Fpratiche%2F"+a.ID) {
		t.Fatalf("%d %s", x.code, x.to)
	}
	v.card(1)
	has(t, v.get(at), "Una lunga lettera</textarea>")
	lacks(t, v.get("/area"), "risposta-")
	stranger := d.visitor()
	stranger.card(2)
	lacks(t, stranger.get("/area"), "Una lunga lettera")
	if x := v.replies(at, at+"/risposta", nil, "words", "Una lunga lettera", "do", "send"); x.code != http.StatusSeeOther {
		t.Fatal(x.code)
	}
	lacks(t, v.get(at), "Una lunga lettera</textarea>")
}
