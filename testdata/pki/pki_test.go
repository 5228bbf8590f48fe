package pki

import (
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/trust"
)

var kinds = []Kind{CNS, CIE, Qualified, Expired, NotYetValid, Revoked, WrongUsage, WrongPolicy, OtherRoot, SHA1, WrongCF}

func TestEveryCertificateIsMarked(t *testing.T) {
	p := Shared(t)
	certs := []*x509.Certificate{p.Root.Cert, p.CNS.Cert, p.CIE.Cert, p.Qualified.Cert, p.OCSP.Cert, p.TSA.Cert}
	for _, k := range kinds {
		certs = append(certs, p.MustIssue(t, k, P256, Citizens[0]).Cert)
	}
	for _, c := range certs {
		if !trust.IsTest(c) {
			t.Errorf("%s: no test mark", c.Subject)
		}
		critical := false
		for _, e := range c.Extensions {
			critical = critical || e.Id.String() == "2.5.29.32" && e.Critical
		}
		if !critical {
			t.Errorf("%s: certificatePolicies is not critical", c.Subject)
		}
	}
}

// openssl is the judge of what we issue.
func TestOpenSSLVerifies(t *testing.T) {
	p := Shared(t)
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	root := write("root.pem", p.AnchorsPEM())
	cas := write("cas.pem", p.AnchorsPEM(CNS, CIE, Qualified))
	good := map[Kind]bool{CNS: true, CIE: true, Qualified: true, Revoked: true, WrongUsage: true, WrongPolicy: true, WrongCF: true}
	for _, k := range kinds {
		for _, alg := range []KeyAlg{RSA2048, P384} {
			leaf := write("leaf.pem", EncodePEM(p.MustIssue(t, k, alg, Citizens[0]).Cert))
			out, err := exec.Command("openssl", "verify", "-auth_level", "2", "-CAfile", root, "-untrusted", cas, leaf).CombinedOutput()
			if (err == nil) != good[k] {
				t.Errorf("%s %s: openssl says %v: %s", k, alg, err, out)
			}
		}
	}
}

func TestRevokedIsOnTheList(t *testing.T) {
	p := Shared(t)
	id := p.MustIssue(t, Revoked, P256, Citizens[0])
	der, err := p.CRL(p.CNS)
	if err != nil {
		t.Fatal(err)
	}
	crl, err := x509.ParseRevocationList(der)
	if err != nil {
		t.Fatal(err)
	}
	if err := crl.CheckSignatureFrom(p.CNS.Cert); err != nil {
		t.Error(err)
	}
	for _, e := range crl.RevokedCertificateEntries {
		if e.SerialNumber.Cmp(id.Cert.SerialNumber) == 0 {
			return
		}
	}
	t.Error("the revoked certificate is not listed")
}

func TestSaveAndLoad(t *testing.T) {
	p := Shared(t)
	dir := filepath.Join(t.TempDir(), "pki")
	if err := p.Save(dir); err != nil {
		t.Fatal(err)
	}
	q, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	id := q.MustIssue(t, CNS, P256, Citizens[1])
	if err := id.Cert.CheckSignatureFrom(p.CNS.Cert); err != nil {
		t.Error(err)
	}
	if _, err := q.CRL(q.CNS); err != nil {
		t.Error(err)
	}
}

func TestSmallKey(t *testing.T) {
	id := Shared(t).MustIssue(t, CNS, RSA1024, Citizens[0])
	if id.Cert.NotAfter.Before(time.Now()) {
		t.Error("expired")
	}
}
