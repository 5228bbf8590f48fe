package operator

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
)

// ErrOffices means that an office has no name, one that is too long, or that they are too
// many.
var ErrOffices = errors.New("operator: offices have names of up to 120 characters, and are at most 50")

// SetOffices says where an operator works; none is everywhere in the ente. Offices are an
// ente's infrastructure, so whoever keeps that assigns people to them. Nobody changes the
// own ones: they say what an operator gets to see.
func (d *Desk) SetOffices(ctx context.Context, a role.Actor, id int64, offices []string) error {
	if err := role.Check(a, a.Ente, role.InfrastructureWrite); err != nil {
		return err
	}
	var names []string
	for _, o := range offices {
		if o = strings.TrimSpace(o); o == "" || len([]rune(o)) > 120 {
			return ErrOffices
		}
		names = append(names, o)
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) > 50 {
		return ErrOffices
	}
	return d.Store.Tx(ctx, func(tx *sql.Tx) error {
		o, err := other(ctx, tx, a, id)
		if err != nil {
			return err
		}
		if o.State == Revoked {
			return ErrState
		}
		if slices.Equal(o.Offices, names) {
			return nil
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM operator_office WHERE operator = ?", id); err != nil {
			return fmt.Errorf("operator: %w", err)
		}
		for _, n := range names {
			if _, err := tx.ExecContext(ctx, "INSERT INTO operator_office (operator, office, assigned, by) VALUES (?,?,?,?)", id, n, store.Time(d.now()), a.Operator); err != nil {
				return fmt.Errorf("operator: %w", err)
			}
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: o.Ente, Kind: audit.OfficesSet, Detail: map[string]string{"of": strconv.FormatInt(o.ID, 10),
			"before": strings.Join(o.Offices, ", "), "after": strings.Join(names, ", ")}, Personal: map[string]string{"of-name": o.Name()}}.By(a))
	})
}
