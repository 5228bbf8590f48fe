package console

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/citel-pa/citel/server/ranking"
	"github.com/citel-pa/citel/server/service"
)

func (c *Console) candidate(r *request) error { return r.showCandidate(http.StatusOK, "") }

// showCandidate is an application with how its points come about.
func (r *request) showCandidate(status int, wrong string) error {
	x, path, err := r.theCall()
	if err != nil {
		return err
	}
	k, err := r.c.Rooms.Rankings.Candidate(r.ctx(), r.actor(), x, r.r.PathValue("application"))
	if err != nil {
		return missing(err)
	}
	at := path + "/domande/" + k.App.ID
	state := r.T("application.state-" + string(k.App.State))
	if k.Out != "" {
		state = r.T("ranking.out-" + k.Out)
	}
	facts := []fact{{Label: r.T("school.h-code"), Value: k.Code}, {Label: r.T("school.h-protocol"), Value: k.App.Protocol()}, {Label: r.T("school.h-sent"), Value: moment(k.App.Sent)}, {Label: r.T("school.h-points"), Value: fmt.Sprint(k.Points)},
		{Label: r.T("school.h-declared"), Value: fmt.Sprint(k.Declared)}, {Label: r.T("school.h-state"), Value: state}, {Label: r.T("school.h-lot"), Value: k.Applicant.Lot, Mono: true}}
	if k.Reason != "" {
		facts = append(facts, fact{Label: r.T("school.f-reason"), Value: k.Reason})
	}
	points := table{ID: "points", Caption: r.T("school.points"), Head: r.in("school", "h-criterion", "h-declared-value", "h-verified", "h-points")}
	var acts []act
	for _, y := range x.Service.Criteria(k.Values) {
		verified := r.T("school.not-verified")
		if v, ok := k.Verified[y.ID]; ok {
			verified = shown(y.Question, v, r)
		}
		value := fmt.Sprint(y.Points)
		if y.Tie && y.Points == 0 {
			value = r.T("school.tie")
		}
		points.Rows = append(points.Rows, []cell{{Text: y.Label.In(r.lang)}, {Text: shown(y.Question, k.App.Fields[y.ID], r)}, {Text: verified}, {Text: value}})
		acts = append(acts, r.verifyAct(at, y))
	}
	checks := table{ID: "checks", Caption: r.T("school.checks"), Empty: r.T("school.no-checks"), Head: r.in("school", "h-when", "h-who", "h-what", "f-reason")}
	for _, h := range k.Checks {
		what := r.T("school.check-" + h.Verified)
		if h.Field != "" {
			q, _ := x.Service.Field(h.Field)
			what = q.Label.In(r.lang) + ": " + shown(q, h.Declared, r) + " → " + shown(q, h.Verified, r)
		}
		checks.Rows = append(checks.Rows, []cell{{Text: moment(h.Time)}, {Text: r.operatorName(h.Operator)}, {Text: what}, {Text: h.Reason}})
	}
	offers, offerActs, err := r.candidateOffers(x, k, at)
	if err != nil {
		return err
	}
	reason := field{Name: "motivo", Label: r.T("school.f-reason"), Kind: "text", Required: true, Autocomplete: "off"}
	if k.Out == ranking.OutExcluded {
		acts = append(acts, act{Title: r.T("school.include"), Action: at + "/esclusione", Button: r.T("school.include"), Fields: []field{reason}})
	} else {
		acts = append(acts, act{Title: r.T("school.exclude"), Intro: r.T("school.exclude-intro"), Action: at + "/esclusione", Button: r.T("school.exclude"), Danger: true, Fields: []field{reason}, Hidden: map[string]string{"fuori": "si"}})
	}
	return r.page(status, "show", r.T("school.candidate-title", "code", k.Code), data{"Wrong": wrong, "Facts": facts, "Tables": []table{points, checks, offers}, "Acts": append(offerActs, acts...),
		"Links": []nextStep{{r.T("school.back"), path}, {r.T("school.file"), Prefix + "/pratiche/" + k.App.ID}}})
}

// shown writes an answer; what was left open is "-".
func shown(q service.Question, v string, r *request) string {
	if x := q.Show(v, r.lang); x != "" {
		return x
	}
	return "-"
}

