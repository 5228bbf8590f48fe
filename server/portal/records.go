package portal

import (
	"errors"
	"strings"

	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/resident"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
)

// recordRoutes: the own record and family.
var recordRoutes = []route{ //nolint:gochecknoglobals // a table
	{"GET /area/dati", session.Media, (*Portal).record, false},
	{"POST /area/dati/segnala", session.Media, (*Portal).recordReport, false},
}

// datum of the own record, as the page shows it.
type datum struct{ Field, Label, Value string }

func (r *request) datum(own *resident.Own, field string) datum {
	v := own.Get(field)
	switch {
	case v == "":
	case field == "civil":
		v = r.T("registry.civil-" + v)
	case field == "born" || field == "since" || field == "until":
		v = r.lang.Day(v)
	}
	return datum{field, r.T("registry.f-" + field), v}
}

// record is what the registry of this ente has written of the visitor: of the person that
// is there, not of whom it acts for.
func (p *Portal) record(r *request) error {
	d := map[string]any{}
	if r.person.Kind != person.Natural {
		d["Company"] = true
		return r.render("records", "registry.own-title", d)
	}
	own, err := p.Rooms.Residents.Of(r.ctx(), p.Store, r.ente.Code, r.person.CodiceFiscale)
	if errors.Is(err, resident.ErrNotFound) {
		d["None"] = true
		return r.render("records", "registry.own-title", d)
	}
	if err != nil {
		return err
	}
	var facts []datum
	for _, c := range resident.Columns {
		if x := r.datum(own, c.Field); x.Value != "" && c.Field != "sheet" {
			facts = append(facts, x)
		}
	}
	d["Own"], d["Facts"] = own, facts
	return r.render("records", "registry.own-title", d)
}

// reportService is where an error in the own record is reported, and reportKinds what its
// form calls each field.
const reportService = "segnalazione-anagrafe"

var reportKinds = map[string]string{"family": "name", "given": "name", "born": "birth", "birth-place": "birth", "address": "address", "cap": "address", "family-sheet": "family", "relation": "family"}

// recordReport begins a report with the field that is wrong and what is written there.
func (p *Portal) recordReport(r *request) error {
	if err := r.read(); err != nil {
		return err
	}
	if r.person.Kind != person.Natural {
		return errNotFound
	}
	own, err := p.Rooms.Residents.Of(r.ctx(), p.Store, r.ente.Code, r.person.CodiceFiscale)
	if errors.Is(err, resident.ErrNotFound) {
		return errNotFound
	}
	if err != nil {
		return err
	}
	field := r.r.PostForm.Get("dato")
	x := r.datum(own, field)
	written := x.Label + ": " + x.Value
	if field == "family-sheet" {
		var names []string
		for _, m := range own.Family {
			names = append(names, m.Name)
		}
		written = strings.Join(names, ", ")
	} else if x.Value == "" {
		return errBadForm
	}
	if short := []rune(written); len(short) > 200 {
		written = string(short[:199]) + "…"
	}
	what := reportKinds[field]
	if what == "" {
		what = "other"
	}
	v := r.visitor()
	v.Mandate = "" // the record is the visitor's own
	a, err := p.Rooms.Applications.Begin(r.ctx(), v, reportService, store.NewID(), map[string]string{"what": what, "is": written})
	if err != nil {
		return err
	}
	return r.to(r.nextStep(a))
}
