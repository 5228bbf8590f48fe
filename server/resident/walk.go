package resident

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
)

// Kinds of findings.
const (
	Bad      = "bad"      // a line that is left out
	Notice   = "notice"   // a line that is taken, with something odd
	New      = "new"      //
	Changed  = "changed"  // a field
	Conflict = "conflict" // a field that an operator has corrected and the file has otherwise
	Agreed   = "agreed"   // the file has what an operator had corrected
	Back     = "back"     // somebody who was gone
	Gone     = "gone"     //
)

// Finding is one thing that a dry run tells.
type Finding struct {
	Kind     string
	Line     int
	Problem  Problem // of Bad and Notice
	Resident string  // id; empty for New
	Data     Data    // the file's; the record's for Gone
	Field    string
	Old, New string
	// Again: the file says what it said when the operator corrected it.
	Again bool
}

// Key names a conflict.
func (f *Finding) Key() string { return f.Resident + "." + f.Field }

type standing struct{ source string }

// known is a record as it is now.
type known struct {
	id   string
	data Data
	gone bool
	seen bool
}

func (d *Desk) known(ctx context.Context, q Querier, ente string) (byCode map[string]*known, corrections map[string]standing, err error) {
	rows, err := q.QueryContext(ctx, "SELECT "+columns+" FROM resident WHERE ente = ?", ente)
	if err != nil {
		return nil, nil, fmt.Errorf("resident: %w", err)
	}
	byCode = map[string]*known{}
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, nil, errors.Join(err, rows.Close())
		}
		byCode[r.Code] = &known{id: r.ID, data: r.Data, gone: !r.Gone.IsZero()}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, nil, fmt.Errorf("resident: %w", err)
	}
	corrections = map[string]standing{}
	rows, err = q.QueryContext(ctx, "SELECT c.resident, c.field, c.source FROM resident_correction c JOIN resident r ON r.id = c.resident WHERE r.ente = ?", ente)
	if err != nil {
		return nil, nil, fmt.Errorf("resident: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var id, field, source string
		if err := rows.Scan(&id, &field, &source); err != nil {
			return nil, nil, fmt.Errorf("resident: %w", err)
		}
		corrections[id+"."+field] = standing{source}
	}
	return byCode, corrections, rows.Err()
}

// walk compares a file with what there is, in the file's order and then by code, so that
// the same file over the same records gives the same plan.
func (d *Desk) walk(ctx context.Context, q Querier, i *Import, each func(Finding) error) (s Summary, plan string, err error) {
	h := sha256.New()
	tell := func(f Finding) error {
		_, _ = fmt.Fprintf(h, "%q %q %q %q %q\n", f.Kind, f.Resident, f.Field, f.New, f.Data)
		if each == nil {
			return nil
		}
		return each(f)
	}
	err = d.compare(ctx, q, i, &s, tell)
	var unreadable *fileError
	if errors.As(err, &unreadable) {
		return Summary{File: &unreadable.Problem, Rows: s.Rows}, "", nil
	}
	return s, hex.EncodeToString(h.Sum(nil)), err
}

func (d *Desk) open(ctx context.Context, i *Import) (*parser, io.Closer, error) {
	f, err := d.Store.OpenFile(ctx, i.file())
	if err != nil {
		return nil, nil, err
	}
	how, err := look(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, nil, err
	}
	if f, err = d.Store.OpenFile(ctx, i.file()); err != nil {
		return nil, nil, err
	}
	p, err := newParser(f, how, d.now())
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return p, f, nil
}

func (d *Desk) compare(ctx context.Context, q Querier, i *Import, s *Summary, tell func(Finding) error) (err error) {
	p, f, err := d.open(ctx, i)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	s.Ignored = p.Ignored
	have, corrections, err := d.known(ctx, q, i.Ente)
	if err != nil {
		return err
	}
	for {
		r, err := p.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		s.Rows++
		for _, x := range r.Problems {
			kind := Bad
			if x.Notice {
				kind = Notice
				s.Notices++
			}
			if err := tell(Finding{Kind: kind, Line: r.Line, Problem: x}); err != nil {
				return err
			}
		}
		if r.bad() {
			s.BadLines++
			continue
		}
		if err := one(r, have[r.Data.Code], p, corrections, s, tell); err != nil {
			return err
		}
	}
	// With bad lines nobody is gone: the person may be in one of them.
	if !i.Complete || s.BadLines > 0 {
		return nil
	}
	for _, code := range slices.Sorted(maps.Keys(have)) {
		if k := have[code]; !k.seen && !k.gone {
			s.Gone++
			if err := tell(Finding{Kind: Gone, Resident: k.id, Data: k.data}); err != nil {
				return err
			}
		}
	}
	return nil
}

