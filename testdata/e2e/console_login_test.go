package e2e

import (
	"context"
	"html"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/testdata/chromium"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/stack"
)

// accessible looks at the page that is open: axe-core, width, picture.
func accessible(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	script, err := os.ReadFile("../../server/assets/dist-test/axe.min.js")
	if err != nil {
		t.Fatalf("%v (`make assets` fetches it)", err)
	}
	do(t, ctx, name, chromedp.Evaluate[bool](string(script)+"; true"))
	if found := do(t, ctx, name, chromedp.Evaluate[string](axe, chromedp.EvalAwaitPromise)); found != "" {
		t.Errorf("%s:\n%s", name, found)
	}
	if wide := do(t, ctx, name, chromedp.Evaluate[int](`document.documentElement.scrollWidth - document.documentElement.clientWidth`)); wide > 0 {
		t.Errorf("%s is %d pixels wider than the window", name, wide)
	}
	shot(t, ctx, "console-"+name)
}

// Who runs the server comes by the link of `citel-server setup --system`, scans the key,
// makes an ente and its first operator's link; no citizen is in the menu.
func TestConsoleFirstAccess(t *testing.T) {
	t.Parallel()
	s := town(t)
	who := pki.Citizens[0]
	setup := exec.CommandContext(t.Context(), filepath.Join(programs, "citel-server"), "setup", "--system", "--demo", "--data", filepath.Join(s.Dir, "data"), "--origin", "http://127.0.0.1:8480", //nolint:gosec // our own program
		"--code", who.CF, "--family", who.Surname, "--given", who.Given, "--born", who.Born.Format("02-01-2006"), "--birth-place", "Pisa", "--sex", who.Sex)
	out, err := setup.Output()
	if err != nil {
		t.Fatal(err, string(out))
	}
	link, err := url.Parse(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	p, origin, err := s.StartServer(context.Background(), stack.ServerOptions{Args: portFlags(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	ctx := browser(t)
	k := keyboard{t, ctx}
	do(t, ctx, "activation", chromium.Navigate(origin+link.RequestURI()))
	k.where("Attiva il tuo accesso")
	accessible(t, ctx, "attiva")
	key, err := otp.NewKeyFromURL(html.UnescapeString(do(t, ctx, "the key", chromedp.Evaluate[string](`document.querySelector("[name=shown]").value`))))
	if err != nil {
		t.Fatal(err)
	}
	code := func(at time.Time) string {
		c, err := totp.GenerateCode(key.Secret(), at)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	const password = "quattro cavalli blu"
	k.write("#f-password", password)
	k.write("#f-again", password)
	k.write("#f-code", code(time.Now()))
	k.press(kb.Enter)
	k.where("L'accesso è attivo")
	k.to("#f-ente")
	k.press(kb.End) // the server's own is the last
	k.write("#f-user", who.CF)
	k.write("#f-password", password)
	k.press(kb.Enter)
	k.where("Secondo fattore")
	accessible(t, ctx, "codice")
	// One works once: the next one comes from a telephone whose clock is half a minute ahead.
	k.write("#f-code", code(time.Now().Add(30*time.Second)))
	k.press(kb.Enter)
	k.where("Scegli un servizio")
	accessible(t, ctx, "sistema")
	if menu := do(t, ctx, "menu", chromium.Text("main")); strings.Contains(menu, "Riconoscimento") {
		t.Error("who runs the server sees citizens:", menu)
	}
	do(t, ctx, "enti", chromium.Navigate(origin+"/consolleente/enti"))
	accessible(t, ctx, "enti")
	do(t, ctx, "an ente", chromium.Navigate(origin+"/consolleente/nuovo-ente"))
	accessible(t, ctx, "ente-nuovo")
	k.write("[name=ente-code]", "nuovo")
	k.write("[name=ente-name]", "Comune Nuovo")
	k.press(kb.Enter)
	k.where("Comune Nuovo")
	accessible(t, ctx, "ente-di-sistema")
	do(t, ctx, "first operator", chromium.Navigate(origin+"/consolleente/enti/nuovo/operatore"))
	other := pki.Citizens[1]
	k.write("#f-code", other.CF)
	k.write("#f-family", other.Surname)
	k.write("#f-given", other.Given)
	k.write("#f-born", other.Born.Format("02-01-2006"))
	k.write("#f-birthPlace", "Pisa")
	k.to("[name=sex]")
	k.press(" ")
	if other.Sex == "M" {
		k.press(kb.ArrowDown)
	}
	k.to("button[value=confirm]")
	k.press(kb.Enter)
	k.where("/consolleente/attiva?codice=")
	accessible(t, ctx, "primo-operatore")
}

// Two minutes before its end the session is warned about, and goes on at a key press.
func TestConsoleSessionWarned(t *testing.T) {
	t.Parallel()
	s := town(t)
	p, origin, err := s.StartServer(context.Background(), stack.ServerOptions{Args: portFlags(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	m := demoOperator.FindStringSubmatch(p.Output())
	if m == nil {
		t.Fatal(p.Output())
	}
	ctx := browser(t)
	k := keyboard{t, ctx}
	do(t, ctx, "login", chromium.Navigate(origin+"/consolleente"))
	k.where("Accesso operatori")
	k.write("#f-user", m[1])
	k.write("#f-password", m[2])
	k.press(kb.Enter)
	k.where("Scegli un servizio")
	db, err := store.Open(t.Context(), filepath.Join(s.Dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	// 28 and a half of the 30 minutes are over, and the tab comes to the front.
	if _, err := db.ExecContext(t.Context(), "UPDATE session SET seen = ? WHERE operator <> 0", store.Time(time.Now().Add(-28*time.Minute-30*time.Second))); err != nil {
		t.Fatal(err)
	}
	do(t, ctx, "to the front", chromedp.Evaluate[bool](`document.dispatchEvent(new Event("visibilitychange"))`))
	do(t, ctx, "the warning", chromium.Seen("#session-warning"))
	accessible(t, ctx, "sessione")
	k.to("#session-extend")
	k.press(kb.Enter)
	do(t, ctx, "it goes on", chromium.Until(`document.getElementById("session-warning")?.getClientRects().length === 0`))
	var seen string
	if err := db.QueryRowContext(t.Context(), "SELECT seen FROM session WHERE operator <> 0").Scan(&seen); err != nil {
		t.Fatal(err)
	}
	if time.Since(store.ParseTime(seen)) > time.Minute {
		t.Error("the session was not extended:", seen)
	}
}

// The second factor with a card: an operator's first access and the next login, with the
// agent and the card; another's card is refused.
func TestConsoleOperatorCard(t *testing.T) {
	t.Parallel()
	s := town(t)
	who := pki.Citizens[0]
	setup := func(data string, who pki.Person) string {
		t.Helper()
		c := exec.CommandContext(t.Context(), filepath.Join(programs, "citel-server"), "setup", "--demo", "--ente", "prova", "--name", "Comune di Prova", "--data", filepath.Join(s.Dir, data), "--origin", "http://127.0.0.1:8480", //nolint:gosec // our own program
			"--code", who.CF, "--family", who.Surname, "--given", who.Given, "--born", who.Born.Format("02-01-2006"), "--birth-place", "Pisa", "--sex", who.Sex)
		out, err := c.Output()
		if err != nil {
			t.Fatal(err, string(out))
		}
		link, err := url.Parse(strings.TrimSpace(string(out)))
		if err != nil {
			t.Fatal(err)
		}
		return link.RequestURI()
	}
	link, others := setup("data", who), setup("data", pki.Citizens[1])
	origin := serve(t, s, portFlags(t)...)
	agent(t, s, stack.AgentOptions{PIN: pin, Origin: origin, Ports: []int{agentPort(t)}})
	// The demo has switched the second factor off; the card is asked for where it is on.
	db, err := store.Open(t.Context(), filepath.Join(s.Dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), "UPDATE ente SET second_factor = 1 WHERE code = 'prova'"); err != nil {
		t.Fatal(err)
	}
	ctx := browser(t)
	k := keyboard{t, ctx}
	const password = "quattro cavalli blu"
	do(t, ctx, "another's link", chromium.Navigate(origin+others))
	k.write("#f-password", password)
	k.write("#f-again", password)
	k.to("#start")
	k.press(kb.Enter)
	do(t, ctx, "another's card", chromium.Seen("#problem"))
	if text := do(t, ctx, "why", chromium.Text("#problem")); !strings.Contains(text, "non è di questo operatore") {
		t.Error(text)
	}
	do(t, ctx, "activation", chromium.Navigate(origin+link))
	accessible(t, ctx, "attiva-carta")
	k.write("#f-password", password)
	k.write("#f-again", password)
	k.to("#start")
	k.press(kb.Enter)
	k.where("L'accesso è attivo")
	k.write("#f-user", who.CF)
	k.write("#f-password", password)
	k.press(kb.Enter)
	k.where("Secondo fattore: la carta")
	accessible(t, ctx, "carta")
	k.to("#start")
	k.press(kb.Enter)
	k.where("Scegli un servizio")
}
