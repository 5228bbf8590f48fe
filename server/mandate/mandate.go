// Package mandate is who may act for whom: a parent for a child, a guardian for a ward, a
// representative for a company, whoever was asked for whoever asked. A mandate has a
// title, a scope, a beginning, an end and a proof, and ends at once when it is revoked.
package mandate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/server/attachment"
	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/foureyes"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/store"
)

// Kind of a mandate.
type Kind string

// The kinds.
const (
	Minor    Kind = "minor"    // a child, until it is of age
	Ward     Kind = "ward"     // somebody under guardianship
	Company  Kind = "company"  // a company, which has no card
	Delegate Kind = "delegate" // a person of age who asked for it
)

// State of a mandate.
type State string

// The states.
const (
	Asked   State = "asked"
	Active  State = "active"
	Refused State = "refused"
	Revoked State = "revoked"
)

// Mandate is one.
type Mandate struct {
	ID               string
	Ente             string
	Kind             Kind
	Principal, Agent int64
	Title            string   // parent, guardian, legal representative, ...
	Scope            []string // services; none: all that allow it
	Since, Until     string   // days of Rome; no Until: until it is revoked
	Proof            string   // what the desk saw, or "online"
	State            State
	AskedBy          int64
	Operator         int64
	Created, Changed time.Time
	Reason           string
}

// Covers tells whether a mandate holds for a service on a day.
func (m *Mandate) Covers(service string, at time.Time) bool {
	return m.Holds(at) && (len(m.Scope) == 0 || slices.Contains(m.Scope, service))
}

// Holds tells whether a mandate holds on a day, for whatever its scope is.
func (m *Mandate) Holds(at time.Time) bool {
	day := at.In(register.Rome()).Format(time.DateOnly)
	return m.State == Active && m.Since <= day && (m.Until == "" || day <= m.Until)
}

// Desk keeps mandates.
type Desk struct {
	Store *store.Store
	Audit *audit.Log
	Enti  *ente.Directory
	Four  *foureyes.Desk
	// Scanner looks at proofs; nil: none is configured.
	Scanner attachment.Scanner
	Limits  attachment.Limits
	Now     func() time.Time
}

func (d *Desk) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

// Errors of this room.
var (
	ErrNotFound = errors.New("mandate: not found")
	// ErrInvalid: a value that cannot be; the text says which.
	ErrInvalid = errors.New("mandate: not a usable value")
	// ErrState: what is asked cannot follow what the mandate is.
	ErrState = errors.New("mandate: it is not in the state for this")
	// ErrLevel: to give power over one's own affairs needs a card.
	ErrLevel = errors.New("mandate: the level is too low")
	// ErrTooMany: too much is asked and not decided.
	ErrTooMany = errors.New("mandate: too many are waiting")
	// ErrThere: between the two there is one of the kind, asked or in force.
	ErrThere = errors.New("mandate: there is one already")
	// ErrProof: what stands in for the other one's yes is missing.
	ErrProof = errors.New("mandate: a proof is needed")
	// ErrSelf: an operator decides about no mandate in which the own person is.
	ErrSelf = errors.New("mandate: nobody does this to the own account")
	// ErrReason: a reason of 3 characters at least is needed.
	ErrReason = errors.New("mandate: a reason is needed")
)

// InvalidError is an ErrInvalid with a stable code, whose sentence is
// "mandate.invalid-<code>" in the catalogue.
type InvalidError struct{ Code, What string }

// Error says what cannot be.
func (e *InvalidError) Error() string { return ErrInvalid.Error() + ": " + e.What }

// Is tells that it is an ErrInvalid.
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

func invalid(code, what string) error { return &InvalidError{code, what} }

