package gateway

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/citel-pa/citel/agent/config"
	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/agent/wire"
)

// verifyProof checks a proof as a server or a page would.
func verifyProof(t *testing.T, proof *wire.Proof, origin string) (fingerprint string) {
	t.Helper()
	if proof == nil {
		t.Fatal("no proof")
	}
	spki, err := base64.StdEncoding.DecodeString(proof.Key)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := base64.StdEncoding.DecodeString(proof.Signature)
	if err != nil || len(sig) != 64 {
		t.Fatalf("%d bytes, %v", len(sig), err)
	}
	digest := sha256.Sum256(slices.Concat([]byte("citel-link-v1\x00"+origin+"\x00"), challengeBytes))
	if !ecdsa.Verify(pub.(*ecdsa.PublicKey), digest[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
		t.Fatal("the proof does not hold")
	}
	sum := sha256.Sum256(spki)
	return hex.EncodeToString(sum[:])
}

// An unknown origin learns the version and nothing else; a remembered one gets
// the proof and the card.
func TestHello(t *testing.T) {
	cards := &fakeCards{present: true}
	l := start(t, func(c *Config) { c.Cards = cards })
	p := l.page(site)
	p.send(wire.Hello{Head: wire.Head{Type: wire.TypeHello, ID: 1}, Version: 1, Challenge: challengeText})
	_, data, err := p.read()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(data), `{"type":"hello","id":1,"version":1,"agent":"1.2.3"}`; got != want {
		t.Fatalf("an unknown origin got\n%s\nwant\n%s", got, want)
	}
	if entries, _ := os.ReadDir(l.sites.Dir()); len(entries) != 0 {
		t.Errorf("something was stored for an unknown origin: %v", entries)
	}

	if err := l.sites.SetSite(site, config.Remembered, time.Now()); err != nil {
		t.Fatal(err)
	}
	hello := func(origin string) string {
		p := l.page(origin)
		p.send(wire.Hello{Head: wire.Head{Type: wire.TypeHello, ID: 1}, Version: 1, Challenge: challengeText})
		m := p.expect(wire.TypeHello)
		if m.Card != wire.CardPresent {
			t.Errorf("card: %q", m.Card)
		}
		return verifyProof(t, m.Proof, origin)
	}
	first := hello(site)
	if again := hello(site); again != first {
		t.Error("the key of an origin changed")
	}
	if err := l.sites.SetSite(other, config.Remembered, time.Now()); err != nil {
		t.Fatal(err)
	}
	if hello(other) == first {
		t.Error("two origins see the same key")
	}
	// Without a challenge there is no proof.
	q := l.page(site)
	q.send(wire.Hello{Head: wire.Head{Type: wire.TypeHello, ID: 1}, Version: 1})
	if m := q.expect(wire.TypeHello); m.Proof != nil {
		t.Error("a proof that was not asked for")
	}
}

// The derivation is frozen: servers keep the fingerprints.
func TestLinkKeyIsStable(t *testing.T) {
	secret := bytes.Repeat([]byte{7}, 32)
	key, err := linkKey(secret, site)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(spki)
	if got := hex.EncodeToString(sum[:]); got != "a5897057a25bd86969c9310ccde9c8d8150cdbd55a7970253dbabc3aa959f8ca" {
		t.Errorf("fingerprint %s", got)
	}
	if _, err := linkKey(secret[:31], site); err == nil {
		t.Error("a short secret was taken")
	}
}

// The golden messages of agent/wire, through a real socket.
func TestGoldenMessagesAreUnderstood(t *testing.T) {
	var idx struct {
		Messages []struct{ File, From, Message string }
	}
	readGolden(t, "index.json", &idx)
	for _, m := range idx.Messages {
		if m.From != "page" {
			continue
		}
		data, err := os.ReadFile("../wire/golden/" + m.File)
		if err != nil {
			t.Fatal(err)
		}
		// The golden times are past by now; their shape is what counts here.
		now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
		if _, bad := decode(data, now); bad != nil {
			t.Errorf("%s: %s", m.File, bad.Code)
		}
	}
}

type badMessage struct {
	Name string    `json:"name"`
	Text string    `json:"text"`
	Code wire.Code `json:"code"`
}

func readGolden(t testing.TB, file string, into any) {
	t.Helper()
	data, err := os.ReadFile("../wire/golden/" + file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

// Every broken message gets its code, and the socket stays open.
func TestBrokenMessages(t *testing.T) {
	var bad []badMessage
	readGolden(t, "bad.json", &bad)
	l := start(t, func(c *Config) { c.Limits = Limits{Connects: 1000, SocketsPerOrigin: 1000, Sockets: 1000} })
	for _, b := range bad {
		t.Run(b.Name, func(t *testing.T) {
			p := l.page(site)
			p.t = t
			p.sendText(b.Text)
			if m := p.next(); m.Type != wire.TypeError || m.Code != b.Code {
				t.Fatalf("got %+v, want %s", m, b.Code)
			}
			p.send(wire.Hello{Head: wire.Head{Type: wire.TypeHello, ID: 200}, Version: 1})
			p.expect(wire.TypeHello)
		})
	}
}

func TestLogin(t *testing.T) {
	l := start(t)
	var asked signing.LoginRequest
	l.signer.login = func(_ context.Context, req signing.LoginRequest) (*signing.LoginResult, error) {
		asked = req
		yes(req.Caller)
		return &signing.LoginResult{Token: []byte(`{"format":"web-eid:1.0"}`), Nonce: req.Nonce}, nil
	}
	p := l.greeted(site)
	m := login(2)
	m.Challenge = challengeText
	p.send(m)
	p.expectEvent(wire.EventConsent)
	p.expectEvent(wire.EventWorking)
	reply := p.expect(wire.TypeLogin)
	if string(reply.Token) != `{"format":"web-eid:1.0"}` || reply.Nonce != goodNonce || reply.ID != 2 {
		t.Fatalf("%+v", reply)
	}
	verifyProof(t, reply.Proof, site)
	if asked.Caller.Origin != site || asked.Caller.CommandLine || asked.Caller.Remembered || asked.Caller.Allowed {
		t.Errorf("caller: %+v", asked.Caller)
	}
	// Allowed once on this socket, not remembered: hello now proves the link.
	p.send(wire.Hello{Head: wire.Head{Type: wire.TypeHello, ID: 3}, Version: 1, Challenge: challengeText})
	verifyProof(t, p.expect(wire.TypeHello).Proof, site)
	if d, _ := l.sites.Site(site); d != config.Unknown {
		t.Errorf("remembered without a tick: %q", d)
	}
	// Another socket of the same origin starts anew.
	q := l.page(site)
	q.send(wire.Hello{Head: wire.Head{Type: wire.TypeHello, ID: 1}, Version: 1, Challenge: challengeText})
	if q.expect(wire.TypeHello).Proof != nil {
		t.Error("a proof for an origin that was not remembered")
	}
}

func TestRememberAndBlock(t *testing.T) {
	l := start(t)
	l.signer.login = func(_ context.Context, req signing.LoginRequest) (*signing.LoginResult, error) {
		req.Caller.Decided(signing.Decision{Approved: true, Remember: true})
		return &signing.LoginResult{Token: []byte(`{}`), Nonce: req.Nonce}, nil
	}
	p := l.greeted(site)
	p.send(login(2))
	p.expect(wire.TypeLogin)
	if d, _ := l.sites.Site(site); d != config.Remembered {
		t.Fatalf("%q", d)
	}
	l.signer.login = func(_ context.Context, req signing.LoginRequest) (*signing.LoginResult, error) {
		req.Caller.Decided(signing.Decision{Block: true})
		return nil, consent.ErrRefused
	}
	p.send(login(3))
	p.expectError(3, wire.CodeRefused)
	p.send(login(4))
	p.expectError(4, wire.CodeOriginBlocked)
	if code, _ := l.page(site).expectClosed(); code != wire.CloseRefused {
		t.Fatalf("closed with %d", code)
	}
}

// After two refusals in a row there is no third window, on no socket.
func TestSilenceAfterTwoRefusals(t *testing.T) {
	now := time.Now()
	clock := newClock(now)
	l := start(t, func(c *Config) { c.Now = clock.now })
	windows := 0
	refuse := func(_ context.Context, req signing.LoginRequest) (*signing.LoginResult, error) {
		windows++
		return nil, no(req.Caller)
	}
	l.signer.login = refuse
	p := l.greeted(site)
	p.send(login(2))
	p.expectError(2, wire.CodeRefused)
	l.signer.login = nil
	p.send(login(3)) // a yes in between begins the count anew
	p.expect(wire.TypeLogin)
	l.signer.login = refuse
	for id := int64(4); id < 6; id++ {
		p.send(login(id))
		p.expectError(id, wire.CodeRefused)
	}
	for id := int64(6); id < 9; id++ {
		p.send(login(id))
		p.expectError(id, wire.CodeOriginSilent)
	}
	p.send(sign(9, 1))
	p.expectError(9, wire.CodeOriginSilent)
	if code, text := l.page(site).expectClosed(); code != wire.CloseRefused || text != string(wire.CodeOriginSilent) {
		t.Fatalf("a new socket: %d %q", code, text)
	}
	l.greeted(other)
	if windows != 3 {
		t.Errorf("%d windows", windows)
	}
	clock.add(wire.SilentFor)
	l.greeted(site)
	p.send(login(10))
	p.expectError(10, wire.CodeRefused)
}

// The nonce that the token is made over is the fresh one when time was extended.
func TestFreshNonce(t *testing.T) {
	greeted := func(wait time.Duration) *page {
		l := start(t, func(c *Config) { c.Limits.NonceWait = wait })
		l.signer.login = func(ctx context.Context, req signing.LoginRequest) (*signing.LoginResult, error) {
			nonce, _, err := req.FreshNonce(ctx)
			if err != nil {
				return nil, err
			}
			yes(req.Caller)
			return &signing.LoginResult{Token: []byte(`{}`), Nonce: nonce}, nil
		}
		return l.greeted(site)
	}
	p := greeted(patience)
	p.send(login(2))
	p.expectEvent(wire.EventNonceNeeded)
	fresh := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{9}, 32))
	p.send(wire.Nonce{Head: wire.Head{Type: wire.TypeNonce, ID: 2}, Nonce: fresh, Expires: time.Now().Add(time.Minute)})
	if m := p.expect(wire.TypeLogin); m.Nonce != fresh {
		t.Fatalf("%+v", m)
	}
	// A page that sends none, and one for a request that has ended.
	p = greeted(200 * time.Millisecond)
	p.send(login(3))
	p.expectEvent(wire.EventNonceNeeded)
	p.expectError(3, wire.CodeNonceInvalid)
	p.send(wire.Nonce{Head: wire.Head{Type: wire.TypeNonce, ID: 3}, Nonce: fresh, Expires: time.Now().Add(time.Minute)})
	p.send(cancelOf(3))
	p.send(wire.Hello{Head: wire.Head{Type: wire.TypeHello, ID: 4}, Version: 1})
	p.expect(wire.TypeHello)
}

// The first message is hello, ids grow, and an id is used once.
func TestIDs(t *testing.T) {
	l := start(t)
	p := l.page(site)
	p.send(login(1))
	p.expectError(1, wire.CodeMalformed)
	p.send(wire.Hello{Head: wire.Head{Type: wire.TypeHello, ID: 5}, Version: 1})
	p.expect(wire.TypeHello)
	p.send(login(5))
	p.expectError(5, wire.CodeMalformed)
	p.send(login(4))
	p.expectError(4, wire.CodeMalformed)
	p.send(login(6))
	p.expect(wire.TypeLogin)
}

func TestErrorsReachThePage(t *testing.T) {
	l := start(t)
	p := l.greeted(site)
	for i, c := range []struct {
		err   error
		code  wire.Code
		tries int
	}{
		{&signing.ErrPINWrong{TriesLeft: 2}, wire.CodePINWrong, 2},
		{&signing.ErrPINWrong{TriesLeft: -1}, wire.CodePINWrong, -1},
		{signing.ErrPINLocked, wire.CodePINLocked, -1},
		{signing.ErrCardRemoved, wire.CodeCardRemoved, -1},
		{consent.ErrTimedOut, wire.CodeTimedOut, -1},
		{errors.New("/home/prova/secret detail"), wire.CodeInternal, -1},
	} {
		l.signer.login = func(_ context.Context, req signing.LoginRequest) (*signing.LoginResult, error) {
			yes(req.Caller)
			return nil, c.err
		}
		p.send(login(int64(i + 2)))
		p.expectEvent(wire.EventConsent)
		p.expectEvent(wire.EventWorking)
		_, data, err := p.read()
		if err != nil {
			t.Fatal(err)
		}
		var m wire.Error
		if err := json.Unmarshal(data, &m); err != nil {
			t.Fatal(err)
		}
		if m.Code != c.code || (m.TriesLeft == nil) != (c.tries < 0) || m.TriesLeft != nil && *m.TriesLeft != c.tries {
			t.Errorf("%v: %s", c.err, data)
		}
		if strings.Contains(string(data), "secret") {
			t.Errorf("detail on the wire: %s", data)
		}
	}
}

// Card events go to those who may know, and to nobody else.
func TestCardEvents(t *testing.T) {
	cards := &fakeCards{changes: make(chan bool)}
	l := start(t, func(c *Config) { c.Cards = cards })
	if err := l.sites.SetSite(site, config.Remembered, time.Now()); err != nil {
		t.Fatal(err)
	}
	stranger := l.greeted(other)
	p := l.greeted(site)
	cards.changes <- true
	if m := p.nextOrEvent(); m.Event != wire.EventCard || m.Card != wire.CardPresent || m.ID != 0 {
		t.Fatalf("%+v", m)
	}
	cards.changes <- false
	if m := p.nextOrEvent(); m.Card != wire.CardAbsent {
		t.Fatalf("%+v", m)
	}
	stranger.send(wire.Hello{Head: wire.Head{Type: wire.TypeHello, ID: 9}, Version: 1})
	if m := stranger.nextOrEvent(); m.Type != wire.TypeHello {
		t.Fatalf("a stranger got %+v", m)
	}
	stranger.send(login(10))
	// The watch begins beside the login, so its event may come before, between or after the
	// login's own.
	missing := map[string]bool{wire.EventConsent: true, wire.EventWorking: true, wire.EventCard: true}
	for len(missing) > 0 {
		m := stranger.nextOrEvent()
		if m.Type == wire.TypeEvent && !missing[m.Event] {
			t.Fatalf("unasked: %+v", m)
		}
		delete(missing, m.Event)
	}
}

// Closing the agent tells the pages.
func TestAgentStops(t *testing.T) {
	l := start(t)
	p := l.greeted(site)
	go l.stop()
	if code, _ := p.expectClosed(); code != websocket.CloseGoingAway {
		t.Fatalf("closed with %d", code)
	}
}
