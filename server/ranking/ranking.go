// Package ranking puts applications for places (nurseries, schools) in order: points by
// the published rules of the service, ties, lots; what the office verified; a provisional
// and a final list, published by code; places offered, accepted and renounced, and the
// waiting list that moves up.
package ranking

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/seal"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/submission"
)

// Desk is where rankings are made, in every ente.
type Desk struct {
	Store        *store.Store
	Audit        *audit.Log
	Enti         *ente.Directory
	Services     *service.Desk
	Applications *submission.Desk
	Seals        *seal.Desk
	Now          func() time.Time
}

func (d *Desk) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

func (d *Desk) today() string { return d.now().In(register.Rome()).Format(time.DateOnly) }

// RefusedError is something that is not done; its sentence is "ranking.<code>".
type RefusedError struct{ Code string }

// Error names the code.
func (e *RefusedError) Error() string { return "ranking: refused: " + e.Code }

// Errors of the desk.
var (
	ErrNotFound = errors.New("ranking: not found")

	ErrService = &RefusedError{"service"} // has no ranking, or is of another module
	ErrTitle   = &RefusedError{"title"}
	ErrDays    = &RefusedError{"days"}  // no days, or the end before the beginning
	ErrTerm    = &RefusedError{"term"}  // for the answer to an offer
	ErrSeats   = &RefusedError{"seats"} // no number
	ErrReason  = &RefusedError{"reason"}
	ErrField   = &RefusedError{"field"}  // counts for nothing
	ErrValue   = &RefusedError{"value"}  // is no answer of this field
	ErrFinal   = &RefusedError{"final"}  // the final list is published
	ErrOpen    = &RefusedError{"open"}   // applications can still come
	ErrOrder   = &RefusedError{"order"}  // the provisional list comes first
	ErrEmpty   = &RefusedError{"empty"}  // nobody is in it
	ErrOld     = &RefusedError{"old"}    // something has changed since the list was made
	ErrDone    = &RefusedError{"done"}   // published already
	ErrOffer   = &RefusedError{"offer"}  // answered, or its term is over
	ErrLevel   = &RefusedError{"level"}  // the session's
	ErrStands  = &RefusedError{"stands"} // excluded already, or not
	ErrOwn     = &RefusedError{"own"}    // the operator's own application
	// ErrOverlap: another call has these days, or applications would fall out of this one.
	// The seed of a call is drawn once for its applications: who could draw again until
	// the lots please would choose the order.
	ErrOverlap = &RefusedError{"overlap"}
)

// Call is the applications of a service of a span of days, in order by the rules of one
// version of it.
type Call struct {
	ID      string
	Ente    string
	Service *service.Version
	Title   string // the school year
	Since   string // days, both included
	Until   string
	Term    int    // days in which an offer is answered
	Shown   string // last day on which everybody sees the lists; empty: no end
	Seed    string // secret until the provisional list
	Created time.Time
}

// Commitment of the call's seed.
func (c *Call) Commitment() string { return Commitment(c.Seed) }

// Topic is whose calls the desk of Istruzione makes.
const Topic = "istruzione"

const columns = "id, ente, service, version, title, since, until, term, shown, seed, created"

func (d *Desk) scan(ctx context.Context, row store.Row) (*Call, error) {
	var c Call
	var id, created string
	var version int
	err := row.Scan(&c.ID, &c.Ente, &id, &version, &c.Title, &c.Since, &c.Until, &c.Term, &c.Shown, &c.Seed, &created)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("ranking: %w", err)
	}
	c.Created = store.ParseTime(created)
	c.Service, err = d.Services.At(ctx, c.Ente, id, version)
	return &c, err
}

// get reads a call of an ente without asking for a right.
func (d *Desk) get(ctx context.Context, ente, id string) (*Call, error) {
	return d.scan(ctx, d.Store.QueryRowContext(ctx, "SELECT "+columns+" FROM ranking_call WHERE id = ? AND ente = ?", id, ente))
}

// Get reads a call of the operator's ente.
func (d *Desk) Get(ctx context.Context, a role.Actor, id string) (*Call, error) {
	if err := role.Check(a, a.Ente, role.SchoolUse); err != nil {
		return nil, err
	}
	return d.get(ctx, a.Ente, id)
}

// List gives the calls of the operator's ente, newest first.
func (d *Desk) List(ctx context.Context, a role.Actor) ([]*Call, error) {
	if err := role.Check(a, a.Ente, role.SchoolUse); err != nil {
		return nil, err
	}
	return d.calls(ctx, "ente = ?", a.Ente)
}

