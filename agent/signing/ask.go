package signing

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/citel-pa/citel/agent/consent"
)

// grace is what a face gets beyond the deadline to close by itself.
const grace = 2 * time.Second

// ask puts the question and holds its deadline, whatever the face does. end,
// when set, is a moment the deadline may not pass (a nonce's end).
func (c *Ceremony) ask(ctx context.Context, caller *Caller, r *consent.Request, end time.Time) (consent.Answer, error) {
	r.Deadline = time.Now().Add(c.consentTime())
	if !end.IsZero() && end.Before(r.Deadline) {
		r.Deadline = end
	}
	asking, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := newWatch(r.Deadline, func() { cancel(consent.ErrTimedOut) })
	defer watch.stop()
	if caller.Bounded {
		r.Extend = nil
	}
	r.Language = caller.Language
	if extend := r.Extend; extend != nil {
		r.Extend = func(ctx context.Context) (time.Time, error) {
			deadline, err := extend(ctx)
			if err != nil {
				return time.Time{}, err
			}
			if !watch.move(deadline) {
				return time.Time{}, consent.ErrTimedOut
			}
			return deadline, nil
		}
	}

	caller.notify(StageConsent)
	answer, err := c.Asker.Ask(asking, r)
	if cause := context.Cause(asking); cause != nil {
		err = cause // too late, or nobody wants the answer any more
	}
	decision := Decision{Approved: err == nil, Remember: err == nil && answer.RememberOrigin,
		Block: errors.Is(err, consent.ErrRefused) && answer.BlockOrigin}
	if caller.Decided != nil && (err == nil || errors.Is(err, consent.ErrRefused)) {
		caller.Decided(decision)
	}
	if err != nil {
		answer.Wipe()
		return consent.Answer{}, fmt.Errorf("signing: %w", err)
	}
	return answer, nil
}

// chosen finds the person's choice among the usable candidates.
func chosen(found []candidate, answer *consent.Answer) (candidate, error) {
	for _, f := range found {
		if f.unfit == "" && f.id.id() == answer.CertificateID {
			return f, nil
		}
	}
	return candidate{}, fmt.Errorf("signing: the face answered with a certificate that was not offered: %w", consent.ErrRefused)
}

// watch ends a question at its deadline.
type watch struct {
	mu    sync.Mutex
	timer *time.Timer
	over  bool
}

func newWatch(deadline time.Time, end func()) *watch {
	w := &watch{}
	w.timer = time.AfterFunc(time.Until(deadline)+grace, func() {
		w.mu.Lock()
		w.over = true
		w.mu.Unlock()
		end()
	})
	return w
}

// move sets another deadline; false when the first has passed.
func (w *watch) move(deadline time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over || !w.timer.Stop() {
		return false
	}
	w.timer.Reset(time.Until(deadline) + grace)
	return true
}

func (w *watch) stop() { w.timer.Stop() }
