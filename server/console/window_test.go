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

// js gives what a script of one expression says.
func (w *window) js(script string) string {
	w.t.Helper()
	return step(w, script, chromedp.Evaluate[string](script))
}
