package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/agent/card/virtual"
	"github.com/citel-pa/citel/agent/history"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/testdata/page"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/stack"
)

// doctorPage is the heading of the doctor's page, and its entry in the menu.
var doctorPage = message.Text(message.Italian, "hand.page-doctor")

// at is a person at a desktop with an agent that reads cards natively.
type at struct {
	*screen
	d      *desk
	config string
	port   int
}

func newAt(t *testing.T, kind pki.Kind, args ...string) *at {
	t.Helper()
	return newAtWith(t, kind, nil, args...)
}

func newAtWith(t *testing.T, kind pki.Kind, env []string, args ...string) *at {
	t.Helper()
	s := newScreen(t)
	t.Cleanup(func() { time.Sleep(time.Second) }) // the web engine's helpers end a little after their window
	d := newDesk(t, kind)
	a := &at{screen: s, d: d, config: filepath.Join(d.Dir, "agent")}
	a.env = append(a.env, d.pcsc.Env()...)
	a.env = append(a.env, "LANG=it_IT.UTF-8", "LC_ALL=", "XDG_CONFIG_HOME=", "XDG_STATE_HOME=")
	a.env = append(a.env, env...)
	a.port = agent(t, d.Stack, stack.AgentOptions{Native: true, Env: a.env, Args: args})
	return a
}

// citel runs a command of the agent on this desktop.
func (a *at) citel(args ...string) (string, int) {
	a.t.Helper()
	out, err := a.run("", a.d.Agent, append(args, "--config", a.config)...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return out + err.Error(), exit.ExitCode()
	}
	if err != nil {
		a.t.Fatal(err)
	}
	return out, 0
}

// put puts the card in, and waits until it was seen. A virtual reader whose last link
// was cut may miss the next one: then it is put in again, as a person would.
func (a *at) put(f *virtual.Faults) {
	a.t.Helper()
	for range 5 {
		a.d.insert(a.t, f)
		if a.cards(func(out string) bool { return strings.Contains(out, `"kind"`) }) {
			return
		}
		a.d.pcsc.Readers[0].Remove()
		time.Sleep(time.Second)
	}
	a.t.Fatal("the card was never seen")
}

// take takes it out, and waits until that was seen.
func (a *at) take() {
	a.t.Helper()
	a.d.pcsc.Readers[0].Remove()
	time.Sleep(time.Second) // pcscd looks at its virtual reader every 400 ms
	if !a.cards(func(out string) bool { return !strings.Contains(out, `"kind"`) }) {
		a.t.Fatal("the card is still there")
	}
}

// cards waits a while until the command says so.
func (a *at) cards(enough func(string) bool) bool {
	a.t.Helper()
	for end := time.Now().Add(8 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if out, _ := a.citel("cards", "--json"); enough(out) {
			return true
		}
	}
	return false
}

func (a *at) open(page, heading string) {
	a.t.Helper()
	if out, code := a.citel("open", page); code != 0 {
		a.shot("hand-failed")
		a.t.Fatalf("open %s: %d %s", page, code, out)
	}
	a.reader("wait", "heading", heading)
	settle()
}

func (a *at) says(what ...string) {
	a.t.Helper()
	tree := a.reader("tree")
	for _, w := range what {
		if !strings.Contains(tree, w) {
			a.t.Errorf("the screen reader does not say %q:\n%s", w, tree)
		}
	}
}

// eventually waits for the screen reader to say something.
func (a *at) eventually(text string) {
	a.t.Helper()
	a.reader("wait", "", text)
}

