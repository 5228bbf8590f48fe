// Package profile says who a certificate belongs to: from a certificate and the
// profiles that its anchor is listed for, to a person. A codice fiscale counts
// only where both agree, the anchor's list and the profile's policy OID; a name
// in the subject alone proves nothing.
package profile

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Profile is a kind of certificate that an anchor can be listed for.
type Profile string

// The profiles.
const (
	// CNS: AgID, "Struttura certificato di autenticazione CNS" v1.1.
	CNS Profile = "cns"
	// CIE: the authentication certificate of the Carta d'Identità Elettronica.
	CIE Profile = "cie"
	// Qualified: qualified certificates for electronic signatures, ETSI EN 319 412-2 and -5.
	Qualified Profile = "qualified"
)

// All profiles, in the order they are tried.
var All = []Profile{CNS, CIE, Qualified}

// Policy OIDs that make a profile.
const (
	PolicyCNS = "1.3.76.16.2.1"
	PolicyCIE = "1.3.76.47.4"
)

// Purpose is what a certificate may be used for.
type Purpose string

// The purposes.
const (
	Login Purpose = "login"
	// AdvancedSignature is a "firma elettronica avanzata" towards the
	// administration (CAD, art. 61 of DPCM 22/2/2013 for CIE and CNS).
	AdvancedSignature Purpose = "advanced"
	// QualifiedSignature is a "firma digitale".
	QualifiedSignature Purpose = "qualified"
)

// Person is who a certificate names.
type Person struct {
	Profile       Profile
	CodiceFiscale CodiceFiscale
	Given, Family string
	// CardID is the card's number where the profile has it.
	CardID  string
	Country string
}

// ErrUnknown means that the certificate fits no profile that its anchor is listed for. The
// text says what was seen.
var ErrUnknown = errors.New("profile: unknown certificate profile")

// Identify reads the person from a certificate whose chain ends at an anchor
// listed for the given profiles.
func Identify(cert *x509.Certificate, listed []Profile) (Person, error) {
	p, ok := Of(cert)
	if !ok {
		return Person{}, fmt.Errorf("%w: policies %s, key usage %s", ErrUnknown, policies(cert), usages(cert))
	}
	if !slices.Contains(listed, p) {
		return Person{}, fmt.Errorf("%w: looks like %s, but its issuer is listed for %v", ErrUnknown, p, listed)
	}
	who := Person{Profile: p, Given: attribute(cert, oidGivenName), Family: attribute(cert, oidSurname)}
	if len(cert.Subject.Country) > 0 {
		who.Country = cert.Subject.Country[0]
	}
	code, card, err := codeOf(cert, p)
	if err != nil {
		return Person{}, err
	}
	who.CardID = card
	if who.CodiceFiscale, err = ParseCodiceFiscale(code); err != nil {
		return Person{}, fmt.Errorf("%s certificate: %w", p, err)
	}
	return who, nil
}

// Of tells what a certificate claims to be, by policy OID or QC statements alone.
// Without an anchor it is a claim and nothing more.
func Of(cert *x509.Certificate) (Profile, bool) {
	switch {
	case hasPolicy(cert, PolicyCNS):
		return CNS, true
	case hasPolicy(cert, PolicyCIE):
		return CIE, true
	case isQualified(cert):
		return Qualified, true
	}
	return "", false
}

// codeOf finds the codice fiscale where the profile puts it.
func codeOf(cert *x509.Certificate, p Profile) (code, card string, err error) {
	if p == Qualified {
		// ETSI EN 319 412-1, 5.1.3, Natural person semantics identifier
		serial := cert.Subject.SerialNumber
		for _, prefix := range []string{"TINIT-", "IT:"} {
			if rest, ok := strings.CutPrefix(serial, prefix); ok {
				return rest, "", nil
			}
		}
		return "", "", fmt.Errorf("%w: a qualified certificate whose serialNumber is not an Italian tax code", ErrUnknown)
	}
	// CN = codice fiscale / card id . hash; the hash may hold a '/' itself.
	cn := cert.Subject.CommonName
	code, rest, ok := strings.Cut(cn, "/")
	if !ok {
		return "", "", fmt.Errorf("%w: a %s certificate whose common name has no '/'", ErrUnknown, p)
	}
	card, _, _ = strings.Cut(rest, ".")
	return code, card, nil
}

// Purposes tells what key usage and profile allow (RFC 5280, 4.2.1.3 and .12).
func Purposes(cert *x509.Certificate) []Purpose {
	p, known := Of(cert)
	var out []Purpose
	if IsLogin(cert) {
		out = append(out, Login)
		if p == CNS || p == CIE {
			out = append(out, AdvancedSignature)
		}
	}
	if known && p == Qualified && cert.KeyUsage&x509.KeyUsageContentCommitment != 0 {
		out = append(out, QualifiedSignature)
	}
	return out
}

