package console

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/submission"
	"github.com/citel-pa/citel/server/web"
)

// lost is what a room does not find, as the console says it.
func lost(err error) error {
	if errors.Is(err, submission.ErrNotFound) || errors.Is(err, register.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		return errNotFound
	}
	return err
}

// deed is an act of an office on an application.
type deed struct {
	Kind   string // of the step that it leaves; its sentences are "office.<kind>..."
	states []submission.State
	do     func(c *Console, r *request, id string) error
	// when: what besides the state; nil asks nothing.
	when func(x *submission.Application) bool
}

var openStates = []submission.State{submission.StateToCheck, submission.StateSent, submission.StateInCharge, submission.StateMore, submission.StateNoticed}

// deeds by the last part of their address.
var deeds = map[string]deed{
	"carico": {Kind: "charge", states: openStates[1:], do: func(c *Console, r *request, id string) error {
		holder, _ := strconv.ParseInt(r.value("from"), 10, 64)
		return c.Rooms.Applications.TakeFrom(r.ctx(), r.actor(), id, holder)
	}},
	"controllata": {Kind: "checked", states: openStates[:1], do: func(c *Console, r *request, id string) error {
		return c.Rooms.Applications.Checked(r.ctx(), r.actor(), id, r.value("words"))
	}},
	"integrazione": {Kind: "more", states: openStates[1:3], do: func(c *Console, r *request, id string) error {
		return c.Rooms.Applications.More(r.ctx(), r.actor(), id, r.value("words"))
	}},
	"preavviso": {Kind: "notice", states: openStates[:4], do: func(c *Console, r *request, id string) error {
		return c.Rooms.Applications.GiveNotice(r.ctx(), r.actor(), id, r.value("words"))
	}, when: func(x *submission.Application) bool { return x.Service.GivesNotice() && x.Noticed == "" }},
	"ricevimento": {Kind: "notice-received", states: openStates[1:], do: func(c *Console, r *request, id string) error {
		return c.Rooms.Applications.NoticeReceived(r.ctx(), r.actor(), id, r.value("day"), r.value("words"))
	}, when: func(x *submission.Application) bool { return x.Hears() && x.Until == "" }},
	"osservazioni": {Kind: "observations", states: openStates[1:], do: func(c *Console, r *request, id string) error {
		return c.Rooms.Applications.ObservedElsewhere(r.ctx(), r.actor(), id, r.value("day"), r.value("words"))
	}, when: (*submission.Application).Hears},
	"messaggio": {Kind: "message", states: append(slices.Clone(openStates), submission.StateAnswered), do: func(c *Console, r *request, id string) error {
		return c.Rooms.Applications.Write(r.ctx(), r.actor(), id, r.value("words"))
	}},
	"smista": {Kind: "reroute", states: openStates, do: func(c *Console, r *request, id string) error {
		return c.Rooms.Applications.Reroute(r.ctx(), r.actor(), id, r.value("office"), r.value("words"))
	}},
	"risposta": {Kind: "answer", states: openStates[1:], do: func(c *Console, r *request, id string) error {
		return c.Rooms.Applications.Decide(r.ctx(), r.actor(), id, submission.Decision{Words: r.value("words"), Outcome: submission.Outcome(r.value("outcome")), About: r.value("about")})
	}},
	"chiusura": {Kind: "close", states: append(slices.Clone(openStates), submission.StateAnswered), do: func(c *Console, r *request, id string) error {
		return c.Rooms.Applications.Close(r.ctx(), r.actor(), id, r.value("words"))
	}},
}

// deedOrder is the page's.
var deedOrder = []string{"carico", "controllata", "risposta", "integrazione", "preavviso", "ricevimento", "osservazioni", "messaggio", "smista", "chiusura"}

func (c *Console) application(r *request) error {
	x, err := c.Rooms.Applications.Open(r.ctx(), r.actor(), r.r.PathValue("application"))
	if err != nil {
		return lost(err)
	}
	return c.showApplication(r, x, http.StatusOK, "", "")
}

// act does one of the deeds. What went wrong is said on the page as it is now, with what
// was typed still there.
func (c *Console) act(r *request, d deed) error {
	id := r.r.PathValue("application")
	err := d.do(c, r, id)
	var refused *submission.RefusedError
	if errors.As(err, &refused) {
		x, found := c.Rooms.Applications.Open(r.ctx(), r.actor(), id) // the page shows all of it
		if found != nil {
			return lost(found)
		}
		status, wrong := http.StatusUnprocessableEntity, r.T("application."+refused.Code, "day", italianDay(x.Until))
		if errors.Is(err, submission.ErrState) || errors.Is(err, submission.ErrHeld) {
			status = http.StatusConflict
			if wrong, err = c.meanwhile(r, x, wrong); err != nil {
				return err
			}
		}
		return c.showApplication(r, x, status, wrong, d.Kind)
	}
	if err != nil {
		return lost(err)
	}
	to := Prefix + "/pratiche/" + id
	if _, err := c.Rooms.Applications.Look(r.ctx(), r.actor(), id); errors.Is(err, submission.ErrNotFound) {
		to = Prefix + "/pratiche" // it went to an office that is not the operator's
	}
	return r.done(to, "application-"+d.Kind)
}

