package trust

import (
	"crypto/x509"
	"math/big"
	"time"
)

// Find is what the tests see of a list's index.
func (c *CRL) Find(serial *big.Int) (at time.Time, reason int, ok bool) {
	e, ok := c.entries.find(serial)
	return e.RevocationTime, e.ReasonCode, ok
}

// SignedFrom is what the tests see of a list's signature.
func (c *CRL) SignedFrom(issuer *x509.Certificate) error { return c.signedFrom(issuer) }
