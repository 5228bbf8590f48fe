package console

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/feedback"
	"github.com/citel-pa/citel/server/role"
)

// Reports on accessibility, below Instradamento, and what header, footer and notices of the
// portal say of the ente, below Infrastruttura.

func init() {
	permitted(get, "/accessibilita", (*Console).reports, role.RoutingRead)
	permitted(get, "/accessibilita/{report}", (*Console).report, role.RoutingRead)
	permitted(post, "/accessibilita/{report}", (*Console).reportAnswer, role.RoutingWrite)
	permitted(get, "/infrastruttura/portale", (*Console).publicPage, role.InfrastructureRead)
	permitted(post, "/infrastruttura/portale", (*Console).publicSave, role.InfrastructureWrite)
	operators(get, "/ente.css", (*Console).colour)

	extendMenu("console.m-routing", menuLink{"feedback.menu", Prefix + "/accessibilita", []role.Permission{role.RoutingRead}})
	extendMenu("console.m-infrastructure", menuLink{"feedback.public", Prefix + "/infrastruttura/portale", []role.Permission{role.InfrastructureRead}})
}

// extendMenu adds a link to a module of the menu, in a group of its own.
func extendMenu(module string, l menuLink) {
	for p := range menu {
		i := slices.IndexFunc(menu[p].Modules, func(m menuModule) bool { return m.Title == module })
		if i >= 0 {
			m := &menu[p].Modules[i]
			m.Groups = append(slices.Clip(m.Groups), menuGroup{"", []menuLink{l}})
		}
	}
}

// colour tints the frame as the portal's.
func (c *Console) colour(r *request) error {
	r.w.Header().Set("Content-Type", "text/css; charset=utf-8")
	if r.operator.Ente == "" {
		return nil
	}
	e, err := c.Rooms.Enti.Get(r.ctx(), r.operator.Ente)
	if err != nil {
		return err
	}
	_, err = r.w.Write([]byte(ente.Style(e.Color)))
	return err
}

func dueDay(day string) string {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return day
	}
	return t.Format("02/01/2006")
}

func (r *request) reportState(x *feedback.Report) string {
	switch {
	case !x.Answered.IsZero():
		return r.T("feedback.answered", "date", x.Answered.Format("02/01/2006"))
	case x.Overdue(r.c.now()):
		return r.T("feedback.overdue")
	}
	return r.T("feedback.open")
}

// reports lists them, those that wait first, by the day on which the answer is due.
func (c *Console) reports(r *request) error {
	all, err := c.Rooms.Feedback.List(r.ctx(), r.actor())
	if err != nil {
		return err
	}
	t := &table{ID: "reports", Caption: r.T("feedback.menu"), Empty: r.T("feedback.none"),
		Head: []string{r.T("feedback.number"), r.T("feedback.received"), r.T("feedback.due"), r.T("feedback.page"), r.T("feedback.state")}}
	for _, x := range all {
		n := strconv.Itoa(x.Number)
		t.Rows = append(t.Rows, []cell{{Text: n, Link: Prefix + "/accessibilita/" + n}, {Text: moment(x.Created)}, {Text: dueDay(x.Due)}, {Text: x.Page}, {Text: r.reportState(x)}})
	}
	return r.page(http.StatusOK, "list", r.T("feedback.menu"), data{"Intro": r.T("feedback.intro"), "Table": t})
}

// reportOf finds the report of the address in the operator's ente.
func (r *request) reportOf() (*feedback.Report, error) {
	n, err := strconv.Atoi(r.r.PathValue("report"))
	if err != nil {
		return nil, errNotFound
	}
	x, err := r.c.Rooms.Feedback.ByNumber(r.ctx(), r.actor(), n)
	if errors.Is(err, feedback.ErrNotFound) {
		return nil, errNotFound
	}
	return x, err
}

func (c *Console) report(r *request) error {
	x, err := r.reportOf()
	if err != nil {
		return err
	}
	return r.showReport(x, http.StatusOK, "")
}

