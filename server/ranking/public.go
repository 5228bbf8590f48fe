package ranking

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/pdf"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/submission"
)

// Shown is what everybody sees of a call.
type Shown struct {
	*Call
	Lists []*List // published, newest first
}

// Newest is the list that holds; nil before one is published.
func (s *Shown) Newest() *List {
	if len(s.Lists) == 0 {
		return nil
	}
	return s.Lists[0]
}

// Public lists an ente's calls as everybody sees them, newest first. Before the first list
// there is the commitment of the seed, after the day that the call names nothing.
func (d *Desk) Public(ctx context.Context, ente string) (out []*Shown, err error) {
	all, err := d.calls(ctx, "ente = ? AND (shown = '' OR shown >= ?)", ente, d.today())
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		s, err := d.shown(ctx, c)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func (d *Desk) shown(ctx context.Context, c *Call) (*Shown, error) {
	all, err := lists(ctx, d.Store, c)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(l *List) bool { return l.Published.IsZero() })
	slices.Reverse(all)
	return &Shown{Call: c, Lists: all}, nil
}

// PublicCall is one of them.
func (d *Desk) PublicCall(ctx context.Context, ente, id string) (*Shown, error) {
	c, err := d.get(ctx, ente, id)
	if err != nil {
		return nil, err
	}
	if c.Shown != "" && c.Shown < d.today() {
		return nil, ErrNotFound
	}
	return d.shown(ctx, c)
}

// Wish is a school that an application names, with its place in that school's list.
type Wish struct {
	Place   Place
	Name    string
	N       int // in the school's list; 0: it is not in it
	Outcome Outcome
}

// Standing is how an application stands, for whoever it belongs to.
type Standing struct {
	Call     *Call
	Code     string
	List     *List  // nil before one is published
	Entry    *Entry // nil: it was withdrawn, or replaced by a later one
	Wishes   []Wish
	Reason   string // of an exclusion
	Offers   []Offer
	Open     []Offer // that can be answered now
	Accepted *Offer  // the place that it has
}

// Of tells how an application stands; nil where it is in no call. Whoever calls has read
// the application as somebody who may.
func (d *Desk) Of(ctx context.Context, x *submission.Application, l message.Lang) (*Standing, error) {
	if x.Service.Ranking == nil || x.Sent.IsZero() {
		return nil, nil
	}
	c, err := d.callOf(ctx, x)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s, err := d.shown(ctx, c)
	if err != nil {
		return nil, err
	}
	out := &Standing{Call: c, Code: submission.RankingCode(x.ID), List: s.Newest()}
	if out.List == nil {
		return out, nil
	}
	lines, err := d.Entries(ctx, c, out.List.N)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(lines, func(e Entry) bool { return e.Application == x.ID })
	if i < 0 {
		return out, nil
	}
	out.Entry = &lines[i]
	for _, school := range out.Entry.Wishes {
		p := Place{school, out.Entry.Hours}
		w := Wish{Place: p, Name: c.NameOf(p, l)}
		for _, line := range Of(lines, p) {
			if line.Application == x.ID {
				w.N, w.Outcome = line.N, line.Outcome
			}
		}
		out.Wishes = append(out.Wishes, w)
	}
	checks, err := d.checks(ctx, d.Store, c)
	if err != nil {
		return nil, err
	}
	for _, h := range checks[x.ID] {
		if h.Field == "" {
			out.Reason = ""
			if h.Verified == "out" {
				out.Reason = h.Reason
			}
		}
	}
	all, err := offers(ctx, d.Store, c)
	for _, o := range all {
		if o.Application != x.ID {
			continue
		}
		out.Offers = append(out.Offers, o)
		if o.Open(d.today()) {
			out.Open = append(out.Open, o)
		}
		if o.State == Accepted {
			out.Accepted = &o
		}
	}
	return out, err
}

// NameOf is a place as people read it.
func (c *Call) NameOf(p Place, l message.Lang) string {
	return strings.Trim(service.Name(c.Service.Schools(), p.School, l)+", "+service.Name(c.Service.Groups(), p.Hours, l), ", ")
}

