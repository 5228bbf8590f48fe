package credential

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/foureyes"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/mail"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
)

// SetState suspends, resumes or revokes a credential (Modifica stato credenziale), with a
// reason that its holder is told to ask for. Media: those of the own ente; cards: of persons
// whom the ente has to do with.
func (d *Desk) SetState(ctx context.Context, a role.Actor, id string, to State, reason string) error {
	if err := role.Check(a, a.Ente, role.UsersState); err != nil {
		return err
	}
	if reason = strings.TrimSpace(reason); reason == "" || len(reason) > 500 {
		return ErrReason
	}
	c, err := d.Open(ctx, a, id)
	if err != nil {
		return err
	}
	if err := d.notOwn(ctx, a, c); err != nil {
		return err
	}
	return d.Store.Tx(ctx, func(tx *sql.Tx) error {
		c, err := Get(ctx, tx, id)
		if err != nil {
			return err
		}
		return d.SetStateTx(ctx, tx, a, c, to, reason)
	})
}

// notOwn: nobody changes the own credential from behind the desk.
func (d *Desk) notOwn(ctx context.Context, a role.Actor, c *Credential) error {
	if c.Person == 0 {
		return nil
	}
	p, err := person.Get(ctx, d.Store, c.Person)
	if err == nil && p.CodiceFiscale == a.Code {
		err = ErrSelf
	}
	return err
}

// SetStateTx is SetState for a room that has checked the right.
func (d *Desk) SetStateTx(ctx context.Context, tx *sql.Tx, a role.Actor, c *Credential, to State, reason string) error {
	ok := map[State]bool{Suspended: c.State == Active, Active: c.State == Suspended, Revoked: c.State == Active || c.State == Suspended}[to]
	if !ok {
		return ErrState
	}
	now := store.Time(d.now())
	if _, err := tx.ExecContext(ctx, "UPDATE credential SET state = ?, changed = ? WHERE id = ?", string(to), now, c.ID); err != nil {
		return fmt.Errorf("credential: %w", err)
	}
	if c.Kind == Media {
		if _, err := tx.ExecContext(ctx, "UPDATE envelope SET state = ?, reason = ?, changed = ? WHERE credential = ?", string(to), reason, now, c.ID); err != nil {
			return fmt.Errorf("credential: %w", err)
		}
	}
	if err := session.EndAll(ctx, tx, c.ID); err != nil {
		return err
	}
	if err := mail.Queue(ctx, tx, mail.Message{Ente: a.Ente, To: c.Email, Kind: mail.StateChanged}, d.now()); err != nil {
		return err
	}
	return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: a.Ente, Kind: audit.CredentialState, PersonID: c.Person, Credential: c.ID,
		Detail: map[string]string{"from": string(c.State), "to": string(to)}, Personal: map[string]string{"reason": reason}}.By(a))
}

// Sheet is what a reset at the desk prints on a sealed sheet, once.
type Sheet struct{ Username, Password string }

// resetLifeDesk is how long a sheet's password is good.
const resetLifeDesk = 30 * 24 * time.Hour

// Reset gives a media credential of the own ente a new password on a sealed sheet, which
// must be changed at first use (Resetta password). Where the ente has four eyes on it waits
// (foureyes.ErrPending): the sheet is printed by the second operator (ResetGranted).
func (d *Desk) Reset(ctx context.Context, a role.Actor, id, document string) (*Sheet, error) {
	if err := role.Check(a, a.Ente, role.UsersReset); err != nil {
		return nil, err
	}
	if document = strings.TrimSpace(document); document == "" || len(document) > 300 {
		return nil, ErrReason
	}
	c, err := d.Open(ctx, a, id)
	if err != nil {
		return nil, err
	}
	if c.Kind != Media || c.Ente != a.Ente {
		return nil, ErrNotFound
	}
	if c.State != Active {
		return nil, ErrState
	}
	if err := d.notOwn(ctx, a, c); err != nil {
		return nil, err
	}
	e, err := d.Enti.Get(ctx, a.Ente)
	if err != nil {
		return nil, err
	}
	if e.FourEyes {
		err := d.Store.Tx(ctx, func(tx *sql.Tx) error {
			return d.Four.Ask(ctx, tx, a, a.Ente, foureyes.MediaReset, c.Handle, reset{Credential: c.ID, Document: document})
		})
		if err == nil {
			err = foureyes.ErrPending
		}
		return nil, err
	}
	return d.reset(ctx, c, document, a)
}

