package outside_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/register/outside"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/submission"
	"github.com/citel-pa/citel/testdata/town"
)

const secret = "gettone-di-prova"

// system is an ente's protocol system behind the documented contract: it keeps what it
// registered while it is down.
type system struct {
	t       *testing.T
	address string
	server  *http.Server

	mu      sync.Mutex
	numbers map[string]string // by key
	asked   map[string]int
	// answer changes what is said to a request that is in order; false: it was answered.
	answer func(w http.ResponseWriter, r outside.Registration) bool
}

func (s *system) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method != http.MethodPost || r.Header.Get("Authorization") != "Bearer "+secret {
		http.Error(w, "no", http.StatusUnauthorized)
		return
	}
	var x outside.Registration
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&x); err != nil || x.Key == "" || r.Header.Get("Idempotency-Key") != x.Key {
		s.t.Errorf("%v: %+v", err, x)
	}
	document, err := base64.StdEncoding.DecodeString(x.Document)
	sum := sha256.Sum256(document)
	at, err2 := time.Parse(time.RFC3339Nano, x.Time)
	if err := errors.Join(err, err2); err != nil || hex.EncodeToString(sum[:]) != x.SHA256 || at.IsZero() || x.Party == "" || x.Subject == "" || x.Direction != "in" || x.Ente != "prova" {
		s.t.Errorf("%v: %+v", err, x)
	}
	s.asked[x.Key]++
	if s.answer != nil && !s.answer(w, x) {
		return
	}
	if s.numbers[x.Key] == "" {
		s.numbers[x.Key] = fmt.Sprintf("2026/%07d", len(s.numbers)+1)
	}
	if s.answer == nil {
		_ = json.NewEncoder(w).Encode(map[string]string{"number": s.numbers[x.Key]})
	}
}

func (s *system) say(f func(w http.ResponseWriter, r outside.Registration) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

func (s *system) up() {
	s.t.Helper()
	at := s.address
	if at == "" {
		at = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", at)
	if err != nil {
		s.t.Fatal(err)
	}
	s.address = l.Addr().String()
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: time.Second}
	go func(h *http.Server) { _ = h.Serve(l) }(s.server)
}

func (s *system) down() {
	if err := s.server.Close(); err != nil {
		s.t.Error(err)
	}
}

func token(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "token")
	if err := errors.Join(os.WriteFile(name, []byte(text), 0o600), os.Chmod(name, mode)); err != nil {
		t.Fatal(err)
	}
	return name
}

