// Package session is a browser's session: a random id in a cookie, kept here as a
// hash, with the level that was proved in it. The id changes at each rise of
// level, and none that a browser brings is ever adopted.
package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/store"
)

// Level is what was proved; each includes the lower ones.
type Level int

// The levels.
const (
	None Level = iota
	Debole
	Media
	Forte
)

// URI is the level's name towards other systems.
func (l Level) URI() string { return "https://github.com/citel-pa/citel/level/" + l.String() }

// String is the Italian name: debole, media, forte.
func (l Level) String() string {
	switch l {
	case Debole:
		return "debole"
	case Media:
		return "media"
	case Forte:
		return "forte"
	}
	return "nessuna"
}

// Life of a session: without a request, and in all. The page warns Warning before the end
// of the first, and Extend gives it again, up to the second.
const (
	Idle    = 30 * time.Minute
	Max     = 8 * time.Hour
	Warning = 2 * time.Minute
)

// Realm is where a session holds: a portal's opens nothing in a console, even where it is
// the same person in the same browser.
type Realm string

// The realms.
const (
	Portal  Realm = "portal"
	Console Realm = "console"
)

// Session is one browser's.
type Session struct {
	// Binding names the session towards other rooms (nonces); it is not the id.
	Binding     string
	CSRF        string
	Ente        string
	Level       Level
	Person      int64  // 0 below Media
	Certificate []byte // DER of the card's certificate
	Profile     string
	// Fingerprint of the agent's key over whose socket the login came.
	Fingerprint string
	// Credential is the id of what was proved; Releaser the ente that released it: a media
	// opens another ente's data only where that accepts the releaser.
	Credential string
	Releaser   string
	// Waiting is what was proved first and waits: in a portal the id of a debole credential
	// that was proved before the level rose (it may join the person, after a question); in
	// a console the operator's id before the second factor.
	Waiting string
	// Operator and Role are a console's: who works, and the role that the frame shows.
	Operator int64
	Role     string
	// Mandate is the id of the one by which the person acts for another. It proves nothing:
	// whoever uses it asks server/mandate whether it holds now.
	Mandate string
	Created time.Time
	// Ends is when the session is over without another request.
	Ends time.Time

	hash []byte
}

// Manager keeps the sessions of one realm. They are in the database: any server process
// behind a balancer takes them.
type Manager struct {
	Store  *store.Store
	Ente   string // for sessions that begin here; with several enti, Start names it
	Shared bool   // sessions begun at other enti of this origin hold here too
	Realm  Realm  // empty is Portal
	Secure bool   // the cookie goes over https only
	Now    func() time.Time
}

func (m *Manager) realm() Realm {
	if m.Realm == "" {
		return Portal
	}
	return m.Realm
}

func (m *Manager) now() time.Time {
	if m.Now != nil {
		return m.Now()
	}
	return time.Now()
}

// cookie is __Host- bound where there is https (RFC 6265bis, 4.1.3.2): no other
// host, path or http page can set it.
func (m *Manager) cookie() string {
	name := "citel"
	if m.realm() == Console {
		name = "citel-console"
	}
	if m.Secure {
		return "__Host-" + name
	}
	return name
}

// Cookie is the name of the cookie, for the notice that lists it.
func (m *Manager) Cookie() string { return m.cookie() }

