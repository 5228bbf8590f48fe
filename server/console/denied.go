package console

import (
	"net/http"
	"strings"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/denial"
	"github.com/citel-pa/citel/server/envelope"
	"github.com/citel-pa/citel/server/role"
)

// "Accessi negati": who was refused what.

const deniedPath = Prefix + "/accessi-negati"

func init() {
	permitted(get, "/accessi-negati", (*Console).denials, role.UsersLog, role.OperatorsLog)
}

// named are the parts of addresses that name something by an id that no other ente's has.
var named = map[string]denial.Kind{
	"application": denial.Application, "mandate": denial.Mandate, "credential": denial.Credential, "code": denial.Envelope, "batch": denial.Batch, "pending": denial.Pending,
	"resident": denial.Resident, "import": denial.Import, "call": denial.Call, "report": denial.Report,
}

// byNumber are the addresses in which {id} is a person or an operator.
var byNumber = map[string]denial.Kind{"/utenti/": denial.Person, "/operatori/": denial.Operator, "/profilazione/": denial.Operator, "/uffici/operatori/": denial.Operator}

// object is what the address names.
func (r *request) object() (denial.Kind, string) {
	path := strings.TrimPrefix(strings.TrimPrefix(r.r.URL.Path, Prefix), "/api")
	if path == "/buste" { // typed into the list's field
		code, err := envelope.ParseCode(r.query("codice"))
		if err != nil {
			return "", ""
		}
		return denial.Envelope, code
	}
	for name, kind := range named {
		if id := r.r.PathValue(name); id != "" {
			switch {
			case kind == denial.Application && strings.HasPrefix(path, "/assistita/"):
				kind = denial.Assisted
			case kind == denial.Envelope:
				id = strings.Join(strings.FieldsFunc(id, func(c rune) bool { return c < '0' || c > '9' }), "")
			}
			return kind, id
		}
	}
	if id := r.r.PathValue("id"); id != "" {
		for prefix, kind := range byNumber {
			if strings.HasPrefix(path, prefix) {
				return kind, id
			}
		}
	}
	return "", ""
}

// note writes down that an operator was refused, by what the page says: status and code.
func (r *request) note(status int, code string) {
	if r.operator == nil {
		return
	}
	x := denial.Refusal{Page: r.r.Pattern, Why: denial.Right}
	x.Kind, x.Object = r.object()
	switch {
	case status == http.StatusForbidden && code == "csrf":
		return
	case status == http.StatusForbidden && (code == "self" || code == "same"):
		x.Why = denial.Self
	case status == http.StatusForbidden:
	case status == http.StatusNotFound && x.Object != "":
		x.Why = denial.Other
	default:
		return
	}
	a := r.actor()
	if err := r.c.Rooms.Denials.Note(r.ctx(), denial.Who{Ente: a.Ente, Operator: &a, Address: a.Address}, x); err != nil {
		r.c.Log.Error("a denied request was not noted", "error", err)
	}
}

// denials lists them, of the own ente.
func (c *Console) denials(r *request) error {
	wrong := false
	by := audit.By(r.query("chi"))
	f := audit.Filter{By: by, From: r.dateField("dal", &wrong), To: r.dateField("al", &wrong), Limit: 500}
	if !f.To.IsZero() {
		f.To = f.To.AddDate(0, 0, 1) // the day itself is in it
	}
	var whose []option
	a := r.actor()
	if a.Has(role.UsersLog) && a.Has(role.OperatorsLog) {
		whose = append(whose, option{"", r.T("console.all")})
	}
	if a.Has(role.OperatorsLog) {
		whose = append(whose, option{string(audit.ByOperators), r.T("denial.operators")})
	}
	if a.Has(role.UsersLog) {
		whose = append(whose, option{string(audit.ByCitizens), r.T("denial.citizens")})
	}
	d := data{"Intro": r.T("denial.intro"), "FilterAction": deniedPath, "Wrong": r.sentence(wrong, "protocol.filter-wrong"),
		"Filter": []field{r.labelled("denial.whose", "chi", "choice", string(by), whose...), r.labelled("denial.from", "dal", "date", r.query("dal")), r.labelled("denial.to", "al", "date", r.query("al"))}}
	if wrong || by != "" && by != audit.ByOperators && by != audit.ByCitizens {
		d["Wrong"] = r.T("protocol.filter-wrong")
		return r.page(http.StatusUnprocessableEntity, "list", r.T("console.m-denied"), d)
	}
	rows, err := c.Rooms.Audit.Denials(r.ctx(), a, f)
	if err != nil {
		return err
	}
	t := &table{ID: "denied", Caption: r.T("console.m-denied"), Empty: r.T("console.none"), Head: r.words("denial", "when", "who", "address", "page", "why", "object")}
	people := map[int64]string{}
	for _, e := range rows {
		t.Rows = append(t.Rows, []cell{{Text: moment(e.Time)}, {Text: c.refusedOne(r, e, people)}, {Text: e.Address, Mono: true}, {Text: e.Detail["page"], Mono: true}, {Text: r.T("denial." + e.Detail["why"])}, {Text: r.refusedObject(e)}})
	}
	d["Table"] = t
	return r.page(http.StatusOK, "list", r.T("console.m-denied"), d)
}

// refusedOne names who was refused: a person only to a desk that has to do with the person.
func (c *Console) refusedOne(r *request, e audit.Entry, known map[int64]string) string {
	switch {
	case e.Operator != 0:
		return r.T("denial.operator", "name", c.operatorName(r, e.Operator))
	case e.PersonID == 0:
		return r.T("denial.credential", "id", e.Credential)
	}
	name, seen := known[e.PersonID]
	if !seen {
		name = r.T("denial.person", "id", e.PersonID)
		if p, err := c.Rooms.People.Visible(r.ctx(), r.actor(), e.PersonID); err == nil {
			name = p.Name() + ", " + p.CodiceFiscale
		}
		known[e.PersonID] = name
	}
	return name
}

// refusedObject is what was asked for, and that no more is noted for now.
func (r *request) refusedObject(e audit.Entry) string {
	var out []string
	for k, v := range e.Detail {
		switch k {
		case "page", "why":
		case "last":
			out = append(out, r.T("denial.last"))
		default:
			out = append([]string{r.T("denial.kind-"+k) + " " + v}, out...)
		}
	}
	return strings.Join(out, "; ")
}

// onlyDenied is the filter of a person's or an operator's log: all rows, or what was refused.
func (r *request) onlyDenied() []string {
	if r.query("mostra") == "negati" {
		return []string{audit.AccessDenied}
	}
	return nil
}

func (r *request) logFilter() []field {
	return []field{r.labelled("denial.show", "mostra", "choice", r.query("mostra"), option{"", r.T("console.all")}, option{"negati", r.T("console.m-denied")})}
}
