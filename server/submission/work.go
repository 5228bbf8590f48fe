package submission

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/mail"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/store"
)

// right is what an operator needs for the applications of a topic.
func right(topic string, write bool) role.Permission {
	switch {
	case topic == "istruzione":
		return role.SchoolUse
	case topic == "demografici" && write:
		return role.RegistryWrite
	case topic == "demografici":
		return role.RegistryRead
	case write:
		return role.RoutingWrite
	}
	return role.RoutingRead
}

// Queue is what an office looks at. Empty fields ask nothing.
type Queue struct {
	Office  string
	Service string
	States  []State // none: those that are open
	Holder  int64
	Overdue bool
	Limit   int
}

// Work lists an office's applications, those that are due first. An operator sees those
// of the topics that the roles name.
func (d *Desk) Work(ctx context.Context, a role.Actor, q Queue) ([]*Application, error) {
	if !a.Has(role.RoutingRead, role.SchoolUse, role.RegistryRead) {
		return nil, role.Check(a, a.Ente, role.RoutingRead)
	}
	states := q.States
	if len(states) == 0 {
		states = []State{StateToCheck, StateSent, StateInCharge, StateMore}
	}
	where, args := "WHERE ente = ? AND sent <> '' AND state IN (", []any{a.Ente}
	for i, s := range states {
		if !s.AtOffice() {
			return nil, ErrState
		}
		where += strings.Repeat(", ", min(i, 1)) + "?"
		args = append(args, string(s))
	}
	where += ")"
	for column, v := range map[string]string{"office": q.Office, "service": q.Service} {
		if v != "" {
			where += " AND " + column + " = ?"
			args = append(args, v)
		}
	}
	if q.Holder != 0 {
		where, args = where+" AND holder = ?", append(args, q.Holder)
	}
	if q.Overdue {
		where, args = where+" AND due <> '' AND paused = '' AND due < ?", append(args, d.now().In(register.Rome()).Format(time.DateOnly))
	}
	limit := q.Limit
	if limit <= 0 || limit > 500 {
		limit = 100
	}
	all, err := d.query(ctx, where+" ORDER BY CASE WHEN due = '' THEN '9' ELSE due END, sent LIMIT ?", append(args, limit)...)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(x *Application) bool { return !role.Can(a, a.Ente, right(x.Service.Topic, false)) }), nil
}

// Open reads an application for the desk; that it was read is logged.
func (d *Desk) Open(ctx context.Context, a role.Actor, id string) (*Application, error) {
	x, err := d.atDesk(ctx, a, id, false)
	if err != nil {
		return nil, err
	}
	return x, d.Audit.Write(ctx, audit.Event{Ente: a.Ente, Kind: audit.PersonRead, PersonID: x.Person, Detail: map[string]string{"application": id}}.By(a))
}

func (d *Desk) atDesk(ctx context.Context, a role.Actor, id string, write bool) (*Application, error) {
	x, err := d.scan(ctx, d.Store.QueryRowContext(ctx, "SELECT "+appColumns+" FROM application WHERE id = ? AND ente = ? AND sent <> ''", id, a.Ente))
	if err != nil {
		return nil, err
	}
	return x, role.Check(a, a.Ente, right(x.Service.Topic, write))
}

const maxWords = 10_000

// move is an office's act: in which states it can be, what it does, and what is told.
func (d *Desk) move(ctx context.Context, a role.Actor, id, kind, words string, in []State, letter mail.Kind, f func(tx *sql.Tx, x *Application) error) error {
	if len([]rune(words)) > maxWords {
		return ErrWords
	}
	seen, err := d.atDesk(ctx, a, id, true)
	if err != nil {
		return err
	}
	return d.Store.Tx(ctx, func(tx *sql.Tx) error {
		x, err := d.read(ctx, tx, a.Ente, id)
		if err != nil {
			return err
		}
		x.Service = seen.Service
		if !slices.Contains(in, x.State) {
			return ErrState
		}
		if err := f(tx, x); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE application SET state = ?, office = ?, due = ?, paused = ?, holder = ?, answered = ?, closed = ?, changed = ? WHERE id = ?",
			string(x.State), x.Office, x.Due, store.Time(x.Paused), x.Holder, store.Time(x.Answered), store.Time(x.Closed), store.Time(d.now()), id)
		if err != nil {
			return err
		}
		if err := d.step(ctx, tx, id, Step{Kind: kind, State: x.State, Operator: a.Operator, Office: x.Office, Text: words}); err != nil {
			return err
		}
		if letter != "" {
			if err := d.tell(ctx, tx, x, letter); err != nil {
				return err
			}
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: a.Ente, Kind: audit.ApplicationMoved, PersonID: x.Person,
			Detail: map[string]string{"application": id, "act": kind, "state": string(x.State), "protocol": x.Protocol()}}.By(a))
	})
}

