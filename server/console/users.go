package console

import (
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/credential"
	"github.com/citel-pa/citel/server/foureyes"
	"github.com/citel-pa/citel/server/pdf"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/role"
)

func moment(t time.Time) string { return t.In(register.Rome()).Format("02/01/2006 15:04:05") }

// users is "Elenco utenti"; the menu's other words lead here first, to find the person.
func (c *Console) users(r *request) error {
	after, _ := strconv.ParseInt(r.query("dopo"), 10, 64)
	q := person.Query{Code: r.query("code"), Family: r.query("family"), Given: r.query("given"), After: after}
	do := r.query("fare")
	title := map[string]string{"stato": "user-state", "credenziale": "credential-state", "log": "user-log", "modifica": "credential-change", "reset": "user-reset"}[do]
	d := data{}
	if title == "" {
		title, do = "users-list", ""
	} else {
		d["Intro"] = r.T("console.find-first")
	}
	// A list of everybody is asked for, never stumbled upon.
	asked := q.Code+q.Family+q.Given != "" || do == "" || after > 0
	t := &table{ID: "users", Caption: r.T("console.m-users-list"), Empty: r.T("console.none"), Head: r.heads("f-code", "f-person", "f-kind-of", "f-state")}
	if asked {
		list, err := c.Rooms.People.Search(r.ctx(), r.actor(), q)
		if err != nil {
			return err
		}
		for _, p := range list {
			to := Prefix + "/utenti/" + strconv.FormatInt(p.ID, 10)
			if do == "log" {
				to += "/log"
			}
			state := r.T("console.alive")
			if !p.Dead.IsZero() {
				state = r.T("console.dead")
			}
			t.Rows = append(t.Rows, []cell{{Text: p.CodiceFiscale, Link: to, Mono: true}, {Text: p.Name()}, {Text: r.T("console.kind-" + string(p.Kind))}, {Text: state}})
		}
		if len(list) == person.PageSize {
			d["More"] = Prefix + "/utenti?" + url.Values{"fare": {do}, "code": {q.Code}, "family": {q.Family}, "given": {q.Given}, "dopo": {strconv.FormatInt(list[len(list)-1].ID, 10)}}.Encode()
		}
		d["Table"] = t
	}
	b := builder{request: r}
	d["Filter"] = []field{rename(b.add("code", "text", q.Code), "code"), b.add("family", "text", q.Family), b.add("given", "text", q.Given)}
	d["FilterAction"], d["FilterHidden"] = Prefix+"/utenti", map[string]string{"fare": do}
	return r.page(http.StatusOK, "list", r.T("console.m-"+title), d)
}

// user is "Visualizza stato utente".
func (c *Console) user(r *request) error {
	id, err := r.id()
	if err != nil {
		return err
	}
	return c.showUser(r, id, http.StatusOK, "")
}

