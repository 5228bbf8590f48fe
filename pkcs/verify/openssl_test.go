package verify_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/citel-pa/citel/pkcs/cms"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/pkcs/verify"
	"github.com/citel-pa/citel/testdata/pki"
)

// bySSL has openssl sign content with an identity's key.
func bySSL(t *testing.T, id *pki.Identity, content []byte, args ...string) (p7m []byte, file string) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Fatal("openssl is missing; `make deps` installs it")
	}
	dir := t.TempDir()
	key, err := pki.KeyPEM(id.Key)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"in": content, "cert": pki.EncodePEM(id.Cert), "key": key, "root": pki.EncodePEM(append(id.Chain, id.Cert)...)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("openssl", append([]string{"cms", "-sign", "-binary", "-nodetach", "-in", "in", "-signer", "cert", "-inkey", "key", "-outform", "DER", "-out", "out"}, args...)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file = filepath.Join(dir, "out")
	p7m, err = os.ReadFile(file) //nolint:gosec // a test's own folder
	if err != nil {
		t.Fatal(err)
	}
	return p7m, file
}

// Without signed attributes a signature is plain CMS, never CAdES.
func TestNoattrVerdict(t *testing.T) {
	p := pki.Shared(t)
	id := p.MustIssue(t, pki.CNS, pki.RSA2048, pki.Citizens[0])
	p7m, _ := bySSL(t, id, []byte("contenuto"), "-noattr")
	for name, policy := range map[string]*validation.Policy{"default": validation.Default(), "strict": validation.Strict()} {
		r := judge(t, p7m, verify.Options{Store: store(t, p), Policy: policy})
		if r.Indication != validation.Indeterminate || r.SubIndication != validation.SigConstraintsFailure || r.Facts.Level != "CMS" {
			t.Errorf("%s: %s/%s, level %s", name, r.Indication, r.SubIndication, r.Facts.Level)
		}
	}
}

// The forgery of draft-ietf-lamps-cms-euf-cma-signeddata: what somebody signed as
// attributes is shown as a content without any. openssl takes it, with -cades too
// where it says so; we say TOTAL-FAILED.
func TestAttributesShownAsContent(t *testing.T) {
	p := pki.Shared(t)
	id := p.MustIssue(t, pki.CNS, pki.RSA2048, pki.Citizens[0])
	attrs := cms.SetOf(
		cms.Attribute{OID: cms.OIDContentType, Values: [][]byte{cms.OID(cms.OIDData)}}.Marshal(),
		cms.Attribute{OID: cms.OIDMessageDigest, Values: [][]byte{cms.OctetString(make([]byte, 32))}}.Marshal(),
	)
	p7m, file := bySSL(t, id, attrs, "-noattr")
	out, err := exec.Command("openssl", "cms", "-verify", "-inform", "DER", "-binary", "-in", file, "-CAfile", filepath.Join(filepath.Dir(file), "root"), "-purpose", "any").Output() //nolint:gosec // a test's own files
	if err != nil || !bytes.Equal(out, attrs) {
		t.Errorf("openssl was expected to be fooled: %v", err)
	}
	for name, policy := range map[string]*validation.Policy{"default": validation.Default(), "strict": validation.Strict()} {
		r := judge(t, p7m, verify.Options{Store: store(t, p), Policy: policy})
		if r.Indication != validation.TotalFailed {
			t.Errorf("%s: %s/%s", name, r.Indication, r.SubIndication)
		}
	}
}
