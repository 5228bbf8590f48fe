// Package chromium is the browser for tests of single pages: a visitor's session in it, what
// axe-core finds, and pictures of what people see in build/screenshots.
package chromium

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// axe is what axe-core finds that hinders a person seriously, and whether the page is wider
// than the window (WCAG 2.1, 1.4.10, Reflow).
const axe = `axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations
	.filter(v => v.impact === "serious" || v.impact === "critical")
	.map(v => v.id + ": " + v.help + " | " + v.nodes.map(n => n.html).join(" || "))
	.concat(document.documentElement.scrollWidth > window.innerWidth + 1 ? ["the page is " + document.documentElement.scrollWidth + " wide"] : []).join("\n"))`

// widths at which a page is judged: a phone's, and a desk's, at which it stays.
var widths = []struct {
	name          string
	width, height int64
}{{"phone", 360, 740}, {"wide", 1200, 900}}

// Window is a window of Chromium in front of one server. It ends with the test.
type Window struct {
	T       testing.TB
	Context context.Context
	Origin  string
	shots   string
	script  string
}

// Start starts Chromium in Italian, with a profile of its own. It ends with the test.
func Start(t testing.TB, flags ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("chromium is missing; `make deps` installs it")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WSURLReadTimeout(patience),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("lang", "it"), chromedp.Flag("accept-lang", "it"),
		chromedp.Flag("force-prefers-reduced-motion", true), // a page that still scrolls is clicked beside the mark
		chromedp.WindowSize(1200, 900), chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), append(options, flags...)...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("true")); err != nil { // a context with an end would end Chromium
		t.Fatalf("chromium does not start: %v", err)
	}
	return ctx
}

// Run makes one step in a browser, within a bounded time.
func Run[T any](ctx context.Context, a chromedp.Action[T]) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, patience+answerTime) // an action of this package ends before, and says more
	defer cancel()
	return chromedp.Run(ctx, a)
}

// Open starts Chromium before h. Every request gets the cookies that the map has then:
// the session of a visitor who logged in another way. Pictures are called shots-NAME.png.
func Open(t testing.TB, h http.Handler, cookies map[string]string, shots string) *Window {
	t.Helper()
	script, err := os.ReadFile(filepath.Join(root(t), "server", "assets", "dist-test", "axe.min.js")) //nolint:gosec // our own file
	if err != nil {
		t.Fatalf("%v (`make assets` fetches it)", err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for n, x := range cookies {
			r.AddCookie(&http.Cookie{Name: n, Value: x})
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return &Window{T: t, Context: Start(t), Origin: s.URL, shots: shots, script: string(script)}
}

// root is the repository's.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if _, missing := os.Stat(filepath.Join(dir, "go.mod")); missing == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			err = errors.New("no go.mod above the test's folder")
		}
	}
	t.Fatal(err)
	return ""
}

// Do runs an action; where it fails there is a picture of the page, and the test ends.
func Do[T any](w *Window, what string, a chromedp.Action[T]) T {
	w.T.Helper()
	v, err := Run(w.Context, a)
	if err != nil {
		w.Shot("failed")
		w.T.Fatalf("%s: %v", what, err)
	}
	return v
}

// Wait waits until the page is there and a selector's element is seen.
func (w *Window) Wait(selector string) {
	w.T.Helper()
	Do(w, selector, Seen(selector))
}

// Open goes to a path and waits until a selector's element is seen.
func (w *Window) Open(path, wait string) {
	w.T.Helper()
	Do(w, path, Navigate(w.Origin+path))
	w.Wait(wait)
}

// Shot takes a picture of the whole page.
func (w *Window) Shot(name string) {
	w.T.Helper()
	png, err := Run(w.Context, chromedp.FullScreenshot(100))
	dir := filepath.Join(root(w.T), "build", "screenshots")
	if err == nil {
		err = errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, w.shots+"-"+name+".png"), png, 0o600)) //nolint:gosec // pictures of test pages
	}
	if err != nil {
		w.T.Errorf("no picture of %s: %v", name, err)
	}
}

// JS gives what a script of one expression, a string, says.
func (w *Window) JS(script string) string {
	w.T.Helper()
	return Do(w, script, chromedp.Evaluate[string](script))
}

// Check judges the page that is open at a desk's and a phone's width.
func (w *Window) Check(name string) {
	w.T.Helper()
	Do(w, name, chromedp.Evaluate[bool](w.script+"; true"))
	for _, x := range widths {
		Do(w, name, chromedp.EmulateViewport(x.width, x.height))
		if found := Do(w, name, chromedp.Evaluate[string](axe, chromedp.EvalAwaitPromise)); found != "" {
			w.T.Errorf("%s, %s:\n%s", name, x.name, found)
		}
		w.Shot(name + "-" + x.name)
	}
}

// Look opens a page that has a heading and judges it.
func (w *Window) Look(name, path string) {
	w.T.Helper()
	w.Open(path, "h1")
	w.Check(name)
}

// Tab presses the tabulator until the focus is on what a script's expression, of the
// element e, holds for.
func (w *Window) Tab(holds string) {
	w.T.Helper()
	for range 120 {
		if Do(w, holds, chromedp.Evaluate[bool](`(e => e !== null && Boolean(`+holds+`))(document.activeElement)`)) {
			return
		}
		Do(w, "tab", chromedp.KeyEvent(kb.Tab))
	}
	w.Shot("failed")
	w.T.Fatalf("the keyboard does not come to %s", holds)
}
