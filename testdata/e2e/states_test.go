package e2e

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/consent/frame"
)

// shown is one window, played to by the test in the agent's place.
type shown struct {
	in  io.WriteCloser
	out chan frame.Message
	pin chan string
}

func (s *screen) show(view frame.View) *shown {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), filepath.Join(programs, "citel-window")) //nolint:gosec // our own program
	cmd.Env = append(os.Environ(), s.env...)
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err1 != nil || err2 != nil {
		s.t.Fatal(err1, err2)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	w := &shown{in: in, out: make(chan frame.Message, 10), pin: make(chan string, 1)}
	go func() {
		defer func() { _ = cmd.Wait() }()
		defer close(w.out)
		for {
			k, data, err := frame.Read(out)
			if err != nil {
				return
			}
			if k == frame.PIN {
				w.pin <- string(data)
				continue
			}
			if m, err := frame.Decode(data); err == nil {
				w.out <- m
			}
		}
	}()
	if err := frame.WriteJSON(in, frame.Message{Type: frame.Show, View: &view}); err != nil {
		s.t.Fatal(err)
	}
	s.next(w, frame.Painted)
	settle()
	return w
}

// next waits for a message of a type.
func (s *screen) next(w *shown, want frame.Type) frame.Message {
	s.t.Helper()
	select {
	case m, ok := <-w.out:
		if !ok || m.Type != want {
			s.shot("window-failed")
			s.t.Fatalf("%q instead of %q", m.Type, want)
		}
		return m
	case <-time.After(time.Minute):
		s.shot("window-failed")
		s.t.Fatalf("no %q", want)
	}
	return frame.Message{}
}