// meanwhile names who did what to the application last.
func (c *Console) meanwhile(r *request, x *submission.Application, otherwise string) (string, error) {
	steps, err := c.Rooms.Applications.Steps(r.ctx(), x)
	if err != nil || len(steps) == 0 {
		return otherwise, err
	}
	last := steps[len(steps)-1]
	if last.Operator == r.operator.ID {
		return otherwise, nil
	}
	return r.T("office.meanwhile", "who", c.stepBy(r, last), "what", r.T("office.step-"+last.Kind), "time", moment(last.Time)) + " " + otherwise, nil
}

func (c *Console) stepBy(r *request, s submission.Step) string {
	switch {
	case s.Operator != 0 && s.Person != 0: // assisted filing: both
		return r.T("office.by-both", "operator", c.operatorName(r, s.Operator))
	case s.Operator != 0:
		return c.operatorName(r, s.Operator)
	}
	return r.T("office.by-citizen")
}

// stepLine is a step as the page shows it.
type stepLine struct {
	Time, What, Who, Text string
	Citizen               bool
}

// deedForm is an act on the page.
type deedForm struct {
	act
	Kind string
	Open bool
}

// paperLine is a document of the file.
type paperLine struct{ Title, Link, Note string }

func (c *Console) showApplication(r *request, x *submission.Application, status int, wrong, failed string) error {
	rooms := c.Rooms.Applications
	who, err := rooms.Who(r.ctx(), x)
	if err != nil {
		return err
	}
	facts := r.officeFacts("number", x.Protocol(), "id", x.ID, "state", r.T("application.state-"+string(x.State)), "at-office", x.Office, "holder", c.operatorName(r, x.Holder), "due", r.term(x),
		"sent", moment(x.Sent), "level", r.T("office.level-"+fmt.Sprint(int(x.Level))), "valid", strings.Join(x.Letters(r.lang), "; "), "version", fmt.Sprintf("%s, n. %d", x.Service.ID, x.Service.Number),
		"privacy", x.Privacy, "fingerprint", x.Fingerprint())
	notice, err := c.noticeFacts(r, x)
	if err != nil {
		return err
	}
	facts = append(facts, notice...)
	var people []fact
	proved := who.Owner.CodiceFiscale
	if proved == "" {
		proved = r.T("application.not-proved")
	}
	people = append(people, fact{Label: r.T("application.owner"), Value: who.Owner.Name()}, fact{Label: r.T("submission.codice-fiscale"), Value: proved})
	if who.Agent != nil {
		people = append(people, fact{Label: r.T("application.agent"), Value: who.Agent.Name() + ", " + who.Agent.CodiceFiscale + " (" + who.Title + ")"})
	}
	if who.Operator != "" {
		people = append(people, fact{Label: r.T("application.operator"), Value: who.Operator})
	}
	if x.Mandate != "" {
		people = append(people, fact{Label: r.T("office.mandate"), Value: x.Mandate, Mono: true})
	}
	if x.Person != 0 && r.actor().Has(role.UsersRead) {
		people = append(people, fact{Label: r.T("console.f-holder"), Value: r.T("console.open-user"), Link: fmt.Sprintf("%s/utenti/%d", Prefix, x.Person)})
	}
	d := data{"Facts": facts, "People": people, "Answers": x.Service.Preview(x.Fields, r.lang), "Wrong": wrong, "Test": x.Test, "Service": x.Service.Title.In(r.lang)}
	if d["Papers"], err = c.papers(r, x); err != nil {
		return err
	}
	if d["Files"], err = c.fileTable(r, x); err != nil {
		return err
	}
	if d["Signed"], err = c.signedTable(r, x); err != nil {
		return err
	}
	steps, err := rooms.Steps(r.ctx(), x)
	if err != nil {
		return err
	}
	var lines []stepLine
	for _, s := range steps {
		if s.Kind == "started" || s.Kind == "made" {
			continue // before it was sent
		}
		what := r.T("office.step-" + s.Kind)
		if s.Kind == "reroute" || s.Kind == "sent" {
			what += ": " + s.Office
		}
		words := s.Text
		if s.Kind == "signed" && words != "" {
			words = r.T("office.signed-" + words)
		}
		lines = append(lines, stepLine{moment(s.Time), what, c.stepBy(r, s), words, s.Operator == 0})
	}
	d["Steps"] = lines
	forms, err := c.deedForms(r, x, failed)
	if err != nil {
		return err
	}
	d["Deeds"] = forms
	if failed != "" && !slices.ContainsFunc(forms, func(f deedForm) bool { return f.Kind == failed }) {
		d["Typed"] = r.value("words") // what was typed for a deed that cannot be done any more
	}
	if own, err := rooms.Own(r.ctx(), r.actor(), x); err != nil {
		return err
	} else if own {
		d["News"] = r.T("application.own")
	} else if x.Holder != 0 && x.Holder != r.operator.ID && x.State.Open() {
		d["News"] = r.T("office.held-by", "name", c.operatorName(r, x.Holder))
	}
	return r.page(status, "pratica", x.Service.Title.In(r.lang)+", "+x.Reference(), d)
}

