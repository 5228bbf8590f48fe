package submission

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/server/attachment"
	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/delay"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/limit"
	"github.com/citel-pa/citel/server/mandate"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/resident"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/seal"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
)

// Desk is where applications whose service is data are filled in, sent and answered, in
// every ente. (Office is the way of the first service, until its pages are the new ones.)
type Desk struct {
	Store      *store.Store
	Keys       *keys.Ring
	Audit      *audit.Log
	Enti       *ente.Directory
	Services   *service.Desk
	Mandates   *mandate.Desk
	Residents  *resident.Desk
	Register   *register.Desk
	Seals      *seal.Desk
	Guard      *delay.Guard
	Quota      *limit.Quota
	Bounds     Bounds
	Trust      *trust.Store
	Revocation *trust.Revocation
	Policy     *validation.Policy
	// Scanner looks at attachments; nil: none is configured, and what passed the checks of
	// its content is opened.
	Scanner attachment.Scanner
	Limits  attachment.Limits
	// Outside are protocol systems by ente; who has one does not use the register here.
	Outside map[string]Outside
	Log     *slog.Logger
	Now     func() time.Time
}

func (d *Desk) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

// State of an application.
type State string

// The states. From "sent" on an application is the office's, and nothing in it changes.
const (
	StateDraft     State = "draft"
	StateToSign    State = "to-sign"  // the document is made, signatures are waited for
	StateToCheck   State = "to-check" // sent; a certificate could not be asked about
	StateSent      State = "sent"
	StateInCharge  State = "in-charge"
	StateMore      State = "integration-requested"
	StateNoticed   State = "notice" // the reasons against it were told, nothing has come yet
	StateAnswered  State = "answered"
	StateClosed    State = "closed"
	StateWithdrawn State = "withdrawn"
)

// States are all of them, in the order of their way.
var States = []State{StateDraft, StateToSign, StateToCheck, StateSent, StateInCharge, StateMore, StateNoticed, StateAnswered, StateClosed, StateWithdrawn}

// AtOffice tells whether an office has it.
func (s State) AtOffice() bool { return s != StateDraft && s != StateToSign }

// Open tells whether an office has yet to answer.
func (s State) Open() bool {
	return s == StateToCheck || s == StateSent || s == StateInCharge || s == StateMore || s == StateNoticed
}

// Visitor is who fills in, as the session knows it.
type Visitor struct {
	Ente       string
	Level      session.Level
	Person     *person.Person // nil: a debole credential that nobody has proved
	Credential string
	Profile    string // of the card that opened the session, empty for none
	Email      string
	Address    string
	// Mandate is the id of the one by which Person acts; empty: for oneself.
	Mandate string
	// Operator fills in for Person at the desk (assisted filing).
	Operator *role.Actor
	// Shown is the identity document that Person showed at the desk: kind, number, issuer,
	// days. A draft that an operator begins has one.
	Shown string
}

// Assisted is how an application that an operator filled in is signed.
type Assisted string

// The ways.
const (
	OnPaper  Assisted = "paper" // the signed document is attached as a scan
	WithCard Assisted = "card"
	WithCode Assisted = "code"
)

// Application is one, from draft to answer.
type Application struct {
	ID         string
	Ente       string
	Service    *service.Version
	Person     int64 // whose it is
	Agent      int64 // who acts for that person; 0: the person
	Mandate    string
	Credential string
	Operator   int64
	Assisted   Assisted
	Level      session.Level
	Profile    string
	State      State
	Fields     map[string]string
	Email      string
	Warned     time.Time
	Privacy    string
	SHA256     []byte // of the document, nil before it is made
	Made       time.Time
	Office     string
	// Letter of CAD, art. 65 c. 1, under which it is valid: a (signed), b (the sender was
	// identified by CIE or CNS), ab, c (signed, with a copy of the document of identity);
	// empty for what is no istanza (see assisted.go for those of the desk).
	Letter  string
	Number  register.Number
	Outside string
	Sent    time.Time
	Due     string // day
	Paused  time.Time
	// Days of the notice before a refusal (notice.go): since when the term stands still, the
	// last for observations (empty: it is not known when the notice was received), the last
	// on which the term stands still. Empty: there was no notice.
	Noticed  string
	Until    string
	Restarts string
	Holder   int64
	Answered time.Time
	Closed   time.Time
	Test     bool
	Created  time.Time
	Changed  time.Time
	Reminded time.Time // when it was said that the draft ends
}

