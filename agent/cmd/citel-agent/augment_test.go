package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/pkcs/verify"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/tsa"
)

// issuer publishes what an issuer publishes: its certificate, a list, a responder.
func issuer(t *testing.T) (*pki.PKI, string, *int) {
	t.Helper()
	p, err := pki.New()
	if err != nil {
		t.Fatal(err)
	}
	status := ocsp.Good
	mux := http.NewServeMux()
	mux.HandleFunc("/issuer", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(p.CNS.Cert.Raw) })
	mux.HandleFunc("/ocsp", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
		if err != nil {
			t.Error(err)
		}
		q, err := ocsp.ParseRequest(body)
		if err != nil {
			t.Error(err)
			return
		}
		answer, err := ocsp.CreateResponse(p.CNS.Cert, p.CNS.Cert, ocsp.Response{
			Status: status, SerialNumber: q.SerialNumber, ThisUpdate: time.Now().Add(-time.Second), NextUpdate: time.Now().Add(time.Hour), RevokedAt: time.Now().Add(-time.Minute),
		}, p.CNS.Key)
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(answer)
	})
	mux.HandleFunc("/cns.crl", func(w http.ResponseWriter, _ *http.Request) {
		list, err := p.CRL(p.CNS)
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(list)
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return p, srv.URL, &status
}

// B-LT: the file alone is enough, for us without a network, and for openssl.
func TestLevelLT(t *testing.T) {
	p, address, status := issuer(t)
	stamper := tsa.Start(t, p.TSA)
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	anchors := trust.NewStore(trust.AllowTest())
	for kind, prof := range map[pki.Kind]profile.Profile{pki.CNS: profile.CNS} {
		if _, err := anchors.AddPEM(p.AnchorsPEM(kind), "ca", prof); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := anchors.AddPEM(pki.EncodePEM(p.Root.Cert), "root"); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change  func(*x509.Certificate)
		trusted bool
		status  int
		want    string
		in      string // what has to be in the file
	}{
		"responder, anchors named": {func(c *x509.Certificate) { c.OCSPServer = []string{address + "/ocsp"} }, true, ocsp.Good, "", "ocsp"},
		"list, anchors named":      {func(c *x509.Certificate) { c.CRLDistributionPoints = []string{address + "/cns.crl"} }, true, ocsp.Good, "", "crl"},
		"responder, issuer by its name": {func(c *x509.Certificate) {
			c.OCSPServer, c.IssuingCertificateURL = []string{address + "/ocsp"}, []string{address + "/issuer"}
		}, false, ocsp.Good, "", "ocsp"},
		"issuer that nobody knows": {func(c *x509.Certificate) { c.OCSPServer = []string{address + "/ocsp"} }, false, ocsp.Good, "no anchor issued", ""},
		"revoked":                  {func(c *x509.Certificate) { c.OCSPServer = []string{address + "/ocsp"} }, true, ocsp.Revoked, "revoked", ""},
		"responder out of reach":   {func(c *x509.Certificate) { c.OCSPServer = []string{address + "/gone"} }, true, ocsp.Good, "404", ""},
	} {
		t.Run(name, func(t *testing.T) {
			*status = c.status
			id := p.MustIssue(t, pki.CNS, pki.P256, pki.Citizens[0], c.change)
			dir := t.TempDir()
			r := &results{names: []string{filepath.Join(dir, "istanza.p7m")}}
			defer r.discard()
			out, err := r.open(0)
			if err != nil {
				t.Fatal(err)
			}
			content := []byte("istanza")
			err = cades.Sign(t.Context(), cades.SignOptions{Certificate: id.Cert, SigningTime: time.Now(), Sign: func(_ context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
				return id.Key.Sign(rand.Reader, digest, opts)
			}}, bytes.NewReader(content), int64(len(content)), out)
			if err != nil || out.Close() != nil {
				t.Fatal(err)
			}
			f := signFlags{level: "LT", tsa: stamper, private: []string{loopback[0].String()}}
			a, err := f.augmenter()
			if err != nil {
				t.Fatal(err)
			}
			if c.trusted {
				a.anchors = anchors
			}
			err = a.augment(t.Context(), r)
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), profile.DistinguishedName(id.Cert.Subject)) {
					t.Errorf("%v, want %q", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := r.keep(); err != nil {
				t.Fatal(err)
			}
			judgeLT(t, r.names[0], c.in, anchors, p)
		})
	}
}

func judgeLT(t *testing.T, file, in string, anchors *trust.Store, p *pki.PKI) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got, err := verify.Reader(t.Context(), bytes.NewReader(data), verify.Options{Store: anchors, Policy: validation.Strict()})
	if err != nil || len(got) != 1 {
		t.Fatal(err)
	}
	if f := got[0].Facts; got[0].Indication != validation.TotalPassed || f.Level != "B-LT" || in == "ocsp" && len(f.OCSPs) != 1 || in == "crl" && len(f.CRLs) != 1 {
		t.Errorf("%s %s, %s, %d responses, %d lists", got[0].Indication, got[0].SubIndication, f.Level, len(f.OCSPs), len(f.CRLs))
		for _, x := range got[0].Findings {
			t.Log(x.Check, x.Level, x.Text(message.English))
		}
	}
	// Years later, when the certificate has ended, the time-stamp and the answer still say so.
	later, err := verify.Reader(t.Context(), bytes.NewReader(data), verify.Options{Store: anchors, Time: got[0].Facts.SignerX509().NotAfter.Add(time.Hour)})
	if err != nil || later[0].Indication == validation.TotalFailed {
		t.Errorf("later: %v %s", err, later[0].Indication)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pki.EncodePEM(p.Root.Cert, p.CNS.Cert), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "openssl", "cms", "-verify", "-cades", "-binary", "-inform", "DER", "-in", file, "-CAfile", ca, "-purpose", "any", "-ignore_critical", "-out", os.DevNull) //nolint:gosec // fixed words
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("openssl: %v\n%s", err, msg)
	}
	show, err := exec.CommandContext(t.Context(), "openssl", "cms", "-cmsout", "-print", "-noout", "-inform", "DER", "-in", file).CombinedOutput() //nolint:gosec // fixed words
	if err != nil || in == "ocsp" && !strings.Contains(string(show), "other") || in == "crl" && !strings.Contains(string(show), "crls") {
		t.Errorf("openssl does not see it: %v\n%s", err, show)
	}
}
