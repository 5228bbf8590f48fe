package portal

import (
	"net"
	"net/http"

	"github.com/citel-pa/citel/server/limit"
)

// limiter bounds what one address can make the server write: requests that change
// something. Reading is not limited here.
type limiter struct{ limit.Limiter }

const (
	burst     = 120.0
	perSecond = 4.0
)

func newLimiter() *limiter {
	return &limiter{limit.Limiter{Burst: burst, PerSecond: perSecond}}
}

func (l *limiter) allow(address string) bool {
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	ok, _ := l.Allow(address)
	return ok
}

func (l *limiter) wrap(address func(*http.Request) string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead && !l.allow(address(r)) {
			w.Header().Set("Retry-After", "30")
			http.Error(w, "too many requests", http.StatusTooManyRequests)
			return
		}
		next.ServeHTTP(w, r)
	})
}
