package trust_test

import (
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/testdata/pki"
)

// Whoever took a card keeps a list of before its revocation and puts it into the file: it
// is genuine and still current. The authority is asked all the same.
func TestEmbeddedAnswerDoesNotSilenceTheAuthority(t *testing.T) {
	p, err := pki.New()
	if err != nil {
		t.Fatal(err)
	}
	ca := p.Issuer(pki.CNS)
	var now []byte
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if now == nil {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(now)
	}))
	defer srv.Close()
	p.CRLURL = srv.URL
	id := p.MustIssue(t, pki.CNS, pki.P256, pki.Citizens[0])
	before := crl(t, ca, func(l *x509.RevocationList) { l.ThisUpdate = time.Now().Add(-time.Hour) })
	about := func(want ...string) {
		t.Helper()
		r := &trust.Revocation{Store: trust.NewStore(trust.AllowTest()), Fetch: &trust.Fetcher{Private: loopback}}
		said := map[string]bool{}
		for _, f := range r.About(t.Context(), trust.Question{Cert: id.Cert, Issuer: ca.Cert, CRLs: [][]byte{before}}) {
			if f.Trusted {
				said[f.Status] = true
			}
		}
		for _, w := range want {
			if !said[w] {
				t.Errorf("nobody said %q: %v", w, said)
			}
		}
	}
	about("good") // the authority is silent: what the file has counts
	now = crl(t, ca, func(*x509.RevocationList) {}, id.Cert)
	about("good", "revoked") // and revoked by anybody who counts is revoked
}
