package portal_test

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/authtoken"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/server/envelope"
	"github.com/citel-pa/citel/server/login"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/portal"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/town"
)

const origin = "http://127.0.0.1:8480"

// desk is a town whose pages are served.
type desk struct {
	*town.Town
	t        *testing.T
	handler  http.Handler
	portal   *portal.Portal
	printer  role.Actor
	urp      role.Actor
	visitors int
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	s := storetest.New(t, store.SQLite)
	d := &desk{Town: town.New(t, s), t: t}
	main, err := d.Enti.Get(t.Context(), "prova")
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	citizens := *d.Citizens
	citizens.Ente = main.Code
	d.portal = &portal.Portal{
		Ente: *main, Sessions: &citizens, Store: s, Audit: d.Audit, Rooms: d.Rooms, Demo: true, AgentPorts: []int{52310}, Log: log, Now: d.Today,
		Desk: &login.Desk{Ente: *main, Nonces: &login.Nonces{Store: s, Now: d.Today}, Sessions: &citizens, Store: s, Audit: d.Audit, Log: log, Credentials: d.Credentials,
			Validator: &authtoken.Validator{Origin: origin, Store: trust.NewStore(trust.AllowTest())}, Now: d.Today},
	}
	if d.handler, err = d.portal.Handler(); err != nil {
		t.Fatal(err)
	}
	d.printer, d.urp = d.Operator("prova", 90, "R8"), d.Operator("prova", 91, "R16")
	return d
}

// visitor is a browser.
type visitor struct {
	d       *desk
	cookies map[string]string
	address string
}

func (d *desk) visitor() *visitor {
	d.visitors++ // each from an address of its own: delays of the one are not the other's
	return &visitor{d: d, cookies: map[string]string{}, address: fmt.Sprintf("192.0.%d.%d:1", 2+d.visitors/250, 1+d.visitors%250)}
}

// answer is what came.
type answer struct {
	code     int
	body, to string
	header   http.Header
}

func (v *visitor) send(r *http.Request) answer {
	v.d.t.Helper()
	r.Host, r.RemoteAddr = "127.0.0.1:8480", v.address
	for n, x := range v.cookies {
		r.AddCookie(&http.Cookie{Name: n, Value: x})
	}
	w := httptest.NewRecorder()
	v.d.handler.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		v.cookies[c.Name] = c.Value
		if c.MaxAge < 0 {
			delete(v.cookies, c.Name)
		}
	}
	body, err := io.ReadAll(w.Result().Body)
	if err != nil {
		v.d.t.Fatal(err)
	}
	return answer{w.Code, string(body), w.Header().Get("Location"), w.Header()}
}

func (v *visitor) get(path string) answer {
	v.d.t.Helper()
	return v.send(httptest.NewRequest(http.MethodGet, path, nil))
}

var token = regexp.MustCompile(`name="csrf" value="([^"]*)"`)

func (v *visitor) csrf(path string) string {
	v.d.t.Helper()
	a := v.get(path)
	m := token.FindStringSubmatch(a.body)
	if m == nil {
		v.d.t.Fatalf("%s has no form: %d %s", path, a.code, a.to)
	}
	return m[1]
}

func form(path string, values url.Values) *http.Request {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(values.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return r
}

// post fills in the form of a page; pairs are names and values.
func (v *visitor) post(path string, pairs ...string) answer {
	v.d.t.Helper()
	page, _, _ := strings.Cut(path, "#")
	x := url.Values{"csrf": {v.csrf(page)}}
	for i := 0; i+1 < len(pairs); i += 2 {
		x.Set(pairs[i], pairs[i+1])
	}
	to, _, _ := strings.Cut(page, "?")
	return v.send(form(to, x))
}

const (
	password = "sette gatti sul tetto"
	another  = "otto cani nel cortile"
)

// debole registers, confirms and logs in.
func (d *desk) debole(email, claim string) *visitor {
	d.t.Helper()
	v := d.visitor()
	if a := v.post("/registrazione", "nome", "Nome", "cognome", "Cognome", "email", email, "codice", claim, "categoria", "citizen", "nuova", password); a.code != http.StatusOK {
		d.t.Fatalf("registration: %d %s", a.code, a.body)
	}
	if a := v.post("/registrazione/conferma?codice="+d.Link(email, "confirm-email"), "codice", d.Link(email, "confirm-email")); a.code != http.StatusOK {
		d.t.Fatalf("confirmation: %d", a.code)
	}
	if a := v.post("/accedi", "utente", email, "password", password); a.code != http.StatusSeeOther || a.to != "/area" {
		d.t.Fatalf("login: %d %s", a.code, a.to)
	}
	return v
}

// handOut prints an envelope and hands it out to an invented person.
func (d *desk) handOut(n int) (envelope.Sheet, string) {
	d.t.Helper()
	sheet := d.Print(d.printer, 1)[0]
	f := town.FormOf(n)
	h, err := d.Envelopes.HandOut(context.Background(), d.urp, envelope.Release{Code: sheet.Code, Form: &f, Document: d.Document()})
	if err != nil {
		d.t.Fatal(err)
	}
	return sheet, h.Holder
}

// media activates an envelope.
func (d *desk) media(n int) (*visitor, envelope.Sheet) {
	d.t.Helper()
	sheet, holder := d.handOut(n)
	v := d.visitor()
	if a := v.post("/busta", "utente", sheet.Username, "pin", sheet.PIN, "consegna", holder, "nuova", password); a.code != http.StatusSeeOther || a.to != "/area" {
		d.t.Fatalf("activation: %d %s", a.code, a.body)
	}
	return v, sheet
}

func has(t *testing.T, a answer, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(a.body, w) {
			t.Errorf("%q is not on the page (%d, %s)", w, a.code, a.to)
		}
	}
}

