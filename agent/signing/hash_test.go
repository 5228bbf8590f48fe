package signing_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"testing"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/agent/wire"
	"github.com/citel-pa/citel/testdata/pki"
)

var sum = sha256.Sum256([]byte("what a site prepared"))

func hashRequest(cert *x509.Certificate) signing.HashRequest {
	return signing.HashRequest{Caller: caller(), Certificate: cert.Raw, Function: "SHA-256", Hash: sum[:]}
}

// The forgery over a bare hash: with every certificate that can log in it is refused,
// before the person is asked, and no digest reaches the card.
func TestForgeryOverABareHash(t *testing.T) {
	digests := loginDigests(crypto.SHA256)
	for name, kind := range map[string]pki.Kind{"CNS": pki.CNS, "CIE": pki.CIE, "serverAuth": pki.WrongUsage, "no profile": pki.WrongPolicy} {
		t.Run(name, func(t *testing.T) {
			c, p, ceremony := setup(t, kind)
			req := hashRequest(c.id.Cert)
			req.Hash = digests["its hash"]
			_, err := ceremony.SignHash(t.Context(), req)
			if code, _ := signing.Code(err); !errors.Is(err, signing.ErrHashRefused) || code != wire.CodeHashRefused {
				t.Errorf("%v", err)
			}
			if _, err := ceremony.Certificate(t.Context(), signing.CertificateRequest{Caller: caller()}); !errors.Is(err, signing.ErrHashRefused) {
				t.Errorf("its certificate: %v", err)
			}
			if len(c.digests) != 0 || len(c.unlocks) != 0 || len(p.asked) != 0 {
				t.Errorf("%d digests, %d PINs, %d questions", len(c.digests), len(c.unlocks), len(p.asked))
			}
		})
	}
	t.Run("the key has a login certificate too", func(t *testing.T) {
		c, p, ceremony := setup(t, pki.CNS)
		paper, err := pki.Shared(t).IssueFor(pki.Qualified, c.id.Key, pki.Citizens[0])
		if err != nil {
			t.Fatal(err)
		}
		second := &card{id: paper, pin: signing.PINState{TriesLeft: -1}}
		ceremony.Sources = func(context.Context) ([]signing.Source, error) { return []signing.Source{c, second}, nil }
		if _, err := ceremony.SignHash(t.Context(), hashRequest(paper.Cert)); err == nil {
			t.Error("signed")
		}
		if len(c.digests)+len(second.digests) != 0 || len(p.asked) != 0 {
			t.Error("the card was used, or the person asked")
		}
	})
	t.Run("a page's own certificate over the card's key", func(t *testing.T) {
		c, _, ceremony := setup(t, pki.CNS)
		paper := pki.Shared(t).MustIssue(t, pki.Qualified, pki.RSA2048, pki.Citizens[0])
		if _, err := ceremony.SignHash(t.Context(), hashRequest(paper.Cert)); err == nil || len(c.digests) != 0 {
			t.Errorf("%v, %d digests", err, len(c.digests))
		}
	})
	t.Run("a card that changes its certificate for the key", func(t *testing.T) {
		c, _, ceremony := setup(t, pki.Qualified)
		req := hashRequest(c.id.Cert)
		login := pki.Shared(t).MustIssue(t, pki.CNS, pki.RSA2048, pki.Citizens[0])
		p := &person{answer: func(_ context.Context, r *consent.Request) (consent.Answer, error) {
			a := consent.Answer{PIN: []byte(right), CertificateID: r.Certificates[0].ID}
			c.id = login // between the question and the key
			return a, nil
		}}
		ceremony.Asker = p
		if _, err := ceremony.SignHash(t.Context(), req); !errors.Is(err, signing.ErrCardFailed) || len(c.digests) != 0 {
			t.Errorf("%v, %d digests", err, len(c.digests))
		}
	})
}

