package e2e

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/testdata/chromium"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/stack"
)

// The desk grants a level, in Chromium, with both databases: an operator hands an envelope
// out against a document, the citizen activates it, opens a page that needs forte, is told
// so by the window, passes with the card, and is back. The log names who did it, against
// which document and when; with a byte of it changed it says where.
func TestTheDeskGrantsALevel(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		s := town(t)
		p, origin, err := s.StartServer(context.Background(), stack.ServerOptions{Args: portFlags(t)})
		if err != nil {
			t.Fatal(err)
		}
		stopped := false
		stop := func() {
			if !stopped {
				stopped = true
				if err := p.Stop(); err != nil {
					t.Error(err)
				}
			}
		}
		t.Cleanup(stop)
		deskGrants(t, s, operatorsOf(t, p, origin), filepath.Join(s.Dir, "data"), stop)
	})
	t.Run("PostgreSQL, two servers", func(t *testing.T) {
		s := town(t)
		origin, data, servers := behind(t, s, 2, portFlags(t)...)
		// The second server gave the demo's operators new passwords.
		deskGrants(t, s, operatorsOf(t, servers[1], origin), data[1], func() {})
	})
}

func deskGrants(t *testing.T, s *stack.Stack, d *counterDesk, data string, stop func()) {
	agent(t, s, stack.AgentOptions{PIN: pin, Origin: d.origin, Ports: []int{agentPort(t)}})
	codes, pdf := d.batch(t, "1")
	username, secret := inside(t, pdf)
	ctx := browser(t)
	who := pki.Citizens[0]

	// The operator.
	do(t, ctx, "console", chromium.Navigate(d.origin+"/consolleente/accedi"))
	do(t, ctx, "login", chromium.Seen("#f-user"))
	fill(t, ctx, "user", d.operators["R16"][0], "password", d.operators["R16"][1])
	where(t, ctx, "/consolleente/")
	do(t, ctx, "hand-out", chromium.Navigate(d.origin+"/consolleente/rilascio/persona"))
	do(t, ctx, "hand-out", chromium.Seen("#f-envelope"))
	for name, value := range map[string]string{
		"envelope": codes[0], "code": who.CF, "family": who.Surname, "given": who.Given, "born": who.Born.Format("02/01/2006"), "birthPlace": "Pisa",
		"document.kind": "identity-card", "document.number": "CA00000AA", "document.issuer": "Comune di Prova", "document.issued": "01-02-2024",
		"document.expires": time.Now().AddDate(5, 0, 0).Format("02-01-2006"),
	} {
		do(t, ctx, name, chromium.SetValue("[name='"+name+"']", value))
	}
	do(t, ctx, "sex", chromium.Click("[name=sex][value="+who.Sex+"]"))
	do(t, ctx, "confirm", chromium.Click("[name=act][value=confirm]"))
	do(t, ctx, "handed out", chromium.Seen("#holder-code"))
	holder := do(t, ctx, "the holder's code", chromium.Text("#holder-code"))

	// The citizen, in a browser of its own.
	ctx = browser(t)
	do(t, ctx, "/busta", chromium.Navigate(d.origin+"/busta"))
	do(t, ctx, "/busta", chromium.Seen("#f-utente"))
	fill(t, ctx, "utente", username, "pin", secret, "consegna", holder, "nuova", another)
	where(t, ctx, "/area")
	if level := do(t, ctx, "level", chromium.Text("#level")); !strings.Contains(level, "media") {
		t.Fatalf("level %q", level)
	}
	do(t, ctx, "a page for forte", chromium.Navigate(d.origin+"/servizi/iscrizione-nido/compila"))
	where(t, ctx, "/accedi")
	if text := do(t, ctx, "the window", chromium.Text("#need")); !strings.Contains(text, "credenziale forte") {
		t.Errorf("the window: %q", text)
	}
	do(t, ctx, "the card", chromium.Click("#start"))
	where(t, ctx, "/servizi/iscrizione-nido/compila")

	// The log.
	stop()
	out, err := serverCommand(s, "audit", "verify", "--data", data).CombinedOutput()
	release := regexp.MustCompile(`prova +(\d+) +(\S+) +envelope-handed-out +` + codes[0] + ` +#\d+ ` + d.operators["R16"][0] + ` .*` + who.CF + `.*CA00000AA`).FindStringSubmatch(string(out))
	if err != nil || release == nil {
		t.Fatalf("the release is not named: %v\n%s", err, out)
	}
	if at, err := time.Parse(time.RFC3339, release[2]); err != nil || time.Since(at) > 10*time.Minute {
		t.Errorf("the time of the release: %s", release[2])
	}
	changeLog(t, s, data, release[1])
	out, err = serverCommand(s, "audit", "verify", "--data", data).CombinedOutput()
	var code *exec.ExitError
	if !errors.As(err, &code) || code.ExitCode() != 1 || !strings.Contains(string(out), "changed: prova, row "+release[1]) {
		t.Errorf("a changed byte: %v\n%s", err, out)
	}
}

// inside reads user name and PIN out of the printed batch, as its holder reads the sheet.
func inside(t *testing.T, pdf string) (username, secret string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "buste.pdf")
	if err := os.WriteFile(name, []byte(pdf), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := exec.Command("pdftotext", "-layout", name, "-").CombinedOutput()
	if err != nil {
		t.Fatalf("pdftotext: %v: %s (make deps)", err, text)
	}
	u := regexp.MustCompile(`Nome utente\W+(\S+)`).FindStringSubmatch(string(text))
	p := regexp.MustCompile(`PIN di primo accesso\s+(\S{5} \S{5})`).FindStringSubmatch(string(text))
	if u == nil || p == nil {
		t.Fatalf("no user name and PIN in\n%s", text)
	}
	return u[1], p[1]
}

// changeLog changes a byte of a row, as whoever owns the database can.
func changeLog(t *testing.T, s *stack.Stack, data, row string) {
	t.Helper()
	url := ""
	for _, kv := range s.Env {
		if v, ok := strings.CutPrefix(kv, "DATABASE_URL="); ok {
			url = v
		}
	}
	db, err := store.OpenURL(t.Context(), url, data)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	drop := "DROP TRIGGER journal_no_update"
	if db.Engine() == store.Postgres {
		drop += " ON journal"
	}
	for _, q := range []string{drop, "UPDATE journal SET kind = 'x' || substr(kind, 2) WHERE ente = 'prova' AND seq = " + row} {
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
}