func (r *request) officeFacts(pairs ...string) (out []fact) {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			out = append(out, fact{Label: r.T("office." + pairs[i]), Value: pairs[i+1], Mono: pairs[i] == "fingerprint" || pairs[i] == "id"})
		}
	}
	return out
}

// papers are what the file holds besides attachments.
func (c *Console) papers(r *request, x *submission.Application) (out []paperLine, err error) {
	all, err := c.Rooms.Applications.Papers(r.ctx(), x)
	if err != nil {
		return nil, err
	}
	base := Prefix + "/pratiche/" + x.ID + "/carte/"
	for _, p := range all {
		if strings.HasPrefix(p.Name, "allegato-") {
			continue
		}
		name, _, _ := strings.Cut(p.Name, ".")
		name, n, _ := strings.Cut(name, "-")
		line := paperLine{Title: strings.TrimSpace(r.T("office.paper-"+name) + " " + n), Link: base + p.Name}
		switch {
		case strings.HasSuffix(p.Name, ".p7m"):
			line.Title = r.T("office.paper-signed", "n", n)
		case strings.HasPrefix(p.Name, "preavviso"), strings.HasPrefix(p.Name, "osservazioni"):
			if line.Note, err = c.noticeNote(r, x, n); err != nil {
				return nil, err
			}
		case p.Name == "risposta.pdf":
			answer, err := c.Rooms.Applications.AnswerOf(r.ctx(), x)
			if err != nil {
				return nil, err
			}
			if answer.Number.Number > 0 {
				line.Note = r.T("office.answer-number", "number", answer.Number)
			}
		}
		out = append(out, line)
	}
	return out, nil
}

func (c *Console) fileTable(r *request, x *submission.Application) (*table, error) {
	files, err := c.Rooms.Applications.Files(r.ctx(), x)
	if err != nil {
		return nil, err
	}
	t := &table{ID: "files", Caption: r.T("office.attachments"), Empty: r.T("office.no-attachments"), Head: r.words("office", "file", "what-for", "size", "scan")}
	for _, f := range files {
		if !f.Sent {
			continue
		}
		title := r.T("office.slot-" + f.Slot)
		if i := slices.IndexFunc(x.Service.Attachments, func(a service.Attachment) bool { return a.ID == f.Slot }); i >= 0 {
			title = x.Service.Attachments[i].Title.In(r.lang)
		}
		name := cell{Text: f.Name}
		if f.State == submission.FileClean {
			name.Link = Prefix + "/pratiche/" + x.ID + "/file/" + f.ID
		}
		scan := r.T("office.scan-" + string(f.State))
		if f.State == submission.FileClean && c.Rooms.Applications.Scanner == nil {
			scan = r.T("office.scan-none")
		}
		if f.Threat != "" {
			scan += ": " + f.Threat
		}
		t.Rows = append(t.Rows, []cell{name, {Text: title}, {Text: fmt.Sprintf("%d KiB", (f.Size+1023)/1024)}, {Text: scan}})
	}
	return t, nil
}

func (c *Console) signedTable(r *request, x *submission.Application) (*table, error) {
	all, err := c.Rooms.Applications.Signatures(r.ctx(), x)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	t := &table{ID: "signed", Caption: r.T("office.signatures"), Head: r.words("office", "signer", "when", "verdict", "kind")}
	for _, s := range all {
		for _, v := range s.Report.Signatures {
			if v.Signer.CodiceFiscale != s.Code {
				continue
			}
			verdict := r.T("command." + string(v.Indication))
			if s.ToCheck {
				verdict = r.T("office.verdict-to-check")
			}
			t.Rows = append(t.Rows, []cell{{Text: s.Code, Mono: true}, {Text: moment(s.Time)}, {Text: verdict}, {Text: r.T("submission.kind-"+v.Kind) + ", " + v.Format + " " + v.Level}})
		}
	}
	return t, nil
}

