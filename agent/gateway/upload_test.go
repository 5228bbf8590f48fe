package gateway

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/agent/wire"
)

// result reads one result: its announcement and its bytes.
func (p *page) result() (anyMessage, []byte) {
	p.t.Helper()
	m := p.expect(wire.TypeSigned)
	var all []byte
	for int64(len(all)) < m.Size {
		kind, data, err := p.read()
		if err != nil {
			p.t.Fatal(err)
		}
		if kind != websocket.BinaryMessage || len(data) == 0 || len(data) > wire.MaxFrame {
			p.t.Fatalf("frame of kind %d with %d bytes", kind, len(data))
		}
		all = append(all, data...)
	}
	if int64(len(all)) != m.Size {
		p.t.Fatalf("%d bytes, announced %d", len(all), m.Size)
	}
	return m, all
}

func random(t *testing.T, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}

func emptySpool(t *testing.T, l *link) {
	t.Helper()
	entries, err := os.ReadDir(l.server.cfg.SpoolDir)
	if err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestSign(t *testing.T) {
	l := start(t)
	asked := false
	l.signer.origin = func(_ context.Context, c signing.Caller) error {
		asked = true
		yes(c)
		return nil
	}
	docs := [][]byte{random(t, 3*wire.MaxFrame/2), []byte("x"), random(t, 70_000)}
	l.signer.sign = func(ctx context.Context, req signing.SignRequest) (*signing.SignResult, error) {
		if !req.Caller.Allowed || req.Format != "cades" || !req.Detached || req.Choice.CodiceFiscale != "PRVMRA80A01H501Z" {
			t.Errorf("request: %+v", req)
		}
		for i, d := range req.Documents {
			r, err := d.Open()
			if err != nil {
				return nil, err
			}
			content, err := io.ReadAll(r)
			if err != nil {
				return nil, err
			}
			if !bytes.Equal(content, docs[i]) || d.SHA256 != sha256.Sum256(docs[i]) || d.Size != int64(len(docs[i])) || d.MediaType != "application/pdf" {
				t.Errorf("document %d is not what was sent", i)
			}
		}
		l.signer.sign = nil
		return l.signer.Sign(ctx, req)
	}
	p := l.greeted(site)
	m := sign(2, len(docs))
	m.Detached, m.CodiceFiscale = true, "PRVMRA80A01H501Z"
	p.send(m)
	verifyProof(t, p.expect(wire.TypeReady).Proof, site)
	if !asked {
		t.Error("an unknown site was not asked about before it got ready")
	}
	for i, d := range docs {
		p.send(document(2, i, fmt.Sprintf("istanza %d.pdf", i), int64(len(d))))
		for len(d) > 0 {
			n := min(len(d), 500_000)
			p.sendBytes(d[:n])
			d = d[n:]
		}
	}
	for i, d := range docs {
		got, content := p.result()
		want := append(fmt.Appendf(nil, "signed %x:", sha256.Sum256(d)), d...)
		if got.Index != i || got.Name != fmt.Sprintf("istanza %d.pdf.p7s", i) || got.MediaType != "application/pkcs7-signature" || !bytes.Equal(content, want) {
			t.Errorf("result %d: %+v, %d bytes", i, got, len(content))
		}
	}
	if done := p.expect(wire.TypeDone); done.Certificate == nil || len(done.Certificate.SHA256) != 64 || done.Certificate.CodiceFiscale == "" {
		t.Errorf("%+v", done.Certificate)
	}
	emptySpool(t, l)
}

// Where a page does not keep to the protocol its request ends and the link stays.
func TestUploadGoesWrong(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(p *page)
		code wire.Code
	}{
		"wrong index":     {func(p *page) { p.send(document(2, 1, "a", 3)) }, wire.CodeMalformed},
		"twice":           {func(p *page) { p.send(document(2, 0, "a", 3)); p.send(document(2, 0, "a", 3)) }, wire.CodeMalformed},
		"more bytes":      {func(p *page) { p.send(document(2, 0, "a", 3)); p.sendBytes([]byte("abcd")) }, wire.CodeMalformed},
		"a path":          {func(p *page) { p.send(document(2, 0, "../a", 3)) }, wire.CodeMalformed},
		"a backslash":     {func(p *page) { p.send(document(2, 0, `..\a`, 3)) }, wire.CodeMalformed},
		"no name":         {func(p *page) { p.send(document(2, 0, "", 3)) }, wire.CodeMalformed},
		"control in name": {func(p *page) { p.send(document(2, 0, "a\x1b[2Jb", 3)) }, wire.CodeMalformed},
		"no bytes":        {func(p *page) { p.send(document(2, 0, "a", 0)) }, wire.CodeMalformed},
		"negative":        {func(p *page) { p.send(document(2, 0, "a", -1)) }, wire.CodeMalformed},
		"too large":       {func(p *page) { p.send(document(2, 0, "a", 1001)) }, wire.CodeTooLarge},
		"overflow":        {func(p *page) { p.send(document(2, 0, "a", 1<<63-1)) }, wire.CodeTooLarge},
		"too large in all": {func(p *page) {
			p.send(document(2, 0, "a", 600))
			p.sendBytes(make([]byte, 600))
			p.send(document(2, 1, "b", 600))
		}, wire.CodeTooLarge},
		"hello in between": {func(p *page) {
			p.send(document(2, 0, "a", 3))
			p.send(wire.Hello{Head: wire.Head{Type: wire.TypeHello, ID: 3}, Version: 1})
		}, wire.CodeMalformed},
		"cancel in between": {func(p *page) { p.send(document(2, 0, "a", 3)); p.send(cancelOf(2)) }, wire.CodeCancelled},
		"nothing":           {func(*page) {}, wire.CodeTimedOut},
		"half":              {func(p *page) { p.send(document(2, 0, "a", 3)); p.sendBytes([]byte("a")) }, wire.CodeTimedOut},
	} {
		t.Run(name, func(t *testing.T) {
			stall := time.Minute
			if c.code == wire.CodeTimedOut {
				stall = 300 * time.Millisecond
			}
			l := start(t, func(cfg *Config) { cfg.Limits.MaxTotal = 1000; cfg.Limits.UploadStall = stall })
			p := l.greeted(site)
			p.send(sign(2, 2))
			p.expect(wire.TypeReady)
			c.do(p)
			for {
				m := p.next()
				if m.Type == wire.TypeHello {
					continue
				}
				if m.Type != wire.TypeError || m.ID != 2 || m.Code != c.code {
					t.Fatalf("got %+v, want %s", m, c.code)
				}
				break
			}
			// What was in flight is let through, and the next request works.
			if name != "nothing" {
				p.sendBytes([]byte("rest"))
			}
			p.send(sign(4, 1))
			for p.next().Type != wire.TypeReady {
			}
			p.send(document(4, 0, "a", 3))
			p.sendBytes([]byte("abc"))
			if _, content := p.result(); !bytes.HasSuffix(content, []byte(":abc")) {
				t.Errorf("%q", content)
			}
			p.expect(wire.TypeDone)
			emptySpool(t, l)
		})
	}
}