// Fingerprint is the document's hash as people compare it.
func (a *Application) Fingerprint() string { return hex.EncodeToString(a.SHA256) }

// Protocol is the number, of the register here or of the outside system; empty while it
// has none.
func (a *Application) Protocol() string {
	if a.Number.Number > 0 {
		return a.Number.String()
	}
	return a.Outside
}

// Reference is how the application is named in mails: the number, or its id.
func (a *Application) Reference() string {
	if p := a.Protocol(); p != "" {
		return p
	}
	return a.ID
}

// Actor is who acts: the agent, else the person.
func (a *Application) Actor() int64 {
	if a.Agent != 0 {
		return a.Agent
	}
	return a.Person
}

// Overdue tells whether the term is over and the office has not answered.
func (a *Application) Overdue(now time.Time) bool {
	return a.State.Open() && a.Paused.IsZero() && !a.Suspended(now) && a.Due != "" && now.In(register.Rome()).Format(time.DateOnly) > a.Due
}

// Errors of the desk, besides those of Office. Each has a sentence, "application.<code>".
var (
	ErrLevel    = &RefusedError{"level"}   // the session's level is too low
	ErrActor    = &RefusedError{"actor"}   // not for this kind of person
	ErrAge      = &RefusedError{"age"}     // too young
	ErrMandate  = &RefusedError{"mandate"} // none that holds
	ErrClosed   = &RefusedError{"closed"}  // the service takes none now
	ErrState    = &RefusedError{"state"}   // not in the state for this
	ErrNotices  = &RefusedError{"notices"} // warnings or privacy were not accepted
	ErrFields   = &RefusedError{"fields"}  // answers are missing or wrong
	ErrFiles    = &RefusedError{"files"}   // an attachment is missing, or there are too many
	ErrSigners  = &RefusedError{"signers"} // a signature is missing
	ErrCard     = &RefusedError{"card"}    // an istanza without a signature is for who came in with CIE or CNS
	ErrWords    = &RefusedError{"words"}   // the text is missing or too long
	ErrOffice   = &RefusedError{"office-unknown"}
	ErrScan     = &RefusedError{"scan"}     // not scanned yet, or not clean
	ErrCode     = &RefusedError{"code"}     // the one-time code is wrong or over
	ErrEmail    = &RefusedError{"email"}    // no address to send to
	ErrHeld     = &RefusedError{"held"}     // a colleague has it in charge
	ErrBegun    = &RefusedError{"begun"}    // there is a draft of that id already
	ErrAssisted = &RefusedError{"assisted"} // what the way of signing at the desk needs is missing
	ErrCodeAct  = &RefusedError{"code-act"} // a one-time code does not sign this
	ErrIdentity = &RefusedError{"identity"} // the identity document shown at the desk is missing
	ErrCosigner = &RefusedError{"cosigner"} // who signs besides is who acts
	ErrSpace    = &RefusedError{"space"}    // too much is attached and not sent
	ErrSelf     = &RefusedError{"self"}     // an operator does not file for oneself
	ErrOwn      = &RefusedError{"own"}      // nor decides about the own application (L. 241/1990, art. 6-bis)
	ErrReached  = &RefusedError{"reached"}  // a code that signs goes to an address that the ente knew before
)

// RefusedError is something that is not done, with a stable code.
type RefusedError struct{ Code string }

// Error names the code.
func (e *RefusedError) Error() string { return "submission: refused: " + e.Code }

const appColumns = `id, ente, service, version, person, agent, mandate, credential, operator, assisted, level, session, state, fields, email, warned, privacy, sha256, sealed,
	office, letter, year, number, outside, sent, due, paused, noticed, until, restarts, holder, answered, closed, test, created, changed, reminded`

func (d *Desk) scan(ctx context.Context, row interface{ Scan(...any) error }) (*Application, error) {
	a, id, version, err := scanRow(row)
	if err != nil {
		return nil, err
	}
	a.Service, err = d.Services.At(ctx, a.Ente, id, version)
	return a, err
}

