package credential

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/mail"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
)

// Login is what somebody types.
type Login struct {
	Ente     string
	Username string // of an envelope, or a debole's e-mail
	Password []byte
	Address  string
}

// Login takes user name and password of a debole or media credential and gives the session
// a new id and its level. Unknown user, wrong password, and a credential that opens nothing
// look and last the same (ErrRefused). change: the password must be changed first
// (ChangeFirst); the session opens nothing before.
func (d *Desk) Login(ctx context.Context, w http.ResponseWriter, s *session.Session, l Login) (risen *session.Session, change bool, err error) {
	handle := normal(l.Username)
	what := "password:" + handle
	if err := d.Guard.Begin(ctx, what, l.Address); err != nil {
		return nil, false, err
	}
	var secret, id string
	err = d.Store.QueryRowContext(ctx, "SELECT id, secret FROM credential WHERE handle = ? AND kind IN ('debole', 'media') AND state = 'active'", handle).Scan(&id, &secret)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, false, fmt.Errorf("credential: %w", err)
	}
	if err := d.Keys.CheckSecret(ctx, keys.PurposePassword, secret, l.Password); err != nil {
		if !errors.Is(err, keys.ErrSecret) {
			return nil, false, err
		}
		return nil, false, errors.Join(ErrRefused, d.refuse(ctx, l, id))
	}
	c, err := Get(ctx, d.Store, id)
	if err != nil {
		return nil, false, err
	}
	if !c.Opens(d.now()) {
		return nil, false, errors.Join(ErrRefused, d.refuse(ctx, l, id))
	}
	if err := d.Guard.Success(ctx, what, l.Address); err != nil {
		return nil, false, err
	}
	if err := d.admit(ctx, l.Ente, c); err != nil {
		return nil, false, err
	}
	to := session.Session{Level: c.Kind.Level(), Person: c.Person, Credential: c.ID, Releaser: c.Ente}
	if c.MustChange {
		to = session.Session{Waiting: c.ID}
	}
	risen, err = d.rise(ctx, w, s, c, to, l.Ente, l.Address)
	return risen, c.MustChange, err
}

func (d *Desk) refuse(ctx context.Context, l Login, id string) error {
	return d.Audit.Write(ctx, audit.Event{Ente: l.Ente, Kind: audit.LoginRefused, Credential: id, Address: l.Address, Detail: map[string]string{"code": "password"}})
}

// normal is how a user name is kept: without case and blanks around.
func normal(username string) string {
	username = strings.ToLower(strings.TrimSpace(username))
	return username[:min(len(username), 200)]
}

// admit tells whether an ente lets the holder in with the credential.
func (d *Desk) admit(ctx context.Context, code string, c *Credential) error {
	category := c.Category
	if c.Person != 0 {
		p, err := person.Get(ctx, d.Store, c.Person)
		if err != nil {
			return err
		}
		if !p.Dead.IsZero() {
			return ErrRefused
		}
		category = p.Category()
	}
	lets, err := d.Enti.Lets(ctx, code, string(c.Kind), category)
	if err == nil && !lets {
		err = ErrSwitchedOff
	}
	return err
}

// rise gives the session its level, notes the login, and tells of one from elsewhere.
func (d *Desk) rise(ctx context.Context, w http.ResponseWriter, s *session.Session, c *Credential, to session.Session, code, address string) (*session.Session, error) {
	var risen *session.Session
	err := d.Store.Tx(ctx, func(tx *sql.Tx) (err error) {
		if risen, err = d.Sessions.RiseAt(ctx, tx, w, s, to, code); err != nil || to.Level == session.None {
			return err
		}
		return d.seen(ctx, tx, c, code, address)
	})
	return risen, err
}

func (d *Desk) seen(ctx context.Context, tx *sql.Tx, c *Credential, code, address string) error {
	from := d.Keys.Alias(keys.PurposeAttempt, "seen:"+audit.Shorten(address))
	var before string
	if err := tx.QueryRowContext(ctx, "SELECT seen_from FROM credential WHERE id = ?", c.ID).Scan(&before); err != nil {
		return fmt.Errorf("credential: %w", err)
	}
	if _, err := tx.ExecContext(ctx, "UPDATE credential SET seen = ?, seen_from = ? WHERE id = ?", store.Time(d.now()), from, c.ID); err != nil {
		return fmt.Errorf("credential: %w", err)
	}
	if before != "" && before != from {
		if err := mail.Queue(ctx, tx, mail.Message{Ente: code, To: c.Email, Kind: mail.NewLogin}, d.now()); err != nil {
			return err
		}
	}
	return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: code, Kind: audit.LoginGranted, PersonID: c.Person, Credential: c.ID, Address: address,
		Detail: map[string]string{"level": string(c.Kind)}})
}

