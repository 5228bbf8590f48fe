package person

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/foureyes"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
)

// Desk is what operators do with accounts.
type Desk struct {
	Store *store.Store
	Audit *audit.Log
	Enti  *ente.Directory
	Four  *foureyes.Desk
	Now   func() time.Time
}

func (d *Desk) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

// related is when an ente has to do with a person: it released a credential, got an
// application, or holds a record. One parameter, the ente, four times.
const related = `(EXISTS (SELECT 1 FROM record r WHERE r.person = person.id AND r.ente = ?)
	OR EXISTS (SELECT 1 FROM credential c WHERE c.person = person.id AND c.ente = ? AND c.kind = 'media')
	OR EXISTS (SELECT 1 FROM envelope e WHERE e.person = person.id AND e.ente = ?)
	OR EXISTS (SELECT 1 FROM (SELECT person, ente FROM submission UNION ALL SELECT person, ente FROM application WHERE sent <> '') s WHERE s.person = person.id AND s.ente = ?))`

// Visible reads an account that the operator's ente has to do with.
func (d *Desk) Visible(ctx context.Context, a role.Actor, id int64) (*Person, error) {
	if err := role.Check(a, a.Ente, role.UsersRead); err != nil {
		return nil, err
	}
	return scan(d.Store.QueryRowContext(ctx, "SELECT "+columns+" FROM person WHERE id = ? AND "+related, id, a.Ente, a.Ente, a.Ente, a.Ente))
}

// OldCode is a code that a person had.
type OldCode struct {
	Code, Document, Reason string
	Until                  time.Time
}

// File is what the desk shows of a person: account, the own ente's record, old codes.
type File struct {
	Person *Person
	Record *Record // nil: the own ente has none
	Old    []OldCode
}

// Open shows a person's file (Visualizza stato utente). That it was opened is logged, and
// the person sees it.
func (d *Desk) Open(ctx context.Context, a role.Actor, id int64) (*File, error) {
	p, err := d.Visible(ctx, a, id)
	if err != nil {
		return nil, err
	}
	f := &File{Person: p}
	if f.Record, err = RecordOf(ctx, d.Store, id, a.Ente); err != nil {
		return nil, err
	}
	if f.Old, err = d.old(ctx, id, a.Ente); err != nil {
		return nil, err
	}
	return f, d.Audit.Write(ctx, audit.Event{Ente: a.Ente, Kind: audit.PersonRead, PersonID: id, Person: p.CodiceFiscale}.By(a))
}

func (d *Desk) old(ctx context.Context, id int64, of string) ([]OldCode, error) {
	rows, err := d.Store.QueryContext(ctx, "SELECT code, CASE WHEN ente = ? THEN document ELSE '' END, CASE WHEN ente = ? THEN reason ELSE '' END, until FROM person_code WHERE person = ? ORDER BY id", of, of, id)
	return store.All(rows, err, func(row store.Row) (OldCode, error) {
		var o OldCode
		var until string
		if err := row.Scan(&o.Code, &o.Document, &o.Reason, &until); err != nil {
			return o, fmt.Errorf("person: %w", err)
		}
		o.Until = store.ParseTime(until)
		return o, nil
	})
}

// Query of Search. Empty fields ask nothing; names are taken by their beginning, as they
// are written.
type Query struct {
	Code, Family, Given string
	After               int64 // the last id of the page before
}

// PageSize of lists.
const PageSize = 50

