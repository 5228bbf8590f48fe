package wire

// Code is a stable name of what went wrong. Sentences for people are in
// pkcs/message/catalogue/wire.json under the same name; adding a code without a
// sentence fails a test here and the type check of agent/client.
type Code string

// The page's fault.
const (
	CodeMalformed          Code = "malformed"           // not JSON, a field missing or out of range
	CodeUnknownType        Code = "unknown-type"        // no such message in this version
	CodeVersionUnsupported Code = "version-unsupported" // hello's version is not spoken here
	CodeTooLarge           Code = "too-large"           // a message, a frame or the documents
	CodeTooMany            Code = "too-many"            // requests faster than the limit
	CodeNonceInvalid       Code = "nonce-invalid"       // too short, not base64, or expired
	CodeFormatUnsupported  Code = "format-unsupported"  // a signature format not spoken here
	CodeDocumentUnfit      Code = "document-unfit"      // a document that cannot be signed in the format asked for
	CodeHashRefused        Code = "hash-refused"        // a bare hash is not signed with a key that can log in
	CodeCancelled          Code = "cancelled"           // the page cancelled
)

// Refused at the gate. The handshake answers HTTP 403 with the code as text;
// origin-blocked and origin-silent are told to the page as CloseRefused says.
const (
	CodeOriginRefused Code = "origin-refused" // missing, null, not https, or malformed
	CodeOriginBlocked Code = "origin-blocked" // on the person's block list
	CodeOriginSilent  Code = "origin-silent"  // refused twice; try again later
	CodeHostRefused   Code = "host-refused"   // Host is not loopback (DNS rebinding)
	CodeUserRefused   Code = "user-refused"   // the peer is another or an unknown local user
)

// The person's answer.
const (
	CodeRefused  Code = "refused"
	CodeTimedOut Code = "timed-out"
)

// The card's side.
const (
	CodeNoService        Code = "no-service"        // PC/SC does not answer
	CodeNoReader         Code = "no-reader"         // no reader plugged in
	CodeNoCard           Code = "no-card"           // no card in the reader
	CodeCardUnknown      Code = "card-unknown"      // no driver or module for this card
	CodeCardRemoved      Code = "card-removed"      // taken out while at work
	CodeCardBusy         Code = "card-busy"         // another program holds it
	CodeCardFailed       Code = "card-failed"       // the card or its module answered wrongly
	CodeNoCertificate    Code = "no-certificate"    // nothing on the card fits the purpose
	CodeCertificateUnfit Code = "certificate-unfit" // expired, not yet valid, or for another purpose
	CodePINWrong         Code = "pin-wrong"
	CodePINLocked        Code = "pin-locked"
	CodePINUncertain     Code = "pin-uncertain" // a try may have been used
)

// The agent's side.
const (
	CodeBusy     Code = "busy"     // too many requests wait already
	CodeInternal Code = "internal" // see the agent's log
)

// Codes lists every code once; the catalogue and the TypeScript table are
// checked against it.
var Codes = []Code{
	CodeMalformed, CodeUnknownType, CodeVersionUnsupported, CodeTooLarge, CodeTooMany,
	CodeNonceInvalid, CodeFormatUnsupported, CodeDocumentUnfit, CodeHashRefused, CodeCancelled,
	CodeOriginRefused, CodeOriginBlocked, CodeOriginSilent, CodeHostRefused, CodeUserRefused,
	CodeRefused, CodeTimedOut,
	CodeNoService, CodeNoReader, CodeNoCard, CodeCardUnknown, CodeCardRemoved, CodeCardBusy,
	CodeCardFailed, CodeNoCertificate, CodeCertificateUnfit, CodePINWrong, CodePINLocked, CodePINUncertain,
	CodeBusy, CodeInternal,
}
