package e2e

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/citel-pa/citel/testdata/chromium"
	"github.com/citel-pa/citel/testdata/stack"
)

// person sits at the agent's terminal.
type person struct {
	t    *testing.T
	ptmx *os.File
	mu   sync.Mutex
	seen strings.Builder
	from int // what was answered before
}

// seat starts an agent on a terminal of its own and gives the person in front.
func seat(t *testing.T, s *stack.Stack) *person {
	t.Helper()
	ptmx, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	p := &person{t: t, ptmx: ptmx}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := ptmx.Read(buf)
			p.mu.Lock()
			p.seen.Write(buf[:n])
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	agent(t, s, stack.AgentOptions{TTY: tty, Ports: []int{agentPort(t)}})
	t.Cleanup(func() { _ = tty.Close(); _ = ptmx.Close() })
	return p
}

func (p *person) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen.String()
}

// answer waits for a question and, as a person would, a moment more.
func (p *person) answer(question, s string) {
	p.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		text := p.text()
		if i := strings.Index(text[p.from:], question); i >= 0 {
			p.from += i + len(question)
			break
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("never asked %q:\n%s", question, text)
		}
		time.Sleep(5 * time.Millisecond)
	}
	time.Sleep(700 * time.Millisecond) // the face takes nothing in its first half second
	if _, err := io.WriteString(p.ptmx, s); err != nil {
		p.t.Error(err)
	}
}

// saysProblem waits until the page shows a problem and gives its words.
func saysProblem(t *testing.T, ctx context.Context, name string) string {
	t.Helper()
	do(t, ctx, name, chromium.Seen("#problem"))
	shot(t, ctx, name)
	return do(t, ctx, name, chromium.Text("#problem"))
}

// What goes wrong in front of a person, and what the page then says.
func TestThePersonDecides(t *testing.T) {
	t.Parallel()
	s := town(t)
	origin := serve(t, s, portFlags(t)...)
	p := seat(t, s)
	ctx := browser(t)
	do(t, ctx, "open", chromium.Navigate(origin+"/accedi"))
	press := func() {
		t.Helper()
		do(t, ctx, "press", chromium.Click("#start"))
	}
	said := func(name string, want ...string) {
		t.Helper()
		got := saysProblem(t, ctx, name)
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%s: the page says %q, without %q", name, got, w)
			}
		}
	}

	press()
	p.answer("s = sì", "n\r")
	said("refused", "rifiutato", "Nulla è stato firmato")

	// A wrong PIN: said, tried once, not asked again by itself.
	press()
	p.answer("s = sì", "s\r")
	p.answer("PIN", "99999\r")
	said("wrong-pin", "PIN errato")
	if n := strings.Count(p.text(), "PIN errato"); n != 1 {
		t.Errorf("the terminal told of a wrong PIN %d times:\n%s", n, p.text())
	}

	// The token goes away while the question is open.
	press()
	p.answer("s = sì", "s\r")
	away := filepath.Join(s.Dir, "away")
	tokens := filepath.Join(s.Dir, "softhsm", "tokens")
	if err := os.Rename(tokens, away); err != nil {
		t.Fatal(err)
	}
	p.answer("PIN", pin+"\r")
	said("removed", "carta")
	if err := os.Rename(away, tokens); err != nil {
		t.Fatal(err)
	}

	// It is back, and the person says yes and remembers the site.
	press()
	p.answer("s = sì", "r\r")
	p.answer("PIN", pin+"\r")
	do(t, ctx, "my area", chromium.Seen("#level"))
	if level := do(t, ctx, "level", chromium.Text("#level")); !strings.Contains(level, "forte") {
		t.Errorf("level: %q", level)
	}
	if strings.Contains(p.text(), pin) {
		t.Error("the terminal shows the PIN")
	}
}

func TestABlockedSiteStaysBlocked(t *testing.T) {
	t.Parallel()
	s := town(t)
	origin := serve(t, s, portFlags(t)...)
	p := seat(t, s)
	ctx := browser(t)
	do(t, ctx, "open", chromium.Navigate(origin+"/accedi"))
	do(t, ctx, "press", chromium.Click("#start"))
	p.answer("s = sì", "b\r")
	if got := saysProblem(t, ctx, "block"); !strings.Contains(got, "rifiutato") && !strings.Contains(got, "bloccato") {
		t.Errorf("blocking: %q", got)
	}
	do(t, ctx, "again", chromium.Navigate(origin+"/accedi"))
	do(t, ctx, "press", chromium.Click("#start"))
	if got := saysProblem(t, ctx, "blocked"); !strings.Contains(got, "bloccato questo sito") {
		t.Errorf("blocked: %q", got)
	}
}
