package submission

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/citel-pa/citel/pkcs/bundle"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/report"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/verify"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
)

// told are the office's steps that the person is told of.
var told = []string{"message", "more", kindNotice, "answer", "close"}

// Told tells whether a step is a word of the office to the person.
func (s Step) Told() bool { return s.Operator != 0 && slices.Contains(told, s.Kind) }

// Message is a word of an office to a visitor.
type Message struct {
	Application *Application
	Step        Step
	Unread      bool
}

// reader is whose mark it is up to where something was read.
func (v Visitor) reader() string {
	if v.Person != nil {
		return "person:" + strconv.FormatInt(v.Person.ID, 10)
	}
	return "credential:" + v.Credential
}

// Inbox gives what offices wrote about a visitor's applications (List): what was not read
// first, then the newest.
func (d *Desk) Inbox(ctx context.Context, v Visitor) ([]Message, error) {
	all, err := d.List(ctx, v)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return d.inbox(ctx, v, all)
}

func (d *Desk) inbox(ctx context.Context, v Visitor, all []*Application) (out []Message, err error) {
	of, args := map[string]*Application{}, []any{v.reader()}
	for _, a := range all {
		of[a.ID], args = a, append(args, a.ID)
	}
	rows, err := d.Store.QueryContext(ctx, `SELECT s.application, s.n, s.time, s.kind, s.state, s.operator, s.office, s.content, coalesce(r.n, 0)
		FROM application_step s LEFT JOIN application_read r ON r.application = s.application AND r.reader = ?
		WHERE s.operator <> 0 AND s.kind IN ('message', 'more', 'notice', 'answer', 'close') AND s.application IN (?`+strings.Repeat(", ?", len(all)-1)+`) ORDER BY s.n DESC`, args...) //nolint:gosec // marks of parameters
	if err != nil {
		return nil, fmt.Errorf("submission: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var m Message
		var id, at string
		var n, read int
		if err := rows.Scan(&id, &n, &at, &m.Step.Kind, &m.Step.State, &m.Step.Operator, &m.Step.Office, &m.Step.Text, &read); err != nil {
			return nil, fmt.Errorf("submission: %w", err)
		}
		m.Application, m.Step.Time, m.Unread = of[id], store.ParseTime(at), n > read
		out = append(out, m)
	}
	slices.SortStableFunc(out, func(a, b Message) int {
		if a.Unread != b.Unread {
			if a.Unread {
				return -1
			}
			return 1
		}
		return b.Step.Time.Compare(a.Step.Time)
	})
	return out, rows.Err()
}

// Seen marks everything in an application that the visitor has read (Get) as read.
func (d *Desk) Seen(ctx context.Context, v Visitor, a *Application) error {
	_, err := d.Store.ExecContext(ctx, `INSERT INTO application_read (application, reader, n) SELECT ?, ?, coalesce(max(n), 0) FROM application_step WHERE application = ?
		ON CONFLICT (application, reader) DO UPDATE SET n = excluded.n WHERE application_read.n < excluded.n`, a.ID, v.reader(), a.ID)
	if err != nil {
		return fmt.Errorf("submission: %w", err)
	}
	return nil
}

// ToSign lists the applications of others that wait for the visitor's signature.
func (d *Desk) ToSign(ctx context.Context, v Visitor) (out []*Application, err error) {
	if v.Person == nil || v.Person.CodiceFiscale == "" {
		return nil, nil
	}
	all, err := d.query(ctx, "WHERE ente = ? AND office = '' AND state = 'to-sign' AND person <> ? AND fields LIKE ? ORDER BY created DESC LIMIT ?",
		v.Ente, v.Person.ID, `%"`+v.Person.CodiceFiscale+`"%`, Listed) // letters and digits: no sign of LIKE is in it
	for _, a := range all {
		if a.Actor() != v.Person.ID && d.cosigns(v, a) {
			out = append(out, a)
		}
	}
	return out, err
}

// Needs gives the level that an application's service needs, for a visitor who has not
// proved enough to be told whether it is theirs. It tells nothing else of it.
func (d *Desk) Needs(ctx context.Context, ente, id string) (session.Level, error) {
	var of string
	var version int
	err := d.Store.QueryRowContext(ctx, "SELECT service, version FROM application WHERE id = ? AND ente = ?", id, ente).Scan(&of, &version)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, ErrNotFound
	}
	if err != nil {
		return 0, fmt.Errorf("submission: %w", err)
	}
	s, err := d.Services.At(ctx, ente, of, version)
	if errors.Is(err, service.ErrNotFound) {
		return 0, ErrNotFound
	}
	if err != nil {
		return 0, err
	}
	return s.Needs(), nil
}

