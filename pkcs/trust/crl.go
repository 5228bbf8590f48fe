package trust

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"sync/atomic"
	"time"

	"github.com/citel-pa/citel/pkcs/trust/rfc5280"
	"github.com/citel-pa/citel/pkcs/validation"
)

// CRL is a revocation list (RFC 5280, 5), indexed once by serial number.
type CRL struct {
	// Source is a file's name, an address, or "embedded".
	Source string

	list    *x509.RevocationList // without its entries
	der     []byte
	tbs     []byte
	object  string // ObjectID of the list
	entries *entries
	unfit   string
	scope   *scope
	// base is the number of the list that a delta list adds to (RFC 5280, 5.2.4); nil
	// for a complete list.
	base *big.Int
	// signedBy remembers the issuer whose signature held, so that a list's own
	// signature is checked once and not at each question.
	signedBy atomic.Pointer[x509.Certificate]
}

// ErrCRL means that the bytes are not a list that can be used.
var ErrCRL = errors.New("trust: not a usable revocation list")

// MaxCRL bounds a list; the largest seen in use have some 20 MB.
const MaxCRL = 64 << 20

var (
	oidIDP        = asn1.ObjectIdentifier{2, 5, 29, 28}
	oidDelta      = asn1.ObjectIdentifier{2, 5, 29, 27}
	oidAKI        = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidCRLNumber  = asn1.ObjectIdentifier{2, 5, 29, 20}
	oidCertIssuer = asn1.ObjectIdentifier{2, 5, 29, 29}
)

// ParseCRL reads a list in DER. What it says is believed only after its
// signature was checked with the issuer's key (about).
func ParseCRL(der []byte, source string) (*CRL, error) {
	if len(der) > MaxCRL {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrCRL, MaxCRL)
	}
	list, tbs, revoked, err := splitList(der)
	if err != nil {
		return nil, err
	}
	c := &CRL{Source: source, list: list, der: der, tbs: tbs, object: validation.ObjectID(der)}
	if c.entries, c.unfit, err = indexEntries(revoked); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCRL, err)
	}
	for _, x := range list.Extensions {
		switch {
		case x.Id.Equal(oidDelta):
			if rest, err := asn1.Unmarshal(x.Value, &c.base); err != nil || len(rest) > 0 {
				c.unfit = "its deltaCRLIndicator cannot be read"
			}
		case x.Id.Equal(oidIDP):
			var why string
			if c.scope, why = parseScope(x.Value, list.RawIssuer); why != "" {
				c.unfit = why
			}
		case x.Id.Equal(oidAKI), x.Id.Equal(oidCRLNumber):
		case x.Critical:
			c.unfit = "it has the critical extension " + x.Id.String()
		}
	}
	return c, nil
}

// reasons of RFC 5280, 5.3.1, Reason Code.
var reasons = map[int]string{
	0: "unspecified", 1: "keyCompromise", 2: "cACompromise", 3: "affiliationChanged", 4: "superseded",
	5: "cessationOfOperation", 6: "certificateHold", 8: "removeFromCRL", 9: "privilegeWithdrawn", 10: "aACompromise",
}

// about asks a list about a certificate of the issuer.
func (c *CRL) about(serial *big.Int, cert, issuer *x509.Certificate) validation.RevocationFacts {
	sum := sha256.Sum256(cert.Raw)
	f := validation.RevocationFacts{
		Subject: sum[:], Kind: "crl", Source: c.Source, Object: c.object, ThisUpdate: c.list.ThisUpdate, Status: "unknown",
	}
	if !c.list.NextUpdate.IsZero() {
		next := c.list.NextUpdate
		f.NextUpdate = &next
	}
	if c.unfit != "" {
		f.Note = c.unfit
		return f
	}
	if c.scope != nil {
		if why := c.scope.leavesOut(cert); why != "" {
			f.Note = why
			return f
		}
	}
	if known := c.signedBy.Load(); known == nil || !known.Equal(issuer) {
		if err := c.signedFrom(issuer); err != nil {
			f.Note = "the list's signature does not hold: " + err.Error()
			return f
		}
		c.signedBy.Store(issuer)
	}
	f.Trusted, f.ByIssuer = true, true
	f.DigestName, _ = digestName(c.list.SignatureAlgorithm)
	f.KeyName, f.KeyBits = KeyOf(issuer)
	f.Status = "good"
	if c.base != nil || c.scope != nil && c.scope.reasons != 0 {
		// It says nothing of certificates that are not on it; About joins it with others.
		f.Status, f.Note = "unknown", "the list is one part of several"
	}
	if e, ok := c.entries.find(serial); ok && e.ReasonCode != 8 {
		at := e.RevocationTime
		f.Status, f.RevokedAt, f.Reason = "revoked", &at, reasons[e.ReasonCode]
	}
	return f
}

func (c *CRL) speaksOf(cert *x509.Certificate) bool {
	return rfc5280.SameName(c.list.RawIssuer, cert.RawIssuer)
}

// NextUpdate is when the list's issuer promised a newer one; zero when it did not.
func (c *CRL) NextUpdate() time.Time { return c.list.NextUpdate }
