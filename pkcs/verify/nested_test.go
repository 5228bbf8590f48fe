package verify_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/pkcs/verify"
	"github.com/citel-pa/citel/testdata/pki"
)

func envelope(t *testing.T, s *stamper, content []byte) []byte {
	t.Helper()
	id := s.pki.MustIssue(t, pki.CNS, pki.P256, pki.Citizens[1])
	var out bytes.Buffer
	err := cades.Sign(t.Context(), cades.SignOptions{Certificate: id.Cert, SigningTime: time.Now(),
		Sign: func(_ context.Context, d []byte, o crypto.SignerOpts) ([]byte, error) {
			return id.Key.Sign(rand.Reader, d, o)
		},
	}, bytes.NewReader(content), int64(len(content)), &out)
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// .p7m.p7m: each envelope's signers have a result, and the inner one is judged over
// what is in it.
func TestNestedEnvelopes(t *testing.T) {
	s := newStamper(t)
	s.lists(t)
	inner, _ := s.sign(t)
	judge := func(p7m []byte) []*validation.Result {
		t.Helper()
		results, err := verify.Reader(t.Context(), bytes.NewReader(p7m), verify.Options{Store: s.store})
		if err != nil {
			t.Fatal(err)
		}
		return results
	}
	results := judge(envelope(t, s, inner))
	if len(results) != 2 || !results[0].Passed() || !results[1].Passed() || results[1].Facts.Nested != 1 || results[1].Facts.Content.Bytes != int64(len("contenuto")) {
		t.Fatalf("%d results: %+v", len(results), results)
	}
	changed := bytes.Replace(inner, []byte("contenuto"), []byte("CONTENUTO"), 1)
	results = judge(envelope(t, s, changed))
	if len(results) != 2 || !results[0].Passed() || results[1].SubIndication != validation.HashFailure {
		t.Errorf("changed inside: %d results, %+v", len(results), results)
	}
	results = judge(envelope(t, s, inner[:len(inner)-9]))
	if len(results) != 2 || !results[0].Passed() || results[1].Passed() {
		t.Errorf("cut off inside: %d results", len(results))
	}
	if results = judge(envelope(t, s, []byte("testo, e niente altro, ma lungo abbastanza per decidere"))); len(results) != 1 {
		t.Errorf("text: %d results", len(results))
	}
	deep := inner
	for range 8 {
		deep = envelope(t, s, deep)
	}
	if results = judge(deep); len(results) != 5 {
		t.Errorf("nine envelopes: %d results, the bound is 5", len(results))
	}
}
