package cie

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"time"

	"github.com/citel-pa/citel/agent/card/iso7816"
	"github.com/citel-pa/citel/pkcs/cms"
)

// Data groups of the CIE's security object.
const (
	GroupCertificate = 0xA3
	GroupChipKey     = 0xA4
)

const (
	oidLDSSecurityObject = "2.23.136.1.1.1"
	oidContentType       = "1.2.840.113549.1.9.3"
	oidMessageDigest     = "1.2.840.113549.1.9.4"
)

// SecurityObject holds the hashes that the State signed over the card's files
// (ICAO Doc 9303-10, 4.6.2). It binds the chip's key to the State: with it, a card
// that proves its key is one that the State made.
type SecurityObject struct {
	hash   crypto.Hash
	groups map[int][]byte
}

// SecurityObject reads EF.SOD and checks its signature up to one of the roots
// (country signing certificates). It is called after Number and before Secure.
func (c *Card) SecurityObject(ctx context.Context, roots *x509.CertPool, now time.Time) (*SecurityObject, error) {
	file, err := c.file(ctx, fileSOD, maxSOD)
	if err != nil {
		return nil, err
	}
	return ParseSecurityObject(file, roots, now)
}

// ParseSecurityObject checks EF.SOD's bytes.
func ParseSecurityObject(file []byte, roots *x509.CertPool, now time.Time) (*SecurityObject, error) {
	bad := func(format string, args ...any) (*SecurityObject, error) {
		return nil, fmt.Errorf("%w: security object: %w", ErrNotGenuine, fmt.Errorf(format, args...))
	}
	body, ok := iso7816.Find(file, 0x77)
	if !ok {
		return bad("no content")
	}
	m, err := cms.Parse(bytes.NewReader(body), cms.ParseOptions{})
	if err != nil {
		return bad("%w", err)
	}
	if len(m.Signers) != 1 || m.ContentType != oidLDSSecurityObject || m.Detached || m.Head == nil {
		return bad("not a signed LDSSecurityObject")
	}
	si := &m.Signers[0]
	scheme, err := cms.SchemeOf(si.Digest, si.Algorithm)
	if err != nil {
		return bad("%w", err)
	}
	var signer *x509.Certificate
	for _, found := range m.Find(si) {
		if signer, err = x509.ParseCertificate(found.Raw); err != nil {
			return bad("its signer: %w", err)
		}
	}
	if signer == nil {
		return bad("without its signer's certificate")
	}
	// RFC 5652, 5.4: the signed attributes carry the content's type and digest.
	if !attributeIs(si, oidContentType, cms.OID(oidLDSSecurityObject)) || !attributeIs(si, oidMessageDigest, cms.OctetString(m.Sums[scheme.Hash])) {
		return bad("signed attributes")
	}
	h := scheme.Hash.New()
	h.Write(cms.AsSet(si.SignedAttrs))
	if err := scheme.Verify(signer.PublicKey, h.Sum(nil), si.Signature); err != nil {
		return bad("%w", err)
	}
	if _, err := signer.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return bad("%w", err)
	}
	return parseGroups(m.Head)
}

func attributeIs(si *cms.SignerInfo, oid string, value []byte) bool {
	n := 0
	same := false
	for _, a := range si.Signed {
		if a.OID == oid {
			n++
			same = len(a.Values) == 1 && bytes.Equal(a.Values[0], value)
		}
	}
	return n == 1 && same
}

func parseGroups(der []byte) (*SecurityObject, error) {
	var lds struct {
		Version int
		Hash    struct {
			Algorithm  asn1.ObjectIdentifier
			Parameters asn1.RawValue `asn1:"optional"`
		}
		Groups []struct {
			Number int
			Hash   []byte
		}
		Info asn1.RawValue `asn1:"optional"`
	}
	if rest, err := asn1.Unmarshal(der, &lds); err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("%w: security object: its list", ErrNotGenuine)
	}
	s := &SecurityObject{hash: cms.HashByOID(lds.Hash.Algorithm.String()), groups: map[int][]byte{}}
	if s.hash != crypto.SHA256 && s.hash != crypto.SHA384 && s.hash != crypto.SHA512 {
		return nil, fmt.Errorf("%w: security object: hash %s", ErrNotGenuine, lds.Hash.Algorithm)
	}
	for _, g := range lds.Groups {
		// Groups above 7F are written in one octet, which makes them negative.
		number := g.Number & 0xFF
		if _, twice := s.groups[number]; twice || g.Number < -0x80 || g.Number > 0xFF {
			return nil, fmt.Errorf("%w: security object: group %d", ErrNotGenuine, g.Number)
		}
		s.groups[number] = g.Hash
	}
	return s, nil
}

// Holds tells whether the State signed this content of a group.
func (s *SecurityObject) Holds(group int, content []byte) error {
	h := s.hash.New()
	h.Write(content)
	if want, ok := s.groups[group]; !ok || !bytes.Equal(h.Sum(nil), want) {
		return fmt.Errorf("%w: the State did not sign data group %02X as it is", ErrNotGenuine, group)
	}
	return nil
}
