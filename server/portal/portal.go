// Package portal is what citizens see: home, login with the card, my area, the
// application's form, signature, receipt. It holds no rules of its own; they are
// in the rooms it calls.
package portal

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/assets"
	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/credential"
	"github.com/citel-pa/citel/server/download"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/feedback"
	"github.com/citel-pa/citel/server/kept"
	"github.com/citel-pa/citel/server/login"
	"github.com/citel-pa/citel/server/mandate"
	"github.com/citel-pa/citel/server/onetime"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/rooms"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/submission"
	"github.com/citel-pa/citel/server/web"
)

// Portal is the pages of all enti of a server: of Ente at the root, of others that share
// its origin below /enti/SLUG, of those with an origin of their own at its root.
type Portal struct {
	Ente     ente.Ente
	Desk     *login.Desk // of Ente; the others' are made after it
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
	Now       func() time.Time // nil is time.Now

	kept *kept.Desk
}

// maxForm bounds forms and JSON in bytes.
const maxForm = 64 << 10

// Handler is all pages behind the common protections.
func (p *Portal) Handler() (http.Handler, error) {
	if err := assets.Check(); err != nil {
		return nil, err
	}
	p.kept = &kept.Desk{Store: p.Store, Now: p.Now}
	mux := http.NewServeMux()
	for _, x := range routes {
		mux.Handle(x.pattern, p.handle(x))
	}
	mux.Handle("GET "+assets.Prefix, assets.Handler())
	site := &web.Site{Origin: p.Ente.Origin, Secure: p.Sessions.Secure, AgentPorts: p.AgentPorts, Address: p.address, Log: p.Log, Now: p.Now}
	return site.Protect(p.placed(mux))
}

// Housekeeping deletes forms that nobody came back for.
func (p *Portal) Housekeeping(ctx context.Context) error {
	return (&kept.Desk{Store: p.Store, Now: p.Now}).Sweep(ctx)
}

func (p *Portal) address(r *http.Request) string {
	if p.ClientAddress != nil {
		return p.ClientAddress(r)
	}
	return r.RemoteAddr
}

// Errors that have a page of their own.
var (
	errNotFound  = errors.New("portal: not found")
	errCSRF      = errors.New("portal: the form is not of this session")
	errBadForm   = errors.New("portal: a form that cannot be read")
	errNotActive = errors.New("portal: the ente is not active")
)

// needError means that more must be proved: the window that says so follows, and then the
// page that was asked for.
type needError struct{ level session.Level }

// Error names the level.
func (e *needError) Error() string { return "portal: needs " + e.level.String() }

// request is one request with what was found out about it.
type request struct {
	*place
	p          *Portal
	w          http.ResponseWriter
	r          *http.Request
	whole      io.ReadCloser // the body without its bound
	lang       message.Lang
	session    *session.Session       // nil without one
	person     *person.Person         // nil where nobody is proved
	credential *credential.Credential // of a session without a card
	// level is what the session opens in this ente, which may be less than what it proved.
	level session.Level
	// mandate is the id of the one by which the visitor acts, empty for oneself; it held
	// when the request came.
	mandate     string
	actsFor     *acting
	mandateOver bool
	public      *ente.Public // what the page has read of it
	status      int          // of the page; 0 is 200
	visitValue  string       // a cookie that this answer sets
}

func (p *Portal) now() time.Time {
	if p.Now != nil {
		return p.Now()
	}
	return time.Now()
}

func (r *request) ctx() context.Context { return r.r.Context() }

func (r *request) from() string { return r.p.address(r.r) }

// T is a sentence in the page's language.
func (r *request) T(key string, args ...any) string { return message.Text(r.lang, key, args...) }

func (p *Portal) handle(x route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
		whole := hr.Body // an upload's page bounds it by itself
		hr.Body = http.MaxBytesReader(w, hr.Body, submission.MaxSigned+maxForm)
		r := &request{p: p, w: w, r: hr, whole: whole, lang: web.Language(w, hr), place: placeOf(hr)}
		err := r.load()
		if err == nil && !r.ente.Active && !x.always {
			err = errNotActive
		}
		if err == nil && r.level < x.level {
			err = &needError{x.level}
		}
		if err == nil {
			err = x.do(p, r)
		}
		if err != nil {
			r.fail(err)
		}
	})
}

func (r *request) load() (err error) {
	if r.session, err = r.p.Sessions.Get(r.ctx(), r.r); err != nil || r.session == nil {
		return err
	}
	if r.level, err = r.p.Rooms.Credentials.LevelAt(r.ctx(), r.session, r.ente.Code); err != nil {
		return err
	}
	if r.session.Credential != "" && r.session.Level < session.Forte {
		if r.credential, err = credential.Get(r.ctx(), r.p.Store, r.session.Credential); err != nil {
			return err
		}
	}
	if r.session.Person != 0 {
		if r.person, err = person.Get(r.ctx(), r.p.Store, r.session.Person); err != nil {
			return err
		}
	}
	return r.loadMandate()
}

