package submission

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"time"

	"github.com/citel-pa/citel/server/store"
)

// codeLetters have no two that are taken for each other.
const codeLetters = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"

// RankingCode is the name under which an application stands in a published ranking. The
// protocol number would tell when it was sent, and stands on letters and in a register next
// to a name; this code follows from the application's random id, so that the receipt can
// give it, and nobody finds id or number by it.
func RankingCode(id string) string {
	sum := sha256.Sum256([]byte("citel ranking code " + id))
	out := make([]byte, 0, 11)
	for i := range 10 {
		if i == 5 {
			out = append(out, '-')
		}
		out = append(out, codeLetters[sum[i]&31])
	}
	return string(out)
}

// Recipient is the e-mail address that the person is written to; empty: none.
func (a *Application) Recipient() string { return a.recipient() }

// SentIn lists an ente's applications of a service that were sent in a span of time, the
// earliest first, those that were withdrawn with them. It asks for no right: rooms do.
func (d *Desk) SentIn(ctx context.Context, ente, service string, from, to time.Time) ([]*Application, error) {
	return d.query(ctx, "WHERE ente = ? AND service = ? AND sent >= ? AND sent < ? ORDER BY sent, id", ente, service, store.Time(from), store.Time(to))
}

// RecipientOf reads in a transaction where an application's person is written to.
func (d *Desk) RecipientOf(ctx context.Context, tx *sql.Tx, ente, id string) (string, error) {
	a, err := d.read(ctx, tx, ente, id)
	if err != nil {
		return "", err
	}
	return a.recipient(), nil
}
