package limit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/store"
)

// Quota counts what may be done so many times in a time: in the database, for all server
// processes, and over their restarts. What is refused is not counted, so that whoever goes
// on asking does not wait the longer.
type Quota struct {
	Store *store.Store
	Keys  *keys.Ring
	Now   func() time.Time // nil is time.Now
}

// Rule is one bound.
type Rule struct {
	// Code names it for programs; its sentence is "limit.<code>", with n and time.
	Code string
	// Name is whose and of what it is: "message:prova:person:7".
	Name string
	Most int // 0: no bound
	In   time.Duration
}

// Longest is the longest time that a rule can have.
const Longest = 24 * time.Hour

// OverError means that as many were done as may be.
type OverError struct {
	Rule  Rule
	Again time.Time // from when on the next one may be done
}

// Error names the rule by its code.
func (e *OverError) Error() string {
	return fmt.Sprintf("limit: %s: %d in %s, again at %s", e.Rule.Code, e.Rule.Most, e.Rule.In, store.Time(e.Again))
}

// Wait is how long it takes from now on.
func (e *OverError) Wait(now time.Time) time.Duration { return max(e.Again.Sub(now), time.Second) }

// Querier is a store or a transaction.
type Querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func (q *Quota) now() time.Time {
	if q.Now != nil {
		return q.Now()
	}
	return time.Now()
}

func (q *Quota) alias(name string) string { return q.Keys.Alias(keys.PurposeAttempt, "quota\x00"+name) }

// Over tells whether one of the rules leaves nothing (*OverError), the one that is longest
// to wait for. It takes nothing.
func (q *Quota) Over(ctx context.Context, db Querier, rules ...Rule) error {
	var over *OverError
	now := q.now()
	for _, r := range rules {
		if r.Most <= 0 {
			continue
		}
		var at string // of the last but Most-1: when it is out of the time, there is room for one
		err := db.QueryRowContext(ctx, "SELECT at FROM quota WHERE name = ? AND at > ? ORDER BY at DESC LIMIT 1 OFFSET ?", q.alias(r.Name), store.Time(now.Add(-r.In)), r.Most-1).Scan(&at)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return fmt.Errorf("limit: %w", err)
		}
		if again := store.ParseTime(at).Add(r.In); over == nil || again.After(over.Again) {
			over = &OverError{Rule: r, Again: again}
		}
	}
	if over != nil {
		return over
	}
	return nil
}

// Take takes one of each rule, or of none (*OverError), in the transaction of what is done.
func (q *Quota) Take(ctx context.Context, tx *sql.Tx, rules ...Rule) error {
	if err := q.Over(ctx, tx, rules...); err != nil {
		return err
	}
	taken := map[string]bool{} // two rules may be about the same: so many an hour, so many a day
	for _, r := range rules {
		if r.Most <= 0 || taken[r.Name] {
			continue
		}
		taken[r.Name] = true
		if _, err := tx.ExecContext(ctx, "INSERT INTO quota (name, at) VALUES (?, ?)", q.alias(r.Name), store.Time(q.now())); err != nil {
			return fmt.Errorf("limit: %w", err)
		}
	}
	return nil
}

// Sweep forgets what no rule counts any more.
func (q *Quota) Sweep(ctx context.Context) error {
	if _, err := q.Store.ExecContext(ctx, "DELETE FROM quota WHERE at < ?", store.Time(q.now().Add(-Longest))); err != nil {
		return fmt.Errorf("limit: %w", err)
	}
	return nil
}
