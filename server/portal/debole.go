package portal

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/citel-pa/citel/server/credential"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/envelope"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/onetime"
	"github.com/citel-pa/citel/server/session"
)

// registerPage is the registration of a debole credential.
func (p *Portal) registerPage(r *request) error {
	return r.showRegister(http.StatusOK, credential.Registration{}, nil, "")
}

func (r *request) showRegister(status int, x credential.Registration, errs map[string]string, problem string) error {
	ways, err := r.ways()
	if err != nil {
		return err
	}
	if len(ways[0].On) == 0 {
		r.status = http.StatusForbidden
		return r.render("spento", "access.off-title", map[string]any{"Way": ways[0]})
	}
	kind := r.input("categoria", "choice", "", string(x.Category), "")
	for _, c := range ways[0].On {
		kind.Options = append(kind.Options, [2]string{string(c), r.T("access.as-" + string(c))})
	}
	code := r.input("codice", "text", "off", x.Claim, errs["code"])
	code.Optional, code.Help = true, r.T("access.claim-help")
	return r.short(status, "register", "/registrazione", []input{
		r.input("nome", "text", "given-name", x.Given, errs["given"]), r.input("cognome", "text", "family-name", x.Family, errs["family"]),
		r.input("email", "email", "email", x.Email, errs["email"]), code, kind, r.newPassword(errs["password"]),
	}, map[string]any{"Problem": problem, "Way": ways[0]})
}

func (p *Portal) registerSent(r *request) error {
	if err := r.read(); err != nil {
		return err
	}
	f := r.r.PostForm
	x := credential.Registration{
		Ente: r.ente.Code, Email: f.Get("email"), Given: f.Get("nome"), Family: f.Get("cognome"), Claim: f.Get("codice"),
		Category: ente.Category(f.Get("categoria")), Password: []byte(f.Get("nuova")), Address: r.from(),
	}
	err := p.Rooms.Credentials.Register(r.ctx(), x)
	if status, text := r.refusal(err); text != "" {
		return r.showRegister(status, x, nil, text)
	}
	if errs := r.formErrors(err); len(errs) > 0 {
		return r.showRegister(http.StatusUnprocessableEntity, x, errs, "")
	}
	if err != nil {
		return err
	}
	return r.done("registered", "email", x.Email)
}

// linked looks at a mailed link. Mail programs fetch links ahead: nothing is used up before
// somebody presses the button. A link of an ente that is elsewhere leads there.
func (r *request) linked(purpose onetime.Purpose) (code string, moved bool, err error) {
	code = r.r.FormValue("codice")
	of, _, err := onetime.Look(r.ctx(), r.p.Store, purpose, code, r.p.now())
	if err != nil || of == r.ente.Code || r.r.Method != http.MethodGet {
		return code, false, err
	}
	e, err := r.p.Rooms.Enti.Get(r.ctx(), of)
	if err != nil {
		return "", false, err
	}
	return "", true, r.to(r.address(e) + r.r.URL.Path + "?" + url.Values{"codice": {code}}.Encode())
}

func (p *Portal) confirmPage(r *request) error {
	code, moved, err := r.linked(onetime.ConfirmEmail)
	if err != nil || moved {
		return err
	}
	return r.short(http.StatusOK, "confirm", "/registrazione/conferma", nil, map[string]any{"Code": code})
}

func (p *Portal) confirmSent(r *request) error {
	if err := r.read(); err != nil {
		return err
	}
	if _, err := p.Rooms.Credentials.Confirm(r.ctx(), r.r.PostForm.Get("codice")); err != nil {
		return err
	}
	return r.done("confirmed")
}

// forgotPage asks where the link for a new password of a debole credential is to go.
func (p *Portal) forgotPage(r *request) error { return r.showForgot(http.StatusOK, "", "", "") }

func (r *request) showForgot(status int, email, wrong, problem string) error {
	return r.short(status, "forgot", "/password", []input{r.input("email", "email", "email", email, wrong)}, map[string]any{"Problem": problem})
}

