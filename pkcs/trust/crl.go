package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
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
	// digested stands for tbs and raw where the list is long, see compact.
	digested
	// remembers: from when on ended certificates stay on it; nil: not said.
	remembers *time.Time
	// signedBy remembers the certificate whose signature held, so that a list's own
	// signature is checked once and not at each question.
	signedBy atomic.Pointer[x509.Certificate]
}

// ErrCRL means that the bytes are not a list that can be used.
var ErrCRL = errors.New("trust: not a usable revocation list")

// MaxCRL bounds a list; the largest seen in use have some 20 MB.
const MaxCRL = 64 << 20

var (
	oidIDP       = asn1.ObjectIdentifier{2, 5, 29, 28}
	oidDelta     = asn1.ObjectIdentifier{2, 5, 29, 27}
	oidAKI       = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidCRLNumber = asn1.ObjectIdentifier{2, 5, 29, 20}
	// expiredCertsOnCRL (X.509, 9.5.2.8): from when on ended certificates stay listed.
	oidExpiredCerts = asn1.ObjectIdentifier{2, 5, 29, 60}
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
		case x.Id.Equal(oidExpiredCerts):
			var from time.Time
			if rest, err := asn1.UnmarshalWithParams(x.Value, &from, "generalized"); err == nil && len(rest) == 0 {
				c.remembers = &from
			}
		case x.Critical:
			c.unfit = "it has the critical extension " + x.Id.String()
		}
	}
	if c.entries.others != nil && (c.scope == nil || !c.scope.indirect) {
		c.unfit = "its entries name other issuers, and it does not say that it is an indirect list"
	}
	if len(der) >= compactFrom {
		c.compact(signatureAlgorithm(der))
	} else {
		c.entries.sort()
	}
	return c, nil
}

// reasonNames are those of RFC 5280, 5.3.1, Reason Code.
var reasonNames = map[int]string{
	0: "unspecified", 1: "keyCompromise", 2: "cACompromise", 3: "affiliationChanged", 4: "superseded",
	5: "cessationOfOperation", 6: "certificateHold", 8: "removeFromCRL", 9: "privilegeWithdrawn", 10: "aACompromise",
}

// about says what the list says of a certificate, as long as nobody asks who signed it.
// reasons are those that it speaks for, 0 when it does not speak of the certificate.
func (c *CRL) about(points *points) (f validation.RevocationFacts, reasons uint16) {
	sum := sha256.Sum256(points.cert.Raw)
	f = validation.RevocationFacts{
		Subject: sum[:], Kind: "crl", Source: c.Source, Object: c.object, Raw: c.der, ThisUpdate: c.list.ThisUpdate, Status: "unknown", Remembers: c.remembers,
	}
	if !c.list.NextUpdate.IsZero() {
		next := c.list.NextUpdate
		f.NextUpdate = &next
	}
	if f.Note = c.unfit; f.Note == "" {
		reasons, f.Note = c.covers(points)
	}
	return f, reasons
}

// tell adds the list's word to facts about a certificate: it is known who signed it.
func (c *CRL) tell(f *validation.RevocationFacts, cert *x509.Certificate, reasons uint16) {
	f.Status = "good"
	if c.base != nil || reasons&allReasons != allReasons {
		// It says nothing of certificates that are not on it; joined puts it together with others.
		f.Status, f.Note = "unknown", "the list is one part of several"
	}
	if e, ok := c.find(cert); ok && e.ReasonCode != 8 {
		at := e.RevocationTime
		f.Status, f.RevokedAt, f.Reason, f.Note = "revoked", &at, reasonNames[e.ReasonCode], ""
	}
}

func (c *CRL) find(cert *x509.Certificate) (entry, bool) {
	return c.entries.find(cert.SerialNumber, cert.RawIssuer, c.list.RawIssuer)
}

// speaksOf: the list is of one who may publish the certificate's revocation.
func (c *CRL) speaksOf(points *points) bool {
	if c.plainly(points.cert) {
		return true
	}
	// Only a list that says that it is indirect can be of another issuer.
	if c.scope == nil || !c.scope.indirect {
		return rfc5280.SameName(c.list.RawIssuer, points.cert.RawIssuer)
	}
	return slices.ContainsFunc(points.all(), func(p point) bool { return p.issuedBy(c, points.cert) })
}

// plainly: it is the issuer's list for all of its certificates.
func (c *CRL) plainly(cert *x509.Certificate) bool {
	return c.scope == nil && bytes.Equal(c.list.RawIssuer, cert.RawIssuer)
}

// NextUpdate is when the list's issuer promised a newer one; zero when it did not.
func (c *CRL) NextUpdate() time.Time { return c.list.NextUpdate }
