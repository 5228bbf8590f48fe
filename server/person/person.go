// Package person is the account: one for a person over all enti, whose key is kind and
// code, and what each ente has written down of the person, which no other ente reads.
package person

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/store"
)

// Kind of an account.
type Kind string

// The kinds.
const (
	Natural   Kind = "person"
	Corporate Kind = "company"
)

// Person is an account.
type Person struct {
	ID            int64
	Kind          Kind
	CodiceFiscale string // a company's own for a company
	Given, Family string // a company's name is Family
	Professional  bool
	Dead          time.Time // when a desk wrote it down; zero for the living
	Created       time.Time
}

// Name is how a page calls the person.
func (p *Person) Name() string {
	switch {
	case p.Given == "" && p.Family == "":
		return p.CodiceFiscale
	case p.Given == "":
		return p.Family
	case p.Family == "":
		return p.Given
	}
	return p.Given + " " + p.Family
}

// Category is the person's in the ente's switches.
func (p *Person) Category() ente.Category {
	switch {
	case p.Kind == Corporate:
		return ente.Company
	case p.Professional:
		return ente.Professional
	}
	return ente.Citizen
}

// Ensure finds the account of somebody whom a card has just proved, and makes it
// at the first time. Names follow the newest certificate that has some. A code that
// somebody had before finds nobody: with omocodia it may rightly be another's.
func Ensure(ctx context.Context, tx *sql.Tx, who profile.Person, now time.Time) (*Person, error) {
	return EnsureAccount(ctx, tx, Natural, string(who.CodiceFiscale), who.Given, who.Family, now)
}

// EnsureAccount finds or makes an account by its key. Names that are given replace what
// was there.
func EnsureAccount(ctx context.Context, tx *sql.Tx, k Kind, code, given, family string, now time.Time) (*Person, error) {
	_, err := tx.ExecContext(ctx, `INSERT INTO person (kind, code, given, family, created) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (kind, code) DO UPDATE SET
			given = CASE WHEN excluded.given <> '' THEN excluded.given ELSE person.given END,
			family = CASE WHEN excluded.family <> '' THEN excluded.family ELSE person.family END`,
		string(k), code, given, family, store.Time(now))
	if err != nil {
		return nil, fmt.Errorf("person: %w", err)
	}
	return scan(tx.QueryRowContext(ctx, "SELECT "+columns+" FROM person WHERE kind = ? AND code = ?", string(k), code))
}

// ErrNotFound means that there is no such account, or none that the ente has to do with:
// an operator is not told which.
var ErrNotFound = errors.New("person: not found")

const columns = "id, kind, code, given, family, professional, dead, created"

func scan(row store.Row) (*Person, error) {
	p := &Person{}
	var dead, created string
	err := row.Scan(&p.ID, &p.Kind, &p.CodiceFiscale, &p.Given, &p.Family, &p.Professional, &dead, &created)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("person: %w", err)
	}
	p.Dead, p.Created = store.ParseTime(dead), store.ParseTime(created)
	return p, nil
}

// Querier is a store or a transaction.
type Querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Get reads an account.
func Get(ctx context.Context, q Querier, id int64) (*Person, error) {
	return scan(q.QueryRowContext(ctx, "SELECT "+columns+" FROM person WHERE id = ?", id))
}

// ByCode reads an account by its key.
func ByCode(ctx context.Context, q Querier, k Kind, code string) (*Person, error) {
	return scan(q.QueryRowContext(ctx, "SELECT "+columns+" FROM person WHERE kind = ? AND code = ?", string(k), code))
}

// Record is what one ente has written down of a person.
type Record struct {
	Form    *Form    `json:"form,omitempty"`
	Company *Company `json:"company,omitempty"`
}

// Email is where the ente can write to, empty without one.
func (r *Record) Email() string {
	switch {
	case r == nil:
		return ""
	case r.Company != nil && r.Company.PEC != "":
		return r.Company.PEC
	case r.Company != nil:
		return r.Company.Representative.Email
	case r.Form != nil:
		return r.Form.Email
	}
	return ""
}

// Keep writes an ente's record of a person, in the transaction of what it comes from.
func Keep(ctx context.Context, tx *sql.Tx, person int64, ente string, r Record, now time.Time) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO record (person, ente, form, created, changed) VALUES (?,?,?,?,?)
		ON CONFLICT (person, ente) DO UPDATE SET form = excluded.form, changed = excluded.changed`, person, ente, string(text), store.Time(now), store.Time(now))
	if err != nil {
		return fmt.Errorf("person: %w", err)
	}
	if r.Form != nil {
		if _, err = tx.ExecContext(ctx, "UPDATE person SET professional = ? WHERE id = ?", r.Form.Professional, person); err != nil {
			return fmt.Errorf("person: %w", err)
		}
	}
	return nil
}

// RecordOf reads an ente's record; nil without one.
func RecordOf(ctx context.Context, q Querier, person int64, ente string) (*Record, error) {
	var text string
	err := q.QueryRowContext(ctx, "SELECT form FROM record WHERE person = ? AND ente = ?", person, ente).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("person: %w", err)
	}
	var r Record
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return nil, fmt.Errorf("person: %w", err)
	}
	return &r, nil
}
