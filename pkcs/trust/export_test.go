package trust

import (
	"crypto/x509"
	"math/big"
	"net"
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

// Effort is what it costs to walk all ways: the signatures that were checked and hold, and
// the steps, with those that were refused because there had been too many.
func (s *Store) Effort(leaf *x509.Certificate, helpers []*x509.Certificate) (signatures, steps int) {
	search := s.search(helpers)
	search.each([]*x509.Certificate{leaf}, func([]*x509.Certificate, *Anchor) bool { return true })
	return len(s.checked), maxSteps - search.steps
}

// CompactFrom changes the size from which on lists become tables; the result is the old one.
func CompactFrom(size int) (old int) {
	old, compactFrom = compactFrom, size
	return old
}

// IsCompact tells whether a list became a table.
func (c *CRL) IsCompact() bool { return c.entries.table != nil }

// SignedFrom is what the tests see of a list's signature.
func (c *CRL) SignedFrom(issuer *x509.Certificate) error { return c.signedFrom(issuer, true) }

// Save and Load are what the tests see of a folder of answers.
func (k *Kept) Save(key string, data []byte) error { return k.save(key, data) }

// Load is load without a limit that matters.
func (k *Kept) Load(key string) []byte { return k.load(key, 1<<20) }

// ResolveWith has the tests' own name server asked.
func (f *Fetcher) ResolveWith(r *net.Resolver) { f.resolver = r }
