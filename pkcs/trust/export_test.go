package trust

import (
	"crypto/x509"
	"math/big"
	"time"
)

// Find is what the tests see of a list's index.
func (c *CRL) Find(serial *big.Int) (at time.Time, reason int, ok bool) {
	e, ok := c.entries.find(serial, c.list.RawIssuer, c.list.RawIssuer)
	return e.RevocationTime, e.ReasonCode, ok
}

// Paths gives all ways from a certificate to anchors, until yield is false.
func (s *Store) Paths(leaf *x509.Certificate, helpers []*x509.Certificate, yield func([]*x509.Certificate) bool) {
	search := s.search(helpers)
	search.each([]*x509.Certificate{leaf}, func(path []*x509.Certificate, _ *Anchor) bool { return yield(path) })
}

// SignedFrom is what the tests see of a list's signature.
func (c *CRL) SignedFrom(issuer *x509.Certificate) error { return c.signedFrom(issuer, true) }
