package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	barcode "github.com/boombuler/barcode/qr"
	"github.com/pquerna/otp"

	"github.com/citel-pa/citel/pkcs/authtoken"
	"github.com/citel-pa/citel/server/delay"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/onetime"
	"github.com/citel-pa/citel/server/operator"
	"github.com/citel-pa/citel/server/person"
)

// system is what the login's form calls the desk of who runs the server.
const system = "-"

// loginPage asks for ente, user and password. A session begins here, so that the form
// has a token of its own.
func (c *Console) loginPage(r *request) error {
	if r.operator != nil {
		r.redirect(Prefix + "/")
		return nil
	}
	if r.session == nil {
		var err error
		if r.session, err = c.Rooms.Console.StartAt(r.ctx(), r.w, ""); err != nil {
			return err
		}
	}
	return r.askLogin(http.StatusOK, r.r.URL.Query().Get("idEnte"), "", nil)
}

func (r *request) askLogin(status int, chosen, user string, wrong error) error {
	enti, err := r.c.Rooms.Enti.List(r.ctx(), true)
	if err != nil {
		return err
	}
	if e, err := r.c.Rooms.Enti.Find(r.ctx(), chosen); err == nil {
		chosen = e.Code
	}
	d := data{"Enti": enti, "Chosen": chosen, "User": user, "System": system}
	if wrong != nil {
		d["Wrong"] = r.refusal(wrong)
	}
	return r.page(status, "login", r.T("console.login-title"), d)
}

// refusal is the sentence for a login that did not work: one for all reasons, or how
// long to wait.
func (r *request) refusal(err error) string {
	var soon *delay.TooSoonError
	if errors.As(err, &soon) {
		return r.T("console.too-soon-body", r.args(err)...)
	}
	return r.T("console.refused")
}

func refused(err error) (status int, ok bool) {
	var soon *delay.TooSoonError
	switch {
	case errors.As(err, &soon):
		return http.StatusTooManyRequests, true
	case errors.Is(err, operator.ErrRefused):
		return http.StatusForbidden, true
	}
	return 0, false
}

func (c *Console) login(r *request) error {
	chosen, user := r.value("ente"), r.value("user")
	code := chosen
	if code == system {
		code = ""
	}
	next, s, err := c.Rooms.Operators.Login(r.ctx(), r.w, r.session, code, user, []byte(r.r.PostFormValue("password")), c.address(r.r))
	if status, ok := refused(err); ok {
		return r.askLogin(status, chosen, user, err)
	}
	if err != nil {
		return err
	}
	r.session = s
	return r.next(next)
}

// next leads to what a login still needs.
func (r *request) next(n operator.Next) error {
	switch n {
	case operator.AskTOTP:
		r.redirect(Prefix + "/codice")
	case operator.AskCard:
		r.redirect(Prefix + "/carta")
	case operator.SetFactor:
		r.redirect(Prefix + "/fattore")
	default:
		r.redirect(Prefix + "/")
	}
	return nil
}

// waiting lets a page in whose session has proved a password and no more.
func waiting(h func(*Console, *request) error) func(*Console, *request) error {
	return func(c *Console, r *request) error {
		if r.session == nil || r.session.Waiting == "" {
			r.redirect(Prefix + "/accedi")
			return nil
		}
		return h(c, r)
	}
}

func (c *Console) codePage(r *request) error { return r.render("code", "console.code-title", nil) }

func (c *Console) code(r *request) error {
	s, err := c.Rooms.Operators.Code(r.ctx(), r.w, r.session, r.value("code"), c.address(r.r))
	if status, ok := refused(err); ok {
		return r.page(status, "code", r.T("console.code-title"), data{"Wrong": r.refusal(err)})
	}
	if err != nil {
		return err
	}
	r.session = s
	return r.next(operator.In)
}

func (c *Console) cardPage(r *request) error {
	return r.render("card", "console.card-title", data{"Script": "app/operatore.js", "Target": "secondo", "HasCard": c.Card != nil})
}

// apiNonce gives a nonce for the operator's card, bound to this session.
func (c *Console) apiNonce(r *request) error {
	if c.Card == nil || r.session == nil {
		return errNotFound
	}
	nonce, expires, err := c.Card.Nonce(r.ctx(), r.session)
	if err != nil {
		return r.cardError(err)
	}
	return r.json(http.StatusOK, map[string]any{"nonce": nonce, "expiresIn": int(time.Until(expires).Seconds())})
}

// cardAnswer is what the script brings: a token for a nonce, and at a first access the
// link and the new password.
type cardAnswer struct {
	Token    json.RawMessage `json:"token"`
	Nonce    string          `json:"nonce"`
	Link     string          `json:"link"`
	Password string          `json:"password"`
	Again    string          `json:"again"`
}

