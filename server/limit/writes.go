package limit

import (
	"net"
	"net/http"
	"net/netip"
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
	ok, _ := l.limiter.Allow(Caller(address))
	return ok
}

// Caller is whom an address stands for, with or without its port. Of IPv6 one caller has a
// network of 64 bits at least (RFC 6177), and takes as many addresses of it as it wants.
func Caller(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if ip = ip.Unmap().WithZone(""); ip.Is6() {
		return netip.PrefixFrom(ip, 64).Masked().String()
	}
	return ip.String()
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
