package portal

import (
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/citel-pa/citel/server/attachment"
	"github.com/citel-pa/citel/server/denial"
	"github.com/citel-pa/citel/server/mandate"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/session"
)

// mandateRoutes: acting for another.
var mandateRoutes = []route{ //nolint:gochecknoglobals // a table
	{"GET /deleghe", mandate.LevelAct, (*Portal).mandates, false},
	{"POST /deleghe/opera", mandate.LevelAct, (*Portal).act, false},
	{"GET /deleghe/nuova", mandate.LevelAct, (*Portal).mandateNew, false},
	{"POST /deleghe/nuova", mandate.LevelAct, (*Portal).mandateAsk, false},
	{"POST /deleghe/{id}/accetta", mandate.LevelAct, (*Portal).mandateAccept, false},
	{"POST /deleghe/{id}/rifiuta", mandate.LevelAct, (*Portal).mandateRefuse, false},
	{"POST /deleghe/{id}/revoca", mandate.LevelAct, (*Portal).mandateRevoke, false},
	{"GET /deleghe/{id}/prova", mandate.LevelAct, (*Portal).mandateProof, false},
}

// acting is for whom the visitor acts, for the banner.
type acting struct {
	*mandate.Mandate
	Name string
}

// errMandateOver: what a page was sent for cannot be done for the other one any more, and is
// not done for oneself in its place.
var errMandateOver = errors.New("portal: the mandate holds no more")

