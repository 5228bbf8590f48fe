package verify_test

import (
	"bytes"
	"testing"

	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/verify"
	"github.com/citel-pa/citel/testdata/pki"
)

// A file of any format, from bytes to verdict: nothing that nobody trusts passes.
func FuzzReader(f *testing.F) {
	p := pki.Shared(f)
	p7m := sign(f, p.MustIssue(f, pki.CNS, pki.P256, pki.Citizens[0]), "istanza")
	f.Add(p7m)
	f.Add(sign(f, p.MustIssue(f, pki.CNS, pki.P256, pki.Citizens[0]), string(p7m)))
	for _, s := range []string{"%PDF-1.7\n", "<a><ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"/></a>", "PK\x03\x04", `{"protected":""}`, "-----BEGIN PKCS7-----\nMIIA\n", "MIIA"} {
		f.Add([]byte(s))
	}
	nobody := verify.Options{Store: trust.NewStore()}
	f.Fuzz(func(t *testing.T, data []byte) {
		results, err := verify.Reader(t.Context(), bytes.NewReader(data), nobody)
		if err == nil && len(results) == 0 {
			t.Error("neither a result nor an error")
		}
		for _, r := range results {
			if r.Passed() {
				t.Error("passed")
			}
		}
	})
}
