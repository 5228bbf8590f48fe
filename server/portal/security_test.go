package portal_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/portal"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/submission"
	"github.com/citel-pa/citel/testdata/town"
)

// Session fixation: no id that a browser brings is adopted, and each rise of level gives a
// new one; the old opens nothing.
func TestSessionFixation(t *testing.T) {
	d := newDesk(t)
	_, sheet := d.media(1)
	d.Move(time.Hour)
	v := d.visitor()
	planted := strings.Repeat("A", 43)
	v.cookies["citel"] = planted
	for _, path := range []string{"/", "/accedi", "/citel/Init.do?idEnte=DEMO", "/consolle/Init.do?idSessione=" + planted} {
		v.get(path)
		if v.session() != nil {
			t.Fatalf("%s: an id from outside is a session", path)
		}
	}
	// A session that an attacker began, with a nonce, and planted in the victim's browser.
	attacker := d.visitor()
	attacker.send(form("/api/login/nonce", nil))
	begun := attacker.cookies["citel"]
	if begun == "" {
		t.Fatal("no session")
	}
	v.cookies["citel"] = begun
	a := v.send(form("/accedi", url.Values{"csrf": {v.session().CSRF}, "utente": {sheet.Username}, "password": {password}}))
	if a.to != "/area" || v.cookies["citel"] == begun {
		t.Fatalf("%d %s: the id stays at login", a.code, a.to)
	}
	if s := attacker.session(); s != nil {
		t.Errorf("the attacker's id still is a session, level %s", s.Level)
	}
	before := v.cookies["citel"]
	v.card(1)
	if v.cookies["citel"] == before {
		t.Error("the id stays when the level rises")
	}
	old := d.visitor()
	old.cookies["citel"] = before
	if old.session() != nil {
		t.Error("the id of before the rise still opens")
	}
	before = v.cookies["citel"]
	v.send(form("/esci", url.Values{"csrf": {v.session().CSRF}}))
	old.cookies["citel"] = before
	if old.session() != nil {
		t.Error("an id outlives its logout")
	}
}

// CSRF: no form does anything without the token of the page that it came from, before the
// login as after it, and no other site sends one.
func TestCSRF(t *testing.T) {
	d := newDesk(t)
	things := d.things()
	for _, pattern := range portal.Patterns() {
		method, path, _ := strings.Cut(pattern, " ")
		// The nonce and the token are bound to the session and to each other; a form of a
		// service without a session is only kept.
		if method != http.MethodPost || strings.HasPrefix(path, "/api/login/") {
			continue
		}
		path = strings.NewReplacer("{service}", "iscrizione-nido", "/pratiche/{id}", things.application, "{n}", "1", "{file}", "x", "{id}", things.credential).Replace(path)
		for _, token := range []string{"", "x", strings.Repeat("A", 43)} {
			v := d.visitor()
			v.card(1)
			r := form(path, url.Values{"csrf": {token}})
			r.Header.Set("X-CSRF-Token", token)
			if a := v.send(r); a.code != http.StatusForbidden && a.code != http.StatusNotFound {
				t.Errorf("%s with token %q: %d %s", path, token, a.code, a.to)
			}
			if v.session() == nil {
				t.Errorf("%s ended the session", path)
			}
		}
		v := d.visitor()
		v.card(1)
		r := form(path, url.Values{"csrf": {v.session().CSRF}})
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.Header.Set("Origin", "https://evil.example")
		if a := v.send(r); a.code != http.StatusForbidden {
			t.Errorf("%s from another site: %d", path, a.code)
		}
	}
	// Login forgery: another site logs nobody in as somebody else.
	_, sheet := d.media(3)
	v := d.visitor()
	for _, token := range []string{"", "x", d.visitor().csrf("/accedi")} {
		if a := v.send(form("/accedi", url.Values{"csrf": {token}, "utente": {sheet.Username}, "password": {password}})); a.code != http.StatusForbidden {
			t.Errorf("login with token %q: %d", token, a.code)
		}
	}
	if v.session() != nil {
		t.Error("a forged login")
	}
}

var changing = regexp.MustCompile(`value="[A-Za-z0-9_-]{43}"|value="[^"]*@example\.org"|[a-z0-9.]+@example\.org|value="[a-z0-9]{0,20}"`)

