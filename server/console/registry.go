package console

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/resident"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/submission"
)

// Gestione Anagrafe: the population's records.
var registryModule = menuModule{Title: "console.m-registry", Groups: []menuGroup{{"", []menuLink{
	{"registry.m-search", Prefix + "/anagrafe", []role.Permission{role.RegistryRead}},
	{"registry.m-reports", Prefix + "/anagrafe/segnalazioni", []role.Permission{role.RegistryWrite}},
	{"registry.m-imports", Prefix + "/anagrafe/importazioni", []role.Permission{role.RegistryRead}},
}}}}

func init() {
	permitted(get, "/anagrafe", (*Console).registryPage, role.RegistryRead)
	permitted(post, "/anagrafe", (*Console).registrySearch, role.RegistryRead)
	permitted(get, "/anagrafe/schede/{resident}", (*Console).resident, role.RegistryRead)
	permitted(post, "/anagrafe/schede/{resident}", (*Console).residentReason, role.RegistryRead)
	permitted(post, "/anagrafe/schede/{resident}/correggi", (*Console).residentCorrect, role.RegistryWrite)
	permitted(get, "/anagrafe/segnalazioni", (*Console).registryReports, role.RegistryWrite)
	permitted(get, "/anagrafe/importazioni", (*Console).registryImports, role.RegistryRead)
	permitted(post, "/anagrafe/importazioni", (*Console).registryUpload, role.RegistryWrite)
	routes[len(routes)-1].Upload = resident.MaxBytes + maxForm
	permitted(get, "/anagrafe/importazioni/{import}", (*Console).registryImport, role.RegistryWrite)
	permitted(get, "/anagrafe/importazioni/{import}/esito.csv", (*Console).registryReport, role.RegistryWrite)
	permitted(post, "/anagrafe/importazioni/{import}/conferma", (*Console).registryConfirm, role.RegistryWrite)
	permitted(post, "/anagrafe/importazioni/{import}/scarta", (*Console).registryDrop, role.RegistryWrite)
}

// asked is a field of this module: its label is "registry.f-<name>".
func (r *request) asked(name, kind, value string, required bool, options ...option) field {
	f := field{Name: name, Label: r.T("registry.f-" + name), Kind: kind, Value: value, Required: required, Options: options, Autocomplete: "off"}
	if key := "registry.h-" + name; r.T(key) != key {
		f.Help = r.T(key)
	}
	return f
}

func (r *request) registryHeads(names ...string) (out []string) {
	for _, n := range names {
		out = append(out, r.T("registry.f-"+n))
	}
	return out
}

// shownField writes a field's value for people.
func (r *request) shownField(name, v string) string {
	switch {
	case v == "":
		return ""
	case name == "civil":
		return r.T("registry.civil-" + v)
	case name == "born" || name == "since" || name == "until":
		return day(v)
	}
	return v
}

// day writes a stored date as people do.
func day(v string) string {
	if len(v) == 10 && v[4] == '-' {
		return v[8:] + "/" + v[5:7] + "/" + v[:4]
	}
	return v
}

// registryRefused are the sentences of what the room refuses.
func (r *request) registryRefused(err error) (status int, sentence string) {
	var bad *resident.ValueError
	switch {
	case errors.Is(err, resident.ErrReason):
		return http.StatusUnprocessableEntity, r.T("registry.reason-needed")
	case errors.Is(err, resident.ErrQuery):
		return http.StatusUnprocessableEntity, r.T("registry.too-wide")
	case errors.As(err, &bad):
		label := ""
		if _, ok := resident.ColumnOf(bad.Field); ok {
			label = r.T("registry.f-"+bad.Field) + ": "
		}
		return http.StatusUnprocessableEntity, label + r.T("registry.bad-"+bad.Code) + " " + r.T("registry.do-"+bad.Code)
	case errors.Is(err, resident.ErrSelf):
		r.note(http.StatusForbidden, "self")
		return http.StatusForbidden, r.T("registry.self")
	case errors.Is(err, resident.ErrStale):
		return http.StatusConflict, r.T("registry.stale")
	case errors.Is(err, resident.ErrUndecided):
		return http.StatusUnprocessableEntity, r.T("registry.undecided")
	case errors.Is(err, resident.ErrWaiting):
		return http.StatusConflict, r.T("registry.waiting")
	case errors.Is(err, resident.ErrTooLarge):
		return http.StatusRequestEntityTooLarge, r.T("registry.too-large", "megabytes", resident.MaxBytes>>20)
	}
	return 0, ""
}

func (r *request) registryQuery() resident.Query {
	return resident.Query{Code: r.value("code"), Family: r.value("family"), Given: r.value("given"), Address: r.value("address"), Sheet: r.value("sheet"), After: r.r.PostFormValue("after")}
}

