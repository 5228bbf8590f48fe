package card

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/ebfe/scard"

	"github.com/citel-pa/citel/agent/card/cns"
	"github.com/citel-pa/citel/agent/card/iso7816"
	"github.com/citel-pa/citel/agent/signing"
)

// Native is the source of the cards that CiTel reads by itself, without a vendor's
// module: the CNS. It follows the readers through a Watcher.
type Native struct {
	watcher *Watcher

	mu sync.Mutex
	// seen remembers what was found in a reader until the card's next event.
	seen map[string]sighting
	// tries remembers the last 63Cx of a card, by its number.
	tries map[string]int
}

// sighting is what one look at a card found.
type sighting struct {
	insertion uint32
	atr       string
	id        string // the card's number
	cert      *x509.Certificate
	err       error
}

// identifyTime bounds one look at one card.
const identifyTime = 15 * time.Second

// NewNative makes the source.
func NewNative(w *Watcher) *Native {
	return &Native{watcher: w, seen: map[string]sighting{}, tries: map[string]int{}}
}

// Name is for people.
func (n *Native) Name() string { return "PC/SC" }

// Present tells whether a reader holds a card that is read here.
func (n *Native) Present(ctx context.Context) bool {
	list, err := n.Identities(ctx)
	return err == nil && len(list) > 0
}

// Identities looks at every reader. A card that stayed is not read again.
func (n *Native) Identities(ctx context.Context) ([]signing.Identity, error) {
	select {
	case <-n.watcher.Ready():
	case <-ctx.Done():
		return nil, fmt.Errorf("card: %w", ctx.Err())
	}
	now, _ := n.watcher.Snapshot()
	switch {
	case !now.Service:
		return nil, signing.ErrNoService
	case len(now.Readers) == 0:
		return nil, signing.ErrNoReader
	}
	n.forget(now)
	var list []signing.Identity
	worst := signing.ErrNoCard
	for _, r := range now.Readers {
		switch r.State {
		case Empty:
			continue
		case Mute:
			worst = signing.ErrCardUnknown
			continue
		}
		s := n.look(ctx, r)
		if s.err != nil {
			worst = s.err
			continue
		}
		list = append(list, signing.Identity{Certificate: s.cert, Ref: r.Name + "\x00" + s.id, Source: r.Name, PIN: n.state(s.id)})
	}
	if len(list) == 0 {
		return nil, worst
	}
	return list, nil
}

// Kinds of cards.
const (
	KindCNS     = "cns"
	KindUnknown = "unknown"
)

// Found is a reader and what is known of its card.
type Found struct {
	Reader
	// Kind, Maker and Number are empty without a card that answers.
	Kind, Maker, Number string
}

// Cards lists readers and cards. The error is signing.ErrNoService.
func (n *Native) Cards(ctx context.Context) ([]Found, error) {
	_, err := n.Identities(ctx) // looks at what is new
	if errors.Is(err, signing.ErrNoService) {
		return nil, err
	}
	now, _ := n.watcher.Snapshot()
	list := make([]Found, 0, len(now.Readers))
	for _, r := range now.Readers {
		f := Found{Reader: r}
		if r.State == Present {
			n.mu.Lock()
			s := n.seen[r.Name]
			n.mu.Unlock()
			f.Kind = KindUnknown
			if s.err == nil && s.cert != nil {
				f.Kind, f.Number, f.Maker = KindCNS, s.id, cns.FamilyOf(r.ATR).Name
			}
		}
		list = append(list, f)
	}
	return list, nil
}

// Unread tells whether a card is there that is not read here: then a vendor's
// module is worth asking.
func (n *Native) Unread(ctx context.Context) bool {
	_, _ = n.Identities(ctx) // looks at what is new; what it finds is in seen
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.seen {
		if errors.Is(s.err, signing.ErrCardUnknown) {
			return true
		}
	}
	return false
}

// forget drops what was seen in readers that are gone or had an event.
func (n *Native) forget(now Snapshot) {
	n.mu.Lock()
	defer n.mu.Unlock()
	maps.DeleteFunc(n.seen, func(name string, s sighting) bool {
		for _, r := range now.Readers {
			if r.Name == name && r.State == Present && r.Insertion == s.insertion && string(r.ATR) == s.atr {
				return false
			}
		}
		return true
	})
}

func (n *Native) look(ctx context.Context, r Reader) sighting {
	n.mu.Lock()
	s, ok := n.seen[r.Name]
	n.mu.Unlock()
	if ok {
		return s
	}
	ctx, cancel := context.WithTimeout(ctx, identifyTime)
	defer cancel()
	s = sighting{insertion: r.Insertion, atr: string(r.ATR)}
	s.err = withCard(ctx, r.Name, func(c *cns.Card) (err error) {
		if s.id, err = c.ID(ctx); err != nil {
			return err
		}
		s.cert, err = c.Certificate(ctx)
		return err
	})
	// What may be otherwise the next time is not remembered.
	if s.err == nil || errors.Is(s.err, signing.ErrCardUnknown) {
		n.mu.Lock()
		n.seen[r.Name] = s
		n.mu.Unlock()
	}
	return s
}

// withCard runs f in one transaction with the card in a reader. A card that was
// reset before it began is begun with again once.
func withCard(ctx context.Context, reader string, f func(*cns.Card) error) error {
	session, err := Connect(ctx, reader)
	if err != nil {
		return err
	}
	defer func() { _ = session.Close() }()
	end, err := begin(ctx, session)
	if err != nil {
		return err
	}
	defer end()
	return meaning(f(cns.New(session, session.ATR(), iso7816.Options{})))
}

