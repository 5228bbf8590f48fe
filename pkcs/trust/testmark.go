package trust

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// The mark of test certificates. Every certificate of testdata/pki has both, and
// the extension is critical, so that software which does not know the policy
// refuses the chain. A store takes anchors with either of them only when it was
// told to (AllowTest).
const (
	// TestOrganization is the O of subject and issuer.
	TestOrganization = "CiTel TEST"
	// TestPolicy is an OID of ours, below the arc for UUIDs (ITU-T X.667).
	TestPolicy = "2.25.302851259457030368502061323431794031222"
)

var oidPolicies = asn1.ObjectIdentifier{2, 5, 29, 32}

// IsTest tells whether a certificate carries the mark: either half is enough, so
// that a mark cut off on one side is still seen.
func IsTest(c *x509.Certificate) bool {
	if slices.Contains(c.Subject.Organization, TestOrganization) || slices.Contains(c.Issuer.Organization, TestOrganization) {
		return true
	}
	return slices.ContainsFunc(c.Policies, func(o x509.OID) bool { return o.String() == TestPolicy })
}

// PoliciesExtension makes a critical certificatePolicies extension (RFC 5280,
// 4.2.1.4, Certificate Policies) of OIDs in dotted form. crypto/x509 makes only
// a non-critical one.
func PoliciesExtension(oids ...string) (pkix.Extension, error) {
	var b cryptobyte.Builder
	var bad error
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, s := range oids {
			oid, err := x509.ParseOID(s)
			if err != nil {
				bad = fmt.Errorf("trust: policy %q: %w", s, err)
				return
			}
			der, err := oid.MarshalBinary()
			if err != nil {
				bad = fmt.Errorf("trust: policy %q: %w", s, err)
				return
			}
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes(der) })
			})
		}
	})
	value, err := b.Bytes()
	if bad != nil {
		return pkix.Extension{}, bad
	}
	return pkix.Extension{Id: oidPolicies, Critical: true, Value: value}, err
}