// ChangeFirst sets the password of a session that waits for it, and lets it in.
func (d *Desk) ChangeFirst(ctx context.Context, w http.ResponseWriter, s *session.Session, password []byte, address string) (*session.Session, error) {
	if s == nil || s.Waiting == "" || s.Level != session.None {
		return nil, ErrRefused
	}
	c, err := Get(ctx, d.Store, s.Waiting)
	if errors.Is(err, ErrNotFound) || err == nil && (!c.Opens(d.now()) || !c.MustChange) {
		return nil, ErrRefused
	}
	if err != nil {
		return nil, err
	}
	hashed, err := d.newSecret(ctx, c, password)
	if err != nil {
		return nil, err
	}
	var risen *session.Session
	err = d.Store.Tx(ctx, func(tx *sql.Tx) (err error) {
		if err := d.setSecret(ctx, tx, c, hashed, s.Ente, address); err != nil {
			return err
		}
		to := session.Session{Level: c.Kind.Level(), Person: c.Person, Credential: c.ID, Releaser: c.Ente}
		if risen, err = d.Sessions.RiseAt(ctx, tx, w, s, to, s.Ente); err != nil {
			return err
		}
		return d.seen(ctx, tx, c, s.Ente, address)
	})
	return risen, err
}

// ChangePassword changes the password of the session's own credential. The old one is
// asked, with the delays of a login. Other sessions end; this one gets a new id.
func (d *Desk) ChangePassword(ctx context.Context, w http.ResponseWriter, s *session.Session, old, password []byte, address string) (*session.Session, error) {
	if s == nil || s.Credential == "" {
		return nil, ErrRefused
	}
	c, err := Get(ctx, d.Store, s.Credential)
	if err != nil {
		return nil, err
	}
	if c.Kind == Forte || !c.Opens(d.now()) {
		return nil, ErrState
	}
	what := "password:" + c.Handle
	if err := d.Guard.Begin(ctx, what, address); err != nil {
		return nil, err
	}
	var secret string
	if err := d.Store.QueryRowContext(ctx, "SELECT secret FROM credential WHERE id = ?", c.ID).Scan(&secret); err != nil {
		return nil, fmt.Errorf("credential: %w", err)
	}
	if err := d.Keys.CheckSecret(ctx, keys.PurposePassword, secret, old); err != nil {
		if errors.Is(err, keys.ErrSecret) {
			err = ErrRefused
		}
		return nil, err
	}
	if err := d.Guard.Success(ctx, what, address); err != nil {
		return nil, err
	}
	hashed, err := d.newSecret(ctx, c, password)
	if err != nil {
		return nil, err
	}
	return d.replace(ctx, w, s, c, hashed, address)
}

// replace writes a password and keeps this session alone.
func (d *Desk) replace(ctx context.Context, w http.ResponseWriter, s *session.Session, c *Credential, hashed, address string) (*session.Session, error) {
	var risen *session.Session
	err := d.Store.Tx(ctx, func(tx *sql.Tx) (err error) {
		if err := d.setSecret(ctx, tx, c, hashed, s.Ente, address); err != nil {
			return err
		}
		risen, err = d.Sessions.RiseAt(ctx, tx, w, s, *s, s.Ente)
		return err
	})
	return risen, err
}

