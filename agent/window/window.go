// Package window is what a person sees: a web view in a process of its own
// (cmd/citel-window), told what to show by the agent over a pipe. The pages come
// from this program and go nowhere; there is no network.
//
// A window is for one question and then ends: the one that shows documents can say
// next or refuse, the one that takes the PIN shows no document (frame.Mode).
package window

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/consent/frame"
	"github.com/citel-pa/citel/pkcs/message"
)

//go:embed all:dist
var dist embed.FS

//go:embed templates/*.html
var templates embed.FS

// ErrNotBuilt means that the program was compiled without the files of its pages.
var ErrNotBuilt = errors.New("window: the pages' files are not there; run `make assets` and build again")

// Limits.
const (
	// quiet is how long a window takes no input once it is painted: what was typed
	// for another must not answer it.
	quiet    = 500 * time.Millisecond
	maxText  = 1 << 20 // of a document shown as text
	longPoll = 20 * time.Second
)

// policy: everything from this program, nothing from anywhere else, no evaluation.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; font-src 'self'; connect-src 'self'; worker-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"

// Window is one window's state, whatever draws it.
type Window struct {
	View      frame.View
	documents [][]byte
	signers   map[int][]string // of documents that are signed already
	out       io.Writer
	// End closes the window, Raise brings it to the front; set before the first
	// request.
	End, Raise func()

	mu       sync.Mutex
	painted  time.Time
	answered bool
	deadline time.Time
	finished *frame.Message
	version  int
	changed  chan struct{}
	calls    calls  // of a hand
	page     string // that the hand was sent to, with version pageAt
	pageAt   int
}

// Open reads what is to be shown.
func Open(in io.Reader, out io.Writer) (*Window, error) {
	k, payload, err := frame.Read(in)
	if err != nil {
		return nil, fmt.Errorf("window: %w", err)
	}
	if k != frame.JSON {
		return nil, fmt.Errorf("window: %w: nothing to show", frame.ErrFrame)
	}
	m, err := frame.Decode(payload)
	if err != nil {
		return nil, err
	}
	if m.Type != frame.Show || m.View == nil {
		return nil, fmt.Errorf("window: %w: %q first", frame.ErrFrame, m.Type)
	}
	w := &Window{View: *m.View, out: out, End: func() {}, Raise: func() {}, deadline: m.View.Deadline, changed: make(chan struct{}), version: 1, signers: map[int][]string{}}
	for i, d := range w.View.Documents {
		if !d.Shown || w.View.Mode != frame.Review {
			w.documents = append(w.documents, nil)
			continue
		}
		k, payload, err := frame.Read(in)
		if err != nil {
			return nil, fmt.Errorf("window: %w", err)
		}
		if k != frame.Document || int64(len(payload)) != d.Size {
			return nil, fmt.Errorf("window: %w: a document of %d bytes", frame.ErrFrame, len(payload))
		}
		// What was signed is what a person reads; what is signed now is the whole file.
		if content, names, ok := unwrap(payload); ok {
			payload, w.signers[i] = content, names
		}
		w.documents = append(w.documents, payload)
	}
	return w, nil
}

// Follow takes what the agent says later, until the pipe ends: then the window ends
// too, for nobody waits for its answer.
func (w *Window) Follow(in io.Reader) {
	defer w.End()
	for {
		k, payload, err := frame.Read(in)
		if err != nil || k != frame.JSON {
			return
		}
		m, err := frame.Decode(payload)
		if err != nil {
			return
		}
		if m.Type == frame.Reply {
			w.calls.deliver(m)
			continue
		}
		if m.Type == frame.Page {
			w.Raise()
		}
		w.mu.Lock()
		switch m.Type {
		case frame.Deadline:
			w.deadline = m.At
		case frame.Finished:
			w.finished = &m
		case frame.Page:
			w.page, w.pageAt = m.Name, w.version+1
		}
		w.version++
		close(w.changed)
		w.changed = make(chan struct{})
		w.mu.Unlock()
	}
}

