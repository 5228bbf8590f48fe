package authtoken

import "errors"

// What can be wrong with a token. Each has one meaning; Code gives its stable
// name for programs and logs.
var (
	ErrTooLong           = errors.New("authtoken: token too long or too short")
	ErrMalformed         = errors.New("authtoken: token malformed")
	ErrFormat            = errors.New("authtoken: token format not supported")
	ErrCertificate       = errors.New("authtoken: certificate cannot be read")
	ErrPurpose           = errors.New("authtoken: certificate is not for authentication")
	ErrUntrusted         = errors.New("authtoken: certificate of an issuer that is not trusted")
	ErrExpired           = errors.New("authtoken: certificate expired")
	ErrNotYetValid       = errors.New("authtoken: certificate not valid yet")
	ErrRevoked           = errors.New("authtoken: certificate revoked")
	ErrRevocationUnknown = errors.New("authtoken: not known whether the certificate is revoked")
	ErrProfile           = errors.New("authtoken: certificate names no person by its profile")
	ErrAlgorithm         = errors.New("authtoken: algorithm not accepted")
	// ErrSignature: over another nonce or origin, or by another key.
	ErrSignature = errors.New("authtoken: signature does not hold for this origin and nonce")
	// ErrOtherOrigin: the signature holds for another origin that is known here.
	ErrOtherOrigin = errors.New("authtoken: token made for another origin")

	ErrNonce        = errors.New("authtoken: not a usable nonce")
	ErrNonceUnknown = errors.New("authtoken: nonce was never issued here, or to another session")
	ErrNonceUsed    = errors.New("authtoken: nonce was used before")
	ErrNonceExpired = errors.New("authtoken: nonce expired")
	ErrNonceFull    = errors.New("authtoken: too many nonces are open")
	ErrOrigin       = errors.New("authtoken: not an origin")
)

var codes = []struct {
	err  error
	code string
}{
	{ErrTooLong, "too-long"}, {ErrMalformed, "malformed"}, {ErrFormat, "format"}, {ErrCertificate, "certificate"},
	{ErrPurpose, "purpose"}, {ErrUntrusted, "untrusted"}, {ErrExpired, "expired"}, {ErrNotYetValid, "not-yet-valid"},
	{ErrRevoked, "revoked"}, {ErrRevocationUnknown, "revocation-unknown"}, {ErrProfile, "profile"}, {ErrAlgorithm, "algorithm"},
	{ErrOtherOrigin, "other-origin"}, {ErrSignature, "signature"}, {ErrNonce, "nonce"}, {ErrNonceUnknown, "nonce-unknown"},
	{ErrNonceUsed, "nonce-used"}, {ErrNonceExpired, "nonce-expired"}, {ErrNonceFull, "nonce-full"}, {ErrOrigin, "origin"},
}

// Code is the stable name of an error of this package, "internal" for others.
// The catalogue has a sentence for each, "login.<code>".
func Code(err error) string {
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	return "internal"
}
