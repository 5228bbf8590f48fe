package register

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
)

// Query of Search. Empty fields ask nothing.
type Query struct {
	Direction Direction
	From, To  time.Time // days of Rome, both included
	Number    Number    // Year 0: of any year
	Subject   string    // a part of it
	Party     string    // a part of it
	Cancelled bool      // those alone
	Before    Number    // the last of the page before
	Limit     int       // 0 is 50, 500 at most
}

// Names tells whose names an operator reads in the register.
type Names int

// Whoever takes requests in for the whole ente (routing.read, tied to no office) reads
// every party; who is tied to offices, those of applications that are there; who keeps
// the infrastructure sees that numbers, dates and hashes are in order, and no citizen.
const (
	NamesNone Names = iota
	NamesOffices
	NamesAll
)

// NamesFor decides it.
func NamesFor(a role.Actor) Names {
	switch {
	case !role.Can(a, a.Ente, role.RoutingRead):
		return NamesNone
	case len(a.Offices) > 0:
		return NamesOffices
	}
	return NamesAll
}

// may asks for a right to look at the register.
func may(a role.Actor) error {
	if a.Has(role.RoutingRead, role.InfrastructureRead) {
		return nil
	}
	return role.Check(a, a.Ente, role.RoutingRead)
}

// at is the part of a query that asks for entries of applications at the actor's offices.
func at(a role.Actor) (string, []any) {
	args := []any{a.Ente, a.Operator}
	for _, o := range a.Offices {
		args = append(args, o)
	}
	return "r.document IN (SELECT x.id FROM application x WHERE x.ente = ? AND (x.holder = ? OR x.office IN (?" + strings.Repeat(", ?", len(a.Offices)-1) + ")))", args
}

// Search lists entries, the newest first. Names that are not the operator's to read are
// left out (Hidden), and are not searched.
func (d *Desk) Search(ctx context.Context, a role.Actor, q Query) ([]*Entry, error) {
	if err := may(a); err != nil {
		return nil, err
	}
	where, args := "WHERE r.ente = ?", []any{a.Ente}
	and := func(s string, v ...any) { where, args = where+" AND "+s, append(args, v...) }
	if q.Direction != "" {
		and("r.direction = ?", string(q.Direction))
	}
	if !q.From.IsZero() {
		and("r.time >= ?", store.Time(midnight(q.From)))
	}
	if !q.To.IsZero() {
		and("r.time < ?", store.Time(midnight(q.To).AddDate(0, 0, 1)))
	}
	if q.Number.Number > 0 {
		and("r.number = ?", q.Number.Number)
	}
	if q.Number.Year > 0 {
		and("r.year = ?", q.Number.Year)
	}
	if s := strings.TrimSpace(q.Subject); s != "" {
		and(`lower(r.subject) LIKE lower(?) ESCAPE '\'`, "%"+store.Like(s))
	}
	if q.Cancelled {
		and("c.time IS NOT NULL")
	}
	names := NamesFor(a)
	if s := strings.TrimSpace(q.Party); s != "" {
		if names == NamesNone {
			return nil, role.Check(a, a.Ente, role.RoutingRead)
		}
		and(`lower(r.party) LIKE lower(?) ESCAPE '\'`, "%"+store.Like(s))
		if names == NamesOffices {
			s, v := at(a)
			and(s, v...)
		}
	}
	if n := q.Before; n.Number > 0 {
		and("(r.year, r.number) < (?, ?)", n.Year, n.Number)
	}
	limit := q.Limit
	if limit <= 0 || limit > 500 {
		limit = 50
	}
	out, err := d.entries(ctx, where+" ORDER BY r.year DESC, r.number DESC LIMIT ?", append(args, limit)...)
	if err != nil {
		return nil, err
	}
	return out, d.hide(ctx, a, out)
}

// hide takes the names out that are not the operator's to read.
func (d *Desk) hide(ctx context.Context, a role.Actor, all []*Entry) error {
	names := NamesFor(a)
	if names == NamesAll || len(all) == 0 {
		return nil
	}
	open := map[string]bool{}
	if names == NamesOffices {
		where, args := at(a)
		var documents []any
		for _, e := range all {
			documents = append(documents, e.Document)
		}
		rows, err := d.Store.QueryContext(ctx, "SELECT r.document FROM register_entry r WHERE r.ente = ? AND r.document IN (?"+strings.Repeat(", ?", len(documents)-1)+") AND "+where, //nolint:gosec // our own words
			append(append([]any{a.Ente}, documents...), args...)...)
		if err != nil {
			return fmt.Errorf("register: %w", err)
		}
		found, err := store.Strings(rows)
		if err != nil {
			return fmt.Errorf("register: %w", err)
		}
		for _, x := range found {
			open[x] = true
		}
	}
	for _, e := range all {
		if !open[e.Document] {
			e.Party, e.Hidden = "", true
		}
	}
	return nil
}

