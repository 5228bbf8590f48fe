package gateway

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/citel-pa/citel/agent/config"
	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/agent/wire"
)

// freshEnough: a nonce with less time than this, after its request has waited
// for another window, is replaced before the person is asked.
const freshEnough = 45 * time.Second

// codeError ends a request with a code of the wire.
type codeError wire.Code

func (e codeError) Error() string { return "gateway: " + string(e) }

// request is one login or signature of one page, from its first message to its
// answer. Its methods run in one goroutine, but for cancel, fresh and the upload,
// which the socket calls.
type request struct {
	k      *socket
	id     int64
	place  *place
	ctx    context.Context
	cancel context.CancelCauseFunc
	files  spools
	nonces chan *wire.Nonce
	err    error        // what the request failed with
	answer func() error // says how it ended, when it ended well
	waited bool
	// language of the page, where it said so.
	language string

	// The upload of a signature. docs is the socket's until complete is closed.
	receiving atomic.Bool
	expected  int
	docs      []consent.Document
	total     int64
	progress  chan struct{}
	complete  chan struct{}
}

func newRequest(k *socket, id int64, p *place) *request {
	q := &request{k: k, id: id, place: p, nonces: make(chan *wire.Nonce, 1),
		progress: make(chan struct{}, 1), complete: make(chan struct{})}
	q.ctx, q.cancel = context.WithCancelCause(k.ctx)
	return q
}

// end gives the request's place away, answers, and leaves nothing behind. The
// place goes first: a page that has its answer may ask again at once.
func (q *request) end() {
	defer q.files.discard()
	q.place.leave()
	q.k.mu.Lock()
	delete(q.k.requests, q.id)
	q.k.mu.Unlock()
	if cause := context.Cause(q.ctx); cause != nil {
		// Cancelled, even if the card has worked meanwhile: nothing is given out.
		q.err = cause
	}
	if q.err == nil {
		q.err = q.answer()
	}
	q.cancel(nil)
	if q.err == nil || q.k.ctx.Err() != nil {
		return
	}
	e := wireError(q.id, wire.CodeInternal)
	if code, ok := errors.AsType[codeError](q.err); ok {
		e.Code = wire.Code(code)
	} else {
		e.Code, e.TriesLeft = signing.Code(q.err)
	}
	if e.Code == wire.CodeInternal {
		q.k.log.Error("request failed", "id", q.id, "error", q.err)
	} else {
		q.k.log.Info("request ended", "id", q.id, "code", e.Code, "error", q.err)
	}
	_ = q.k.send.json(e) // a page that is gone is not told
}

// event tells the page how far the request is. That a page is slow to read is
// found out by the sender.
func (q *request) event(name string) {
	_ = q.k.send.json(wire.Event{Head: wire.Head{Type: wire.TypeEvent, ID: q.id}, Event: name})
}

// caller is who the person is told asks.
func (q *request) caller() signing.Caller {
	decision, err := q.k.s.cfg.Sites.Site(q.k.origin.text)
	return signing.Caller{
		Caller: consent.Caller{
			Origin:     q.k.origin.text,
			Remembered: err == nil && decision == config.Remembered,
			Developer:  q.k.origin.http,
		},
		Allowed:  q.k.allowed.Load(),
		Language: q.language,
		Decided:  q.decided,
		Notify: func(stage signing.Stage) {
			switch stage {
			case signing.StageConsent:
				q.event(wire.EventConsent)
			case signing.StageWorking:
				q.event(wire.EventWorking)
			}
		},
	}
}

// decided takes the person's word about the site to where it counts.
func (q *request) decided(d signing.Decision) {
	s, origin := q.k.s, q.k.origin.text
	decision := config.Unknown
	var counted error
	if d.Approved {
		counted = s.cfg.Silence.Approved(origin, s.cfg.Now())
		s.limits.approved(origin)
		q.k.allowed.Store(true)
		if d.Remember {
			decision = config.Remembered
		}
	} else {
		counted = s.cfg.Silence.Refused(origin, s.cfg.Now())
		if d.Block {
			decision = config.Blocked
		}
	}
	if counted != nil {
		q.k.log.Error("the person's answer could not be counted", "error", counted)
	}
	if decision != config.Unknown {
		if err := s.cfg.Sites.SetSite(origin, decision, s.cfg.Now()); err != nil {
			q.k.log.Error("the person's decision could not be kept", "decision", decision, "error", err)
		}
	}
	if d.Approved {
		q.k.watch("")
	}
}

