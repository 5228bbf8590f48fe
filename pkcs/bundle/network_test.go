package bundle_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/citel-pa/citel/pkcs/bundle"
	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/signed"
)

// What responders and distribution points said, or did not say, is in the bundle, so
// that the same comes out when they are gone.
func TestSameAgainWithoutTheNetwork(t *testing.T) {
	for what, c := range map[string]struct {
		ocsp, crl bool
		status    int
		want      validation.Indication
	}{
		"a response":           {ocsp: true, want: validation.TotalPassed},
		"a response: revoked":  {ocsp: true, status: ocsp.Revoked, want: validation.Indeterminate},
		"a list":               {crl: true, want: validation.TotalPassed},
		"nobody answers":       {want: validation.Indeterminate},
		"a response of others": {ocsp: true, status: -1, want: validation.Indeterminate},
	} {
		p, err := pki.New()
		if err != nil {
			t.Fatal(err)
		}
		var asked int
		var leaf *pki.Identity
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked++
			switch {
			case c.crl && strings.HasSuffix(r.URL.Path, ".crl"):
				list, err := p.CRL(p.CNS)
				if err != nil {
					t.Error(err)
				}
				_, _ = w.Write(list)
			case c.ocsp && r.Method == http.MethodPost:
				_, _ = io.Copy(io.Discard, r.Body)
				template := ocsp.Response{Status: c.status, SerialNumber: leaf.Cert.SerialNumber, ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour), RevokedAt: time.Now().Add(-time.Hour), Certificate: p.OCSP.Cert}
				if c.status < 0 {
					template.Status, template.SerialNumber = ocsp.Good, p.OCSP.Cert.SerialNumber
				}
				der, err := ocsp.CreateResponse(p.CNS.Cert, p.OCSP.Cert, template, p.OCSP.Key)
				if err != nil {
					t.Error(err)
				}
				_, _ = w.Write(der)
			default:
				http.Error(w, "gone", http.StatusNotFound)
			}
		}))
		p.CRLURL, p.OCSPURL = server.URL, server.URL
		leaf = p.MustIssue(t, pki.CNS, pki.P256, pki.Citizens[0])
		store := trust.NewStore(trust.AllowTest())
		if _, err := store.AddPEM(p.AnchorsPEM(pki.CNS), "cns.pem", profile.CNS); err != nil {
			t.Fatal(err)
		}
		var p7m bytes.Buffer
		err = cades.Sign(t.Context(), cades.SignOptions{Certificate: leaf.Cert, SigningTime: time.Now(),
			Sign: func(_ context.Context, d []byte, o crypto.SignerOpts) ([]byte, error) {
				return leaf.Key.Sign(rand.Reader, d, o)
			},
		}, strings.NewReader(signed.Content), int64(len(signed.Content)), &p7m)
		if err != nil {
			t.Fatal(err)
		}
		m := make2(t, store, &trust.Fetcher{Private: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, signed.File{Name: "a.p7m", Data: p7m.Bytes()}, false)
		server.Close()
		if m.results[0].Indication != c.want || asked == 0 {
			t.Errorf("%s: %s, asked %d times", what, m.results[0].Indication, asked)
		}
		j, err := read(t, m.zip).Judge(t.Context(), bundle.JudgeOptions{})
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		again, err := bundle.ReportJSON(j.Results, j.Lang)
		if err != nil || !bytes.Equal(again, m.report) || !j.Same || len(j.Changed) > 0 {
			t.Errorf("%s: same %v, changed %v, %v\n%s\n%s", what, j.Same, j.Changed, err, m.report, again)
		}
	}
}