func (d *Desk) calls(ctx context.Context, where string, args ...any) (out []*Call, err error) {
	rows, err := d.Store.QueryContext(ctx, "SELECT id, ente FROM ranking_call WHERE "+where+" ORDER BY since DESC, created DESC LIMIT 500", args...) //nolint:gosec // our own words
	if err != nil {
		return nil, fmt.Errorf("ranking: %w", err)
	}
	var ids [][2]string
	for rows.Next() {
		var x [2]string
		if err := rows.Scan(&x[0], &x[1]); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		ids = append(ids, x)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, fmt.Errorf("ranking: %w", err)
	}
	for _, x := range ids {
		c, err := d.get(ctx, x[1], x[0])
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// Ranked lists the services that a call can be made for.
func (d *Desk) Ranked(ctx context.Context, a role.Actor) (out []*service.Version, err error) {
	if err := role.Check(a, a.Ente, role.SchoolUse); err != nil {
		return nil, err
	}
	all, err := d.Services.List(ctx, a.Ente)
	if err != nil {
		return nil, err
	}
	for _, v := range all {
		if v.Ranking != nil && v.Topic == Topic {
			out = append(out, v)
		}
	}
	return out, nil
}

// Settings are what the office says of a call.
type Settings struct {
	Title, Since, Until, Shown string
	Term                       int
}

func (s *Settings) check() error {
	s.Title = strings.TrimSpace(s.Title)
	if s.Title == "" || len([]rune(s.Title)) > 80 {
		return ErrTitle
	}
	for _, x := range []string{s.Since, s.Until, s.Shown} {
		if _, err := time.Parse(time.DateOnly, x); err != nil && (x != "" || s.Since == "" || s.Until == "") {
			return ErrDays
		}
	}
	if s.Until < s.Since || s.Shown != "" && s.Shown < s.Until {
		return ErrDays
	}
	if s.Term < 1 || s.Term > 90 {
		return ErrTerm
	}
	return nil
}

// Make makes a call. Its rules are those of the service's newest version, its seed is drawn
// now, and its commitment can be published from now on.
func (d *Desk) Make(ctx context.Context, a role.Actor, serviceID string, s Settings) (*Call, error) {
	if err := role.Check(a, a.Ente, role.SchoolUse); err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	var seed [32]byte
	_, _ = rand.Read(seed[:]) // never fails (crypto/rand)
	c := &Call{ID: store.NewID(), Ente: a.Ente, Title: s.Title, Since: s.Since, Until: s.Until, Term: s.Term, Shown: s.Shown, Seed: hex.EncodeToString(seed[:]), Created: d.now().UTC()}
	err := d.Store.Tx(ctx, func(tx *sql.Tx) (err error) {
		if c.Service, err = d.Services.Fix(ctx, tx, a.Ente, serviceID); errors.Is(err, service.ErrNotFound) {
			return ErrService
		} else if err != nil {
			return err
		}
		if c.Service.Ranking == nil || c.Service.Topic != Topic {
			return ErrService
		}
		if err := alone(ctx, tx, c); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO ranking_call ("+columns+") VALUES (?,?,?,?,?,?,?,?,?,?,?)",
			c.ID, c.Ente, c.Service.ID, c.Service.Number, c.Title, c.Since, c.Until, c.Term, c.Shown, c.Seed, store.Time(c.Created))
		if err != nil {
			return err
		}
		return d.log(ctx, tx, a, c, audit.RankingChanged, "act", "made", "commitment", c.Commitment(), "version", fmt.Sprint(c.Service.Number))
	})
	if err != nil {
		return nil, fmt.Errorf("ranking: %w", err)
	}
	return c, nil
}

// alone tells that no other call of the service has days of a call's.
func alone(ctx context.Context, tx *sql.Tx, c *Call) error {
	var n int
	err := tx.QueryRowContext(ctx, "SELECT count(*) FROM ranking_call WHERE ente = ? AND service = ? AND id <> ? AND since <= ? AND until >= ?", c.Ente, c.Service.ID, c.ID, c.Until, c.Since).Scan(&n)
	if err == nil && n > 0 {
		return ErrOverlap
	}
	return err
}

// covered counts the applications that a call has already.
func covered(ctx context.Context, tx *sql.Tx, c *Call) (n int, err error) {
	from, to := c.span()
	err = tx.QueryRowContext(ctx, "SELECT count(*) FROM application WHERE ente = ? AND service = ? AND sent >= ? AND sent < ?", c.Ente, c.Service.ID, store.Time(from), store.Time(to)).Scan(&n)
	return n, err
}

// Change changes what the office says of a call: its days only before a list was made.
func (d *Desk) Change(ctx context.Context, a role.Actor, id string, s Settings) error {
	c, err := d.Get(ctx, a, id)
	if err != nil {
		return err
	}
	if err := s.check(); err != nil {
		return err
	}
	return d.Store.Tx(ctx, func(tx *sql.Tx) error {
		var lists int
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM ranking_list WHERE call = ? AND published <> ''", id).Scan(&lists); err != nil {
			return err
		}
		if lists > 0 && (s.Since != c.Since || s.Until != c.Until) {
			return ErrDone
		}
		to := *c
		to.Since, to.Until = s.Since, s.Until
		if err := alone(ctx, tx, &to); err != nil {
			return err
		}
		if s.Since > c.Since || s.Until < c.Until {
			if n, err := covered(ctx, tx, c); err != nil || n > 0 {
				return errors.Join(err, ErrOverlap)
			}
		}
		_, err := tx.ExecContext(ctx, "UPDATE ranking_call SET title = ?, since = ?, until = ?, term = ?, shown = ? WHERE id = ?", s.Title, s.Since, s.Until, s.Term, s.Shown, id)
		if err != nil {
			return err
		}
		return d.log(ctx, tx, a, c, audit.RankingChanged, "act", "settings", "since", s.Since, "until", s.Until, "term", fmt.Sprint(s.Term), "shown", s.Shown)
	})
}