var waiting = []State{StateToCheck, StateSent, StateInCharge, StateMore}

// Checked says that a certificate which could not be asked about was found good.
func (d *Desk) Checked(ctx context.Context, a role.Actor, id, words string) error {
	if strings.TrimSpace(words) == "" {
		return ErrWords
	}
	return d.move(ctx, a, id, "checked", words, []State{StateToCheck}, "", func(_ *sql.Tx, x *Application) error {
		x.State = StateSent
		return nil
	})
}

// Take takes an application in charge.
func (d *Desk) Take(ctx context.Context, a role.Actor, id string) error {
	return d.move(ctx, a, id, "charge", "", []State{StateSent, StateInCharge, StateMore}, "", func(_ *sql.Tx, x *Application) error {
		x.Holder = a.Operator
		if x.State == StateSent {
			x.State = StateInCharge
		}
		return nil
	})
}

// pauseDays is for how long a term stands still at most (L. 241/1990, art. 2 c. 7).
const pauseDays = 30

// More asks for more. The term stands still, once (L. 241/1990, art. 2 c. 7).
func (d *Desk) More(ctx context.Context, a role.Actor, id, words string) error {
	if strings.TrimSpace(words) == "" {
		return ErrWords
	}
	return d.move(ctx, a, id, "more", words, []State{StateSent, StateInCharge}, mail.ApplicationMore, func(tx *sql.Tx, x *Application) error {
		var before int
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM application_step WHERE application = ? AND kind = 'more'", id).Scan(&before); err != nil {
			return err
		}
		if before == 0 {
			x.Paused = d.now()
		}
		x.State, x.Holder = StateMore, a.Operator
		return nil
	})
}

// resume lets the term run again.
func (x *Application) resume(now time.Time) {
	if x.Paused.IsZero() {
		return
	}
	if due, err := time.Parse(time.DateOnly, x.Due); err == nil {
		days := min(int(now.Sub(x.Paused)/(24*time.Hour)), pauseDays)
		x.Due = due.AddDate(0, 0, days).Format(time.DateOnly)
	}
	x.Paused = time.Time{}
}

// Write writes to the person, without an act.
func (d *Desk) Write(ctx context.Context, a role.Actor, id, words string) error {
	if strings.TrimSpace(words) == "" {
		return ErrWords
	}
	return d.move(ctx, a, id, "message", words, append(waiting, StateAnswered), mail.ApplicationMessage, func(*sql.Tx, *Application) error { return nil })
}

// Reroute sends an application to another office; nobody has it in charge then.
func (d *Desk) Reroute(ctx context.Context, a role.Actor, id, office, words string) error {
	office = strings.TrimSpace(office)
	if office == "" || len(office) > 120 {
		return ErrOffice
	}
	return d.move(ctx, a, id, "reroute", words, waiting, "", func(_ *sql.Tx, x *Application) error {
		if office == x.Office {
			return ErrOffice
		}
		if x.Office, x.Holder = office, 0; x.State == StateInCharge {
			x.State = StateSent
		}
		return nil
	})
}

// Answer answers. The answer is registered too, where the register is here.
func (d *Desk) Answer(ctx context.Context, a role.Actor, id, words string) error {
	if strings.TrimSpace(words) == "" {
		return ErrWords
	}
	return d.move(ctx, a, id, "answer", words, []State{StateSent, StateInCharge, StateMore}, mail.ApplicationAnswered, func(tx *sql.Tx, x *Application) error {
		x.resume(d.now())
		x.State, x.Holder, x.Answered = StateAnswered, a.Operator, d.now()
		if x.Number.Number == 0 {
			return nil
		}
		var party string
		if err := tx.QueryRowContext(ctx, "SELECT party FROM register_entry WHERE ente = ? AND year = ? AND number = ?", x.Ente, x.Number.Year, x.Number.Number).Scan(&party); err != nil {
			return err
		}
		sum := sha256.Sum256([]byte(words))
		e := register.Entry{Ente: x.Ente, Time: d.now(), Direction: register.Out, Party: party, Subject: text("application.answer-to", "number", x.Number), SHA256: sum[:], Document: x.ID, Origin: x.Number.String()}
		return register.Enter(ctx, tx, d.Keys, &e)
	})
}