// Rules are the sentences that tell how the order comes about.
func (c *Call) Rules(l message.Lang) (out []string) {
	t := func(key string, args ...any) string { return message.Text(l, "ranking."+key, args...) }
	out = append(out, t("rule-points"))
	for _, tie := range c.Service.Ranking.Ties {
		q, _ := c.Service.Field(tie.Field)
		key := "rule-" + string(tie.First)
		if q.Kind == service.Date {
			key += "-date"
		}
		out = append(out, t(key, "field", q.Label.In(l)))
	}
	return append(out, t("rule-lot"), t("rule-wishes"), t("rule-code"))
}

// sealed writes a list as everybody reads it, and seals it. It names codes, points and the
// outcome: no name, no answer, nothing of health or income.
func (d *Desk) sealed(ctx context.Context, c *Call, l *List, all []Entry) ([]byte, error) {
	e, err := d.Enti.Get(ctx, c.Ente)
	if err != nil {
		return nil, err
	}
	it := message.Italian
	t := func(key string, args ...any) string { return message.Text(it, "ranking."+key, args...) }
	title := t("pdf-title-"+string(l.Kind), "title", c.Title)
	var id [16]byte
	copy(id[:], fmt.Sprintf("%.12s%4d", c.ID, l.N))
	doc := pdf.New(pdf.Info{Title: title, Lang: "it-IT", Author: e.Name, Subject: c.Service.Title.It, Created: l.Published.In(register.Rome()), ID: id})
	doc.Heading(1, title)
	doc.Paragraph(t("pdf-intro", "ente", e.Name, "service", c.Service.Title.It))
	doc.Fields([]pdf.Field{
		{Label: t("pdf-period"), Value: day(c.Since) + " - " + day(c.Until)},
		{Label: t("pdf-published"), Value: l.Published.In(register.Rome()).Format("02/01/2006 15:04:05 MST")},
		{Label: t("pdf-version"), Value: fmt.Sprintf("%d (SHA-256 %s)", c.Service.Number, c.Service.SHA256)},
		{Label: t("seed"), Value: c.Seed},
	})
	doc.Heading(2, t("rules"))
	doc.List(c.Rules(it))
	n, err := d.Seats(ctx, c)
	if err != nil {
		return nil, err
	}
	for _, p := range c.Places() {
		lines := Of(all, p)
		if len(lines) == 0 && n[p] == 0 {
			continue
		}
		doc.Heading(2, c.NameOf(p, it))
		doc.Paragraph(t("seats-n", "n", n[p]))
		if len(lines) == 0 {
			doc.Paragraph(t("nobody"))
			continue
		}
		var rows [][]string
		for _, x := range lines {
			rows = append(rows, []string{fmt.Sprint(x.N), x.Code, fmt.Sprint(x.Points), fmt.Sprint(x.Wish), t("outcome-" + string(x.Outcome))})
		}
		doc.Table([]string{t("h-position"), t("h-code"), t("h-points"), t("h-wish"), t("h-outcome")}, rows)
	}
	var out []string
	for _, x := range all {
		if x.Position == 0 {
			out = append(out, x.Code)
		}
	}
	if len(out) > 0 {
		doc.Heading(2, t("excluded-title"))
		doc.Paragraph(t("excluded-text"))
		doc.List(out)
	}
	doc.Heading(2, t("next"))
	doc.Paragraph(t("next-"+string(l.Kind), "term", c.Term, "office", c.Service.Office))
	if l.Kind == Final && c.Service.Remedies.It != "" {
		doc.Paragraph(c.Service.Remedies.It)
	}
	doc.Footer(e.Name + ", " + title)
	var plain bytes.Buffer
	if _, err := doc.WriteTo(&plain); err != nil {
		return nil, err
	}
	out1, _, err := d.Seals.Seal(ctx, c.Ente, e.Name, title, plain.Bytes())
	return out1, err
}

// day is a day as people read it.
func day(s string) string {
	if len(s) == 10 {
		return s[8:] + "/" + s[5:7] + "/" + s[:4]
	}
	return s
}
