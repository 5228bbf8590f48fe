// Package register is the protocol register: a number for each document that came
// in, by ente and year, in the order of arrival and without gaps (DPR 445/2000,
// art. 53 and 57).
package register

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Number is a protocol number.
type Number struct {
	Year   int
	Number int
}

// String is how it is written: year/number with seven digits (DPR 445/2000, art. 57).
func (n Number) String() string { return fmt.Sprintf("%d/%07d", n.Year, n.Number) }

// rome is where the year begins.
var rome = func() *time.Location {
	if l, err := time.LoadLocation("Europe/Rome"); err == nil {
		return l
	}
	return time.FixedZone("CET", 3600)
}()

// Rome is the time zone of what people read.
func Rome() *time.Location { return rome }

// Next takes the next number in a transaction. A transaction that fails gives it
// back, so there is no gap.
func Next(ctx context.Context, tx *sql.Tx, ente string, at time.Time) (Number, error) {
	n := Number{Year: at.In(rome).Year()}
	err := tx.QueryRowContext(ctx, `INSERT INTO register (ente, year, last) VALUES (?, ?, 1)
		ON CONFLICT (ente, year) DO UPDATE SET last = register.last + 1 RETURNING last`, ente, n.Year).Scan(&n.Number)
	if err != nil {
		return Number{}, fmt.Errorf("register: %w", err)
	}
	return n, nil
}
