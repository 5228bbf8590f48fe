package trust

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"testing"
	"time"
)

// A list comes from whoever answers at an address.
func FuzzCRL(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	issuer := &x509.Certificate{RawSubject: []byte{0x30, 0}, SubjectKeyId: []byte{1}, KeyUsage: x509.KeyUsageCRLSign, PublicKey: key.Public(), PublicKeyAlgorithm: x509.ECDSA}
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: time.Unix(1_700_000_000, 0), NextUpdate: time.Unix(1_800_000_000, 0),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(7), RevocationTime: time.Unix(1_700_000_000, 0), ReasonCode: 1}, {SerialNumber: big.NewInt(7), RevocationTime: time.Unix(1_700_000_000, 0)}},
	}, issuer, key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der, []byte{0x30, 0})
	f.Fuzz(func(t *testing.T, der, name []byte) {
		l, err := ParseCRL(der, "fuzz")
		if err != nil {
			return
		}
		cert := &x509.Certificate{SerialNumber: big.NewInt(7), RawIssuer: name}
		p := &points{cert: cert}
		l.speaksOf(p)
		facts, reasons := l.about(p)
		if (reasons == 0) != (facts.Note != "") || facts.Trusted {
			t.Errorf("%x %+v", reasons, facts)
		}
		l.tell(&facts, cert, reasons)
		if x, err := x509.ParseRevocationList(der); err == nil && len(x.RevokedCertificateEntries) != len(l.entries.at) {
			t.Errorf("%d entries, crypto/x509 reads %d", len(l.entries.at), len(x.RevokedCertificateEntries))
		}
	})
}