// Get finds the request's session; nil without one.
func (m *Manager) Get(ctx context.Context, r *http.Request) (*Session, error) {
	c, err := r.Cookie(m.cookie())
	if err != nil || len(c.Value) != 43 {
		return nil, nil
	}
	sum := sha256.Sum256([]byte(c.Value))
	s := &Session{hash: sum[:]}
	var created, seen string
	var person sql.NullInt64
	err = m.Store.QueryRowContext(ctx, `SELECT csrf, ente, level, person, certificate, profile, fingerprint, created, seen, operator, role, credential, releaser, pending, mandate
		FROM session WHERE hash = ? AND realm = ?`, sum[:], string(m.realm())).
		Scan(&s.CSRF, &s.Ente, &s.Level, &person, &s.Certificate, &s.Profile, &s.Fingerprint, &created, &seen, &s.Operator, &s.Role, &s.Credential, &s.Releaser, &s.Waiting, &s.Mandate)
	if errors.Is(err, sql.ErrNoRows) || err == nil && s.Ente != m.Ente && !m.Shared {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	s.Person = person.Int64
	s.Created = store.ParseTime(created)
	s.Binding = base64.RawURLEncoding.EncodeToString(sum[:])
	now := m.now()
	last := store.ParseTime(seen)
	if now.Sub(last) > Idle || now.Sub(s.Created) > Max {
		return nil, m.delete(ctx, sum[:])
	}
	if quiet := r.Header.Get(QuietHeader) != ""; now.Sub(last) > time.Minute && !quiet {
		if _, err := m.Store.ExecContext(ctx, "UPDATE session SET seen = ? WHERE hash = ?", store.Time(now), sum[:]); err != nil {
			return nil, fmt.Errorf("session: %w", err)
		}
		last = now
	}
	s.Ends = m.ends(s, last)
	return s, nil
}

// QuietHeader marks a request that a page makes by itself: it does not extend the session.
const QuietHeader = "X-Citel-Quiet"

func (m *Manager) ends(s *Session, last time.Time) time.Time {
	idle, all := last.Add(Idle), s.Created.Add(Max)
	if idle.After(all) {
		return all
	}
	return idle
}

// Left is how long the session holds without another request. A page that shows a warning
// asks for it (with QuietHeader) and warns when Warning is left.
func (m *Manager) Left(s *Session) time.Duration { return s.Ends.Sub(m.now()) }

// Extend gives a session its idle time again, at the person's wish. It never goes beyond
// Max, which gives what Left says afterwards.
func (m *Manager) Extend(ctx context.Context, s *Session) error {
	now := m.now()
	if _, err := m.Store.ExecContext(ctx, "UPDATE session SET seen = ? WHERE hash = ?", store.Time(now), s.hash); err != nil {
		return fmt.Errorf("session: %w", err)
	}
	s.Ends = m.ends(s, now)
	return nil
}

// SetRole changes the role that a console's frame shows.
func (m *Manager) SetRole(ctx context.Context, s *Session, role string) error {
	if _, err := m.Store.ExecContext(ctx, "UPDATE session SET role = ? WHERE hash = ?", role, s.hash); err != nil {
		return fmt.Errorf("session: %w", err)
	}
	s.Role = role
	return nil
}

// SetMandate chooses for whom the person acts; empty is for oneself. It ends with the
// session, and each rise of level makes a new one.
func (m *Manager) SetMandate(ctx context.Context, s *Session, mandate string) error {
	if _, err := m.Store.ExecContext(ctx, "UPDATE session SET mandate = ? WHERE hash = ?", mandate, s.hash); err != nil {
		return fmt.Errorf("session: %w", err)
	}
	s.Mandate = mandate
	return nil
}

// EndAll ends every session of a credential, in the transaction of what makes it
// worthless.
func EndAll(ctx context.Context, tx *sql.Tx, credential string) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM session WHERE credential = ? OR pending = ?", credential, credential); err != nil {
		return fmt.Errorf("session: %w", err)
	}
	return nil
}

// EndOperator ends every session of an operator.
func EndOperator(ctx context.Context, tx *sql.Tx, operator int64) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM session WHERE operator = ?", operator); err != nil {
		return fmt.Errorf("session: %w", err)
	}
	return nil
}

// Start makes a session with nothing proved and sets the cookie.
func (m *Manager) Start(ctx context.Context, w http.ResponseWriter) (*Session, error) {
	return m.StartAt(ctx, w, m.Ente)
}

// StartAt is Start in an ente that is named.
func (m *Manager) StartAt(ctx context.Context, w http.ResponseWriter, ente string) (*Session, error) {
	s := &Session{Ente: ente}
	return s, m.Store.Tx(ctx, func(tx *sql.Tx) error { return m.insert(ctx, tx, w, s) })
}

// Rise replaces a session by a new one with a higher level: new id, new CSRF
// token, the old one gone. A debole credential that was proved before is remembered
// (Waiting), as long as it is the same person's question.
func (m *Manager) Rise(ctx context.Context, tx *sql.Tx, w http.ResponseWriter, old *Session, to Session) (*Session, error) {
	return m.RiseAt(ctx, tx, w, old, to, m.Ente)
}