// Search lists accounts that the operator's ente has to do with (Elenco utenti), by id; a
// full page has PageSize of them. A code that somebody had before finds the person too.
func (d *Desk) Search(ctx context.Context, a role.Actor, q Query) ([]*Person, error) {
	if err := role.Check(a, a.Ente, role.UsersRead); err != nil {
		return nil, err
	}
	where, args := related+" AND id > ?", []any{a.Ente, a.Ente, a.Ente, a.Ente, q.After}
	if c := strings.ToUpper(tidy(q.Code)); c != "" {
		where += " AND (code = ? OR EXISTS (SELECT 1 FROM person_code o WHERE o.person = person.id AND o.code = ?))"
		args = append(args, c, c)
	}
	for column, v := range map[string]string{"family": tidy(q.Family), "given": tidy(q.Given)} {
		if v != "" {
			where += " AND lower(" + column + ") LIKE lower(?) ESCAPE '\\'"
			args = append(args, store.Like(v))
		}
	}
	rows, err := d.Store.QueryContext(ctx, "SELECT "+columns+" FROM person WHERE "+where+" ORDER BY id LIMIT ?", append(args, PageSize)...) //nolint:gosec // our own words; values are arguments
	return store.All(rows, err, scan)
}

// Precedent is what "Verifica Precedenti" tells.
type Precedent struct {
	Exists bool    // an account with this code is there, wherever
	Here   *Person // the account, where the own ente has to do with it
	Dead   bool    // told where Here is
}

// Precedents tells whether an account with a code exists, without telling where or what:
// only a person who may hand envelopes out asks, and that it was asked is logged.
func (d *Desk) Precedents(ctx context.Context, a role.Actor, k Kind, code string) (Precedent, error) {
	if err := role.Check(a, a.Ente, role.EnvelopesHandOut); err != nil {
		return Precedent{}, err
	}
	cf, err := profile.ParseCodiceFiscale(code)
	if err != nil {
		return Precedent{}, err
	}
	p, err := ByCode(ctx, d.Store, k, string(cf))
	var out Precedent
	if err == nil {
		out.Exists = true
		var n int
		if err := d.Store.QueryRowContext(ctx, "SELECT count(*) FROM person WHERE id = ? AND "+related, p.ID, a.Ente, a.Ente, a.Ente, a.Ente).Scan(&n); err != nil {
			return Precedent{}, fmt.Errorf("person: %w", err)
		}
		if n > 0 {
			out.Here, out.Dead = p, !p.Dead.IsZero()
		}
	} else if !errors.Is(err, ErrNotFound) {
		return Precedent{}, err
	}
	return out, d.Audit.Write(ctx, audit.Event{Ente: a.Ente, Kind: audit.PersonRead, Person: string(cf), Detail: map[string]string{"precedents": fmt.Sprint(out.Exists)}}.By(a))
}

// CodeChange is an act of the desk: a person has another codice fiscale.
type CodeChange struct {
	Person   int64  `json:"person"`
	Code     string `json:"code"`
	Document string `json:"document"` // against which
	Reason   string `json:"reason"`
}

// Errors of acts on accounts.
var (
	ErrCodeTaken = errors.New("person: the code is another account's")
	ErrReason    = errors.New("person: a document and a reason are needed")
	ErrSelf      = errors.New("person: nobody does this to the own account")
)

// ChangeCode changes a person's code. Where the ente has four eyes on, the act waits
// (foureyes.ErrPending) until a second operator confirms it.
func (d *Desk) ChangeCode(ctx context.Context, a role.Actor, c CodeChange) error {
	if err := role.Check(a, a.Ente, role.UsersCode); err != nil {
		return err
	}
	p, err := d.Visible(ctx, a, c.Person)
	if err != nil {
		return err
	}
	cf, err := profile.ParseCodiceFiscale(c.Code)
	if err != nil {
		return err
	}
	c.Code, c.Document, c.Reason = string(cf), tidy(c.Document), tidy(c.Reason)
	if c.Document == "" || c.Reason == "" || len(c.Document)+len(c.Reason) > 1000 {
		return ErrReason
	}
	if p.CodiceFiscale == a.Code || c.Code == a.Code {
		return ErrSelf
	}
	e, err := d.Enti.Get(ctx, a.Ente)
	if err != nil {
		return err
	}
	err = d.Store.Tx(ctx, func(tx *sql.Tx) error {
		if e.FourEyes {
			return d.Four.Ask(ctx, tx, a, a.Ente, foureyes.CodeChanged, p.Name()+", "+p.CodiceFiscale+" -> "+c.Code, c)
		}
		return d.changeCode(ctx, tx, c, a, a)
	})
	if err == nil && e.FourEyes {
		return foureyes.ErrPending
	}
	return err
}

