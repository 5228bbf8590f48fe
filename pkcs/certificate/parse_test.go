package certificate_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/citel-pa/citel/pkcs/certificate"
	"github.com/citel-pa/citel/testdata/pki"
)

// tbs is a TBSCertificate whose fields can be changed (RFC 5280, 4.1).
type tbs struct {
	Version    int `asn1:"explicit,tag:0"`
	Serial     *big.Int
	Algorithm  asn1.RawValue
	Issuer     asn1.RawValue
	Validity   asn1.RawValue
	Subject    asn1.RawValue
	SPKI       asn1.RawValue
	Extensions []pkix.Extension `asn1:"explicit,optional,tag:3"`
}

func changed(t testing.TB, der []byte, change func(*tbs)) []byte {
	t.Helper()
	var c struct {
		TBS       tbs
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	if rest, err := asn1.Unmarshal(der, &c); err != nil || len(rest) > 0 {
		t.Fatal(err)
	}
	change(&c.TBS)
	out, err := asn1.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func with(oid []int, critical bool, value ...byte) func(*tbs) {
	return func(c *tbs) {
		c.Extensions = slices.DeleteFunc(slices.Clone(c.Extensions), func(x pkix.Extension) bool { return x.Id.Equal(oid) })
		c.Extensions = append(c.Extensions, pkix.Extension{Id: oid, Critical: critical, Value: value})
	}
}

// What crypto/x509 refuses and is found in the field.
func TestParse(t *testing.T) {
	good := pki.Shared(t).MustIssue(t, pki.CNS, pki.RSA2048, pki.Citizens[0]).Cert
	spki := func(from, to []byte) func(*tbs) {
		return func(c *tbs) {
			var v struct {
				Algorithm asn1.RawValue
				Key       asn1.BitString
			}
			if _, err := asn1.Unmarshal(c.SPKI.FullBytes, &v); err != nil {
				t.Fatal(err)
			}
			v.Algorithm = asn1.RawValue{FullBytes: bytes.Replace(v.Algorithm.FullBytes, from, to, 1)}
			der, err := asn1.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			c.SPKI = asn1.RawValue{FullBytes: der}
		}
	}
	rsaOID := []byte("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00")
	unread := func(oid string) func(*x509.Certificate) bool {
		return func(c *x509.Certificate) bool {
			return slices.ContainsFunc(c.UnhandledCriticalExtensions, func(id asn1.ObjectIdentifier) bool { return id.String() == oid })
		}
	}
	noKey := func(c *x509.Certificate) bool { return c.PublicKey == nil }
	isRSA := func(c *x509.Certificate) bool {
		k, ok := c.PublicKey.(*rsa.PublicKey)
		return ok && k.Equal(good.PublicKey) && c.PublicKeyAlgorithm == x509.RSA
	}
	for name, c := range map[string]struct {
		change func(*tbs)
		want   func(*x509.Certificate) bool
	}{
		"negative serial number": {func(c *tbs) { c.Serial = big.NewInt(-3) }, func(c *x509.Certificate) bool { return c.SerialNumber.Int64() == -3 }},
		"RSA without NULL":       {spki(rsaOID, []byte("\x30\x0b\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01")), isRSA},
		"RSASSA-PSS key":         {spki(rsaOID, []byte("\x30\x0b\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a")), isRSA},
		"brainpool":              {spki(rsaOID, []byte("\x30\x14\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x09\x2b\x24\x03\x03\x02\x08\x01\x01\x07")), noKey},
		"relative point": {with([]int{2, 5, 29, 31}, true, 0x30, 0x11, 0x30, 0x0f, 0xa0, 0x0d, 0xa1, 0x0b, 0x30, 0x09, 0x06, 0x03, 0x55, 0x04, 0x03, 0x13, 0x02, 'c', 'a'),
			func(c *x509.Certificate) bool { return len(c.UnhandledCriticalExtensions) == 0 }},
		"constraints of an authority that cannot be read": {with([]int{2, 5, 29, 19}, true, 0x30, 0x03, 0x01, 0x01, 0x01), unread("2.5.29.19")},
		"key usage that cannot be read, not critical":     {with([]int{2, 5, 29, 15}, false, 0x30, 0x00), unread("2.5.29.15")},
		"critical names that cannot be read":              {with([]int{2, 5, 29, 17}, true, 0x30, 0x03, 0x81, 0x01, 0xe0), unread("2.5.29.17")},
		"names that cannot be read":                       {with([]int{2, 5, 29, 17}, false, 0x30, 0x03, 0x81, 0x01, 0xe0), func(c *x509.Certificate) bool { return len(c.UnhandledCriticalExtensions) == 0 }},
		"text of the wrong kind": {func(c *tbs) {
			c.Subject = asn1.RawValue{FullBytes: []byte("\x30\x10\x31\x0e\x30\x0c\x06\x03\x55\x04\x03\x13\x05Nic\xf2@")}
		}, func(c *x509.Certificate) bool { return c.Subject.CommonName == "Nicò@" }},
	} {
		t.Run(name, func(t *testing.T) {
			der := changed(t, good.Raw, c.change)
			if x, err := x509.ParseCertificate(der); err == nil && x.PublicKey != nil {
				t.Error("crypto/x509 reads it: there is nothing to do here")
			}
			got, err := certificate.Parse(der)
			if err != nil {
				t.Fatal(err)
			}
			if !c.want(got) {
				t.Errorf("serial %s, key %T, unhandled %v, subject %s", got.SerialNumber, got.PublicKey, got.UnhandledCriticalExtensions, got.Subject)
			}
			if !bytes.Equal(got.Raw, der) || !bytes.Contains(der, got.RawTBSCertificate) || len(got.RawTBSCertificate) < 200 || !bytes.Contains(der, got.RawSubject) || !bytes.Contains(der, got.RawSubjectPublicKeyInfo) {
				t.Error("the bytes are not those that were signed")
			}
			if len(got.Extensions) < len(good.Extensions) {
				t.Errorf("%d extensions of %d", len(got.Extensions), len(good.Extensions))
			}
		})
	}
	t.Run("two extensions of a kind", func(t *testing.T) {
		der := changed(t, good.Raw, func(c *tbs) { c.Serial = big.NewInt(-3); c.Extensions = append(c.Extensions, c.Extensions[0]) })
		if _, err := certificate.Parse(der); err == nil {
			t.Error("taken")
		}
	})
}

func TestPublicKeyIsNamed(t *testing.T) {
	for curve, want := range map[string]string{"\x06\x09\x2b\x24\x03\x03\x02\x08\x01\x01\x07": "brainpoolP256r1", "\x06\x05\x2b\x81\x04\x00\x0a": "secp256k1", "\x06\x03\x2a\x03\x04": "1.2.3.4", "\x30\x00": "not a named one"} {
		algorithm := append([]byte("\x06\x07\x2a\x86\x48\xce\x3d\x02\x01"), curve...)
		key := append(append([]byte{0x30, byte(len(algorithm))}, algorithm...), 0x03, 0x02, 0x00, 0x04)
		_, err := certificate.PublicKey(append([]byte{0x30, byte(len(key))}, key...))
		if !errors.Is(err, certificate.ErrKey) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	key, err := pki.GenerateKey(pki.P256)
	if err != nil {
		f.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, KeyUsage: x509.KeyUsageDigitalSignature, DNSNames: []string{"x"}, CRLDistributionPoints: []string{"http://x/"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		f.Fatal(err)
	}
	good, err := x509.ParseCertificate(der)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good.Raw)
	f.Add(changed(f, good.Raw, func(c *tbs) { c.Serial = big.NewInt(-3) }))
	f.Add(changed(f, good.Raw, with([]int{2, 5, 29, 31}, true, 0x30, 0x03, 0xa1, 0x01, 0x00)))
	f.Fuzz(func(t *testing.T, der []byte) {
		c, err := certificate.Parse(der)
		if err != nil {
			return
		}
		if !bytes.Equal(c.Raw, der) || c.SerialNumber == nil {
			t.Error("half a certificate")
		}
		// What crypto/x509 reads is read by it.
		if x, err := x509.ParseCertificate(der); err == nil && (!x.Equal(c) || x.IsCA != c.IsCA || x.KeyUsage != c.KeyUsage) {
			t.Error("read in another way")
		}
	})
}