// still takes off a page what differs anyway: the token, and what the visitor typed.
func still(a answer) string { return changing.ReplaceAllString(a.body, "") }

// Enumeration of users: nobody learns at login, registration or reset whether an address has
// an account.
func TestEnumerationOfUsers(t *testing.T) {
	d := newDesk(t)
	d.debole("gia@example.org", "")
	_, sheet := d.media(1)
	d.Move(2 * time.Hour)
	ask := func(path string, pairs ...string) answer { return d.visitor().post(path, pairs...) }
	wrong := ask("/accedi", "utente", "gia@example.org", "password", "wrong wrong wrong")
	for _, user := range []string{"nessuno@example.org", sheet.Username, "abcd2345", ""} {
		a := ask("/accedi", "utente", user, "password", "wrong wrong wrong")
		if a.code != wrong.code || still(a) != still(wrong) {
			t.Errorf("login of %q: %d, want %d as for a wrong password", user, a.code, wrong.code)
		}
	}
	there := ask("/password", "email", "gia@example.org")
	if a := ask("/password", "email", "nessuno@example.org"); a.code != there.code || still(a) != still(there) {
		t.Errorf("reset tells: %d %d", a.code, there.code)
	}
	register := func(email string) answer {
		return ask("/registrazione", "nome", "N", "cognome", "C", "email", email, "categoria", "citizen", "nuova", another)
	}
	d.Move(2 * time.Hour)
	there = register("gia@example.org")
	if a := register("nuova@example.org"); a.code != there.code || still(a) != still(there) {
		t.Errorf("registration tells: %d %d", a.code, there.code)
	}
	d.Move(time.Hour)
	if a := ask("/accedi", "utente", "gia@example.org", "password", another); a.code != http.StatusForbidden {
		t.Error("a second registration changed the password of the first")
	}
}

// Enumeration of envelopes: an activation tells nothing about which part was wrong, nor
// whether there is such an envelope.
func TestEnumerationOfEnvelopes(t *testing.T) {
	d := newDesk(t)
	sheet, holder := d.handOut(1)
	printed := d.Print(d.printer, 1)[0]
	_, used := d.media(5)
	d.Move(time.Hour)
	try := func(username, pin, code string) answer {
		d.Move(time.Hour)
		return d.visitor().post("/busta", "utente", username, "pin", pin, "consegna", code, "nuova", password)
	}
	first := try(sheet.Username, "wrong", "wrong")
	if first.code != http.StatusForbidden {
		t.Fatal(first.code)
	}
	for name, x := range map[string][3]string{
		"PIN": {sheet.Username, "wrong", holder}, "holder's code": {sheet.Username, sheet.PIN, "wrong"}, "no envelope": {"abcd2345", sheet.PIN, holder},
		"not handed out": {printed.Username, printed.PIN, holder}, "active": {used.Username, used.PIN, holder}, "nothing": {"", "", ""},
	} {
		if a := try(x[0], x[1], x[2]); a.code != first.code || still(a) != still(first) {
			t.Errorf("%s: %d looks different", name, a.code)
		}
	}
	// A weak password is told without a try being counted.
	for range 12 {
		if a := d.visitor().post("/busta", "utente", sheet.Username, "pin", "x", "consegna", "x", "nuova", "corta"); a.code != http.StatusUnprocessableEntity {
			t.Fatal(a.code)
		}
	}
	if a := try(sheet.Username, sheet.PIN, holder); a.to != "/area" {
		t.Errorf("the right ones: %d", a.code)
	}
}

