package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/citel-pa/citel/agent/card/virtual"
	"github.com/citel-pa/citel/agent/history"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/stack"
)

// fresh are new PINs for a kind of card.
func freshPINs(kind pki.Kind) (one, two string) {
	if kind == pki.CIE {
		return "27182818", "31415926"
	}
	return "27182", "314159"
}

// A PIN changed and a card unblocked in the window: right, wrong, blocked, and a link
// that was cut in the middle.
func TestCareInTheWindow(t *testing.T) {
	t.Parallel()
	for _, kind := range []pki.Kind{pki.CNS, pki.CIE} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			careInTheWindow(t, kind)
		})
	}
}

func careInTheWindow(t *testing.T, kind pki.Kind) {
	t.Helper()
	a := newAt(t, kind, "--no-tray")
	a.put(nil)
	one, two := freshPINs(kind)
	wrong := strings.Repeat("97", 4)[:len(a.d.pin)]
	a.open("card", "La mia carta")
	// ask opens the question and types three lines with the keyboard alone.
	ask := func(button, first string, lines ...string) {
		t.Helper()
		a.reader("press", button)
		a.reader("wait", "password text", first)
		settle()
		for i, l := range lines {
			if i > 0 {
				a.key("Tab")
			}
			a.keys(l)
		}
	}
	end := func(says string) {
		t.Helper()
		a.key("Return")
		a.eventually(says)
		a.reader("press", "Chiudi")
		time.Sleep(500 * time.Millisecond)
	}
	// What would cost a try for nothing never reaches the card.
	ask("Cambia il PIN", "PIN attuale", a.d.pin, one, two)
	tree := a.reader("tree")
	for _, want := range []string{"heading | Cambia il PIN della carta", "Nessun sito può chiederlo", "password text | Nuovo PIN", "push button | Annulla", "timer |"} {
		if !strings.Contains(tree, want) {
			t.Errorf("not said: %q\n%s", want, tree)
		}
	}
	a.shot("pin-change-" + string(kind))
	a.key("Return")
	a.eventually("I due nuovi PIN non sono uguali")
	a.keys(a.d.pin)
	for _, l := range []string{strings.Repeat("1", len(a.d.pin)), strings.Repeat("1", len(a.d.pin))} {
		a.key("Tab")
		a.keys(l)
	}
	a.key("Return")
	a.eventually("troppo facile")
	a.shot("pin-simple-" + string(kind))
	a.key("Escape")
	time.Sleep(time.Second)
	if left := a.d.card.TriesLeft(); left != 3 {
		t.Fatalf("%d tries left", left)
	}
	ask("Cambia il PIN", "PIN attuale", wrong, one, one)
	end("Il PIN attuale è sbagliato")
	if left := a.d.card.TriesLeft(); left != 2 {
		t.Fatalf("%d tries left", left)
	}
	a.says("Tentativi rimasti: 2")
	ask("Cambia il PIN", "PIN attuale", a.d.pin, one, one)
	end("Il PIN è cambiato")
	if left := a.d.card.TriesLeft(); left != 3 {
		t.Fatalf("%d tries left", left)
	}
	// Blocked: the last try is warned of, and then the PUK helps.
	for n := range 3 {
		ask("Cambia il PIN", "PIN attuale", wrong, two, two)
		if n == 2 {
			a.says("È l'ultimo tentativo")
			a.shot("pin-last-" + string(kind))
		}
		if n < 2 {
			end("Il PIN attuale è sbagliato")
		} else {
			end("La carta è bloccata")
		}
	}
	a.eventually("Il PIN è bloccato")
	a.shot("pin-blocked-" + string(kind))
	ask("Sblocca con il PUK", "PUK", strings.Repeat("8", 8), two, two)
	a.shot("pin-unblock-" + string(kind))
	end("Il PUK è sbagliato")
	ask("Sblocca con il PUK", "PUK", stack.VirtualPUK, two, two)
	end("La carta è sbloccata")
	if left := a.d.card.TriesLeft(); left != 3 {
		t.Fatalf("%d tries left", left)
	}
	ask("Cambia il PIN", "PIN attuale", two, one, one) // the new one counts
	end("Il PIN è cambiato")

	// The link is cut when the card has seen the command.
	a.d.pcsc.Readers[0].Remove()
	a.eventually("inserisci la carta")
	once := true
	a.d.insert(t, &virtual.Faults{At: func(_ int, apdu []byte) (virtual.Action, []byte) {
		if once && apdu[1] == 0x24 {
			once = false
			return virtual.CutAfter, nil
		}
		return virtual.Pass, nil
	}})
	a.reader("wait", "push button", "Cambia il PIN")
	ask("Cambia il PIN", "PIN attuale", one, a.d.pin, a.d.pin)
	a.key("Return")
	a.eventually("un tentativo potrebbe essere stato usato")
	a.shot("pin-cut-" + string(kind))

	log, outcomes := handHistory(t, a.config), ""
	for _, e := range log.Entries {
		outcomes += strings.TrimPrefix(e.Kind, "pin-") + ":" + e.Outcome + " "
		if e.By != history.ByPerson {
			t.Errorf("by %s", e.By)
		}
	}
	want := "change:refused change:pin-wrong change:done change:pin-wrong change:pin-wrong change:pin-wrong unblock:pin-wrong unblock:done change:done change:pin-uncertain "
	if outcomes != want {
		t.Errorf("the history has\n%s, want\n%s", outcomes, want)
	}
}

