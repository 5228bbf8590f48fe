// Package page is a web page without a browser: the localhost link as a page
// speaks it, and the server's addresses as a page calls them. The demo, the
// benchmarks and the tests that need no browser use it.
package page

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"github.com/citel-pa/citel/agent/wire"
)

// Link is one socket to the agent.
type Link struct {
	Origin string
	conn   *websocket.Conn
	id     int64
	Events []string // of the last request
}

// AgentError is an error message of the agent.
type AgentError struct {
	Code      wire.Code
	TriesLeft *int
}

// Error names the code.
func (e *AgentError) Error() string { return "agent: " + string(e.Code) }

// Dial opens a socket with an Origin header.
func Dial(ctx context.Context, port int, origin string) (*Link, error) {
	d := websocket.Dialer{Subprotocols: []string{wire.Subprotocol}, HandshakeTimeout: time.Minute}
	h := http.Header{}
	if origin != "" {
		h.Set("Origin", origin)
	}
	conn, resp, err := d.DialContext(ctx, fmt.Sprintf("ws://127.0.0.1:%d/", port), h)
	if resp != nil && resp.Body != nil {
		defer func() { _ = resp.Body.Close() }()
	}
	if err != nil {
		if resp != nil {
			return nil, fmt.Errorf("page: %w: %s", err, resp.Status)
		}
		return nil, fmt.Errorf("page: %w", err)
	}
	return &Link{Origin: origin, conn: conn}, nil
}

// Close ends the socket.
func (l *Link) Close() error { return l.conn.Close() }

// Send writes one JSON message as it is.
func (l *Link) Send(v any) error { return l.conn.WriteJSON(v) }

// NextID gives the next request id.
func (l *Link) NextID() int64 { l.id++; return l.id }

// Read reads the next message: JSON into head and raw, or a binary frame.
func (l *Link) Read() (head wire.Head, raw []byte, binary bool, err error) {
	kind, data, err := l.conn.ReadMessage()
	if err != nil {
		return head, nil, false, err
	}
	if kind == websocket.BinaryMessage {
		return head, data, true, nil
	}
	return head, data, false, json.Unmarshal(data, &head)
}

// wait reads until a message of the type comes; events are collected.
func (l *Link) wait(want wire.Type, into any) error {
	for {
		head, raw, binary, err := l.Read()
		switch {
		case err != nil:
			return err
		case binary:
			return errors.New("page: bytes out of turn")
		case head.Type == wire.TypeEvent:
			var e wire.Event
			if err := json.Unmarshal(raw, &e); err != nil {
				return err
			}
			l.Events = append(l.Events, e.Event)
		case head.Type == wire.TypeError:
			var e wire.Error
			if err := json.Unmarshal(raw, &e); err != nil {
				return err
			}
			return &AgentError{Code: e.Code, TriesLeft: e.TriesLeft}
		case head.Type == want:
			return json.Unmarshal(raw, into)
		}
	}
}

func challenge() (raw []byte, text string) {
	raw = make([]byte, wire.ChallengeLen)
	_, _ = rand.Read(raw) // never fails (crypto/rand)
	return raw, base64.StdEncoding.EncodeToString(raw)
}

// CheckProof verifies a proof of the link and gives the key's fingerprint.
func CheckProof(p *wire.Proof, origin string, challenge []byte) (string, error) {
	der, err := base64.StdEncoding.DecodeString(p.Key)
	if err != nil {
		return "", err
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return "", err
	}
	sig, err := base64.StdEncoding.DecodeString(p.Signature)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%s\x00%s\x00%s", wire.ProofLabel, origin, challenge)
	ec, ok := key.(*ecdsa.PublicKey)
	if !ok || len(sig) != 64 || !ecdsa.Verify(ec, h.Sum(nil), new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
		return "", errors.New("page: the proof of the link does not hold")
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), nil
}

// Hello greets the agent.
func (l *Link) Hello() (*wire.HelloReply, error) {
	_, text := challenge()
	if err := l.Send(wire.Hello{Head: wire.Head{Type: wire.TypeHello, ID: l.NextID()}, Version: wire.Version, Challenge: text}); err != nil {
		return nil, err
	}
	var r wire.HelloReply
	return &r, l.wait(wire.TypeHello, &r)
}

