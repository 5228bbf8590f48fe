package portal_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/citel-pa/citel/server/role"
)

// axe is what axe-core finds that hinders a person seriously.
const axe = `axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations
	.filter(v => v.impact === "serious" || v.impact === "critical")
	.map(v => v.id + ": " + v.help + " | " + v.nodes.map(n => n.html).join(" || ")).join("\n"))`

// window is a browser at the desk's pages, with a visitor's cookies.
type browserWindow struct {
	t      *testing.T
	ctx    context.Context
	origin string
	axe    string
}

func (d *desk) browser(v *visitor) *browserWindow {
	d.t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		d.t.Fatal("chromium is missing; `make deps` installs it")
	}
	script, err := os.ReadFile("../assets/dist-test/axe.min.js")
	if err != nil {
		d.t.Fatalf("%v (`make assets` fetches it)", err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cookies" { // the visitor's, who has logged in before
			for name, value := range v.cookies {
				http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true}) //nolint:gosec // loopback
			}
			return
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
	ctx, cancel = context.WithTimeout(ctx, 90*time.Second)
	d.t.Cleanup(cancel)
	b := &browserWindow{d.t, ctx, s.URL, string(script)}
	do(b, "cookies", chromedp.Navigate(s.URL+"/cookies"))
	return b
}

// do makes one step.
func do[T any](b *browserWindow, what string, a chromedp.Action[T]) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, a)
	if err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
	return v
}

// open goes to a page and judges it: nothing serious for axe-core, nothing wider than the
// screen. A picture of it is kept.
func (b *browserWindow) open(path, name string) {
	b.t.Helper()
	do(b, path, chromedp.Navigate(b.origin+path))
	do(b, path, chromedp.WaitVisible("h1"))
	b.judge(path, name)
}

func (b *browserWindow) judge(what, name string) {
	b.t.Helper()
	do(b, what, chromedp.Evaluate[bool](b.axe+"; true"))
	if found := do(b, what, chromedp.Evaluate[string](axe, chromedp.EvalAwaitPromise)); found != "" {
		b.t.Errorf("%s:\n%s", what, found)
	}
	if wide := do(b, what, chromedp.Evaluate[int](`document.documentElement.scrollWidth - document.documentElement.clientWidth`)); wide > 0 {
		b.t.Errorf("%s (%s): %d pixels wider than the screen", what, name, wide)
	}
	picture := do(b, what, chromedp.FullScreenshot(100))
	dir := filepath.Join("..", "..", "build", "screenshots")
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o600)); err != nil { //nolint:gosec // pictures of test pages
		b.t.Fatal(err)
	}
}

// The pages of an application and of the own area, in a real browser: on a desk's and on a
// phone's width, without a mouse, for axe-core.
func TestFilesInABrowser(t *testing.T) {
	d := newDesk(t)
	a := d.enrolled(1)
	school := d.Operator("prova", 5, "R20")
	v := d.visitor()
	v.card(1)
	d.wrote(d.at(1))
	if _, err := d.Applications.Start(t.Context(), d.at(1), "iscrizione-nido"); err != nil {
		t.Fatal(err)
	}
	at := "/pratiche/" + a.ID
	b := d.browser(v)
	look := func(part string) {
		t.Helper()
		for _, width := range []int64{1200, 360} {
			do(b, "width", chromedp.EmulateViewport(width, 740))
			b.open(at, fmt.Sprintf("pratica-%s-%d", part, width))
		}
	}
	look("inviata")
	b.more(d, school, a.ID)
	look("integrazione")
	for _, width := range []int64{1200, 360} {
		do(b, "width", chromedp.EmulateViewport(width, 740))
		for path, name := range map[string]string{"/area": "area", "/pratiche": "pratiche", at + "/ritira": "ritira", "/verifica-ricevuta": "sigillo", "/area/messaggi": "messaggi", "/area/accessi": "accessi"} {
			b.open(path, fmt.Sprintf("%s-%d", name, width))
		}
	}

	// By keyboard alone: three stars, why, and sent.
	do(b, "page", chromedp.Navigate(b.origin+at))
	do(b, "page", chromedp.WaitVisible("#star-1"))
	do(b, "focus", chromedp.Focus("#star-1"))
	for _, key := range []string{" ", kb.ArrowRight, kb.ArrowRight} {
		do(b, "key", chromedp.KeyEvent(key))
	}
	if n := do(b, "stars", chromedp.Evaluate[string](`document.querySelector("input[name=stars]:checked").value`)); n != "3" {
		t.Errorf("the keys choose %s stars", n)
	}
	do(b, "question", chromedp.WaitVisible(".rate-negative"))
	if shown := do(b, "other question", chromedp.Evaluate[bool](`document.querySelector(".rate-positive").checkVisibility()`)); shown {
		t.Error("both questions are shown")
	}
	b.judge("the rating", "valuta-360")
	do(b, "key", chromedp.KeyEvent(kb.Tab))
	do(b, "key", chromedp.KeyEvent(" "))
	do(b, "key", chromedp.KeyEvent(kb.Tab))
	do(b, "key", chromedp.KeyEvent("Lungo\r"))
	do(b, "thanks", chromedp.WaitVisible(`//h2[contains(., "Grazie")]`))
	all, err := d.Ratings.Counts(t.Context(), d.Operator("prova", 7, "R12"))
	if err != nil || len(all) != 1 || all[0].Stars[2] != 1 || len(all[0].Aspects) != 1 {
		t.Errorf("%+v %v", all, err)
	}
}

// more is the desk's side between two looks.
func (b *browserWindow) more(d *desk, school role.Actor, id string) {
	b.t.Helper()
	d.Move(time.Minute)
	err := errors.Join(d.Applications.Take(b.ctx, school, id), d.Applications.Write(b.ctx, school, id, "Buongiorno, abbiamo cominciato a leggere la domanda."),
		d.Applications.More(b.ctx, school, id, "Manca il certificato del pediatra.\nPuoi allegarlo da questa pagina."))
	if err != nil {
		b.t.Fatal(err)
	}
}
