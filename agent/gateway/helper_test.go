package gateway

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/citel-pa/citel/agent/config"
	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/agent/wire"
	"github.com/citel-pa/citel/testdata/pki"
)

const (
	site      = "https://sportello.example.it"
	other     = "https://altro.example.it"
	patience  = time.Minute // no test waits longer for a message
	goodNonce = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
)

var (
	challengeBytes = []byte("0123456789abcdef0123456789abcdef")
	challengeText  = base64.StdEncoding.EncodeToString(challengeBytes)
)

// fakeSigner stands in for the ceremony; each hook may be set.
type fakeSigner struct {
	login  func(ctx context.Context, req signing.LoginRequest) (*signing.LoginResult, error)
	sign   func(ctx context.Context, req signing.SignRequest) (*signing.SignResult, error)
	origin func(ctx context.Context, caller signing.Caller) error
}

// yes is what the person says: the site is let in.
func yes(c signing.Caller) {
	c.Notify(signing.StageConsent)
	c.Decided(signing.Decision{Approved: true})
	c.Notify(signing.StageWorking)
}

func no(c signing.Caller) error {
	c.Notify(signing.StageConsent)
	c.Decided(signing.Decision{})
	return consent.ErrRefused
}

func (f *fakeSigner) Login(ctx context.Context, req signing.LoginRequest) (*signing.LoginResult, error) {
	if f.login != nil {
		return f.login(ctx, req)
	}
	yes(req.Caller)
	return &signing.LoginResult{Token: []byte(`{"origin":"` + req.Caller.Origin + `"}`), Nonce: req.Nonce}, nil
}

// Sign gives back the document itself behind a mark.
func (f *fakeSigner) Sign(ctx context.Context, req signing.SignRequest) (*signing.SignResult, error) {
	if f.sign != nil {
		return f.sign(ctx, req)
	}
	yes(req.Caller)
	for i, d := range req.Documents {
		r, err := d.Open()
		if err != nil {
			return nil, err
		}
		w, err := req.Output(i)
		if err != nil {
			return nil, err
		}
		if _, err := fmt.Fprintf(w, "signed %x:", d.SHA256); err != nil {
			return nil, err
		}
		if _, err := io.Copy(w, r); err != nil {
			return nil, err
		}
		if err := w.Close(); err != nil {
			return nil, err
		}
	}
	return &signing.SignResult{Certificate: citizen()}, nil
}

func (f *fakeSigner) Certificate(_ context.Context, req signing.CertificateRequest) (*x509.Certificate, error) {
	yes(req.Caller)
	return citizen(), nil
}

// SignHash gives back the hash itself.
func (f *fakeSigner) SignHash(_ context.Context, req signing.HashRequest) (*signing.HashResult, error) {
	yes(req.Caller)
	return &signing.HashResult{Signature: req.Hash, Algorithm: signing.Algorithm{Crypto: "ECC", Hash: req.Function, Padding: "NONE"}}, nil
}

func (f *fakeSigner) AskOrigin(ctx context.Context, caller signing.Caller) error {
	if f.origin != nil {
		return f.origin(ctx, caller)
	}
	yes(caller)
	return nil
}

var citizen = sync.OnceValue(func() *x509.Certificate {
	p, err := pki.New()
	if err != nil {
		panic(err)
	}
	id, err := p.Issue(pki.CNS, pki.P256, pki.Citizens[0])
	if err != nil {
		panic(err)
	}
	return id.Cert
})

// link is a server under test.
type link struct {
	t      *testing.T
	server *Server
	signer *fakeSigner
	sites  *config.Store
	port   int
	stop   func()
}

func start(t *testing.T, change ...func(*Config)) *link {
	t.Helper()
	store := config.Open(filepath.Join(t.TempDir(), "citel"))
	l := &link{t: t, signer: &fakeSigner{}, sites: store}
	cfg := Config{Signer: l.signer, Sites: store, Secret: store.Secret, Version: "1.2.3", SpoolDir: t.TempDir()}
	for _, c := range change {
		c(&cfg)
	}
	l.server = New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	listeners, err := Listen(ctx, []int{0})
	if err != nil {
		t.Fatal(err)
	}
	l.port = listeners[0].Addr().(*net.TCPAddr).Port
	done := make(chan error, 1)
	go func() { done <- l.server.Serve(ctx, listeners) }()
	l.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(patience):
			t.Error("the server did not stop")
		}
	})
	t.Cleanup(l.stop)
	return l
}

// page is a page's end of a socket.
type page struct {
	t    *testing.T
	conn *websocket.Conn
}

func (l *link) dial(origin string, change ...func(h http.Header)) (*websocket.Conn, *http.Response, error) {
	h := http.Header{}
	if origin != "" {
		h.Set("Origin", origin)
	}
	for _, c := range change {
		c(h)
	}
	d := websocket.Dialer{Subprotocols: []string{wire.Subprotocol}, HandshakeTimeout: patience}
	return d.Dial(fmt.Sprintf("ws://127.0.0.1:%d/", l.port), h)
}

