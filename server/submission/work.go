package submission

import (
	"bytes"
	"cmp"
	"context"
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

// right is what an operator needs for the applications of a topic. To look the registry up
// (registry.read) is not to read what citizens write to its office: the local police does
// the first alone.
func right(topic string, write bool) role.Permission {
	switch {
	case topic == "istruzione":
		return role.SchoolUse
	case topic == "demografici":
		return role.RegistryWrite
	case write:
		return role.RoutingWrite
	}
	return role.RoutingRead
}

const maxWords = 10_000

// deed is an office's act: in which states it can be done, what it does, and what is told.
type deed struct {
	kind, words string
	office      string // where it sends to
	in          []State
	letter      mail.Kind
	do          func(tx *sql.Tx, x *Application) error
}

// errDone: what is asked for has been done already, by the same operator a moment ago.
var errDone = errors.New("submission: done before")

// again is for how long the same deed of the same operator is a button pressed twice.
const again = time.Hour

// same tells whether the last step was this very deed.
func (d *Desk) same(ctx context.Context, tx *sql.Tx, a role.Actor, id string, x deed) (bool, error) {
	var s Step
	var at string
	err := tx.QueryRowContext(ctx, "SELECT time, kind, operator, office, content FROM application_step WHERE application = ? ORDER BY n DESC LIMIT 1", id).Scan(&at, &s.Kind, &s.Operator, &s.Office, &s.Text)
	if err != nil {
		return false, fmt.Errorf("submission: %w", err)
	}
	return s.Kind == x.kind && s.Operator == a.Operator && s.Text == x.words && (x.office == "" || s.Office == x.office) && d.now().Sub(store.ParseTime(at)) < again, nil
}

// move does a deed. One that is sent twice is done once; what a colleague has in charge is
// left alone (ErrHeld), and what has changed meanwhile too (ErrState).
func (d *Desk) move(ctx context.Context, a role.Actor, id string, x deed) error {
	if len([]rune(x.words)) > maxWords {
		return ErrWords
	}
	seen, err := d.atDesk(ctx, a, id, true)
	if err != nil {
		return err
	}
	err = d.Store.Tx(ctx, func(tx *sql.Tx) error {
		now, err := d.read(ctx, tx, a.Ente, id)
		if err != nil {
			return err
		}
		now.Service = seen.Service
		if done, err := d.same(ctx, tx, a, id, x); err != nil || done {
			return cmp.Or(err, errDone)
		}
		if err := now.mayMove(a, x); err != nil {
			return err
		}
		if err := x.do(tx, now); err != nil {
			return err
		}
		if err := now.write(ctx, tx, d.now()); err != nil {
			return err
		}
		if err := d.step(ctx, tx, id, Step{Kind: x.kind, State: now.State, Operator: a.Operator, Office: now.Office, Text: x.words}); err != nil {
			return err
		}
		if x.letter != "" {
			if err := d.tell(ctx, tx, now, x.letter); err != nil {
				return err
			}
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: a.Ente, Kind: audit.ApplicationMoved, PersonID: now.Person,
			Detail: map[string]string{"application": id, "act": x.kind, "state": string(now.State), "protocol": now.Protocol()}}.By(a))
	})
	if errors.Is(err, errDone) {
		return nil
	}
	return err
}

// mayMove tells whether an operator can do a deed as the application stands.
func (a *Application) mayMove(by role.Actor, x deed) error {
	switch {
	case !a.shownTo(by):
		return ErrNotFound
	case !slices.Contains(x.in, a.State):
		return ErrState
	case a.Holder != 0 && a.Holder != by.Operator && x.kind != kindTake:
		return ErrHeld
	}
	return nil
}

const kindTake = "charge"

var waiting = []State{StateToCheck, StateSent, StateInCharge, StateMore, StateNoticed}

// Checked says that a certificate which could not be asked about was found good.
func (d *Desk) Checked(ctx context.Context, a role.Actor, id, words string) error {
	if strings.TrimSpace(words) == "" {
		return ErrWords
	}
	return d.move(ctx, a, id, deed{kind: "checked", words: words, in: []State{StateToCheck}, do: func(_ *sql.Tx, x *Application) error {
		x.State = StateSent
		return nil
	}})
}

// Take takes an application in charge that nobody has.
func (d *Desk) Take(ctx context.Context, a role.Actor, id string) error {
	return d.TakeFrom(ctx, a, id, 0)
}

