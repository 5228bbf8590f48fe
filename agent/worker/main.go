package worker

import (
	"context"
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/citel-pa/citel/pkcs/token"
)

// Exit codes of the helper, for the log.
const (
	exitDone  = 0
	exitOrder = 2 // the agent sent what is no order, or the pipes broke
)

// grace is how long a helper whose agent is gone may take to finalise its module.
const grace = time.Second

// Main is the helper: it reads orders from in and writes answers to out until in
// ends, and returns the exit code. It is what the agent's hidden command runs,
// with the files of Pipes. Nothing else may be done in this process, because the
// module of a vendor runs in it.
func Main(ctx context.Context, in, out *os.File) int {
	harden()
	// Ctrl-C in a terminal goes to all; the agent decides when its helper ends.
	signal.Ignore(os.Interrupt)
	orders := make(chan errand)
	read := make(chan error, 1)
	go func() {
		err := readOrders(in, orders)
		read <- err
		close(orders)
		// The agent is gone or talks nonsense. A module that hangs would keep this
		// process, and a PIN with it, for ever.
		time.Sleep(grace)
		os.Exit(exitOrder)
	}()
	w := &work{}
	defer w.end()
	for {
		select {
		case <-ctx.Done():
			return exitDone
		case e, ok := <-orders:
			if !ok {
				if <-read != nil {
					return exitOrder
				}
				return exitDone
			}
			a := w.do(ctx, e.order, e.pin)
			clear(e.pin)
			a.N = e.order.N
			// Shorter than the limit: JSON makes three bytes of one that is no UTF-8.
			a.Detail = strings.ToValidUTF8(a.Detail, "?")
			a.Detail = a.Detail[:min(len(a.Detail), maxText-8)]
			if err := writeJSON(out, a); err != nil {
				return exitOrder
			}
		}
	}
}

// errand is an order with the PIN that came with it.
type errand struct {
	order order
	pin   []byte
}

// readOrders reads until in ends: nil at its end, an error for what is no order.
func readOrders(in io.Reader, orders chan<- errand) error {
	for {
		data, err := readFrame(in, maxFrame)
		if err != nil {
			if errors.Is(err, errFrame) {
				return err
			}
			return nil
		}
		o, err := parseOrder(data)
		if err != nil {
			return err
		}
		e := errand{order: o}
		if o.PIN {
			if e.pin, err = readFrame(in, maxPIN); err != nil {
				return err
			}
		}
		orders <- e
	}
}

// work is the helper's state: one module, at most one key open.
type work struct {
	module  *token.Module
	path    string
	fresh   time.Time // the last C_Initialize
	session *token.Session
	id      token.Identity
	pinpad  bool
	key     *token.Key
}

func (w *work) do(ctx context.Context, o order, pin []byte) answer {
	if (o.Op == opStart) != (w.path == "") {
		return answer{Failure: failOrder, Detail: "start comes first and once"}
	}
	switch o.Op {
	case opStart:
		w.path = o.Module
		return done(w.load())
	case opPresent:
		return w.present(ctx)
	case opIdentities:
		return w.identities(ctx)
	case opOpen:
		return w.open(ctx, o)
	case opUnlock:
		return w.unlock(pin)
	case opSign:
		return w.sign(o)
	case opRelease:
		return done(w.release())
	}
	return answer{Failure: failOrder}
}

func (w *work) load() error {
	m, err := token.Open(w.path)
	if err != nil {
		return err
	}
	w.module, w.fresh = m, time.Now()
	return nil
}

// reload finalises and initialises: some modules, SoftHSM among them, see readers
// and tokens as they were at C_Initialize.
func (w *work) reload() error {
	err := w.release()
	if w.module != nil {
		err = errors.Join(err, w.module.Close())
		w.module = nil
	}
	if err != nil {
		return err
	}
	return w.load()
}

func (w *work) end() {
	_ = w.release() // nobody is there to be told
	if w.module != nil {
		_ = w.module.Close()
	}
}

// slots lists the readers, and those of them with a token that can have keys.
func (w *work) slots(ctx context.Context) (all int, with []token.Slot, err error) {
	if w.module == nil { // a reload failed
		if err := w.load(); err != nil {
			return 0, nil, err
		}
	}
	list, err := w.module.Slots(ctx)
	if err != nil {
		return 0, nil, err
	}
	for _, s := range list {
		if s.Token != nil && s.Token.Initialized {
			with = append(with, s)
		}
	}
	return len(list), with, nil
}

// presentPause is the least time between two reloads that only a question about
// a card's presence caused: such questions come often.
const presentPause = time.Second

func (w *work) present(ctx context.Context) answer {
	_, with, err := w.slots(ctx)
	if err == nil && len(with) == 0 && time.Since(w.fresh) > presentPause {
		if err = w.reload(); err == nil {
			_, with, err = w.slots(ctx)
		}
	}
	a := done(err)
	a.Tokens = min(len(with), maxIdentities)
	return a
}

