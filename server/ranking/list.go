package ranking

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/mail"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
)

// Kind of a list.
type Kind string

// The kinds: corrections can follow the provisional one, offers follow the final one.
const (
	Provisional Kind = "provisional"
	Final       Kind = "final"
)

// List is the order as it was made at a moment; nothing in it changes.
type List struct {
	N         int
	Kind      Kind
	Made      time.Time
	Operator  int64
	Published time.Time // zero: the office alone sees it
	SHA256    string    // of the sealed PDF
	file      string
}

// Entry is a line of a list.
type Entry struct {
	Applicant
	Position int    // 0: excluded
	School   string // the place that the order gives; empty: waits
}

// Lists are a call's, oldest first.
func (d *Desk) Lists(ctx context.Context, a role.Actor, c *Call) ([]*List, error) {
	if err := role.Check(a, c.Ente, role.SchoolUse); err != nil {
		return nil, err
	}
	return lists(ctx, d.Store, c)
}

func lists(ctx context.Context, q querier, c *Call) ([]*List, error) {
	rows, err := q.QueryContext(ctx, "SELECT n, kind, made, operator, published, file, sha256 FROM ranking_list WHERE call = ? ORDER BY n", c.ID)
	return store.All(rows, err, func(row store.Row) (*List, error) {
		var l List
		var made, out1 string
		if err := row.Scan(&l.N, &l.Kind, &made, &l.Operator, &out1, &l.file, &l.SHA256); err != nil {
			return nil, fmt.Errorf("ranking: %w", err)
		}
		l.Made, l.Published = store.ParseTime(made), store.ParseTime(out1)
		return &l, nil
	})
}

// published is the number of the newest published list of a kind, 0 without one.
func published(ctx context.Context, q querier, c *Call, k Kind) (n int, err error) {
	err = q.QueryRowContext(ctx, "SELECT coalesce(max(n), 0) FROM ranking_list WHERE call = ? AND kind = ? AND published <> ''", c.ID, string(k)).Scan(&n)
	if err != nil {
		err = fmt.Errorf("ranking: %w", err)
	}
	return n, err
}

// Entries are a list's lines in their order, those who are excluded last.
func (d *Desk) Entries(ctx context.Context, c *Call, n int) ([]Entry, error) {
	return entries(ctx, d.Store, c, n)
}

func entries(ctx context.Context, q querier, c *Call, n int) ([]Entry, error) {
	rows, err := q.QueryContext(ctx, `SELECT position, application, code, points, ties, lot, hours, wishes, school FROM ranking_entry
		WHERE call = ? AND list = ? ORDER BY CASE WHEN position = 0 THEN 1 ELSE 0 END, position, code`, c.ID, n)
	return store.All(rows, err, func(row store.Row) (Entry, error) {
		var e Entry
		var ties, wishes string
		if err := row.Scan(&e.Position, &e.Application, &e.Code, &e.Points, &ties, &e.Lot, &e.Hours, &wishes, &e.School); err != nil {
			return e, fmt.Errorf("ranking: %w", err)
		}
		if err := errors.Join(json.Unmarshal([]byte(ties), &e.Ties), json.Unmarshal([]byte(wishes), &e.Wishes)); err != nil {
			return e, fmt.Errorf("ranking: %w", err)
		}
		return e, nil
	})
}

// order is what holds now, as a list would have it.
func (d *Desk) order(ctx context.Context, c *Call) ([]Entry, error) {
	all, err := d.candidates(ctx, c)
	if err != nil {
		return nil, err
	}
	n, err := d.Seats(ctx, c)
	if err != nil {
		return nil, err
	}
	var in []Applicant
	for _, k := range all {
		if k.Out == "" {
			in = append(in, k.Applicant)
		}
	}
	got := map[string]string{}
	for _, o := range Offers(in, n, nil) {
		got[o.Application] = o.Place.School
	}
	var out []Entry
	for i, x := range in {
		out = append(out, Entry{Applicant: x, Position: i + 1, School: got[x.Application]})
	}
	var excluded []Entry
	for _, k := range all {
		if k.Out == OutExcluded || k.Out == OutWish {
			x := k.Applicant
			x.Points, x.Ties = 0, nil // of whoever is out nothing else is said
			excluded = append(excluded, Entry{Applicant: x})
		}
	}
	slices.SortFunc(excluded, func(x, y Entry) int { return strings.Compare(x.Code, y.Code) })
	return append(out, excluded...), nil
}

