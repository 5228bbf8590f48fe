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
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/town"
)

// serious is what axe-core finds that hinders a person seriously, and whether the page is
// wider than the window (WCAG 2.1, 1.4.10, Reflow).
const serious = `axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations
	.filter(v => v.impact === "serious" || v.impact === "critical")
	.map(v => v.id + ": " + v.help + " | " + v.nodes.map(n => n.html).join(" || "))
	.concat(document.documentElement.scrollWidth > window.innerWidth + 1 ? ["the page is " + document.documentElement.scrollWidth + " wide"] : []).join("\n"))`

// window is Chromium with an operator's session, whose cookies the server in front adds.
type window struct {
	t      *testing.T
	ctx    context.Context
	origin string
	script string
}

func (b *browser) window() *window {
	b.t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		b.t.Fatal("chromium is missing; `make deps` installs it")
	}
	script, err := os.ReadFile("../assets/dist-test/axe.min.js")
	if err != nil {
		b.t.Fatalf("%v (`make assets` fetches it)", err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, assets.Prefix) { // the portal's
			assets.Handler().ServeHTTP(w, r)
			return
		}
		for n, x := range b.cookies {
			r.AddCookie(&http.Cookie{Name: n, Value: x})
		}
		b.h.ServeHTTP(w, r)
	}))
	b.t.Cleanup(s.Close)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("lang", "it"), chromedp.Flag("accept-lang", "it"), chromedp.WindowSize(1200, 900), chromedp.UserDataDir(b.t.TempDir()))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	b.t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	b.t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
	b.t.Cleanup(cancel)
	return &window{b.t, ctx, s.URL, string(script)}
}

func step[T any](w *window, what string, a chromedp.Action[T]) T {
	w.t.Helper()
	v, err := chromedp.Run(w.ctx, a)
	if err != nil {
		w.shot("failed")
		w.t.Fatalf("%s: %v", what, err)
	}
	return v
}

func (w *window) shot(name string) {
	png, err := chromedp.Run(w.ctx, chromedp.FullScreenshot(100))
	dir := filepath.Join("..", "..", "build", "screenshots")
	if err == nil {
		err = errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "console-"+name+".png"), png, 0o600)) //nolint:gosec // pictures of test pages
	}
	if err != nil {
		w.t.Error(err)
	}
}

func (w *window) open(path, wait string) {
	w.t.Helper()
	step(w, path, chromedp.Navigate(w.origin+path))
	step(w, path+" "+wait, chromedp.WaitVisible(wait))
}

// check looks at the page that is open, at a desk's and a phone's width.
func (w *window) check(name string) {
	w.t.Helper()
	for width, size := range map[string][2]int64{"wide": {1200, 900}, "phone": {360, 740}} {
		step(w, name, chromedp.EmulateViewport(size[0], size[1]))
		step(w, name, chromedp.Evaluate[bool](w.script+"; true"))
		if found := step(w, name, chromedp.Evaluate[string](serious, chromedp.EvalAwaitPromise)); found != "" {
			w.t.Errorf("%s, %s:\n%s", name, width, found)
		}
		w.shot(name + "-" + width)
	}
	step(w, name, chromedp.EmulateViewport(1200, 900))
}

// Gestione Anagrafe in a browser: accessible at both widths; upload, dry run, confirmation,
// search and correction with the keyboard alone (but for choosing the file).
func TestRegistryInABrowser(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	b := as(t, w, pages(t, w), w.Operator("prova", 10, "R31"), "192.0.2.3:1")
	at := path + "/anagrafe"
	list := filepath.Join(t.TempDir(), "anagrafe.csv")
	write := func(lines ...string) {
		if err := os.WriteFile(list, []byte(registryHead+strings.Join(lines, "")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(registryLine(40, "Via Prova 1", "56100"), registryLine(41, "Via Prova 2", "56100"), registryLine(42, "Via Prova 3", "561"), registryLine(43, "Via Prova 4", "56100"))
	s := b.window()
	enter := func(selector string) {
		step(s, selector, chromedp.Focus(selector))
		step(s, "Enter on "+selector, chromedp.KeyEvent(kb.Enter))
	}
	upload := func() {
		s.open(at+"/importazioni", `input[type="file"]`)
		step(s, "the file", chromedp.SetUploadFiles(`input[type="file"]`, []string{list}))
		enter(`form[enctype] button`)
		step(s, "the dry run", chromedp.WaitVisible(`form[action$="/conferma"]`))
	}
	s.open(at+"/importazioni", `input[type="file"]`)
	s.check("registry-imports")
	upload()
	s.check("registry-dry-run")
	step(s, "the box", chromedp.Focus(`input[name="bad"]`))
	step(s, "Space on the box", chromedp.KeyEvent(" "))
	enter(`form[action$="/conferma"] button`)
	step(s, "done", chromedp.WaitNotPresent(`form[action$="/conferma"]`))
	s.check("registry-import")

	s.open(at, `input[name="reason"]`)
	s.check("registry-search")
	type typed struct{ name, value string }
	for _, x := range []typed{{"reason", "pratica 12"}, {"code", pki.Invented(40).CF}} {
		step(s, x.name, chromedp.SendKeys(`input[name="`+x.name+`"]`, x.value))
	}
	step(s, "Enter", chromedp.KeyEvent(kb.Enter))
	step(s, "found", chromedp.WaitVisible(`a[href*="/schede/"]`))
	s.check("registry-found")
	enter(`a[href*="/schede/"]`)
	step(s, "the record", chromedp.WaitVisible(`form[action$="/correggi"]`))
	step(s, "the field", chromedp.SetValue(`select[name="field"]`, "cap"))
	step(s, "the value", chromedp.SendKeys(`input[name="new-value"]`, "56121"))
	step(s, "the reason", chromedp.SendKeys(`input[name="reason"]`, "pratica 12"))
	step(s, "Enter", chromedp.KeyEvent(kb.Enter))
	step(s, "corrected", chromedp.WaitVisible(`#t-corrections`))
	s.check("registry-record")

	write(registryLine(40, "Via Prova 1", "56100"), registryLine(43, "Via Prova 9", "56100"))
	upload()
	s.check("registry-conflict")
	s.open(at+"/segnalazioni", "#t-reports")
	s.check("registry-reports")
}
