package limit

import (
	"net"
	"net/http"
	"time"
)

// Writes bounds what one address can make the server write: requests that change
// something. Reading is not limited here; guessing passwords is server/delay's.
type Writes struct{ limiter Limiter }

// NewWrites makes one that has seen nobody.
func NewWrites(now func() time.Time) *Writes {
	return &Writes{Limiter{Burst: 120, PerSecond: 4, Now: now}}
}

// Allow takes one request of an address, with or without its port.
func (l *Writes) Allow(address string) bool {
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	ok, _ := l.limiter.Allow(address)
	return ok
}

// Wrap limits a handler's requests that change something.
func (l *Writes) Wrap(address func(*http.Request) string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead && !l.Allow(address(r)) {
			w.Header().Set("Retry-After", "30")
			http.Error(w, "too many requests", http.StatusTooManyRequests)
			return
		}
		next.ServeHTTP(w, r)
	})
}
