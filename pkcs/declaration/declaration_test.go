package declaration_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/authtoken"
	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/cms"
	"github.com/citel-pa/citel/pkcs/declaration"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/testdata/pki"
)

const (
	origin = "https://sportello.comune.example"
	nonce  = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI="
	other  = "YTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI="
)

func validator(tb testing.TB, p *pki.PKI) *declaration.Validator {
	tb.Helper()
	s := trust.NewStore(trust.AllowTest())
	for kind, prof := range map[pki.Kind]profile.Profile{pki.CNS: profile.CNS, pki.Qualified: profile.Qualified} {
		_, err := s.AddPEM(p.AnchorsPEM(kind), string(kind), prof)
		list, err2 := p.CRL(p.Issuer(kind))
		if err := errors.Join(err, err2); err != nil {
			tb.Fatal(err)
		}
		if err := s.AddCRL(list, string(kind)); err != nil {
			tb.Fatal(err)
		}
	}
	return &declaration.Validator{Origin: origin, Known: []string{"https://altro.comune.example"}, Store: s}
}

// made signs a text as somebody would who is not our agent.
func made(tb testing.TB, id *pki.Identity, text []byte, at time.Time, detached bool, extra ...cms.Attribute) []byte {
	tb.Helper()
	var b bytes.Buffer
	err := cades.Sign(tb.Context(), cades.SignOptions{Certificate: id.Cert, Sign: cades.Signer(id.Key), SigningTime: at, Extra: extra, Detached: detached}, bytes.NewReader(text), int64(len(text)), &b)
	if err != nil {
		tb.Fatal(err)
	}
	return token(tb, b.Bytes())
}

func token(tb testing.TB, signed []byte) []byte {
	tb.Helper()
	data, err := json.Marshal(map[string]string{"format": declaration.Format, "declaration": base64.StdEncoding.EncodeToString(signed)})
	if err != nil {
		tb.Fatal(err)
	}
	// In the order in which the agent writes it.
	return []byte(`{"format":"` + declaration.Format + `",` + strings.TrimSuffix(strings.TrimPrefix(string(data), "{"), `,"format":"`+declaration.Format+`"}`) + "}")
}

func TestDeclaration(t *testing.T) {
	p := pki.Shared(t)
	id := p.MustIssue(t, pki.Qualified, pki.P256, pki.Citizens[0])
	sign := func(_ context.Context, sum []byte, o crypto.SignerOpts) ([]byte, error) {
		return id.Key.Sign(rand.Reader, sum, o)
	}
	tok, err := declaration.Make(t.Context(), origin, nonce, time.Now(), id.Cert, sign)
	if err != nil || !declaration.Is(tok) {
		t.Fatalf("%s %v", tok, err)
	}
	who, err := validator(t, p).Validate(t.Context(), tok, nonce)
	if err != nil {
		t.Fatal(err)
	}
	if string(who.Person.CodiceFiscale) != pki.Citizens[0].CF || who.Person.Profile != profile.Qualified || !who.Test {
		t.Errorf("%+v", who)
	}
	for _, kind := range []pki.Kind{pki.CNS, pki.CIE} {
		x := p.MustIssue(t, kind, pki.P256, pki.Citizens[0])
		if _, err := declaration.Make(t.Context(), origin, nonce, time.Now(), x.Cert, cades.Signer(x.Key)); !errors.Is(err, authtoken.ErrPurpose) {
			t.Errorf("%s declares: %v", kind, err)
		}
	}
}

