package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/envelope"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/testdata/chromium"
	"github.com/citel-pa/citel/testdata/smtp"
	"github.com/citel-pa/citel/testdata/stack"
	invented "github.com/citel-pa/citel/testdata/town"
)

const (
	chosen  = "sette gatti sul tetto"
	another = "otto cani nel cortile"
)

// handed is an envelope in the hands of a citizen.
type handed struct{ username, pin, holder string }

// counter prepares the data of a server that is about to start: an office, mail to the test's
// mail server, and an envelope that R16 has handed out to the citizen whose card is in the
// reader.
func counter(t *testing.T, s *stack.Stack, post *smtp.Server) handed {
	t.Helper()
	ctx, dir := t.Context(), filepath.Join(s.Dir, "data")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keys.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	tn := invented.On(t, db, ring)
	admin, printer, urp := tn.Operator("prova", 50, "R6"), tn.Operator("prova", 51, "R8"), tn.Operator("prova", 52, "R16")
	err = errors.Join(
		tn.Enti.SetMail(ctx, admin, "prova", ente.Mail{From: "sportello@comune.example", FromName: "Comune di Prova", Host: post.Address, Security: "none"}),
		tn.Enti.SaveOffice(ctx, admin, "prova", ente.Office{Name: "URP", Address: "Piazza dell'Esempio 1", Phone: "050 123456", Email: "urp@comune.example", Hours: "lunedì-venerdì 9-13", Place: 1}),
		tn.Enti.FillCatalogue(ctx),
	)
	if err != nil {
		t.Fatal(err)
	}
	sheet := tn.Print(printer, 1)[0]
	f := invented.FormOf(0)
	f.Reason = "come nel documento"
	h, err := tn.Envelopes.HandOut(ctx, urp, envelope.Release{Code: sheet.Code, Form: &f, Document: tn.Document()})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return handed{sheet.Username, sheet.PIN, h.Holder}
}

// mailed waits for a message to an address and gives the link in it.
func mailed(t *testing.T, post *smtp.Server, to string) string {
	t.Helper()
	link := regexp.MustCompile(`https?://\S+`)
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		for _, m := range post.Messages() {
			if strings.Contains(m.To, to) && link.MatchString(m.Body) {
				return link.FindString(m.Body)
			}
		}
	}
	t.Fatalf("no message with a link to %s: %+v", to, post.Messages())
	return ""
}

// look takes a page at a desk's and a phone's width, and lets axe-core look at both.
func look(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	script, err := os.ReadFile("../../server/assets/dist-test/axe.min.js")
	if err != nil {
		t.Fatalf("%v (`make assets` fetches it)", err)
	}
	for _, w := range []struct {
		suffix        string
		width, height int64
	}{{"", 1200, 900}, {"-phone", 360, 740}} {
		do(t, ctx, name, chromedp.EmulateViewport(w.width, w.height))
		shot(t, ctx, "citizen-"+name+w.suffix)
		if got := do(t, ctx, name, chromedp.Evaluate[int]("document.documentElement.scrollWidth")); int64(got) > w.width {
			t.Errorf("%s is %d wide in %d", name, got, w.width)
		}
		do(t, ctx, name, chromedp.Evaluate[bool](string(script)+"; true"))
		if found := do(t, ctx, name, chromedp.Evaluate[string](axe, chromedp.EvalAwaitPromise)); found != "" {
			t.Errorf("%s%s:\n%s", name, w.suffix, found)
		}
	}
	do(t, ctx, name, chromedp.EmulateViewport(1200, 900))
}

// fill fills in a form and sends it with the Enter key, as without a mouse.
func fill(t *testing.T, ctx context.Context, pairs ...string) {
	t.Helper()
	for i := 0; i+1 < len(pairs); i += 2 {
		do(t, ctx, pairs[i], chromium.SetValue("#f-"+pairs[i], pairs[i+1]))
	}
	do(t, ctx, "focus", chromium.Focus("#f-"+pairs[len(pairs)-2]))
	do(t, ctx, "enter", chromedp.KeyEvent("\r"))
}

// where waits until the browser is at a path.
func where(t *testing.T, ctx context.Context, path string) {
	t.Helper()
	do(t, ctx, "where", chromium.Until(fmt.Sprintf(`document.readyState === "complete" && location.pathname === %q && document.querySelector("h1") !== null`, path)))
	do(t, ctx, path, chromium.Seen("h1"))
}

// The pages that nobody logs in for.
func TestCitizensPages(t *testing.T) {
	t.Parallel()
	s := town(t)
	counter(t, s, smtp.Start(t, false))
	origin := serve(t, s, portFlags(t)...)
	ctx := browser(t)
	open := func(path string) {
		t.Helper()
		do(t, ctx, path, chromium.Navigate(origin+path))
		do(t, ctx, path, chromium.Seen("h1"))
	}
	for name, path := range map[string]string{"enti": "/enti", "inactive": "/enti/pisa/", "credentials": "/credenziali", "login": "/accedi", "other-ente": "/enti/altro/accedi", "envelope": "/busta", "forgot": "/password", "dead-link": "/password/nuova?codice=x"} {
		open(path)
		look(t, ctx, name)
	}
}

