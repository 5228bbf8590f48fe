package gateway

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/citel-pa/citel/agent/config"
	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/agent/wire"
	"github.com/citel-pa/citel/testdata/pki"
)

func goldenHash(t *testing.T) wire.SignHash {
	t.Helper()
	var m wire.SignHash
	data, err := os.ReadFile("../wire/golden/sign-hash.json")
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	m.ID = 3
	return m
}

// replyOf reads one answer as its type.
func replyOf[M any](p *page, typ wire.Type) M {
	p.t.Helper()
	for {
		_, data, err := p.read()
		if err != nil {
			p.t.Fatal(err)
		}
		var head wire.Head
		var m M
		if err := json.Unmarshal(data, &head); err != nil {
			p.t.Fatal(err)
		}
		if head.Type == wire.TypeEvent {
			continue
		}
		if err := json.Unmarshal(data, &m); err != nil || head.Type != typ {
			p.t.Fatalf("%s %v", data, err)
		}
		return m
	}
}

func TestCertificateAndHash(t *testing.T) {
	l := start(t)
	p := l.greeted(site)
	p.send(wire.Certificate{Head: wire.Head{Type: wire.TypeCertificate, ID: 2}, Language: "en"})
	if r := replyOf[wire.CertificateReply](p, wire.TypeCertificate); r.ID != 2 || r.Certificate != base64.StdEncoding.EncodeToString(citizen().Raw) || len(r.Algorithms) != 3 || r.Algorithms[0].CryptoAlgorithm != "ECC" {
		t.Errorf("%+v", r)
	}
	m := goldenHash(t)
	p.send(m)
	if r := replyOf[wire.SignHashReply](p, wire.TypeSignHash); r.ID != 3 || r.Signature != m.Hash || r.Algorithm.HashFunction != "SHA-256" {
		t.Errorf("%+v", r)
	}
}

// The forgery over the link: with a certificate that can log in nothing gets further than
// the reading of the message.
func TestForgeryOverTheLink(t *testing.T) {
	l := start(t)
	p := l.greeted(site)
	m := goldenHash(t)
	for i, kind := range []pki.Kind{pki.CNS, pki.CIE, pki.WrongPolicy} {
		m.ID = int64(10 + i)
		m.Certificate = base64.StdEncoding.EncodeToString(pki.Shared(t).MustIssue(t, kind, pki.P256, pki.Citizens[0]).Cert.Raw)
		p.send(m)
		p.expectError(m.ID, wire.CodeHashRefused)
	}
}

// Another program of this user asks the person: the page waits, and what the person
// decides there counts here.
func TestTurns(t *testing.T) {
	other := config.Open(t.TempDir())
	l := start(t, func(c *Config) { c.Turn, c.Silence = other.Turn, other })
	release, err := other.Turn(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	p := l.greeted(site)
	p.send(login(2))
	p.expectEvent(wire.EventWaiting)
	for range wire.SilentAfter {
		if err := other.Refused(site, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	release()
	p.expectError(2, wire.CodeOriginSilent)
	if code, reason := l.page(site).expectClosed(); code != wire.CloseRefused || reason != string(wire.CodeOriginSilent) {
		t.Errorf("%d %s", code, reason)
	}
	if err := other.Approved(site, time.Now()); err != nil {
		t.Fatal(err)
	}
	q := l.greeted(site)
	l.signer.login = func(_ context.Context, req signing.LoginRequest) (*signing.LoginResult, error) {
		return nil, no(req.Caller)
	}
	for id := int64(2); id < 4; id++ {
		q.send(login(id))
		q.expectError(id, wire.CodeRefused)
	}
	if !other.Silent(site, time.Now()) {
		t.Error("refusals over the link do not count elsewhere")
	}
}
