// Package console is the operators' desk, /consolleente: pages over the domain's rooms.
// It has no rule of its own. One table of addresses (routes.go) says who may reach
// each; the rooms ask for the right once more.
package console

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/assets"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/login"
	"github.com/citel-pa/citel/server/operator"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/rooms"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/web"
)

// Prefix is where the console is.
const Prefix = "/consolleente"

// Paths are what a router gives to the console's handler.
var Paths = []string{Prefix, Prefix + "/"}

// Console is the pages of all enti's desks.
type Console struct {
	Rooms *rooms.Rooms
	// Card proves an operator's card, the second factor; nil where no issuer is trusted.
	Card *login.Desk
	// Origin is where the pages are.
	Origin string
	Secure bool // https
	// Demo shows the banner.
	Demo bool
	// AgentPorts are the agent's, for policy and script.
	AgentPorts []int
	// ClientAddress tells who a request comes from, for delays and the log.
	ClientAddress func(*http.Request) string
	Log           *slog.Logger
	Now           func() time.Time // nil is time.Now
}

func (c *Console) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

// maxForm bounds forms, but for the upload of arms.
const (
	maxForm   = 64 << 10
	maxUpload = ente.MaxArms + maxForm
)

// Handler is all pages behind the common protections.
func (c *Console) Handler() (http.Handler, error) {
	if err := assets.Check(); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	for _, rt := range routes {
		mux.Handle(rt.Method+" "+rt.Pattern, c.handle(rt))
	}
	mux.Handle(Prefix+"/", c.handle(Route{Access: Anybody, run: func(*request) error { return errNotFound }}))
	site := &web.Site{Origin: c.Origin, Secure: c.Secure, AgentPorts: c.AgentPorts, Address: c.address, Log: c.Log, Now: c.now}
	return site.Protect(mux)
}

func (c *Console) address(r *http.Request) string {
	if c.ClientAddress != nil {
		return c.ClientAddress(r)
	}
	return r.RemoteAddr
}

// Access says who reaches an address.
type Access int

// The accesses. Permitted asks for one of the route's permissions besides.
const (
	Anybody  Access = iota // a browser, logged in or not
	Operator               // any operator who is logged in
	Permitted
)

// Route is one address of the console.
type Route struct {
	Method, Pattern string
	Access          Access
	// Any of them is enough.
	Permissions []role.Permission
	// Upload is how many bytes a form with a file may have; 0: what a picture needs.
	Upload int64
	run    func(*request) error
}

// Routes are all addresses, for the table that tests make of them.
func Routes() []Route { return routes }

// Lets tells whether an operator reaches the route; nil is nobody.
func (rt Route) Lets(o *operator.Operator) bool {
	switch rt.Access {
	case Anybody:
		return true
	case Operator:
		return o != nil
	}
	if o == nil {
		return false
	}
	for _, p := range rt.Permissions {
		if operator.Can(o, o.Ente, p) {
			return true
		}
	}
	return false
}

// Errors that have a page of their own.
var (
	errNotFound  = errors.New("console: not found")
	errForbidden = errors.New("console: no right")
	errCSRF      = errors.New("console: the form is not of this session")
	errBadForm   = errors.New("console: a form that cannot be read")
)

// request is one request with what was found out about it.
type request struct {
	c        *Console
	w        http.ResponseWriter
	r        *http.Request
	lang     message.Lang
	session  *session.Session   // nil without one
	operator *operator.Operator // nil before the login
}

// handle is the one gate: session, operator, right, form's token; then the page.
func (c *Console) handle(rt Route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
		limit := int64(maxForm)
		if rt.Access != Anybody && strings.HasPrefix(hr.Header.Get("Content-Type"), "multipart/") { // strangers send no files
			limit = max(maxUpload, rt.Upload)
		}
		hr.Body = http.MaxBytesReader(w, hr.Body, limit)
		r := &request{c: c, w: w, r: hr, lang: web.Language(w, hr)}
		if err := r.enter(rt); err != nil {
			r.fail(err)
		}
	})
}

func (r *request) enter(rt Route) error {
	var err error
	if r.session, err = r.c.Rooms.Console.Get(r.ctx(), r.r); err != nil {
		return err
	}
	if r.session != nil && r.session.Operator != 0 {
		r.operator, err = r.c.Rooms.Operators.Current(r.ctx(), r.session)
		if err != nil && !errors.Is(err, operator.ErrRefused) {
			return err
		}
	}
	if !rt.Lets(r.operator) {
		return r.turnAway()
	}
	if r.operator != nil && r.operator.MustChange && rt.Access != Anybody && rt.Pattern != Prefix+"/password" {
		r.redirect(Prefix + "/password")
		return nil
	}
	if r.r.Method == http.MethodPost {
		if err := r.parse(); err != nil {
			return errBadForm
		}
		token := r.r.Header.Get("X-CSRF-Token")
		if token == "" {
			token = r.r.PostFormValue("csrf")
		}
		if !r.session.CheckCSRF(token) {
			return errCSRF
		}
	}
	return rt.run(r)
}

func (r *request) parse() error {
	if strings.HasPrefix(r.r.Header.Get("Content-Type"), "application/json") {
		return nil
	}
	if strings.HasPrefix(r.r.Header.Get("Content-Type"), "multipart/") {
		return r.r.ParseMultipartForm(maxForm)
	}
	return r.r.ParseForm()
}

// turnAway: who is not logged in gets the way in, who lacks the right is told so.
func (r *request) turnAway() error {
	if r.operator != nil {
		return errForbidden
	}
	if strings.HasPrefix(r.r.URL.Path, Prefix+"/api/") {
		return r.json(http.StatusUnauthorized, map[string]string{"error": "session", "text": r.T("console.session-over")})
	}
	to := Prefix + "/accedi"
	if id := r.r.URL.Query().Get("idEnte"); id != "" {
		to += "?idEnte=" + url.QueryEscape(id)
	}
	r.redirect(to)
	return nil
}
