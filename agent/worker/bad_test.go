package worker

import (
	"context"
	"crypto"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/testdata/pki"
)

// Each way to misbehave costs its own request, with the error that is true, and
// the next request with a module that recovered works.
func TestMisbehaviour(t *testing.T) {
	for _, c := range []struct {
		mode string
		// what fails, and how; "" nothing: the module is odd but works.
		where string
		want  error
		short bool // a hang: the time limits are short
	}{
		{"", "", nil, false},
		{"print", "", nil, false},
		{"cant-lock", "", nil, false},
		{"crash-init", "list", signing.ErrCardFailed, false},
		{"hang-init", "list", signing.ErrCardFailed, true},
		{"scribble-init", "list", signing.ErrCardFailed, false},
		{"hugelist", "list", signing.ErrCardFailed, false},
		{"garbage", "empty", nil, false},
		{"crash-login", "unlock", signing.ErrPINUncertain, false},
		{"hang-login", "unlock", signing.ErrPINUncertain, true},
		{"exit", "unlock", signing.ErrPINUncertain, false},
		{"scribble-login", "unlock", signing.ErrPINUncertain, false},
		{"removed-login", "unlock", signing.ErrPINUncertain, false},
		{"crash-sign", "sign", signing.ErrCardFailed, false},
		{"hang-sign", "sign", signing.ErrCardFailed, true},
		{"scribble-sign", "sign", signing.ErrCardFailed, false},
		{"garbage-sign", "sign", signing.ErrCardFailed, false},
		{"removed-sign", "sign", signing.ErrCardRemoved, false},
	} {
		t.Run("mode "+c.mode, func(t *testing.T) {
			b := newBench(t, pki.RSA2048).bad(t, c.mode)
			if c.short {
				b.cfg.Timeout, b.cfg.SignTimeout = 1500*time.Millisecond, 1500*time.Millisecond
			}
			p := b.pool(t)
			where, err := request(p)
			if where != c.where || !errors.Is(err, c.want) {
				t.Fatalf("failed at %q with %v; want %q with %v", where, err, c.where, c.want)
			}
			if c.want != nil && !errors.Is(c.want, signing.ErrPINUncertain) && errors.Is(err, signing.ErrPINUncertain) {
				t.Errorf("says that a try may have been used: %v", err)
			}
			if n := b.logins(t); n > 1 {
				t.Errorf("%d C_Login for one request", n)
			}
			// With a module that behaves, the same settings work.
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			b.cfg.Modules[0].Env = append(b.cfg.Modules[0].Env, "CITEL_BADMODULE=")
			p = b.pool(t)
			if where, err := request(p); where != "" || err != nil {
				t.Errorf("the next request fails at %q: %v", where, err)
			}
		})
	}
}

// request is one whole request; where it ended and why.
func request(p *Pool) (where string, err error) {
	ctx := context.Background()
	s := p.Sources()[0]
	ids, err := s.Identities(ctx)
	if err != nil {
		return "list", err
	}
	if len(ids) == 0 {
		return "empty", nil
	}
	k, err := s.Open(ctx, ids[0])
	if err != nil {
		return "open", err
	}
	defer func() { err = errors.Join(err, k.Close()) }()
	if err := k.Unlock(ctx, []byte(testPIN)); err != nil {
		return "unlock", err
	}
	if _, err := k.Sign(ctx, digest(crypto.SHA256), crypto.SHA256); err != nil {
		return "sign", err
	}
	return "", nil
}

// The caller's own deadline cuts a module off too, before its time limit.
func TestTheCallersDeadline(t *testing.T) {
	p := newBench(t, pki.RSA2048).bad(t, "hang-login").pool(t)
	k := openKey(t, p, list(t, p)[0])
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	err := k.Unlock(ctx, []byte(testPIN))
	if !errors.Is(err, signing.ErrPINUncertain) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	<-k.(*key).helper.dead
}

// A helper that dies while nobody looks is replaced without costing a request.
func TestDeathWhileIdle(t *testing.T) {
	p := newBench(t, pki.P256).pool(t)
	list(t, p)
	h, err := p.sources[0].take(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	p.sources[0].give(h, false)
	if err := h.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-h.dead
	list(t, p)
	// One that died between Open and the PIN: no try was used.
	k := openKey(t, p, list(t, p)[0])
	if err := k.(*key).helper.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-k.(*key).helper.dead
	err = k.Unlock(context.Background(), []byte(testPIN))
	if !errors.Is(err, signing.ErrCardFailed) || errors.Is(err, signing.ErrPINUncertain) {
		t.Errorf("got %v", err)
	}
}

// A helper whose agent is gone ends, even while its module hangs.
func TestTheHelperEndsWithItsAgent(t *testing.T) {
	p := newBench(t, pki.P256).bad(t, "hang-login").pool(t)
	k := openKey(t, p, list(t, p)[0])
	h := k.(*key).helper
	done := make(chan error, 1)
	go func() { done <- k.Unlock(context.Background(), []byte(testPIN)) }()
	for p.sources[0].keyOpen.Load() && !muted(h) {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond)        // the order is in the helper
	if err := h.orders.Close(); err != nil { // what the end of the agent looks like
		t.Fatal(err)
	}
	<-h.dead
	if err := <-done; !errors.Is(err, signing.ErrPINUncertain) {
		t.Errorf("got %v", err)
	}
}

func muted(h *helper) bool {
	h.noise.mu.Lock()
	defer h.noise.mu.Unlock()
	return h.noise.muted
}

// Started by hand, the hidden command says what it is and ends.
func TestStartedByHand(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for _, extra := range [][]*os.File{nil, {file, file}} {
		cmd := exec.Command(exe, helperArg)
		cmd.ExtraFiles = extra
		if out, err := cmd.CombinedOutput(); err == nil || len(out) == 0 {
			t.Errorf("%d files: %v, %q", len(extra), err, out)
		}
	}
}
