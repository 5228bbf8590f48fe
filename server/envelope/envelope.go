// Package envelope is the busta: a sealed envelope with a user name and a PIN that an
// ente's desk hands out against an identity document. Only a hash of the PIN is kept; it
// opens nothing before it is handed out, and its first use also asks a code that the
// holder got at hand-out.
package envelope

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/credential"
	"github.com/citel-pa/citel/server/delay"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
)

// State of an envelope.
type State string

// The states.
const (
	Void      State = "void"       // never to be used: torn, not confirmed as printed, ten wrong activations
	Printed   State = "printed"    //
	Sent      State = "sent"       // by post: counts as handed out
	HandedOut State = "handed-out" //
	Active    State = "active"     // its holder uses it
	Suspended State = "suspended"
	Revoked   State = "revoked"
	Expired   State = "expired"
)

// States are all of them.
var States = []State{Void, Printed, Sent, HandedOut, Active, Suspended, Revoked, Expired}

// next is the whole machine: from a state to those that can follow.
var next = map[State][]State{
	Printed:   {Sent, HandedOut, Void},
	Sent:      {Active, Void, Revoked, Expired}, // a hand-out is undone only by revoking; Void is for ten wrong activations
	HandedOut: {Active, Void, Revoked, Expired},
	Active:    {Suspended, Revoked, Expired},
	Suspended: {Active, Revoked, Expired},
}

// Can tells whether a state can follow another.
func Can(from, to State) bool { return slices.Contains(next[from], to) }

// Document is what somebody shows, or copies for a request by post.
type Document struct {
	Kind    string `json:"kind"` // of DocumentKinds
	Number  string `json:"number"`
	Issuer  string `json:"issuer"`
	Issued  string `json:"issued"`  // gg-mm-aaaa
	Expires string `json:"expires"` // gg-mm-aaaa
}

// DocumentKinds are identity documents and their equivalents (DPR 445/2000, art. 35, comma 2). Each
// has a name, "desk.document-<kind>".
var DocumentKinds = []string{"identity-card", "passport", "driving-licence", "boat-licence", "pension-book", "boiler-licence", "firearms-licence", "state-card"}

// String is how the log names it.
func (d Document) String() string {
	return fmt.Sprintf("%s %s, %s, %s/%s", d.Kind, d.Number, d.Issuer, d.Issued, d.Expires)
}

// Envelope is one, as a desk sees it.
type Envelope struct {
	Code       string
	Ente       string
	Batch      string
	Confirmed  bool // its batch was printed well
	PrintedBy  int64
	State      State
	Username   string
	Failures   int // wrong activations
	Person     int64
	Document   Document
	Title      string // a company's representative's
	HandedBy   int64
	Handed     time.Time
	Credential string
	Activated  time.Time
	Reason     string // of the last change by hand
	Changed    time.Time
	Expires    time.Time // handed out and not activated until then
}

// Errors of this room. Each of those about a release is a screen with its next step,
// "desk.envelope-<code>" (Code).
var (
	ErrMistyped     = errors.New("envelope: the code's check digit is wrong")
	ErrNotFound     = errors.New("envelope: there is no such envelope")
	ErrOtherEnte    = errors.New("envelope: another ente's")
	ErrNotConfirmed = errors.New("envelope: its batch was not confirmed as printed")
	ErrVoid         = errors.New("envelope: void")
	ErrUsed         = errors.New("envelope: handed out already")
	ErrPrinter      = errors.New("envelope: who printed it cannot hand it out")
	ErrSelf         = errors.New("envelope: nobody releases to oneself")
	ErrDead         = errors.New("envelope: the holder is dead")
	ErrHasMedia     = errors.New("envelope: the person has a credential of this ente") // Replace says yes to that
	ErrState        = errors.New("envelope: not possible in this state")
	ErrReason       = errors.New("envelope: a reason is needed")
	ErrSize         = errors.New("envelope: a batch has 1 to 200 envelopes")
	// ErrRefused: the activation is wrong. It does not tell what.
	ErrRefused = errors.New("envelope: refused")
)

