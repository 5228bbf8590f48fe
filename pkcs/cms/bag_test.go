package cms_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/citel-pa/citel/pkcs/cms"
	"github.com/citel-pa/citel/testdata/pki"
)

func same(a, b []*x509.Certificate) bool {
	return slices.EqualFunc(a, b, func(x, y *x509.Certificate) bool { return x.Equal(y) })
}

func bagOf(t testing.TB) []*x509.Certificate {
	t.Helper()
	p, err := pki.New()
	if err != nil {
		t.Fatal(err)
	}
	return []*x509.Certificate{p.CNS.Cert, p.Root.Cert}
}

// What openssl packs we read, and openssl reads what we pack.
func TestBagWithOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Fatal("openssl is missing; `make deps` installs it")
	}
	certs, dir := bagOf(t), t.TempDir()
	in, out := filepath.Join(dir, "in.pem"), filepath.Join(dir, "out.p7b")
	var text []byte
	for _, c := range certs {
		text = append(text, pki.EncodePEM(c)...)
	}
	if err := os.WriteFile(in, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := exec.Command("openssl", "crl2pkcs7", "-nocrl", "-certfile", in, "-outform", "DER", "-out", out).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	der, err := os.ReadFile(out) //nolint:gosec // our own file
	if err != nil {
		t.Fatal(err)
	}
	read, err := cms.ReadBag(der)
	if err != nil || !same(read, certs) {
		t.Fatalf("%d certificates, %v", len(read), err)
	}

	der, err = cms.WriteBag(certs)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(out, der, 0o600); err != nil {
		t.Fatal(err)
	}
	listed, err := exec.Command("openssl", "pkcs7", "-inform", "DER", "-in", out, "-print_certs").Output() //nolint:gosec // our own file
	if err != nil {
		t.Fatal(err)
	}
	var seen []*x509.Certificate
	for block, rest := pem.Decode(listed); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, c)
	}
	if !same(seen, certs) {
		t.Errorf("openssl lists %d certificates", len(seen))
	}
}

func TestBagsThatAreRefused(t *testing.T) {
	der, err := cms.WriteBag(bagOf(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		der  []byte
		want error
	}{
		"nothing":       {nil, cms.ErrMalformed},
		"no bag":        {[]byte("certificates"), cms.ErrMalformed},
		"cut":           {der[:len(der)-1], cms.ErrMalformed},
		"a certificate": {bagOf(t)[0].Raw, cms.ErrMalformed},
		"deep":          {bytes.Repeat([]byte{0x30, 0x80}, 1<<20), cms.ErrMalformed},
		"deep, closed":  {append(bytes.Repeat([]byte{0x30, 0x80}, 1<<19), make([]byte, 1<<20)...), cms.ErrMalformed},
		"large":         {bytes.Repeat([]byte{0x30}, 4<<20+1), cms.ErrTooLarge},
	} {
		if certs, err := cms.ReadBag(c.der); !errors.Is(err, c.want) {
			t.Errorf("%s: %d certificates, %v", name, len(certs), err)
		}
	}
}

// Whatever an address gives for a bag ends in certificates or in one of our errors.
func FuzzReadBag(f *testing.F) {
	for _, certs := range [][]*x509.Certificate{nil, bagOf(f)[:1]} {
		der, err := cms.WriteBag(certs)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	f.Add([]byte{0x30, 0x80, 0x00, 0x00})
	f.Fuzz(func(t *testing.T, der []byte) {
		certs, err := cms.ReadBag(der)
		if err != nil && !errors.Is(err, cms.ErrMalformed) && !errors.Is(err, cms.ErrTooLarge) {
			t.Errorf("%v", err)
		}
		if err == nil && slices.Contains(certs, nil) {
			t.Error("no certificate")
		}
	})
}
