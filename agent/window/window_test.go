package window_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/consent/frame"
	"github.com/citel-pa/citel/agent/window"
	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/testdata/pki"
)

// pipe is what the agent would read.
type pipe struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (p *pipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.Write(b)
}

// frames gives what was sent since the last time.
func (p *pipe) frames(t *testing.T) (list []frame.Message, pins []string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		k, data, err := frame.Read(&p.b)
		if errors.Is(err, io.EOF) {
			return list, pins
		}
		if err != nil {
			t.Fatal(err)
		}
		if k == frame.PIN {
			pins = append(pins, string(data))
			continue
		}
		m, err := frame.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, m)
	}
}

func open(t *testing.T, view frame.View, documents ...[]byte) (*pipe, http.Handler) {
	t.Helper()
	var in bytes.Buffer
	if err := frame.WriteJSON(&in, frame.Message{Type: frame.Show, View: &view}); err != nil {
		t.Fatal(err)
	}
	for _, d := range documents {
		if err := frame.Write(&in, frame.Document, d); err != nil {
			t.Fatal(err)
		}
	}
	out := &pipe{}
	w, err := window.Open(&in, out)
	if err != nil {
		t.Fatal(err)
	}
	h, err := w.Handler()
	if err != nil {
		t.Fatal(err)
	}
	return out, h
}

func call(h http.Handler, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRecorder()
	h.ServeHTTP(r, httptest.NewRequest(method, path, strings.NewReader(body)))
	return r
}

func ask() frame.View {
	return frame.View{Mode: frame.Ask, Lang: "it", Purpose: consent.PurposeLogin, Caller: consent.Caller{Origin: "https://xn--cmune-prove-7ya.example"},
		Certificates: []consent.Certificate{
			{ID: "aa", Name: "Prova <b>Cittadino</b>", PIN: consent.PIN{TriesLeft: 1}},
			{ID: "bb", Kind: "cie", Number: "123456789012", AfterPIN: true, PIN: consent.PIN{TriesLeft: -1, Digits: 8}},
			{ID: "cc", Name: "Scaduta", Unfit: "consent.unfit-expired"},
		}, Extendable: true}
}

func TestThePage(t *testing.T) {
	_, h := open(t, ask())
	r := call(h, "GET", "/", "")
	body := r.Body.String()
	for _, want := range []string{"xn--cmune-prove-7ya.example", "lettere particolari", "ultimo tentativo", "Prova &lt;b&gt;Cittadino", "scaduto", `type="password"`, "123456789012", "tutte le 8 cifre"} {
		if !strings.Contains(body, want) {
			t.Errorf("without %q", want)
		}
	}
	csp := r.Header().Get("Content-Security-Policy")
	if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || strings.Contains(body, "<script>") || strings.Contains(body, "style=") {
		t.Errorf("policy %q", csp)
	}
	if r := call(h, "GET", "/assets/app/window.js", ""); r.Code != http.StatusOK || !strings.Contains(r.Header().Get("Content-Type"), "javascript") {
		t.Errorf("script: %d %s", r.Code, r.Header().Get("Content-Type"))
	}
	for _, path := range []string{"/assets/../window.go", "/assets/%2e%2e/window.go", "/document/0", "/wails/runtime", "/next"} {
		if r := call(h, "GET", path, ""); r.Code == http.StatusOK {
			t.Errorf("%s: %d", path, r.Code)
		}
	}
}

// What was typed for another window does not answer this one.
func TestQuietAtFirst(t *testing.T) {
	out, h := open(t, ask())
	if r := call(h, "POST", "/answer?certificate=aa", "24680"); r.Code != http.StatusConflict {
		t.Errorf("before it was painted: %d", r.Code)
	}
	call(h, "POST", "/painted", "")
	if r := call(h, "POST", "/answer?certificate=aa", "24680"); r.Code != http.StatusConflict {
		t.Errorf("at once: %d", r.Code)
	}
	if r := call(h, "POST", "/refuse", ""); r.Code != http.StatusConflict {
		t.Errorf("refused at once: %d", r.Code)
	}
	time.Sleep(520 * time.Millisecond)
	if r := call(h, "POST", "/answer?certificate=aa&remember=1", "24680"); r.Code != http.StatusOK {
		t.Errorf("in time: %d", r.Code)
	}
	// The first answer counts.
	if r := call(h, "POST", "/answer?certificate=aa", "11111"); r.Code != http.StatusConflict {
		t.Errorf("a second answer: %d", r.Code)
	}
	list, pins := out.frames(t)
	if len(list) != 2 || list[0].Type != frame.Painted || list[1].Type != frame.Answer || list[1].Certificate != "aa" || !list[1].Remember || len(pins) != 1 || pins[0] != "24680" {
		t.Errorf("%+v %q", list, pins)
	}
}

