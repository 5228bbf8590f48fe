package cades

import (
	"bytes"
	"crypto"

	"github.com/citel-pa/citel/pkcs/cms"
	"github.com/citel-pa/citel/pkcs/validation"
)

// ess reads the first ESSCertID of the signing-certificate attribute of a
// version (RFC 2634, 5.4.1; RFC 5035, 4, ESSCertIDv2).
func ess(si *cms.SignerInfo, oid string, version int) (id cms.ESSCertID, ok bool) {
	v, ok := find(si.Signed, oid)
	if !ok {
		return id, false
	}
	id, err := cms.ParseSigningCertificate(v, version)
	return id, err == nil
}

func essFacts(si *cms.SignerInfo, cert *cms.Certificate) validation.ESSFacts {
	var e validation.ESSFacts
	id, ok := ess(si, cms.OIDSigningCertificateV2, 2)
	switch {
	case ok:
		e.Version = 2
	case has(si.Signed, cms.OIDSigningCertificateV2):
		e.Version = 2 // there, but not readable or not unique: it matches nothing
		return e
	default:
		if id, ok = ess(si, cms.OIDSigningCertificate, 1); !ok {
			if has(si.Signed, cms.OIDSigningCertificate) {
				e.Version = 1
			}
			return e
		}
		e.Version = 1
	}
	if id.Hash != 0 {
		e.Hash = id.Hash.String()
	}
	if cert == nil {
		return e
	}
	e.Match = id.Matches(cert.Raw)
	if id.Serial != nil {
		same := bytes.Equal(id.Serial, cert.Serial) && bytes.Equal(id.Issuer, cert.Issuer)
		e.IssuerSerialMatch = &same
	}
	return e
}

// essMatches tells whether the signer's own attribute names this certificate.
func essMatches(si *cms.SignerInfo, raw []byte) bool {
	if id, ok := ess(si, cms.OIDSigningCertificateV2, 2); ok {
		return id.Matches(raw)
	}
	if id, ok := ess(si, cms.OIDSigningCertificate, 1); ok {
		return id.Matches(raw)
	}
	return false
}

// signingCertificateV2 writes the attribute for baseline B: one ESSCertIDv2,
// SHA-256 by default and then not written, no issuerSerial (ETSI EN 319 122-1,
// 5.2.2.3).
func signingCertificateV2(raw []byte, h crypto.Hash) cms.Attribute {
	var parts [][]byte
	if h != crypto.SHA256 {
		parts = append(parts, cms.DigestIdentifier(h))
	}
	parts = append(parts, cms.OctetString(sum(h, raw)))
	return cms.Attribute{
		OID:    cms.OIDSigningCertificateV2,
		Values: [][]byte{cms.Sequence(cms.Sequence(cms.Sequence(parts...)))},
	}
}