func (d *Desk) log(ctx context.Context, tx *sql.Tx, a role.Actor, c *Call, kind string, pairs ...string) error {
	e := audit.Event{Ente: c.Ente, Kind: kind, Detail: map[string]string{"call": c.ID, "service": c.Service.ID}}
	for i := 0; i+1 < len(pairs); i += 2 {
		e.Detail[pairs[i]] = pairs[i+1]
	}
	if a.Operator != 0 {
		e = e.By(a)
	}
	return d.Audit.WriteTx(ctx, tx, e)
}

// maxSeats of a place.
const maxSeats = 10_000

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Seats are a call's.
func (d *Desk) Seats(ctx context.Context, c *Call) (map[Place]int, error) {
	return seats(ctx, d.Store, c)
}

func seats(ctx context.Context, q querier, c *Call) (_ map[Place]int, err error) {
	rows, err := q.QueryContext(ctx, "SELECT school, hours, seats FROM ranking_seat WHERE call = ?", c.ID)
	if err != nil {
		return nil, fmt.Errorf("ranking: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	out := map[Place]int{}
	for rows.Next() {
		var p Place
		var n int
		if err := rows.Scan(&p.School, &p.Hours, &n); err != nil {
			return nil, fmt.Errorf("ranking: %w", err)
		}
		out[p] = n
	}
	return out, rows.Err()
}

// Places are the call's, in the form's order.
func (c *Call) Places() (out []Place) {
	for _, s := range c.Service.Schools() {
		for _, g := range c.Service.Groups() {
			out = append(out, Place{s.Value, g.Value})
		}
	}
	return out
}

// SetSeats says how many seats each place has. After the final list more seats move the
// waiting list up at once; fewer take nobody's place away.
func (d *Desk) SetSeats(ctx context.Context, a role.Actor, id string, n map[Place]int) error {
	c, err := d.Get(ctx, a, id)
	if err != nil {
		return err
	}
	known := c.Places()
	detail := []string{"act", "seats"}
	for _, p := range known {
		if x, ok := n[p]; ok && (x < 0 || x > maxSeats) {
			return ErrSeats
		}
	}
	return d.Store.Tx(ctx, func(tx *sql.Tx) error {
		for _, p := range known {
			x, ok := n[p]
			if !ok {
				continue
			}
			_, err := tx.ExecContext(ctx, "INSERT INTO ranking_seat (call, school, hours, seats) VALUES (?,?,?,?) ON CONFLICT (call, school, hours) DO UPDATE SET seats = excluded.seats", id, p.School, p.Hours, x)
			if err != nil {
				return err
			}
			detail = append(detail, strings.Trim(p.School+"/"+p.Hours, "/"), fmt.Sprint(x))
		}
		if err := d.log(ctx, tx, a, c, audit.RankingChanged, detail...); err != nil {
			return err
		}
		return d.fill(ctx, tx, c)
	})
}

// span is the call's time, in Rome.
func (c *Call) span() (from, to time.Time) {
	from, _ = time.ParseInLocation(time.DateOnly, c.Since, register.Rome())
	to, _ = time.ParseInLocation(time.DateOnly, c.Until, register.Rome())
	return from, to.AddDate(0, 0, 1)
}

// Covers tells whether an application is one of the call's.
func (c *Call) Covers(x *submission.Application) bool {
	from, to := c.span()
	return x.Ente == c.Ente && x.Service.ID == c.Service.ID && !x.Sent.IsZero() && !x.Sent.Before(from) && x.Sent.Before(to)
}

// Closed tells whether no application can come any more.
func (c *Call) Closed(now time.Time) bool {
	_, to := c.span()
	return !now.Before(to)
}

func (d *Desk) byID(all []*Candidate, id string) *Candidate {
	i := slices.IndexFunc(all, func(x *Candidate) bool { return x.App.ID == id })
	if i < 0 {
		return nil
	}
	return all[i]
}