// withWindow does something that asks the person, one at a time.
func (q *request) withWindow(do func() error) error {
	waiting := sync.OnceFunc(func() { q.waited = true; q.event(wire.EventWaiting) })
	if err := q.place.ask(q.ctx, waiting); err != nil {
		return err
	}
	defer q.place.done()
	if turn := q.k.s.cfg.Turn; turn != nil {
		release, err := turn(q.ctx, waiting)
		if err != nil {
			return err
		}
		defer release()
	}
	// What the person decided about this site in another window counts here too.
	if q.k.s.cfg.Silence.Silent(q.k.origin.text, q.k.s.cfg.Now()) {
		return codeError(wire.CodeOriginSilent)
	}
	if d, err := q.k.s.cfg.Sites.Site(q.k.origin.text); err == nil && d == config.Blocked {
		return codeError(wire.CodeOriginBlocked)
	}
	return do()
}

// login answers a wire.Login.
func (q *request) login(m *wire.Login) {
	q.language = m.Language
	var res *signing.LoginResult
	err := q.withWindow(func() (err error) {
		nonce, expires := m.Nonce, m.Expires
		if q.waited && time.Until(expires) < freshEnough {
			if nonce, expires, err = q.freshNonce(q.ctx); err != nil {
				return err
			}
		}
		res, err = q.k.s.cfg.Signer.Login(q.ctx, signing.LoginRequest{
			Caller: q.caller(), Nonce: nonce, Expires: expires, FreshNonce: q.freshNonce,
		})
		return err
	})
	if err != nil {
		q.err = err
		return
	}
	reply := wire.LoginReply{Head: wire.Head{Type: wire.TypeLogin, ID: q.id}, Token: res.Token, Nonce: res.Nonce}
	if m.Challenge != "" {
		if reply.Proof, q.err = q.k.prove(m.Challenge); q.err != nil {
			return
		}
	}
	q.answer = func() error { return q.k.send.json(reply) }
}

// certificate answers a wire.Certificate.
func (q *request) certificate(m *wire.Certificate) {
	q.language = m.Language
	var cert *x509.Certificate
	q.err = q.withWindow(func() (err error) {
		cert, err = q.k.s.cfg.Signer.Certificate(q.ctx, signing.CertificateRequest{Caller: q.caller()})
		return err
	})
	if q.err != nil {
		return
	}
	reply := wire.CertificateReply{Head: wire.Head{Type: wire.TypeCertificate, ID: q.id}, Certificate: base64.StdEncoding.EncodeToString(cert.Raw)}
	for _, a := range signing.Algorithms(cert) {
		reply.Algorithms = append(reply.Algorithms, onWire(a))
	}
	q.answer = func() error { return q.k.send.json(reply) }
}

// signHash answers a wire.SignHash.
func (q *request) signHash(m *wire.SignHash) {
	q.language = m.Language
	der, err1 := base64.StdEncoding.DecodeString(m.Certificate) // decode.go looked at both
	hash, err2 := base64.StdEncoding.DecodeString(m.Hash)
	if q.err = errors.Join(err1, err2); q.err != nil {
		return
	}
	var res *signing.HashResult
	q.err = q.withWindow(func() (err error) {
		res, err = q.k.s.cfg.Signer.SignHash(q.ctx, signing.HashRequest{Caller: q.caller(), Certificate: der, Function: m.HashFunction, Hash: hash})
		return err
	})
	if q.err != nil {
		return
	}
	q.answer = func() error {
		return q.k.send.json(wire.SignHashReply{Head: wire.Head{Type: wire.TypeSignHash, ID: q.id},
			Signature: base64.StdEncoding.EncodeToString(res.Signature), Algorithm: onWire(res.Algorithm)})
	}
}

func onWire(a signing.Algorithm) wire.SignatureAlgorithm {
	return wire.SignatureAlgorithm{CryptoAlgorithm: a.Crypto, HashFunction: a.Hash, PaddingScheme: a.Padding}
}