func TestAnswers(t *testing.T) {
	out, h := open(t, ask())
	call(h, "POST", "/painted", "")
	time.Sleep(520 * time.Millisecond)
	for name, c := range map[string]struct {
		path, body string
		code       int
	}{
		"no certificate":    {"/answer", "24680", http.StatusConflict},
		"an unfit one":      {"/answer?certificate=cc", "24680", http.StatusConflict},
		"no PIN":            {"/answer?certificate=aa", "", http.StatusUnprocessableEntity},
		"half a PIN":        {"/answer?certificate=bb", "5678", http.StatusUnprocessableEntity},
		"too long":          {"/answer?certificate=aa", strings.Repeat("1", 65), http.StatusConflict},
		"next without docs": {"/next", "", http.StatusConflict},
	} {
		if r := call(h, "POST", c.path, c.body); r.Code != c.code {
			t.Errorf("%s: %d", name, r.Code)
		}
	}
	if list, pins := out.frames(t); len(list) != 1 || len(pins) != 0 {
		t.Errorf("something was answered: %+v", list)
	}
	call(h, "POST", "/extend", "")
	call(h, "POST", "/block", "")
	if list, _ := out.frames(t); len(list) != 2 || list[0].Type != frame.Extend || list[1].Type != frame.Refuse || !list[1].Block {
		t.Errorf("%+v", list)
	}
}

// The window that shows documents cannot answer with a PIN.
func TestReviewTakesNoPIN(t *testing.T) {
	view := ask()
	view.Mode, view.Purpose = frame.Review, consent.PurposeSign
	view.Documents = []frame.DocumentInfo{{Name: "a.txt", MediaType: "text/plain", Size: 9, Shown: true}, {Name: "b.html", MediaType: "text/html", Size: 17, Shown: true},
		{Name: "c.bin", MediaType: "application/octet-stream", Size: 4, Shown: true}, {Name: "d.iso", MediaType: "application/octet-stream", Size: 1 << 40}}
	out, h := open(t, view, []byte("<b>ciao</"), []byte("<script>x</script"), []byte{0, 1, 2, 3})
	body := call(h, "GET", "/", "").Body.String()
	if !strings.Contains(body, "&lt;b&gt;ciao") || !strings.Contains(body, "&lt;script&gt;x") || strings.Contains(body, `type="password"`) || strings.Count(body, "non si può mostrare") != 2 {
		t.Errorf("%s", body)
	}
	call(h, "POST", "/painted", "")
	time.Sleep(520 * time.Millisecond)
	if r := call(h, "POST", "/answer?certificate=aa", "24680"); r.Code != http.StatusConflict {
		t.Errorf("a review answered: %d", r.Code)
	}
	call(h, "POST", "/next", "")
	if list, pins := out.frames(t); len(list) != 2 || list[1].Type != frame.Next || len(pins) > 0 {
		t.Errorf("%+v", list)
	}
}

// A file that is signed already shows its content.
func TestReviewOfASignedFile(t *testing.T) {
	id := pki.Shared(t).MustIssue(t, pki.CNS, pki.RSA2048, pki.Citizens[0])
	content := []byte("Cedo la mia casa")
	var p7m bytes.Buffer
	err := cades.Sign(t.Context(), cades.SignOptions{Certificate: id.Cert, SigningTime: time.Now(),
		Sign: func(_ context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			return id.Key.Sign(rand.Reader, digest, opts)
		}},
		bytes.NewReader(content), int64(len(content)), &p7m)
	if err != nil {
		t.Fatal(err)
	}
	view := frame.View{Mode: frame.Review, Lang: "it", Purpose: consent.PurposeSign, Documents: []frame.DocumentInfo{{Name: "a.txt.p7m", MediaType: "text/plain", Size: int64(p7m.Len()), Shown: true}}}
	_, h := open(t, view, p7m.Bytes())
	for range 2 { // once more after a reload
		body := call(h, "GET", "/", "").Body.String()
		if !strings.Contains(body, "Cedo la mia casa") || !strings.Contains(body, "già firmato") || !strings.Contains(body, pki.Citizens[0].CF) {
			t.Errorf("%s", body)
		}
	}
}

func TestClosingIsANo(t *testing.T) {
	var in bytes.Buffer
	view := ask()
	_ = frame.WriteJSON(&in, frame.Message{Type: frame.Show, View: &view})
	out := &pipe{}
	w, err := window.Open(&in, out)
	if err != nil {
		t.Fatal(err)
	}
	w.Closed()
	w.Closed()
	if list, _ := out.frames(t); len(list) != 1 || list[0].Type != frame.Refuse || list[0].Block {
		t.Errorf("%+v", list)
	}
}

func FuzzOpen(f *testing.F) {
	var in bytes.Buffer
	view := ask()
	_ = frame.WriteJSON(&in, frame.Message{Type: frame.Show, View: &view})
	f.Add(in.Bytes())
	f.Fuzz(func(_ *testing.T, b []byte) {
		w, err := window.Open(bytes.NewReader(b), io.Discard)
		if err != nil {
			return
		}
		if h, err := w.Handler(); err == nil {
			call(h, "GET", "/", "")
		}
	})
}
