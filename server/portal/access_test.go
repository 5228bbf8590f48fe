package portal_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/portal"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/submission"
	"github.com/citel-pa/citel/testdata/town"
)

// What a visitor gets at an address.
const (
	opens  = "opens"  // the page, or what a form answers: anything that is no refusal
	window = "window" // the window that names what is needed, and back
	api401 = "api401" // the same for scripts
	gone   = "gone"   // not there, or not the visitor's: the two look the same
)

// row is what each visitor gets at an address: none, debole, media, forte (the owner of
// what the address names), another person with a card, the owner seen from another ente.
type row struct{ none, debole, media, forte, other, elsewhere string }

func same(x string) row { return row{x, x, x, x, x, x} }

// draftRow is what a draft of a service of level forte opens, and what a card signed before
// services were data.
var draftRow = row{window, window, window, opens, gone, gone}

// access is the whole table. An address of the router without a row fails the test, and so
// does a row without its address.
var access = map[string]row{
	"GET /{$}": same(opens), "GET /enti": same(opens), "GET /credenziali": same(opens), "GET /stemma.png": same(gone), "GET /ente.css": same(opens),
	"GET /aiuto": same(opens), "GET /accessibilita": same(opens), "POST /accessibilita": same(opens), "GET /accessibilita/{id}": same(gone),
	"GET /privacy": same(opens), "GET /note-legali": same(opens),
	// What an id names is found by the two people in it alone: TestActingForAnother.
	"GET /deleghe": {window, window, opens, opens, opens, opens}, "GET /deleghe/nuova": {window, window, opens, opens, opens, opens}, "POST /deleghe/nuova": {window, window, opens, opens, opens, opens},
	"POST /deleghe/opera":        {window, window, opens, opens, opens, opens},
	"POST /deleghe/{id}/accetta": {window, window, gone, gone, gone, gone}, "POST /deleghe/{id}/rifiuta": {window, window, gone, gone, gone, gone},
	"POST /deleghe/{id}/revoca": {window, window, gone, gone, gone, gone}, "GET /deleghe/{id}/prova": {window, window, gone, gone, gone, gone},
	// Without a folder of releases there is nothing; with one everybody gets it (server/download).
	"GET /scarica": same(gone), "GET /scarica/{name}": same(gone),
	"GET /accedi": same(opens), "POST /accedi": same(opens), "POST /esci": same(opens),
	"POST /api/login/nonce": same(opens), "POST /api/login/token": same(opens), // a token is refused by its own code
	"GET /api/sessione": same(opens), "POST /api/sessione": {api401, opens, opens, opens, opens, opens},
	"GET /registrazione": same(opens), "POST /registrazione": same(opens), "GET /registrazione/conferma": same(gone), "POST /registrazione/conferma": same(gone),
	"GET /password": same(opens), "POST /password": same(opens), "GET /password/nuova": same(gone), "POST /password/nuova": same(gone),
	"GET /password/prima": same(opens), "POST /password/prima": same(opens), // both lead to the login without a session that waits
	"GET /busta": same(opens), "POST /busta": same(opens),
	"GET /unisci": {window, window, opens, opens, opens, opens}, "POST /unisci": {window, window, opens, opens, opens, opens},
	"GET /area": {window, opens, opens, opens, opens, opens}, "GET /area/password": {window, opens, opens, gone, gone, gone}, "POST /area/password": {window, opens, opens, gone, gone, gone},
	// The own record, in the ente of the address alone: TestOwnRecord; nobody here is in a list.
	"GET /area/dati": {window, window, opens, opens, opens, opens}, "POST /area/dati/segnala": {window, window, gone, gone, gone, gone},
	"GET /area/credenziali/{id}/password":  {window, window, window, opens, gone, opens},
	"POST /area/credenziali/{id}/password": {window, window, window, opens, gone, opens},
	"GET /servizi/{service}":               same(opens),
	"POST /servizi/{service}":              {window, window, window, opens, opens, opens},
	"POST /servizi/{service}/scarta":       same(opens), // the visitor's own alone: TestKept
	"GET /servizi":                         same(opens),
	"GET /servizi/{service}/compila":       {window, window, window, opens, opens, opens},
	"GET /pratiche/{id}/passo/{n}":         draftRow, "POST /pratiche/{id}/passo/{n}": draftRow, "GET /pratiche/{id}/allegati": draftRow, "POST /pratiche/{id}/allegati": draftRow,
	"POST /pratiche/{id}/allegati/{file}/togli": {window, window, window, gone, gone, gone},
	"GET /pratiche/{id}/riepilogo":              draftRow, "POST /pratiche/{id}/riepilogo": draftRow, "GET /pratiche/{id}/firma": draftRow, "POST /pratiche/{id}/firma": draftRow,
	"POST /api/pratiche/{id}/firma": {api401, api401, api401, opens, gone, gone},
	"POST /pratiche/{id}/invia":     draftRow, "POST /pratiche/{id}/riapri": draftRow, "POST /pratiche/{id}/scarta": draftRow,
	"GET /bozze/{rest...}": same(opens), // leads to the area
	"GET /domande":         {window, window, opens, opens, opens, opens}, "GET /domande/{id}": draftRow, "GET /domande/{id}/ricevuta.pdf": draftRow,
	"GET /domande/{id}/istanza.pdf": draftRow, "GET /domande/{id}/istanza.pdf.p7m": draftRow, "GET /domande/{id}/rapporto.json": draftRow,
	"GET /citel": same(opens), "GET /citel/{rest...}": same(opens), "GET /consolle": same(opens), "GET /consolle/{rest...}": same(opens),
	"/": same(gone),
}

