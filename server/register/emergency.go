package register

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
)

// Paper is a document that was registered by hand while the system was down.
type Paper struct {
	Time    time.Time // of its registration
	Party   string
	Subject string
	SHA256  []byte // nil: paper
	// Direction is In when empty.
	Direction Direction
}

// OpenEmergency opens an emergency register with its cause and the time since when
// (DPR 445/2000, art. 63 c. 1 and 2).
func (d *Desk) OpenEmergency(ctx context.Context, a role.Actor, cause string, since time.Time) (id int, err error) {
	if err := role.Check(a, a.Ente, role.InfrastructureWrite); err != nil {
		return 0, err
	}
	if r := []rune(cause); len(r) < 3 || len(r) > 500 {
		return 0, ErrReason
	}
	if since.IsZero() || since.After(d.now()) {
		return 0, ErrInvalid
	}
	err = d.Store.Tx(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, "SELECT id FROM register_emergency WHERE ente = ? AND cause = ? AND opened = ? AND closed = ''", a.Ente, cause, store.Time(since)).Scan(&id)
		if !errors.Is(err, sql.ErrNoRows) {
			return err // the form was sent twice
		}
		if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) + 1 FROM register_emergency WHERE ente = ?", a.Ente).Scan(&id); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO register_emergency (ente, id, cause, opened, operator) VALUES (?,?,?,?,?)", a.Ente, id, cause, store.Time(since), a.Operator); err != nil {
			return err
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: a.Ente, Kind: audit.RegisterEmergency, Detail: map[string]string{"register": fmt.Sprint(id), "cause": cause, "since": store.Time(since)}}.By(a))
	})
	if err != nil {
		return 0, fmt.Errorf("register: %w", err)
	}
	return id, nil
}

// EnterEmergency takes what was registered by hand over, in its order: each gets the next
// number of the ordinary register too, and both stay together (art. 63 c. 5). The
// emergency series never repeats in the AOO (c. 4): register and number.
func (d *Desk) EnterEmergency(ctx context.Context, a role.Actor, id int, papers []Paper) (out []Entry, err error) {
	if err := role.Check(a, a.Ente, role.InfrastructureWrite); err != nil {
		return nil, err
	}
	for _, p := range papers {
		if t, n := len([]rune(p.Party)), len([]rune(p.Subject)); t < 1 || t > 300 || n < 1 || n > 300 || p.Time.IsZero() || p.Time.After(d.now()) || p.Direction != "" && p.Direction != In && p.Direction != Out ||
			len(p.SHA256) != 0 && len(p.SHA256) != 32 {
			return nil, ErrInvalid
		}
	}
	err = d.Store.Tx(ctx, func(tx *sql.Tx) error {
		out = nil
		// By hand only while the system was down: not before the register was opened (art. 63
		// c. 2), so that no document is older than the cause that is written down.
		var opened string
		if err := tx.QueryRowContext(ctx, "SELECT opened FROM register_emergency WHERE ente = ? AND id = ?", a.Ente, id).Scan(&opened); err != nil {
			return fmt.Errorf("%w: %w", ErrEmergency, err)
		}
		since := store.ParseTime(opened).Truncate(time.Minute) // as forms have it
		if slices.ContainsFunc(papers, func(p Paper) bool { return p.Time.Before(since) }) {
			return ErrInvalid
		}
		for _, p := range papers {
			there, err := d.entered(ctx, tx, a.Ente, id, p)
			if err != nil {
				return err
			}
			if there != nil {
				out = append(out, *there)
				continue
			}
			var n int
			err = tx.QueryRowContext(ctx, "UPDATE register_emergency SET last = last + 1 WHERE ente = ? AND id = ? AND closed = '' RETURNING last", a.Ente, id).Scan(&n)
			if err != nil {
				return fmt.Errorf("%w: %w", ErrEmergency, err)
			}
			e := Entry{Ente: a.Ente, Time: d.now(), Direction: p.Direction, Party: p.Party, Subject: p.Subject, SHA256: p.SHA256,
				Document: fmt.Sprintf("emergency/%d/%d", id, n), Emergency: fmt.Sprintf("E%d/%07d", id, n), Origin: p.Time.In(rome).Format(originLayout)}
			if e.Direction == "" {
				e.Direction = In
			}
			if err := Enter(ctx, tx, d.Keys, &e); err != nil {
				return err
			}
			out = append(out, e)
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: a.Ente, Kind: audit.RegisterEmergency, Detail: map[string]string{"register": fmt.Sprint(id), "entered": fmt.Sprint(len(papers))}}.By(a))
	})
	if err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	return out, nil
}

// entered finds a paper that was taken over already: a form that is sent twice registers
// once.
func (d *Desk) entered(ctx context.Context, tx *sql.Tx, ente string, id int, p Paper) (*Entry, error) {
	e, err := scan(tx.QueryRowContext(ctx, "SELECT "+columns+"WHERE r.ente = ? AND r.emergency LIKE ? AND r.origin = ? AND r.party = ? AND r.subject = ? AND r.direction = ? AND r.sha256 = ? LIMIT 1",
		ente, fmt.Sprintf("E%d/%%", id), p.Time.In(rome).Format(originLayout), p.Party, p.Subject, string(cmp.Or(p.Direction, In)), append([]byte{}, p.SHA256...)))
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return e, err
}

const originLayout = "2006-01-02 15:04"

// CloseEmergency closes it. restored is when the system was there again (DPR 445/2000, art.
// 63 c. 1): not before what was registered by hand, nor in the future.
func (d *Desk) CloseEmergency(ctx context.Context, a role.Actor, id int, restored time.Time) error {
	if err := role.Check(a, a.Ente, role.InfrastructureWrite); err != nil {
		return err
	}
	if restored.IsZero() || restored.After(d.now()) {
		return ErrInvalid
	}
	err := d.Store.Tx(ctx, func(tx *sql.Tx) error {
		var opened, last string
		if err := tx.QueryRowContext(ctx, "SELECT opened FROM register_emergency WHERE ente = ? AND id = ? AND closed = ''", a.Ente, id).Scan(&opened); err != nil {
			return fmt.Errorf("%w: %w", ErrEmergency, err)
		}
		if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(origin), '') FROM register_entry WHERE ente = ? AND emergency LIKE ?", a.Ente, fmt.Sprintf("E%d/%%", id)).Scan(&last); err != nil {
			return err
		}
		if restored.Before(store.ParseTime(opened).Truncate(time.Minute)) || restored.In(rome).Format(originLayout) < last {
			return ErrInvalid
		}
		var n int
		if err := tx.QueryRowContext(ctx, "UPDATE register_emergency SET closed = ? WHERE ente = ? AND id = ? AND closed = '' RETURNING last", store.Time(restored), a.Ente, id).Scan(&n); err != nil {
			return fmt.Errorf("%w: %w", ErrEmergency, err)
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: a.Ente, Kind: audit.RegisterEmergency, Detail: map[string]string{"register": fmt.Sprint(id), "closed": fmt.Sprint(n), "restored": store.Time(restored)}}.By(a))
	})
	if err != nil {
		return fmt.Errorf("register: %w", err)
	}
	return nil
}
