// Package audit is the log of who did what: append only, each row chained to the
// one before by a MAC, so that a change, a gap or a cut in the middle shows. What
// a citizen reads or writes is not in it, only that it happened.
package audit

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/store"
)

// Kinds of events.
const (
	LoginGranted = "login-granted"
	LoginRefused = "login-refused"
	Logout       = "logout"
	Submitted    = "submitted"
	SignRefused  = "signature-refused"
	Downloaded   = "downloaded"
	KeyAdded     = "api-key-added"
	KeyRevoked   = "api-key-revoked"
	Verified     = "api-verified"
)

// Event is one row to be.
type Event struct {
	Ente   string
	Kind   string
	Person string // codice fiscale where it is proved, else empty
	Detail map[string]string
}

// Log writes and checks the rows.
type Log struct {
	Store *store.Store
	Keys  *keys.Ring
	Now   func() time.Time // nil is time.Now
}

// Write adds a row in a transaction of its own.
func (l *Log) Write(ctx context.Context, e Event) error {
	return l.Store.Tx(ctx, func(tx *sql.Tx) error { return l.WriteTx(ctx, tx, e) })
}

// WriteTx adds a row in a transaction, together with what it tells.
func (l *Log) WriteTx(ctx context.Context, tx *sql.Tx, e Event) error {
	now := time.Now
	if l.Now != nil {
		now = l.Now
	}
	if e.Detail == nil {
		e.Detail = map[string]string{}
	}
	detail, err := json.Marshal(e.Detail) // maps are written in the order of their keys
	if err != nil {
		return err
	}
	r := row{ente: e.Ente, time: store.Time(now()), kind: e.Kind, person: e.Person, detail: string(detail)}
	var before []byte
	err = tx.QueryRowContext(ctx, "SELECT seq, mac FROM audit ORDER BY seq DESC LIMIT 1").Scan(&r.seq, &before)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("audit: %w", err)
	}
	r.seq++
	id, mac := l.Keys.MAC(r.bytes(before))
	if _, err := tx.ExecContext(ctx, "INSERT INTO audit (seq, ente, time, kind, person, detail, key, mac) VALUES (?,?,?,?,?,?,?,?)",
		r.seq, r.ente, r.time, r.kind, r.person, r.detail, id, mac); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

type row struct {
	seq                              int64
	ente, time, kind, person, detail string
}

// bytes is what the MAC is over: the MAC before and the row as a JSON array,
// which no two different rows share.
func (r row) bytes(before []byte) []byte {
	b, err := json.Marshal([]any{before, r.seq, r.ente, r.time, r.kind, r.person, r.detail})
	if err != nil {
		panic(err) // strings and numbers always have JSON
	}
	return b
}

// ErrChanged means that the log is not as it was written.
var ErrChanged = errors.New("audit: the log was changed")

// Verify walks the whole log and gives the number of rows and the last MAC, which
// whoever keeps it elsewhere can compare, so that a cut at the end shows too.
func (l *Log) Verify(ctx context.Context) (rows int64, last []byte, err error) {
	all, err := l.Store.QueryContext(ctx, "SELECT seq, ente, time, kind, person, detail, key, mac FROM audit ORDER BY seq")
	if err != nil {
		return 0, nil, fmt.Errorf("audit: %w", err)
	}
	defer func() { err = errors.Join(err, all.Close()) }()
	for all.Next() {
		var r row
		var id string
		var mac []byte
		if err := all.Scan(&r.seq, &r.ente, &r.time, &r.kind, &r.person, &r.detail, &id, &mac); err != nil {
			return rows, last, fmt.Errorf("audit: %w", err)
		}
		if r.seq != rows+1 {
			return rows, last, fmt.Errorf("%w: after row %d comes row %d", ErrChanged, rows, r.seq)
		}
		if err := l.Keys.CheckMAC(id, r.bytes(last), mac); err != nil {
			return rows, last, fmt.Errorf("%w: row %d: %w", ErrChanged, r.seq, err)
		}
		rows, last = r.seq, mac
	}
	return rows, last, all.Err()
}
