// Package operator is who works at an ente's desk, and who runs the server: accounts of
// their own, apart from the same person's as a citizen, with a password and a second
// factor, and the roles that say what each may do. Nobody raises the own rights.
package operator

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/delay"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/foureyes"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/limit"
	"github.com/citel-pa/citel/server/mail"
	"github.com/citel-pa/citel/server/onetime"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
)

// State of an account.
type State string

// The states.
const (
	Invited   State = "invited" // has a link or a sealed sheet, and no password
	Active    State = "active"
	Suspended State = "suspended"
	Revoked   State = "revoked" // for good
)

// Factor is the second one.
type Factor string

// The factors.
const (
	TOTP     Factor = "totp"
	Card     Factor = "card"
	NoFactor Factor = "none" // the ente has it switched off
)

// Operator is an account.
type Operator struct {
	ID         int64
	Ente       string // empty: runs the server
	Code       string // codice fiscale: the user name within the ente
	Given      string
	Family     string
	Form       person.Form
	State      State
	Factor     Factor
	MustChange bool // the password
	Roles      []string
	Offices    []string // where the operator works; none is everywhere
	Created    time.Time
	Seen       time.Time
}

// Name for people.
func (o *Operator) Name() string { return strings.TrimSpace(o.Given + " " + o.Family) }

// Actor is the operator as rooms ask for rights, with the address of the request.
func (o *Operator) Actor(address string) role.Actor {
	return role.Actor{Operator: o.ID, Ente: o.Ente, Code: o.Code, Name: o.Name(), Roles: o.Roles, Address: address, Offices: o.Offices}
}

// Can tells whether an operator may do something in an ente: role.Can, for an account
// that is active.
func Can(o *Operator, ente string, p role.Permission) bool {
	return o != nil && o.State == Active && role.Can(o.Actor(""), ente, p)
}

// Errors of this room.
var (
	ErrNotFound = errors.New("operator: not found")
	ErrExists   = errors.New("operator: this codice fiscale has an account in this ente")
	ErrSelf     = errors.New("operator: nobody changes the own rights or state")
	ErrState    = errors.New("operator: not possible in this state")
	ErrReason   = errors.New("operator: a reason is needed")
	// ErrRefused: user, password or second factor are wrong, or the account is not active.
	// It does not tell which.
	ErrRefused = errors.New("operator: refused")
)

// FormError carries what is wrong with a form.
type FormError struct {
	Errs     person.Errors
	Warnings []string
}

// Error names the fields.
func (e *FormError) Error() string { return fmt.Sprintf("operator: the form: %v", e.Errs) }

// Desk keeps the operators.
type Desk struct {
	Store *store.Store
	Audit *audit.Log
	Keys  *keys.Ring
	Enti  *ente.Directory
	Guard *delay.Guard
	Quota *limit.Quota
	Four  *foureyes.Desk
	// Sessions of the realm Console.
	Sessions *session.Manager
	Now      func() time.Time
}

func (d *Desk) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

const columns = "id, ente, code, given, family, form, state, factor, must_change, created, seen"

type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func scan(row store.Row) (*Operator, error) {
	var o Operator
	var form, created, seen string
	err := row.Scan(&o.ID, &o.Ente, &o.Code, &o.Given, &o.Family, &form, &o.State, &o.Factor, &o.MustChange, &created, &seen)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("operator: %w", err)
	}
	o.Created, o.Seen = store.ParseTime(created), store.ParseTime(seen)
	return &o, json.Unmarshal([]byte(form), &o.Form)
}

func get(ctx context.Context, q querier, id int64) (*Operator, error) {
	o, err := scan(q.QueryRowContext(ctx, "SELECT "+columns+" FROM operator WHERE id = ?", id))
	if err != nil {
		return nil, err
	}
	rows, err := q.QueryContext(ctx, "SELECT role FROM operator_role WHERE operator = ? ORDER BY role", id)
	if err != nil {
		return nil, fmt.Errorf("operator: %w", err)
	}
	if o.Roles, err = store.Strings(rows); err != nil {
		return nil, fmt.Errorf("operator: %w", err)
	}
	if rows, err = q.QueryContext(ctx, "SELECT office FROM operator_office WHERE operator = ? ORDER BY office", id); err != nil {
		return nil, fmt.Errorf("operator: %w", err)
	}
	if o.Offices, err = store.Strings(rows); err != nil {
		return nil, fmt.Errorf("operator: %w", err)
	}
	return o, nil
}