// Login asks for a token; the fingerprint of the link's key comes with it.
func (l *Link) Login(nonce string, life time.Duration) (*wire.LoginReply, string, error) {
	raw, text := challenge()
	l.Events = nil
	err := l.Send(wire.Login{
		Head: wire.Head{Type: wire.TypeLogin, ID: l.NextID()}, Nonce: nonce, Expires: time.Now().Add(life).UTC(), Challenge: text, Declaration: true, Language: "it",
	})
	if err != nil {
		return nil, "", err
	}
	var r wire.LoginReply
	if err := l.wait(wire.TypeLogin, &r); err != nil {
		return nil, "", err
	}
	if r.Proof == nil {
		return &r, "", nil
	}
	fingerprint, err := CheckProof(r.Proof, l.Origin, raw)
	return &r, fingerprint, err
}

// Certificate asks for one whose key signs hashes.
func (l *Link) Certificate() (*wire.CertificateReply, error) {
	l.Events = nil
	if err := l.Send(wire.Certificate{Head: wire.Head{Type: wire.TypeCertificate, ID: l.NextID()}, Language: "it"}); err != nil {
		return nil, err
	}
	var r wire.CertificateReply
	return &r, l.wait(wire.TypeCertificate, &r)
}

// SignHash has a hash of SHA-256 signed; the certificate is DER.
func (l *Link) SignHash(certificate, hash []byte) (*wire.SignHashReply, error) {
	l.Events = nil
	err := l.Send(wire.SignHash{Head: wire.Head{Type: wire.TypeSignHash, ID: l.NextID()}, HashFunction: "SHA-256",
		Certificate: base64.StdEncoding.EncodeToString(certificate), Hash: base64.StdEncoding.EncodeToString(hash)})
	if err != nil {
		return nil, err
	}
	var r wire.SignHashReply
	return &r, l.wait(wire.TypeSignHash, &r)
}

// Document is one to be signed.
type Document struct {
	Name, MediaType string
	Bytes           []byte
}

// Sign has documents signed. With a fingerprint no byte is sent to an agent that
// does not prove that key.
func (l *Link) Sign(documents []Document, detached bool, codiceFiscale, fingerprint string) ([][]byte, error) {
	raw, text := challenge()
	l.Events = nil
	id := l.NextID()
	err := l.Send(wire.Sign{
		Head: wire.Head{Type: wire.TypeSign, ID: id}, Challenge: text, Documents: len(documents), Format: "cades",
		Detached: detached, CodiceFiscale: codiceFiscale, Language: "it",
	})
	if err != nil {
		return nil, err
	}
	var ready wire.Ready
	if err := l.wait(wire.TypeReady, &ready); err != nil {
		return nil, err
	}
	got, err := CheckProof(&ready.Proof, l.Origin, raw)
	if err != nil {
		return nil, err
	}
	if fingerprint != "" && got != fingerprint {
		return nil, errors.New("page: another agent answers")
	}
	for i, d := range documents {
		if err := l.Send(wire.Document{Head: wire.Head{Type: wire.TypeDocument, ID: id}, Index: i, Name: d.Name, MediaType: d.MediaType, Size: int64(len(d.Bytes))}); err != nil {
			return nil, err
		}
		for rest := d.Bytes; len(rest) > 0; {
			n := min(len(rest), 256<<10)
			if err := l.conn.WriteMessage(websocket.BinaryMessage, rest[:n]); err != nil {
				return nil, err
			}
			rest = rest[n:]
		}
	}
	return l.results(len(documents))
}

func (l *Link) results(n int) ([][]byte, error) {
	out := make([][]byte, n)
	for i := range out {
		var s wire.Signed
		if err := l.wait(wire.TypeSigned, &s); err != nil {
			return nil, err
		}
		for int64(len(out[i])) < s.Size {
			_, raw, binary, err := l.Read()
			if err != nil {
				return nil, err
			}
			if !binary {
				return nil, errors.New("page: a message among a result's bytes")
			}
			out[i] = append(out[i], raw...)
		}
	}
	var done wire.Done
	return out, l.wait(wire.TypeDone, &done)
}
