package credential

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/limit"
	"github.com/citel-pa/citel/server/mail"
	"github.com/citel-pa/citel/server/onetime"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
)

// Registration is what somebody writes who wants a debole credential.
type Registration struct {
	Ente          string
	Email         string
	Given, Family string
	Claim         string // codice fiscale; may be empty
	Category      ente.Category
	Password      []byte
	Address       string
}

// Where links of the mails lead; the link's text is added.
const (
	ConfirmPath = "/registrazione/conferma?codice="
	ResetPath   = "/password/nuova?codice="
)

const (
	confirmLife = 48 * time.Hour
	resetLife   = time.Hour
)

// Register makes a debole credential that opens nothing before its e-mail is confirmed.
// The answer is the same for an address that has one already: the mail tells its owner.
// It is a *FormError, ErrSwitchedOff, a *delay.TooSoonError, a *limit.OverError, or nil.
func (d *Desk) Register(ctx context.Context, r Registration) error {
	r.Email = strings.ToLower(strings.TrimSpace(r.Email))
	r.Given, r.Family = strings.TrimSpace(r.Given), strings.TrimSpace(r.Family)
	errs := person.Errors{}
	if !person.IsEmail(r.Email) {
		errs["email"] = "email"
	}
	for name, v := range map[string]string{"given": r.Given, "family": r.Family} {
		if v == "" {
			errs[name] = "required"
		} else if len(v) > 120 {
			errs[name] = "long"
		}
	}
	if r.Claim = strings.TrimSpace(r.Claim); r.Claim != "" {
		cf, err := profile.ParseCodiceFiscale(r.Claim)
		if err != nil {
			errs["code"] = "codice-fiscale"
		}
		r.Claim = string(cf)
	}
	if keys.CheckPassword(r.Password, r.Email, r.Family, r.Given, r.Claim) != nil {
		errs["password"] = "weak"
	}
	if len(errs) > 0 {
		return &FormError{Errs: errs}
	}
	if r.Category == "" {
		r.Category = ente.Citizen
	}
	lets, err := d.Enti.Lets(ctx, r.Ente, ente.Debole, r.Category)
	if err != nil {
		return err
	}
	if !lets {
		return ErrSwitchedOff
	}
	if err := d.mailing(ctx, "register", r.Email, r.Address); err != nil {
		return err
	}
	hashed, err := d.Keys.HashSecret(ctx, keys.PurposePassword, r.Password) // the same work whether it is there or not
	if err != nil {
		return err
	}
	return d.Store.Tx(ctx, func(tx *sql.Tx) error {
		now := d.now()
		old, err := scan(tx.QueryRowContext(ctx, "SELECT "+columns+" FROM credential WHERE handle = ?", r.Email))
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if err == nil && old.State != Pending {
			return mail.Queue(ctx, tx, mail.Message{Ente: r.Ente, To: r.Email, Kind: mail.AlreadyThere}, now)
		}
		// An address that was never confirmed is nobody's: the newest registration counts.
		if _, err := tx.ExecContext(ctx, "DELETE FROM credential WHERE handle = ? AND state = 'pending'", r.Email); err != nil {
			return fmt.Errorf("credential: %w", err)
		}
		id := store.NewID()
		_, err = tx.ExecContext(ctx, `INSERT INTO credential (id, kind, ente, handle, secret, state, claim, given, family, email, category, created, changed)
			VALUES (?,'debole',?,?,?,'pending',?,?,?,?,?,?,?)`, id, r.Ente, r.Email, hashed, r.Claim, r.Given, r.Family, r.Email, string(r.Category), store.Time(now), store.Time(now))
		if err != nil {
			return fmt.Errorf("credential: %w", err)
		}
		link, err := onetime.Issue(ctx, tx, onetime.ConfirmEmail, r.Ente, id, now.Add(confirmLife))
		if err != nil {
			return err
		}
		if err := mail.Queue(ctx, tx, mail.Message{Ente: r.Ente, To: r.Email, Kind: mail.ConfirmEmail, Link: ConfirmPath + link}, now); err != nil {
			return err
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: r.Ente, Kind: audit.Registered, Credential: id, Address: r.Address, Personal: map[string]string{"email": r.Email}})
	})
}