// Code is the stable name of an error of this package, "internal" for others.
func Code(err error) string {
	for _, c := range []struct {
		err  error
		code string
	}{
		{ErrMistyped, "mistyped"}, {ErrNotFound, "not-found"}, {ErrOtherEnte, "other-ente"}, {ErrNotConfirmed, "not-confirmed"}, {ErrVoid, "void"},
		{ErrUsed, "used"}, {ErrPrinter, "printer"}, {ErrSelf, "self"}, {ErrDead, "dead"}, {ErrHasMedia, "has-media"}, {ErrState, "state"},
		{ErrReason, "reason"}, {ErrSize, "size"}, {ErrRefused, "refused"},
	} {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	return "internal"
}

// Desk keeps the envelopes.
type Desk struct {
	Store       *store.Store
	Audit       *audit.Log
	Keys        *keys.Ring
	Enti        *ente.Directory
	Credentials *credential.Desk
	Guard       *delay.Guard
	// Sessions of the realm Portal, for activations.
	Sessions *session.Manager
	Now      func() time.Time
}

func (d *Desk) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

const columns = `envelope.code, envelope.ente, envelope.batch, batch.confirmed <> '', batch.printed_by, envelope.state, envelope.username, envelope.failures,
	coalesce(envelope.person, 0), envelope.document, envelope.title, coalesce(envelope.handed_by, 0), envelope.handed, envelope.credential, envelope.activated,
	envelope.reason, envelope.changed, envelope.expires FROM envelope JOIN batch ON batch.id = envelope.batch`

func scan(row store.Row) (*Envelope, error) {
	var e Envelope
	var document, handed, activated, changed, expires string
	err := row.Scan(&e.Code, &e.Ente, &e.Batch, &e.Confirmed, &e.PrintedBy, &e.State, &e.Username, &e.Failures, &e.Person, &document, &e.Title,
		&e.HandedBy, &handed, &e.Credential, &activated, &e.Reason, &changed, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("envelope: %w", err)
	}
	e.Handed, e.Activated, e.Changed, e.Expires = store.ParseTime(handed), store.ParseTime(activated), store.ParseTime(changed), store.ParseTime(expires)
	if document != "" {
		if err := json.Unmarshal([]byte(document), &e.Document); err != nil {
			return nil, fmt.Errorf("envelope: %w", err)
		}
	}
	return &e, nil
}

type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func get(ctx context.Context, q querier, code string) (*Envelope, error) {
	return scan(q.QueryRowContext(ctx, "SELECT "+columns+" WHERE envelope.code = ?", code))
}

// Open reads an envelope of the operator's ente by its code as typed. One of another ente
// is told apart (ErrOtherEnte), and nothing more of it.
func (d *Desk) Open(ctx context.Context, a role.Actor, typed string) (*Envelope, error) {
	if err := role.Check(a, a.Ente, role.EnvelopesRead); err != nil {
		return nil, err
	}
	return d.own(ctx, d.Store, a, typed)
}

func (d *Desk) own(ctx context.Context, q querier, a role.Actor, typed string) (*Envelope, error) {
	code, err := ParseCode(typed)
	if err != nil {
		return nil, err
	}
	e, err := get(ctx, q, code)
	if err == nil && e.Ente != a.Ente {
		return nil, ErrOtherEnte
	}
	return e, err
}

// Query of List.
type Query struct {
	State State
	Batch string
	After string // the last code of the page before
}

// PageSize of lists.
const PageSize = 50

// List gives the envelopes of the operator's ente (Elenco credenziali in busta).
func (d *Desk) List(ctx context.Context, a role.Actor, q Query) ([]*Envelope, error) {
	if err := role.Check(a, a.Ente, role.EnvelopesRead); err != nil {
		return nil, err
	}
	where, args := "envelope.ente = ? AND envelope.code > ?", []any{a.Ente, q.After}
	if q.State != "" {
		where += " AND envelope.state = ?"
		args = append(args, string(q.State))
	}
	if q.Batch != "" {
		where += " AND envelope.batch = ?"
		args = append(args, q.Batch)
	}
	rows, err := d.Store.QueryContext(ctx, "SELECT "+columns+" WHERE "+where+" ORDER BY envelope.code LIMIT ?", append(args, PageSize)...) //nolint:gosec // our own words; values are arguments
	return store.All(rows, err, scan)
}

// Change voids (torn; only what was not handed out), suspends, resumes or revokes an
// envelope by hand, with a reason. With an active one its credential changes too.
func (d *Desk) Change(ctx context.Context, a role.Actor, typed string, to State, reason string) error {
	if err := role.Check(a, a.Ente, role.EnvelopesState); err != nil {
		return err
	}
	if reason = strings.TrimSpace(reason); reason == "" || len(reason) > 500 {
		return ErrReason
	}
	return d.Store.Tx(ctx, func(tx *sql.Tx) error {
		e, err := d.own(ctx, tx, a, typed)
		if err != nil {
			return err
		}
		ok := to == Void && e.State == Printed || to == Suspended || to == Revoked || to == Active && e.State == Suspended
		if !ok || !Can(e.State, to) {
			return ErrState
		}
		if e.Credential != "" {
			c, err := credential.Get(ctx, tx, e.Credential)
			if err != nil {
				return err
			}
			if err := d.notOwn(ctx, tx, a, e.Person); err != nil {
				return err
			}
			if err := d.Credentials.SetStateTx(ctx, tx, a, c, credential.State(to), reason); err != nil {
				return err
			}
		}
		if err := d.set(ctx, tx, e.Code, to, reason); err != nil {
			return err
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: a.Ente, Kind: audit.EnvelopeState, PersonID: e.Person, Credential: e.Credential, Detail: map[string]string{
			"envelope": e.Code, "from": string(e.State), "to": string(to),
		}, Personal: map[string]string{"reason": reason}}.By(a))
	})
}

func (d *Desk) notOwn(ctx context.Context, q querier, a role.Actor, who int64) error {
	var code string
	if err := q.QueryRowContext(ctx, "SELECT code FROM person WHERE id = ?", who).Scan(&code); err != nil {
		return fmt.Errorf("envelope: %w", err)
	}
	if code == a.Code {
		return ErrSelf
	}
	return nil
}

func (d *Desk) set(ctx context.Context, tx *sql.Tx, code string, to State, reason string) error {
	if _, err := tx.ExecContext(ctx, "UPDATE envelope SET state = ?, reason = ?, changed = ? WHERE code = ?", string(to), reason, store.Time(d.now()), code); err != nil {
		return fmt.Errorf("envelope: %w", err)
	}
	return nil
}
