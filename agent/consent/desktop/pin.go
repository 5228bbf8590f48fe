package desktop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/consent/frame"
)

// AskPIN shows the window that takes PIN or PUK and a new PIN. Whatever is not a
// clear yes is a no.
func (f *Face) AskPIN(ctx context.Context, r *consent.PINRequest) (consent.PINAnswer, error) {
	f.dismiss()
	answer, err := f.tryPIN(ctx, r)
	if errors.Is(err, errNotPainted) {
		f.Log.Warn("the window did not come up; once more", "error", err)
		answer, err = f.tryPIN(ctx, r)
	}
	if err != nil {
		answer.Wipe()
		return consent.PINAnswer{}, err
	}
	f.working(&consent.Request{}, "")
	return answer, nil
}

func (f *Face) tryPIN(ctx context.Context, r *consent.PINRequest) (consent.PINAnswer, error) {
	p, err := f.start(frame.View{Mode: frame.NewPIN, Lang: string(f.lang(&consent.Request{})), NewPIN: r, Deadline: r.Deadline, Extendable: r.Extend != nil}, nil)
	if err != nil {
		return consent.PINAnswer{}, err
	}
	defer p.end()
	timer := time.NewTimer(paintTime)
	defer timer.Stop()
	painted := false
	for {
		select {
		case <-ctx.Done():
			return consent.PINAnswer{}, context.Cause(ctx)
		case <-timer.C:
			if !painted {
				return consent.PINAnswer{}, errNotPainted
			}
			return consent.PINAnswer{}, consent.ErrTimedOut
		case m, ok := <-p.messages:
			switch {
			case !ok && painted:
				return consent.PINAnswer{}, fmt.Errorf("%w: the window ended", consent.ErrRefused)
			case !ok:
				return consent.PINAnswer{}, fmt.Errorf("%w: %s", errNotPainted, p.noise())
			}
			switch m.Type {
			case frame.Painted:
				painted = true
				timer.Reset(time.Until(r.Deadline))
			case frame.Extend:
				if r.Extend == nil {
					continue
				}
				next, err := r.Extend(ctx)
				if err != nil {
					return consent.PINAnswer{}, fmt.Errorf("desktop: more time: %w", err)
				}
				r.Deadline = next
				timer.Reset(time.Until(next))
				_ = p.send(frame.Message{Type: frame.Deadline, At: next}) // a window that is gone ends the loop
			case frame.Refuse:
				return consent.PINAnswer{}, consent.ErrRefused
			case frame.Secrets:
				return consent.PINAnswer{Secret: m.pin, Fresh: m.fresh}, nil
			default:
				m.wipe()
			}
		}
	}
}

// PINOutcome tells how it ended.
func (f *Face) PINOutcome(_ context.Context, _ *consent.PINRequest, good bool, text string) {
	f.finish(&consent.Request{}, frame.Message{Type: frame.Finished, Good: good, Text: text})
}
