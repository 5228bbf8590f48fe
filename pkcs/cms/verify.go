package cms

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"

	"github.com/citel-pa/citel/pkcs/certificate"
)

// Scheme is a signature algorithm with its hash settled.
type Scheme struct {
	Name string // "RSA", "RSA-PSS", "ECDSA", "Ed25519"
	Hash crypto.Hash
	// Plain: an ECDSA value is R || S and not DER.
	Plain bool
	// Salt is the PSS salt's length.
	Salt int
}

// Errors of the mathematics. They are facts for a report.
var (
	ErrAlgorithmUnknown  = errors.New("signature algorithm is not known")
	ErrAlgorithmMismatch = errors.New("digest and signature algorithm contradict each other")
	ErrKeyMismatch       = errors.New("the key is of another kind than the algorithm")
	ErrSignature         = errors.New("the signature does not hold")
	// ErrDigestInfoWithoutNull: the RSA padding lacks the NULL parameter. Some
	// issuers' test files have it; RFC 8017, 9.2, note 1 wants NULL.
	ErrDigestInfoWithoutNull = errors.New("the signature's DigestInfo has no NULL parameter")
)

// signatures are the algorithms that name their hash: PKCS #1 v1.5 and ECDSA (RFC 5754, 3,
// Signature Algorithms; NIST's arc for SHA-3), and ECDSA with the value as R || S (BSI
// TR-03111, 5.2.1.1).
var signatures = map[string]Scheme{
	"1.2.840.113549.1.1.5":    {Name: "RSA", Hash: crypto.SHA1},
	"1.2.840.113549.1.1.14":   {Name: "RSA", Hash: crypto.SHA224},
	oidRSASHA256:              {Name: "RSA", Hash: crypto.SHA256},
	"1.2.840.113549.1.1.12":   {Name: "RSA", Hash: crypto.SHA384},
	"1.2.840.113549.1.1.13":   {Name: "RSA", Hash: crypto.SHA512},
	"2.16.840.1.101.3.4.3.13": {Name: "RSA", Hash: crypto.SHA3_224},
	"2.16.840.1.101.3.4.3.14": {Name: "RSA", Hash: crypto.SHA3_256},
	"2.16.840.1.101.3.4.3.15": {Name: "RSA", Hash: crypto.SHA3_384},
	"2.16.840.1.101.3.4.3.16": {Name: "RSA", Hash: crypto.SHA3_512},
	"1.2.840.10045.4.1":       {Name: "ECDSA", Hash: crypto.SHA1},
	"1.2.840.10045.4.3.1":     {Name: "ECDSA", Hash: crypto.SHA224},
	oidECDSASHA256:            {Name: "ECDSA", Hash: crypto.SHA256},
	oidECDSASHA384:            {Name: "ECDSA", Hash: crypto.SHA384},
	oidECDSASHA512:            {Name: "ECDSA", Hash: crypto.SHA512},
	"2.16.840.1.101.3.4.3.9":  {Name: "ECDSA", Hash: crypto.SHA3_224},
	"2.16.840.1.101.3.4.3.10": {Name: "ECDSA", Hash: crypto.SHA3_256},
	"2.16.840.1.101.3.4.3.11": {Name: "ECDSA", Hash: crypto.SHA3_384},
	"2.16.840.1.101.3.4.3.12": {Name: "ECDSA", Hash: crypto.SHA3_512},
	"0.4.0.127.0.7.1.1.4.1.1": {Name: "ECDSA", Hash: crypto.SHA1, Plain: true},
	"0.4.0.127.0.7.1.1.4.1.2": {Name: "ECDSA", Hash: crypto.SHA224, Plain: true},
	"0.4.0.127.0.7.1.1.4.1.3": {Name: "ECDSA", Hash: crypto.SHA256, Plain: true},
	"0.4.0.127.0.7.1.1.4.1.4": {Name: "ECDSA", Hash: crypto.SHA384, Plain: true},
	"0.4.0.127.0.7.1.1.4.1.5": {Name: "ECDSA", Hash: crypto.SHA512, Plain: true},
}

var signatureOIDs = func() map[Scheme]string {
	m := map[Scheme]string{}
	for oid, s := range signatures {
		m[s] = oid
	}
	return m
}()

// SchemeOf settles which algorithm a SignerInfo means. Where the signature
// algorithm names a hash of its own, it must be the digest algorithm.
func SchemeOf(digest, sig AlgorithmIdentifier) (Scheme, error) {
	h := HashByOID(digest.OID)
	if h == 0 {
		return Scheme{}, fmt.Errorf("%w: digest %s", ErrAlgorithmUnknown, digest.OID)
	}
	s, named := Scheme{Hash: h}, crypto.Hash(0)
	switch sig.OID {
	case oidRSA:
		s.Name = "RSA"
	case oidECPublicKey:
		s.Name = "ECDSA"
	case oidRSAPSS:
		p, err := parsePSS(sig.Params)
		if err != nil {
			return s, err
		}
		s.Name, s.Salt, named = "RSA-PSS", p.salt, p.hash
	case oidEd25519:
		// RFC 8419, 3.1, signedAttrs: the content's digest is SHA-512.
		s.Name, named = "Ed25519", crypto.SHA512
	default:
		known, ok := signatures[sig.OID]
		if !ok {
			return s, fmt.Errorf("%w: %s", ErrAlgorithmUnknown, sig.OID)
		}
		s.Name, s.Plain, named = known.Name, known.Plain, known.Hash
	}
	if named != 0 && named != h {
		return s, fmt.Errorf("%w: %s and %s", ErrAlgorithmMismatch, named, h)
	}
	return s, nil
}