// Every state of the window, read by a screen reader and answered on the keyboard.
func TestWindowStates(t *testing.T) {
	t.Parallel()
	s := newScreen(t)
	site := consent.Caller{Origin: "https://sportello.comune.example"}
	card := func(id string, change func(*consent.Certificate)) consent.Certificate {
		c := consent.Certificate{ID: id, Name: "Prova Cittadino", CodiceFiscale: "CTTPRV80A10G702C", Issuer: "CiTel TEST CNS CA", NotAfter: time.Now().AddDate(1, 0, 0), Source: "Lettore " + id, PIN: consent.PIN{TriesLeft: -1}}
		if change != nil {
			change(&c)
		}
		return c
	}
	ask := func(cards ...consent.Certificate) frame.View {
		return frame.View{Mode: frame.Ask, Lang: "it", Purpose: consent.PurposeLogin, Caller: site, Certificates: cards, Deadline: time.Now().Add(2 * time.Minute), Extendable: true}
	}
	says := func(t *testing.T, name string, want ...string) {
		t.Helper()
		tree := s.reader("tree")
		for _, x := range want {
			if !strings.Contains(tree, x) {
				t.Errorf("the screen reader does not say %q:\n%s", x, tree)
			}
		}
		s.shot("window-state-" + name)
	}

	t.Run("last try", func(t *testing.T) {
		w := s.show(ask(card("a", func(c *consent.Certificate) { c.PIN.TriesLeft = 1 })))
		says(t, "last-try", "è l'ultimo tentativo", "password text | PIN della carta | focused")
		s.key("Escape")
		s.next(w, frame.Refuse)
	})
	t.Run("pinpad", func(t *testing.T) {
		w := s.show(ask(card("a", func(c *consent.Certificate) { c.PIN.Pinpad = true })))
		says(t, "pinpad", "digita il PIN sulla tastiera del lettore")
		if strings.Contains(s.reader("tree"), "password text") {
			t.Error("a PIN field beside a reader's keypad")
		}
		s.reader("press", "Entra")
		if m := s.next(w, frame.Answer); m.PIN || m.Certificate != "a" {
			t.Errorf("%+v", m)
		}
	})
	t.Run("several cards, by keyboard", func(t *testing.T) {
		w := s.show(ask(card("a", nil), card("b", func(c *consent.Certificate) { c.Name = "Esempio Genitrice" }), card("c", func(c *consent.Certificate) { c.Unfit = "consent.unfit-expired" })))
		says(t, "cards", "radio button | Prova Cittadino CTTPRV80A10G702C | checked", "Non utilizzabile: scaduto")
		s.key("shift+Tab", "Down") // from the PIN to the cards, and to the next one
		s.reader("wait", "radio button", "Esempio Genitrice")
		if tree := s.reader("tree"); !strings.Contains(tree, "radio button | Esempio Genitrice CTTPRV80A10G702C | focused,checked") {
			t.Errorf("the second card is not chosen:\n%s", tree)
		}
		s.key("Tab")
		s.keys("24680")
		s.key("Return")
		if m := s.next(w, frame.Answer); m.Certificate != "b" || !m.PIN {
			t.Errorf("%+v", m)
		}
		if got := <-w.pin; got != "24680" {
			t.Error("another PIN")
		}
		if _, open := <-w.out; open {
			t.Error("the PIN's window stays")
		}
	})
	t.Run("more time", func(t *testing.T) {
		view := ask(card("a", nil))
		view.Deadline = time.Now().Add(90 * time.Second)
		w := s.show(view)
		s.reader("wait", "timer", "Restano ")
		s.reader("press", "Più tempo")
		s.next(w, frame.Extend)
		if err := frame.WriteJSON(w.in, frame.Message{Type: frame.Deadline, At: time.Now().Add(1099 * time.Second)}); err != nil {
			t.Fatal(err)
		}
		s.reader("wait", "timer", "Restano 10") // of 1000 and more
		says(t, "more-time", "timer")
		s.key("Escape")
		s.next(w, frame.Refuse)
	})
	t.Run("nothing was typed", func(t *testing.T) {
		w := s.show(ask(card("a", nil)))
		s.key("Return")
		s.reader("wait", "", "Scrivi il PIN")
		says(t, "empty", "Non è stato inviato nulla alla carta")
		_ = w.in.Close() // the agent is gone: so is the window
		for range w.out {
		}
	})
	t.Run("punycode, English", func(t *testing.T) {
		view := ask(card("a", nil))
		view.Lang, view.Caller.Origin = "en", "https://xn--cmune-prove-7ya.example"
		w := s.show(view)
		says(t, "punycode", "the site's name has unusual letters", "password text | PIN of the card", "push button | Log in")
		s.key("Escape")
		s.next(w, frame.Refuse)
	})
	t.Run("PIN on the reader", func(t *testing.T) {
		w := s.show(frame.View{Mode: frame.Status, Lang: "it", Purpose: consent.PurposeSign, Certificates: []consent.Certificate{card("a", func(c *consent.Certificate) { c.PIN.Pinpad = true })}})
		says(t, "pinpad-now", "Digita il PIN sulla tastiera del lettore")
		_ = w.in.Close()
		for range w.out {
		}
	})
	t.Run("at work, and how it ended", func(t *testing.T) {
		w := s.show(frame.View{Mode: frame.Status, Lang: "it", Purpose: consent.PurposeSign})
		says(t, "working", "La carta sta lavorando")
		if err := frame.WriteJSON(w.in, frame.Message{Type: frame.Finished, Text: "Il PIN è bloccato."}); err != nil {
			t.Fatal(err)
		}
		s.reader("wait", "heading", "Non riuscito")
		says(t, "ended", "Il PIN è bloccato.", "push button | Chiudi | focused")
		s.key("Return")
		for range w.out {
		}
	})
	t.Run("keys meant for another window", func(t *testing.T) {
		// On a busy machine a key may be a second late, and counts then.
		for range 5 {
			if m := s.typedInto(t, ask(card("a", nil))); m == nil {
				return
			} else if m.Type != frame.Refuse && m.Type != frame.Answer {
				t.Fatalf("%q", m.Type)
			}
		}
		t.Error("answered by keys that were not meant for it")
	})
}

// typedInto shows a window to a person who types on while it appears, and gives what it
// answered, which should be nothing.
func (s *screen) typedInto(t *testing.T, view frame.View) *frame.Message {
	t.Helper()
	stop := make(chan struct{})
	typed := make(chan struct{})
	go func() {
		defer close(typed)
		for {
			select {
			case <-stop:
				return
			default:
				_, _ = s.run("", "xdotool", "key", "Return", "Escape")
			}
		}
	}()
	cmd := exec.CommandContext(t.Context(), filepath.Join(programs, "citel-window")) //nolint:gosec // our own program
	cmd.Env = append(os.Environ(), s.env...)
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close(); _ = cmd.Wait() }()
	if err := frame.WriteJSON(in, frame.Message{Type: frame.Show, View: &view}); err != nil {
		t.Fatal(err)
	}
	_, data, err := frame.Read(out)
	if m, derr := frame.Decode(data); err != nil || derr != nil || m.Type != frame.Painted {
		t.Fatalf("%s %v", data, err)
	}
	time.Sleep(300 * time.Millisecond)
	close(stop)
	<-typed
	answered := make(chan frame.Message, 1)
	go func() {
		if _, data, err := frame.Read(out); err == nil {
			m, _ := frame.Decode(data)
			answered <- m
		}
	}()
	select {
	case m := <-answered:
		return &m
	case <-time.After(500 * time.Millisecond):
		return nil
	}
}