// After a PIN was changed in the window no process of ours that is still alive holds
// the old one or the new one.
func TestNoProcessKeepsANewPIN(t *testing.T) {
	t.Parallel()
	s := newScreen(t)
	t.Cleanup(func() { time.Sleep(time.Second) })
	d := newDesk(t, pki.CIE)
	a := &at{screen: s, d: d, config: filepath.Join(d.Dir, "agent")}
	a.env = append(append(a.env, d.pcsc.Env()...), "LANG=it_IT.UTF-8", "LC_ALL=", "XDG_CONFIG_HOME=", "XDG_STATE_HOME=")
	p, _, err := d.StartAgent(t.Context(), stack.AgentOptions{Native: true, Env: a.env, Args: []string{"--no-tray"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop() })
	a.put(nil)
	a.open("card", "La mia carta")
	a.reader("press", "Cambia il PIN")
	a.reader("wait", "password text", "PIN attuale")
	settle()
	fresh, _ := freshPINs(pki.CIE)
	a.keys(d.pin)
	a.key("Tab")
	a.keys(fresh)
	a.key("Tab")
	a.keys(fresh)
	told := a.awaits("", "Il PIN è cambiato")
	a.key("Return")
	told()
	freeze(t, p.Pid())
	if occurrences(t, p.Pid(), []byte(stack.VirtualService)) == 0 {
		t.Error("not even the card's number is found in the agent's memory: the search does not work")
	}
	looked := 0
	for _, pid := range append(descendants(t, p.Pid()), p.Pid()) {
		n := 0
		for _, secret := range []string{d.pin, fresh} {
			n += occurrences(t, pid, []byte(secret)) + occurrences(t, pid, utf16(secret))
		}
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
			looked++
		}
		if n > 0 {
			name, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
			t.Errorf("%s (%d) holds a PIN %d times", filepath.Base(name), pid, n)
		}
	}
	if looked < 3 { // the agent, the hand, and the window that tells the end
		t.Errorf("only %d processes were looked at", looked)
	}
}

// console is citel-agent on a terminal of its own.
type console struct {
	t   *testing.T
	f   *os.File
	cmd *exec.Cmd
	mu  sync.Mutex
	b   bytes.Buffer
}

func (a *at) console(args ...string) *console {
	a.t.Helper()
	cmd := exec.CommandContext(a.t.Context(), a.d.Agent, append(args, "--config", a.config)...)
	cmd.Env = append(os.Environ(), a.env...)
	f, err := pty.Start(cmd)
	if err != nil {
		a.t.Fatal(err)
	}
	c := &console{t: a.t, f: f, cmd: cmd}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := f.Read(buf)
			c.mu.Lock()
			c.b.Write(buf[:n])
			c.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return c
}