func (r *request) showReport(x *feedback.Report, status int, wrong string) error {
	var facts []fact
	for _, f := range [][2]string{{"received", moment(x.Created)}, {"due", dueDay(x.Due)}, {"state", r.reportState(x)}, {"page", x.Page}, {"text", x.Text}, {"tool", x.Tool}, {"name", x.Name}, {"email", x.Email}, {"answer", x.Answer}} {
		if f[1] != "" {
			facts = append(facts, fact{Label: r.T("feedback." + f[0]), Value: f[1]})
		}
	}
	d := data{"Facts": facts, "Wrong": wrong}
	if x.Answered.IsZero() && r.actor().Has(role.RoutingWrite) {
		d["Acts"] = []act{{Title: r.T("feedback.to-answer"), Intro: r.T("feedback.to-answer-intro"), Action: Prefix + "/accessibilita/" + strconv.Itoa(x.Number), Button: r.T("feedback.send"),
			Fields: []field{{Name: "answer", Label: r.T("feedback.answer"), Kind: "long", Value: r.value("answer"), Required: true, Autocomplete: "off"}}}}
	}
	return r.page(status, "show", r.T("feedback.title", "number", strconv.Itoa(x.Number)), d)
}

func (c *Console) reportAnswer(r *request) error {
	x, err := r.reportOf()
	if err != nil {
		return err
	}
	err = c.Rooms.Feedback.Answer(r.ctx(), r.actor(), x.Number, r.value("answer"))
	var wrong *feedback.FieldsError
	switch {
	case errors.As(err, &wrong):
		return r.showReport(x, http.StatusUnprocessableEntity, r.T("feedback.wrong-"+wrong.Fields["answer"]))
	case errors.Is(err, feedback.ErrState):
		if x, err = r.reportOf(); err != nil {
			return err
		}
		return r.showReport(x, http.StatusConflict, r.T("feedback.wrong-state"))
	case err != nil:
		return err
	}
	return r.done(Prefix+"/accessibilita/"+strconv.Itoa(x.Number), "saved")
}

func (c *Console) publicPage(r *request) error {
	p, err := c.Rooms.Enti.Public(r.ctx(), r.operator.Ente)
	if err != nil {
		return err
	}
	return r.askPublic(*p, http.StatusOK, false)
}

func (r *request) askPublic(p ente.Public, status int, wrong bool) error {
	d := data{"Intro": r.T("feedback.public-intro"), "Wrong": r.sentence(wrong, "feedback.public-invalid")}
	var facts []fact
	var fields []field
	for _, x := range []struct{ name, kind, value string }{
		{"region", "text", p.Region}, {"regionSite", "url", p.RegionSite}, {"address", "text", p.Address}, {"phone", "tel", p.Phone}, {"public-email", "email", p.Email}, {"pec", "email", p.PEC},
		{"taxCode", "text", p.TaxCode}, {"dpo", "text", p.DPO}, {"declaration", "url", p.Declaration}, {"feedback", "email", p.Feedback},
	} {
		label, help := r.T("feedback.p-"+x.name), ""
		if key := "feedback.h-" + x.name; r.T(key) != key {
			help = r.T(key)
		}
		fields = append(fields, field{Name: x.name, Kind: x.kind, Value: x.value, Label: label, Help: help, Autocomplete: "off"})
		if x.value != "" {
			facts = append(facts, fact{Label: label, Value: x.value})
		}
	}
	fields = append(fields, field{Name: "europe", Kind: "check", Value: yes(p.Europe), Label: r.T("feedback.p-europe"), Help: r.T("feedback.h-europe")})
	if r.mayWrite() {
		d["Acts"] = []act{{Title: r.T("feedback.public"), Action: Prefix + "/infrastruttura/portale", Button: r.T("console.save"), Fields: fields}}
	} else {
		d["Facts"] = append(facts, fact{Label: r.T("feedback.p-europe"), Value: r.yesNo(p.Europe)})
	}
	return r.page(status, "show", r.T("feedback.public"), d)
}

func (c *Console) publicSave(r *request) error {
	p := ente.Public{Region: r.value("region"), RegionSite: r.value("regionSite"), Address: r.value("address"), Phone: r.value("phone"), Email: r.value("public-email"), PEC: r.value("pec"),
		TaxCode: r.value("taxCode"), DPO: r.value("dpo"), Declaration: r.value("declaration"), Feedback: r.value("feedback"), Europe: r.value("europe") != ""}
	err := c.Rooms.Enti.SetPublic(r.ctx(), r.actor(), r.operator.Ente, p)
	if shown, err := stay(err, func(status int, wrong bool) error { return r.askPublic(p, status, wrong) }); shown || err != nil {
		return err
	}
	return r.done(Prefix+"/infrastruttura/portale", "saved")
}