// TakeFrom takes it from the colleague who was seen to have it: who was faster keeps it
// (ErrHeld).
func (d *Desk) TakeFrom(ctx context.Context, a role.Actor, id string, holder int64) error {
	return d.move(ctx, a, id, deed{kind: kindTake, in: []State{StateSent, StateInCharge, StateMore, StateNoticed}, do: func(_ *sql.Tx, x *Application) error {
		switch {
		case x.Holder == a.Operator && x.State != StateSent:
			return errDone
		case x.Holder != 0 && x.Holder != a.Operator && x.Holder != holder:
			return ErrHeld
		}
		x.Holder = a.Operator
		if x.State == StateSent {
			x.State = StateInCharge
		}
		return nil
	}})
}

// pauseDays is for how long a term stands still at most (L. 241/1990, art. 2 c. 7).
const pauseDays = 30

// More asks for more. The term stands still, once (L. 241/1990, art. 2 c. 7).
func (d *Desk) More(ctx context.Context, a role.Actor, id, words string) error {
	if strings.TrimSpace(words) == "" {
		return ErrWords
	}
	return d.move(ctx, a, id, deed{kind: "more", words: words, in: []State{StateSent, StateInCharge}, letter: mail.ApplicationMore, do: func(tx *sql.Tx, x *Application) error {
		var before int
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM application_step WHERE application = ? AND kind = 'more'", id).Scan(&before); err != nil {
			return err
		}
		if before == 0 {
			x.Paused = x.runs(d.now())
		}
		x.State, x.Holder = StateMore, a.Operator
		return nil
	}})
}

// runs is from when the term runs: now, or when a notice lets it run again. The days of the
// two do not count twice.
func (a *Application) runs(now time.Time) time.Time {
	if !a.Suspended(now) || a.Restarts == "" {
		return now
	}
	t, err := time.ParseInLocation(time.DateOnly, addDays(a.Restarts, 1), register.Rome())
	if err != nil {
		return now
	}
	return t
}

// resume lets the term run again.
func (a *Application) resume(now time.Time) {
	if a.Paused.IsZero() {
		return
	}
	if due, err := time.Parse(time.DateOnly, a.Due); err == nil {
		days := max(0, min(int(now.Sub(a.Paused)/(24*time.Hour)), pauseDays))
		a.Due = due.AddDate(0, 0, days).Format(time.DateOnly)
	}
	a.Paused = time.Time{}
}

// Write writes to the person, without an act.
func (d *Desk) Write(ctx context.Context, a role.Actor, id, words string) error {
	if strings.TrimSpace(words) == "" {
		return ErrWords
	}
	return d.move(ctx, a, id, deed{kind: "message", words: words, in: append(slices.Clone(waiting), StateAnswered), letter: mail.ApplicationMessage,
		do: func(*sql.Tx, *Application) error { return nil }})
}

// Reroute sends an application to another office; nobody has it in charge then.
func (d *Desk) Reroute(ctx context.Context, a role.Actor, id, office, words string) error {
	office = strings.TrimSpace(office)
	if office == "" || len([]rune(office)) > maxOffice {
		return ErrOffice
	}
	// Where nobody works nobody answers: one misspelt, or made up, would hide it.
	if known, err := d.Offices(ctx, a.Ente); err != nil || !slices.Contains(known, office) {
		return errors.Join(err, ErrOffice)
	}
	return d.move(ctx, a, id, deed{kind: "reroute", words: words, office: office, in: waiting, do: func(_ *sql.Tx, x *Application) error {
		if office == x.Office {
			return ErrOffice
		}
		if x.Office, x.Holder = office, 0; x.State == StateInCharge {
			x.State = StateSent
		}
		return nil
	}})
}

// Close closes.
func (d *Desk) Close(ctx context.Context, a role.Actor, id, words string) error {
	return d.move(ctx, a, id, deed{kind: "close", words: words, in: append(slices.Clone(waiting), StateAnswered), letter: mail.ApplicationClosed, do: func(tx *sql.Tx, x *Application) error {
		if x.State != StateAnswered {
			if strings.TrimSpace(words) == "" {
				return ErrWords // closed without an answer: the reason
			}
			if err := d.mayRefuse(ctx, tx, x); err != nil {
				return err // it would be a refusal without its safeguards
			}
		}
		x.resume(d.now())
		x.State, x.Closed = StateClosed, d.now()
		return nil
	}})
}