// loadMandate asks whether the mandate that the session has chosen holds now. In another
// ente it is nothing.
func (r *request) loadMandate() error {
	if r.session.Mandate == "" || r.person == nil || r.level < mandate.LevelAct {
		return nil
	}
	m, err := r.p.Rooms.Mandates.Acting(r.ctx(), r.ente.Code, r.session.Mandate, r.person.ID)
	switch {
	case errors.Is(err, mandate.ErrState):
		r.mandateOver = true
		if err := r.p.Sessions.SetMandate(r.ctx(), r.session, ""); err != nil {
			return err
		}
		if r.r.Method != http.MethodGet && r.r.Method != http.MethodHead && r.r.URL.Path != "/esci" {
			return errMandateOver
		}
		return nil
	case errors.Is(err, mandate.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	principal, err := person.Get(r.ctx(), r.p.Store, m.Principal)
	if err != nil {
		return err
	}
	r.mandate, r.actsFor = m.ID, &acting{m, principal.Name()}
	return nil
}

// Acting is for whom the visitor acts; nil for oneself.
func (v *view) Acting() *acting { return v.actsFor }

// MandateOver tells that the mandate that was chosen has ended meanwhile.
func (v *view) MandateOver() bool { return v.mandateOver }

// act chooses for whom the visitor acts in this session.
func (p *Portal) act(r *request) error {
	if err := r.read(); err != nil {
		return err
	}
	id := r.r.PostForm.Get("delega")
	if id != "" {
		if _, err := p.Rooms.Mandates.Acting(r.ctx(), r.ente.Code, id, r.person.ID); err != nil {
			return err
		}
	}
	if err := p.Sessions.SetMandate(r.ctx(), r.session, id); err != nil {
		return err
	}
	return r.to(r.local(r.r.PostForm.Get("poi")))
}

// mandateRow is a mandate as the visitor sees it.
type mandateRow struct {
	*mandate.Mandate
	Mine    bool // the visitor acts
	Other   string
	Code    string
	Names   []string // of the scope's services
	Holds   bool
	Chosen  bool
	Decide  bool // it waits for the visitor
	Card    bool // accepting needs a card, and there is none
	AtDesk  bool // it waits for the desk
	Own     bool // the visitor's own proof
	Revoke  bool
	Expired bool
}

// mandates lists those that the visitor has and gave, asked and granted.
func (p *Portal) mandates(r *request) error {
	all, err := p.Rooms.Mandates.Of(r.ctx(), r.ente.Code, r.person.ID)
	if err != nil {
		return err
	}
	titles, err := r.titles()
	if err != nil {
		return err
	}
	var waiting, have, gave, past []mandateRow
	for _, m := range all {
		x, err := r.mandateRow(m, titles)
		if err != nil {
			return err
		}
		switch {
		case m.State == mandate.Asked:
			waiting = append(waiting, x)
		case m.State != mandate.Active || x.Expired:
			past = append(past, x)
		case x.Mine:
			have = append(have, x)
		default:
			gave = append(gave, x)
		}
	}
	cut := 0
	if len(all) >= mandate.Listed {
		cut = len(all)
	}
	return r.render("deleghe", "mandate.title", map[string]any{"Cut": cut, "Waiting": waiting, "Have": have, "Gave": gave, "Past": past,
		"Lists": []mandateList{{"waiting", waiting}, {"have", have}, {"gave", gave}, {"past", past}}})
}

type mandateList struct {
	Name string
	Rows []mandateRow
}

// titles are the services' names by id.
func (r *request) titles() (map[string]string, error) {
	all, err := r.p.Rooms.Services.List(r.ctx(), r.ente.Code)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, s := range all {
		out[s.ID] = s.Title.In(r.lang)
	}
	return out, nil
}

func (r *request) mandateRow(m *mandate.Mandate, titles map[string]string) (mandateRow, error) {
	me := r.person.ID
	x := mandateRow{Mandate: m, Mine: m.Agent == me}
	id := m.Agent
	if x.Mine {
		id = m.Principal
	}
	other, err := person.Get(r.ctx(), r.p.Store, id)
	if err != nil {
		return x, err
	}
	if x.Code = other.CodiceFiscale; m.NamesOther(me) {
		x.Other = other.Name()
	}
	if x.Other == x.Code {
		x.Other = ""
	}
	for _, s := range m.Scope {
		name := titles[s]
		if name == "" {
			name = s
		}
		x.Names = append(x.Names, name)
	}
	now := r.p.now()
	x.Holds = m.Holds(now)
	x.Expired = m.Until != "" && m.Until < now.In(register.Rome()).Format("2006-01-02")
	x.Chosen = m.ID == r.mandate
	x.Decide = m.State == mandate.Asked && m.Kind == mandate.Delegate && m.AskedBy != me
	x.Card = x.Decide && !x.Mine && r.level < mandate.LevelGive
	x.AtDesk = m.State == mandate.Asked && m.Kind != mandate.Delegate
	x.Own = m.AskedBy == me && m.Kind != mandate.Delegate
	x.Revoke = !x.Expired && (m.State == mandate.Active || m.State == mandate.Asked && m.AskedBy == me)
	return x, nil
}

// mandateKind is what is asked for: the kinds of an address, with the titles that each
// proposes (a delegate's is free).
type mandateKind struct {
	Name   string
	Kind   mandate.Kind
	Giving bool
	Titles []string
}

var mandateKinds = []mandateKind{ //nolint:gochecknoglobals // a table
	{"chiedo", mandate.Delegate, false, nil},
	{"do", mandate.Delegate, true, nil},
	{"figlio", mandate.Minor, false, []string{"Genitore", "Tutore", "Affidatario"}},
	{"tutela", mandate.Ward, false, []string{"Tutore", "Curatore", "Amministratore di sostegno"}},
	{"azienda", mandate.Company, false, []string{"Legale rappresentante", "Titolare", "Procuratore"}},
}

func (r *request) mandateKind() *mandateKind {
	name := r.r.URL.Query().Get("tipo")
	if r.r.Method == http.MethodPost {
		name = r.r.PostForm.Get("tipo")
	}
	for i := range mandateKinds {
		if mandateKinds[i].Name == name {
			return &mandateKinds[i]
		}
	}
	return nil
}

// mandateNew asks which kind, and then for what it needs.
func (p *Portal) mandateNew(r *request) error {
	k := r.mandateKind()
	if k == nil {
		return r.render("delega", "mandate.new", map[string]any{"Kinds": mandateKinds, "Card": r.level < mandate.LevelGive})
	}
	if k.Giving {
		if err := r.enough(mandate.LevelGive); err != nil {
			return err
		}
	}
	return r.askMandate(http.StatusOK, k, nil, "")
}

// checked is a box of a list.
type checked struct {
	Value, Text string
	On          bool
}

func (r *request) askMandate(status int, k *mandateKind, wrong map[string]string, problem string) error {
	f := r.r.PostForm
	in := func(name, kind, autocomplete string) input {
		x := input{Name: name, Type: kind, Label: r.T("mandate.field-" + name), Value: f.Get(name), Error: wrong[name], Autocomplete: autocomplete}
		if key := "mandate.help-" + name; r.T(key) != key {
			x.Help = r.T(key)
		}
		return x
	}
	code := in("codice", "text", "off")
	code.Label = r.T("mandate.code-" + k.Name)
	if k.Kind == mandate.Company {
		code.Help = r.T("mandate.help-codice-company")
	}
	inputs := []input{code}
	if k.Kind != mandate.Delegate {
		if k.Kind == mandate.Company {
			x := in("cognome", "text", "organization")
			x.Label = r.T("mandate.field-company")
			inputs = append(inputs, x)
		} else {
			inputs = append(inputs, in("nome", "text", "off"), in("cognome", "text", "off"))
		}
	}
	title := in("titolo", "text", "off")
	if k.Titles != nil {
		title.Type = "choice"
		for _, t := range k.Titles {
			title.Options = append(title.Options, [2]string{t, t})
		}
	} else if title.Value == "" && f == nil {
		title.Value = r.T("mandate.delegate")
	}
	since, until := in("dal", "date", ""), in("al", "date", "")
	until.Optional = true
	if since.Value == "" && f == nil {
		since.Value = r.p.now().In(register.Rome()).Format("2006-01-02")
	}
	inputs = append(inputs, title, since, until)
	if k.Kind != mandate.Delegate {
		inputs = append(inputs, in("prova", "file", ""))
	}
	services, err := r.mandateServices(k.Kind, f["servizi"])
	if err != nil {
		return err
	}
	var bad []input
	for _, x := range inputs {
		if x.Error != "" {
			bad = append(bad, x)
		}
	}
	r.status = status
	return r.render("delega", "mandate.new-"+k.Name, map[string]any{"Kind": k, "Inputs": inputs, "Services": services, "Wrong": bad, "Problem": problem})
}

// mandateServices are those that may be used by a mandate of a kind.
func (r *request) mandateServices(kind mandate.Kind, on []string) (out []checked, err error) {
	all, err := r.p.Rooms.Services.List(r.ctx(), r.ente.Code)
	for _, s := range all {
		if slices.Contains(s.Mandates, string(kind)) {
			out = append(out, checked{s.ID, s.Title.In(r.lang), slices.Contains(on, s.ID)})
		}
	}
	return out, err
}

// readUpload reads a form with a file, as read does one without. Whoever calls removes
// what was put aside.
func (r *request) readUpload(most int64) error {
	r.r.Body = http.MaxBytesReader(r.w, r.r.Body, most+maxForm)
	if err := r.r.ParseMultipartForm(1 << 20); err != nil && !errors.Is(err, http.ErrNotMultipart) { //nolint:gosec // the body is bounded above
		return errBadForm
	}
	if !r.checkCSRF(r.r.PostFormValue("csrf")) {
		return errCSRF
	}
	return nil
}

// mandateFields tells at which field an InvalidError's code belongs.
var mandateFields = map[string]string{ //nolint:gochecknoglobals // a table
	"code": "codice", "self": "codice", "of-age": "codice", "child": "codice", "birth": "codice", "kind": "codice", "age": "codice",
	"name": "cognome", "title": "titolo", "since": "dal", "past": "dal", "until": "al", "proof": "prova",
}

func (p *Portal) mandateAsk(r *request) error {
	if err := r.readUpload(attachment.DefaultBytes); err != nil {
		return err
	}
	defer func() {
		if r.r.MultipartForm != nil {
			_ = r.r.MultipartForm.RemoveAll()
		}
	}()
	k, f := r.mandateKind(), r.r.PostForm
	if k == nil {
		return r.to(r.base + "/deleghe/nuova")
	}
	w := mandate.Wish{Kind: k.Kind, Giving: k.Giving, Code: f.Get("codice"), Given: f.Get("nome"), Name: f.Get("cognome"), Title: f.Get("titolo"), Since: f.Get("dal"), Until: f.Get("al")}
	if k.Titles != nil && !slices.Contains(k.Titles, w.Title) {
		w.Title = ""
	}
	services, err := r.mandateServices(k.Kind, f["servizi"])
	if err != nil {
		return err
	}
	if f.Get("tutti") == "" {
		for _, s := range services {
			if s.On {
				w.Scope = append(w.Scope, s.Value)
			}
		}
		if len(w.Scope) == 0 {
			return r.askMandate(http.StatusUnprocessableEntity, k, map[string]string{}, r.T("mandate.no-scope"))
		}
	}
	if file, head, err := r.r.FormFile("prova"); err == nil && head.Size > 0 {
		defer func() { _ = file.Close() }()
		w.Proof, w.Size, w.File = file, head.Size, head.Filename
	}
	_, err = p.Rooms.Mandates.Ask(r.ctx(), r.ente.Code, r.by(), w)
	wrong, problem := r.mandateProblem(err)
	if problem == "" && len(wrong) == 0 {
		if err != nil {
			return err
		}
		return r.to(r.base + "/deleghe?fatto=chiesta")
	}
	return r.askMandate(http.StatusUnprocessableEntity, k, wrong, problem)
}

// mandateProblem gives the sentences of an error that a person can mend.
func (r *request) mandateProblem(err error) (wrong map[string]string, problem string) {
	var invalid *mandate.InvalidError
	var refused *attachment.Refused
	switch {
	case errors.As(err, &invalid):
		text := r.T("mandate.invalid-" + invalid.Code)
		if field := mandateFields[invalid.Code]; field != "" {
			return map[string]string{field: text}, ""
		}
		return nil, text
	case errors.As(err, &refused):
		return map[string]string{"prova": r.T("attachment." + refused.Code)}, ""
	case errors.Is(err, mandate.ErrProof):
		return map[string]string{"prova": r.T("mandate.invalid-proof")}, ""
	case errors.Is(err, attachment.ErrScanner):
		return nil, r.T("mandate.no-scanner")
	case errors.Is(err, mandate.ErrTooMany):
		return nil, r.T("mandate.too-many")
	case errors.Is(err, mandate.ErrThere):
		return nil, r.T("mandate.there")
	}
	return nil, ""
}

func (r *request) by() mandate.By {
	return mandate.By{Person: r.person.ID, Level: r.level, Address: r.from()}
}

func (p *Portal) mandateAccept(r *request) error { return r.mandateDecide(true, "accettata") }

func (p *Portal) mandateRefuse(r *request) error { return r.mandateDecide(false, "rifiutata") }

func (r *request) mandateDecide(accept bool, done string) error {
	if err := r.read(); err != nil {
		return err
	}
	err := r.p.Rooms.Mandates.Decide(r.ctx(), r.ente.Code, r.r.PathValue("id"), r.by(), accept)
	if _, problem := r.mandateProblem(err); problem != "" || errors.Is(err, mandate.ErrInvalid) {
		return r.refuse(http.StatusConflict, "mandate.not-possible", r.T("mandate.not-possible-now"))
	}
	if err != nil {
		return other(denial.Mandate, r.r.PathValue("id"), err)
	}
	return r.to(r.base + "/deleghe?fatto=" + done)
}

func (p *Portal) mandateRevoke(r *request) error {
	if err := r.read(); err != nil {
		return err
	}
	id := r.r.PathValue("id")
	if err := p.Rooms.Mandates.Revoke(r.ctx(), r.ente.Code, id, r.by(), "online"); err != nil {
		return other(denial.Mandate, id, err)
	}
	if r.session.Mandate == id {
		if err := p.Sessions.SetMandate(r.ctx(), r.session, ""); err != nil {
			return err
		}
	}
	return r.to(r.base + "/deleghe?fatto=revocata")
}

// mandateProof gives the visitor the own proof back, as a download that acts nowhere.
func (p *Portal) mandateProof(r *request) error {
	proof, f, err := p.Rooms.Mandates.OwnProof(r.ctx(), r.ente.Code, r.r.PathValue("id"), r.person.ID)
	if err != nil {
		return other(denial.Mandate, r.r.PathValue("id"), err)
	}
	return r.download(f, proof.Kind.MediaType(), proof.Name)
}

// refuse says why something is not done.
func (r *request) refuse(status int, title, body string) error {
	r.status = status
	return r.render("error", title, map[string]any{"Body": body})
}

// mandateStep leads to the card, and back to the mandates.
func (r *request) mandateStep() error {
	return r.to(r.base + "/accedi?" + url.Values{"poi": {r.base + "/deleghe"}, "serve": {session.Forte.String()}}.Encode())
}
