// Package person is the account: one for a person over all enti.
package person

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/server/store"
)

// Person is an account.
type Person struct {
	ID            int64
	CodiceFiscale string
	Given, Family string
}

// Name is how a page calls the person.
func (p *Person) Name() string {
	if p.Given == "" && p.Family == "" {
		return p.CodiceFiscale
	}
	return p.Given + " " + p.Family
}

// Ensure finds the account of somebody whom a card has just proved, and makes it
// at the first time. Names follow the newest certificate that has some.
func Ensure(ctx context.Context, tx *sql.Tx, who profile.Person, now time.Time) (*Person, error) {
	_, err := tx.ExecContext(ctx, `INSERT INTO person (kind, code, given, family, created) VALUES ('person', ?, ?, ?, ?)
		ON CONFLICT (kind, code) DO UPDATE SET
			given = CASE WHEN excluded.given <> '' THEN excluded.given ELSE person.given END,
			family = CASE WHEN excluded.family <> '' THEN excluded.family ELSE person.family END`,
		string(who.CodiceFiscale), who.Given, who.Family, store.Time(now))
	if err != nil {
		return nil, fmt.Errorf("person: %w", err)
	}
	p := &Person{}
	err = tx.QueryRowContext(ctx, "SELECT id, code, given, family FROM person WHERE kind = 'person' AND code = ?", string(who.CodiceFiscale)).
		Scan(&p.ID, &p.CodiceFiscale, &p.Given, &p.Family)
	if err != nil {
		return nil, fmt.Errorf("person: %w", err)
	}
	return p, nil
}

// ErrNotFound means that there is no such account.
var ErrNotFound = errors.New("person: not found")

// Get reads an account.
func Get(ctx context.Context, s *store.Store, id int64) (*Person, error) {
	p := &Person{}
	err := s.QueryRowContext(ctx, "SELECT id, code, given, family FROM person WHERE id = ?", id).Scan(&p.ID, &p.CodiceFiscale, &p.Given, &p.Family)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("person: %w", err)
	}
	return p, nil
}
