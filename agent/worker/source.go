package worker

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/citel-pa/citel/agent/signing"
)

// source is a module as a place where keys are.
type source struct {
	pool   *Pool
	module Module
	// lease is held by whoever talks to the helper; a key holds it until Close.
	lease chan struct{}
	// keyOpen: a card is there, and in use.
	keyOpen atomic.Bool

	mu sync.Mutex
	// next is the helper that is being started or is ready; nil: none.
	next *start
}

// start is a helper in the making.
type start struct {
	ready chan struct{}
	h     *helper
	err   error
}

// Name is the module's name.
func (s *source) Name() string { return s.module.Name }

// warm sees to it that a helper is there or on its way.
func (s *source) warm() *start {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next != nil {
		select {
		case <-s.next.ready:
			if s.next.err == nil && !s.next.h.broken() {
				return s.next
			}
		default:
			return s.next
		}
	}
	st := &start{ready: make(chan struct{})}
	ok := s.pool.background(func() {
		st.h, st.err = s.pool.start(s.module)
		if st.err != nil {
			s.pool.cfg.Log.Warn("a module does not start", "module", s.module.Name, "error", st.err)
		}
		close(st.ready)
	})
	if !ok {
		st.err = errClosed
		close(st.ready)
	}
	s.next = st
	return st
}

// take gives the helper to the caller alone, until give.
func (s *source) take(ctx context.Context) (*helper, error) {
	select {
	case <-s.lease:
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: waiting for %s: %w", signing.ErrCardBusy, s.module.Name, ctx.Err())
	}
	st := s.warm()
	select {
	case <-st.ready:
		if st.err != nil {
			s.lease <- struct{}{}
			return nil, st.err
		}
		return st.h, nil
	case <-ctx.Done():
		s.lease <- struct{}{}
		return nil, fmt.Errorf("%w: %s does not start: %w", signing.ErrCardFailed, s.module.Name, ctx.Err())
	}
}

// give ends what take began. A helper that got a PIN, or that failed, is killed
// and another one is started in the background.
func (s *source) give(h *helper, used bool) {
	if used {
		h.kill()
		s.mu.Lock()
		s.next = nil
		s.mu.Unlock()
		s.warm()
	}
	s.lease <- struct{}{}
}

func (s *source) present(ctx context.Context) (bool, error) {
	if s.keyOpen.Load() {
		return true, nil
	}
	h, err := s.take(ctx)
	if err != nil {
		// A key may have been opened while this waited.
		return s.keyOpen.Load(), err
	}
	a, err := h.ask(ctx, s.pool.cfg.Timeout, order{Op: opPresent}, nil)
	s.give(h, h.broken())
	return a.Tokens > 0, err
}

// Identities lists the certificates that have a key, of all tokens of the module.
func (s *source) Identities(ctx context.Context) ([]signing.Identity, error) {
	h, err := s.take(ctx)
	if err != nil {
		return nil, err
	}
	a, err := h.ask(ctx, s.pool.cfg.Timeout, order{Op: opIdentities}, nil)
	s.give(h, h.broken())
	if err != nil {
		return nil, err
	}
	list := make([]signing.Identity, 0, len(a.Identities))
	for _, i := range a.Identities {
		cert, err := x509.ParseCertificate(i.Certificate)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", signing.ErrCardFailed, err)
		}
		id := signing.Identity{Certificate: cert, Ref: ref(i.Token, cert), PIN: i.state(), Source: i.Label}
		if id.Source == "" {
			id.Source = i.Reader
		}
		list = append(list, id)
	}
	return list, nil
}

// ref names a key on a token, also after the module was initialised again.
func ref(token string, cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:]) + "/" + token
}

func (i identity) state() signing.PINState {
	p := signing.PINState{TriesLeft: -1, CountLow: i.CountLow, FinalTry: i.FinalTry, Locked: i.Locked, Pinpad: i.Pinpad}
	switch {
	case i.Locked:
		p.TriesLeft = 0
	case i.FinalTry:
		p.TriesLeft = 1
	}
	if i.MinPIN == i.MaxPIN {
		p.Digits = i.MinPIN
	}
	return p
}

