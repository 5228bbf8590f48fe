package trust_test

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/certificate"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/trust/rfc5280"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/testdata/pki"
)

// pkitsCase is one line of the suite's cases.json.
type pkitsCase struct {
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	Cert       string   `json:"cert"`
	OtherCerts []string `json:"other_certs"`
	CRLs       []string `json:"crls"`
	Params     struct {
		Policies       []string `json:"user_initial_policy_set"`
		Explicit       bool     `json:"initial_explicit_policy"`
		InhibitMapping bool     `json:"initial_policy_mapping_inhibit"`
		InhibitAny     bool     `json:"initial_any_policy_inhibit"`
	} `json:"params"`
	Revoked bool `json:"revoked"`
	Valid   bool `json:"valid"`
}

// dsa are the valid paths that are refused: DSA is obsolete (FIPS 186-5), and no key of it
// is used.
var dsa = []string{"valid_dsa_signatures_test4", "valid_dsa_parameter_inheritance_test5"}

// NIST's Public Key Interoperability Test Suite, from the folder that CITEL_CORPUS
// names (`make conformance CORPUS=DIR`).
func TestPKITS(t *testing.T) {
	corpus := os.Getenv("CITEL_CORPUS")
	if corpus == "" {
		t.Skip("no CITEL_CORPUS: `make conformance CORPUS=DIR`")
	}
	dir := filepath.Join(corpus, "pkits")
	data, err := os.ReadFile(filepath.Join(dir, "cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []pkitsCase
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	read := func(kind, name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, kind, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	anchor, err := x509.ParseCertificate(read("certs", "TrustAnchorRootCertificate.crt"))
	if err != nil {
		t.Fatal(err)
	}
	right := map[string][2]int{}
	for _, c := range cases {
		ok, why := pkits(t, c, anchor, read)
		n := right[c.ID[:3]]
		n[1]++
		if ok == c.Valid {
			n[0]++
		}
		if refused := slices.Contains(dsa, c.Name); ok != (c.Valid && !refused) {
			t.Errorf("%s %s: valid %v, want %v: %s", c.ID, c.Name, ok, c.Valid, why)
		} else if refused {
			t.Logf("%s %s: %s", c.ID, c.Name, why)
		}
		right[c.ID[:3]] = n
	}
	all := [2]int{}
	for _, section := range slices.Sorted(maps.Keys(right)) {
		n := right[section]
		all[0], all[1] = all[0]+n[0], all[1]+n[1]
		t.Logf("4.%s: %d of %d", strings.TrimLeft(section[1:], "0"), n[0], n[1])
	}
	t.Logf("PKITS: %d of %d", all[0], all[1])
}

// moment of all validations; the suite is good from 2010 to 2030.
var moment = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

func pkits(t *testing.T, c pkitsCase, anchor *x509.Certificate, read func(kind, name string) []byte) (bool, string) {
	t.Helper()
	leaf, err := certificate.Parse(read("certs", c.Cert))
	if err != nil {
		return false, err.Error()
	}
	var pool []*x509.Certificate
	for _, name := range c.OtherCerts {
		x, err := certificate.Parse(read("certs", name))
		if err != nil {
			return false, name + ": " + err.Error()
		}
		pool = append(pool, x)
	}
	store := trust.NewStore()
	if _, err := store.AddPEM(pki.EncodePEM(anchor), "PKITS"); err != nil {
		t.Fatal(err)
	}
	for _, name := range append([]string{"TrustAnchorRootCRL.crl"}, c.CRLs...) {
		if err := store.AddCRL(read("crls", name), name); err != nil {
			t.Logf("%s: %v", name, err)
		}
	}
	revocation := &trust.Revocation{Store: store}
	why := "no path"
	if chain, path := store.Path(leaf, pool); path == nil {
		why = chain.Note
	}
	valid := false
	store.Paths(leaf, pool, func(path []*x509.Certificate) bool {
		_, faults := rfc5280.Validate(path, rfc5280.Params{Time: moment, InitialPolicies: c.Params.Policies,
			RequireExplicitPolicy: c.Params.Explicit, InhibitPolicyMapping: c.Params.InhibitMapping, InhibitAnyPolicy: c.Params.InhibitAny})
		if len(faults) > 0 {
			why = fmt.Sprint(faults)
			return true
		}
		why = revoked(t, revocation, path, pool)
		valid = why == ""
		return !valid
	})
	return valid, why
}

// revoked has the policy's own checks judge what is known of a path's certificates: each
// has to be known as good. Whoever says so must not be revoked; where nobody but the
// signer of a list speaks of that signer's certificate (4.14.30) the policy warns.
func revoked(t *testing.T, r *trust.Revocation, path, helpers []*x509.Certificate) string {
	t.Helper()
	f := &validation.Facts{Time: moment, Chain: validation.ChainFacts{Found: true}, Identity: validation.IdentityFacts{RevocationSources: true}}
	for i, c := range path {
		f.Chain.Links = append(f.Chain.Links, validation.LinkFacts{Certificate: c.Raw, NotBefore: c.NotBefore, NotAfter: c.NotAfter})
		if i < len(path)-1 {
			f.Revocation = append(f.Revocation, r.About(t.Context(), trust.Question{Cert: c, Issuer: path[i+1], Path: path[i:], Helpers: helpers})...)
		}
	}
	policy := validation.Default()
	policy.RevocationKeepHours = 0
	for _, x := range validation.JudgeCertificate(f, policy) {
		if strings.HasPrefix(x.Check, "revo") && x.Check != validation.CheckRevocationVouched {
			return x.Text(message.English)
		}
	}
	return ""
}
