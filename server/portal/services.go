package portal

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/form"
	"github.com/citel-pa/citel/server/kept"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/submission"
)

// formRoutes: services and the forms of their applications, from sheet to sending. What
// names an application asks besides that it is the visitor's, and for its service's level.
var formRoutes = []route{ //nolint:gochecknoglobals // a table
	{"GET /servizi", session.None, (*Portal).services, false},
	{"GET /servizi/{service}", session.None, (*Portal).sheet, false},
	{"GET /servizi/{service}/compila", session.None, (*Portal).begin, false},
	// A form is kept below the service's level, and begins a draft at it.
	{"POST /servizi/{service}", session.None, (*Portal).begun, false},
	{"POST /servizi/{service}/scarta", session.None, (*Portal).keptDropped, false},
	{"GET /pratiche/{id}/passo/{n}", session.Debole, (*Portal).stepPage, false},
	{"POST /pratiche/{id}/passo/{n}", session.None, (*Portal).stepSent, false}, // kept, too
	{"GET /pratiche/{id}/allegati", session.Debole, (*Portal).attachments, false},
	{"POST /pratiche/{id}/allegati", session.Debole, (*Portal).attached, false},
	{"POST /pratiche/{id}/allegati/{file}/togli", session.Debole, (*Portal).detached, false},
	{"GET /pratiche/{id}/riepilogo", session.Debole, (*Portal).check, false},
	{"POST /pratiche/{id}/riepilogo", session.Debole, (*Portal).checked, false},
	{"GET /pratiche/{id}/firma", session.Debole, (*Portal).signPage, false},
	{"POST /pratiche/{id}/firma", session.Media, (*Portal).signedElsewhere, false},
	{"POST /api/pratiche/{id}/firma", session.Media, (*Portal).apiSignature, false},
	{"POST /pratiche/{id}/invia", session.Debole, (*Portal).sendNow, false},
	{"POST /pratiche/{id}/riapri", session.Debole, (*Portal).reopened, false},
	{"POST /pratiche/{id}/scarta", session.Debole, (*Portal).discarded, false},
}

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

func (r *request) apps() *submission.Desk { return r.p.Rooms.Applications }

// nextStep is where an application goes on: a draft at the first step that something is
// missing in, one whose document is made at its signatures, a sent one at its own page.
func (r *request) nextStep(a *submission.Application) string {
	at := r.base + "/pratiche/" + a.ID
	switch a.State {
	case submission.StateDraft:
		if n := a.Service.FirstWrong(r.missing(a)); n > 0 {
			return at + "/passo/" + strconv.Itoa(n)
		}
		return at + "/riepilogo"
	case submission.StateToSign:
		return at + "/firma"
	}
	return at
}

func (r *request) missing(a *submission.Application) service.Errors {
	_, errs := a.Service.Validate(func(id string) string { return a.Fields[id] }, r.p.now(), true)
	return errs
}

// topic is a topic's services.
type topic struct {
	ID, Name string
	Services []*service.Version
}

// topicName is a topic in words; an ente's own topics are their id.
func (r *request) topicName(id string) string {
	if s := r.T("modulo.topic-" + id); s != "modulo.topic-"+id {
		return s
	}
	return id
}

// topics are an ente's services by topic.
func (r *request) topics() (out []topic, err error) {
	all, err := r.p.Rooms.Services.List(r.ctx(), r.ente.Code)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		if s.Off {
			continue
		}
		i := slices.IndexFunc(out, func(t topic) bool { return t.ID == s.Topic })
		if i < 0 {
			i, out = len(out), append(out, topic{ID: s.Topic, Name: r.topicName(s.Topic)})
		}
		out[i].Services = append(out[i].Services, s)
	}
	slices.SortStableFunc(out, func(a, b topic) int { return compareText(a.Name, b.Name) })
	return out, nil
}

func (p *Portal) services(r *request) error {
	all, err := r.topics()
	if err != nil {
		return err
	}
	return r.render("servizi", "modulo.services-title", map[string]any{"Topics": all})
}

// open tells how a service stands today: open, not yet, no longer, or switched off.
func (r *request) open(d *service.Version) string {
	today := r.p.now().In(register.Rome())
	switch {
	case d.Off:
		return "off"
	case d.Open(today):
		return "open"
	case d.Opens != "" && today.Format(time.DateOnly) < d.Opens:
		return "not-yet"
	}
	return "over"
}

func (r *request) current() (*service.Version, error) {
	s, err := r.p.Rooms.Services.Current(r.ctx(), r.ente.Code, r.r.PathValue("service"))
	if errors.Is(err, service.ErrNotFound) {
		return nil, errNotFound
	}
	return s, err
}

// firstNursery was the enrolment's name before services were data.
const firstNursery = "nido"

