package submission

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/mail"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
)

// Kinds of observations.
const (
	ObservationsWritten = "written"
	ObservationsNone    = "none" // the person says to have none
)

// The steps that they leave.
const (
	kindObserved = "observations"
	kindNone     = "no-observations"
)

// maxObservations bounds what is sent online on one notice: each takes a number. What the
// desk writes down is not bounded.
const maxObservations = 20

// Observation is the person's word on a notice, registered as it came in.
type Observation struct {
	N        int // from 1
	Kind     string
	Day      string // when it was presented
	Late     bool   // after the days that the law gives: the office may take account of it
	Operator int64  // who wrote down what came another way; 0: sent online
	Number   register.Number
	SHA256   []byte
	Made     time.Time
	file     string
}

// name is what its document is called in the application's file.
func (o *Observation) name() string { return fmt.Sprintf("osservazioni-%d.pdf", o.N) }

// Observations lists those on an application's notice, in their order.
func (d *Desk) Observations(ctx context.Context, a *Application) ([]*Observation, error) {
	return observations(ctx, d.Store, a)
}

func observations(ctx context.Context, q rowsQuerier, a *Application) (out []*Observation, err error) {
	rows, err := q.QueryContext(ctx, "SELECT n, kind, day, operator, year, number, sha256, made, file FROM application_observation WHERE application = ? ORDER BY n", a.ID)
	if err != nil {
		return nil, fmt.Errorf("submission: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var x Observation
		var made string
		if err := rows.Scan(&x.N, &x.Kind, &x.Day, &x.Operator, &x.Number.Year, &x.Number.Number, &x.SHA256, &made, &x.file); err != nil {
			return nil, fmt.Errorf("submission: %w", err)
		}
		x.Made, x.Late = store.ParseTime(made), a.Until != "" && x.Day > a.Until
		out = append(out, &x)
	}
	return out, rows.Err()
}

// ObservationPDF opens the n-th as it is registered, from 1.
func (d *Desk) ObservationPDF(ctx context.Context, a *Application, n int) (io.ReadCloser, error) {
	all, err := d.Observations(ctx, a)
	if err != nil {
		return nil, err
	}
	if n < 1 || n > len(all) {
		return nil, ErrNotFound
	}
	return d.Store.OpenFile(ctx, all[n-1].file)
}

// ToBeAnswered tells whether a refusal must say why the observations are not followed: those
// that came in time.
func ToBeAnswered(all []*Observation) bool {
	return slices.ContainsFunc(all, func(o *Observation) bool { return o.Kind == ObservationsWritten && !o.Late })
}

// hear lets the term run again ten days after observations that came in time; without any,
// when the days for them are over. That the person has none opens the way to the decision
// and leaves the term where the law has it.
func (a *Application) hear(kind, day string) {
	if a.Until == "" {
		a.received(day) // who answers it has got it, by that day
	}
	if kind == ObservationsWritten && day <= a.Until {
		a.restart(addDays(day, noticeDays))
	}
	if a.State == StateNoticed {
		a.State = StateInCharge
	}
}

// heard is what is said, before it is written down.
type heard struct {
	kind, day, words string
	files            []*File
	operator         *role.Actor
	at               time.Time
}

func (h heard) step() string {
	if h.kind == ObservationsNone {
		return kindNone
	}
	return kindObserved
}

// Observe takes the person's observations, with the files that were attached for them.
// Enough for today is a *limit.OverError.
func (d *Desk) Observe(ctx context.Context, v Visitor, id, words string) error {
	if strings.TrimSpace(words) == "" || len([]rune(words)) > maxWords {
		return ErrWords
	}
	return d.observe(ctx, v, id, heard{kind: ObservationsWritten, words: words})
}

// NoObservations takes the person's word that there are none: the office need not wait.
func (d *Desk) NoObservations(ctx context.Context, v Visitor, id string) error {
	return d.observe(ctx, v, id, heard{kind: ObservationsNone})
}

func (d *Desk) observe(ctx context.Context, v Visitor, id string, h heard) error {
	seen, err := d.Get(ctx, v, id)
	if err != nil {
		return err
	}
	if !seen.Hears() {
		return ErrState
	}
	if err := d.Quota.Over(ctx, d.Store, hearRule(v, id)); err != nil {
		return err // before anything is sealed
	}
	var who int64
	if v.Person != nil {
		who = v.Person.ID
	}
	if before, err := d.Observations(ctx, seen); err != nil || len(before) >= maxObservations {
		return cmp.Or(err, error(ErrOften))
	}
	h.at = d.now().UTC()
	h.day = dayOf(h.at)
	if h.kind == ObservationsWritten {
		if h.files, err = d.pending(ctx, seen); err != nil {
			return err
		}
	}
	doc, err := d.put(ctx, seen, h.step(), h.at, func(s *sheet) error { return d.observationSheet(ctx, seen, h, s) })
	if err != nil {
		return err
	}
	err = d.settle(ctx, seen, doc, func() (bool, error) {
		taken := false
		err := d.change(ctx, v, id, hearing, func(tx *sql.Tx, x *Application) error {
			var last Step
			var at string
			if err := tx.QueryRowContext(ctx, "SELECT time, kind, person, content FROM application_step WHERE application = ? ORDER BY n DESC LIMIT 1", id).Scan(&at, &last.Kind, &last.Person, &last.Text); err != nil {
				return err
			}
			var waiting int
			if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM application_file WHERE application = ? AND slot = ? AND sent = 0", id, SlotMore).Scan(&waiting); err != nil {
				return err
			}
			if last.Kind == h.step() && last.Person == who && last.Text == h.words && (waiting == 0 || h.kind == ObservationsNone) && d.now().Sub(store.ParseTime(at)) < again {
				return errDone // a button pressed twice
			}
			if err := d.Quota.Take(ctx, tx, hearRule(v, id)); err != nil {
				return err
			}
			if err := d.hearTx(ctx, tx, x, h, doc); err != nil {
				return err
			}
			if err := x.write(ctx, tx, d.now()); err != nil {
				return err
			}
			if err := d.step(ctx, tx, id, Step{Kind: h.step(), State: x.State, Person: who, Office: x.Office, Text: h.words}); err != nil {
				return err
			}
			taken = true
			return errors.Join(d.tell(ctx, tx, x, mail.ApplicationObserved), d.moved(ctx, tx, v, x, h.step(), who))
		})
		return taken && err == nil, err
	})
	if errors.Is(err, errDone) {
		return nil
	}
	return err
}