// Open reads an entry of the operator's ente; names that are not the operator's to read
// are left out. Where a citizen's is read, it is logged.
func (d *Desk) Open(ctx context.Context, a role.Actor, n Number) (*Entry, error) {
	if err := may(a); err != nil {
		return nil, err
	}
	e, err := d.Get(ctx, a.Ente, n)
	if err != nil {
		return nil, err
	}
	if err := d.hide(ctx, a, []*Entry{e}); err != nil || e.Hidden {
		return e, err
	}
	var who int64
	if err := d.Store.QueryRowContext(ctx, "SELECT coalesce(max(person), 0) FROM application WHERE id = ? AND ente = ?", e.Document, a.Ente).Scan(&who); err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	return e, d.Audit.Write(ctx, audit.Event{Ente: a.Ente, Kind: audit.PersonRead, PersonID: who, Detail: map[string]string{"protocol": n.String()}}.By(a))
}

// Emergency is an emergency register.
type Emergency struct {
	ID       int
	Cause    string
	Opened   time.Time
	Closed   time.Time // when the system was there again; zero: open
	Entries  int
	Operator int64
}

// Emergencies lists an ente's emergency registers, the newest first.
func (d *Desk) Emergencies(ctx context.Context, a role.Actor) ([]*Emergency, error) {
	if err := may(a); err != nil {
		return nil, err
	}
	rows, err := d.Store.QueryContext(ctx, "SELECT id, cause, opened, closed, last, operator FROM register_emergency WHERE ente = ? ORDER BY id DESC LIMIT 500", a.Ente)
	return store.All(rows, err, func(row store.Row) (*Emergency, error) {
		var x Emergency
		var opened, closed string
		if err := row.Scan(&x.ID, &x.Cause, &opened, &closed, &x.Entries, &x.Operator); err != nil {
			return nil, fmt.Errorf("register: %w", err)
		}
		x.Opened, x.Closed = store.ParseTime(opened), store.ParseTime(closed)
		return &x, nil
	})
}

// EmergencyEntries lists what an emergency register holds, in its order.
func (d *Desk) EmergencyEntries(ctx context.Context, a role.Actor, id int) ([]*Entry, error) {
	if err := may(a); err != nil {
		return nil, err
	}
	out, err := d.entries(ctx, `WHERE r.ente = ? AND r.emergency LIKE ? ORDER BY r.year, r.number LIMIT 500`, a.Ente, fmt.Sprintf("E%d/%%", id))
	if err != nil {
		return nil, err
	}
	return out, d.hide(ctx, a, out)
}

// DaysOf lists daily registers up to a day (empty: all), the newest first.
func (d *Desk) DaysOf(ctx context.Context, a role.Actor, before string, limit int) ([]*Day, error) {
	if err := may(a); err != nil {
		return nil, err
	}
	if before == "" {
		before = "9"
	}
	return d.days(ctx, "ente = ? AND day < ? ORDER BY day DESC LIMIT ?", a.Ente, before, min(max(limit, 1), 500))
}

// DayOf finds one.
func (d *Desk) DayOf(ctx context.Context, a role.Actor, day string) (*Day, error) {
	if err := may(a); err != nil {
		return nil, err
	}
	all, err := d.days(ctx, "ente = ? AND day = ?", a.Ente, day)
	if err == nil && len(all) == 0 {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// OpenDay opens a daily register: the sealed PDF, or its data. It names everybody, so it
// is for whoever reads every name, and logged.
func (d *Desk) OpenDay(ctx context.Context, a role.Actor, day string, data bool) (io.ReadCloser, error) {
	x, err := d.DayOf(ctx, a, day)
	if err != nil {
		return nil, err
	}
	if NamesFor(a) != NamesAll {
		return nil, &role.DeniedError{Permission: role.RoutingRead, Ente: a.Ente}
	}
	if err := d.Audit.Write(ctx, audit.Event{Ente: a.Ente, Kind: audit.RegisterRead, Detail: map[string]string{"day": x.Day, "entries": fmt.Sprint(x.Entries)}}.By(a)); err != nil {
		return nil, err
	}
	if data {
		return d.Store.OpenFile(ctx, x.Data)
	}
	return d.Store.OpenFile(ctx, x.Document)
}
