// Package rating is what people think of a service when they have used it: one to five
// stars (Modello Comuni, C.SE.1.7). It keeps neither who rated nor which application.
package rating

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
)

// Aspects are what can be said of a service besides the stars: the first of one to three
// stars, the second of four and five. Their sentences are "rating.<aspect>".
var (
	Negative = []string{"unclear", "incomplete", "progress-unclear", "technical", "other-bad"}
	Positive = []string{"clear", "complete", "progress-clear", "no-trouble", "other-good"}
)

// MaxText bounds the words in characters.
const MaxText = 200

// Errors of this room.
var (
	// ErrInvalid: no stars, or words that are too long.
	ErrInvalid = errors.New("rating: one to five stars, and at most 200 characters")
	// ErrDone: the application was rated.
	ErrDone = errors.New("rating: it was rated already")
)

// Rating is what somebody thinks.
type Rating struct {
	Stars  int
	Aspect string // of Negative or Positive; empty: none
	Text   string
}

// Desk keeps ratings.
type Desk struct {
	Store *store.Store
	Now   func() time.Time
}

// Rate rates the service of an application, once. Who calls has read the application as
// somebody who may.
func (d *Desk) Rate(ctx context.Context, ente, service, application string, r Rating) error {
	of := Negative
	if r.Stars > 3 {
		of = Positive
	}
	r.Text = strings.TrimSpace(r.Text)
	if r.Stars < 1 || r.Stars > 5 || utf8.RuneCountInString(r.Text) > MaxText || !utf8.ValidString(r.Text) || strings.ContainsRune(r.Text, 0) {
		return ErrInvalid
	}
	if !slices.Contains(of, r.Aspect) {
		r.Aspect = "" // chosen before the stars were changed
	}
	month := d.Now().In(register.Rome()).Format("2006-01")
	err := d.Store.Tx(ctx, func(tx *sql.Tx) error {
		got, err := tx.ExecContext(ctx, "INSERT INTO rated (application) VALUES (?) ON CONFLICT (application) DO NOTHING", application)
		if err != nil {
			return err
		}
		if n, err := got.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, ErrDone)
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO rating (id, ente, service, month, stars, aspect, content) VALUES (?,?,?,?,?,?,?)", store.NewID(), ente, service, month, r.Stars, r.Aspect, r.Text)
		return err
	})
	if err != nil {
		return fmt.Errorf("rating: %w", err)
	}
	return nil
}

// Rated tells whether an application was rated.
func (d *Desk) Rated(ctx context.Context, application string) (bool, error) {
	var n int
	if err := d.Store.QueryRowContext(ctx, "SELECT count(*) FROM rated WHERE application = ?", application).Scan(&n); err != nil {
		return false, fmt.Errorf("rating: %w", err)
	}
	return n > 0, nil
}

// Count is what came together of a service.
type Count struct {
	Service string
	Stars   [5]int // how many gave one star, two, ...
	Aspects map[string]int
}

// N is how many rated it.
func (c *Count) N() (n int) {
	for _, x := range c.Stars {
		n += x
	}
	return n
}

// Mean of the stars, 0 without a rating.
func (c *Count) Mean() float64 {
	sum := 0
	for i, x := range c.Stars {
		sum += (i + 1) * x
	}
	return float64(sum) / float64(max(c.N(), 1))
}

// may: whoever sees the figures of applications or edits services.
func may(a role.Actor) error {
	if a.Ente == "" || !a.Has(role.RoutingRead, role.SchoolUse, role.RegistryRead, role.PortalUse) {
		return role.Check(a, a.Ente, role.PortalUse)
	}
	return nil
}

// Counts gives the figures of an operator's ente, by service.
func (d *Desk) Counts(ctx context.Context, a role.Actor) (out []*Count, err error) {
	if err := may(a); err != nil {
		return nil, err
	}
	rows, err := d.Store.QueryContext(ctx, "SELECT service, stars, aspect, count(*) FROM rating WHERE ente = ? GROUP BY service, stars, aspect ORDER BY service", a.Ente)
	if err != nil {
		return nil, fmt.Errorf("rating: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var service, aspect string
		var stars, n int
		if err := rows.Scan(&service, &stars, &aspect, &n); err != nil {
			return nil, fmt.Errorf("rating: %w", err)
		}
		if k := len(out); k == 0 || out[k-1].Service != service {
			out = append(out, &Count{Service: service, Aspects: map[string]int{}})
		}
		c := out[len(out)-1]
		c.Stars[stars-1] += n
		if aspect != "" {
			c.Aspects[aspect] += n
		}
	}
	return out, rows.Err()
}

// Word is what somebody wrote besides the stars.
type Word struct {
	Service, Month, Text string
	Stars                int
}

// Words gives what was written in an operator's ente, the newest months first.
func (d *Desk) Words(ctx context.Context, a role.Actor, limit int) ([]Word, error) {
	if err := may(a); err != nil {
		return nil, err
	}
	rows, err := d.Store.QueryContext(ctx, "SELECT service, month, stars, content FROM rating WHERE ente = ? AND content <> '' ORDER BY month DESC, id LIMIT ?", a.Ente, min(max(limit, 1), 500))
	return store.All(rows, err, func(row store.Row) (Word, error) {
		var w Word
		if err := row.Scan(&w.Service, &w.Month, &w.Stars, &w.Text); err != nil {
			return w, fmt.Errorf("rating: %w", err)
		}
		return w, nil
	})
}