func TestDebole(t *testing.T) {
	d := newDesk(t)
	v := d.debole("ada@example.org", "")
	a := v.get("/area")
	has(t, a, "ada@example.org", `id="claim"`, "192.0.2.0", "Accesso")
	if a := v.post("/area/password", "password", "not the one at all", "nuova", another); a.code != http.StatusForbidden {
		t.Errorf("a wrong old password: %d", a.code)
	}
	d.Move(time.Minute)
	if a := v.post("/area/password", "password", password, "nuova", "corta"); a.code != http.StatusUnprocessableEntity {
		t.Errorf("a weak one: %d", a.code)
	}
	d.Move(time.Minute)
	if a := v.post("/area/password", "password", password, "nuova", another); a.to != "/area?fatto=password" {
		t.Errorf("change: %d %s", a.code, a.to)
	}
	w := d.visitor()
	if a := w.post("/password", "email", "ada@example.org"); a.code != http.StatusOK {
		t.Fatalf("forgotten: %d", a.code)
	}
	link := d.Link("ada@example.org", "reset-debole")
	if a := w.post("/password/nuova?codice="+link, "codice", link, "nuova", password); a.code != http.StatusOK {
		t.Fatalf("renewal: %d", a.code)
	}
	if a := v.get("/area"); a.code != http.StatusSeeOther {
		t.Errorf("the old session holds after a renewal: %d", a.code)
	}
	if a := w.get("/password/nuova?codice=" + link); a.code != http.StatusGone {
		t.Errorf("a link twice: %d", a.code)
	}
	if a := w.post("/accedi", "utente", "Ada@Example.org", "password", password, "poi", "/credenziali"); a.to != "/credenziali" {
		t.Errorf("login: %d %s", a.code, a.to)
	}
}

// A mail program that fetches the link ahead uses nothing up.
func TestLinksAreUsedByAButton(t *testing.T) {
	d := newDesk(t)
	v := d.visitor()
	v.post("/registrazione", "nome", "A", "cognome", "B", "email", "bea@example.org", "categoria", "citizen", "nuova", password)
	link := d.Link("bea@example.org", "confirm-email")
	for range 3 {
		if a := v.get("/registrazione/conferma?codice=" + link); a.code != http.StatusOK {
			t.Fatal(a.code)
		}
	}
	if a := v.post("/accedi", "utente", "bea@example.org", "password", password); a.code != http.StatusForbidden {
		t.Errorf("it opens before it is confirmed: %d", a.code)
	}
}

func TestMedia(t *testing.T) {
	d := newDesk(t)
	v, sheet := d.media(1)
	f := town.FormOf(1)
	has(t, v.get("/area"), f.Code, sheet.Username, "Busta attivata", "media")
	has(t, v.get("/domande"), "Le mie domande")
	if a := v.get("/servizi/iscrizione-nido/compila"); a.code != http.StatusSeeOther || !strings.HasPrefix(a.to, "/accedi?") {
		t.Errorf("a forte service: %d %s", a.code, a.to)
	} else {
		has(t, v.get(a.to), `id="need"`, "Serve la credenziale forte", "ASL")
	}
	// The desk resets it: the sheet's password opens nothing before it is changed.
	d.Move(time.Minute)
	list, err := d.Credentials.Mine(t.Context(), v.session().Person)
	if err != nil {
		t.Fatal(err)
	}
	reset, err := d.Credentials.Reset(t.Context(), d.Operator("prova", 92, "R8"), list[0].ID, "carta d'identità")
	if err != nil {
		t.Fatal(err)
	}
	w := d.visitor()
	if a := w.post("/accedi", "utente", reset.Username, "password", reset.Password, "poi", "/domande"); !strings.HasPrefix(a.to, "/password/prima?") {
		t.Fatalf("a sheet's password: %d %s", a.code, a.to)
	}
	if a := w.get("/area"); a.code != http.StatusSeeOther {
		t.Errorf("it opens the area: %d", a.code)
	}
	if a := w.post("/password/prima?poi=%2Fdomande", "nuova", another, "poi", "/domande"); a.to != "/domande" {
		t.Errorf("first change: %d %s", a.code, a.to)
	}
}