// Close closes.
func (d *Desk) Close(ctx context.Context, a role.Actor, id, words string) error {
	return d.move(ctx, a, id, "close", words, append(waiting, StateAnswered), mail.ApplicationClosed, func(_ *sql.Tx, x *Application) error {
		if x.State != StateAnswered && strings.TrimSpace(words) == "" {
			return ErrWords // closed without an answer: the reason
		}
		x.resume(d.now())
		x.State, x.Closed = StateClosed, d.now()
		return nil
	})
}

// Reply is the person's word to the office. What the office asked for is answered by it,
// with the files that were attached for that.
func (d *Desk) Reply(ctx context.Context, v Visitor, id, words string) error {
	if strings.TrimSpace(words) == "" || len([]rune(words)) > maxWords {
		return ErrWords
	}
	return d.change(ctx, v, id, append(waiting, StateAnswered), func(tx *sql.Tx, x *Application) error {
		if x.State == StateMore {
			x.resume(d.now())
			x.State = StateInCharge
			if _, err := tx.ExecContext(ctx, "UPDATE application_file SET sent = 1 WHERE application = ?", id); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, "UPDATE application SET state = ?, due = ?, paused = ? WHERE id = ?", string(x.State), x.Due, store.Time(x.Paused), id); err != nil {
			return err
		}
		var who int64
		if v.Person != nil {
			who = v.Person.ID
		}
		return d.step(ctx, tx, id, Step{Kind: "message", State: x.State, Person: who, Office: x.Office, Text: words})
	})
}

// Withdraw takes an application back; it stays readable, with its number.
func (d *Desk) Withdraw(ctx context.Context, v Visitor, id, words string) error {
	if len([]rune(words)) > maxWords {
		return ErrWords
	}
	return d.change(ctx, v, id, waiting, func(tx *sql.Tx, x *Application) error {
		if _, err := tx.ExecContext(ctx, "UPDATE application SET state = 'withdrawn', closed = ? WHERE id = ?", store.Time(d.now()), id); err != nil {
			return err
		}
		if err := d.step(ctx, tx, id, Step{Kind: "withdraw", State: StateWithdrawn, Person: x.Actor(), Office: x.Office, Text: words}); err != nil {
			return err
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: x.Ente, Kind: audit.ApplicationMoved, PersonID: x.Person, Credential: v.Credential, Address: v.Address,
			Detail: map[string]string{"application": id, "act": "withdraw", "protocol": x.Protocol()}})
	})
}

// Count is a line of the figures.
type Count struct {
	Service, Office string
	State           State
	N               int
	Days            float64 // from sending to answer, or to now; the mean
	Overdue         int
}

