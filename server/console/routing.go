package console

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/submission"
)

// Instradamento: the queue of applications, each one's page with an office's acts, the
// figures, and who and what goes to which office. The room asks for the right of each
// application's topic once more.

var routingModule = menuModule{Title: "console.m-routing", Groups: []menuGroup{{"", []menuLink{
	link("queue", "/pratiche", atDesk...),
	link("counts", "/pratiche/conteggi", atDesk...),
	link("ratings", "/valutazioni", seesRatings...),
	link("topics", "/uffici/argomenti", role.InfrastructureRead, role.RoutingRead),
	link("workplaces", "/uffici/operatori", role.InfrastructureRead),
}}}}

var (
	atDesk     = []role.Permission{role.RoutingRead, role.SchoolUse, role.RegistryWrite}
	actsAtDesk = []role.Permission{role.RoutingWrite, role.SchoolUse, role.RegistryWrite}
)

func init() {
	permitted(get, "/pratiche", (*Console).queue, atDesk...)
	permitted(get, "/pratiche/conteggi", (*Console).counts, atDesk...)
	permitted(get, "/pratiche/conteggi.csv", (*Console).countsCSV, atDesk...)
	permitted(get, "/pratiche/{application}", (*Console).application, atDesk...)
	permitted(get, "/pratiche/{application}/carte/{paper}", (*Console).paper, atDesk...)
	permitted(get, "/pratiche/{application}/file/{file}", (*Console).attachment, atDesk...)
	for path, d := range deeds {
		permitted(post, "/pratiche/{application}/"+path, func(c *Console, r *request) error { return c.act(r, d) }, actsAtDesk...)
	}
	permitted(get, "/uffici/argomenti", (*Console).topics, role.InfrastructureRead, role.RoutingRead)
	permitted(post, "/uffici/argomenti", (*Console).topicSet, role.InfrastructureWrite)
	permitted(get, "/uffici/operatori", (*Console).workplaces, role.InfrastructureRead)
	permitted(get, "/uffici/operatori/{id}", (*Console).workplace, role.InfrastructureRead)
	permitted(post, "/uffici/operatori/{id}", (*Console).workplaceSet, role.InfrastructureWrite)
}

// labelled makes a field with a label of any area of the catalogue; a name that ends in * is
// required.
func (r *request) labelled(label, name, kind, value string, options ...option) field {
	name, required := strings.CutSuffix(name, "*")
	return field{Name: name, Label: r.T(label), Kind: kind, Value: value, Required: required, Options: options, Autocomplete: "off"}
}

// words are a table's heads in an area of the catalogue.
func (r *request) words(area string, keys ...string) (out []string) {
	for _, k := range keys {
		out = append(out, r.T(area+"."+k))
	}
	return out
}

func italianDay(day string) string {
	if t, err := time.Parse(time.DateOnly, day); err == nil {
		return t.Format("02/01/2006")
	}
	return day
}

// term says until when an answer is due, and in words that it is late.
func (r *request) term(a *submission.Application) string {
	switch {
	case a.Due == "" || !a.State.Open():
		return ""
	case !a.Paused.IsZero():
		return r.T("office.paused", "day", italianDay(a.Due))
	case a.Suspended(r.c.now()):
		return r.suspended(a)
	case a.Overdue(r.c.now()):
		due, err := time.ParseInLocation(time.DateOnly, a.Due, register.Rome())
		if err != nil {
			return a.Due
		}
		today := r.c.now().In(register.Rome())
		days := int(time.Date(today.Year(), today.Month(), today.Day(), 12, 0, 0, 0, register.Rome()).Sub(due) / (24 * time.Hour))
		return r.T("office.overdue", "day", italianDay(a.Due), "days", days)
	}
	return italianDay(a.Due)
}

// queuePage is how many applications a page has.
const queuePage = 50

// states that the filter offers, besides those that are open.
var queueStates = []submission.State{submission.StateToCheck, submission.StateSent, submission.StateInCharge, submission.StateMore, submission.StateNoticed, submission.StateAnswered, submission.StateClosed, submission.StateWithdrawn}

