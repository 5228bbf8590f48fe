package gateway

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/citel-pa/citel/agent/config"
	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/agent/wire"
)

// held is a signer whose windows stay open until the test answers.
type held struct {
	opened chan string   // the origin that asks
	answer chan error    // what the person says
	ended  chan error    // how the window's context ended, when it did
	open   chan struct{} // one token: there is never a second window
}

func hold(l *link) *held {
	h := &held{opened: make(chan string), answer: make(chan error), ended: make(chan error, 20), open: make(chan struct{}, 1)}
	ask := func(ctx context.Context, c signing.Caller) error {
		select {
		case h.open <- struct{}{}:
			defer func() { <-h.open }()
		default:
			l.t.Error("a second window was opened")
		}
		c.Notify(signing.StageConsent)
		select {
		case h.opened <- c.Origin:
		case <-ctx.Done():
			h.ended <- context.Cause(ctx)
			return context.Cause(ctx)
		}
		select {
		case err := <-h.answer:
			c.Decided(signing.Decision{Approved: err == nil})
			return err
		case <-ctx.Done():
			h.ended <- context.Cause(ctx)
			return context.Cause(ctx)
		}
	}
	l.signer.login = func(ctx context.Context, req signing.LoginRequest) (*signing.LoginResult, error) {
		if err := ask(ctx, req.Caller); err != nil {
			return nil, err
		}
		return &signing.LoginResult{Token: []byte(`{}`), Nonce: req.Nonce}, nil
	}
	l.signer.origin = ask
	return h
}

func (h *held) window(t *testing.T, origin string) {
	t.Helper()
	select {
	case got := <-h.opened:
		if got != origin {
			t.Fatalf("the window is %s's, want %s", got, origin)
		}
	case <-time.After(patience):
		t.Fatalf("no window for %s", origin)
	}
}

// While a window is open others wait: one of an origin, eight in all, the next
// is told busy. Nobody steals the window.
func TestQueue(t *testing.T) {
	l := start(t)
	h := hold(l)
	first := l.greeted(site)
	first.send(login(2))
	h.window(t, site)
	first.expectEvent(wire.EventConsent)

	// Two tabs of the same origin: the second waits, the third is busy.
	second, third := l.greeted(site), l.greeted(site)
	second.send(login(2))
	second.expectEvent(wire.EventWaiting)
	third.send(login(2))
	third.expectError(2, wire.CodeBusy)
	first.send(login(3)) // the same tab once more
	first.expectError(3, wire.CodeBusy)

	var waiting []*page
	for i := range wire.MaxWaiting - 1 {
		p := l.greeted(fmt.Sprintf("https://s%d.example", i))
		p.send(login(2))
		p.expectEvent(wire.EventWaiting)
		waiting = append(waiting, p)
	}
	ninth := l.greeted("https://nono.example")
	ninth.send(login(2))
	ninth.expectError(2, wire.CodeBusy)
	ninth.send(sign(3, 1))
	ninth.expectError(3, wire.CodeBusy)

	// One that gives up makes room.
	waiting[0].send(cancelOf(2))
	waiting[0].expectError(2, wire.CodeCancelled)
	ninth.send(login(4))
	ninth.expectEvent(wire.EventWaiting)

	h.answer <- nil
	first.expect(wire.TypeLogin)
	for range wire.MaxWaiting {
		select {
		case <-h.opened:
			h.answer <- nil
		case <-time.After(patience):
			t.Fatal("the queue stands still")
		}
	}
	second.expect(wire.TypeLogin)
	ninth.expect(wire.TypeLogin)
	for _, p := range waiting[1:] {
		p.expect(wire.TypeLogin)
	}
}

// A page that goes away takes its window and its place in the queue along.
func TestClosedSocketCancels(t *testing.T) {
	l := start(t)
	h := hold(l)
	p := l.greeted(site)
	p.send(login(2))
	h.window(t, site)
	w := l.greeted(other)
	w.send(login(2))
	w.expectEvent(wire.EventWaiting)
	_ = p.conn.Close()
	select {
	case err := <-h.ended:
		if !errors.Is(err, errSocketClosed) {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(patience):
		t.Fatal("the window of a page that is gone stays open")
	}
	h.window(t, other)
	h.answer <- nil
	w.expect(wire.TypeLogin)
}

func TestCancelClosesTheWindow(t *testing.T) {
	l := start(t)
	h := hold(l)
	p := l.greeted(site)
	p.send(login(2))
	h.window(t, site)
	p.send(cancelOf(2))
	p.expectError(2, wire.CodeCancelled)
	if err := <-h.ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	p.send(login(3)) // a cancelled request is no refusal
	h.window(t, site)
	h.answer <- consent.ErrRefused
	p.expectError(3, wire.CodeRefused)
}

// What the person decides in one window counts for those of the same origin
// that wait.
func TestDecisionCountsForThoseWhoWait(t *testing.T) {
	l := start(t)
	h := hold(l)
	a, b := l.greeted(site), l.greeted(site)
	a.send(login(2))
	h.window(t, site)
	b.send(login(2))
	b.expectEvent(wire.EventWaiting)
	if err := l.sites.SetSite(site, config.Blocked, time.Now()); err != nil {
		t.Fatal(err)
	}
	h.answer <- consent.ErrRefused
	a.expectError(2, wire.CodeRefused)
	b.expectError(2, wire.CodeOriginBlocked)
}

// A nonce that went stale in the queue is replaced before the person is asked.
func TestStaleNonceIsReplacedBeforeTheWindow(t *testing.T) {
	l := start(t)
	h := hold(l)
	a, b := l.greeted(site), l.greeted(other)
	a.send(login(2))
	h.window(t, site)
	m := login(2)
	m.Expires = time.Now().Add(20 * time.Second)
	b.send(m)
	b.expectEvent(wire.EventWaiting)
	h.answer <- nil
	a.expect(wire.TypeLogin)
	b.expectEvent(wire.EventNonceNeeded)
	fresh := wire.Nonce{Head: wire.Head{Type: wire.TypeNonce, ID: 2}, Nonce: challengeText, Expires: time.Now().Add(time.Hour)}
	b.send(fresh)
	h.window(t, other)
	h.answer <- nil
	if m := b.expect(wire.TypeLogin); m.Nonce != fresh.Nonce {
		t.Errorf("made over %s", m.Nonce)
	}
}

// Windows cost: an origin that asks all the time is slowed down, others are not.
func TestRequestsAreLimited(t *testing.T) {
	clock := newClock(time.Now())
	l := start(t, func(c *Config) { c.Now = clock.now; c.Limits.Requests = 3; c.Limits.Messages = 1000 })
	l.signer.login = func(_ context.Context, req signing.LoginRequest) (*signing.LoginResult, error) {
		return nil, signing.ErrNoCard // no decision of the person: the count goes on
	}
	p := l.greeted(site)
	for id := int64(2); id < 5; id++ {
		p.send(login(id))
		p.expectError(id, wire.CodeNoCard)
	}
	p.send(login(5))
	p.expectError(5, wire.CodeTooMany)
	q := l.greeted(other)
	q.send(login(2))
	q.expectError(2, wire.CodeNoCard)
	clock.add(time.Minute)
	p.send(login(6))
	p.expectError(6, wire.CodeNoCard)
	l.signer.login = nil // a yes gives the burst back
	for id := int64(7); id < 27; id++ {
		p.send(login(id))
		p.expect(wire.TypeLogin)
	}
}
