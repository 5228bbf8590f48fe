package limit

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestLimit(t *testing.T) {
	at := time.Unix(0, 0)
	l := NewWrites(func() time.Time { return at })
	h := l.Wrap(func(r *http.Request) string { return r.RemoteAddr }, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	ask := func(method, from string) int {
		r := httptest.NewRequest(method, "/", nil)
		r.RemoteAddr = from
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	for range int(l.limiter.Burst) {
		if got := ask(http.MethodPost, "192.0.2.1:1"); got != http.StatusOK {
			t.Fatal(got)
		}
	}
	if got := ask(http.MethodPost, "192.0.2.1:2"); got != http.StatusTooManyRequests {
		t.Errorf("one too many: %d", got)
	}
	if got := ask(http.MethodGet, "192.0.2.1:2"); got != http.StatusOK {
		t.Errorf("reading: %d", got)
	}
	if got := ask(http.MethodPost, "192.0.2.2:1"); got != http.StatusOK {
		t.Errorf("another address: %d", got)
	}
	at = at.Add(time.Second)
	if got := ask(http.MethodPost, "192.0.2.1:2"); got != http.StatusOK {
		t.Errorf("a second later: %d", got)
	}
}
