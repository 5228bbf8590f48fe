package console

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/register"
)

// The register's days, its emergency series, packages for conservazione, and what could
// be discarded.

// daysPage is how many daily registers a page judges.
const daysPage = 31

func (c *Console) days(r *request) error {
	a := r.actor()
	all, err := c.Rooms.Register.DaysOf(r.ctx(), a, r.query("prima"), daysPage+1)
	if err != nil {
		return err
	}
	d := data{"Intro": r.T("protocol.days-intro")}
	if len(all) > daysPage {
		all = all[:daysPage]
		d["More"] = Prefix + "/protocollo/giorni?" + url.Values{"prima": {all[daysPage-1].Day}}.Encode()
	}
	full := register.NamesFor(a) == register.NamesAll
	t := &table{ID: "days", Caption: r.T("console.m-days"), Empty: r.T("protocol.no-days"), Head: r.words("protocol", "day", "entries", "state", "made", "hash")}
	if full {
		t.Head = append(t.Head, r.words("protocol", "pdf", "json")...)
	}
	for _, x := range all {
		state, err := c.Rooms.Register.CheckDay(r.ctx(), a, x)
		if err != nil {
			return err
		}
		row := []cell{{Text: italianDay(x.Day)}, {Text: strconv.Itoa(x.Entries)}, {Text: r.T("protocol.day-" + string(state))}, {Text: moment(x.Made)}, {Text: x.SHA256[:min(len(x.SHA256), 16)], Mono: true}}
		if full {
			path := Prefix + "/protocollo/giorni/" + x.Day
			row = append(row, cell{Text: r.T("protocol.pdf-of", "day", italianDay(x.Day)), Link: path + "/registro.pdf"}, cell{Text: r.T("protocol.json-of", "day", italianDay(x.Day)), Link: path + "/registro.json"})
		}
		t.Rows = append(t.Rows, row)
	}
	d["Table"] = t
	return r.page(http.StatusOK, "list", r.T("console.m-days"), d)
}

func (c *Console) dayPDF(r *request) error { return c.day(r, false) }

func (c *Console) dayData(r *request) error { return c.day(r, true) }

func (c *Console) day(r *request, data bool) error {
	day := r.r.PathValue("day")
	f, err := c.Rooms.Register.OpenDay(r.ctx(), r.actor(), day, data)
	if err != nil {
		return lost(err)
	}
	name, kind := "registro-"+day+".pdf", "application/pdf"
	if data {
		name, kind = "registro-"+day+".json", "application/json"
	}
	return r.handOver(name, kind, f)
}

// localTime is how a browser sends a day and an hour.
const localTime = "2006-01-02T15:04"

func (c *Console) emergencies(r *request) error { return c.showEmergencies(r, http.StatusOK, "") }

func (c *Console) showEmergencies(r *request, status int, wrong string) error {
	all, err := c.Rooms.Register.Emergencies(r.ctx(), r.actor())
	if err != nil {
		return err
	}
	t := &table{ID: "emergencies", Caption: r.T("console.m-emergency"), Empty: r.T("console.none"), Head: r.words("protocol", "series", "cause", "since", "until", "entries", "operator")}
	for _, x := range all {
		until := r.T("protocol.still-open")
		if !x.Closed.IsZero() {
			until = moment(x.Closed)
		}
		t.Rows = append(t.Rows, []cell{{Text: fmt.Sprintf("E%d", x.ID), Link: fmt.Sprintf("%s/protocollo/emergenza/%d", Prefix, x.ID)}, {Text: x.Cause}, {Text: moment(x.Opened)}, {Text: until}, {Text: strconv.Itoa(x.Entries)}, {Text: c.operatorName(r, x.Operator)}})
	}
	d := data{"Table": t, "Intro": r.T("protocol.emergency-intro"), "Wrong": wrong}
	if r.mayWrite() {
		d["Acts"] = []act{{Title: r.T("protocol.emergency-open"), Action: Prefix + "/protocollo/emergenza", Button: r.T("protocol.emergency-open"),
			Fields: []field{r.labelled("protocol.cause", "cause*", "long", r.value("cause")), r.labelled("protocol.since", "since*", "datetime-local", r.value("since"))}}}
	}
	return r.page(status, "list", r.T("console.m-emergency"), d)
}