// what an answer comes to.
func verdict(a answer) string {
	switch {
	case a.code == http.StatusUnauthorized:
		return api401
	case a.code == http.StatusSeeOther && strings.Contains(a.to, "/accedi?") && strings.Contains(a.to, "serve="):
		return window
	case a.code == http.StatusNotFound || a.code == http.StatusGone:
		return gone
	}
	return opens
}

func TestEveryAddressForEveryVisitor(t *testing.T) {
	known := map[string]bool{}
	for _, p := range portal.Patterns() {
		known[p] = true
		if _, ok := access[p]; !ok {
			t.Errorf("the address %q has no row: say who gets there", p)
		}
	}
	for p := range access {
		if !known[p] {
			t.Errorf("the row %q has no address", p)
		}
	}
	if t.Failed() {
		return
	}
	d := newDesk(t)
	if _, err := d.Store.ExecContext(t.Context(), "UPDATE ente_switch SET enabled = 1"); err != nil {
		t.Fatal(err)
	}
	ids := d.things()
	for pattern, want := range access {
		t.Run(pattern, func(t *testing.T) {
			for name, x := range map[string]struct {
				want, base string
				visitor    func() *visitor
			}{
				"none": {want.none, "", d.visitor}, "debole": {want.debole, "", ids.again("debole", ids.debole)}, "media": {want.media, "", ids.again("media", ids.media)}, "forte": {want.forte, "", ids.forte},
				"another person": {want.other, "", ids.other}, "another ente": {want.elsewhere, "/enti/altro", ids.forte},
			} {
				a := ids.send(x.visitor(), pattern, x.base)
				if got := verdict(a); got != x.want {
					t.Errorf("%s: %s (%d %s), want %s", name, got, a.code, a.to, x.want)
				}
				if a.code >= 500 {
					t.Errorf("%s: %d", name, a.code)
				}
				if x.want == window && !strings.Contains(a.to, x.base+"/accedi?") {
					t.Errorf("%s: the window of another ente: %s", name, a.to)
				}
			}
		})
	}
}

