package mandate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/mail"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
)

// Needs is the right that every act of the desk on mandates asks for. A mandate opens one
// person's affairs to another, as a credential does: who may suspend credentials may grant
// and end it (R-Ente, R8). An assistance centre (assisted.file) is no office of the town
// and makes nobody a power; it uses those that hold. Who runs the server has no right here.
const Needs = role.UsersState

// View is a mandate with the two people in it.
type View struct {
	*Mandate
	Who   *person.Person // who acts
	Whose *person.Person // who is acted for
}

// Query of Search. Names are taken by their beginning.
type Query struct {
	Code, Family, Given string
	Reason              string
}

// MaxFound bounds a search.
const MaxFound = 100

const joined = `SELECT m.id FROM mandate m JOIN person w ON w.id = m.agent JOIN person p ON p.id = m.principal WHERE m.ente = ?`

// Search finds an ente's mandates by somebody in them, newest first, at most MaxFound. A
// reason is asked for, and the log keeps it with whose mandates were seen.
func (d *Desk) Search(ctx context.Context, a role.Actor, q Query) ([]View, error) {
	if err := role.Check(a, a.Ente, Needs); err != nil {
		return nil, err
	}
	if !reasoned(q.Reason) {
		return nil, ErrReason
	}
	where, args := "", []any{a.Ente}
	if c := strings.ToUpper(strings.TrimSpace(q.Code)); c != "" {
		where, args = where+" AND (w.code = ? OR p.code = ?)", append(args, c, c)
	}
	var names []string
	for _, x := range [][2]string{{"family", strings.TrimSpace(q.Family)}, {"given", strings.TrimSpace(q.Given)}} {
		if x[1] != "" {
			names = append(names, "lower(%[1]s."+x[0]+`) LIKE lower(?) ESCAPE '\'`)
			args = append(args, store.Like(x[1]))
		}
	}
	if len(names) > 0 { // the names are of one of the two
		both := strings.Join(names, " AND ")
		where += " AND (" + fmt.Sprintf(both, "w") + " OR " + fmt.Sprintf(both, "p") + ")"
		args = append(args, args[len(args)-len(names):]...)
	}
	if where == "" {
		return nil, invalid("who", "nobody is named")
	}
	found, err := d.views(ctx, joined+where+" ORDER BY m.created DESC LIMIT ?", append(args, MaxFound)...)
	if err != nil {
		return nil, err
	}
	return found, d.seen(ctx, a, q.Reason, found...)
}

// Waiting lists what citizens asked for and the desk has to look at, oldest first: a
// delegation is the other person's to accept.
func (d *Desk) Waiting(ctx context.Context, a role.Actor) ([]View, error) {
	if err := role.Check(a, a.Ente, Needs); err != nil {
		return nil, err
	}
	return d.views(ctx, joined+" AND m.state = 'asked' AND m.kind <> 'delegate' ORDER BY m.created LIMIT ?", a.Ente, MaxFound)
}

// Open shows a mandate of the operator's ente; both people see in their accesses that it
// was opened.
func (d *Desk) Open(ctx context.Context, a role.Actor, id string) (View, error) {
	if err := role.Check(a, a.Ente, Needs); err != nil {
		return View{}, err
	}
	all, err := d.views(ctx, joined+" AND m.id = ?", a.Ente, id)
	if err != nil {
		return View{}, err
	}
	if len(all) == 0 {
		return View{}, ErrNotFound
	}
	return all[0], d.seen(ctx, a, "", all[0])
}

func (d *Desk) views(ctx context.Context, query string, args ...any) (out []View, err error) {
	rows, err := d.Store.QueryContext(ctx, query, args...) //nolint:gosec // our own words; values are arguments
	if err != nil {
		return nil, fmt.Errorf("mandate: %w", err)
	}
	ids, err := store.Strings(rows)
	if err != nil {
		return nil, fmt.Errorf("mandate: %w", err)
	}
	for _, id := range ids {
		m, err := scan(d.Store.QueryRowContext(ctx, "SELECT "+columns+" FROM mandate WHERE id = ?", id))
		if err != nil {
			return nil, err
		}
		v := View{Mandate: m}
		var err1, err2 error
		v.Who, err1 = person.Get(ctx, d.Store, m.Agent)
		v.Whose, err2 = person.Get(ctx, d.Store, m.Principal)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// seen writes a row for everybody whose mandate an operator saw.
func (d *Desk) seen(ctx context.Context, a role.Actor, reason string, all ...View) error {
	rows := map[int64]audit.Event{}
	for _, v := range all {
		for _, p := range []*person.Person{v.Who, v.Whose} {
			e := audit.Event{Ente: a.Ente, Kind: audit.PersonRead, PersonID: p.ID, Person: p.CodiceFiscale, Detail: map[string]string{"mandates": "yes"}}
			if reason != "" {
				e.Personal = map[string]string{"reason": strings.TrimSpace(reason)}
			}
			rows[p.ID] = e.By(a)
		}
	}
	return d.Store.Tx(ctx, func(tx *sql.Tx) error {
		for _, e := range rows {
			if err := d.Audit.WriteTx(ctx, tx, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// ActsBy lists those by which a person who is at the desk to file acts in a service now. It
// names who is acted for, so both see in their accesses that it was asked.
func (d *Desk) ActsBy(ctx context.Context, a role.Actor, agent int64, service string) (out []View, err error) {
	if err := role.Check(a, a.Ente, role.AssistedFile); err != nil {
		return nil, err
	}
	all, err := d.views(ctx, joined+" AND m.agent = ? AND m.state = 'active' ORDER BY m.created DESC LIMIT ?", a.Ente, agent, MaxFound)
	if err != nil {
		return nil, err
	}
	for _, v := range all {
		if v.Covers(service, d.now()) {
			out = append(out, v)
		}
	}
	return out, d.seen(ctx, a, "", out...)
}

// RevokeAtDesk is the operator's, with a reason.
func (d *Desk) RevokeAtDesk(ctx context.Context, a role.Actor, id, reason string) error {
	if err := role.Check(a, a.Ente, Needs); err != nil {
		return err
	}
	if !reasoned(reason) {
		return ErrReason
	}
	return d.move(ctx, a.Ente, id, audit.Event{}.By(a), func(m *Mandate) error { return m.revoke(strings.TrimSpace(reason)) },
		func(tx *sql.Tx, m *Mandate) error {
			if err := d.notOwn(ctx, tx, a, m); err != nil {
				return err
			}
			return d.tell(ctx, tx, m, mail.MandateRevoked, m.Principal, m.Agent)
		})
}

func reasoned(s string) bool {
	n := utf8.RuneCountInString(strings.TrimSpace(s))
	return n >= 3 && n <= 500
}