// tell sends one answer; only the first counts.
func (w *Window) tell(m frame.Message, pins ...[]byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.answered {
		return errors.New("window: answered before")
	}
	if m.Type != frame.Extend {
		w.answered = true
	}
	if err := frame.WriteJSON(w.out, m); err != nil {
		return err
	}
	for _, p := range pins {
		if err := frame.Write(w.out, frame.PIN, p); err != nil {
			return err
		}
	}
	return nil
}

// ready: a window takes no input at first.
func (w *Window) ready() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.painted.IsZero() && time.Since(w.painted) >= quiet
}

// Closed is called when the person closed the window: that is a no.
func (w *Window) Closed() {
	if w.View.Mode != frame.Status {
		_ = w.tell(frame.Message{Type: frame.Refuse}) // an answer given before stays
	}
}

// Handler serves the page and takes its answers.
func (w *Window) Handler() (http.Handler, error) {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		return nil, err
	}
	if _, err := fs.Stat(files, "app/window.js"); err != nil {
		return nil, ErrNotBuilt
	}
	lang := message.ParseLang(w.View.Lang)
	text := func(key string, args ...any) string { return message.Text(lang, "window."+key, args...) }
	parsed := map[message.Lang]*template.Template{}
	for _, l := range []message.Lang{message.Italian, message.English} {
		if parsed[l], err = parse(l); err != nil {
			return nil, err
		}
	}
	mux := http.NewServeMux()
	html := func(rw http.ResponseWriter, lang message.Lang, name string, data any) {
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = parsed[lang].ExecuteTemplate(rw, name, data) // a page cut off is seen
	}
	switch w.View.Mode {
	case frame.Hand:
		w.handRoutes(mux, html)
	case frame.NewPIN:
		mux.HandleFunc("GET /{$}", func(rw http.ResponseWriter, _ *http.Request) { html(rw, lang, "pin.html", w.pinPage(lang)) })
		mux.HandleFunc("POST /secrets", w.secrets(lang))
	default:
		mux.HandleFunc("GET /{$}", func(rw http.ResponseWriter, _ *http.Request) { html(rw, lang, "page.html", w.question(lang, text)) })
	}
	mux.HandleFunc("GET /assets/", func(rw http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/assets/")
		data, err := fs.ReadFile(files, path.Clean(name))
		if err != nil {
			http.NotFound(rw, r)
			return
		}
		kind := mime.TypeByExtension(path.Ext(name))
		if strings.HasSuffix(name, ".mjs") {
			kind = "text/javascript"
		}
		rw.Header().Set("Content-Type", kind)
		_, _ = rw.Write(data)
	})
	mux.HandleFunc("GET /document/{n}", w.document)
	mux.HandleFunc("GET /state", w.state)
	mux.HandleFunc("POST /painted", func(http.ResponseWriter, *http.Request) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.painted.IsZero() {
			w.painted = time.Now()
			_ = frame.WriteJSON(w.out, frame.Message{Type: frame.Painted})
		}
	})
	simple := func(m frame.Message, end bool, modes ...frame.Mode) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) {
			fits := false
			for _, mode := range modes {
				fits = fits || mode == w.View.Mode
			}
			if !fits || !w.ready() || w.tell(m) != nil {
				rw.WriteHeader(http.StatusConflict)
				return
			}
			if end {
				go w.End()
			}
		}
	}
	mux.HandleFunc("POST /next", simple(frame.Message{Type: frame.Next}, false, frame.Review))
	mux.HandleFunc("POST /refuse", simple(frame.Message{Type: frame.Refuse}, true, frame.Review, frame.Ask, frame.NewPIN))
	mux.HandleFunc("POST /block", simple(frame.Message{Type: frame.Refuse, Block: true}, true, frame.Review, frame.Ask))
	mux.HandleFunc("POST /extend", simple(frame.Message{Type: frame.Extend}, false, frame.Review, frame.Ask, frame.NewPIN))
	mux.HandleFunc("POST /close", func(http.ResponseWriter, *http.Request) { go w.End() })
	mux.HandleFunc("POST /answer", w.answer(text))
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		h := rw.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		mux.ServeHTTP(rw, r)
	}), nil
}