// A person who refuses the site gets no documents sent, and one who refuses the
// signature no signature.
func TestSignRefused(t *testing.T) {
	l := start(t)
	l.signer.origin = func(_ context.Context, c signing.Caller) error { return no(c) }
	p := l.greeted(site)
	p.send(sign(2, 1))
	p.expectError(2, wire.CodeRefused)

	l.signer.origin = nil
	l.signer.sign = func(_ context.Context, req signing.SignRequest) (*signing.SignResult, error) {
		return nil, no(req.Caller)
	}
	p.send(sign(3, 1))
	p.expect(wire.TypeReady)
	p.send(document(3, 0, "a", 3))
	p.sendBytes([]byte("abc"))
	p.expectError(3, wire.CodeRefused)
	emptySpool(t, l)
}

// Bytes that belong to nothing are an error each, and in the end the end.
func TestStrayBytes(t *testing.T) {
	l := start(t, func(c *Config) { c.Limits.Messages = 5 })
	p := l.greeted(site)
	p.sendBytes([]byte("x"))
	p.expectError(0, wire.CodeMalformed)
	for range 20 {
		if p.conn.WriteMessage(websocket.BinaryMessage, []byte("x")) != nil {
			break
		}
	}
	if code, _ := p.expectClosed(); code != websocket.ClosePolicyViolation && code != 0 {
		t.Fatalf("closed with %d", code)
	}
}

func TestFloodOfMessages(t *testing.T) {
	l := start(t, func(c *Config) { c.Limits.Messages = 10 })
	p := l.greeted(site)
	go func() {
		for range 10_000 {
			if p.conn.WriteMessage(websocket.TextMessage, []byte("{}")) != nil {
				return
			}
		}
	}()
	seen := map[wire.Code]int{}
	for {
		_, data, err := p.read()
		if err != nil {
			break
		}
		for _, code := range []wire.Code{wire.CodeMalformed, wire.CodeTooMany} {
			if bytes.Contains(data, []byte(code)) {
				seen[code]++
			}
		}
	}
	if seen[wire.CodeMalformed] == 0 || seen[wire.CodeMalformed] > 15 || seen[wire.CodeTooMany] == 0 || seen[wire.CodeTooMany] > 15 {
		t.Errorf("%v", seen)
	}
	l.greeted(other)
}

