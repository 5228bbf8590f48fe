package console

import (
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/operator"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/role"
)

// entry is the console's address as it is written on paper and in the first system's
// links; it may name an ente. Nothing else of the address is looked at: a session's id in
// it is never adopted.
func (c *Console) entry(r *request) error {
	to := Prefix + "/"
	if id := r.r.URL.Query().Get("idEnte"); r.operator == nil {
		to = Prefix + "/accedi"
		if id != "" {
			to += "?idEnte=" + url.QueryEscape(id)
		}
	}
	r.redirect(to)
	return nil
}

// home warns whoever opens what strangers sent.
func (c *Console) home(r *request) error {
	opens := r.actor().Has(role.RoutingRead, role.RegistryRead, role.SchoolUse, role.InfrastructureRead)
	return r.render("home", "console.home-title", data{"Unscanned": opens && c.Rooms.Applications.Scanner == nil})
}

// chooseRole changes what the frame shows as the active role: rights add up, whichever it
// is.
func (c *Console) chooseRole(r *request) error {
	chosen := r.value("role")
	if !slices.Contains(r.operator.Roles, chosen) {
		return errForbidden
	}
	if err := c.Rooms.Console.SetRole(r.ctx(), r.session, chosen); err != nil {
		return err
	}
	return r.done(Prefix+"/", "role")
}

func (c *Console) passwordPage(r *request) error {
	return r.render("password", "console.password", nil)
}

func (c *Console) password(r *request) error {
	again := func(status int, errs person.Errors, wrong string) error {
		return r.page(status, "password", r.T("console.password"), data{"Errs": errs, "Wrong": wrong})
	}
	fresh := r.r.PostFormValue("password")
	if fresh != r.r.PostFormValue("again") {
		return again(http.StatusUnprocessableEntity, person.Errors{"again": "password-again"}, "")
	}
	err := c.Rooms.Operators.ChangePassword(r.ctx(), r.actor(), []byte(r.r.PostFormValue("old")), []byte(fresh))
	if errors.Is(err, keys.ErrWeak) {
		return again(http.StatusUnprocessableEntity, person.Errors{"password": "weak"}, "")
	}
	if status, ok := refused(err); ok {
		text := r.T("console.old-wrong")
		if status == http.StatusTooManyRequests {
			return again(status, nil, r.refusal(err))
		}
		return again(http.StatusUnprocessableEntity, nil, text)
	}
	if err != nil {
		return err
	}
	return r.done(Prefix+"/", "password")
}

// ownPage is "Modifica registrazione": the own record.
func (c *Console) ownPage(r *request) error {
	return c.askOwn(r, http.StatusOK, r.operator.Form, nil)
}

func (c *Console) askOwn(r *request, status int, f person.Form, errs person.Errors) error {
	fields := r.reachFields(builder{r, "", errs}, f)
	for i, token := range []string{"street-address", "address-level2", "postal-code", "tel", "work tel", "email"} {
		fields[i].Autocomplete = token
	}
	o := r.operator
	return r.page(status, "form", r.T("console.own-record"), data{
		"Facts": r.facts("f-operator-code", o.Code, "f-family", o.Family, "f-given", o.Given, "f-born", o.Form.Born, "f-birthPlace", o.Form.BirthPlace, "f-birthState", o.Form.BirthState),
		"Intro": r.T("console.own-intro"),
		"Form":  &form{Action: Prefix + "/registrazione", Cancel: Prefix + "/", Sections: []section{{r.T("console.s-reach"), fields}}},
	})
}

func (c *Console) own(r *request) error {
	f := r.readPerson("")
	err := c.Rooms.Operators.UpdateOwn(r.ctx(), r.actor(), f)
	var wrong *operator.FormError
	if errors.As(err, &wrong) {
		return c.askOwn(r, http.StatusUnprocessableEntity, f, wrong.Errs)
	}
	if err != nil {
		return err
	}
	return r.done(Prefix+"/registrazione", "saved")
}
