package console

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/envelope"
	"github.com/citel-pa/citel/server/mandate"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/submission"
)

// "Sportello assistito": an operator fills in for a person who is at the desk. Here is who
// the person is and what is begun; assisted_fill.go has the form, assisted_sign.go the
// signatures.

var assistedModule = menuModule{Title: "console.m-assisted", Groups: []menuGroup{{"", []menuLink{
	{Title: "assisted.m-list", Path: Prefix + "/assistita", Any: []role.Permission{role.AssistedFile}},
	{Title: "assisted.m-new", Path: Prefix + "/assistita/nuova", Any: []role.Permission{role.AssistedFile}},
}}}}

func init() {
	permitted(get, "/assistita", (*Console).assisted, role.AssistedFile)
	permitted(get, "/assistita/nuova", (*Console).assistedNew, role.AssistedFile)
	permitted(post, "/assistita/nuova", (*Console).assistedBegin, role.AssistedFile)
	permitted(get, "/assistita/{application}", (*Console).assistedOne, role.AssistedFile)
	permitted(get, "/assistita/{application}/passo/{step}", (*Console).assistedStep, role.AssistedFile)
	permitted(post, "/assistita/{application}/passo/{step}", (*Console).assistedSave, role.AssistedFile)
	permitted(get, "/assistita/{application}/allegati", (*Console).assistedFiles, role.AssistedFile)
	uploads("/assistita/{application}/allegati", (*Console).assistedAttach, role.AssistedFile)
	permitted(post, "/assistita/{application}/togli", (*Console).assistedDetach, role.AssistedFile)
	permitted(get, "/assistita/{application}/file/{file}", (*Console).assistedFile, role.AssistedFile)
	permitted(get, "/assistita/{application}/riepilogo", (*Console).assistedCheck, role.AssistedFile)
	permitted(post, "/assistita/{application}/riepilogo", (*Console).assistedMake, role.AssistedFile)
	permitted(get, "/assistita/{application}/documento.pdf", (*Console).assistedDocument, role.AssistedFile)
	permitted(get, "/assistita/{application}/firma", (*Console).assistedSign, role.AssistedFile)
	permitted(post, "/assistita/{application}/firma/foglio", (*Console).assistedPaper, role.AssistedFile)
	permitted(post, "/assistita/{application}/firma/codice", (*Console).assistedCode, role.AssistedFile)
	permitted(post, "/assistita/{application}/firma/conferma", (*Console).assistedConfirm, role.AssistedFile)
	uploads("/api/assistita/{application}/firma", (*Console).assistedCard, role.AssistedFile)
	permitted(post, "/assistita/{application}/invia", (*Console).assistedSend, role.AssistedFile)
	permitted(post, "/assistita/{application}/riapri", (*Console).assistedReopen, role.AssistedFile)
	permitted(post, "/assistita/{application}/elimina", (*Console).assistedDiscard, role.AssistedFile)
	permitted(get, "/assistita/{application}/ricevuta.pdf", (*Console).assistedReceipt, role.AssistedFile)
}

const assistedPath = Prefix + "/assistita"

// shownDays is how long what was sent stays in the operator's list.
const shownDays = 7

func (r *request) heading(area string, keys ...string) (out []string) {
	for _, k := range keys {
		out = append(out, r.T(area+"."+k))
	}
	return out
}

// applicationState is the sentence of a state.
func (r *request) applicationState(s submission.State) string {
	switch s {
	case submission.StateDraft, submission.StateToSign:
		return r.T("assisted.state-" + string(s))
	}
	return r.T("assisted.state-sent")
}

