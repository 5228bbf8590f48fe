package portal

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/citel-pa/citel/pkcs/authtoken"
	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/credential"
	"github.com/citel-pa/citel/server/session"
)

func (p *Portal) home(r *request) error { return r.render("home", "portal.home-title", nil) }

func (p *Portal) help(r *request) error { return r.render("help", "portal.help-title", nil) }

func (p *Portal) accessibility(r *request) error {
	return r.render("accessibility", "portal.accessibility-title", nil)
}

// loginPage names the credential that is needed and lets the card prove it.
func (p *Portal) loginPage(r *request) error {
	next := ""
	if v := r.r.URL.Query().Get("poi"); v != "" {
		next = local(v)
	}
	if r.session != nil && r.session.Level >= session.Forte {
		if next == "" {
			next = "/area"
		}
		http.Redirect(r.w, r.r, next, http.StatusSeeOther)
		return nil
	}
	return r.render("login", "portal.login-title", map[string]any{"Script": "app/accedi.js", "Next": next})
}

// apiNonce gives a nonce; the session that it is bound to begins here.
func (p *Portal) apiNonce(r *request) error {
	s := r.session
	if s == nil {
		var err error
		if s, err = p.Sessions.Start(r.ctx(), r.w); err != nil {
			return err
		}
	}
	nonce, expires, err := p.Desk.Nonce(r.ctx(), s)
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
	if _, err := p.Desk.Token(r.ctx(), r.w, r.session, in.Token, in.Nonce, in.Fingerprint, p.address(r.r)); err != nil {
		return r.loginError(err)
	}
	return r.json(http.StatusOK, map[string]string{"next": local(in.Next)})
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
		http.Redirect(r.w, r.r, "/", http.StatusSeeOther)
		return nil
	}
	if !r.session.CheckCSRF(r.r.PostFormValue("csrf")) {
		return errCSRF
	}
	if err := p.Sessions.End(r.ctx(), r.w, r.session); err != nil {
		return err
	}
	if r.person != nil {
		if err := p.Audit.Write(r.ctx(), audit.Event{Ente: p.Ente.Code, Kind: audit.Logout, Person: r.person.CodiceFiscale, PersonID: r.person.ID, Credential: r.session.Credential, Address: p.address(r.r)}); err != nil {
			return err
		}
	}
	http.Redirect(r.w, r.r, "/", http.StatusSeeOther)
	return nil
}