// registryPage asks for what to look up, and why. From an error report code and reason are
// those of its application: never in an address.
func (c *Console) registryPage(r *request) error {
	q, why := resident.Query{}, ""
	if id := r.query("pratica"); id != "" {
		a, err := c.Rooms.Applications.Open(r.ctx(), r.actor(), id)
		if errors.Is(err, submission.ErrNotFound) {
			return errNotFound
		}
		if err != nil {
			return err
		}
		if p, err := person.Get(r.ctx(), c.Rooms.Store, a.Person); err == nil {
			q.Code, why = p.CodiceFiscale, r.T("registry.reason-report", "id", a.ID)
		}
	}
	return c.showRegistry(r, http.StatusOK, "", q, why, nil)
}

func (c *Console) showRegistry(r *request, status int, wrong string, q resident.Query, why string, found *resident.Result) error {
	form := act{Title: r.T("registry.search"), Intro: r.T("registry.search-intro"), Action: Prefix + "/anagrafe", Button: r.T("console.search"), Fields: []field{
		r.asked("reason", "text", why, true), r.asked("code", "text", q.Code, false), r.asked("family", "text", q.Family, false), r.asked("given", "text", q.Given, false),
		r.asked("address", "text", q.Address, false), r.asked("sheet", "text", q.Sheet, false),
	}}
	d := data{"First": []act{form}, "Wrong": wrong}
	if found != nil {
		t := table{ID: "residents", Caption: r.T("registry.found"), Empty: r.T("registry.nobody"), Head: r.registryHeads("name", "code", "born", "address", "state")}
		for _, x := range found.Rows {
			t.Rows = append(t.Rows, []cell{{Text: x.Name(), Link: Prefix + "/anagrafe/schede/" + x.ID + "?" + url.Values{"ricerca": {found.ID}}.Encode()}, {Text: x.Code, Mono: true},
				{Text: day(x.Born)}, {Text: x.Address}, {Text: c.residentState(r, x)}})
		}
		d["Tables"] = []table{t}
		if found.Next != "" {
			d["NextPage"] = act{Action: Prefix + "/anagrafe", Button: r.T("console.more"), Hidden: map[string]string{"reason": why, "code": q.Code, "family": q.Family, "given": q.Given,
				"address": q.Address, "sheet": q.Sheet, "after": found.Next}}
		}
	}
	return r.page(status, "registry", r.T("registry.m-search"), d)
}

func (c *Console) registrySearch(r *request) error {
	q, why := r.registryQuery(), r.value("reason")
	found, err := c.Rooms.Residents.Search(r.ctx(), r.actor(), q, why)
	if status, wrong := r.registryRefused(err); wrong != "" {
		return c.showRegistry(r, status, wrong, q, why, nil)
	}
	if err != nil {
		return err
	}
	return c.showRegistry(r, http.StatusOK, "", q, why, found)
}

func (c *Console) residentState(r *request, x *resident.Resident) string {
	switch {
	case !x.Gone.IsZero():
		return r.T("registry.gone", "day", x.Gone.Format("02/01/2006"))
	case !x.Here(c.now().Format("2006-01-02")):
		return r.T("registry.left", "day", day(x.Until))
	}
	return r.T("registry.here")
}

// resident shows a record to whoever has said why; another asks for it first.
func (c *Console) resident(r *request) error { return c.showResident(r, http.StatusOK, "") }

func (c *Console) showResident(r *request, status int, wrong string) error {
	id, search := r.r.PathValue("resident"), r.query("ricerca")
	if search == "" {
		search = r.value("ricerca")
	}
	path := Prefix + "/anagrafe/schede/" + url.PathEscape(id)
	f, err := c.Rooms.Residents.Open(r.ctx(), r.actor(), id, search)
	if errors.Is(err, resident.ErrSearch) {
		return r.page(status, "registry", r.T("registry.record"), data{"Wrong": wrong, "First": []act{{Title: r.T("registry.why"), Intro: r.T("registry.why-intro"), Action: path, Button: r.T("registry.open"),
			Fields: []field{r.asked("reason", "text", "", true)}}}})
	}
	if err != nil {
		return err
	}
	d := data{"Wrong": wrong, "Facts": r.residentFacts(f, c.residentState(r, f.Resident)), "Tables": c.residentTables(r, f, search)}
	if r.actor().Has(role.RegistryWrite) && f.Code != r.actor().Code {
		d["Acts"] = r.correctionActs(f, path+"/correggi", search)
	}
	return r.page(status, "registry", f.Name(), d)
}

func (r *request) residentFacts(f *resident.File, state string) (out []fact) {
	out = append(out, fact{Label: r.T("registry.f-state"), Value: state})
	for _, c := range resident.Columns {
		if v := r.shownField(c.Field, f.Get(c.Field)); v != "" {
			out = append(out, fact{Label: r.T("registry.f-" + c.Field), Value: v, Mono: c.Field == "code"})
		}
	}
	return out
}