// proveCard reads a token from a request and tells whose card it is.
func (c *Console) proveCard(r *request) (in cardAnswer, code string, err error) {
	if c.Card == nil || r.session == nil {
		return in, "", errNotFound
	}
	if err := json.NewDecoder(io.LimitReader(r.r.Body, maxForm)).Decode(&in); err != nil {
		return in, "", authtoken.ErrMalformed
	}
	who, err := c.Card.Prove(r.ctx(), r.session, in.Token, in.Nonce)
	if err != nil {
		return in, "", err
	}
	return in, string(who.Person.CodiceFiscale), nil
}

// apiCard is the second step with a card: of a login ("secondo"), of an account that gets
// its second factor now ("fattore"), or of a first access ("attiva").
func (c *Console) apiCard(r *request) error {
	in, code, err := c.proveCard(r)
	if err != nil {
		return r.cardError(err)
	}
	next := Prefix + "/"
	switch r.r.PathValue("step") {
	case "secondo":
		_, err = c.Rooms.Operators.ByCard(r.ctx(), r.w, r.session, code, c.address(r.r))
	case "fattore":
		_, err = c.Rooms.Operators.Confirm(r.ctx(), r.w, r.session, "", code, c.address(r.r))
	case "attiva":
		next = Prefix + "/accedi?fatto=activated"
		if in.Password != in.Again {
			return r.json(http.StatusUnprocessableEntity, map[string]string{"error": "password-again", "text": r.T("desk.password-again")})
		}
		_, err = c.Rooms.Operators.Activate(r.ctx(), operator.Activation{Link: in.Link, Password: []byte(in.Password), CardCode: code, Address: c.address(r.r)})
	default:
		return errNotFound
	}
	if err != nil {
		return r.cardError(err)
	}
	return r.json(http.StatusOK, map[string]string{"next": next})
}

func (r *request) cardError(err error) error {
	if status, ok := refused(err); ok {
		return r.json(status, map[string]string{"error": "refused", "text": r.T("console.card-other")})
	}
	switch {
	case errors.Is(err, keys.ErrWeak):
		return r.json(http.StatusUnprocessableEntity, map[string]string{"error": "weak", "text": r.T("desk.weak")})
	case errors.Is(err, onetime.ErrLink):
		return r.json(http.StatusGone, map[string]string{"error": "link", "text": r.T("console.link-body")})
	case errors.Is(err, errNotFound):
		return err
	}
	code := authtoken.Code(err)
	if code == "internal" {
		return err
	}
	return r.json(http.StatusForbidden, map[string]string{"error": code, "text": r.T("login." + code)})
}

// factorPage: the ente wants a second factor and the account has none.
func (c *Console) factorPage(r *request) error { return c.askFactor(r, http.StatusOK, nil) }

func (c *Console) askFactor(r *request, status int, wrong error) error {
	e := shownAgain(r, r.operator)
	if e == nil {
		var err error
		if e, err = c.Rooms.Operators.EnrolWaiting(r.ctx(), r.session); err != nil {
			return err
		}
	}
	var err error
	d := data{"Enrolment": e, "Script": "app/operatore.js", "Target": "fattore", "HasCard": c.Card != nil}
	if d["QR"], err = qr(e); err != nil {
		return err
	}
	if wrong != nil {
		d["Wrong"] = r.refusal(wrong)
	}
	return r.page(status, "factor", r.T("console.factor-title"), d)
}

// qrCode is the secret as a picture for the phone. It stands in the page as SVG, so that
// it has no address of its own, nobody keeps it, and the policy needs no data: pictures.
type qrCode struct {
	Side int
	Path string
}

func qr(e *operator.Enrolment) (*qrCode, error) {
	if e.Key == nil {
		return nil, nil
	}
	code, err := barcode.Encode(e.Key.URL(), barcode.M, barcode.Auto)
	if err != nil {
		return nil, err
	}
	const quiet = 4 // modules around it (ISO/IEC 18004, 6.3.8)
	b := code.Bounds()
	var path strings.Builder
	for y := range b.Dy() {
		for x := range b.Dx() {
			if l, _, _, _ := code.At(x, y).RGBA(); l == 0 {
				fmt.Fprintf(&path, "M%d %dh1v1h-1z", x+quiet, y+quiet)
			}
		}
	}
	return &qrCode{Side: b.Dx() + 2*quiet, Path: path.String()}, nil
}