// How many mails of one sort an e-mail address is made to get in an hour, and whoever is at
// a network address causes: a desk's own computer, at which people register, among them. The
// first is no more than an hour, which is how long a link for a new password is good: while
// a stranger has used all up, the owner has one that works. That is why registering counts
// apart: an address that has an account already is told so, with no link, and a stranger who
// registers it over and over must not keep its owner from a new password.
const (
	mailsAnHour  = 5
	callersMails = 30
)

// mailing bounds how many messages one address is made to get, and one sender to cause. It
// is asked before anything is looked up, and is the same for an address without an account.
func (d *Desk) mailing(ctx context.Context, what, email, address string) error {
	if err := d.Guard.Begin(ctx, "mail:"+email, address); err != nil {
		return err
	}
	return d.Store.Tx(ctx, func(tx *sql.Tx) error {
		return d.Quota.Take(ctx, tx,
			limit.Rule{Code: "mail-address", Name: "mail:" + what + ":" + email, Most: mailsAnHour, In: time.Hour},
			limit.Rule{Code: "mail-caller", Name: "mail-caller:" + limit.Caller(address), Most: callersMails, In: time.Hour})
	})
}

// Confirm makes a debole credential usable by its mailed link.
func (d *Desk) Confirm(ctx context.Context, link string) (*Credential, error) {
	var c *Credential
	err := d.Store.Tx(ctx, func(tx *sql.Tx) error {
		code, id, err := onetime.Take(ctx, tx, onetime.ConfirmEmail, link, d.now())
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE credential SET state = 'active', changed = ? WHERE id = ? AND state = 'pending'", store.Time(d.now()), id); err != nil {
			return fmt.Errorf("credential: %w", err)
		}
		if c, err = Get(ctx, tx, id); err != nil {
			return onetime.ErrLink
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: code, Kind: audit.EmailConfirmed, Credential: id})
	})
	return c, err
}

// Forgot mails a link for a new password to a debole's address; the answer is the same
// where there is none, whose owner is told by mail too.
func (d *Desk) Forgot(ctx context.Context, code, email, address string) error {
	email = strings.ToLower(strings.TrimSpace(email))
	if !person.IsEmail(email) {
		return &FormError{Errs: person.Errors{"email": "email"}}
	}
	if err := d.mailing(ctx, "forgot", email, address); err != nil {
		return err
	}
	return d.Store.Tx(ctx, func(tx *sql.Tx) error {
		c, err := scan(tx.QueryRowContext(ctx, "SELECT "+columns+" FROM credential WHERE handle = ? AND kind = 'debole'", email))
		if errors.Is(err, ErrNotFound) || err == nil && c.State != Active {
			return mail.Queue(ctx, tx, mail.Message{Ente: code, To: email, Kind: mail.NoAccount}, d.now())
		}
		if err != nil {
			return err
		}
		link, err := onetime.Issue(ctx, tx, onetime.ResetDebole, code, c.ID, d.now().Add(resetLife))
		if err != nil {
			return err
		}
		return mail.Queue(ctx, tx, mail.Message{Ente: code, To: email, Kind: mail.ResetDebole, Link: ResetPath + link}, d.now())
	})
}

