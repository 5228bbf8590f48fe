package authtoken_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/authtoken"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/testdata/pki"
)

const (
	origin = "https://sportello.comune.example"
	nonce  = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI="
)

func soft(key crypto.Signer) authtoken.SignFunc {
	return func(_ context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
		return key.Sign(rand.Reader, digest, opts)
	}
}

func token(t testing.TB, id *pki.Identity, change ...func(*authtoken.Request)) []byte {
	t.Helper()
	r := authtoken.Request{Origin: origin, Nonce: nonce, Certificate: id.Cert, AppVersion: "https://citel.example/1"}
	for _, c := range change {
		c(&r)
	}
	tok, err := authtoken.Make(t.Context(), r, soft(id.Key))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func store(t testing.TB, p *pki.PKI) *trust.Store {
	t.Helper()
	s := trust.NewStore(trust.AllowTest())
	for kind, prof := range map[pki.Kind]profile.Profile{pki.CNS: profile.CNS, pki.CIE: profile.CIE, pki.Qualified: profile.Qualified} {
		if _, err := s.AddPEM(p.AnchorsPEM(kind), string(kind), prof); err != nil {
			t.Fatal(err)
		}
		crl, err := p.CRL(p.Issuer(kind))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.AddCRL(crl, string(kind)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestEveryAlgorithm(t *testing.T) {
	p := pki.Shared(t)
	v := &authtoken.Validator{Origin: origin, Store: store(t, p)}
	for _, c := range []struct {
		alg   pki.KeyAlg
		names []string
	}{
		{pki.RSA2048, []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}},
		{pki.P256, []string{"ES256"}}, {pki.P384, []string{"ES384"}}, {pki.P521, []string{"ES512"}},
	} {
		id := p.MustIssue(t, pki.CNS, c.alg, pki.Citizens[0])
		for _, name := range c.names {
			tok := token(t, id, func(r *authtoken.Request) { r.Algorithm = name })
			got, err := v.Validate(t.Context(), tok, nonce)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if string(got.Person.CodiceFiscale) != pki.Citizens[0].CF || got.Algorithm != name || !got.Test {
				t.Errorf("%s: %+v", name, got)
			}
			if _, err := v.Validate(t.Context(), tok, strings.Replace(nonce, "M", "N", 1)); !errors.Is(err, authtoken.ErrSignature) {
				t.Errorf("%s over another nonce: %v", name, err)
			}
		}
	}
}

// Each way to get it wrong has an error of its own.
func TestErrors(t *testing.T) {
	p := pki.Shared(t)
	citizen := pki.Citizens[0]
	good := p.MustIssue(t, pki.CNS, pki.P256, citizen)
	other := p.MustIssue(t, pki.CNS, pki.P256, pki.Citizens[1])
	revoked := p.MustIssue(t, pki.Revoked, pki.P256, citizen)
	v := &authtoken.Validator{Origin: origin, Known: []string{"https://altro.comune.example"}, Store: store(t, p)}
	edit := func(change func(map[string]any)) []byte {
		var m map[string]any
		if err := json.Unmarshal(token(t, good), &m); err != nil {
			t.Fatal(err)
		}
		change(m)
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	set := func(name string, value any) []byte { return edit(func(m map[string]any) { m[name] = value }) }
	pad := strings.Repeat(" ", 200)
	for name, c := range map[string]struct {
		token []byte
		want  error
	}{
		"empty":                    {nil, authtoken.ErrTooLong},
		"too long":                 {bytes.Repeat([]byte(" "), authtoken.MaxLength+1), authtoken.ErrTooLong},
		"not JSON":                 {[]byte("{" + pad), authtoken.ErrMalformed},
		"an array":                 {[]byte("[" + pad + "]"), authtoken.ErrMalformed},
		"two documents":            {append(token(t, good), "{}"...), authtoken.ErrMalformed},
		"field twice":              {[]byte(strings.Replace(string(token(t, good)), "{", `{"Algorithm":"none",`, 1)), authtoken.ErrMalformed},
		"certificate is a number":  {set("unverifiedCertificate", 7), authtoken.ErrMalformed},
		"certificate is an array":  {set("unverifiedCertificate", []string{"x"}), authtoken.ErrMalformed},
		"certificate missing":      {edit(func(m map[string]any) { delete(m, "unverifiedCertificate") }), authtoken.ErrCertificate},
		"certificate not base64":   {set("unverifiedCertificate", "***"), authtoken.ErrCertificate},
		"certificate of nothing":   {set("unverifiedCertificate", "AAAA"), authtoken.ErrCertificate},
		"format missing":           {edit(func(m map[string]any) { delete(m, "format") }), authtoken.ErrFormat},
		"format of the future":     {set("format", "web-eid:2.0"), authtoken.ErrFormat},
		"format ten":               {set("format", "web-eid:10"), authtoken.ErrFormat},
		"format without a minor":   {edit(func(m map[string]any) { m["format"] = "web-eid:1"; m["algorithm"] = "none" }), authtoken.ErrAlgorithm},
		"algorithm none":           {set("algorithm", "none"), authtoken.ErrAlgorithm},
		"algorithm missing":        {set("algorithm", ""), authtoken.ErrAlgorithm},
		"algorithm of another key": {set("algorithm", "RS256"), authtoken.ErrAlgorithm},
		"wrong curve":              {set("algorithm", "ES384"), authtoken.ErrAlgorithm},
		"signature not base64":     {set("signature", "***"), authtoken.ErrMalformed},
		"signature empty":          {set("signature", ""), authtoken.ErrSignature},
		"signature of zeros":       {set("signature", base64.StdEncoding.EncodeToString(make([]byte, 64))), authtoken.ErrSignature},
		"signature in DER":         {set("signature", base64.StdEncoding.EncodeToString(derSignature(t, good))), authtoken.ErrSignature},
		"certificate of another":   {set("unverifiedCertificate", base64.StdEncoding.EncodeToString(other.Cert.Raw)), authtoken.ErrSignature},
		"unknown other origin":     {token(t, good, func(r *authtoken.Request) { r.Origin = "https://evil.example" }), authtoken.ErrSignature},
		"known other origin":       {token(t, good, func(r *authtoken.Request) { r.Origin = "https://altro.comune.example" }), authtoken.ErrOtherOrigin},
		"expired":                  {token(t, p.MustIssue(t, pki.Expired, pki.P256, citizen)), authtoken.ErrExpired},
		"not yet valid":            {token(t, p.MustIssue(t, pki.NotYetValid, pki.P256, citizen)), authtoken.ErrNotYetValid},
		"revoked":                  {token(t, revoked), authtoken.ErrRevoked},
		"not for login":            {token(t, p.MustIssue(t, pki.WrongUsage, pki.P256, citizen)), authtoken.ErrPurpose},
		"only for signatures":      {token(t, p.MustIssue(t, pki.Qualified, pki.P256, citizen)), authtoken.ErrPurpose},
		"wrong policy":             {token(t, p.MustIssue(t, pki.WrongPolicy, pki.P256, citizen)), authtoken.ErrProfile},
		"wrong codice fiscale":     {token(t, p.MustIssue(t, pki.WrongCF, pki.P256, citizen)), authtoken.ErrProfile},
		"other root":               {token(t, p.MustIssue(t, pki.OtherRoot, pki.P256, citizen)), authtoken.ErrUntrusted},
		"signed with SHA-1":        {token(t, p.MustIssue(t, pki.SHA1, pki.P256, citizen)), authtoken.ErrAlgorithm},
		"RSA-1024":                 {token(t, p.MustIssue(t, pki.CNS, pki.RSA1024, citizen)), authtoken.ErrAlgorithm},
	} {
		if name == "revoked" {
			v.Store = store(t, p) // with the list of now
		}
		_, err := v.Validate(t.Context(), c.token, nonce)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if code := authtoken.Code(err); code == "internal" || code == "" {
			t.Errorf("%s: no code", name)
		}
	}
	// A list that nobody signed for us, or none at all, is not "good".
	silent := trust.NewStore(trust.AllowTest())
	if _, err := silent.AddPEM(p.AnchorsPEM(pki.CNS), "cns", profile.CNS); err != nil {
		t.Fatal(err)
	}
	v.Store = silent
	if _, err := v.Validate(t.Context(), token(t, good), nonce); !errors.Is(err, authtoken.ErrRevocationUnknown) {
		t.Errorf("without a list: %v", err)
	}
	// An anchor listed for another profile names nobody.
	cie := trust.NewStore(trust.AllowTest())
	if _, err := cie.AddPEM(p.AnchorsPEM(pki.CNS), "cns", profile.CIE); err != nil {
		t.Fatal(err)
	}
	crl, err := p.CRL(p.CNS)
	if err != nil {
		t.Fatal(err)
	}
	if err := cie.AddCRL(crl, "cns"); err != nil {
		t.Fatal(err)
	}
	v.Store = cie
	if _, err := v.Validate(t.Context(), token(t, good), nonce); !errors.Is(err, authtoken.ErrProfile) {
		t.Errorf("below an anchor for CIE: %v", err)
	}
}

func derSignature(t *testing.T, id *pki.Identity) []byte {
	t.Helper()
	sum := crypto.SHA256.New().Sum(nil)
	sig, err := id.Key.Sign(rand.Reader, sum, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func TestNonces(t *testing.T) {
	now := time.Now()
	n := &authtoken.Nonces{Now: func() time.Time { return now }}
	a, expires, err := n.Issue("session-a", origin)
	if err != nil || len(a) != 44 || expires.Sub(now) != authtoken.NonceLife {
		t.Fatal(a, expires, err)
	}
	if err := authtoken.CheckNonce(a); err != nil {
		t.Error(err)
	}
	check := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	check("another session", n.Take(a, "session-b", origin), authtoken.ErrNonceUnknown)
	check("first use", n.Take(a, "session-a", origin), nil)
	check("second use", n.Take(a, "session-a", origin), authtoken.ErrNonceUsed)
	check("guessed", n.Take(nonce, "session-a", origin), authtoken.ErrNonceUnknown)
	b, _, _ := n.Issue("session-a", origin)
	check("for another origin", n.Take(b, "session-a", "https://altro.example"), authtoken.ErrOtherOrigin)
	c, _, _ := n.Issue("session-a", origin)
	now = now.Add(authtoken.NonceLife + time.Second)
	check("late", n.Take(c, "session-a", origin), authtoken.ErrNonceExpired)
	// One session's tabs do not fill the store.
	var all []string
	for range 20 {
		v, _, err := n.Issue("many", origin)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
		now = now.Add(time.Second)
	}
	check("oldest of many", n.Take(all[0], "many", origin), authtoken.ErrNonceUnknown)
	check("newest of many", n.Take(all[19], "many", origin), nil)
}

func TestParseOrigin(t *testing.T) {
	for o, ok := range map[string]bool{
		"https://comune.example": true, "https://comune.example:8443": true, "https://xn--forl-0qa.example": true,
		"http://127.0.0.1:8080": true, "http://localhost:1": true, "http://[::1]:80": false, "http://[::1]:81": true,
		"http://comune.example": false, "https://comune.example/": false, "https://comune.example:443": false,
		"https://user@comune.example": false, "https://Comune.example": false, "https://comune.example?x": false,
		"https://comune.example#x": false, "null": false, "": false, "file:///etc": false, "https://": false, "ws://x": false,
	} {
		if _, err := authtoken.ParseOrigin(o, true); (err == nil) != ok {
			t.Errorf("%q: %v", o, err)
		}
	}
	if _, err := authtoken.ParseOrigin("http://localhost:1", false); err == nil {
		t.Error("http without leave")
	}
}

// A published token of Web eID's own library (authtoken-validation-java, main,
// AbstractTestWithValidator), whose issuer is a public test authority.
func TestPublishedVector(t *testing.T) {
	const certificate = "MIIEBDCCA2WgAwIBAgIQY5OGshxoPMFg+Wfc0gFEaTAKBggqhkjOPQQDBDBgMQswCQYDVQQGEwJFRTEbMBkGA1UECgwSU0sgSUQgU29sdXRpb25zIEFTMRcwFQYDVQRhDA5OVFJFRS0xMDc0NzAxMzEbMBkGA1UEAwwSVEVTVCBvZiBFU1RFSUQyMDE4MB4XDTIxMDcyMjEyNDMwOFoXDTI2MDcwOTIxNTk1OVowfzELMAkGA1UEBhMCRUUxKjAoBgNVBAMMIUrDlUVPUkcsSkFBSy1LUklTVEpBTiwzODAwMTA4NTcxODEQMA4GA1UEBAwHSsOVRU9SRzEWMBQGA1UEKgwNSkFBSy1LUklTVEpBTjEaMBgGA1UEBRMRUE5PRUUtMzgwMDEwODU3MTgwdjAQBgcqhkjOPQIBBgUrgQQAIgNiAAQmwEKsJTjaMHSaZj19hb9EJaJlwbKc5VFzmlGMFSJVk4dDy+eUxa5KOA7tWXqzcmhh5SYdv+MxcaQKlKWLMa36pfgv20FpEDb03GCtLqjLTRZ7649PugAQ5EmAqIic29CjggHDMIIBvzAJBgNVHRMEAjAAMA4GA1UdDwEB/wQEAwIDiDBHBgNVHSAEQDA+MDIGCysGAQQBg5EhAQIBMCMwIQYIKwYBBQUHAgEWFWh0dHBzOi8vd3d3LnNrLmVlL0NQUzAIBgYEAI96AQIwHwYDVR0RBBgwFoEUMzgwMDEwODU3MThAZWVzdGkuZWUwHQYDVR0OBBYEFPlp/ceABC52itoqppEmbf71TJz6MGEGCCsGAQUFBwEDBFUwUzBRBgYEAI5GAQUwRzBFFj9odHRwczovL3NrLmVlL2VuL3JlcG9zaXRvcnkvY29uZGl0aW9ucy1mb3ItdXNlLW9mLWNlcnRpZmljYXRlcy8TAkVOMCAGA1UdJQEB/wQWMBQGCCsGAQUFBwMCBggrBgEFBQcDBDAfBgNVHSMEGDAWgBTAhJkpxE6fOwI09pnhClYACCk+ezBzBggrBgEFBQcBAQRnMGUwLAYIKwYBBQUHMAGGIGh0dHA6Ly9haWEuZGVtby5zay5lZS9lc3RlaWQyMDE4MDUGCCsGAQUFBzAChilodHRwOi8vYy5zay5lZS9UZXN0X29mX0VTVEVJRDIwMTguZGVyLmNydDAKBggqhkjOPQQDBAOBjAAwgYgCQgDCAgybz0u3W+tGI+AX+PiI5CrE9ptEHO5eezR1Jo4j7iGaO0i39xTGUB+NSC7P6AQbyE/ywqJjA1a62jTLcS9GHAJCARxN4NO4eVdWU3zVohCXm8WN3DWA7XUcn9TZiLGQ29P4xfQZOXJi/z4PNRRsR4plvSNB3dfyBvZn31HhC7my8woi"
	const value = "0Ov7ME6pTY1K2GXMj8Wxov/o2fGIMEds8OMY5dKdkB0nrqQX7fG1E5mnsbvyHpMDecMUH6Yg+p1HXdgB/lLqOcFZjt/OVXPjAAApC5d1YgRYATDcxsR1zqQwiNcHdmWn"
	tok := fmt.Appendf(nil, `{"algorithm":"ES384","unverifiedCertificate":%q,"appVersion":"https://web-eid.eu/web-eid-app/releases/2.5.0+0","signature":%q,"format":"web-eid:1.0"}`, certificate, value)
	der, err := base64.StdEncoding.DecodeString(certificate)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	// The vector is about the signature: its certificate is its own anchor here.
	s := trust.NewStore()
	if _, err := s.AddPEM(pki.EncodePEM(cert), "vector"); err != nil {
		t.Fatal(err)
	}
	v := &authtoken.Validator{
		Origin: "https://ria.ee", Store: s, AnyProfile: true, Policy: validation.Default(),
		Now: func() time.Time { return time.Date(2021, 8, 1, 0, 0, 0, 0, time.UTC) },
	}
	const vectorNonce = "12345678123456781234567812345678912356789123"
	if _, err := v.Validate(t.Context(), tok, vectorNonce); err != nil {
		t.Error(err)
	}
	if _, err := v.Validate(t.Context(), tok, "12345678123456781234567812345678912356789124"); !errors.Is(err, authtoken.ErrSignature) {
		t.Error("another nonce:", err)
	}
	v.Origin = "https://invalid.org"
	if _, err := v.Validate(t.Context(), tok, vectorNonce); !errors.Is(err, authtoken.ErrSignature) {
		t.Error("another origin:", err)
	}
	v.Now = nil
	if _, err := v.Validate(t.Context(), tok, vectorNonce); !errors.Is(err, authtoken.ErrExpired) {
		t.Error("today:", err)
	}
}

// The certificate's own end is told before anything about its issuer, as by Web eID's
// validators with their clock frozen.
func TestClockFrozen(t *testing.T) {
	p := pki.Shared(t)
	cert := p.MustIssue(t, pki.CNS, pki.P256, pki.Citizens[0])
	tok := token(t, cert)
	for name, c := range map[string]struct {
		at   time.Time
		want error
	}{
		"before": {cert.Cert.NotBefore.Add(-time.Second), authtoken.ErrNotYetValid},
		"first":  {cert.Cert.NotBefore, authtoken.ErrUntrusted},
		"last":   {cert.Cert.NotAfter, authtoken.ErrUntrusted},
		"after":  {cert.Cert.NotAfter.Add(time.Second), authtoken.ErrExpired},
	} {
		v := &authtoken.Validator{Origin: origin, Store: trust.NewStore(), Now: func() time.Time { return c.at }}
		if _, err := v.Validate(t.Context(), tok, nonce); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestMakeRefuses(t *testing.T) {
	id := pki.Shared(t).MustIssue(t, pki.CNS, pki.P256, pki.Citizens[0])
	for name, r := range map[string]authtoken.Request{
		"no origin":    {Nonce: nonce, Certificate: id.Cert},
		"http":         {Origin: "http://comune.example", Nonce: nonce, Certificate: id.Cert},
		"path":         {Origin: origin + "/", Nonce: nonce, Certificate: id.Cert},
		"short nonce":  {Origin: origin, Nonce: "AAAA", Certificate: id.Cert},
		"nonce text":   {Origin: origin, Nonce: strings.Repeat("!", 44), Certificate: id.Cert},
		"no algorithm": {Origin: origin, Nonce: nonce, Certificate: id.Cert, Algorithm: "HS256"},
	} {
		if _, err := authtoken.Make(t.Context(), r, soft(id.Key)); err == nil {
			t.Errorf("%s: made", name)
		}
	}
}

// No input makes the validator panic, and nothing it accepts is not ours.
func FuzzValidate(f *testing.F) {
	p := pki.Shared(f)
	id := p.MustIssue(f, pki.CNS, pki.P256, pki.Citizens[0])
	v := &authtoken.Validator{Origin: origin, Store: store(f, p)}
	good := token(f, id)
	f.Add(good, nonce)
	f.Add([]byte(strings.Replace(string(good), "ES256", "PS256", 1)), nonce)
	f.Add([]byte(`{"unverifiedCertificate":[],"algorithm":1}`+strings.Repeat(" ", 100)), nonce)
	f.Fuzz(func(t *testing.T, tok []byte, n string) {
		got, err := v.Validate(t.Context(), tok, n)
		if err == nil && (n != nonce || !got.Certificate.Equal(id.Cert)) {
			t.Errorf("accepted %q over %q", tok, n)
		}
		if err != nil && authtoken.Code(err) == "internal" {
			t.Errorf("no code: %v", err)
		}
	})
}

func BenchmarkValidate(b *testing.B) {
	p := pki.Shared(b)
	for _, alg := range []pki.KeyAlg{pki.RSA2048, pki.P256} {
		b.Run(string(alg), func(b *testing.B) {
			v := &authtoken.Validator{Origin: origin, Store: store(b, p)}
			tok := token(b, p.MustIssue(b, pki.CNS, alg, pki.Citizens[0]))
			for b.Loop() {
				if _, err := v.Validate(b.Context(), tok, nonce); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}
