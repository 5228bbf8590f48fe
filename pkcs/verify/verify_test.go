package verify_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/pkcs/verify"
	"github.com/citel-pa/citel/testdata/pki"
)

func store(t testing.TB, p *pki.PKI) *trust.Store {
	t.Helper()
	s := trust.NewStore(trust.AllowTest())
	for kind, prof := range map[pki.Kind]profile.Profile{pki.CNS: profile.CNS, pki.CIE: profile.CIE, pki.Qualified: profile.Qualified} {
		crl, err := p.CRL(p.Issuer(kind))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.AddPEM(p.AnchorsPEM(kind), string(kind), prof); err != nil {
			t.Fatal(err)
		}
		if err := s.AddCRL(crl, string(kind)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func sign(t testing.TB, id *pki.Identity, content string) []byte {
	t.Helper()
	var out bytes.Buffer
	err := cades.Sign(t.Context(), cades.SignOptions{
		Certificate: id.Cert, SigningTime: time.Now().UTC().Truncate(time.Second),
		Sign: func(_ context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			return id.Key.Sign(rand.Reader, digest, opts)
		},
	}, bytes.NewReader([]byte(content)), int64(len(content)), &out)
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func judge(t testing.TB, p7m []byte, o verify.Options) *validation.Result {
	t.Helper()
	r, err := verify.Reader(t.Context(), bytes.NewReader(p7m), o)
	if err != nil || len(r) != 1 {
		t.Fatalf("%d results, %v", len(r), err)
	}
	return r[0]
}

func TestVerdicts(t *testing.T) {
	p := pki.Shared(t)
	revoked := p.MustIssue(t, pki.Revoked, pki.P256, pki.Citizens[0])
	s := store(t, p)
	for _, c := range []struct {
		kind pki.Kind
		alg  pki.KeyAlg
		want validation.Indication
		sub  validation.SubIndication
		what string
	}{
		{pki.CNS, pki.RSA2048, validation.TotalPassed, "", "advanced-cns"},
		{pki.CIE, pki.P256, validation.TotalPassed, "", "advanced-cie"},
		{pki.Qualified, pki.P384, validation.TotalPassed, "", "qualified"},
		{pki.NotYetValid, pki.P256, validation.TotalFailed, validation.NotYetValid, ""},
		{pki.Expired, pki.P256, validation.Indeterminate, validation.OutOfBoundsNoPOE, ""},
		{pki.OtherRoot, pki.P256, validation.Indeterminate, validation.NoCertificateChainFound, "other"},
		{pki.SHA1, pki.P256, validation.Indeterminate, validation.CryptoConstraintsNoPOE, ""},
		{pki.CNS, pki.RSA1024, validation.Indeterminate, validation.CryptoConstraintsNoPOE, ""},
		{pki.WrongPolicy, pki.P256, validation.Indeterminate, validation.ChainConstraintsFailure, "other"},
		{pki.WrongCF, pki.P256, validation.Indeterminate, validation.ChainConstraintsFailure, "other"},
	} {
		r := judge(t, sign(t, p.MustIssue(t, c.kind, c.alg, pki.Citizens[0]), "ciao"), verify.Options{Store: s, Policy: validation.Strict()})
		if r.Indication != c.want || r.SubIndication != c.sub || c.what != "" && r.Kind() != c.what {
			t.Errorf("%s %s: %s %s %s, want %s %s %s", c.kind, c.alg, r.Indication, r.SubIndication, r.Kind(), c.want, c.sub, c.what)
		}
		if r.Passed() && r.Facts.Identity.CodiceFiscale != pki.Citizens[0].CF {
			t.Errorf("%s: codice fiscale %q", c.kind, r.Facts.Identity.CodiceFiscale)
		}
		if (c.kind == pki.WrongPolicy || c.kind == pki.WrongCF || c.kind == pki.OtherRoot) && r.Facts.Identity.CodiceFiscale != "" {
			t.Errorf("%s: a codice fiscale counts", c.kind)
		}
	}
	if r := judge(t, sign(t, revoked, "ciao"), verify.Options{Store: s}); r.SubIndication != validation.RevokedNoPOE {
		t.Errorf("revoked: %s %s", r.Indication, r.SubIndication)
	}
	if r := judge(t, sign(t, p.MustIssue(t, pki.CNS, pki.P256, pki.Citizens[0]), "x"), verify.Options{Store: s, Time: time.Now().AddDate(0, 0, 9)}); r.SubIndication != validation.TryLater {
		t.Errorf("a list that is too old: %s %s", r.Indication, r.SubIndication)
	}
}

// No byte can be changed so that the signature still passes with something else
// in it than what was signed.
func TestEveryByteFlipped(t *testing.T) {
	p := pki.Shared(t)
	id := p.MustIssue(t, pki.CNS, pki.P256, pki.Citizens[0])
	s := store(t, p)
	good := sign(t, id, "Il sottoscritto chiede.")
	first := judge(t, good, verify.Options{Store: s})
	if !first.Passed() {
		t.Fatal(first.Indication, first.SubIndication)
	}
	var passed []int
	for i := range good {
		for _, mask := range []byte{0x01, 0x80, 0xff} {
			bad := bytes.Clone(good)
			bad[i] ^= mask
			results, err := verify.Reader(t.Context(), bytes.NewReader(bad), verify.Options{Store: s})
			if err != nil {
				continue
			}
			for _, r := range results {
				if !r.Passed() {
					continue
				}
				passed = append(passed, i)
				a, b := first.Facts, r.Facts
				if !bytes.Equal(a.Content.SHA256, b.Content.SHA256) || !bytes.Equal(a.Signer.Certificate, b.Signer.Certificate) ||
					!a.Attribute.SigningTime.Equal(*b.Attribute.SigningTime) || len(a.Attribute.Signed) != len(b.Attribute.Signed) {
					t.Errorf("byte %d ^ %#x: passes with something else in it", i, mask)
				}
			}
		}
	}
	// What may change is outside of what is signed: versions and algorithm lists
	// that repeat what the SignerInfo says. Nothing of it is in content, certificate,
	// signed attributes or signature value.
	for _, part := range [][]byte{[]byte("Il sottoscritto chiede."), id.Cert.Raw} {
		from := bytes.Index(good, part)
		for _, i := range passed {
			if i >= from && i < from+len(part) {
				t.Errorf("byte %d of a signed part may change", i)
			}
		}
	}
	t.Logf("of %d bytes these may change: %v", len(good), passed)
}
