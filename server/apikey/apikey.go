// Package apikey holds the keys by which other systems use the server's HTTP
// interfaces: 256 random bits each, shown once, kept as a hash, of one ente.
package apikey

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/store"
)

// Errors of the package.
var (
	// ErrRefused means a text that is no key in use. Why is not told.
	ErrRefused = errors.New("apikey: not a key in use")
	// ErrUnknown means that there is no key of that id to revoke.
	ErrUnknown = errors.New("apikey: no key of this id is in use")
	// ErrLabel means a label that nobody could tell the key by.
	ErrLabel = errors.New("apikey: the label has 1 to 100 visible characters")
)

// prefix lets scanners of repositories and logs recognise a key that got lost.
const prefix = "citel_"

const (
	idBytes     = 8
	secretBytes = 32
)

// Key is what is known of a key.
type Key struct {
	ID, Ente, Label string
	Created         time.Time
	Revoked         time.Time // zero: in use
}

// Room has the keys of one ente.
type Room struct {
	Store *store.Store
	Ente  string
	Audit *audit.Log
	Now   func() time.Time // nil is time.Now
}

func (r *Room) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

// Add makes a key and gives its text, which nobody can ask for again.
func (r *Room) Add(ctx context.Context, label string) (text string, key Key, err error) {
	if label = strings.TrimSpace(label); label == "" || len(label) > 100 || strings.ContainsFunc(label, func(c rune) bool { return !unicode.IsPrint(c) }) {
		return "", Key{}, ErrLabel
	}
	var raw [idBytes + secretBytes]byte
	_, _ = rand.Read(raw[:]) // never fails (crypto/rand)
	key = Key{ID: hex.EncodeToString(raw[:idBytes]), Ente: r.Ente, Label: label, Created: r.now()}
	secret := base64.RawURLEncoding.EncodeToString(raw[idBytes:])
	sum := sha256.Sum256([]byte(secret))
	err = r.Store.Tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "INSERT INTO api_key (id, ente, label, hash, created) VALUES (?,?,?,?,?)", key.ID, key.Ente, key.Label, sum[:], store.Time(key.Created)); err != nil {
			return err
		}
		return r.Audit.WriteTx(ctx, tx, audit.Event{Ente: r.Ente, Kind: audit.KeyAdded, Detail: map[string]string{"key": key.ID, "label": label}})
	})
	if err != nil {
		return "", Key{}, fmt.Errorf("apikey: %w", err)
	}
	return prefix + key.ID + "_" + secret, key, nil
}

// Check finds the key that a text is. It takes the same way for an unknown id and for a
// wrong secret.
func (r *Room) Check(ctx context.Context, text string) (Key, error) {
	id, secret, ok := strings.Cut(strings.TrimPrefix(text, prefix), "_")
	if !ok || !strings.HasPrefix(text, prefix) || len(id) != 2*idBytes || len(secret) != base64.RawURLEncoding.EncodedLen(secretBytes) {
		return Key{}, ErrRefused
	}
	var key Key
	var created, revoked string
	hash := make([]byte, sha256.Size) // of nothing
	err := r.Store.QueryRowContext(ctx, "SELECT id, ente, label, hash, created, revoked FROM api_key WHERE id = ? AND ente = ?", id, r.Ente).
		Scan(&key.ID, &key.Ente, &key.Label, &hash, &created, &revoked)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return Key{}, fmt.Errorf("apikey: %w", err)
	}
	sum := sha256.Sum256([]byte(secret))
	same := subtle.ConstantTimeCompare(sum[:], hash) == 1
	if err != nil || !same || revoked != "" {
		return Key{}, ErrRefused
	}
	key.Created = store.ParseTime(created)
	return key, nil
}

// List gives all keys of the ente, the oldest first.
func (r *Room) List(ctx context.Context) ([]Key, error) {
	rows, err := r.Store.QueryContext(ctx, "SELECT id, ente, label, created, revoked FROM api_key WHERE ente = ? ORDER BY created, id", r.Ente)
	return store.All(rows, err, func(row store.Row) (Key, error) {
		var k Key
		var created, revoked string
		if err := row.Scan(&k.ID, &k.Ente, &k.Label, &created, &revoked); err != nil {
			return k, fmt.Errorf("apikey: %w", err)
		}
		k.Created = store.ParseTime(created)
		if revoked != "" {
			k.Revoked = store.ParseTime(revoked)
		}
		return k, nil
	})
}

// Revoke ends a key at once, also for a server that runs.
func (r *Room) Revoke(ctx context.Context, id string) error {
	return r.Store.Tx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, "UPDATE api_key SET revoked = ? WHERE id = ? AND ente = ? AND revoked = ''", store.Time(r.now()), id, r.Ente)
		if err != nil {
			return fmt.Errorf("apikey: %w", err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(ErrUnknown, err)
		}
		return r.Audit.WriteTx(ctx, tx, audit.Event{Ente: r.Ente, Kind: audit.KeyRevoked, Detail: map[string]string{"key": id}})
	})
}
