// Package terminal is the face of consent on a text terminal: for the command
// line, for servers without a desktop, and where no window can be opened.
package terminal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/pkcs/message"
)

// quiet is how long a question takes no input after it appeared: what was typed
// for something else must not answer it.
const quiet = 500 * time.Millisecond

// Face asks on a terminal.
type Face struct {
	tty  *tty
	lang message.Lang
	mu   sync.Mutex // one question at a time on one terminal
}

// ErrNoTerminal means that there is nobody to ask.
var ErrNoTerminal = errors.New("terminal: no terminal to ask on")

// Open takes the process's controlling terminal.
func Open(lang message.Lang) (*Face, error) {
	t, err := openTTY()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoTerminal, err)
	}
	return &Face{tty: t, lang: lang}, nil
}

// On uses a terminal that is open already.
func On(f *os.File, lang message.Lang) *Face { return &Face{tty: &tty{f: f}, lang: lang} }

// Close gives the terminal back.
func (a *Face) Close() error { return a.tty.f.Close() }

func (a *Face) text(code string, args ...any) string {
	return message.Text(a.lang, "consent."+code, args...)
}

func (a *Face) say(format string, args ...any) {
	// A terminal that is gone fails the reading that follows.
	_, _ = fmt.Fprintf(a.tty.f, format+"\r\n", args...)
}

