package operator

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/foureyes"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
)

// assignment is what four-eyes keeps.
type assignment struct {
	Operator int64  `json:"operator"`
	Role     string `json:"role"`
}

// Assign gives an operator a role. One with rights over operators waits for a second
// operator where the ente has four eyes on (foureyes.ErrPending).
func (d *Desk) Assign(ctx context.Context, a role.Actor, id int64, roleID string) error {
	if err := role.Check(a, a.Ente, role.RolesAssign); err != nil {
		return err
	}
	r := role.Get(roleID)
	if r == nil {
		return ErrNotFound
	}
	e, err := d.Enti.Get(ctx, a.Ente)
	if err != nil {
		return err
	}
	waits := e.FourEyes && r.OverOperators()
	err = d.Store.Tx(ctx, func(tx *sql.Tx) error {
		o, err := other(ctx, tx, a, id)
		if err != nil {
			return err
		}
		if o.State == Revoked {
			return ErrState
		}
		if waits {
			return d.Four.Ask(ctx, tx, a, a.Ente, foureyes.RoleAssigned, o.Name()+": "+r.ID+" "+r.Name, assignment{Operator: id, Role: r.ID})
		}
		if err := d.assign(ctx, tx, id, r.ID, a); err != nil {
			return err
		}
		return d.roleEvent(ctx, tx, audit.RoleAssigned, o, r.ID, a)
	})
	if err == nil && waits {
		return foureyes.ErrPending
	}
	return err
}

func (d *Desk) assign(ctx context.Context, tx *sql.Tx, id int64, roleID string, a role.Actor) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO operator_role (operator, role, assigned, by) VALUES (?,?,?,?) ON CONFLICT (operator, role) DO NOTHING",
		id, roleID, store.Time(d.now()), a.Operator)
	if err != nil {
		return fmt.Errorf("operator: %w", err)
	}
	return nil
}

func (d *Desk) roleEvent(ctx context.Context, tx *sql.Tx, kind string, o *Operator, roleID string, a role.Actor) error {
	return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: o.Ente, Kind: kind, Detail: map[string]string{"of": strconv.FormatInt(o.ID, 10), "role": roleID},
		Personal: map[string]string{"of-name": o.Name()}}.By(a))
}

// Remove takes a role away from an operator.
func (d *Desk) Remove(ctx context.Context, a role.Actor, id int64, roleID string) error {
	if err := role.Check(a, a.Ente, role.RolesAssign); err != nil {
		return err
	}
	return d.Store.Tx(ctx, func(tx *sql.Tx) error {
		o, err := other(ctx, tx, a, id)
		if err != nil {
			return err
		}
		got, err := tx.ExecContext(ctx, "DELETE FROM operator_role WHERE operator = ? AND role = ?", id, roleID)
		if err != nil {
			return fmt.Errorf("operator: %w", err)
		}
		if n, err := got.RowsAffected(); err != nil || n == 0 {
			return ErrNotFound
		}
		return d.roleEvent(ctx, tx, audit.RoleRemoved, o, roleID, a)
	})
}

// Replace changes one role for another (Modifica ruolo): both or none. Where the new one
// waits for a second operator the old one stays until it is removed.
func (d *Desk) Replace(ctx context.Context, a role.Actor, id int64, old, with string) error {
	if err := d.Assign(ctx, a, id, with); err != nil {
		return err
	}
	return d.Remove(ctx, a, id, old)
}

// Action is what four-eyes runs for a role. The second operator is neither who asked
// (foureyes looks) nor who gets it.
func (d *Desk) Action() foureyes.Action {
	return foureyes.Action{Permission: role.RolesAssign, Run: func(ctx context.Context, tx *sql.Tx, payload []byte, _, second role.Actor) error {
		var x assignment
		if err := json.Unmarshal(payload, &x); err != nil {
			return fmt.Errorf("operator: %w", err)
		}
		o, err := other(ctx, tx, second, x.Operator)
		if err != nil {
			return err
		}
		if role.Get(x.Role) == nil || o.State == Revoked {
			return ErrState
		}
		if err := d.assign(ctx, tx, o.ID, x.Role, second); err != nil {
			return err
		}
		return d.roleEvent(ctx, tx, audit.RoleAssigned, o, x.Role, second)
	}}
}
