package portal

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/citel-pa/citel/server/denial"
	"github.com/citel-pa/citel/server/ranking"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/submission"
)

// rankingRoutes: rankings, published by code.
var rankingRoutes = []route{ //nolint:gochecknoglobals // a table
	{"GET /graduatorie", session.None, (*Portal).rankings, false},
	{"GET /graduatorie/{id}", session.None, (*Portal).ranking, false},
	{"GET /graduatorie/{id}/{n}/graduatoria.pdf", session.None, (*Portal).rankingPDF, false},
	// These ask for the application's level besides.
	{"GET /pratiche/{id}/graduatoria", session.Debole, (*Portal).standing, false},
	{"POST /pratiche/{id}/graduatoria", session.Debole, (*Portal).standingSent, false},
}

func (p *Portal) rankings(r *request) error {
	all, err := p.Rooms.Rankings.Public(r.ctx(), r.ente.Code)
	if err != nil {
		return err
	}
	return r.render("graduatorie", "graduatoria.list-title", map[string]any{"Calls": all})
}

// placeList is the list of one place, as the page shows it.
type placeList struct {
	Name  string
	Seats int
	Lines []ranking.Line
}

func (r *request) publicCall() (*ranking.Shown, error) {
	s, err := r.p.Rooms.Rankings.PublicCall(r.ctx(), r.ente.Code, r.r.PathValue("id"))
	if errors.Is(err, ranking.ErrNotFound) {
		return nil, errNotFound
	}
	return s, err
}

// ranking is what everybody sees of a call: codes, points, outcome. The own line is marked
// for whoever is logged in at the level that opens the application.
func (p *Portal) ranking(r *request) error {
	s, err := r.publicCall()
	if err != nil {
		return err
	}
	d := map[string]any{"Title": s.Title, "Call": s, "Rules": s.Rules(r.lang)}
	if l := s.Newest(); l != nil {
		entries, err := p.Rooms.Rankings.Entries(r.ctx(), s.Call, l.N)
		if err != nil {
			return err
		}
		seats, err := p.Rooms.Rankings.Seats(r.ctx(), s.Call)
		if err != nil {
			return err
		}
		var lists []placeList
		for _, x := range s.Places() {
			if lines := ranking.Of(entries, x); len(lines) > 0 || seats[x] > 0 {
				lists = append(lists, placeList{s.NameOf(x, r.lang), seats[x], lines})
			}
		}
		var out []string
		for _, e := range entries {
			if e.Position == 0 {
				out = append(out, e.Code)
			}
		}
		d["List"], d["Lists"], d["Excluded"] = l, lists, out
		if d["Mine"], err = r.ownCodes(s.Call); err != nil {
			return err
		}
	}
	d["Title"] = r.T("graduatoria.title", "title", s.Title)
	return r.render("graduatoria", "graduatoria.list-title", d)
}

// ownCodes are the visitor's in a call, with the application that each leads to.
func (r *request) ownCodes(c *ranking.Call) (map[string]string, error) {
	out := map[string]string{}
	v := r.visitor()
	if v.Person == nil || r.level < c.Service.Needs() {
		return out, nil
	}
	all, err := r.p.Rooms.Applications.List(r.ctx(), v)
	if err != nil {
		return nil, err
	}
	for _, a := range all {
		if a.State.AtOffice() && c.Covers(a) {
			out[submission.RankingCode(a.ID)] = a.ID
		}
	}
	return out, nil
}

func (p *Portal) rankingPDF(r *request) error {
	s, err := r.publicCall()
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(r.r.PathValue("n"))
	if err != nil {
		return errNotFound
	}
	f, err := p.Rooms.Rankings.PDF(r.ctx(), s.Call, n)
	if errors.Is(err, ranking.ErrNotFound) {
		return errNotFound
	}
	if err != nil {
		return err
	}
	return r.file(f, "application/pdf", "inline", fmt.Sprintf("graduatoria-%d.pdf", n))
}

// ranked finds the application of the address, if it is the visitor's own and the level is
// enough, and how it stands.
func (r *request) ranked() (*submission.Application, *ranking.Standing, error) {
	d, id := r.p.Rooms.Applications, r.r.PathValue("id")
	a, err := d.Get(r.ctx(), r.visitor(), id)
	if errors.Is(err, submission.ErrNotFound) && r.level < session.Forte {
		need, err := d.Needs(r.ctx(), r.ente.Code, id)
		if err != nil {
			return nil, nil, err
		}
		if err := r.enough(need); err != nil {
			return nil, nil, err
		}
	}
	if errors.Is(err, submission.ErrNotFound) {
		return nil, nil, other(denial.Application, id, err)
	}
	if err != nil {
		return nil, nil, err
	}
	mine, err := d.Owns(r.ctx(), r.visitor(), a)
	if err == nil && !mine {
		err = other(denial.Application, id, submission.ErrNotFound)
	}
	if err != nil {
		return nil, nil, err
	}
	if err := r.enough(a.Service.Needs()); err != nil {
		return nil, nil, err
	}
	s, err := r.p.Rooms.Rankings.Of(r.ctx(), a, r.lang)
	if err == nil && s == nil {
		err = errNotFound
	}
	return a, s, err
}

// rankingOf tells an application's page whether it leads to a ranking: the sentence of the
// link, empty where there is none, and whether an offer waits for its answer.
func (r *request) rankingOf(a *submission.Application) (link string, waits bool, err error) {
	s, err := r.p.Rooms.Rankings.Of(r.ctx(), a, r.lang)
	if err != nil || s == nil {
		return "", false, err
	}
	if len(s.Open) > 0 {
		return r.T("graduatoria.link-offer"), true, nil
	}
	return r.T("graduatoria.link", "title", s.Call.Title), false, nil
}

func (p *Portal) standing(r *request) error { return r.showStanding(http.StatusOK, "") }

func (r *request) showStanding(status int, problem string) error {
	a, s, err := r.ranked()
	if err != nil {
		return err
	}
	r.status = status
	return r.render("posizione", "graduatoria.own-title", map[string]any{"A": a, "S": s, "Problem": problem, "Done": r.r.URL.Query().Get("fatto") == "risposta"})
}

// standingSent accepts or renounces a place.
func (p *Portal) standingSent(r *request) error {
	if err := r.read(); err != nil {
		return err
	}
	a, _, err := r.ranked()
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(r.r.PostFormValue("n"))
	answer := r.r.PostFormValue("risposta")
	if err != nil || answer != "accetta" && answer != "rinuncia" {
		return r.showStanding(http.StatusUnprocessableEntity, r.T("graduatoria.choose"))
	}
	err = p.Rooms.Rankings.Answer(r.ctx(), r.visitor(), a.ID, n, answer == "accetta")
	var no *ranking.RefusedError
	switch {
	case errors.As(err, &no):
		return r.showStanding(http.StatusConflict, r.T("ranking."+no.Code))
	case errors.Is(err, ranking.ErrNotFound):
		return errNotFound
	case err != nil:
		return err
	}
	return r.to(r.base + "/pratiche/" + a.ID + "/graduatoria?fatto=risposta")
}

// Day is a day of a call as people read it.
func (v *view) Day(s string) string { return v.Lang.Day(s) }

// RankingLink is the sentence of an application's link to its ranking; empty: there is none.
func (v *view) RankingLink(a *submission.Application) string {
	link, _, err := v.rankingOf(a)
	if err != nil {
		v.p.Log.Error("a ranking cannot be read", "application", a.ID, "error", err)
	}
	return link
}
