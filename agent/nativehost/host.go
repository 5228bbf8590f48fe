// Package nativehost is the way in where a browser refuses the localhost link: it
// speaks the published protocol of Web eID's browser extension over standard input and
// output, one command for each process. The extension says which site asks; it is
// believed because the browser says that it is the published one. What a request means
// is agent/signing's, as for the gateway.
package nativehost

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/citel-pa/citel/agent/config"
	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/agent/wire"
)

// ProtocolVersion is the version of Web eID's application whose protocol this is. The
// extension compares its major number with its own and with the page's library.
const ProtocolVersion = "2.9.0"

const (
	// commandTime is how long the browser may take to send its command.
	commandTime = 30 * time.Second
	goneTick    = 200 * time.Millisecond
	// tellTime is how long a person may read why it did not work: the window ends
	// with this process, and browsers end it once it has answered.
	tellTime = 45 * time.Second
)

// Signer does what commands ask; agent/signing's Ceremony is one.
type Signer interface {
	Login(ctx context.Context, req signing.LoginRequest) (*signing.LoginResult, error)
	Certificate(ctx context.Context, req signing.CertificateRequest) (*x509.Certificate, error)
	SignHash(ctx context.Context, req signing.HashRequest) (*signing.HashResult, error)
}

// Session is a Signer with what belongs to it.
type Session struct {
	Signer Signer
	// Tell says to the person why it did not work, and waits until it was read or ctx
	// is done; nil: there is no way to.
	Tell  func(ctx context.Context, purpose consent.Purpose, err error)
	Close func() error
}

// Store is what the person decided, and who is asked meanwhile, over all processes of
// this user; agent/config's Store is one.
type Store interface {
	Site(origin string) (config.Decision, error)
	SetSite(origin string, d config.Decision, now time.Time) error
	Refused(origin string, now time.Time) error
	Approved(origin string, now time.Time) error
	Silent(origin string, now time.Time) bool
	Place(origin string, most int) (release func(), err error)
	Turn(ctx context.Context, waiting func()) (release func(), err error)
}

// Host serves one process. Args, Store and Open are needed.
type Host struct {
	// Args are those the browser started the program with.
	Args  []string
	Store Store
	// Open finds cards and somebody to ask, once a command needs them; lang is the
	// page's wish and may be empty.
	Open func(lang string) (*Session, error)
	// Gone tells whether nobody reads the answer any more; it is asked once the
	// browser's end of the input is closed. Nil: it cannot be told.
	Gone func() bool
	Now  func() time.Time
	Log  *slog.Logger
}

// errGone: the browser closed its end; nobody waits for the answer.
var errGone = fmt.Errorf("nativehost: the browser has gone: %w", context.Canceled)

// Serve greets, takes one command and answers it. Nothing but the protocol is written
// to out. The error is for the log and the exit code; the browser has its answer.
func (h *Host) Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	if h.Now == nil {
		h.Now = time.Now
	}
	if h.Log == nil {
		h.Log = slog.New(slog.DiscardHandler)
	}
	if err := CheckCaller(h.Args); err != nil {
		return errors.Join(err, writeMessage(out, failed(err)))
	}
	if err := writeMessage(out, map[string]string{"version": ProtocolVersion}); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	data, err := h.receive(ctx, cancel, in)
	if errors.Is(err, io.EOF) {
		return nil // the extension wanted the version only
	}
	var answer any
	if err == nil {
		answer, err = h.command(ctx, data)
	}
	if errors.Is(context.Cause(ctx), errGone) {
		return errGone
	}
	if err != nil {
		h.Log.Info("command ended", "error", err)
		answer = failed(err)
	}
	return errors.Join(err, writeMessage(out, answer))
}

