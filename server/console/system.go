package console

import (
	"errors"
	"net/http"

	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/operator"
	"github.com/citel-pa/citel/server/person"
)

// Who runs the server: makes enti, says where they are, and gives each its first
// operator. No citizen is in these pages.

func (c *Console) enti(r *request) error {
	list, err := c.Rooms.Enti.List(r.ctx(), false)
	if err != nil {
		return err
	}
	t := &table{ID: "enti", Caption: r.T("console.m-enti-list"), Empty: r.T("console.none"), Head: r.heads("f-ente-code", "f-ente-name", "f-idEnte", "f-origin", "f-active")}
	for _, e := range list {
		active := r.yesNo(e.Active)
		if e.Example {
			active += " (" + r.T("console.example") + ")"
		}
		t.Rows = append(t.Rows, []cell{{Text: e.Code, Link: Prefix + "/enti/" + e.Code}, {Text: e.Name}, {Text: e.IDEnte}, {Text: e.Origin}, {Text: active}})
	}
	return r.page(http.StatusOK, "list", r.T("console.m-enti-list"), data{"Table": t, "Intro": r.T("console.enti-intro"), "Links": []nextStep{{r.T("console.m-ente-new"), Prefix + "/nuovo-ente"}}})
}

func (c *Console) enteNew(r *request) error { return c.askEnteNew(r, ente.Ente{}, http.StatusOK, "") }

func (c *Console) askEnteNew(r *request, e ente.Ente, status int, wrong string) error {
	b := builder{request: r}
	f := &form{Action: Prefix + "/nuovo-ente", Cancel: Prefix + "/enti", Sections: []section{{"", []field{
		b.add("ente-code*", "text", e.Code), b.add("ente-name*", "text", e.Name), b.add("idEnte", "text", e.IDEnte), b.add("origin", "url", e.Origin),
	}}}}
	return r.page(status, "form", r.T("console.m-ente-new"), data{"Form": f, "Wrong": wrong, "Intro": r.T("console.ente-new-intro")})
}

func (c *Console) enteMake(r *request) error {
	e := ente.Ente{Code: r.value("ente-code"), Name: r.value("ente-name"), IDEnte: r.value("idEnte"), Origin: r.value("origin")}
	made, err := c.Rooms.Enti.Create(r.ctx(), r.actor(), e)
	switch {
	case errors.Is(err, ente.ErrInvalid):
		return c.askEnteNew(r, e, http.StatusUnprocessableEntity, r.T("console.ente-new-invalid"))
	case errors.Is(err, ente.ErrExists):
		return c.askEnteNew(r, e, http.StatusConflict, r.T("console.ente-exists"))
	case err != nil:
		return err
	}
	return r.done(Prefix+"/enti/"+made.Code, "saved")
}

func (c *Console) enteOf(r *request) error { return c.showEnte(r, http.StatusOK, "") }

func (c *Console) showEnte(r *request, status int, wrong string) error {
	e, err := c.Rooms.Enti.Get(r.ctx(), r.r.PathValue("ente"))
	if err != nil {
		return err
	}
	b := builder{request: r}
	path := Prefix + "/enti/" + e.Code
	return r.page(status, "show", e.Name, data{
		"Facts": r.facts("f-ente-code", e.Code, "f-ente-name", e.Name, "f-created", moment(e.Created), "f-active", r.yesNo(e.Active)), "Wrong": wrong,
		"Links": []nextStep{{r.T("console.first-operator"), path + "/operatore"}},
		"Acts": []act{{Title: r.T("console.place"), Intro: r.T("console.place-intro"), Action: path, Button: r.T("console.save"), Fields: []field{
			b.add("idEnte", "text", e.IDEnte), b.add("origin", "url", e.Origin), b.add("active", "check", yes(e.Active)),
		}}},
	})
}

func (c *Console) entePlace(r *request) error {
	code := r.r.PathValue("ente")
	err := c.Rooms.Enti.Place(r.ctx(), r.actor(), code, r.value("idEnte"), r.value("origin"), r.value("active") != "")
	switch {
	case errors.Is(err, ente.ErrNotFound):
		return errNotFound
	case errors.Is(err, ente.ErrInvalid):
		return c.showEnte(r, http.StatusUnprocessableEntity, r.T("console.ente-new-invalid"))
	case errors.Is(err, ente.ErrExists):
		return c.showEnte(r, http.StatusConflict, r.T("console.ente-exists"))
	case err != nil:
		return err
	}
	return r.done(Prefix+"/enti/"+code, "saved")
}

func (c *Console) firstPage(r *request) error {
	return c.askFirst(r, http.StatusOK, person.Form{}, releaseStep{})
}

func (c *Console) askFirst(r *request, status int, f person.Form, s releaseStep) error {
	e, err := c.Rooms.Enti.Get(r.ctx(), r.r.PathValue("ente"))
	if err != nil {
		return err
	}
	path := Prefix + "/enti/" + e.Code
	return r.page(status, "form", r.T("console.first-operator")+" - "+e.Name, data{"Intro": r.T("console.first-intro"), "Wrong": s.wrong,
		"Form": &form{Action: path + "/operatore", Cancel: path, Warnings: r.warnings(s.warnings), Sections: r.personSections("", f, s.errs, len(s.warnings) > 0, false)}})
}

func (c *Console) first(r *request) error {
	if _, err := c.Rooms.Enti.Get(r.ctx(), r.r.PathValue("ente")); err != nil {
		return err
	}
	f := r.readPerson("")
	inv, err := c.Rooms.Operators.First(r.ctx(), r.actor(), r.r.PathValue("ente"), f)
	var wrong *operator.FormError
	switch {
	case errors.As(err, &wrong):
		return c.askFirst(r, http.StatusUnprocessableEntity, f, releaseStep{errs: wrong.Errs, warnings: wrong.Warnings})
	case errors.Is(err, operator.ErrExists):
		return c.askFirst(r, http.StatusConflict, f, releaseStep{wrong: r.T("console.operator-there")})
	case err != nil:
		return err
	}
	return r.page(http.StatusOK, "show", r.T("console.invited-title"), data{"Lead": r.T("console.first-link"), "Facts": append(
		r.facts("f-person", inv.Operator.Name(), "f-operator-code", inv.Operator.Code, "f-expires-at", moment(inv.Expires)),
		fact{Label: r.T("console.f-link"), Value: c.Origin + inv.Link, Mono: true})})
}
