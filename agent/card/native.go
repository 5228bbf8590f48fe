package card

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/ebfe/scard"

	"github.com/citel-pa/citel/agent/card/cie"
	"github.com/citel-pa/citel/agent/card/cns"
	"github.com/citel-pa/citel/agent/card/iso7816"
	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/signing"
)

// Native is the source of the cards that CiTel reads by itself, without a vendor's
// module: the CNS and the CIE. It follows the readers through a Watcher.
type Native struct {
	// Roots are the country signing certificates that a CIE's security object must
	// lead to; nil: the chip's own authentication alone decides.
	Roots *x509.CertPool

	watcher *Watcher

	mu sync.Mutex
	// seen remembers what was found in a reader until the card's next event.
	seen map[string]sighting
	// tries remembers the last 63Cx of a card, by its number.
	tries map[string]int
	// cies remembers what is known of a CIE, by its number.
	cies map[string]knownCIE
}

// knownCIE saves a CIE's second use half of its commands. It is safe to keep: a
// card with this number that does not have the chip's key never sees the PIN, and
// a certificate whose key the card does not have gives no signature that holds.
type knownCIE struct {
	chip *cie.Chip
	cert *x509.Certificate // nil before the first PIN
}

// maxKnown bounds what is remembered on a computer that sees many cards.
const maxKnown = 64

// sighting is what one look at a card found.
type sighting struct {
	insertion uint32
	atr       string
	kind      string
	id        string // the card's number
	cert      *x509.Certificate
	signature *x509.Certificate // of the CNS's second key, nil without one
	pinpad    bool
	err       error
}

// identifyTime bounds one look at one card.
const identifyTime = 15 * time.Second

// NewNative makes the source.
func NewNative(w *Watcher) *Native {
	return &Native{watcher: w, seen: map[string]sighting{}, tries: map[string]int{}, cies: map[string]knownCIE{}}
}

// Name is for people.
func (n *Native) Name() string { return "PC/SC" }

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
		list = append(list, n.identities(r, s)...)
	}
	if len(list) == 0 {
		return nil, worst
	}
	return list, nil
}

// Keys of a card, as they stand in an identity's Ref.
const (
	keyAuthentication = "authentication"
	keySignature      = "signature"
)

// identities of one card: the CIE has one, the CNS one or two.
func (n *Native) identities(r Reader, s sighting) []signing.Identity {
	of := func(cert *x509.Certificate, key string) signing.Identity {
		return signing.Identity{Certificate: cert, Kind: s.kind, Number: s.id, Source: r.Name,
			Ref: strings.Join([]string{r.Name, s.kind, s.id, key}, "\x00"), PIN: n.state(s.id + key)}
	}
	id := of(s.cert, keyAuthentication)
	if s.kind == KindCIE {
		id.PIN.Digits = cie.Digits
		n.mu.Lock()
		id.Certificate = n.cies[s.id].cert
		n.mu.Unlock()
		return []signing.Identity{id}
	}
	id.PIN.Pinpad = s.pinpad
	list := []signing.Identity{id}
	if s.signature != nil {
		second := of(s.signature, keySignature)
		second.PIN.Pinpad = s.pinpad
		list = append(list, second)
	}
	return list
}

// Kinds of cards.
const (
	KindCNS     = "cns"
	KindCIE     = "cie"
	KindUnknown = "unknown"
)

// Found is a reader and what is known of its card.
type Found struct {
	Reader
	// Kind, Maker and Number are empty without a card that answers.
	Kind, Maker, Number string
	// Err is why the card could not be read; signing.ErrCardUnknown: it is no card of
	// ours.
	Err error
}

