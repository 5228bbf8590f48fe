package console

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/ranking"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/submission"
)

var schoolModule = menuModule{Title: "console.m-school", Groups: []menuGroup{{"", []menuLink{
	{"school.m-calls", Prefix + "/istruzione", []role.Permission{role.SchoolUse}},
}}}}

func init() {
	permitted(get, "/istruzione", (*Console).calls, role.SchoolUse)
	permitted(post, "/istruzione", (*Console).callMake, role.SchoolUse)
	permitted(get, "/istruzione/{call}", (*Console).call, role.SchoolUse)
	permitted(post, "/istruzione/{call}", (*Console).callChange, role.SchoolUse)
	permitted(post, "/istruzione/{call}/posti", (*Console).callSeats, role.SchoolUse)
	permitted(post, "/istruzione/{call}/elenco", (*Console).callList, role.SchoolUse)
	permitted(get, "/istruzione/{call}/elenco/{n}", (*Console).callListPage, role.SchoolUse)
	permitted(post, "/istruzione/{call}/elenco/{n}/pubblica", (*Console).callPublish, role.SchoolUse)
	permitted(get, "/istruzione/{call}/elenco/{n}/pdf", (*Console).callPDF, role.SchoolUse)
	permitted(get, "/istruzione/{call}/offerte", (*Console).callOffers, role.SchoolUse)
	permitted(get, "/istruzione/{call}/domande.csv", (*Console).callCSV, role.SchoolUse)
	permitted(get, "/istruzione/{call}/domande/{application}", (*Console).candidate, role.SchoolUse)
	permitted(post, "/istruzione/{call}/domande/{application}/verifica", (*Console).candidateVerify, role.SchoolUse)
	permitted(post, "/istruzione/{call}/domande/{application}/esclusione", (*Console).candidateExclude, role.SchoolUse)
	permitted(post, "/istruzione/{call}/domande/{application}/offerta", (*Console).candidateAnswer, role.SchoolUse)
}

const schoolPath = Prefix + "/istruzione"

// refused gives the sentence of what a ranking does not do, and whether it is one.
func (r *request) refused(err error) (string, bool) {
	var no *ranking.RefusedError
	if errors.As(err, &no) {
		return r.T("ranking." + no.Code), true
	}
	return "", false
}

// missing turns what a room does not find into the page that says so.
func missing(err error) error {
	if errors.Is(err, ranking.ErrNotFound) || errors.Is(err, submission.ErrNotFound) {
		return errNotFound
	}
	return err
}

func (r *request) theCall() (*ranking.Call, string, error) {
	c, err := r.c.Rooms.Rankings.Get(r.ctx(), r.actor(), r.r.PathValue("call"))
	if err != nil {
		return nil, "", missing(err)
	}
	return c, schoolPath + "/" + c.ID, nil
}

// settings are a call's fields.
func (r *request) settingFields(s ranking.Settings) []field {
	text := func(name, label, kind, value, help string, required bool) field {
		f := field{Name: name, Label: r.T("school." + label), Kind: kind, Value: value, Required: required, Autocomplete: "off"}
		if help != "" {
			f.Help = r.T("school." + help)
		}
		return f
	}
	term := ""
	if s.Term != 0 {
		term = strconv.Itoa(s.Term)
	}
	out := []field{
		text("titolo", "f-title", "text", s.Title, "h-title", true), text("dal", "f-since", "date", s.Since, "", true), text("al", "f-until", "date", s.Until, "", true),
		text("termine", "f-term", "text", term, "h-term", true), text("fino", "f-shown", "date", s.Shown, "h-shown", false),
	}
	out[3].Inputmode = "numeric"
	return out
}

func (r *request) readSettings() ranking.Settings {
	term, _ := strconv.Atoi(r.value("termine")) // 0 is refused
	return ranking.Settings{Title: r.value("titolo"), Since: r.value("dal"), Until: r.value("al"), Term: term, Shown: r.value("fino")}
}

