package trust

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"
)

func FuzzScope(f *testing.F) {
	f.Add([]byte{0x30, 3, 0x81, 1, 0xFF}, []byte{0x30, 0})
	f.Add([]byte{0x30, 8, 0xA0, 6, 0xA0, 4, 0x86, 2, 'a', 'b'}, []byte{0x30, 0})
	f.Fuzz(func(t *testing.T, der, issuer []byte) {
		s, why := parseScope(der, issuer)
		cert := &x509.Certificate{RawIssuer: issuer, Extensions: []pkix.Extension{{Id: oidPoints, Value: der}}}
		if why == "" {
			l := &CRL{scope: s, list: &x509.RevocationList{RawIssuer: issuer}}
			if reasons, why := l.covers(&points{cert: cert}); (reasons == 0) != (why != "") {
				t.Errorf("%x %s", reasons, why)
			}
		}
	})
}