func (c *Console) assisted(r *request) error {
	list, err := c.Rooms.Applications.AtDesk(r.ctx(), r.actor(), shownDays)
	if err != nil {
		return err
	}
	t := &table{ID: "assisted", Caption: r.T("assisted.list"), Empty: r.T("console.none"), Head: r.heading("assisted", "f-service", "f-person", "f-state", "f-number", "f-started")}
	for _, a := range list {
		who, err := c.Rooms.Applications.Who(r.ctx(), a)
		if err != nil {
			return err
		}
		t.Rows = append(t.Rows, []cell{{Text: a.Service.Title.In(r.lang), Link: assistedPath + "/" + a.ID}, {Text: whoLine(who)}, {Text: r.applicationState(a.State)}, {Text: a.Protocol()}, {Text: moment(a.Created)}})
	}
	intro := r.T("assisted.intro", "days", shownDays)
	if len(list) >= submission.Listed {
		intro += " " + r.T("assisted.list-cut", "n", len(list))
	}
	return r.page(http.StatusOK, "list", r.T("console.m-assisted"), data{"Intro": intro, "Table": t, "Links": []nextStep{{r.T("assisted.m-new"), assistedPath + "/nuova"}}})
}

// whoLine names whoever is at the desk, and for whom.
func whoLine(w *submission.Who) string {
	if w.Agent == nil {
		return w.Owner.Name()
	}
	return w.Agent.Name() + " (" + w.Owner.Name() + ")"
}

// beginning is the form of a new one.
type beginning struct {
	ID, Service string
	Who         person.Party
	Email       string
	Document    envelope.Document
	Other       bool
	Mandate     string
	mandates    []option // of the person, once they are known
}

func (c *Console) assistedNew(r *request) error {
	return c.askAssisted(r, http.StatusOK, beginning{ID: store.NewID(), Service: r.query("servizio")}, nil, "")
}

// offered lists the services that can be begun at a desk now.
func (c *Console) offered(r *request) (out []*service.Version, err error) {
	all, err := c.Rooms.Services.List(r.ctx(), r.operator.Ente)
	for _, s := range all {
		if s.Open(c.now()) && !s.Off {
			out = append(out, s)
		}
	}
	return out, err
}

func (c *Console) askAssisted(r *request, status int, in beginning, errs map[string]string, wrong string) error {
	services, err := c.offered(r)
	if err != nil {
		return err
	}
	options := []option{{"", r.T("console.choose-one")}}
	for _, s := range services {
		options = append(options, option{s.ID, s.Title.In(r.lang)})
	}
	ask := func(name, kind, value string, options ...option) field {
		return r.question("assisted", name, kind, value, errs, options...)
	}
	acts := section{r.T("assisted.s-for"), []field{ask("other", "check", yes(in.Other))}}
	if len(in.mandates) > 0 {
		acts.Fields = append(acts.Fields, ask("mandate*", "choice", in.Mandate, append([]option{{"", r.T("console.choose-one")}}, in.mandates...)...))
	}
	x := in.Document
	f := &form{Action: assistedPath + "/nuova", Cancel: assistedPath, Submit: r.T("assisted.begin"), Hidden: map[string]string{"id": in.ID}, Sections: []section{
		{r.T("assisted.s-service"), []field{ask("service*", "choice", in.Service, options...)}},
		{r.T("assisted.s-person"), []field{ask("code*", "text", in.Who.Code), ask("family*", "text", in.Who.Family), ask("given", "text", in.Who.Given), ask("checked", "check", yes(in.Who.Checked)), ask("email", "email", in.Email)}},
		{r.T("assisted.s-document"), []field{
			ask("document.kind*", "choice", x.Kind, r.documentKinds()...), ask("document.number*", "text", x.Number), ask("document.issuer*", "text", x.Issuer),
			ask("document.issued*", "text", x.Issued), ask("document.expires*", "text", x.Expires),
		}},
		acts,
	}}
	return r.page(status, "form", r.T("assisted.m-new"), data{"Intro": r.T("assisted.new-intro"), "Form": f, "Wrong": wrong})
}

func (r *request) readBeginning() beginning {
	return beginning{
		ID: r.value("id"), Service: r.value("service"), Email: r.value("email"), Other: r.value("other") != "", Mandate: r.value("mandate"),
		Who: person.Party{Kind: person.Natural, Code: r.value("code"), Family: r.value("family"), Given: r.value("given"), Checked: r.value("checked") != ""},
		Document: envelope.Document{
			Kind: r.value("document.kind"), Number: r.value("document.number"), Issuer: r.value("document.issuer"),
			Issued: bornTyped(r.value("document.issued")), Expires: bornTyped(r.value("document.expires")),
		},
	}
}

