package consent

import (
	"bytes"
	"context"
	"time"
)

// Care is what is done to a card's PIN.
type Care string

// Cares.
const (
	CareChange  Care = "change"  // with the PIN
	CareUnblock Care = "unblock" // with the PUK
)

// PINRequest asks for a card's PIN, or its PUK, and a new PIN. Nobody but the person
// asks for it: no site can, and no document is near.
type PINRequest struct {
	Care Care
	Card PINCard
	// Deadline is when the question ends by itself.
	Deadline time.Time
	// Extend asks for more time; it returns the new deadline.
	Extend func(ctx context.Context) (time.Time, error) `json:"-"`
}

// PINCard is the card as the person sees it.
type PINCard struct {
	Kind, Number string
	// Name is the holder's, empty where the card gives it after the PIN only.
	Name, CodiceFiscale string
	// Source is where the card is, for people.
	Source string
	// Second: the PIN of the CNS's key for digital signatures, not the card's own.
	Second bool
	// TriesLeft of what is asked first, the PIN or the PUK; -1 when not known.
	TriesLeft int
	// MinDigits and MaxDigits of PIN and PUK.
	MinDigits, MaxDigits int
}

// PINAnswer is a yes. The caller of AskPIN wipes it.
type PINAnswer struct {
	// Secret is the PIN now, or the PUK.
	Secret []byte
	// Fresh is the new PIN.
	Fresh []byte
}

// Wipe overwrites both.
func (a *PINAnswer) Wipe() {
	clear(a.Secret)
	clear(a.Fresh)
	a.Secret, a.Fresh = nil, nil
}

// PINAsker is a face that asks for a PIN's change. The rules of Asker hold.
type PINAsker interface {
	AskPIN(ctx context.Context, r *PINRequest) (PINAnswer, error)
	// PINOutcome tells how it ended; text is the sentence for the person.
	PINOutcome(ctx context.Context, r *PINRequest, good bool, text string)
}

// Unfit says why an answer is not sent to the card, as a message key; empty when it
// is. again is the new PIN typed a second time. Nothing here costs a try.
func (r *PINRequest) Unfit(secret, fresh, again []byte) string {
	what := "pin"
	if r.Care == CareUnblock {
		what = "puk"
	}
	switch {
	case len(secret) == 0:
		return "care." + what + "-empty"
	case !r.Card.digits(secret):
		return "care." + what + "-length"
	case len(fresh) == 0:
		return "care.new-empty"
	case !r.Card.digits(fresh):
		return "care.new-length"
	case !bytes.Equal(fresh, again):
		return "care.new-differs"
	case r.Care == CareChange && bytes.Equal(secret, fresh):
		return "care.new-same"
	case simple(fresh):
		return "care.new-simple"
	}
	return ""
}

func (c *PINCard) digits(b []byte) bool {
	if len(b) < c.MinDigits || len(b) > c.MaxDigits {
		return false
	}
	for _, d := range b {
		if d < '0' || d > '9' {
			return false
		}
	}
	return true
}

// simple: one digit again and again, or digits in a row, up or down: the first that
// somebody who found the card would try.
func simple(b []byte) bool {
	step := int(b[1]) - int(b[0])
	if step < -1 || step > 1 {
		return false
	}
	for i := 1; i < len(b); i++ {
		if int(b[i])-int(b[i-1]) != step {
			return false
		}
	}
	return true
}
