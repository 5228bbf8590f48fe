package e2e

import (
	"context"
	"encoding/base64"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/citel-pa/citel/testdata/chromium"
	"github.com/citel-pa/citel/testdata/smtp"
	"github.com/citel-pa/citel/testdata/stack"
)

// A loop is seen end to end: a citizen with a card, the agent's window, the server's process,
// and an office, each in a browser of its own.

// house is a server that is started anew under the same address: the browser's origin is what
// a card signs.
type house struct {
	*counterDesk
	t *testing.T
	s *stack.Stack
	p *stack.Process
}

func newHouse(t *testing.T, s *stack.Stack) *house {
	t.Helper()
	h := &house{t: t, s: s}
	h.restart()
	t.Cleanup(func() {
		if err := h.p.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(h.p.Log())
		}
	})
	return h
}

// restart ends the server and starts it again on the same data. The demo's operators have
// new passwords then.
func (h *house) restart() {
	h.t.Helper()
	o, origin := stack.ServerOptions{Args: portFlags(h.t)}, ""
	if h.p != nil {
		if err := h.p.Stop(); err != nil {
			h.t.Fatal(err)
		}
		u, err := url.Parse(h.origin)
		if err != nil {
			h.t.Fatal(err)
		}
		o.Listen = u.Host
	}
	var err error
	if h.p, origin, err = h.s.StartServer(context.Background(), o); err != nil {
		h.t.Fatal(err)
	}
	h.counterDesk = operatorsOf(h.t, h.p, origin)
}

// postTo lets the ente's mail out through the test's mail server.
func (h *house) postTo(post *smtp.Server) {
	h.t.Helper()
	c := h.clerk(h.t, "R6")
	c.get("/consolleente/infrastruttura/posta")
	if page := c.post("/consolleente/infrastruttura/posta", url.Values{"from": {"sportello@comune.example"}, "host": {post.Address}, "security": {"none"}}); !strings.Contains(page, "Salvato") {
		h.t.Fatal(page)
	}
}

// login opens the console in a browser of its own.
func (h *house) login(role string) keyboard {
	h.t.Helper()
	ctx := browser(h.t)
	do(h.t, ctx, "console", chromium.Navigate(h.origin+"/consolleente/accedi"))
	do(h.t, ctx, "login", chromium.Seen("#f-user"))
	fill(h.t, ctx, "user", h.operators[role][0], "password", h.operators[role][1])
	where(h.t, ctx, "/consolleente/")
	return keyboard{h.t, ctx}
}

// open goes to a page and waits for a text in its main part.
func (k keyboard) open(address, text string) {
	k.t.Helper()
	do(k.t, k.ctx, address, chromium.Navigate(address))
	k.where(text)
}

// seen waits for an element.
func (k keyboard) seen(selector string) {
	k.t.Helper()
	if _, err := chromium.Run(k.ctx, chromium.Seen(selector)); err != nil {
		shot(k.t, k.ctx, "failed")
		k.t.Fatalf("%v\n%s", err, k.main())
	}
}

func (k keyboard) click(selector string) {
	k.t.Helper()
	k.seen(selector)
	do(k.t, k.ctx, selector, chromium.Click(selector))
}

// turn clicks what leads to another page, and waits for it.
func (k keyboard) turn(selector string) {
	k.t.Helper()
	do(k.t, k.ctx, selector, chromedp.Evaluate[bool](`document.body.dataset.before = "1", true`))
	k.click(selector)
	k.seen("body:not([data-before]) main")
}

// main is what a person reads on the page.
func (k keyboard) main() string {
	k.t.Helper()
	return do(k.t, k.ctx, "main", chromedp.Evaluate[string](`document.querySelector("main").innerText`))
}

// reads tells that all of this is on the page.
func (k keyboard) reads(where string, all ...string) {
	k.t.Helper()
	text := k.main()
	for _, want := range all {
		if !strings.Contains(text, want) {
			k.t.Errorf("%s: nothing of %q:\n%s", where, want, text)
		}
	}
}

// path is the address without origin.
func (k keyboard) path() string {
	k.t.Helper()
	u, err := url.Parse(do(k.t, k.ctx, "where", chromium.Location()))
	if err != nil {
		k.t.Fatal(err)
	}
	return u.Path
}

// deed does an act of an office on the application that is open.
func (k keyboard) deed(path, words string) {
	k.t.Helper()
	form := `form[action$="/` + path + `"]`
	if do(k.t, k.ctx, path, chromedp.Evaluate[bool](`!document.querySelector('details:has(`+form+`)').open`)) {
		k.click(`details:has(` + form + `) summary`)
	}
	if words != "" {
		do(k.t, k.ctx, path, chromium.SetValue(form+" textarea", words))
	}
	k.turn(form + " button")
	k.seen(".alert-success")
}

// get reads a file as the page's own link would.
func (k keyboard) get(path string) []byte {
	k.t.Helper()
	text := do(k.t, k.ctx, path, chromedp.Evaluate[string](`fetch("`+path+`").then(r => { if (!r.ok) throw new Error(r.status); return r.arrayBuffer(); })
		.then(b => btoa(Array.from(new Uint8Array(b), x => String.fromCharCode(x)).join("")))`, chromedp.EvalAwaitPromise))
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		k.t.Fatal(err)
	}
	return b
}

// download is get into a folder.
func (k keyboard) download(dir, path string) string {
	k.t.Helper()
	name := filepath.Join(dir, filepath.Base(path))
	if err := os.WriteFile(name, k.get(path), 0o600); err != nil {
		k.t.Fatal(err)
	}
	return name
}

// login is the person at the agent's window.
func (s *screen) login(secret string) {
	s.t.Helper()
	s.reader("wait", "password text", "PIN della carta")
	settle()
	s.keys(secret)
	s.key("Return")
}

// read is the person at the agent's window, which the page has asked for: a document is read
// and signed.
func (s *screen) read(ctx context.Context, secret, says, picture string) {
	s.t.Helper()
	defer func() {
		if s.t.Failed() {
			shot(s.t, ctx, "failed")
		}
	}()
	s.reader("wait", "push button", "Sì, può usare CiTel") // nobody has said that the site is to be remembered
	settle()
	s.reader("press", "Sì, può usare CiTel")
	s.reader("wait", "push button", "Ho letto")
	s.reader("wait", "", says)
	settle()
	s.shot(picture)
	s.reader("press", "Ho letto")
	s.reader("wait", "password text", "PIN della carta")
	settle()
	s.keys(secret)
	s.reader("press", "Firma")
}

// says runs a program that ends well and has this in what it says.
func says(t *testing.T, want, name string, args ...string) {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput() //nolint:gosec // fixed words
	if err != nil || !strings.Contains(string(out), want) {
		t.Errorf("%s %v: %v, without %q (make deps)\n%s", filepath.Base(name), args, err, want, out)
	}
}

// mailAbout waits for a message with these words in its subject, and gives its link.
func mailAbout(t *testing.T, post *smtp.Server, to, subject string) string {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		for _, m := range post.Messages() {
			if !strings.Contains(m.To, to) || !strings.Contains(m.Subject, subject) {
				continue
			}
			lines := strings.Fields(m.Body)
			if i := slices.IndexFunc(lines, func(x string) bool { return strings.HasPrefix(x, "http") }); i >= 0 {
				return lines[i]
			}
		}
	}
	t.Fatalf("no message %q to %s: %+v", subject, to, post.Messages())
	return ""
}
