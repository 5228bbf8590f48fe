package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/citel-pa/citel/agent/config"
	"github.com/citel-pa/citel/agent/wire"
)

// socket is one page's link. run reads; requests work in goroutines of their own
// and end with the socket.
type socket struct {
	s      *Server
	origin origin
	conn   *websocket.Conn
	send   *sender
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelCauseFunc

	// allowed: the person let this origin in, before or on this socket. It may
	// learn of the card.
	allowed    atomic.Bool
	remembered bool // when the socket opened
	watching   sync.Once
	work       sync.WaitGroup

	// Only run touches these.
	greeted  bool
	lastID   int64
	messages bucket
	tooMany  int
	upload   *upload // the document whose bytes are due
	stray    bool    // bytes of an ended request may still arrive
	strayed  int64

	mu       sync.Mutex
	requests map[int64]*request
}

var (
	errSocketClosed = errors.New("gateway: the page closed its socket")
	errAgentStops   = errors.New("gateway: the agent stops")
)

func newSocket(s *Server, conn *websocket.Conn, v verdict) *socket {
	k := &socket{
		s: s, origin: v.origin, conn: conn,
		send:       &sender{conn: conn, limit: s.limits.WriteTime},
		log:        s.log.With("origin", v.origin.text),
		remembered: v.decision == config.Remembered,
		messages:   bucket{burst: s.limits.Messages, window: s.limits.Window},
		requests:   make(map[int64]*request),
	}
	k.allowed.Store(k.remembered)
	k.ctx, k.cancel = context.WithCancelCause(context.Background())
	return k
}

// run reads until the page goes away; then every request of it is cancelled and
// waited for.
func (k *socket) run() {
	k.conn.SetReadLimit(wire.MaxFrame)
	k.log.Debug("socket open")
	for {
		kind, r, err := k.conn.NextReader()
		if err == nil && kind == websocket.TextMessage {
			err = k.text(r)
		} else if err == nil {
			err = k.binary(r)
		}
		if err != nil {
			k.log.Debug("socket closed", "reason", err)
			break
		}
	}
	k.cancel(errSocketClosed)
	k.work.Wait()
	_ = k.conn.Close()
}

// close ends the socket from our side; run then cleans up.
func (k *socket) close(code int, reason string) {
	if code == websocket.CloseGoingAway {
		k.cancel(errAgentStops)
	}
	closeWith(k.conn, code, reason)
}

// text handles one JSON message. An error ends the socket.
func (k *socket) text(r io.Reader) error {
	data, err := io.ReadAll(io.LimitReader(r, wire.MaxText+1))
	if err != nil {
		return fmt.Errorf("reading: %w", err)
	}
	k.stray = false
	if len(data) > wire.MaxText {
		if _, err := io.Copy(io.Discard, r); err != nil {
			return fmt.Errorf("reading: %w", err)
		}
		k.abortUpload(wire.CodeTooLarge)
		return k.answerError(wireError(0, wire.CodeTooLarge))
	}
	msg, bad := decode(data, k.s.cfg.Now())
	if doc, ok := msg.(*wire.Document); !ok || k.request(doc.ID) == nil {
		if err := k.count(idOf(data)); err != nil || k.tooMany > 0 {
			return err
		}
	}
	if _, isCancel := msg.(*wire.Cancel); !isCancel {
		k.abortUpload(wire.CodeMalformed) // only a cancel may come between a document's bytes
	}
	if bad != nil {
		k.log.Debug("message refused", "id", bad.ID, "code", bad.Code)
		if req := k.request(bad.ID); req != nil {
			// An error with an id ends its request, so the request ends; what it
			// announced may follow.
			k.stray = true
			req.cancel(codeError(bad.Code))
			return nil
		}
		return k.answerError(bad)
	}
	return k.handle(msg)
}

// count holds the limit of messages; a page that goes on regardless is hung up on.
func (k *socket) count(id int64) error {
	if k.messages.take(k.s.cfg.Now()) {
		k.tooMany = 0
		return nil
	}
	if k.tooMany++; k.tooMany > k.s.limits.Messages {
		k.close(websocket.ClosePolicyViolation, string(wire.CodeTooMany))
		return errors.New("too many messages")
	}
	return k.answerError(wireError(id, wire.CodeTooMany))
}

// idOf reads the id of a message that is not looked at further; 0 without one.
func idOf(data []byte) int64 {
	var head wire.Head
	if unmarshal(data, &head) != nil || head.ID < 0 || head.ID > wire.MaxID {
		return 0
	}
	return head.ID
}

