// Package denial notes in the log who was refused what: an operator without the right, or
// who asked for another ente's file; a citizen who asked for another person's. A level that
// is too low is none of that, for there the page leads on.
//
// Who is refused could go on and on to fill the log: the same is noted once in a while, and
// of one account, and from one network address, no more than so many an hour.
package denial

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/limit"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
)

// Why somebody was refused. Each has a sentence, "denial.<why>".
type Why string

// The reasons.
const (
	Right Why = "right" // an operator's roles do not have it
	Self  Why = "self"  // an operator decides nothing about the own affairs
	Other Why = "other" // it is another ente's, or another person's
)

// Kind is what was asked for. Each has a sentence, "denial.kind-<kind>".
type Kind string

// The kinds.
const (
	Application Kind = "application"
	Assisted    Kind = "assisted" // an application that an operator fills in: that operator's
	Archived    Kind = "archived" // of before services were data
	Mandate     Kind = "mandate"
	Credential  Kind = "credential"
	Person      Kind = "person"
	Operator    Kind = "operator"
	Envelope    Kind = "envelope"
	Batch       Kind = "batch"
	Pending     Kind = "pending"
	Resident    Kind = "resident"
	Import      Kind = "import"
	Call        Kind = "call"
	Report      Kind = "report"
)

// Who was refused: an operator, a person, or a credential that nobody has proved.
type Who struct {
	Ente       string // whose pages they were
	Operator   *role.Actor
	Person     int64
	Credential string
	Address    string
}

// Refusal is one. Page is the pattern of the address, never the address itself: what
// somebody typed into it is not for the log.
type Refusal struct {
	Why  Why
	Page string
	// Kind and Object name what was asked for, where the address names one. Of what is not
	// there at all nothing is noted but that a right was missing.
	Kind   Kind
	Object string
}

// How often: the same thing once in a while, and all of an account's and of an address's
// so many an hour.
const (
	sameEvery  = 10 * time.Minute
	anHour     = 30
	callerHour = 60
)

// Desk notes.
type Desk struct {
	Store *store.Store
	Audit *audit.Log
	Quota *limit.Quota
}

// Note writes a refusal into the log, or nothing where it says nothing new.
func (d *Desk) Note(ctx context.Context, w Who, r Refusal) error {
	name := fmt.Sprintf("person:%d:%s", w.Person, w.Credential)
	switch {
	case w.Operator != nil:
		name = fmt.Sprintf("operator:%d", w.Operator.Operator)
	case w.Person == 0 && w.Credential == "":
		return nil // nobody: who is not logged in is led to the login
	}
	err := d.Store.Tx(ctx, func(tx *sql.Tx) error {
		r := r
		if r.Object != "" {
			theirs, there, err := d.elsewhere(ctx, tx, w, r)
			if err != nil || r.Why == Other && !theirs {
				return err
			}
			if !there {
				r.Kind, r.Object = "", "" // only what is there has a name that is not somebody's typing
			}
		}
		of := limit.Rule{Name: "denial:" + name, Most: anHour, In: time.Hour}
		from := limit.Rule{Name: "denial-caller:" + limit.Caller(w.Address), Most: callerHour, In: time.Hour}
		same := limit.Rule{Name: "denial-same:" + name + ":" + string(r.Why) + ":" + r.Page + ":" + r.Object, Most: 1, In: sameEvery}
		// The last one that is noted says that it is.
		lastOf, lastFrom := of, from
		lastOf.Most, lastFrom.Most = anHour-1, callerHour-1
		var last *limit.OverError
		err := d.Quota.Over(ctx, tx, lastOf, lastFrom)
		if err != nil && !errors.As(err, &last) {
			return err
		}
		if err := d.Quota.Take(ctx, tx, same, of, from); err != nil {
			return err
		}
		e := audit.Event{Ente: w.Ente, Kind: audit.AccessDenied, PersonID: w.Person, Credential: w.Credential, Address: w.Address, Detail: map[string]string{"page": r.Page, "why": string(r.Why)}}
		if r.Object != "" {
			e.Detail[string(r.Kind)] = r.Object
		}
		if last != nil {
			e.Detail["last"] = "yes"
		}
		if w.Operator != nil {
			e = e.By(*w.Operator)
		}
		return d.Audit.WriteTx(ctx, tx, e)
	})
	var over *limit.OverError
	if errors.As(err, &over) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("denial: %w", err)
	}
	return nil
}

// objects find what is there by its id: a row with its ente, empty where it has none. The
// words are ours.
var objects = map[Kind]string{
	Application: "SELECT ente FROM application WHERE id = ?",
	Assisted:    "SELECT ente FROM application WHERE id = ?",
	Archived:    "SELECT ente FROM submission WHERE id = ?",
	Mandate:     "SELECT ente FROM mandate WHERE id = ?",
	Credential:  "SELECT '' FROM credential WHERE id = ?",
	Person:      "SELECT '' FROM person WHERE id = ?",
	Operator:    "SELECT ente FROM operator WHERE id = ?",
	Envelope:    "SELECT ente FROM envelope WHERE code = ?",
	Batch:       "SELECT ente FROM batch WHERE id = ?",
	Pending:     "SELECT ente FROM pending WHERE id = ?",
	Resident:    "SELECT ente FROM resident WHERE id = ?",
	Import:      "SELECT ente FROM resident_import WHERE id = ?",
	Call:        "SELECT ente FROM ranking_call WHERE id = ?",
	Report:      "SELECT ente FROM feedback WHERE id = ?",
}

// own count a citizen's own: of those something else was not found. Of an application its
// room has told that it is not the citizen's (submission.Desk.Owns).
var own = map[Kind]string{
	Archived:   "SELECT count(*) FROM submission WHERE id = ? AND person = ?",
	Mandate:    "SELECT count(*) FROM mandate WHERE id = ? AND ? IN (principal, agent)",
	Credential: "SELECT count(*) FROM credential WHERE id = ? AND person = ?",
}

// atDesk count an operator's own.
var atDesk = map[Kind]string{Assisted: "SELECT count(*) FROM application WHERE id = ? AND operator = ?"}

// shared are kinds of which the own ente's are not shown to every operator: what was not
// found there was another's.
var shared = []Kind{Assisted, Credential, Person}

// elsewhere tells whether what somebody did not get is there, and is not theirs: another
// person's for a citizen; for an operator another ente's, or one that the ente has nothing
// to do with.
func (d *Desk) elsewhere(ctx context.Context, tx *sql.Tx, w Who, r Refusal) (theirs, there bool, err error) {
	query := objects[r.Kind]
	if query == "" {
		return false, false, fmt.Errorf("no such kind: %q", r.Kind)
	}
	var id any = r.Object
	if r.Kind == Person || r.Kind == Operator {
		n, err := strconv.ParseInt(r.Object, 10, 64)
		if err != nil {
			return false, false, nil
		}
		id = n
	}
	var ente string
	err = tx.QueryRowContext(ctx, query, id).Scan(&ente)
	if errors.Is(err, sql.ErrNoRows) {
		return false, false, nil
	}
	if err != nil {
		return false, false, err
	}
	mine, who := own[r.Kind], w.Person
	if w.Operator != nil {
		mine, who = atDesk[r.Kind], w.Operator.Operator
	}
	if mine != "" {
		var n int
		if err := tx.QueryRowContext(ctx, mine, r.Object, who).Scan(&n); err != nil || n > 0 {
			return false, true, err
		}
	}
	return w.Operator == nil || ente != w.Ente || slices.Contains(shared, r.Kind), true, nil
}
