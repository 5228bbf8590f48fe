package trust_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/trust/ocsp"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/testdata/pki"
)

// responder is openssl's, behind HTTP on loopback.
type responder struct {
	URL    string
	asked  atomic.Int64
	down   atomic.Bool
	fixed  []byte // given instead of a new answer
	dir    string
	signer *x509.Certificate
	key    crypto.Signer
	ca     *x509.Certificate
	index  strings.Builder
	args   []string
}

func newResponder(t *testing.T, ca *pki.CA) *responder {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Fatal("openssl is missing: sudo apt-get install openssl")
	}
	r := &responder{dir: t.TempDir(), signer: ca.Cert, key: ca.Key, ca: ca.Cert}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.asked.Add(1)
		if r.down.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		body, err := io.ReadAll(io.LimitReader(req.Body, 1<<16))
		if err != nil {
			t.Error(err)
		}
		answer := r.fixed
		if answer == nil {
			answer = r.answer(t, body)
		}
		w.Header().Set("Content-Type", "application/ocsp-response")
		_, _ = w.Write(answer)
	}))
	t.Cleanup(server.Close)
	r.URL = server.URL
	return r
}

// knows puts a certificate on the responder's books.
func (r *responder) knows(c *x509.Certificate, revoked bool) {
	serial := strings.ToUpper(c.SerialNumber.Text(16))
	if len(serial)%2 == 1 {
		serial = "0" + serial
	}
	end := c.NotAfter.UTC().Format("060102150405Z")
	if revoked {
		fmt.Fprintf(&r.index, "R\t%s\t%s,keyCompromise\t%s\tunknown\t/CN=x\n", end, time.Now().UTC().Add(-time.Hour).Format("060102150405Z"), serial)
		return
	}
	fmt.Fprintf(&r.index, "V\t%s\t\t%s\tunknown\t/CN=x\n", end, serial)
}

func (r *responder) answer(t *testing.T, request []byte) []byte {
	t.Helper()
	key, err := pki.KeyPEM(r.key)
	if err != nil {
		t.Error(err)
	}
	file := func(name string, data []byte) string {
		name = filepath.Join(r.dir, name)
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Error(err)
		}
		return name
	}
	out := filepath.Join(r.dir, "response.der")
	args := slices.Concat([]string{"ocsp", "-index", file("index.txt", []byte(r.index.String())), "-CA", file("ca.pem", pki.EncodePEM(r.ca)),
		"-rsigner", file("signer.pem", pki.EncodePEM(r.signer)), "-rkey", file("key.pem", key), "-reqin", file("request.der", request), "-respout", out}, r.args)
	if msg, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput(); err != nil { //nolint:gosec // fixed words
		t.Errorf("openssl ocsp: %v\n%s", err, msg)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Error(err)
	}
	return data
}

// delegate issues a responder's certificate.
func delegate(t *testing.T, ca *pki.CA, usage ...x509.ExtKeyUsage) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	return delegateWith(t, ca, usage)
}