// What a key for signatures alone signs holds, and is no login anywhere.
func TestABareHash(t *testing.T) {
	for _, alg := range []pki.KeyAlg{pki.RSA2048, pki.P256} {
		c := &card{id: pki.Shared(t).MustIssue(t, pki.Qualified, alg, pki.Citizens[0]), pin: signing.PINState{TriesLeft: -1}}
		p := &person{}
		ceremony := &signing.Ceremony{Sources: func(context.Context) ([]signing.Source, error) { return []signing.Source{c}, nil }, Asker: p}
		cert, err := ceremony.Certificate(t.Context(), signing.CertificateRequest{Caller: caller()})
		if err != nil || !cert.Equal(c.id.Cert) {
			t.Fatal(err)
		}
		if len(c.unlocks) != 0 || p.asked[0].Purpose != consent.PurposeCertificate || !bytes.Equal(p.pin, make([]byte, len(right))) {
			t.Error("a certificate takes no PIN, and one that came is wiped")
		}
		done, err := ceremony.SignHash(t.Context(), hashRequest(cert))
		if err != nil {
			t.Fatal(err)
		}
		if q := p.asked[1]; q.Purpose != consent.PurposeHash || q.Hash == nil || q.Hash.Function != "SHA-256" || !bytes.Equal(q.Hash.Value, sum[:]) {
			t.Errorf("the person was shown %+v", q.Hash)
		}
		holds, name := false, "RS256"
		switch key := cert.PublicKey.(type) {
		case *rsa.PublicKey:
			holds = rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], done.Signature) == nil && done.Algorithm == signing.Algorithm{Crypto: "RSA", Hash: "SHA-256", Padding: "PKCS1.5"}
		case *ecdsa.PublicKey:
			name = "ES256"
			holds = len(done.Signature) == 64 && ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(done.Signature[:32]), new(big.Int).SetBytes(done.Signature[32:])) &&
				done.Algorithm == signing.Algorithm{Crypto: "ECC", Hash: "SHA-256", Padding: "NONE"}
		}
		if !holds {
			t.Errorf("%v: the signature does not hold, or is called %+v", alg, done.Algorithm)
		}
		req := hashRequest(cert)
		req.Hash = loginDigests(crypto.SHA256)["its hash"]
		if done, err = ceremony.SignHash(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		forged, err := json.Marshal(map[string]string{"unverifiedCertificate": base64.StdEncoding.EncodeToString(cert.Raw), "algorithm": name,
			"signature": base64.StdEncoding.EncodeToString(done.Signature), "format": "web-eid:1.0", "appVersion": "x"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := validator(t).Validate(t.Context(), forged, nonce); err == nil {
			t.Error("a login with a key for signatures alone")
		}
	}
}

func TestHashesThatAreNone(t *testing.T) {
	_, p, ceremony := setup(t, pki.Qualified)
	cert := pki.Shared(t).MustIssue(t, pki.Qualified, pki.RSA2048, pki.Citizens[1]).Cert
	for name, c := range map[string]struct {
		change func(*signing.HashRequest)
		want   error
	}{
		"another length":                  {func(r *signing.HashRequest) { r.Hash = r.Hash[:20] }, signing.ErrHashInvalid},
		"SHA-1":                           {func(r *signing.HashRequest) { r.Function, r.Hash = "SHA-1", r.Hash[:20] }, signing.ErrHashInvalid},
		"no certificate":                  {func(r *signing.HashRequest) { r.Certificate = []byte{0x30} }, signing.ErrCertificateUnfit},
		"a certificate that is not there": {func(*signing.HashRequest) {}, signing.ErrCertificateUnfit},
	} {
		req := hashRequest(cert)
		c.change(&req)
		if _, err := ceremony.SignHash(t.Context(), req); !errors.Is(err, c.want) || errors.Is(err, signing.ErrHashRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(p.asked) != 0 {
		t.Error("the person was asked for nothing")
	}
}

// A caller that gives up by itself gets no more time, and the page's language reaches
// the face.
func TestBoundedCallers(t *testing.T) {
	_, p, ceremony := setup(t, pki.CNS)
	who := caller()
	who.Bounded, who.Language = true, "en"
	if _, err := ceremony.Login(t.Context(), signing.LoginRequest{Caller: who, Nonce: nonce}); err != nil {
		t.Fatal(err)
	}
	if q := p.asked[0]; q.Extend != nil || q.Language != "en" {
		t.Errorf("%+v", q)
	}
}
