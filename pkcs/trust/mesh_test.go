package trust_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/trust"
)

// Certificates of one name and one key issued each other, all of them: there are a billion
// ways through them. Signatures that were seen before cost nothing to check again, so a
// stranger who sends the same file a few times must not buy the whole walk with that.
func TestMeshOfHelpers(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var mesh []*x509.Certificate
	for i := range 40 {
		c := &x509.Certificate{SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: "mesh"}, IsCA: true, BasicConstraintsValid: true,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		if c, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
		mesh = append(mesh, c)
	}
	s := trust.NewStore()
	for range 40 {
		facts, path := s.Path(mesh[0], mesh[1:])
		if facts.Found || path != nil {
			t.Fatal("a way to nowhere")
		}
		if !strings.Contains(facts.Note, "too many certificates") {
			t.Fatalf("%q", facts.Note)
		}
	}
}
