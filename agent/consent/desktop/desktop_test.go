package desktop_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/consent/desktop"
	"github.com/citel-pa/citel/agent/consent/frame"
	"github.com/citel-pa/citel/pkcs/message"
)

// TestMain: the test's binary is a window of its own, as hostile as the test wants.
func TestMain(m *testing.M) {
	if kind := os.Getenv("CITEL_TEST_WINDOW"); kind != "" {
		play(kind)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func play(kind string) {
	k, data, err := frame.Read(os.Stdin)
	if err != nil || k != frame.JSON || os.Getenv("WEBKIT_INSPECTOR_SERVER") != "" {
		return
	}
	m, err := frame.Decode(data)
	if err != nil {
		return
	}
	say := func(m frame.Message) { _ = frame.WriteJSON(os.Stdout, m) }
	answer := func() {
		say(frame.Message{Type: frame.Answer, Certificate: "aa", PIN: true, Remember: true})
		_ = frame.Write(os.Stdout, frame.PIN, []byte("24680"))
	}
	if kind != "silent" && kind != "garbage" && kind != "dies" {
		say(frame.Message{Type: frame.Painted})
	}
	if m.View.Mode == frame.Status {
		_, _ = io.Copy(io.Discard, os.Stdin)
		return
	}
	switch kind {
	case "yes":
		if m.View.Mode == frame.Review {
			say(frame.Message{Type: frame.Next})
		} else {
			answer()
		}
	case "review-answers":
		answer()
	case "ask-says-next":
		say(frame.Message{Type: frame.Next})
	case "refuses":
		say(frame.Message{Type: frame.Refuse, Block: true})
	case "garbage":
		_, _ = os.Stdout.Write(bytes.Repeat([]byte{0xFF}, 100))
	case "no-pin":
		say(frame.Message{Type: frame.Answer, Certificate: "aa", PIN: true})
		say(frame.Message{Type: frame.Painted})
	case "extends":
		say(frame.Message{Type: frame.Extend})
		if k, data, err := frame.Read(os.Stdin); err == nil && k == frame.JSON {
			if m, err := frame.Decode(data); err == nil && m.Type == frame.Deadline && !m.At.IsZero() {
				answer()
			}
		}
	case "secrets", "secrets-cut":
		say(frame.Message{Type: frame.Secrets})
		_ = frame.Write(os.Stdout, frame.PIN, []byte("24680"))
		if kind == "secrets" {
			_ = frame.Write(os.Stdout, frame.PIN, []byte("27182"))
		} else {
			say(frame.Message{Type: frame.Refuse})
		}
	case "hand":
		answer() // a hand has no say in anything
		say(frame.Message{Type: frame.Call, ID: 1, Name: "home"})
		for {
			k, data, err := frame.Read(os.Stdin)
			if err != nil || k != frame.JSON {
				return
			}
			// What comes back is called again, for the test to see.
			if m, err := frame.Decode(data); err == nil && (m.Type == frame.Reply || m.Type == frame.Page || m.Type == frame.Changed) {
				say(frame.Message{Type: frame.Call, ID: 2, Name: "echo", Args: map[string]string{"type": string(m.Type), "data": string(m.Data), "text": m.Text, "name": m.Name}})
			}
		}
	case "dies":
		return
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until the agent is done
}

func face(t *testing.T, kind string) *desktop.Face {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("CITEL_TEST_WINDOW", kind)
	t.Setenv("WEBKIT_INSPECTOR_SERVER", "127.0.0.1:1") // does not reach the window
	f := &desktop.Face{Program: self, Lang: message.Italian, Log: slog.New(slog.DiscardHandler), Explain: func(_ message.Lang, err error) string { return err.Error() }}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func request(documents bool, within time.Duration) *consent.Request {
	r := &consent.Request{Purpose: consent.PurposeLogin, Caller: consent.Caller{Origin: "https://a.example"}, Deadline: time.Now().Add(within),
		Certificates: []consent.Certificate{{ID: "aa"}}}
	if documents {
		r.Purpose = consent.PurposeSign
		r.Documents = []consent.Document{{Name: "a", Size: 1, Open: func() (io.ReadSeekCloser, error) { return file{bytes.NewReader([]byte("x"))}, nil }}}
	}
	return r
}

type file struct{ *bytes.Reader }

func (file) Close() error { return nil }

// Whatever is not a clear yes is a no.
func TestWindowsAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		documents bool
		want      error
	}{
		"yes":            {true, nil},
		"extends":        {false, nil},
		"review-answers": {true, desktop.ErrWindow},
		"ask-says-next":  {false, desktop.ErrWindow},
		"refuses":        {false, consent.ErrRefused},
		"garbage":        {false, desktop.ErrWindow},
		"no-pin":         {false, consent.ErrRefused},
		"dies":           {false, desktop.ErrWindow},
		"waits":          {false, consent.ErrTimedOut},
	} {
		t.Run(name, func(t *testing.T) {
			f := face(t, name)
			within := time.Minute
			if errors.Is(c.want, consent.ErrTimedOut) {
				within = time.Second
			}
			r := request(c.documents, within)
			r.Extend = func(context.Context) (time.Time, error) { return time.Now().Add(time.Minute), nil }
			a, err := f.Ask(t.Context(), r)
			if !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Fatalf("%v", err)
			}
			switch {
			case c.want == nil && (string(a.PIN) != "24680" || a.CertificateID != "aa" || !a.RememberOrigin):
				t.Errorf("%+v", a)
			case c.want != nil && (a.PIN != nil || a.CertificateID != "" || a.RememberOrigin):
				t.Errorf("an answer with an error: %+v", a)
			case name == "refuses" && !a.BlockOrigin:
				t.Error("the block is lost")
			}
			f.Outcome(t.Context(), r, c.want)
		})
	}
}

func TestNobodyWaitsForAPageThatLeft(t *testing.T) {
	f := face(t, "waits")
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the page left")
	time.AfterFunc(100*time.Millisecond, func() { cancel(gone) })
	if _, err := f.Ask(ctx, request(false, time.Minute)); !errors.Is(err, gone) {
		t.Errorf("%v", err)
	}
	f.Program = "/nowhere/citel-window"
	if _, err := f.Ask(t.Context(), request(false, time.Minute)); !errors.Is(err, desktop.ErrWindow) {
		t.Errorf("no program: %v", err)
	}
}