// Reply is the person's word to the office. What the office asked for is answered by it,
// with the files that were attached for that.
func (d *Desk) Reply(ctx context.Context, v Visitor, id, words string) error {
	if strings.TrimSpace(words) == "" || len([]rune(words)) > maxWords {
		return ErrWords
	}
	return d.change(ctx, v, id, append(slices.Clone(waiting), StateAnswered), func(tx *sql.Tx, x *Application) error {
		if x.State == StateNoticed {
			return ErrState // observations, which are registered (Observe)
		}
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
		e := audit.Event{Ente: x.Ente, Kind: audit.ApplicationMoved, PersonID: x.Person, Credential: v.Credential, Address: v.Address,
			Detail: map[string]string{"application": id, "act": "withdraw", "protocol": x.Protocol()}}
		var who int64 // the person or who acts, whoever of the two sent it
		if v.Person != nil {
			if who = v.Person.ID; who != x.Person {
				e.Detail["agent"] = fmt.Sprint(who)
			}
		}
		if err := d.step(ctx, tx, id, Step{Kind: "withdraw", State: StateWithdrawn, Person: who, Office: x.Office, Text: words}); err != nil {
			return err
		}
		return d.Audit.WriteTx(ctx, tx, e)
	})
}

// Count is a line of the figures.
type Count struct {
	Service, Office string
	State           State
	N               int
	Days            float64 // from sending to answer, or to now; the mean
	Overdue         int
	// Still is how many terms stand still now; Stood for how many days a notice let terms
	// stand still, the mean of all.
	Still int
	Stood float64
}

// Counts gives the figures by service, office and state of what was sent in a span of
// days (both included), of what the operator sees.
func (d *Desk) Counts(ctx context.Context, a role.Actor, from, to time.Time) (out []Count, err error) {
	if err := reads(a); err != nil {
		return nil, err
	}
	all, err := d.Services.List(ctx, a.Ente)
	if err != nil {
		return nil, err
	}
	topics := map[string]string{}
	for _, s := range all {
		topics[s.ID] = s.Topic
	}
	rows, err := d.Store.QueryContext(ctx, "SELECT service, office, state, holder, sent, answered, closed, due, paused, noticed, until, restarts FROM application WHERE ente = ? AND sent >= ? AND sent < ? ORDER BY service, office, state",
		a.Ente, store.Time(from), store.Time(to.AddDate(0, 0, 1)))
	if err != nil {
		return nil, fmt.Errorf("submission: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var c Count
		var holder int64
		var sent, answered, closed, due, paused, noticed, until, restarts string
		if err := rows.Scan(&c.Service, &c.Office, &c.State, &holder, &sent, &answered, &closed, &due, &paused, &noticed, &until, &restarts); err != nil {
			return nil, fmt.Errorf("submission: %w", err)
		}
		x := &Application{State: c.State, Office: c.Office, Holder: holder, Due: due, Paused: store.ParseTime(paused), Noticed: noticed, Until: until, Restarts: restarts}
		if !role.Can(a, a.Ente, right(topics[c.Service], false)) || !x.shownTo(a) {
			continue
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
		last.Stood = (last.Stood*float64(last.N) + float64(x.SuspendedDays())) / float64(last.N+1)
		last.N++
		if x.State.Open() && !x.Paused.IsZero() || x.Suspended(d.now()) {
			last.Still++
		}
		if x.Overdue(d.now()) {
			last.Overdue++
		}
	}
	return out, rows.Err()
}

// WriteCSV writes figures for a spreadsheet: semicolons, decimal comma.
func WriteCSV(w io.Writer, all []Count) error {
	c := csv.NewWriter(w)
	c.Comma = ';'
	rows := [][]string{{"servizio", "ufficio", "stato", "numero", "giorni-medi", "scadute", "sospese", "giorni-sospesi-medi"}}
	for _, x := range all {
		rows = append(rows, []string{cell(x.Service), cell(x.Office), string(x.State), strconv.Itoa(x.N), comma(x.Days), strconv.Itoa(x.Overdue), strconv.Itoa(x.Still), comma(x.Stood)})
	}
	return c.WriteAll(rows)
}

func comma(x float64) string {
	return strings.Replace(strconv.FormatFloat(x, 'f', 1, 64), ".", ",", 1)
}

// cell keeps a spreadsheet from taking a text for a formula.
func cell(s string) string {
	if strings.IndexAny(s, "=+-@\t\r\n") == 0 {
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
		// One number stands for one document; a second receipt with it would be false.
		var there int
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM application WHERE ente = ? AND outside = ? AND id <> ?", a.Ente, number, a.ID).Scan(&there); err != nil {
			return err
		}
		if there > 0 {
			return fmt.Errorf("%w: it gave the number %q, which another document has", register.ErrRefused, number)
		}
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
