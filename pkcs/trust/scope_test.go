package trust

import (
	"crypto/x509"
	"testing"
)

func FuzzScope(f *testing.F) {
	f.Add([]byte{0x30, 3, 0x81, 1, 0xFF}, []byte{0x30, 0})
	f.Add([]byte{0x30, 8, 0xA0, 6, 0xA0, 4, 0x86, 2, 'a', 'b'}, []byte{0x30, 0})
	f.Fuzz(func(_ *testing.T, der, issuer []byte) {
		if s, why := parseScope(der, issuer); why == "" {
			s.leavesOut(&x509.Certificate{RawIssuer: issuer})
		}
	})
}
