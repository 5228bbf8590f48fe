package pcscd_test

import (
	"bytes"
	"context"
	"crypto/rsa"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/agent/card/virtual"
	"github.com/citel-pa/citel/testdata/pcscd"
	"github.com/citel-pa/citel/testdata/pki"
)

// service starts a pcscd of the test's own.
func service(t *testing.T, readers int) *pcscd.Service {
	t.Helper()
	s, err := pcscd.Start(t.Context(), readers)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

func newCNS(t *testing.T, family string) (*virtual.CNS, *pki.Identity) {
	t.Helper()
	f, ok := virtual.FamilyByName(family)
	if !ok {
		t.Fatalf("no family %s", family)
	}
	alg := pki.RSA2048
	if strings.HasSuffix(family, "1.0") {
		alg = pki.RSA1024
	}
	who := pki.Citizens[0]
	id := pki.Shared(t).MustIssue(t, pki.CNS, alg, who)
	key, ok := id.Key.(*rsa.PrivateKey)
	if !ok {
		t.Fatal("no RSA key")
	}
	c, err := virtual.NewCNS(virtual.CNSOptions{Family: f, Certificate: id.Cert.Raw, Key: key, ID: who.CardID, PIN: "24680", PUK: "12345678",
		Personal: [16]string{"6090", "01012024", "01012030", who.Surname, who.Given, "01011980", "M", "", who.CF}})
	if err != nil {
		t.Fatal(err)
	}
	return c, id
}

// Debian's OpenSC, which we did not write, judges the virtual CNS.
func TestOpenSCAcceptsTheCNS(t *testing.T) {
	for i, f := range virtual.Families {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			s := service(t, 1)
			card, id := newCNS(t, f.Name)
			if err := s.Readers[0].Insert(t.Context(), card, nil); err != nil {
				t.Fatal(err)
			}
			run := func(name string, args ...string) string {
				t.Helper()
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
				defer cancel()
				cmd := exec.CommandContext(ctx, name, args...)
				cmd.Env = append(os.Environ(), append(s.Env(), "HOME="+t.TempDir())...)
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Errorf("%s %v: %v\n%s\n%s", name, args, err, out, s.Log())
				}
				return string(out)
			}
			if out := run("opensc-tool", "-w", "-n"); !strings.Contains(out, "CNS card") {
				t.Errorf("recognised as %s", out)
			}
			out := run("pkcs15-tool", "-D")
			for _, want := range []string{pki.Citizens[0].Surname, pki.Citizens[0].CardID, "CNS0"} {
				if !strings.Contains(out, want) {
					t.Errorf("without %q:\n%s", want, out)
				}
			}
			if i > 1 && f.PINReference == virtual.Families[0].PINReference {
				return // the rest is the same for the same reference; OpenSC takes its time
			}
			run("pkcs15-tool", "--verify-pin", "--auth-id", "01", "--pin", "24680")
			run("pkcs15-tool", "--change-pin", "--auth-id", "01", "--pin", "24680", "--new-pin", "13579")
			run("pkcs15-tool", "--unblock-pin", "--auth-id", "01", "--puk", "12345678", "--new-pin", "24680")
			dir := t.TempDir()
			data, sig, cert := filepath.Join(dir, "data"), filepath.Join(dir, "sig"), filepath.Join(dir, "cert")
			if err := os.WriteFile(data, []byte("prova"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(cert, pki.EncodePEM(id.Cert), 0o600); err != nil {
				t.Fatal(err)
			}
			module := "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so"
			run("pkcs11-tool", "--module", module, "--login", "--pin", "24680", "--sign", "-m", "SHA256-RSA-PKCS", "-i", data, "-o", sig)
			public := filepath.Join(dir, "public")
			run("openssl", "x509", "-in", cert, "-pubkey", "-noout", "-out", public)
			if out := run("openssl", "dgst", "-sha256", "-verify", public, "-signature", sig, data); !bytes.Contains([]byte(out), []byte("Verified OK")) {
				t.Errorf("openssl: %s", out)
			}
			run("pkcs11-tool", "--module", module, "--login", "--pin", "24680", "--test")
		})
	}
}
