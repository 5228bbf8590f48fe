package portal

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/citel-pa/citel/server/form"
	"github.com/citel-pa/citel/server/kept"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/submission"
)

// maxStep bounds a step's form in bytes: long texts, and what a browser makes of them.
const maxStep = 4 * maxForm

func compareText(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) }

// window leads to the window that names a level, and from there to a page of ours.
func (r *request) window(need session.Level, next string) error {
	return r.to(r.base + "/accedi?" + url.Values{"poi": {next}, "serve": {need.String()}}.Encode())
}

// draftHere is the draft that the address names; what is no draft any more goes where it is.
func (r *request) draftHere() (*submission.Application, error) {
	a, err := r.owned()
	if err == nil && a.State != submission.StateDraft {
		return nil, &movedError{r.nextStep(a)}
	}
	return a, err
}

// movedError is a page that is somewhere else by now: sent in another tab, or signed.
type movedError struct{ to string }

func (e *movedError) Error() string { return "portal: it is at " + e.to }

// number is the step of the address.
func (r *request) number(d *service.Definition) (int, error) {
	n, err := strconv.Atoi(r.r.PathValue("n"))
	if err != nil || n < 1 || n > len(d.Sections) || strconv.Itoa(n) != r.r.PathValue("n") {
		return 0, errNotFound
	}
	return n, nil
}

// keptStep names what was typed into a step when the session was over.
func keptStep(id, n string) string { return "pratiche/" + id + "/" + n }

func (p *Portal) stepPage(r *request) error {
	a, err := r.draftHere()
	if err != nil {
		return err
	}
	n, err := r.number(a.Service.Definition)
	if err != nil {
		return err
	}
	found, err := p.kept.Get(r.ctx(), r.ente.Code, keptStep(a.ID, r.r.PathValue("n")), r.owners()...)
	if err != nil && !errors.Is(err, kept.ErrNotFound) {
		return err
	}
	values := a.Fields
	if found != nil { // it was typed when the session was over, and is not saved yet
		posted := url.Values{}
		for k, v := range found.Fields {
			posted.Set(k, v)
		}
		values, _ = a.Service.Validate(form.Answers(a.Service.Definition, a.Service.Sections[n-1].ID, posted, a.Fields), p.now(), false)
	}
	var errs service.Errors
	if r.r.URL.Query().Has("controlla") && found == nil { // a first step that was begun with less than it asks
		errs = r.missing(a).In(a.Service.Sections[n-1])
	}
	return r.showStep(a, n, values, errs, map[string]any{"Kept": found != nil, "New": r.r.URL.Query().Has("nuove"), "At": r.r.URL.Query().Get("voce")})
}

func (r *request) showStep(a *submission.Application, n int, values map[string]string, errs service.Errors, more map[string]any) error {
	s := a.Service
	f := form.New(s.Definition, s.Sections[n-1].ID, values, errs, r.lang)
	if at, ok := more["At"].(string); ok {
		f.LookAt(at, r.lang)
	}
	d := map[string]any{
		"A": a, "S": s, "N": n, "Steps": r.steps(s.Definition, a, n), "Script": "app/modulo.js", "Form": f, "Person": r.person,
		"Crumb": s.Title.In(r.lang), "Title": r.T("modulo.step-title", "n", n, "of", len(r.steps(s.Definition, a, n)), "step", s.Sections[n-1].Title.In(r.lang), "service", s.Title.In(r.lang)),
		"Back": r.back(),
	}
	for k, v := range more {
		d[k] = v
	}
	if (len(errs) > 0 || d["Problem"] != nil) && r.r.Method == http.MethodPost {
		r.status = http.StatusUnprocessableEntity
	}
	return r.render("passo", "modulo.services-title", d)
}

// back tells whether the step was come to from the check page, and leads there again.
func (r *request) back() string {
	if r.r.URL.Query().Get("da") == "riepilogo" || r.r.PostForm.Get("_da") == "riepilogo" {
		return "riepilogo"
	}
	return ""
}

