package console

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/foureyes"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/submission"
)

// Protocollo: the register and what the law asks around it. Names of senders and
// recipients are for whom the room shows them (register.NamesFor).

var protocolModule = menuModule{Title: "console.m-protocol", Groups: []menuGroup{{"", []menuLink{
	link("register", "/protocollo", inRegister...),
	link("days", "/protocollo/giorni", inRegister...),
	link("emergency", "/protocollo/emergenza", inRegister...),
	link("deposits", "/protocollo/versamenti", role.InfrastructureRead),
	link("expired", "/protocollo/scarto", role.PortalUse),
}}}}

var inRegister = []role.Permission{role.RoutingRead, role.InfrastructureRead}

func init() {
	permitted(get, "/protocollo", (*Console).protocol, inRegister...)
	permitted(get, "/protocollo/{year}/{number}", (*Console).entryOf, inRegister...)
	permitted(get, "/protocollo/{year}/{number}/segnatura.xml", (*Console).segnatura, role.RoutingRead)
	permitted(post, "/protocollo/{year}/{number}/annulla", (*Console).entryCancel, role.InfrastructureWrite)
	permitted(get, "/protocollo/verifica", (*Console).registryCheck, inRegister...)
	permitted(get, "/protocollo/giorni", (*Console).days, inRegister...)
	permitted(get, "/protocollo/giorni/{day}/registro.pdf", (*Console).dayPDF, role.RoutingRead)
	permitted(get, "/protocollo/giorni/{day}/registro.json", (*Console).dayData, role.RoutingRead)
	permitted(get, "/protocollo/emergenza", (*Console).emergencies, inRegister...)
	permitted(post, "/protocollo/emergenza", (*Console).emergencyOpen, role.InfrastructureWrite)
	permitted(get, "/protocollo/emergenza/{emergency}", (*Console).emergency, inRegister...)
	permitted(post, "/protocollo/emergenza/{emergency}/registra", (*Console).emergencyEnter, role.InfrastructureWrite)
	permitted(post, "/protocollo/emergenza/{emergency}/chiudi", (*Console).emergencyClose, role.InfrastructureWrite)
	permitted(get, "/protocollo/versamenti", (*Console).deposits, role.InfrastructureRead)
	permitted(get, "/protocollo/scarto", (*Console).expired, role.PortalUse)
}

func (r *request) party(e *register.Entry) string {
	if e.Hidden {
		return r.T("protocol.hidden")
	}
	return e.Party
}

func entryPath(n register.Number) string {
	return fmt.Sprintf("%s/protocollo/%d/%d", Prefix, n.Year, n.Number)
}

func (c *Console) entryTable(r *request, id, caption string, all []*register.Entry) *table {
	t := &table{ID: id, Caption: caption, Empty: r.T("console.none"), Head: r.words("protocol", "number", "time", "direction", "party", "subject", "note")}
	for _, e := range all {
		var notes []string
		if e.Cancelled != nil {
			notes = append(notes, r.T("protocol.cancelled"))
		}
		if e.Emergency != "" {
			notes = append(notes, r.T("protocol.of-emergency", "number", e.Emergency))
		}
		t.Rows = append(t.Rows, []cell{{Text: e.Number.String(), Link: entryPath(e.Number)}, {Text: moment(e.Time)}, {Text: r.T("protocol.direction-" + string(e.Direction))}, {Text: r.party(e)}, {Text: e.Subject}, {Text: strings.Join(notes, "; ")}})
	}
	return t
}

// dateField reads a day of a filter.
func (r *request) dateField(name string, wrong *bool) time.Time {
	v := r.query(name)
	if v == "" {
		return time.Time{}
	}
	t, err := time.ParseInLocation(time.DateOnly, v, register.Rome())
	if err != nil {
		*wrong = true
	}
	return t
}

