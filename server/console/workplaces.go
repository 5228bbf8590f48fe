package console

import (
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/citel-pa/citel/server/operator"
	"github.com/citel-pa/citel/server/submission"
)

// Who works where, and which topic goes where.

func (c *Console) topics(r *request) error { return c.showTopics(r, http.StatusOK, "") }

func (c *Console) showTopics(r *request, status int, wrong string) error {
	all, err := c.Rooms.Applications.Topics(r.ctx(), r.actor(), r.lang)
	if err != nil {
		return err
	}
	t := &table{ID: "topics", Caption: r.T("console.m-topics"), Empty: r.T("console.none"), Head: r.words("office", "service", "topic", "at-office", "whose-word")}
	topics := []option{{"", r.T("console.choose-one")}}
	for _, x := range all {
		whose := r.T("office.word-service")
		if x.Own {
			whose = r.T("office.word-ente")
		}
		t.Rows = append(t.Rows, []cell{{Text: x.Title}, {Text: x.Label}, {Text: x.Office}, {Text: whose}})
		topics = append(topics, option{x.Service + "/" + x.Value, x.Title + ": " + x.Label})
	}
	d := data{"Table": t, "Intro": r.T("office.topics-intro"), "Wrong": wrong}
	if r.mayWrite() {
		names, err := c.Rooms.Applications.Offices(r.ctx(), r.operator.Ente)
		if err != nil {
			return err
		}
		offices := []option{{"", r.T("office.as-the-service")}}
		for _, o := range names {
			offices = append(offices, option{o, o})
		}
		d["Acts"] = []act{{Title: r.T("office.topic-set"), Intro: r.T("office.topic-set-intro"), Action: Prefix + "/uffici/argomenti", Button: r.T("console.save"),
			Fields: []field{r.labelled("office.topic", "topic*", "choice", r.value("topic"), topics...), r.labelled("office.at-office", "office", "choice", r.value("office"), offices...)}}}
	}
	return r.page(status, "list", r.T("console.m-topics"), d)
}

func (c *Console) topicSet(r *request) error {
	service, value, _ := strings.Cut(r.value("topic"), "/")
	err := c.Rooms.Applications.SetTopic(r.ctx(), r.actor(), service, value, r.value("office"))
	switch {
	case errors.Is(err, submission.ErrNotFound):
		return c.showTopics(r, http.StatusUnprocessableEntity, r.T("office.topic-unknown"))
	case errors.Is(err, submission.ErrOffice):
		return c.showTopics(r, http.StatusUnprocessableEntity, r.T("application.office-unknown"))
	case err != nil:
		return err
	}
	return r.done(Prefix+"/uffici/argomenti", "saved")
}

func (c *Console) workplaces(r *request) error {
	all, err := c.Rooms.Operators.List(r.ctx(), r.actor(), operator.Query{})
	if err != nil {
		return err
	}
	t := &table{ID: "workplaces", Caption: r.T("console.m-workplaces"), Empty: r.T("console.none"), Head: r.words("office", "operator", "roles", "offices")}
	for _, o := range all {
		if o.State == operator.Revoked {
			continue
		}
		where := strings.Join(o.Offices, ", ")
		if where == "" {
			where = r.T("office.everywhere")
		}
		t.Rows = append(t.Rows, []cell{{Text: o.Name(), Link: Prefix + "/uffici/operatori/" + strconv.FormatInt(o.ID, 10)}, {Text: strings.Join(o.Roles, ", ")}, {Text: where}})
	}
	return r.page(http.StatusOK, "list", r.T("console.m-workplaces"), data{"Table": t, "Intro": r.T("office.workplaces-intro")})
}

func (c *Console) workplace(r *request) error { return c.showWorkplace(r, http.StatusOK, "") }

// colleague finds an operator of the own ente.
func (c *Console) colleague(r *request) (*operator.Operator, error) {
	id, err := r.id()
	if err != nil {
		return nil, err
	}
	all, err := c.Rooms.Operators.List(r.ctx(), r.actor(), operator.Query{})
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(o *operator.Operator) bool { return o.ID == id && o.State != operator.Revoked })
	if i < 0 {
		return nil, errNotFound
	}
	return all[i], nil
}

func (c *Console) showWorkplace(r *request, status int, wrong string) error {
	o, err := c.colleague(r)
	if err != nil {
		return err
	}
	where := strings.Join(o.Offices, ", ")
	if where == "" {
		where = r.T("office.everywhere")
	}
	d := data{"Wrong": wrong, "Facts": []fact{{Label: r.T("office.operator"), Value: o.Name()}, {Label: r.T("office.roles"), Value: strings.Join(o.Roles, ", ")}, {Label: r.T("office.offices"), Value: where}}}
	switch {
	case o.ID == r.operator.ID:
		d["Intro"] = r.T("office.not-oneself")
	case r.mayWrite():
		names, err := c.Rooms.Applications.Offices(r.ctx(), r.operator.Ente)
		if err != nil {
			return err
		}
		var fields []field
		for _, n := range names {
			f := field{Name: "o-" + hex.EncodeToString([]byte(n)), Label: n, Kind: "check", Value: yes(slices.Contains(o.Offices, n))}
			fields = append(fields, f)
		}
		d["Acts"] = []act{{Title: r.T("office.works-in"), Intro: r.T("office.works-in-intro"), Action: Prefix + "/uffici/operatori/" + strconv.FormatInt(o.ID, 10), Button: r.T("console.save"), Fields: fields}}
	}
	return r.page(status, "show", r.T("office.workplace-title", "name", o.Name()), d)
}

func (c *Console) workplaceSet(r *request) error {
	o, err := c.colleague(r)
	if err != nil {
		return err
	}
	var offices []string
	for name := range r.r.PostForm {
		if text, ok := strings.CutPrefix(name, "o-"); ok {
			n, err := hex.DecodeString(text)
			if err != nil {
				return errBadForm
			}
			offices = append(offices, string(n))
		}
	}
	names, err := c.Rooms.Applications.Offices(r.ctx(), r.operator.Ente)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(offices, func(n string) bool { return !slices.Contains(names, n) }) {
		return c.showWorkplace(r, http.StatusUnprocessableEntity, r.T("application.office-unknown"))
	}
	if err := c.Rooms.Operators.SetOffices(r.ctx(), r.actor(), o.ID, offices); err != nil {
		return err
	}
	return r.done(Prefix+"/uffici/operatori", "saved")
}