// ResetByCard gives the person of a session of level forte a new password for a media
// credential of the own.
func (d *Desk) ResetByCard(ctx context.Context, w http.ResponseWriter, s *session.Session, id string, password []byte, address string) (*session.Session, error) {
	if s == nil || s.Level != session.Forte || s.Person == 0 {
		return nil, ErrRefused
	}
	c, err := Get(ctx, d.Store, id)
	if err == nil && (c.Person != s.Person || c.Kind != Media) {
		err = ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	if c.State != Active {
		return nil, ErrState
	}
	hashed, err := d.newSecret(ctx, c, password)
	if err != nil {
		return nil, err
	}
	return d.replace(ctx, w, s, c, hashed, address)
}

// NewMedia makes a media credential, in the transaction of the envelope that is activated.
// Older ones that the same ente released to the person are revoked.
func (d *Desk) NewMedia(ctx context.Context, tx *sql.Tx, code string, who int64, username, hashed, email string) (*Credential, error) {
	now := store.Time(d.now())
	rows, err := tx.QueryContext(ctx, "SELECT id FROM credential WHERE person = ? AND ente = ? AND kind = 'media' AND state IN ('active', 'suspended')", who, code)
	if err != nil {
		return nil, fmt.Errorf("credential: %w", err)
	}
	old, err := store.Strings(rows)
	if err != nil {
		return nil, fmt.Errorf("credential: %w", err)
	}
	for _, id := range old {
		if _, err := tx.ExecContext(ctx, "UPDATE credential SET state = 'revoked', changed = ? WHERE id = ?", now, id); err != nil {
			return nil, fmt.Errorf("credential: %w", err)
		}
		if _, err := tx.ExecContext(ctx, "UPDATE envelope SET state = 'revoked', reason = 'replaced', changed = ? WHERE credential = ?", now, id); err != nil {
			return nil, fmt.Errorf("credential: %w", err)
		}
		if err := session.EndAll(ctx, tx, id); err != nil {
			return nil, err
		}
	}
	id := store.NewID()
	_, err = tx.ExecContext(ctx, `INSERT INTO credential (id, kind, ente, person, handle, secret, state, email, created, changed) VALUES (?,'media',?,?,?,?,'active',?,?,?)`,
		id, code, who, normal(username), hashed, email, now, now)
	if err != nil {
		return nil, fmt.Errorf("credential: %w", err)
	}
	return Get(ctx, tx, id)
}

// EnsureCard finds or makes the credential of a card that was just proved, in the
// transaction of its login. ErrRefused: a desk has suspended or revoked it, or the person
// is dead.
func (d *Desk) EnsureCard(ctx context.Context, tx *sql.Tx, code string, p *person.Person, certificate []byte) (*Credential, error) {
	sum := sha256.Sum256(certificate)
	handle, now := "card:"+hex.EncodeToString(sum[:]), store.Time(d.now())
	_, err := tx.ExecContext(ctx, `INSERT INTO credential (id, kind, ente, person, handle, state, created, changed) VALUES (?,'forte',?,?,?,'active',?,?)
		ON CONFLICT (handle) DO UPDATE SET seen = ?`, store.NewID(), code, p.ID, handle, now, now, now)
	if err != nil {
		return nil, fmt.Errorf("credential: %w", err)
	}
	c, err := scan(tx.QueryRowContext(ctx, "SELECT "+columns+" FROM credential WHERE handle = ?", handle))
	if err != nil {
		return nil, err
	}
	if c.State != Active || c.Person != p.ID || !p.Dead.IsZero() {
		return nil, ErrRefused
	}
	return c, nil
}

// Random makes a text that people type: of 31 letters and digits that look like no other.
func Random(n int) string {
	const letters = "23456789abcdefghjkmnpqrstuvwxyz"
	out := make([]byte, 0, n)
	for len(out) < n {
		var b [1]byte
		_, _ = rand.Read(b[:]) // never fails (crypto/rand)
		if int(b[0]) < 256/len(letters)*len(letters) {
			out = append(out, letters[int(b[0])%len(letters)])
		}
	}
	return string(out)
}

// Sweep writes down what has expired, and deletes registrations that nobody confirmed.
func (d *Desk) Sweep(ctx context.Context) error {
	now := d.now()
	_, err1 := d.Store.ExecContext(ctx, "UPDATE credential SET state = 'expired', changed = ? WHERE state = 'active' AND expires <> '' AND expires < ?", store.Time(now), store.Time(now))
	_, err2 := d.Store.ExecContext(ctx, "DELETE FROM credential WHERE kind = 'debole' AND state = 'pending' AND created < ?", store.Time(now.Add(-confirmLife)))
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("credential: %w", err)
	}
	return nil
}