// The citizen's whole way: registration and its mail, the envelope from the desk, a page that
// needs more and says so in its window, the card, the question whether the two accounts are
// one, and back at the page with what had been written.
func TestCitizensWay(t *testing.T) {
	t.Parallel()
	s := town(t)
	post := smtp.Start(t, false)
	busta := counter(t, s, post)
	origin := serve(t, s, portFlags(t)...)
	agent(t, s, stack.AgentOptions{PIN: pin, Origin: origin, Ports: []int{agentPort(t)}})
	ctx := browser(t)
	open := func(path string) {
		t.Helper()
		do(t, ctx, path, chromium.Navigate(origin+path))
		do(t, ctx, path, chromium.Seen("h1"))
	}
	// Registration.
	open("/registrazione")
	fill(t, ctx, "nome", "Prova", "cognome", "Qualunque", "email", "prova@example.org", "nuova", "corta")
	do(t, ctx, "a weak password", chromium.Seen("#wrong"))
	look(t, ctx, "register-wrong")
	do(t, ctx, "show", chromium.Click("button[data-secret=f-nuova]"))
	if kind := do(t, ctx, "shown", chromedp.Evaluate[string]("document.getElementById('f-nuova').type")); kind != "text" {
		t.Errorf("shown: %s", kind)
	}
	fill(t, ctx, "nuova", chosen)
	do(t, ctx, "registered", chromium.Seen("p.lead[role=status]"))
	look(t, ctx, "registered")
	link := mailed(t, post, "prova@example.org")
	if !strings.HasPrefix(link, origin+"/registrazione/conferma?codice=") {
		t.Fatalf("link %s", link)
	}
	do(t, ctx, "the mail's link", chromium.Navigate(link))
	do(t, ctx, "confirm", chromium.Seen("form[action='/registrazione/conferma'] button"))
	look(t, ctx, "confirm")
	do(t, ctx, "confirm", chromium.Click("form[action='/registrazione/conferma'] button"))
	do(t, ctx, "confirmed", chromium.Seen("p.lead[role=status]"))

	// Something is begun before any login, and the window names what it needs.
	open("/servizi/iscrizione-nido/compila")
	where(t, ctx, "/accedi")
	do(t, ctx, "the window", chromium.Seen("#need"))
	look(t, ctx, "window")
	do(t, ctx, "write now", chromium.Click("a[href='/servizi/iscrizione-nido/compila?compila=1']"))
	do(t, ctx, "the form", chromium.Seen("#write-now"))
	do(t, ctx, "a name", chromium.SetValue("#f-child-given", "Nina"))
	do(t, ctx, "send", chromium.Click("form[data-form] .buttons button"))
	do(t, ctx, "kept", chromium.Seen("#kept"))
	look(t, ctx, "window-kept")

	// Debole.
	open("/accedi")
	fill(t, ctx, "utente", "prova@example.org", "password", "wrong wrong wrong")
	do(t, ctx, "refused", chromium.Seen("#refused"))
	look(t, ctx, "refused")
	time.Sleep(2 * time.Second) // the delay after a wrong password
	fill(t, ctx, "utente", "prova@example.org", "password", chosen)
	where(t, ctx, "/area")
	do(t, ctx, "what is kept is in the area", chromium.Seen("#kept"))
	look(t, ctx, "area-debole")

	// Media: the envelope. The debole asks whether it is the same person's; no.
	open("/busta")
	fill(t, ctx, "utente", busta.username, "pin", busta.pin, "consegna", busta.holder, "nuova", another)
	where(t, ctx, "/unisci")
	look(t, ctx, "join")
	if no := do(t, ctx, "no is the default", chromedp.Evaluate[bool]("document.getElementById('join-no').checked")); !no {
		t.Error("yes is the default")
	}
	do(t, ctx, "go on", chromium.Click("form[action='/unisci'] button"))
	where(t, ctx, "/area")
	if level := do(t, ctx, "level", chromium.Text("#level")); !strings.Contains(level, "media") {
		t.Errorf("level %q", level)
	}
	look(t, ctx, "area-media")

	// Forte: the window names it, the card opens it, and the form is as it was.
	open("/servizi/iscrizione-nido/compila")
	where(t, ctx, "/accedi")
	do(t, ctx, "the window", chromium.Seen("#need"))
	if text := do(t, ctx, "the window", chromium.Text("#need")); !strings.Contains(text, "credenziale forte") || !strings.Contains(text, "Piazza dell'Esempio 1") {
		t.Errorf("the window: %q", text)
	}
	do(t, ctx, "the card", chromium.Click("#start"))
	where(t, ctx, "/servizi/iscrizione-nido/compila")
	if name := do(t, ctx, "kept", chromium.Value("#f-child-given")); name != "Nina" {
		t.Errorf("the form has %q", name)
	}
	look(t, ctx, "form-kept")
	open("/area")
	look(t, ctx, "area-forte")
	do(t, ctx, "a new password by card", chromium.Click("a[href^='/area/credenziali/']"))
	do(t, ctx, "reset", chromium.Seen("#f-nuova"))
	look(t, ctx, "reset")
	fill(t, ctx, "nuova", chosen)
	where(t, ctx, "/area")

	// The end of the session is told in time, and put off with the keyboard.
	nearlyOver(t, s)
	do(t, ctx, "back at the page", chromedp.Evaluate[bool](`document.dispatchEvent(new Event("visibilitychange")); true`))
	do(t, ctx, "the warning", chromium.Seen("#session-dialog[open]"))
	look(t, ctx, "session")
	do(t, ctx, "stay", chromium.Focus("#session-stay"))
	do(t, ctx, "stay", chromedp.KeyEvent("\r"))
	do(t, ctx, "closed", chromium.Gone("#session-dialog[open]"))
}

// nearlyOver moves the sessions' last request back, so that a minute and a half is left.
func nearlyOver(t *testing.T, s *stack.Stack) {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(s.Dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), "UPDATE session SET seen = ?", store.Time(time.Now().Add(-28*time.Minute-30*time.Second)))
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}
