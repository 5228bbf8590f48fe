package portal

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/feedback"
	"github.com/citel-pa/citel/server/session"
)

// townRoutes: what every page of a town has: privacy, legal notes, feedback.
var townRoutes = []route{ //nolint:gochecknoglobals // a table
	{"GET /privacy", session.None, (*Portal).privacy, true},
	{"GET /note-legali", session.None, (*Portal).legal, true},
	{"GET /accessibilita", session.None, (*Portal).accessibility, true},
	{"POST /accessibilita", session.None, (*Portal).feedbackSent, true},
	{"GET /accessibilita/{id}", session.None, (*Portal).feedbackPage, true},
	{"GET /aiuto", session.None, (*Portal).help, true},
}

// cookie is one that the portal sets, for the notice.
type cookie struct{ Name, Why, Life string }

// cookies are all that there are. None of them needs a consent: they carry a communication,
// or are strictly needed for what was asked for (D.Lgs. 196/2003, art. 122, 1).
func (r *request) cookies() []cookie {
	return []cookie{
		{r.p.Sessions.Cookie(), r.T("town.cookie-session"), r.T("town.cookie-session-life", "hours", int(session.Max/time.Hour))},
		{r.visitCookie(), r.T("town.cookie-visit"), r.T("town.cookie-visit-life")},
		{"lingua", r.T("town.cookie-language"), r.T("town.cookie-language-life")},
	}
}

// privacy is the notice of Regulation (EU) 2016/679, art. 13, for the portal itself; each
// service has its own besides.
func (p *Portal) privacy(r *request) error {
	offices, err := p.Rooms.Enti.Offices(r.ctx(), r.ente.Code)
	if err != nil {
		return err
	}
	return r.render("privacy", "town.privacy-title", map[string]any{"Cookies": r.cookies(), "Offices": offices})
}

func (p *Portal) legal(r *request) error { return r.render("note-legali", "town.legal-title", nil) }

// questions of the help page, in the order in which somebody meets them. Those of the
// agent's states keep the names that pages link to.
var questions = []string{ //nolint:gochecknoglobals // a table
	"serve", "carta", "lettore", "programma", "installare", "browser", "permesso", "pin", "bloccata", "senza-carta", "telefono", "salvata", "sbagliato", "arrivata", "altri",
}

type question struct{ ID, Q, A string }

func (p *Portal) help(r *request) error {
	old := map[string]string{"installare": "install", "permesso": "permission", "pin": "pin", "bloccata": "locked"}
	var all []question
	for _, id := range questions {
		q, a := "town.faq-"+id+"-q", "town.faq-"+id+"-a"
		if o := old[id]; o != "" {
			q, a = "portal.help-"+o+"-title", "portal.help-"+o
		}
		all = append(all, question{id, r.T(q), r.T(a)})
	}
	offices, err := p.Rooms.Enti.Offices(r.ctx(), r.ente.Code)
	if err != nil {
		return err
	}
	return r.render("help", "portal.help-title", map[string]any{"Questions": all, "Offices": offices})
}

func (p *Portal) accessibility(r *request) error {
	return r.askFeedback(http.StatusOK, nil, "")
}

func (r *request) askFeedback(status int, wrong map[string]string, problem string) error {
	f := r.r.PostForm
	page := f.Get("pagina")
	if f == nil {
		page = r.referred()
	}
	sentence := func(code string) string {
		if code == "" {
			return ""
		}
		return r.T("town.feedback-" + code)
	}
	in := func(name, kind, value, complete, code string) input {
		return input{Name: name, Type: kind, Label: r.T("town.field-" + name), Help: r.T("town.help-" + name), Value: value, Error: sentence(code), Autocomplete: complete, Optional: name != "testo"}
	}
	inputs := []input{
		in("pagina", "text", page, "off", wrong["page"]), in("testo", "long", f.Get("testo"), "off", wrong["text"]), in("strumenti", "text", f.Get("strumenti"), "off", wrong["tool"]),
		in("nome", "text", f.Get("nome"), "name", wrong["name"]), in("email", "email", f.Get("email"), "email", wrong["email"]),
	}
	var bad []input
	for _, x := range inputs {
		if x.Error != "" {
			bad = append(bad, x)
		}
	}
	r.status = status
	return r.render("accessibility", "portal.accessibility-title", map[string]any{"Inputs": inputs, "Wrong": bad, "Problem": problem})
}

// referred is the page of ours that somebody came from, for the form.
func (r *request) referred() string {
	path, ok := strings.CutPrefix(r.r.Referer(), r.ente.Origin+r.base)
	if !ok || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "/accessibilita") {
		return ""
	}
	path, _, _ = strings.Cut(path, "?") // a query may have a code of a mail
	return path
}

// feedbackSent takes a report. A field that people do not see and programs fill in keeps
// the simplest of those away.
func (p *Portal) feedbackSent(r *request) error {
	if err := r.read(); err != nil {
		return err
	}
	f := r.r.PostForm
	if f.Get("sito") != "" {
		return r.to(r.base + "/accessibilita")
	}
	got, err := p.Rooms.Feedback.Send(r.ctx(), feedback.Report{Ente: r.ente.Code, Page: f.Get("pagina"), Text: f.Get("testo"), Tool: f.Get("strumenti"), Name: f.Get("nome"), Email: f.Get("email")}, r.from())
	var wrong *feedback.FieldsError
	var soon *feedback.TooSoonError
	switch {
	case errors.As(err, &wrong):
		return r.askFeedback(http.StatusUnprocessableEntity, wrong.Fields, "")
	case errors.As(err, &soon):
		r.w.Header().Set("Retry-After", seconds(soon.Wait))
		return r.askFeedback(http.StatusTooManyRequests, nil, r.T("town.feedback-soon", "minutes", int(math.Ceil(soon.Wait.Minutes()))))
	case errors.Is(err, feedback.ErrFull):
		return r.askFeedback(http.StatusTooManyRequests, nil, r.T("town.feedback-full"))
	case err != nil:
		return err
	}
	return r.to(r.base + "/accessibilita/" + got.ID + "?inviata=si")
}

// feedbackPage shows a report and its answer to whoever has its address.
func (p *Portal) feedbackPage(r *request) error {
	got, err := p.Rooms.Feedback.Get(r.ctx(), r.ente.Code, r.r.PathValue("id"))
	if err != nil {
		return err
	}
	return r.render("segnalazione", "town.report-title", map[string]any{"R": got, "Title": r.T("town.report-title", "number", strconv.Itoa(got.Number))})
}