// IsLogin tells whether a key serves login: digitalSignature and clientAuth. A
// certificate without extended key usage allows every purpose.
func IsLogin(cert *x509.Certificate) bool {
	if cert.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return false
	}
	if len(cert.ExtKeyUsage) == 0 && len(cert.UnknownExtKeyUsage) == 0 {
		return true
	}
	return slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageClientAuth) ||
		slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// SignsHashes tells whether a bare hash may be signed with a key: only when it
// can never be a login. Whoever gets a chosen hash signed by a login key can
// forge a login token.
func SignsHashes(cert *x509.Certificate) bool {
	if p, ok := Of(cert); ok && (p == CNS || p == CIE) {
		return false
	}
	return cert.KeyUsage&x509.KeyUsageContentCommitment != 0 && cert.KeyUsage&x509.KeyUsageDigitalSignature == 0 &&
		!slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageClientAuth) && !slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageAny)
}

func hasPolicy(cert *x509.Certificate, oid string) bool {
	return slices.ContainsFunc(cert.Policies, func(o x509.OID) bool { return o.String() == oid })
}

var (
	oidSurname      = asn1.ObjectIdentifier{2, 5, 4, 4}
	oidGivenName    = asn1.ObjectIdentifier{2, 5, 4, 42}
	oidQCStatements = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 3}
	// ETSI EN 319 412-5, 4.2.1, QCStatement claiming that the certificate is an
	// EU qualified certificate
	oidQcCompliance = asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 1}
	// 4.2.2, QCStatement claiming that the private key resides in a QSCD
	oidQcSSCD = asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 4}
	// 4.2.3, QcType: eSign, eSeal
	oidQcType  = asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 6}
	oidQcESign = asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 6, 1}
)

func attribute(cert *x509.Certificate, oid asn1.ObjectIdentifier) string {
	for _, a := range cert.Subject.Names {
		if s, ok := a.Value.(string); ok && a.Type.Equal(oid) {
			return clean(s)
		}
	}
	return ""
}

// clean takes control and direction characters out of a name, which could make a
// window show something else than what stands there.
func clean(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r < 0xa0 || r >= 0x200b && r <= 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0xfeff {
			return ' '
		}
		return r
	}, s))
}

type qcStatement struct {
	ID   asn1.ObjectIdentifier
	Info asn1.RawValue `asn1:"optional"`
}

func qcStatements(cert *x509.Certificate) []qcStatement {
	for _, e := range cert.Extensions {
		if e.Id.Equal(oidQCStatements) {
			var out []qcStatement
			if rest, err := asn1.Unmarshal(e.Value, &out); err != nil || len(rest) > 0 {
				return nil
			}
			return out
		}
	}
	return nil
}

// isQualified: a qualified certificate for signatures of natural persons.
func isQualified(cert *x509.Certificate) bool {
	compliant, esign := false, true
	for _, s := range qcStatements(cert) {
		switch {
		case s.ID.Equal(oidQcCompliance):
			compliant = true
		case s.ID.Equal(oidQcType):
			var types []asn1.ObjectIdentifier
			_, err := asn1.Unmarshal(s.Info.FullBytes, &types)
			esign = err == nil && slices.ContainsFunc(types, oidQcESign.Equal)
		}
	}
	return compliant && esign
}

// OnQSCD tells whether a qualified certificate's key is on a qualified device.
func OnQSCD(cert *x509.Certificate) bool {
	return slices.ContainsFunc(qcStatements(cert), func(s qcStatement) bool { return s.ID.Equal(oidQcSSCD) })
}

func policies(cert *x509.Certificate) string {
	if len(cert.Policies) == 0 {
		return "none"
	}
	s := make([]string, 0, len(cert.Policies))
	for _, o := range cert.Policies {
		s = append(s, o.String())
	}
	return strings.Join(s, ", ")
}

func usages(cert *x509.Certificate) string {
	var s []string
	for bit, name := range map[x509.KeyUsage]string{
		x509.KeyUsageDigitalSignature: "digitalSignature", x509.KeyUsageContentCommitment: "nonRepudiation",
		x509.KeyUsageKeyEncipherment: "keyEncipherment", x509.KeyUsageCertSign: "keyCertSign",
	} {
		if cert.KeyUsage&bit != 0 {
			s = append(s, name)
		}
	}
	slices.Sort(s)
	return "[" + strings.Join(s, " ") + "]"
}

// oidQcESeal is QcType's value for electronic seals (EN 319 412-5, 4.2.3).
var oidQcESeal = asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 6, 2}

// IsSeal tells whether a certificate says that it is for electronic seals, which
// name an organisation and no person.
func IsSeal(cert *x509.Certificate) bool {
	return slices.ContainsFunc(qcStatements(cert), func(s qcStatement) bool {
		var types []asn1.ObjectIdentifier
		_, err := asn1.Unmarshal(s.Info.FullBytes, &types)
		return s.ID.Equal(oidQcType) && err == nil && slices.ContainsFunc(types, oidQcESeal.Equal)
	})
}
