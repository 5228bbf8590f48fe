// Package signing does what a request asks once the gate let it in: it finds
// the keys, asks the person, signs, and answers. The gateway, the command line
// and native messaging all come through here, so the rules about what a key may
// sign stand in one place.
package signing

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
)

// Source is a place where keys are: a PKCS#11 module in a helper process, a
// native card driver. Implementations live in agent/worker and agent/card.
type Source interface {
	// Name is for people, e.g. the reader's or the token's name.
	Name() string
	// Identities lists the certificates that have a key. It needs no PIN.
	Identities(ctx context.Context) ([]Identity, error)
	// Open prepares one key for use. The Key is good for one request.
	Open(ctx context.Context, id Identity) (Key, error)
}

// Identity is a certificate with a key behind it.
type Identity struct {
	// Certificate is nil where the card gives it after its PIN only (the CIE, until
	// it was used once): its Key is a Revealer then.
	Certificate *x509.Certificate
	// Kind of the card ("cns", "cie") and its Number, where they are known.
	Kind, Number string
	// Ref is the source's own handle; opaque here.
	Ref string
	PIN PINState
	// Source names the token or reader, for people.
	Source string
}

// Revealer is a Key whose certificate is read once it is unlocked.
type Revealer interface {
	Certificate(ctx context.Context) (*x509.Certificate, error)
}

// id names the identity in a question: the certificate's SHA-256, or one made of
// the card's handle.
func (i *Identity) id() string {
	if i.Certificate != nil {
		return fingerprint(i.Certificate)
	}
	sum := sha256.Sum256([]byte("card\x00" + i.Ref))
	return hex.EncodeToString(sum[:])
}

// PINState is what the token says of its PIN before one is entered.
type PINState struct {
	TriesLeft                  int // -1: not known
	CountLow, FinalTry, Locked bool
	Pinpad                     bool // typed on the reader
	Digits                     int  // fixed length, 0: free
}

// Key is one key of one card for one request. Sign is called with digests that
// this package computed itself; with one from outside only where the certificate is for
// signatures alone (hash.go).
type Key interface {
	// Unlock enters the PIN (nil where the reader has a pinpad). It is called
	// once: a wrong PIN is never tried again by us. The caller wipes pin.
	Unlock(ctx context.Context, pin []byte) error
	// Sign is crypto.Signer's Sign with a deadline. opts is a crypto.Hash or
	// *rsa.PSSOptions; ECDSA signatures are ASN.1 DER.
	Sign(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error)
	Public() crypto.PublicKey
	Close() error
}