func (p *Portal) forgotSent(r *request) error {
	if err := r.read(); err != nil {
		return err
	}
	email := r.r.PostForm.Get("email")
	err := p.Rooms.Credentials.Forgot(r.ctx(), r.ente.Code, email, r.from())
	if status, text := r.refusal(err); text != "" {
		return r.showForgot(status, email, "", text)
	}
	if errs := r.formErrors(err); len(errs) > 0 {
		return r.showForgot(http.StatusUnprocessableEntity, email, errs["email"], "")
	}
	if err != nil {
		return err
	}
	return r.done("mailed", "email", email)
}

func (p *Portal) renewPage(r *request) error {
	code, moved, err := r.linked(onetime.ResetDebole)
	if err != nil || moved {
		return err
	}
	return r.showRenew(http.StatusOK, code, "")
}

func (r *request) showRenew(status int, code, wrong string) error {
	return r.short(status, "renew", "/password/nuova", []input{r.newPassword(wrong)}, map[string]any{"Code": code})
}

func (p *Portal) renewSent(r *request) error {
	if err := r.read(); err != nil {
		return err
	}
	code := r.r.PostForm.Get("codice")
	err := p.Rooms.Credentials.Renew(r.ctx(), code, []byte(r.r.PostForm.Get("nuova")), r.from())
	if errors.Is(err, keys.ErrWeak) {
		return r.showRenew(http.StatusUnprocessableEntity, code, r.T("desk.weak"))
	}
	if err != nil {
		return err
	}
	return r.done("renewed")
}

// firstPage: a password that somebody else has seen is changed before it opens anything.
func (p *Portal) firstPage(r *request) error {
	if r.session == nil || r.session.Waiting == "" || r.session.Level != session.None {
		return r.to(r.base + "/accedi")
	}
	return r.showFirst(http.StatusOK, "")
}

func (r *request) showFirst(status int, wrong string) error {
	return r.short(status, "first", "/password/prima", []input{r.newPassword(wrong)}, nil)
}

func (p *Portal) firstSent(r *request) error {
	if err := r.read(); err != nil {
		return err
	}
	risen, err := p.Rooms.Credentials.ChangeFirst(r.ctx(), r.w, r.session, []byte(r.r.PostForm.Get("nuova")), r.from())
	switch {
	case errors.Is(err, keys.ErrWeak):
		return r.showFirst(http.StatusUnprocessableEntity, r.T("desk.weak"))
	case errors.Is(err, credential.ErrRefused):
		return r.to(r.base + "/accedi")
	case err != nil:
		return err
	}
	return r.entered(risen, r.next())
}

// envelopePage is the activation of an envelope.
func (p *Portal) envelopePage(r *request) error { return r.showEnvelope(http.StatusOK, "", "", "") }

func (r *request) showEnvelope(status int, username, weak, problem string) error {
	ways, err := r.ways()
	if err != nil {
		return err
	}
	if len(ways[1].On) == 0 {
		r.status = http.StatusForbidden
		return r.render("spento", "access.off-title", map[string]any{"Way": ways[1]})
	}
	pin := r.input("pin", "password", "one-time-code", "", "")
	pin.Help = r.T("access.pin-help")
	holder := r.input("consegna", "password", "one-time-code", "", "")
	holder.Help = r.T("access.holder-help")
	return r.short(status, "envelope", "/busta", []input{r.input("utente", "text", "username", username, ""), pin, holder, r.newPassword(weak)},
		map[string]any{"Problem": problem, "Way": ways[1]})
}

func (p *Portal) envelopeSent(r *request) error {
	if err := r.read(); err != nil {
		return err
	}
	f := r.r.PostForm
	risen, err := p.Rooms.Envelopes.Activate(r.ctx(), r.w, r.session, envelope.Activation{
		Ente: r.ente.Code, Username: f.Get("utente"), PIN: []byte(f.Get("pin")), Holder: []byte(f.Get("consegna")), Password: []byte(f.Get("nuova")), Address: r.from(),
	})
	if errors.Is(err, envelope.ErrRefused) {
		return r.showEnvelope(http.StatusForbidden, f.Get("utente"), "", r.T("desk.envelope-refused"))
	}
	if errors.Is(err, keys.ErrWeak) {
		return r.showEnvelope(http.StatusUnprocessableEntity, f.Get("utente"), r.T("desk.weak"), "")
	}
	if status, text := r.refusal(err); text != "" {
		return r.showEnvelope(status, f.Get("utente"), "", text)
	}
	if err != nil {
		return err
	}
	return r.entered(risen, r.next())
}