func TestFloodOfSockets(t *testing.T) {
	l := start(t, func(c *Config) { c.Limits.SocketsPerOrigin = 3; c.Limits.Connects = 8 })
	var open, refused int
	for range 20 {
		conn, _, err := l.dial(site)
		if err != nil {
			refused++
			continue
		}
		open++
		t.Cleanup(func() { _ = conn.Close() })
	}
	if open != 3 || refused != 17 {
		t.Errorf("%d open, %d refused", open, refused)
	}
	l.greeted(other)
}

// Oversized messages: text gets an error, a frame beyond all limits ends the socket.
func TestOversized(t *testing.T) {
	l := start(t)
	p := l.greeted(site)
	p.sendText(`{"type":"hello","id":2,"version":1,"x":"` + string(bytes.Repeat([]byte("a"), wire.MaxText)) + `"}`)
	p.expectError(0, wire.CodeTooLarge)
	p.send(wire.Hello{Head: wire.Head{Type: wire.TypeHello, ID: 3}, Version: 1})
	p.expect(wire.TypeHello)
	_ = p.conn.WriteMessage(websocket.BinaryMessage, make([]byte, wire.MaxFrame+1))
	if code, _ := p.expectClosed(); code != websocket.CloseMessageTooBig {
		t.Fatalf("closed with %d", code)
	}
	q := l.greeted(site)
	_ = q.conn.WriteMessage(websocket.TextMessage, bytes.Repeat([]byte(" "), wire.MaxFrame+1))
	if code, _ := q.expectClosed(); code != websocket.CloseMessageTooBig {
		t.Fatalf("closed with %d", code)
	}
}

// Bytes that are no WebSocket frames end the socket, and nothing else.
func TestMalformedFrames(t *testing.T) {
	l := start(t)
	for name, frame := range map[string][]byte{
		"not masked":       {0x81, 0x02, '{', '}'},
		"reserved opcode":  {0x83, 0x80, 0, 0, 0, 0},
		"reserved bits":    {0xf1, 0x80, 0, 0, 0, 0},
		"continuation":     {0x80, 0x80, 0, 0, 0, 0},
		"long control":     {0x89, 0xfe, 0xff, 0xff, 0, 0, 0, 0},
		"length of 2^63":   {0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0},
		"split ping":       {0x09, 0x80, 0, 0, 0, 0},
		"text without end": {0x01, 0x80, 0, 0, 0, 0, 0x81, 0x80, 0, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := l.greeted(site)
			p.t = t
			if _, err := p.conn.NetConn().Write(frame); err != nil {
				t.Fatal(err)
			}
			p.expectClosed()
		})
	}
	l.greeted(site)
}

// A page that does not read is hung up on and holds up nobody.
func TestSlowReader(t *testing.T) {
	l := start(t, func(c *Config) { c.Limits.WriteTime = 300 * time.Millisecond })
	l.signer.sign = func(_ context.Context, req signing.SignRequest) (*signing.SignResult, error) {
		yes(req.Caller)
		w, err := req.Output(0)
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(make([]byte, 64<<20)); err != nil {
			return nil, err
		}
		if err := w.Close(); err != nil {
			return nil, err
		}
		return &signing.SignResult{Certificate: citizen()}, nil
	}
	p := l.greeted(site)
	p.send(sign(2, 1))
	p.expect(wire.TypeReady)
	p.send(document(2, 0, "a", 1))
	p.sendBytes([]byte("a")) // and now nobody reads

	q := l.greeted(other)
	for id := int64(2); id < 5; id++ {
		q.send(login(id))
		q.expect(wire.TypeLogin)
	}
	deadline := time.Now().Add(patience)
	for {
		l.server.mu.Lock()
		n := len(l.server.sockets)
		l.server.mu.Unlock()
		if n == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the slow page keeps its socket")
		}
		time.Sleep(20 * time.Millisecond)
	}
	emptySpool(t, l)
}

// A person's spool that cannot be written is an error of ours, not a crash.
func TestSpoolFails(t *testing.T) {
	l := start(t, func(c *Config) { c.SpoolDir = "/nonexistent" })
	p := l.greeted(site)
	p.send(sign(2, 1))
	p.expect(wire.TypeReady)
	p.send(document(2, 0, "a", 1))
	p.sendBytes([]byte("a"))
	p.expectError(2, wire.CodeInternal)
}

func TestSpoolIsPrivate(t *testing.T) {
	s, err := newSpool(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.discard()
	info, err := s.file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if _, err := os.Stat(s.file.Name()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it has a name: %v", err)
	}
	if _, err := s.Write([]byte("abc")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r, err := s.open()
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(r); err != nil || string(b) != "abc" {
			t.Errorf("%q, %v", b, err)
		}
	}
	if s.sum() != sha256.Sum256([]byte("abc")) {
		t.Error("the running hash is wrong")
	}
}
