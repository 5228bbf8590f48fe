package portal

import (
	"strconv"

	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/submission"
)

// formRoutes: services and the forms of their applications, from sheet to sending.
var formRoutes = []route{} //nolint:gochecknoglobals // a table

// visitor is who is there, as the desk of applications wants it: a debole proves no
// person, whatever its credential has joined.
func (r *request) visitor() submission.Visitor {
	v := submission.Visitor{Ente: r.ente.Code, Level: r.level, Address: r.from()}
	if r.session == nil || r.level == session.None {
		return v
	}
	v.Credential, v.Profile = r.session.Credential, r.session.Profile
	if r.credential != nil {
		v.Email = r.credential.Email
	}
	if r.person == nil || r.level < session.Media {
		return v
	}
	v.Person, v.Mandate = r.person, r.mandate
	if v.Email == "" {
		// What cannot be read is only not prefilled.
		if rec, err := person.RecordOf(r.ctx(), r.p.Store, r.person.ID, r.ente.Code); err == nil && rec != nil && rec.Form != nil {
			v.Email = rec.Form.Email
		}
	}
	return v
}

// nextStep is where an application goes on: a draft at the first step that something is
// missing in, one whose document is made at its signatures, a sent one at its own page.
func (r *request) nextStep(a *submission.Application) string {
	at := r.base + "/pratiche/" + a.ID
	switch a.State {
	case submission.StateDraft:
		_, errs := a.Service.Validate(func(id string) string { return a.Fields[id] }, r.p.now(), true)
		for i, s := range a.Service.Sections {
			for _, q := range s.Questions {
				if errs[q.ID] != "" {
					return at + "/passo/" + strconv.Itoa(i+1)
				}
			}
		}
		return at + "/riepilogo"
	case submission.StateToSign:
		return at + "/firma"
	}
	return at
}