// sheet is a service's own page.
func (p *Portal) sheet(r *request) error {
	if r.r.PathValue("service") == firstNursery {
		return r.to(r.base + "/servizi/iscrizione-nido")
	}
	s, err := r.current()
	if err != nil {
		return err
	}
	if r.r.URL.Query().Has("compila") { // where forms that are kept are linked to
		return r.to(r.base + "/servizi/" + s.ID + "/compila?compila=1")
	}
	drafts, err := r.draftsOf(s.ID)
	if err != nil {
		return err
	}
	offices, err := p.Rooms.Enti.Offices(r.ctx(), r.ente.Code)
	if err != nil {
		return err
	}
	return r.render("servizio", "modulo.services-title", map[string]any{"Title": s.Title.In(r.lang), "Description": s.Help.In(r.lang), "S": s, "Drafts": drafts, "Offices": offices, "Enough": r.level >= s.Needs()})
}

// draftsOf are the visitor's open drafts of a service.
func (r *request) draftsOf(id string) (out []*submission.Application, err error) {
	if r.level == session.None {
		return nil, nil
	}
	all, err := r.apps().List(r.ctx(), r.visitor())
	for _, a := range all {
		if a.Service.ID == id && !a.State.AtOffice() && r.level >= a.Service.Needs() {
			out = append(out, a)
		}
	}
	return out, err
}

// begin is the form before there is a draft: at the service's level its first step, with
// what was kept; below, who wants to write first and log in later has all of it on a page.
func (p *Portal) begin(r *request) error {
	s, err := r.current()
	if err != nil {
		return err
	}
	if r.level < s.Needs() && !r.r.URL.Query().Has("compila") {
		return &needError{s.Needs()}
	}
	if r.open(s) != "open" {
		return submission.ErrClosed
	}
	values := map[string]string{}
	if r.level >= s.Needs() {
		if err := r.apps().May(r.ctx(), r.visitor(), s.Definition); err != nil {
			return err // said before anything is typed
		}
		if values, err = r.apps().Prefill(r.ctx(), r.visitor(), s.Definition); err != nil {
			return err
		}
	}
	form, err := p.kept.Get(r.ctx(), r.ente.Code, s.ID, r.owners()...)
	if err != nil && !errors.Is(err, kept.ErrNotFound) {
		return err
	}
	if form != nil {
		for k, v := range form.Fields {
			values[k] = v
		}
	}
	return r.showBegin(s, store.NewID(), values, nil, nil, form != nil)
}

func (r *request) showBegin(s *service.Version, id string, values map[string]string, errs service.Errors, turn *service.Turn, isKept bool) error {
	d := map[string]any{"S": s, "Kept": isKept, "Draft": id, "Script": "app/modulo.js"}
	section := s.Sections[0].ID
	if r.level < s.Needs() {
		section, d["Need"] = "", s.Level
	} else {
		d["Person"], d["Own"], d["Steps"], d["N"] = r.person, r.person != nil && r.mandate == "", r.steps(s.Definition, nil, 1), 1
		drafts, err := r.draftsOf(s.ID)
		if err != nil {
			return err
		}
		d["Drafts"] = drafts
		if d["Over"], err = r.overNow(s); err != nil {
			return err
		}
	}
	f := form.New(s.Definition, section, values, errs, r.lang)
	if turn != nil {
		f.Look(*turn, r.lang)
	}
	d["Form"] = f
	d["Title"] = s.Title.In(r.lang)
	if len(errs) > 0 {
		r.status = http.StatusUnprocessableEntity
	}
	return r.render("compila", "modulo.services-title", d)
}

// begun takes what the page of begin sent. A session that is over, or was never there,
// loses nothing of what was typed: it is kept, nothing is done in anybody's name, and the
// window follows.
func (p *Portal) begun(r *request) error {
	s, err := r.current()
	if err != nil {
		return err
	}
	if err := r.readUpTo(maxStep); err != nil && (r.session != nil || !errors.Is(err, errCSRF)) {
		return err
	}
	turn, err := s.Turn(r.r.PostForm)
	if err != nil {
		return err
	}
	values, err := r.typed(s)
	if err != nil {
		return err
	}
	// An item more or less: the same page, as long as it is the same that was sent.
	if turn != nil && (r.r.PostForm.Get("_passo") != "") == (r.level >= s.Needs()) {
		var errs service.Errors
		if i := slices.IndexFunc(s.Sections, func(x service.Section) bool { return x.ID == turn.Section }); turn.Code != "" {
			errs = service.Errors{s.Sections[i].CountKey(): turn.Code}
			turn = nil
		}
		return r.showBegin(s, r.r.PostForm.Get("_bozza"), values, errs, turn, false)
	}
	if r.level < s.Needs() {
		// Cleaned as the draft will have it, without a word about what is missing.
		clean, _ := s.Validate(func(id string) string { return values[id] }, p.now(), false)
		if err := r.keep(s.ID, clean); err != nil {
			return err
		}
		return r.window(s.Needs(), r.base+"/servizi/"+s.ID+"/compila")
	}
	id := r.r.PostForm.Get("_bozza")
	a, err := r.apps().Begin(r.ctx(), r.visitor(), s.ID, id, values)
	if errors.Is(err, submission.ErrBegun) { // the form was sent twice
		if a, err = r.apps().Get(r.ctx(), r.visitor(), r.apps().DraftID(id)); err == nil {
			return r.to(r.nextStep(a))
		}
	}
	if err == nil {
		err = p.kept.Drop(r.ctx(), r.ente.Code, s.ID, r.owners()...)
	}
	if err != nil {
		return err
	}
	return r.afterStep(a, 1, nil)
}