// things are a person's draft, application and credential, and visitors of each kind.
type things struct {
	d                      *desk
	submission, credential string
	application            string // the address of a draft of a service that is data
	sent, file             string // an application that was sent, and its attachment
	sheet                  string
	logins                 map[string]*visitor
}

func (d *desk) things() *things {
	d.t.Helper()
	x := &things{d: d, logins: map[string]*visitor{}}
	_, sheet := d.media(1)
	x.sheet = sheet.Username
	v := d.visitor()
	owner := v.card(1)
	list, err := d.Credentials.Mine(d.t.Context(), v.session().Person)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, c := range list {
		if c.Kind == "media" {
			x.credential = c.ID
		}
	}
	x.application = v.begin(nursery, nurserySteps()[0])
	x.submission = d.Archived(owner)
	x.sent = d.enrolled(1).ID
	files, err := d.Applications.Files(d.t.Context(), &submission.Application{ID: x.sent})
	if err != nil {
		d.t.Fatal(err)
	}
	x.file = files[0].ID
	d.Move(time.Hour)
	return x
}

func (x *things) debole() *visitor {
	email := "debole" + store.NewID() + "@example.org"
	v := x.d.debole(email, town.FormOf(1).Code) // it claims to be the owner
	return v
}

// again is a visitor from another address with the session of the last one of its kind, as
// long as there is one: a password's hash is made to take time, and hundreds would.
func (x *things) again(kind string, login func() *visitor) func() *visitor {
	return func() *visitor {
		if v := x.logins[kind]; v == nil || v.session() == nil {
			x.logins[kind] = login()
		}
		v := x.d.visitor()
		maps.Copy(v.cookies, x.logins[kind].cookies)
		return v
	}
}

func (x *things) media() *visitor {
	v := x.d.visitor()
	x.d.Move(time.Hour)
	if a := v.post("/accedi", "utente", x.sheet, "password", password); a.code != http.StatusSeeOther {
		x.d.t.Fatalf("media: %d", a.code)
	}
	return v
}

func (x *things) forte() *visitor {
	v := x.d.visitor()
	v.card(1)
	return v
}

func (x *things) other() *visitor {
	v := x.d.visitor()
	v.card(2)
	return v
}

func (x *things) send(v *visitor, pattern, base string) answer {
	method, path, ok := strings.Cut(pattern, " ")
	if !ok {
		method, path = http.MethodGet, "/niente"
	}
	path = strings.NewReplacer("{$}", "", "{service}", "iscrizione-nido", "{rest...}", "Init.do").Replace(path)
	id := x.submission
	switch {
	case strings.Contains(path, "/pratiche/"):
		id = strings.TrimPrefix(x.application, "/pratiche/")
		if strings.HasSuffix(path, "/scarta") { // one of its own, since it goes
			id = strings.TrimPrefix(x.forte().begin(nursery, nurserySteps()[0]), "/pratiche/")
		}
		file := "none"
		if _, mine := ofSent[pattern]; mine {
			id, file = x.sent, x.file
		}
		path = strings.NewReplacer("{n}", "1", "{file}", file).Replace(path)
	case strings.Contains(path, "/credenziali/"):
		id = x.credential
	}
	path = base + strings.Replace(path, "{id}", id, 1)
	if method == http.MethodGet {
		return v.get(path)
	}
	csrf := ""
	if s := v.session(); s != nil {
		csrf = s.CSRF
	} else {
		csrf = v.csrf("/accedi")
	}
	values := url.Values{"csrf": {csrf}}
	if strings.HasSuffix(path, nursery) {
		values.Set("_bozza", store.NewID())
		for k, s := range nurseryForm() {
			values.Set(k, s)
		}
	}
	if strings.HasSuffix(path, "/risposta") {
		return v.multipart(path, csrf, nil, "words", "")
	}
	r := form(path, values)
	r.Header.Set("X-CSRF-Token", csrf)
	return v.send(r)
}

