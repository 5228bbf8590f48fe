package cades

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/citel-pa/citel/pkcs/cms"
)

// SignFunc signs a digest: crypto.Signer's Sign with a deadline. ECDSA values are DER.
type SignFunc func(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error)

// Signer makes a SignFunc of a key in this program, a server's for its receipts.
func Signer(key crypto.Signer) SignFunc {
	return func(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return key.Sign(rand.Reader, digest, opts)
	}
}

// SignOptions says what is signed with and how.
type SignOptions struct {
	Certificate *x509.Certificate
	// Chain goes into the file beside the signer's certificate; the root is not needed.
	Chain []*x509.Certificate
	Sign  SignFunc
	// Hash of content and attributes; 0 takes the one that fits the key (SHA-256,
	// SHA-384 for P-384, SHA-512 for P-521). SHA-1 is refused.
	Hash crypto.Hash
	// PSS signs with RSASSA-PSS instead of PKCS #1 v1.5.
	PSS bool
	// SigningTime is the signer's claim; zero leaves the attribute out.
	SigningTime time.Time
	Detached    bool
	// Extra signed attributes.
	Extra []cms.Attribute
}

// signature is what a signer adds: known once the content's digest is.
type signature struct {
	scheme cms.Scheme
	opts   SignOptions
}

func newSignature(o SignOptions) (*signature, error) {
	if o.Certificate == nil || o.Sign == nil {
		return nil, errors.New("cades: certificate or key missing")
	}
	s := &signature{opts: o}
	s.scheme.Hash = o.Hash
	switch k := o.Certificate.PublicKey.(type) {
	case *rsa.PublicKey:
		s.scheme.Name = "RSA"
		if o.PSS {
			s.scheme.Name = "RSA-PSS"
		}
		if o.Hash == 0 {
			s.scheme.Hash = crypto.SHA256
		}
	case *ecdsa.PublicKey:
		s.scheme.Name = "ECDSA"
		if o.Hash == 0 {
			s.scheme.Hash = hashForCurve(k.Curve.Params().BitSize)
		}
	default:
		return nil, fmt.Errorf("cades: keys of type %T are not supported", k)
	}
	switch s.scheme.Hash {
	case crypto.SHA256, crypto.SHA384, crypto.SHA512:
	default:
		return nil, fmt.Errorf("cades: %s is not signed with", s.scheme.Hash)
	}
	s.scheme.Salt = s.scheme.Hash.Size()
	return s, nil
}

func hashForCurve(bits int) crypto.Hash {
	switch {
	case bits <= 256:
		return crypto.SHA256
	case bits <= 384:
		return crypto.SHA384
	}
	return crypto.SHA512
}

// attributes of baseline B (ETSI EN 319 122-1, 6.3): content-type,
// message-digest, signing-certificate-v2, and what the caller added.
func (s *signature) attributes(contentType string, digest []byte) []byte {
	attrs := []cms.Attribute{
		{OID: cms.OIDContentType, Values: [][]byte{cms.OID(contentType)}},
		{OID: cms.OIDMessageDigest, Values: [][]byte{cms.OctetString(digest)}},
		signingCertificateV2(s.opts.Certificate.Raw, s.scheme.Hash),
	}
	if !s.opts.SigningTime.IsZero() {
		attrs = append(attrs, cms.Attribute{OID: cms.OIDSigningTime, Values: [][]byte{cms.Time(s.opts.SigningTime)}})
	}
	attrs = append(attrs, s.opts.Extra...)
	parts := make([][]byte, len(attrs))
	for i, a := range attrs {
		parts[i] = a.Marshal()
	}
	return cms.SetOf(parts...)
}

// signerInfo signs the attributes over a content's digest.
func (s *signature) signerInfo(ctx context.Context, contentType string, digest []byte) ([]byte, error) {
	attrs := s.attributes(contentType, digest)
	var opts crypto.SignerOpts = s.scheme.Hash
	if s.scheme.Name == "RSA-PSS" {
		opts = &rsa.PSSOptions{SaltLength: s.scheme.Salt, Hash: s.scheme.Hash}
	}
	value, err := s.opts.Sign(ctx, sum(s.scheme.Hash, attrs), opts)
	if err != nil {
		return nil, fmt.Errorf("cades: sign: %w", err)
	}
	// A card's or module's answer is not believed: a signature that does not hold
	// must not leave this place.
	if err := s.scheme.Verify(s.opts.Certificate.PublicKey, sum(s.scheme.Hash, attrs), value); err != nil {
		return nil, fmt.Errorf("cades: the key's answer: %w", err)
	}
	return s.assemble(attrs, value)
}

func (s *signature) assemble(attrs, value []byte) ([]byte, error) {
	alg, err := s.scheme.Identifier()
	if err != nil {
		return nil, err
	}
	c, err := cms.ParseCertificate(s.opts.Certificate.Raw)
	if err != nil {
		return nil, err
	}
	implicit := bytes.Clone(attrs)
	implicit[0] = cms.TagExplicit0 // [0] IMPLICIT SET OF
	return cms.Sequence(
		cms.Integer(1),
		cms.Sequence(c.Issuer, cms.IntegerContent(c.Serial)),
		cms.DigestIdentifier(s.scheme.Hash),
		implicit,
		alg,
		cms.OctetString(value),
	), nil
}

// size predicts the signerInfo's size; min and max differ only for ECDSA, whose
// value is a DER structure of two integers.
func (s *signature) size() (least, most int64, err error) {
	attrs := s.attributes(cms.OIDData, make([]byte, s.scheme.Hash.Size()))
	measure := func(n int) int64 {
		var b []byte
		if b, err = s.assemble(attrs, make([]byte, n)); err != nil {
			return 0
		}
		return int64(len(b))
	}
	switch k := s.opts.Certificate.PublicKey.(type) {
	case *rsa.PublicKey:
		least = measure(k.Size())
		most = least
	case *ecdsa.PublicKey:
		n := (k.Curve.Params().BitSize + 7) / 8
		least, most = measure(8), measure(2*(n+3)+3)
	}
	return least, most, err
}

// certificates writes the [0] set: signer first is not needed, DER sorts it.
func certificates(o SignOptions) []byte {
	all := [][]byte{o.Certificate.Raw}
	for _, c := range o.Chain {
		if !c.Equal(o.Certificate) {
			all = append(all, c.Raw)
		}
	}
	set := cms.SetOf(all...)
	set[0] = cms.TagExplicit0 // [0] IMPLICIT
	return set
}