func (w *work) identities(ctx context.Context) answer {
	a := w.list(ctx)
	if a.Failure == "" && len(a.Identities) > 0 {
		return a
	}
	if err := w.reload(); err != nil {
		return done(err)
	}
	return w.list(ctx)
}

func (w *work) list(ctx context.Context) answer {
	all, with, err := w.slots(ctx)
	switch {
	case err != nil:
		return done(err)
	case all == 0:
		return answer{Failure: failNoReader}
	case len(with) == 0:
		return answer{Failure: failNoToken}
	}
	a := answer{Tokens: min(len(with), maxIdentities)}
	size := 0
	for _, slot := range with {
		list, readErr := w.certificates(slot)
		if readErr != nil { // a card that is read wrongly does not hide another
			err = readErr
			continue
		}
		for _, i := range list {
			// Base64 makes four of three; what does not fit a frame is left out.
			size += len(i.Certificate.Raw)*4/3 + 4*maxText
			if len(a.Identities) == maxIdentities || len(i.Certificate.Raw) > maxCertificate || size > maxFrame {
				break
			}
			a.Identities = append(a.Identities, identity{
				Certificate: i.Certificate.Raw, Token: slot.Token.Serial, Label: slot.Token.Label, Reader: slot.Reader,
				CountLow: slot.Token.CountLow, FinalTry: slot.Token.FinalTry, Locked: slot.Token.Locked,
				Pinpad: slot.Token.Pinpad, MinPIN: slot.Token.MinPIN, MaxPIN: slot.Token.MaxPIN,
			})
		}
	}
	if len(a.Identities) == 0 && err != nil {
		return done(err)
	}
	return a
}

func (w *work) certificates(slot token.Slot) ([]token.Identity, error) {
	s, err := w.module.Session(slot.ID)
	if err != nil {
		return nil, err
	}
	list, err := s.Identities()
	return list, errors.Join(err, s.Close())
}

// open finds the key's certificate again, in a session of its own. Whether the
// token is still the one that was listed is thus known before a PIN is sent.
func (w *work) open(ctx context.Context, o order) answer {
	if w.session != nil {
		return answer{Failure: failOrder, Detail: "a key is open"}
	}
	_, with, err := w.slots(ctx)
	if err != nil {
		return done(err)
	}
	for _, slot := range with {
		if slot.Token.Serial != o.Token {
			continue
		}
		s, err := w.module.Session(slot.ID)
		if err != nil {
			return done(err)
		}
		list, err := s.Identities()
		if err != nil {
			return done(errors.Join(err, s.Close()))
		}
		for _, i := range list {
			if i.ID == o.Certificate {
				w.session, w.id, w.pinpad = s, i, slot.Token.Pinpad
				return answer{}
			}
		}
		_ = s.Close() // two tokens may have one serial number: go on
	}
	return answer{Failure: failTokenChange, Detail: "the certificate is not there any more"}
}

func (w *work) unlock(pin []byte) answer {
	if w.session == nil || w.key != nil || pin == nil && !w.pinpad {
		return answer{Failure: failOrder, Detail: "nothing to unlock"}
	}
	if err := w.session.Login(pin); err != nil {
		a := done(err)
		switch a.Failure {
		case failModule, failRemoved:
			// The module had the PIN. It may have reached the card.
			a.Failure = failPINUnknown
		}
		return a
	}
	key, err := w.session.Key(w.id)
	if err != nil {
		return done(err)
	}
	w.key = key
	return answer{}
}

func (w *work) sign(o order) answer {
	if w.key == nil {
		return answer{Failure: failOrder, Detail: "no key is open"}
	}
	var opts crypto.SignerOpts = hashes[o.Hash]
	if o.PSS {
		opts = &rsa.PSSOptions{Hash: hashes[o.Hash], SaltLength: o.Salt}
	}
	signature, err := w.key.Sign(nil, o.Digest, opts)
	if err == nil && len(signature) > maxSignature {
		err = fmt.Errorf("%w: a signature of %d bytes", token.ErrModule, len(signature))
	}
	if err != nil {
		return done(err)
	}
	return answer{Signature: signature}
}

func (w *work) release() error {
	s := w.session
	w.session, w.key, w.id = nil, nil, token.Identity{}
	if s == nil {
		return nil
	}
	return s.Close()
}

// done is the answer that says how it went.
func done(err error) answer {
	if err == nil {
		return answer{}
	}
	a := answer{Failure: failModule, Detail: err.Error()}
	if pin, ok := errors.AsType[*token.PINError](err); ok {
		a.FinalTry, a.Locked = pin.FinalTry, pin.Locked
		a.Failure = map[token.PINKind]failure{
			token.PINIncorrect: failPINWrong, token.PINLocked: failPINLocked,
			token.PINExpired: failPINExpired, token.PINLength: failPINLength,
		}[pin.Kind]
		return a
	}
	for _, m := range []struct {
		err error
		f   failure
	}{{token.ErrTokenRemoved, failRemoved}, {token.ErrCancelled, failCancelled}, {token.ErrMechanism, failMechanism}} {
		if errors.Is(err, m.err) {
			a.Failure = m.f
			break
		}
	}
	return a
}