// check looks at a mandate that is to be.
func (d *Desk) check(ctx context.Context, tx *sql.Tx, m *Mandate) error {
	if m.Principal == m.Agent {
		return invalid("self", "nobody acts for oneself by a mandate")
	}
	principal, err1 := person.Get(ctx, tx, m.Principal)
	agent, err2 := person.Get(ctx, tx, m.Agent)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	since, err := time.Parse(time.DateOnly, m.Since)
	if err != nil {
		return invalid("since", "the first day")
	}
	if m.Until != "" {
		if until, err := time.Parse(time.DateOnly, m.Until); err != nil || until.Before(since) {
			return invalid("until", "the last day is before the first")
		}
	}
	title := len([]rune(strings.TrimSpace(m.Title)))
	switch {
	case title < 3 || title > 100:
		return invalid("title", "the title, 3 to 100 characters")
	case m.Proof == "" || len(m.Proof) > 500:
		return invalid("proof", "the proof")
	case agent.Kind != person.Natural:
		return invalid("agent", "only a person acts")
	case m.State == Active && (!agent.Dead.IsZero() || !principal.Dead.IsZero()): // who asks is not told
		return invalid("dead", "one of the two has died")
	case (m.Kind == Company) != (principal.Kind == person.Corporate):
		return invalid("kind", "the kind does not fit who is acted for")
	case m.Kind != Minor && m.Kind != Ward && m.Kind != Company && m.Kind != Delegate:
		return invalid("kind", "the kind")
	}
	for _, s := range m.Scope {
		if s == "" || strings.ContainsAny(s, " \n") {
			return invalid("scope", "the scope")
		}
	}
	return d.age(principal, agent, m)
}

// age: who acts is of age; for a child the mandate ends the day before it is, whatever
// was written.
func (d *Desk) age(principal, agent *person.Person, m *Mandate) error {
	today := d.now().In(register.Rome())
	// Online nobody sees a document: a code that does not tell the age is the desk's.
	if born, ok := Born(agent.CodiceFiscale, today); ok && born.AddDate(18, 0, 0).After(today) || !ok && m.AskedBy != 0 && m.Operator == 0 {
		return invalid("age", "who acts is not of age")
	}
	if m.Kind != Minor && m.Kind != Delegate {
		return nil
	}
	born, ok := Born(principal.CodiceFiscale, today)
	switch {
	case !ok:
		return invalid("birth", "the birth is not known from the code")
	case m.Kind == Delegate && born.AddDate(18, 0, 0).After(today):
		return invalid("child", "a child delegates nobody: its parent or guardian acts")
	case m.Kind == Minor && !born.AddDate(18, 0, 0).After(today):
		return invalid("of-age", "who is acted for is of age")
	case m.Kind == Minor:
		if last := born.AddDate(18, 0, -1).Format(time.DateOnly); m.Until == "" || m.Until > last {
			m.Until = last
		}
	}
	return nil
}

// Born reads the birth out of a codice fiscale; a year of two digits is the last one that
// is not in the future.
func Born(code string, now time.Time) (time.Time, bool) {
	cf, err := profile.ParseCodiceFiscale(code)
	if err != nil {
		return time.Time{}, false
	}
	digits := []byte(cf)
	for _, i := range []int{6, 7, 9, 10} { // omocodia: letters for digits
		if k := strings.IndexByte("LMNPQRSTUV", digits[i]); k >= 0 {
			digits[i] = byte('0' + k)
		}
	}
	month := strings.IndexByte("ABCDEHLMPRST", digits[8])
	year, day := int(digits[6]-'0')*10+int(digits[7]-'0'), int(digits[9]-'0')*10+int(digits[10]-'0')
	if day > 40 {
		day -= 40
	}
	year += now.Year() / 100 * 100
	born := time.Date(year, time.Month(month+1), day, 0, 0, 0, 0, time.UTC)
	if born.After(now) {
		born = time.Date(year-100, time.Month(month+1), day, 0, 0, 0, 0, time.UTC)
	}
	return born, month >= 0 && born.Day() == day
}