// ObservedElsewhere writes down observations that came on paper or by certified mail: when,
// and what they say.
func (d *Desk) ObservedElsewhere(ctx context.Context, a role.Actor, id, day, words string) error {
	if strings.TrimSpace(words) == "" || len([]rune(words)) > maxWords {
		return ErrWords
	}
	seen, err := d.atDesk(ctx, a, id, true)
	if err != nil {
		return err
	}
	h := heard{kind: ObservationsWritten, day: day, words: words, operator: &a, at: d.now().UTC()}
	may := func(x *Application) error {
		switch _, err := time.Parse(time.DateOnly, day); {
		case x.Noticed == "":
			return ErrState
		case err != nil, day < x.Noticed, day > dayOf(h.at):
			return ErrDay
		}
		return nil
	}
	x := deed{kind: kindObserved, words: words, in: hearing}
	var doc *stored
	if seen.mayMove(a, x) == nil && may(seen) == nil {
		if doc, err = d.put(ctx, seen, h.step(), h.at, func(s *sheet) error { return d.observationSheet(ctx, seen, h, s) }); err != nil {
			return err
		}
	}
	return d.settle(ctx, seen, doc, func() (bool, error) {
		taken := false
		x.letter, x.do = mail.ApplicationObserved, func(tx *sql.Tx, x *Application) error {
			if err := may(x); err != nil {
				return err
			}
			if doc == nil {
				return ErrState
			}
			err := d.hearTx(ctx, tx, x, h, doc)
			taken = err == nil
			return err
		}
		err := d.move(ctx, a, id, x)
		return taken && err == nil, err
	})
}

// hearTx registers what was said, and moves term and state.
func (d *Desk) hearTx(ctx context.Context, tx *sql.Tx, x *Application, h heard, doc *stored) error {
	before, err := observations(ctx, tx, x)
	if err != nil {
		return err
	}
	switch {
	case h.kind == ObservationsNone && len(before) > 0:
		return ErrSaid
	case h.operator == nil && len(before) >= maxObservations:
		return ErrOften
	}
	subject := "application.observed"
	if h.kind == ObservationsNone {
		subject = "application.observed-none-title"
	}
	number, err := d.enter(ctx, tx, x, register.In, subject, doc)
	if err != nil {
		return err
	}
	var operator int64
	if h.operator != nil {
		operator = h.operator.Operator
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO application_observation (application, n, kind, day, operator, file, sha256, year, number, made, stamped) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
		x.ID, len(before)+1, h.kind, h.day, operator, doc.file, doc.sum[:], number.Year, number.Number, store.Time(h.at), doc.stamped)
	if err != nil {
		return err
	}
	for _, f := range h.files { // those that the document names, and no other
		r, err := tx.ExecContext(ctx, "UPDATE application_file SET sent = 1 WHERE id = ? AND application = ? AND sent = 0", f.ID, x.ID)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n != 1 {
			return errors.Join(err, ErrState) // taken away, or sent, a moment ago
		}
	}
	x.hear(h.kind, h.day)
	return nil
}

// pending lists the files that wait for the next word to the office.
func (d *Desk) pending(ctx context.Context, a *Application) ([]*File, error) {
	return d.files(ctx, "application = ? AND slot = ? AND sent = 0 ORDER BY created, id", a.ID, SlotMore)
}
