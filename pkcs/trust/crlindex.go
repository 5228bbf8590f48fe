package trust

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/citel-pa/citel/pkcs/trust/rfc5280"
)

// entries are the revokedCertificates of a list (RFC 5280, 5.1.2.6) as they came, with
// an index by serial number: four bytes for each, so that a list costs its own size
// and little more. crypto/x509 makes some 400 bytes of each.
type entries struct {
	der []byte
	at  []uint32 // places in der, in the order of the serial numbers
	// others say from which place on the entries are of another issuer: an indirect
	// list's certificateIssuer holds until the next one (RFC 5280, 5.3.3).
	others []otherIssuer
	// table stands for all of it where the list is long.
	table *table
}

type otherIssuer struct {
	from  uint32
	names [][]byte // GeneralNames
}

// entry is one of them.
type entry struct {
	RevocationTime time.Time
	ReasonCode     int
}

var errEntries = errors.New("its entries cannot be read")

// indexEntries goes over the entries once. unfit says why the list cannot be used.
func indexEntries(der []byte) (e *entries, unfit string, err error) {
	e = &entries{der: der}
	if len(der) > math.MaxUint32 {
		return nil, "", errEntries
	}
	e.at = make([]uint32, 0, len(der)/32)
	for rest := cryptobyte.String(der); !rest.Empty(); {
		e.at = append(e.at, uint32(len(der)-len(rest))) //nolint:gosec // bounded above
		var one, n cryptobyte.String
		if !rest.ReadASN1(&one, cbasn1.SEQUENCE) || !one.ReadASN1(&n, cbasn1.INTEGER) || !minimal(n) || !skipTime(&one) {
			return nil, "", errEntries
		}
		if one.Empty() {
			continue
		}
		why, issuer, err := judgeExtensions(one)
		if err != nil {
			return nil, "", err
		}
		if why != "" {
			unfit = why
		}
		if issuer != nil {
			e.others = append(e.others, otherIssuer{e.at[len(e.at)-1], issuer})
		}
	}
	return e, unfit, nil
}

// sort makes an index of the places.
func (e *entries) sort() {
	slices.SortFunc(e.at, func(a, b uint32) int {
		return cmp.Or(compareSerials(e.serial(a), e.serial(b)), cmp.Compare(a, b))
	})
}

func skipTime(s *cryptobyte.String) bool {
	return s.SkipOptionalASN1(cbasn1.UTCTime) && s.SkipOptionalASN1(cbasn1.GeneralizedTime)
}

// judgeExtensions: RFC 5280, 5.3: a critical extension that is not understood makes the
// list unusable; certificateIssuer is that of indirect lists.
func judgeExtensions(s cryptobyte.String) (unfit string, issuer [][]byte, err error) {
	var all cryptobyte.String
	if !s.ReadASN1(&all, cbasn1.SEQUENCE) || !s.Empty() {
		return "", nil, errEntries
	}
	for !all.Empty() {
		var one, id cryptobyte.String
		var critical bool
		if !all.ReadASN1(&one, cbasn1.SEQUENCE) || !one.ReadASN1(&id, cbasn1.OBJECT_IDENTIFIER) || !readCritical(&one, &critical) {
			return "", nil, errEntries
		}
		switch {
		case bytes.Equal(id, certIssuerOctets):
			var value, names cryptobyte.String
			if !one.ReadASN1(&value, cbasn1.OCTET_STRING) || !value.ReadASN1(&names, cbasn1.SEQUENCE) || !value.Empty() {
				return "", nil, errEntries
			}
			if issuer = generalNames(names); issuer == nil {
				return "", nil, errEntries
			}
		case critical:
			var oid x509.OID
			unfit = "an entry has a critical extension that is not known"
			if oid.UnmarshalBinary(id) == nil {
				unfit = "an entry has the critical extension " + oid.String()
			}
		}
	}
	return unfit, issuer, nil
}

// readCritical reads the BOOLEAN that may stand in an Extension (RFC 5280, 4.1).
func readCritical(s *cryptobyte.String, critical *bool) bool {
	return !s.PeekASN1Tag(cbasn1.BOOLEAN) || s.ReadASN1Boolean(critical)
}

// minimal: a number has one form in DER, so that the octets can be compared.
func minimal(n []byte) bool {
	return len(n) == 1 || len(n) > 1 && !(n[0] == 0 && n[1] < 0x80) && !(n[0] == 0xff && n[1] >= 0x80)
}

// serial gives the octets of the serial number of the entry at a place.
func (e *entries) serial(at uint32) []byte {
	s := cryptobyte.String(e.der[at:])
	var one, n cryptobyte.String
	if !s.ReadASN1(&one, cbasn1.SEQUENCE) || !one.ReadASN1(&n, cbasn1.INTEGER) {
		return nil // not so: indexEntries read it
	}
	return n
}

func compareSerials(a, b []byte) int {
	if c := cmp.Compare(len(a), len(b)); c != 0 {
		return c
	}
	return bytes.Compare(a, b)
}

