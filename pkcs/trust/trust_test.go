package trust_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/testdata/pki"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// What a certificate's address must not make us reach.
func TestForbiddenAddresses(t *testing.T) {
	f := &trust.Fetcher{Timeout: time.Second}
	for _, address := range []string{
		"http://127.0.0.1:1/", "http://localhost:1/", "http://[::1]:1/", "http://[::ffff:127.0.0.1]:1/", "http://0.0.0.0:1/", "http://[::]:1/",
		"http://10.0.0.1/", "http://172.16.0.1/", "http://192.168.1.1/", "http://100.64.0.1/", "http://[fd00::1]/", "http://169.254.169.254/latest/",
		"http://[fe80::1]/", "http://224.0.0.1/", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "http://198.18.0.1/", "http://2130706433:1/",
		"file:///etc/passwd", "ldap://127.0.0.1/", "ftp://127.0.0.1/", "gopher://127.0.0.1/", "http://", "", "http://user:pass@example.org/",
	} {
		if _, err := f.Get(t.Context(), address, 10); err == nil {
			t.Errorf("%s was reached", address)
		} else if !errors.Is(err, trust.ErrForbidden) && !strings.Contains(err.Error(), "2130706433") {
			t.Errorf("%s: %v", address, err)
		}
	}
	// Link-local addresses are refused even where everything private is allowed.
	open := &trust.Fetcher{Timeout: time.Second, Private: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}
	if _, err := open.Get(t.Context(), "http://169.254.169.254/", 10); !errors.Is(err, trust.ErrForbidden) {
		t.Errorf("link-local: %v", err)
	}
}

func TestFetchingIsBounded(t *testing.T) {
	var hits atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc("/big", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1000)) })
	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		http.Redirect(w, r, "/loop", http.StatusFound)
	})
	mux.HandleFunc("/inside", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://10.0.0.1/", http.StatusFound)
	})
	mux.HandleFunc("/file", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "file:///etc/passwd")
		w.WriteHeader(http.StatusFound)
	})
	mux.HandleFunc("/gone", http.NotFound)
	s := httptest.NewServer(mux)
	defer s.Close()
	f := &trust.Fetcher{Private: loopback, Timeout: 300 * time.Millisecond}
	if data, err := (&trust.Fetcher{Private: loopback}).Get(t.Context(), s.URL+"/big", 1000); err != nil || len(data) != 1000 {
		t.Errorf("just right: %d bytes, %v", len(data), err)
	}
	for path, limit := range map[string]int64{"/big": 999, "/slow": 10, "/loop": 10, "/inside": 10, "/file": 10, "/gone": 1000} {
		if _, err := f.Get(t.Context(), s.URL+path, limit); err == nil {
			t.Errorf("%s was taken", path)
		}
	}
	if n := hits.Load(); n > 5 {
		t.Errorf("%d redirects were followed", n)
	}
}

