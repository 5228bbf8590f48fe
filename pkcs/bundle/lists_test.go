package bundle_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/bundle"
	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/trust/lists"
	scenes "github.com/citel-pa/citel/testdata/lists"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/signed"
)

// What a trusted list said of the authority is kept with the bundle's authority: the
// kind of signature comes out the same without the list.
func TestSameAgainWithTrustedLists(t *testing.T) {
	p, err := pki.New()
	if err != nil {
		t.Fatal(err)
	}
	scene, err := scenes.NewScene(p, "https://lists.example")
	if err != nil {
		t.Fatal(err)
	}
	lotl, err := scene.Write(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l := &lists.Loader{Store: trust.NewStore(trust.AllowTest()), Source: lotl, Signers: lists.Signers{sha256.Sum256(scene.Official.Cert.Raw): true}}
	if err := l.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	for kind, want := range map[pki.Kind]string{pki.Qualified: "qualified", pki.CNS: "advanced-cns", pki.CIE: "advanced-cie"} {
		list, err := p.CRL(p.Issuer(kind))
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Store.AddCRL(list, string(kind)); err != nil {
			t.Fatal(err)
		}
		id := p.MustIssue(t, kind, pki.P256, pki.Citizens[0])
		var p7m bytes.Buffer
		err = cades.Sign(t.Context(), cades.SignOptions{Certificate: id.Cert, SigningTime: time.Now(),
			Sign: func(_ context.Context, d []byte, o crypto.SignerOpts) ([]byte, error) {
				return id.Key.Sign(rand.Reader, d, o)
			},
		}, strings.NewReader(signed.Content), int64(len(signed.Content)), &p7m)
		if err != nil {
			t.Fatal(err)
		}
		m := make2(t, l.Store, nil, signed.File{Name: "a.p7m", Data: p7m.Bytes()}, false)
		if a := m.results[0].Facts.Chain.Anchor; !m.results[0].Passed() || a == nil || a.Service == nil || m.results[0].Kind() != want {
			t.Errorf("%s: %s %s, %+v", kind, m.results[0].Indication, m.results[0].Kind(), a)
		}
		j, err := read(t, m.zip).Judge(t.Context(), bundle.JudgeOptions{})
		if err != nil || !j.Same || len(j.Changed) > 0 || j.Results[0].Kind() != want {
			t.Errorf("%s: %+v %v", kind, j, err)
		}
	}
}