func (c *Console) calls(r *request) error {
	return r.showCalls(http.StatusOK, "", ranking.Settings{Term: 5}, "")
}

func (r *request) showCalls(status int, wrong string, s ranking.Settings, chosen string) error {
	all, err := r.c.Rooms.Rankings.List(r.ctx(), r.actor())
	if err != nil {
		return err
	}
	t := &table{ID: "calls", Caption: r.T("school.calls"), Empty: r.T("school.no-calls"), Head: r.in("school", "h-call", "h-service", "h-days", "h-list")}
	for _, x := range all {
		lists, err := r.c.Rooms.Rankings.Lists(r.ctx(), r.actor(), x)
		if err != nil {
			return err
		}
		state := r.T("school.list-none")
		for _, l := range lists {
			state = r.listState(l)
		}
		t.Rows = append(t.Rows, []cell{{Text: x.Title, Link: schoolPath + "/" + x.ID}, {Text: x.Service.Title.In(r.lang)}, {Text: spanText(x.Since) + " - " + spanText(x.Until)}, {Text: state}})
	}
	d := data{"Intro": r.T("school.intro"), "Table": t, "Wrong": wrong}
	services, err := r.c.Rooms.Rankings.Ranked(r.ctx(), r.actor())
	if err != nil {
		return err
	}
	var options []option
	for _, v := range services {
		options = append(options, option{v.ID, v.Title.In(r.lang)})
	}
	if len(options) > 0 {
		fields := append([]field{{Name: "servizio", Label: r.T("school.h-service"), Kind: "choice", Value: chosen, Options: options, Required: true}}, r.settingFields(s)...)
		d["Acts"] = []act{{Title: r.T("school.new"), Intro: r.T("school.new-intro"), Action: schoolPath, Button: r.T("school.make"), Fields: fields}}
	}
	return r.page(status, "list", r.T("school.m-calls"), d)
}

func (r *request) listState(l *ranking.List) string {
	key := "school.list-" + string(l.Kind)
	if l.Published.IsZero() {
		return r.T(key + "-made")
	}
	return r.T(key)
}

func (c *Console) callMake(r *request) error {
	s := r.readSettings()
	x, err := c.Rooms.Rankings.Make(r.ctx(), r.actor(), r.value("servizio"), s)
	if text, ok := r.refused(err); ok {
		return r.showCalls(http.StatusUnprocessableEntity, text, s, r.value("servizio"))
	}
	if err != nil {
		return err
	}
	r.redirect(schoolPath + "/" + x.ID)
	return nil
}

func (c *Console) call(r *request) error { return r.showCall(http.StatusOK, "", nil, nil) }

