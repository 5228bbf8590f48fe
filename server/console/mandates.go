package console

import (
	"errors"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/attachment"
	"github.com/citel-pa/citel/server/foureyes"
	"github.com/citel-pa/citel/server/mandate"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/service"
)

// "Deleghe e rappresentanza": who may act for whom, granted against a document.

var mandateModule = menuModule{Title: "console.m-mandates", Groups: []menuGroup{{"", []menuLink{
	{Title: "delega.m-list", Path: Prefix + "/deleghe", Any: []role.Permission{mandate.Needs}},
	{Title: "delega.m-new", Path: Prefix + "/deleghe/nuova", Any: []role.Permission{mandate.Needs}},
}}}}

func init() {
	permitted(get, "/deleghe", (*Console).mandates, mandate.Needs)
	permitted(post, "/deleghe", (*Console).mandatesFind, mandate.Needs)
	permitted(get, "/deleghe/nuova", (*Console).mandateNew, mandate.Needs)
	permitted(post, "/deleghe/nuova", (*Console).mandateGrant, mandate.Needs)
	permitted(get, "/deleghe/{mandate}", (*Console).mandate, mandate.Needs)
	permitted(post, "/deleghe/{mandate}/decidi", (*Console).mandateDecide, mandate.Needs)
	permitted(post, "/deleghe/{mandate}/revoca", (*Console).mandateRevoke, mandate.Needs)
	uploads("/deleghe/{mandate}/prova", (*Console).mandateProof, mandate.Needs)
	permitted(get, "/deleghe/{mandate}/prova/{proof}", (*Console).mandateProofFile, mandate.Needs)
}

const mandatesPath = Prefix + "/deleghe"

// question makes a field of an area's own sentences: "<area>.f-<name>" and "<area>.h-<name>",
// without the prefix before the dot. errs has the sentences of what is wrong.
func (r *request) question(area, name, kind, value string, errs map[string]string, options ...option) field {
	name, required := strings.CutSuffix(name, "*")
	base := name[strings.LastIndexByte(name, '.')+1:]
	f := field{Name: name, Label: r.T(area + ".f-" + base), Kind: kind, Value: value, Required: required, Options: options, Autocomplete: "off", Error: errs[name]}
	if key := area + ".h-" + base; r.T(key) != key {
		f.Help = r.T(key)
	}
	return f
}

func (r *request) mandateHeads(keys ...string) (out []string) {
	for _, k := range keys {
		out = append(out, r.T("delega."+k))
	}
	return out
}

// dayOf writes a day of the store for people.
func dayOf(s string) string {
	if d, err := time.Parse(time.DateOnly, s); err == nil {
		return d.Format("02/01/2006")
	}
	return s
}

// mandateState is the state as a person means it: what is over by its last day is over.
func (r *request) mandateState(m *mandate.Mandate) string {
	today := r.c.now().In(register.Rome()).Format(time.DateOnly)
	switch {
	case m.State == mandate.Active && m.Until != "" && m.Until < today:
		return r.T("delega.state-over")
	case m.State == mandate.Active && m.Since > today:
		return r.T("delega.state-later")
	}
	return r.T("delega.state-" + string(m.State))
}

func (r *request) mandateTable(id, caption string, all []mandate.View) *table {
	t := &table{ID: id, Caption: r.T(caption), Empty: r.T("console.none"), Head: r.mandateHeads("f-whose", "f-who", "f-kind", "f-since", "f-until", "f-state")}
	for _, m := range all {
		t.Rows = append(t.Rows, []cell{{Text: m.Whose.Name() + ", " + m.Whose.CodiceFiscale, Link: mandatesPath + "/" + m.ID}, {Text: m.Who.Name() + ", " + m.Who.CodiceFiscale},
			{Text: r.T("delega.kind-" + string(m.Kind))}, {Text: dayOf(m.Since)}, {Text: dayOf(m.Until)}, {Text: r.mandateState(m.Mandate)}})
	}
	return t
}

func (c *Console) mandates(r *request) error {
	return c.listMandates(r, http.StatusOK, nil, mandate.Query{}, "")
}

