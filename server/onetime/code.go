package onetime

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"math/big"
	"time"

	"github.com/citel-pa/citel/server/store"
)

// ApplicationCode is a code that a person at the desk reads out to sign an application;
// subject: the application and its document's hash.
const ApplicationCode Purpose = "application-code"

// IssueCode makes a code of eight digits that holds for one subject alone. Eight digits
// can be guessed: who asks for one slows guesses down (server/delay).
func IssueCode(ctx context.Context, tx *sql.Tx, p Purpose, ente, subject string, expires time.Time) (string, error) {
	n, err := rand.Int(rand.Reader, big.NewInt(100_000_000))
	if err != nil {
		return "", fmt.Errorf("onetime: %w", err)
	}
	code := fmt.Sprintf("%08d", n)
	if err := Cancel(ctx, tx, p, subject); err != nil {
		return "", err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO onetime (hash, purpose, ente, subject, expires) VALUES (?,?,?,?,?)", hash(subject+"\x00"+code), string(p), ente, subject, store.Time(expires))
	if err != nil {
		return "", fmt.Errorf("onetime: %w", err)
	}
	return code, nil
}

// TakeCode uses a code up.
func TakeCode(ctx context.Context, tx *sql.Tx, p Purpose, ente, subject, code string, now time.Time) error {
	r, err := tx.ExecContext(ctx, "UPDATE onetime SET used = ? WHERE hash = ? AND purpose = ? AND ente = ? AND subject = ? AND used = '' AND expires >= ?",
		store.Time(now), hash(subject+"\x00"+code), string(p), ente, subject, store.Time(now))
	if err != nil {
		return fmt.Errorf("onetime: %w", err)
	}
	if n, err := r.RowsAffected(); err != nil || n != 1 {
		return ErrLink
	}
	return nil
}
