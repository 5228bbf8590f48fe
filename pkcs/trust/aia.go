package trust

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"slices"

	"github.com/citel-pa/citel/pkcs/certificate"
	"github.com/citel-pa/citel/pkcs/cms"
	"github.com/citel-pa/citel/pkcs/trust/rfc5280"
)

const (
	maxIssuer      = 64 << 10 // bytes of one answer
	maxIssuerSteps = 4
	maxIssuers     = 32 // certificates in one answer
)

// Issuers follows caIssuers (RFC 5280, 4.2.2.1) from a certificate upwards, as far as
// signatures hold. No validation calls it: a stranger's certificate makes us ask nobody.
// It is for one's own certificates, when one's own signature is completed.
func (f *Fetcher) Issuers(ctx context.Context, c *x509.Certificate) (out []*x509.Certificate) {
	for range maxIssuerSteps {
		if rfc5280.SameName(c.RawSubject, c.RawIssuer) {
			return out
		}
		issuer := f.issuer(ctx, c)
		if issuer == nil {
			return out
		}
		out, c = append(out, issuer), issuer
	}
	return out
}

func (f *Fetcher) issuer(ctx context.Context, c *x509.Certificate) *x509.Certificate {
	for i, address := range c.IssuingCertificateURL {
		if i == maxPoints {
			break
		}
		data, err := f.Get(ctx, address, maxIssuer)
		if err != nil {
			continue
		}
		if block, _ := pem.Decode(data); block != nil {
			data = block.Bytes
		}
		for _, issuer := range issuers(data) {
			if rfc5280.SameName(issuer.RawSubject, c.RawIssuer) && issuer.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil {
				return issuer
			}
		}
	}
	return nil
}

// issuers reads what such an address gives: one certificate, or a "certs-only" CMS message
// where there are several (RFC 5280, 4.2.2.1; RFC 2797).
func issuers(data []byte) []*x509.Certificate {
	if c, err := certificate.Parse(bytes.Clone(data)); err == nil {
		return []*x509.Certificate{c}
	}
	bag, err := cms.ReadBag(data)
	if err != nil || len(bag) > maxIssuers {
		return nil
	}
	return bag
}

// AddOwn takes the ends of the ways up from some certificates as anchors: for completing
// one's own signature, where the question is not whom to trust but which answers belong
// to the file. It must not serve for a judgement.
func (s *Store) AddOwn(certs []*x509.Certificate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range certs {
		hasIssuer := slices.ContainsFunc(certs, func(i *x509.Certificate) bool {
			return !i.Equal(c) && rfc5280.SameName(i.RawSubject, c.RawIssuer) && i.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
		})
		if !hasIssuer && c.IsCA && len(s.anchors) < maxAnchors {
			s.add(c, "own", nil)
		}
	}
	s.rebuild()
}
