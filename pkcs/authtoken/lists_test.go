package authtoken_test

import (
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/authtoken"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/trust/lists"
	"github.com/citel-pa/citel/pkcs/validation"
	made "github.com/citel-pa/citel/testdata/lists"
	"github.com/citel-pa/citel/testdata/pki"
)

// A login by the issuers of Italy's trusted list and nothing else: CNS and CIE while
// their issuers are recognised and the list is not too old.
func TestLoginByTrustedList(t *testing.T) {
	p := pki.Shared(t)
	ago := func(days int) time.Time { return time.Now().AddDate(0, 0, -days) }
	for _, x := range []struct {
		name   string
		kind   pki.Kind
		change func(*made.Scene)
		want   error
	}{
		{"CNS", pki.CNS, nil, nil},
		{"CIE", pki.CIE, nil, nil},
		{"an issuer that is not listed", pki.OtherRoot, nil, authtoken.ErrUntrusted},
		{"an issuer that was recognised", pki.CNS, func(s *made.Scene) {
			v := &s.IT.Services[1]
			v.History = []made.State{v.State}
			v.Status, v.From = made.Withdrawn, ago(1)
		}, authtoken.ErrUntrusted},
		{"an issuer that will be recognised", pki.CNS, func(s *made.Scene) { s.IT.Services[1].From = ago(-1) }, authtoken.ErrUntrusted},
		{"a CIE of an issuer of CNS", pki.CIE, func(s *made.Scene) { s.IT.Services[2].Provider = "CiTel TEST" }, authtoken.ErrProfile},
		{"another country's identification service", pki.CNS, func(s *made.Scene) {
			s.IT.Territory = "MT"
			s.LOTL.Pointers[1].Territory = "MT"
		}, authtoken.ErrProfile},
		{"a list that is due", pki.CNS, func(s *made.Scene) { s.IT.NextUpdate = ago(1) }, nil},
		{"a list that is too old", pki.CNS, func(s *made.Scene) { s.IT.NextUpdate = ago(30) }, authtoken.ErrUntrusted},
		{"a LOTL that is too old", pki.CNS, func(s *made.Scene) { s.LOTL.NextUpdate = ago(30) }, authtoken.ErrUntrusted},
	} {
		scene, err := made.NewScene(p, "https://lists.example")
		if err != nil {
			t.Fatal(err)
		}
		if x.change != nil {
			x.change(scene)
		}
		lotl, err := scene.Write(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		l := &lists.Loader{Store: trust.NewStore(trust.AllowTest()), Source: lotl, Territories: []string{lists.All}, Signers: lists.Signers{sha256.Sum256(scene.Official.Cert.Raw): true}}
		if err := l.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, kind := range []pki.Kind{pki.CNS, pki.CIE} {
			crl, err := p.CRL(p.Issuer(kind))
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Store.AddCRL(crl, string(kind)); err != nil {
				t.Fatal(err)
			}
		}
		v := &authtoken.Validator{Origin: origin, Store: l.Store, Policy: validation.Strict()}
		got, err := v.Validate(t.Context(), token(t, p.MustIssue(t, x.kind, pki.P256, pki.Citizens[0])), nonce)
		if !errors.Is(err, x.want) {
			t.Errorf("%s: %v", x.name, err)
		}
		if err == nil && string(got.Person.CodiceFiscale) != pki.Citizens[0].CF {
			t.Errorf("%s: %+v", x.name, got.Person)
		}
	}
}