// What is no login, however well it is signed.
func TestWhatIsNoDeclaration(t *testing.T) {
	p := pki.Shared(t)
	id := p.MustIssue(t, pki.Qualified, pki.P256, pki.Citizens[0])
	cns := p.MustIssue(t, pki.CNS, pki.P256, pki.Citizens[0])
	foreign, err := pki.New()
	if err != nil {
		t.Fatal(err)
	}
	stranger := foreign.MustIssue(t, pki.Qualified, pki.P256, pki.Citizens[0])
	now := time.Now().UTC().Truncate(time.Second)
	text := declaration.Text(origin, nonce, now)
	good := made(t, id, text, now, false, declaration.Mark())
	if _, err := validator(t, p).Validate(t.Context(), good, nonce); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	otherNow := now.Add(-time.Second)
	for name, x := range map[string]struct {
		token []byte
		nonce string
		want  error
	}{
		"no mark: a document that somebody was made to sign": {made(t, id, text, now, false), nonce, authtoken.ErrPurpose},
		"another nonce":               {good, other, authtoken.ErrSignature},
		"a nonce that is none":        {good, "x", authtoken.ErrNonce},
		"another site of ours":        {made(t, id, declaration.Text("https://altro.comune.example", nonce, now), now, false, declaration.Mark()), nonce, authtoken.ErrOtherOrigin},
		"another site":                {made(t, id, declaration.Text("https://evil.example", nonce, now), now, false, declaration.Mark()), nonce, authtoken.ErrSignature},
		"more text":                   {made(t, id, append(bytes.Clone(text), '\n'), now, false, declaration.Mark()), nonce, authtoken.ErrSignature},
		"another time than it says":   {made(t, id, text, otherNow, false, declaration.Mark()), nonce, authtoken.ErrSignature},
		"old":                         {made(t, id, declaration.Text(origin, nonce, now.Add(-time.Hour)), now.Add(-time.Hour), false, declaration.Mark()), nonce, authtoken.ErrExpired},
		"of tomorrow":                 {made(t, id, declaration.Text(origin, nonce, now.Add(time.Hour)), now.Add(time.Hour), false, declaration.Mark()), nonce, authtoken.ErrNotYetValid},
		"no time":                     {made(t, id, text, time.Time{}, false, declaration.Mark()), nonce, authtoken.ErrMalformed},
		"detached":                    {made(t, id, text, now, true, declaration.Mark()), nonce, authtoken.ErrMalformed},
		"a login key":                 {made(t, cns, text, now, false, declaration.Mark()), nonce, authtoken.ErrPurpose},
		"an issuer that nobody knows": {made(t, stranger, text, now, false, declaration.Mark()), nonce, authtoken.ErrUntrusted},
		"not signed":                  {token(t, text), nonce, authtoken.ErrMalformed},
		"two fields of a name":        {append([]byte(`{"format":"x",`), good[1:]...), nonce, authtoken.ErrMalformed},
		"more fields":                 {append(bytes.TrimSuffix(bytes.Clone(good), []byte("}")), []byte(`,"x":1}`)...), nonce, authtoken.ErrMalformed},
		"two documents":               {append(bytes.Clone(good), good...), nonce, authtoken.ErrMalformed},
		"too long":                    {bytes.Repeat([]byte("x"), declaration.MaxToken+1), nonce, authtoken.ErrTooLong},
	} {
		if who, err := validator(t, p).Validate(t.Context(), x.token, x.nonce); !errors.Is(err, x.want) {
			t.Errorf("%s: %v %v, want %v", name, who, err, x.want)
		}
	}
	// A byte of the signature, and a revoked certificate.
	raw, err := base64.StdEncoding.DecodeString(between(string(good), `"declaration":"`, `"`))
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)-3] ^= 1
	if _, err := validator(t, p).Validate(t.Context(), token(t, raw), nonce); err == nil {
		t.Error("a changed signature")
	}
	own, err := pki.New()
	if err != nil {
		t.Fatal(err)
	}
	gone := own.MustIssue(t, pki.Qualified, pki.P256, pki.Citizens[1])
	own.Revoke(gone.Cert)
	if _, err := validator(t, own).Validate(t.Context(), made(t, gone, text, now, false, declaration.Mark()), nonce); !errors.Is(err, authtoken.ErrRevoked) {
		t.Errorf("revoked: %v", err)
	}
}

func between(s, a, b string) string {
	_, s, _ = strings.Cut(s, a)
	s, _, _ = strings.Cut(s, b)
	return s
}

func FuzzValidate(f *testing.F) {
	p := pki.Shared(f)
	id := p.MustIssue(f, pki.Qualified, pki.P256, pki.Citizens[0])
	now := time.Now().UTC().Truncate(time.Second)
	f.Add(made(f, id, declaration.Text("https://evil.example", nonce, now), now, false, declaration.Mark()))
	f.Add(made(f, id, declaration.Text(origin, nonce, now), now, false))
	f.Add([]byte(`{"format":"citel-declaration:1","declaration":""}`))
	v := validator(f, p)
	f.Fuzz(func(t *testing.T, data []byte) {
		declaration.Is(data)
		if who, err := v.Validate(t.Context(), data, nonce); err == nil {
			t.Errorf("taken: %+v", who)
		}
	})
}
