package portal

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"

	"github.com/citel-pa/citel/server/credential"
	"github.com/citel-pa/citel/server/kept"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/session"
)

// input is a field of the short forms around credentials.
type input struct {
	Name, Type, Label, Value, Help, Error string
	Autocomplete                          string // WCAG 2.1, 1.3.5, Identify Input Purpose
	Optional                              bool
	Options                               [][2]string // value, text: a choice
	Show, Hide                            string      // of a secret
}

// input makes a field; its label is "access.field-NAME". A secret is never given back.
func (r *request) input(name, kind, autocomplete, value, problem string) input {
	x := input{Name: name, Type: kind, Label: r.T("access.field-" + name), Value: value, Error: problem, Autocomplete: autocomplete}
	if kind == "password" {
		x.Value, x.Show, x.Hide = "", r.T("access.show"), r.T("access.hide")
	}
	return x
}

// newPassword is the field for one that is chosen now.
func (r *request) newPassword(problem string) input {
	x := r.input("nuova", "password", "new-password", "", problem)
	x.Help = r.T("access.password-help")
	return x
}

// short renders a short form; name is that of its sentences.
func (r *request) short(status int, name, action string, inputs []input, more map[string]any) error {
	d := map[string]any{"Name": name, "Action": r.base + action, "Inputs": inputs, "Next": "", "Code": "", "Problem": ""}
	if v := r.r.FormValue("poi"); v != "" {
		d["Next"] = r.local(v)
	}
	var wrong []input
	for _, x := range inputs {
		if x.Error != "" {
			wrong = append(wrong, x)
		}
	}
	d["Wrong"] = wrong
	for k, v := range more {
		d[k] = v
	}
	r.status = status
	return r.render("modulo", "access."+name+"-title", d)
}

// done says what happened and what comes next.
func (r *request) done(name string, args ...any) error {
	return r.render("fatto", "access."+name+"-title", map[string]any{"Body": r.T("access."+name+"-body", args...)})
}

// formErrors gives the sentences of a form's errors.
func (r *request) formErrors(err error) map[string]string {
	var form *credential.FormError
	out := map[string]string{}
	switch {
	case errors.As(err, &form):
		for field, code := range form.Errs {
			out[field] = r.T("desk." + code)
		}
	case errors.Is(err, keys.ErrWeak):
		out["password"] = r.T("desk.weak")
	}
	return out
}

// Before a session there is a cookie of the visit: forms carry its value too, so that no
// other site fills them in for somebody (login forgery), and what is kept before a login is
// found by it. It proves nothing, and it is made anew where something is kept under it.
func (r *request) visitCookie() string {
	if r.p.Sessions.Secure {
		return "__Host-citel-visita"
	}
	return "citel-visita"
}

func (r *request) visit() string {
	if r.visitValue != "" {
		return r.visitValue
	}
	c, err := r.r.Cookie(r.visitCookie())
	if err != nil || len(c.Value) != 43 {
		return ""
	}
	return c.Value
}

func (r *request) setVisit(value string) {
	age := 0
	if value == "" {
		age = -1
	}
	r.visitValue = value
	http.SetCookie(r.w, &http.Cookie{ //nolint:gosec // Secure is off for the demo's http on loopback alone
		Name: r.visitCookie(), Value: value, Path: "/", MaxAge: age, HttpOnly: true, Secure: r.p.Sessions.Secure, SameSite: http.SameSiteLaxMode,
	})
}

func (r *request) newVisit() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	r.setVisit(base64.RawURLEncoding.EncodeToString(b[:]))
	return r.visitValue
}

// csrf is what a page's forms carry.
func (r *request) csrf() string {
	if r.session != nil {
		return r.session.CSRF
	}
	if v := r.visit(); v != "" {
		return v
	}
	return r.newVisit()
}

func (r *request) checkCSRF(token string) bool {
	if r.session != nil {
		return r.session.CheckCSRF(token)
	}
	v := r.visit()
	return v != "" && subtle.ConstantTimeCompare([]byte(v), []byte(token)) == 1
}

// owners are whose kept forms the visitor may see: the own, and this browser's.
func (r *request) owners() []kept.Owner {
	return []kept.Owner{kept.Of(r.session), kept.Browser(r.visit())}
}

// keep keeps a form for whoever is there.
func (r *request) keep(service string, fields map[string]string) error {
	o := kept.Of(r.session)
	if o == "" || r.level == session.None {
		// Never under a name that the browser brought: somebody else may know it.
		old := kept.Browser(r.visit())
		o = kept.Browser(r.newVisit())
		if err := r.p.kept.Move(r.ctx(), old, o); err != nil {
			return err
		}
	}
	return r.p.kept.Keep(r.ctx(), o, r.ente.Code, service, fields)
}
