package worker

import (
	"context"
	"crypto"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/citel-pa/citel/pkcs/token"
	"github.com/citel-pa/citel/testdata/pki"
)

// BenchmarkSign: C_Sign in this process, and the same through a helper process.
func BenchmarkSign(b *testing.B) {
	for _, alg := range []pki.KeyAlg{pki.RSA2048, pki.P256} {
		bench := newBench(b, alg)
		d := digest(crypto.SHA256)
		b.Run("direct/"+string(alg), func(b *testing.B) {
			for _, kv := range bench.store.Env() {
				k, v, _ := strings.Cut(kv, "=")
				b.Setenv(k, v)
			}
			m, err := token.Open(bench.store.Module())
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = m.Close() }()
			s, err := m.Session(bench.slot.ID)
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			if err := s.Login([]byte(testPIN)); err != nil {
				b.Fatal(err)
			}
			ids, err := s.Identities()
			if err != nil || len(ids) == 0 {
				b.Fatal(err)
			}
			k, err := s.Key(ids[0])
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := k.Sign(rand.Reader, d, crypto.SHA256); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("helper/"+string(alg), func(b *testing.B) {
			p := bench.pool(b)
			k := openKey(b, p, list(b, p)[0])
			if err := k.Unlock(context.Background(), []byte(testPIN)); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := k.Sign(context.Background(), d, crypto.SHA256); err != nil {
					b.Fatal(err)
				}
			}
			_ = k.Close()
		})
	}
}