func (c *Console) emergencyOpen(r *request) error {
	since, err := time.ParseInLocation(localTime, r.value("since"), register.Rome())
	if err != nil {
		return c.showEmergencies(r, http.StatusUnprocessableEntity, r.T("protocol.time-wrong"))
	}
	id, err := c.Rooms.Register.OpenEmergency(r.ctx(), r.actor(), r.value("cause"), since)
	switch {
	case errors.Is(err, register.ErrReason):
		return c.showEmergencies(r, http.StatusUnprocessableEntity, r.T("protocol.cause-needed"))
	case errors.Is(err, register.ErrInvalid):
		return c.showEmergencies(r, http.StatusUnprocessableEntity, r.T("protocol.time-wrong"))
	case err != nil:
		return err
	}
	return r.done(fmt.Sprintf("%s/protocollo/emergenza/%d", Prefix, id), "saved")
}

func (c *Console) emergency(r *request) error { return c.showEmergency(r, http.StatusOK, "") }

// emergencyOf finds one of the own ente.
func (c *Console) emergencyOf(r *request) (*register.Emergency, error) {
	all, err := c.Rooms.Register.Emergencies(r.ctx(), r.actor())
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(x *register.Emergency) bool { return strconv.Itoa(x.ID) == r.r.PathValue("emergency") })
	if i < 0 {
		return nil, errNotFound
	}
	return all[i], nil
}

func (c *Console) showEmergency(r *request, status int, wrong string) error {
	x, err := c.emergencyOf(r)
	if err != nil {
		return err
	}
	entries, err := c.Rooms.Register.EmergencyEntries(r.ctx(), r.actor(), x.ID)
	if err != nil {
		return err
	}
	facts := r.protocolFacts("series", fmt.Sprintf("E%d", x.ID), "cause", x.Cause, "since", moment(x.Opened), "operator", c.operatorName(r, x.Operator))
	if x.Closed.IsZero() {
		facts = append(facts, r.protocolFacts("until", r.T("protocol.still-open"))...)
	} else {
		facts = append(facts, r.protocolFacts("until", moment(x.Closed))...)
	}
	if days := byHand(entries); days != "" {
		facts = append(facts, r.protocolFacts("by-day", days)...)
	}
	d := data{"Facts": facts, "Wrong": wrong, "Tables": []table{*c.entryTable(r, "entries", r.T("protocol.emergency-entries"), entries)}}
	if x.Closed.IsZero() && r.mayWrite() {
		path := fmt.Sprintf("%s/protocollo/emergenza/%d", Prefix, x.ID)
		hash := r.labelled("protocol.file", "file", "file", "")
		hash.Help = r.T("protocol.file-help")
		d["Acts"] = []act{
			{Title: r.T("protocol.emergency-enter"), Intro: r.T("protocol.emergency-enter-intro"), Action: path + "/registra", Button: r.T("protocol.emergency-enter"), Multipart: true, Fields: []field{
				r.labelled("protocol.by-hand", "time*", "datetime-local", r.value("time")),
				r.labelled("protocol.direction", "direction*", "radio", r.value("direction"), option{"in", r.T("protocol.direction-in")}, option{"out", r.T("protocol.direction-out")}),
				r.labelled("protocol.party", "party*", "text", r.value("party")), r.labelled("protocol.subject", "subject*", "text", r.value("subject")), hash}},
			{Title: r.T("protocol.emergency-close"), Intro: r.T("protocol.emergency-close-intro"), Action: path + "/chiudi", Button: r.T("protocol.emergency-close"), Danger: true, Fields: []field{
				r.labelled("protocol.restored", "restored*", "datetime-local", r.value("restored"))}},
		}
	}
	return r.page(status, "show", r.T("protocol.emergency-title", "series", fmt.Sprintf("E%d", x.ID)), d)
}

// byHand is how many entries were made on each day (DPR 445/2000, art. 63 c. 3).
func byHand(entries []*register.Entry) string {
	n := map[string]int{}
	for _, e := range entries {
		n[dayOf(e.Origin[:min(len(e.Origin), len(time.DateOnly))])]++
	}
	var out []string
	for _, e := range entries { // in their order
		day := dayOf(e.Origin[:min(len(e.Origin), len(time.DateOnly))])
		if line := fmt.Sprintf("%s: %d", day, n[day]); !slices.Contains(out, line) {
			out = append(out, line)
		}
	}
	return strings.Join(out, "; ")
}