// stepSent saves a step. A session that is over, or one of a lower level, loses nothing:
// what was typed is kept for this browser or account, and is in the form after the login.
func (p *Portal) stepSent(r *request) error {
	if err := r.readUpTo(maxStep); err != nil && (r.session != nil || !errors.Is(err, errCSRF)) {
		return err
	}
	id, n := r.r.PathValue("id"), r.r.PathValue("n")
	need := levels[r.r.PostForm.Get("_serve")] // as the page had it; the page that follows asks again
	if r.level < max(need, session.Debole) {
		return r.keepStep(id, n, max(need, session.Debole))
	}
	a, err := r.draftHere()
	var lower *needError
	if errors.As(err, &lower) {
		return r.keepStep(id, n, lower.level)
	}
	if err != nil {
		return err
	}
	at, err := r.number(a.Service.Definition)
	if err != nil {
		return err
	}
	section := a.Service.Sections[at-1]
	turn, err := a.Service.Turn(r.r.PostForm)
	if errors.Is(err, service.ErrItems) {
		return r.showStep(a, at, a.Fields, nil, map[string]any{"Problem": r.T("form.no-such-items")})
	}
	var before map[string]string
	errs, err := r.apps().SaveOver(r.ctx(), r.visitor(), a.ID, func(b map[string]string) func(string) string {
		before = b
		return form.Answers(a.Service.Definition, section.ID, r.r.PostForm, b)
	}, turn == nil)
	if err == nil {
		err = p.kept.Drop(r.ctx(), r.ente.Code, keptStep(id, n), r.owners()...)
	}
	if err != nil {
		return err
	}
	if a, err = r.owned(); err != nil {
		return err
	}
	if turn != nil {
		return r.turned(a, at, section, turn)
	}
	switch r.r.PostForm.Get("_vai") {
	case "indietro":
		if at > 1 {
			at--
		}
		return r.to(fmt.Sprintf("%s/pratiche/%s/passo/%d", r.base, a.ID, at))
	case "esci":
		return r.to(r.base + "/servizi/" + a.Service.ID + "?bozza=salvata")
	}
	// Questions that only now are asked, and that nobody has seen without the script.
	if r.r.PostForm.Get("_script") == "" {
		var unseen bool
		for _, q := range form.Appeared(a.Service.Definition, section.ID, before, a.Fields) {
			unseen = unseen || a.Fields[q] == ""
		}
		if unseen {
			to := fmt.Sprintf("%s/pratiche/%s/passo/%d?nuove=1", r.base, a.ID, at)
			if b := r.back(); b != "" {
				to += "&da=" + b
			}
			return r.to(to)
		}
	}
	return r.afterStep(a, at, errs)
}

// turned shows a step again with an item more or less: what was typed is saved, whatever is
// wrong with it, and is told about when the step is sent on.
func (r *request) turned(a *submission.Application, n int, s service.Section, t *service.Turn) error {
	if t.Code != "" {
		return r.showStep(a, n, a.Fields, service.Errors{s.CountKey(): t.Code}, nil)
	}
	q := url.Values{"voce": {t.String()}}
	if b := r.back(); b != "" {
		q.Set("da", b)
	}
	return r.to(fmt.Sprintf("%s/pratiche/%s/passo/%d?%s", r.base, a.ID, n, q.Encode()))
}

// afterStep goes on after a step: shows it again with its errors, or the next.
func (r *request) afterStep(a *submission.Application, n int, errs service.Errors) error {
	if errs == nil { // a draft that has just begun
		errs = r.missing(a)
	}
	here := errs.In(a.Service.Sections[n-1])
	at := r.base + "/pratiche/" + a.ID
	switch {
	case len(here) > 0 && r.r.PathValue("n") != "":
		return r.showStep(a, n, a.Fields, here, nil)
	case len(here) > 0:
		return r.to(fmt.Sprintf("%s/passo/%d?controlla=1", at, n))
	case r.back() != "":
		return r.to(at + "/riepilogo")
	case n < len(a.Service.Sections):
		return r.to(fmt.Sprintf("%s/passo/%d", at, n+1))
	case len(a.Service.Attachments) > 0:
		return r.to(at + "/allegati")
	}
	return r.to(at + "/riepilogo")
}

var (
	pathID    = regexp.MustCompile(`^[0-9a-f]{32}$`)
	fieldName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}(\.[a-z0-9-]{1,40}){0,2}$`)
)

// keepStep keeps what was typed. Nothing is looked up and nothing is told about an
// application: that follows the login.
func (r *request) keepStep(id, n string, need session.Level) error {
	if _, err := strconv.ParseUint(n, 10, 8); err != nil || !pathID.MatchString(id) {
		return errNotFound
	}
	fields := map[string]string{}
	for k, v := range r.r.PostForm {
		if fieldName.MatchString(k) && k != "csrf" {
			fields[k] = strings.Join(v, ",")
		}
	}
	if err := r.keep(keptStep(id, n), fields); err != nil {
		return err
	}
	return r.window(need, fmt.Sprintf("%s/pratiche/%s/passo/%s", r.base, id, n))
}