func (k *socket) handle(msg any) error {
	switch m := msg.(type) {
	case *wire.Hello:
		if !k.newID(m.ID) {
			return k.answerError(wireError(m.ID, wire.CodeMalformed))
		}
		return k.hello(m)
	case *wire.Login:
		return k.begin(m.ID, func(req *request) { req.login(m) })
	case *wire.Sign:
		return k.begin(m.ID, func(req *request) { req.sign(m) })
	case *wire.Certificate:
		return k.begin(m.ID, func(req *request) { req.certificate(m) })
	case *wire.SignHash:
		return k.begin(m.ID, func(req *request) { req.signHash(m) })
	case *wire.Document:
		return k.document(m)
	case *wire.Nonce:
		if req := k.request(m.ID); req != nil {
			req.fresh(m)
		} else if m.ID > k.lastID {
			return k.answerError(wireError(m.ID, wire.CodeMalformed))
		}
	case *wire.Cancel:
		if req := k.request(m.ID); req != nil {
			req.cancel(context.Canceled)
		}
	}
	return nil
}

// newID: each request's id is greater than those before.
func (k *socket) newID(id int64) bool {
	if id <= k.lastID {
		return false
	}
	k.lastID = id
	return true
}

// hello answers with the version; with a proof and the card for those whom the
// person let in, and nothing else for anybody else.
func (k *socket) hello(m *wire.Hello) error {
	k.greeted = true
	reply := wire.HelloReply{Head: m.Head, Version: wire.Version, Agent: k.s.cfg.Version}
	if k.allowed.Load() {
		if m.Challenge != "" {
			proof, err := k.prove(m.Challenge)
			if err != nil {
				k.log.Error("no proof of the link", "error", err)
				return k.answerError(wireError(m.ID, wire.CodeInternal))
			}
			reply.Proof = proof
		}
		reply.Card = k.card()
	}
	if err := k.send.json(reply); err != nil {
		return err
	}
	if k.allowed.Load() {
		k.watch(reply.Card)
	}
	return nil
}

func (k *socket) prove(challengeText string) (*wire.Proof, error) {
	secret, err := k.s.cfg.Secret()
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	proof, err := prove(secret, k.origin.text, challenge(challengeText))
	return &proof, err
}

// begin starts a login, a signature or a question for a certificate.
func (k *socket) begin(id int64, do func(*request)) error {
	if !k.greeted || !k.newID(id) {
		return k.answerError(wireError(id, wire.CodeMalformed))
	}
	if decision, err := k.s.cfg.Sites.Site(k.origin.text); err != nil {
		return k.answerError(wireError(id, wire.CodeInternal))
	} else if decision == config.Blocked {
		return k.answerError(wireError(id, wire.CodeOriginBlocked))
	}
	switch {
	case k.s.cfg.Silence.Silent(k.origin.text, k.s.cfg.Now()):
		return k.answerError(wireError(id, wire.CodeOriginSilent))
	case !k.s.limits.request(k.origin.text):
		return k.answerError(wireError(id, wire.CodeTooMany))
	}
	place, ok := k.s.queue.admit(k.origin.text)
	if !ok {
		return k.answerError(wireError(id, wire.CodeBusy))
	}
	req := newRequest(k, id, place)
	k.mu.Lock()
	k.requests[id] = req
	k.mu.Unlock()
	k.work.Add(1)
	go func() {
		defer k.work.Done()
		defer req.end()
		do(req)
	}()
	return nil
}

func (k *socket) request(id int64) *request {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.requests[id]
}

func (k *socket) answerError(e *wire.Error) error { return k.send.json(e) }

// sender writes to one page. A page that does not read is hung up on after
// limit; it holds up nobody else.
type sender struct {
	mu    sync.Mutex
	conn  *websocket.Conn
	limit time.Duration
}

func (s *sender) json(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.write(websocket.TextMessage, data)
}

func (s *sender) write(kind int, data []byte) error {
	err := s.conn.SetWriteDeadline(time.Now().Add(s.limit))
	if err == nil {
		err = s.conn.WriteMessage(kind, data)
	}
	if err != nil {
		_ = s.conn.Close() // wakes the reader, which ends the socket
		return fmt.Errorf("gateway: writing: %w", err)
	}
	return nil
}

// file announces a result and sends its bytes, with nothing in between.
func (s *sender) file(announce wire.Signed, r io.Reader) error {
	head, err := json.Marshal(announce)
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.write(websocket.TextMessage, head); err != nil {
		return err
	}
	buf := make([]byte, min(wire.MaxFrame, announce.Size))
	for sent := int64(0); sent < announce.Size; {
		n, err := io.ReadFull(r, buf[:min(int64(len(buf)), announce.Size-sent)])
		if err != nil {
			_ = s.conn.Close() // half a result is announced: there is no way back
			return fmt.Errorf("gateway: reading a result: %w", err)
		}
		if err := s.write(websocket.BinaryMessage, buf[:n]); err != nil {
			return err
		}
		sent += int64(n)
	}
	return nil
}