func (c *Console) residentTables(r *request, f *resident.File, search string) []table {
	family := table{ID: "family", Caption: r.T("registry.family", "sheet", f.Sheet), Empty: r.T("registry.alone"), Head: r.registryHeads("name", "relation", "born", "state")}
	for _, x := range f.Family {
		family.Rows = append(family.Rows, []cell{{Text: x.Name(), Link: Prefix + "/anagrafe/schede/" + x.ID + "?" + url.Values{"ricerca": {search}}.Encode()}, {Text: x.Relation}, {Text: day(x.Born)}, {Text: c.residentState(r, x)}})
	}
	out := []table{family}
	if len(f.Corrections) > 0 {
		t := table{ID: "corrections", Caption: r.T("registry.corrections"), Head: r.registryHeads("field", "imported", "reason", "when")}
		for _, x := range f.Corrections {
			t.Rows = append(t.Rows, []cell{{Text: r.T("registry.f-" + x.Field)}, {Text: r.shownField(x.Field, x.Source)}, {Text: x.Reason}, {Text: moment(x.Time)}})
		}
		out = append(out, t)
	}
	history := table{ID: "history", Caption: r.T("registry.history"), Empty: r.T("console.none"), Head: r.registryHeads("when", "what", "field", "old", "new", "operator", "reason")}
	for _, x := range f.History {
		name := ""
		if x.Field != "" {
			name = r.T("registry.f-" + x.Field)
		}
		history.Rows = append(history.Rows, []cell{{Text: moment(x.Time)}, {Text: r.T("registry.change-" + x.Kind)}, {Text: name}, {Text: r.shownField(x.Field, x.Old)}, {Text: r.shownField(x.Field, x.New)},
			{Text: c.operatorName(r, x.Operator)}, {Text: x.Reason}})
	}
	return append(out, history)
}

// residentReason opens a record for a reason that is said now.
func (c *Console) residentReason(r *request) error {
	id, err := c.Rooms.Residents.Reason(r.ctx(), r.actor(), r.value("reason"))
	if status, wrong := r.registryRefused(err); wrong != "" {
		return c.showResident(r, status, wrong)
	}
	if err != nil {
		return err
	}
	r.redirect(Prefix + "/anagrafe/schede/" + url.PathEscape(r.r.PathValue("resident")) + "?" + url.Values{"ricerca": {id}}.Encode())
	return nil
}

// correctionActs is a form for each field: what is written is sent along, so that nothing
// that changed meanwhile is written over.
func (r *request) correctionActs(f *resident.File, action, search string) (out []act) {
	options := []option{{"", r.T("registry.choose")}} // no field is corrected because it came first
	for _, c := range resident.Columns {
		if c.Field != "code" {
			options = append(options, option{c.Field, r.T("registry.f-"+c.Field) + ": " + r.shownField(c.Field, f.Get(c.Field))})
		}
	}
	hidden := map[string]string{"ricerca": search}
	for _, c := range resident.Columns {
		hidden["old-"+c.Field] = f.Get(c.Field)
	}
	return []act{{Title: r.T("registry.correct"), Intro: r.T("registry.correct-intro"), Action: action, Button: r.T("registry.correct"), Hidden: hidden, Fields: []field{
		r.asked("field", "choice", r.value("field"), true, options...), r.asked("new-value", "text", r.value("new-value"), false), r.asked("reason", "text", r.value("reason"), true),
	}}}
}

func (c *Console) residentCorrect(r *request) error {
	id, name := r.r.PathValue("resident"), r.value("field")
	err := c.Rooms.Residents.Correct(r.ctx(), r.actor(), id, name, r.r.PostFormValue("old-"+name), r.value("new-value"), r.value("reason"))
	if status, wrong := r.registryRefused(err); wrong != "" {
		return c.showResident(r, status, wrong)
	}
	if err != nil {
		return err
	}
	return r.done(Prefix+"/anagrafe/schede/"+url.PathEscape(id)+"?"+url.Values{"ricerca": {r.value("ricerca")}}.Encode(), "saved")
}

// reportService is the service with which citizens say that something in their record is
// wrong.
const reportService = "segnalazione-anagrafe"

func (c *Console) registryReports(r *request) error {
	list, err := c.Rooms.Applications.Work(r.ctx(), r.actor(), submission.Queue{Service: reportService, Limit: 500})
	if err != nil {
		return err
	}
	t := table{ID: "reports", Caption: r.T("registry.m-reports"), Empty: r.T("registry.no-reports"), Head: r.registryHeads("sent", "what-wrong", "due", "record")}
	for _, a := range list {
		wrong := a.Fields["is"]
		if q, ok := a.Service.Field("what"); ok {
			wrong = q.Show(a.Fields["what"], r.lang) + ": " + wrong
		}
		t.Rows = append(t.Rows, []cell{{Text: moment(a.Sent), Link: Prefix + "/pratiche/" + a.ID}, {Text: wrong}, {Text: day(a.Due)},
			{Text: r.T("registry.find-record"), Link: Prefix + "/anagrafe?" + url.Values{"pratica": {a.ID}}.Encode()}})
	}
	return r.page(http.StatusOK, "registry", r.T("registry.m-reports"), data{"Intro": r.T("registry.reports-intro"), "Tables": []table{t}})
}
