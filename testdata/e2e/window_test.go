package e2e

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/agent/wire"
	"github.com/citel-pa/citel/testdata/page"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/stack"
)

// screen is a desktop of its own: a display, a session bus, and a person who uses a
// screen reader and a keyboard.
type screen struct {
	t   *testing.T
	env []string
}

func newScreen(t *testing.T) *screen {
	t.Helper()
	display := xvfb(t)
	home := t.TempDir()
	cmd := exec.Command("dbus-daemon", "--session", "--nofork", "--print-address")
	cmd.Env = append(os.Environ(), "HOME="+home, "DISPLAY="+display)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v; `make deps` installs dbus", err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	address := make([]byte, 512)
	n, err := out.Read(address)
	if err != nil {
		t.Fatal(err)
	}
	return &screen{t: t, env: []string{"DISPLAY=" + display, "DBUS_SESSION_BUS_ADDRESS=" + strings.TrimSpace(string(address[:n])), "HOME=" + home,
		"XDG_RUNTIME_DIR=" + home, "WAYLAND_DISPLAY=", "GTK_THEME=Adwaita", "NO_AT_BRIDGE=0"}}
}

// run runs a program on this desktop.
func (s *screen) run(in string, name string, args ...string) (string, error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 40*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), s.env...)
	cmd.Stdin = strings.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = errors.Join(err, errors.New(stderr.String()))
	}
	return string(out), err
}

func (s *screen) must(in, name string, args ...string) string {
	s.t.Helper()
	out, err := s.run(in, name, args...)
	if err != nil {
		s.shot("window-failed")
		s.t.Fatalf("%s %v: %v", name, args, err)
	}
	return out
}

// reader is the screen reader.
func (s *screen) reader(args ...string) string {
	s.t.Helper()
	return s.must("", "/usr/bin/python3", append([]string{"-W", "ignore", "atspi.py"}, args...)...)
}

func (s *screen) shot(name string) {
	s.t.Helper()
	file := filepath.Join("..", "..", "build", "screenshots", name+".png")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // pictures of test pages
		s.t.Fatal(err)
	}
	if out, err := s.run("", "import", "-window", "root", file); err != nil {
		s.t.Errorf("screenshot: %v %s", err, out)
	}
}

// keys types on the keyboard; what is typed comes through standard input.
func (s *screen) keys(text string) { s.must(text, "xdotool", "type", "--delay", "20", "--file", "-") }

func (s *screen) key(names ...string) {
	s.must("", "xdotool", append([]string{"key", "--delay", "60"}, names...)...)
}

// settle waits until a window takes input.
func settle() { time.Sleep(700 * time.Millisecond) }

// The main job with the window: found by a screen reader, answered on the keyboard.
func TestWindow(t *testing.T) {
	for _, kind := range []pki.Kind{pki.CNS, pki.CIE} {
		t.Run(string(kind), func(t *testing.T) { windowJob(t, kind) })
	}
}

type loginResult struct {
	reply *wire.LoginReply
	key   string
	err   error
}

