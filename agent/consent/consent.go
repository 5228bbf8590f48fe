// Package consent says what a person is asked before a card is used, and what
// the person can answer. It has no face of its own: agent/consent/terminal and
// agent/consent/desktop are faces, chosen by main.
//
// The rule of every face: whatever is not a clear yes is a no. A face that
// fails, is closed, or runs out of time answers with an error and the zero
// Answer.
package consent

import (
	"context"
	"errors"
	"io"
	"time"
)

// Errors of an Asker. Any other error means the face itself failed, which also
// counts as a no.
var (
	ErrRefused  = errors.New("consent: refused by the person")
	ErrTimedOut = errors.New("consent: no answer in time")
)

// Purpose is what the card would be used for.
type Purpose string

const (
	// PurposeLogin is a login token for a site.
	PurposeLogin Purpose = "login"
	// PurposeSign is a signature over documents.
	PurposeSign Purpose = "sign"
	// PurposeCertificate lets a site know a certificate for signatures; no key is used.
	PurposeCertificate Purpose = "certificate"
	// PurposeHash is a signature over a hash that the site computed: what it stands
	// for cannot be shown.
	PurposeHash Purpose = "hash"
	// PurposeOrigin only asks whether a site may talk to the agent at all; no
	// key is used.
	PurposeOrigin Purpose = "origin"
)

// UsesKey tells whether a yes leads to the card's key, and so needs its PIN.
func (p Purpose) UsesKey() bool { return p != PurposeOrigin && p != PurposeCertificate }

// Asker is one face. Ask returns once the person has answered, ctx is done or
// the request's Deadline has passed. Only one Ask runs at a time; the caller
// queues.
type Asker interface {
	Ask(ctx context.Context, r *Request) (Answer, error)
	// Outcome tells the person how the request that was just approved ended.
	// err is nil when it went well.
	Outcome(ctx context.Context, r *Request, err error)
}

// Request is all that a person is shown.
type Request struct {
	Purpose Purpose
	Caller  Caller
	// Documents are what would be signed; empty for login and origin.
	Documents []Document
	// Hash is what would be signed for PurposeHash.
	Hash *Hash
	// Language is the page's wish ("it", "en"); empty: none.
	Language string
	// Certificates are the candidates, best first; unfit ones carry the reason.
	// Empty for PurposeOrigin.
	Certificates []Certificate
	// Deadline is when the question ends by itself.
	Deadline time.Time
	// Extend asks for more time; it returns the new deadline. For a login it
	// fetches a fresh nonce from the page first. Nil: cannot be extended.
	Extend func(ctx context.Context) (time.Time, error)
}

// Caller is who asks.
type Caller struct {
	// Origin as in the WebSocket handshake ("https://host[:port]"), empty when
	// the command line asks.
	Origin string
	// CommandLine is set when the person's own command line asks.
	CommandLine bool
	// Remembered is set when the person allowed this origin before.
	Remembered bool
	// Extension is set when the site was let in by the Web eID extension of the
	// browser, which answers for the origin.
	Extension bool
	// Developer is set when http on loopback was let in by --developer.
	Developer bool
}

// Document is one document as the person sees it. The bytes shown are the bytes
// that will be signed.
type Document struct {
	Name      string
	MediaType string
	Size      int64
	SHA256    [32]byte
	// Open gives the bytes; each call starts at the beginning.
	Open func() (io.ReadSeekCloser, error)
}

// Hash is a hash that a site computed over something that it did not send.
type Hash struct {
	Function string `json:"function"` // "SHA-256"
	Value    []byte `json:"value"`
}

// Certificate is one key the person could use.
type Certificate struct {
	// ID is the SHA-256 of the certificate, lower-case hex.
	ID            string
	Name          string
	CodiceFiscale string
	Issuer        string
	NotAfter      time.Time
	// Kind ("cns", "cie") and Number are the card's, where they are known. AfterPIN:
	// the card gives its certificate only after the PIN, so that nothing else is
	// known of it, the holder's name included.
	Kind, Number string
	AfterPIN     bool
	// Source is where the key is, for people ("CNS in Lettore 1").
	Source string
	// Unfit says why it cannot be used here, as a message code; empty when it can.
	Unfit string
	PIN   PIN
}

// PIN is what is known about the key's PIN before asking.
type PIN struct {
	// TriesLeft is -1 when not known.
	TriesLeft int
	// CountLow, FinalTry and Locked are the token's own flags.
	CountLow, FinalTry, Locked bool
	// Pinpad is set when the PIN is typed on the reader; Answer.PIN stays empty.
	Pinpad bool
	// Digits is set when the PIN has a fixed length, e.g. 8 for the CIE.
	Digits int
}

// Answer is a yes.
type Answer struct {
	// CertificateID is one of Request.Certificates.
	CertificateID string
	// PIN is owned by the caller of Ask, who wipes it. Never a string.
	PIN []byte
	// RememberOrigin is set when the person ticked it.
	RememberOrigin bool
	// BlockOrigin is set by a face that lets a person say "never again"; it
	// comes with ErrRefused.
	BlockOrigin bool
}

// Wipe overwrites the PIN.
func (a *Answer) Wipe() {
	clear(a.PIN)
	a.PIN = nil
}