func (c *console) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.b.String()
}

func (c *console) expect(s string) {
	c.t.Helper()
	for end := time.Now().Add(time.Minute); !strings.Contains(c.text(), s); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatalf("not said: %q\n%s", s, c.text())
		}
	}
}

// lines answers the three questions, and gives the exit code.
func (c *console) lines(first string, lines ...string) int {
	c.t.Helper()
	c.expect(first + ": ")
	time.Sleep(600 * time.Millisecond) // it takes no input at first
	for i, l := range lines {
		if i > 0 {
			c.expect([]string{"", "Nuovo PIN: ", "un'altra volta: "}[i])
		}
		if _, err := io.WriteString(c.f, l+"\r"); err != nil {
			c.t.Fatal(err)
		}
	}
	return c.wait()
}

func (c *console) wait() int {
	err := c.cmd.Wait()
	time.Sleep(50 * time.Millisecond)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return 0
}

// The same with the command, on a terminal.
func TestCareOnATerminal(t *testing.T) {
	t.Parallel()
	for _, kind := range []pki.Kind{pki.CNS, pki.CIE} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			a := newAt(t, kind, "--no-tray")
			one, two := freshPINs(kind)
			now := a.d.pin
			wrong := strings.Repeat("97", 4)[:len(now)]
			a.put(nil)
			try := func(what, first string, code int, says string, lines ...string) {
				t.Helper()
				c := a.console("pin", what)
				if got := c.lines(first, lines...); got != code {
					t.Errorf("%s: exit %d, want %d\n%s", what, got, code, c.text())
				}
				c.expect(says)
				for _, secret := range lines {
					// A CIE's number is on the screen, and the PUK's digits are in it.
					if strings.Contains(strings.ReplaceAll(c.text(), stack.VirtualService, ""), secret) {
						t.Errorf("a secret is on the screen:\n%s", c.text())
					}
				}
			}
			try("change", "PIN attuale", 0, "Il PIN è cambiato", now, one, one)
			try("change", "PIN attuale", 1, "Il PIN attuale è sbagliato. Il PIN non è cambiato. Tentativi rimasti: 2", wrong, two, two)
			try("change", "PIN attuale", 1, "Tentativi rimasti: 1", wrong, two, two)
			try("change", "PIN attuale", 1, "La carta è bloccata", wrong, two, two)
			try("unblock", "PUK", 1, "Il PUK è sbagliato", strings.Repeat("8", 8), two, two)
			try("unblock", "PUK", 0, "La carta è sbloccata", stack.VirtualPUK, two, two)
			try("change", "PIN attuale", 0, "Il PIN è cambiato", two, now, now)
			if left := a.d.card.TriesLeft(); left != 3 {
				t.Errorf("%d tries left", left)
			}
			// Given up with Escape, and cut off in the middle.
			c := a.console("pin", "change")
			c.expect("PIN attuale: ")
			time.Sleep(600 * time.Millisecond)
			if _, err := io.WriteString(c.f, "\x1b"); err != nil {
				t.Fatal(err)
			}
			if got := c.wait(); got != 1 {
				t.Errorf("given up: exit %d", got)
			}
			for name, ins := range map[string]byte{"change": 0x24, "unblock": 0x2C} {
				a.take()
				once := true
				a.put(&virtual.Faults{At: func(_ int, apdu []byte) (virtual.Action, []byte) {
					if once && apdu[1] == ins {
						once = false
						return virtual.CutBefore, nil
					}
					return virtual.Pass, nil
				}})
				first, secret := "PIN attuale", now
				if name == "unblock" {
					first, secret = "PUK", stack.VirtualPUK
				}
				try(name, first, 1, "potrebbe essere stato usato", secret, one, one)
			}
			a.take()
			if out, code := a.citel("pin", "change"); code != 69 {
				t.Errorf("without a terminal or a card: %d %s", code, out)
			}
		})
	}
}
