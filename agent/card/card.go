// Package card is the citizen's card over PC/SC: readers and cards as events,
// one connection with transactions and time limits, and which driver fits which
// card. It is the only home of github.com/ebfe/scard.
//
// PC/SC Workgroup, Interoperability Specification for ICCs and Personal
// Computer Systems, part 5 (ICC resource manager) has the functions' meaning.
package card

import (
	"errors"
	"fmt"

	"github.com/ebfe/scard"

	"github.com/citel-pa/citel/agent/signing"
)

// ErrReset means that another program reset the card between two of our transactions.
// What was selected and verified is gone; the caller starts again from there.
var ErrReset = errors.New("card: reset by another program")

// translate gives a PC/SC error the meaning that callers decide on, and keeps
// the number beside it.
func translate(what string, err error) error {
	var code scard.Error
	if !errors.As(err, &code) {
		return fmt.Errorf("card: %s: %w", what, err)
	}
	meaning := signing.ErrCardFailed
	switch code {
	case scard.ErrNoService, scard.ErrServiceStopped, scard.ErrNoAccess, scard.ErrInvalidHandle,
		scard.ErrShutdown, scard.ErrServerTooBusy:
		meaning = signing.ErrNoService
	case scard.ErrUnknownReader, scard.ErrReaderUnavailable, scard.ErrNoReadersAvailable:
		meaning = signing.ErrNoReader
	case scard.ErrNoSmartcard:
		meaning = signing.ErrNoCard
	case scard.ErrRemovedCard:
		meaning = signing.ErrCardRemoved
	case scard.ErrSharingViolation:
		meaning = signing.ErrCardBusy
	case scard.ErrResetCard:
		meaning = ErrReset
	case scard.ErrUnpoweredCard, scard.ErrUnresponsiveCard, scard.ErrProtoMismatch, scard.ErrUnsupportedCard:
		// A card put in badly or with a worn contact does not answer the reset.
		meaning = signing.ErrCardUnknown
	}
	return fmt.Errorf("%w: %s: %s (%#08x)", meaning, what, code.Error(), uint32(code))
}
