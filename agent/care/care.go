// Package care is what a person does for the card itself: a new PIN, a PIN unblocked
// with the PUK, and the certificate's end remembered in time. No site ever comes
// here.
package care

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/citel-pa/citel/agent/card"
	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/agent/wire"
	"github.com/citel-pa/citel/pkcs/message"
)

// Time limits.
const (
	findTime = 30 * time.Second
	cardTime = 60 * time.Second
	// grace is what a face gets beyond the deadline to close by itself.
	grace = 2 * time.Second
)

// Cards are what care is taken of (card.Native).
type Cards interface {
	Identities(ctx context.Context) ([]signing.Identity, error)
	Change(ctx context.Context, id signing.Identity, old, fresh []byte) error
	Unblock(ctx context.Context, id signing.Identity, puk, fresh []byte) error
	PUKTries(id signing.Identity) int
}

// Care asks the person and does it.
type Care struct {
	Cards Cards
	Asker consent.PINAsker
	Lang  func() message.Lang
	// Used is told how each question ended; nil is fine.
	Used func(what consent.Care, id signing.Identity, err error)
}

// ErrChoose means that there are several cards and none was named.
var ErrChoose = errors.New("care: several cards")

// ID names a card's PIN in a page, without saying its number.
func ID(id signing.Identity) string {
	sum := sha256.Sum256([]byte("care\x00" + id.Ref))
	return hex.EncodeToString(sum[:8])
}

// Find gives the identity with this ID, or, with none, the only card's own.
func (c *Care) Find(ctx context.Context, id string) (signing.Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, findTime)
	defer cancel()
	list, err := c.Cards.Identities(ctx)
	if err != nil {
		return signing.Identity{}, fmt.Errorf("care: %w", err)
	}
	var own []signing.Identity
	for _, x := range list {
		if id != "" && ID(x) == id {
			return x, nil
		}
		if !card.Second(x) {
			own = append(own, x)
		}
	}
	switch {
	case id != "" || len(own) == 0:
		return signing.Identity{}, fmt.Errorf("care: %w", signing.ErrNoCard)
	case len(own) > 1:
		return signing.Identity{}, ErrChoose
	}
	return own[0], nil
}

// Run asks for PIN or PUK and a new PIN, and sets it, in one try. The error is nil,
// consent.ErrRefused, consent.ErrTimedOut, or why it did not work; the person was told.
func (c *Care) Run(ctx context.Context, what consent.Care, id signing.Identity) error {
	r := c.request(what, id)
	if what == consent.CareChange && (id.PIN.Locked || id.PIN.TriesLeft == 0) {
		err := fmt.Errorf("care: %w", signing.ErrPINLocked)
		c.Asker.PINOutcome(ctx, r, false, Explain(c.Lang(), what, err))
		return err
	}
	if what == consent.CareUnblock && r.Card.TriesLeft == 0 {
		err := fmt.Errorf("care: %w: %w", card.ErrPUK, signing.ErrPINLocked)
		c.Asker.PINOutcome(ctx, r, false, Explain(c.Lang(), what, err))
		return err
	}
	answer, err := c.ask(ctx, r)
	defer answer.Wipe()
	if err == nil {
		err = c.set(ctx, what, id, &answer)
		c.Asker.PINOutcome(ctx, r, err == nil, Explain(c.Lang(), what, err))
	}
	if c.Used != nil {
		c.Used(what, id, err)
	}
	return err
}

func (c *Care) request(what consent.Care, id signing.Identity) *consent.PINRequest {
	r := &consent.PINRequest{Care: what, Card: consent.PINCard{Kind: id.Kind, Number: id.Number, Source: id.Source, Second: card.Second(id), TriesLeft: id.PIN.TriesLeft}}
	if id.Certificate != nil {
		r.Card.Name, r.Card.CodiceFiscale = signing.HolderName(id.Certificate), signing.ClaimedCodiceFiscale(id.Certificate)
	}
	if what == consent.CareUnblock {
		r.Card.TriesLeft = c.Cards.PUKTries(id)
	}
	r.Card.MinDigits, r.Card.MaxDigits = card.Digits(id.Kind)
	return r
}

// ask holds the deadline, whatever the face does.
func (c *Care) ask(ctx context.Context, r *consent.PINRequest) (consent.PINAnswer, error) {
	asking, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.Deadline = time.Now().Add(wire.ConsentTime)
	timer := time.AfterFunc(wire.ConsentTime+grace, func() { cancel(consent.ErrTimedOut) })
	defer timer.Stop()
	r.Extend = func(context.Context) (time.Time, error) {
		if !timer.Stop() {
			return time.Time{}, consent.ErrTimedOut
		}
		timer.Reset(wire.ConsentTime + grace)
		return time.Now().Add(wire.ConsentTime), nil
	}
	answer, err := c.Asker.AskPIN(asking, r)
	if cause := context.Cause(asking); cause != nil {
		err = cause
	}
	if err == nil {
		if why := r.Unfit(answer.Secret, answer.Fresh, answer.Fresh); why != "" {
			err = fmt.Errorf("care: %s: %w", why, consent.ErrRefused) // the face did not look
		}
	}
	if err != nil {
		answer.Wipe()
		return consent.PINAnswer{}, fmt.Errorf("care: %w", err)
	}
	return answer, nil
}

// set goes to the card, once. A PIN that is on its way is not called back: nobody
// could say what became of it.
func (c *Care) set(ctx context.Context, what consent.Care, id signing.Identity, answer *consent.PINAnswer) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cardTime)
	defer cancel()
	defer answer.Wipe()
	do := c.Cards.Change
	if what == consent.CareUnblock {
		do = c.Cards.Unblock
	}
	if err := do(ctx, id, answer.Secret, answer.Fresh); err != nil {
		return fmt.Errorf("care: %w", err)
	}
	return nil
}

// Explain is the sentence for how it ended.
func Explain(lang message.Lang, what consent.Care, err error) string {
	var wrong *signing.ErrPINWrong
	switch {
	case err == nil:
		return message.Text(lang, "care.done-"+string(what))
	case errors.Is(err, ErrChoose):
		return message.Text(lang, "care.choose")
	case errors.Is(err, card.ErrNewPIN):
		return message.Text(lang, "care.new-refused")
	case errors.Is(err, signing.ErrPINUncertain):
		return message.Text(lang, "care.uncertain-"+string(what))
	case errors.As(err, &wrong):
		key := "care.wrong-pin"
		if errors.Is(err, card.ErrPUK) {
			key = "care.wrong-puk"
		}
		text := message.Text(lang, key)
		switch {
		case wrong.TriesLeft == 0 && errors.Is(err, card.ErrPUK):
			text += " " + message.Text(lang, "care.puk-locked")
		case wrong.TriesLeft == 0:
			text += " " + message.Text(lang, "care.pin-locked")
		case wrong.TriesLeft > 0:
			text += " " + message.Text(lang, "consent.tries-left", "n", wrong.TriesLeft)
		}
		return text
	case errors.Is(err, signing.ErrPINLocked) && errors.Is(err, card.ErrPUK):
		return message.Text(lang, "care.puk-locked")
	case errors.Is(err, signing.ErrPINLocked):
		return message.Text(lang, "care.pin-locked")
	}
	code, _ := signing.Code(err)
	if code == wire.CodeInternal {
		return err.Error()
	}
	return message.Text(lang, "wire."+string(code))
}