// showCall is a call with its applications; typed settings and seats are shown again when
// they were refused.
func (r *request) showCall(status int, wrong string, typed *ranking.Settings, posted func(string) string) error {
	x, path, err := r.theCall()
	if err != nil {
		return err
	}
	rooms := r.c.Rooms.Rankings
	all, err := rooms.Candidates(r.ctx(), r.actor(), x)
	if err != nil {
		return err
	}
	lists, err := rooms.Lists(r.ctx(), r.actor(), x)
	if err != nil {
		return err
	}
	seats, err := rooms.Seats(r.ctx(), x)
	if err != nil {
		return err
	}
	facts := []fact{
		{Label: r.T("school.h-service"), Value: x.Service.Title.In(r.lang)}, {Label: r.T("school.h-version"), Value: fmt.Sprint(x.Service.Number)},
		{Label: r.T("school.h-days"), Value: spanText(x.Since) + " - " + spanText(x.Until)}, {Label: r.T("school.f-term"), Value: fmt.Sprint(x.Term)},
		{Label: r.T("ranking.commitment"), Value: x.Commitment(), Mono: true},
	}
	apps := table{ID: "applications", Caption: r.T("school.applications", "n", len(all)), Empty: r.T("school.no-applications"), Head: r.in("school", "h-position", "h-code", "h-protocol", "h-points", "h-declared", "h-to-check", "h-wishes", "h-state")}
	n := 0
	for _, k := range all {
		at, state := "", r.T("application.state-"+string(k.App.State))
		if k.Out == "" {
			n++
			at = fmt.Sprint(n)
		} else {
			state = r.T("ranking.out-" + k.Out)
		}
		var wishes []string
		for _, w := range k.Applicant.Wishes {
			wishes = append(wishes, x.NameOf(ranking.Place{School: w, Hours: k.Applicant.Hours}, r.lang))
		}
		apps.Rows = append(apps.Rows, []cell{{Text: at}, {Text: k.Code, Link: path + "/domande/" + k.App.ID}, {Text: k.App.Protocol()}, {Text: fmt.Sprint(k.Points)}, {Text: fmt.Sprint(k.Declared)}, {Text: fmt.Sprint(k.ToCheck)},
			{Text: strings.Join(wishes, "; ")}, {Text: state}})
	}
	made := table{ID: "lists", Caption: r.T("school.lists"), Empty: r.T("school.list-none"), Head: r.in("school", "h-list", "h-made", "h-published")}
	var last *ranking.List
	for _, l := range lists {
		at := ""
		if !l.Published.IsZero() {
			at, last = moment(l.Published), l
		}
		made.Rows = append(made.Rows, []cell{{Text: r.T("school.list-n", "n", l.N, "kind", r.listState(l)), Link: fmt.Sprintf("%s/elenco/%d", path, l.N)}, {Text: moment(l.Made)}, {Text: at}})
	}
	d := data{"Facts": facts, "Wrong": wrong, "Tables": []table{apps, made}, "Links": []nextStep{{r.T("school.csv"), path + "/domande.csv"}, {r.T("school.offers"), path + "/offerte"}, {r.T("school.m-calls"), schoolPath}}}
	var acts []act
	if last == nil || last.Kind == ranking.Provisional {
		acts = append(acts, act{Title: r.T("school.make-provisional"), Intro: r.T("school.make-provisional-intro"), Action: path + "/elenco", Button: r.T("school.make-provisional"), Hidden: map[string]string{"tipo": string(ranking.Provisional)}})
	}
	if last != nil && last.Kind == ranking.Provisional {
		acts = append(acts, act{Title: r.T("school.make-final"), Intro: r.T("school.make-final-intro"), Action: path + "/elenco", Button: r.T("school.make-final"), Hidden: map[string]string{"tipo": string(ranking.Final)}})
	}
	places := act{Title: r.T("school.seats"), Intro: r.T("school.seats-intro"), Action: path + "/posti", Button: r.T("school.save")}
	for _, p := range x.Places() {
		f := field{Name: seatField(p), Label: x.NameOf(p, r.lang), Kind: "text", Inputmode: "numeric", Autocomplete: "off", Value: fmt.Sprint(seats[p])}
		if posted != nil {
			f.Value = posted(f.Name)
		}
		places.Fields = append(places.Fields, f)
	}
	s := ranking.Settings{Title: x.Title, Since: x.Since, Until: x.Until, Term: x.Term, Shown: x.Shown}
	if typed != nil {
		s = *typed
	}
	d["Acts"] = append(acts, places, act{Title: r.T("school.settings"), Action: path, Button: r.T("school.save"), Fields: r.settingFields(s)})
	return r.page(status, "show", r.T("school.call-title", "title", x.Title), d)
}

func seatField(p ranking.Place) string { return "posti." + p.School + "." + p.Hours }

func (c *Console) callChange(r *request) error {
	x, path, err := r.theCall()
	if err != nil {
		return err
	}
	s := r.readSettings()
	err = c.Rooms.Rankings.Change(r.ctx(), r.actor(), x.ID, s)
	if text, ok := r.refused(err); ok {
		return r.showCall(http.StatusUnprocessableEntity, text, &s, nil)
	}
	if err != nil {
		return err
	}
	return r.done(path, "saved")
}