// Current reads who a console's session is: ErrRefused where there is none, or where the
// account is not active any more.
func (d *Desk) Current(ctx context.Context, s *session.Session) (*Operator, error) {
	if s == nil || s.Operator == 0 {
		return nil, ErrRefused
	}
	o, err := get(ctx, d.Store, s.Operator)
	if errors.Is(err, ErrNotFound) || err == nil && o.State != Active {
		return nil, ErrRefused
	}
	return o, err
}

// Open reads an operator of the actor's own ente (Visualizza stato operatore).
func (d *Desk) Open(ctx context.Context, a role.Actor, id int64) (*Operator, error) {
	if err := role.Check(a, a.Ente, role.OperatorsRead); err != nil && id != a.Operator {
		return nil, err
	}
	o, err := get(ctx, d.Store, id)
	if err == nil && o.Ente != a.Ente {
		return nil, ErrNotFound
	}
	return o, err
}

// NameOf is a colleague's name, as pages show who did something.
func (d *Desk) NameOf(ctx context.Context, a role.Actor, id int64) (string, error) {
	o, err := get(ctx, d.Store, id)
	if err == nil && o.Ente != a.Ente {
		return "", ErrNotFound
	}
	if err != nil {
		return "", err
	}
	return o.Name(), nil
}

// Query of List.
type Query struct {
	Text  string // beginning of the code, family or given name
	State State
	Role  string
}

