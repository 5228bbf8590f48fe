package e2e

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/citel-pa/citel/agent/wire"
	"github.com/citel-pa/citel/testdata/page"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/stack"
)

// gone waits until no window is on the screen.
func (s *screen) gone() {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if strings.TrimSpace(s.reader("tree")) == "" {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("a window is still there:\n%s", s.reader("tree"))
		}
	}
}

// awaits begins to wait for an element that is there for a few seconds only; what it gives
// ends the wait.
func (s *screen) awaits(role, name string) (told func()) {
	s.t.Helper()
	done := make(chan error, 1)
	go func() {
		_, err := s.run("", "/usr/bin/python3", "-W", "ignore", "atspi.py", "wait", role, name)
		done <- err
	}()
	return func() {
		s.t.Helper()
		if err := <-done; err != nil {
			s.shot("window-failed")
			s.t.Fatal(err)
		}
	}
}

// freeze stops a process until the end of the test: an agent that is looked at does not end
// its window, which tells the end for a few seconds only.
func freeze(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
}

// Two tabs of one site at once, and a tab that is reloaded while its question is
// open: each answer goes to the tab that asked, and to nobody else.
func TestTabs(t *testing.T) {
	t.Parallel()
	s := newScreen(t)
	d := newDesk(t, pki.CNS)
	d.insert(t, nil)
	time.Sleep(time.Second)
	origin := serve(t, d.Stack)
	port := agent(t, d.Stack, stack.AgentOptions{Native: true, Env: append(d.pcsc.Env(), s.env...)})
	type tab struct {
		link *page.Link
		site *page.Site
		done chan loginResult
	}
	open := func() *tab {
		x := &tab{link: dial(t, port, origin), site: page.NewSite(origin), done: make(chan loginResult, 1)}
		nonce, life, err := x.site.Nonce(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			reply, key, err := x.link.Login(nonce, life)
			x.done <- loginResult{reply, key, err}
		}()
		return x
	}
	first := open()
	s.reader("wait", "password text", "PIN della carta")
	second := open() // waits its turn
	time.Sleep(time.Second)
	if n := strings.Count(s.reader("tree"), "password text"); n != 1 {
		t.Errorf("%d windows at once", n)
	}
	settle()
	s.keys(d.pin)
	s.key("Return")
	r := <-first.done
	if r.err != nil {
		t.Fatal(r.err)
	}
	if err := first.site.Login(t.Context(), r.reply.Token, r.reply.Nonce, r.key); err != nil {
		t.Error(err)
	}
	select {
	case r := <-second.done:
		if c := code(r.err); c != wire.CodeBusy {
			t.Errorf("the second tab got an answer that was not its own: %v", r.err)
		}
	case <-time.After(100 * time.Millisecond):
		// Its own question comes, and the tab is reloaded while it is open.
		s.reader("wait", "password text", "PIN della carta")
		_ = second.link.Close()
	}
	s.gone()
	third := open()
	s.reader("wait", "password text", "PIN della carta")
	settle()
	s.keys(d.pin)
	s.key("Return")
	if r := <-third.done; r.err != nil {
		t.Errorf("after the reload: %v", r.err)
	}
}
