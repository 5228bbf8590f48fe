package worker

import (
	"fmt"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/signing"
)

// err is an answer's failure in the words of signing.
func (a answer) err(op operation) error {
	var err error
	switch a.Failure {
	case failNoReader:
		err = signing.ErrNoReader
	case failNoToken:
		err = signing.ErrNoCard
	case failRemoved, failTokenChange:
		err = signing.ErrCardRemoved
	case failCancelled:
		// Pressed on the reader's own keys: the person said no.
		err = consent.ErrRefused
	case failMechanism:
		err = signing.ErrFormatUnsupported
	case failPINWrong:
		tries := -1
		switch {
		case a.Locked:
			return fmt.Errorf("%w: %s: %q", signing.ErrPINLocked, op, a.Detail)
		case a.FinalTry:
			tries = 1
		}
		return fmt.Errorf("%w: %s", &signing.ErrPINWrong{TriesLeft: tries}, op)
	case failPINLength:
		return fmt.Errorf("%w: %s: its length", &signing.ErrPINWrong{TriesLeft: -1}, op)
	case failPINLocked:
		err = signing.ErrPINLocked
	case failPINUnknown:
		err = signing.ErrPINUncertain
	default:
		err = signing.ErrCardFailed
	}
	// %q: the detail was written by others and goes to a log.
	return fmt.Errorf("%w: %s: %s: %q", err, op, a.Failure, a.Detail)
}
