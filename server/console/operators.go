package console

import (
	"errors"
	"iter"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/foureyes"
	"github.com/citel-pa/citel/server/operator"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/role"
)

func keysOf(m map[string]string) iter.Seq[string] { return maps.Keys(m) }

func validCode(s string) bool {
	_, err := profile.ParseCodiceFiscale(s)
	return err == nil
}

// operators is "Elenco operatori".
func (c *Console) operators(r *request) error {
	do := r.query("fare")
	title := map[string]string{"stato": "operator-state", "credenziale": "operator-credential", "log": "operator-log", "modifica": "operator-change", "reset": "operator-reset"}[do]
	if title == "" {
		title, do = "operators-list", ""
	}
	q := operator.Query{Text: r.query("text"), State: operator.State(r.query("stato"))}
	list, err := c.Rooms.Operators.List(r.ctx(), r.actor(), q)
	if err != nil {
		return err
	}
	t := &table{ID: "operators", Caption: r.T("console.m-operators-list"), Empty: r.T("console.none"), Head: r.heads("f-operator-code", "f-person", "f-state", "f-roles", "f-seen")}
	for _, o := range list {
		to := Prefix + "/operatori/" + strconv.FormatInt(o.ID, 10)
		if do == "log" {
			to += "/log"
		}
		seen := ""
		if !o.Seen.IsZero() {
			seen = moment(o.Seen)
		}
		t.Rows = append(t.Rows, []cell{{Text: o.Code, Link: to, Mono: true}, {Text: o.Name()}, {Text: r.T("desk.state-" + string(o.State))}, {Text: strings.Join(o.Roles, ", ")}, {Text: seen}})
	}
	b := builder{request: r}
	states := []option{{"", r.T("console.all")}}
	for _, s := range []operator.State{operator.Invited, operator.Active, operator.Suspended, operator.Revoked} {
		states = append(states, option{string(s), r.T("desk.state-" + string(s))})
	}
	return r.page(http.StatusOK, "list", r.T("console.m-"+title), data{"Table": t, "FilterAction": Prefix + "/operatori", "FilterHidden": map[string]string{"fare": do},
		"Filter": []field{b.add("text", "text", q.Text), rename(b.add("state", "choice", string(q.State), states...), "stato")}})
}

// operatorNew is "Censimento operatori".
func (c *Console) operatorNew(r *request) error {
	return c.askOperator(r, http.StatusOK, person.Form{}, releaseStep{})
}

func (c *Console) askOperator(r *request, status int, f person.Form, s releaseStep) error {
	path := Prefix + "/operatori/nuovo"
	return r.page(status, "form", r.T("console.m-operator-new"), data{
		"Intro": r.T("console.operator-intro"), "Wrong": s.wrong, "Next": s.next, "News": s.news,
		"Form": &form{Action: path, Cancel: Prefix + "/", Check: true, Warnings: r.warnings(s.warnings), Sections: r.personSections("", f, s.errs, len(s.warnings) > 0, false)},
	})
}

func (c *Console) operatorMake(r *request) error {
	f := r.readPerson("")
	if r.value("act") == "check" {
		_, errs, warnings := f.Check(c.now())
		s := releaseStep{errs: errs, warnings: warnings}
		if errs["code"] == "" {
			s.news = r.T("console.operator-not-there")
			list, err := c.Rooms.Operators.List(r.ctx(), r.actor(), operator.Query{Text: strings.ToUpper(f.Code)})
			if err != nil {
				return err
			}
			if len(list) > 0 {
				s.news, s.next = r.T("console.operator-there"), &nextStep{r.T("console.open-operator"), Prefix + "/operatori/" + strconv.FormatInt(list[0].ID, 10)}
			}
		}
		return c.askOperator(r, http.StatusOK, f, s)
	}
	inv, err := c.Rooms.Operators.Register(r.ctx(), r.actor(), f)
	var wrong *operator.FormError
	switch {
	case errors.As(err, &wrong):
		return c.askOperator(r, http.StatusUnprocessableEntity, f, releaseStep{errs: wrong.Errs, warnings: wrong.Warnings})
	case errors.Is(err, operator.ErrExists):
		return c.askOperator(r, http.StatusConflict, f, releaseStep{wrong: r.T("console.operator-there"), next: &nextStep{r.T("console.m-operators-list"), Prefix + "/operatori?text=" + strings.ToUpper(f.Code)}})
	case err != nil:
		return err
	}
	return c.invited(r, inv)
}