type reset struct {
	Credential string `json:"credential"`
	Document   string `json:"document"`
}

func (d *Desk) reset(ctx context.Context, c *Credential, document string, a role.Actor) (*Sheet, error) {
	sheet := &Sheet{Username: c.Handle, Password: Random(12)}
	hashed, err := d.Keys.HashSecret(ctx, keys.PurposePassword, []byte(sheet.Password))
	if err != nil {
		return nil, err
	}
	err = d.Store.Tx(ctx, func(tx *sql.Tx) error {
		now := d.now()
		_, err := tx.ExecContext(ctx, "UPDATE credential SET secret = ?, must_change = 1, expires = ?, changed = ? WHERE id = ? AND state = 'active'",
			hashed, store.Time(now.Add(resetLifeDesk)), store.Time(now), c.ID)
		if err != nil {
			return fmt.Errorf("credential: %w", err)
		}
		if err := session.EndAll(ctx, tx, c.ID); err != nil {
			return err
		}
		if err := mail.Queue(ctx, tx, mail.Message{Ente: a.Ente, To: c.Email, Kind: mail.PasswordChanged}, now); err != nil {
			return err
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: a.Ente, Kind: audit.CredentialReset, PersonID: c.Person, Credential: c.ID,
			Personal: map[string]string{"document": document}}.By(a))
	})
	return sheet, err
}

// Action is what four-eyes runs for a reset: the old password opens nothing any more, and
// whoever asked prints the sheet (ResetGranted).
func (d *Desk) Action() foureyes.Action {
	return foureyes.Action{Permission: role.UsersReset, Run: func(ctx context.Context, tx *sql.Tx, payload []byte, first, second role.Actor) error {
		var r reset
		if err := json.Unmarshal(payload, &r); err != nil {
			return fmt.Errorf("credential: %w", err)
		}
		c, err := Get(ctx, tx, r.Credential)
		if err != nil {
			return err
		}
		if c.State != Active || c.Ente != second.Ente {
			return ErrState
		}
		if _, err := tx.ExecContext(ctx, "UPDATE credential SET secret = '', must_change = 1, changed = ? WHERE id = ?", store.Time(d.now()), c.ID); err != nil {
			return fmt.Errorf("credential: %w", err)
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: second.Ente, Kind: audit.CredentialReset, PersonID: c.Person, Credential: c.ID,
			Personal: map[string]string{"document": r.Document, "asked-by": first.Code}}.By(second))
	}}
}

// ResetGranted prints the sheet of a reset that a second operator has confirmed: once, by
// an operator with the right.
func (d *Desk) ResetGranted(ctx context.Context, a role.Actor, id string) (*Sheet, error) {
	if err := role.Check(a, a.Ente, role.UsersReset); err != nil {
		return nil, err
	}
	c, err := d.Open(ctx, a, id)
	if err != nil {
		return nil, err
	}
	if err := d.notOwn(ctx, a, c); err != nil {
		return nil, err
	}
	var n int
	if err := d.Store.QueryRowContext(ctx, "SELECT count(*) FROM credential WHERE id = ? AND ente = ? AND kind = 'media' AND state = 'active' AND secret = '' AND must_change = 1", id, a.Ente).Scan(&n); err != nil {
		return nil, fmt.Errorf("credential: %w", err)
	}
	if n == 0 {
		return nil, ErrState
	}
	return d.reset(ctx, c, "", a)
}