func delegateWith(t *testing.T, ca *pki.CA, usage []x509.ExtKeyUsage, change ...func(*x509.Certificate)) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	key, err := pki.GenerateKey(pki.P256)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "responder", Organization: []string{trust.TestOrganization}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: usage,
	}
	for _, f := range change {
		f(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.Cert, key.Public(), ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c, key
}

type counter struct {
	pki *pki.PKI
	r   *responder
	rev *trust.Revocation
	id  *pki.Identity
}

func newCounter(t *testing.T) *counter {
	t.Helper()
	p, err := pki.New()
	if err != nil {
		t.Fatal(err)
	}
	c := &counter{pki: p, r: newResponder(t, p.CNS)}
	p.OCSPURL = c.r.URL
	s := trust.NewStore(trust.AllowTest())
	if _, err := s.AddPEM(p.AnchorsPEM(pki.CNS), "cns", profile.CNS); err != nil {
		t.Fatal(err)
	}
	c.rev = &trust.Revocation{Store: s, Fetch: &trust.Fetcher{Private: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
	c.id = p.MustIssue(t, pki.CNS, pki.P256, pki.Citizens[0])
	return c
}

func (c *counter) about(t *testing.T, q trust.Question) validation.RevocationFacts {
	t.Helper()
	if q.Cert == nil {
		q.Cert, q.Issuer = c.id.Cert, c.pki.CNS.Cert
	}
	facts := c.rev.About(t.Context(), q)
	if len(facts) == 0 {
		t.Fatal("no facts at all")
	}
	return facts[0]
}

// openssl's responder is asked, understood, and its answer kept.
func TestResponder(t *testing.T) {
	for _, by := range []string{"issuer", "delegated"} {
		for _, revoked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, revoked %v", by, revoked), func(t *testing.T) {
				c := newCounter(t)
				c.r.knows(c.id.Cert, revoked)
				c.r.args = []string{"-ndays", "1"}
				if by == "delegated" {
					c.r.signer, c.r.key = delegate(t, c.pki.CNS, x509.ExtKeyUsageOCSPSigning)
				}
				want := "good"
				if revoked {
					want = "revoked"
				}
				f := c.about(t, trust.Question{})
				if f.Status != want || !f.Trusted || f.Kind != "ocsp" || f.ByIssuer != (by == "issuer") || (f.By != nil) != (by == "delegated") || f.DigestName == "" || f.Object == "" {
					t.Errorf("%+v", f)
				}
				if revoked && (f.Reason != "keyCompromise" || f.RevokedAt == nil) {
					t.Errorf("%+v", f)
				}
				// A second question is answered from memory, also when the responder is gone.
				c.r.down.Store(true)
				if f := c.about(t, trust.Question{}); f.Status != want || c.r.asked.Load() != 1 {
					t.Errorf("asked again: %+v, %d times", f, c.r.asked.Load())
				}
			})
		}
	}
}

// Answers that must not count.
func TestBadResponses(t *testing.T) {
	other, err := pki.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		name string
		make func(t *testing.T, c *counter)
		note string
	}{
		{"responder that nobody gave the word", func(t *testing.T, c *counter) { c.r.signer, c.r.key = delegate(t, c.pki.CNS) }, "not for OCSP"},
		{"responder of another authority", func(t *testing.T, c *counter) {
			c.r.signer, c.r.key = delegate(t, other.CNS, x509.ExtKeyUsageOCSPSigning)
		}, "not from the certificate's issuer"},
		{"authority of another PKI with the same name", func(_ *testing.T, c *counter) { c.r.signer, c.r.key = other.CNS.Cert, other.CNS.Key }, "does not hold"},
		{"answer to another request", func(t *testing.T, c *counter) {
			request, err := ocsp.NewRequest(c.id.Cert, c.pki.CNS.Cert, bytes.Repeat([]byte{1}, 32))
			if err != nil {
				t.Fatal(err)
			}
			c.r.fixed = c.r.answer(t, request)
		}, "another request"},
		{"answer about another certificate", func(t *testing.T, c *counter) {
			request, err := ocsp.NewRequest(c.pki.MustIssue(t, pki.CNS, pki.P256, pki.Citizens[1]).Cert, c.pki.CNS.Cert, nil)
			if err != nil {
				t.Fatal(err)
			}
			c.r.fixed = c.r.answer(t, request)
		}, "other certificates"},
		{"same number, another issuer", func(t *testing.T, c *counter) {
			request, err := ocsp.NewRequest(c.id.Cert, c.pki.CIE.Cert, nil)
			if err != nil {
				t.Fatal(err)
			}
			c.r.ca = c.pki.CIE.Cert
			c.r.fixed = c.r.answer(t, request)
		}, "other certificates"},
		{"changed", func(t *testing.T, c *counter) {
			request, err := ocsp.NewRequest(c.id.Cert, c.pki.CNS.Cert, nil)
			if err != nil {
				t.Fatal(err)
			}
			c.r.fixed = bytes.Replace(c.r.answer(t, request), []byte("CiTel TEST"), []byte("CiTel TESU"), 1)
		}, ""},
		{"nothing", func(_ *testing.T, c *counter) { c.r.fixed = []byte{0x30, 0x03, 0x0a, 0x01, 0x06} }, "status 6"},
		{"garbage", func(_ *testing.T, c *counter) { c.r.fixed = []byte("ciao") }, "malformed"},
		{"out of reach", func(_ *testing.T, c *counter) { c.r.down.Store(true) }, "503"},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := newCounter(t)
			c.r.knows(c.id.Cert, false)
			x.make(t, c)
			if f := c.about(t, trust.Question{}); f.Trusted || f.Status != "unknown" || !strings.Contains(f.Note, x.note) {
				t.Errorf("%+v", f)
			}
		})
	}
	t.Run("a certificate that the responder does not know", func(t *testing.T) {
		c := newCounter(t)
		if f := c.about(t, trust.Question{}); f.Trusted || f.Status != "unknown" {
			t.Errorf("%+v", f)
		}
	})
}

