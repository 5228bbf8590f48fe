// Package onetime is the links that work once: confirming an e-mail, a new password, an
// operator's first access. A link's text is 256 random bits; the database has its hash.
package onetime

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/citel-pa/citel/server/store"
)

// Purpose keeps links apart: one made for one thing does nothing else.
type Purpose string

// The purposes.
const (
	ConfirmEmail Purpose = "confirm-email" // subject: credential
	ResetDebole  Purpose = "reset-debole"  // subject: credential
	Operator     Purpose = "operator"      // subject: operator's id
)

// ErrLink means that a link is unknown, was used, or is over. It does not tell which.
var ErrLink = errors.New("onetime: the link does not work any more")

// Issue makes a link's text, and makes older ones of the same subject worthless.
func Issue(ctx context.Context, tx *sql.Tx, p Purpose, ente, subject string, expires time.Time) (string, error) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	text := base64.RawURLEncoding.EncodeToString(b[:])
	if err := Cancel(ctx, tx, p, subject); err != nil {
		return "", err
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO onetime (hash, purpose, ente, subject, expires) VALUES (?,?,?,?,?)", hash(text), string(p), ente, subject, store.Time(expires))
	if err != nil {
		return "", fmt.Errorf("onetime: %w", err)
	}
	return text, nil
}

// Cancel makes all links of a subject worthless.
func Cancel(ctx context.Context, tx *sql.Tx, p Purpose, subject string) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM onetime WHERE purpose = ? AND subject = ?", string(p), subject); err != nil {
		return fmt.Errorf("onetime: %w", err)
	}
	return nil
}

// Querier is a store or a transaction.
type Querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Look tells what a link is for without using it up: the page that it opens asks first,
// so that a mail program that fetches links ahead uses nothing up.
func Look(ctx context.Context, q Querier, p Purpose, text string, now time.Time) (ente, subject string, err error) {
	if len(text) != 43 {
		return "", "", ErrLink
	}
	var expires string
	err = q.QueryRowContext(ctx, "SELECT ente, subject, expires FROM onetime WHERE hash = ? AND purpose = ? AND used = ''", hash(text), string(p)).Scan(&ente, &subject, &expires)
	if errors.Is(err, sql.ErrNoRows) || err == nil && store.Time(now) > expires {
		return "", "", ErrLink
	}
	if err != nil {
		return "", "", fmt.Errorf("onetime: %w", err)
	}
	return ente, subject, nil
}

// Take uses a link up, in the transaction of what it does.
func Take(ctx context.Context, tx *sql.Tx, p Purpose, text string, now time.Time) (ente, subject string, err error) {
	if ente, subject, err = Look(ctx, tx, p, text, now); err != nil {
		return "", "", err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE onetime SET used = ? WHERE hash = ?", store.Time(now), hash(text)); err != nil {
		return "", "", fmt.Errorf("onetime: %w", err)
	}
	return ente, subject, nil
}

// Sweep deletes links that are over for a day.
func Sweep(ctx context.Context, s *store.Store, now time.Time) error {
	if _, err := s.ExecContext(ctx, "DELETE FROM onetime WHERE expires < ?", store.Time(now.AddDate(0, 0, -1))); err != nil {
		return fmt.Errorf("onetime: %w", err)
	}
	return nil
}

func hash(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}
