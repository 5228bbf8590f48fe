package token

import (
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"
)

// What a module can fail with, where a caller decides on the meaning. They are
// wrapped with the call and the module's own code.
var (
	// ErrModule: the module does not load, or answered with an error that has no
	// meaning of its own here.
	ErrModule = errors.New("token: the module failed")
	// ErrTokenRemoved: the token went away while it was in use.
	ErrTokenRemoved = errors.New("token: the token was removed")
	// ErrCancelled: the person pressed cancel on the reader.
	ErrCancelled = errors.New("token: cancelled at the reader")
	// ErrMechanism: the token cannot sign in this way.
	ErrMechanism = errors.New("token: the token lacks the mechanism")
	// ErrHash: a digest that is not of SHA-256, SHA-384 or SHA-512.
	ErrHash = errors.New("token: the digest is not SHA-256, SHA-384 or SHA-512")
	// ErrNotLoggedIn: the token wants a PIN first.
	ErrNotLoggedIn = errors.New("token: not logged in")
	// ErrNoKey: there is no private key for the certificate.
	ErrNoKey = errors.New("token: no private key for this certificate")
	// ErrClosed: the module or the session was closed by us.
	ErrClosed = errors.New("token: closed")
)

// PINKind tells what was wrong with a PIN.
type PINKind int

// Kinds of PIN errors.
const (
	PINIncorrect PINKind = iota + 1
	PINLocked
	PINExpired
	// PINLength: too short, too long, or with characters that the token does not
	// take. No try was used.
	PINLength
)

func (k PINKind) String() string {
	switch k {
	case PINIncorrect:
		return "incorrect"
	case PINLocked:
		return "locked"
	case PINExpired:
		return "expired"
	case PINLength:
		return "of the wrong length or form"
	}
	return fmt.Sprintf("kind %d", int(k))
}

// PINError is the token's answer to a PIN that it did not take, with what it says
// of the tries left after it. Find it with errors.As.
type PINError struct {
	Kind                       PINKind
	CountLow, FinalTry, Locked bool
}

// Error never holds the PIN.
func (e *PINError) Error() string {
	s := "token: the PIN is " + e.Kind.String()
	if e.FinalTry {
		s += ", one try is left"
	}
	return s
}

// meaning of the return values, PKCS#11 v2.40 base specification, 5.1 (Function
// return values).
var meanings = map[pkcs11.Error]error{
	pkcs11.CKR_TOKEN_NOT_PRESENT:          ErrTokenRemoved,
	pkcs11.CKR_TOKEN_NOT_RECOGNIZED:       ErrTokenRemoved,
	pkcs11.CKR_DEVICE_REMOVED:             ErrTokenRemoved,
	pkcs11.CKR_SESSION_HANDLE_INVALID:     ErrTokenRemoved,
	pkcs11.CKR_SESSION_CLOSED:             ErrTokenRemoved,
	pkcs11.CKR_SLOT_ID_INVALID:            ErrTokenRemoved,
	pkcs11.CKR_CANCEL:                     ErrCancelled,
	pkcs11.CKR_FUNCTION_CANCELED:          ErrCancelled,
	pkcs11.CKR_MECHANISM_INVALID:          ErrMechanism,
	pkcs11.CKR_MECHANISM_PARAM_INVALID:    ErrMechanism,
	pkcs11.CKR_KEY_FUNCTION_NOT_PERMITTED: ErrMechanism,
	pkcs11.CKR_KEY_TYPE_INCONSISTENT:      ErrMechanism,
	pkcs11.CKR_USER_NOT_LOGGED_IN:         ErrNotLoggedIn,
	pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED:   ErrClosed,
}

var pinKinds = map[pkcs11.Error]PINKind{
	pkcs11.CKR_PIN_INCORRECT: PINIncorrect,
	pkcs11.CKR_PIN_LOCKED:    PINLocked,
	pkcs11.CKR_PIN_EXPIRED:   PINExpired,
	pkcs11.CKR_PIN_LEN_RANGE: PINLength,
	pkcs11.CKR_PIN_INVALID:   PINLength,
}

// isCode tells whether err is one of the module's return values.
func isCode(err error, codes ...pkcs11.Error) bool {
	got, ok := errors.AsType[pkcs11.Error](err)
	if !ok {
		return false
	}
	for _, c := range codes {
		if got == c {
			return true
		}
	}
	return false
}

// explain gives err its meaning. name is the function of PKCS#11.
func explain(name string, err error) error {
	if err == nil {
		return nil
	}
	meaning := ErrModule
	if code, ok := errors.AsType[pkcs11.Error](err); ok {
		if m, known := meanings[code]; known {
			meaning = m
		}
	}
	return fmt.Errorf("%w: %s: %w", meaning, name, err)
}
