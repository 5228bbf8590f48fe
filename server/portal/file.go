package portal

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/server/form"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/rating"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/submission"
)

// stage is one of an application's way (C.SE.1.9).
type stage struct {
	ID   string // sent, to-check, charge, more, notice, answer, end, withdrawn
	Time time.Time
	// Now: it is here. One that is neither reached nor now is still to come.
	Now bool
}

// Done tells whether it is behind.
func (s stage) Done() bool { return !s.Time.IsZero() && !s.Now }

// stagesOf tells where an application is on its way, from its steps.
func stagesOf(a *submission.Application, steps []submission.Step) []stage {
	at := map[string]time.Time{}
	for _, s := range steps {
		if s.Kind != "charge" || at["charge"].IsZero() {
			at[s.Kind] = s.Time
		}
	}
	out := []stage{{ID: "sent", Time: a.Sent}}
	if a.State == submission.StateToCheck {
		out = append(out, stage{ID: "to-check", Time: a.Sent, Now: true})
	}
	charge := stage{ID: "charge", Time: at["charge"]}
	for _, kind := range []string{"more", "notice", "answer"} { // who asks or answers has it in charge
		if charge.Time.IsZero() {
			charge.Time = at[kind]
		}
	}
	out = append(out, charge)
	if !at["more"].IsZero() {
		out = append(out, stage{ID: "more", Time: at["more"], Now: a.State == submission.StateMore})
	}
	if !at["notice"].IsZero() {
		out = append(out, stage{ID: "notice", Time: at["notice"], Now: a.State == submission.StateNoticed})
	}
	if a.State == submission.StateWithdrawn {
		out = slices.DeleteFunc(out, func(s stage) bool { return s.Time.IsZero() })
		return append(out, stage{ID: "withdrawn", Time: a.Closed, Now: true})
	}
	out = append(out, stage{ID: "answer", Time: a.Answered}, stage{ID: "end", Time: a.Closed})
	if !a.Closed.IsZero() { // what was never reached is not to come any more
		out = slices.DeleteFunc(out, func(s stage) bool { return s.Time.IsZero() })
	}
	if slices.ContainsFunc(out, func(s stage) bool { return s.Now }) {
		return out
	}
	for i := len(out) - 1; i >= 0; i-- {
		if !out[i].Time.IsZero() {
			out[i].Now = true
			break
		}
	}
	return out
}

// word is something that was written, by either side.
type word struct {
	Mine  bool               `json:"mine"`
	Kind  string             `json:"kind"` // message, more, notice, observations, no-observations, answer, close, withdraw
	From  string             `json:"from"` // the office, or who wrote; empty: the visitor
	Time  time.Time          `json:"time"`
	Text  string             `json:"text"`
	Files []*submission.File `json:"-"`
}

// mine are the person's own steps that say something.
var mine = []string{"message", "observations", "no-observations", "withdraw"}

// words lays both sides' messages out in their order, what was attached to an answer with
// it. Between offices is not the person's: of a reroute only the office shows.
func (r *request) words(a *submission.Application, w *submission.Who, steps []submission.Step, files []*submission.File) (out []word) {
	more := slices.DeleteFunc(slices.Clone(files), func(f *submission.File) bool { return f.Slot != submission.SlotMore || !f.Sent })
	for _, s := range steps {
		x := word{Kind: s.Kind, Time: s.Time, Text: s.Text, From: s.Office}
		switch {
		case s.Told() && (s.Text != "" || s.Kind == "close"):
		case s.Operator == 0 && slices.Contains(mine, s.Kind):
			x.Mine = true
			x.From = r.writer(s, w)
			if s.Kind == "withdraw" || s.Kind == "no-observations" {
				break
			}
			for len(more) > 0 && !more[0].Created.After(s.Time) {
				x.Files, more = append(x.Files, more[0]), more[1:]
			}
		default:
			continue
		}
		out = append(out, x)
	}
	return out
}

// writer names who wrote, where that is not the visitor.
func (r *request) writer(s submission.Step, w *submission.Who) string {
	switch {
	case r.person != nil && s.Person == r.person.ID, s.Person == 0:
		return ""
	case w.Agent != nil && s.Person == w.Agent.ID:
		return w.Agent.Name()
	}
	return w.Owner.Name()
}

// signedBy is a signature as the page shows it.
type signedBy struct {
	*submission.Signature
	N     int    // of its file, from 1
	Name  string // of the person, where an account has the code
	Facts []validation.Signature
}

// filePage is what the page of an application shows.
type filePage struct {
	A          *submission.Application
	Who        *submission.Who
	Stages     []stage
	Charge     time.Time // when it was taken in charge
	Words      []word
	Files      []*submission.File // of the application itself
	Pending    []*submission.File // attached to an answer that was not sent yet
	Signatures []signedBy
	Answers    []form.Block
	Letters    []string
	Overdue    bool
	PauseEnds  string
	Office     string
	Istanza    bool
	Receipt    bool
	Answer     *submission.Answered // nil: none as a document
	Notice     *submission.Notice   // nil: none was given
	Heard      []*submission.Observation
	Late       bool // the days for observations are over
	None       bool // the person can say to have none
	Suspended  bool
	CanReply   bool
	CanLeave   bool
	Rated      bool
	Rate       bool
	Positive   []string
	Negative   []string
}

