// Package credential is how a citizen proves who it is: debole (registered on the portal,
// the codice fiscale only claimed), media (from an envelope of the desk), forte (a card).
// Each opens all that the lower opens, where the ente of the data lets it (LevelAt).
package credential

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/delay"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/foureyes"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/limit"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
)

// Kind of a credential.
type Kind string

// The kinds.
const (
	Debole Kind = "debole"
	Media  Kind = "media"
	Forte  Kind = "forte"
)

// Level is the session's level that a kind proves.
func (k Kind) Level() session.Level {
	return map[Kind]session.Level{Debole: session.Debole, Media: session.Media, Forte: session.Forte}[k]
}

// State of a credential.
type State string

// The states.
const (
	Pending   State = "pending" // its e-mail is not confirmed
	Active    State = "active"
	Suspended State = "suspended"
	Revoked   State = "revoked" // for good
	Expired   State = "expired" // for good
)

// Credential is one. Its secret never leaves the database.
type Credential struct {
	ID         string
	Kind       Kind
	Ente       string // where it was released or registered
	Person     int64  // 0: a debole that nobody has proved
	Handle     string // user name; e-mail; SHA-256 of a card's certificate
	State      State
	MustChange bool
	// Claim is the codice fiscale that a debole's holder wrote: it proves nothing, shows no
	// data and reserves nothing.
	Claim         string
	Given, Family string
	Email         string
	Category      ente.Category
	Created       time.Time
	Changed       time.Time
	Expires       time.Time // zero: does not
	Seen          time.Time // last login
	Joined        time.Time // a debole joined Person
}

// Errors of this room.
var (
	ErrNotFound = errors.New("credential: not found")
	// ErrRefused: user or password are wrong, or the credential opens nothing. It does not
	// tell which.
	ErrRefused = errors.New("credential: refused")
	// ErrSwitchedOff: password right, but the ente does not let this credential in.
	ErrSwitchedOff = errors.New("credential: this ente does not let this credential in")
	ErrState       = errors.New("credential: not possible in this state")
	ErrReason      = errors.New("credential: a reason is needed")
	ErrSelf        = errors.New("credential: nobody does this to the own credential")
	ErrInvalid     = errors.New("credential: the form has errors")
)

// FormError carries what is wrong with a form: field -> code ("desk.<code>").
type FormError struct{ Errs person.Errors }

// Error names the fields.
func (e *FormError) Error() string { return fmt.Sprintf("%v: %v", ErrInvalid, e.Errs) }

// Unwrap makes errors.Is(err, ErrInvalid) hold.
func (e *FormError) Unwrap() error { return ErrInvalid }

// Desk keeps the credentials.
type Desk struct {
	Store  *store.Store
	Audit  *audit.Log
	Keys   *keys.Ring
	Enti   *ente.Directory
	People *person.Desk
	Guard  *delay.Guard
	Quota  *limit.Quota
	Four   *foureyes.Desk
	// Sessions of the realm Portal.
	Sessions *session.Manager
	Now      func() time.Time
}

func (d *Desk) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

const columns = "id, kind, ente, person, handle, state, must_change, claim, given, family, email, category, created, changed, expires, seen, joined"

func scan(row store.Row) (*Credential, error) {
	var c Credential
	var who sql.NullInt64
	var created, changed, expires, seen, joined string
	err := row.Scan(&c.ID, &c.Kind, &c.Ente, &who, &c.Handle, &c.State, &c.MustChange, &c.Claim, &c.Given, &c.Family, &c.Email, &c.Category,
		&created, &changed, &expires, &seen, &joined)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("credential: %w", err)
	}
	c.Person = who.Int64
	c.Created, c.Changed, c.Expires = store.ParseTime(created), store.ParseTime(changed), store.ParseTime(expires)
	c.Seen, c.Joined = store.ParseTime(seen), store.ParseTime(joined)
	return &c, nil
}