func (c *Console) queue(r *request) error {
	a, q := r.actor(), submission.Queue{Service: r.query("servizio"), Text: r.query("testo"), After: r.query("dopo"), Overdue: r.query("scadute") != "", Limit: queuePage + 1}
	office, state := r.query("ufficio"), r.query("stato")
	if office != "" { // else the operator's own, or all: the room looks at that
		q.Offices = []string{office}
	}
	if slices.Contains(queueStates, submission.State(state)) {
		q.States = []submission.State{submission.State(state)}
	} else if state == "tutte" {
		q.States = queueStates
	}
	if r.query("mie") != "" {
		q.Holder = a.Operator
	}
	all, err := c.Rooms.Applications.Work(r.ctx(), a, q)
	if err != nil {
		return lost(err)
	}
	more := len(all) > queuePage
	all = all[:min(len(all), queuePage)]
	names, err := c.Rooms.Applications.Names(r.ctx(), all)
	if err != nil {
		return err
	}
	t := &table{ID: "queue", Caption: r.T("console.m-queue"), Empty: r.T("office.queue-empty"), Head: r.words("office", "number", "service", "who", "sent", "due", "state", "at-office")}
	for _, x := range all {
		state := r.T("application.state-" + string(x.State))
		if x.Holder != 0 {
			state = r.T("office.state-of", "state", state, "name", c.operatorName(r, x.Holder))
		}
		t.Rows = append(t.Rows, []cell{{Text: x.Reference(), Link: Prefix + "/pratiche/" + x.ID}, {Text: x.Service.Title.In(r.lang)}, {Text: names[x.ID]}, {Text: x.Sent.In(register.Rome()).Format("02/01/2006")},
			{Text: r.term(x)}, {Text: state}, {Text: x.Office}})
	}
	d := data{"Table": t, "FilterAction": Prefix + "/pratiche", "Intro": r.T("office.queue-intro")}
	if len(a.Offices) > 0 {
		d["Intro"] = r.T("office.queue-own", "offices", strings.Join(a.Offices, ", "))
	}
	if more {
		next := r.r.URL.Query()
		next.Set("dopo", all[len(all)-1].ID)
		next.Del("fatto")
		d["More"] = Prefix + "/pratiche?" + next.Encode()
	}
	if d["Filter"], err = c.queueFilter(r, office, state); err != nil {
		return err
	}
	return r.page(http.StatusOK, "list", r.T("console.m-queue"), d)
}

func (c *Console) queueFilter(r *request, office, state string) ([]field, error) {
	a := r.actor()
	offices, first := a.Offices, "office.own-offices"
	if len(offices) == 0 {
		var err error
		if offices, err = c.Rooms.Applications.Offices(r.ctx(), a.Ente); err != nil {
			return nil, err
		}
		first = "office.all-offices"
	}
	choose := []option{{"", r.T(first)}}
	for _, o := range offices {
		choose = append(choose, option{o, o})
	}
	titles, err := c.serviceTitles(r)
	if err != nil {
		return nil, err
	}
	services := append([]option{{"", r.T("office.all-services")}}, titles...)
	states := []option{{"", r.T("office.all-open")}}
	for _, s := range queueStates {
		states = append(states, option{string(s), r.T("application.state-" + string(s))})
	}
	states = append(states, option{"tutte", r.T("office.all-states")})
	return []field{r.labelled("office.text", "testo", "search", r.query("testo")), r.labelled("office.at-office", "ufficio", "choice", office, choose...), r.labelled("office.service", "servizio", "choice", r.query("servizio"), services...),
		r.labelled("office.state", "stato", "choice", state, states...), r.labelled("office.only-overdue", "scadute", "check", r.query("scadute")), r.labelled("office.only-mine", "mie", "check", r.query("mie"))}, nil
}

// serviceTitles are the ente's, by title.
func (c *Console) serviceTitles(r *request) (out []option, err error) {
	all, err := c.Rooms.Services.List(r.ctx(), r.operator.Ente)
	for _, s := range all {
		out = append(out, option{s.ID, s.Title.In(r.lang)})
	}
	slices.SortFunc(out, func(x, y option) int { return cmp.Compare(x.Text, y.Text) })
	return out, err
}

