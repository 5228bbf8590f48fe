package limit

import (
	"fmt"
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
	for i := range int(l.limiter.Burst) { // of a home's IPv6 network every request has another address
		if got := ask(http.MethodPost, fmt.Sprintf("[2001:db8:1:2::%x]:1", i+1)); got != http.StatusOK {
			t.Fatal(got)
		}
	}
	if got := ask(http.MethodPost, "[2001:db8:1:2:ffff::1]:1"); got != http.StatusTooManyRequests {
		t.Errorf("one too many of a network: %d", got)
	}
	if got := ask(http.MethodPost, "[2001:db8:1:3::1]:1"); got != http.StatusOK {
		t.Errorf("another network: %d", got)
	}
	if got := ask(http.MethodPost, "[::ffff:192.0.2.1]:1"); got != http.StatusTooManyRequests {
		t.Errorf("the first, written in another way: %d", got)
	}
	at = at.Add(time.Second)
	if got := ask(http.MethodPost, "192.0.2.1:2"); got != http.StatusOK {
		t.Errorf("a second later: %d", got)
	}
}