func (c *Console) listMandates(r *request, status int, found *table, q mandate.Query, wrong string) error {
	search := act{Title: r.T("delega.find"), Intro: r.T("delega.find-intro"), Action: mandatesPath, Button: r.T("console.search"), Fields: []field{
		r.question("delega", "code", "text", q.Code, nil), r.question("delega", "family", "text", q.Family, nil), r.question("delega", "given", "text", q.Given, nil), r.question("delega", "reason*", "text", q.Reason, nil),
	}}
	d := data{"Wrong": wrong, "Acts": []act{search}, "Links": []nextStep{{r.T("delega.m-new"), mandatesPath + "/nuova"}}, "Table": found}
	if found == nil {
		delete(d, "Table")
		waiting, err := c.Rooms.Mandates.Waiting(r.ctx(), r.actor())
		if err != nil {
			return err
		}
		d["Intro"], d["Table"] = r.T("delega.intro"), r.mandateTable("waiting", "delega.waiting", waiting)
	}
	return r.page(status, "list", r.T("console.m-mandates"), d)
}

func (c *Console) mandatesFind(r *request) error {
	q := mandate.Query{Code: r.value("code"), Family: r.value("family"), Given: r.value("given"), Reason: r.value("reason")}
	found, err := c.Rooms.Mandates.Search(r.ctx(), r.actor(), q)
	switch {
	case errors.Is(err, mandate.ErrReason):
		return c.listMandates(r, http.StatusUnprocessableEntity, nil, q, r.T("delega.reason"))
	case errors.Is(err, mandate.ErrInvalid):
		return c.listMandates(r, http.StatusUnprocessableEntity, nil, q, r.T("delega.invalid-who"))
	case err != nil:
		return err
	}
	wrong := ""
	if len(found) == mandate.MaxFound {
		wrong = r.T("delega.too-many")
	}
	return c.listMandates(r, http.StatusOK, r.mandateTable("found", "delega.found", found), q, wrong)
}

// granting is the form of a new mandate.
type granting struct {
	mandate.Mandate
	Whose, Who       person.Party
	Document, Number string
}

func (c *Console) mandateNew(r *request) error {
	return c.askMandate(r, http.StatusOK, granting{Mandate: mandate.Mandate{Since: c.now().In(register.Rome()).Format(time.DateOnly)}}, nil, "")
}

// mandateFields are the fields that a mandate.InvalidError is about; without one, it is
// about the whole.
var mandateFields = map[string]string{
	"self": "who.code", "agent": "who.code", "age": "who.code", "of-age": "whose.code", "child": "whose.code", "birth": "whose.code",
	"kind": "kind", "title": "title", "since": "since", "until": "until", "proof": "document",
}

var mandateKinds = []mandate.Kind{mandate.Minor, mandate.Ward, mandate.Company, mandate.Delegate}

// delegable lists the services that somebody may act in for another.
func (c *Console) delegable(r *request) (out []*service.Version, err error) {
	all, err := c.Rooms.Services.List(r.ctx(), r.operator.Ente)
	for _, s := range all {
		if len(s.Mandates) > 0 {
			out = append(out, s)
		}
	}
	return out, err
}