// freshNonce asks the page for another nonce.
func (q *request) freshNonce(ctx context.Context) (string, time.Time, error) {
	select {
	case <-q.nonces: // an old answer that came too late
	default:
	}
	q.event(wire.EventNonceNeeded)
	timer := time.NewTimer(q.k.s.limits.NonceWait)
	defer timer.Stop()
	select {
	case m := <-q.nonces:
		return m.Nonce, m.Expires, nil
	case <-timer.C:
		return "", time.Time{}, fmt.Errorf("%w: the page sent no fresh one", signing.ErrNonceInvalid)
	case <-ctx.Done():
		return "", time.Time{}, context.Cause(ctx)
	case <-q.ctx.Done():
		return "", time.Time{}, context.Cause(q.ctx)
	}
}

// fresh takes the page's answer to nonce-needed; one that nobody waits for is
// dropped.
func (q *request) fresh(m *wire.Nonce) {
	select {
	case q.nonces <- m:
	default:
	}
}

// sign answers a wire.Sign: first the site is let in and the link proved, then
// the documents come, then the person is asked about them.
func (q *request) sign(m *wire.Sign) {
	q.language = m.Language
	if !q.k.allowed.Load() {
		if q.err = q.withWindow(func() error { return q.k.s.cfg.Signer.AskOrigin(q.ctx, q.caller()) }); q.err != nil {
			return
		}
	}
	proof, err := q.k.prove(m.Challenge)
	if err != nil {
		q.err = err
		return
	}
	q.expected = m.Documents
	q.receiving.Store(true)
	if q.err = q.k.send.json(wire.Ready{Head: wire.Head{Type: wire.TypeReady, ID: q.id}, Proof: *proof}); q.err != nil {
		return
	}
	if q.err = q.receive(); q.err != nil {
		return
	}
	var res *signing.SignResult
	results := make([]*spool, len(q.docs))
	q.err = q.withWindow(func() (err error) {
		res, err = q.k.s.cfg.Signer.Sign(q.ctx, signing.SignRequest{
			Caller: q.caller(), Documents: q.docs, Format: m.Format, Detached: m.Detached,
			Choice: signing.Choice{CodiceFiscale: m.CodiceFiscale},
			Output: func(i int) (io.WriteCloser, error) {
				f, err := q.files.add(q.k.s.cfg.SpoolDir)
				if err != nil {
					return nil, err
				}
				results[i] = f
				return f.output(), nil
			},
		})
		return err
	})
	if q.err != nil {
		return
	}
	q.answer = func() error {
		for i, f := range results {
			if err := q.sendResult(i, f, m); err != nil {
				return err
			}
		}
		cert := signing.Describe(res.Certificate)
		return q.k.send.json(wire.Done{Head: wire.Head{Type: wire.TypeDone, ID: q.id}, Certificate: wire.CertificateDetails{
			SHA256: cert.SHA256, Subject: cert.Subject, Issuer: cert.Issuer, CodiceFiscale: cert.CodiceFiscale, NotAfter: cert.NotAfter,
		}})
	}
}

func (q *request) sendResult(i int, f *spool, m *wire.Sign) error {
	// Types as mail programs know them (RFC 8551, S/MIME).
	mediaType := "application/pkcs7-mime"
	switch {
	case m.Format == signing.FormatPAdES:
		mediaType = "application/pdf"
	case m.Detached:
		mediaType = "application/pkcs7-signature"
	}
	r, err := f.open()
	if err != nil {
		return err
	}
	return q.k.send.file(wire.Signed{Head: wire.Head{Type: wire.TypeSigned, ID: q.id}, Index: i,
		Name: signing.SignedName(q.docs[i].Name, m.Format, m.Detached), MediaType: mediaType, Size: f.size}, r)
}

// receive waits until every document is there, or nothing came for too long.
func (q *request) receive() error {
	stall := q.k.s.limits.UploadStall
	timer := time.NewTimer(stall)
	defer timer.Stop()
	for {
		select {
		case <-q.complete:
			return nil
		case <-q.progress:
			timer.Reset(stall)
		case <-timer.C:
			return codeError(wire.CodeTimedOut)
		case <-q.ctx.Done():
			return context.Cause(q.ctx)
		}
	}
}