// invited tells how a new operator gets in: by mail, or with a sealed sheet that is
// streamed now.
func (c *Console) invited(r *request, inv *operator.Invitation) error {
	if !inv.Mailed {
		return r.sealed("accesso-operatore", r.T("console.invited-outside"), inv.Operator.Name(), r.T("console.invited-how"), [][2]string{
			{r.T("console.f-operator-code"), inv.Operator.Code}, {r.T("console.f-link"), c.Origin + inv.Link}, {r.T("console.f-expires-at"), moment(inv.Expires)}})
	}
	d := data{"Lead": r.T("console.invited-mailed", "email", inv.Operator.Form.Email)}
	if r.actor().Has(role.RolesAssign) {
		d["Links"] = []nextStep{{r.T("console.m-role-assign"), Prefix + "/profilazione/" + strconv.FormatInt(inv.Operator.ID, 10)}}
	}
	return r.page(http.StatusOK, "show", r.T("console.invited-title"), d)
}

// operator is "Visualizza stato operatore" and "Visualizza stato credenziale".
func (c *Console) operator(r *request) error { return c.showOperator(r, http.StatusOK, "") }

func (c *Console) showOperator(r *request, status int, wrong string) error {
	id, err := r.id()
	if err != nil {
		return err
	}
	o, err := c.Rooms.Operators.Open(r.ctx(), r.actor(), id)
	if err != nil {
		return err
	}
	facts := r.facts("f-person", o.Name(), "f-operator-code", o.Code, "f-state", r.T("desk.state-"+string(o.State)), "f-factor", r.T("console.factor-"+string(o.Factor)),
		"f-must-change", r.yesNo(o.MustChange), "f-roles", strings.Join(o.Roles, ", "), "f-created", moment(o.Created))
	if !o.Seen.IsZero() {
		facts = append(facts, r.facts("f-seen", moment(o.Seen))...)
	}
	facts = append(facts, r.recordFacts(&person.Record{Form: &o.Form})...)
	path := Prefix + "/operatori/" + strconv.FormatInt(id, 10)
	d := data{"Facts": facts, "Wrong": wrong}
	var links []nextStep
	if r.actor().Has(role.OperatorsLog) {
		links = append(links, nextStep{r.T("console.m-operator-log"), path + "/log"})
	}
	if r.actor().Has(role.RolesRead) {
		links = append(links, nextStep{r.T("console.m-role-assign"), Prefix + "/profilazione/" + strconv.FormatInt(id, 10)})
	}
	d["Links"] = links
	if id != r.operator.ID {
		var acts []act
		to := map[operator.State][]operator.State{operator.Active: {operator.Suspended, operator.Revoked}, operator.Suspended: {operator.Active, operator.Revoked}, operator.Invited: {operator.Revoked}}[o.State]
		var options []option
		for _, s := range to {
			options = append(options, option{string(s), r.T("console.to-" + string(s))})
		}
		if len(options) > 0 && r.actor().Has(role.OperatorsState) {
			acts = append(acts, r.stateAct(path+"/stato", options))
		}
		if (o.State == operator.Active || o.State == operator.Invited) && r.actor().Has(role.OperatorsReset) {
			acts = append(acts, act{Title: r.T("console.m-operator-reset"), Intro: r.T("console.operator-reset-intro"), Action: path + "/reset", Button: r.T("console.m-operator-reset"), Danger: true})
		}
		d["Acts"] = acts
	}
	return r.page(status, "show", r.T("console.operator-title"), d)
}

