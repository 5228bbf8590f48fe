package resident

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/store"
)

// Desk keeps the population's records of every ente.
type Desk struct {
	Store *store.Store
	Audit *audit.Log
	Now   func() time.Time
}

func (d *Desk) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

func (d *Desk) today() string { return d.now().In(register.Rome()).Format(time.DateOnly) }

// Errors of this room.
var (
	ErrNotFound = errors.New("resident: not found")
	// ErrReason: nobody looks or corrects without saying why.
	ErrReason = errors.New("resident: a reason is needed")
	// ErrQuery: too little to look for; there is no list of everybody.
	ErrQuery = errors.New("resident: the search is too wide")
	// ErrSearch: a record is opened from a search of one's own, within the hour.
	ErrSearch = errors.New("resident: the record is opened from a search")
	// ErrSelf: nobody corrects the own record.
	ErrSelf = errors.New("resident: the own record is a colleague's to correct")
	// ErrStale: what it was decided on has changed meanwhile.
	ErrStale = errors.New("resident: changed meanwhile")
	// ErrState: the import was confirmed or dropped already.
	ErrState = errors.New("resident: not in the state for this")
	// ErrWaiting: too many files wait to be confirmed or dropped.
	ErrWaiting = errors.New("resident: too many files wait")
	// ErrTooLarge: more than MaxBytes.
	ErrTooLarge = errors.New("resident: the file is too large")
	// ErrUndecided: a conflict, people who would be gone, or bad lines want a decision.
	ErrUndecided = errors.New("resident: something is not decided yet")
	// ErrValue: a correction's value cannot be; the *ValueError says why.
	ErrValue = errors.New("resident: not a usable value")
)

// ValueError is a value that cannot be; its sentence is "registry.bad-<Code>".
type ValueError struct{ Field, Code string }

// Error names it.
func (e *ValueError) Error() string { return fmt.Sprintf("%v: %s: %s", ErrValue, e.Field, e.Code) }

// Unwrap makes errors.Is(err, ErrValue) hold.
func (e *ValueError) Unwrap() error { return ErrValue }

// Resident is a record.
type Resident struct {
	ID   string
	Ente string
	Data
	Gone    time.Time // zero: the newest complete import had the person
	Created time.Time
	Changed time.Time
}

// Here tells whether the record is of somebody who is resident on a day ("2006-01-02").
func (r *Resident) Here(day string) bool { return r.Gone.IsZero() && r.resides(day) }

const columns = "id, ente, data, gone, created, changed"

func scan(row store.Row) (*Resident, error) {
	r := &Resident{}
	var data, gone, created, changed string
	err := row.Scan(&r.ID, &r.Ente, &data, &gone, &created, &changed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("resident: %w", err)
	}
	r.Gone, r.Created, r.Changed = store.ParseTime(gone), store.ParseTime(created), store.ParseTime(changed)
	return r, json.Unmarshal([]byte(data), &r.Data)
}

// Querier is a store or a transaction.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func query(ctx context.Context, q Querier, where string, args ...any) ([]*Resident, error) {
	rows, err := q.QueryContext(ctx, "SELECT "+columns+" FROM resident WHERE "+where, args...) //nolint:gosec // our own words
	return store.All(rows, err, scan)
}

// Change is one of a record's history.
type Change struct {
	Time             time.Time
	Kind             string // import, gone, back, correction, kept, agreed
	Field            string
	Old, New         string
	Operator         int64
	Reason, ImportID string
}

func (d *Desk) write(ctx context.Context, tx *sql.Tx, id string, c Change) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO resident_change (resident, n, time, kind, field, old, new, operator, reason, import)
		VALUES (?, (SELECT coalesce(max(n), 0) + 1 FROM resident_change WHERE resident = ?), ?,?,?,?,?,?,?,?)`,
		id, id, store.Time(c.Time), c.Kind, c.Field, c.Old, c.New, c.Operator, c.Reason, c.ImportID)
	if err != nil {
		return fmt.Errorf("resident: %w", err)
	}
	return nil
}

// put writes a record's data and what is searched of it.
func put(ctx context.Context, tx *sql.Tx, id string, data Data, gone, now time.Time) error {
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "UPDATE resident SET name = ?, street = ?, sheet = ?, data = ?, gone = ?, changed = ? WHERE id = ?",
		nameKey(data), fold(data.Address), data.Sheet, string(text), store.Time(gone), store.Time(now), id)
	if err != nil {
		return fmt.Errorf("resident: %w", err)
	}
	return nil
}

func nameKey(d Data) string { return fold(d.Family) + "," + fold(d.Given) }

// account is the person's over all enti, 0 without one: what is logged under it, the
// person sees among the own accesses.
func account(ctx context.Context, q Querier, code string) (id int64, err error) {
	err = q.QueryRowContext(ctx, "SELECT id FROM person WHERE kind = 'person' AND code = ?", code).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return id, err
}

// Member of a family, as a certificate of it names one.
type Member struct {
	Name, Born, BirthPlace, Relation string
	Self                             bool
}

// Own is what a person sees of the own record.
type Own struct {
	Data
	Here   bool
	Family []Member
}

// Of gives the own record of whoever has proved a code, in one ente; ErrNotFound without
// one. Of the others on the same sheet it has what a certificate of the family's members
// shows, and their relation, which the certificate has on request: it mirrors the sheet as
// it is now, without those who left (DPR 223/1989, art. 33 c. 1 and 35 c. 3; the sheet's
// head and relations: art. 21). Their codes, citizenship, civil state and address history
// are theirs.
func (d *Desk) Of(ctx context.Context, q Querier, ente, code string) (*Own, error) {
	r, err := scan(q.QueryRowContext(ctx, "SELECT "+columns+" FROM resident WHERE ente = ? AND code = ?", ente, code))
	if err != nil {
		return nil, err
	}
	out := &Own{Data: r.Data, Here: r.Here(d.today())}
	if !out.Here {
		return out, nil // whoever has left is on nobody's sheet
	}
	all, err := d.sheet(ctx, q, ente, r.Sheet)
	if err != nil {
		return nil, err
	}
	if len(all) > maxFamily {
		return out, nil
	}
	for _, x := range all {
		if x.Here(d.today()) {
			out.Family = append(out.Family, Member{x.Name(), x.Born, x.BirthPlace, x.Relation, x.ID == r.ID})
		}
	}
	return out, nil
}

// maxSheet bounds a sheet at the desk. maxFamily is how many people are a family to the
// portal: a community's people (a home's, a convent's: DPR 223/1989, art. 5) are no family,
// and see nothing of each other, should a file have them on one sheet.
const (
	maxSheet  = 100
	maxFamily = 20
)

func (d *Desk) sheet(ctx context.Context, q Querier, ente, sheet string) ([]*Resident, error) {
	return query(ctx, q, "ente = ? AND sheet = ? ORDER BY created, name, id LIMIT ?", ente, sheet, maxSheet)
}
