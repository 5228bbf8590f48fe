package submission

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
)

// reads asks for a right to read applications of any topic.
func reads(a role.Actor) error {
	if a.Has(role.RoutingRead, role.SchoolUse, role.RegistryWrite) {
		return nil
	}
	return role.Check(a, a.Ente, role.RoutingRead)
}

// shownTo tells whether an operator of the ente sees an application: whoever is tied to
// offices sees what is there, and what the operator has in charge. (The right for its topic is
// asked for besides.)
func (a *Application) shownTo(by role.Actor) bool {
	return by.In(a.Office) || a.Holder != 0 && a.Holder == by.Operator
}

// Queue is what an office looks at. Empty fields ask nothing.
type Queue struct {
	Offices []string // any of them
	Service string
	States  []State // none: those that are open
	Holder  int64
	Overdue bool
	// Text is the beginning of a name, a codice fiscale, an id or a protocol number.
	Text string
	// After is the id of the last application of the page before.
	After string
	Limit int // 0 is 100, 500 at most
}

// dueKey orders by term: what has none comes last.
const dueKey = "(CASE WHEN due = '' THEN '9' ELSE due END)"

func (q *Queue) where(a role.Actor, now time.Time) (string, []any, error) {
	states := q.States
	if len(states) == 0 {
		states = waiting
	}
	where, args := "WHERE ente = ? AND sent <> ''", []any{a.Ente}
	among := func(column string, values []string) {
		where += " AND " + column + " IN (?" + strings.Repeat(", ?", len(values)-1) + ")"
		for _, v := range values {
			args = append(args, v)
		}
	}
	var names []string
	for _, s := range states {
		if !s.AtOffice() {
			return "", nil, ErrState
		}
		names = append(names, string(s))
	}
	among("state", names)
	if len(q.Offices) > 0 {
		among("office", q.Offices)
	}
	if len(a.Offices) > 0 { // shownTo, in the database
		where += " AND (holder = ? OR office IN (?" + strings.Repeat(", ?", len(a.Offices)-1) + "))"
		args = append(args, a.Operator)
		for _, o := range a.Offices {
			args = append(args, o)
		}
	}
	if q.Service != "" {
		where, args = where+" AND service = ?", append(args, q.Service)
	}
	if q.Holder != 0 {
		where, args = where+" AND holder = ?", append(args, q.Holder)
	}
	if q.Overdue {
		where, args = where+" AND due <> '' AND paused = '' AND NOT (noticed <> '' AND until = '' AND due >= noticed) AND due < ?", append(args, now.In(register.Rome()).Format(time.DateOnly))
		among("state", []string{string(StateToCheck), string(StateSent), string(StateInCharge), string(StateMore), string(StateNoticed)})
	}
	if t := strings.TrimSpace(q.Text); t != "" {
		like := store.Like(t)
		where += ` AND (id = ? OR outside = ? OR person IN (SELECT p.id FROM person p WHERE p.code = ? OR lower(p.family) LIKE lower(?) ESCAPE '\' OR lower(p.given) LIKE lower(?) ESCAPE '\'
			OR lower(p.given || ' ' || p.family) LIKE lower(?) ESCAPE '\' OR lower(p.family || ' ' || p.given) LIKE lower(?) ESCAPE '\')
			OR person = 0 AND credential IN (SELECT c.id FROM credential c WHERE lower(c.family) LIKE lower(?) ESCAPE '\' OR lower(c.given) LIKE lower(?) ESCAPE '\')`
		args = append(args, strings.ToLower(t), t, strings.ToUpper(t), like, like, like, like, like, like)
		if n, ok := ParseNumber(t); ok {
			where, args = where+" OR number = ? AND (year = ? OR ? = 0)", append(args, n.Number, n.Year, n.Year)
		}
		where += ")"
	}
	return where, args, nil
}

// ParseNumber reads a protocol number as people write it: "2026/0000042" or "42", where
// the year is 0.
func ParseNumber(s string) (n register.Number, ok bool) {
	year, number, found := strings.Cut(strings.TrimSpace(s), "/")
	if !found {
		year, number = "0", year
	}
	var err1, err2 error
	n.Year, err1 = strconv.Atoi(strings.TrimSpace(year))
	n.Number, err2 = strconv.Atoi(strings.TrimSpace(number))
	const most = 1 << 31 // as databases count
	return n, err1 == nil && err2 == nil && n.Year >= 0 && n.Year < 10_000 && n.Number > 0 && n.Number < most
}

