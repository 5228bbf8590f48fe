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
	"github.com/chromedp/chromedp/kb"

	"github.com/citel-pa/citel/server/assets"
	"github.com/citel-pa/citel/server/mandate"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/town"
)

// counterAxe is what axe-core finds that hinders a person seriously, and whether the page is
// wider than the window (WCAG 2.1, 1.4.10, Reflow).
const counterAxe = `axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations
	.filter(v => v.impact === "serious" || v.impact === "critical")
	.map(v => v.id + ": " + v.help + " | " + v.nodes.map(n => n.html).join(" || "))
	.concat(document.documentElement.scrollWidth > window.innerWidth + 1 ? ["the page is " + document.documentElement.scrollWidth + " wide"] : []).join("\n"))`

// counterScreen is Chromium with an operator's session, whose cookies the server in front adds.
type counterScreen struct {
	t      *testing.T
	ctx    context.Context
	origin string
	script string
}

func newCounterScreen(t *testing.T, b *browser) *counterScreen {
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
			assets.Handler().ServeHTTP(w, r)
			return
		}
		b.h.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("lang", "it"), chromedp.Flag("accept-lang", "it"), chromedp.WindowSize(1200, 900), chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 3*time.Minute)
	t.Cleanup(cancel)
	return &counterScreen{t, ctx, s.URL, string(script)}
}

func see[T any](s *counterScreen, what string, a chromedp.Action[T]) T {
	s.t.Helper()
	v, err := chromedp.Run(s.ctx, a)
	if err != nil {
		s.shot("failed")
		s.t.Fatalf("%s: %v", what, err)
	}
	return v
}

func (s *counterScreen) open(path, wait string) {
	s.t.Helper()
	see(s, path, chromedp.Navigate(s.origin+path))
	see(s, path+" "+wait, chromedp.WaitVisible(wait))
}

func (s *counterScreen) shot(name string) {
	png, err := chromedp.Run(s.ctx, chromedp.FullScreenshot(100))
	dir := filepath.Join("..", "..", "build", "screenshots")
	if err == nil {
		err = errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "desk-"+name+".png"), png, 0o600)) //nolint:gosec // pictures of test pages
	}
	if err != nil {
		s.t.Error(err)
	}
}

// check looks at the page that is open, at a desk's and a phone's width.
func (s *counterScreen) check(name string) {
	s.t.Helper()
	for _, x := range []struct {
		name string
		w, h int64
	}{{"wide", 1200, 900}, {"phone", 360, 740}} {
		see(s, name, chromedp.EmulateViewport(x.w, x.h))
		see(s, name, chromedp.Evaluate[bool](s.script+"; true"))
		if found := see(s, name, chromedp.Evaluate[string](counterAxe, chromedp.EvalAwaitPromise)); found != "" {
			s.t.Errorf("%s, %s:\n%s", name, x.name, found)
		}
		s.shot(name + "-" + x.name)
	}
	see(s, name, chromedp.EmulateViewport(1200, 900))
}

// to presses the tabulator until the element has the focus.
func (s *counterScreen) to(selector string) {
	s.t.Helper()
	for range 120 {
		if see(s, selector, chromedp.Evaluate[bool](`document.activeElement !== null && document.activeElement.matches("`+selector+`")`)) {
			return
		}
		see(s, "tab", chromedp.KeyEvent(kb.Tab))
	}
	s.t.Fatalf("%s is not reached with the tabulator", selector)
}

// The pages of mandates and of assisted filing in a browser: accessible at both widths,
// and the keyboard alone is enough.
func TestDeskInABrowser(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	cards(t, w)
	h := pages(t, w)
	ids := askedMandates(t, w, 1)
	desk := as(t, w, h, w.Operator("prova", 1, "R8"), "192.0.2.7:1")
	s := newCounterScreen(t, desk)
	s.open(path+"/deleghe", "h1")
	s.check("deleghe")
	s.open(path+"/deleghe/"+ids[0], "h1")
	s.check("delega")
	s.open(path+"/deleghe/nuova", "#f-kind")
	s.check("delega-nuova")
	see(s, "submit", chromedp.Click("[name=act][value=confirm]"))
	see(s, "errors", chromedp.WaitVisible("#wrong"))
	s.check("delega-errori")

	caf := as(t, w, h, w.Operator("prova", 5, "R-CAF1"), "192.0.2.8:1")
	m, err := w.Mandates.GrantTo(t.Context(), w.Operator("prova", 6, "R8"), mandate.Mandate{Kind: mandate.Ward, Title: "Tutore", Since: w.Today().AddDate(0, 0, -1).Format(time.DateOnly), Proof: "Decreto 12/2026"}, party(30), party(20))
	if err != nil {
		t.Fatal(err)
	}
	one := caf.beginAt(w, "iscrizione-nido", 20, "other", "yes", "mandate", m.ID).draft()
	s = newCounterScreen(t, caf)
	s.open(path+"/assistita", "h1")
	s.check("assistita")
	s.open(path+"/assistita/nuova", "#f-service")
	s.check("assistita-nuova")
	see(s, "submit", chromedp.Click("[name=act][value=confirm]"))
	see(s, "errors", chromedp.WaitVisible("#wrong"))
	s.check("assistita-errori")

	// The first step with the keyboard.
	s.open(one+"/passo/1", "#f-child-given")
	s.check("assistita-passo")
	for i := 0; i < len(nidoSteps[0]); i += 2 {
		s.to("#f-" + nidoSteps[0][i])
		if nidoSteps[0][i] == "child-born" {
			see(s, "date", chromedp.SetValue("#f-child-born", nidoSteps[0][i+1]))
			continue
		}
		see(s, nidoSteps[0][i], chromedp.KeyEvent(nidoSteps[0][i+1]))
	}
	s.to(".form-buttons button")
	see(s, "enter", chromedp.KeyEvent(kb.Enter))
	see(s, "the next step", chromedp.WaitVisible("#f-email"))
	s.check("assistita-passo-2")
	caf.get(one+"/passo/2").send(one+"/passo/2", "relation", "guardian", "email", "genitore@example.org", "other", "none").wants(http.StatusSeeOther)
	s.open(one+"/allegati", "#f-file-custody")
	s.check("assistita-allegati")
	s.open(one+"/riepilogo", "h1")
	s.check("assistita-riepilogo")
	caf.toSign(one)
	s.open(one+"/firma", "#card-sign")
	s.check("assistita-firma")
	see(s, "without the scans", chromedp.Click("form[action$='/firma/foglio'] button"))
	see(s, "why not", chromedp.WaitVisible("#wrong-note"))
	s.check("assistita-firma-errore")
	for _, slot := range []string{"paper", "identity"} {
		caf.get(one+"/firma").file(one+"/allegati", "file", slot+".png", picture(t), "slot", slot).wants(http.StatusSeeOther)
	}
	s.open(one+"/firma", "#card-sign")
	s.check("assistita-firma-scansioni")
	see(s, "on paper", chromedp.Click("form[action$='/firma/foglio'] button"))
	see(s, "sent", chromedp.WaitVisible(".alert-success"))
	s.check("assistita-inviata")
}
