package console

import (
	"errors"
	"strconv"
	"strings"

	"github.com/citel-pa/citel/server/submission"
)

// The notice before a refusal (L. 241/1990, art. 10-bis) on an application's page.

// noticeFacts say what was told, until when it can be answered, and what came.
func (c *Console) noticeFacts(r *request, x *submission.Application) (out []fact, err error) {
	if x.Noticed == "" {
		return nil, nil
	}
	told := r.T("office.notice-until-open", "day", italianDay(x.Noticed))
	if x.Until != "" {
		told = r.T("office.notice-until", "day", italianDay(x.Noticed), "until", italianDay(x.Until))
	}
	out = append(out, fact{Label: r.T("office.notice-fact"), Value: told})
	all, err := c.Rooms.Applications.Observations(r.ctx(), x)
	for _, o := range all {
		out = append(out, fact{Label: r.T("office.paper-osservazioni") + " " + strconv.Itoa(o.N), Value: r.observation(o), Link: Prefix + "/pratiche/" + x.ID + "/carte/osservazioni-" + strconv.Itoa(o.N) + ".pdf"})
	}
	return out, err
}

func (r *request) observation(o *submission.Observation) string {
	parts := []string{italianDay(o.Day)}
	if o.Kind == submission.ObservationsNone {
		parts = append(parts, r.T("office.observation-none"))
	}
	if o.Late {
		parts = append(parts, r.T("office.observation-late"))
	}
	if o.Number.Number > 0 {
		parts = append(parts, r.T("office.observation-number", "number", o.Number))
	}
	return strings.Join(parts, ", ")
}

// noticeNote is what stands beside a paper of the notice: its number; n is that of an
// observation, empty for the notice itself.
func (c *Console) noticeNote(r *request, x *submission.Application, n string) (string, error) {
	if n == "" {
		notice, err := c.Rooms.Applications.NoticeOf(r.ctx(), x)
		if err != nil || notice.Number.Number == 0 {
			return "", err
		}
		return r.T("office.notice-number", "number", notice.Number), nil
	}
	all, err := c.Rooms.Applications.Observations(r.ctx(), x)
	for _, o := range all {
		if strconv.Itoa(o.N) == n {
			return r.observation(o), err
		}
	}
	return "", err
}

// answerFields are those of an answer: of an istanza whose refusal is to be announced its
// outcome too, with what stands against a refusal now, and the word on the observations.
func (c *Console) answerFields(r *request, x *submission.Application, words field, failed bool) (fields []field, intro string, err error) {
	intro = r.T("office.do-answer-intro")
	words.Required = true
	if !x.Service.GivesNotice() {
		return []field{words}, intro, nil
	}
	var outcome, about string
	if failed {
		outcome, about = r.value("outcome"), r.r.PostFormValue("about")
	}
	fields = []field{r.labelled("office.outcome", "outcome*", "choice", outcome, option{"", r.T("console.choose-one")},
		option{string(submission.Granted), r.T("office.outcome-granted")}, option{string(submission.Refused), r.T("office.outcome-refused")}), words}
	var refused *submission.RefusedError
	if err := c.Rooms.Applications.MayRefuse(r.ctx(), x); errors.As(err, &refused) {
		intro += " " + r.T("office.may-not-refuse", "why", r.T("application."+refused.Code, "day", italianDay(x.Until)))
	} else if err != nil {
		return nil, "", err
	}
	all, err := c.Rooms.Applications.Observations(r.ctx(), x)
	for _, o := range all {
		if o.Kind == submission.ObservationsWritten {
			f := r.labelled("office.about", "about", "long", about)
			f.Help = r.T("office.about-help")
			return append(fields, f), intro, err
		}
	}
	return fields, intro, err
}

// suspended says for how long a notice lets the term stand still.
func (r *request) suspended(a *submission.Application) string {
	if a.Restarts == "" {
		return r.T("office.suspended-open")
	}
	return r.T("office.suspended", "until", italianDay(a.Restarts), "days", a.SuspendedDays(), "day", italianDay(a.Due))
}
