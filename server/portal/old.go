package portal

import (
	"bytes"
	"errors"
	"io"

	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/pdf"
)

// old takes the addresses of the first system to where things are now. A session's id in
// such an address (idSessione) is never read, so that nobody hands a session to another.
func (p *Portal) old(r *request) error {
	x, ok := ente.ParseOld(r.r.URL.Path, r.r.URL.Query())
	if !ok {
		return errNotFound
	}
	e, err := p.Rooms.Enti.Find(r.ctx(), x.IDEnte)
	if err != nil && !errors.Is(err, ente.ErrNotFound) {
		return err
	}
	switch x.Place {
	case ente.Home:
		if e == nil {
			return r.to("/enti")
		}
		return r.to(r.address(e) + "/")
	case ente.ConsoleHome:
		return r.to("/consolleente")
	case ente.RequestPerson:
		return r.requestForm(e, false, "mod-persone.pdf")
	case ente.RequestCompany:
		return r.requestForm(e, true, "mod-giuridico.pdf")
	}
	return errNotFound
}

// requestForm is the form with which an envelope is asked for, before any login. Where it
// is not clear whom it is for, the form asks.
func (r *request) requestForm(e *ente.Ente, company bool, name string) error {
	to := ""
	if e != nil {
		to = e.Name
	} else if all, err := r.p.Rooms.Enti.List(r.ctx(), true); err != nil {
		return err
	} else if r.base != "" || len(all) == 1 {
		to = r.ente.Name
	}
	var b bytes.Buffer
	if err := pdf.Request(&b, to, company, r.p.now()); err != nil {
		return err
	}
	return r.file(io.NopCloser(&b), "application/pdf", "inline", name)
}
