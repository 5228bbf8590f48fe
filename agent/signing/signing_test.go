package signing_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/pkcs/authtoken"
	"github.com/citel-pa/citel/pkcs/cms"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/testdata/pki"
)

const (
	site  = "https://sportello.comune.example"
	nonce = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI="
	right = "24680"
)

// card is a source with one software key that keeps what was asked of it.
type card struct {
	id      *pki.Identity
	other   *pki.Identity // signs instead, when set: a card that lies
	pin     signing.PINState
	opened  int
	unlocks []string
	digests [][]byte
	closed  int
}

func (c *card) Name() string { return "test card" }

func (c *card) Identities(context.Context) ([]signing.Identity, error) {
	return []signing.Identity{{Certificate: c.id.Cert, Ref: "1", PIN: c.pin}}, nil
}

func (c *card) Open(context.Context, signing.Identity) (signing.Key, error) {
	c.opened++
	return c, nil
}

func (c *card) Unlock(_ context.Context, pin []byte) error {
	c.unlocks = append(c.unlocks, string(pin))
	if string(pin) != right {
		return &signing.ErrPINWrong{TriesLeft: 2}
	}
	return nil
}

func (c *card) Sign(_ context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	c.digests = append(c.digests, slices.Clone(digest))
	if c.other != nil {
		return c.other.Key.Sign(rand.Reader, digest, opts)
	}
	return c.id.Key.Sign(rand.Reader, digest, opts)
}

func (c *card) Public() crypto.PublicKey { return c.id.Key.Public() }
func (c *card) Close() error             { c.closed++; return nil }

// person answers with what the test wants, and keeps the questions.
type person struct {
	answer   func(ctx context.Context, r *consent.Request) (consent.Answer, error)
	asked    []*consent.Request
	outcomes []error
	pin      []byte // the PIN's memory, to see it wiped
}

func (p *person) Ask(ctx context.Context, r *consent.Request) (consent.Answer, error) {
	p.asked = append(p.asked, r)
	if p.answer != nil {
		return p.answer(ctx, r)
	}
	return p.yes(r, right), nil
}

func (p *person) yes(r *consent.Request, pin string) consent.Answer {
	p.pin = []byte(pin)
	a := consent.Answer{PIN: p.pin}
	if len(r.Certificates) > 0 {
		a.CertificateID = r.Certificates[0].ID
	}
	return a
}

func (p *person) Outcome(_ context.Context, _ *consent.Request, err error) {
	p.outcomes = append(p.outcomes, err)
}

func setup(t *testing.T, kind pki.Kind) (*card, *person, *signing.Ceremony) {
	t.Helper()
	c := &card{id: pki.Shared(t).MustIssue(t, kind, pki.RSA2048, pki.Citizens[0]), pin: signing.PINState{TriesLeft: -1}}
	p := &person{}
	return c, p, &signing.Ceremony{
		Sources: func(context.Context) ([]signing.Source, error) { return []signing.Source{c}, nil },
		Asker:   p, Log: slog.New(slog.DiscardHandler),
	}
}

func caller() signing.Caller {
	return signing.Caller{Caller: consent.Caller{Origin: site, Remembered: true}, Allowed: true}
}

type file struct{ *bytes.Reader }

func (file) Close() error { return nil }

type sink struct{ bytes.Buffer }

func (*sink) Close() error { return nil }

func document(content []byte) consent.Document {
	return consent.Document{Name: "a.bin", MediaType: "application/octet-stream", Size: int64(len(content)), SHA256: sha256.Sum256(content),
		Open: func() (io.ReadSeekCloser, error) { return file{bytes.NewReader(content)}, nil }}
}

func sign(t *testing.T, c *signing.Ceremony, docs ...consent.Document) ([]*sink, error) {
	t.Helper()
	out := make([]*sink, len(docs))
	_, err := c.Sign(t.Context(), signing.SignRequest{Caller: caller(), Documents: docs, Format: signing.FormatCAdES,
		Output: func(i int) (io.WriteCloser, error) { out[i] = &sink{}; return out[i], nil }})
	return out, err
}

func validator(t *testing.T) *authtoken.Validator {
	t.Helper()
	p := pki.Shared(t)
	s := trust.NewStore(trust.AllowTest())
	if _, err := s.AddPEM(p.AnchorsPEM(pki.CNS), "cns", profile.CNS); err != nil {
		t.Fatal(err)
	}
	crl, err := p.CRL(p.Issuer(pki.CNS))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.AddCRL(crl, "cns"); err != nil {
		t.Fatal(err)
	}
	return &authtoken.Validator{Origin: site, Store: s}
}