func (c *Console) operatorLog(r *request) error {
	id, err := r.id()
	if err != nil {
		return err
	}
	o, err := c.Rooms.Operators.Open(r.ctx(), r.actor(), id)
	if err != nil {
		return err
	}
	rows, err := c.Rooms.Audit.ForOperator(r.ctx(), r.actor(), audit.Filter{Operator: id, Kinds: r.onlyDenied()})
	if err != nil {
		return err
	}
	return r.page(http.StatusOK, "list", r.T("console.m-operator-log"), data{"Intro": o.Name() + ", " + o.Code, "Table": r.logTable(rows), "Filter": r.logFilter(), "FilterAction": r.r.URL.Path})
}

func (c *Console) operatorState(r *request) error {
	id, err := r.id()
	if err != nil {
		return err
	}
	err = c.Rooms.Operators.SetState(r.ctx(), r.actor(), id, operator.State(r.value("to")), r.value("why"))
	switch {
	case errors.Is(err, operator.ErrReason):
		return c.showOperator(r, http.StatusUnprocessableEntity, r.T("desk.envelope-reason"))
	case errors.Is(err, operator.ErrState):
		return c.showOperator(r, http.StatusConflict, r.T("console.state-body"))
	case err != nil:
		return err
	}
	return r.done(Prefix+"/operatori/"+strconv.FormatInt(id, 10), "state")
}

func (c *Console) operatorReset(r *request) error {
	id, err := r.id()
	if err != nil {
		return err
	}
	inv, err := c.Rooms.Operators.Reset(r.ctx(), r.actor(), id)
	if errors.Is(err, operator.ErrState) {
		return c.showOperator(r, http.StatusConflict, r.T("console.state-body"))
	}
	if err != nil {
		return err
	}
	return c.invited(r, inv)
}

// roles shows the 37 with what each may do, and how its description was read.
func (c *Console) roles(r *request) error {
	t := &table{ID: "roles", Caption: r.T("console.m-roles"), Head: r.heads("f-role", "f-name", "f-description", "f-reading", "f-permissions")}
	for _, x := range role.List() {
		t.Rows = append(t.Rows, []cell{{Text: x.ID}, {Text: x.Name}, {Text: x.Description}, {Text: x.Read(r.lang)}, {Text: r.permissions(x)}})
	}
	return r.page(http.StatusOK, "list", r.T("console.m-roles"), data{"Table": t, "Intro": r.T("console.roles-intro")})
}

// permissions says what a role may do.
func (r *request) permissions(x *role.Role) string {
	var out []string
	for _, p := range x.Permissions {
		out = append(out, r.T("permission."+strings.ReplaceAll(string(p), ".", "-")))
	}
	return strings.Join(out, "; ")
}

// profiles is "Associazione Operatore - Ruolo": the operators with their roles.
func (c *Console) profiles(r *request) error {
	b := builder{request: r}
	options := []option{{"", r.T("console.all")}}
	for _, x := range role.List() {
		options = append(options, option{x.ID, x.Full()})
	}
	q := operator.Query{Text: r.query("text"), Role: r.query("role")}
	list, err := c.Rooms.Operators.List(r.ctx(), r.actor(), q)
	if err != nil {
		return err
	}
	t := &table{ID: "profiles", Caption: r.T("console.m-operators-list"), Empty: r.T("console.none"), Head: r.heads("f-operator-code", "f-person", "f-state", "f-roles", "actions")}
	for _, o := range list {
		t.Rows = append(t.Rows, []cell{{Text: o.Code, Mono: true}, {Text: o.Name()}, {Text: r.T("desk.state-" + string(o.State))}, {Text: strings.Join(o.Roles, ", ")},
			{Text: r.T("console.roles-of", "name", o.Name()), Link: Prefix + "/profilazione/" + strconv.FormatInt(o.ID, 10)}})
	}
	return r.page(http.StatusOK, "list", r.T("console.m-role-assign"), data{"Table": t, "FilterAction": Prefix + "/profilazione",
		"Filter": []field{b.add("application", "choice", role.Application, option{role.Application, role.Application}), b.add("role", "choice", q.Role, options...), b.add("text", "text", q.Text)}})
}