func (c *Console) callSeats(r *request) error {
	x, path, err := r.theCall()
	if err != nil {
		return err
	}
	seats := map[ranking.Place]int{}
	for _, p := range x.Places() {
		v := r.value(seatField(p))
		n, err := strconv.Atoi(v)
		if err != nil {
			return r.showCall(http.StatusUnprocessableEntity, r.T("ranking.seats"), nil, r.value)
		}
		seats[p] = n
	}
	err = c.Rooms.Rankings.SetSeats(r.ctx(), r.actor(), x.ID, seats)
	if text, ok := r.refused(err); ok {
		return r.showCall(http.StatusUnprocessableEntity, text, nil, r.value)
	}
	if err != nil {
		return err
	}
	return r.done(path, "saved")
}

func (c *Console) callList(r *request) error {
	x, path, err := r.theCall()
	if err != nil {
		return err
	}
	n, err := c.Rooms.Rankings.MakeList(r.ctx(), r.actor(), x.ID, ranking.Kind(r.value("tipo")))
	if text, ok := r.refused(err); ok {
		return r.showCall(http.StatusConflict, text, nil, nil)
	}
	if err != nil {
		return err
	}
	r.redirect(fmt.Sprintf("%s/elenco/%d", path, n))
	return nil
}

// listNumber is the list that the address names.
func (r *request) listNumber(x *ranking.Call) (*ranking.List, error) {
	n, err := strconv.Atoi(r.r.PathValue("n"))
	if err != nil {
		return nil, errNotFound
	}
	all, err := r.c.Rooms.Rankings.Lists(r.ctx(), r.actor(), x)
	if err != nil {
		return nil, err
	}
	if n < 1 || n > len(all) {
		return nil, errNotFound
	}
	return all[n-1], nil
}

func (c *Console) callListPage(r *request) error { return r.showList(http.StatusOK, "") }

// showList is a list as it is published, by code.
func (r *request) showList(status int, wrong string) error {
	x, path, err := r.theCall()
	if err != nil {
		return err
	}
	l, err := r.listNumber(x)
	if err != nil {
		return err
	}
	entries, err := r.c.Rooms.Rankings.Entries(r.ctx(), x, l.N)
	if err != nil {
		return err
	}
	var tables []table
	for i, p := range x.Places() {
		t := table{ID: fmt.Sprint("place-", i), Caption: x.NameOf(p, r.lang), Empty: r.T("ranking.nobody"), Head: r.in("ranking", "h-position", "h-code", "h-points", "h-wish", "h-outcome")}
		for _, line := range ranking.Of(entries, p) {
			t.Rows = append(t.Rows, []cell{{Text: fmt.Sprint(line.N)}, {Text: line.Code, Link: path + "/domande/" + line.Application}, {Text: fmt.Sprint(line.Points)}, {Text: fmt.Sprint(line.Wish)}, {Text: r.T("ranking.outcome-" + string(line.Outcome))}})
		}
		tables = append(tables, t)
	}
	out := table{ID: "excluded", Caption: r.T("ranking.excluded-title"), Empty: r.T("ranking.nobody"), Head: r.in("ranking", "h-code")}
	for _, e := range entries {
		if e.Position == 0 {
			out.Rows = append(out.Rows, []cell{{Text: e.Code, Link: path + "/domande/" + e.Application}})
		}
	}
	at := fmt.Sprintf("%s/elenco/%d", path, l.N)
	d := data{"Wrong": wrong, "Tables": append(tables, out), "Facts": []fact{{Label: r.T("school.h-list"), Value: r.listState(l)}, {Label: r.T("school.h-made"), Value: moment(l.Made)}, {Label: r.T("school.h-who"), Value: r.operatorName(l.Operator)}}}
	links := []nextStep{{r.T("school.back"), path}}
	if l.Published.IsZero() {
		d["Acts"] = []act{{Title: r.T("school.publish"), Intro: r.T("school.publish-" + string(l.Kind)), Action: at + "/pubblica", Button: r.T("school.publish")}}
	} else {
		links = append(links, nextStep{r.T("school.pdf"), at + "/pdf"})
	}
	d["Links"] = links
	return r.page(status, "show", r.T("school.list-title", "title", x.Title, "n", l.N), d)
}

