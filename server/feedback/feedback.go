// Package feedback is what people write of the portal's accessibility: a report with its
// number, the day until which the ente answers, and the answer (L. 4/2004, art. 3-quater and
// 3-quinquies; D.Lgs. 106/2018). It needs no login, and sends mail to nobody but the ente's
// own office, until an operator answers.
package feedback

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/limit"
	"github.com/citel-pa/citel/server/mail"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
)

// Days until which the ente answers; after them the person may turn to the Difensore civico
// per il digitale (L. 4/2004, art. 3-quinquies).
const Days = 30

// Limits. A day's number bounds what many addresses together can make an ente read.
const (
	MaxText   = 4000 // characters
	maxLine   = 300
	perDay    = 200
	mailEvery = 15 * time.Minute // of the office: one mail for what comes close together
)

// Report is one.
type Report struct {
	ID               string // whoever has it reads the answer
	Ente             string
	Number           int
	Page, Text, Tool string
	Name, Email      string // optional
	Created          time.Time
	Due              string // day of Rome
	Answered         time.Time
	Answer           string
	Operator         int64
}

// Overdue tells whether the answer is late.
func (r *Report) Overdue(now time.Time) bool {
	return r.Answered.IsZero() && now.In(register.Rome()).Format(time.DateOnly) > r.Due
}

// Errors of this room. FieldsError says which fields.
var (
	ErrNotFound = errors.New("feedback: not found")
	ErrState    = errors.New("feedback: it was answered")
	ErrFull     = errors.New("feedback: too many today")
)

// FieldsError names what is wrong: field -> "required", "long" or "email".
type FieldsError struct{ Fields map[string]string }

// Error says that there are some.
func (e *FieldsError) Error() string {
	return fmt.Sprintf("feedback: %d fields are wrong", len(e.Fields))
}

// TooSoonError tells an address to wait.
type TooSoonError struct{ Wait time.Duration }

// Error says so.
func (e *TooSoonError) Error() string { return "feedback: too many from one address" }

// Desk keeps reports.
type Desk struct {
	Store *store.Store
	Audit *audit.Log
	Enti  *ente.Directory
	Now   func() time.Time

	limiter limit.Limiter
}

// New makes a desk: five reports at once from an address, and one in ten minutes.
func New(s *store.Store, a *audit.Log, e *ente.Directory, now func() time.Time) *Desk {
	return &Desk{Store: s, Audit: a, Enti: e, Now: now, limiter: limit.Limiter{Burst: 5, PerSecond: 1.0 / 600, Now: now}}
}

func (d *Desk) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

// clean leaves out what does not print; line breaks stay in texts.
func clean(s string, lines bool) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\r\n", "\n")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\n' && lines:
			return r
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, s))
}

// Send takes a report from an address.
func (d *Desk) Send(ctx context.Context, r Report, address string) (*Report, error) {
	r.Page, r.Tool, r.Name, r.Email, r.Text = clean(r.Page, false), clean(r.Tool, false), clean(r.Name, false), clean(r.Email, false), clean(r.Text, true)
	wrong := map[string]string{}
	for name, v := range map[string]string{"page": r.Page, "tool": r.Tool, "name": r.Name, "email": r.Email} {
		if utf8.RuneCountInString(v) > maxLine {
			wrong[name] = "long"
		}
	}
	switch n := utf8.RuneCountInString(r.Text); {
	case n == 0:
		wrong["text"] = "required"
	case n > MaxText:
		wrong["text"] = "long"
	}
	if r.Email != "" && !person.IsEmail(r.Email) {
		wrong["email"] = "email"
	}
	if len(wrong) > 0 {
		return nil, &FieldsError{wrong}
	}
	if ok, wait := d.limiter.Allow(limit.Caller(address)); !ok {
		return nil, &TooSoonError{wait}
	}
	public, err := d.Enti.Public(ctx, r.Ente)
	if err != nil {
		return nil, err
	}
	now := d.now().UTC()
	r.ID, r.Created = store.NewID(), now
	r.Due = now.In(register.Rome()).AddDate(0, 0, Days).Format(time.DateOnly)
	err = d.Store.Tx(ctx, func(tx *sql.Tx) error {
		var today, lately int
		err := tx.QueryRowContext(ctx, "SELECT coalesce(max(number), 0) + 1, coalesce(sum(CASE WHEN created > ? THEN 1 ELSE 0 END), 0), coalesce(sum(CASE WHEN created > ? THEN 1 ELSE 0 END), 0) FROM feedback WHERE ente = ?",
			store.Time(now.AddDate(0, 0, -1)), store.Time(now.Add(-mailEvery)), r.Ente).Scan(&r.Number, &today, &lately)
		if err != nil {
			return err
		}
		if today >= perDay {
			return ErrFull
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO feedback (id, ente, number, page, content, tool, name, email, created, due) VALUES (?,?,?,?,?,?,?,?,?,?)",
			r.ID, r.Ente, r.Number, r.Page, r.Text, r.Tool, r.Name, r.Email, store.Time(now), r.Due); err != nil {
			return err
		}
		if lately > 0 {
			return nil
		}
		return mail.Queue(ctx, tx, mail.Message{Ente: r.Ente, To: public.FeedbackTo(), Kind: mail.FeedbackReceived, Number: fmt.Sprint(r.Number), Link: "/consolleente/accessibilita"}, now)
	})
	if err != nil {
		return nil, fmt.Errorf("feedback: %w", err)
	}
	return &r, nil
}

