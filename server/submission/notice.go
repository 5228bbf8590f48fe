package submission

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/mail"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
)

// The notice before a refusal (preavviso di rigetto, L. 241/1990, art. 10-bis, as DL
// 76/2020, art. 12 c. 1 e, changed it): the reasons against an istanza are told before it is
// refused; within ten days the person may send observations; meanwhile the term stands
// still. hearing.go has the person's side.
//
// All of it is days of Rome, and nothing waits for a clock: the day on which the term runs
// again is known from what was done, so the due day is moved when it is done.

// noticeDays are those that the person has for observations, from the notice's receipt (the
// first day is not counted, Civil Code, art. 2963), and those that the office has from the
// observations before its term runs again.
const noticeDays = 10

// Errors of the notice.
var (
	ErrOutcome      = &RefusedError{"outcome"}        // an answer to an istanza says granted or refused
	ErrNotice       = &RefusedError{"notice"}         // a refusal without the notice
	ErrNoticeTerm   = &RefusedError{"notice-term"}    // within the days for observations
	ErrNotReceived  = &RefusedError{"not-received"}   // whether the notice was received is not known
	ErrObservations = &RefusedError{"observations"}   // a refusal says nothing of the observations
	ErrNoticeGiven  = &RefusedError{"notice-given"}   // there is one
	ErrNoNotice     = &RefusedError{"no-notice"}      // the service has none
	ErrDay          = &RefusedError{"day-unknown"}    // not a day between the notice and today
	ErrOften        = &RefusedError{"observed-often"} // more than anybody needs
	ErrSaid         = &RefusedError{"observed-none"}  // observations are there, so "none" is not true
)

const (
	kindNotice   = "notice"
	kindReceived = "notice-received"
)

func dayOf(t time.Time) string { return t.In(register.Rome()).Format(time.DateOnly) }

// addDays counts calendar days; a text that is no day stays.
func addDays(day string, n int) string {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return day
	}
	return t.AddDate(0, 0, n).Format(time.DateOnly)
}

func daysBetween(from, to string) int {
	a, err1 := time.Parse(time.DateOnly, from)
	b, err2 := time.Parse(time.DateOnly, to)
	if err1 != nil || err2 != nil {
		return 0
	}
	return int(b.Sub(a) / (24 * time.Hour)) // both are midnights of UTC
}

// Hears tells whether observations are taken: from the notice until the decision, those
// that come late too.
func (a *Application) Hears() bool { return a.Noticed != "" && slices.Contains(hearing, a.State) }

var hearing = []State{StateSent, StateInCharge, StateNoticed}

// Suspended tells whether the term stands still for a notice.
func (a *Application) Suspended(now time.Time) bool {
	return a.State.Open() && a.inTime() && (a.Restarts == "" || dayOf(now) <= a.Restarts)
}

// SuspendedDays is for how many days a notice lets the term stand still, as is known now.
func (a *Application) SuspendedDays() int {
	if !a.inTime() || a.Restarts == "" {
		return 0
	}
	return daysBetween(a.Noticed, a.Restarts)
}

// inTime: the notice was given before the term was over. What was over stays over.
func (a *Application) inTime() bool { return a.Noticed != "" && a.Due != "" && a.Due >= a.Noticed }

// restart moves the last day on which the term stands still, and the due day with it.
func (a *Application) restart(day string) {
	from := cmp.Or(a.Restarts, a.Noticed)
	if day <= from {
		return
	}
	if a.inTime() {
		a.Due = addDays(a.Due, daysBetween(from, day))
	}
	a.Restarts = day
}

// received: from that day the person has ten.
func (a *Application) received(day string) {
	a.Until = addDays(day, noticeDays)
	a.restart(a.Until)
}

// Notice is the office's, as it went out.
type Notice struct {
	Text   string
	Number register.Number // 0: the ente's own system numbers
	SHA256 []byte
	Made   time.Time
	file   string
}

// noticeName is what its document is called in the application's file.
const noticeName = "preavviso.pdf"

// NoticeOf finds an application's notice; ErrNotFound while there is none.
func (d *Desk) NoticeOf(ctx context.Context, a *Application) (*Notice, error) {
	var x Notice
	var made string
	err := d.Store.QueryRowContext(ctx, `SELECT n.file, n.sha256, n.year, n.number, n.made, s.content FROM application_notice n
		JOIN application_step s ON s.application = n.application AND s.kind = 'notice' WHERE n.application = ?`, a.ID).
		Scan(&x.file, &x.SHA256, &x.Number.Year, &x.Number.Number, &made, &x.Text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("submission: %w", err)
	}
	x.Made = store.ParseTime(made)
	return &x, nil
}

