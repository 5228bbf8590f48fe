package console_test

import (
	"context"
	"errors"
	"fmt"
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
	"github.com/citel-pa/citel/server/deposit"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/town"
)

// axe is what axe-core finds that hinders a person seriously, and whether the page is wider
// than the window (WCAG 2.1, 1.4.10, Reflow).
const axe = `axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations
	.filter(v => v.impact === "serious" || v.impact === "critical")
	.map(v => v.id + ": " + v.help + " | " + v.nodes.map(n => n.html).join(" || "))
	.concat(document.documentElement.scrollWidth > window.innerWidth + 1 ? ["the page is " + document.documentElement.scrollWidth + " wide"] : []).join("\n"))`

// screen is Chromium with an operator's session, whose cookies the server in front adds.
type screen struct {
	t      *testing.T
	ctx    context.Context
	origin string
	script string
}

func screenOf(t *testing.T, w *town.Town, h http.Handler, a role.Actor) *screen {
	t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Fatal("chromium is missing; `make deps` installs it")
	}
	script, err := os.ReadFile("../assets/dist-test/axe.min.js")
	if err != nil {
		t.Fatalf("%v (`make assets` fetches it)", err)
	}
	b := as(t, w, h, a, "192.0.2.1:1")
	mux := http.NewServeMux()
	mux.Handle("GET "+assets.Prefix, assets.Handler())
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		for n, x := range b.cookies {
			r.AddCookie(&http.Cookie{Name: n, Value: x})
		}
		h.ServeHTTP(w, r)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("lang", "it"), chromedp.Flag("accept-lang", "it"), chromedp.WindowSize(1200, 900), chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 80*time.Second)
	t.Cleanup(cancel)
	return &screen{t, ctx, s.URL, string(script)}
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

func (s *screen) shot(name string) {
	png, err := chromedp.Run(s.ctx, chromedp.FullScreenshot(100))
	dir := filepath.Join("..", "..", "build", "screenshots")
	if err == nil {
		err = errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "console-"+name+".png"), png, 0o600)) //nolint:gosec // pictures of test pages
	}
	if err != nil {
		s.t.Error(err)
	}
}

// look opens a page and judges it at a desk's and a phone's width.
func (s *screen) look(name, path string) {
	s.t.Helper()
	if path != "" {
		do(s, path, chromedp.Navigate(s.origin+path))
		do(s, path+" h1", chromedp.WaitVisible("h1"))
	}
	for width, size := range map[string][2]int64{"desk": {1200, 900}, "phone": {360, 740}} {
		do(s, name, chromedp.EmulateViewport(size[0], size[1]))
		do(s, name, chromedp.Evaluate[bool](s.script+"; true"))
		if found := do(s, name, chromedp.Evaluate[string](axe, chromedp.EvalAwaitPromise)); found != "" {
			s.t.Errorf("%s, %s:\n%s", name, width, found)
		}
		s.shot(name + "-" + width)
	}
	do(s, name, chromedp.EmulateViewport(1200, 900))
}

// The back office in a browser: nothing serious for axe-core at both widths, and an
// application is answered by the keyboard alone.
func TestBackOfficeInABrowser(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	h := pages(t, w)
	// R9 is an administrator and a desk.
	all := w.Operator("prova", 1, "R9")
	colleague := w.Operator("prova", 2, "R12")
	if err := w.Operators.SetOffices(t.Context(), all, colleague.Operator, []string{"Ambiente", "URP"}); err != nil {
		t.Fatal(err)
	}
	v := citizen(t, w, 20)
	late := writes(t, w, v, "waste", "Il cassonetto di Via Prova è pieno da una settimana.", plainPDF(t, w))
	w.Move(45 * 24 * time.Hour)
	a := writes(t, w, v, "other", "Buongiorno,\nvorrei sapere gli orari dell'ufficio.\n\nGrazie")
	if err := w.Applications.Take(t.Context(), colleague, late.ID); err != nil {
		t.Fatal(err)
	}
	if err := w.Applications.More(t.Context(), colleague, late.ID, "In quale via esattamente?"); err != nil {
		t.Fatal(err)
	}
	if err := w.Applications.Reply(t.Context(), v, late.ID, "Via Prova 12"); err != nil {
		t.Fatal(err)
	}
	since := w.Today().Add(-time.Hour)
	series, err := w.Register.OpenEmergency(t.Context(), all, "Interruzione della corrente in tutto il palazzo", since)
	if err != nil {
		t.Fatal(err)
	}
	w.Move(24 * time.Hour)
	w.Deposits.To = deposit.Folder(t.TempDir())
	if err := errors.Join(w.Register.CloseDays(t.Context()), w.Deposits.Run(t.Context())); err != nil {
		t.Fatal(err)
	}
	s := screenOf(t, w, h, all)
	s.look("pratiche", path+"/pratiche?stato=tutte")
	s.look("pratica", path+"/pratiche/"+late.ID)
	s.look("conteggi", path+"/pratiche/conteggi?dal=2020-01-01")
	s.look("argomenti", path+"/uffici/argomenti")
	s.look("operatori-uffici", path+"/uffici/operatori")
	s.look("operatore-uffici", fmt.Sprintf("%s/uffici/operatori/%d", path, colleague.Operator))
	s.look("protocollo", path+"/protocollo")
	s.look("registrazione", fmt.Sprintf("%s/protocollo/%d/%d", path, late.Number.Year, late.Number.Number))
	s.look("verifica", path+"/protocollo/verifica")
	s.look("giorni", path+"/protocollo/giorni")
	s.look("emergenze", path+"/protocollo/emergenza")
	s.look("emergenza", fmt.Sprintf("%s/protocollo/emergenza/%d", path, series))
	s.look("versamenti", path+"/protocollo/versamenti")
	s.look("scarto", path+"/protocollo/scarto")

	// By keyboard: to the act, opened with Enter, written, sent.
	do(s, "the application", chromedp.Navigate(s.origin+path+"/pratiche/"+a.ID))
	keys := func(what string, all ...string) {
		t.Helper()
		for _, k := range all {
			do(s, what, chromedp.KeyEvent(k))
		}
	}
	tab := func(want string) {
		t.Helper()
		for range 120 {
			keys(want, "\t")
			if do(s, want, chromedp.Evaluate[bool](`(document.activeElement?.textContent ?? "").trim() === "`+want+`" || document.activeElement?.name === "`+want+`" && document.activeElement.checkVisibility()`)) {
				return
			}
		}
		s.shot("failed")
		t.Fatalf("the keyboard does not come to %q", want)
	}
	tab("Rispondi")
	keys("open", "\r")
	tab("words")
	keys("write", "Ufficio aperto dalle 9 alle 13.")
	tab("Rispondi") // the button
	keys("send", "\r")
	do(s, "answered", chromedp.WaitVisible(`a[href$="/carte/risposta.pdf"]`))
	s.look("risposta", "")
	if x, err := w.Applications.Get(t.Context(), v, a.ID); err != nil || x.State != "answered" {
		t.Error(x, err)
	}
	if text := do(s, "text", chromedp.Evaluate[string]("document.body.innerText")); !strings.Contains(text, "protocollo in uscita") {
		t.Error(text)
	}
}