// enough asks for the level that what was found needs: a credential that joined later, or a
// lower one, does not open what came at a higher one.
func (r *request) enough(need session.Level) error {
	if r.level < need {
		return &needError{need}
	}
	return nil
}

// to answers a form.
func (r *request) to(path string) error {
	http.Redirect(r.w, r.r, path, http.StatusSeeOther)
	return nil
}

// stepUp leads to the window that names the credential needed and how to get it, and from
// there back.
func (r *request) stepUp(need session.Level) error {
	if strings.HasPrefix(r.r.URL.Path, "/api/") {
		return r.apiError(http.StatusUnauthorized, "session", r.T("portal.session-over"))
	}
	next := r.base + r.r.URL.Path
	if r.r.Method != http.MethodGet && r.r.Method != http.MethodHead && !strings.HasPrefix(r.r.URL.Path, "/servizi/") {
		next = r.base + "/area"
		if id := r.r.PathValue("id"); pathID.MatchString(id) && strings.HasPrefix(r.r.URL.Path, "/pratiche/") {
			next = r.base + "/pratiche/" + id
		}
	}
	return r.window(need, next)
}

// read reads a form and checks that a page of this session sent it.
func (r *request) read() error { return r.readUpTo(maxForm) }

func (r *request) readUpTo(bytes int64) error {
	r.r.Body = http.MaxBytesReader(r.w, r.r.Body, bytes)
	if err := r.r.ParseForm(); err != nil {
		return errBadForm
	}
	if !r.checkCSRF(r.r.PostFormValue("csrf")) {
		return errCSRF
	}
	return nil
}

// local is a path of ours to go back to; what is none leads to the area.
func (r *request) local(path string) string {
	if len(path) > 200 || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") {
		return r.base + "/area"
	}
	return path
}

// fail shows an error. What is ours to know stays in the log.
func (r *request) fail(err error) {
	status, title, body := http.StatusInternalServerError, "portal.error-title", "portal.error-body"
	var need *needError
	var refused *submission.RefusedError
	var moved *movedError
	over := r.over(err)
	switch {
	case over != "":
		status, title = http.StatusTooManyRequests, "limit.title"
		r.w.Header().Set("Retry-After", "3600")
	case errors.As(err, &moved) && !strings.HasPrefix(r.r.URL.Path, "/api/"):
		if err := r.to(moved.to); err != nil {
			r.p.Log.Error("answer failed", "error", err)
		}
		return
	case errors.As(err, &refused):
		status, title, body = http.StatusConflict, "modulo.refused-title", "application."+refused.Code
	case errors.Is(err, errNotFound), errors.Is(err, submission.ErrNotFound), errors.Is(err, credential.ErrNotFound), errors.Is(err, kept.ErrNotFound), errors.Is(err, mandate.ErrNotFound), errors.Is(err, feedback.ErrNotFound):
		status, title, body = http.StatusNotFound, "portal.not-found-title", "portal.not-found-body"
		r.note(err)
	case errors.Is(err, errCSRF):
		status, title, body = http.StatusForbidden, "portal.csrf-title", "portal.csrf-body"
	case errors.Is(err, errBadForm):
		status, title, body = http.StatusBadRequest, "portal.bad-form-title", "portal.bad-form-body"
	case errors.Is(err, service.ErrItems):
		status, title, body = http.StatusUnprocessableEntity, "portal.bad-form-title", "form.no-such-items"
	case errors.Is(err, errNotActive):
		r.notActive()
		return
	case errors.Is(err, errMandateOver), errors.Is(err, mandate.ErrState):
		status, title, body = http.StatusConflict, "mandate.over-title", "mandate.over-body"
	case errors.Is(err, mandate.ErrLevel):
		if err := r.mandateStep(); err != nil {
			r.p.Log.Error("answer failed", "error", err)
		}
		return
	case errors.As(err, &need):
		if err := r.stepUp(need.level); err != nil {
			r.p.Log.Error("answer failed", "error", err)
		}
		return
	case errors.Is(err, onetime.ErrLink):
		status, title, body = http.StatusGone, "access.link-title", "access.link-body"
	case errors.Is(err, submission.ErrTooMany):
		status, title, body = http.StatusConflict, "portal.error-title", "submission.too-many"
	case errors.Is(err, context.Canceled):
		return
	default:
		r.p.Log.Error("request failed", "path", r.r.URL.Path, "error", err)
	}
	text := over
	if text == "" {
		text = r.T(body)
	}
	if strings.HasPrefix(r.r.URL.Path, "/api/") {
		if err := r.apiError(status, "error", text); err != nil {
			r.p.Log.Error("answer failed", "error", err)
		}
		return
	}
	r.status = status
	// Where the remedy is another choice of whom one acts for, the page leads there.
	acting := r.level >= mandate.LevelAct && (body == "mandate.over-body" || body == "application.actor")
	if err := r.render("error", title, map[string]any{"Body": text, "Acting": acting}); err != nil {
		r.p.Log.Error("answer failed", "error", err)
	}
}