// Account take-over by a claimed codice fiscale: a debole that names somebody else's code
// sees nothing of that person, before and after the person is there, and joins nobody
// without the person's own yes.
func TestTakeOverByAClaim(t *testing.T) {
	d := newDesk(t)
	victim := town.FormOf(1)
	thief := d.debole("ladro@example.org", victim.Code)
	owner, sheet := d.media(1)
	for _, path := range []string{"/area", nursery + "/compila?compila=1"} {
		a := thief.get(path)
		if strings.Contains(a.body, victim.Code) || strings.Contains(a.body, victim.Family) || strings.Contains(a.body, sheet.Username) {
			t.Errorf("%s shows the person whom the claim names", path)
		}
	}
	if a := thief.get("/domande"); verdict(a) != window {
		t.Errorf("%d %s", a.code, a.to)
	}
	has(t, owner.get("/area"), victim.Code)
	if strings.Contains(owner.get("/area").body, "ladro@example.org") {
		t.Error("the claim shows in the person's own area")
	}
	// On the thief's computer the victim proves who it is: it is asked, by the e-mail, and no
	// is what happens by itself.
	a := thief.post("/accedi", "utente", sheet.Username, "password", password, "poi", "/area")
	if !strings.HasPrefix(a.to, "/unisci?") {
		t.Fatalf("%d %s", a.code, a.to)
	}
	q := thief.get(a.to)
	has(t, q, "ladro@example.org", `value="no" checked`)
	if regexp.MustCompile(`value="si"[^>]*checked`).MatchString(q.body) {
		t.Error("yes is the default")
	}
	if a := thief.post("/unisci?poi=%2Farea", "poi", "/area"); a.to != "/area" { // nothing chosen
		t.Errorf("%d %s", a.code, a.to)
	}
	if strings.Contains(thief.get("/area").body, "ladro@example.org") {
		t.Error("it joined without a yes")
	}
	// Somebody else's claim does not even ask.
	w := d.debole("altra@example.org", town.FormOf(2).Code)
	if a := w.post("/accedi", "utente", sheet.Username, "password", password); a.to != "/area" {
		t.Errorf("a claim of another's code asks: %s", a.to)
	}
}

// With a yes the two are one account, and the debole opens no more than before.
func TestJoinedDeboleOpensNoMore(t *testing.T) {
	d := newDesk(t)
	_, sheet := d.media(1)
	v := d.debole("mia@example.org", "")
	v.post("/accedi", "utente", sheet.Username, "password", password)
	if a := v.post("/unisci?poi=%2Farea", "unisci", "si", "poi", "/area"); a.to != "/area" {
		t.Fatal(a.code)
	}
	has(t, v.get("/area"), "mia@example.org")
	w := d.visitor()
	if a := w.post("/accedi", "utente", "mia@example.org", "password", password); a.to != "/area" {
		t.Fatal(a.code)
	}
	a := w.get("/area")
	has(t, a, "debole")
	if strings.Contains(a.body, sheet.Username) {
		t.Error("a joined debole lists the media credential")
	}
	for _, path := range []string{"/domande", nursery + "/compila", "/unisci"} {
		if a := w.get(path); verdict(a) != window {
			t.Errorf("%s: %d", path, a.code)
		}
	}
	if a := w.sendForm(nursery, map[string]string{"child-given": "X"}); verdict(a) != window {
		t.Errorf("%d", a.code)
	}
}

// Delays: wrong passwords wait longer and longer, lock nobody out, and a stranger's do not
// keep the owner waiting.
func TestDelays(t *testing.T) {
	d := newDesk(t)
	_, sheet := d.media(1)
	d.Move(time.Hour)
	stranger := d.visitor()
	soon := 0
	for range 12 {
		a := stranger.post("/accedi", "utente", sheet.Username, "password", "wrong wrong wrong")
		switch a.code {
		case http.StatusTooManyRequests:
			soon++
			if a.header.Get("Retry-After") == "" || !strings.Contains(a.body, "secondi") {
				t.Error("it does not say how long")
			}
		case http.StatusForbidden:
		default:
			t.Fatal(a.code)
		}
	}
	if soon == 0 {
		t.Error("twelve wrong passwords in a moment, and no delay")
	}
	if a := stranger.post("/accedi", "utente", sheet.Username, "password", password); a.code != http.StatusTooManyRequests {
		t.Errorf("the right one during the delay: %d", a.code)
	}
	d.Move(10 * time.Second)
	if a := d.visitor().post("/accedi", "utente", sheet.Username, "password", password); a.to != "/area" {
		t.Errorf("the owner elsewhere is kept out: %d", a.code)
	}
	d.Move(24 * time.Hour)
	if a := stranger.post("/accedi", "utente", sheet.Username, "password", password); a.to != "/area" {
		t.Errorf("locked: %d", a.code)
	}
}