// The pages of the hand, without a tray, by keyboard and screen reader.
func TestHand(t *testing.T) {
	t.Parallel()
	a := newAt(t, pki.CNS, "--no-tray")
	a.open("home", "La carta e CiTel")
	a.says("inserisci la carta", "link | La mia carta", "push button | Chiudi CiTel", "Nessun uso finora")
	a.shot("hand-home-empty")
	// The card is put in: the page says so by itself.
	a.d.insert(t, nil)
	a.eventually("Carta pronta: CNS")
	a.shot("hand-home")

	// A login in the window, then the history has it, and where from.
	origin := serve(t, a.d.Stack)
	l := dial(t, a.port, origin)
	site := page.NewSite(origin)
	done := make(chan error, 1)
	go func() {
		nonce, life, err := site.Nonce(t.Context())
		if err == nil {
			_, _, err = l.Login(nonce, life)
		}
		done <- err
	}()
	a.reader("wait", "password text", "PIN della carta")
	settle()
	a.keys(a.d.pin)
	told := a.awaits("", "Fatto")
	a.key("Return")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	told()
	log := handHistory(t, a.config)
	if len(log.Entries) != 1 || log.Entries[0].Origin != origin || log.Entries[0].Outcome != history.Done || len(log.Entries[0].Digests) != 1 || log.Entries[0].Certificate == "" {
		t.Errorf("the history: %+v", log)
	}
	if out, code := a.citel("history"); code != 0 || !strings.Contains(out, "accesso, "+origin) {
		t.Errorf("the command: %d %s", code, out)
	}
	a.open("history", "Usi recenti")
	a.says("accesso", origin, "riuscito", "SHA-256", "CNS …")
	a.shot("hand-history")

	// The card's page, reached with the keyboard alone.
	a.key("Tab", "Tab", "Tab")
	a.reader("wait", "heading", "Usi recenti")
	a.reader("follow", "La mia carta")
	a.reader("wait", "heading", "La mia carta")
	settle()
	a.says(a.d.who.CF, "Valida fino al", "push button | Cambia il PIN", "push button | Sblocca con il PUK")
	a.shot("hand-card")

	a.reader("follow", "Impostazioni")
	a.reader("wait", "heading", "Impostazioni")
	settle()
	a.says("CiTel non si avvia da solo", "Siti ricordati", "Moduli PKCS#11")
	a.shot("hand-settings")
	a.reader("press", "Avvia CiTel quando entro")
	a.eventually("CiTel si avvia quando entri nel computer")
	if _, err := os.Stat(filepath.Join(a.home(), ".config", "autostart", "citel-agent.desktop")); err != nil {
		t.Error(err)
	}
	a.reader("follow", doctorPage)
	a.reader("wait", "heading", doctorPage)
	settle()
	a.says("CNS, letta da CiTel", "CiTel è avviato e risponde ai siti")
	a.shot("hand-doctor")
	a.reader("press", "Mostra il resoconto")
	a.eventually("niente nomi")
	a.reader("wait", "", "citel-agent devel")
	a.shot("hand-report")

	// A history that somebody changed says so, here and there.
	file := filepath.Join(a.config, "history.jsonl")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), origin, "https://altro.example", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := a.citel("history", "--csv"); code != 1 || !strings.Contains(out, "no") {
		t.Errorf("a changed history: %d %s", code, out)
	}
	a.open("history", "Usi recenti")
	a.says("Lo storico non è integro")
	a.shot("hand-history-changed")
	a.reader("press", "Cancella lo storico")
	a.reader("press", "Sì, cancella")
	a.eventually("Lo storico è c")
	if out, code := a.citel("history", "--json"); code != 0 || !strings.Contains(out, "cleared") {
		t.Errorf("a cleared history: %d %s", code, out)
	}

	// Quit asks, and ends the agent.
	a.open("home", "La carta e CiTel")
	a.reader("press", "Chiudi CiTel")
	a.eventually("Senza CiTel i siti")
	a.shot("hand-quit")
	a.reader("press", "Annulla")
}

func (a *at) home() string {
	for _, kv := range a.env {
		if v, ok := strings.CutPrefix(kv, "HOME="); ok {
			return v
		}
	}
	return ""
}

func handHistory(t *testing.T, config string) history.Log {
	t.Helper()
	l, err := history.Open(config).Read()
	if err != nil {
		t.Fatal(err)
	}
	return l
}