func scanRow(row interface{ Scan(...any) error }) (*Application, string, int, error) {
	a := &Application{}
	var id, fields, warned, made, sent, paused, answered, closed, created, changed, reminded string
	var version int
	err := row.Scan(&a.ID, &a.Ente, &id, &version, &a.Person, &a.Agent, &a.Mandate, &a.Credential, &a.Operator, &a.Assisted, &a.Level, &a.Profile, &a.State, &fields, &a.Email, &warned, &a.Privacy,
		&a.SHA256, &made, &a.Office, &a.Letter, &a.Number.Year, &a.Number.Number, &a.Outside, &sent, &a.Due, &paused, &a.Noticed, &a.Until, &a.Restarts, &a.Holder, &answered, &closed, &a.Test, &created, &changed, &reminded)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, "", 0, ErrNotFound
	}
	if err != nil {
		return nil, "", 0, fmt.Errorf("submission: %w", err)
	}
	for to, text := range map[*time.Time]string{&a.Warned: warned, &a.Made: made, &a.Sent: sent, &a.Paused: paused, &a.Answered: answered, &a.Closed: closed, &a.Created: created, &a.Changed: changed, &a.Reminded: reminded} {
		*to = store.ParseTime(text)
	}
	return a, id, version, json.Unmarshal([]byte(fields), &a.Fields)
}

// read reads an application in a transaction, its service's version with it.
func (d *Desk) read(ctx context.Context, tx *sql.Tx, ente, id string) (*Application, error) {
	a, _, _, err := scanRow(tx.QueryRowContext(ctx, "SELECT "+appColumns+" FROM application WHERE id = ? AND ente = ?", id, ente))
	return a, err
}

// Get reads an application that is the visitor's: the own, one that the visitor acts for
// by a mandate that holds, or one to be signed too. Others are not found.
func (d *Desk) Get(ctx context.Context, v Visitor, id string) (*Application, error) {
	a, err := d.scan(ctx, d.Store.QueryRowContext(ctx, "SELECT "+appColumns+" FROM application WHERE id = ? AND ente = ?", id, v.Ente))
	if err != nil {
		return nil, err
	}
	owns, err := d.Owns(ctx, v, a)
	if err != nil {
		return nil, err
	}
	if owns || d.cosigns(v, a) {
		return a, nil
	}
	return nil, ErrNotFound
}

// Owns tells whether an application is the visitor's: the own, or one that the visitor
// acts for by a mandate that holds. Who only signs too owns nothing, and sees the document
// alone.
func (d *Desk) Owns(ctx context.Context, v Visitor, a *Application) (bool, error) {
	switch {
	case v.Ente != a.Ente:
		return false, nil
	case v.Operator != nil:
		return a.Operator == v.Operator.Operator && role.Can(*v.Operator, a.Ente, role.AssistedFile), nil
	case v.Person == nil:
		return a.Person == 0 && a.Credential != "" && a.Credential == v.Credential, nil
	case a.Person == v.Person.ID:
		return true, nil
	case a.Person == 0:
		return d.joined(ctx, a.Credential, v.Person.ID)
	}
	return d.actsFor(ctx, v, a)
}

func (d *Desk) cosigns(v Visitor, a *Application) bool {
	return v.Person != nil && a.State == StateToSign && a.Service.Signature != service.SignatureNone && slices.Contains(a.Service.Signers(a.Fields), v.Person.CodiceFiscale)
}

// joined tells whether a weak credential has become a person's: what was sent with it is
// theirs, at the level that it had.
func (d *Desk) joined(ctx context.Context, credential string, who int64) (bool, error) {
	var n int
	if err := d.Store.QueryRowContext(ctx, "SELECT count(*) FROM credential WHERE id = ? AND person = ? AND joined <> ''", credential, who).Scan(&n); err != nil {
		return false, fmt.Errorf("submission: %w", err)
	}
	return n > 0, nil
}

// actsFor tells whether a visitor acts for whose the application is: by the mandate that
// it was made with, or by the one that the visitor acts by now. A delegation opens what was
// made with it and nothing else; whoever acts for a child, a ward or a company sees all of
// theirs in the mandate's scope.
func (d *Desk) actsFor(ctx context.Context, v Visitor, a *Application) (bool, error) {
	for _, id := range []string{a.Mandate, v.Mandate} {
		if id == "" {
			continue
		}
		m, err := d.Mandates.For(ctx, d.Store, a.Ente, id, v.Person.ID, a.Service.ID)
		if err == nil && m.Principal == a.Person && (m.ID == a.Mandate || m.Kind != mandate.Delegate) {
			return true, nil
		}
		if err != nil && !errors.Is(err, mandate.ErrNotFound) {
			return false, err
		}
	}
	return false, nil
}