func (c *Console) profile(r *request) error { return c.showProfile(r, http.StatusOK, "") }

func (c *Console) showProfile(r *request, status int, wrong string) error {
	id, err := r.id()
	if err != nil {
		return err
	}
	// Profilazione sees names and roles alone, so the list is asked and not the record.
	list, err := c.Rooms.Operators.List(r.ctx(), r.actor(), operator.Query{})
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(o *operator.Operator) bool { return o.ID == id })
	if i < 0 {
		return errNotFound
	}
	o := list[i]
	path := Prefix + "/profilazione/" + strconv.FormatInt(id, 10)
	may := r.actor().Has(role.RolesAssign) && id != r.operator.ID
	t := table{ID: "held", Caption: r.T("console.roles-held"), Empty: r.T("console.no-role"), Head: r.heads("f-role", "f-name", "f-description", "f-reading", "f-permissions")}
	var held, free []option
	for _, x := range role.List() {
		text := option{x.ID, x.ID + " - " + x.Name + ": " + x.Description}
		if !slices.Contains(o.Roles, x.ID) {
			free = append(free, text)
			continue
		}
		held = append(held, text)
		t.Rows = append(t.Rows, []cell{{Text: x.ID}, {Text: x.Name}, {Text: x.Description}, {Text: x.Read(r.lang)}, {Text: r.permissions(x)}})
	}
	d := data{"Facts": r.facts("f-person", o.Name(), "f-operator-code", o.Code, "f-state", r.T("desk.state-"+string(o.State)), "f-application", role.Application), "Tables": []table{t}, "Wrong": wrong}
	if may {
		b := builder{request: r}
		acts := []act{{Title: r.T("console.role-assign"), Intro: r.T("console.role-assign-intro"), Action: path + "/assegna", Button: r.T("console.role-assign"), Fields: []field{b.add("role*", "choice", "", free...)}}}
		if len(held) > 0 {
			acts = append(acts,
				act{Title: r.T("console.role-replace"), Action: path + "/modifica", Button: r.T("console.role-replace"), Fields: []field{b.add("old*", "choice", "", held...), b.add("with*", "choice", "", free...)}},
				act{Title: r.T("console.role-remove"), Action: path + "/togli", Button: r.T("console.role-remove"), Danger: true, Fields: []field{rename(b.add("old*", "choice", "", held...), "role")}})
		}
		d["Acts"] = acts
	}
	return r.page(status, "show", r.T("console.roles-of", "name", o.Name()), d)
}

func (c *Console) roleDone(r *request, id int64, err error) error {
	path := Prefix + "/profilazione/" + strconv.FormatInt(id, 10)
	switch {
	case err == nil:
		return r.done(path, "roles")
	case errors.Is(err, foureyes.ErrPending):
		return r.done(path, "pending")
	case errors.Is(err, operator.ErrState):
		return c.showProfile(r, http.StatusConflict, r.T("console.state-body"))
	}
	return err
}

func (c *Console) roleAssign(r *request) error {
	id, err := r.id()
	if err != nil {
		return err
	}
	return c.roleDone(r, id, c.Rooms.Operators.Assign(r.ctx(), r.actor(), id, r.value("role")))
}

func (c *Console) roleReplace(r *request) error {
	id, err := r.id()
	if err != nil {
		return err
	}
	return c.roleDone(r, id, c.Rooms.Operators.Replace(r.ctx(), r.actor(), id, r.value("old"), r.value("with")))
}

func (c *Console) roleRemove(r *request) error {
	id, err := r.id()
	if err != nil {
		return err
	}
	return c.roleDone(r, id, c.Rooms.Operators.Remove(r.ctx(), r.actor(), id, r.value("role")))
}