func (l *link) page(origin string) *page {
	l.t.Helper()
	conn, resp, err := l.dial(origin)
	if err != nil {
		l.t.Fatalf("dial: %v (%v)", err, resp)
	}
	_ = resp.Body.Close()
	l.t.Cleanup(func() { _ = conn.Close() })
	return &page{l.t, conn}
}

// greeted is a page that has said hello as id 1.
func (l *link) greeted(origin string) *page {
	l.t.Helper()
	p := l.page(origin)
	p.send(wire.Hello{Head: wire.Head{Type: wire.TypeHello, ID: 1}, Version: 1, Challenge: challengeText})
	p.expect(wire.TypeHello)
	return p
}

func (p *page) send(v any) {
	p.t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		p.t.Fatal(err)
	}
	p.sendText(string(data))
}

func (p *page) sendText(s string) {
	p.t.Helper()
	if err := p.conn.WriteMessage(websocket.TextMessage, []byte(s)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *page) sendBytes(b []byte) {
	p.t.Helper()
	if err := p.conn.WriteMessage(websocket.BinaryMessage, b); err != nil {
		p.t.Fatal(err)
	}
}

// any is every field that an agent's message can have.
type anyMessage struct {
	Type        wire.Type                `json:"type"`
	ID          int64                    `json:"id"`
	Version     int                      `json:"version"`
	Agent       string                   `json:"agent"`
	Card        string                   `json:"card"`
	Event       string                   `json:"event"`
	Code        wire.Code                `json:"code"`
	Tries       *int                     `json:"triesLeft"`
	Proof       *wire.Proof              `json:"proof"`
	Token       json.RawMessage          `json:"token"`
	Nonce       string                   `json:"nonce"`
	Index       int                      `json:"index"`
	Name        string                   `json:"name"`
	MediaType   string                   `json:"mediaType"`
	Size        int64                    `json:"size"`
	Certificate *wire.CertificateDetails `json:"certificate"`
}

func (p *page) read() (int, []byte, error) {
	if err := p.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, nil, err
	}
	return p.conn.ReadMessage()
}

// next is the next message, events left out unless they are card events.
func (p *page) next() anyMessage {
	p.t.Helper()
	for {
		m := p.nextOrEvent()
		if m.Type != wire.TypeEvent {
			return m
		}
	}
}

func (p *page) nextOrEvent() anyMessage {
	p.t.Helper()
	kind, data, err := p.read()
	if err != nil {
		p.t.Fatalf("reading: %v", err)
	}
	if kind != websocket.TextMessage {
		p.t.Fatalf("%d bytes where a message was expected", len(data))
	}
	var m anyMessage
	if err := json.Unmarshal(data, &m); err != nil {
		p.t.Fatalf("%s: %v", data, err)
	}
	return m
}

func (p *page) expect(typ wire.Type) anyMessage {
	p.t.Helper()
	m := p.next()
	if m.Type != typ {
		p.t.Fatalf("got %+v, want %s", m, typ)
	}
	return m
}

func (p *page) expectError(id int64, code wire.Code) {
	p.t.Helper()
	if m := p.next(); m.Type != wire.TypeError || m.ID != id || m.Code != code {
		p.t.Fatalf("got %+v, want error %s of %d", m, code, id)
	}
}

func (p *page) expectEvent(name string) {
	p.t.Helper()
	if m := p.nextOrEvent(); m.Type != wire.TypeEvent || m.Event != name {
		p.t.Fatalf("got %+v, want event %s", m, name)
	}
}

// expectClosed waits for the end of the socket and gives its close code.
func (p *page) expectClosed() (int, string) {
	p.t.Helper()
	for {
		if _, _, err := p.read(); err != nil {
			if ce, ok := errors.AsType[*websocket.CloseError](err); ok {
				return ce.Code, ce.Text
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				p.t.Fatal("the socket stayed open")
			}
			return 0, err.Error()
		}
	}
}

func login(id int64) wire.Login {
	return wire.Login{Head: wire.Head{Type: wire.TypeLogin, ID: id}, Nonce: goodNonce, Expires: time.Now().Add(time.Hour)}
}

func sign(id int64, documents int) wire.Sign {
	return wire.Sign{Head: wire.Head{Type: wire.TypeSign, ID: id}, Challenge: challengeText, Documents: documents, Format: "cades"}
}

func document(id int64, index int, name string, size int64) wire.Document {
	return wire.Document{Head: wire.Head{Type: wire.TypeDocument, ID: id}, Index: index, Name: name, MediaType: "application/pdf", Size: size}
}

func cancelOf(id int64) wire.Cancel {
	return wire.Cancel{Head: wire.Head{Type: wire.TypeCancel, ID: id}}
}
