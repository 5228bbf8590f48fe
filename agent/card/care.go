package card

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/citel-pa/citel/agent/card/cie"
	"github.com/citel-pa/citel/agent/card/cns"
	"github.com/citel-pa/citel/agent/card/iso7816"
	"github.com/citel-pa/citel/agent/signing"
)

// ErrPUK goes with an error that is about the PUK and not the PIN: wrong, or used up,
// which ends most cards for good.
var ErrPUK = errors.New("card: about the PUK")

// ErrNewPIN means that the card took the PIN or the PUK, and not the new PIN.
var ErrNewPIN = errors.New("card: the card did not take the new PIN")

// Digits are how many a card's PIN and PUK have.
func Digits(kind string) (least, most int) {
	if kind == KindCIE {
		return cie.Digits, cie.Digits
	}
	return cns.MinDigits, cns.MaxDigits
}

// Second tells whether an identity is a CNS's second key, with a PIN of its own.
func Second(id signing.Identity) bool { return strings.HasSuffix(id.Ref, "\x00"+keySignature) }

// pukAccount is where a PUK's tries are counted.
func pukAccount(account string) string { return account + "\x00puk" }

// PUKTries are those left, as the card last told; -1 when not known.
func (n *Native) PUKTries(id signing.Identity) int {
	ref := strings.Split(id.Ref, "\x00")
	if len(ref) != 4 {
		return -1
	}
	return n.state(pukAccount(ref[2] + ref[3])).TriesLeft
}

// Change sets a new PIN, given the old one, which is tried once. The caller wipes
// both. The errors are those of Key.Unlock, and ErrNewPIN.
func (n *Native) Change(ctx context.Context, id signing.Identity, old, fresh []byte) error {
	return n.care(ctx, id, func(k *key) error {
		return k.judge(k.account, refusedNew(k.card.Change(ctx, old, fresh)))
	})
}

// Unblock sets a new PIN, given the PUK, which is tried once. The caller wipes both.
// What is wrong with the PUK comes with ErrPUK.
func (n *Native) Unblock(ctx context.Context, id signing.Identity, puk, fresh []byte) error {
	return n.care(ctx, id, func(k *key) error {
		err := k.judge(pukAccount(k.account), refusedNew(k.card.Unblock(ctx, puk, fresh)))
		if err == nil {
			n.remember(k.account, nil)
			return nil
		}
		return fmt.Errorf("%w: %w", ErrPUK, err)
	})
}

func (n *Native) care(ctx context.Context, id signing.Identity, f func(*key) error) (err error) {
	k, err := n.take(ctx, id)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, k.Close()) }()
	return f(k)
}

// refusedNew: answers to the data of a command that are no answer about the secret
// (ISO/IEC 7816-4, 5.6): the new PIN does not please the card.
func refusedNew(err error) error {
	var status *iso7816.StatusError
	if errors.As(err, &status) {
		switch status.SW {
		case iso7816.WrongData, iso7816.WrongLength, iso7816.Conditions:
			return fmt.Errorf("%w: %w", ErrNewPIN, err)
		}
	}
	return err
}

// Personal is what a CNS tells of its holder without a PIN, beyond the certificate.
// Places are codes of the land register, as the card has them.
type Personal struct {
	Born, BirthTown, Town, Address string
}

// Personal reads it; a CIE keeps it for itself.
func (n *Native) Personal(ctx context.Context, id signing.Identity) (Personal, error) {
	if id.Kind != KindCNS || Second(id) {
		return Personal{}, signing.ErrCardUnknown
	}
	ref := strings.Split(id.Ref, "\x00")
	ctx, cancel := context.WithTimeout(ctx, identifyTime)
	defer cancel()
	var out Personal
	err := withSession(ctx, ref[0], func(s *Session) error {
		c := cns.New(s, s.ATR(), s.Options())
		number, err := c.Number(ctx)
		if err != nil {
			return err
		}
		if number != id.Number {
			return signing.ErrCardRemoved
		}
		p, err := c.Personal(ctx)
		if err != nil {
			return err
		}
		out = Personal{BirthTown: p.BirthTown, Town: p.Town, Address: p.Address}
		if !p.BornOn.IsZero() {
			out.Born = p.BornOn.Format("02/01/2006")
		}
		return nil
	})
	return out, meaning(err)
}
