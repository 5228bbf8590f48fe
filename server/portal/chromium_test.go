package portal_test

import (
	"context"
	"database/sql"
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

	"github.com/citel-pa/citel/server/mandate"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/testdata/town"
)

// serious is what axe-core finds that hinders a person seriously.
const serious = `axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations
	.filter(v => v.impact === "serious" || v.impact === "critical")
	.map(v => v.id + ": " + v.help + " | " + v.nodes.map(n => n.html).join(" || ")).join("\n"))`

// wide names what is wider than the window.
const wide = `document.documentElement.scrollWidth <= window.innerWidth ? "" :
	[...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > window.innerWidth + 1 && !e.closest(".table-responsive")).slice(0, 3).map(e => e.outerHTML.slice(0, 120)).join(" || ")`

// chromium is a headless browser.
func chromium(t *testing.T) context.Context {
	t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Fatal("chromium is missing; `make deps` installs it")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true), chromedp.Flag("lang", "it"), chromedp.Flag("accept-lang", "it"), chromedp.WindowSize(1280, 900), chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func step[T any](t *testing.T, ctx context.Context, what string, a chromedp.Action[T]) T {
	t.Helper()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	return v
}

// The town's pages at a desk's and a phone's width: axe-core finds nothing serious, nothing
// is wider than the phone, the banner is there, and a keyboard alone gets through.
func TestTownInChromium(t *testing.T) {
	script, err := os.ReadFile("../assets/dist-test/axe.min.js")
	if err != nil {
		t.Fatalf("%v (`make assets` fetches it)", err)
	}
	d := newDesk(t)
	described(d)
	v := d.visitor()
	me := v.card(1)
	var child *person.Person
	err = d.Store.Tx(t.Context(), func(tx *sql.Tx) (err error) {
		child, err = person.EnsureAccount(t.Context(), tx, person.Natural, d.Child(4), "Ada", "Esempio", d.Today())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	today := d.Today().Format(time.DateOnly)
	m, err := d.Mandates.Grant(t.Context(), d.Operator("prova", 60, "R8"), mandate.Mandate{Kind: mandate.Minor, Principal: child.ID, Agent: me.ID, Title: "Genitore", Since: today, Proof: "Estratto di nascita"})
	if err != nil {
		t.Fatal(err)
	}
	by := mandate.By{Person: me.ID, Level: mandate.LevelGive}
	if _, err := d.Mandates.Ask(t.Context(), "prova", by, mandate.Wish{Kind: mandate.Delegate, Giving: true, Code: town.FormOf(3).Code, Title: "Delegato", Since: today}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/-cookies" {
			d.handler.ServeHTTP(w, r)
			return
		}
		for n, x := range v.cookies { // the login with the card is another test's
			http.SetCookie(w, &http.Cookie{Name: n, Value: x, Path: "/", HttpOnly: true})
		}
	}))
	defer server.Close()
	ctx := chromium(t)
	dir := filepath.Join("..", "..", "build", "screenshots")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	look := func(path, name string) {
		t.Helper()
		for width, what := range map[int64]string{1280: "desktop", 360: "phone"} {
			step(t, ctx, path, chromedp.EmulateViewport(width, 800))
			step(t, ctx, path, chromedp.Navigate(server.URL+path))
			step(t, ctx, path, chromedp.WaitVisible("h1"))
			step(t, ctx, path, chromedp.Evaluate[bool](string(script)+"; true"))
			if found := step(t, ctx, path, chromedp.Evaluate[string](serious, chromedp.EvalAwaitPromise)); found != "" {
				t.Errorf("%s (%s):\n%s", path, what, found)
			}
			if found := step(t, ctx, path, chromedp.Evaluate[string](wide)); found != "" {
				t.Errorf("%s is wider than %d: %s", path, width, found)
			}
			png := step(t, ctx, path, chromedp.FullScreenshot(100))
			if err := errors.Join(os.WriteFile(filepath.Join(dir, "town-"+name+"-"+what+".png"), png, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
	}
	look("/", "home")
	look("/?cerca=nido", "search")
	look("/aiuto", "help")
	look("/privacy", "privacy")
	look("/note-legali", "legal")
	look("/accessibilita", "feedback")
	look("/?lingua=en", "home-english")
	look("/?lingua=it", "home")
	// The keyboard: the first stop leads to the content, and Enter in the search searches.
	step(t, ctx, "home", chromedp.Navigate(server.URL+"/"))
	step(t, ctx, "tab", chromedp.KeyEvent("\t"))
	if got := step(t, ctx, "first stop", chromedp.Evaluate[string](`document.activeElement.getAttribute("href")`)); got != "#main" {
		t.Errorf("the first stop is %q", got)
	}
	step(t, ctx, "search", chromedp.Focus("#cerca"))
	step(t, ctx, "search", chromedp.KeyEvent("nido\r"))
	step(t, ctx, "search", chromedp.WaitVisible("#found"))

	step(t, ctx, "logged in", chromedp.Navigate(server.URL+"/-cookies"))
	look("/deleghe", "mandates")
	look("/deleghe/nuova", "mandate-kinds")
	look("/deleghe/nuova?tipo=figlio", "mandate-new")
	step(t, ctx, "choose", chromedp.Navigate(server.URL+"/deleghe"))
	step(t, ctx, "choose", chromedp.Focus(`input[value="`+m.ID+`"] ~ button`))
	step(t, ctx, "choose", chromedp.KeyEvent("\r"))
	step(t, ctx, "banner", chromedp.WaitVisible("#acting"))
	look("/area", "acting")
	look("/", "acting-home")
	// A screen reader reads it as the main part's description.
	if got := step(t, ctx, "described", chromedp.Evaluate[string](`document.getElementById(document.querySelector("main").getAttribute("aria-describedby")).textContent`)); !strings.Contains(got, "Ada Esempio") {
		t.Errorf("main is described by %q", got)
	}
	step(t, ctx, "back", chromedp.Focus(".acting-banner button"))
	step(t, ctx, "back", chromedp.KeyEvent("\r"))
	step(t, ctx, "back", chromedp.WaitNotPresent("#acting"))
}