type pssParams struct {
	hash crypto.Hash
	salt int
}

// parsePSS reads RSASSA-PSS-params (RFC 4055, 3.1, RSASSA-PSS Public Keys). The
// mask's hash has to be the message's: the RFC recommends it and every maker does.
func parsePSS(raw []byte) (pssParams, error) {
	p := pssParams{hash: crypto.SHA1, salt: 20}
	bad := func(err error) (pssParams, error) {
		return p, fmt.Errorf("%w: RSASSA-PSS-params: %w", ErrAlgorithmMismatch, err)
	}
	if raw == nil {
		return bad(errors.New("absent"))
	}
	seq, _, err := expect(raw, tagSequence)
	if err != nil {
		return bad(err)
	}
	mask := crypto.SHA1
	els, err := children(seq.Content, 4)
	if err != nil {
		return bad(err)
	}
	for _, el := range els {
		in, _, err := Next(el.Content)
		if err != nil {
			return bad(err)
		}
		switch el.Tag {
		case 0xA0:
			a, err := algorithm(in)
			if err != nil {
				return bad(err)
			}
			p.hash = HashByOID(a.OID)
		case 0xA1:
			a, err := algorithm(in)
			if err != nil || a.OID != oidMGF1 || a.Params == nil {
				return bad(errors.New("mask generation is not MGF1"))
			}
			el, _, err := Next(a.Params)
			if err != nil {
				return bad(err)
			}
			inner, err := algorithm(el)
			if err != nil {
				return bad(err)
			}
			mask = HashByOID(inner.OID)
		case 0xA2:
			if p.salt, err = smallInt(in); err != nil {
				return bad(err)
			}
		case 0xA3:
			if v, err := smallInt(in); err != nil || v != 1 {
				return bad(errors.New("trailer field"))
			}
		default:
			return bad(fmt.Errorf("tag %#02x", el.Tag))
		}
	}
	if p.hash == 0 {
		return bad(ErrAlgorithmUnknown)
	}
	if mask != p.hash {
		return bad(errors.New("the mask's hash is another"))
	}
	return p, nil
}

// PublicKey reads a SubjectPublicKeyInfo. A key marked for RSASSA-PSS (RFC 4055,
// 3.1) comes as *rsa.PublicKey like any other.
func PublicKey(spki []byte) (crypto.PublicKey, error) { return certificate.PublicKey(spki) }

// KeyFacts names a key: "RSA", "ECDSA", "Ed25519" or "" and its size in bits.
func KeyFacts(key crypto.PublicKey) (name string, bits int) {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return "RSA", k.N.BitLen()
	case *ecdsa.PublicKey:
		return "ECDSA", k.Params().BitSize
	case ed25519.PublicKey:
		return "Ed25519", 255
	}
	return "", 0
}

// VerifyData checks a signature value over data, which is hashed first where the
// algorithm wants a digest. Ed25519 does not (RFC 8419, 3, Verification of Signatures).
func (s Scheme) VerifyData(key crypto.PublicKey, data, value []byte) error {
	if s.Name != "Ed25519" {
		h := s.Hash.New()
		h.Write(data)
		return s.Verify(key, h.Sum(nil), value)
	}
	k, ok := key.(ed25519.PublicKey)
	if !ok {
		return ErrKeyMismatch
	}
	if !ed25519.Verify(k, data, value) {
		return ErrSignature
	}
	return nil
}

// Verify checks a signature value over a digest of Scheme.Hash. ECDSA values are
// DER (RFC 5753, 2.1.1, Fields of the SignedData).
func (s Scheme) Verify(key crypto.PublicKey, digest, value []byte) error {
	switch s.Name {
	case "RSA", "RSA-PSS":
		k, ok := key.(*rsa.PublicKey)
		if !ok {
			return ErrKeyMismatch
		}
		if k.E > maxStandardExponent {
			return s.verifyLargeExponent(k, digest, value)
		}
		if s.Name == "RSA-PSS" {
			return verifyPSS(k, s.Hash, digest, value, s.Salt)
		}
		if rsa.VerifyPKCS1v15(k, s.Hash, digest, value) == nil {
			return nil
		}
		if lacksNull(k, s.Hash, digest, value) {
			return ErrDigestInfoWithoutNull
		}
		return ErrSignature
	case "ECDSA":
		k, ok := key.(*ecdsa.PublicKey)
		if !ok {
			return ErrKeyMismatch
		}
		if s.Plain {
			return verifyPlain(k, digest, value)
		}
		if !ecdsa.VerifyASN1(k, digest, value) {
			return ErrSignature
		}
		return nil
	}
	return ErrAlgorithmUnknown
}

// verifyPlain takes R and S as two numbers of the order's length (BSI TR-03111, 5.2.1.1).
func verifyPlain(k *ecdsa.PublicKey, digest, value []byte) error {
	half := (k.Params().N.BitLen() + 7) / 8
	if len(value) != 2*half || !ecdsa.Verify(k, digest, new(big.Int).SetBytes(value[:half]), new(big.Int).SetBytes(value[half:])) {
		return ErrSignature
	}
	return nil
}