var loopback = &trust.Fetcher{Private: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

// A protocol system that is down when the application is sent: the receipt with id, time
// and hash goes out at once; the number follows when it is back, is one however often it
// was asked, and the second receipt has it.
func TestDownAndBack(t *testing.T) {
	town.Each(t, func(t *testing.T, place *town.Town) {
		ctx, d := t.Context(), place.Applications
		s := &system{t: t, numbers: map[string]string{}, asked: map[string]int{}}
		s.up()
		defer func() { s.down() }()
		adapter, err := outside.New("http://"+s.address+"/protocollo", token(t, secret+"\n", 0o600), loopback)
		if err != nil {
			t.Fatal(err)
		}
		d.Outside = map[string]submission.Outside{"prova": adapter}
		s.down()
		v := submission.Visitor{Ente: "prova", Level: session.Debole, Credential: "w1", Email: "w@example.org"}
		send := func(subject string) *submission.Application {
			t.Helper()
			a, err := d.Start(ctx, v, "instradamento")
			if err != nil {
				t.Fatal(err)
			}
			values := map[string]string{"topic": "waste", "subject": subject, "text": "È pieno"}
			if errs, err := d.Save(ctx, v, a.ID, func(id string) string { return values[id] }, true); err != nil || len(errs) > 0 {
				t.Fatal(errs, err)
			}
			if _, err = d.Make(ctx, v, a.ID, true, a.Service.Privacy.Version); err == nil {
				a, err = d.Send(ctx, v, a.ID)
			}
			if err != nil {
				t.Fatal(err)
			}
			return a
		}
		again := func(a *submission.Application) *submission.Application {
			t.Helper()
			a, err := d.Get(ctx, v, a.ID)
			if err != nil {
				t.Fatal(err)
			}
			return a
		}
		first := send("Primo")
		place.Move(time.Second) // they are asked for in the order of arrival
		second := send("Secondo")
		if first.Protocol() != "" || first.State != submission.StateSent || d.Follow(ctx) == nil {
			t.Fatal("a number from nowhere", first.Protocol())
		}
		at := first.Sent.In(register.Rome()).Format("02/01/2006 15:04:05")
		structure(t, d, first, first.ID, first.Fingerprint(), at, "il numero di protocollo sarà comunicato")

		s.up()
		s.say(func(w http.ResponseWriter, _ outside.Registration) bool {
			w.WriteHeader(http.StatusServiceUnavailable)
			return false
		})
		if d.Follow(ctx) == nil || again(first).Protocol() != "" || s.asked[second.ID] != 0 {
			t.Error("503, and the next one was asked", s.asked)
		}
		// It registers, and the answer is lost on the way.
		s.say(func(w http.ResponseWriter, r outside.Registration) bool {
			s.numbers[r.Key] = "2026/0000001"
			if h, ok := w.(http.Hijacker); ok {
				if c, _, err := h.Hijack(); err == nil {
					_ = c.Close()
				}
			}
			return false
		})
		if d.Follow(ctx) == nil || again(first).Protocol() != "" {
			t.Error("no answer, and a number")
		}
		// One document is refused: the other gets its number all the same.
		s.say(func(w http.ResponseWriter, r outside.Registration) bool {
			if r.Key == first.ID {
				w.WriteHeader(http.StatusUnprocessableEntity)
				return false
			}
			s.numbers[r.Key] = "2026/0000002"
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, `{"number": "2026/0000002"}`)
			return false
		})
		if err := d.Follow(ctx); !errors.Is(err, register.ErrRefused) || again(second).Protocol() != "2026/0000002" || again(first).Protocol() != "" {
			t.Error(err, again(second).Protocol())
		}
		s.say(nil)
		for range 2 {
			if err := d.Follow(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if p := again(first).Protocol(); p != "2026/0000001" || s.asked[first.ID] != 4 || s.asked[second.ID] != 1 || len(s.numbers) != 2 {
			t.Error(p, s.asked, s.numbers)
		}
		structure(t, d, again(first), "2026/0000001", first.ID, first.Fingerprint(), at)
		var kinds []string
		for _, m := range place.Mails("w@example.org") {
			kinds = append(kinds, m[0])
		}
		if got := strings.Join(kinds, " "); got != "application-received application-received application-number application-number" {
			t.Error(got)
		}
	})
}

// structure asserts words of the receipt as a screen reader finds them.
func structure(t *testing.T, d *submission.Desk, a *submission.Application, words ...string) {
	t.Helper()
	r, err := d.Receipt(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	name := filepath.Join(t.TempDir(), "ricevuta.pdf")
	if err := errors.Join(err, r.Close(), os.WriteFile(name, data, 0o600)); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "pdfinfo", "-struct-text", name).CombinedOutput()
	if err != nil {
		t.Fatalf("%v (make deps)\n%s", err, out)
	}
	flat := strings.ReplaceAll(strings.Join(strings.Fields(string(out)), ""), `"`, "")
	for _, w := range words {
		if !strings.Contains(flat, strings.ReplaceAll(w, " ", "")) {
			t.Errorf("%q is not in the receipt\n%s", w, out)
		}
	}
}

// What an answer may be, and where the token never goes.
func TestAnswers(t *testing.T) {
	stolen := ""
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	thief := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { stolen = r.URL.Path })}
	go func() { _ = thief.Serve(other) }()
	defer func() { _ = thief.Close() }()
	answer := func(http.ResponseWriter) {}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w) })}
	go func() { _ = server.Serve(l) }()
	defer func() { _ = server.Close() }()
	s, err := outside.New("http://"+l.Addr().String(), token(t, secret, 0o600), loopback)
	if err != nil {
		t.Fatal(err)
	}
	entry := register.Entry{Ente: "prova", Time: time.Now(), Direction: register.In, Party: "x", Subject: "x", SHA256: []byte{1}}
	text := func(code int, body string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}
	}
	for name, c := range map[string]struct {
		say     func(http.ResponseWriter)
		number  string
		refused bool
	}{
		"good":         {text(200, `{"number":" 7/2026 ", "more": 1}`), "7/2026", false},
		"created":      {text(201, `{"number":"7"}`), "7", false},
		"none":         {text(200, `{}`), "", false},
		"no JSON":      {text(200, `7`), "", false},
		"long":         {text(200, `{"number":"`+strings.Repeat("7", 61)+`"}`), "", false},
		"control":      {text(200, `{"number":"7\u0000"}`), "", false},
		"endless":      {text(200, `{"number":"`+strings.Repeat("7", 1<<20)), "", false},
		"wrong token":  {text(401, ""), "", false},
		"busy":         {text(429, ""), "", false},
		"bad":          {text(400, "secrets of the vendor"), "", true},
		"conflict":     {text(409, ""), "", true},
		"server error": {text(500, ""), "", false},
		"another place": {func(w http.ResponseWriter) {
			w.Header().Set("Location", "http://"+other.Addr().String()+"/token")
			w.WriteHeader(307)
		}, "", false},
	} {
		answer = c.say
		got, err := s.Register(t.Context(), "k", entry, strings.NewReader("%PDF"))
		if got != c.number || (err == nil) != (c.number != "") || errors.Is(err, register.ErrRefused) != c.refused {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if err != nil && (strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "vendor")) {
			t.Errorf("%s: it says %v", name, err)
		}
	}
	if stolen != "" {
		t.Error("the token followed a redirect to", stolen)
	}
	if _, err := s.Register(t.Context(), "k", entry, io.LimitReader(zeros{}, outside.MaxDocument+1)); !errors.Is(err, register.ErrRefused) {
		t.Error(err)
	}
	// A private address that nobody allowed.
	s, err = outside.New("http://"+l.Addr().String(), token(t, secret, 0o600), &trust.Fetcher{})
	if err != nil {
		t.Fatal(err)
	}
	answer = text(200, `{"number":"7"}`)
	if _, err := s.Register(t.Context(), "k", entry, strings.NewReader("")); !errors.Is(err, trust.ErrForbidden) {
		t.Error(err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestConfiguration(t *testing.T) {
	good := token(t, secret, 0o600)
	for _, c := range []struct {
		address, file string
		ok            bool
	}{
		{"https://protocollo.comune.example/citel", good, true}, {"http://127.0.0.1:9000/x", good, true}, {"http://[::1]:9000/x", good, true},
		{"http://protocollo.comune.example/", good, false}, {"http://localhost/", good, false}, {"ftp://x/", good, false}, {"https:///x", good, false},
		{"https://user:pass@x/", good, false}, {"https://x/#a", good, false}, {"%", good, false},
		{"https://x/", good + ".none", false}, {"https://x/", token(t, secret, 0o644), false}, {"https://x/", token(t, "", 0o600), false},
		{"https://x/", token(t, "a\r\nX-Header: b", 0o600), false},
	} {
		_, err := outside.New(c.address, c.file, loopback)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, outside.ErrConfiguration) {
			t.Errorf("%s: %v", c.address, err)
		}
		if err != nil && (strings.Contains(err.Error(), "pass@") || strings.Contains(err.Error(), secret)) {
			t.Error("a secret in", err)
		}
	}
}
