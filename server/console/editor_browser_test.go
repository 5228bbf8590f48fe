package console_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/citel-pa/citel/server/assets"
	"github.com/citel-pa/citel/server/ranking"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/town"
)

// axeSerious is what axe-core finds that hinders a person seriously, and whether the page
// is wider than the window (WCAG 2.1, 1.4.10, Reflow).
const axeSerious = `axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations
	.filter(v => v.impact === "serious" || v.impact === "critical")
	.map(v => v.id + ": " + v.help + " | " + v.nodes.map(n => n.html).join(" || "))
	.concat(document.documentElement.scrollWidth > window.innerWidth + 1 ? ["the page is " + document.documentElement.scrollWidth + " wide"] : []).join("\n"))`

// deskScreen is Chromium at the console with a session, whose cookies the server in front adds.
type deskScreen struct {
	t      *testing.T
	ctx    context.Context
	origin string
	axe    string
}

func chromiumAt(t *testing.T, h http.Handler, b *browser) *deskScreen {
	t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Fatal("chromium is missing; `make deps` installs it")
	}
	script, err := os.ReadFile("../assets/dist-test/axe.min.js")
	if err != nil {
		t.Fatalf("%v (`make assets` fetches it)", err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for n, x := range b.cookies {
			r.AddCookie(&http.Cookie{Name: n, Value: x})
		}
		if strings.HasPrefix(r.URL.Path, assets.Prefix) {
			assets.Handler().ServeHTTP(w, r) // the portal's part of the server
			return
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("lang", "it"), chromedp.Flag("accept-lang", "it"), chromedp.WindowSize(1200, 900), chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, time.Minute)
	t.Cleanup(cancel)
	return &deskScreen{t, ctx, s.URL, string(script)}
}

func step[T any](s *deskScreen, what string, a chromedp.Action[T]) T {
	s.t.Helper()
	v, err := chromedp.Run(s.ctx, a)
	if err != nil {
		s.shot("failed")
		s.t.Fatalf("%s: %v", what, err)
	}
	return v
}

func (s *deskScreen) open(path, wait string) {
	s.t.Helper()
	step(s, path, chromedp.Navigate(s.origin+path))
	step(s, path+" "+wait, chromedp.WaitVisible(wait))
}

func (s *deskScreen) shot(name string) {
	png, err := chromedp.Run(s.ctx, chromedp.FullScreenshot(100))
	dir := filepath.Join("..", "..", "build", "screenshots")
	if err == nil {
		err = errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "console-"+name+".png"), png, 0o600)) //nolint:gosec // pictures of test pages
	}
	if err != nil {
		s.t.Error(err)
	}
}

func (s *deskScreen) js(script string) string {
	s.t.Helper()
	return step(s, script, chromedp.Evaluate[string](script))
}

// check looks at the page that is open, at a desk's and a phone's width.
func (s *deskScreen) check(name string) {
	s.t.Helper()
	for width, size := range map[string][2]int64{"wide": {1200, 900}, "phone": {360, 740}} {
		step(s, name, chromedp.EmulateViewport(size[0], size[1]))
		step(s, name, chromedp.Evaluate[bool](s.axe+"; true"))
		if found := step(s, name, chromedp.Evaluate[string](axeSerious, chromedp.EvalAwaitPromise)); found != "" {
			s.t.Errorf("%s, %s:\n%s", name, width, found)
		}
		s.shot(name + "-" + width)
	}
	step(s, name, chromedp.EmulateViewport(1200, 900))
}