// Listed is how many applications a list has at most, the newest.
const Listed = 200

// List gives a visitor's applications, newest first: with a mandate, those of whom the
// visitor acts for; without, the own, and those that the visitor made for others by a
// mandate that holds.
func (d *Desk) List(ctx context.Context, v Visitor) (out []*Application, err error) {
	var where string
	var args []any
	switch {
	case v.Person == nil:
		where, args = "person = 0 AND credential = ? AND credential <> ''", []any{v.Credential}
	case v.Mandate != "":
		where, args = "person = (SELECT principal FROM mandate WHERE id = ? AND agent = ?)", []any{v.Mandate, v.Person.ID}
	default:
		where = "(person = ? OR agent = ? OR person = 0 AND credential IN (SELECT id FROM credential WHERE person = ? AND joined <> ''))"
		args = []any{v.Person.ID, v.Person.ID, v.Person.ID}
	}
	all, err := d.query(ctx, "WHERE ente = ? AND "+where+" ORDER BY created DESC LIMIT ?", append(append([]any{v.Ente}, args...), Listed)...)
	if err != nil || v.Person == nil {
		return all, err
	}
	opens := map[string]bool{} // a mandate is asked once for each of its services
	for _, a := range all {    // one opens what is in its scope alone
		key := fmt.Sprint(a.Mandate, " ", a.Service.ID, " ", a.Person)
		ok, known := opens[key]
		switch {
		case a.Person == v.Person.ID || a.Person == 0:
			ok = true
		case !known:
			if ok, err = d.actsFor(ctx, v, a); err != nil {
				return nil, err
			}
			opens[key] = ok
		}
		if ok {
			out = append(out, a)
		}
	}
	return out, nil
}

func (d *Desk) query(ctx context.Context, where string, args ...any) (out []*Application, err error) {
	rows, err := d.Store.QueryContext(ctx, "SELECT "+appColumns+" FROM application "+where, args...) //nolint:gosec // our own words
	if err != nil {
		return nil, fmt.Errorf("submission: %w", err)
	}
	type made struct {
		id      string
		version int
	}
	var which []made
	for rows.Next() {
		a, id, version, err := scanRow(rows)
		if err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		out, which = append(out, a), append(which, made{id, version})
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, fmt.Errorf("submission: %w", err)
	}
	known := map[string]*service.Version{} // one reading for each version
	for i, a := range out {
		key := fmt.Sprint(a.Ente, "\x00", which[i].id, "\x00", which[i].version)
		if known[key] == nil {
			if known[key], err = d.Services.At(ctx, a.Ente, which[i].id, which[i].version); err != nil {
				return nil, err
			}
		}
		a.Service = known[key]
	}
	return out, nil
}

// Step is something that happened to an application, or was written.
type Step struct {
	Time     time.Time
	Kind     string // started, made, signed, sent, checked, charge, more, message, reroute, notice, notice-received, observations, no-observations, answer, close, withdraw, number
	State    State
	Operator int64
	Person   int64
	Office   string
	Text     string
}

func (d *Desk) step(ctx context.Context, tx *sql.Tx, id string, s Step) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO application_step (application, n, time, kind, state, operator, person, office, content)
		VALUES (?, (SELECT coalesce(max(n), 0) + 1 FROM application_step WHERE application = ?), ?,?,?,?,?,?,?)`,
		id, id, store.Time(d.now()), s.Kind, string(s.State), s.Operator, s.Person, s.Office, s.Text)
	if err != nil {
		return fmt.Errorf("submission: %w", err)
	}
	return nil
}

// Steps gives an application's steps in their order. Whoever calls has read the
// application as somebody who may.
func (d *Desk) Steps(ctx context.Context, a *Application) (out []Step, err error) {
	rows, err := d.Store.QueryContext(ctx, "SELECT time, kind, state, operator, person, office, content FROM application_step WHERE application = ? ORDER BY n", a.ID)
	if err != nil {
		return nil, fmt.Errorf("submission: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var s Step
		var at string
		if err := rows.Scan(&at, &s.Kind, &s.State, &s.Operator, &s.Person, &s.Office, &s.Text); err != nil {
			return nil, fmt.Errorf("submission: %w", err)
		}
		s.Time = store.ParseTime(at)
		out = append(out, s)
	}
	return out, rows.Err()
}
