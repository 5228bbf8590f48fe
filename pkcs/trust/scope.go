package trust

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"slices"

	"github.com/citel-pa/citel/pkcs/trust/rfc5280"
)

// allReasons are the bits of ReasonFlags but the unused first one (RFC 5280,
// 4.2.1.13): what lists for some reasons have to cover together.
const allReasons = 0x7F80

// scope is the issuingDistributionPoint of a list (RFC 5280, 5.2.5): for which
// certificates it speaks.
type scope struct {
	points           [][]byte // GeneralNames of the point, nil without one
	onlyUser, onlyCA bool
	reasons          uint16 // 0: all
}

// parseScope gives the scope, or why the list cannot be used.
func parseScope(der, issuer []byte) (*scope, string) {
	var idp struct {
		Point        asn1.RawValue  `asn1:"optional,tag:0"`
		OnlyUser     bool           `asn1:"optional,tag:1"`
		OnlyCA       bool           `asn1:"optional,tag:2"`
		SomeReasons  asn1.BitString `asn1:"optional,tag:3"`
		Indirect     bool           `asn1:"optional,tag:4"`
		OnlyAttribut bool           `asn1:"optional,tag:5"`
	}
	rest, err := asn1.Unmarshal(der, &idp)
	switch {
	case err != nil || len(rest) > 0:
		return nil, "its issuingDistributionPoint cannot be read"
	case idp.OnlyAttribut:
		return nil, "it is for attribute certificates only"
	case idp.Indirect:
		return nil, "it is an indirect list"
	}
	s := &scope{onlyUser: idp.OnlyUser, onlyCA: idp.OnlyCA}
	for i := range 16 {
		if idp.SomeReasons.At(i) == 1 {
			s.reasons |= 1 << (15 - i)
		}
	}
	if idp.SomeReasons.BitLength > 0 && s.reasons == 0 {
		return nil, "it covers no reason"
	}
	if len(idp.Point.Bytes) > 0 {
		names, ok := pointNames(idp.Point.Bytes, issuer)
		if !ok {
			return nil, "its distribution point is named in a way that is not known"
		}
		s.points = names
	}
	return s, ""
}

// pointNames are the names of a DistributionPointName: those of fullName, or the one
// that nameRelativeToCRLIssuer makes with the issuer's name.
func pointNames(der, issuer []byte) ([][]byte, bool) {
	var v asn1.RawValue
	if _, err := asn1.Unmarshal(der, &v); err != nil || v.Class != asn1.ClassContextSpecific {
		return nil, false
	}
	if v.Tag == 1 {
		n, ok := relativeName(issuer, v.Bytes)
		return [][]byte{n}, ok
	}
	var names [][]byte
	for rest := v.Bytes; len(rest) > 0; {
		var n asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &n); err != nil {
			return nil, false
		}
		names = append(names, n.FullBytes)
	}
	return names, len(names) > 0
}

// relativeName adds one relative distinguished name to a Name: a directoryName.
func relativeName(issuer, rdn []byte) ([]byte, bool) {
	var name asn1.RawValue
	if rest, err := asn1.Unmarshal(issuer, &name); err != nil || len(rest) > 0 {
		return nil, false
	}
	set, err1 := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: rdn})
	whole, err2 := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: slices.Concat(name.Bytes, set)})
	out, err3 := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: whole})
	return out, err1 == nil && err2 == nil && err3 == nil
}

// leavesOut says why the list does not speak of a certificate; empty when it does
// (RFC 5280, 6.3.3, (b)(2)).
func (s *scope) leavesOut(cert *x509.Certificate) string {
	switch {
	case s.onlyUser && cert.IsCA:
		return "it is for users' certificates only"
	case s.onlyCA && !cert.IsCA:
		return "it is for authorities' certificates only"
	case s.points != nil && !slices.ContainsFunc(wanted(cert), func(n []byte) bool {
		return slices.ContainsFunc(s.points, func(p []byte) bool { return sameGeneralName(n, p) })
	}):
		return "it is of another distribution point"
	}
	return ""
}

// sameGeneralName compares two names; directory names by RFC 5280, 7.1.
func sameGeneralName(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var x, y asn1.RawValue
	_, err1 := asn1.Unmarshal(a, &x)
	_, err2 := asn1.Unmarshal(b, &y)
	return err1 == nil && err2 == nil && x.Tag == 4 && y.Tag == 4 && rfc5280.SameName(x.Bytes, y.Bytes)
}

// wanted are the points that a certificate names; without any, its issuer's name
// (RFC 5280, 6.3.3, at the end).
func wanted(cert *x509.Certificate) (names [][]byte) {
	for _, e := range cert.Extensions {
		if e.Id.String() != "2.5.29.31" {
			continue
		}
		var points []struct {
			Name    asn1.RawValue  `asn1:"optional,tag:0"`
			Reasons asn1.BitString `asn1:"optional,tag:1"`
			Issuer  asn1.RawValue  `asn1:"optional,tag:2"`
		}
		if _, err := asn1.Unmarshal(e.Value, &points); err != nil {
			return nil
		}
		for _, p := range points {
			if n, ok := pointNames(p.Name.Bytes, cert.RawIssuer); ok {
				names = append(names, n...)
			} else if len(p.Name.Bytes) == 0 && len(p.Issuer.Bytes) > 0 {
				names = append(names, p.Issuer.Bytes)
			}
		}
		return names
	}
	issuer, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: cert.RawIssuer})
	if err != nil {
		return nil
	}
	return [][]byte{issuer}
}
