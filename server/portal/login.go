package portal

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/citel-pa/citel/pkcs/authtoken"
	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/credential"
	"github.com/citel-pa/citel/server/kept"
	"github.com/citel-pa/citel/server/session"
)

// loginPage is all ways in. Where more is needed than the visitor has it begins with the
// window that names the credential and how to get it here.
func (p *Portal) loginPage(r *request) error { return r.showLogin(http.StatusOK, "", "") }

var levels = map[string]session.Level{"debole": session.Debole, "media": session.Media, "forte": session.Forte}

func (r *request) showLogin(status int, username, problem string) error {
	q := r.r.URL.Query()
	if r.r.Method == http.MethodPost {
		q = r.r.PostForm
	}
	// What the window shows; what a page needs is asked again where it leads.
	need := levels[q.Get("serve")]
	next := ""
	if v := q.Get("poi"); v != "" {
		next = r.local(v)
	}
	if problem == "" && r.level != session.None && (r.level >= session.Forte || need != session.None && r.level >= need) {
		if next == "" {
			next = r.base + "/area"
		}
		return r.to(next)
	}
	ways, err := r.ways()
	if err != nil {
		return err
	}
	offices, err := r.p.Rooms.Enti.Offices(r.ctx(), r.ente.Code)
	if err != nil {
		return err
	}
	fits := func(w way) bool { return len(w.On) > 0 && w.Level >= need }
	again := url.Values{"poi": {next}, "serve": {q.Get("serve")}}.Encode()
	user := r.input("utente", "text", "username", username, "")
	user.Help = r.T("access.username-help")
	d := map[string]any{
		"Script": "app/accedi.js", "Next": next, "Writable": strings.HasPrefix(next, r.base+"/servizi/"), "Serve": q.Get("serve"), "Ways": ways, "Offices": offices, "Problem": problem, "Query": again,
		"Inputs": []input{user, r.input("password", "password", "current-password", "", "")},
		"Words":  fits(ways[0]) || fits(ways[1]), "Debole": fits(ways[0]), "Media": fits(ways[1]), "AnyWords": len(ways[0].On)+len(ways[1].On) > 0,
	}
	if r.session != nil && r.session.Level > r.level {
		d["Elsewhere"] = r.session.Level.String()
	}
	if need != session.None {
		d["Need"] = need.String()
	}
	if form, err := r.keptForm(); err == nil && form != nil {
		d["Kept"] = form
	}
	r.status = status
	return r.render("login", "access.login-title", d)
}

// keptForm is what waits for the visitor at the page that the login leads to.
func (r *request) keptForm() (*kept.Form, error) {
	next := strings.TrimPrefix(r.r.URL.Query().Get("poi"), r.base)
	if service, ok := strings.CutPrefix(next, "/servizi/"); ok {
		return r.p.kept.Get(r.ctx(), r.ente.Code, strings.TrimSuffix(service, "/compila"), r.owners()...)
	}
	if id, n, ok := strings.Cut(strings.TrimPrefix(next, "/pratiche/"), "/passo/"); ok {
		return r.p.kept.Get(r.ctx(), r.ente.Code, keptStep(id, n), r.owners()...)
	}
	return nil, nil
}

// loginSent takes user name and password.
func (p *Portal) loginSent(r *request) error {
	if err := r.read(); err != nil {
		return err
	}
	username := r.r.PostForm.Get("utente")
	risen, change, err := p.Rooms.Credentials.Login(r.ctx(), r.w, r.session, credential.Login{
		Ente: r.ente.Code, Username: username, Password: []byte(r.r.PostForm.Get("password")), Address: r.from(),
	})
	if status, text := r.refusal(err); text != "" {
		return r.showLogin(status, username, text)
	}
	if err != nil {
		return err
	}
	if change {
		return r.to(r.base + "/password/prima?" + url.Values{"poi": {r.next()}}.Encode())
	}
	return r.entered(risen, r.next())
}

// refusal is the sentence for an error that a person can mend; empty for others.
func (r *request) refusal(err error) (status int, text string) {
	wait, soon := tooSoon(err)
	over := r.over(err)
	switch {
	case over != "":
		return http.StatusTooManyRequests, over
	case soon:
		r.w.Header().Set("Retry-After", seconds(wait))
		return http.StatusTooManyRequests, r.T("access.too-soon", "seconds", seconds(wait))
	case errors.Is(err, credential.ErrRefused):
		return http.StatusForbidden, r.T("access.refused")
	case errors.Is(err, credential.ErrSwitchedOff):
		return http.StatusForbidden, r.T("access.switched-off", "ente", r.ente.Name)
	}
	return 0, ""
}

// next is where a form wants to go on.
func (r *request) next() string { return r.local(r.r.FormValue("poi")) }

// entered goes on after a login: what this browser has kept is now the visitor's, and a
// debole credential that was proved before asks whether it belongs to the person.
func (r *request) entered(s *session.Session, next string) error {
	to, err := r.after(s, next)
	if err != nil {
		return err
	}
	return r.to(to)
}

