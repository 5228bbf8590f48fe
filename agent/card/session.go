package card

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ebfe/scard"

	"github.com/citel-pa/citel/agent/card/iso7816"
	"github.com/citel-pa/citel/agent/signing"
)

// busyRetry is how often a card in another program's exclusive use is tried
// again while the caller's deadline lasts; PC/SC has no way to wait for it.
const busyRetry = 50 * time.Millisecond

// busyWait is how long another program may hold the card before the person is told
// which one it is.
const busyWait = 10 * time.Second

// Session is one connection to one card. PC/SC calls cannot be interrupted, so
// each runs beside the caller; when the caller's time is up the session is
// broken, every later call fails at once, and the handle is let go as soon as
// the call that hangs returns.
type Session struct {
	reader string
	atr    []byte

	turn chan struct{} // one call at a time: holds one token
	mu   sync.Mutex
	bad  error

	pc   *scard.Context
	card *scard.Card
}

// BusyError is a card that another program holds. It is signing.ErrCardBusy.
type BusyError struct {
	// Programs that use PC/SC now, this one not counted, as far as the system lets
	// us see; one of them holds the card.
	Programs []string
	err      error
}

// Error names them.
func (e *BusyError) Error() string {
	if len(e.Programs) == 0 {
		return e.err.Error()
	}
	return e.err.Error() + ": " + strings.Join(e.Programs, ", ")
}

// Unwrap is the cause.
func (e *BusyError) Unwrap() error { return e.err }

// Holders are the programs' names.
func (e *BusyError) Holders() []string { return e.Programs }

// Program is one that uses PC/SC now.
type Program struct {
	Name string
	// OpenSC: it has OpenSC's module in memory.
	OpenSC bool
	// Other: another user runs it.
	Other bool
}

// Programs are those that use PC/SC now, this one not counted, as far as the system
// lets us see.
func Programs() []Program { return programs() }

// holders are the names of our user's.
func holders() []string {
	var names []string
	for _, p := range programs() {
		if !p.Other && !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
	}
	return names
}

func busy(err error) error {
	if !errors.Is(err, signing.ErrCardBusy) {
		err = fmt.Errorf("%w: %w", signing.ErrCardBusy, err)
	}
	return &BusyError{Programs: holders(), err: err}
}

// Connect opens the card in the named reader, shared with other programs. While
// another program holds it for itself Connect waits a while, and then says who.
func Connect(ctx context.Context, reader string) (*Session, error) {
	ctx, cancel := context.WithTimeout(ctx, busyWait)
	defer cancel()
	s := &Session{reader: reader, turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	var held error
	for {
		err := s.do(ctx, "connect", s.connect)
		if err == nil {
			return s, nil
		}
		if held != nil && ctx.Err() != nil {
			return nil, busy(held)
		}
		if !errors.Is(err, signing.ErrCardBusy) {
			return nil, err
		}
		held = err
		select {
		case <-ctx.Done():
			return nil, busy(held)
		case <-time.After(busyRetry):
		}
	}
}

func (s *Session) connect() error {
	pc, err := scard.EstablishContext()
	if err != nil {
		return err
	}
	c, err := pc.Connect(s.reader, scard.ShareShared, scard.ProtocolAny)
	if err != nil {
		_ = pc.Release() // the connect error is the one that matters
		return err
	}
	st, err := c.Status()
	if err != nil {
		_ = c.Disconnect(scard.LeaveCard)
		_ = pc.Release()
		return err
	}
	s.pc, s.card, s.atr = pc, c, slices.Clone(st.Atr)
	return nil
}

// Reader is the reader's name; ATR the card's answer to reset.
func (s *Session) Reader() string { return s.reader }

// ATR is the card's answer to reset.
func (s *Session) ATR() []byte { return slices.Clone(s.atr) }

// Options are what this card and reader can do. Long data goes in chains, which
// every card of ours takes, through every reader.
func (s *Session) Options() iso7816.Options {
	return iso7816.Options{T0: s.card.ActiveProtocol() == scard.ProtocolT0}
}

// do runs f, one at a time, and gives up waiting when ctx is done.
func (s *Session) do(ctx context.Context, what string, f func() error) error {
	select {
	case <-s.turn:
	case <-ctx.Done():
		return fmt.Errorf("card: %s: %w", what, ctx.Err())
	}
	s.mu.Lock()
	bad := s.bad
	s.mu.Unlock()
	if bad != nil {
		s.turn <- struct{}{}
		return bad
	}
	done := make(chan error, 1)
	go func() {
		err := f()
		done <- err
		s.turn <- struct{}{}
	}()
	select {
	case err := <-done:
		if err != nil {
			return translate(what, err)
		}
		return nil
	case <-ctx.Done():
		err := fmt.Errorf("%w: %s: no answer in time: %w", signing.ErrCardFailed, what, ctx.Err())
		s.fail(err)
		go s.release() // waits for its turn, which comes when the call returns
		return err
	}
}

func (s *Session) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bad == nil {
		s.bad = err
	}
}

