package verify_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/citel-pa/citel/pkcs/cms"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/pkcs/verify"
	"github.com/citel-pa/citel/testdata/pki"
)

// BenchmarkValidate10KiB: a CAdES-B-B of 10 KiB from bytes to verdict, its revocation and
// chain known from before, on all cores; beside it the verification of the signature's
// value alone.
func BenchmarkValidate10KiB(b *testing.B) {
	p := pki.Shared(b)
	s := store(b, p)
	o := verify.Options{Store: s, Revocation: &trust.Revocation{Store: s}, Policy: validation.Strict()}
	for _, alg := range []pki.KeyAlg{pki.RSA2048, pki.P256} {
		id := p.MustIssue(b, pki.CNS, alg, pki.Citizens[0])
		p7m := sign(b, id, strings.Repeat("citel ", 10<<10/6))
		if r := judge(b, p7m, o); !r.Passed() {
			b.Fatal(r.Indication, r.SubIndication)
		}
		m, err := cms.Parse(bytes.NewReader(p7m), cms.ParseOptions{})
		if err != nil {
			b.Fatal(err)
		}
		digest := sha256.Sum256(cms.AsSet(m.Signers[0].SignedAttrs))
		b.Run(string(alg)+"/whole", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					r, err := verify.Reader(context.Background(), bytes.NewReader(p7m), o)
					if err != nil || !r[0].Passed() {
						b.Error(err)
						return
					}
				}
			})
		})
		b.Run(string(alg)+"/value", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					ok := false
					switch k := id.Cert.PublicKey.(type) {
					case *rsa.PublicKey:
						ok = rsa.VerifyPKCS1v15(k, crypto.SHA256, digest[:], m.Signers[0].Signature) == nil
					case *ecdsa.PublicKey:
						ok = ecdsa.VerifyASN1(k, digest[:], m.Signers[0].Signature)
					}
					if !ok {
						b.Error("the value does not hold")
						return
					}
				}
			})
		})
	}
}
