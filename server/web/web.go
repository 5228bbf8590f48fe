// Package web is what the portal and the console share as web sites: what protects every
// answer, how documents are sent, which language a browser asks for. It knows no page.
package web

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/assets"
	"github.com/citel-pa/citel/server/limit"
)

// Site is what the protections of a site's pages want to know.
type Site struct {
	Origin string // whose pages may send its forms
	Secure bool   // https
	// AgentPorts are the agent's published ports, for the policy.
	AgentPorts []int
	// Address tells who a request comes from, for limits.
	Address func(*http.Request) string
	Log     *slog.Logger
	Now     func() time.Time // nil is time.Now
}

// Protect puts the common protections around a site's pages: a fault ends one request
// only, every answer has its headers, who writes too often and what another site's page
// sent get no further.
func (s *Site) Protect(pages http.Handler) (http.Handler, error) {
	cross := http.NewCrossOriginProtection()
	if err := cross.AddTrustedOrigin(s.Origin); err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	limited := limit.NewWrites(s.Now).Wrap(s.Address, cross.Handler(pages))
	return Recovered(s.Log, s.headers(limited), func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "internal error", http.StatusInternalServerError)
	}), nil
}

// headers are the same on every answer. The policy names the agent's sockets and
// nothing else outside; there is no inline script or style anywhere.
func (s *Site) headers(next http.Handler) http.Handler {
	connect := []string{"'self'"}
	for _, port := range s.AgentPorts {
		connect = append(connect, fmt.Sprintf("ws://127.0.0.1:%d", port))
	}
	policy := "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src " +
		strings.Join(connect, " ") + "; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		// The browser's question about the local agent is ours to cause, no frame's.
		h.Set("Permissions-Policy", "loopback-network=(self), local-network-access=(self), camera=(), geolocation=(), microphone=()")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if s.Secure {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		if !strings.HasPrefix(r.URL.Path, assets.Prefix) {
			h.Set("Cache-Control", "no-store")
		}
		next.ServeHTTP(w, r)
	})
}

// Recovered lets answer speak for a handler that panics; the log has why. A connection
// that is broken off on purpose (http.ErrAbortHandler) stays so.
func Recovered(log *slog.Logger, next http.Handler, answer http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if x := recover(); x != nil {
				if x == http.ErrAbortHandler { //nolint:errorlint,err113 // a value of net/http, compared as such
					panic(x)
				}
				log.Error("panic", "path", r.URL.Path, "what", fmt.Sprint(x))
				answer(w, r)
			}
		}()
		next.ServeHTTP(w, r)
	})
}