// Cards lists readers and cards. A card that another program has for itself is not
// waited for. The error is signing.ErrNoService.
func (n *Native) Cards(ctx context.Context) ([]Found, error) {
	select {
	case <-n.watcher.Ready():
	case <-ctx.Done():
		return nil, fmt.Errorf("card: %w", ctx.Err())
	}
	now, _ := n.watcher.Snapshot()
	if !now.Service {
		return nil, signing.ErrNoService
	}
	n.forget(now)
	list := make([]Found, 0, len(now.Readers))
	for _, r := range now.Readers {
		f := Found{Reader: r}
		if r.State == Present {
			f.Kind = KindUnknown
			s := sighting{err: signing.ErrCardBusy}
			if !r.Exclusive {
				s = n.look(ctx, r)
			}
			if f.Err = s.err; s.err == nil && s.kind != "" {
				f.Kind, f.Number = s.kind, s.id
			}
			if f.Kind == KindCNS {
				f.Maker = cns.FamilyOf(r.ATR).Name
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
	s.err = withSession(ctx, r.Name, func(session *Session) error {
		return identify(ctx, session, &s)
	})
	// What may be otherwise the next time is not remembered.
	if s.err == nil || errors.Is(s.err, signing.ErrCardUnknown) {
		n.mu.Lock()
		n.seen[r.Name] = s
		n.mu.Unlock()
	}
	return s
}

// identify finds out which card it is: the files decide, the answer to reset only
// says what is tried first.
func identify(ctx context.Context, session *Session, s *sighting) error {
	kinds := []string{KindCIE, KindCNS}
	if cns.Likely(session.ATR()) {
		kinds = []string{KindCNS, KindCIE}
	}
	var err error
	for _, s.kind = range kinds {
		switch s.kind {
		case KindCIE:
			if s.id, err = cie.New(session, session.Options()).Number(ctx); err == nil {
				go cie.Warm() // the person reads the question meanwhile
			}
		case KindCNS:
			c := cns.New(session, session.ATR(), session.Options())
			if s.id, err = c.Number(ctx); err == nil {
				s.cert, err = c.Certificate(ctx)
			}
			if err == nil {
				// Few cards have it; one that cannot be read is as good as none.
				s.signature, _ = c.Signature().Certificate(ctx)
				s.pinpad = session.pinpad(ctx) != 0
			}
		}
		if !errors.Is(err, cie.ErrNotCIE) && !errors.Is(err, cns.ErrNotCNS) {
			return meaning(err)
		}
	}
	s.kind = ""
	return meaning(err)
}

// withSession runs f in one transaction with the card in a reader. A card that was
// reset before it began is begun with again.
func withSession(ctx context.Context, reader string, f func(*Session) error) error {
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
	return f(session)
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
	var wrong *iso7816.WrongError
	var status *iso7816.StatusError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, cns.ErrNotCNS), errors.Is(err, cie.ErrNotCIE):
		return fmt.Errorf("%w: %w", signing.ErrCardUnknown, err)
	case errors.As(err, &wrong):
		return fmt.Errorf("%w: %w", &signing.ErrPINWrong{TriesLeft: wrong.TriesLeft}, err)
	case errors.Is(err, iso7816.ErrBlocked):
		return fmt.Errorf("%w: %w", signing.ErrPINLocked, err)
	case errors.Is(err, ErrReset):
		return fmt.Errorf("%w: %w", signing.ErrCardBusy, err)
	case errors.Is(err, cns.ErrPINLength), errors.Is(err, cie.ErrSecret):
		return fmt.Errorf("%w: %w", &signing.ErrPINWrong{TriesLeft: -1}, err) // the card was not asked
	case errors.As(err, &status), isOneOf(err, cns.ErrFile, cie.ErrCardData, cie.ErrChannel, cie.ErrNotGenuine, iso7816.ErrAPDU, iso7816.ErrAnswer, iso7816.ErrTLV):
		return fmt.Errorf("%w: %w", signing.ErrCardFailed, err)
	}
	return err
}

func isOneOf(err error, list ...error) bool {
	for _, e := range list {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
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

// driver is what a card's driver does for a key.
type driver interface {
	// Number selects what is needed and gives the card's number.
	Number(ctx context.Context) (string, error)
	Verify(ctx context.Context, pin []byte) error
	Certificate(ctx context.Context) (*x509.Certificate, error)
	Sign(ctx context.Context, key *rsa.PublicKey, digest []byte, h crypto.Hash) ([]byte, error)
	Change(ctx context.Context, old, fresh []byte) error
	Unblock(ctx context.Context, puk, fresh []byte) error
}

// Open takes the card for one request: from here to Close no other program's
// command comes between.
func (n *Native) Open(ctx context.Context, id signing.Identity) (signing.Key, error) {
	k, err := n.take(ctx, id)
	if err != nil {
		return nil, err
	}
	return k, nil
}

func (n *Native) take(ctx context.Context, id signing.Identity) (_ *key, err error) {
	ref := strings.Split(id.Ref, "\x00")
	if len(ref) != 4 {
		return nil, fmt.Errorf("%w: not a card of ours", signing.ErrCardFailed)
	}
	reader, kind, number := ref[0], ref[1], ref[2]
	k := &key{native: n, kind: kind, number: number, account: number + ref[3], end: func() {}}
	if id.Certificate != nil {
		if err := k.holder(id.Certificate); err != nil {
			return nil, err
		}
	}
	if k.session, err = Connect(ctx, reader); err != nil {
		return nil, gone(err)
	}
	defer func() {
		if err != nil {
			_ = k.Close()
		}
	}()
	end, err := begin(ctx, k.session)
	if err != nil {
		return nil, gone(err)
	}
	k.end = end
	var eid *cie.Card
	switch kind {
	case KindCIE:
		eid = cie.New(k.session, k.session.Options())
		k.card = eid
	default:
		k.cns = cns.New(k.session, k.session.ATR(), k.session.Options())
		k.card = k.cns
	}
	// The person said yes to one card: is it still this one?
	now, err := k.card.Number(ctx)
	if err != nil {
		return nil, gone(meaning(err))
	}
	if now != number {
		return nil, fmt.Errorf("%w: another card is in the reader", signing.ErrCardRemoved)
	}
	if ref[3] == keySignature && k.cns != nil {
		k.cns = k.cns.Signature()
		k.card = k.cns
	}
	if eid != nil {
		if err := n.secure(ctx, eid, number); err != nil {
			return nil, gone(meaning(err))
		}
	}
	return k, nil
}

// secure opens a CIE's channel, to a chip that proved to be genuine.
func (n *Native) secure(ctx context.Context, c *cie.Card, number string) error {
	n.mu.Lock()
	known := n.cies[number]
	n.mu.Unlock()
	var sod *cie.SecurityObject
	if n.Roots != nil && known.chip == nil {
		var err error
		if sod, err = c.SecurityObject(ctx, n.Roots, time.Now()); err != nil {
			return err
		}
	}
	chip, err := c.Secure(ctx, known.chip)
	if err != nil {
		return err
	}
	if sod != nil {
		if err := sod.Holds(cie.GroupChipKey, chip.KeyFile); err != nil {
			return err
		}
	}
	n.learn(number, func(k *knownCIE) { k.chip = chip })
	return nil
}

func (n *Native) learn(number string, change func(*knownCIE)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.cies) >= maxKnown {
		clear(n.cies)
	}
	k := n.cies[number]
	change(&k)
	n.cies[number] = k
}

// gone: a card that was there when the person was asked, and is not any more.
func gone(err error) error {
	if errors.Is(err, signing.ErrNoCard) || errors.Is(err, signing.ErrNoReader) {
		return fmt.Errorf("%w: %w", signing.ErrCardRemoved, err)
	}
	return err
}

// key is a card in use.
type key struct {
	native       *Native
	session      *Session
	card         driver
	cns          *cns.Card // nil for a CIE
	kind, number string
	account      string         // whose tries are counted
	public       *rsa.PublicKey // nil until the certificate is known
	end          func()
	entered      bool // a PIN was
	once         sync.Once
}

var _ signing.Revealer = (*key)(nil)

func (k *key) holder(cert *x509.Certificate) error {
	public, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok {
		return fmt.Errorf("%w: a card of this kind has an RSA key", signing.ErrCardFailed)
	}
	k.public = public
	return nil
}

// Public is the certificate's key.
func (k *key) Public() crypto.PublicKey {
	if k.public == nil {
		return nil
	}
	return k.public
}

// Certificate is read once the PIN was entered.
func (k *key) Certificate(ctx context.Context) (*x509.Certificate, error) {
	cert, err := k.card.Certificate(ctx)
	if err != nil {
		return nil, gone(meaning(err))
	}
	if err := k.holder(cert); err != nil {
		return nil, err
	}
	if k.kind == KindCIE {
		k.native.learn(k.number, func(c *knownCIE) { c.cert = cert })
	}
	return cert, nil
}

// Unlock enters the PIN.
func (k *key) Unlock(ctx context.Context, pin []byte) error {
	return k.judge(k.account, k.verify(ctx, pin))
}

// judge tells what an answer about a PIN or a PUK means, and remembers it for the
// account.
func (k *key) judge(account string, err error) error {
	k.entered = true
	err = meaning(err)
	k.native.remember(account, err)
	var wrong *signing.ErrPINWrong
	var status *iso7816.StatusError
	switch {
	case err == nil, errors.As(err, &wrong), errors.Is(err, signing.ErrPINLocked):
		return err
	case errors.Is(err, consent.ErrRefused), errors.Is(err, consent.ErrTimedOut):
		return err // on the reader's keypad; nothing went to the card
	case errors.As(err, &status) && !errors.Is(err, cie.ErrChannel):
		return err // the card answered, and it was not about the PIN
	}
	// The command was on its way and no answer came that can be believed.
	return fmt.Errorf("%w: %w", signing.ErrPINUncertain, err)
}

// verify sends the PIN, or lets the reader ask for it.
func (k *key) verify(ctx context.Context, pin []byte) error {
	if pin != nil || k.cns == nil {
		return k.card.Verify(ctx, pin)
	}
	sw, err := k.session.verifyOnPinpad(ctx, k.cns.PINCommand(), cns.MinDigits, cns.MaxDigits)
	if err != nil {
		return err
	}
	return k.cns.Judge(sw)
}

// Sign signs a digest; opts is a crypto.Hash.
func (k *key) Sign(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if _, pss := opts.(*rsa.PSSOptions); pss || k.public == nil {
		return nil, fmt.Errorf("%w: only PKCS #1 v1.5 is made with this card", signing.ErrCardFailed)
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