// Renew sets a debole's new password by its mailed link. Its sessions end.
func (d *Desk) Renew(ctx context.Context, link string, password []byte, address string) error {
	_, id, err := onetime.Look(ctx, d.Store, onetime.ResetDebole, link, d.now())
	if err != nil {
		return err
	}
	c, err := Get(ctx, d.Store, id)
	if err != nil {
		return onetime.ErrLink
	}
	hashed, err := d.newSecret(ctx, c, password)
	if err != nil {
		return err
	}
	return d.Store.Tx(ctx, func(tx *sql.Tx) error {
		code, _, err := onetime.Take(ctx, tx, onetime.ResetDebole, link, d.now())
		if err != nil {
			return err
		}
		return d.setSecret(ctx, tx, c, hashed, code, address)
	})
}

// newSecret checks and hashes a new password.
func (d *Desk) newSecret(ctx context.Context, c *Credential, password []byte) (string, error) {
	about := []string{c.Handle, c.Given, c.Family, c.Claim}
	if c.Person != 0 {
		p, err := person.Get(ctx, d.Store, c.Person)
		if err != nil {
			return "", err
		}
		about = append(about, p.Given, p.Family, p.CodiceFiscale)
	}
	if err := keys.CheckPassword(password, about...); err != nil {
		return "", err
	}
	return d.Keys.HashSecret(ctx, keys.PurposePassword, password)
}

// setSecret writes a new password; every session of the credential ends, and its holder
// is told.
func (d *Desk) setSecret(ctx context.Context, tx *sql.Tx, c *Credential, hashed, code, address string) error {
	if _, err := tx.ExecContext(ctx, "UPDATE credential SET secret = ?, must_change = 0, expires = '', changed = ? WHERE id = ?", hashed, store.Time(d.now()), c.ID); err != nil {
		return fmt.Errorf("credential: %w", err)
	}
	if err := session.EndAll(ctx, tx, c.ID); err != nil {
		return err
	}
	if err := mail.Queue(ctx, tx, mail.Message{Ente: code, To: c.Email, Kind: mail.PasswordChanged}, d.now()); err != nil {
		return err
	}
	return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: code, Kind: audit.PasswordChanged, PersonID: c.Person, Credential: c.ID, Address: address})
}

// Question gives the debole credential that was proved in this session before the level
// rose, and may join the person now: the page names its e-mail and asks, and its default
// is no. Nil where there is none, or where its claim is another person's.
func (d *Desk) Question(ctx context.Context, s *session.Session) (*Credential, error) {
	if s == nil || s.Waiting == "" || s.Person == 0 || s.Level < session.Media {
		return nil, nil
	}
	c, err := Get(ctx, d.Store, s.Waiting)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p, err := person.Get(ctx, d.Store, s.Person)
	if err != nil {
		return nil, err
	}
	if c.Kind != Debole || c.Person != 0 || c.State != Active || c.Claim != "" && c.Claim != p.CodiceFiscale {
		return nil, nil
	}
	return c, nil
}

// Join answers the question. A debole that joined shows its person and opens no more than
// before; what was sent with it keeps its level.
func (d *Desk) Join(ctx context.Context, s *session.Session, yes bool, address string) error {
	c, err := d.Question(ctx, s)
	if err != nil {
		return err
	}
	return d.Store.Tx(ctx, func(tx *sql.Tx) error {
		if err := d.Sessions.Forget(ctx, tx, s); err != nil || c == nil || !yes {
			return err
		}
		got, err := tx.ExecContext(ctx, "UPDATE credential SET person = ?, joined = ?, changed = ? WHERE id = ? AND person IS NULL AND state = 'active'",
			s.Person, store.Time(d.now()), store.Time(d.now()), c.ID)
		if err != nil {
			return fmt.Errorf("credential: %w", err)
		}
		if n, err := got.RowsAffected(); err != nil || n != 1 {
			return errors.Join(err, ErrState)
		}
		if err := mail.Queue(ctx, tx, mail.Message{Ente: s.Ente, To: c.Email, Kind: mail.Joined}, d.now()); err != nil {
			return err
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: s.Ente, Kind: audit.Joined, PersonID: s.Person, Credential: c.ID, Address: address, Personal: map[string]string{"email": c.Email}})
	})
}
