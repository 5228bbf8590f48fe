package signing_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/pkcs/authtoken"
	"github.com/citel-pa/citel/pkcs/declaration"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/testdata/pki"
)

func declarations(t *testing.T) *declaration.Validator {
	t.Helper()
	p := pki.Shared(t)
	s := trust.NewStore(trust.AllowTest())
	_, err := s.AddPEM(p.AnchorsPEM(pki.Qualified), "qualified", profile.Qualified)
	list, err2 := p.CRL(p.Issuer(pki.Qualified))
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	if err := s.AddCRL(list, "qualified"); err != nil {
		t.Fatal(err)
	}
	return &declaration.Validator{Origin: site, Store: s}
}

// The holder of a certificate for signatures alone is asked as for a signature, and reads
// the page that is signed.
func TestLoginByDeclaration(t *testing.T) {
	c, p, ceremony := setup(t, pki.Qualified)
	res, err := ceremony.Login(t.Context(), signing.LoginRequest{Caller: caller(), Nonce: nonce, Expires: time.Now().Add(5 * time.Minute), Declaration: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.asked) != 1 || p.asked[0].Purpose != consent.PurposeSign || len(p.asked[0].Documents) != 1 || p.asked[0].Extend != nil {
		t.Fatalf("asked: %+v", p.asked)
	}
	f, err := p.asked[0].Documents[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(f)
	if err != nil || !strings.Contains(string(text), site) || !strings.Contains(string(text), nonce) {
		t.Errorf("%s %v", text, err)
	}
	who, err := declarations(t).Validate(t.Context(), res.Token, res.Nonce)
	if err != nil || string(who.Person.CodiceFiscale) != pki.Citizens[0].CF {
		t.Errorf("%v %v", who, err)
	}
	if len(c.digests) != 1 || len(c.unlocks) != 1 || c.closed != 1 {
		t.Errorf("%d signatures, %d PINs, %d closed", len(c.digests), len(c.unlocks), c.closed)
	}
}

// Sign never makes a declaration: the page itself, signed as a document, is no login.
func TestSignMakesNoDeclaration(t *testing.T) {
	_, _, ceremony := setup(t, pki.Qualified)
	text := declaration.Text(site, nonce, time.Now())
	out, err := sign(t, ceremony, document(text))
	if err != nil {
		t.Fatal(err)
	}
	tok := []byte(`{"format":"` + declaration.Format + `","declaration":"` + base64.StdEncoding.EncodeToString(out[0].Bytes()) + `"}`)
	if _, err := declarations(t).Validate(t.Context(), tok, nonce); !errors.Is(err, authtoken.ErrPurpose) {
		t.Errorf("%v", err)
	}
}

func TestDeclarationOnlyWhereItIsNeededAndTaken(t *testing.T) {
	// A site that does not say that it takes one gets none.
	_, _, ceremony := setup(t, pki.Qualified)
	if _, err := ceremony.Login(t.Context(), signing.LoginRequest{Caller: caller(), Nonce: nonce}); !errors.Is(err, signing.ErrCertificateUnfit) {
		t.Errorf("%v", err)
	}
	// Who can log in by token does.
	_, p, ceremony := setup(t, pki.CNS)
	res, err := ceremony.Login(t.Context(), signing.LoginRequest{Caller: caller(), Nonce: nonce, Declaration: true})
	if err != nil || declaration.Is(res.Token) || p.asked[0].Purpose != consent.PurposeLogin {
		t.Errorf("%v", err)
	}
	// No is no, and nothing is signed.
	c, p, ceremony := setup(t, pki.Qualified)
	p.answer = func(context.Context, *consent.Request) (consent.Answer, error) {
		return consent.Answer{}, consent.ErrRefused
	}
	if _, err := ceremony.Login(t.Context(), signing.LoginRequest{Caller: caller(), Nonce: nonce, Declaration: true}); !errors.Is(err, consent.ErrRefused) || len(c.digests) != 0 {
		t.Errorf("%v, %d signatures", err, len(c.digests))
	}
}
