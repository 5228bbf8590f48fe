package console

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/citel-pa/citel/server/envelope"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/role"
)

// "Rilascio credenziali in busta": Persona and Azienda are one form, whose middle differs.

// releaseStep is what happened to a form so far.
type releaseStep struct {
	status   int
	errs     person.Errors
	warnings []string
	wrong    string // a sentence
	next     *nextStep
	news     string // what Verifica Precedenti found
	known    string // the code whose account the operator was told of
	replace  bool   // the question of a second credential is open
}

// nextStep is a link to what a person can do now.
type nextStep struct{ Text, Path string }

func (r *request) kindOf() (company bool, err error) {
	switch r.r.PathValue("kind") {
	case "persona":
		return false, nil
	case "azienda":
		return true, nil
	}
	return false, errNotFound
}

func (c *Console) releasePage(r *request) error {
	company, err := r.kindOf()
	if err != nil {
		return err
	}
	in := envelope.Release{Form: &person.Form{}, Code: r.r.URL.Query().Get("busta")}
	if company {
		in = envelope.Release{Company: &person.Company{}, Code: in.Code}
	}
	return c.askRelease(r, in, releaseStep{status: http.StatusOK})
}

func (r *request) documentKinds() []option {
	out := []option{{"", r.T("console.choose-one")}}
	for _, k := range envelope.DocumentKinds {
		out = append(out, option{k, r.T("desk.document-" + k)})
	}
	return out
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

func (c *Console) askRelease(r *request, in envelope.Release, s releaseStep) error {
	b := builder{r, "", s.errs}
	envelopeField := b.add("envelope*", "text", in.Code)
	envelopeField.Inputmode = "numeric"
	parts := []section{{r.T("console.s-envelope"), []field{envelopeField, b.add("byPost", "check", yes(in.ByPost))}}}
	warned := len(s.warnings) > 0
	if x := in.Company; x != nil {
		of := builder{r, "company.", s.errs}
		parts = append(parts, section{r.T("console.s-company"), []field{
			of.add("code*", "text", x.Code), of.add("name*", "text", x.Name), of.add("seat*", "text", x.Seat), of.add("vat*", "text", x.VAT), of.add("pec", "email", x.PEC), of.add("title*", "text", x.Title),
		}})
		who := r.personSections("representative.", x.Representative, s.errs, warned, true)
		for i := range who {
			who[i].Title = r.T("console.s-representative") + ": " + who[i].Title
		}
		who[1].Fields = who[1].Fields[:len(who[1].Fields)-1] // a company's category is its own
		parts = append(parts, who...)
	} else {
		parts = append(parts, r.personSections("", *in.Form, s.errs, warned, true)...)
	}
	d := builder{r, "document.", s.errs}
	parts = append(parts, section{r.T("console.s-document"), []field{
		d.add("kind*", "choice", in.Document.Kind, r.documentKinds()...), d.add("number*", "text", in.Document.Number), d.add("issuer*", "text", in.Document.Issuer),
		d.add("issued*", "text", in.Document.Issued), d.add("expires*", "text", in.Document.Expires),
	}})
	if s.replace || in.Replace {
		parts = append(parts, section{r.T("console.s-replace"), []field{b.add("replace", "check", yes(in.Replace))}})
	}
	kind, title := "persona", "console.m-release-person"
	if in.Company != nil {
		kind, title = "azienda", "console.m-release-company"
	}
	path := Prefix + "/rilascio/" + kind
	f := &form{Action: path, Cancel: path, Sections: parts, Warnings: r.warnings(s.warnings), Check: true, Hidden: map[string]string{"known": s.known}}
	return r.page(s.status, "form", r.T(title), data{"Intro": r.T("console.release-intro"), "Form": f, "Wrong": s.wrong, "Next": s.next, "News": s.news})
}

func (r *request) readRelease(company bool) envelope.Release {
	in := envelope.Release{
		Code: r.value("envelope"), ByPost: r.value("byPost") != "", Replace: r.value("replace") != "",
		Document: envelope.Document{
			Kind: r.value("document.kind"), Number: r.value("document.number"), Issuer: r.value("document.issuer"),
			Issued: bornTyped(r.value("document.issued")), Expires: bornTyped(r.value("document.expires")),
		},
	}
	if company {
		in.Company = &person.Company{
			Code: r.value("company.code"), Name: r.value("company.name"), Seat: r.value("company.seat"), VAT: r.value("company.vat"),
			PEC: r.value("company.pec"), Title: r.value("company.title"), Representative: r.readPerson("representative."),
		}
		return in
	}
	f := r.readPerson("")
	in.Form = &f
	return in
}

func (c *Console) release(r *request) error {
	company, err := r.kindOf()
	if err != nil {
		return err
	}
	in := r.readRelease(company)
	check := r.value("act") == "check"
	clean, wrong := c.Rooms.Envelopes.Check(in)
	s := releaseStep{status: http.StatusOK, known: r.value("known")}
	if wrong != nil {
		s.errs, s.warnings, s.status = wrong.Errs, wrong.Warnings, http.StatusUnprocessableEntity
	}
	kind, code := person.Natural, ""
	if company {
		kind, code = person.Corporate, clean.Company.Code
	} else {
		code = clean.Form.Code
	}
	// Who the account is, is told before the envelope is given away, once.
	if check || wrong == nil && s.known != code {
		found, err := c.Rooms.People.Precedents(r.ctx(), r.actor(), kind, code)
		switch {
		case errors.Is(err, role.ErrDenied):
			return err
		case err != nil:
			s.status = http.StatusUnprocessableEntity // the code is wrong, and its field says so
		case found.Dead:
			s.wrong, s.status = r.T("desk.envelope-dead"), http.StatusConflict
			s.next = r.personNext(found.Here)
		case found.Exists:
			s.news, s.known = r.T("console.exists"), code
			if found.Here != nil {
				s.news = r.T("console.exists-here", "name", found.Here.Name())
			}
		case check:
			s.news = r.T("console.exists-not")
		}
		if check || s.wrong != "" || s.news != "" {
			if s.status == http.StatusOK && !check {
				s.status = http.StatusConflict
			}
			return c.askRelease(r, in, s)
		}
	}
	if wrong != nil {
		return c.askRelease(r, in, s)
	}
	h, err := c.Rooms.Envelopes.HandOut(r.ctx(), r.actor(), in)
	if err == nil {
		return c.released(r, in, h)
	}
	name := envelope.Code(err)
	if name == "internal" {
		return err
	}
	s.status, s.wrong = http.StatusConflict, r.T("desk.envelope-"+name)
	s.replace = errors.Is(err, envelope.ErrHasMedia)
	s.next = r.envelopeNext(err, in.Code)
	return c.askRelease(r, in, s)
}

func (r *request) personNext(p *person.Person) *nextStep {
	if p == nil || !r.actor().Has(role.UsersRead) {
		return nil
	}
	return &nextStep{r.T("console.next-person"), Prefix + "/utenti/" + strconv.FormatInt(p.ID, 10)}
}

// envelopeNext is what the desk does about an envelope that cannot be handed out.
func (r *request) envelopeNext(err error, typed string) *nextStep {
	switch {
	case errors.Is(err, envelope.ErrUsed), errors.Is(err, envelope.ErrVoid):
		if code, err := envelope.ParseCode(typed); err == nil && r.actor().Has(role.EnvelopesRead) {
			return &nextStep{r.T("console.next-envelope"), Prefix + "/buste/" + code}
		}
	case errors.Is(err, envelope.ErrNotConfirmed):
		if r.actor().Has(role.EnvelopesPrint) {
			return &nextStep{r.T("console.next-batches"), Prefix + "/lotti"}
		}
	}
	return nil
}

// released shows the holder's code, once, with the form to print and sign.
func (c *Console) released(r *request, in envelope.Release, h *envelope.Handed) error {
	title, lead, steps := "console.released-title", "console.released-lead", "console.released-steps"
	if in.ByPost {
		title, lead, steps = "console.sent-title", "console.sent-lead", "console.sent-steps"
	}
	clean, _ := c.Rooms.Envelopes.Check(in)
	f, who := clean.Form, r.T("console.statement-person")
	facts := []fact{}
	if x := clean.Company; x != nil {
		f, who = &x.Representative, r.T("console.statement-company")
		facts = r.facts("f-name", x.Name, "f-code", x.Code, "f-vat", x.VAT, "f-seat", x.Seat, "f-pec", x.PEC, "f-title", x.Title)
	}
	facts = append(facts, r.facts("f-family", f.Family, "f-given", f.Given, "f-code", f.Code, "f-born", f.Born, "f-birthPlace", f.BirthPlace, "f-birthState", f.BirthState,
		"f-residence", f.Residence, "f-email", f.Email,
		"f-document", r.T("desk.document-"+clean.Document.Kind)+" "+clean.Document.Number+", "+clean.Document.Issuer+", "+clean.Document.Issued+" - "+clean.Document.Expires,
		"f-envelope", envelope.FormatCode(h.Envelope.Code))...)
	return r.page(http.StatusOK, "released", r.T(title), data{
		"Lead": r.T(lead), "Steps": r.T(steps), "Holder": h.Holder, "Facts": facts, "Statement": who, "Envelope": h.Envelope, "ByPost": in.ByPost,
		"At": c.now(), "Again": Prefix + "/rilascio/" + r.r.PathValue("kind"),
	})
}