// one compares a line with the record that has its code.
func one(r *row, k *known, p *parser, corrections map[string]standing, s *Summary, tell func(Finding) error) error {
	if k == nil {
		s.New++
		return tell(Finding{Kind: New, Line: r.Line, Data: r.Data})
	}
	k.seen = true
	changed := false
	for n, c := range Columns {
		if p.columns[n] < 0 {
			continue // a column that the file does not have says nothing
		}
		f := Finding{Kind: Changed, Line: r.Line, Resident: k.id, Data: r.Data, Field: c.Field, Old: *c.at(&k.data), New: *c.at(&r.Data)}
		correction, corrected := corrections[f.Key()]
		switch {
		case corrected && f.Old == f.New:
			f.Kind = Agreed
		case corrected:
			f.Kind, f.Again = Conflict, correction.source == f.New
			s.Conflicts++
		case f.Old == f.New:
			continue
		default:
			changed = true
		}
		if err := tell(f); err != nil {
			return err
		}
	}
	switch {
	case k.gone:
		s.Back++
		return tell(Finding{Kind: Back, Line: r.Line, Resident: k.id, Data: r.Data})
	case changed:
		s.Changed++
	default:
		s.Same++
	}
	return nil
}

// writer does what findings tell.
type writer struct {
	d         *Desk
	tx        *sql.Tx
	i         *Import
	a         role.Actor
	x         Decision
	now       time.Time
	undecided int
	fresh     []Data              // new ones that wait to be written together
	held      map[string][]Change // what changes a record; they come one after the other
	order     []string
}

const batch = 100

func (w *writer) apply(ctx context.Context, f Finding) error {
	// Nobody changes the own record, by a file neither: a colleague confirms it.
	if f.Data.Code == w.a.Code && (f.Kind == Changed || f.Kind == Conflict || f.Kind == Back) {
		return ErrSelf
	}
	c := Change{Time: w.now, Field: f.Field, Old: f.Old, New: f.New, Operator: w.a.Operator, ImportID: w.i.ID}
	switch f.Kind {
	case New:
		if w.fresh = append(w.fresh, f.Data); len(w.fresh) < batch {
			return nil
		}
		return w.insert(ctx)
	case Changed:
		c.Kind = "import"
	case Back:
		c.Kind = "back"
	case Agreed:
		c.Kind, c.Old = "agreed", ""
		if _, err := w.tx.ExecContext(ctx, "DELETE FROM resident_correction WHERE resident = ? AND field = ?", f.Resident, f.Field); err != nil {
			return err
		}
	case Conflict:
		switch {
		case w.x.Take[f.Key()]:
			c.Kind = "import"
			if _, err := w.tx.ExecContext(ctx, "DELETE FROM resident_correction WHERE resident = ? AND field = ?", f.Resident, f.Field); err != nil {
				return err
			}
		case w.x.Keep[f.Key()]:
			if f.Again {
				return nil // decided before, and the same
			}
			c.Kind = "kept"
			if _, err := w.tx.ExecContext(ctx, "UPDATE resident_correction SET source = ? WHERE resident = ? AND field = ?", f.New, f.Resident, f.Field); err != nil {
				return err
			}
		default:
			w.undecided++
			return nil
		}
	case Gone:
		if !w.x.Gone {
			return nil
		}
		c.Kind = "gone"
		if _, err := w.tx.ExecContext(ctx, "UPDATE resident SET gone = ?, changed = ? WHERE id = ?", store.Time(w.now), store.Time(w.now), f.Resident); err != nil {
			return err
		}
		return w.d.write(ctx, w.tx, f.Resident, c)
	default:
		return nil
	}
	// Findings of one record come one after the other: the one before is complete.
	if len(w.order) > 0 && w.order[len(w.order)-1] != f.Resident {
		if err := w.records(ctx); err != nil {
			return err
		}
	}
	if w.held == nil {
		w.held = map[string][]Change{}
	}
	if len(w.order) == 0 {
		w.order = append(w.order, f.Resident)
	}
	w.held[f.Resident] = append(w.held[f.Resident], c)
	return nil
}

// records writes the record that changes came for.
func (w *writer) records(ctx context.Context) error {
	for _, id := range w.order {
		r, err := scan(w.tx.QueryRowContext(ctx, "SELECT "+columns+" FROM resident WHERE id = ?", id))
		if err != nil {
			return err
		}
		for _, c := range w.held[id] {
			switch c.Kind {
			case "import":
				r.Set(c.Field, c.New)
			case "back":
				r.Gone = time.Time{}
			}
			if err := w.d.write(ctx, w.tx, id, c); err != nil {
				return err
			}
		}
		if err := put(ctx, w.tx, id, r.Data, r.Gone, w.now); err != nil {
			return err
		}
	}
	w.order, w.held = nil, nil
	return nil
}

// insert writes those who are new, many with one statement.
func (w *writer) insert(ctx context.Context) error {
	if len(w.fresh) == 0 {
		return nil
	}
	var args []any
	for _, x := range w.fresh {
		text, err := json.Marshal(x)
		if err != nil {
			return err
		}
		args = append(args, store.NewID(), w.i.Ente, x.Code, nameKey(x), fold(x.Address), x.Sheet, string(text), w.i.ID, store.Time(w.now), store.Time(w.now))
	}
	_, err := w.tx.ExecContext(ctx, "INSERT INTO resident (id, ente, code, name, street, sheet, data, made_by, created, changed) VALUES "+
		strings.TrimSuffix(strings.Repeat("(?,?,?,?,?,?,?,?,?,?),", len(w.fresh)), ","), args...) //nolint:gosec // our own words
	w.fresh = w.fresh[:0]
	if err != nil {
		return fmt.Errorf("resident: %w", err)
	}
	return nil
}

func (w *writer) flush(ctx context.Context) error {
	if err := w.insert(ctx); err != nil {
		return err
	}
	return w.records(ctx)
}