func (c *Console) showUser(r *request, id int64, status int, wrong string) error {
	f, err := c.Rooms.People.Open(r.ctx(), r.actor(), id)
	if err != nil {
		return err
	}
	p := f.Person
	facts := r.facts("f-person", p.Name(), "f-code", p.CodiceFiscale, "f-kind-of", r.T("console.kind-"+string(p.Kind)))
	if !p.Dead.IsZero() {
		facts = append(facts, r.facts("f-state", r.T("console.dead")+", "+moment(p.Dead))...)
	}
	facts = append(facts, r.recordFacts(f.Record)...)
	list, err := c.Rooms.Credentials.Of(r.ctx(), r.actor(), id)
	if err != nil {
		return err
	}
	t := table{ID: "credentials", Caption: r.T("console.credentials"), Empty: r.T("console.none"), Head: r.heads("f-credential", "f-state", "f-created", "f-seen", "actions")}
	for _, x := range list {
		seen := ""
		if !x.Seen.IsZero() {
			seen = moment(x.Seen)
		}
		t.Rows = append(t.Rows, []cell{{Text: r.T("console.credential-" + string(x.Kind))}, {Text: r.T("desk.state-" + string(x.State))}, {Text: moment(x.Created)}, {Text: seen},
			{Text: r.T("console.open-credential"), Link: Prefix + "/credenziali/" + url.PathEscape(x.ID)}})
	}
	tables := []table{t}
	if len(f.Old) > 0 {
		old := table{ID: "old", Caption: r.T("console.old-codes"), Head: r.heads("f-code", "f-until", "f-document", "f-why")}
		for _, o := range f.Old {
			old.Rows = append(old.Rows, []cell{{Text: o.Code, Mono: true}, {Text: moment(o.Until)}, {Text: o.Document}, {Text: o.Reason}})
		}
		tables = append(tables, old)
	}
	d := data{"Facts": facts, "Tables": tables, "Wrong": wrong}
	path := Prefix + "/utenti/" + strconv.FormatInt(id, 10)
	if r.actor().Has(role.UsersLog) {
		d["Links"] = []nextStep{{r.T("console.m-user-log"), path + "/log"}}
	}
	if r.actor().Has(role.UsersCode) {
		b := builder{request: r}
		dead, button := "yes", "console.dead-note"
		if !p.Dead.IsZero() {
			dead, button = "", "console.dead-undo"
		}
		d["Acts"] = []act{
			{Title: r.T("console.change-code"), Intro: r.T("console.change-code-intro"), Action: path + "/codice", Button: r.T("console.change-code"), Danger: true,
				Fields: []field{b.add("code*", "text", ""), b.add("document*", "text", ""), b.add("why*", "long", "")}},
			{Title: r.T(button), Intro: r.T("console.dead-intro"), Action: path + "/decesso", Button: r.T(button), Danger: true,
				Fields: []field{rename(b.add("proof*", "text", ""), "proof")}, Hidden: map[string]string{"dead": dead}},
		}
	}
	return r.page(status, "show", r.T("console.user-title"), d)
}

func (r *request) recordFacts(rec *person.Record) (out []fact) {
	if rec == nil {
		return r.facts("f-record", r.T("console.no-record"))
	}
	f := rec.Form
	if x := rec.Company; x != nil {
		out = r.facts("f-seat", x.Seat, "f-vat", x.VAT, "f-pec", x.PEC, "s-representative", strings.TrimSpace(x.Representative.Given+" "+x.Representative.Family)+", "+x.Representative.Code, "f-title", x.Title)
		f = &x.Representative
	}
	if f != nil {
		out = append(out, r.facts("f-born", f.Born, "f-birthPlace", f.BirthPlace, "f-birthState", f.BirthState, "f-sex", f.Sex, "f-residence", f.Residence, "f-town", f.Town, "f-cap", f.CAP,
			"f-phone", f.Phone, "f-officePhone", f.OfficePhone, "f-email", f.Email, "f-reason", f.Reason)...)
	}
	return out
}

func (c *Console) userCode(r *request) error {
	id, err := r.id()
	if err != nil {
		return err
	}
	path := Prefix + "/utenti/" + strconv.FormatInt(id, 10)
	err = c.Rooms.People.ChangeCode(r.ctx(), r.actor(), person.CodeChange{Person: id, Code: r.value("code"), Document: r.value("document"), Reason: r.value("why")})
	switch {
	case err == nil:
		return r.done(path, "code")
	case errors.Is(err, foureyes.ErrPending):
		return r.done(path, "pending")
	case errors.Is(err, person.ErrCodeTaken):
		return c.showUser(r, id, http.StatusConflict, r.T("console.code-taken"))
	case errors.Is(err, person.ErrReason):
		return c.showUser(r, id, http.StatusUnprocessableEntity, r.T("console.document-and-reason"))
	case errors.Is(err, person.ErrNotFound), errors.Is(err, person.ErrSelf), errors.Is(err, role.ErrDenied):
		return err
	case !validCode(r.value("code")):
		return c.showUser(r, id, http.StatusUnprocessableEntity, r.T("desk.codice-fiscale"))
	}
	return err
}

