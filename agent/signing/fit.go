package signing

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/pkcs/profile"
)

// Reasons why a certificate cannot be used, as message keys.
const (
	unfitExpired = "consent.unfit-expired"
	unfitNotYet  = "consent.unfit-not-yet"
	unfitLogin   = "consent.unfit-login"
	unfitSign    = "consent.unfit-sign"
	unfitWeak    = "consent.unfit-weak"
	unfitOther   = "consent.unfit-other"
	unfitHash    = "native.unfit-hash"
	unfitLocked  = "wire.pin-locked"
)

// minRSABits is the shortest RSA modulus we sign with; minFilterHash the fewest
// digits of a SHA-256 that name a certificate.
const (
	minRSABits    = 1024 // old CNS cards; the server refuses them by name
	minFilterHash = 6
)

// unfit says why the certificate cannot be used for the purpose now; empty when
// it can. It looks at the certificate alone: whether its issuer is trusted is
// for the server to say.
func unfit(id Identity, purpose consent.Purpose, want Choice, now time.Time) string {
	cert := id.Certificate
	locked := id.PIN.Locked || id.PIN.TriesLeft == 0
	switch {
	case cert == nil && locked:
		return unfitLocked
	case cert == nil && hashing(purpose):
		return unfitHash // a card that shows nothing before its PIN is a CIE
	case cert == nil:
		return "" // judged once it is read
	case !want.matches(cert):
		return unfitOther
	case purpose == consent.PurposeLogin && !forLogin(cert):
		return unfitLogin
	case purpose == consent.PurposeSign && !forSignature(cert):
		return unfitSign
	case hashing(purpose) && !profile.SignsHashes(cert):
		return unfitHash
	case now.After(cert.NotAfter):
		return unfitExpired
	case now.Before(cert.NotBefore):
		return unfitNotYet
	case weak(cert):
		return unfitWeak
	case locked:
		return unfitLocked
	}
	return ""
}

// hashing: the purpose is, or leads to, the signature of a bare hash.
func hashing(p consent.Purpose) bool {
	return p == consent.PurposeHash || p == consent.PurposeCertificate
}

// forLogin: an authentication certificate, as the validators of Web eID's token
// require it (KeyUsage digitalSignature, ExtendedKeyUsage clientAuth).
func forLogin(cert *x509.Certificate) bool {
	return !cert.IsCA && cert.KeyUsage&x509.KeyUsageDigitalSignature != 0 &&
		slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
}

// forSignature: any end-entity certificate whose key may sign. CNS and CIE have
// one key for login and for signing; what keeps the two apart is that this
// package builds everything it signs.
func forSignature(cert *x509.Certificate) bool {
	return !cert.IsCA && cert.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) != 0
}

// signatureOnly: RFC 5280, 4.2.1.3, Key Usage: contentCommitment, once named
// nonRepudiation. Such a key is for signatures in the full sense of the law.
func signatureOnly(cert *x509.Certificate) bool {
	return cert.KeyUsage&x509.KeyUsageContentCommitment != 0 && !slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
}

func weak(cert *x509.Certificate) bool {
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen() < minRSABits
	case *ecdsa.PublicKey:
		return key.Curve.Params().BitSize < 256
	}
	return true // no algorithm of ours
}

// Filter limits the choice: a codice fiscale, a serial number (decimal or
// hexadecimal), or the start of a certificate's SHA-256. Empty: no limit.
type Filter string

// Matches compares without regard to case, spaces and colons.
func (f Filter) Matches(cert *x509.Certificate) bool {
	want := strings.ToLower(strings.NewReplacer(" ", "", ":", "").Replace(string(f)))
	if want == "" {
		return true
	}
	if cf := ClaimedCodiceFiscale(cert); cf != "" && strings.ToLower(cf) == want {
		return true
	}
	serial := cert.SerialNumber
	if serial.String() == want || strings.TrimLeft(serial.Text(16), "0") == strings.TrimLeft(want, "0") {
		return true
	}
	return len(want) >= minFilterHash && strings.HasPrefix(fingerprint(cert), want)
}

// Choice limits which certificates may be used.
type Choice struct {
	// Filter is the person's own, from the command line.
	Filter Filter
	// CodiceFiscale is the page's: it may name whose certificate it needs, not
	// which one.
	CodiceFiscale string
	// Certificate is the page's too, where it knows the one (it got it with a consent).
	Certificate *x509.Certificate
}

func (c Choice) matches(cert *x509.Certificate) bool {
	return (c.Certificate == nil || c.Certificate.Equal(cert)) && c.Filter.Matches(cert) &&
		(c.CodiceFiscale == "" || strings.EqualFold(c.CodiceFiscale, ClaimedCodiceFiscale(cert)))
}

// rank puts the candidates in the order they are offered in: usable ones first,
// for a signature those made for signatures, then the one that is valid longest.
func rank(purpose consent.Purpose, a, b candidate) int {
	order := func(c candidate) int {
		switch {
		case c.unfit != "":
			return 2
		case purpose == consent.PurposeSign && (c.id.Certificate == nil || !signatureOnly(c.id.Certificate)):
			return 1
		}
		return 0
	}
	if d := cmp.Compare(order(a), order(b)); d != 0 {
		return d
	}
	return until(b).Compare(until(a))
}

// until is the end of a certificate's life; one that is not known comes last.
func until(c candidate) time.Time {
	if c.id.Certificate == nil {
		return time.Time{}
	}
	return c.id.Certificate.NotAfter
}

// fingerprint is the SHA-256 of the certificate in lower-case hex.
func fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}