func (r *request) after(s *session.Session, next string) (string, error) {
	to := kept.Of(s)
	if err := r.p.kept.Move(r.ctx(), kept.Browser(r.visit()), to); err != nil {
		return "", err
	}
	if s.Waiting != "" && s.Level > session.Debole { // proved in this session
		if err := r.p.kept.Move(r.ctx(), kept.Owner("credential:"+s.Waiting), to); err != nil {
			return "", err
		}
	}
	c, err := r.p.Rooms.Credentials.Question(r.ctx(), s)
	if err != nil {
		return "", err
	}
	if c != nil {
		return r.base + "/unisci?" + url.Values{"poi": {next}}.Encode(), nil
	}
	return next, nil
}

// joinPage asks whether the debole credential is the person's: it names its e-mail, and no
// is what happens when nothing is chosen.
func (p *Portal) joinPage(r *request) error {
	c, err := p.Rooms.Credentials.Question(r.ctx(), r.session)
	if err != nil {
		return err
	}
	if c == nil {
		return r.to(r.next())
	}
	return r.render("join", "access.join-title", map[string]any{"Email": c.Email, "Next": r.next(), "Person": r.person})
}

func (p *Portal) joinSent(r *request) error {
	if err := r.read(); err != nil {
		return err
	}
	if err := p.Rooms.Credentials.Join(r.ctx(), r.session, r.r.PostForm.Get("unisci") == "si", r.from()); err != nil && !errors.Is(err, credential.ErrState) {
		return err
	}
	return r.to(r.next())
}

// apiNonce gives a nonce; the session that it is bound to begins here.
func (p *Portal) apiNonce(r *request) error {
	s := r.session
	if s == nil {
		var err error
		if s, err = p.Sessions.StartAt(r.ctx(), r.w, r.ente.Code); err != nil {
			return err
		}
	}
	nonce, expires, err := r.desk.Nonce(r.ctx(), s)
	if err != nil {
		return r.loginError(err)
	}
	return r.json(http.StatusOK, map[string]any{"nonce": nonce, "expiresIn": int(time.Until(expires).Seconds())})
}

func (p *Portal) apiToken(r *request) error {
	if r.session == nil {
		return r.loginError(authtoken.ErrNonceUnknown)
	}
	var in struct {
		Token       json.RawMessage `json:"token"`
		Nonce       string          `json:"nonce"`
		Fingerprint string          `json:"fingerprint"`
		Next        string          `json:"next"`
	}
	if err := json.NewDecoder(io.LimitReader(r.r.Body, maxForm)).Decode(&in); err != nil {
		return r.loginError(authtoken.ErrMalformed)
	}
	risen, err := r.desk.Token(r.ctx(), r.w, r.session, in.Token, in.Nonce, in.Fingerprint, r.from())
	if err != nil {
		return r.loginError(err)
	}
	next, err := r.after(risen, r.local(in.Next))
	if err != nil {
		return err
	}
	return r.json(http.StatusOK, map[string]string{"next": next})
}

func (r *request) loginError(err error) error {
	code := authtoken.Code(err)
	if errors.Is(err, credential.ErrRefused) {
		code = "suspended"
	}
	status := http.StatusForbidden
	switch {
	case code == "internal":
		status = http.StatusInternalServerError
		r.p.Log.Error("login failed", "error", err)
	case errors.Is(err, authtoken.ErrNonceFull):
		status = http.StatusServiceUnavailable
	}
	return r.apiError(status, code, r.T("login."+code))
}

func (p *Portal) logout(r *request) error {
	if r.session == nil {
		return r.to(r.base + "/")
	}
	if err := r.read(); err != nil {
		return err
	}
	if err := p.Sessions.End(r.ctx(), r.w, r.session); err != nil {
		return err
	}
	// The next at this computer finds nothing of the one before.
	if err := p.kept.Move(r.ctx(), kept.Browser(r.visit()), kept.Of(r.session)); err != nil {
		return err
	}
	r.setVisit("")
	if r.session.Credential != "" {
		event := audit.Event{Ente: r.ente.Code, Kind: audit.Logout, Credential: r.session.Credential, Address: r.from()}
		if r.person != nil {
			event.Person, event.PersonID = r.person.CodiceFiscale, r.person.ID
		}
		if err := p.Audit.Write(r.ctx(), event); err != nil {
			return err
		}
	}
	return r.to(r.base + "/")
}

// apiSession tells how long the session holds; it does not extend it. A page asks when it
// is about to warn: another tab may have gone on.
func (p *Portal) apiSession(r *request) error {
	left := 0
	if r.session != nil {
		left = int(p.Sessions.Left(r.session).Seconds())
	}
	return r.json(http.StatusOK, map[string]any{"left": left, "warning": int(session.Warning.Seconds())})
}

// apiExtend gives the session its time again, because the person said so.
func (p *Portal) apiExtend(r *request) error {
	if r.session == nil {
		return r.apiError(http.StatusUnauthorized, "session", r.T("portal.session-over"))
	}
	if !r.session.CheckCSRF(r.r.Header.Get("X-CSRF-Token")) {
		return errCSRF
	}
	if err := p.Sessions.Extend(r.ctx(), r.session); err != nil {
		return err
	}
	return p.apiSession(r)
}
