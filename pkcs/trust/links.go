package trust

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"

	"github.com/citel-pa/citel/pkcs/validation"
)

// linkFacts describes one certificate of a path in the policy's words.
func linkFacts(c *x509.Certificate) validation.LinkFacts {
	l := validation.LinkFacts{Certificate: c.Raw, NotBefore: c.NotBefore, NotAfter: c.NotAfter}
	l.DigestName, _ = digestName(c.SignatureAlgorithm)
	l.KeyName, l.KeyBits = KeyOf(c)
	l.NoCheck = noCheck(c)
	return l
}

func isNoCheck(e pkix.Extension) bool { return e.Id.Equal(oidNoCheck) }

var oidNoCheck = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}

// KeyOf names a certificate's public key: "RSA", "ECDSA" or "Ed25519" and the
// size of its modulus or field in bits.
func KeyOf(c *x509.Certificate) (name string, bits int) {
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return "RSA", k.N.BitLen()
	case *ecdsa.PublicKey:
		return "ECDSA", k.Curve.Params().BitSize
	case ed25519.PublicKey:
		return "Ed25519", 256
	}
	return c.PublicKeyAlgorithm.String(), 0
}

// digestName gives "SHA-256" for SHA256-RSA and so on.
func digestName(a x509.SignatureAlgorithm) (name string, pss bool) {
	switch a {
	case x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS:
		pss = true
	}
	s := a.String()
	for _, n := range []string{"SHA256", "SHA384", "SHA512", "SHA1", "MD5", "MD2"} {
		if strings.Contains(s, n) {
			return strings.Replace(n, "SHA", "SHA-", 1), pss
		}
	}
	if a == x509.PureEd25519 {
		return "SHA-512", false
	}
	return s, pss
}