// assistedBegin identifies the person and begins the draft. A form that is sent twice
// begins one.
func (c *Console) assistedBegin(r *request) error {
	in := r.readBeginning()
	errs := map[string]string{}
	who, wrong := in.Who.Check()
	for k, code := range wrong {
		errs[k] = r.T("desk." + code)
	}
	document, wrong := in.Document.Check(c.now())
	for k, code := range wrong {
		errs["document."+k] = r.T("desk." + code)
	}
	if in.Email != "" && !person.IsEmail(in.Email) {
		errs["email"] = r.T("desk.email")
	}
	if in.Service == "" {
		errs["service"] = r.T("assisted.choose-service")
	}
	if len(errs) > 0 {
		return c.askAssisted(r, http.StatusUnprocessableEntity, in, errs, "")
	}
	p, err := c.Rooms.People.Stand(r.ctx(), r.actor(), who)
	if err != nil {
		return err
	}
	v := submission.Visitor{Ente: r.operator.Ente, Person: p, Email: in.Email, Address: c.address(r.r), Operator: c.actorOf(r),
		Shown: message.Text(message.Italian, "desk.document-"+document.Kind) + " " + document.Number + ", " + document.Issuer + ", " + document.Issued}
	if in.Other {
		if in.mandates, err = c.mandatesOf(r, p, in.Service); err != nil {
			return err
		}
		if len(in.mandates) == 0 {
			errs["other"] = r.T("assisted.no-mandate")
			return c.askAssisted(r, http.StatusUnprocessableEntity, in, errs, "")
		}
		if in.Mandate == "" {
			errs["mandate"] = r.T("assisted.choose-mandate")
			return c.askAssisted(r, http.StatusUnprocessableEntity, in, errs, "")
		}
		v.Mandate = in.Mandate
	}
	a, err := c.Rooms.Applications.Begin(r.ctx(), v, in.Service, in.ID, nil)
	switch {
	case err == nil:
		return r.done(assistedPath+"/"+a.ID, "assisted.started")
	case errors.Is(err, submission.ErrBegun):
		r.redirect(assistedPath + "/" + c.Rooms.Applications.DraftID(in.ID))
		return nil
	}
	if text := r.refusedText(err); text != "" {
		return c.askAssisted(r, http.StatusUnprocessableEntity, in, nil, text)
	}
	if errors.Is(err, service.ErrNotFound) {
		return errNotFound
	}
	return err
}

// actorOf is the operator as a visitor has it.
func (c *Console) actorOf(r *request) *role.Actor {
	a := r.actor()
	return &a
}

// mandatesOf lists those by which a person acts in a service now.
func (c *Console) mandatesOf(r *request, p *person.Person, serviceID string) (out []option, err error) {
	all, err := c.Rooms.Mandates.ActsBy(r.ctx(), r.actor(), p.ID, serviceID)
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		out = append(out, option{m.ID, m.Whose.Name() + ", " + m.Whose.CodiceFiscale + " (" + m.Title + ")"})
	}
	return out, nil
}

// refusedText is the sentence of what an application is refused with; empty: another error.
func (r *request) refusedText(err error) string {
	code := submission.Code(err)
	if errors.Is(err, mandate.ErrNotFound) {
		code = "mandate"
	}
	if code == "internal" || code == "not-found" {
		return ""
	}
	for _, area := range []string{"application.", "submission."} {
		if message.Has(area + code) {
			return r.T(area + code)
		}
	}
	return ""
}

// desk is a draft of the operator's with who is at the desk for it.
type desk struct {
	*submission.Application
	v submission.Visitor
	w *submission.Who
}

// path is the draft's address.
func (d *desk) path() string { return assistedPath + "/" + d.ID }