// Counts gives the figures by service, office and state of what was sent in a span of
// days (both included).
func (d *Desk) Counts(ctx context.Context, a role.Actor, from, to time.Time) (out []Count, err error) {
	if !a.Has(role.RoutingRead, role.SchoolUse, role.RegistryRead) {
		return nil, role.Check(a, a.Ente, role.RoutingRead)
	}
	rows, err := d.Store.QueryContext(ctx, "SELECT service, office, state, sent, answered, closed, due, paused FROM application WHERE ente = ? AND sent >= ? AND sent < ? ORDER BY service, office, state",
		a.Ente, store.Time(from), store.Time(to.AddDate(0, 0, 1)))
	if err != nil {
		return nil, fmt.Errorf("submission: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var c Count
		var sent, answered, closed, due, paused string
		if err := rows.Scan(&c.Service, &c.Office, &c.State, &sent, &answered, &closed, &due, &paused); err != nil {
			return nil, fmt.Errorf("submission: %w", err)
		}
		end := d.now()
		for _, x := range []string{answered, closed} {
			if x != "" {
				end = store.ParseTime(x)
				break
			}
		}
		days := end.Sub(store.ParseTime(sent)).Hours() / 24
		if n := len(out); n == 0 || out[n-1].Service != c.Service || out[n-1].Office != c.Office || out[n-1].State != c.State {
			out = append(out, c)
		}
		last := &out[len(out)-1]
		last.Days = (last.Days*float64(last.N) + days) / float64(last.N+1)
		last.N++
		if (&Application{State: c.State, Due: due, Paused: store.ParseTime(paused)}).Overdue(d.now()) {
			last.Overdue++
		}
	}
	return out, rows.Err()
}

// WriteCSV writes figures for a spreadsheet: semicolons, decimal comma.
func WriteCSV(w io.Writer, all []Count) error {
	c := csv.NewWriter(w)
	c.Comma = ';'
	rows := [][]string{{"servizio", "ufficio", "stato", "numero", "giorni-medi", "scadute"}}
	for _, x := range all {
		rows = append(rows, []string{cell(x.Service), cell(x.Office), string(x.State), strconv.Itoa(x.N), strings.Replace(strconv.FormatFloat(x.Days, 'f', 1, 64), ".", ",", 1), strconv.Itoa(x.Overdue)})
	}
	return c.WriteAll(rows)
}

// cell keeps a spreadsheet from taking a text for a formula.
func cell(s string) string {
	if strings.IndexAny(s, "=+-@\t\r") == 0 {
		return "'" + s
	}
	return s
}

// Outside is a protocol system of the ente's own. Key is the application's id: the same
// key must give the same number, since what is asked twice may have been done the first time.
type Outside interface {
	Register(ctx context.Context, key string, e register.Entry, document io.Reader) (number string, err error)
}

// followed is how many applications one question to the database gives.
const followed = 200

// Follow asks outside systems for the numbers that are missing. Until then the receipt has
// the application's id, time and hash. A document that a system refuses keeps no other
// from its number; it is told at each round, for somebody to look at.
func (d *Desk) Follow(ctx context.Context) error {
	var failed error
	for code, system := range d.Outside {
		failed = errors.Join(failed, d.followEnte(ctx, code, system))
	}
	return failed
}

func (d *Desk) followEnte(ctx context.Context, code string, system Outside) (failed error) {
	sent, id := "", ""
	for {
		all, err := d.query(ctx, "WHERE ente = ? AND sent <> '' AND number = 0 AND outside = '' AND (sent > ? OR sent = ? AND id > ?) ORDER BY sent, id LIMIT ?", code, sent, sent, id, followed)
		if err != nil {
			return errors.Join(failed, err)
		}
		for _, a := range all {
			sent, id = store.Time(a.Sent), a.ID
			if a.Service.Act == service.SelfCertification {
				continue
			}
			if err := d.follow(ctx, system, a); err != nil {
				failed = errors.Join(failed, fmt.Errorf("submission: %s: %s: %w", code, a.ID, err))
				if !errors.Is(err, register.ErrRefused) {
					return failed // it is down: the next round asks again
				}
			}
		}
		if len(all) < followed {
			return failed
		}
	}
}

func (d *Desk) follow(ctx context.Context, system Outside, a *Application) error {
	who, err := d.whoFields(ctx, a)
	if err != nil {
		return err
	}
	f, err := d.Document(ctx, a)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	number, err := system.Register(ctx, a.ID, register.Entry{Ente: a.Ente, Time: a.Sent, Direction: register.In, Party: partyOf(who), Subject: a.Service.Title.It, SHA256: a.SHA256, Document: a.ID}, bytes.NewReader(data))
	if err != nil {
		return err
	}
	if number == "" || len(number) > 60 {
		return errors.New("the outside system gave no number")
	}
	return d.Store.Tx(ctx, func(tx *sql.Tx) error {
		r, err := tx.ExecContext(ctx, "UPDATE application SET outside = ?, changed = ? WHERE id = ? AND outside = ''", number, store.Time(d.now()), a.ID)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			return err // another process was faster
		}
		a.Outside = number
		if err := d.step(ctx, tx, a.ID, Step{Kind: "number", State: a.State, Text: number}); err != nil {
			return err
		}
		return d.tell(ctx, tx, a, mail.ApplicationNumber)
	})
}