func (c *Console) protocol(r *request) error {
	names := register.NamesFor(r.actor())
	wrong := false
	q := register.Query{Direction: register.Direction(r.query("verso")), From: r.dateField("dal", &wrong), To: r.dateField("al", &wrong), Subject: r.query("oggetto"), Cancelled: r.query("annullate") != "", Limit: queuePage + 1}
	if names != register.NamesNone {
		q.Party = r.query("parte")
	}
	if n := r.query("numero"); n != "" {
		var ok bool
		if q.Number, ok = submission.ParseNumber(n); !ok {
			wrong = true
		}
	}
	if before := r.query("prima"); before != "" {
		q.Before, _ = submission.ParseNumber(before)
	}
	fields := []field{r.labelled("protocol.number", "numero", "search", r.query("numero")), r.labelled("protocol.from", "dal", "date", r.query("dal")), r.labelled("protocol.to", "al", "date", r.query("al")),
		r.labelled("protocol.direction", "verso", "choice", r.query("verso"), option{"", r.T("protocol.both")}, option{"in", r.T("protocol.direction-in")}, option{"out", r.T("protocol.direction-out")}),
		r.labelled("protocol.subject", "oggetto", "search", r.query("oggetto"))}
	if names != register.NamesNone {
		fields = append(fields, r.labelled("protocol.party", "parte", "search", r.query("parte")))
	}
	fields = append(fields, r.labelled("protocol.only-cancelled", "annullate", "check", r.query("annullate")))
	d := data{"Filter": fields, "FilterAction": Prefix + "/protocollo", "Intro": r.T([]string{"protocol.intro-none", "protocol.intro-offices", "protocol.intro-all"}[names]),
		"Wrong": r.sentence(wrong, "protocol.filter-wrong"), "Links": []nextStep{{r.T("protocol.verify"), Prefix + "/protocollo/verifica"}}}
	if wrong {
		return r.page(http.StatusUnprocessableEntity, "list", r.T("console.m-register"), d)
	}
	all, err := c.Rooms.Register.Search(r.ctx(), r.actor(), q)
	if err != nil {
		return err
	}
	if len(all) > queuePage {
		all = all[:queuePage]
		next := r.r.URL.Query()
		next.Set("prima", all[queuePage-1].Number.String())
		d["More"] = Prefix + "/protocollo?" + next.Encode()
	}
	d["Table"] = c.entryTable(r, "register", r.T("console.m-register"), all)
	return r.page(http.StatusOK, "list", r.T("console.m-register"), d)
}

func (r *request) number() (register.Number, error) {
	n, ok := submission.ParseNumber(r.r.PathValue("year") + "/" + r.r.PathValue("number"))
	if !ok {
		return n, errNotFound
	}
	return n, nil
}

func (c *Console) entryOf(r *request) error { return c.showEntry(r, http.StatusOK, "") }

func (c *Console) showEntry(r *request, status int, wrong string) error {
	n, err := r.number()
	if err != nil {
		return err
	}
	a := r.actor()
	e, err := c.Rooms.Register.Open(r.ctx(), a, n)
	if err != nil {
		return lost(err)
	}
	facts := r.protocolFacts("number", e.Number.String(), "aoo", strings.Trim(e.IPA+" / "+e.AOO+" / "+e.Registry, " /"), "time", moment(e.Time), "direction", r.T("protocol.direction-"+string(e.Direction)),
		"party", r.party(e), "subject", e.Subject, "hash", e.Hash(), "origin", e.Origin, "emergency", e.Emergency)
	if len(e.SHA256) == 0 {
		facts = append(facts, r.protocolFacts("hash", r.T("protocol.paper"))...)
	}
	d := data{"Facts": facts, "Wrong": wrong}
	if x := e.Cancelled; x != nil {
		d["News"] = r.T("protocol.cancelled-by", "time", moment(x.Time), "author", x.Author, "reason", x.Reason)
	}
	var links []nextStep
	if register.NamesFor(a) != register.NamesNone && !e.Hidden && len(e.SHA256) > 0 {
		links = append(links, nextStep{r.T("protocol.segnatura"), entryPath(n) + "/segnatura.xml"})
	}
	x, err := c.Rooms.Applications.Behind(r.ctx(), a, e)
	switch {
	case err == nil:
		links = append(links, nextStep{r.T("protocol.application"), Prefix + "/pratiche/" + x.ID})
	case !errors.Is(err, submission.ErrNotFound) && !errors.Is(err, role.ErrDenied):
		return err
	}
	waits, err := c.waits(r, foureyes.RegisterCancelled, func(p foureyes.Pending) bool { return register.Cancels(p.Payload, n) })
	if err != nil {
		return err
	}
	if d["Links"] = append(links, r.waitingLink(waits)...); waits {
		d["News"] = r.T("foureyes.here")
	}
	if e.Cancelled == nil && r.mayWrite() && !waits {
		d["Acts"] = []act{{Title: r.T("protocol.cancel"), Intro: r.T("protocol.cancel-intro"), Action: entryPath(n) + "/annulla", Button: r.T("protocol.cancel"), Danger: true,
			Fields: []field{r.labelled("protocol.reason", "why*", "long", r.value("why"))}}}
	}
	return r.page(status, "show", r.T("protocol.entry-title", "number", n), d)
}

