// Package foureyes is what waits for a second operator: roles with rights over operators,
// changes of a codice fiscale, resets of a media credential, mandates that a desk grants,
// protocol numbers that are cancelled, four eyes switched off, in an ente that has it on.
// The room whose act it is registers what is done once a second operator has said yes.
package foureyes

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
)

// Kind of an act that waits.
type Kind string

// The kinds. Each has a sentence, "foureyes.<kind>".
const (
	RoleAssigned      Kind = "role-assigned"
	CodeChanged       Kind = "code-changed"
	MediaReset        Kind = "media-reset"
	MandateGranted    Kind = "mandate-granted"    // made at the desk
	MandateAccepted   Kind = "mandate-accepted"   // asked online, accepted at the desk
	RegisterCancelled Kind = "register-cancelled" // a protocol number
	SwitchedOff       Kind = "switched-off"       // four eyes themselves
)

// Kinds are all of them.
var Kinds = []Kind{RoleAssigned, CodeChanged, MediaReset, MandateGranted, MandateAccepted, RegisterCancelled, SwitchedOff}

// Action is what a room does when a second operator has confirmed.
type Action struct {
	// Permission that the second operator needs, too.
	Permission role.Permission
	// Run does it; first is who asked (with the rights of then), second who confirmed.
	Run func(ctx context.Context, tx *sql.Tx, payload []byte, first, second role.Actor) error
}

// Errors of this room.
var (
	// ErrPending is no failure: the act is written down and waits.
	ErrPending  = errors.New("foureyes: waits for a second operator")
	ErrSame     = errors.New("foureyes: who asked cannot confirm")
	ErrNotFound = errors.New("foureyes: nothing waits under this name")
)

// Life is how long an act waits.
const Life = 7 * 24 * time.Hour

// Desk keeps what waits.
type Desk struct {
	Store   *store.Store
	Audit   *audit.Log
	Now     func() time.Time
	Actions map[Kind]Action // filled when the server is wired
}

func (d *Desk) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

// Pending is an act that waits.
type Pending struct {
	ID      string
	Ente    string
	Kind    Kind
	Subject string // for people: whom it is about
	Payload []byte
	AskedBy role.Actor // Operator, Code and Name
	Asked   time.Time
}

type payload struct {
	Data  json.RawMessage `json:"data"`
	First role.Actor      `json:"first"`
}

// Ask writes an act down in the transaction that found out that it must wait. The
// caller commits and then gives ErrPending to its own caller.
func (d *Desk) Ask(ctx context.Context, tx *sql.Tx, a role.Actor, ente string, k Kind, subject string, data any) error {
	if _, ok := d.Actions[k]; !ok {
		return fmt.Errorf("foureyes: nobody does %q", k)
	}
	raw, err := json.Marshal(data)
	if err != nil {
		return err
	}
	text, err := json.Marshal(payload{Data: raw, First: a})
	if err != nil {
		return err
	}
	id := store.NewID()
	_, err = tx.ExecContext(ctx, "INSERT INTO pending (id, ente, kind, subject, payload, asked_by, asked, state) VALUES (?,?,?,?,?,?,?,'open')",
		id, ente, string(k), subject, string(text), a.Operator, store.Time(d.now()))
	if err != nil {
		return fmt.Errorf("foureyes: %w", err)
	}
	return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: ente, Kind: audit.FourEyesAsked, Detail: map[string]string{"what": string(k), "id": id},
		Personal: map[string]string{"subject": subject}}.By(a))
}

// errTried takes back what was only tried.
var errTried = errors.New("foureyes: tried")

// Second does an act at once, where waits is no. Else it tries the act, so that whoever asks
// learns at once what stands against it, takes all of that back, and lets the act wait
// (ErrPending) with its subject and data; the same that waits already waits once. do may run
// several times, in transactions of their own.
func (d *Desk) Second(ctx context.Context, a role.Actor, waits bool, k Kind, data any, do func(tx *sql.Tx) (subject string, err error)) error {
	var subject string
	err := d.Store.Tx(ctx, func(tx *sql.Tx) (err error) {
		if subject, err = do(tx); err == nil && waits {
			err = errTried
		}
		return err
	})
	if !waits || !errors.Is(err, errTried) {
		return err
	}
	err = d.Store.Tx(ctx, func(tx *sql.Tx) error {
		var n int
		err := tx.QueryRowContext(ctx, "SELECT count(*) FROM pending WHERE ente = ? AND kind = ? AND subject = ? AND state = 'open' AND asked > ?", a.Ente, string(k), subject, store.Time(d.now().Add(-Life))).Scan(&n)
		if err != nil {
			return fmt.Errorf("foureyes: %w", err)
		}
		if n > 0 {
			return nil
		}
		return d.Ask(ctx, tx, a, a.Ente, k, subject, data)
	})
	if err != nil {
		return err
	}
	return ErrPending
}