// answer takes the person's yes. The PIN is the request's body and nothing else is.
func (w *Window) answer(text func(string, ...any) string) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		pin := make([]byte, 0, frame.MaxPIN+1)
		consent.Lock(pin)
		defer func() { clear(pin[:cap(pin)]) }()
		buf := pin[:cap(pin)]
		n := 0
		for n < len(buf) {
			k, err := r.Body.Read(buf[n:])
			n += k
			if err != nil {
				break
			}
		}
		pin = buf[:n]
		refuse := func() { http.Error(rw, text("bad-answer"), http.StatusConflict) }
		if w.View.Mode != frame.Ask || !w.ready() || n > frame.MaxPIN {
			refuse()
			return
		}
		m := frame.Message{Type: frame.Answer, Remember: r.URL.Query().Get("remember") == "1"}
		if w.View.Purpose != consent.PurposeOrigin {
			c := w.certificate(r.URL.Query().Get("certificate"))
			if c == nil {
				refuse()
				return
			}
			m.Certificate, m.PIN = c.ID, !c.PIN.Pinpad && w.View.Purpose.UsesKey()
			switch {
			case m.PIN && n == 0:
				http.Error(rw, text("pin-empty"), http.StatusUnprocessableEntity)
				return
			case m.PIN && c.PIN.Digits > 0 && n != c.PIN.Digits:
				http.Error(rw, text("pin-length", "n", c.PIN.Digits), http.StatusUnprocessableEntity)
				return
			}
		}
		var pins [][]byte
		if m.PIN {
			pins = [][]byte{pin}
		}
		if w.tell(m, pins...) != nil {
			refuse()
			return
		}
		go w.End() // the PIN's window ends once the PIN is handed over
	}
}

func (w *Window) certificate(id string) *consent.Certificate {
	for i := range w.View.Certificates {
		if c := &w.View.Certificates[i]; c.ID == id && c.Unfit == "" {
			return c
		}
	}
	return nil
}

// document gives a document's bytes, the very ones that would be signed.
func (w *Window) document(rw http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil || n < 0 || n >= len(w.documents) || w.documents[n] == nil {
		http.NotFound(rw, r)
		return
	}
	kind := http.DetectContentType(w.documents[n])
	switch kind {
	case "application/pdf", "image/png", "image/jpeg":
	default:
		http.NotFound(rw, r) // shown as text, or not at all
		return
	}
	rw.Header().Set("Content-Type", kind)
	_, _ = rw.Write(w.documents[n])
}

// state answers when something changed after the version that the page knows.
func (w *Window) state(rw http.ResponseWriter, r *http.Request) {
	after, err := strconv.Atoi(r.URL.Query().Get("after"))
	if err != nil {
		rw.WriteHeader(http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), longPoll)
	defer cancel()
	for {
		w.mu.Lock()
		version, changed, deadline, finished, page := w.version, w.changed, w.deadline, w.finished, ""
		if w.pageAt > after {
			page = w.page
		}
		w.mu.Unlock()
		if version > after || ctx.Err() != nil {
			rw.Header().Set("Content-Type", "application/json")
			_, _ = rw.Write(stateJSON(version, deadline, finished, page))
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// parse reads the templates. Their functions give sentences: t and w of the window, c
// of card care, h of the hand.
func parse(lang message.Lang) (*template.Template, error) {
	of := func(area string) func(string, ...any) string {
		return func(key string, args ...any) string { return message.Text(lang, area+"."+key, args...) }
	}
	return template.New("").Funcs(template.FuncMap{"t": of("window"), "w": of("window"), "c": of("care"), "h": of("hand")}).ParseFS(templates, "templates/*.html")
}

func readable(b []byte) bool { return len(b) <= maxText && utf8.Valid(b) }
