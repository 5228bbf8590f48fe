// Package desktop is the face of consent on a desktop: it starts citel-window for
// each question and talks to it over its standard input and output. A question
// about documents is two windows in turn, the one that shows them and the one that
// takes the PIN, so that nothing a document does reaches the PIN.
package desktop

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/consent/frame"
	"github.com/citel-pa/citel/pkcs/message"
)

// Times.
const (
	// paintTime is how long a window may take to show itself.
	paintTime = 20 * time.Second
	// endTime is how long it gets to end by itself.
	endTime = 2 * time.Second
	// goodTime is how long the end of a request that went well stays on the screen.
	goodTime = 4 * time.Second
	// badTime is the same for one that did not; the person can close it before.
	badTime = 2 * time.Minute
)

// ErrWindow means that the window failed: nobody was asked.
var ErrWindow = errors.New("desktop: the window does not work")

// errNotPainted: the window ended or hung before anything was on the screen.
var errNotPainted = fmt.Errorf("%w: nothing was painted", ErrWindow)

// Face asks in windows.
type Face struct {
	// Program is citel-window's absolute path.
	Program string
	Lang    message.Lang
	// Chosen: Lang is the person's own choice; otherwise a page's wish counts.
	Chosen bool
	// Speak gives both where they may change; nil: they stay.
	Speak func() (lang message.Lang, chosen bool)
	Log   *slog.Logger
	// Explain gives the sentence of an error.
	Explain func(message.Lang, error) string

	mu     sync.Mutex
	status *process // of the last request
}

// Ask shows the question and waits for the answer. Whatever is not a clear yes is a
// no.
func (f *Face) Ask(ctx context.Context, r *consent.Request) (consent.Answer, error) {
	f.dismiss()
	view := frame.View{Mode: frame.Ask, Lang: string(f.lang(r)), Purpose: r.Purpose, Caller: r.Caller, Certificates: r.Certificates, Hash: r.Hash,
		Deadline: r.Deadline, Extendable: r.Extend != nil}
	for _, d := range r.Documents {
		view.Documents = append(view.Documents, frame.DocumentInfo{Name: d.Name, MediaType: d.MediaType, Size: d.Size,
			SHA256: hex.EncodeToString(d.SHA256[:]), Shown: d.Size <= frame.MaxShown})
	}
	if len(r.Documents) > 0 {
		review := view
		review.Mode, review.Certificates = frame.Review, nil
		answer, deadline, err := f.one(ctx, r, review)
		if err != nil {
			return consent.Answer{BlockOrigin: answer.BlockOrigin}, err
		}
		view.Deadline = deadline
	}
	answer, _, err := f.one(ctx, r, view)
	if err != nil {
		answer.Wipe()
		return consent.Answer{BlockOrigin: answer.BlockOrigin}, err
	}
	if r.Purpose.UsesKey() {
		f.working(r, answer.CertificateID)
	}
	return answer, nil
}

// lang is the language of a question.
func (f *Face) lang(r *consent.Request) message.Lang {
	own, chosen := f.Lang, f.Chosen
	if f.Speak != nil {
		own, chosen = f.Speak()
	}
	if chosen || r.Language == "" {
		return own
	}
	return message.ParseLang(r.Language)
}

// one runs one window to its answer; an engine that does not come up gets a second
// chance, since nobody was asked yet.
func (f *Face) one(ctx context.Context, r *consent.Request, view frame.View) (consent.Answer, time.Time, error) {
	answer, deadline, err := f.try(ctx, r, view)
	if errors.Is(err, errNotPainted) {
		f.Log.Warn("the window did not come up; once more", "error", err)
		answer, deadline, err = f.try(ctx, r, view)
	}
	return answer, deadline, err
}