// The editor in a browser: accessible at both widths; a problem's link puts the cursor on
// its line; numbers stand beside their lines; the keyboard alone publishes.
func TestEditorInABrowser(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	h := pages(t, w)
	b := as(t, w, h, w.Operator("prova", 10, "R6"), "192.0.2.3:1")
	at := path + "/portale/iscrizione-nido"
	good := string(service.Defaults["iscrizione-nido"])
	b.get(at).sendText(at, strings.Replace(good, "kind: money", "kind: gold", 1), "0", "save").wants(http.StatusOK)
	s := chromiumAt(t, h, b)
	s.open(path+"/portale", "#t-services")
	s.check("servizi")
	s.open(path+"/schema-servizi", "#t-schema")
	s.check("schema")
	s.open(path+"/nuovo-servizio", "#f-servizio")
	s.check("nuovo-servizio")
	s.open(at, "#f-testo")
	step(s, "check", chromedp.Click(`button[value="check"]`))
	step(s, "problems", chromedp.WaitVisible("#wrong"))
	s.check("editor")
	// The number of a line stands where its text is (both begin at the same height, lines are 20px).
	if got := s.js(`(() => { const a = document.getElementById("L1").getBoundingClientRect(), b = document.getElementById("L101").getBoundingClientRect(); return String((b.top - a.top) / 100) + " " + getComputedStyle(document.getElementById("f-testo")).lineHeight })()`); got != "20 20px" {
		t.Error("lines and numbers:", got)
	}
	step(s, "the first problem", chromedp.Click(`a[data-line]`))
	if got := s.js(`(() => { const x = document.getElementById("f-testo"); return document.activeElement === x ? x.value.slice(x.selectionStart, x.selectionEnd) : "no focus" })()`); !strings.Contains(got, "kind: gold") {
		t.Errorf("the link leads to %q", got)
	}
	// Typed over, by keyboard, to the end.
	step(s, "typed", chromedp.KeyEvent("      - {id: isee, kind: money, label: {it: Valore ISEE, en: ISEE}, least: 0}"))
	step(s, "tab", chromedp.KeyEvent("\t"))
	for range 2 { // check, preview, diff
		step(s, "tab", chromedp.KeyEvent("\t"))
	}
	step(s, "enter", chromedp.KeyEvent("\r"))
	step(s, "the difference", chromedp.WaitVisible("#t-diff"))
	s.check("differenze")
	step(s, "publish", chromedp.Focus(`form[action$="/pubblica"] button`))
	step(s, "enter", chromedp.KeyEvent("\r"))
	step(s, "published", chromedp.WaitVisible(".page-links"))
	if v, err := w.Services.Current(t.Context(), "prova", "iscrizione-nido"); err != nil || v.Number != 1 {
		t.Fatal(v, err)
	}
	s.open(at, "#f-testo")
	step(s, "preview", chromedp.Click(`button[value="preview"]`))
	step(s, "preview", chromedp.WaitVisible("#f-child-given"))
	s.check("anteprima")
	s.open(at+"/versioni", "#t-versions")
	s.check("versioni")
	s.open(at+"/versioni/1", "#L1")
	s.check("versione")
}

// Istruzione in a browser: accessible at both widths.
func TestSchoolInABrowser(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	unsigned(t, w)
	h := pages(t, w)
	a := w.Operator("prova", 10, "R20", "R6")
	day := w.Today().In(register.Rome()).Format(time.DateOnly)
	c, err := w.Rankings.Make(t.Context(), a, "iscrizione-nido", ranking.Settings{Title: "2026/2027", Since: day, Until: day, Term: 5})
	if err == nil {
		err = w.Rankings.SetSeats(t.Context(), a, c.ID, map[ranking.Place]int{{School: "girasole", Hours: "full"}: 1})
	}
	if err != nil {
		t.Fatal(err)
	}
	one := nursery(t, w, 1, "both-work", "yes", "isee", "9.000,00", "second", "arcobaleno")
	nursery(t, w, 2, "disability", "yes")
	w.Move(24 * time.Hour)
	b := as(t, w, h, a, "192.0.2.3:1")
	s := chromiumAt(t, h, b)
	at := path + "/istruzione"
	s.open(at, "#t-calls")
	s.check("bandi")
	s.open(at+"/"+c.ID, "#t-applications")
	s.check("bando")
	for _, k := range []ranking.Kind{ranking.Provisional, ranking.Final} {
		n, err := w.Rankings.MakeList(t.Context(), a, c.ID, k)
		if err == nil {
			err = w.Rankings.Publish(t.Context(), a, c.ID, n)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s.open(at+"/"+c.ID+"/elenco/2", "#t-place-0")
	s.check("elenco")
	s.open(at+"/"+c.ID+"/domande/"+one.ID, "#t-points")
	s.check("domanda")
	s.open(at+"/"+c.ID+"/offerte", "#t-offers")
	s.check("offerte")
}