// Who are those whom an application names.
type Who struct {
	Owner    *person.Person // without a code where nobody has proved it
	Agent    *person.Person // nil: the owner
	Title    string         // of the mandate
	Operator string         // name, of an assisted one
}

// Who reads them.
func (d *Desk) Who(ctx context.Context, a *Application) (*Who, error) {
	owner, agent, err := d.people(ctx, a)
	if err != nil {
		return nil, err
	}
	w := &Who{Owner: owner, Agent: agent}
	if agent != nil {
		all, err := d.Mandates.Of(ctx, a.Ente, a.Agent)
		if err != nil {
			return nil, err
		}
		for _, m := range all {
			if m.ID == a.Mandate {
				w.Title = m.Title
			}
		}
	}
	if a.Operator != 0 {
		var given, family string
		if err := d.Store.QueryRowContext(ctx, "SELECT given, family FROM operator WHERE id = ?", a.Operator).Scan(&given, &family); err != nil {
			return nil, fmt.Errorf("submission: %w", err)
		}
		w.Operator = given + " " + family
	}
	return w, nil
}

// PauseEnds is the last day on which a term that stands still does so (L. 241/1990, art. 2
// c. 7); empty where it runs.
func (a *Application) PauseEnds() string {
	if a.Paused.IsZero() {
		return ""
	}
	return a.Paused.AddDate(0, 0, pauseDays).Format(time.DateOnly)
}

// To is where the person is written to; empty: nowhere.
func (a *Application) To() string { return a.recipient() }

// Evidence writes what the verdict on the n-th signed file (from 1) rests on, as a bundle
// that anybody judges again offline (pkcs/bundle): the file, the chain, what is known of
// revocation, policy and report, for the time at which it was received.
func (d *Desk) Evidence(ctx context.Context, a *Application, n int, lang message.Lang, w io.Writer) error {
	signed, f, err := d.SignedFile(ctx, a, n)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxSigned+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("submission: %w", err)
	}
	sum := sha256.Sum256(data)
	b := &bundle.Bundle{Lang: lang, Policy: d.Policy, Time: signed.Time, Clock: d.now(), Store: d.Trust,
		Signed: bundle.Document{Name: fmt.Sprintf("istanza-%d.pdf.p7m", n), Reader: bytes.NewReader(data), SHA256: sum[:], Bytes: int64(len(data))}}
	b.Results, err = verify.Reader(ctx, bytes.NewReader(data), verify.Options{Store: d.Trust, Revocation: d.Revocation, Policy: d.Policy, Time: signed.Time,
		Seen: func(e trust.Evidence) { b.Evidence = append(b.Evidence, e) }})
	if err != nil {
		return fmt.Errorf("submission: %w", err)
	}
	if b.Report, err = bundle.ReportJSON(b.Results, lang); err != nil {
		return fmt.Errorf("submission: %w", err)
	}
	var page bytes.Buffer
	file := report.File{Name: b.Signed.Name, SHA256: sum[:], Results: b.Results}
	if err := report.New([]report.File{file}, report.Options{Lang: lang, Policy: d.Policy, Time: signed.Time}).HTML(&page); err != nil {
		return fmt.Errorf("submission: %w", err)
	}
	b.HTML = page.Bytes()
	if _, err := bundle.Write(w, b); err != nil {
		return fmt.Errorf("submission: %w", err)
	}
	return nil
}

// SignedFile opens the n-th signed file, from 1, byte for byte as it came.
func (d *Desk) SignedFile(ctx context.Context, a *Application, n int) (*Signature, io.ReadCloser, error) {
	all, err := d.Signatures(ctx, a)
	if err != nil {
		return nil, nil, err
	}
	if n < 1 || n > len(all) {
		return nil, nil, ErrNotFound
	}
	f, err := d.Store.OpenFile(ctx, all[n-1].File)
	return all[n-1], f, err
}
