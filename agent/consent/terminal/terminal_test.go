//go:build !windows

package terminal

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/pkcs/message"
)

// person is the other end of a pseudo terminal.
type person struct {
	t    *testing.T
	ptmx *os.File
	mu   sync.Mutex
	seen strings.Builder
	more chan struct{}
}

func newPerson(t *testing.T) (*Face, *person) {
	t.Helper()
	ptmx, tts, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	name := tts.Name()
	if err := tts.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &person{t: t, ptmx: ptmx, more: make(chan struct{}, 1)}
	go func() {
		buf := make([]byte, 1024)
		for {
			n, err := ptmx.Read(buf)
			p.mu.Lock()
			p.seen.Write(buf[:n])
			p.mu.Unlock()
			select {
			case p.more <- struct{}{}:
			default:
			}
			if err != nil {
				return
			}
		}
	}()
	face := On(f, message.Italian)
	t.Cleanup(func() { _ = face.Close(); _ = ptmx.Close() })
	return face, p
}

func (p *person) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen.String()
}

func (p *person) waitFor(s string) {
	p.t.Helper()
	deadline := time.After(time.Minute)
	for !strings.Contains(p.text(), s) {
		select {
		case <-p.more:
		case <-deadline:
			p.t.Fatalf("never saw %q in:\n%s", s, p.text())
		}
	}
}

func (p *person) types(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p.ptmx, s); err != nil {
		p.t.Error(err)
	}
}

// patient types after the question's first half second.
func (p *person) patient(after, s string) {
	p.t.Helper()
	p.waitFor(after)
	time.Sleep(quiet + 100*time.Millisecond)
	p.types(s)
}

func login() *consent.Request {
	return &consent.Request{
		Purpose: consent.PurposeLogin, Caller: consent.Caller{Origin: "https://sportello.comune.example"},
		Certificates: []consent.Certificate{{ID: "aa", Name: "Prova Maria", PIN: consent.PIN{TriesLeft: -1}}},
		Deadline:     time.Now().Add(30 * time.Second),
	}
}

type outcome struct {
	a   consent.Answer
	err error
}

func ask(ctx context.Context, f *Face, r *consent.Request) chan outcome {
	ch := make(chan outcome, 1)
	go func() { a, err := f.Ask(ctx, r); ch <- outcome{a, err} }()
	return ch
}

func TestYesWithPIN(t *testing.T) {
	face, p := newPerson(t)
	ch := ask(t.Context(), face, login())
	p.patient("s = sì", "s\r")
	p.waitFor("PIN della carta")
	p.types("12345\x7f6\r")
	got := <-ch
	if got.err != nil || string(got.a.PIN) != "12346" || got.a.CertificateID != "aa" || got.a.RememberOrigin {
		t.Fatalf("%+v", got)
	}
	if strings.Contains(p.text(), "1234") {
		t.Error("the PIN was shown")
	}
	if !strings.Contains(p.text(), "https://sportello.comune.example") || !strings.Contains(p.text(), "prima volta") {
		t.Error("who asks was not shown")
	}
}

func TestAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		keys     string
		want     error
		remember bool
		block    bool
	}{
		"no":        {"n\r", consent.ErrRefused, false, false},
		"nothing":   {"\r", consent.ErrRefused, false, false},
		"something": {"xyz\r", consent.ErrRefused, false, false},
		"control C": {"\x03", consent.ErrRefused, false, false},
		"escape":    {"\x1b", consent.ErrRefused, false, false},
		"block":     {"b\r", consent.ErrRefused, false, true},
		"remember":  {"r\r", nil, true, false},
		"yes":       {"sì\r", nil, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			face, p := newPerson(t)
			r := &consent.Request{Purpose: consent.PurposeOrigin, Caller: consent.Caller{Origin: "https://a.example"}, Deadline: time.Now().Add(30 * time.Second)}
			ch := ask(t.Context(), face, r)
			p.patient("s = sì", c.keys)
			got := <-ch
			if !errors.Is(got.err, c.want) || got.a.RememberOrigin != c.remember || got.a.BlockOrigin != c.block {
				t.Errorf("%+v", got)
			}
		})
	}
}

// What was typed before the question, or into it by reflex, answers nothing.
func TestEarlyInputIsThrownAway(t *testing.T) {
	for range 20 {
		face, p := newPerson(t)
		p.types("s\r")
		r := login()
		begin := time.Now()
		r.Deadline = begin.Add(2 * time.Second)
		ch := ask(t.Context(), face, r)
		p.waitFor("s = sì")
		p.types("s\r123456\r")
		late := time.Since(begin) > quiet/2 // on a busy machine: then it may count
		got := <-ch
		if late {
			continue
		}
		if !errors.Is(got.err, consent.ErrTimedOut) {
			t.Errorf("%+v", got)
		}
		return
	}
	t.Error("this machine is too slow to type that early")
}

func TestTimeLimitExtended(t *testing.T) {
	face, p := newPerson(t)
	r := login()
	const first = 4 * time.Second
	r.Deadline = time.Now().Add(first)
	asked := 0
	r.Extend = func(context.Context) (time.Time, error) {
		asked++
		return time.Now().Add(time.Minute), nil
	}
	ch := ask(t.Context(), face, r)
	p.patient("s = sì", "+\r")
	p.waitFor("(5") // fifty seconds and more
	select {
	case got := <-ch:
		t.Fatalf("ended: %+v", got)
	case <-time.After(first):
	}
	p.types("s\r1234\r")
	if got := <-ch; got.err != nil || asked != 1 {
		t.Errorf("%+v after %d", got, asked)
	}
}

func TestCallerGone(t *testing.T) {
	face, p := newPerson(t)
	ctx, cancel := context.WithCancel(t.Context())
	ch := ask(ctx, face, login())
	p.waitFor("s = sì")
	cancel()
	if got := <-ch; !errors.Is(got.err, context.Canceled) {
		t.Errorf("%+v", got)
	}
}

func TestHostileNames(t *testing.T) {
	face, p := newPerson(t)
	r := login()
	r.Purpose = consent.PurposeSign
	r.Documents = []consent.Document{{Name: "a\x1b[2Jb\u202efdp.exe", MediaType: "x\r\ny"}}
	r.Certificates = append(r.Certificates, consent.Certificate{ID: "bb", Name: "Altra", Unfit: "consent.unfit-expired"}, consent.Certificate{ID: "cc", Name: "Terza"})
	ch := ask(t.Context(), face, r)
	p.patient("Quale certificato", "2\r")
	p.waitFor("utilizzabile.\r\n")
	p.types("3\rs\r77\r")
	if got := <-ch; got.err != nil || got.a.CertificateID != "cc" {
		t.Errorf("%+v", got)
	}
	if strings.Contains(p.text(), "\x1b") || strings.Contains(p.text(), "\u202e") {
		t.Errorf("control characters reached the terminal: %q", p.text())
	}
}