// loginDigests are what a login token's signature at site is over, in each of the
// shapes in which an evil page could have them signed as a "document".
func loginDigests(hash crypto.Hash) map[string][]byte {
	sum := func(b []byte) []byte {
		h := hash.New()
		h.Write(b)
		return h.Sum(nil)
	}
	value := append(sum([]byte(site)), sum([]byte(nonce))...)
	return map[string][]byte{"the signed value": value, "its hash": sum(value)}
}

// The forgery over every way in: a login elsewhere is never obtained from a
// signature that an evil page asks for (design, The login token).
func TestForgeryOverEveryWayIn(t *testing.T) {
	for name, content := range loginDigests(crypto.SHA256) {
		for _, detached := range []bool{false, true} {
			c, _, ceremony := setup(t, pki.CNS)
			out := &sink{}
			if _, err := ceremony.Sign(t.Context(), signing.SignRequest{Caller: caller(), Documents: []consent.Document{document(content)},
				Format: signing.FormatCAdES, Detached: detached, Output: func(int) (io.WriteCloser, error) { return out, nil }}); err != nil {
				t.Fatal(err)
			}
			for _, d := range c.digests {
				for _, forbidden := range loginDigests(crypto.SHA256) {
					inner := sha256.Sum256(forbidden)
					if bytes.Equal(d, forbidden) || bytes.Equal(d, inner[:]) {
						t.Errorf("%s: the key signed a login's digest", name)
					}
				}
			}
			m, err := cms.Parse(bytes.NewReader(out.Bytes()), cms.ParseOptions{})
			if err != nil {
				t.Fatal(err)
			}
			forged, err := json.Marshal(map[string]string{
				"unverifiedCertificate": base64.StdEncoding.EncodeToString(c.id.Cert.Raw), "algorithm": "RS256",
				"signature": base64.StdEncoding.EncodeToString(m.Signers[0].Signature), "format": "web-eid:1.0", "appVersion": "x",
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := validator(t).Validate(t.Context(), forged, nonce); !errors.Is(err, authtoken.ErrSignature) {
				t.Errorf("%s: the forged token: %v", name, err)
			}
		}
	}
	// The same validator takes a login that the person did consent to.
	_, _, ceremony := setup(t, pki.CNS)
	done, err := ceremony.Login(t.Context(), signing.LoginRequest{Caller: caller(), Nonce: nonce})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := validator(t).Validate(t.Context(), done.Token, nonce); err != nil {
		t.Errorf("a true login: %v", err)
	}
	// And it is of no use elsewhere.
	evil := validator(t)
	evil.Origin = "https://evil.example"
	if _, err := evil.Validate(t.Context(), done.Token, nonce); err == nil {
		t.Error("a login at one site holds at another")
	}
}

func TestSeveralDocumentsOneConsent(t *testing.T) {
	c, p, ceremony := setup(t, pki.CNS)
	out, err := sign(t, ceremony, document([]byte("one")), document([]byte("two")), document([]byte("three")))
	if err != nil {
		t.Fatal(err)
	}
	if len(p.asked) != 1 || len(c.unlocks) != 1 || len(c.digests) != 3 || c.closed != 1 {
		t.Errorf("asked %d times, %d PINs, %d signatures, closed %d times", len(p.asked), len(c.unlocks), len(c.digests), c.closed)
	}
	for i, o := range out {
		if o.Len() == 0 {
			t.Errorf("nothing for document %d", i)
		}
	}
	if !bytes.Equal(p.pin, make([]byte, len(right))) {
		t.Error("the PIN was not wiped")
	}
}

func TestWrongPINIsTriedOnce(t *testing.T) {
	c, p, ceremony := setup(t, pki.CNS)
	p.answer = func(_ context.Context, r *consent.Request) (consent.Answer, error) { return p.yes(r, "00000"), nil }
	_, err := sign(t, ceremony, document([]byte("x")))
	var wrong *signing.ErrPINWrong
	if !errors.As(err, &wrong) || wrong.TriesLeft != 2 {
		t.Errorf("%v", err)
	}
	if len(c.unlocks) != 1 || len(c.digests) != 0 || c.closed != 1 || len(p.outcomes) != 1 {
		t.Errorf("%d PINs, %d signatures, closed %d, told %d", len(c.unlocks), len(c.digests), c.closed, len(p.outcomes))
	}
	if !bytes.Equal(p.pin, make([]byte, 5)) {
		t.Error("the PIN was not wiped")
	}
}

func TestNothingHappensWithoutAYes(t *testing.T) {
	for name, answer := range map[string]func(p *person, r *consent.Request) (consent.Answer, error){
		"refused": func(*person, *consent.Request) (consent.Answer, error) { return consent.Answer{}, consent.ErrRefused },
		"no PIN":  func(p *person, r *consent.Request) (consent.Answer, error) { return p.yes(r, ""), nil },
		"not ours": func(*person, *consent.Request) (consent.Answer, error) {
			return consent.Answer{CertificateID: "aa", PIN: []byte(right)}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, p, ceremony := setup(t, pki.CNS)
			p.answer = func(_ context.Context, r *consent.Request) (consent.Answer, error) { return answer(p, r) }
			if _, err := sign(t, ceremony, document([]byte("x"))); !errors.Is(err, consent.ErrRefused) {
				t.Errorf("%v", err)
			}
			if len(c.unlocks) != 0 || len(c.digests) != 0 {
				t.Error("the card was used")
			}
		})
	}
}

func TestTimeRunsOut(t *testing.T) {
	c, p, ceremony := setup(t, pki.CNS)
	ceremony.ConsentTime = 10 * time.Millisecond
	p.answer = func(ctx context.Context, r *consent.Request) (consent.Answer, error) {
		<-ctx.Done() // a face that forgets its own deadline, and says yes in the end
		return p.yes(r, right), nil
	}
	if _, err := sign(t, ceremony, document([]byte("x"))); !errors.Is(err, consent.ErrTimedOut) {
		t.Errorf("%v", err)
	}
	if c.opened != 0 {
		t.Error("the card was used after the time was over")
	}
}

func TestADocumentThatChangesIsNotSigned(t *testing.T) {
	shown := []byte("what was shown")
	for name, at := range map[string][]byte{"changed": []byte("what was signed"[:len(shown)]), "longer": append(slices.Clone(shown), '!'), "shorter": shown[:5]} {
		t.Run(name, func(t *testing.T) {
			c, _, ceremony := setup(t, pki.CNS)
			d := document(shown)
			d.Open = document(at).Open
			if _, err := sign(t, ceremony, d); !errors.Is(err, signing.ErrDocumentChanged) {
				t.Errorf("%v", err)
			}
			if len(c.digests) != 0 {
				t.Error("it was signed")
			}
		})
	}
}

func TestACardThatLies(t *testing.T) {
	c, _, ceremony := setup(t, pki.CNS)
	c.other = pki.Shared(t).MustIssue(t, pki.CNS, pki.RSA2048, pki.Citizens[1])
	if _, err := sign(t, ceremony, document([]byte("x"))); !errors.Is(err, signing.ErrCardFailed) {
		t.Errorf("%v", err)
	}
}

// Which certificate may do what.
func TestPurposes(t *testing.T) {
	for _, c := range []struct {
		kind        pki.Kind
		login, sign error
	}{
		{pki.CNS, nil, nil}, {pki.CIE, nil, nil},
		{pki.Qualified, signing.ErrCertificateUnfit, nil},
		{pki.Expired, signing.ErrCertificateUnfit, signing.ErrCertificateUnfit},
	} {
		t.Run(string(c.kind), func(t *testing.T) {
			_, p, ceremony := setup(t, c.kind)
			_, err := ceremony.Login(t.Context(), signing.LoginRequest{Caller: caller(), Nonce: nonce})
			if !errors.Is(err, c.login) {
				t.Errorf("login: %v", err)
			}
			if _, err := sign(t, ceremony, document([]byte("x"))); !errors.Is(err, c.sign) {
				t.Errorf("sign: %v", err)
			}
			if c.login != nil && c.sign != nil && len(p.asked) != 0 {
				t.Error("the person was asked for nothing")
			}
		})
	}
}

// A site that was never let in does not learn for nothing that the card is unfit.
func TestAnUnknownSiteLearnsNothing(t *testing.T) {
	_, p, ceremony := setup(t, pki.Qualified)
	p.answer = func(context.Context, *consent.Request) (consent.Answer, error) {
		return consent.Answer{}, consent.ErrRefused
	}
	who := caller()
	who.Allowed = false
	_, err := ceremony.Login(t.Context(), signing.LoginRequest{Caller: who, Nonce: nonce})
	if !errors.Is(err, consent.ErrRefused) || errors.Is(err, signing.ErrCertificateUnfit) {
		t.Errorf("%v", err)
	}
	if len(p.asked) != 1 || p.asked[0].Purpose != consent.PurposeOrigin || len(p.asked[0].Certificates) != 0 {
		t.Errorf("asked: %+v", p.asked)
	}
}

func TestNonces(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		nonce   string
		expires time.Time
		ok      bool
	}{
		"good":       {nonce, now.Add(time.Minute), true},
		"no end":     {nonce, time.Time{}, true},
		"expired":    {nonce, now.Add(-time.Second), false},
		"too short":  {"MTIz", time.Time{}, false},
		"not base64": {nonce[:43] + "!", time.Time{}, false},
		"endless":    {base64.StdEncoding.EncodeToString(make([]byte, 1<<16)), time.Time{}, false},
	} {
		if err := signing.CheckNonce(c.nonce, c.expires, now); (err == nil) != c.ok || err != nil && !errors.Is(err, signing.ErrNonceInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