// file is the page of an application: what came of it, and what is to be done. One that was
// not sent goes on where it stopped.
func (p *Portal) file(r *request) error {
	a, err := r.application()
	if err != nil {
		return err
	}
	if !a.State.AtOffice() {
		return r.to(r.nextStep(a))
	}
	written, err := r.keptReply(a.ID)
	if err != nil {
		return err
	}
	if err := r.showFile(a, map[string]any{"Written": written}); err != nil {
		return err
	}
	return r.apps().Seen(r.ctx(), r.visitor(), a)
}

// showFile shows it, with what was written and could not be sent.
func (r *request) showFile(a *submission.Application, more map[string]any) error {
	x, err := r.filePage(a)
	if err != nil {
		return err
	}
	d := map[string]any{"F": x, "Title": a.Service.Title.In(r.lang), "Done": r.r.URL.Query().Get("fatto")}
	for k, v := range more {
		d[k] = v
	}
	return r.render("pratica", "pratica.title", d)
}

func (r *request) filePage(a *submission.Application) (*filePage, error) {
	d := r.apps()
	who, err1 := d.Who(r.ctx(), a)
	steps, err2 := d.Steps(r.ctx(), a)
	files, err3 := d.Files(r.ctx(), a)
	signed, err4 := d.Signatures(r.ctx(), a)
	rated, err5 := r.p.Rooms.Ratings.Rated(r.ctx(), a.ID)
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return nil, err
	}
	certificate := a.Service.Act == service.SelfCertification
	x := &filePage{
		A: a, Who: who, Words: r.words(a, who, steps, files), Answers: form.Read(a.Service.Definition, a.Fields, r.lang), Letters: a.Letters(r.lang),
		Overdue: a.Overdue(r.p.now()), PauseEnds: a.PauseEnds(), Office: a.Office, Istanza: a.Service.Act == service.Istanza, Receipt: !certificate,
		CanReply: !certificate && (a.State.Open() || a.State == submission.StateAnswered), CanLeave: !certificate && a.State.Open(),
		Rated: rated, Rate: !rated, Positive: rating.Positive, Negative: rating.Negative,
	}
	answer, err := d.AnswerOf(r.ctx(), a)
	if err != nil && !errors.Is(err, submission.ErrNotFound) {
		return nil, err
	}
	x.Answer = answer
	if err := r.notice(x); err != nil {
		return nil, err
	}
	if a.Letter+string(a.Assisted) == "" {
		x.Letters = nil
	}
	if !certificate {
		x.Stages = stagesOf(a, steps)
	}
	for _, s := range x.Stages {
		if s.ID == "charge" {
			x.Charge = s.Time
		}
	}
	for _, f := range files {
		switch {
		case f.Slot != submission.SlotMore:
			x.Files = append(x.Files, f)
		case !f.Sent:
			x.Pending = append(x.Pending, f)
		}
	}
	for i, s := range signed {
		y := signedBy{Signature: s, N: i + 1}
		// Without an account there is the certificate's name.
		if who, err := person.ByCode(r.ctx(), r.p.Store, person.Natural, s.Code); err == nil {
			y.Name = who.Name()
		}
		for _, z := range s.Report.Signatures {
			if z.Signer.CodiceFiscale == s.Code {
				y.Facts = append(y.Facts, z)
			}
		}
		x.Signatures = append(x.Signatures, y)
	}
	return x, nil
}

// Dones are what can have been done a moment ago; the address says which, and nothing else
// of an address is shown.
func (v *view) Dones() []string {
	return []string{"inviata", "risposta", "osservazioni", "nessuna", "ritirata", "valutata"}
}

// With hands lines and the page to a template.
func (v *view) With(lines []line) map[string]any { return map[string]any{"V": v, "Lines": lines} }

// WithFiles hands files and the page to a template.
func (v *view) WithFiles(files []*submission.File) map[string]any {
	return map[string]any{"V": v, "Files": files}
}

// Plus is the number that people count with.
func (v *view) Plus(i int) int { return i + 1 }

// Limit is how large one file may be, for people.
func (v *view) Limit() string { return megabytes(v.maxBytes()) }

// Euro writes an amount for people.
func (v *view) Euro(cents int) string { return service.Euros(cents) }

// Size is a file's, for people.
func (v *view) Size(n int64) string {
	if n < 1<<20 {
		return strconv.FormatInt(max(1, (n+1023)>>10), 10) + " kB"
	}
	s := strconv.FormatFloat(float64(n)/(1<<20), 'f', 1, 64)
	if v.Lang == message.Italian {
		s = strings.Replace(s, ".", ",", 1)
	}
	return s + " MB"
}
