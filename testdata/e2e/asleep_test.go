package e2e

import (
	"syscall"
	"testing"
	"time"

	"github.com/citel-pa/citel/testdata/page"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/stack"
)

// The computer sleeps for a minute with a page open.
func TestSleep(t *testing.T) {
	t.Parallel()
	d := newDesk(t, pki.CNS)
	d.insert(t, nil)
	origin := serve(t, d.Stack)
	p, port, err := d.StartAgent(t.Context(), stack.AgentOptions{PIN: d.pin, Origin: origin, Native: true, Env: d.pcsc.Env()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop() })
	l := dial(t, port, origin)
	site := page.NewSite(origin)
	if _, _, err := login(t, l, site, never); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(p.Pid(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Minute)
	if err := syscall.Kill(p.Pid(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	nonce, life, err := site.Nonce(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.Login(nonce, life); err != nil {
		// The link may be given up; a new one works.
		l = dial(t, port, origin)
		if _, _, err := login(t, l, site, never); err != nil {
			t.Errorf("after a minute's sleep: %v", err)
		}
	}
}
