// Package town makes a small invented town for tests: two enti on one database, with
// operators, a clock that tests move, and citizens' browsers. Names and codes are invented.
package town

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/envelope"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/rooms"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/pki"
)

// Town is everything that was wired.
type Town struct {
	*rooms.Rooms
	t     testing.TB
	clock *Clock
}

// Clock is a clock that stands until it is moved.
type Clock struct {
	mu sync.Mutex
	at time.Time
}

// Now is the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// Move moves it.
func (c *Clock) Move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// Each runs a test on both databases, each with a town of its own.
func Each(t *testing.T, f func(t *testing.T, town *Town)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, s *store.Store) { f(t, New(t, s)) })
}

// New makes a town on an empty database. In "prova" everything is on, as in the demo; in
// "altro" it is as in a new ente.
func New(t testing.TB, s *store.Store) *Town {
	t.Helper()
	ring, err := keys.Open(storetest.Dir(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	return On(t, s, ring)
}

// On is New with keys that several processes share.
func On(t testing.TB, s *store.Store, ring *keys.Ring) *Town {
	t.Helper()
	town := &Town{t: t, clock: &Clock{at: time.Now().UTC().Truncate(time.Millisecond)}}
	town.Rooms = rooms.New(rooms.Options{Store: s, Keys: ring, Origin: "http://127.0.0.1:8480", Ente: "prova", Demo: true, Log: slog.New(slog.DiscardHandler), Now: town.clock.Now})
	if _, err := town.Enti.Ensure(t.Context(), ente.Ente{Code: "prova", IDEnte: "DEMO", Name: "Comune di Prova", Origin: "http://127.0.0.1:8480"}); err != nil {
		t.Fatal(err)
	}
	err := s.Tx(t.Context(), func(tx *sql.Tx) error {
		_, err := town.Enti.CreateTx(t.Context(), tx, ente.Ente{Code: "altro", Name: "Comune Altro", Active: true}, role.Actor{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return town
}

// Join is a town on rooms that are there already, with the real clock.
func Join(t testing.TB, r *rooms.Rooms) *Town {
	return &Town{Rooms: r, t: t, clock: &Clock{at: time.Now().UTC().Truncate(time.Millisecond)}}
}

// Move moves the town's clock.
func (town *Town) Move(d time.Duration) { town.clock.Move(d) }

// Today is the town's time.
func (town *Town) Today() time.Time { return town.clock.Now() }

// Operator makes an active operator with roles, without going through activation; who is
// the number of an invented person (FormOf).
func (town *Town) Operator(code string, who int, roles ...string) role.Actor {
	town.t.Helper()
	f := FormOf(who)
	ctx := context.Background()
	var id int64
	err := town.Store.Tx(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `INSERT INTO operator (ente, code, given, family, form, state, factor, created, changed) VALUES (?,?,?,?,'{}','active','none',?,?) RETURNING id`,
			code, f.Code, f.Given, f.Family, store.Time(town.Today()), store.Time(town.Today())).Scan(&id)
		if err != nil {
			return err
		}
		for _, r := range roles {
			if role.Get(r) == nil {
				town.t.Fatalf("no role %s", r)
			}
			if _, err := tx.ExecContext(ctx, "INSERT INTO operator_role (operator, role, assigned, by) VALUES (?,?,?,0)", id, r, store.Time(town.Today())); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		town.t.Fatal(err)
	}
	return role.Actor{Operator: id, Ente: code, Code: f.Code, Name: f.Given + " " + f.Family, Roles: roles, Address: "192.0.2.10:1"}
}

// FourEyes switches them on in "prova".
func (town *Town) FourEyes() {
	town.t.Helper()
	e, err := town.Enti.Get(context.Background(), "prova")
	if err == nil {
		e.FourEyes = true
		err = town.Enti.Update(context.Background(), town.Operator("prova", 99, "R6"), *e)
	}
	if err != nil {
		town.t.Fatal(err)
	}
}

// FormOf is a person's form that fits together.
func FormOf(n int) person.Form {
	c := pki.Invented(n)
	return person.Form{Code: c.CF, Family: c.Surname, Given: c.Given, Born: c.Born.Format(person.BornLayout), BirthPlace: "Pisa", Sex: c.Sex,
		Email: fmt.Sprintf("persona%d@example.org", n)}
}

// Child is an invented child's code.
func (town *Town) Child(n int) string { return pki.Child(n).CF }

// Document is one that holds.
func (town *Town) Document() envelope.Document {
	return envelope.Document{Kind: "identity-card", Number: "CA00000AA", Issuer: "Comune di Prova", Issued: "01-02-2024", Expires: town.Today().AddDate(5, 0, 0).Format(person.BornLayout)}
}

// Print prints and confirms a batch.
func (town *Town) Print(printer role.Actor, n int) []envelope.Sheet {
	town.t.Helper()
	b, sheets, err := town.Envelopes.Print(context.Background(), printer, n)
	if err == nil {
		err = town.Envelopes.Confirm(context.Background(), printer, b.ID)
	}
	if err != nil {
		town.t.Fatal(err)
	}
	return sheets
}

// Browser keeps one browser's cookies of one realm.
type Browser struct {
	manager *session.Manager
	cookies map[string]string
	w       *httptest.ResponseRecorder
}

// Browser of a realm's sessions.
func (town *Town) Browser(m *session.Manager) *Browser {
	return &Browser{manager: m, cookies: map[string]string{}}
}

// Writer is where a room sets its cookie; the browser has it afterwards.
func (b *Browser) Writer() http.ResponseWriter {
	b.take()
	b.w = httptest.NewRecorder()
	return b.w
}

func (b *Browser) take() {
	if b.w == nil {
		return
	}
	for _, line := range b.w.Header()["Set-Cookie"] {
		c, err := http.ParseSetCookie(line)
		if err != nil {
			continue
		}
		b.cookies[c.Name] = c.Value
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
}

// Request is one that this browser makes.
func (b *Browser) Request() *http.Request {
	b.take()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for n, v := range b.cookies {
		r.AddCookie(&http.Cookie{Name: n, Value: v})
	}
	return r
}

// Session is the browser's, nil without one.
func (b *Browser) Session(t testing.TB) *session.Session {
	t.Helper()
	s, err := b.manager.Get(context.Background(), b.Request())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Mails gives what waits in the outbox for an address, oldest first: kind and link.
func (town *Town) Mails(to string) (out [][2]string) {
	town.t.Helper()
	rows, err := town.Store.QueryContext(context.Background(), "SELECT kind, link FROM outbox WHERE recipient = ? ORDER BY created", to)
	if err != nil {
		town.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var m [2]string
		if err := rows.Scan(&m[0], &m[1]); err != nil {
			town.t.Fatal(err)
		}
		out = append(out, m)
	}
	return out
}

// Link is the text of the newest link of a kind that an address was mailed.
func (town *Town) Link(to, kind string) string {
	town.t.Helper()
	all := town.Mails(to)
	for i := len(all) - 1; i >= 0; i-- {
		if all[i][0] == kind {
			_, text, _ := strings.Cut(all[i][1], "codice=")
			return text
		}
	}
	town.t.Fatalf("no mail %s to %s: %v", kind, to, all)
	return ""
}
