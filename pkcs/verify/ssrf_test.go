package verify_test

import (
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"

	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/verify"
	"github.com/citel-pa/citel/testdata/pki"
)

// A stranger's certificate names addresses; none is asked before its path reached an
// anchor, and issuers' addresses (AIA) never.
func TestUnknownIssuersCauseNoRequest(t *testing.T) {
	var mu sync.Mutex
	asked := map[string]int{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked[r.URL.Path]++
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer srv.Close()
	p, err := pki.New()
	if err != nil {
		t.Fatal(err)
	}
	id := p.MustIssue(t, pki.CNS, pki.P256, pki.Citizens[0], func(c *x509.Certificate) {
		c.OCSPServer, c.CRLDistributionPoints, c.IssuingCertificateURL = []string{srv.URL + "/ocsp"}, []string{srv.URL + "/crl"}, []string{srv.URL + "/issuer"}
	})
	p7m := sign(t, id, "istanza")
	for _, known := range []bool{false, true} {
		s := trust.NewStore(trust.AllowTest())
		if known {
			if _, err := s.AddPEM(p.AnchorsPEM(pki.CNS), "cns", profile.CNS); err != nil {
				t.Fatal(err)
			}
		}
		fetch := &trust.Fetcher{Private: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
		judge(t, p7m, verify.Options{Store: s, Revocation: &trust.Revocation{Store: s, Fetch: fetch}})
		mu.Lock()
		if !known && len(asked) > 0 {
			t.Errorf("unknown issuer: %v", asked)
		}
		if known && (asked["/ocsp"] != 1 || asked["/crl"] != 1 || asked["/issuer"] != 0) {
			t.Errorf("known issuer: %v", asked)
		}
		mu.Unlock()
	}
}
