package signing

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/pkcs/authtoken"
	"github.com/citel-pa/citel/pkcs/profile"
)

// ErrHashInvalid means a hash function that is not known here, or a hash of another
// length.
var ErrHashInvalid = errors.New("signing: not a hash of a known function")

// hashFunctions are those that cards sign here, by the names of Web eID's interface.
var hashFunctions = []struct {
	name string
	hash crypto.Hash
}{{"SHA-256", crypto.SHA256}, {"SHA-384", crypto.SHA384}, {"SHA-512", crypto.SHA512}}

// Algorithm is how a bare hash gets signed, in the words of Web eID's interface.
type Algorithm struct {
	Crypto  string // "ECC" or "RSA"
	Hash    string // "SHA-256", "SHA-384", "SHA-512"
	Padding string // "NONE" (ECC) or "PKCS1.5" (RSA)
}

// Algorithms lists what a certificate's key does.
func Algorithms(cert *x509.Certificate) []Algorithm {
	list := make([]Algorithm, len(hashFunctions))
	for i, f := range hashFunctions {
		list[i] = algorithm(cert, f.name)
	}
	return list
}

func algorithm(cert *x509.Certificate, hash string) Algorithm {
	if _, ok := cert.PublicKey.(*ecdsa.PublicKey); ok {
		return Algorithm{Crypto: "ECC", Hash: hash, Padding: "NONE"}
	}
	return Algorithm{Crypto: "RSA", Hash: hash, Padding: "PKCS1.5"}
}

// CheckHash gives the function of a bare hash, or ErrHashInvalid.
func CheckHash(function string, hash []byte) (crypto.Hash, error) {
	for _, f := range hashFunctions {
		if f.name == function && f.hash.Size() == len(hash) {
			return f.hash, nil
		}
	}
	return 0, fmt.Errorf("%w: %.20q with %d bytes", ErrHashInvalid, function, len(hash))
}

// CertificateRequest asks which certificate a site may prepare a signature for.
type CertificateRequest struct {
	Caller Caller
}

// Certificate lets the person choose a certificate that a site may know. Only those are
// offered whose key signs bare hashes; a login certificate goes out with a login alone.
func (c *Ceremony) Certificate(ctx context.Context, req CertificateRequest) (*x509.Certificate, error) {
	r := &consent.Request{Purpose: consent.PurposeCertificate, Caller: req.Caller.Caller, Extend: c.moreTime}
	found, err := c.candidates(ctx, &req.Caller, r, Choice{})
	if err != nil {
		return nil, err
	}
	asked := c.now()
	answer, err := c.ask(ctx, &req.Caller, r, noEnd)
	defer answer.Wipe()
	if err != nil {
		c.used(asked, r, nil, err)
		return nil, err
	}
	use, err := chosen(found, &answer)
	if err != nil {
		return nil, err
	}
	c.used(asked, r, &use, nil)
	return use.id.Certificate, nil
}

// HashRequest asks for a signature over a hash that a site computed.
type HashRequest struct {
	Caller Caller
	// Certificate is the DER that Certificate gave out.
	Certificate []byte
	Function    string // "SHA-256", "SHA-384", "SHA-512"
	Hash        []byte
}

// HashResult is a signature over a bare hash.
type HashResult struct {
	// Signature of RSA is as PKCS #1 has it; of ECDSA R || S (RFC 7518, 3.4).
	Signature []byte
	Algorithm Algorithm
}

// SignHash signs a hash that came from outside. It is the only place that does, and only
// with a key for signatures alone: whoever gets a chosen hash signed by a login key can
// log in as that person anywhere (design, The login token). Any other key is
// ErrHashRefused, before the card is touched where the certificate tells already.
func (c *Ceremony) SignHash(ctx context.Context, req HashRequest) (*HashResult, error) {
	hash, err := CheckHash(req.Function, req.Hash)
	if err != nil {
		return nil, err
	}
	named, err := x509.ParseCertificate(req.Certificate)
	if err != nil {
		return nil, fmt.Errorf("%w: the certificate that the site named: %w", ErrCertificateUnfit, err)
	}
	if !profile.SignsHashes(named) {
		return nil, ErrHashRefused
	}
	r := &consent.Request{Purpose: consent.PurposeHash, Caller: req.Caller.Caller, Extend: c.moreTime,
		Hash: &consent.Hash{Function: req.Function, Value: bytes.Clone(req.Hash)}}
	found, err := c.candidates(ctx, &req.Caller, r, Choice{Certificate: named})
	if err != nil {
		return nil, err
	}
	asked := c.now()
	answer, err := c.ask(ctx, &req.Caller, r, noEnd)
	defer answer.Wipe()
	if err != nil {
		c.used(asked, r, nil, err)
		return nil, err
	}
	use, err := chosen(found, &answer)
	if err != nil {
		return nil, err
	}
	result, err := c.signHash(ctx, &req, use, &answer, hash)
	c.used(asked, r, &use, err)
	c.Asker.Outcome(ctx, r, err)
	return result, err
}

func (c *Ceremony) signHash(ctx context.Context, req *HashRequest, use candidate, answer *consent.Answer, hash crypto.Hash) (_ *HashResult, err error) {
	req.Caller.notify(StageWorking)
	key, err := unlock(ctx, &use, answer, c.fit(consent.PurposeHash, Choice{}))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, key.Close()) }()
	cert := use.id.Certificate
	// Judged once more where it counts, whatever came before.
	if !profile.SignsHashes(cert) || !belongs(key, cert) {
		return nil, ErrHashRefused
	}
	signature, err := checked(key, use.id)(ctx, req.Hash, hash)
	if err != nil {
		return nil, err
	}
	if public, ok := cert.PublicKey.(*ecdsa.PublicKey); ok {
		if signature, err = authtoken.RawECDSA(signature, public.Params().BitSize); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCardFailed, err)
		}
	}
	return &HashResult{Signature: signature, Algorithm: algorithm(cert, req.Function)}, nil
}

// keepLoginKeys marks every certificate whose key has a second certificate that can log
// in: what counts is the key, not the paper that was shown.
func keepLoginKeys(found []candidate) {
	for i := range found {
		a := found[i].id.Certificate
		if a == nil {
			continue
		}
		for j := range found {
			b := found[j].id.Certificate
			if b != nil && i != j && bytes.Equal(a.RawSubjectPublicKeyInfo, b.RawSubjectPublicKeyInfo) && !profile.SignsHashes(b) {
				found[i].unfit = unfitHash
			}
		}
	}
}