// span reads the days of the figures; without them, the year up to today.
func (r *request) span() (from, to time.Time, wrong bool) {
	today := r.c.now().In(register.Rome())
	from, to = time.Date(today.Year(), 1, 1, 0, 0, 0, 0, register.Rome()), time.Date(today.Year(), today.Month(), today.Day(), 0, 0, 0, 0, register.Rome())
	for name, at := range map[string]*time.Time{"dal": &from, "al": &to} {
		if v := r.query(name); v != "" {
			t, err := time.ParseInLocation(time.DateOnly, v, register.Rome())
			if err != nil {
				wrong = true
				continue
			}
			*at = t
		}
	}
	return from, to, wrong || to.Before(from)
}

func (c *Console) counts(r *request) error {
	from, to, wrong := r.span()
	d := data{"FilterAction": Prefix + "/pratiche/conteggi", "Intro": r.T("office.counts-intro"), "Wrong": r.sentence(wrong, "office.days-wrong"),
		"Filter": []field{r.labelled("office.from", "dal", "date", from.Format(time.DateOnly)), r.labelled("office.to", "al", "date", to.Format(time.DateOnly))}}
	if wrong {
		return r.page(http.StatusUnprocessableEntity, "list", r.T("console.m-counts"), d)
	}
	all, err := c.Rooms.Applications.Counts(r.ctx(), r.actor(), from, to)
	if err != nil {
		return err
	}
	titles, err := c.serviceTitles(r)
	if err != nil {
		return err
	}
	t := &table{ID: "counts", Caption: r.T("office.counts-of", "from", from.Format("02/01/2006"), "to", to.Format("02/01/2006")), Empty: r.T("console.none"),
		Head: r.words("office", "service", "at-office", "state", "how-many", "days", "late", "still", "stood")}
	var sum, late, still int
	for _, x := range all {
		title := x.Service
		if i := slices.IndexFunc(titles, func(o option) bool { return o.Value == x.Service }); i >= 0 {
			title = titles[i].Text
		}
		t.Rows = append(t.Rows, []cell{{Text: title}, {Text: x.Office}, {Text: r.T("application.state-" + string(x.State))}, {Text: strconv.Itoa(x.N)},
			{Text: r.decimal(x.Days)}, {Text: strconv.Itoa(x.Overdue)}, {Text: strconv.Itoa(x.Still)}, {Text: r.decimal(x.Stood)}})
		sum, late, still = sum+x.N, late+x.Overdue, still+x.Still
	}
	if len(all) > 1 {
		t.Rows = append(t.Rows, []cell{{Text: r.T("office.sum")}, {}, {}, {Text: strconv.Itoa(sum)}, {}, {Text: strconv.Itoa(late)}, {Text: strconv.Itoa(still)}, {}})
	}
	d["Table"] = t
	d["Links"] = []nextStep{{r.T("office.csv"), Prefix + "/pratiche/conteggi.csv?" + url.Values{"dal": {from.Format(time.DateOnly)}, "al": {to.Format(time.DateOnly)}}.Encode()}}
	return r.page(http.StatusOK, "list", r.T("console.m-counts"), d)
}

// decimal writes a number of days for people.
func (r *request) decimal(x float64) string {
	return strings.Replace(fmt.Sprintf("%.1f", x), ".", r.T("office.decimal"), 1)
}

func (c *Console) countsCSV(r *request) error {
	from, to, wrong := r.span()
	if wrong {
		return errBadForm
	}
	all, err := c.Rooms.Applications.Counts(r.ctx(), r.actor(), from, to)
	if err != nil {
		return err
	}
	r.w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	r.w.Header().Set("Content-Disposition", `attachment; filename="conteggi.csv"`)
	if _, err := r.w.Write([]byte("\ufeff")); err != nil { // spreadsheets take it for UTF-8 then
		return nil //nolint:nilerr // whoever asked is gone
	}
	_ = submission.WriteCSV(r.w, all)
	return nil
}
