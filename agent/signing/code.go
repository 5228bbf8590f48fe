package signing

import (
	"context"
	"errors"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/wire"
)

// codes is the one table from a meaning to its code on the wire. The first entry
// that fits counts.
var codes = []struct {
	err  error
	code wire.Code
}{
	{consent.ErrRefused, wire.CodeRefused},
	{consent.ErrTimedOut, wire.CodeTimedOut},
	{ErrPINLocked, wire.CodePINLocked},
	{ErrPINUncertain, wire.CodePINUncertain},
	{ErrCardRemoved, wire.CodeCardRemoved},
	{ErrCardBusy, wire.CodeCardBusy},
	{ErrCardUnknown, wire.CodeCardUnknown},
	{ErrNoService, wire.CodeNoService},
	{ErrNoReader, wire.CodeNoReader},
	{ErrNoCard, wire.CodeNoCard},
	{ErrCardFailed, wire.CodeCardFailed},
	{ErrNoCertificate, wire.CodeNoCertificate},
	{ErrHashRefused, wire.CodeHashRefused},
	{ErrCertificateUnfit, wire.CodeCertificateUnfit},
	{ErrHashInvalid, wire.CodeMalformed},
	{ErrFormatUnsupported, wire.CodeFormatUnsupported},
	{ErrDocumentUnfit, wire.CodeDocumentUnfit},
	{ErrNonceInvalid, wire.CodeNonceInvalid},
	{context.Canceled, wire.CodeCancelled},
	{context.DeadlineExceeded, wire.CodeTimedOut},
}

// Code gives the wire's code for an error and, for a wrong PIN, the tries left
// where the card told them. What it does not know is CodeInternal: the detail
// belongs in the log, not on the wire.
func Code(err error) (code wire.Code, triesLeft *int) {
	if wrong, ok := errors.AsType[*ErrPINWrong](err); ok {
		if wrong.TriesLeft >= 0 {
			triesLeft = &wrong.TriesLeft
		}
		return wire.CodePINWrong, triesLeft
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.code, nil
		}
	}
	return wire.CodeInternal, nil
}