func (v *visitor) sendForm(path string, fields map[string]string) answer {
	v.d.t.Helper()
	a := v.get(path + "/compila?compila=1")
	m, n := token.FindStringSubmatch(a.body), draftID.FindStringSubmatch(a.body)
	if m == nil || n == nil {
		v.d.t.Fatalf("no form: %d %s", a.code, a.to)
	}
	x := url.Values{"csrf": {m[1]}, "_bozza": {n[1]}}
	for k, s := range fields {
		x.Set(k, s)
	}
	return v.send(form(path, x))
}

// Below the level of a service a form is kept, and it is there after the login: on the same
// browser, and from a phone on the computer with the reader.
func TestStepUpKeepsTheForm(t *testing.T) {
	d := newDesk(t)
	fields := nurseryForm()
	fields["child-given"] = "Nina la prima"
	v := d.visitor()
	has(t, v.get(nursery+"/compila?compila=1"), `id="write-now"`)
	a := v.sendForm(nursery, fields)
	if verdict(a) != window {
		t.Fatalf("%d %s", a.code, a.to)
	}
	u, err := url.Parse(a.to)
	if err != nil || u.Query().Get("poi") != nursery+"/compila" || u.Query().Get("serve") != "forte" {
		t.Fatalf("%s %v", a.to, err)
	}
	has(t, v.get(a.to), `id="need"`, `id="kept"`, "Serve la credenziale forte", "Comune di Prova")
	if a := d.visitor().get(nursery + "/compila?compila=1"); strings.Contains(a.body, "Nina") {
		t.Error("another browser has the form")
	}
	// On the phone with an envelope: the form goes to the account.
	_, sheet := d.media(1)
	d.Move(time.Hour)
	if a := v.post("/accedi?poi=%2Farea", "utente", sheet.Username, "password", password, "poi", "/area"); a.to != "/area" {
		t.Fatalf("%d %s", a.code, a.to)
	}
	has(t, v.get("/area"), "Da completare")
	// At home with the card.
	w := d.visitor()
	w.card(1)
	has(t, w.get(nursery+"/compila"), "Nina la prima", `id="kept-note"`)
	other := d.visitor()
	other.card(2)
	if a := other.get(nursery + "/compila"); strings.Contains(a.body, "Nina") {
		t.Error("another person has the form")
	}
	if a := w.sendForm(nursery, fields); !strings.HasPrefix(a.to, "/pratiche/") {
		t.Fatalf("%d %s", a.code, a.to)
	}
	if a := w.get(nursery + "/compila"); strings.Contains(a.body, "Nina") {
		t.Error("it is kept after it became a draft")
	}
}

// A session that ends while somebody types loses nothing.
func TestFormOfASessionThatEnded(t *testing.T) {
	d := newDesk(t)
	v := d.visitor()
	v.card(1)
	x := url.Values{"csrf": {v.csrf(nursery + "/compila")}}
	for k, s := range nurseryForm() {
		x.Set(k, s)
	}
	d.Move(31 * time.Minute)
	if a := v.send(form(nursery, x)); verdict(a) != window {
		t.Fatalf("%d %s", a.code, a.to)
	}
	v.card(1)
	has(t, v.get(nursery+"/compila"), `value="Nina"`)
	// Who begins again has an empty form; what another kept stays.
	w := d.visitor()
	w.sendForm(nursery, nurseryForm())
	if a := v.send(form(nursery+"/scarta", url.Values{"csrf": {v.session().CSRF}})); a.code != http.StatusSeeOther {
		t.Fatal(a.code)
	}
	if a := v.get(nursery + "/compila"); strings.Contains(a.body, `value="Nina"`) {
		t.Error("it is still there")
	}
	has(t, w.get(nursery+"/compila?compila=1"), `value="Nina"`)
}

var key = regexp.MustCompile(`[>"](access|portal|desk|audit|submission|service|download|modulo|form|pratica|rating|application|attachment|mandate|town|pratica)\.[a-z-]+`)

