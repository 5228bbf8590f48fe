package portal

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/credential"
	"github.com/citel-pa/citel/server/denial"
	"github.com/citel-pa/citel/server/kept"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/mandate"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/session"
)

// How much of lists the area shows, and how much their own pages do.
const (
	accessesShown = 50
	accessesBrief = 5
	messagesBrief = 5
)

// area is the citizen's own page: what the level of the session opens of it.
func (p *Portal) area(r *request) error {
	d := map[string]any{"Person": r.person, "Credential": r.credential, "Session": r.session, "Level": r.level.String(), "Forte": r.level >= session.Forte}
	d["Proved"] = r.level >= session.Media
	l, messages, err := r.lists()
	if err == nil {
		err = r.before(d, l)
	}
	if err != nil {
		return err
	}
	d["Lists"] = l
	unread := 0
	for _, m := range messages {
		if m.Unread {
			unread++
		}
	}
	brief := min(len(messages), max(messagesBrief, unread))
	d["Messages"], d["MoreMessages"], d["Unread"] = messages[:brief], brief < len(messages), unread
	mine, err := r.mine()
	if err != nil {
		return err
	}
	d["Mine"] = mine
	forms, err := r.keptForms()
	if err != nil {
		return err
	}
	d["Kept"] = forms
	accesses, err := r.accesses(mine)
	if err != nil {
		return err
	}
	brief = min(len(accesses), accessesBrief)
	d["Accesses"], d["MoreAccesses"] = accesses[:brief], brief < len(accesses)
	if d["Mandates"], err = r.relations(); err != nil {
		return err
	}
	return r.render("area", "portal.area-title", d)
}

// areaMessages lists all that offices wrote.
func (p *Portal) areaMessages(r *request) error {
	_, messages, err := r.lists()
	if err != nil {
		return err
	}
	return r.render("messaggi", "pratica.inbox", map[string]any{"Messages": messages})
}

// areaAccesses lists more of the own accesses.
func (p *Portal) areaAccesses(r *request) error {
	mine, err := r.mine()
	if err != nil {
		return err
	}
	accesses, err := r.accesses(mine)
	if err != nil {
		return err
	}
	return r.render("accessi", "access.accesses", map[string]any{"Accesses": accesses})
}

// keptForm is a form that was begun below its service's level.
type keptForm struct {
	*kept.Form
	Title string
}

// keptForms lists them; an answer to an office that was kept waits at its application.
func (r *request) keptForms() (out []keptForm, err error) {
	all, err := r.p.kept.List(r.ctx(), r.ente.Code, kept.Of(r.session))
	for _, f := range all {
		if strings.HasPrefix(f.Service, replyKey("")) || strings.HasPrefix(f.Service, "pratiche/") {
			continue // what was typed into a step waits in that step
		}
		x := keptForm{Form: f}
		if s, err := r.p.Rooms.Services.Current(r.ctx(), r.ente.Code, f.Service); err == nil {
			x.Title = s.Title.In(r.lang)
		} else {
			continue
		}
		out = append(out, x)
	}
	return out, err
}

// relation is a mandate in short; its pages are /deleghe.
type relation struct {
	Acts, Asked        bool // the visitor acts; it is asked and not accepted
	Name, Title, Until string
}

// relations lists the mandates in which the visitor is one of the two.
func (r *request) relations() (out []relation, err error) {
	if r.level < session.Media {
		return nil, nil
	}
	all, err := r.p.Rooms.Mandates.Of(r.ctx(), r.ente.Code, r.person.ID)
	if err != nil {
		return nil, err
	}
	today := r.p.now().In(register.Rome()).Format(time.DateOnly)
	for _, m := range all {
		if m.State != mandate.Active && m.State != mandate.Asked || m.Until != "" && m.Until < today {
			continue
		}
		x := relation{Acts: m.Agent == r.person.ID, Asked: m.State == mandate.Asked, Title: m.Title, Until: m.Until}
		other := m.Agent
		if x.Acts {
			other = m.Principal
		}
		who, err := person.Get(r.ctx(), r.p.Store, other)
		if err != nil {
			return nil, err
		}
		x.Name = who.Name()
		if !m.NamesOther(r.person.ID) { // who was only named by a code gives no name, and gets none
			x.Name = who.CodiceFiscale
		}
		out = append(out, x)
	}
	return out, nil
}

// own is one of the citizen's credentials, as the own page shows it.
type own struct {
	*credential.Credential
	Ente           string // its name
	Current, Reset bool
}

// mine lists the own credentials. A debole sees itself alone: what it claims proves nothing,
// and one that joined opens no more than before.
func (r *request) mine() ([]own, error) {
	all := []*credential.Credential{}
	if r.level >= session.Media {
		var err error
		if all, err = r.p.Rooms.Credentials.Mine(r.ctx(), r.person.ID); err != nil {
			return nil, err
		}
	} else if r.credential != nil {
		all = append(all, r.credential)
	}
	out := make([]own, 0, len(all))
	for _, c := range all {
		out = append(out, own{Credential: c, Ente: r.nameOf(c.Ente), Current: c.ID == r.session.Credential,
			Reset: c.Kind == credential.Media && c.State == credential.Active && r.level >= session.Forte})
	}
	return out, nil
}