func TestSwitchedOffSaysWhyAndSinceWhen(t *testing.T) {
	d := newDesk(t)
	v := d.visitor()
	// A new ente: off for citizens.
	has(t, v.get("/enti/altro/accedi"), "DL 76/2020", "CAD, art. 64", "dal "+d.Today().In(register.Rome()).Format("02/01/2006"), `id="off-debole"`, `id="off-media"`)
	for _, path := range []string{"/enti/altro/registrazione", "/enti/altro/busta"} {
		a := v.get(path)
		has(t, a, "DL 76/2020", "cittadini")
		if strings.Contains(a.body, `<option value="citizen"`) {
			t.Errorf("%s lets citizens in", path)
		}
	}
	if a := v.post("/enti/altro/registrazione", "nome", "A", "cognome", "B", "email", "off@example.org", "categoria", "citizen", "nuova", password); a.code != http.StatusForbidden {
		t.Errorf("a citizen registers all the same: %d", a.code)
	}
	if _, err := d.Store.ExecContext(t.Context(), "UPDATE ente_switch SET enabled = 0 WHERE ente = 'altro'"); err != nil {
		t.Fatal(err)
	}
	a := v.get("/enti/altro/accedi")
	has(t, a, "comma 3-bis")
	if strings.Contains(a.body, `id="words-login"`) {
		t.Error("a form for what is switched off")
	}
	for _, path := range []string{"/enti/altro/registrazione", "/enti/altro/busta"} {
		if a := v.get(path); a.code != http.StatusForbidden || !strings.Contains(a.body, "DL 76/2020") {
			t.Errorf("%s: %d", path, a.code)
		}
	}
	if a := v.get("/accedi"); strings.Contains(a.body, "DL 76/2020") || !strings.Contains(a.body, `id="words-login"`) {
		t.Error("in the demo's ente all is on")
	}
	// A debole of the one ente opens nothing in the other.
	w := d.debole("cleo@example.org", "")
	if a := w.get("/enti/altro/area"); a.code != http.StatusSeeOther || !strings.HasPrefix(a.to, "/enti/altro/accedi?") {
		t.Errorf("%d %s", a.code, a.to)
	}
}

