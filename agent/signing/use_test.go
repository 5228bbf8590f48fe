package signing_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/testdata/pki"
)

// Whatever a person was asked about is told to the history once, with how it ended;
// the PIN and the content are not.
func TestUsed(t *testing.T) {
	_, p, c := setup(t, pki.CNS)
	var told []signing.Use
	c.Used = func(u signing.Use) { told = append(told, u) }
	one := func(name string) signing.Use {
		t.Helper()
		if len(told) != 1 {
			t.Fatalf("%s: told %d times", name, len(told))
		}
		u := told[0]
		told = nil
		return u
	}
	login := func() (*signing.LoginResult, error) {
		return c.Login(t.Context(), signing.LoginRequest{Caller: caller(), Nonce: nonce})
	}
	r, err := login()
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(r.Token)
	if u := one("login"); u.Err != nil || u.Purpose != consent.PurposeLogin || u.Caller.Origin != site || len(u.Digests) != 1 || !bytes.Equal(u.Digests[0], digest[:]) || !u.Certificate.Equal(r.Certificate) {
		t.Errorf("%+v", u)
	}
	doc := document([]byte("uno"))
	if _, err := sign(t, c, doc, document([]byte("due"))); err != nil {
		t.Fatal(err)
	}
	if u := one("sign"); u.Err != nil || u.Documents != 2 || !bytes.Equal(u.Digests[0], doc.SHA256[:]) || u.At.IsZero() {
		t.Errorf("%+v", u)
	}
	p.answer = func(_ context.Context, r *consent.Request) (consent.Answer, error) { return p.yes(r, "99999"), nil }
	if _, err := sign(t, c, doc); err == nil {
		t.Fatal("a wrong PIN signed")
	}
	var wrong *signing.ErrPINWrong
	if u := one("a wrong PIN"); !errors.As(u.Err, &wrong) || u.Certificate == nil {
		t.Errorf("%+v", u)
	}
	p.answer = func(context.Context, *consent.Request) (consent.Answer, error) {
		return consent.Answer{}, consent.ErrRefused
	}
	if _, err := login(); err == nil {
		t.Fatal("a refusal logged in")
	}
	if u := one("refused"); !errors.Is(u.Err, consent.ErrRefused) || u.Certificate != nil || u.Digests != nil {
		t.Errorf("%+v", u)
	}
	c.Sources = func(context.Context) ([]signing.Source, error) { return nil, nil }
	if _, err := login(); err == nil || len(told) != 0 {
		t.Errorf("nobody was asked, and yet: %+v %v", told, err)
	}
}