// Where a login leads is a page of ours.
func TestNoOpenRedirect(t *testing.T) {
	d := newDesk(t)
	_, sheet := d.media(1)
	for _, to := range []string{"https://evil.example", "//evil.example", "/\\evil.example", "/\t/evil.example", "javascript:alert(1)", "", "/" + strings.Repeat("x", 300)} {
		d.Move(time.Hour)
		if a := d.visitor().post("/accedi", "utente", sheet.Username, "password", password, "poi", to); a.to != "/area" {
			t.Errorf("%q leads to %s", to, a.to)
		}
	}
	v := d.visitor()
	v.card(1)
	if a := v.get("/accedi?poi=" + url.QueryEscape("//evil.example")); a.to != "/area" {
		t.Errorf("%s", a.to)
	}
	// The server's own ente has no name in its addresses: what follows one is a path of ours.
	for _, path := range []string{"/enti/prova//evil.example", "/enti/prova/%5Cevil.example", "/enti/prova///evil.example/x", "/enti/prova/%2F%5C/evil.example", "/enti/prova/%0d%0aX:1"} {
		if a := v.get(path); len(a.to) < 2 || a.to[0] != '/' || strings.ContainsAny(a.to[1:2], "/\\") || strings.ContainsAny(a.to, "\r\n\\") {
			t.Errorf("%s leads to %q", path, a.to)
		}
	}
}

// The portal's session opens nothing in a console and the other way round; and a session
// that waits for its first password opens nothing.
func TestNothingWithoutALevel(t *testing.T) {
	d := newDesk(t)
	v := d.visitor()
	v.send(form("/api/login/nonce", nil))
	if s := v.session(); s == nil || s.Level != session.None {
		t.Fatal(s)
	}
	if a := v.get("/area"); verdict(a) != window {
		t.Errorf("%d", a.code)
	}
	if a := v.sendForm(nursery, nurseryForm()); verdict(a) != window {
		t.Errorf("%d", a.code)
	}
	r := httptest.NewRequest(http.MethodGet, "/area", nil)
	w := httptest.NewRecorder()
	if _, err := d.Console.StartAt(t.Context(), w, "prova"); err != nil {
		t.Fatal(err)
	}
	x := d.visitor()
	for _, c := range w.Result().Cookies() {
		x.cookies["citel"] = c.Value
	}
	if a := x.send(r); verdict(a) != window {
		t.Errorf("a console's id opens the portal: %d", a.code)
	}
}

// What an operator began at the desk has what the registry knows: its person sees it at the
// level of its service, and not with less.
func TestDraftOfTheDeskNeedsItsServicesLevel(t *testing.T) {
	d := newDesk(t)
	w, _ := d.media(1)
	desk := d.Operator("prova", 9, "R-CAF1")
	a, err := d.Applications.Begin(t.Context(), submission.Visitor{Ente: "prova", Person: d.at(1).Person, Operator: &desk, Shown: "Carta d'identità AA00000AA"}, "iscrizione-nido", store.NewID(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", "/passo/1", "/riepilogo", "/allegati"} {
		if x := w.get("/pratiche/" + a.ID + path); verdict(x) != window || !strings.Contains(x.to, "serve=forte") {
			t.Errorf("media at %q: %d %s", path, x.code, x.to)
		}
	}
	lacks(t, w.get("/pratiche"), a.ID)
	v := d.visitor()
	v.card(1)
	if x := v.get("/pratiche/" + a.ID + "/passo/1"); x.code != http.StatusOK {
		t.Errorf("forte: %d %s", x.code, x.to)
	}
}

// What is put aside of an answer's files goes, and leaves no folder behind.
func TestRepliesLeaveNothingAside(t *testing.T) {
	d := newDesk(t)
	d.Applications.Limits.Dir = t.TempDir()
	before, err := d.Store.TempDir()
	if err != nil {
		t.Fatal(err)
	}
	v := d.visitor()
	v.card(1)
	a := d.enrolled(1)
	at := "/pratiche/" + a.ID
	for range 3 {
		v.replies(at, at+"/risposta", map[string][]byte{"a.png": picture(t), "b.png": picture(t)}, "words", "Ecco", "do", "send")
	}
	for _, dir := range []string{filepath.Dir(before), d.Applications.Limits.Dir} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Name() != filepath.Base(before) {
				t.Errorf("left behind: %s", e.Name())
			}
		}
	}
}