func (c *Console) askMandate(r *request, status int, g granting, errs map[string]string, wrong string) error {
	services, err := c.delegable(r)
	if err != nil {
		return err
	}
	ask := func(name, kind, value string, options ...option) field {
		return r.question("delega", name, kind, value, errs, options...)
	}
	kinds := []option{{"", r.T("console.choose-one")}}
	for _, k := range mandateKinds {
		kinds = append(kinds, option{string(k), r.T("delega.kind-" + string(k))})
	}
	scope := section{Title: r.T("delega.s-scope")}
	for _, s := range services {
		x := ask("scope."+s.ID, "check", yes(slices.Contains(g.Scope, s.ID)))
		x.Label = s.Title.In(r.lang)
		scope.Fields = append(scope.Fields, x)
	}
	whose, who := g.Whose, g.Who
	f := &form{Action: mandatesPath + "/nuova", Cancel: mandatesPath, Submit: r.T("delega.grant"), Sections: []section{
		{r.T("delega.s-kind"), []field{ask("kind*", "choice", string(g.Kind), kinds...), ask("title*", "text", g.Title)}},
		{r.T("delega.s-whose"), []field{ask("whose.code*", "text", whose.Code), ask("whose.family*", "text", whose.Family), ask("whose.given", "text", whose.Given), ask("whose.checked", "check", yes(whose.Checked))}},
		{r.T("delega.s-who"), []field{ask("who.code*", "text", who.Code), ask("who.family*", "text", who.Family), ask("who.given", "text", who.Given), ask("who.checked", "check", yes(who.Checked))}},
		{r.T("delega.s-time"), []field{ask("since*", "date", g.Since), ask("until", "date", g.Until)}},
		scope,
		{r.T("delega.s-proof"), []field{ask("document*", "text", g.Document), ask("number*", "text", g.Number)}},
	}}
	return r.page(status, "form", r.T("delega.m-new"), data{"Intro": r.T("delega.new-intro"), "Form": f, "Wrong": wrong})
}

func (c *Console) readMandate(r *request) (granting, error) {
	services, err := c.delegable(r)
	if err != nil {
		return granting{}, err
	}
	party := func(prefix string) person.Party {
		return person.Party{Kind: person.Natural, Code: r.value(prefix + "code"), Family: r.value(prefix + "family"), Given: r.value(prefix + "given"), Checked: r.value(prefix+"checked") != ""}
	}
	g := granting{Mandate: mandate.Mandate{Kind: mandate.Kind(r.value("kind")), Title: r.value("title"), Since: r.value("since"), Until: r.value("until")},
		Whose: party("whose."), Who: party("who."), Document: r.value("document"), Number: r.value("number")}
	if g.Kind == mandate.Company {
		g.Whose.Kind = person.Corporate
	}
	for _, s := range services {
		if r.value("scope."+s.ID) != "" {
			g.Scope = append(g.Scope, s.ID)
		}
	}
	return g, nil
}

func (c *Console) mandateGrant(r *request) error {
	g, err := c.readMandate(r)
	if err != nil {
		return err
	}
	errs := map[string]string{}
	check := func(prefix string, p person.Party) person.Party {
		clean, wrong := p.Check()
		for k, code := range wrong {
			errs[prefix+k] = r.T("desk." + code)
		}
		return clean
	}
	whose, who := check("whose.", g.Whose), check("who.", g.Who)
	for name, v := range map[string]string{"document": g.Document, "number": g.Number} {
		if v == "" || len(v) > 200 {
			errs[name] = r.T("delega.invalid-proof")
		}
	}
	if g.Kind == "" {
		errs["kind"] = r.T("delega.invalid-kind")
	}
	if len(errs) > 0 {
		return c.askMandate(r, http.StatusUnprocessableEntity, g, errs, "")
	}
	m := g.Mandate
	m.Proof = g.Document + ", " + g.Number
	granted, err := c.Rooms.Mandates.GrantTo(r.ctx(), r.actor(), m, whose, who)
	var invalid *mandate.InvalidError
	switch {
	case err == nil:
		return r.done(mandatesPath+"/"+granted.ID, "delega.granted")
	case errors.Is(err, foureyes.ErrPending):
		return r.done(mandatesPath, "pending")
	case errors.As(err, &invalid):
		name, known := mandateFields[invalid.Code]
		if !known {
			return c.askMandate(r, http.StatusUnprocessableEntity, g, nil, r.T("delega.invalid-"+invalid.Code))
		}
		errs[name] = r.T("delega.invalid-" + invalid.Code)
		return c.askMandate(r, http.StatusUnprocessableEntity, g, errs, "")
	case errors.Is(err, mandate.ErrSelf):
		r.note(http.StatusForbidden, "self")
		return c.askMandate(r, http.StatusForbidden, g, nil, r.T("delega.self"))
	}
	return err
}

func (c *Console) mandate(r *request) error { return c.showMandate(r, http.StatusOK, "") }

