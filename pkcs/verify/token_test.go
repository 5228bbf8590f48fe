package verify_test

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/validation"
)

// A time-stamp token that stands alone is nobody's signature, though an authority that is
// recognised signed it.
func TestTokenAlone(t *testing.T) {
	s := newStamper(t)
	sum := sha256.Sum256([]byte("contenuto"))
	token, err := s.client.Stamp(t.Context(), sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if r := s.judge(t, bytes.Clone(token), time.Now()); r.Passed() || r.Indication != validation.Indeterminate || r.Facts.Format != "RFC 3161" {
		t.Errorf("%s %s %s", r.Facts.Format, r.Indication, r.SubIndication)
	}
}
