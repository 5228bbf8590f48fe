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
	indirect         bool   // it has entries of other issuers too
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
	}
	s := &scope{onlyUser: idp.OnlyUser, onlyCA: idp.OnlyCA, indirect: idp.Indirect, reasons: reasonBits(idp.SomeReasons)}
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
	names := generalNames(v.Bytes)
	return names, len(names) > 0
}

// generalNames splits the content of GeneralNames; nil when it cannot be read.
func generalNames(content []byte) (names [][]byte) {
	for rest := content; len(rest) > 0; {
		var n asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &n); err != nil {
			return nil
		}
		names = append(names, n.FullBytes)
	}
	return names
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

func reasonBits(b asn1.BitString) (reasons uint16) {
	for i := range 16 {
		if b.At(i) == 1 {
			reasons |= 1 << (15 - i)
		}
	}
	return reasons
}

// point is a DistributionPoint of a certificate (RFC 5280, 4.2.1.13).
type point struct {
	names   [][]byte // GeneralNames; nil without a distributionPoint
	issuers [][]byte // GeneralNames of cRLIssuer; nil: the certificate's own issuer
	reasons uint16
}

// issuedBy is RFC 5280, 6.3.3, (b)(1): whether the list may be the point's.
func (p *point) issuedBy(l *CRL, cert *x509.Certificate) bool {
	if p.issuers == nil {
		return rfc5280.SameName(l.list.RawIssuer, cert.RawIssuer)
	}
	return l.scope != nil && l.scope.indirect && anyNamed(p.issuers, l.list.RawIssuer)
}

// anyNamed tells whether one of some GeneralNames is the directory name.
func anyNamed(names [][]byte, name []byte) bool {
	return slices.ContainsFunc(names, func(n []byte) bool {
		var v asn1.RawValue
		_, err := asn1.Unmarshal(n, &v)
		return err == nil && v.Class == asn1.ClassContextSpecific && v.Tag == 4 && rfc5280.SameName(v.Bytes, name)
	})
}

// covers tells for which reasons the list speaks of a certificate that has these
// points (RFC 5280, 6.3.3, (b), (d)), or why it does not speak of it at all.
func (c *CRL) covers(points *points) (reasons uint16, why string) {
	s, cert := c.scope, points.cert
	switch {
	case c.plainly(cert):
		return allReasons, ""
	case s != nil && s.onlyUser && cert.IsCA:
		return 0, "it is for users' certificates only"
	case s != nil && s.onlyCA && !cert.IsCA:
		return 0, "it is for authorities' certificates only"
	}
	for _, p := range points.all() {
		if !p.issuedBy(c, cert) {
			continue
		}
		covered := p.reasons
		if s != nil {
			names := p.names
			if names == nil {
				names = p.issuers
			}
			if s.points != nil && !slices.ContainsFunc(names, func(n []byte) bool {
				return slices.ContainsFunc(s.points, func(m []byte) bool { return sameGeneralName(n, m) })
			}) {
				continue
			}
			if s.reasons != 0 {
				covered &= s.reasons
			}
		}
		reasons |= covered
	}
	if reasons == 0 {
		return 0, "it is of another distribution point"
	}
	return reasons, ""
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

// points are those of a certificate, read when they are needed.
type points struct {
	cert *x509.Certificate
	read []point
}

func (p *points) all() []point {
	if p.read == nil {
		p.read = pointsOf(p.cert)
	}
	return p.read
}

// pointsOf are the points that a certificate names, and the one that every certificate
// has: its issuer's name, for all reasons (RFC 5280, 6.3.3, at the end).
func pointsOf(cert *x509.Certificate) []point {
	own, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: cert.RawIssuer})
	if err != nil {
		return nil
	}
	out := []point{{names: [][]byte{own}, reasons: allReasons}}
	for _, e := range cert.Extensions {
		if !e.Id.Equal(oidPoints) {
			continue
		}
		var points []struct {
			Name    asn1.RawValue  `asn1:"optional,tag:0"`
			Reasons asn1.BitString `asn1:"optional,tag:1"`
			Issuer  asn1.RawValue  `asn1:"optional,tag:2"`
		}
		if _, err := asn1.Unmarshal(e.Value, &points); err != nil {
			return out
		}
		for i, x := range points {
			if i == maxNamedPoints {
				break
			}
			p := point{reasons: allReasons}
			if x.Reasons.BitLength > 0 {
				p.reasons &= reasonBits(x.Reasons)
			}
			relativeTo := cert.RawIssuer
			if len(x.Issuer.Bytes) > 0 {
				p.issuers = generalNames(x.Issuer.Bytes)
				var v asn1.RawValue
				if _, err := asn1.Unmarshal(x.Issuer.Bytes, &v); err == nil && v.Tag == 4 {
					relativeTo = v.Bytes
				}
			}
			if len(x.Name.Bytes) > 0 {
				names, ok := pointNames(x.Name.Bytes, relativeTo)
				if !ok {
					continue
				}
				p.names = names
			}
			out = append(out, p)
		}
	}
	return out
}

// maxNamedPoints bounds the points of one certificate.
const maxNamedPoints = 16

var oidPoints = asn1.ObjectIdentifier{2, 5, 29, 31}