func TestManyEnti(t *testing.T) {
	d := newDesk(t)
	if err := d.Enti.FillCatalogue(t.Context()); err != nil {
		t.Fatal(err)
	}
	v := d.visitor()
	has(t, v.get("/enti"), "Comune di Prova", `href="/"`, `href="/enti/pisa/"`, "non attivo", "esempio")
	has(t, v.get("/enti/pisa/"), `id="not-active"`, `id="example"`)
	has(t, v.get("/enti/altro/"), "Comune Altro", `href="/enti/altro/accedi"`)
	for path, want := range map[string]string{
		"/citel/Init.do?idEnte=COPI": "/enti/pisa/", "/citel/init.do?idente=copi": "/enti/pisa/", "/citel/Init.do?idEnte=DEMO": "/", "/citel/Init.do": "/enti", "/citel/Init.do?idEnte=NIENTE": "/enti",
		"/consolle/Init.do?idSessione=4711": "/consolleente", "/consolle/Init.do": "/consolleente",
		"/enti/prova/area": "/area", "/enti/altro": "/enti/altro/", "/enti/prova": "/",
	} {
		if a := v.get(path); a.code != http.StatusSeeOther || a.to != want {
			t.Errorf("%s: %d %s, want %s", path, a.code, a.to, want)
		}
	}
	if len(v.cookies) != 0 {
		t.Errorf("an old address sets %v", v.cookies)
	}
	for path, want := range map[string]int{"/enti/pisa/accedi": 404, "/enti/niente/": 404, "/enti/altro/niente": 404, "/enti//": 404, "/enti/../area": 404, "/citel/niente": 404, "/stemma.png": 404, "/ente.css": 200} {
		if a := v.get(path); a.code != want && a.code != http.StatusTemporaryRedirect && a.code != http.StatusMovedPermanently {
			t.Errorf("%s: %d, want %d", path, a.code, want)
		}
	}
	for _, path := range []string{"/citel/help/mod-persone.pdf", "/citel/help/mod-giuridico.pdf?idEnte=COPI", "/enti/altro/citel/help/mod-persone.pdf"} {
		if a := v.get(path); a.code != http.StatusOK || !strings.HasPrefix(a.body, "%PDF-") {
			t.Errorf("%s: %d", path, a.code)
		}
	}
	// An ente with an origin of its own is at that origin's root.
	if err := d.Enti.Place(t.Context(), role.Actor{Ente: "", Roles: nil}, "altro", "", "https://altro.example", true); err == nil {
		t.Error("somebody without a right moved an ente")
	}
	if _, err := d.Store.ExecContext(t.Context(), "UPDATE ente SET origin = 'https://altro.example' WHERE code = 'altro'"); err != nil {
		t.Fatal(err)
	}
	if a := v.get("/enti/altro/accedi"); a.to != "https://altro.example/accedi" {
		t.Errorf("%d %s", a.code, a.to)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	w := httptest.NewRecorder()
	r.Host = "altro.example"
	d.handler.ServeHTTP(w, r)
	if !strings.Contains(w.Body.String(), "Comune Altro") || !strings.Contains(w.Body.String(), `href="/accedi"`) {
		t.Errorf("%d", w.Code)
	}
	r = httptest.NewRequest(http.MethodGet, "/enti", nil)
	w = httptest.NewRecorder()
	r.Host = "altro.example"
	d.handler.ServeHTTP(w, r)
	if !strings.Contains(w.Body.String(), `href="http://127.0.0.1:8480/enti/pisa/"`) || !strings.Contains(w.Body.String(), `href="/">Comune Altro`) {
		t.Errorf("the list from another origin: %s", w.Body.String())
	}
}

// An envelope of another ente opens nothing here unless this one accepts it, and the page
// says so.
func TestEnvelopeOfAnotherEnte(t *testing.T) {
	d := newDesk(t)
	if _, err := d.Store.ExecContext(t.Context(), "UPDATE ente_switch SET enabled = 1"); err != nil {
		t.Fatal(err)
	}
	v, _ := d.media(1)
	a := v.get("/enti/altro/domande")
	if verdict(a) != window {
		t.Fatalf("%d", a.code)
	}
	has(t, v.get(a.to), `id="elsewhere"`, `id="need"`)
	if _, err := d.Store.ExecContext(t.Context(), "INSERT INTO ente_accepts (ente, releaser, since) VALUES ('altro', 'prova', '2026-01-01')"); err != nil {
		t.Fatal(err)
	}
	has(t, v.get("/enti/altro/domande"), "Le mie domande", `href="/enti/altro/area"`)
}

func TestEntesLook(t *testing.T) {
	d := newDesk(t)
	if _, err := d.Store.ExecContext(t.Context(), "UPDATE ente SET color = '#123456', arms = ? WHERE code = 'prova'", []byte("\x89PNG")); err != nil {
		t.Fatal(err)
	}
	v := d.visitor()
	has(t, v.get("/ente.css"), "#123456")
	if a := v.get("/stemma.png"); a.code != http.StatusOK || a.header.Get("Content-Type") != "image/png" {
		t.Errorf("%d %s", a.code, a.header)
	}
	a := v.get("/")
	has(t, a, `src="/stemma.png"`)
	if policy := a.header.Get("Content-Security-Policy"); strings.Contains(policy, "unsafe") || !strings.Contains(policy, "default-src 'none'") {
		t.Error(policy)
	}
	if regexp.MustCompile(`<script(>| [^>]*>[^<])|<style| style=| on[a-z]+=`).MatchString(a.body) {
		t.Error("inline script or style")
	}
}

// session is the visitor's, nil without one.
func (v *visitor) session() *session.Session {
	v.d.t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for n, x := range v.cookies {
		r.AddCookie(&http.Cookie{Name: n, Value: x})
	}
	s, err := v.d.portal.Sessions.Get(context.Background(), r)
	if err != nil {
		v.d.t.Fatal(err)
	}
	return s
}

// card gives the visitor's session the level that a card proves, as the login does after
// its token was verified; the browser journey does it with a card.
func (v *visitor) card(n int) *person.Person {
	v.d.t.Helper()
	ctx, f := context.Background(), town.FormOf(n)
	w := httptest.NewRecorder()
	var p *person.Person
	err := v.d.Store.Tx(ctx, func(tx *sql.Tx) (err error) {
		if p, err = person.EnsureAccount(ctx, tx, person.Natural, f.Code, f.Given, f.Family, v.d.Today()); err != nil {
			return err
		}
		c, err := v.d.Credentials.EnsureCard(ctx, tx, "prova", p, []byte(f.Code))
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
	return p
}