func (r *request) nameOf(code string) string {
	e, err := r.p.Rooms.Enti.Get(r.ctx(), code)
	if err != nil {
		return code
	}
	return e.Name
}

// access is one row of "my accesses".
type access struct {
	audit.Entry
	Name   string // the ente's
	How    string // the credential's level
	AtDesk bool   // an operator's act: its address is the desk's
}

var deskActs = []string{
	audit.EnvelopeHandedOut, audit.EnvelopeSent, audit.EnvelopeState, audit.CredentialState, audit.CredentialReset,
	audit.PersonRead, audit.PersonChanged, audit.CodeChanged, audit.RegistryChanged,
}

// accesses are the citizen's own rows of the log. A debole that nobody has proved sees those
// of its credential here.
func (r *request) accesses(mine []own) (out []access, err error) {
	var rows []audit.Entry
	if r.level >= session.Media {
		rows, err = r.p.Audit.Accesses(r.ctx(), r.person.ID, accessesShown)
	} else {
		rows, err = r.p.Audit.Read(r.ctx(), audit.Filter{Ente: r.ente.Code, Credential: r.session.Credential, Limit: accessesShown})
	}
	if err != nil {
		return nil, err
	}
	kinds, names := map[string]string{}, map[string]string{}
	for _, c := range mine {
		kinds[c.ID] = string(c.Kind)
	}
	for _, e := range rows {
		if names[e.Ente] == "" {
			names[e.Ente] = r.nameOf(e.Ente)
		}
		how := kinds[e.Credential]
		if how == "" {
			how = e.Detail["level"]
		}
		out = append(out, access{Entry: e, Name: names[e.Ente], How: how, AtDesk: slices.Contains(deskActs, e.Kind)})
	}
	return out, nil
}

// passwordPage changes the password of the credential that is logged in.
func (p *Portal) passwordPage(r *request) error { return r.showPassword(http.StatusOK, "", "", "") }

func (r *request) showPassword(status int, old, weak, problem string) error {
	if r.session.Level == session.Forte {
		return errNotFound // a card's PIN is changed with the card's own program
	}
	return r.short(status, "password", "/area/password", []input{
		r.input("password", "password", "current-password", "", old), r.newPassword(weak),
	}, map[string]any{"Problem": problem})
}

func (p *Portal) passwordSent(r *request) error {
	if err := r.read(); err != nil {
		return err
	}
	f := r.r.PostForm
	_, err := p.Rooms.Credentials.ChangePassword(r.ctx(), r.w, r.session, []byte(f.Get("password")), []byte(f.Get("nuova")), r.from())
	switch {
	case errors.Is(err, keys.ErrWeak):
		return r.showPassword(http.StatusUnprocessableEntity, "", r.T("desk.weak"), "")
	case errors.Is(err, credential.ErrRefused):
		return r.showPassword(http.StatusForbidden, r.T("access.old-wrong"), "", "")
	case errors.Is(err, credential.ErrState):
		return errNotFound
	}
	if status, text := r.refusal(err); text != "" {
		return r.showPassword(status, "", "", text)
	}
	if err != nil {
		return err
	}
	return r.to(r.base + "/area?fatto=password")
}

// resetPage gives a media credential of the own a new password: the card has proved who it
// is.
func (p *Portal) resetPage(r *request) error { return r.showReset(http.StatusOK, "") }

func (r *request) showReset(status int, weak string) error {
	c, err := credential.Get(r.ctx(), r.p.Store, r.r.PathValue("id"))
	if err == nil && (c.Person != r.person.ID || c.Kind != credential.Media || c.State != credential.Active) {
		err = credential.ErrNotFound
	}
	if err != nil {
		return other(denial.Credential, r.r.PathValue("id"), err)
	}
	user := r.input("utente", "text", "username", c.Handle, "")
	user.Type = "shown"
	return r.short(status, "reset", "/area/credenziali/"+c.ID+"/password", []input{user, r.newPassword(weak)}, nil)
}

func (p *Portal) resetSent(r *request) error {
	if err := r.read(); err != nil {
		return err
	}
	_, err := p.Rooms.Credentials.ResetByCard(r.ctx(), r.w, r.session, r.r.PathValue("id"), []byte(r.r.PostForm.Get("nuova")), r.from())
	switch {
	case errors.Is(err, keys.ErrWeak):
		return r.showReset(http.StatusUnprocessableEntity, r.T("desk.weak"))
	case errors.Is(err, credential.ErrState):
		return errNotFound
	case err != nil:
		return other(denial.Credential, r.r.PathValue("id"), err)
	}
	return r.to(r.base + "/area?fatto=password")
}