// NoticePDF opens the sealed notice. Whoever calls has read the application as somebody who
// may.
func (d *Desk) NoticePDF(ctx context.Context, a *Application) (io.ReadCloser, error) {
	x, err := d.NoticeOf(ctx, a)
	if err != nil {
		return nil, err
	}
	return d.Store.OpenFile(ctx, x.file)
}

// GiveNotice tells the person the reasons against an istanza: sealed, registered as it goes
// out, and mailed. It is given once: what else stands against the istanza follows from the
// observations and is said in the answer.
func (d *Desk) GiveNotice(ctx context.Context, a role.Actor, id, reasons string) error {
	if strings.TrimSpace(reasons) == "" || len([]rune(reasons)) > maxWords {
		return ErrWords
	}
	// One whose certificate was found bad too: it cannot be marked as checked, and to close it
	// is a refusal.
	in := []State{StateToCheck, StateSent, StateInCharge, StateMore}
	seen, err := d.atDesk(ctx, a, id, true)
	if err != nil {
		return err
	}
	may := func(x *Application) error {
		switch {
		case !x.Service.GivesNotice():
			return ErrNoNotice
		case x.Noticed != "":
			return ErrNoticeGiven
		}
		return nil
	}
	at := d.now().UTC()
	var doc *stored
	if seen.mayMove(a, deed{in: in}) == nil && may(seen) == nil { // else move says why not
		if doc, err = d.put(ctx, seen, "notice", at, func(s *sheet) error { return d.noticeSheet(ctx, a, seen, reasons, at, s) }); err != nil {
			return err
		}
	}
	return d.settle(ctx, seen, doc, func() (bool, error) {
		taken := false
		err := d.move(ctx, a, id, deed{kind: kindNotice, words: reasons, in: in, letter: mail.ApplicationNotice, do: func(tx *sql.Tx, x *Application) error {
			if err := may(x); err != nil {
				return err
			}
			if doc == nil || x.Office != seen.Office || x.recipient() != seen.recipient() {
				return ErrState
			}
			x.resume(d.now())
			x.State, x.Holder, x.Noticed = StateNoticed, a.Operator, dayOf(at)
			// It is received when it is told where the person asked to be written to; whoever
			// gave no address gets it on paper, and the desk says when (NoticeReceived).
			if x.recipient() != "" {
				x.received(x.Noticed)
			}
			number, err := d.enter(ctx, tx, x, register.Out, "application.notice-to", doc)
			if err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx, "INSERT INTO application_notice (application, file, sha256, year, number, made, stamped) VALUES (?,?,?,?,?,?,?)",
				x.ID, doc.file, doc.sum[:], number.Year, number.Number, store.Time(at), doc.stamped)
			taken = err == nil
			return err
		}})
		return taken, err
	})
}

// NoticeReceived says on which day, and how, somebody without an address got the notice.
func (d *Desk) NoticeReceived(ctx context.Context, a role.Actor, id, day, how string) error {
	if strings.TrimSpace(how) == "" {
		return ErrWords
	}
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return ErrDay
	}
	words := text("notice.received-on", "day", t.Format("02/01/2006"), "how", strings.TrimSpace(how))
	return d.move(ctx, a, id, deed{kind: kindReceived, words: words, in: hearing, do: func(_ *sql.Tx, x *Application) error {
		switch {
		case x.Noticed == "" || x.Until != "":
			return ErrState
		case day < x.Noticed || day > dayOf(d.now()):
			return ErrDay
		}
		x.received(day)
		return nil
	}})
}

// MayRefuse tells whether an application can be refused now: nil, or what is to be done
// before. Close without an answer is asked the same: it would be a refusal too.
func (d *Desk) MayRefuse(ctx context.Context, a *Application) error {
	return d.mayRefuse(ctx, d.Store, a)
}

func (d *Desk) mayRefuse(ctx context.Context, q rowsQuerier, a *Application) error {
	switch {
	case !a.Service.GivesNotice():
		return nil
	case a.Noticed == "":
		return ErrNotice
	}
	heard, err := observations(ctx, q, a)
	switch {
	case err != nil:
		return err
	case len(heard) > 0:
		return nil // they came, or the person has none
	case a.Until == "":
		return ErrNotReceived
	case dayOf(d.now()) <= a.Until:
		return ErrNoticeTerm
	}
	return nil
}