// release lets go of the handles once no call runs.
func (s *Session) release() {
	<-s.turn
	if s.card != nil {
		_ = s.card.Disconnect(scard.LeaveCard) // a removed card cannot be let go properly
		s.card = nil
	}
	if s.pc != nil {
		_ = s.pc.Release()
		s.pc = nil
	}
	s.turn <- struct{}{}
}

// Begin starts a transaction: until the returned function is called no other
// program's command comes between ours (SCardBeginTransaction). It waits for
// other programs' transactions as long as ctx allows. ErrReset means that the
// card was reset since the last transaction: the connection is good again, but
// what was selected or verified is gone.
func (s *Session) Begin(ctx context.Context) (end func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, busyWait)
	defer cancel()
	err = s.do(ctx, "begin transaction", func() error { return s.card.BeginTransaction() })
	if errors.Is(err, ErrReset) {
		if rerr := s.do(ctx, "reconnect", func() error {
			return s.card.Reconnect(scard.ShareShared, scard.ProtocolAny, scard.LeaveCard)
		}); rerr != nil {
			return nil, rerr
		}
		return nil, err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, busy(err) // another program's transaction does not end
	}
	if err != nil {
		return nil, err
	}
	return sync.OnceFunc(func() {
		// The end of a transaction must not wait for a caller whose time is up.
		c, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = s.do(c, "end transaction", func() error { return s.card.EndTransaction(scard.LeaveCard) })
	}), nil
}

// Transmit sends one command APDU and gives the response APDU, status word
// included. Neither is kept or logged: a command may hold a PIN.
func (s *Session) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	var out []byte
	err := s.do(ctx, "transmit", func() error {
		var err error
		out, err = s.card.Transmit(command)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(out) < 2 {
		return nil, fmt.Errorf("%w: %d bytes instead of a response", signing.ErrCardFailed, len(out))
	}
	return out, nil
}

// Control sends a control code to the reader (PC/SC part 10: pinpads).
func (s *Session) Control(ctx context.Context, code uint32, in []byte) ([]byte, error) {
	var out []byte
	err := s.do(ctx, "control", func() error {
		var err error
		out, err = s.card.Control(code, in)
		return err
	})
	return out, err
}

// ControlCode is SCARD_CTL_CODE of this system.
func ControlCode(function uint16) uint32 { return scard.CtlCode(function) }

// Close lets go of the card without resetting it.
func (s *Session) Close() error {
	s.fail(fmt.Errorf("%w: session closed", signing.ErrCardFailed))
	done := make(chan struct{})
	go func() { s.release(); close(done) }()
	select {
	case <-done:
	case <-time.After(2 * time.Second):
		// A call still hangs in PC/SC; the handle goes when it returns.
	}
	return nil
}