func (f *Face) try(ctx context.Context, r *consent.Request, view frame.View) (_ consent.Answer, deadline time.Time, err error) {
	deadline = view.Deadline
	p, err := f.start(view, r.Documents)
	if err != nil {
		return consent.Answer{}, deadline, err
	}
	defer p.end()
	timer := time.NewTimer(paintTime)
	defer timer.Stop()
	reset := func() {
		if !deadline.IsZero() {
			timer.Reset(time.Until(deadline))
		} else {
			timer.Stop()
		}
	}
	painted := false
	for {
		select {
		case <-ctx.Done():
			return consent.Answer{}, deadline, context.Cause(ctx)
		case <-timer.C:
			if !painted {
				return consent.Answer{}, deadline, errNotPainted
			}
			return consent.Answer{}, deadline, consent.ErrTimedOut
		case m, ok := <-p.messages:
			if !ok {
				if painted {
					return consent.Answer{}, deadline, fmt.Errorf("%w: the window ended", consent.ErrRefused)
				}
				return consent.Answer{}, deadline, fmt.Errorf("%w: %s", errNotPainted, p.noise())
			}
			switch m.Type {
			case frame.Painted:
				painted = true
				reset()
			case frame.Extend:
				if r.Extend == nil {
					continue
				}
				next, err := r.Extend(ctx)
				if err != nil {
					return consent.Answer{}, deadline, fmt.Errorf("desktop: more time: %w", err)
				}
				deadline = next
				reset()
				_ = p.send(frame.Message{Type: frame.Deadline, At: deadline}) // a window that is gone ends the loop
			case frame.Refuse:
				return consent.Answer{BlockOrigin: m.Block}, deadline, consent.ErrRefused
			case frame.Next:
				if view.Mode != frame.Review {
					return consent.Answer{}, deadline, fmt.Errorf("%w: next without a review", ErrWindow)
				}
				return consent.Answer{}, deadline, nil
			case frame.Answer:
				if view.Mode != frame.Ask {
					// The process that shows documents has no say in this.
					return consent.Answer{}, deadline, fmt.Errorf("%w: an answer from a review", ErrWindow)
				}
				return consent.Answer{CertificateID: m.Certificate, PIN: m.pin, RememberOrigin: m.Remember}, deadline, nil
			default:
				m.wipe()
			}
		}
	}
}

// working shows that the card is at work, or that the PIN is asked on the reader;
// Outcome says how it ended.
func (f *Face) working(r *consent.Request, certificate string) {
	view := frame.View{Mode: frame.Status, Lang: string(f.lang(r)), Purpose: r.Purpose}
	for _, c := range r.Certificates {
		if c.ID == certificate && c.PIN.Pinpad {
			view.Certificates = []consent.Certificate{c}
		}
	}
	p, err := f.start(view, nil)
	if err != nil {
		f.Log.Warn("no window for the card's work", "error", err)
		return
	}
	f.mu.Lock()
	f.status = p
	f.mu.Unlock()
}

// dismiss takes the last request's window away.
func (f *Face) dismiss() {
	f.mu.Lock()
	p := f.status
	f.status = nil
	f.mu.Unlock()
	if p != nil {
		p.end()
	}
}

// Outcome tells how a request ended.
func (f *Face) Outcome(_ context.Context, r *consent.Request, err error) {
	if err != nil {
		f.finish(r, frame.Message{Type: frame.Finished, Text: f.Explain(f.lang(r), err)})
		return
	}
	f.finish(r, frame.Message{Type: frame.Finished, Good: true, Text: message.Text(f.lang(r), "consent.done-"+string(r.Purpose))})
}

// finish says the end in the window of the card's work.
func (f *Face) finish(r *consent.Request, m frame.Message) {
	f.mu.Lock()
	p := f.status
	f.mu.Unlock()
	if p == nil {
		if m.Good {
			return
		}
		// Nothing was asked, yet there is something to say, e.g. a locked card.
		f.working(r, "")
		f.mu.Lock()
		p = f.status
		f.mu.Unlock()
		if p == nil {
			return
		}
	}
	stay := badTime
	if m.Good {
		stay = goodTime
	}
	_ = p.send(m) // the person may have closed it
	time.AfterFunc(stay, func() {
		f.mu.Lock()
		if f.status == p {
			f.status = nil
		}
		f.mu.Unlock()
		p.end()
	})
}