// Who answers may have been revoked in turn: that is asked, unless its issuer says that it
// need not be (RFC 6960, 4.2.2.2.1).
func TestRespondersOwnRevocation(t *testing.T) {
	for name, x := range map[string]struct {
		noCheck, revoked, list bool
		want                   string
	}{
		"good":                 {list: true},
		"not known":            {want: validation.CheckRevocationVouched},
		"revoked":              {list: true, revoked: true, want: validation.CheckRevocationKnown},
		"nocheck":              {noCheck: true},
		"nocheck, and revoked": {noCheck: true, list: true, revoked: true},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCounter(t)
			c.r.knows(c.id.Cert, false)
			c.r.args = []string{"-ndays", "1"}
			var change []func(*x509.Certificate)
			if x.noCheck {
				change = append(change, func(c *x509.Certificate) {
					c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}, Value: []byte{5, 0}}}
				})
			}
			c.r.signer, c.r.key = delegateWith(t, c.pki.CNS, []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}, change...)
			if x.revoked {
				c.pki.Revoke(c.r.signer)
			}
			f := &validation.Facts{Time: time.Now(), Identity: validation.IdentityFacts{RevocationSources: true}}
			var path []*x509.Certificate
			f.Chain, path = c.rev.Store.Path(c.id.Cert, nil)
			q := trust.Question{Cert: path[0], Issuer: path[1], Path: path}
			first := c.rev.About(t.Context(), q) // before there is a list that would do without the responder
			if x.list {
				list, err := c.pki.CRL(c.pki.CNS)
				if err != nil {
					t.Fatal(err)
				}
				about := c.rev.About(t.Context(), trust.Question{Cert: c.r.signer, Issuer: path[1], CRLs: [][]byte{list}})
				first = append(first, about...)
			}
			f.Revocation = first
			var got []string
			for _, x := range validation.JudgeCertificate(f, validation.Default()) {
				got = append(got, x.Check)
			}
			if x.want == "" && len(got) > 0 || x.want != "" && !slices.Contains(got, x.want) {
				t.Errorf("%v, want %q", got, x.want)
			}
		})
	}
}

// Responses that a signature brings along: with their envelope and without.
func TestEmbeddedResponse(t *testing.T) {
	c := newCounter(t)
	c.r.knows(c.id.Cert, false)
	request, err := ocsp.NewRequest(c.id.Cert, c.pki.CNS.Cert, nil)
	if err != nil {
		t.Fatal(err)
	}
	whole := c.r.answer(t, request)
	r, err := ocsp.Parse(whole)
	if err != nil {
		t.Fatal(err)
	}
	c.rev.Fetch = nil
	for _, der := range [][]byte{whole, r.Raw} {
		if f := c.about(t, trust.Question{Cert: c.id.Cert, Issuer: c.pki.CNS.Cert, OCSPs: [][]byte{der}}); f.Status != "good" || !f.Trusted || f.Object != validation.ObjectID(r.Raw) {
			t.Errorf("%+v", f)
		}
	}
}

func FuzzResponse(f *testing.F) {
	f.Add([]byte{0x30, 0x03, 0x0a, 0x01, 0x06})
	cert := &x509.Certificate{SerialNumber: big.NewInt(1)}
	f.Fuzz(func(_ *testing.T, data []byte) {
		r, err := ocsp.Parse(data)
		if err != nil {
			return
		}
		r.Names(cert)
		r.NonceIs([]byte{1})
		r.About(cert, cert)
		_ = r.Verify(cert)
	})
}
