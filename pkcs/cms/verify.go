package cms

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
)

// Scheme is a signature algorithm with its hash settled.
type Scheme struct {
	Name string // "RSA", "RSA-PSS", "ECDSA"
	Hash crypto.Hash
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

// SchemeOf settles which algorithm a SignerInfo means. Where the signature
// algorithm names a hash of its own, it must be the digest algorithm.
func SchemeOf(digest, sig AlgorithmIdentifier) (Scheme, error) {
	h := HashByOID(digest.OID)
	if h == 0 {
		return Scheme{}, fmt.Errorf("%w: digest %s", ErrAlgorithmUnknown, digest.OID)
	}
	var named crypto.Hash
	s := Scheme{Hash: h}
	switch sig.OID {
	case oidRSA:
		s.Name = "RSA"
	case oidRSASHA1:
		s.Name, named = "RSA", crypto.SHA1
	case oidRSASHA256:
		s.Name, named = "RSA", crypto.SHA256
	case oidRSASHA384:
		s.Name, named = "RSA", crypto.SHA384
	case oidRSASHA512:
		s.Name, named = "RSA", crypto.SHA512
	case oidRSAPSS:
		p, err := parsePSS(sig.Params)
		if err != nil {
			return s, err
		}
		s.Name, s.Salt, named = "RSA-PSS", p.salt, p.hash
	case oidECPublicKey:
		s.Name = "ECDSA"
	case oidECDSASHA1:
		s.Name, named = "ECDSA", crypto.SHA1
	case oidECDSASHA256:
		s.Name, named = "ECDSA", crypto.SHA256
	case oidECDSASHA384:
		s.Name, named = "ECDSA", crypto.SHA384
	case oidECDSASHA512:
		s.Name, named = "ECDSA", crypto.SHA512
	default:
		return s, fmt.Errorf("%w: %s", ErrAlgorithmUnknown, sig.OID)
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
func PublicKey(spki []byte) (crypto.PublicKey, error) {
	key, err := x509.ParsePKIXPublicKey(spki)
	if err == nil {
		return key, nil
	}
	outer, _, perr := expect(spki, tagSequence)
	if perr != nil {
		return nil, perr
	}
	alg, rest, perr := Next(outer.Content)
	if perr != nil {
		return nil, perr
	}
	a, perr := algorithm(alg)
	if perr != nil || a.OID != oidRSAPSS {
		return nil, fmt.Errorf("cms: public key: %w", err)
	}
	bits, _, perr := expect(rest, tagBitString)
	if perr != nil || len(bits.Content) < 2 || bits.Content[0] != 0 {
		return nil, malformed("RSASSA-PSS public key")
	}
	return x509.ParsePKCS1PublicKey(bits.Content[1:])
}

// KeyFacts names a key: "RSA", "ECDSA" or "" and its size in bits.
func KeyFacts(key crypto.PublicKey) (name string, bits int) {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return "RSA", k.N.BitLen()
	case *ecdsa.PublicKey:
		return "ECDSA", k.Curve.Params().BitSize
	}
	return "", 0
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
		if !ecdsa.VerifyASN1(k, digest, value) {
			return ErrSignature
		}
		return nil
	}
	return ErrAlgorithmUnknown
}
