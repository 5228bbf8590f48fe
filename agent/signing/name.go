package signing

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"
	"time"

	"github.com/citel-pa/citel/pkcs/profile"
)

// X.520 attribute types that Go's own String leaves as numbers.
var (
	oidSurname   = asn1.ObjectIdentifier{2, 5, 4, 4}
	oidGivenName = asn1.ObjectIdentifier{2, 5, 4, 42}
)

func attribute(n pkix.Name, typ asn1.ObjectIdentifier) string {
	for _, a := range n.Names {
		if a.Type.Equal(typ) {
			return fmt.Sprint(a.Value)
		}
	}
	return ""
}

// HolderName is the person's name as the certificate gives it.
func HolderName(cert *x509.Certificate) string {
	given, surname := attribute(cert.Subject, oidGivenName), attribute(cert.Subject, oidSurname)
	if name := strings.TrimSpace(given + " " + surname); name != "" {
		return name
	}
	return cert.Subject.CommonName
}

// IssuerName is the short name of who issued the certificate.
func IssuerName(cert *x509.Certificate) string {
	if cert.Issuer.CommonName != "" {
		return cert.Issuer.CommonName
	}
	return profile.DistinguishedName(cert.Issuer)
}

// ClaimedCodiceFiscale is what the certificate says, for showing and choosing
// only: it proves nothing before a chain to an anchor listed for the profile
// (pkcs/profile). CNS and CIE have it in the common name before the first slash,
// qualified certificates in serialNumber (ETSI EN 319 412-1, "TINIT-"; older
// ones "IT:").
func ClaimedCodiceFiscale(cert *x509.Certificate) string {
	if cf, _, ok := strings.Cut(cert.Subject.CommonName, "/"); ok && looksLikeCodiceFiscale(cf) {
		return strings.ToUpper(cf)
	}
	for _, prefix := range []string{"TINIT-", "IT:"} {
		if cf, ok := strings.CutPrefix(cert.Subject.SerialNumber, prefix); ok && looksLikeCodiceFiscale(cf) {
			return strings.ToUpper(cf)
		}
	}
	return ""
}

// looksLikeCodiceFiscale: 16 letters and digits of a person, or the 11 digits of
// a company or a provisional code.
func looksLikeCodiceFiscale(s string) bool {
	if len(s) != 16 && len(s) != 11 {
		return false
	}
	for _, c := range s {
		letter := 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
		if !('0' <= c && c <= '9') && (!letter || len(s) == 11) {
			return false
		}
	}
	return true
}

// Certificate is what a caller may tell of a certificate after a consent.
type Certificate struct {
	SHA256        string // lower-case hex
	Subject       string
	Issuer        string
	Serial        string // upper-case hex
	CodiceFiscale string // claimed
	NotAfter      time.Time
}

// Describe reads a certificate for a caller.
func Describe(cert *x509.Certificate) Certificate {
	return Certificate{
		SHA256:        fingerprint(cert),
		Subject:       profile.DistinguishedName(cert.Subject),
		Issuer:        profile.DistinguishedName(cert.Issuer),
		Serial:        strings.ToUpper(cert.SerialNumber.Text(16)),
		CodiceFiscale: ClaimedCodiceFiscale(cert),
		NotAfter:      cert.NotAfter,
	}
}
