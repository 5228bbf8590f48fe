package terminal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/pkcs/message"
)

// AskPIN asks for PIN or PUK and twice for the new PIN. What the card would not take
// is said before it is asked, for it would cost a try.
func (a *Face) AskPIN(ctx context.Context, r *consent.PINRequest) (consent.PINAnswer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	restore, err := a.tty.raw()
	if err != nil {
		return consent.PINAnswer{}, fmt.Errorf("terminal: %w", err)
	}
	defer restore()
	stop := context.AfterFunc(ctx, func() { _ = a.tty.f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	a.showPIN(r)
	ready := time.Now().Add(quiet)
	for {
		answer, why, err := a.secrets(ctx, r, ready)
		switch {
		case err != nil && ctx.Err() == nil && errors.Is(err, os.ErrDeadlineExceeded):
			a.say("\r\n%s", a.text("timed-out"))
			return consent.PINAnswer{}, consent.ErrTimedOut
		case err != nil:
			return consent.PINAnswer{}, err
		case why == "":
			a.say("%s", a.care("working"))
			return answer, nil
		}
		a.say("%s", a.careKey(r, why))
	}
}

func (a *Face) care(code string, args ...any) string {
	return message.Text(a.lang, "care."+code, args...)
}

func (a *Face) careKey(r *consent.PINRequest, key string) string {
	return message.Text(a.lang, key, "least", r.Card.MinDigits, "most", r.Card.MaxDigits)
}

func (a *Face) showPIN(r *consent.PINRequest) {
	a.say("")
	a.say("== CiTel: %s ==", a.care("heading-"+string(r.Care)))
	a.say("  %s", a.care("card-"+r.Card.Kind, "number", clean(r.Card.Number)))
	if r.Card.Name != "" {
		a.say("  %s %s", clean(r.Card.Name), clean(r.Card.CodiceFiscale))
	}
	a.say("  %s", clean(r.Card.Source))
	if r.Card.Second {
		a.say("%s", a.care("second"))
	}
	unblock := r.Care == consent.CareUnblock
	if unblock {
		a.say("%s %s", a.care("what-unblock"), a.care("where-puk-"+r.Card.Kind))
	}
	switch {
	case r.Card.TriesLeft == 1 && unblock:
		a.say("%s", a.care("last-puk"))
	case r.Card.TriesLeft == 1:
		a.say("%s", a.care("last-pin"))
	case r.Card.TriesLeft > 1:
		a.say("%s", a.text("tries-left", "n", r.Card.TriesLeft))
	case unblock:
		a.say("%s", a.care("puk-warning"))
	}
	digits := "care.digits-range"
	if r.Card.MinDigits == r.Card.MaxDigits {
		digits = "care.digits-exact"
	}
	a.say("%s", a.careKey(r, digits))
}

// secrets reads the three lines and wipes what is not given back.
func (a *Face) secrets(ctx context.Context, r *consent.PINRequest, ready time.Time) (answer consent.PINAnswer, why string, err error) {
	first := "pin-now"
	if r.Care == consent.CareUnblock {
		first = "puk"
	}
	var again []byte
	defer func() {
		clear(again)
		if err != nil || why != "" {
			answer.Wipe()
		}
	}()
	for _, step := range []struct {
		label string
		into  *[]byte
	}{{first, &answer.Secret}, {"new", &answer.Fresh}, {"again", &again}} {
		_, _ = fmt.Fprintf(a.tty.f, "%s: ", a.care(step.label))
		*step.into, err = a.tty.readLine(ready, r.Deadline, true)
		_, _ = fmt.Fprint(a.tty.f, "\r\n")
		if ctx.Err() != nil {
			return answer, "", context.Cause(ctx)
		}
		if err != nil {
			return answer, "", err
		}
		if len(*step.into) == 0 { // Enter alone is a no
			a.say("%s", a.text("refused"))
			return answer, "", consent.ErrRefused
		}
	}
	return answer, r.Unfit(answer.Secret, answer.Fresh, again), nil
}

// PINOutcome tells how it ended.
func (a *Face) PINOutcome(_ context.Context, _ *consent.PINRequest, _ bool, text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.say("%s", text)
}