// receive waits for the command, and from then on for the end of the browser, which
// cancels what is under way. More than one command is not in the protocol.
func (h *Host) receive(ctx context.Context, cancel context.CancelCauseFunc, in io.Reader) ([]byte, error) {
	type message struct {
		data []byte
		err  error
	}
	first := make(chan message, 1)
	go func() {
		data, err := readMessage(in)
		first <- message{data, err}
		if err == nil {
			_, _ = io.Copy(io.Discard, in)
			h.watch(ctx, cancel)
		}
	}()
	timer := time.NewTimer(commandTime)
	defer timer.Stop()
	select {
	case m := <-first:
		return m.data, m.err
	case <-timer.C:
		return nil, malformed("no command came")
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// watch cancels what is under way when the browser has gone. That its end of the input
// is closed does not say so yet: some callers write their one command and close.
func (h *Host) watch(ctx context.Context, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(goneTick)
	defer tick.Stop()
	for h.Gone != nil {
		if h.Gone() {
			cancel(errGone)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (h *Host) command(ctx context.Context, data []byte) (any, error) {
	o, err := parse(data)
	if err != nil {
		return nil, err
	}
	if o.command == commandQuit {
		return struct{}{}, nil
	}
	if o.command == commandAuthenticate {
		if err := signing.CheckNonce(o.nonce, time.Time{}, h.Now()); err != nil {
			return nil, err
		}
	}
	release, err := h.enter(ctx, o.origin)
	if err != nil {
		return nil, err
	}
	defer release()
	return h.do(ctx, o)
}

// enter is the gate (compare agent/gateway): what the person decided, one request of a
// site at a time, and one question at a time.
func (h *Host) enter(ctx context.Context, origin string) (release func(), err error) {
	if err := h.decided(origin); err != nil {
		return nil, err
	}
	place, err := h.Store.Place(origin, wire.MaxWaiting)
	if errors.Is(err, config.ErrBusy) {
		return nil, &codeError{wire.CodeBusy, ""}
	}
	if err != nil {
		return nil, err
	}
	turn, err := h.Store.Turn(ctx, nil)
	if err != nil {
		place()
		return nil, err
	}
	// What the person decided meanwhile in another window counts here too.
	if err := h.decided(origin); err != nil {
		turn()
		place()
		return nil, err
	}
	return func() { turn(); place() }, nil
}

func (h *Host) decided(origin string) error {
	switch d, err := h.Store.Site(origin); {
	case err != nil: // nobody blocked gets in because a list cannot be read
		return err
	case d == config.Blocked:
		return &codeError{wire.CodeOriginBlocked, ""}
	case h.Store.Silent(origin, h.Now()):
		return &codeError{wire.CodeOriginSilent, ""}
	}
	return nil
}

// purposes of the commands, for the person.
var purposes = map[string]consent.Purpose{
	commandAuthenticate: consent.PurposeLogin, commandCertificate: consent.PurposeCertificate, commandSign: consent.PurposeHash,
}

func (h *Host) do(ctx context.Context, o *order) (_ any, err error) {
	s, err := h.Open(o.lang)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	caller, approved := h.caller(o)
	answer, err := h.ask(ctx, s.Signer, o, caller)
	// A site that the person did not let in opens no window by what it gets wrong.
	if err != nil && s.Tell != nil && approved() && worthTelling(err) {
		telling, cancel := context.WithTimeout(ctx, tellTime)
		defer cancel()
		s.Tell(telling, purposes[o.command], err)
	}
	return answer, err
}

// worthTelling: what the person did is known to the person; a site's mistake is the
// site's to show.
func worthTelling(err error) bool {
	switch code, _ := codeOf(err); code {
	case wire.CodeRefused, wire.CodeTimedOut, wire.CodeCancelled, wire.CodeMalformed, wire.CodeNonceInvalid:
		return false
	}
	return true
}

func (h *Host) ask(ctx context.Context, signer Signer, o *order, caller signing.Caller) (any, error) {
	switch o.command {
	case commandAuthenticate:
		done, err := signer.Login(ctx, signing.LoginRequest{Caller: caller, Nonce: o.nonce})
		if err != nil {
			return nil, err
		}
		return json.RawMessage(done.Token), nil
	case commandCertificate:
		cert, err := signer.Certificate(ctx, signing.CertificateRequest{Caller: caller})
		if err != nil {
			return nil, err
		}
		answer := certificateAnswer{Certificate: base64.StdEncoding.EncodeToString(cert.Raw)}
		for _, a := range signing.Algorithms(cert) {
			answer.Algorithms = append(answer.Algorithms, algorithmOf(a))
		}
		return answer, nil
	}
	done, err := signer.SignHash(ctx, signing.HashRequest{Caller: caller, Certificate: o.certificate, Function: o.function, Hash: o.hash})
	if err != nil {
		return nil, err
	}
	return signAnswer{Signature: base64.StdEncoding.EncodeToString(done.Signature), Algorithm: algorithmOf(done.Algorithm)}, nil
}

// caller is who the person is told asks; approved tells whether the person let the site
// in, before or now.
func (h *Host) caller(o *order) (_ signing.Caller, approved func() bool) {
	decision, err := h.Store.Site(o.origin)
	remembered := err == nil && decision == config.Remembered
	in := remembered
	return signing.Caller{
		Caller:   consent.Caller{Origin: o.origin, Extension: true, Remembered: remembered},
		Allowed:  remembered,
		Bounded:  true, // the extension has its own clock
		Language: o.lang,
		Decided: func(d signing.Decision) {
			in = d.Approved
			h.keep(o.origin, d)
		},
	}, func() bool { return in }
}

// keep takes the person's word about the site to where it counts.
func (h *Host) keep(origin string, d signing.Decision) {
	now := h.Now()
	count, decision := h.Store.Refused, config.Unknown
	switch {
	case d.Approved:
		count = h.Store.Approved
		if d.Remember {
			decision = config.Remembered
		}
	case d.Block:
		decision = config.Blocked
	}
	err := count(origin, now)
	if decision != config.Unknown {
		err = errors.Join(err, h.Store.SetSite(origin, decision, now))
	}
	if err != nil {
		h.Log.Error("the person's decision could not be kept", "origin", origin, "error", err)
	}
}