func (c *Console) factor(r *request) error {
	s, err := c.Rooms.Operators.Confirm(r.ctx(), r.w, r.session, r.value("code"), "", c.address(r.r))
	if status, ok := refused(err); ok {
		return c.askFactor(r, status, err)
	}
	if err != nil {
		return err
	}
	r.session = s
	return r.next(operator.In)
}

// activatePage is a new operator's first access, by the link.
func (c *Console) activatePage(r *request) error {
	if r.session == nil {
		var err error
		if r.session, err = c.Rooms.Console.StartAt(r.ctx(), r.w, ""); err != nil {
			return err
		}
	}
	return c.askActivation(r, http.StatusOK, r.r.URL.Query().Get("codice"), nil, "")
}

func (c *Console) askActivation(r *request, status int, link string, errs person.Errors, wrong string) error {
	o, err := c.Rooms.Operators.Look(r.ctx(), link)
	e := shownAgain(r, o)
	if err == nil && e == nil {
		e, err = c.Rooms.Operators.Enrol(r.ctx(), link)
	}
	if errors.Is(err, onetime.ErrLink) || errors.Is(err, operator.ErrNotFound) {
		return r.page(http.StatusGone, "error", r.T("console.link-title"), data{"Body": r.T("console.link-body")})
	}
	if err != nil {
		return err
	}
	d := data{"Enrolment": e, "Link": link, "Errs": errs, "Wrong": wrong, "Script": "app/operatore.js", "Target": "attiva", "HasCard": c.Card != nil}
	if d["QR"], err = qr(e); err != nil {
		return err
	}
	return r.page(status, "activate", r.T("console.activate-title"), d)
}

// shownAgain is the enrolment that the page showed before, so that a mistyped code does
// not make the person scan another picture. It is only shown: what counts is the secret
// that the server keeps.
func shownAgain(r *request, o *operator.Operator) *operator.Enrolment {
	shown := r.r.PostFormValue("shown")
	if shown == "" || len(shown) > 500 {
		return nil
	}
	key, err := otp.NewKeyFromURL(shown)
	if err != nil || key.Type() != "totp" {
		return nil
	}
	var groups []string
	for s := range slices.Chunk([]byte(key.Secret()), 4) {
		groups = append(groups, string(s))
	}
	return &operator.Enrolment{Operator: o, Needed: true, Secret: strings.Join(groups, " "), Key: key}
}

func (c *Console) activate(r *request) error {
	link, password := r.value("link"), r.r.PostFormValue("password")
	if password != r.r.PostFormValue("again") {
		return c.askActivation(r, http.StatusUnprocessableEntity, link, person.Errors{"again": "password-again"}, "")
	}
	_, err := c.Rooms.Operators.Activate(r.ctx(), operator.Activation{Link: link, Password: []byte(password), Code: r.value("code"), Address: c.address(r.r)})
	if errors.Is(err, keys.ErrWeak) {
		return c.askActivation(r, http.StatusUnprocessableEntity, link, person.Errors{"password": "weak"}, "")
	}
	if errors.Is(err, onetime.ErrLink) {
		return c.askActivation(r, http.StatusGone, link, nil, "")
	}
	if status, ok := refused(err); ok {
		wrong := r.T("console.code-wrong")
		if status == http.StatusTooManyRequests {
			wrong = r.refusal(err)
		}
		return c.askActivation(r, status, link, nil, wrong)
	}
	if err != nil {
		return err
	}
	return r.done(Prefix+"/accedi", "activated")
}

func (c *Console) logout(r *request) error {
	if r.session != nil {
		if err := c.Rooms.Operators.Logout(r.ctx(), r.w, r.session, c.address(r.r)); err != nil {
			return err
		}
	}
	return r.done(Prefix+"/accedi", "logout")
}

// session tells how long it holds; a page that asks marks the question, so that asking
// does not extend it.
func (c *Console) sessionLeft(r *request) error {
	return r.json(http.StatusOK, map[string]int{"left": int(c.Rooms.Console.Left(r.session).Seconds())})
}

func (c *Console) sessionExtend(r *request) error {
	if err := c.Rooms.Console.Extend(r.ctx(), r.session); err != nil {
		return err
	}
	if r.r.Header.Get("X-CSRF-Token") == "" {
		return r.done(Prefix+"/", "extended")
	}
	return c.sessionLeft(r)
}

// arms are the ente's, for the frame.
func (c *Console) arms(r *request) error {
	picture, err := c.Rooms.Enti.Arms(r.ctx(), r.operator.Ente)
	if errors.Is(err, ente.ErrNotFound) {
		return errNotFound
	}
	if err != nil {
		return err
	}
	r.w.Header().Set("Content-Type", "image/png")
	_, _ = r.w.Write(picture)
	return nil
}
