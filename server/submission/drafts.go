package submission

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/credential"
	"github.com/citel-pa/citel/server/mail"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/store"
)

// Drafts that nobody goes on with are deleted, for what people typed is kept no longer than
// it is needed (Regulation (EU) 2016/679, art. 5(1)(e)). Each change, a signature too, lets
// one stay anew; what is sent is the office's and none of this.

// warningDays before its end it is said that a draft ends.
const warningDays = 14

// draftDays is for how many days a draft is kept.
func (d *Desk) draftDays(a *Application) int {
	if n := a.Service.DraftDays; n > 0 {
		return n
	}
	return d.Bounds.Drafts
}

// lastDay of a draft without a word about the notice.
func (d *Desk) lastDay(a *Application) time.Time {
	return midnight(a.Changed).AddDate(0, 0, d.draftDays(a))
}

// midnight begins a time's day in Rome.
func midnight(t time.Time) time.Time {
	y, m, day := t.In(register.Rome()).Date()
	return time.Date(y, m, day, 0, 0, 0, 0, register.Rome())
}

// told tells whether it was said that a draft ends, since its last change.
func (a *Application) told() bool { return a.Reminded.After(a.Changed) }

// DraftEnds is the last day of a draft (its midnight in Rome): the days after its last
// change, and never less than the notice after it was said. Zero: it is no draft.
func (d *Desk) DraftEnds(a *Application) time.Time {
	if a.State.AtOffice() {
		return time.Time{}
	}
	said := d.now() // by the next round of the housekeeping
	if a.told() {
		said = a.Reminded
	}
	end := d.lastDay(a)
	if least := midnight(said).AddDate(0, 0, warningDays); end.Before(least) {
		return least
	}
	return end
}

// toRemind tells whether it is time to say that a draft ends, over whether it has ended.
func (d *Desk) toRemind(a *Application) bool {
	return !a.State.AtOffice() && !a.told() && !midnight(d.now()).Before(d.lastDay(a).AddDate(0, 0, -warningDays))
}

func (d *Desk) over(a *Application) bool {
	return !a.State.AtOffice() && a.told() && midnight(d.now()).After(d.DraftEnds(a))
}

// SweepDrafts says of drafts that they end, and deletes those that have ended.
func (d *Desk) SweepDrafts(ctx context.Context) (failed error) {
	last := store.Time(d.now().AddDate(0, 0, warningDays+1-min(d.Bounds.Drafts, leastDrafts))) // no service has fewer
	changed, id := "", ""
	for {
		all, err := d.query(ctx, "WHERE state IN ('draft', 'to-sign') AND changed < ? AND (changed > ? OR changed = ? AND id > ?) ORDER BY changed, id LIMIT ?", last, changed, changed, id, Listed)
		if err != nil {
			return errors.Join(failed, err)
		}
		for _, a := range all {
			changed, id = store.Time(a.Changed), a.ID
			switch {
			case d.toRemind(a):
				err = d.remind(ctx, a)
			case d.over(a):
				err = d.expire(ctx, a)
			default:
				continue
			}
			if err != nil {
				failed = errors.Join(failed, fmt.Errorf("submission: draft %s: %w", a.ID, err))
			}
		}
		if len(all) < Listed {
			return failed
		}
	}
}

// again runs f if a draft is still as due says: another process, or its author, may have
// been faster.
func (d *Desk) again(ctx context.Context, a *Application, due func(*Application) bool, f func(*sql.Tx, *Application) error) error {
	return d.Store.Tx(ctx, func(tx *sql.Tx) error {
		now, err := d.read(ctx, tx, a.Ente, a.ID)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if now.Service = a.Service; !due(now) {
			return nil
		}
		return f(tx, now)
	})
}

// remind writes down that it was said, and mails whoever fills the draft in, where the ente
// knows an address: not the one that was typed into a form that nobody has sent.
func (d *Desk) remind(ctx context.Context, a *Application) error {
	return d.again(ctx, a, d.toRemind, func(tx *sql.Tx, a *Application) error {
		a.Reminded = d.now()
		if _, err := tx.ExecContext(ctx, "UPDATE application SET reminded = ? WHERE id = ?", store.Time(a.Reminded), a.ID); err != nil {
			return err
		}
		to := a.Email // of a credential that nobody has proved: it was confirmed
		if who := a.Actor(); who != 0 {
			var err error
			if to, err = knownEmail(ctx, tx, a.Ente, who); err != nil {
				return err
			}
		}
		return mail.Queue(ctx, tx, mail.Message{Ente: a.Ente, To: to, Kind: mail.DraftEnds, Link: "/pratiche/" + a.ID, Number: d.DraftEnds(a).Format("02/01/2006")}, d.now())
	})
}

// knownEmail is where an ente writes to a person: as a desk wrote it down, else as the
// person's credential has it; empty: nowhere.
func knownEmail(ctx context.Context, tx *sql.Tx, ente string, who int64) (string, error) {
	record, err := person.RecordOf(ctx, tx, who, ente)
	if err != nil {
		return "", err
	}
	if to := record.Email(); to != "" {
		return to, nil
	}
	return credential.EmailOf(ctx, tx, who)
}

// expire deletes a draft that has ended, its files after it. The log says so, and whoever
// it was of sees it among the own accesses.
func (d *Desk) expire(ctx context.Context, a *Application) error {
	var gone []string
	err := d.again(ctx, a, d.over, func(tx *sql.Tx, a *Application) (err error) {
		if gone, err = d.drop(ctx, tx, a); err != nil {
			return err
		}
		e := audit.Event{Ente: a.Ente, Kind: audit.DraftExpired, PersonID: a.Person, Credential: a.Credential,
			Detail: map[string]string{"application": a.ID, "service": a.Service.ID, "days": fmt.Sprint(d.draftDays(a)), "state": string(a.State)}}
		if a.Agent != 0 {
			e.Detail["agent"] = fmt.Sprint(a.Agent)
		}
		return d.Audit.WriteTx(ctx, tx, e)
	})
	if err == nil {
		d.remove(ctx, gone...)
	}
	return err
}

// drop deletes all rows of an application that was never sent, and names its files.
func (d *Desk) drop(ctx context.Context, tx *sql.Tx, a *Application) ([]string, error) {
	gone, err := papersOf(ctx, tx, a)
	if err != nil {
		return nil, err
	}
	files, err := attachedTo(ctx, tx, "application = ?", a.ID)
	if err != nil {
		return nil, err
	}
	for _, table := range []string{"application_signature", "application_file", "application_step", "application_read"} {
		if _, err := tx.ExecContext(ctx, "DELETE FROM "+table+" WHERE application = ?", a.ID); err != nil {
			return nil, err
		}
	}
	_, err = tx.ExecContext(ctx, "DELETE FROM application WHERE id = ?", a.ID)
	return append(gone, files...), err
}
