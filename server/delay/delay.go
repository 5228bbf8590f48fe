// Package delay slows guessing down: each wrong password makes the next try of the same
// account, from the same address, wait longer. It never locks: a stranger who types wrong
// passwords shuts nobody out for longer than a few seconds, because the long delays are
// for the account seen from the stranger's address, and for the address.
//
// A try is written down before the password is looked at, so that many at once gain
// nothing. Accounts that are not there wait like others.
package delay

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/store"
)

// TooSoonError means that the next try is too early.
type TooSoonError struct{ Wait time.Duration }

// Error says how long to wait.
func (e *TooSoonError) Error() string {
	return fmt.Sprintf("delay: too soon, wait %s", e.Wait.Round(time.Second))
}

// Guard keeps the delays, in the database, for all server processes.
type Guard struct {
	Store *store.Store
	Keys  *keys.Ring
	Now   func() time.Time
}

func (g *Guard) now() time.Time {
	if g.Now != nil {
		return g.Now()
	}
	return time.Now()
}

// rule says how a count of failures becomes a wait: none up to free, then a second,
// doubled each time, up to most. A day without failures forgets them.
type rule struct {
	free int
	most time.Duration
}

var (
	both    = rule{free: 3, most: 15 * time.Minute} // this account from this address
	account = rule{free: 10, most: 5 * time.Second} // from anywhere
	address = rule{free: 30, most: 15 * time.Minute}
)

const forget = 24 * time.Hour

func (r rule) wait(failures int) time.Duration {
	if failures <= r.free {
		return 0
	}
	return min(time.Second<<min(failures-r.free-1, 20), r.most)
}

// names of the three counters of a try. IPv6 counts by network, of which a home has one.
func (g *Guard) names(what, from string) [3]string {
	if host, _, err := net.SplitHostPort(from); err == nil {
		from = host
	}
	if ip, err := netip.ParseAddr(from); err == nil {
		if ip = ip.Unmap().WithZone(""); ip.Is6() {
			if p, err := ip.Prefix(64); err == nil {
				from = p.String()
			}
		}
	}
	alias := func(s string) string { return g.Keys.Alias(keys.PurposeAttempt, s) }
	return [3]string{"b" + alias(what+"\x00"+from), "a" + alias(what), "h" + alias(from)}
}

var rules = [3]rule{both, account, address}

// Begin writes a try down as a failure and tells whether it may be made: nil, or a
// *TooSoonError. The caller calls Success when the secret was right. What names the
// account and the way in ("password:maria@example.org").
func (g *Guard) Begin(ctx context.Context, what, from string) error {
	var soon *TooSoonError
	err := g.Store.Tx(ctx, func(tx *sql.Tx) error {
		soon = nil
		now := g.now()
		names := g.names(what, from)
		var failures [3]int
		for i, n := range names {
			var last, until string
			err := tx.QueryRowContext(ctx, "SELECT failures, last, until FROM attempt WHERE name = ?", n).Scan(&failures[i], &last, &until)
			if errors.Is(err, sql.ErrNoRows) {
				continue
			}
			if err != nil {
				return err
			}
			if now.Sub(store.ParseTime(last)) > forget {
				failures[i] = 0
				continue
			}
			if wait := store.ParseTime(until).Sub(now); wait > 0 && (soon == nil || wait > soon.Wait) {
				soon = &TooSoonError{Wait: wait}
			}
		}
		if soon != nil {
			return nil
		}
		for i, n := range names {
			until := "" // not now: another process's clock may be behind
			if wait := rules[i].wait(failures[i] + 1); wait > 0 {
				until = store.Time(now.Add(wait))
			}
			_, err := tx.ExecContext(ctx, `INSERT INTO attempt (name, failures, last, until) VALUES (?,?,?,?)
				ON CONFLICT (name) DO UPDATE SET failures = excluded.failures, last = excluded.last, until = excluded.until`,
				n, failures[i]+1, store.Time(now), until)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("delay: %w", err)
	}
	if soon != nil {
		return soon
	}
	return nil
}

// Success takes the try back: this account has no failures from this address any more, and
// the address has one less.
func (g *Guard) Success(ctx context.Context, what, from string) error {
	err := g.Store.Tx(ctx, func(tx *sql.Tx) error {
		names := g.names(what, from)
		if _, err := tx.ExecContext(ctx, "DELETE FROM attempt WHERE name IN (?, ?)", names[0], names[1]); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "UPDATE attempt SET failures = CASE WHEN failures > 0 THEN failures - 1 ELSE 0 END, until = '' WHERE name = ?", names[2])
		return err
	})
	if err != nil {
		return fmt.Errorf("delay: %w", err)
	}
	return nil
}

// Sweep forgets what is a day old.
func (g *Guard) Sweep(ctx context.Context) error {
	if _, err := g.Store.ExecContext(ctx, "DELETE FROM attempt WHERE last < ?", store.Time(g.now().Add(-forget))); err != nil {
		return fmt.Errorf("delay: %w", err)
	}
	return nil
}