// find gives the last entry of a certificate: its serial number, and its issuer where
// the list's own issuer is another or the list has entries of several.
func (e *entries) find(serial *big.Int, issuer, own []byte) (entry, bool) {
	number, err := asn1.Marshal(serial)
	s := cryptobyte.String(number)
	var want cryptobyte.String
	if err != nil || !s.ReadASN1(&want, cbasn1.INTEGER) {
		return entry{}, false
	}
	if e.table != nil {
		if !rfc5280.SameName(issuer, own) {
			return entry{}, false
		}
		return e.table.find(want)
	}
	i, ok := slices.BinarySearchFunc(e.at, []byte(want), func(at uint32, want []byte) int { return compareSerials(e.serial(at), want) })
	found := -1
	for ; ok && i < len(e.at) && bytes.Equal(e.serial(e.at[i]), want); i++ {
		if e.isOf(e.at[i], issuer, own) {
			found = i
		}
	}
	if found < 0 {
		return entry{}, false
	}
	return e.read(e.at[found])
}

// isOf tells whether the entry at a place is of a certificate's issuer.
func (e *entries) isOf(at uint32, issuer, own []byte) bool {
	i, exact := slices.BinarySearchFunc(e.others, at, func(o otherIssuer, at uint32) int { return cmp.Compare(o.from, at) })
	if !exact {
		i--
	}
	if i < 0 {
		return rfc5280.SameName(issuer, own)
	}
	return anyNamed(e.others[i].names, issuer)
}

// read gives the entry at a place. One whose date or reason cannot be read is revoked
// all the same.
func (e *entries) read(at uint32) (entry, bool) {
	s := cryptobyte.String(e.der[at:])
	var one cryptobyte.String
	var out entry
	if !s.ReadASN1(&one, cbasn1.SEQUENCE) || !one.SkipASN1(cbasn1.INTEGER) {
		return entry{}, false
	}
	read := one.ReadASN1UTCTime
	if one.PeekASN1Tag(cbasn1.GeneralizedTime) {
		read = one.ReadASN1GeneralizedTime
	}
	if !read(&out.RevocationTime) {
		return out, true
	}
	var all cryptobyte.String
	for one.ReadASN1(&all, cbasn1.SEQUENCE); !all.Empty(); {
		var x, id, value, code cryptobyte.String
		var critical bool
		if !all.ReadASN1(&x, cbasn1.SEQUENCE) || !x.ReadASN1(&id, cbasn1.OBJECT_IDENTIFIER) || !readCritical(&x, &critical) || !x.ReadASN1(&value, cbasn1.OCTET_STRING) {
			break
		}
		if bytes.Equal(id, reasonOctets) && value.ReadASN1(&code, cbasn1.ENUM) && len(code) == 1 {
			out.ReasonCode = int(code[0])
		}
	}
	return out, true
}

// The two extensions of an entry that are understood, as content octets.
var (
	reasonOctets     = []byte{0x55, 0x1d, 0x15}
	certIssuerOctets = []byte{0x55, 0x1d, 0x1d}
)

// splitList takes the entries out of a CertificateList, so that crypto/x509 reads the
// rest, and gives what the signature is over.
func splitList(der []byte) (head *x509.RevocationList, tbs, revoked []byte, err error) {
	bad := fmt.Errorf("%w: it is no CertificateList", ErrCRL)
	input := cryptobyte.String(der)
	var list, raw, inner cryptobyte.String
	if !input.ReadASN1(&list, cbasn1.SEQUENCE) || !input.Empty() || !list.ReadASN1Element(&raw, cbasn1.SEQUENCE) {
		return nil, nil, nil, bad
	}
	tbs = raw
	rest := list // signatureAlgorithm and signature
	if !raw.ReadASN1(&inner, cbasn1.SEQUENCE) {
		return nil, nil, nil, bad
	}
	before := inner
	ok := inner.SkipOptionalASN1(cbasn1.INTEGER) && inner.SkipASN1(cbasn1.SEQUENCE) && inner.SkipASN1(cbasn1.SEQUENCE)
	if !ok || !skipTime(&inner) || !skipTime(&inner) {
		return nil, nil, nil, bad
	}
	before = before[:len(before)-len(inner)]
	if inner.PeekASN1Tag(cbasn1.SEQUENCE) {
		var content cryptobyte.String
		if !inner.ReadASN1(&content, cbasn1.SEQUENCE) {
			return nil, nil, nil, bad
		}
		revoked = content
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(before)
			b.AddBytes(inner)
		})
		b.AddBytes(rest)
	})
	short, err := b.Bytes()
	if err != nil {
		return nil, nil, nil, bad
	}
	if head, err = x509.ParseRevocationList(short); err != nil {
		return nil, nil, nil, fmt.Errorf("%w: %w", ErrCRL, err)
	}
	return head, tbs, revoked, nil
}

// signedFrom is x509's CheckSignatureFrom over the whole list. A signer that is not the
// certificate's own issuer need be no authority (RFC 5280, 5.2.5), but its key must be
// for lists, in so many words.
func (c *CRL) signedFrom(signer *x509.Certificate, own bool) error {
	if own && signer.Version == 3 && (!signer.BasicConstraintsValid || !signer.IsCA) {
		return errors.New("its signer is no authority")
	}
	if (signer.KeyUsage != 0 || !own) && signer.KeyUsage&x509.KeyUsageCRLSign == 0 {
		return errors.New("its signer's key is not for lists")
	}
	if known := c.signedBy.Load(); known != nil && known.Equal(signer) {
		return nil
	}
	if c.digest != nil {
		if err := c.scheme.Verify(signer.PublicKey, c.digest, c.list.Signature); err != nil {
			return err
		}
	} else if err := signer.CheckSignature(c.list.SignatureAlgorithm, c.tbs, c.list.Signature); err != nil {
		return err
	}
	c.signedBy.Store(signer)
	return nil
}
