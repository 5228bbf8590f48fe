package desktop_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/consent/desktop"
)

func pinRequest(within time.Duration) *consent.PINRequest {
	return &consent.PINRequest{Care: consent.CareChange, Card: consent.PINCard{Kind: "cns", MinDigits: 5, MaxDigits: 8}, Deadline: time.Now().Add(within)}
}

// Whatever is not a clear yes is a no, for a new PIN too.
func TestPINAnswers(t *testing.T) {
	for kind, want := range map[string]error{"secrets": nil, "secrets-cut": consent.ErrRefused, "yes": consent.ErrTimedOut, "refuses": consent.ErrRefused,
		"garbage": desktop.ErrWindow, "dies": desktop.ErrWindow, "waits": consent.ErrTimedOut} {
		t.Run(kind, func(t *testing.T) {
			f := face(t, kind)
			within := time.Minute
			if errors.Is(want, consent.ErrTimedOut) {
				within = time.Second
			}
			a, err := f.AskPIN(t.Context(), pinRequest(within))
			if !errors.Is(err, want) || want == nil && err != nil {
				t.Fatalf("%v", err)
			}
			if want == nil && (string(a.Secret) != "24680" || string(a.Fresh) != "27182") || want != nil && (a.Secret != nil || a.Fresh != nil) {
				t.Errorf("%+v", a)
			}
			f.PINOutcome(t.Context(), pinRequest(within), want == nil, "testo")
		})
	}
}

type handler chan map[string]string

func (h handler) Call(_ context.Context, name string, args map[string]string) (any, error) {
	if name == "echo" {
		h <- args
		return nil, errors.New("no more") // whose reply is echoed too
	}
	return "dati", nil
}

// A hand gets what it asks for, goes to another page, and is told changes.
func TestHandWindow(t *testing.T) {
	f := face(t, "hand")
	calls := make(handler, 64)
	h := &desktop.Hand{Face: f, Handler: calls}
	closed, err := h.Open(t.Context(), "home")
	if err != nil {
		t.Fatal(err)
	}
	wait := func(key, value string) {
		t.Helper()
		for end := time.After(time.Minute); ; {
			select {
			case args := <-calls:
				if args[key] == value {
					return
				}
			case <-end:
				t.Fatalf("no %s=%s came", key, value)
			}
		}
	}
	wait("data", `"dati"`)
	wait("text", "no more")
	if again, err := h.Open(t.Context(), "doctor"); err != nil || again != closed {
		t.Errorf("another window: %v", err)
	}
	wait("name", "doctor")
	h.Changed()
	wait("type", "changed")
	go func() { // whoever echoes on does not hold the end up
		for range calls {
			continue
		}
	}()
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	<-closed
}