// stored is a document that was sealed and written, before its number is taken.
type stored struct {
	file    string
	sum     [32]byte
	stamped bool
	at      time.Time
}

// enter takes a number for a document about an application: of the register here, where the
// application has one too.
func (d *Desk) enter(ctx context.Context, tx *sql.Tx, x *Application, way register.Direction, subject string, doc *stored) (register.Number, error) {
	if x.Number.Number == 0 {
		return register.Number{}, nil
	}
	var party string
	if err := tx.QueryRowContext(ctx, "SELECT party FROM register_entry WHERE ente = ? AND year = ? AND number = ?", x.Ente, x.Number.Year, x.Number.Number).Scan(&party); err != nil {
		return register.Number{}, err
	}
	e := register.Entry{Ente: x.Ente, Time: doc.at, Direction: way, Party: party, Subject: text(subject, "number", x.Number), SHA256: doc.sum[:], Document: x.ID, Origin: x.Number.String()}
	err := register.Enter(ctx, tx, d.Keys, &e)
	return e.Number, err
}

// settle does what a document was made for, and takes its file away when nothing came of it:
// when no row names it, for a connection that breaks while a transaction is committed tells
// nobody which of the two it was, and what is in the register is never lost.
func (d *Desk) settle(ctx context.Context, x *Application, doc *stored, do func() (taken bool, err error)) error {
	taken, err := do()
	switch {
	case doc == nil:
	case err != nil || !taken:
		err = errors.Join(err, d.unnamed(context.WithoutCancel(ctx), doc.file))
	case !doc.stamped && d.Seals.Stamp != nil:
		d.Log.Warn("a document has no time-stamp: the authority does not answer", "ente", x.Ente, "application", x.ID)
	}
	return err
}

// unnamed takes a document's file away if no row names it.
func (d *Desk) unnamed(ctx context.Context, file string) error {
	var named int
	err := d.Store.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM application_notice WHERE file = ?) + (SELECT count(*) FROM application_observation WHERE file = ?)
		+ (SELECT count(*) FROM application_answer WHERE file = ?) + (SELECT count(*) FROM application_signature WHERE file = ?)`, file, file, file, file).Scan(&named)
	if err != nil || named > 0 {
		return err
	}
	return d.Store.RemoveFile(ctx, file)
}

// moved writes an act of the person's down in the log.
func (d *Desk) moved(ctx context.Context, tx *sql.Tx, v Visitor, x *Application, act string, who int64) error {
	e := audit.Event{Ente: x.Ente, Kind: audit.ApplicationMoved, PersonID: x.Person, Credential: v.Credential, Address: v.Address,
		Detail: map[string]string{"application": x.ID, "act": act, "state": string(x.State), "protocol": x.Protocol()}}
	if who != 0 && who != x.Person {
		e.Detail["agent"] = fmt.Sprint(who)
	}
	return d.Audit.WriteTx(ctx, tx, e)
}

// write keeps what can change in an application that an office has.
func (a *Application) write(ctx context.Context, tx *sql.Tx, now time.Time) error {
	_, err := tx.ExecContext(ctx, "UPDATE application SET state = ?, office = ?, due = ?, paused = ?, noticed = ?, until = ?, restarts = ?, holder = ?, answered = ?, closed = ?, changed = ? WHERE id = ?",
		string(a.State), a.Office, a.Due, store.Time(a.Paused), a.Noticed, a.Until, a.Restarts, a.Holder, store.Time(a.Answered), store.Time(a.Closed), store.Time(now), a.ID)
	return err
}

// put seals a document about an application and writes it. Before the number: a crash
// between leaves a file that nobody points to.
func (d *Desk) put(ctx context.Context, x *Application, kind string, at time.Time, fill func(*sheet) error) (*stored, error) {
	e, err := d.Enti.Get(ctx, x.Ente)
	if err != nil {
		return nil, err
	}
	s := &sheet{ente: e}
	if err := fill(s); err != nil {
		return nil, err
	}
	var plain bytes.Buffer
	if _, err := s.WriteTo(&plain); err != nil {
		return nil, err
	}
	sealed, stamped, err := d.Seals.Seal(ctx, x.Ente, e.Name, s.title, plain.Bytes())
	if err != nil {
		return nil, err
	}
	return d.keep(ctx, x, kind, at, sealed, stamped)
}