// kept is how long a decided act's names stay on the list's table: the log has them apart,
// where they can be erased.
const kept = 30 * 24 * time.Hour

// Sweep ends what nobody decided, and forgets whom old acts were about.
func (d *Desk) Sweep(ctx context.Context) error {
	now := d.now()
	_, err1 := d.Store.ExecContext(ctx, "UPDATE pending SET state = 'expired', decided = ? WHERE state = 'open' AND asked < ?", store.Time(now), store.Time(now.Add(-Life)))
	_, err2 := d.Store.ExecContext(ctx, "UPDATE pending SET subject = '', payload = '{}' WHERE state <> 'open' AND payload <> '{}' AND asked < ?", store.Time(now.Add(-kept)))
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("foureyes: %w", err)
	}
	return nil
}

// List gives what waits in the operator's ente for somebody with the operator's rights.
func (d *Desk) List(ctx context.Context, a role.Actor) (out []Pending, err error) {
	rows, err := d.Store.QueryContext(ctx, "SELECT id, kind, subject, payload, asked FROM pending WHERE ente = ? AND state = 'open' AND asked > ? ORDER BY asked",
		a.Ente, store.Time(d.now().Add(-Life)))
	if err != nil {
		return nil, fmt.Errorf("foureyes: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		p := Pending{Ente: a.Ente}
		var text, asked string
		if err := rows.Scan(&p.ID, &p.Kind, &p.Subject, &text, &asked); err != nil {
			return nil, fmt.Errorf("foureyes: %w", err)
		}
		if act, ok := d.Actions[p.Kind]; !ok || !role.Can(a, a.Ente, act.Permission) {
			continue
		}
		var x payload
		if err := json.Unmarshal([]byte(text), &x); err != nil {
			return nil, fmt.Errorf("foureyes: %w", err)
		}
		p.Payload, p.AskedBy, p.Asked = x.Data, x.First, store.ParseTime(asked)
		out = append(out, p)
	}
	return out, rows.Err()
}

// Decide grants or refuses an act, as a second operator who has the right to it. Who
// asked can refuse, that is take it back, but not grant.
func (d *Desk) Decide(ctx context.Context, a role.Actor, id string, grant bool) error {
	return d.Store.Tx(ctx, func(tx *sql.Tx) error {
		var k Kind
		var text, asked string
		err := tx.QueryRowContext(ctx, "SELECT kind, payload, asked FROM pending WHERE id = ? AND ente = ? AND state = 'open'", id, a.Ente).Scan(&k, &text, &asked)
		if errors.Is(err, sql.ErrNoRows) || err == nil && d.now().Sub(store.ParseTime(asked)) > Life {
			return ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("foureyes: %w", err)
		}
		act, ok := d.Actions[k]
		if !ok {
			return fmt.Errorf("foureyes: nobody does %q", k)
		}
		if err := role.Check(a, a.Ente, act.Permission); err != nil {
			return err
		}
		var x payload
		if err := json.Unmarshal([]byte(text), &x); err != nil {
			return fmt.Errorf("foureyes: %w", err)
		}
		if grant && (x.First.Operator == a.Operator || x.First.Code == a.Code) {
			return ErrSame
		}
		state := "refused"
		if grant {
			state = "granted"
			// Who asked has left meanwhile: nothing is done in the name of somebody who may
			// do nothing.
			var active int
			if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM operator WHERE id = ? AND state = 'active'", x.First.Operator).Scan(&active); err != nil {
				return fmt.Errorf("foureyes: %w", err)
			}
			if active == 0 {
				return ErrNotFound
			}
			if err := act.Run(ctx, tx, x.Data, x.First, a); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, "UPDATE pending SET state = ?, decided_by = ?, decided = ? WHERE id = ?", state, a.Operator, store.Time(d.now()), id); err != nil {
			return fmt.Errorf("foureyes: %w", err)
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: a.Ente, Kind: audit.FourEyesDecided, Detail: map[string]string{
			"what": string(k), "id": id, "state": state, "asked-by": strconv.FormatInt(x.First.Operator, 10),
		}}.By(a))
	})
}