// List gives the operators of the actor's ente by name (Elenco operatori); Profilazione
// may, too.
func (d *Desk) List(ctx context.Context, a role.Actor, q Query) (out []*Operator, err error) {
	if !a.Has(role.OperatorsRead, role.RolesRead, role.InfrastructureRead) {
		return nil, &role.DeniedError{Permission: role.OperatorsRead, Ente: a.Ente}
	}
	where, args := "ente = ?", []any{a.Ente}
	if t := strings.TrimSpace(q.Text); t != "" {
		where += ` AND (lower(code) LIKE lower(?) ESCAPE '\' OR lower(family) LIKE lower(?) ESCAPE '\' OR lower(given) LIKE lower(?) ESCAPE '\')`
		args = append(args, store.Like(t), store.Like(t), store.Like(t))
	}
	if q.State != "" {
		where += " AND state = ?"
		args = append(args, string(q.State))
	}
	if q.Role != "" {
		where += " AND EXISTS (SELECT 1 FROM operator_role r WHERE r.operator = operator.id AND r.role = ?)"
		args = append(args, q.Role)
	}
	rows, err := d.Store.QueryContext(ctx, "SELECT id FROM operator WHERE "+where+" ORDER BY family, given, id LIMIT 500", args...) //nolint:gosec // our own words; values are arguments
	if err != nil {
		return nil, fmt.Errorf("operator: %w", err)
	}
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		ids = append(ids, id)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, fmt.Errorf("operator: %w", err)
	}
	for _, id := range ids {
		o, err := get(ctx, d.Store, id)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

// inviteLife is how long an operator's link or sheet is good.
const inviteLife = 72 * time.Hour

// ActivatePath is where an operator's link leads; the link's text is added to it.
const ActivatePath = "/consolleente/attiva?codice="

// Invitation is how a new operator gets in.
type Invitation struct {
	Operator *Operator
	// Mailed: the link went to the operator's e-mail. Else Link is for the sealed sheet (or
	// setup's output): it is given once and kept nowhere.
	Mailed  bool
	Link    string // path with query
	Expires time.Time
}

// Register makes an operator of the actor's ente (Censimento operatori). What does not fit
// together comes as a *FormError until a reason is given. A password is never mailed.
func (d *Desk) Register(ctx context.Context, a role.Actor, f person.Form) (*Invitation, error) {
	if err := role.Check(a, a.Ente, role.OperatorsWrite); err != nil {
		return nil, err
	}
	return d.register(ctx, a, a.Ente, f, true)
}

// First makes the first operator of an ente, with the role Administrator, or with an empty
// ente one who runs the server. Who runs the server does it, or the command setup (an
// actor without an operator, which no request makes).
func (d *Desk) First(ctx context.Context, a role.Actor, ente string, f person.Form) (*Invitation, error) {
	if a.Operator != 0 {
		if err := role.Check(a, "", role.SystemEnti); err != nil {
			return nil, err
		}
	}
	return d.register(ctx, a, ente, f, false)
}

func (d *Desk) register(ctx context.Context, a role.Actor, ente string, f person.Form, mailed bool) (*Invitation, error) {
	f, errs, warnings := f.Check(d.now())
	if len(errs) > 0 {
		return nil, &FormError{Errs: errs, Warnings: warnings}
	}
	form, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	var inv *Invitation
	err = d.Store.Tx(ctx, func(tx *sql.Tx) error {
		now := d.now()
		var id int64
		if !mailed { // the first link was lost
			err := tx.QueryRowContext(ctx, "SELECT id FROM operator WHERE ente = ? AND code = ? AND state = 'invited' AND created_by = ?", ente, f.Code, a.Operator).Scan(&id)
			if err == nil {
				inv, err = d.invite(ctx, tx, id, false)
				return err
			}
			if !errors.Is(err, sql.ErrNoRows) {
				return fmt.Errorf("operator: %w", err)
			}
		}
		err := tx.QueryRowContext(ctx, `INSERT INTO operator (ente, code, given, family, form, state, created, created_by, changed) VALUES (?,?,?,?,?,?,?,?,?) RETURNING id`,
			ente, f.Code, f.Given, f.Family, string(form), string(Invited), store.Time(now), a.Operator, store.Time(now)).Scan(&id)
		if store.IsUnique(err) {
			return fmt.Errorf("%w: %w", ErrExists, err)
		}
		if err != nil {
			return fmt.Errorf("operator: %w", err)
		}
		if !mailed && ente != "" {
			if err := d.assign(ctx, tx, id, role.Administrator, a); err != nil {
				return err
			}
		}
		if inv, err = d.invite(ctx, tx, id, mailed); err != nil {
			return err
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: ente, Kind: audit.OperatorMade, Detail: map[string]string{"made": strconv.FormatInt(id, 10)},
			Personal: map[string]string{"made-code": f.Code, "made-name": inv.Operator.Name(), "reason": f.Reason}}.By(a))
	})
	return inv, err
}

// invitesAnHour is how many links an operator is mailed in an hour.
const invitesAnHour = 5

// invite gives an operator a new way in; older ones are worthless. A *limit.OverError says
// that enough were mailed for now.
func (d *Desk) invite(ctx context.Context, tx *sql.Tx, id int64, mailed bool) (*Invitation, error) {
	o, err := get(ctx, tx, id)
	if err != nil {
		return nil, err
	}
	inv := &Invitation{Operator: o, Expires: d.now().Add(inviteLife)}
	if mailed = mailed && o.Form.Email != ""; mailed {
		if err := d.Quota.Take(ctx, tx, limit.Rule{Code: "mail-operator", Name: fmt.Sprintf("mail-operator:%d", id), Most: invitesAnHour, In: time.Hour}); err != nil {
			return nil, err
		}
	}
	text, err := onetime.Issue(ctx, tx, onetime.Operator, o.Ente, strconv.FormatInt(id, 10), inv.Expires)
	if err != nil {
		return nil, err
	}
	inv.Link = ActivatePath + text
	if mailed {
		inv.Mailed = true
		err = mail.Queue(ctx, tx, mail.Message{Ente: o.Ente, To: o.Form.Email, Kind: mail.Activation, Link: inv.Link}, d.now())
		inv.Link = ""
	}
	return inv, err
}