func (d *Desk) insertTx(ctx context.Context, tx *sql.Tx, m *Mandate, e audit.Event) error {
	m.Created = d.now().UTC()
	m.Changed = m.Created
	if err := d.check(ctx, tx, m); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO mandate (id, ente, kind, principal, agent, title, scope, since, until, proof, state, asked_by, operator, created, changed)
			VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`, m.ID, m.Ente, string(m.Kind), m.Principal, m.Agent, m.Title, strings.Join(m.Scope, " "), m.Since, m.Until, m.Proof,
		string(m.State), m.AskedBy, m.Operator, store.Time(m.Created), store.Time(m.Changed))
	if err != nil {
		return err
	}
	return d.log(ctx, tx, m, e)
}

// log writes a row for each of the two, so that both see it in their own accesses.
func (d *Desk) log(ctx context.Context, tx *sql.Tx, m *Mandate, e audit.Event) error {
	e.Ente, e.Kind = m.Ente, audit.MandateChanged
	e.Detail = map[string]string{"mandate": m.ID, "kind": string(m.Kind), "state": string(m.State), "principal": fmt.Sprint(m.Principal), "agent": fmt.Sprint(m.Agent)}
	for _, p := range []int64{m.Principal, m.Agent} {
		e.PersonID = p
		if err := d.Audit.WriteTx(ctx, tx, e); err != nil {
			return err
		}
	}
	return nil
}

func (m *Mandate) revoke(reason string) error {
	if m.State != Active && m.State != Asked {
		return ErrState
	}
	m.State, m.Reason = Revoked, reason
	return nil
}

func (d *Desk) move(ctx context.Context, ente, id string, e audit.Event, f func(*Mandate) error, then func(*sql.Tx, *Mandate) error) error {
	return d.Store.Tx(ctx, func(tx *sql.Tx) error { return d.moveTx(ctx, tx, ente, id, e, f, then) })
}

func (d *Desk) moveTx(ctx context.Context, tx *sql.Tx, ente, id string, e audit.Event, f func(*Mandate) error, then func(*sql.Tx, *Mandate) error) error {
	m, err := scan(tx.QueryRowContext(ctx, "SELECT "+columns+" FROM mandate WHERE id = ? AND ente = ?", id, ente))
	if err != nil {
		return err
	}
	if err := f(m); err != nil {
		return err
	}
	if m.State == Active { // what was asked may have become impossible
		if err := d.check(ctx, tx, m); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, "UPDATE mandate SET state = ?, reason = ?, until = ?, proof = ?, operator = ?, changed = ? WHERE id = ?", string(m.State), m.Reason, m.Until, m.Proof, m.Operator, store.Time(d.now()), id); err != nil {
		return fmt.Errorf("mandate: %w", err)
	}
	return errors.Join(d.log(ctx, tx, m, e), then(tx, m))
}

const columns = "id, ente, kind, principal, agent, title, scope, since, until, proof, state, asked_by, operator, created, changed, reason"

func scan(row store.Row) (*Mandate, error) {
	var m Mandate
	var scope, created, changed string
	err := row.Scan(&m.ID, &m.Ente, &m.Kind, &m.Principal, &m.Agent, &m.Title, &scope, &m.Since, &m.Until, &m.Proof, &m.State, &m.AskedBy, &m.Operator, &created, &changed, &m.Reason)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("mandate: %w", err)
	}
	m.Scope, m.Created, m.Changed = strings.Fields(scope), store.ParseTime(created), store.ParseTime(changed)
	return &m, nil
}

// Listed is how many mandates a list has at most, the newest.
const Listed = 200

// Of lists the mandates in which a person is one of the two, newest first.
func (d *Desk) Of(ctx context.Context, ente string, who int64) ([]*Mandate, error) {
	rows, err := d.Store.QueryContext(ctx, "SELECT "+columns+" FROM mandate WHERE ente = ? AND (principal = ? OR agent = ?) ORDER BY created DESC LIMIT ?", ente, who, who, Listed)
	return store.All(rows, err, scan)
}

// Querier is a store or a transaction.
type Querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// For gives the mandate by which somebody acts in a service now. It is asked each time:
// one that was revoked a moment ago opens nothing.
func (d *Desk) For(ctx context.Context, q Querier, ente, id string, agent int64, service string) (*Mandate, error) {
	m, err := scan(q.QueryRowContext(ctx, "SELECT "+columns+" FROM mandate WHERE id = ? AND ente = ? AND agent = ?", id, ente, agent))
	if err != nil {
		return nil, err
	}
	if !m.Covers(service, d.now()) {
		return nil, ErrNotFound
	}
	return m, nil
}