// typed is what was written so far: below the level the whole form was on the page; at it
// the first step, which joins what was kept before.
func (r *request) typed(s *service.Version) (map[string]string, error) {
	values, on := map[string]string{}, s.Sections
	if r.r.PostForm.Get("_passo") != "" {
		on = s.Sections[:1]
		form, err := r.p.kept.Get(r.ctx(), r.ente.Code, s.ID, r.owners()...)
		switch {
		case err == nil:
			values = form.Fields
		case !errors.Is(err, kept.ErrNotFound):
			return nil, err
		}
	}
	for _, x := range on {
		if x.Repeat == nil {
			for _, q := range x.Questions {
				values[q.ID] = strings.Join(r.r.PostForm[q.ID], ",") // nothing, too: a check that was taken away
			}
			continue
		}
		items := x.ID + "."
		maps.DeleteFunc(values, func(k, _ string) bool { return strings.HasPrefix(k, items) })
		for k, v := range r.r.PostForm {
			if strings.HasPrefix(k, items) {
				values[k] = strings.Join(v, ",")
			}
		}
	}
	return values, nil
}

// keptDropped forgets what was kept of a form.
func (p *Portal) keptDropped(r *request) error {
	s, err := r.current()
	if err == nil {
		err = r.read()
	}
	if err == nil {
		err = p.kept.Drop(r.ctx(), r.ente.Code, s.ID, r.owners()...)
	}
	if err != nil {
		return err
	}
	return r.to(r.base + "/servizi/" + s.ID + "/compila?compila=1")
}

// step is a step of the way, as the pages show it.
type step struct {
	Title, Address string // no address: it is not there yet
	Current, Wrong bool
}

// Steps after the sections.
const (
	atAttachments = -1
	atCheck       = -2
	atSign        = -3
)

// steps are all of a service's steps; a is nil before there is a draft. now is a section's
// number or one of the steps after them.
func (r *request) steps(d *service.Definition, a *submission.Application, now int) (out []step) {
	at, draft := "", a != nil && a.State == submission.StateDraft
	if draft {
		at = r.base + "/pratiche/" + a.ID
	}
	add := func(title, path string, current bool) {
		s := step{Title: title, Current: current}
		if draft {
			s.Address = at + path
		}
		out = append(out, s)
	}
	for i, s := range d.Sections {
		add(s.Title.In(r.lang), fmt.Sprintf("/passo/%d", i+1), now == i+1)
	}
	if len(d.Attachments) > 0 {
		add(r.T("modulo.attachments-title"), "/allegati", now == atAttachments)
	}
	add(r.T("modulo.check-title"), "/riepilogo", now == atCheck)
	if d.Signature != service.SignatureNone {
		add(r.T("modulo.sign-step"), "", now == atSign)
		out[len(out)-1].Address = ""
	}
	return out
}

// dates are when a service takes applications, in words.
type dates struct{ Opens, Code, State string }

// Dates tells when a service is open, for the templates.
func (v *view) Dates(d *service.Version) dates {
	out := dates{Code: v.open(d)}
	switch {
	case d.Opens != "" && d.Closes != "":
		out.Opens = v.T("modulo.from-to", "from", v.Lang.Day(d.Opens), "to", v.Lang.Day(d.Closes))
	case d.Opens != "":
		out.Opens = v.T("modulo.from", "from", v.Lang.Day(d.Opens))
	case d.Closes != "":
		out.Opens = v.T("modulo.until", "to", v.Lang.Day(d.Closes))
	}
	out.State = v.T("modulo.is-" + out.Code)
	return out
}

// Open tells how a service stands.
func (v *view) Open(d *service.Version) string { return v.open(d) }

// Step is where a draft goes on.
func (v *view) Step(a *submission.Application) string { return v.nextStep(a) }

// Stays is the last day of a draft.
func (v *view) Stays(a *submission.Application) string {
	return v.apps().DraftEnds(a).Format("02/01/2006")
}

// Fee is what a service costs.
func (v *view) Fee(d *service.Definition) string {
	return service.Euros(d.Fee.Cents)
}

// Here is an address of this place in full, to be passed on.
func (v *view) Here(path string) string { return v.ente.Origin + path + "/firma" }

// slotView is a slot with what its template needs.
type slotView struct {
	slot
	At string
	V  *view
}

// Slot joins a slot with the application's address.
func (v *view) Slot(at string, s slot) slotView { return slotView{s, at, v} }
