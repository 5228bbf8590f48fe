package store

import (
	"database/sql"
	"errors"
	"fmt"
)

// Row is a *sql.Row, or the one at which *sql.Rows are.
type Row interface{ Scan(dest ...any) error }

// All reads what a query gave, each row by scan, and closes it. It takes the query's error
// too, so that a caller has one to look at.
func All[T any](rows *sql.Rows, err error, scan func(Row) (T, error)) (out []T, _ error) {
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	for rows.Next() {
		x, err := scan(rows)
		if err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		out = append(out, x)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return out, nil
}

// Strings reads rows of one column of text and closes them.
func Strings(rows *sql.Rows) ([]string, error) {
	return All(rows, nil, func(row Row) (x string, err error) {
		err = row.Scan(&x)
		return x, err
	})
}
