package signing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/wire"
)

// Time limits of the parts in which a card or a module works. The person's own
// time is wire.ConsentTime.
const (
	findTime   = 30 * time.Second
	unlockTime = 90 * time.Second // a PIN typed on the reader included
	signTime   = 60 * time.Second
)

// Ceremony is the one way to a signature: find the keys, ask the person, unlock
// once, sign what we built ourselves, wipe, tell the outcome. Its fields are set
// before the first use and not changed after. The caller sees to it that only
// one request asks at a time.
type Ceremony struct {
	// Sources lists where keys are now.
	Sources func(ctx context.Context) ([]Source, error)
	Asker   consent.Asker
	// Prepare makes PDFs ready; nil makes no PAdES.
	Prepare PrepareFunc
	// Now judges certificates; nil is time.Now.
	Now func() time.Time
	Log *slog.Logger
	// Used is told of every request that the person was asked about, once it has
	// ended; nil is fine.
	Used func(Use)
	// ConsentTime is how long a question stays; zero is wire.ConsentTime.
	ConsentTime time.Duration
}

// Stage tells a caller how far a request is.
type Stage int

// Stages, in their order.
const (
	StageConsent Stage = iota + 1 // the person is being asked
	StageWorking                  // the person said yes, the card works
)

// Decision is what the person said about the caller. It may come with a failed
// request: a person can allow a site whose card is not there.
type Decision struct {
	Approved bool
	Remember bool
	Block    bool
}

// Caller is who asks, as the gate or the command line judged it.
type Caller struct {
	consent.Caller
	// Allowed: the person let this caller in before, so it may learn whether a
	// card is there without another question.
	Allowed bool
	// Bounded: the caller gives up by itself, so the person cannot have more time.
	Bounded bool
	// Language of the page ("it", "en"), where it said so: a hint for the face.
	Language string
	// Decided is called once after the person answered; nil is fine.
	Decided func(Decision)
	// Notify is called at each stage; nil is fine.
	Notify func(Stage)
}

func (c *Caller) notify(s Stage) {
	if c.Notify != nil {
		c.Notify(s)
	}
}

func (c *Ceremony) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

// AskOrigin asks whether the caller may talk to the agent at all. No key is
// looked for.
func (c *Ceremony) AskOrigin(ctx context.Context, caller Caller) error {
	r := &consent.Request{Purpose: consent.PurposeOrigin, Caller: caller.Caller}
	r.Extend = c.moreTime
	answer, err := c.ask(ctx, &caller, r, time.Time{})
	answer.Wipe()
	return err
}

// moreTime is Extend where nothing but the person's time runs out.
func (c *Ceremony) moreTime(context.Context) (time.Time, error) {
	return time.Now().Add(c.consentTime()), nil
}

func (c *Ceremony) consentTime() time.Duration {
	if c.ConsentTime > 0 {
		return c.ConsentTime
	}
	return wire.ConsentTime
}

// candidate is an identity with what is thought of it.
type candidate struct {
	id     Identity
	source Source
	unfit  string // message key, empty when usable
}

// find lists what could serve the purpose, best first. It fails when no source
// has any certificate; that some are unfit is the caller's to judge.
func (c *Ceremony) find(ctx context.Context, purpose consent.Purpose, want Choice) ([]candidate, error) {
	ctx, cancel := context.WithTimeout(ctx, findTime)
	defer cancel()
	sources, err := c.Sources(ctx)
	if err != nil {
		return nil, fmt.Errorf("signing: looking for keys: %w", err)
	}
	var found []candidate
	var failures []error
	for _, src := range sources {
		ids, err := src.Identities(ctx)
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", src.Name(), err))
			continue
		}
		for _, id := range ids {
			known := slices.ContainsFunc(found, func(f candidate) bool { return f.id.Certificate != nil && f.id.Certificate.Equal(id.Certificate) })
			if known {
				continue // the same card through two modules
			}
			found = append(found, candidate{id: id, source: src, unfit: unfit(id, purpose, want, c.now())})
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("signing: looking for keys: %w", err)
	}
	if len(found) == 0 {
		return nil, mostTelling(failures)
	}
	if hashing(purpose) {
		keepLoginKeys(found)
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return rank(purpose, a, b) })
	return found, nil
}

// fit judges an identity whose PIN was just taken.
func (c *Ceremony) fit(purpose consent.Purpose, want Choice) func(Identity) string {
	return func(id Identity) string {
		id.PIN = PINState{TriesLeft: -1}
		return unfit(id, purpose, want, c.now())
	}
}

// mostTelling picks, of several sources that have nothing, the failure that
// helps a person most: a card that does not work before a reader that is empty.
func mostTelling(failures []error) error {
	for _, meaning := range []error{ErrCardFailed, ErrCardRemoved, ErrCardBusy, ErrCardUnknown, ErrNoCertificate, ErrNoCard, ErrNoReader, ErrNoService} {
		for _, err := range failures {
			if errors.Is(err, meaning) {
				return err
			}
		}
	}
	return errors.Join(append([]error{ErrNoCertificate}, failures...)...)
}

// candidates finds keys and gives at least one that is usable. A caller that
// the person never let in does not learn for nothing what is in the reader: the
// person is asked about the site first.
func (c *Ceremony) candidates(ctx context.Context, caller *Caller, r *consent.Request, want Choice) ([]candidate, error) {
	r.Language = caller.Language
	found, err := c.find(ctx, r.Purpose, want)
	if err == nil {
		r.Certificates = describe(found)
		if found[0].unfit == "" {
			return found, nil
		}
		why := found[0].unfit
		for _, f := range found {
			if why == unfitHash {
				why = f.unfit // an expired signature certificate tells more than a login key
			}
		}
		err = fmt.Errorf("%w: %s", ErrCertificateUnfit, why)
		switch why {
		case unfitLocked:
			err = fmt.Errorf("%w: %w", ErrPINLocked, err)
		case unfitHash:
			err = fmt.Errorf("%w: %w", ErrHashRefused, err)
		}
	}
	if !caller.Allowed {
		if refused := c.AskOrigin(ctx, *caller); refused != nil {
			return nil, refused
		}
	}
	if r.Certificates != nil && ctx.Err() == nil {
		c.Asker.Outcome(ctx, r, err)
	}
	return nil, err
}

func describe(found []candidate) []consent.Certificate {
	list := make([]consent.Certificate, len(found))
	for i, f := range found {
		cert := f.id.Certificate
		list[i] = consent.Certificate{
			ID: f.id.id(), Kind: f.id.Kind, Number: f.id.Number, AfterPIN: cert == nil, Source: f.id.Source, Unfit: f.unfit,
			PIN: consent.PIN{TriesLeft: f.id.PIN.TriesLeft, CountLow: f.id.PIN.CountLow, FinalTry: f.id.PIN.FinalTry,
				Locked: f.id.PIN.Locked, Pinpad: f.id.PIN.Pinpad, Digits: f.id.PIN.Digits},
		}
		if cert != nil {
			list[i].Name, list[i].CodiceFiscale = HolderName(cert), ClaimedCodiceFiscale(cert)
			list[i].Issuer, list[i].NotAfter = IssuerName(cert), cert.NotAfter
		}
		if list[i].Source == "" {
			list[i].Source = f.source.Name()
		}
	}
	return list
}
