package web

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/citel-pa/citel/server/assets"
)

func TestProtect(t *testing.T) {
	var log bytes.Buffer
	s := &Site{
		Origin: "https://sportello.example.it", Secure: true, AgentPorts: []int{52310, 52311},
		Address: func(r *http.Request) string { return r.RemoteAddr }, Log: slog.New(slog.NewTextHandler(&log, nil)),
	}
	h, err := s.Protect(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/panic":
			panic("a fault")
		case "/abort":
			panic(http.ErrAbortHandler)
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, path string, header ...string) *httptest.ResponseRecorder {
		w, r := httptest.NewRecorder(), httptest.NewRequest(method, path, nil)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		h.ServeHTTP(w, r)
		return w
	}
	for path, want := range map[string]int{"/": http.StatusOK, "/panic": http.StatusInternalServerError} {
		w := ask(http.MethodGet, path)
		head := w.Header()
		if w.Code != want || head.Get("X-Frame-Options") != "DENY" || head.Get("X-Content-Type-Options") != "nosniff" || head.Get("Cache-Control") != "no-store" ||
			head.Get("Strict-Transport-Security") == "" || !strings.Contains(head.Get("Content-Security-Policy"), "connect-src 'self' ws://127.0.0.1:52310 ws://127.0.0.1:52311;") {
			t.Errorf("%s: %d %v", path, w.Code, head)
		}
	}
	if !strings.Contains(log.String(), "a fault") || strings.Contains(ask(http.MethodGet, "/panic").Body.String(), "a fault") {
		t.Errorf("what is ours to know: %s", log.String())
	}
	if got := ask(http.MethodGet, assets.Prefix+"x").Header().Get("Cache-Control"); got != "" {
		t.Errorf("assets: %q", got)
	}
	if got := ask(http.MethodPost, "/", "Origin", s.Origin, "Sec-Fetch-Site", "cross-site").Code; got != http.StatusOK {
		t.Errorf("the site's own form: %d", got)
	}
	if got := ask(http.MethodPost, "/", "Origin", "https://attacker.example", "Sec-Fetch-Site", "cross-site").Code; got != http.StatusForbidden {
		t.Errorf("another site's form: %d", got)
	}
	defer func() {
		if x := recover(); x != http.ErrAbortHandler { //nolint:errorlint,err113 // a value of net/http, compared as such
			t.Errorf("breaking off: %v", x)
		}
	}()
	ask(http.MethodGet, "/abort")
}