func (c *Console) userDead(r *request) error {
	id, err := r.id()
	if err != nil {
		return err
	}
	err = c.Rooms.People.SetDead(r.ctx(), r.actor(), id, r.value("dead") != "", r.value("proof"))
	if errors.Is(err, person.ErrReason) {
		return c.showUser(r, id, http.StatusUnprocessableEntity, r.T("console.document-needed"))
	}
	if err != nil {
		return err
	}
	return r.done(Prefix+"/utenti/"+strconv.FormatInt(id, 10), "saved")
}

// userLog is "Visualizza log accessi".
func (c *Console) userLog(r *request) error {
	id, err := r.id()
	if err != nil {
		return err
	}
	p, err := c.Rooms.People.Visible(r.ctx(), r.actor(), id)
	if err != nil {
		return err
	}
	rows, err := c.Rooms.Audit.ForOperator(r.ctx(), r.actor(), audit.Filter{PersonID: id, Kinds: r.onlyDenied()})
	if err != nil {
		return err
	}
	return r.page(http.StatusOK, "list", r.T("console.m-user-log"), data{"Intro": p.Name() + ", " + p.CodiceFiscale, "Table": r.logTable(rows), "Filter": r.logFilter(), "FilterAction": r.r.URL.Path})
}

func (r *request) logTable(rows []audit.Entry) *table {
	t := &table{ID: "log", Caption: r.T("console.log"), Empty: r.T("console.none"), Head: r.heads("f-when", "f-what", "f-operator", "f-address", "f-detail")}
	for _, e := range rows {
		t.Rows = append(t.Rows, []cell{{Text: moment(e.Time)}, {Text: r.T("audit." + e.Kind)}, {Text: r.c.operatorName(r, e.Operator)}, {Text: e.Address, Mono: true}, {Text: r.detail(e)}})
	}
	return t
}

// detail is what a line of the log says besides the columns, with names in the reader's
// language where there are some; who acted has a column.
func (r *request) detail(e audit.Entry) string {
	var parts []string
	for i, m := range []map[string]string{e.Detail, e.Personal} {
		for _, k := range slices.Sorted(keysOf(m)) {
			if m[k] == "" || k == "operator" || k == "operator-name" {
				continue
			}
			label := k
			switch {
			case i == 0 && k == "code": // nothing personal is here: why it was refused
				label = r.T("logdetail.reason")
			case message.Has("logdetail." + k):
				label = r.T("logdetail." + k)
			}
			parts = append(parts, label+": "+m[k])
		}
	}
	return strings.Join(parts, "; ")
}

// credential is "Visualizza stato credenziale".
func (c *Console) credential(r *request) error {
	return c.showCredential(r, http.StatusOK, "")
}

func (c *Console) showCredential(r *request, status int, wrong string) error {
	x, err := c.Rooms.Credentials.Open(r.ctx(), r.actor(), r.r.PathValue("credential"))
	if err != nil {
		return err
	}
	facts := r.facts("f-credential", r.T("console.credential-"+string(x.Kind)), "f-state", r.T("desk.state-"+string(x.State)), "f-user", x.Handle, "f-created", moment(x.Created), "f-changed", moment(x.Changed))
	if !x.Seen.IsZero() {
		facts = append(facts, r.facts("f-seen", moment(x.Seen))...)
	}
	if !x.Expires.IsZero() {
		facts = append(facts, r.facts("f-expires-at", moment(x.Expires))...)
	}
	facts = append(facts, r.facts("f-must-change", r.yesNo(x.MustChange))...)
	if x.Person != 0 {
		facts = append(facts, fact{Label: r.T("console.f-holder"), Value: r.T("console.open-user"), Link: Prefix + "/utenti/" + strconv.FormatInt(x.Person, 10)})
	}
	d := data{"Facts": facts, "Wrong": wrong}
	path := Prefix + "/credenziali/" + url.PathEscape(x.ID)
	var acts []act
	if r.actor().Has(role.UsersState) {
		to := map[credential.State][]credential.State{credential.Active: {credential.Suspended, credential.Revoked}, credential.Suspended: {credential.Active, credential.Revoked}}[x.State]
		var options []option
		for _, s := range to {
			options = append(options, option{string(s), r.T("console.to-" + string(s))})
		}
		if len(options) > 0 {
			acts = append(acts, r.stateAct(path+"/stato", options))
		}
	}
	if x.Kind == credential.Media && x.State == credential.Active && r.actor().Has(role.UsersReset) {
		b := builder{request: r}
		acts = append(acts,
			act{Title: r.T("console.m-user-reset"), Intro: r.T("console.reset-intro"), Action: path + "/reset", Button: r.T("console.m-user-reset"), Danger: true, Fields: []field{b.add("document*", "text", "")}},
			act{Title: r.T("console.reset-granted"), Intro: r.T("console.reset-granted-intro"), Action: path + "/foglio", Button: r.T("console.reset-granted")})
	}
	d["Acts"] = acts
	return r.page(status, "show", r.T("console.credential-title"), d)
}

