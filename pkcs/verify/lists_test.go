package verify_test

import (
	"crypto/sha256"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/timestamp"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/trust/lists"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/pkcs/verify"
	made "github.com/citel-pa/citel/testdata/lists"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/tsa"
)

// listed gives a store with the anchors of a test LOTL and nothing else, and the lists
// of what is revoked.
func listed(t *testing.T, p *pki.PKI, change func(*made.Scene)) *trust.Store {
	t.Helper()
	scene, err := made.NewScene(p, "https://lists.example")
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(scene)
	}
	lotl, err := scene.Write(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l := &lists.Loader{Store: trust.NewStore(trust.AllowTest()), Source: lotl, Signers: lists.Signers{sha256.Sum256(scene.Official.Cert.Raw): true}}
	if err := l.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []pki.Kind{pki.CNS, pki.CIE, pki.Qualified} {
		crl, err := p.CRL(p.Issuer(kind))
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Store.AddCRL(crl, string(kind)); err != nil {
			t.Fatal(err)
		}
	}
	return l.Store
}

// What a signature is in law's terms is what the list says of its issuer, over time.
func TestKindByTrustedList(t *testing.T) {
	p := pki.Shared(t)
	const policy = "0.4.0.194112.1.2" // of the test PKI's qualified certificates
	state := func(s made.State) func(*made.Scene) {
		return func(x *made.Scene) { x.IT.Services[0].State = s }
	}
	since := time.Now().AddDate(-9, 0, 0)
	granted := made.State{Type: made.CAQC, Status: made.Granted, From: since, Uses: []string{made.ForeSignatures}}
	with := func(uses []string, extension string) made.State {
		s := granted
		s.Uses, s.Extension = uses, extension
		return s
	}
	signatures := []string{made.ForeSignatures}
	for _, x := range []struct {
		name   string
		kind   pki.Kind
		change func(*made.Scene)
		want   string
	}{
		{"qualified", pki.Qualified, nil, "qualified"},
		{"CNS", pki.CNS, nil, "advanced-cns"},
		{"CIE", pki.CIE, nil, "advanced-cie"},
		{"no use named", pki.Qualified, state(with(nil, "")), "qualified"},
		{"for seals alone", pki.Qualified, state(with([]string{made.ForeSeals}, "")), "advanced"},
		{"for both", pki.Qualified, state(with([]string{made.ForeSeals, made.ForeSignatures}, "")), "qualified"},
		{"not qualified", pki.Qualified, state(with(signatures, made.Qualified(policy, "NotQualified"))), "advanced"},
		{"not qualified, another policy", pki.Qualified, state(with(signatures, made.Qualified("1.2.3.4", "NotQualified"))), "qualified"},
		{"no device", pki.Qualified, state(with(signatures, made.Qualified(policy, "QCNoQSCD"))), "advanced"},
		{"on a device", pki.Qualified, state(with(signatures, made.Qualified(policy, "QCWithQSCD", "QCForESig"))), "qualified"},
		{"for seals by qualifier", pki.Qualified, state(with(signatures, made.Qualified(policy, "QCForESeal"))), "advanced"},
		{"criteria that nobody knows lessen", pki.Qualified, state(with(signatures, strings.NewReplacer("sie:PolicySet", "sie:Moon").Replace(made.Qualified(policy, "NotQualified")))), "advanced"},
		{"granted after the certificate was issued", pki.Qualified, func(x *made.Scene) { x.IT.Services[0].From = time.Now().Add(-time.Minute) }, "advanced"},
		// The qualified issuer's service does not make its certificates a CNS, nor an
		// identification service a qualified one.
		{"identification service of a qualified issuer", pki.Qualified, func(x *made.Scene) {
			x.IT.Services[0].Type, x.IT.Services[0].Status = made.IdV, made.Recognised
		}, "other"},
		{"CIE by another provider", pki.CIE, func(x *made.Scene) { x.IT.Services[2].Provider = "CiTel TEST" }, "other"},
		{"CNS by the CIE's", pki.CNS, func(x *made.Scene) { x.IT.Services[1].Provider = "Ministero dell'Interno" }, "other"},
	} {
		p7m := sign(t, p.MustIssue(t, x.kind, pki.P256, pki.Citizens[0]), "contenuto")
		r := judge(t, p7m, verify.Options{Store: listed(t, p, x.change)})
		if got := r.Kind(); got != x.want || r.Indication != validation.TotalPassed {
			t.Errorf("%s: %s %s, %s", x.name, r.Indication, r.SubIndication, got)
			explain(t, r)
		}
		if want := x.want != "other"; (r.Facts.Identity.CodiceFiscale != "") != want {
			t.Errorf("%s: codice fiscale %q", x.name, r.Facts.Identity.CodiceFiscale)
		}
	}
}