// MakeList writes the order down as it is now, for the office to look at. A final list
// needs a published provisional one.
func (d *Desk) MakeList(ctx context.Context, a role.Actor, id string, k Kind) (int, error) {
	c, err := d.Get(ctx, a, id)
	if err != nil {
		return 0, err
	}
	if !c.Closed(d.now()) {
		return 0, ErrOpen
	}
	all, err := d.order(ctx, c)
	if err != nil {
		return 0, err
	}
	if len(all) == 0 {
		return 0, ErrEmpty
	}
	var n int
	err = d.Store.Tx(ctx, func(tx *sql.Tx) error {
		before, err := lists(ctx, tx, c)
		if err != nil {
			return err
		}
		seen := Kind("")
		for _, l := range before {
			if !l.Published.IsZero() {
				seen = l.Kind
			}
		}
		switch {
		case seen == Final:
			return ErrFinal
		case k == Final && seen != Provisional, k != Final && k != Provisional:
			return ErrOrder
		}
		n = len(before) + 1
		if _, err := tx.ExecContext(ctx, "INSERT INTO ranking_list (call, n, kind, made, operator) VALUES (?,?,?,?,?)", c.ID, n, string(k), store.Time(d.now()), a.Operator); err != nil {
			return err
		}
		for _, e := range all {
			if err := insert(ctx, tx, c, n, e); err != nil {
				return err
			}
		}
		return d.log(ctx, tx, a, c, audit.RankingChanged, "act", "list", "kind", string(k), "list", fmt.Sprint(n))
	})
	if err != nil {
		return 0, fmt.Errorf("ranking: %w", err)
	}
	return n, nil
}

func insert(ctx context.Context, tx *sql.Tx, c *Call, n int, e Entry) error {
	ties, err := json.Marshal(e.Ties)
	if err != nil {
		return err
	}
	wishes, err := json.Marshal(e.Wishes)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO ranking_entry (call, list, position, application, code, points, ties, lot, hours, wishes, school) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
		c.ID, n, e.Position, e.Application, e.Code, e.Points, string(ties), e.Lot, e.Hours, string(wishes), e.School)
	return err
}