func (c *Console) showMandate(r *request, status int, wrong string) error {
	v, err := c.Rooms.Mandates.Open(r.ctx(), r.actor(), r.r.PathValue("mandate"))
	if err != nil {
		return mandateFailed(err)
	}
	proofs, err := c.Rooms.Mandates.Proofs(r.ctx(), v.Mandate)
	if err != nil {
		return err
	}
	facts := c.mandateFacts(r, v)
	scans := table{ID: "scans", Caption: r.T("delega.scans"), Empty: r.T("console.none"), Head: r.mandateHeads("f-file", "f-added", "f-scan-state")}
	path := mandatesPath + "/" + v.ID
	for _, p := range proofs {
		link := path + "/prova/" + p.ID
		if p.State == "infected" {
			link = ""
		}
		scans.Rows = append(scans.Rows, []cell{{Text: p.Name, Link: link}, {Text: moment(p.Created)}, {Text: r.T("delega.scan-" + p.State)}})
	}
	waits, err := c.waits(r, foureyes.MandateAccepted, func(p foureyes.Pending) bool { return mandate.Accepts(p.Payload, v.ID) })
	if err != nil {
		return err
	}
	var acts []act
	if v.State == mandate.Asked {
		acts = append(acts,
			act{Title: r.T("delega.accept"), Intro: r.T("delega.accept-intro"), Action: path + "/decidi", Button: r.T("delega.accept"), Hidden: map[string]string{"accept": "yes"},
				Fields: []field{r.question("delega", "document", "text", "", nil), r.question("delega", "number", "text", "", nil)}},
			act{Title: r.T("delega.refuse"), Intro: r.T("delega.refuse-intro"), Action: path + "/decidi", Button: r.T("delega.refuse"), Danger: true, Fields: []field{r.question("delega", "why*", "long", "", nil)}})
	}
	if v.State == mandate.Active || v.State == mandate.Asked {
		acts = append(acts, act{Title: r.T("delega.add-scan"), Intro: r.T("delega.add-scan-intro"), Action: path + "/prova", Button: r.T("delega.add-scan"), Multipart: true, Fields: []field{r.question("delega", "file*", "file", "", nil)}})
	}
	if v.State == mandate.Active {
		acts = append(acts, act{Title: r.T("delega.revoke"), Intro: r.T("delega.revoke-intro"), Action: path + "/revoca", Button: r.T("delega.revoke"), Danger: true, Fields: []field{r.question("delega", "why*", "long", "", nil)}})
	}
	return r.page(status, "show", r.T("delega.page-title"), data{"Facts": facts, "Tables": []table{scans}, "Acts": acts, "Wrong": wrong, "News": r.sentence(waits, "foureyes.here"), "Links": r.waitingLink(waits)})
}

func (c *Console) mandateFacts(r *request, v mandate.View) (out []fact) {
	add := func(key, value string) {
		if value != "" {
			out = append(out, fact{Label: r.T("delega." + key), Value: value})
		}
	}
	add("f-state", r.mandateState(v.Mandate))
	add("f-kind", r.T("delega.kind-"+string(v.Kind)))
	add("f-title", v.Title)
	add("f-whose", v.Whose.Name()+", "+v.Whose.CodiceFiscale)
	add("f-who", v.Who.Name()+", "+v.Who.CodiceFiscale)
	add("f-since", dayOf(v.Since))
	add("f-until", dayOf(v.Until))
	scope := r.T("delega.scope-all")
	if len(v.Scope) > 0 {
		var titles []string
		for _, id := range v.Scope {
			title := id
			if s, err := c.Rooms.Services.Current(r.ctx(), v.Ente, id); err == nil {
				title = s.Title.In(r.lang)
			}
			titles = append(titles, title)
		}
		scope = strings.Join(titles, "; ")
	}
	add("f-scope", scope)
	if v.AskedBy != 0 && v.Proof == "online" {
		add("f-proof", r.T("delega.online"))
	} else {
		add("f-proof", v.Proof)
	}
	if v.AskedBy != 0 {
		by := v.Who.Name()
		if v.AskedBy == v.Principal {
			by = v.Whose.Name()
		}
		add("f-asked-by", by)
	}
	add("f-operator", c.operatorName(r, v.Operator))
	add("f-created", moment(v.Created))
	add("f-changed", moment(v.Changed))
	add("f-reason-last", v.Reason)
	return out
}

