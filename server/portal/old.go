package portal

import (
	"errors"

	"github.com/citel-pa/citel/server/ente"
)

// oldHome is the first system's home: its idEnte leads to the ente's pages, wherever they
// are now.
func (p *Portal) oldHome(r *request) error {
	e, err := p.Rooms.Enti.Find(r.ctx(), r.r.URL.Query().Get("idEnte"))
	if errors.Is(err, ente.ErrNotFound) {
		return r.to("/enti")
	}
	if err != nil {
		return err
	}
	return r.to(p.home0(e) + "/")
}

// oldConsole is the first system's console. It had the session's id in the address
// (idSessione): that is never read, so that nobody can hand a session to somebody else.
func (p *Portal) oldConsole(r *request) error { return r.to("/consolleente") }