// Every page has all its sentences, in both languages.
func TestEverySentenceIsThere(t *testing.T) {
	d := newDesk(t)
	if _, err := d.Store.ExecContext(t.Context(), "UPDATE ente_switch SET enabled = 1"); err != nil {
		t.Fatal(err)
	}
	x := d.things()
	for _, v := range []*visitor{d.visitor(), x.debole(), x.media(), x.forte()} {
		for _, pattern := range portal.Patterns() {
			for _, lang := range []string{"it", "en"} {
				v.cookies["lingua"] = lang
				if strings.HasSuffix(pattern, "/esci") {
					continue
				}
				a := x.send(v, pattern, "")
				if found := key.FindAllString(a.body, -1); found != nil {
					t.Errorf("%s in %s: %q", pattern, lang, found)
				}
				if lang == "en" && a.code == http.StatusOK && strings.Contains(a.header.Get("Content-Type"), "html") && !strings.Contains(a.body, `<html lang="en"`) {
					t.Errorf("%s is not English", pattern)
				}
			}
		}
	}
	for _, level := range []string{"debole", "media", "forte"} {
		if a := d.visitor().get("/accedi?poi=%2Farea&serve=" + level); key.MatchString(a.body) {
			t.Errorf("%s: %q", level, key.FindAllString(a.body, -1))
		}
	}
}

func TestLogoutLeavesNothingToTheNext(t *testing.T) {
	d := newDesk(t)
	v := d.visitor()
	v.sendForm(nursery, nurseryForm())
	v.card(1)
	if a := v.send(form("/esci", url.Values{"csrf": {v.session().CSRF}})); a.code != http.StatusSeeOther {
		t.Fatal(a.code)
	}
	if a := v.get(nursery + "/compila?compila=1"); strings.Contains(a.body, `value="Nina"`) {
		t.Error("the next at this computer reads the form")
	}
}

func TestSessionEndIsToldAndExtended(t *testing.T) {
	d := newDesk(t)
	v := d.debole("eva@example.org", "")
	has(t, v.get("/area"), `id="session-dialog"`, `data-warning="120"`, `id="session-time"`)
	left := func(r *http.Request) int {
		t.Helper()
		r.Header.Set("X-Citel-Quiet", "1")
		var x struct{ Left int }
		a := v.send(r)
		if err := json.Unmarshal([]byte(a.body), &x); err != nil {
			t.Fatal(err)
		}
		return x.Left
	}
	ask := func() int { return left(httptest.NewRequest(http.MethodGet, "/api/sessione", nil)) }
	d.Move(28 * time.Minute)
	if n := ask(); n != 120 {
		t.Errorf("left %d s", n)
	}
	if n := ask(); n != 120 {
		t.Errorf("asking extends: %d s", n)
	}
	r := form("/api/sessione", nil)
	if a := v.send(r); a.code != http.StatusForbidden {
		t.Errorf("extended without the token: %d", a.code)
	}
	r = form("/api/sessione", nil)
	r.Header.Set("X-CSRF-Token", v.session().CSRF)
	if n := left(r); n != 1800 {
		t.Errorf("extended to %d s", n)
	}
}

func TestServiceLevels(t *testing.T) {
	for id, text := range service.Defaults {
		s, err := service.Parse(text)
		if err != nil || s.Needs() == session.None {
			t.Errorf("%s needs nothing: %v", id, err)
		}
	}
}

// The first form's address leads to the one that has taken its place.
func TestFirstNursery(t *testing.T) {
	d := newDesk(t)
	for _, path := range []string{"/servizi/nido", "/servizi/nido?compila=1"} {
		if a := d.visitor().get(path); a.to != nursery {
			t.Errorf("%s: %d %s", path, a.code, a.to)
		}
	}
	if a := d.citizen(1).sendValues("/servizi/nido", nil); a.code != http.StatusNotFound {
		t.Errorf("%d", a.code)
	}
}