func (c *Console) callPublish(r *request) error {
	x, path, err := r.theCall()
	if err != nil {
		return err
	}
	l, err := r.listNumber(x)
	if err != nil {
		return err
	}
	err = c.Rooms.Rankings.Publish(r.ctx(), r.actor(), x.ID, l.N)
	if text, ok := r.refused(err); ok {
		return r.showList(http.StatusConflict, text)
	}
	if err != nil {
		return missing(err)
	}
	return r.done(fmt.Sprintf("%s/elenco/%d", path, l.N), "saved")
}

func (c *Console) callPDF(r *request) error {
	x, _, err := r.theCall()
	if err != nil {
		return err
	}
	l, err := r.listNumber(x)
	if err != nil {
		return err
	}
	f, err := c.Rooms.Rankings.PDF(r.ctx(), x, l.N)
	if err != nil {
		return missing(err)
	}
	return r.handOver(fmt.Sprintf("graduatoria-%d.pdf", l.N), "application/pdf", f)
}

func (c *Console) callOffers(r *request) error {
	x, path, err := r.theCall()
	if err != nil {
		return err
	}
	all, err := c.Rooms.Rankings.Offers(r.ctx(), r.actor(), x)
	if err != nil {
		return err
	}
	t := &table{ID: "offers", Caption: r.T("school.offers"), Empty: r.T("school.no-offers"), Head: r.in("school", "h-code", "h-place", "h-state", "h-made", "h-due", "h-answered")}
	for _, o := range all {
		answered := ""
		if !o.Answered.IsZero() {
			answered = moment(o.Answered)
		}
		t.Rows = append(t.Rows, []cell{{Text: o.Code, Link: path + "/domande/" + o.Application}, {Text: x.NameOf(o.Place, r.lang)}, {Text: r.T("ranking.state-" + string(o.State))}, {Text: moment(o.Made)}, {Text: spanText(o.Due)}, {Text: answered}})
	}
	return r.page(http.StatusOK, "list", r.T("school.offers-title", "title", x.Title), data{"Table": t, "Links": []nextStep{{r.T("school.back"), path}}})
}

// callCSV is the order with what counts, for a spreadsheet; it names nobody.
func (c *Console) callCSV(r *request) error {
	x, _, err := r.theCall()
	if err != nil {
		return err
	}
	all, err := c.Rooms.Rankings.Candidates(r.ctx(), r.actor(), x)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.Comma = ';'
	_ = w.Write([]string{"posizione", "codice", "protocollo", "inviata", "punti", "punti-dichiarati", "da-verificare", "orario", "preferenze", "stato"}) // into memory
	for i, k := range all {
		at, state := fmt.Sprint(i+1), ""
		if k.Out != "" {
			at, state = "", k.Out
		}
		_ = w.Write([]string{at, k.Code, inert(k.App.Protocol()), k.App.Sent.UTC().Format(time.RFC3339), fmt.Sprint(k.Points), fmt.Sprint(k.Declared), fmt.Sprint(k.ToCheck), k.Applicant.Hours, strings.Join(k.Applicant.Wishes, ","), state})
	}
	w.Flush()
	r.w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	r.w.Header().Set("Content-Disposition", `attachment; filename="domande.csv"`)
	_, err = r.w.Write(b.Bytes())
	return err
}