func (c *Console) credentialState(r *request) error {
	id := r.r.PathValue("credential")
	err := c.Rooms.Credentials.SetState(r.ctx(), r.actor(), id, credential.State(r.value("to")), r.value("why"))
	switch {
	case errors.Is(err, credential.ErrReason):
		return c.showCredential(r, http.StatusUnprocessableEntity, r.T("desk.envelope-reason"))
	case errors.Is(err, credential.ErrState):
		return c.showCredential(r, http.StatusConflict, r.T("console.state-body"))
	case err != nil:
		return err
	}
	return r.done(Prefix+"/credenziali/"+url.PathEscape(id), "state")
}

// credentialReset is "Resetta password": a sheet, or the act waits for a second operator.
func (c *Console) credentialReset(r *request) error {
	id := r.r.PathValue("credential")
	sheet, err := c.Rooms.Credentials.Reset(r.ctx(), r.actor(), id, r.value("document"))
	switch {
	case errors.Is(err, foureyes.ErrPending):
		return r.done(Prefix+"/credenziali/"+url.PathEscape(id), "pending")
	case errors.Is(err, credential.ErrReason):
		return c.showCredential(r, http.StatusUnprocessableEntity, r.T("console.document-needed"))
	case errors.Is(err, credential.ErrState):
		return c.showCredential(r, http.StatusConflict, r.T("console.state-body"))
	case err != nil:
		return err
	}
	return r.sheet(sheet)
}

func (c *Console) credentialSheet(r *request) error {
	sheet, err := c.Rooms.Credentials.ResetGranted(r.ctx(), r.actor(), r.r.PathValue("credential"))
	if errors.Is(err, credential.ErrState) || errors.Is(err, credential.ErrNotFound) {
		return c.showCredential(r, http.StatusConflict, r.T("console.no-reset-granted"))
	}
	if err != nil {
		return err
	}
	return r.sheet(sheet)
}

// sheet streams the sealed sheet with the new password, once.
func (r *request) sheet(s *credential.Sheet) error {
	return r.sealed("foglio", r.T("console.sheet-outside"), s.Username, r.T("console.sheet-how"), [][2]string{{r.T("console.f-user"), s.Username}, {r.T("console.password-field"), s.Password}})
}

// sealed streams a sealed sheet: nobody at the desk needs to see what is in it, and it is
// kept nowhere.
func (r *request) sealed(name, outside, holder, how string, secrets [][2]string) error {
	e, err := r.c.Rooms.Enti.Get(r.ctx(), r.operator.Ente)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := pdf.Sealed(&b, e.Name, holder, outside, how, secrets, r.c.now()); err != nil {
		return err
	}
	return r.download(name+".pdf", &b)
}

// download streams a PDF and forgets it.
func (r *request) download(name string, b *bytes.Buffer) error {
	r.w.Header().Set("Content-Type", "application/pdf")
	r.w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	r.w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	_, err := r.w.Write(b.Bytes())
	clear(b.Bytes())
	return err
}
