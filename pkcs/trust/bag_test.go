package trust_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/citel-pa/citel/pkcs/cms"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/testdata/pki"
)

// Anchors come in bags too, as an authority or Windows writes them.
func TestAnchorsInABag(t *testing.T) {
	p, err := pki.New()
	if err != nil {
		t.Fatal(err)
	}
	der, err := cms.WriteBag([]*x509.Certificate{p.CNS.Cert, p.Root.Cert})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"DER": der, "PEM": pem.EncodeToMemory(&pem.Block{Type: "PKCS7", Bytes: der})} {
		s := trust.NewStore(trust.AllowTest())
		if n, err := s.AddPEM(text, "issuers.p7b", profile.CNS); err != nil || n != 2 || len(s.Anchors()) != 2 {
			t.Errorf("%s: %d anchors, %v", name, n, err)
		}
		if _, err := trust.NewStore().AddPEM(text, "issuers.p7b", profile.CNS); !errors.Is(err, trust.ErrTestAnchor) {
			t.Errorf("%s, test material: %v", name, err)
		}
	}
	if _, err := trust.NewStore().AddPEM(der[:len(der)-1], "issuers.p7b"); !errors.Is(err, trust.ErrNoAnchor) {
		t.Errorf("a bag that was cut: %v", err)
	}
}

// An issuer's address may give several certificates (RFC 5280, 4.2.2.1): the one that issued
// is taken, wherever it stands, and none that only has its name.
func TestIssuerInABag(t *testing.T) {
	p, err := pki.New()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := pki.New()
	if err != nil {
		t.Fatal(err)
	}
	bag := func(certs ...*x509.Certificate) http.HandlerFunc {
		der, err := cms.WriteBag(certs)
		if err != nil {
			t.Fatal(err)
		}
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(der) }
	}
	many := make([]*x509.Certificate, 33)
	for i := range many {
		many[i] = p.CNS.Cert
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/issuers.p7c", bag(p.Root.Cert, stranger.CNS.Cert, p.CNS.Cert))
	mux.HandleFunc("/stranger.p7c", bag(stranger.CNS.Cert))
	mux.HandleFunc("/many.p7c", bag(many...))
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	f := &trust.Fetcher{Private: loopback}
	for path, want := range map[string]*x509.Certificate{"/issuers.p7c": p.CNS.Cert, "/stranger.p7c": nil, "/many.p7c": nil} {
		id := p.MustIssue(t, pki.CNS, pki.P256, pki.Citizens[0], func(c *x509.Certificate) { c.IssuingCertificateURL = []string{srv.URL + path} })
		found := f.Issuers(t.Context(), id.Cert)
		if (want == nil) != (len(found) == 0) || want != nil && !found[0].Equal(want) {
			t.Errorf("%s: %d issuers", path, len(found))
		}
	}
}
