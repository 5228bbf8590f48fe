package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"

	"github.com/miekg/pkcs11"

	"github.com/citel-pa/citel/pkcs/cms"
)

// Key is a private key on a token. It is a crypto.Signer.
type Key struct {
	session *Session
	handle  pkcs11.ObjectHandle
	public  crypto.PublicKey
	always  bool
}

var _ crypto.Signer = (*Key)(nil)

// Public is the key of the certificate.
func (k *Key) Public() crypto.PublicKey { return k.public }

// pssHash are the hash and mask mechanisms of CK_RSA_PKCS_PSS_PARAMS.
var pssHash = map[crypto.Hash]struct{ hash, mgf uint }{
	crypto.SHA256: {pkcs11.CKM_SHA256, pkcs11.CKG_MGF1_SHA256},
	crypto.SHA384: {pkcs11.CKM_SHA384, pkcs11.CKG_MGF1_SHA384},
	crypto.SHA512: {pkcs11.CKM_SHA512, pkcs11.CKG_MGF1_SHA512},
}

// Sign signs a digest of SHA-256, SHA-384 or SHA-512: RSA with PKCS #1 v1.5, or
// PSS for *rsa.PSSOptions; ECDSA as ASN.1 DER. The token's own random numbers are
// used, rand is not read.
func (k *Key) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts == nil {
		return nil, ErrHash
	}
	hash := opts.HashFunc()
	// The token pads what it is given (CKM_RSA_PKCS); cards know fewer of the
	// mechanisms that hash by themselves.
	info, err := cms.DigestInfo(hash, digest)
	if err != nil {
		return nil, fmt.Errorf("%w: %d bytes, hash %d", ErrHash, len(digest), hash)
	}
	pss, isPSS := opts.(*rsa.PSSOptions)
	switch pub := k.public.(type) {
	case *rsa.PublicKey:
		input := info
		mechanism := pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS, nil)
		if isPSS {
			salt, err := saltLength(pub, pss)
			if err != nil {
				return nil, err
			}
			input = digest
			mechanism = pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS_PSS, pkcs11.NewPSSParams(pssHash[hash].hash, pssHash[hash].mgf, salt))
		}
		signature, err := k.raw(mechanism, input)
		if err == nil && len(signature) != pub.Size() {
			return nil, fmt.Errorf("%w: a signature of %d bytes", ErrModule, len(signature))
		}
		return signature, err
	case *ecdsa.PublicKey:
		if isPSS {
			return nil, fmt.Errorf("%w: PSS with a key of elliptic curves", ErrMechanism)
		}
		// FIPS 186-5, 6.4.1: the leftmost bits of a digest longer than the order.
		// Not every token shortens it. The curves here have whole bytes where it
		// matters.
		order := pub.Params().N
		size := (order.BitLen() + 7) / 8
		signature, err := k.raw(pkcs11.NewMechanism(pkcs11.CKM_ECDSA, nil), digest[:min(len(digest), size)])
		if err != nil {
			return nil, err
		}
		return ecdsaDER(signature, order)
	}
	return nil, fmt.Errorf("%w: a key of type %T", ErrMechanism, k.public)
}

// saltLength as crypto/rsa means it; the longest one for PSSSaltLengthAuto.
func saltLength(pub *rsa.PublicKey, pss *rsa.PSSOptions) (uint, error) {
	longest := (pub.N.BitLen()-1+7)/8 - 2 - pss.Hash.Size()
	salt := pss.SaltLength
	switch salt {
	case rsa.PSSSaltLengthEqualsHash:
		salt = pss.Hash.Size()
	case rsa.PSSSaltLengthAuto:
		salt = longest
	}
	if salt < 0 || salt > longest {
		return 0, fmt.Errorf("%w: a salt of %d bytes", ErrMechanism, pss.SaltLength)
	}
	return uint(salt), nil
}

// ecdsaDER turns r and s one after the other (PKCS#11 v2.40 current mechanisms,
// 2.3.1, EC signatures) into Ecdsa-Sig-Value (RFC 3279, 2.2.3).
func ecdsaDER(raw []byte, order *big.Int) ([]byte, error) {
	if len(raw) == 0 || len(raw)%2 != 0 || len(raw) > 2*((order.BitLen()+7)/8) {
		return nil, fmt.Errorf("%w: a signature of %d bytes", ErrModule, len(raw))
	}
	half := len(raw) / 2
	v := struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:half]), new(big.Int).SetBytes(raw[half:])}
	for _, n := range []*big.Int{v.R, v.S} {
		if n.Sign() <= 0 || n.Cmp(order) >= 0 {
			return nil, fmt.Errorf("%w: a signature out of range", ErrModule)
		}
	}
	return asn1.Marshal(v)
}

// raw is C_SignInit and C_Sign, with the PIN between them for a key that asks for
// it each time (PKCS#11 v2.40, 5.6, C_Login with CKU_CONTEXT_SPECIFIC).
func (k *Key) raw(mechanism *pkcs11.Mechanism, input []byte) (signature []byte, err error) {
	s := k.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return nil, err
	}
	if err := s.supports(mechanism); err != nil {
		return nil, err
	}
	if k.always && s.pin == nil && !s.pinpad {
		return nil, fmt.Errorf("%w: the key asks for the PIN each time", ErrNotLoggedIn)
	}
	lib := s.module.lib
	err = lib.call("C_SignInit", func() error {
		return lib.ctx.SignInit(s.handle, []*pkcs11.Mechanism{mechanism}, k.handle)
	})
	if err != nil {
		return nil, s.removed(err)
	}
	if k.always {
		if err := s.enter(pkcs11.CKU_CONTEXT_SPECIFIC, s.pin); err != nil {
			// The operation stays open and the PIN is not tried again: nothing can be
			// done in this session any more.
			s.spent = true
			s.forget()
			return nil, err
		}
	}
	err = lib.call("C_Sign", func() (err error) {
		signature, err = lib.ctx.Sign(s.handle, input)
		return err
	})
	return signature, s.removed(err)
}

// supports asks the token once for each mechanism.
func (s *Session) supports(mechanism *pkcs11.Mechanism) error {
	known, ok := s.mechanisms[mechanism.Mechanism]
	if ok {
		return known
	}
	var info pkcs11.MechanismInfo
	lib := s.module.lib
	err := lib.call("C_GetMechanismInfo", func() (err error) {
		info, err = lib.ctx.GetMechanismInfo(s.slot, []*pkcs11.Mechanism{mechanism})
		return err
	})
	if err == nil && info.Flags&pkcs11.CKF_SIGN == 0 {
		err = fmt.Errorf("%w: 0x%X does not sign", ErrMechanism, mechanism.Mechanism)
	}
	if err == nil || errors.Is(err, ErrMechanism) {
		s.mechanisms[mechanism.Mechanism] = err
	}
	return s.removed(err)
}