// Ask puts the question. Whatever is not a clear yes is a no.
func (a *Face) Ask(ctx context.Context, r *consent.Request) (consent.Answer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	q := &question{face: a, r: r, deadline: r.Deadline}
	restore, err := a.tty.raw()
	if err != nil {
		return consent.Answer{}, fmt.Errorf("terminal: %w", err)
	}
	defer restore()
	stop := context.AfterFunc(ctx, func() { _ = a.tty.f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	a.show(r)
	q.ready = time.Now().Add(quiet)
	answer, err := q.run(ctx)
	if err != nil {
		answer.Wipe()
		answer = consent.Answer{BlockOrigin: answer.BlockOrigin}
		if ctx.Err() == nil && errors.Is(err, os.ErrDeadlineExceeded) {
			err = consent.ErrTimedOut
			a.say("\r\n%s", a.text("timed-out"))
		}
	}
	return answer, err
}

// show tells who asks and for what.
func (a *Face) show(r *consent.Request) {
	a.say("")
	a.say("== CiTel: %s ==", a.text("title-"+string(r.Purpose)))
	switch {
	case r.Caller.CommandLine && r.Caller.Origin != "":
		a.say("%s", a.text("asks-command-line-for", "origin", clean(r.Caller.Origin)))
	case r.Caller.CommandLine:
		a.say("%s", a.text("asks-command-line"))
	default:
		a.say("%s", a.text("asks-site", "origin", clean(r.Caller.Origin)))
		if r.Caller.Extension {
			a.say("%s", a.text("extension"))
		}
		if strings.Contains(r.Caller.Origin, "xn--") {
			a.say("%s", a.text("punycode"))
		}
		if !r.Caller.Remembered {
			a.say("%s", a.text("new-site"))
		}
	}
	if r.Caller.Developer {
		a.say("%s", a.text("developer"))
	}
	if r.Hash != nil {
		a.say("  %s %x", clean(r.Hash.Function), r.Hash.Value)
		a.say("%s", a.text("hash-unseen"))
	}
	if r.Purpose == consent.PurposeCertificate {
		a.say("%s", a.text("certificate-goes"))
	}
	for i, d := range r.Documents {
		a.say("  %d. %s (%s, %d byte)", i+1, clean(d.Name), clean(d.MediaType), d.Size)
		a.say("     SHA-256 %x", d.SHA256)
	}
	if len(r.Documents) > 0 {
		a.say("%s", a.text("not-shown"))
	}
}

// Outcome tells how it ended.
func (a *Face) Outcome(_ context.Context, r *consent.Request, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		a.say("%s", a.text("done-"+string(r.Purpose)))
		return
	}
	a.say("%s", a.text("failed", "why", Explain(a.lang, err)))
}

// Explain gives the sentence of an error; the caller of this package may put a
// better one in its place.
var Explain = func(_ message.Lang, err error) string { return err.Error() } //nolint:gochecknoglobals // set once by main

// question is one run of Ask.
type question struct {
	face     *Face
	r        *consent.Request
	ready    time.Time
	deadline time.Time
}

func (q *question) run(ctx context.Context) (answer consent.Answer, err error) {
	a := q.face
	var chosen *consent.Certificate
	if q.r.Purpose != consent.PurposeOrigin {
		if chosen, err = q.choose(ctx); err != nil {
			return answer, err
		}
		answer.CertificateID = chosen.ID
	}
	site := !q.r.Caller.CommandLine
	prompt := "yes-no"
	if site && !q.r.Caller.Remembered {
		prompt = "yes-no-site"
	}
	for {
		line, err := q.line(ctx, a.text(prompt), false)
		if err != nil {
			return answer, err
		}
		switch strings.ToLower(string(line)) {
		case "s", "si", "sì", "y", "yes":
		case "r":
			if !site {
				return answer, consent.ErrRefused
			}
			answer.RememberOrigin = true
		case "b":
			answer.BlockOrigin = site
			return answer, consent.ErrRefused
		case "+":
			continue
		default:
			a.say("%s", a.text("refused"))
			return answer, consent.ErrRefused
		}
		break
	}
	if chosen == nil || chosen.PIN.Pinpad || !q.r.Purpose.UsesKey() {
		if chosen != nil && q.r.Purpose.UsesKey() {
			a.say("%s", a.text("pinpad"))
		}
		return answer, nil
	}
	answer.PIN, err = q.pin(ctx, chosen)
	return answer, err
}

// choose lists the certificates and lets the person pick one that is fit.
func (q *question) choose(ctx context.Context) (*consent.Certificate, error) {
	a := q.face
	fit := 0
	for i, c := range q.r.Certificates {
		if c.AfterPIN {
			a.say("  [%d] %s", i+1, a.text("card-"+c.Kind, "number", clean(c.Number)))
			a.say("      %s", a.text("after-pin", "source", clean(c.Source)))
		} else {
			a.say("  [%d] %s %s", i+1, clean(c.Name), clean(c.CodiceFiscale))
			a.say("      %s", a.text("certificate", "issuer", clean(c.Issuer), "date", c.NotAfter.Local().Format("02/01/2006"), "source", clean(c.Source)))
		}
		if c.Unfit != "" {
			a.say("      %s", message.Text(a.lang, c.Unfit))
			continue
		}
		fit++
	}
	if len(q.r.Certificates) == 0 || q.r.Certificates[0].Unfit != "" {
		return nil, errors.New("terminal: no certificate to offer")
	}
	if fit == 1 {
		return &q.r.Certificates[0], nil
	}
	for {
		line, err := q.line(ctx, a.text("choose"), false)
		if err != nil {
			return nil, err
		}
		switch n, err := strconv.Atoi(string(line)); {
		case len(line) == 0:
			return &q.r.Certificates[0], nil
		case string(line) == "+":
		case err != nil || n < 1 || n > len(q.r.Certificates) || q.r.Certificates[n-1].Unfit != "":
			a.say("%s", a.text("choose-again"))
		default:
			return &q.r.Certificates[n-1], nil
		}
	}
}

// pin reads the PIN without echo, after what is known of the tries left.
func (q *question) pin(ctx context.Context, c *consent.Certificate) ([]byte, error) {
	a := q.face
	switch {
	case c.PIN.FinalTry || c.PIN.TriesLeft == 1:
		a.say("%s", a.text("last-try"))
	case c.PIN.TriesLeft > 1:
		a.say("%s", a.text("tries-left", "n", c.PIN.TriesLeft))
	case c.PIN.CountLow:
		a.say("%s", a.text("count-low"))
	}
	if c.PIN.Digits > 0 {
		a.say("%s", a.text("pin-digits", "n", c.PIN.Digits))
	}
	for {
		pin, err := q.line(ctx, a.text("pin"), true)
		switch {
		case err != nil:
			clear(pin)
			return nil, err
		case len(pin) == 0:
			a.say("%s", a.text("refused"))
			return nil, consent.ErrRefused
		case string(pin) == "+":
			clear(pin)
			continue
		case c.PIN.Digits > 0 && len(pin) != c.PIN.Digits:
			// Not sent to the card: it would cost a try.
			clear(pin)
			a.say("%s", a.text("pin-length", "n", c.PIN.Digits))
			continue
		}
		return pin, nil
	}
}

// line reads one line. A lone "+" asks for more time and is given back, so that
// the caller asks again.
func (q *question) line(ctx context.Context, prompt string, secret bool) ([]byte, error) {
	a := q.face
	if d := time.Until(q.deadline); !q.deadline.IsZero() {
		prompt += fmt.Sprintf(" (%d s, + %s)", max(0, int(d.Seconds())), a.text("more-time"))
	}
	_, _ = fmt.Fprintf(a.tty.f, "%s: ", prompt)
	line, err := a.tty.readLine(q.ready, q.deadline, secret)
	_, _ = fmt.Fprint(a.tty.f, "\r\n")
	if ctx.Err() != nil {
		clear(line)
		return nil, context.Cause(ctx)
	}
	if err != nil {
		clear(line)
		return nil, err
	}
	if string(line) == "+" {
		if q.r.Extend == nil {
			a.say("%s", a.text("no-more-time"))
			return line, nil
		}
		until, err := q.r.Extend(ctx)
		if err != nil {
			return nil, fmt.Errorf("terminal: more time: %w", err)
		}
		q.deadline = until
	}
	return line, nil
}

// clean keeps a stranger's text from moving the cursor or turning the reading
// direction.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r < 0xa0 || r >= 0x200b && r <= 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0xfeff {
			return '?'
		}
		return r
	}, s)
}
