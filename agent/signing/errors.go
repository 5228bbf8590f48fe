package signing

import (
	"errors"
	"fmt"
)

// What a source, a key or the ceremony can fail with, where the caller decides
// on the meaning. They mirror the codes of agent/wire one to one; Code translates.
// Sources wrap them with what the card or module said: fmt.Errorf("%w: ...").
var (
	ErrNoService        = errors.New("signing: PC/SC does not answer")
	ErrNoReader         = errors.New("signing: no reader")
	ErrNoCard           = errors.New("signing: no card in a reader")
	ErrCardUnknown      = errors.New("signing: no driver or module for this card")
	ErrCardRemoved      = errors.New("signing: card removed while at work")
	ErrCardBusy         = errors.New("signing: another program holds the card")
	ErrCardFailed       = errors.New("signing: card or module answered wrongly")
	ErrNoCertificate    = errors.New("signing: no certificate fits the purpose")
	ErrCertificateUnfit = errors.New("signing: certificate is not fit for the purpose")

	// ErrPINLocked: the card takes no PIN any more.
	ErrPINLocked = errors.New("signing: PIN is locked")
	// ErrPINUncertain: the card, its module or the helper process went away
	// after a PIN was sent and before an answer came; a try may have been used.
	ErrPINUncertain = errors.New("signing: a PIN try may have been used")

	// ErrHashRefused: a digest that came from outside is not signed with a key
	// that can log in (design, The login token).
	ErrHashRefused = errors.New("signing: a bare hash is not signed")
	// ErrFormatUnsupported: a signature format or level that is not made here.
	ErrFormatUnsupported = errors.New("signing: format not supported")
	// ErrNonceInvalid: the nonce is too short, not base64, or expired.
	ErrNonceInvalid = errors.New("signing: nonce is not valid")
)

// ErrPINWrong is the card's answer to a wrong PIN. It is never tried again by
// us. Find it with errors.As.
type ErrPINWrong struct {
	// TriesLeft as the card told it; -1 when it did not.
	TriesLeft int
}

// Error names the tries left, which are no secret.
func (e *ErrPINWrong) Error() string {
	if e.TriesLeft < 0 {
		return "signing: wrong PIN"
	}
	return fmt.Sprintf("signing: wrong PIN, %d tries left", e.TriesLeft)
}