func anchored(t *testing.T, p *pki.PKI, kinds ...pki.Kind) *trust.Store {
	t.Helper()
	s := trust.NewStore(trust.AllowTest())
	for _, k := range kinds {
		if _, err := s.AddPEM(p.AnchorsPEM(k), string(k), profile.Profile(k)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestTestMaterialNeedsToBeAllowed(t *testing.T) {
	p := pki.Shared(t)
	if _, err := trust.NewStore().AddPEM(p.AnchorsPEM(pki.CNS), "x", profile.CNS); err == nil {
		t.Error("test anchors are taken")
	}
}

func TestPaths(t *testing.T) {
	p := pki.Shared(t)
	id := p.MustIssue(t, pki.CNS, pki.P256, pki.Citizens[0])
	s := anchored(t, p, pki.CNS)
	facts, path := s.Path(id.Cert, nil)
	if !facts.Found || !path[0].Equal(id.Cert) || len(facts.Anchor.Profiles) != 1 || facts.Anchor.Profiles[0] != "cns" || !facts.Anchor.Test {
		t.Errorf("%+v", facts)
	}
	if facts, path := anchored(t, p, pki.CIE).Path(id.Cert, nil); facts.Found || path != nil {
		t.Error("an anchor of another profile's issuer is taken")
	}
	// The file brings its own root: it is a helper, never an anchor.
	if facts, _ := trust.NewStore(trust.AllowTest()).Path(id.Cert, id.Chain); facts.Found {
		t.Error("a file's own root is trusted")
	}
	if facts, _ := s.Path(p.MustIssue(t, pki.OtherRoot, pki.P256, pki.Citizens[0]).Cert, nil); facts.Found {
		t.Error("another root with the same names is trusted")
	}
}

// issue makes a certificate by hand, for paths that no authority would make.
func issue(t *testing.T, name string, change func(*x509.Certificate), issuer *x509.Certificate, key crypto.Signer) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	own, err := pki.GenerateKey(pki.P256)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name, Organization: []string{"CiTel TEST"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	change(tmpl)
	if issuer == nil {
		issuer, key = tmpl, own
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, issuer, own.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c, own
}

func TestPathRules(t *testing.T) {
	same := func(*x509.Certificate) {}
	leaf := func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature }
	for name, c := range map[string]struct {
		between func(*x509.Certificate)
		fault   string
	}{
		"good":             {same, ""},
		"not an authority": {func(c *x509.Certificate) { c.IsCA = false }, "issuer-not-ca"},
		"may not sign":     {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }, "issuer-key-usage"},
		"critical and unknown": {func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, Critical: true, Value: []byte{5, 0}}}
		}, "any"},
	} {
		t.Run(name, func(t *testing.T) {
			root, rootKey := issue(t, "root", same, nil, nil)
			mid, midKey := issue(t, "mid", c.between, root, rootKey)
			end, _ := issue(t, "end", leaf, mid, midKey)
			s := trust.NewStore(trust.AllowTest())
			if _, err := s.AddPEM(pki.EncodePEM(root), "x", profile.CNS); err != nil {
				t.Fatal(err)
			}
			facts, _ := s.Path(end, []*x509.Certificate{mid})
			var got []string
			for _, l := range facts.Links {
				for _, f := range l.Faults {
					got = append(got, f.ID)
				}
			}
			switch {
			case !facts.Found:
				t.Errorf("no path: %s", facts.Note)
			case c.fault == "" && len(got) > 0, c.fault != "" && len(got) == 0, c.fault != "" && c.fault != "any" && !strings.Contains(strings.Join(got, " "), c.fault):
				t.Errorf("faults: %v", got)
			}
		})
	}
}

// A file with many certificates that could all be the issuer costs a bounded effort:
// each of them could stand behind each other one.
func TestManyHelpers(t *testing.T) {
	var helpers []*x509.Certificate
	root, rootKey := issue(t, "loop", func(*x509.Certificate) {}, nil, nil)
	for i := range int64(80) { // of one key
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(i + 1), Subject: root.Subject, NotBefore: root.NotBefore, NotAfter: root.NotAfter, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, rootKey.Public(), rootKey)
		if err != nil {
			t.Fatal(err)
		}
		h, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		helpers = append(helpers, h)
	}
	end, _ := issue(t, "end", func(c *x509.Certificate) { c.IsCA = false }, root, rootKey)
	if facts, _ := trust.NewStore().Path(end, helpers); facts.Found || !strings.Contains(facts.Note, "too many certificates") {
		t.Errorf("a path to nowhere: %+v", facts)
	}
	if signatures, steps := trust.NewStore().Effort(end, helpers); signatures == 0 || signatures > 60 || steps > 3000 {
		t.Errorf("%d signatures were checked in %d steps", signatures, steps)
	}
}