// Open looks whether the token and its certificate are still there and keeps the
// module for this key alone, until Close.
func (s *source) Open(ctx context.Context, id signing.Identity) (signing.Key, error) {
	certificate, token, ok := strings.Cut(id.Ref, "/")
	if !ok || id.Certificate == nil || ref(token, id.Certificate) != id.Ref {
		return nil, fmt.Errorf("%w: not an identity of %s", signing.ErrCardFailed, s.module.Name)
	}
	h, err := s.take(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := h.ask(ctx, s.pool.cfg.Timeout, order{Op: opOpen, Token: token, Certificate: certificate}, nil); err != nil {
		s.give(h, h.broken())
		return nil, err
	}
	s.keyOpen.Store(true)
	return &key{source: s, helper: h, id: id}, nil
}

// key is one key for one request.
type key struct {
	source *source
	helper *helper
	id     signing.Identity

	mu       sync.Mutex
	pin      bool // one was sent, or may have been
	unlocked bool
	closed   bool
}

var errKeyClosed = fmt.Errorf("%w: the key is closed", signing.ErrCardFailed)

// Public is the key of the certificate.
func (k *key) Public() crypto.PublicKey { return k.id.Certificate.PublicKey }

// Unlock sends the PIN, once.
func (k *key) Unlock(ctx context.Context, pin []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	pinpad := k.id.PIN.Pinpad
	switch {
	case k.closed:
		return errKeyClosed
	case k.pin:
		return fmt.Errorf("%w: a PIN was entered before", signing.ErrCardFailed)
	case pin == nil && !pinpad:
		return fmt.Errorf("%w: no PIN and no pinpad", signing.ErrCardFailed)
	case pin != nil && (len(pin) == 0 || len(pin) > maxPIN):
		return &signing.ErrPINWrong{TriesLeft: -1} // no card has such a PIN: none was sent
	}
	limit := k.source.pool.cfg.SignTimeout
	if pin == nil {
		limit = max(limit, pinpadTime)
	}
	k.pin = true
	_, err := k.helper.ask(ctx, limit, order{Op: opUnlock}, pin)
	k.unlocked = err == nil
	return err
}

// Sign has the token sign a digest.
func (k *key) Sign(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.closed:
		return nil, errKeyClosed
	case !k.unlocked:
		return nil, fmt.Errorf("%w: the key is not unlocked", signing.ErrCardFailed)
	case opts == nil:
		return nil, fmt.Errorf("%w: no hash", signing.ErrFormatUnsupported)
	}
	o := order{Op: opSign, Digest: digest}
	for name, h := range hashes {
		if h == opts.HashFunc() {
			o.Hash = name
		}
	}
	if o.Hash == "" || len(digest) != opts.HashFunc().Size() {
		return nil, fmt.Errorf("%w: a digest of %d bytes for hash %d", signing.ErrFormatUnsupported, len(digest), opts.HashFunc())
	}
	if pss, ok := opts.(*rsa.PSSOptions); ok {
		o.PSS, o.Salt = true, pss.SaltLength
	}
	a, err := k.helper.ask(ctx, k.source.pool.cfg.SignTimeout, o, nil)
	if err != nil {
		return nil, err
	}
	return a.Signature, nil
}

// releaseTime is how long a module may take to log out before its process ends.
const releaseTime = 2 * time.Second

// Close logs out and gives the module back; the helper that got a PIN ends.
func (k *key) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil
	}
	k.closed = true
	if !k.helper.broken() {
		// An orderly logout, so that the card is not left open for others. A card
		// that is gone by now cannot answer, and that is no failure of the request.
		_, err := k.helper.ask(context.Background(), min(releaseTime, k.source.pool.cfg.Timeout), order{Op: opRelease}, nil)
		if err != nil && !errors.Is(err, signing.ErrCardRemoved) {
			k.source.pool.cfg.Log.Debug("closing a key", "module", k.source.module.Name, "error", err)
		}
	}
	k.source.keyOpen.Store(false)
	k.source.give(k.helper, k.pin || k.helper.broken())
	return nil
}
