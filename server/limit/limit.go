// Package limit bounds what one address can make the server write: requests that change
// something. Reading is not limited here; guessing passwords is server/delay's.
package limit

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// Limiter counts by address, in memory: each server process has its own.
type Limiter struct {
	now func() time.Time

	mu   sync.Mutex
	seen map[string]*bucket
}

type bucket struct {
	left float64
	at   time.Time
}

const (
	burst        = 120.0
	perSecond    = 4.0
	maxAddresses = 50_000
)

// New makes a limiter that has seen nobody.
func New(now func() time.Time) *Limiter {
	return &Limiter{now: now, seen: map[string]*bucket{}}
}

// Allow takes one request of an address, with or without its port.
func (l *Limiter) Allow(address string) bool {
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.seen[address]
	if b == nil {
		if len(l.seen) >= maxAddresses {
			clear(l.seen) // forgetting is better than growing
		}
		b = &bucket{left: burst, at: now}
		l.seen[address] = b
	}
	b.left = min(burst, b.left+now.Sub(b.at).Seconds()*perSecond)
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

// Wrap limits a handler's requests that change something.
func (l *Limiter) Wrap(address func(*http.Request) string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead && !l.Allow(address(r)) {
			w.Header().Set("Retry-After", "30")
			http.Error(w, "too many requests", http.StatusTooManyRequests)
			return
		}
		next.ServeHTTP(w, r)
	})
}
