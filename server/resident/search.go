package resident

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
)

// PageSize of a search.
const PageSize = 25

// searchLife is how long a search's records can be opened.
const searchLife = time.Hour

// Query of Search: what is empty asks nothing, but not all of it is. Names are taken by
// their beginning, without accents; the address by any part of it.
type Query struct {
	Code, Family, Given, Address, Sheet string
	After                               string // Result.Next of the page before
}

// Result of a search. ID opens its records.
type Result struct {
	ID   string
	Rows []*Resident
	Next string // of the next page; empty on the last one
}

func reason(s string) (string, error) {
	s = tidy(s)
	if n := utf8.RuneCountInString(s); n < 5 || n > 300 {
		return "", ErrReason
	}
	return s, nil
}

// Search looks records up, for a reason that is logged. There is no list of everybody.
func (d *Desk) Search(ctx context.Context, a role.Actor, q Query, why string) (*Result, error) {
	if err := role.Check(a, a.Ente, role.RegistryRead); err != nil {
		return nil, err
	}
	why, err := reason(why)
	if err != nil {
		return nil, err
	}
	code, family, given, address, sheet := strings.ToUpper(tidy(q.Code)), fold(q.Family), fold(q.Given), fold(q.Address), tidy(q.Sheet)
	where, args := "ente = ?", []any{a.Ente}
	add := func(cond string, x ...any) { where += " AND " + cond; args = append(args, x...) }
	switch {
	case utf8.RuneCountInString(code) > 16, utf8.RuneCountInString(family+given+address+sheet) > 300:
		return nil, ErrQuery
	case code != "", sheet != "":
	case utf8.RuneCountInString(family) < 2 && utf8.RuneCountInString(address) < 5:
		return nil, ErrQuery
	}
	if code != "" {
		add("code = ?", code)
	}
	if sheet != "" {
		add("sheet = ?", sheet)
	}
	if family != "" {
		add(`name LIKE ? ESCAPE '\'`, store.Like(family))
	}
	if given != "" {
		add(`name LIKE ? ESCAPE '\'`, "%,"+store.Like(given))
	}
	if address != "" {
		add(`street LIKE ? ESCAPE '\'`, "%"+store.Like(address))
	}
	if name, id, ok := cutLast(q.After); ok {
		add("(name > ? OR name = ? AND id > ?)", name, name, id)
	}
	out := &Result{ID: store.NewID()}
	if out.Rows, err = query(ctx, d.Store, where+" ORDER BY name, id LIMIT ?", append(args, PageSize+1)...); err != nil {
		return nil, err
	}
	if len(out.Rows) > PageSize {
		out.Rows = out.Rows[:PageSize]
		last := out.Rows[PageSize-1]
		out.Next = nameKey(last.Data) + "\n" + last.ID
	}
	return out, d.remember(ctx, a, out.ID, why, audit.Event{Detail: map[string]string{"found": fmt.Sprint(len(out.Rows))},
		Personal: map[string]string{"reason": why, "code": code, "family": family, "given": given, "address": address, "sheet": sheet}}, code)
}

func cutLast(s string) (name, id string, ok bool) {
	i := strings.LastIndexByte(s, '\n')
	if i < 0 || len(s) > 400 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

func (d *Desk) remember(ctx context.Context, a role.Actor, id, why string, e audit.Event, code string) error {
	e.Ente, e.Kind = a.Ente, audit.RegistrySearched
	err := d.Store.Tx(ctx, func(tx *sql.Tx) (err error) {
		_, err = tx.ExecContext(ctx, "INSERT INTO resident_search (id, ente, operator, reason, time) VALUES (?,?,?,?,?)", id, a.Ente, a.Operator, why, store.Time(d.now()))
		if err != nil {
			return err
		}
		if code != "" { // so that what is kept of the query can be erased with the person's rows
			if e.PersonID, err = account(ctx, tx, code); err != nil {
				return err
			}
		}
		return d.Audit.WriteTx(ctx, tx, e.By(a))
	})
	if err != nil {
		return fmt.Errorf("resident: %w", err)
	}
	return nil
}

// Reason begins a search without a query: for a record that an operator comes to from an
// application.
func (d *Desk) Reason(ctx context.Context, a role.Actor, why string) (string, error) {
	if err := role.Check(a, a.Ente, role.RegistryRead); err != nil {
		return "", err
	}
	why, err := reason(why)
	if err != nil {
		return "", err
	}
	id := store.NewID()
	return id, d.remember(ctx, a, id, why, audit.Event{Personal: map[string]string{"reason": why}}, "")
}

// Correction that holds against imports.
type Correction struct {
	Field, Source string
	Reason        string
	Time          time.Time
}

// File is what the desk sees of a person.
type File struct {
	*Resident
	Family      []*Resident // on the same sheet, without the person
	History     []Change
	Corrections []Correction
}

// Open shows a record that one of the operator's searches of this hour led to. It is
// logged with the search's reason, and the person sees that somebody looked.
func (d *Desk) Open(ctx context.Context, a role.Actor, id, search string) (*File, error) {
	if err := role.Check(a, a.Ente, role.RegistryRead); err != nil {
		return nil, err
	}
	r, err := scan(d.Store.QueryRowContext(ctx, "SELECT "+columns+" FROM resident WHERE id = ? AND ente = ?", id, a.Ente))
	if err != nil {
		return nil, err
	}
	var why string
	err = d.Store.QueryRowContext(ctx, "SELECT reason FROM resident_search WHERE id = ? AND ente = ? AND operator = ? AND time > ?", search, a.Ente, a.Operator, store.Time(d.now().Add(-searchLife))).Scan(&why)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrSearch
	}
	if err != nil {
		return nil, fmt.Errorf("resident: %w", err)
	}
	f := &File{Resident: r}
	all, err := d.sheet(ctx, d.Store, a.Ente, r.Sheet)
	if err != nil {
		return nil, err
	}
	for _, x := range all {
		if x.ID != r.ID {
			f.Family = append(f.Family, x)
		}
	}
	if f.History, err = d.history(ctx, id); err != nil {
		return nil, err
	}
	if f.Corrections, err = d.corrections(ctx, id); err != nil {
		return nil, err
	}
	who, err := account(ctx, d.Store, r.Code)
	if err != nil {
		return nil, err
	}
	return f, d.Audit.Write(ctx, audit.Event{Ente: a.Ente, Kind: audit.PersonRead, PersonID: who, Person: r.Code, Detail: map[string]string{"registry": id}, Personal: map[string]string{"reason": why}}.By(a))
}

