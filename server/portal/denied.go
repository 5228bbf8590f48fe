package portal

import (
	"errors"

	"github.com/citel-pa/citel/server/denial"
	"github.com/citel-pa/citel/server/session"
)

// otherError is what was not found among what is the visitor's. The page is that of what is
// not there at all; the log tells the two apart.
type otherError struct {
	kind denial.Kind
	id   string
	err  error
}

// Error is the cause's.
func (e *otherError) Error() string { return e.err.Error() }

// Unwrap gives the cause.
func (e *otherError) Unwrap() error { return e.err }

// other marks an error of a look-up by the address's id; nil stays nil.
func other(kind denial.Kind, id string, err error) error {
	if err == nil {
		return nil
	}
	return &otherError{kind, id, err}
}

// note writes down that a visitor who is logged in asked for what is another person's.
func (r *request) note(err error) {
	var e *otherError
	if !errors.As(err, &e) || r.session == nil || r.level == session.None {
		return
	}
	who := denial.Who{Ente: r.ente.Code, Person: r.session.Person, Credential: r.session.Credential, Address: r.from()}
	if err := r.p.Rooms.Denials.Note(r.ctx(), who, denial.Refusal{Why: denial.Other, Page: r.r.Pattern, Kind: e.kind, Object: e.id}); err != nil {
		r.p.Log.Error("a denied request was not noted", "error", err)
	}
}