// Somebody without an Italian tax code has a qualified signature too; who that is here
// stays open.
func TestQualifiedForeigner(t *testing.T) {
	p := pki.Shared(t)
	id := p.MustIssue(t, pki.Qualified, pki.P256, pki.Citizens[0], func(c *x509.Certificate) {
		names := c.Subject.ExtraNames
		names[len(names)-1].Value = "PNOMT-TEST0001"
	})
	p7m := sign(t, id, "contenuto")
	r := judge(t, p7m, verify.Options{Store: listed(t, p, nil)})
	if r.Kind() != "qualified" || r.Facts.Identity.CodiceFiscale != "" || !r.Has(validation.CheckKnownProfile) {
		t.Errorf("%s %q", r.Kind(), r.Facts.Identity.CodiceFiscale)
		explain(t, r)
	}
	if r := judge(t, p7m, verify.Options{Store: listed(t, p, nil), Policy: validation.Strict()}); r.Indication == validation.TotalPassed {
		t.Error("the server's policy takes it")
	}
}

// An anchor that the list no longer counts: the signature needs a proof that it is older
// (EN 319 102-1 v1.4.1, the sunset date).
func TestSunset(t *testing.T) {
	p, err := pki.New()
	if err != nil {
		t.Fatal(err)
	}
	tomorrow, later := time.Now().AddDate(0, 0, 1), time.Now().AddDate(0, 0, 2)
	store := listed(t, p, func(x *made.Scene) {
		s := &x.IT.Services[0]
		s.History = []made.State{s.State}
		s.State = made.State{Type: made.CAQC, Status: made.Withdrawn, From: tomorrow, Uses: s.Uses}
	})
	id := p.MustIssue(t, pki.Qualified, pki.P256, pki.Citizens[0])
	p7m := sign(t, id, "contenuto")
	if r := judge(t, p7m, verify.Options{Store: store}); r.Indication != validation.TotalPassed || r.Kind() != "qualified" {
		t.Errorf("before: %s %s %s", r.Indication, r.SubIndication, r.Kind())
		explain(t, r)
	}
	r := judge(t, p7m, verify.Options{Store: store, Time: later})
	if r.Indication != validation.Indeterminate || r.SubIndication != validation.NoChainFoundNoPOE {
		t.Errorf("after: %s %s", r.Indication, r.SubIndication)
		explain(t, r)
	}
	client := &timestamp.Client{URL: tsa.Start(t, p.TSA), Post: loopback}
	stamped := augment(t, p7m, cades.AugmentOptions{Stamp: client.Stamp})
	r = judge(t, stamped, verify.Options{Store: store, Time: later})
	if r.Indication != validation.TotalPassed || r.Kind() != "qualified" {
		t.Errorf("with a time-stamp: %s %s %s", r.Indication, r.SubIndication, r.Kind())
		explain(t, r)
	}
}

// A list that is due is told of; one that was due for too long counts no longer.
func TestListAge(t *testing.T) {
	p := pki.Shared(t)
	p7m := sign(t, p.MustIssue(t, pki.Qualified, pki.P256, pki.Citizens[0]), "contenuto")
	policy := validation.Default()
	policy.ListKeepDays = 14
	for _, x := range []struct {
		due  int // days ago
		want validation.Indication
		sub  validation.SubIndication
		warn bool
	}{{-1, validation.TotalPassed, "", false}, {1, validation.TotalPassed, "", true}, {20, validation.Indeterminate, validation.NoCertificateChainFound, true}} {
		store := listed(t, p, func(s *made.Scene) { s.IT.NextUpdate = time.Now().AddDate(0, 0, -x.due) })
		r := judge(t, p7m, verify.Options{Store: store, Policy: policy})
		if r.Indication != x.want || r.SubIndication != x.sub || r.Has("anchor-list") != x.warn {
			t.Errorf("due %d days ago: %s %s", x.due, r.Indication, r.SubIndication)
			explain(t, r)
		}
		if r := judge(t, p7m, verify.Options{Store: store}); r.Indication != validation.TotalPassed {
			t.Errorf("by the default policy: %s %s", r.Indication, r.SubIndication)
		}
	}
}

// An anchor that a person named by a file counts as before when a list has it too.
func TestFileAndList(t *testing.T) {
	p := pki.Shared(t)
	store := listed(t, p, func(x *made.Scene) {
		x.IT.Services[1].History = []made.State{x.IT.Services[1].State}
		x.IT.Services[1].Status, x.IT.Services[1].From = made.Withdrawn, time.Now().Add(-time.Hour)
	})
	p7m := sign(t, p.MustIssue(t, pki.CNS, pki.P256, pki.Citizens[0]), "contenuto")
	if r := judge(t, p7m, verify.Options{Store: store}); r.SubIndication != validation.NoChainFoundNoPOE {
		t.Errorf("withdrawn: %s %s", r.Indication, r.SubIndication)
	}
	if _, err := store.AddPEM(p.AnchorsPEM(pki.CNS), "cns.pem", profile.CNS); err != nil {
		t.Fatal(err)
	}
	if r := judge(t, p7m, verify.Options{Store: store}); r.Indication != validation.TotalPassed || r.Facts.Chain.Anchor.Source != "cns.pem" {
		t.Errorf("named: %s %s %s", r.Indication, r.SubIndication, r.Facts.Chain.Anchor.Source)
		explain(t, r)
	}
}
