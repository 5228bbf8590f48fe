// Package kept keeps what somebody has begun to write for a service that needs a higher
// credential than the one at hand: nothing that was typed is lost on the way to the card.
// It is no application and nobody at the ente sees it.
package kept

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
)

// How long it is kept: for a browser, which may be a library's, and for an account.
const (
	BrowserLife = 2 * time.Hour
	AccountLife = 30 * 24 * time.Hour
)

// MaxFields bounds what is kept of one form, in bytes of JSON.
const MaxFields = 64 << 10

// MaxForms bounds what is kept of one owner; the oldest goes for a new one.
const MaxForms = 20

// Errors of this room.
var (
	ErrNotFound = errors.New("kept: nothing is kept")
	ErrTooLarge = errors.New("kept: too large")
)

// Owner is whose it is.
type Owner string

// Browser is the owner of what nobody has logged in for; token is a secret of its cookie,
// and only its hash is kept.
func Browser(token string) Owner {
	if token == "" {
		return ""
	}
	sum := sha256.Sum256([]byte("kept:" + token))
	return Owner("browser:" + hex.EncodeToString(sum[:]))
}

// Of is the owner that a session stands for. A debole that joined a person stays its own:
// it opens nothing that came at a higher level.
func Of(s *session.Session) Owner {
	switch {
	case s == nil || s.Level == session.None:
		return ""
	case s.Level == session.Debole || s.Person == 0:
		return Owner("credential:" + s.Credential)
	}
	return Owner("person:" + strconv.FormatInt(s.Person, 10))
}

// Form is what is kept of one service.
type Form struct {
	Service string
	Fields  map[string]string
	Changed time.Time
}

// Desk keeps them.
type Desk struct {
	Store *store.Store
	Now   func() time.Time // nil is time.Now
}

func (d *Desk) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

func (o Owner) life() time.Duration {
	if len(o) > 8 && o[:8] == "browser:" {
		return BrowserLife
	}
	return AccountLife
}

// Keep writes a form; an older one of the same owner and service is replaced.
func (d *Desk) Keep(ctx context.Context, o Owner, ente, service string, fields map[string]string) error {
	data, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	if o == "" || len(data) > MaxFields {
		return ErrTooLarge
	}
	now := d.now()
	return d.Store.Tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO kept (owner, ente, service, fields, changed, expires) VALUES (?,?,?,?,?,?)
			ON CONFLICT (owner, ente, service) DO UPDATE SET fields = excluded.fields, changed = excluded.changed, expires = excluded.expires`,
			string(o), ente, service, string(data), store.Time(now), store.Time(now.Add(o.life())))
		if err == nil {
			err = trim(ctx, tx, o)
		}
		if err != nil {
			return fmt.Errorf("kept: %w", err)
		}
		return nil
	})
}

// trim leaves an owner's newest MaxForms.
func trim(ctx context.Context, tx *sql.Tx, o Owner) error {
	var last string
	err := tx.QueryRowContext(ctx, "SELECT changed FROM kept WHERE owner = ? ORDER BY changed DESC LIMIT 1 OFFSET ?", string(o), MaxForms-1).Scan(&last)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err == nil {
		_, err = tx.ExecContext(ctx, "DELETE FROM kept WHERE owner = ? AND changed < ?", string(o), last)
	}
	return err
}

// Get finds the newest form that any of the owners has for a service.
func (d *Desk) Get(ctx context.Context, ente, service string, owners ...Owner) (*Form, error) {
	var best *Form
	for _, o := range owners {
		if o == "" {
			continue
		}
		all, err := d.list(ctx, "owner = ? AND ente = ? AND service = ? AND expires > ?", string(o), ente, service, store.Time(d.now()))
		if err != nil {
			return nil, err
		}
		if len(all) > 0 && (best == nil || all[0].Changed.After(best.Changed)) {
			best = all[0]
		}
	}
	if best == nil {
		return nil, ErrNotFound
	}
	return best, nil
}

// List gives what an owner has in an ente, newest first.
func (d *Desk) List(ctx context.Context, ente string, o Owner) ([]*Form, error) {
	return d.list(ctx, "owner = ? AND ente = ? AND expires > ?", string(o), ente, store.Time(d.now()))
}

func (d *Desk) list(ctx context.Context, where string, args ...any) ([]*Form, error) {
	rows, err := d.Store.QueryContext(ctx, "SELECT service, fields, changed FROM kept WHERE "+where+" ORDER BY changed DESC", args...) //nolint:gosec // our own words; values are arguments
	return store.All(rows, err, func(row store.Row) (*Form, error) {
		var f Form
		var fields, changed string
		if err := row.Scan(&f.Service, &fields, &changed); err != nil {
			return nil, fmt.Errorf("kept: %w", err)
		}
		if err := json.Unmarshal([]byte(fields), &f.Fields); err != nil {
			return nil, fmt.Errorf("kept: %w", err)
		}
		f.Changed = store.ParseTime(changed)
		return &f, nil
	})
}

// Drop forgets a service's form of all the owners.
func (d *Desk) Drop(ctx context.Context, ente, service string, owners ...Owner) error {
	for _, o := range owners {
		if _, err := d.Store.ExecContext(ctx, "DELETE FROM kept WHERE owner = ? AND ente = ? AND service = ?", string(o), ente, service); err != nil {
			return fmt.Errorf("kept: %w", err)
		}
	}
	return nil
}

// Move gives everything of a browser to whoever has just logged in with it, so that the
// form begun on a phone is there on the computer with the reader.
func (d *Desk) Move(ctx context.Context, from, to Owner) error {
	if from == "" || to == "" || from == to {
		return nil
	}
	return d.Store.Tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO kept (owner, ente, service, fields, changed, expires)
			SELECT ?, ente, service, fields, changed, ? FROM kept WHERE owner = ? AND expires > ?
			ON CONFLICT (owner, ente, service) DO UPDATE SET fields = excluded.fields, changed = excluded.changed, expires = excluded.expires`,
			string(to), store.Time(d.now().Add(to.life())), string(from), store.Time(d.now()))
		if err == nil {
			_, err = tx.ExecContext(ctx, "DELETE FROM kept WHERE owner = ?", string(from))
		}
		if err == nil {
			err = trim(ctx, tx, to)
		}
		if err != nil {
			return fmt.Errorf("kept: %w", err)
		}
		return nil
	})
}

// Sweep deletes what is over.
func (d *Desk) Sweep(ctx context.Context) error {
	if _, err := d.Store.ExecContext(ctx, "DELETE FROM kept WHERE expires < ?", store.Time(d.now())); err != nil {
		return fmt.Errorf("kept: %w", err)
	}
	return nil
}