func begin(ctx context.Context, s *Session) (end func(), err error) {
	for range 3 {
		if end, err = s.Begin(ctx); !errors.Is(err, ErrReset) {
			return end, err
		}
	}
	return nil, fmt.Errorf("%w: %w", signing.ErrCardBusy, err)
}

// meaning translates what a driver says.
func meaning(err error) error {
	var wrong *cns.WrongError
	var status *iso7816.StatusError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, cns.ErrNotCNS):
		return fmt.Errorf("%w: %w", signing.ErrCardUnknown, err)
	case errors.As(err, &wrong):
		return fmt.Errorf("%w: %w", &signing.ErrPINWrong{TriesLeft: wrong.TriesLeft}, err)
	case errors.Is(err, cns.ErrBlocked):
		return fmt.Errorf("%w: %w", signing.ErrPINLocked, err)
	case errors.Is(err, ErrReset):
		return fmt.Errorf("%w: %w", signing.ErrCardBusy, err)
	case errors.As(err, &status), errors.Is(err, cns.ErrFile), errors.Is(err, iso7816.ErrAPDU), errors.Is(err, iso7816.ErrAnswer), errors.Is(err, iso7816.ErrTLV):
		return fmt.Errorf("%w: %w", signing.ErrCardFailed, err)
	}
	return err
}

// state is what is known of a card's PIN.
func (n *Native) state(id string) signing.PINState {
	n.mu.Lock()
	defer n.mu.Unlock()
	left, known := n.tries[id]
	if !known {
		return signing.PINState{TriesLeft: -1}
	}
	return signing.PINState{TriesLeft: left, FinalTry: left == 1, Locked: left == 0}
}

func (n *Native) remember(id string, err error) {
	var wrong *signing.ErrPINWrong
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case err == nil:
		delete(n.tries, id)
	case errors.As(err, &wrong) && wrong.TriesLeft >= 0:
		n.tries[id] = wrong.TriesLeft
	case errors.Is(err, signing.ErrPINLocked):
		n.tries[id] = 0
	}
}

// Open takes the card for one request: from here to Close no other program's
// command comes between.
func (n *Native) Open(ctx context.Context, id signing.Identity) (_ signing.Key, err error) {
	reader, number, ok := cut(id.Ref)
	if !ok {
		return nil, fmt.Errorf("%w: not a card of ours", signing.ErrCardFailed)
	}
	public, ok := id.Certificate.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: a CNS has an RSA key", signing.ErrCardFailed)
	}
	session, err := Connect(ctx, reader)
	if err != nil {
		return nil, gone(err)
	}
	k := &key{native: n, session: session, number: number, public: public, end: func() {}}
	defer func() {
		if err != nil {
			_ = k.Close()
		}
	}()
	if k.end, err = begin(ctx, session); err != nil {
		k.end = func() {}
		return nil, gone(err)
	}
	k.card = cns.New(session, session.ATR(), iso7816.Options{})
	// The person said yes to the certificate of one card: is it still this one?
	now, err := k.card.ID(ctx)
	if err != nil {
		return nil, gone(meaning(err))
	}
	if now != number {
		return nil, fmt.Errorf("%w: another card is in the reader", signing.ErrCardRemoved)
	}
	return k, nil
}

func cut(ref string) (reader, number string, ok bool) {
	for i := range len(ref) {
		if ref[i] == 0 {
			return ref[:i], ref[i+1:], true
		}
	}
	return "", "", false
}

// gone: a card that was there when the person was asked, and is not any more.
func gone(err error) error {
	if errors.Is(err, signing.ErrNoCard) || errors.Is(err, signing.ErrNoReader) {
		return fmt.Errorf("%w: %w", signing.ErrCardRemoved, err)
	}
	return err
}

// key is a CNS in use.
type key struct {
	native  *Native
	session *Session
	card    *cns.Card
	number  string
	public  *rsa.PublicKey
	end     func()
	entered bool // a PIN was
	once    sync.Once
}

// Public is the certificate's key.
func (k *key) Public() crypto.PublicKey { return k.public }

// Unlock enters the PIN.
func (k *key) Unlock(ctx context.Context, pin []byte) error {
	k.entered = true
	err := meaning(k.card.Verify(ctx, pin))
	k.native.remember(k.number, err)
	var wrong *signing.ErrPINWrong
	switch {
	case err == nil, errors.As(err, &wrong), errors.Is(err, signing.ErrPINLocked), errors.Is(err, cns.ErrPINLength):
		if errors.Is(err, cns.ErrPINLength) {
			return fmt.Errorf("%w: %w", &signing.ErrPINWrong{TriesLeft: -1}, err) // the card was not asked
		}
		return err
	}
	var status *iso7816.StatusError
	if errors.As(err, &status) {
		return err // the card answered, and it was not about the PIN
	}
	// The command was on its way and no answer came.
	return fmt.Errorf("%w: %w", signing.ErrPINUncertain, err)
}

// Sign signs a digest; opts is a crypto.Hash.
func (k *key) Sign(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if _, pss := opts.(*rsa.PSSOptions); pss {
		return nil, fmt.Errorf("%w: PSS is not made with a CNS", signing.ErrCardFailed)
	}
	sig, err := k.card.Sign(ctx, k.public, digest, opts.HashFunc())
	return sig, gone(meaning(err))
}

// Close ends the transaction and, when a PIN was entered, resets the card: no other
// program may sign with the PIN that was meant for this request.
func (k *key) Close() error {
	k.once.Do(func() {
		if k.entered {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			_ = k.session.do(ctx, "reset", func() error { return k.session.card.EndTransaction(scard.ResetCard) })
		} else {
			k.end()
		}
		_ = k.session.Close()
	})
	return nil
}