// UpdateOwn changes an operator's own record (Modifica registrazione): how to reach the
// person. Who it is stays.
func (d *Desk) UpdateOwn(ctx context.Context, a role.Actor, f person.Form) error {
	return d.Store.Tx(ctx, func(tx *sql.Tx) error {
		o, err := get(ctx, tx, a.Operator)
		if err != nil {
			return err
		}
		n := o.Form
		n.Residence, n.Town, n.CAP, n.Phone, n.OfficePhone, n.Email = f.Residence, f.Town, f.CAP, f.Phone, f.OfficePhone, f.Email
		n, errs, _ := n.Check(d.now())
		if len(errs) > 0 {
			return &FormError{Errs: errs}
		}
		form, err := json.Marshal(n)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE operator SET form = ?, changed = ? WHERE id = ?", string(form), store.Time(d.now()), o.ID); err != nil {
			return fmt.Errorf("operator: %w", err)
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: o.Ente, Kind: audit.OperatorChanged, Detail: map[string]string{"changed": strconv.FormatInt(o.ID, 10)}}.By(a))
	})
}

// other reads an operator of the actor's ente who is not the actor: what nobody does to
// the own account.
func other(ctx context.Context, q querier, a role.Actor, id int64) (*Operator, error) {
	o, err := get(ctx, q, id)
	switch {
	case err != nil:
		return nil, err
	case o.Ente != a.Ente:
		return nil, ErrNotFound
	case o.ID == a.Operator || o.Code == a.Code:
		return nil, ErrSelf
	}
	return o, nil
}

// SetState suspends, resumes or revokes an operator (Modifica stato credenziale), with a
// reason. Revoked is for good. Sessions end.
func (d *Desk) SetState(ctx context.Context, a role.Actor, id int64, to State, reason string) error {
	if err := role.Check(a, a.Ente, role.OperatorsState); err != nil {
		return err
	}
	if reason = strings.TrimSpace(reason); reason == "" || len(reason) > 500 {
		return ErrReason
	}
	return d.Store.Tx(ctx, func(tx *sql.Tx) error {
		o, err := other(ctx, tx, a, id)
		if err != nil {
			return err
		}
		ok := map[State]bool{
			Suspended: o.State == Active, Active: o.State == Suspended, Revoked: o.State != Revoked,
		}[to]
		if !ok {
			return ErrState
		}
		if _, err := tx.ExecContext(ctx, "UPDATE operator SET state = ?, changed = ? WHERE id = ?", string(to), store.Time(d.now()), id); err != nil {
			return fmt.Errorf("operator: %w", err)
		}
		if err := errors.Join(session.EndOperator(ctx, tx, id), onetime.Cancel(ctx, tx, onetime.Operator, strconv.FormatInt(id, 10))); err != nil {
			return err
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: a.Ente, Kind: audit.OperatorState, Detail: map[string]string{
			"of": strconv.FormatInt(id, 10), "from": string(o.State), "to": string(to),
		}, Personal: map[string]string{"of-name": o.Name(), "reason": reason}}.By(a))
	})
}

// Reset makes an operator's password and second factor worthless and gives a new way in
// (Resetta Password).
func (d *Desk) Reset(ctx context.Context, a role.Actor, id int64) (*Invitation, error) {
	if err := role.Check(a, a.Ente, role.OperatorsReset); err != nil {
		return nil, err
	}
	var inv *Invitation
	err := d.Store.Tx(ctx, func(tx *sql.Tx) error {
		o, err := other(ctx, tx, a, id)
		if err != nil {
			return err
		}
		if o.State != Active && o.State != Invited {
			return ErrState
		}
		_, err = tx.ExecContext(ctx, "UPDATE operator SET state = ?, secret = '', totp = NULL, totp_step = 0, factor = '', changed = ? WHERE id = ?", string(Invited), store.Time(d.now()), id)
		if err != nil {
			return fmt.Errorf("operator: %w", err)
		}
		if err := session.EndOperator(ctx, tx, id); err != nil {
			return err
		}
		if inv, err = d.invite(ctx, tx, id, true); err != nil {
			return err
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: a.Ente, Kind: audit.CredentialReset, Detail: map[string]string{"of": strconv.FormatInt(id, 10)},
			Personal: map[string]string{"of-name": o.Name()}}.By(a))
	})
	return inv, err
}