// Publish publishes the newest list: its sealed PDF, a mail to each, and after the final
// one the first offers. A list that is not what holds now is not published.
func (d *Desk) Publish(ctx context.Context, a role.Actor, id string, n int) error {
	c, err := d.Get(ctx, a, id)
	if err != nil {
		return err
	}
	all, err := lists(ctx, d.Store, c)
	if err != nil {
		return err
	}
	if n < 1 || n > len(all) {
		return ErrNotFound
	}
	l := all[n-1]
	if !l.Published.IsZero() {
		return ErrDone
	}
	lines, err := d.Entries(ctx, c, n)
	if err != nil {
		return err
	}
	before, err := moment(ctx, d.Store, c)
	if err != nil {
		return err
	}
	holds, err := d.order(ctx, c)
	if err != nil {
		return err
	}
	if n != len(all) || !sameOrder(lines, holds) {
		return ErrOld
	}
	l.Published = d.now().UTC()
	sealed, err := d.sealed(ctx, c, l, lines)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(sealed)
	l.file, l.SHA256 = fmt.Sprintf("ranking-%s-%d.pdf", c.ID, n), hex.EncodeToString(sum[:])
	if err := d.Store.WriteFile(ctx, l.file, bytes.NewReader(sealed)); err != nil {
		return err
	}
	people, err := d.candidates(ctx, c)
	if err != nil {
		return err
	}
	err = d.Store.Tx(ctx, func(tx *sql.Tx) error {
		if now, err := moment(ctx, tx, c); err != nil || now != before {
			return errors.Join(err, ErrOld)
		}
		r, err := tx.ExecContext(ctx, "UPDATE ranking_list SET published = ?, file = ?, sha256 = ? WHERE call = ? AND n = ? AND published = '' AND n = (SELECT max(n) FROM ranking_list WHERE call = ?)",
			store.Time(l.Published), l.file, l.SHA256, c.ID, n, c.ID)
		if err != nil {
			return err
		}
		if k, err := r.RowsAffected(); err != nil || k == 0 {
			return errors.Join(err, ErrDone)
		}
		if err := d.log(ctx, tx, a, c, audit.RankingChanged, "act", "published", "kind", string(l.Kind), "list", fmt.Sprint(n), "sha256", l.SHA256); err != nil {
			return err
		}
		for _, k := range people {
			if k.Out == OutWithdrawn || k.Out == OutReplaced {
				continue
			}
			err := mail.Queue(ctx, tx, mail.Message{Ente: c.Ente, To: k.App.Recipient(), Kind: mail.RankingPublished, Link: "/pratiche/" + k.App.ID, Number: c.Title}, d.now())
			if err != nil {
				return err
			}
		}
		return d.fill(ctx, tx, c)
	})
	if err != nil {
		return fmt.Errorf("ranking: %w", err)
	}
	return nil
}

// moment tells whether anything that the order comes of has changed: checks are only
// added, applications of a call that is closed only withdrawn.
func moment(ctx context.Context, q querier, c *Call) (string, error) {
	var checks, withdrawn int
	err := q.QueryRowContext(ctx, "SELECT count(*) FROM ranking_check WHERE call = ?", c.ID).Scan(&checks)
	if err == nil {
		err = q.QueryRowContext(ctx, "SELECT count(*) FROM application WHERE ente = ? AND service = ? AND state = 'withdrawn'", c.Ente, c.Service.ID).Scan(&withdrawn)
	}
	if err != nil {
		return "", fmt.Errorf("ranking: %w", err)
	}
	n, err := seats(ctx, q, c)
	return fmt.Sprint(checks, withdrawn, n), err // maps are printed in the order of their keys
}

func sameOrder(a, b []Entry) bool {
	return slices.EqualFunc(a, b, func(x, y Entry) bool {
		return x.Application == y.Application && x.Position == y.Position && x.Points == y.Points && x.School == y.School && slices.Equal(x.Wishes, y.Wishes) && slices.Equal(x.Ties, y.Ties)
	})
}

// PDF opens the sealed document of a list that is published.
func (d *Desk) PDF(ctx context.Context, c *Call, n int) (io.ReadCloser, error) {
	all, err := lists(ctx, d.Store, c)
	if err != nil {
		return nil, err
	}
	if n < 1 || n > len(all) || all[n-1].Published.IsZero() {
		return nil, ErrNotFound
	}
	return d.Store.OpenFile(ctx, all[n-1].file)
}

// Outcome of a line in the list of one place.
type Outcome string

// The outcomes.
const (
	Admitted Outcome = "admitted"
	Waiting  Outcome = "waiting"
)

// Line of a place's list.
type Line struct {
	Entry
	N       int // in this list
	Wish    int // which of its wishes the school is, from 1
	Outcome Outcome
}

// Of gives the list of a place: who got it, and who waits for it; who got a school that it
// wants more is not there.
func Of(all []Entry, p Place) (out []Line) {
	for _, e := range all {
		i := slices.Index(e.Wishes, p.School)
		if e.Position == 0 || i < 0 || e.Hours != p.Hours {
			continue
		}
		l := Line{Entry: e, Wish: i + 1, Outcome: Waiting}
		if e.School == p.School {
			l.Outcome = Admitted
		} else if got := slices.Index(e.Wishes, e.School); e.School != "" && got < i {
			continue
		}
		l.N = len(out) + 1
		out = append(out, l)
	}
	return out
}
