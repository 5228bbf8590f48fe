// Package portal is what citizens see: home, login with the card, my area, the
// application's form, signature, receipt. It holds no rules of its own; they are
// in the rooms it calls.
package portal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/assets"
	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/download"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/login"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/rooms"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/submission"
)

// Portal is the pages of one ente.
type Portal struct {
	Ente     ente.Ente
	Desk     *login.Desk
	Office   *submission.Office
	Sessions *session.Manager
	Store    *store.Store
	Audit    *audit.Log
	Rooms    *rooms.Rooms
	// Demo shows the banner and lets http on loopback in.
	Demo bool
	// AgentPorts are the agent's published ports, for policy and script.
	AgentPorts []int
	// ClientAddress tells who a request comes from, for limits.
	ClientAddress func(*http.Request) string
	Log           *slog.Logger
	// Downloads offers the agent's packages; nil without a folder of releases.
	Downloads *download.Folder
}

// maxForm bounds forms and JSON in bytes.
const maxForm = 64 << 10

// Handler is all pages behind the common protections.
func (p *Portal) Handler() (http.Handler, error) {
	if err := assets.Check(); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	page := func(pattern string, h func(*request) error) { mux.Handle(pattern, p.handle(h)) }
	page("GET /{$}", p.home)
	page("GET /accedi", p.loginPage)
	page("GET /aiuto", p.help)
	page("GET /accessibilita", p.accessibility)
	page("GET /scarica", p.downloads)
	page("GET /scarica/{name}", p.downloadFile)
	page("POST /esci", p.logout)
	page("POST /api/login/nonce", p.apiNonce)
	page("POST /api/login/token", p.apiToken)
	page("GET /area", p.forte(p.area))
	page("GET /servizi/{service}", p.forte(p.form))
	page("POST /servizi/{service}", p.forte(p.formSent))
	page("GET /bozze/{id}", p.forte(p.draft))
	page("GET /bozze/{id}/istanza.pdf", p.forte(p.draftPDF))
	page("POST /api/bozze/{id}/firma", p.forte(p.apiSigned))
	page("GET /domande", p.forte(p.list))
	page("GET /domande/{id}", p.forte(p.receipt))
	page("GET /domande/{id}/ricevuta.pdf", p.forte(p.receiptPDF))
	page("GET /domande/{id}/istanza.pdf", p.forte(p.contentPDF))
	page("GET /domande/{id}/istanza.pdf.p7m", p.forte(p.signedFile))
	page("GET /domande/{id}/rapporto.json", p.forte(p.report))
	page("/", func(r *request) error { return errNotFound })
	mux.Handle("GET "+assets.Prefix, assets.Handler())

	cross := http.NewCrossOriginProtection()
	if err := cross.AddTrustedOrigin(p.Ente.Origin); err != nil {
		return nil, fmt.Errorf("portal: %w", err)
	}
	limit := newLimiter()
	return p.recovered(p.headers(limit.wrap(p.address, cross.Handler(mux)))), nil
}

func (p *Portal) address(r *http.Request) string {
	if p.ClientAddress != nil {
		return p.ClientAddress(r)
	}
	return r.RemoteAddr
}

// headers are the same on every answer. The policy names the agent's sockets and
// nothing else outside; there is no inline script or style anywhere.
func (p *Portal) headers(next http.Handler) http.Handler {
	connect := []string{"'self'"}
	for _, port := range p.AgentPorts {
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
		if p.Sessions.Secure {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		if !strings.HasPrefix(r.URL.Path, assets.Prefix) {
			h.Set("Cache-Control", "no-store")
		}
		next.ServeHTTP(w, r)
	})
}

func (p *Portal) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if x := recover(); x != nil {
				if x == http.ErrAbortHandler { //nolint:errorlint,err113 // a value of net/http, compared as such
					panic(x)
				}
				p.Log.Error("panic", "path", r.URL.Path, "what", fmt.Sprint(x))
				http.Error(w, "internal error", http.StatusInternalServerError)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// Errors that have a page of their own.
var (
	errNotFound = errors.New("portal: not found")
	errCSRF     = errors.New("portal: the form is not of this session")
	errBadForm  = errors.New("portal: a form that cannot be read")
)

// request is one request with what was found out about it.
type request struct {
	p       *Portal
	w       http.ResponseWriter
	r       *http.Request
	lang    message.Lang
	session *session.Session // nil without one
	person  *person.Person   // nil below media
}

func (r *request) ctx() context.Context { return r.r.Context() }

// T is a sentence in the page's language.
func (r *request) T(key string, args ...any) string { return message.Text(r.lang, key, args...) }

func (p *Portal) handle(h func(*request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
		hr.Body = http.MaxBytesReader(w, hr.Body, submission.MaxSigned+maxForm)
		r := &request{p: p, w: w, r: hr, lang: pageLanguage(w, hr)}
		err := r.load()
		if err == nil {
			err = h(r)
		}
		if err != nil {
			r.fail(err)
		}
	})
}

func (r *request) load() (err error) {
	if r.session, err = r.p.Sessions.Get(r.ctx(), r.r); err != nil || r.session == nil || r.session.Person == 0 {
		return err
	}
	r.person, err = person.Get(r.ctx(), r.p.Store, r.session.Person)
	return err
}

// forte lets only sessions of the strong level in. Others get the window that
// names the credential needed and how to get it, and come back afterwards.
func (p *Portal) forte(h func(*request) error) func(*request) error {
	return func(r *request) error {
		if r.session == nil || r.session.Level < session.Forte || r.person == nil {
			if strings.HasPrefix(r.r.URL.Path, "/api/") {
				return r.apiError(http.StatusUnauthorized, "session", r.T("portal.session-over"))
			}
			next := r.r.URL.Path
			if r.r.Method != http.MethodGet {
				next = "/area"
			}
			http.Redirect(r.w, r.r, "/accedi?poi="+next, http.StatusSeeOther)
			return nil
		}
		return h(r)
	}
}

// local tells whether a path is one of ours to go back to.
func local(path string) string {
	if len(path) > 200 || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n") {
		return "/area"
	}
	return path
}

// fail shows an error. What is ours to know stays in the log.
func (r *request) fail(err error) {
	status, title, body := http.StatusInternalServerError, "portal.error-title", "portal.error-body"
	switch {
	case errors.Is(err, errNotFound), errors.Is(err, submission.ErrNotFound):
		status, title, body = http.StatusNotFound, "portal.not-found-title", "portal.not-found-body"
	case errors.Is(err, errCSRF):
		status, title, body = http.StatusForbidden, "portal.csrf-title", "portal.csrf-body"
	case errors.Is(err, errBadForm):
		status, title, body = http.StatusBadRequest, "portal.bad-form-title", "portal.bad-form-body"
	case errors.Is(err, submission.ErrTooMany):
		status, title, body = http.StatusConflict, "portal.error-title", "submission.too-many"
	case errors.Is(err, context.Canceled):
		return
	default:
		r.p.Log.Error("request failed", "path", r.r.URL.Path, "error", err)
	}
	if strings.HasPrefix(r.r.URL.Path, "/api/") {
		if err := r.apiError(status, "error", r.T(body)); err != nil {
			r.p.Log.Error("answer failed", "error", err)
		}
		return
	}
	r.w.WriteHeader(status)
	if err := r.render("error", title, map[string]any{"Body": r.T(body)}); err != nil {
		r.p.Log.Error("answer failed", "error", err)
	}
}
