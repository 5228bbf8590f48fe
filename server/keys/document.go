package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"io"
	"strings"
)

// Document gives the newest key for seals on documents (PAdES) of an ente. With keys in
// the file it is an ECDSA P-256 key derived from the ring's, so that one file and one
// backup hold all that is secret; certificate is nil then. With a token it is the token's
// key and its certificate; with Token.Seals the ente's own.
func (r *Ring) Document(ente string) (id string, signer crypto.Signer, certificate *x509.Certificate, err error) {
	k := r.newest()
	on, id := k.Token, k.ID
	if r.token != nil {
		if own := strings.ToLower(r.token.Seals[ente]); own != "" {
			on, id = own, own
		}
	}
	if on != "" {
		s := tokenSigner{token: r.token, id: on}
		s.certificate, err = r.token.certificate(on)
		return id, s, s.certificate, err
	}
	// RFC 5869. A scalar out of range has a probability of 2^-32 for P-256: the next one
	// is taken, the same each time.
	for n := range 16 {
		b, err := hkdf.Key(sha256.New, k.Seal, nil, fmt.Sprintf("citel-document-seal-v1\x00%s\x00%d", ente, n), 32)
		if err != nil {
			return "", nil, nil, fmt.Errorf("keys: %w", err)
		}
		if p, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), b); err == nil {
			return k.ID, p, nil, nil
		}
	}
	return "", nil, nil, fmt.Errorf("%w: %s gives no document key", ErrUnknown, k.ID)
}

// tokenSigner is the token's key as a crypto.Signer.
type tokenSigner struct {
	token       *Token
	id          string
	certificate *x509.Certificate
}

// Public is the certificate's key.
func (s tokenSigner) Public() crypto.PublicKey { return s.certificate.PublicKey }

// Sign signs a digest on the token.
func (s tokenSigner) Sign(_ io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	return s.token.signDigest(s.id, digest, o)
}

func (t *Token) certificate(id string) (*x509.Certificate, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.open(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrToken, err)
	}
	for _, i := range t.ids {
		if i.ID == id {
			return i.Certificate, nil
		}
	}
	return nil, fmt.Errorf("%w: its certificate %s is not there", ErrUnknown, id)
}