func crl(t *testing.T, ca *pki.CA, change func(*x509.RevocationList), revoked ...*x509.Certificate) []byte {
	t.Helper()
	l := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour)}
	for _, c := range revoked {
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: time.Now().Add(-time.Second), ReasonCode: 1})
	}
	change(l)
	der, err := x509.CreateRevocationList(rand.Reader, l, ca.Cert, ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestRevocationLists(t *testing.T) {
	p := pki.Shared(t)
	ca, other := p.Issuer(pki.CNS), p.Issuer(pki.CIE)
	id := p.MustIssue(t, pki.CNS, pki.P256, pki.Citizens[0])
	extension := func(oid []int, critical bool, value []byte) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) {
			l.ExtraExtensions = []pkix.Extension{{Id: oid, Critical: critical, Value: value}}
		}
	}
	same := func(*x509.RevocationList) {}
	idp := []int{2, 5, 29, 28}
	for name, c := range map[string]struct {
		list    []byte
		status  string
		trusted bool
	}{
		"good":                      {crl(t, ca, same), "good", true},
		"revoked":                   {crl(t, ca, same, id.Cert), "revoked", true},
		"another authority's":       {crl(t, other, same, id.Cert), "", false},
		"delta":                     {crl(t, ca, extension([]int{2, 5, 29, 27}, true, []byte{2, 1, 1})), "unknown", false},
		"authorities only":          {crl(t, ca, extension(idp, true, []byte{0x30, 3, 0x82, 1, 0xFF})), "unknown", false},
		"indirect":                  {crl(t, ca, extension(idp, true, []byte{0x30, 3, 0x84, 1, 0xFF})), "good", true},
		"users only":                {crl(t, ca, extension(idp, true, []byte{0x30, 3, 0x81, 1, 0xFF})), "good", true},
		"some reasons":              {crl(t, ca, extension(idp, true, []byte{0x30, 4, 0x83, 2, 1, 0x06})), "unknown", false},
		"damaged scope":             {crl(t, ca, extension(idp, true, []byte{0x31, 0})), "unknown", false},
		"critical and unknown":      {crl(t, ca, extension([]int{1, 2, 3}, true, []byte{5, 0})), "unknown", false},
		"unknown, but not critical": {crl(t, ca, extension([]int{1, 2, 3}, false, []byte{5, 0})), "good", true},
		"signature changed":         {flip(crl(t, ca, same)), "unknown", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := trust.NewStore(trust.AllowTest())
			if err := s.AddCRL(c.list, "test"); err != nil {
				t.Fatal(err)
			}
			r := &trust.Revocation{Store: s}
			facts := r.About(t.Context(), trust.Question{Cert: id.Cert, Issuer: ca.Cert})
			if c.status == "" {
				if len(facts) != 0 {
					t.Errorf("%+v", facts)
				}
				return
			}
			if len(facts) != 1 || facts[0].Status != c.status || facts[0].Trusted != c.trusted || !c.trusted && facts[0].Note == "" {
				t.Errorf("%+v", facts)
			}
		})
	}
	for name, bad := range map[string][]byte{"empty": nil, "garbage": []byte("no list"), "a certificate": id.Cert.Raw} {
		if _, err := trust.ParseCRL(bad, name); !errors.Is(err, trust.ErrCRL) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Lists for some reasons each speak together; a delta list adds to a complete one.
func TestListsTogether(t *testing.T) {
	p := pki.Shared(t)
	ca := p.Issuer(pki.CNS)
	id := p.MustIssue(t, pki.CNS, pki.P256, pki.Citizens[0])
	with := func(oid []int, value []byte) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) {
			l.ExtraExtensions = []pkix.Extension{{Id: oid, Critical: true, Value: value}}
		}
	}
	idp, deltaOf := []int{2, 5, 29, 28}, []int{2, 5, 29, 27}
	// ReasonFlags: keyCompromise and cACompromise; all others.
	some, rest := crl(t, ca, with(idp, []byte{0x30, 4, 0x83, 2, 5, 0x60})), crl(t, ca, with(idp, []byte{0x30, 5, 0x83, 3, 7, 0x1F, 0x80}))
	same := func(*x509.RevocationList) {}
	for name, c := range map[string]struct {
		lists [][]byte
		want  string
	}{
		"one part":               {[][]byte{some}, "unknown"},
		"both parts":             {[][]byte{some, rest}, "good"},
		"revoked by one part":    {[][]byte{some, crl(t, ca, with(idp, []byte{0x30, 5, 0x83, 3, 7, 0x1F, 0x80}), id.Cert)}, "revoked"},
		"delta that revokes":     {[][]byte{crl(t, ca, same), crl(t, ca, with(deltaOf, []byte{2, 1, 1}), id.Cert)}, "revoked"},
		"delta with nothing new": {[][]byte{crl(t, ca, same), crl(t, ca, with(deltaOf, []byte{2, 1, 1}))}, "good"},
	} {
		s := trust.NewStore(trust.AllowTest())
		for i, l := range c.lists {
			if err := s.AddCRL(l, fmt.Sprint(name, i)); err != nil {
				t.Fatal(err)
			}
		}
		got := "unknown"
		for _, f := range (&trust.Revocation{Store: s}).About(t.Context(), trust.Question{Cert: id.Cert, Issuer: ca.Cert}) {
			if f.Trusted && (f.Status == "revoked" || got == "unknown") {
				got = f.Status
			}
		}
		if got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func flip(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)-3] ^= 1
	return b
}

