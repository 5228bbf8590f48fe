package token

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"math/big"

	"github.com/miekg/pkcs11"
)

// Limits on what a module may tell.
const (
	maxObjects   = 64
	maxAttribute = 64 << 10
)

// Identity is a certificate that has a key on the token.
type Identity struct {
	Certificate *x509.Certificate
	// ID names the certificate: the SHA-256 of its DER, in hexadecimal.
	ID string
	// Label is the token's name for it.
	Label string
	// KeyID is CKA_ID, which certificate and keys share. It may be empty.
	KeyID []byte
}

// Identities lists the certificates that have a private or a public key with the
// same CKA_ID. It needs no PIN. Many tokens show no key before one is entered; if
// none is seen, all certificates are listed that are not of an authority.
func (s *Session) Identities() ([]Identity, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return nil, err
	}
	all, err := s.certificates()
	if err != nil {
		return nil, s.removed(err)
	}
	keys := map[string]bool{}
	for _, class := range []uint{pkcs11.CKO_PRIVATE_KEY, pkcs11.CKO_PUBLIC_KEY} {
		objects, err := s.find(maxObjects, pkcs11.NewAttribute(pkcs11.CKA_CLASS, class))
		if err != nil {
			return nil, s.removed(err)
		}
		for _, o := range objects {
			id, err := s.attribute(o, pkcs11.CKA_ID)
			if err != nil {
				return nil, s.removed(err)
			}
			if len(id) > 0 {
				keys[string(id)] = true
			}
		}
	}
	var list []Identity
	for _, i := range all {
		if keys[string(i.KeyID)] || len(keys) == 0 && !i.Certificate.IsCA {
			list = append(list, i)
		}
	}
	return list, nil
}

func (s *Session) certificates() ([]Identity, error) {
	objects, err := s.find(maxObjects, pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_CERTIFICATE))
	if err != nil {
		return nil, err
	}
	var list []Identity
	seen := map[string]bool{}
	for _, o := range objects {
		der, err := s.attribute(o, pkcs11.CKA_VALUE)
		if err != nil {
			return nil, err
		}
		// Attribute certificates and what only Go refuses to read are passed over:
		// the other certificates are still of use.
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			continue
		}
		sum := sha256.Sum256(der)
		i := Identity{Certificate: cert, ID: hex.EncodeToString(sum[:])}
		if seen[i.ID] {
			continue
		}
		seen[i.ID] = true
		if i.KeyID, err = s.attribute(o, pkcs11.CKA_ID); err != nil {
			return nil, err
		}
		label, err := s.attribute(o, pkcs11.CKA_LABEL)
		if err != nil {
			return nil, err
		}
		i.Label = text(string(label[:min(len(label), 128)]))
		list = append(list, i)
	}
	return list, nil
}

// Key gives the private key of an identity, after Login where the token wants
// one. The Signer is safe for concurrent use and good until the session closes.
func (s *Session) Key(i Identity) (*Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return nil, err
	}
	if i.Certificate == nil {
		return nil, fmt.Errorf("%w: no certificate", ErrNoKey)
	}
	template := []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY)}
	if len(i.KeyID) > 0 {
		template = append(template, pkcs11.NewAttribute(pkcs11.CKA_ID, i.KeyID))
	}
	objects, err := s.find(maxObjects, template...)
	if err != nil {
		return nil, s.removed(err)
	}
	for _, o := range objects {
		fits, err := s.fits(o, i.Certificate.PublicKey)
		if err != nil {
			return nil, s.removed(err)
		}
		if !fits {
			continue
		}
		always, err := s.attribute(o, pkcs11.CKA_ALWAYS_AUTHENTICATE)
		if err != nil {
			return nil, s.removed(err)
		}
		return &Key{session: s, handle: o, public: i.Certificate.PublicKey, always: isTrue(always)}, nil
	}
	if !s.login {
		return nil, fmt.Errorf("%w: %w", ErrNoKey, ErrNotLoggedIn)
	}
	return nil, ErrNoKey
}

// fits compares type and, for RSA, modulus: two keys may share a CKA_ID, and a
// private key of elliptic curves does not show its point. Who signs checks the
// signature in any case.
func (s *Session) fits(o pkcs11.ObjectHandle, public any) (bool, error) {
	kind, err := s.attribute(o, pkcs11.CKA_KEY_TYPE)
	if err != nil {
		return false, err
	}
	pub, isRSA := public.(*rsa.PublicKey)
	want := pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_EC).Value
	if isRSA {
		want = pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_RSA).Value
	}
	if string(kind) != string(want) {
		return false, nil
	}
	if !isRSA {
		return true, nil
	}
	modulus, err := s.attribute(o, pkcs11.CKA_MODULUS)
	if err != nil || len(modulus) == 0 {
		return err == nil, err
	}
	return new(big.Int).SetBytes(modulus).Cmp(pub.N) == 0, nil
}
