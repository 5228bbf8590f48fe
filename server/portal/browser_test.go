package portal_test

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

	"github.com/citel-pa/citel/testdata/pki"
)

// axe is what axe-core finds that hinders a person seriously, and whether the page is wider
// than the window (WCAG 2.1, 1.4.10, Reflow).
const axe = `axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations
	.filter(v => v.impact === "serious" || v.impact === "critical")
	.map(v => v.id + ": " + v.help + " | " + v.nodes.map(n => n.html).join(" || "))
	.concat(document.documentElement.scrollWidth > window.innerWidth + 1 ? ["the page is " + document.documentElement.scrollWidth + " wide"] : []).join("\n"))`

// screen is Chromium with a visitor's session, whose cookies the server in front adds.
type screen struct {
	t      *testing.T
	ctx    context.Context
	origin string
	script string
}

func (d *desk) screen(v *visitor) *screen {
	d.t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		d.t.Fatal("chromium is missing; `make deps` installs it")
	}
	script, err := os.ReadFile("../assets/dist-test/axe.min.js")
	if err != nil {
		d.t.Fatalf("%v (`make assets` fetches it)", err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for n, x := range v.cookies {
			r.AddCookie(&http.Cookie{Name: n, Value: x})
		}
		d.handler.ServeHTTP(w, r)
	}))
	d.t.Cleanup(s.Close)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("lang", "it"), chromedp.Flag("accept-lang", "it"), chromedp.WindowSize(1200, 900), chromedp.UserDataDir(d.t.TempDir()))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	d.t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	d.t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
	d.t.Cleanup(cancel)
	return &screen{d.t, ctx, s.URL, string(script)}
}

func do[T any](s *screen, what string, a chromedp.Action[T]) T {
	s.t.Helper()
	v, err := chromedp.Run(s.ctx, a)
	if err != nil {
		s.shot("failed")
		s.t.Fatalf("%s: %v", what, err)
	}
	return v
}

func (s *screen) open(path, wait string) {
	s.t.Helper()
	do(s, path, chromedp.Navigate(s.origin+path))
	do(s, path+" "+wait, chromedp.WaitVisible(wait))
}

func (s *screen) shot(name string) {
	png, err := chromedp.Run(s.ctx, chromedp.FullScreenshot(100))
	dir := filepath.Join("..", "..", "build", "screenshots")
	if err == nil {
		err = errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "portal-"+name+".png"), png, 0o600)) //nolint:gosec // pictures of test pages
	}
	if err != nil {
		s.t.Error(err)
	}
}

func (s *screen) js(script string) string {
	s.t.Helper()
	return do(s, script, chromedp.Evaluate[string](script))
}

// check looks at the page that is open, at a desk's and a phone's width.
func (s *screen) check(name string) {
	s.t.Helper()
	for width, size := range map[string][2]int64{"wide": {1200, 900}, "phone": {360, 740}} {
		do(s, name, chromedp.EmulateViewport(size[0], size[1]))
		do(s, name, chromedp.Evaluate[bool](s.script+"; true"))
		if found := do(s, name, chromedp.Evaluate[string](axe, chromedp.EvalAwaitPromise)); found != "" {
			s.t.Errorf("%s, %s:\n%s", name, width, found)
		}
		s.shot(name + "-" + width)
	}
	do(s, name, chromedp.EmulateViewport(1200, 900))
}

// The way of an application in a browser: accessible at both widths, conditions shown at
// once, and the keyboard alone is enough.
func TestWayInABrowser(t *testing.T) {
	d := newDesk(t)
	d.trusts()
	v := d.citizen(1)
	s := d.screen(v)
	s.open("/servizi", "h1")
	s.check("servizi")
	s.open(nursery, "#begin")
	s.check("servizio")
	do(s, "begin", chromedp.Click("#begin"))
	do(s, "the first step", chromedp.WaitVisible("#f-child-given"))
	s.check("compila")
	at := v.begin(nursery, nurserySteps()[0])

	// By keyboard: the second step's radios, a field that appears, the button.
	s.open(at+"/passo/2", "#f-relation")
	visible := func(id string) bool {
		return s.js(`String(document.getElementById("`+id+`").checkVisibility())`) == "true"
	}
	if visible("f-other-cf") {
		t.Error("a question is shown before what it depends on")
	}
	do(s, "relation", chromedp.Focus("#f-relation"))
	for _, keys := range []string{" ", "\t", "mail@example.org", "\t", "\t", " "} {
		do(s, "keys", chromedp.KeyEvent(keys))
	}
	if got := s.js(`document.querySelector("[name=other]:checked")?.value ?? ""`); got != "consents" {
		t.Fatalf("the keyboard chose %q", got)
	}
	if !visible("f-other-cf") || !visible("f-other-signs") {
		t.Error("a question is not shown at once")
	}
	s.check("passo")
	for _, keys := range []string{"\t", pki.Invented(2).CF, "\t", "\t", "\r"} {
		do(s, "keys", chromedp.KeyEvent(keys))
	}
	do(s, "the third step", chromedp.WaitVisible("#f-first"))
	if f := d.app(at).Fields; f["other-cf"] != pki.Invented(2).CF || f["email"] != "mail@example.org" {
		t.Error(f)
	}
	do(s, "on", chromedp.Click("#next"))
	do(s, "the summary of errors", chromedp.WaitVisible("#wrong"))
	if s.js(`document.activeElement.id`) != "wrong" {
		t.Error("the summary of errors is not focused")
	}
	s.check("passo-sbagliato")

	// Attachments: too large is told before it is sent.
	at = v.filled(nil, map[string][]string{"relation": {"guardian"}})
	v.uploads(at+"/allegati", "custody", "Provvedimento del tribunale.pdf", pdfWith("", ""))
	s.open(at+"/allegati", "#s-custody")
	s.check("allegati")
	s.js(`(() => { const t = new DataTransfer(); t.items.add(new File([new Uint8Array(21 << 20)], "a.pdf")); const f = document.getElementById("f-custody"); f.files = t.files; f.form.requestSubmit(); return ""; })()`)
	if got := s.js(`document.getElementById("f-custody-e").textContent + location.pathname`); !strings.Contains(got, "troppo grande") || !strings.HasSuffix(got, "/allegati") {
		t.Errorf("too large: %q", got)
	}
	s.open(at+"/riepilogo", "#next")
	s.check("riepilogo")
	do(s, "warned", chromedp.Click("#warned"))
	do(s, "privacy", chromedp.Click("#privacy"))
	do(s, "on", chromedp.Click("#next"))
	do(s, "the signature", chromedp.WaitVisible("#card-sign"))
	s.check("firma")

	// Two who sign.
	at = v.made(nil, pairs("other", "consents", "other-cf", pki.Invented(2).CF, "other-signs", "yes"))
	v.signs(at, d.signedBy(at, pki.Invented(1)))
	s.open(at+"/firma", "#signers")
	s.check("firma-in-due")
	w := d.screen(d.citizen(2))
	w.open(at+"/firma", "#card-sign")
	w.check("firma-insieme")
	x := d.screen(d.visitor())
	x.open(nursery+"/compila?compila=1", "#write-now")
	x.check("scrivi-prima")
}