// One request serves everybody who waits for the same list; a dead address is
// left alone for a while; the list that came is remembered.
func TestListsAreFetchedOnce(t *testing.T) {
	p, err := pki.New()
	if err != nil {
		t.Fatal(err)
	}
	ca := p.Issuer(pki.CNS)
	list := crl(t, ca, func(*x509.RevocationList) {})
	var hits, dead atomic.Int32
	release := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/cns.crl", func(w http.ResponseWriter, _ *http.Request) { hits.Add(1); <-release; _, _ = w.Write(list) })
	mux.HandleFunc("/dead/cns.crl", func(w http.ResponseWriter, r *http.Request) { dead.Add(1); http.NotFound(w, r) })
	srv := httptest.NewServer(mux)
	defer srv.Close()
	r := &trust.Revocation{Store: trust.NewStore(trust.AllowTest()), Fetch: &trust.Fetcher{Private: loopback}}
	p.CRLURL = srv.URL
	id := p.MustIssue(t, pki.CNS, pki.P256, pki.Citizens[0])
	p.CRLURL = srv.URL + "/dead"
	gone := p.MustIssue(t, pki.CNS, pki.P256, pki.Citizens[0])

	results := make(chan string, 8)
	for range cap(results) {
		go func() {
			f := r.About(context.Background(), trust.Question{Cert: id.Cert, Issuer: ca.Cert})
			results <- fmt.Sprint(len(f), " ", f[0].Status)
		}()
	}
	time.Sleep(50 * time.Millisecond)
	close(release)
	for range cap(results) {
		if got := <-results; got != "1 good" {
			t.Error(got)
		}
	}
	if f := r.About(t.Context(), trust.Question{Cert: id.Cert, Issuer: ca.Cert}); len(f) != 1 || f[0].Status != "good" {
		t.Errorf("the second time: %+v", f)
	}
	if n := hits.Load(); n != 1 {
		t.Errorf("fetched %d times", n)
	}
	for range 3 {
		for _, f := range r.About(t.Context(), trust.Question{Cert: gone.Cert, Issuer: ca.Cert}) {
			if f.Status == "good" {
				t.Errorf("a list that cannot be fetched says good: %+v", f)
			}
		}
	}
	if n := dead.Load(); n != 1 {
		t.Errorf("the dead address was asked %d times", n)
	}
}