// deedForms are the acts that can be done now by whoever looks.
func (c *Console) deedForms(r *request, x *submission.Application, failed string) (out []deedForm, err error) {
	if !submission.MayWrite(r.actor(), x) {
		return nil, nil
	}
	if own, err := c.Rooms.Applications.Own(r.ctx(), r.actor(), x); err != nil || own {
		return nil, err
	}
	other := x.Holder != 0 && x.Holder != r.operator.ID
	for _, path := range deedOrder {
		d := deeds[path]
		take := d.Kind == "charge"
		if !slices.Contains(d.states, x.State) || d.when != nil && !d.when(x) || other && !take || take && x.Holder == r.operator.ID && x.State != submission.StateSent {
			continue
		}
		f := deedForm{act: act{Title: r.T("office.do-" + d.Kind), Intro: r.T("office.do-" + d.Kind + "-intro"), Action: Prefix + "/pratiche/" + x.ID + "/" + path, Button: r.T("office.do-" + d.Kind), Danger: d.Kind == "close"}, Kind: d.Kind, Open: take || d.Kind == failed}
		typed := ""
		if d.Kind == failed {
			typed = r.r.PostFormValue("words")
		}
		words := r.labelled("office.words-"+d.Kind, "words*", "long", typed)
		switch d.Kind {
		case "charge":
			if other {
				f.Title = r.T("office.do-charge-from", "name", c.operatorName(r, x.Holder))
				f.Button, f.Hidden = f.Title, map[string]string{"from": fmt.Sprint(x.Holder)}
			}
		case "reroute":
			offices, err := c.Rooms.Applications.Offices(r.ctx(), x.Ente)
			if err != nil {
				return nil, err
			}
			choose := []option{{"", r.T("console.choose-one")}}
			for _, o := range offices {
				if o != x.Office {
					choose = append(choose, option{o, o})
				}
			}
			words.Required = false
			f.Fields = []field{r.labelled("office.to-office", "office*", "choice", r.value("office"), choose...), words}
		case "answer":
			if f.Fields, f.Intro, err = c.answerFields(r, x, words, d.Kind == failed); err != nil {
				return nil, err
			}
		case "notice-received", "observations":
			label := map[string]string{"notice-received": "office.notice-day", "observations": "office.observations-day"}[d.Kind]
			on := r.c.now().In(register.Rome()).Format(time.DateOnly)
			if d.Kind == failed {
				on = r.value("day")
			}
			f.Fields = []field{r.labelled(label, "day*", "date", on), words}
		default:
			words.Required = d.Kind != "close" || x.State != submission.StateAnswered
			f.Fields = []field{words}
		}
		out = append(out, f)
	}
	for i := range out {
		for k := range out[i].Fields {
			out[i].Fields[k].Scope = fmt.Sprintf("%d-", i+1)
		}
	}
	return out, nil
}

// paper sends a document of the file; what was read is logged.
func (c *Console) paper(r *request) error {
	name := r.r.PathValue("paper")
	x, err := c.Rooms.Applications.OpenFor(r.ctx(), r.actor(), r.r.PathValue("application"), name)
	if err != nil {
		return lost(err)
	}
	all, err := c.Rooms.Applications.Papers(r.ctx(), x)
	if err != nil {
		return err
	}
	for _, p := range all {
		if p.Name == name && !strings.HasPrefix(name, "allegato-") {
			f, err := p.Open(r.ctx())
			if err != nil {
				return lost(err)
			}
			return r.handOver(strings.ReplaceAll(x.Reference(), "/", "-")+"-"+p.Name, p.MediaType, f)
		}
	}
	return errNotFound
}

// attachment sends one that the scanner called clean.
func (c *Console) attachment(r *request) error {
	id := r.r.PathValue("file")
	x, err := c.Rooms.Applications.OpenFor(r.ctx(), r.actor(), r.r.PathValue("application"), "file "+id)
	if err != nil {
		return lost(err)
	}
	f, data, err := c.Rooms.Applications.OpenFile(r.ctx(), x, id)
	if errors.Is(err, submission.ErrScan) {
		return c.showApplication(r, x, http.StatusConflict, r.T("application.scan"), "")
	}
	if err == nil && !f.Sent {
		err = errors.Join(errNotFound, data.Close())
	}
	if err != nil {
		return lost(err)
	}
	return r.handOver(f.Name, f.Kind.MediaType(), data)
}

// handOver sends a file as a download that can do nothing in the console's origin.
func (r *request) handOver(name, mediaType string, f io.ReadCloser) error {
	return web.Document{Name: name, MediaType: mediaType}.Send(r.w, r.r, r.c.Log, f)
}

// show sends a PDF of ours for reading and for the printer.
func (r *request) show(name string, f io.ReadCloser) error {
	return web.Document{Name: name, MediaType: "application/pdf", Inline: true}.Send(r.w, r.r, r.c.Log, f)
}