// atDesk reads the application of the address: the operator's own, in the own ente.
func (c *Console) atDesk(r *request) (*desk, error) {
	v := submission.Visitor{Ente: r.operator.Ente, Address: c.address(r.r), Operator: c.actorOf(r)}
	a, err := c.Rooms.Applications.Get(r.ctx(), v, r.r.PathValue("application"))
	if errors.Is(err, submission.ErrNotFound) {
		return nil, errNotFound
	}
	if err != nil {
		return nil, err
	}
	d := &desk{Application: a, v: v}
	if d.w, err = c.Rooms.Applications.Who(r.ctx(), a); err != nil {
		return nil, err
	}
	d.v.Person, d.v.Mandate, d.v.Email = d.w.Owner, a.Mandate, a.Email
	if d.w.Agent != nil {
		d.v.Person = d.w.Agent
	}
	return d, nil
}

// stateOnly lets a page go on in one state alone; else it leads to where the draft is.
func (r *request) stateOnly(d *desk, in submission.State) bool {
	if d.State == in {
		return true
	}
	r.redirect(r.c.assistedNext(d))
	return false
}

// assistedNext is where a draft goes on.
func (c *Console) assistedNext(d *desk) string {
	switch d.State {
	case submission.StateDraft:
		_, errs := d.Service.Validate(func(id string) string { return d.Fields[id] }, c.now(), true)
		if n := d.Service.FirstWrong(errs); n > 0 {
			return d.path() + "/passo/" + strconv.Itoa(n)
		}
		return d.path() + "/riepilogo"
	case submission.StateToSign:
		return d.path() + "/firma"
	}
	return d.path()
}

// facts name person, principal, service: they stand on every page of a draft.
func (c *Console) deskFacts(r *request, d *desk) (out []fact) {
	add := func(key, value string) {
		if value != "" {
			out = append(out, fact{Label: r.T("assisted." + key), Value: value})
		}
	}
	add("f-service", d.Service.Title.In(r.lang))
	if d.w.Agent != nil {
		add("f-person", d.w.Agent.Name()+", "+d.w.Agent.CodiceFiscale)
		add("f-acts-for", d.w.Owner.Name()+", "+d.w.Owner.CodiceFiscale+" ("+d.w.Title+")")
	} else {
		add("f-person", d.w.Owner.Name()+", "+d.w.Owner.CodiceFiscale)
	}
	add("f-operator", d.w.Operator)
	if ends := c.Rooms.Applications.DraftEnds(d.Application); !ends.IsZero() {
		out = append(out, fact{Label: r.T("limit.draft-last"), Value: ends.Format("02/01/2006")})
	}
	return out
}

// deskPage is a page of a draft, with who it is for.
func (c *Console) deskPage(r *request, status int, name, title string, d *desk, more data) error {
	more["Facts"], more["Path"], more["A"] = c.deskFacts(r, d), d.path(), d.Application
	return r.page(status, name, title, more)
}

// assistedOne shows what was sent; a draft goes on.
func (c *Console) assistedOne(r *request) error {
	d, err := c.atDesk(r)
	if err != nil {
		return err
	}
	if !d.State.AtOffice() {
		next := c.assistedNext(d)
		if done := r.query("fatto"); done != "" {
			next += "?fatto=" + done
		}
		r.redirect(next)
		return nil
	}
	facts := c.deskFacts(r, d)
	add := func(key, value string) {
		if value != "" {
			facts = append(facts, fact{Label: r.T("assisted." + key), Value: value})
		}
	}
	add("f-state", r.applicationState(d.State))
	add("f-number", d.Reference())
	add("f-sent", moment(d.Sent))
	add("f-office", d.Office)
	add("f-due", dayOf(d.Due))
	add("f-valid", strings.Join(d.Letters(r.lang), "; "))
	var links []nextStep
	if d.Service.Act != service.SelfCertification {
		links = append(links, nextStep{r.T("assisted.receipt"), d.path() + "/ricevuta.pdf"})
	}
	links = append(links, nextStep{r.T("assisted.document"), d.path() + "/documento.pdf"}, nextStep{r.T("assisted.m-new"), assistedPath + "/nuova"})
	return r.page(http.StatusOK, "show", r.T("assisted.sent-title"), data{"Facts": facts, "Links": links, "Intro": r.T("assisted.sent-intro")})
}