const columns = "id, ente, number, page, content, tool, name, email, created, due, answered, answer, operator"

func scan(row store.Row) (*Report, error) {
	var r Report
	var created, answered string
	err := row.Scan(&r.ID, &r.Ente, &r.Number, &r.Page, &r.Text, &r.Tool, &r.Name, &r.Email, &created, &r.Due, &answered, &r.Answer, &r.Operator)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("feedback: %w", err)
	}
	r.Created, r.Answered = store.ParseTime(created), store.ParseTime(answered)
	return &r, nil
}

// Get reads one by its id, for who wrote it.
func (d *Desk) Get(ctx context.Context, ente, id string) (*Report, error) {
	return scan(d.Store.QueryRowContext(ctx, "SELECT "+columns+" FROM feedback WHERE ente = ? AND id = ?", ente, id))
}

// ByNumber reads one of the operator's ente.
func (d *Desk) ByNumber(ctx context.Context, a role.Actor, number int) (*Report, error) {
	if err := role.Check(a, a.Ente, role.RoutingRead); err != nil {
		return nil, err
	}
	return scan(d.Store.QueryRowContext(ctx, "SELECT "+columns+" FROM feedback WHERE ente = ? AND number = ?", a.Ente, number))
}

// List gives the operator's ente's: those without an answer first, by the day that they are due.
func (d *Desk) List(ctx context.Context, a role.Actor) ([]*Report, error) {
	if err := role.Check(a, a.Ente, role.RoutingRead); err != nil {
		return nil, err
	}
	rows, err := d.Store.QueryContext(ctx, "SELECT "+columns+" FROM feedback WHERE ente = ? ORDER BY CASE WHEN answered = '' THEN 0 ELSE 1 END, due, number LIMIT 1000", a.Ente)
	return store.All(rows, err, scan)
}

// Answer answers one, once, and mails who wrote it that it is there.
func (d *Desk) Answer(ctx context.Context, a role.Actor, number int, text string) error {
	if err := role.Check(a, a.Ente, role.RoutingWrite); err != nil {
		return err
	}
	text = clean(text, true)
	switch n := utf8.RuneCountInString(text); {
	case n == 0:
		return &FieldsError{map[string]string{"answer": "required"}}
	case n > MaxText:
		return &FieldsError{map[string]string{"answer": "long"}}
	}
	return d.Store.Tx(ctx, func(tx *sql.Tx) error {
		r, err := scan(tx.QueryRowContext(ctx, "SELECT "+columns+" FROM feedback WHERE ente = ? AND number = ?", a.Ente, number))
		if err != nil {
			return err
		}
		if !r.Answered.IsZero() {
			return ErrState
		}
		now := d.now().UTC()
		if _, err := tx.ExecContext(ctx, "UPDATE feedback SET answered = ?, answer = ?, operator = ? WHERE id = ?", store.Time(now), text, a.Operator, r.ID); err != nil {
			return fmt.Errorf("feedback: %w", err)
		}
		if err := mail.Queue(ctx, tx, mail.Message{Ente: a.Ente, To: r.Email, Kind: mail.FeedbackAnswered, Number: fmt.Sprint(r.Number), Link: "/accessibilita/" + r.ID}, now); err != nil {
			return err
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: a.Ente, Kind: audit.FeedbackAnswered, Detail: map[string]string{"number": fmt.Sprint(r.Number)}}.By(a))
	})
}
