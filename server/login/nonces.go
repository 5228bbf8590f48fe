package login

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/citel-pa/citel/pkcs/authtoken"
	"github.com/citel-pa/citel/server/store"
)

// Nonces issues and takes back nonces in the database, so that any server process takes
// what another gave: 32 random bytes, single use, bound to a browser's session, an ente
// and an origin, five minutes. The database has their hash.
type Nonces struct {
	Store *store.Store
	Now   func() time.Time
}

// maxPerSession bounds the nonces of one browser: tabs, and windows that were extended.
const maxPerSession = 8

func (n *Nonces) now() time.Time {
	if n.Now != nil {
		return n.Now()
	}
	return time.Now()
}

func nonceHash(value string) []byte {
	sum := sha256.Sum256([]byte(value))
	return sum[:]
}

// Issue makes a nonce for a session, in the ente's name, and an origin.
func (n *Nonces) Issue(ctx context.Context, binding, origin string) (value string, expires time.Time, err error) {
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails (crypto/rand)
	value = base64.StdEncoding.EncodeToString(random[:])
	err = n.Store.Tx(ctx, func(tx *sql.Tx) error {
		now := n.now()
		expires = now.Add(authtoken.NonceLife)
		if _, err := tx.ExecContext(ctx, "DELETE FROM nonce WHERE expires < ?", store.Time(now.Add(-authtoken.NonceLife))); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM nonce WHERE binding = ? AND hash NOT IN (SELECT hash FROM nonce WHERE binding = ? ORDER BY expires DESC LIMIT ?)`,
			binding, binding, maxPerSession-1)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO nonce (hash, binding, origin, expires) VALUES (?,?,?,?)", nonceHash(value), binding, origin, store.Time(expires))
		return err
	})
	if err != nil {
		return "", time.Time{}, fmt.Errorf("login: %w", err)
	}
	return value, expires, nil
}

// Take uses a nonce up, whatever comes after: it is gone once it was read. The binding and
// origin it was issued for must be these.
func (n *Nonces) Take(ctx context.Context, value, binding, origin string) error {
	var verdict error
	err := n.Store.Tx(ctx, func(tx *sql.Tx) error {
		var bound, place, expires string
		var used bool
		err := tx.QueryRowContext(ctx, "SELECT binding, origin, expires, used FROM nonce WHERE hash = ?", nonceHash(value)).Scan(&bound, &place, &expires, &used)
		if errors.Is(err, sql.ErrNoRows) || err == nil && subtle.ConstantTimeCompare([]byte(bound), []byte(binding)) != 1 {
			verdict = authtoken.ErrNonceUnknown
			return nil
		}
		if err != nil {
			return err
		}
		// Kept until it expires, to tell a replay from a guess.
		if _, err := tx.ExecContext(ctx, "UPDATE nonce SET used = 1 WHERE hash = ?", nonceHash(value)); err != nil {
			return err
		}
		switch {
		case used:
			verdict = authtoken.ErrNonceUsed
		case store.Time(n.now()) > expires:
			verdict = authtoken.ErrNonceExpired
		case place != origin:
			verdict = fmt.Errorf("%w: the nonce was issued for %s", authtoken.ErrOtherOrigin, place)
		default:
			verdict = nil
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("login: %w", err)
	}
	return verdict
}