// Querier is a store or a transaction.
type Querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Get reads a credential; it asks for no right.
func Get(ctx context.Context, q Querier, id string) (*Credential, error) {
	return scan(q.QueryRowContext(ctx, "SELECT "+columns+" FROM credential WHERE id = ?", id))
}

// Opens tells whether a credential opens anything at a time.
func (c *Credential) Opens(at time.Time) bool {
	return c.State == Active && (c.Expires.IsZero() || at.Before(c.Expires))
}

// Open reads a credential that the operator's ente released, or that belongs to a person
// whom it has to do with (Visualizza stato credenziale).
func (d *Desk) Open(ctx context.Context, a role.Actor, id string) (*Credential, error) {
	if err := role.Check(a, a.Ente, role.UsersRead); err != nil {
		return nil, err
	}
	c, err := Get(ctx, d.Store, id)
	if err != nil {
		return nil, err
	}
	if c.Ente == a.Ente && c.Kind == Media {
		return c, nil
	}
	if c.Person == 0 {
		return nil, ErrNotFound
	}
	if _, err := d.People.Visible(ctx, a, c.Person); errors.Is(err, person.ErrNotFound) {
		return nil, ErrNotFound
	} else if err != nil {
		return nil, err
	}
	return c, nil
}

// Of lists the credentials of a person whom the operator's ente has to do with. Those that
// other enti released are left out.
func (d *Desk) Of(ctx context.Context, a role.Actor, id int64) ([]*Credential, error) {
	if _, err := d.People.Visible(ctx, a, id); err != nil {
		return nil, err
	}
	return d.list(ctx, "person = ? AND (ente = ? OR kind = 'forte')", id, a.Ente)
}

// Mine lists a citizen's own credentials.
func (d *Desk) Mine(ctx context.Context, id int64) ([]*Credential, error) {
	if id == 0 {
		return nil, nil
	}
	return d.list(ctx, "person = ?", id)
}

func (d *Desk) list(ctx context.Context, where string, args ...any) ([]*Credential, error) {
	rows, err := d.Store.QueryContext(ctx, "SELECT "+columns+" FROM credential WHERE "+where+" ORDER BY created", args...) //nolint:gosec // our own words; values are arguments
	return store.All(rows, err, scan)
}

// LevelAt is what a session opens in an ente: forte everywhere; media where the ente lets
// the category in with it and accepts the releasing ente; debole where it lets that in.
// Nothing for the dead.
func (d *Desk) LevelAt(ctx context.Context, s *session.Session, code string) (session.Level, error) {
	if s == nil || s.Level == session.None {
		return session.None, nil
	}
	category := ente.Citizen
	if s.Person != 0 {
		p, err := person.Get(ctx, d.Store, s.Person)
		if err != nil {
			return session.None, err
		}
		if !p.Dead.IsZero() {
			return session.None, nil
		}
		category = p.Category()
	} else if c, err := Get(ctx, d.Store, s.Credential); err == nil {
		category = c.Category
	}
	if s.Level == session.Forte {
		return session.Forte, nil
	}
	if s.Level == session.Media {
		lets, err1 := d.Enti.Lets(ctx, code, ente.Media, category)
		accepts, err2 := d.Enti.Accepts(ctx, code, s.Releaser)
		if err := errors.Join(err1, err2); err != nil {
			return session.None, err
		}
		if lets && accepts {
			return session.Media, nil
		}
	}
	lets, err := d.Enti.Lets(ctx, code, ente.Debole, category)
	if err != nil || !lets {
		return session.None, err
	}
	return session.Debole, nil
}

// EmailOf is where an active credential of a person writes to; empty without one.
func EmailOf(ctx context.Context, q interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}, person int64) (string, error) {
	var email string
	err := q.QueryRowContext(ctx, "SELECT email FROM credential WHERE person = ? AND state = 'active' AND email <> '' ORDER BY kind <> 'media', created DESC LIMIT 1", person).Scan(&email)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("credential: %w", err)
	}
	return email, nil
}