func (d *Desk) changeCode(ctx context.Context, tx *sql.Tx, c CodeChange, first, second role.Actor) error {
	p, err := Get(ctx, tx, c.Person)
	if err != nil {
		return err
	}
	if p.CodiceFiscale == second.Code || c.Code == second.Code {
		return ErrSelf
	}
	now := d.now()
	_, err = tx.ExecContext(ctx, "INSERT INTO person_code (person, code, until, ente, operator, document, reason) VALUES (?,?,?,?,?,?,?)",
		p.ID, p.CodiceFiscale, store.Time(now), first.Ente, first.Operator, c.Document, c.Reason)
	if err != nil {
		return fmt.Errorf("person: %w", err)
	}
	_, err = tx.ExecContext(ctx, "UPDATE person SET code = ? WHERE id = ?", c.Code, p.ID)
	if store.IsUnique(err) {
		return fmt.Errorf("%w: %w", ErrCodeTaken, err)
	}
	if err != nil {
		return fmt.Errorf("person: %w", err)
	}
	// A session knows the account by its id, but what it shows is of the old code.
	if _, err := tx.ExecContext(ctx, "DELETE FROM session WHERE person = ?", p.ID); err != nil {
		return fmt.Errorf("person: %w", err)
	}
	return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: first.Ente, Kind: audit.CodeChanged, PersonID: p.ID, Person: c.Code,
		Personal: map[string]string{"before": p.CodiceFiscale, "document": c.Document, "reason": c.Reason, "asked-by": first.Code}}.By(second))
}

// Action is what four-eyes runs for a change of a code.
func (d *Desk) Action() foureyes.Action {
	return foureyes.Action{Permission: role.UsersCode, Run: func(ctx context.Context, tx *sql.Tx, payload []byte, first, second role.Actor) error {
		var c CodeChange
		if err := json.Unmarshal(payload, &c); err != nil {
			return fmt.Errorf("person: %w", err)
		}
		return d.changeCode(ctx, tx, c, first, second)
	}}
}

// SetDead writes a death down, or takes it back: the account's credentials open nothing
// from then on (credential.Desk looks).
func (d *Desk) SetDead(ctx context.Context, a role.Actor, id int64, dead bool, document string) error {
	if err := role.Check(a, a.Ente, role.UsersCode); err != nil {
		return err
	}
	p, err := d.Visible(ctx, a, id)
	if err != nil {
		return err
	}
	if document = tidy(document); document == "" || len(document) > 500 {
		return ErrReason
	}
	at := ""
	if dead {
		at = store.Time(d.now())
	}
	return d.Store.Tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "UPDATE person SET dead = ? WHERE id = ?", at, id); err != nil {
			return fmt.Errorf("person: %w", err)
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM session WHERE person = ?", id); err != nil {
			return fmt.Errorf("person: %w", err)
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: a.Ente, Kind: audit.PersonChanged, PersonID: id, Person: p.CodiceFiscale,
			Detail: map[string]string{"dead": fmt.Sprint(dead)}, Personal: map[string]string{"document": document}}.By(a))
	})
}

// Write changes the own ente's record of a person who is known to it.
func (d *Desk) Write(ctx context.Context, a role.Actor, id int64, r Record) error {
	if err := role.Check(a, a.Ente, role.EnvelopesHandOut); err != nil {
		return err
	}
	p, err := d.Visible(ctx, a, id)
	if err != nil {
		return err
	}
	if p.CodiceFiscale == a.Code {
		return ErrSelf
	}
	return d.Store.Tx(ctx, func(tx *sql.Tx) error {
		if err := Keep(ctx, tx, id, a.Ente, r, d.now()); err != nil {
			return err
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: a.Ente, Kind: audit.PersonChanged, PersonID: id, Person: p.CodiceFiscale}.By(a))
	})
}