// RiseAt is Rise in an ente that is named.
func (m *Manager) RiseAt(ctx context.Context, tx *sql.Tx, w http.ResponseWriter, old *Session, to Session, ente string) (*Session, error) {
	if old != nil {
		if _, err := tx.ExecContext(ctx, "DELETE FROM session WHERE hash = ?", old.hash); err != nil {
			return nil, fmt.Errorf("session: %w", err)
		}
		if old.Level == Debole && to.Level > Debole && to.Waiting == "" {
			to.Waiting = old.Credential
		}
	}
	to.Ente = ente
	return &to, m.insert(ctx, tx, w, &to)
}

func (m *Manager) insert(ctx context.Context, tx *sql.Tx, w http.ResponseWriter, s *Session) error {
	id, csrf := random(), random()
	sum := sha256.Sum256([]byte(id))
	now := m.now()
	s.hash, s.CSRF, s.Created = sum[:], csrf, now
	s.Binding = base64.RawURLEncoding.EncodeToString(sum[:])
	var person any
	if s.Person != 0 {
		person = s.Person
	}
	s.Ends = m.ends(s, now)
	_, err := tx.ExecContext(ctx, `INSERT INTO session (hash, ente, csrf, level, person, certificate, profile, fingerprint, created, seen, realm, operator, role, credential, releaser, pending)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`, s.hash, s.Ente, s.CSRF, int(s.Level), person, s.Certificate, s.Profile, s.Fingerprint, store.Time(now), store.Time(now),
		string(m.realm()), s.Operator, s.Role, s.Credential, s.Releaser, s.Waiting)
	if err != nil {
		return fmt.Errorf("session: %w", err)
	}
	m.set(w, id, int(Max.Seconds()))
	return nil
}

func (m *Manager) set(w http.ResponseWriter, value string, age int) {
	// A transaction that is tried again has set one already: the last counts.
	lines := slices.DeleteFunc(w.Header()["Set-Cookie"], func(l string) bool { return strings.HasPrefix(l, m.cookie()+"=") })
	if w.Header().Del("Set-Cookie"); len(lines) > 0 {
		w.Header()["Set-Cookie"] = lines
	}
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure is off for the demo's http on loopback alone
		Name: m.cookie(), Value: value, Path: "/", MaxAge: age, HttpOnly: true, Secure: m.Secure, SameSite: http.SameSiteLaxMode,
	})
}

// End deletes a session and its cookie.
func (m *Manager) End(ctx context.Context, w http.ResponseWriter, s *Session) error {
	m.set(w, "", -1)
	return m.delete(ctx, s.hash)
}

func (m *Manager) delete(ctx context.Context, hash []byte) error {
	if _, err := m.Store.ExecContext(ctx, "DELETE FROM session WHERE hash = ?", hash); err != nil {
		return fmt.Errorf("session: %w", err)
	}
	return nil
}

// Forget drops what waits.
func (m *Manager) Forget(ctx context.Context, tx *sql.Tx, s *Session) error {
	if _, err := tx.ExecContext(ctx, "UPDATE session SET pending = '' WHERE hash = ?", s.hash); err != nil {
		return fmt.Errorf("session: %w", err)
	}
	s.Waiting = ""
	return nil
}

// Sweep deletes what is over. The server calls it now and then.
func (m *Manager) Sweep(ctx context.Context) error {
	now := m.now()
	_, err := m.Store.ExecContext(ctx, "DELETE FROM session WHERE seen < ? OR created < ?", store.Time(now.Add(-Idle)), store.Time(now.Add(-Max)))
	if err != nil {
		return fmt.Errorf("session: %w", err)
	}
	return nil
}

// CheckCSRF compares a form's or header's token with the session's.
func (s *Session) CheckCSRF(token string) bool {
	return s != nil && subtle.ConstantTimeCompare([]byte(s.CSRF), []byte(strings.TrimSpace(token))) == 1
}

// random is 256 bits in 43 characters.
func random() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b[:])
}