// verifyAct is the form of one criterion.
func (r *request) verifyAct(at string, y service.Criterion) act {
	f := field{Name: "valore", Label: r.T("school.f-value"), Kind: "text", Value: y.Value, Autocomplete: "off"}
	switch y.Kind {
	case service.Check:
		f.Kind, f.Options = "choice", []option{{"", r.T("service.no")}, {"yes", r.T("service.yes")}}
	case service.Choice:
		f.Kind, f.Options = "choice", []option{{"", "-"}}
		for _, o := range y.Options {
			f.Options = append(f.Options, option{o.Value, o.Label.In(r.lang)})
		}
	case service.Date:
		f.Kind = "date"
	}
	return act{Title: r.T("school.verify", "what", y.Label.In(r.lang)), Action: at + "/verifica", Button: r.T("school.verify-button"), Fold: true, Hidden: map[string]string{"campo": y.ID},
		Fields: []field{f, {Name: "motivo", Label: r.T("school.f-reason"), Help: r.T("school.h-reason"), Kind: "text", Autocomplete: "off"}}}
}

func (r *request) candidateOffers(x *ranking.Call, k *ranking.Candidate, at string) (table, []act, error) {
	t := table{ID: "offers", Caption: r.T("school.offers"), Empty: r.T("school.no-offers"), Head: r.in("school", "h-place", "h-state", "h-made", "h-due", "h-who", "f-reason")}
	all, err := r.c.Rooms.Rankings.Offers(r.ctx(), r.actor(), x)
	if err != nil {
		return t, nil, err
	}
	var acts []act
	for _, o := range all {
		if o.Application != k.App.ID {
			continue
		}
		who := ""
		if o.Operator != 0 {
			who = r.operatorName(o.Operator)
		}
		place := x.NameOf(o.Place, r.lang)
		t.Rows = append(t.Rows, []cell{{Text: place}, {Text: r.T("ranking.state-" + string(o.State))}, {Text: moment(o.Made)}, {Text: spanText(o.Due)}, {Text: who}, {Text: o.Reason}})
		if !o.State.Live() {
			continue
		}
		options := []option{{"rinuncia", r.T("school.renounce")}}
		if o.State == ranking.Offered {
			options = append([]option{{"accetta", r.T("school.accept")}}, options...)
		}
		acts = append(acts, act{Title: r.T("school.answer", "place", place), Intro: r.T("school.answer-intro"), Action: at + "/offerta", Button: r.T("school.answer-button"), Hidden: map[string]string{"n": fmt.Sprint(o.N)},
			Fields: []field{{Name: "risposta", Label: r.T("school.f-answer"), Kind: "radio", Options: options, Required: true}, {Name: "motivo", Label: r.T("school.f-how"), Help: r.T("school.h-how"), Kind: "text", Required: true, Autocomplete: "off"}}})
	}
	return t, acts, nil
}

// candidateDone goes back to the application, or shows it with what was refused.
func (r *request) candidateDone(err error) error {
	if text, ok := r.refused(err); ok {
		return r.showCandidate(http.StatusUnprocessableEntity, text)
	}
	if err != nil {
		return missing(err)
	}
	return r.done(schoolPath+"/"+r.r.PathValue("call")+"/domande/"+r.r.PathValue("application"), "saved")
}

func (c *Console) candidateVerify(r *request) error {
	return r.candidateDone(c.Rooms.Rankings.Verify(r.ctx(), r.actor(), r.r.PathValue("call"), r.r.PathValue("application"), r.value("campo"), r.value("valore"), r.value("motivo")))
}

func (c *Console) candidateExclude(r *request) error {
	return r.candidateDone(c.Rooms.Rankings.Exclude(r.ctx(), r.actor(), r.r.PathValue("call"), r.r.PathValue("application"), r.value("fuori") != "", r.value("motivo")))
}

func (c *Console) candidateAnswer(r *request) error {
	n, err := strconv.Atoi(r.value("n"))
	answer := r.value("risposta")
	if err != nil || answer != "accetta" && answer != "rinuncia" {
		return r.candidateDone(ranking.ErrOffer)
	}
	return r.candidateDone(c.Rooms.Rankings.AnswerAtDesk(r.ctx(), r.actor(), r.r.PathValue("call"), r.r.PathValue("application"), n, answer == "accetta", r.value("motivo")))
}