func (r *request) protocolFacts(pairs ...string) (out []fact) {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			out = append(out, fact{Label: r.T("protocol." + pairs[i]), Value: pairs[i+1], Mono: pairs[i] == "hash"})
		}
	}
	return out
}

func (c *Console) segnatura(r *request) error {
	n, err := r.number()
	if err != nil {
		return err
	}
	text, err := c.Rooms.Applications.Segnatura(r.ctx(), r.actor(), n)
	if errors.Is(err, register.ErrCodes) {
		return c.showEntry(r, http.StatusConflict, r.T("protocol.codes-needed"))
	}
	if err != nil {
		return lost(err)
	}
	return r.handOver("segnatura-"+strings.ReplaceAll(n.String(), "/", "-")+".xml", "application/xml", io.NopCloser(bytes.NewReader(text)))
}

func (c *Console) entryCancel(r *request) error {
	n, err := r.number()
	if err != nil {
		return err
	}
	err = c.Rooms.Register.Cancel(r.ctx(), r.actor(), n, r.value("why"))
	switch {
	case errors.Is(err, register.ErrReason):
		return c.showEntry(r, http.StatusUnprocessableEntity, r.T("protocol.reason-needed"))
	case errors.Is(err, register.ErrCancelled):
		return c.showEntry(r, http.StatusConflict, r.T("protocol.cancelled-before"))
	case errors.Is(err, foureyes.ErrPending):
		return r.done(entryPath(n), "pending")
	case err != nil:
		return lost(err)
	}
	return r.done(entryPath(n), "cancelled")
}

// registryCheck reads a whole year: numbers, order and seals.
func (c *Console) registryCheck(r *request) error {
	year, err := strconv.Atoi(r.query("anno"))
	if this := r.c.now().In(register.Rome()).Year(); err != nil || year < 2000 || year > this {
		year = this
	}
	n, gaps, err := c.Rooms.Register.Verify(r.ctx(), r.operator.Ente, year)
	if err != nil {
		return err
	}
	d := data{"Lead": r.T("protocol.verified-good", "year", year, "n", n), "Links": []nextStep{{r.T("protocol.year-before", "year", year-1), Prefix + "/protocollo/verifica?" + url.Values{"anno": {strconv.Itoa(year - 1)}}.Encode()}}}
	if len(gaps) > 0 {
		d["Lead"] = nil
		d["Wrong"] = r.T("protocol.verified-bad", "year", year, "n", n, "bad", len(gaps))
		t := table{ID: "gaps", Caption: r.T("protocol.gaps"), Head: r.words("protocol", "number", "why")}
		for _, g := range gaps[:min(len(gaps), 500)] {
			t.Rows = append(t.Rows, []cell{{Text: g.Number.String()}, {Text: g.Why, Mono: true}})
		}
		d["Tables"] = []table{t}
	}
	return r.page(http.StatusOK, "show", r.T("protocol.verify"), d)
}