// mandateFailed: a mandate that is not there, or another ente's, is not found.
func mandateFailed(err error) error {
	switch {
	case errors.Is(err, mandate.ErrNotFound):
		return errNotFound
	case errors.Is(err, mandate.ErrSelf):
		return person.ErrSelf
	}
	return err
}

func (c *Console) mandateDone(r *request, err error, what string) error {
	var invalid *mandate.InvalidError
	var refused *attachment.Refused
	switch {
	case err == nil:
		one := mandatesPath + "/" + r.r.PathValue("mandate")
		return r.done(one, what)
	case errors.Is(err, foureyes.ErrPending):
		return r.done(mandatesPath+"/"+r.r.PathValue("mandate"), "pending")
	case errors.As(err, &invalid):
		return c.showMandate(r, http.StatusUnprocessableEntity, r.T("delega.invalid-"+invalid.Code))
	case errors.As(err, &refused):
		return c.showMandate(r, http.StatusUnprocessableEntity, r.T("attachment."+refused.Code))
	case errors.Is(err, mandate.ErrReason):
		return c.showMandate(r, http.StatusUnprocessableEntity, r.T("delega.reason"))
	case errors.Is(err, mandate.ErrProofs):
		return c.showMandate(r, http.StatusConflict, r.T("delega.scans-many"))
	case errors.Is(err, mandate.ErrState):
		return c.showMandate(r, http.StatusConflict, r.T("delega.state"))
	}
	return mandateFailed(err)
}

func (c *Console) mandateDecide(r *request) error {
	accept, what := r.value("accept") != "", "delega.refused"
	proof := strings.Trim(r.value("document")+", "+r.value("number"), ", ")
	if accept {
		what = "delega.accepted"
	}
	return c.mandateDone(r, c.Rooms.Mandates.DecideAtDesk(r.ctx(), r.actor(), r.r.PathValue("mandate"), accept, proof, r.value("why")), what)
}

func (c *Console) mandateRevoke(r *request) error {
	return c.mandateDone(r, c.Rooms.Mandates.RevokeAtDesk(r.ctx(), r.actor(), r.r.PathValue("mandate"), r.value("why")), "delega.revoked")
}

func (c *Console) mandateProof(r *request) error {
	f, head, err := r.upload("file")
	if err != nil {
		return c.mandateDone(r, err, "")
	}
	_, err = c.Rooms.Mandates.AddProof(r.ctx(), r.actor(), r.r.PathValue("mandate"), head.Filename, f, head.Size)
	return c.mandateDone(r, errors.Join(err, f.Close()), "delega.scan-added")
}

func (c *Console) mandateProofFile(r *request) error {
	p, f, err := c.Rooms.Mandates.OpenProof(r.ctx(), r.actor(), r.r.PathValue("mandate"), r.r.PathValue("proof"))
	switch {
	case errors.Is(err, mandate.ErrScan):
		return c.showMandate(r, http.StatusConflict, r.T("delega.scan-infected"))
	case errors.Is(err, attachment.ErrScanner):
		return c.showMandate(r, http.StatusServiceUnavailable, r.T("delega.scan-waiting"))
	case err != nil:
		return mandateFailed(err)
	}
	return r.handOver(p.Name, p.Kind.MediaType(), f)
}

// upload opens a file of a form; none is attachment.Refused, "empty".
func (r *request) upload(name string) (multipart.File, *multipart.FileHeader, error) {
	if r.r.MultipartForm == nil {
		return nil, nil, &attachment.Refused{Code: "empty", Detail: "no file"}
	}
	f, head, err := r.r.FormFile(name)
	if errors.Is(err, http.ErrMissingFile) {
		return nil, nil, &attachment.Refused{Code: "empty", Detail: "no file"}
	}
	return f, head, err
}