func (c *Console) emergencyEnter(r *request) error {
	x, err := c.emergencyOf(r)
	if err != nil {
		return err
	}
	at, err := time.ParseInLocation(localTime, r.value("time"), register.Rome())
	if err != nil {
		return c.showEmergency(r, http.StatusUnprocessableEntity, r.T("protocol.time-wrong"))
	}
	p := register.Paper{Time: at, Party: r.value("party"), Subject: r.value("subject"), Direction: register.Direction(r.value("direction"))}
	if f, _, err := r.r.FormFile("file"); err == nil {
		h := sha256.New()
		n, err := io.Copy(h, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return errBadForm
		}
		if n > 0 {
			p.SHA256 = h.Sum(nil)
		}
	}
	entered, err := c.Rooms.Register.EnterEmergency(r.ctx(), r.actor(), x.ID, []register.Paper{p})
	switch {
	case errors.Is(err, register.ErrInvalid):
		return c.showEmergency(r, http.StatusUnprocessableEntity, r.T("protocol.enter-wrong"))
	case errors.Is(err, register.ErrEmergency):
		return c.showEmergency(r, http.StatusConflict, r.T("protocol.emergency-closed"))
	case err != nil:
		return err
	}
	return r.done(entryPath(entered[0].Number), "entered")
}

func (c *Console) emergencyClose(r *request) error {
	x, err := c.emergencyOf(r)
	if err != nil {
		return err
	}
	at, err := time.ParseInLocation(localTime, r.value("restored"), register.Rome())
	if err == nil {
		err = c.Rooms.Register.CloseEmergency(r.ctx(), r.actor(), x.ID, at)
	} else {
		err = register.ErrInvalid
	}
	switch {
	case errors.Is(err, register.ErrInvalid):
		return c.showEmergency(r, http.StatusUnprocessableEntity, r.T("protocol.restored-wrong"))
	case errors.Is(err, register.ErrEmergency):
		return c.showEmergency(r, http.StatusConflict, r.T("protocol.emergency-closed"))
	case err != nil:
		return err
	}
	return r.done(Prefix+"/protocollo/emergenza", "saved")
}

func (c *Console) deposits(r *request) error {
	missing := r.query("mancanti") != ""
	all, err := c.Rooms.Deposits.List(r.ctx(), r.actor(), missing)
	if err != nil {
		return err
	}
	t := &table{ID: "deposits", Caption: r.T("console.m-deposits"), Empty: r.T("console.none"), Head: r.words("protocol", "package", "documents", "made", "handed", "acknowledged", "answer", "hash")}
	open := 0
	for _, p := range all {
		handed, answer := r.T("protocol.not-handed"), p.Answer
		if !p.Handed.IsZero() {
			handed = moment(p.Handed)
		}
		acknowledged := r.T("protocol.not-acknowledged")
		if p.Acknowledged.IsZero() {
			open++
		} else {
			acknowledged = moment(p.Acknowledged)
		}
		if p.Error != "" {
			answer = r.T("protocol.failed", "error", p.Error)
		}
		if runes := []rune(answer); len(runes) > 200 {
			answer = string(runes[:200]) + "…"
		}
		t.Rows = append(t.Rows, []cell{{Text: p.Name}, {Text: strconv.Itoa(p.Documents)}, {Text: moment(p.Made)}, {Text: handed}, {Text: acknowledged}, {Text: answer}, {Text: p.SHA256[:min(16, len(p.SHA256))], Mono: true}})
	}
	d := data{"Table": t, "Intro": r.T("protocol.deposits-intro"), "FilterAction": Prefix + "/protocollo/versamenti", "Filter": []field{r.labelled("protocol.only-missing", "mancanti", "check", r.query("mancanti"))}}
	if open > 0 {
		d["News"] = r.T("protocol.missing", "n", open)
	}
	return r.page(http.StatusOK, "list", r.T("console.m-deposits"), d)
}

func (c *Console) expired(r *request) error {
	all, err := c.Rooms.Applications.Expired(r.ctx(), r.actor())
	if err != nil {
		return err
	}
	t := &table{ID: "expired", Caption: r.T("console.m-expired"), Empty: r.T("protocol.none-expired"), Head: r.words("protocol", "file", "service", "closed", "keep-until")}
	for _, x := range all {
		t.Rows = append(t.Rows, []cell{{Text: x.Reference()}, {Text: x.Service.Title.In(r.lang)}, {Text: moment(x.Closed)}, {Text: italianDay(x.KeepUntil())}})
	}
	return r.page(http.StatusOK, "list", r.T("console.m-expired"), data{"Table": t, "Intro": r.T("protocol.expired-intro")})
}