func (d *Desk) history(ctx context.Context, id string) ([]Change, error) {
	rows, err := d.Store.QueryContext(ctx, "SELECT time, kind, field, old, new, operator, reason, import FROM resident_change WHERE resident = ? ORDER BY n DESC LIMIT 500", id)
	return store.All(rows, err, func(row store.Row) (Change, error) {
		var c Change
		var at string
		if err := row.Scan(&at, &c.Kind, &c.Field, &c.Old, &c.New, &c.Operator, &c.Reason, &c.ImportID); err != nil {
			return c, fmt.Errorf("resident: %w", err)
		}
		c.Time = store.ParseTime(at)
		return c, nil
	})
}

func (d *Desk) corrections(ctx context.Context, id string) ([]Correction, error) {
	rows, err := d.Store.QueryContext(ctx, "SELECT field, source, reason, time FROM resident_correction WHERE resident = ? ORDER BY field", id)
	return store.All(rows, err, func(row store.Row) (Correction, error) {
		var c Correction
		var at string
		if err := row.Scan(&c.Field, &c.Source, &c.Reason, &at); err != nil {
			return c, fmt.Errorf("resident: %w", err)
		}
		c.Time = store.ParseTime(at)
		return c, nil
	})
}

// Correct writes another value into a field, for a reason; old is what the operator saw.
// Its history is kept, and it holds against later imports until one is decided otherwise.
// The code is the record's key: another one comes with an import.
func (d *Desk) Correct(ctx context.Context, a role.Actor, id, field, old, value, why string) error {
	if err := role.Check(a, a.Ente, role.RegistryWrite); err != nil {
		return err
	}
	why, err := reason(why)
	if err != nil {
		return err
	}
	c, ok := ColumnOf(field)
	if !ok || field == "code" {
		return &ValueError{field, "field"}
	}
	value, bad := c.check(value, d.now())
	if bad != "" {
		return &ValueError{field, bad}
	}
	err = d.Store.Tx(ctx, func(tx *sql.Tx) error {
		r, err := scan(tx.QueryRowContext(ctx, "SELECT "+columns+" FROM resident WHERE id = ? AND ente = ?", id, a.Ente))
		if err != nil {
			return err
		}
		switch {
		case r.Code == a.Code:
			return ErrSelf
		case r.Get(field) != old:
			return ErrStale
		case old == value:
			return &ValueError{field, "same"}
		}
		now := d.now().UTC()
		r.Set(field, value)
		if r.Since != "" && r.Until != "" && r.Until < r.Since {
			return &ValueError{field, "until"}
		}
		if err := put(ctx, tx, id, r.Data, r.Gone, now); err != nil {
			return err
		}
		// What the import had stays known over several corrections of the same field.
		_, err = tx.ExecContext(ctx, `INSERT INTO resident_correction (resident, field, source, operator, reason, time) VALUES (?,?,?,?,?,?)
			ON CONFLICT (resident, field) DO UPDATE SET operator = excluded.operator, reason = excluded.reason, time = excluded.time`, id, field, old, a.Operator, why, store.Time(now))
		if err != nil {
			return err
		}
		if err := d.write(ctx, tx, id, Change{Time: now, Kind: "correction", Field: field, Old: old, New: value, Operator: a.Operator, Reason: why}); err != nil {
			return err
		}
		who, err := account(ctx, tx, r.Code)
		if err != nil {
			return err
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: a.Ente, Kind: audit.RegistryChanged, PersonID: who, Person: r.Code, Detail: map[string]string{"registry": id, "field": field},
			Personal: map[string]string{"old": old, "new": value, "reason": why}}.By(a))
	})
	if err != nil {
		return fmt.Errorf("resident: %w", err)
	}
	return nil
}