func windowJob(t *testing.T, kind pki.Kind) {
	t.Helper()
	s := newScreen(t)
	d := newDesk(t, kind)
	d.insert(t, nil)
	time.Sleep(time.Second) // pcscd looks at its virtual reader every 400 ms
	origin := serve(t, d.Stack)
	l := dial(t, agent(t, d.Stack, stack.AgentOptions{Native: true, Env: append(d.pcsc.Env(), s.env...)}), origin)
	site := page.NewSite(origin)
	ask := func() <-chan loginResult {
		done := make(chan loginResult, 1)
		go func() {
			nonce, life, err := site.Nonce(t.Context())
			if err != nil {
				done <- loginResult{err: err}
				return
			}
			reply, key, err := l.Login(nonce, life)
			done <- loginResult{reply, key, err}
		}()
		return done
	}
	wrong := strings.Repeat("9", len(d.pin))

	// A wrong PIN, by a person who listens.
	result := ask()
	s.reader("wait", "password text", "PIN della carta")
	settle()
	tree := s.reader("tree")
	for _, want := range []string{"heading | Un sito chiede di farti entrare con la carta", origin, "push button | Entra", "push button | Rinuncia", "timer |", "check box | Ricorda questo sito", "Il PIN resta su questo computer"} {
		if !strings.Contains(tree, want) {
			t.Errorf("the screen reader does not say %q:\n%s", want, tree)
		}
	}
	if kind == pki.CIE && (!strings.Contains(tree, "Carta d'identità elettronica numero "+stack.VirtualService) || !strings.Contains(tree, "Servono tutte le 8 cifre")) {
		t.Errorf("a CIE is not explained:\n%s", tree)
	}
	if kind == pki.CNS && !strings.Contains(tree, d.who.CF) {
		t.Errorf("the holder is not named:\n%s", tree)
	}
	s.shot("window-login-" + string(kind))
	if kind == pki.CIE {
		s.keys("5678") // half a PIN, as other programs want it
		s.key("Return")
		s.reader("wait", "", "nulla alla carta")
	}
	s.keys(wrong)
	s.key("Return")
	if r := <-result; code(r.err) != wire.CodePINWrong {
		t.Fatalf("a wrong PIN: %v", r.err)
	}
	s.reader("wait", "", "PIN errato")
	s.shot("window-wrong-pin-" + string(kind))
	s.reader("press", "Chiudi")

	// Refused with the keyboard.
	result = ask()
	s.reader("wait", "password text", "PIN della carta")
	if tree := s.reader("tree"); !strings.Contains(tree, "Tentativi rimasti: 2") {
		t.Errorf("the tries left are not said:\n%s", tree)
	}
	settle()
	s.key("Escape")
	if r := <-result; code(r.err) != wire.CodeRefused {
		t.Fatalf("refused: %v", r.err)
	}

	// And the login.
	result = ask()
	s.reader("wait", "password text", "PIN della carta")
	settle()
	s.keys(d.pin)
	s.key("Return")
	r := <-result
	if r.err != nil {
		t.Fatal(r.err)
	}
	if err := site.Login(t.Context(), r.reply.Token, r.reply.Nonce, r.key); err != nil {
		t.Fatal(err)
	}
	s.reader("wait", "", "Fatto")
	s.shot("window-done-" + string(kind))
	s.sign(t, d, l, site, r.key)
}

// sign signs the kindergarten's form: the document is read, then the PIN is asked.
func (s *screen) sign(t *testing.T, d *desk, l *page.Link, site *page.Site, key string) {
	t.Helper()
	draft, err := site.Form(t.Context(), "/servizi/nido", page.Kindergarten(time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	content, _, err := site.Get(t.Context(), draft+"/istanza.pdf")
	if err != nil {
		t.Fatal(err)
	}
	type result struct {
		signed [][]byte
		err    error
	}
	done := make(chan result, 1)
	go func() {
		signed, err := l.Sign([]page.Document{{Name: "istanza.pdf", MediaType: "application/pdf", Bytes: content},
			{Name: "nota.txt", MediaType: "text/plain", Bytes: []byte("Una nota <b>di prova</b> da leggere.")}}, false, d.who.CF, key)
		done <- result{signed, err}
	}()
	s.reader("wait", "push button", "Ho letto")
	s.reader("wait", "", "Una nota <b>di prova</b>")
	s.reader("wait", "heading", "Iscrizione all'asilo nido")
	settle()
	if tree := s.reader("tree"); !strings.Contains(tree, "Pagina 1 di") || strings.Contains(tree, "password text") || !strings.Contains(tree, "Impronta (SHA-256)") {
		t.Errorf("the review:\n%s", tree)
	}
	s.shot("window-review-" + string(d.who.Sex))
	s.reader("press", "Ho letto")
	s.reader("wait", "password text", "PIN della carta")
	settle()
	if tree := s.reader("tree"); strings.Contains(tree, "Iscrizione all") || !strings.Contains(tree, "istanza.pdf") || !strings.Contains(tree, "push button | Firma") {
		t.Errorf("the PIN's window:\n%s", tree)
	}
	s.shot("window-sign-" + string(d.who.Sex))
	s.keys(d.pin)
	s.reader("press", "Firma")
	r := <-done
	if r.err != nil || len(r.signed) != 2 {
		t.Fatalf("%d signatures: %v", len(r.signed), r.err)
	}
}