// Wait waits until the person closed what Outcome shows, or ctx is done.
func (f *Face) Wait(ctx context.Context) {
	f.mu.Lock()
	p := f.status
	f.mu.Unlock()
	if p == nil {
		return
	}
	for {
		select {
		case _, open := <-p.messages:
			if !open {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// Close takes away what is on the screen.
func (f *Face) Close() error {
	f.dismiss()
	return nil
}

// received is a frame with what came after it.
type received struct {
	frame.Message
	pin   []byte
	fresh []byte // the new PIN, of secrets
}

func (r *received) wipe() {
	clear(r.pin)
	clear(r.fresh)
}

// process is one citel-window.
type process struct {
	cmd      *exec.Cmd
	in       io.WriteCloser
	messages chan received
	done     chan struct{}
	ended    chan struct{} // the process is gone
	once     sync.Once
	mu       sync.Mutex
	stderr   *noise
}

func (f *Face) start(view frame.View, documents []consent.Document) (*process, error) {
	cmd := exec.Command(f.Program) //nolint:gosec,noctx // our own program, ended by end
	p := &process{cmd: cmd, messages: make(chan received, 8), done: make(chan struct{}), ended: make(chan struct{}), stderr: &noise{}}
	cmd.Env = environment(os.Environ())
	cmd.Stderr = p.stderr
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWindow, err)
	}
	p.in = in
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWindow, err)
	}
	go p.read(out)
	p.mu.Lock() // the view comes first, whatever is sent meanwhile
	go func() {
		defer p.mu.Unlock()
		// What a window does not take in any more is no loss: it has ended.
		if err := p.show(view, documents); err != nil && !errors.Is(err, os.ErrClosed) {
			f.Log.Debug("showing", "error", err)
		}
	}()
	return p, nil
}

// doors are variables of the web engine and the toolkit that would let somebody look
// into the window, or put something else in its place.
var doors = []string{"WEBKIT_INSPECTOR", "WEBKIT_DISABLE_SANDBOX", "WAILS", "FRONTEND_", "JSC_", "GTK_MODULES=", "GTK_DEBUG", "LD_PRELOAD=", "LD_AUDIT="}

// environment leaves them out.
func environment(all []string) []string {
	return slices.DeleteFunc(all, func(kv string) bool {
		return slices.ContainsFunc(doors, func(door string) bool { return strings.HasPrefix(kv, door) })
	})
}

// show sends the view and the documents that can be shown. The caller holds p.mu.
func (p *process) show(view frame.View, documents []consent.Document) error {
	if err := frame.WriteJSON(p.in, frame.Message{Type: frame.Show, View: &view}); err != nil {
		return err
	}
	if view.Mode != frame.Review {
		return nil
	}
	for i, d := range view.Documents {
		if !d.Shown {
			continue
		}
		content, err := documents[i].Open()
		if err != nil {
			return err
		}
		data, err := io.ReadAll(io.LimitReader(content, frame.MaxShown+1))
		if err := errors.Join(err, content.Close()); err != nil {
			return err
		}
		if err := frame.Write(p.in, frame.Document, data); err != nil {
			return err
		}
	}
	return nil
}

func (p *process) send(m frame.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return frame.WriteJSON(p.in, m)
}

// read takes the window's messages: hostile until shown otherwise.
func (p *process) read(out io.Reader) {
	defer close(p.messages)
	for {
		k, payload, err := frame.Read(out)
		if err != nil || k != frame.JSON {
			clear(payload)
			return
		}
		m, err := frame.Decode(payload)
		if err != nil {
			return
		}
		r := received{Message: m}
		if m.Type == frame.Answer && m.PIN || m.Type == frame.Secrets {
			if k, r.pin, err = frame.Read(out); err != nil || k != frame.PIN {
				clear(r.pin)
				return
			}
		}
		if m.Type == frame.Secrets {
			if k, r.fresh, err = frame.Read(out); err != nil || k != frame.PIN {
				r.wipe()
				return
			}
		}
		select {
		case p.messages <- r:
		case <-p.done:
			r.wipe()
			return
		}
	}
}

// end lets the window end, and ends it when it does not.
func (p *process) end() {
	p.once.Do(func() {
		close(p.done)
		_ = p.in.Close()
		go func() {
			for m := range p.messages { // a PIN that came too late
				m.wipe()
			}
		}()
		timer := time.AfterFunc(endTime, func() { _ = p.cmd.Process.Kill() })
		go func() {
			_ = p.cmd.Wait() // how a window ends says nothing
			timer.Stop()
			close(p.ended)
		}()
	})
}

func (p *process) noise() string { return p.stderr.String() }

// noise keeps the first words of what the engine prints.
type noise struct {
	mu sync.Mutex
	b  []byte
}

const maxNoise = 2 << 10

func (n *noise) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.b = append(n.b, b[:min(len(b), maxNoise-len(n.b))]...)
	return len(b), nil
}

func (n *noise) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return string(n.b)
}