// Work lists applications, those that are due first: of the topics that the operator's
// roles name, at the offices where the operator works.
func (d *Desk) Work(ctx context.Context, a role.Actor, q Queue) (out []*Application, err error) {
	if err := reads(a); err != nil {
		return nil, err
	}
	where, args, err := q.where(a, d.now())
	if err != nil {
		return nil, err
	}
	limit := q.Limit
	if limit <= 0 || limit > 500 {
		limit = 100
	}
	due, sent, id := "", "", ""
	if q.After != "" {
		err := d.Store.QueryRowContext(ctx, "SELECT "+dueKey+", sent, id FROM application WHERE id = ? AND ente = ? AND sent <> ''", q.After, a.Ente).Scan(&due, &sent, &id)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, ErrNotFound
		}
		if err != nil {
			return nil, fmt.Errorf("submission: %w", err)
		}
	}
	for { // a page of the database may hold other topics
		page, err := d.query(ctx, where+" AND ("+dueKey+", sent, id) > (?, ?, ?) ORDER BY "+dueKey+", sent, id LIMIT ?", append(args[:len(args):len(args)], due, sent, id, limit)...)
		if err != nil {
			return nil, err
		}
		for _, x := range page {
			if role.Can(a, a.Ente, right(x.Service.Topic, false)) && len(out) < limit {
				out = append(out, x)
			}
		}
		if len(page) < limit || len(out) == limit {
			return out, nil
		}
		last := page[len(page)-1]
		if due, sent, id = last.Due, store.Time(last.Sent), last.ID; due == "" {
			due = "9"
		}
	}
}

// Open reads an application for the desk; that it was read is logged.
func (d *Desk) Open(ctx context.Context, a role.Actor, id string) (*Application, error) {
	return d.OpenFor(ctx, a, id, "")
}

// OpenFor is Open for a paper of the file, which the log names.
func (d *Desk) OpenFor(ctx context.Context, a role.Actor, id, paper string) (*Application, error) {
	x, err := d.Look(ctx, a, id)
	if err != nil {
		return nil, err
	}
	detail := map[string]string{"application": id}
	if paper != "" {
		detail["paper"] = paper
	}
	return x, d.Audit.Write(ctx, audit.Event{Ente: a.Ente, Kind: audit.PersonRead, PersonID: x.Person, Detail: detail}.By(a))
}

// Look reads an application for what shows nothing of it: an act's answer, a link.
func (d *Desk) Look(ctx context.Context, a role.Actor, id string) (*Application, error) {
	x, err := d.atDesk(ctx, a, id, false)
	if err == nil && !x.shownTo(a) {
		return nil, ErrNotFound
	}
	return x, err
}

// MayWrite tells whether an operator does an office's acts on an application.
func MayWrite(a role.Actor, x *Application) bool {
	return role.Can(a, x.Ente, right(x.Service.Topic, true)) && x.shownTo(a)
}

func (d *Desk) atDesk(ctx context.Context, a role.Actor, id string, write bool) (*Application, error) {
	x, err := d.scan(ctx, d.Store.QueryRowContext(ctx, "SELECT "+appColumns+" FROM application WHERE id = ? AND ente = ? AND sent <> ''", id, a.Ente))
	if err != nil {
		return nil, err
	}
	if err := role.Check(a, a.Ente, right(x.Service.Topic, write)); err != nil || !write {
		return x, err
	}
	own, err := d.Own(ctx, a, x)
	if err == nil && own && x.shownTo(a) {
		err = ErrOwn
	}
	return x, err
}

// Own tells whether an application is an operator's own affair: sent by or for the own
// person, or signed too. Whoever has an interest in it keeps away and leaves it to a
// colleague (L. 241/1990, art. 6-bis).
func (d *Desk) Own(ctx context.Context, by role.Actor, a *Application) (bool, error) {
	if slices.Contains(a.Service.Signers(a.Fields), by.Code) {
		return true, nil
	}
	var n int
	err := d.Store.QueryRowContext(ctx, "SELECT count(*) FROM person WHERE code = ? AND (id IN (?, ?) OR id = (SELECT person FROM credential WHERE id = ? AND joined <> ''))",
		by.Code, a.Person, a.Agent, a.Credential).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("submission: %w", err)
	}
	return n > 0, nil
}

// Names gives the name of whose each application is, by its id; that of a weak credential
// is a claim.
func (d *Desk) Names(ctx context.Context, all []*Application) (map[string]string, error) {
	known, out := map[string]string{}, map[string]string{}
	for _, a := range all {
		key := strconv.FormatInt(a.Person, 10)
		if a.Person == 0 {
			key = a.Credential
		}
		if _, ok := known[key]; !ok {
			owner, _, err := d.people(ctx, &Application{Person: a.Person, Credential: a.Credential})
			if err != nil {
				return nil, err
			}
			known[key] = owner.Name()
		}
		out[a.ID] = known[key]
	}
	return out, nil
}
