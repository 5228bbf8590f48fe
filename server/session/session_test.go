package session_test

import (
	"database/sql"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
)

// browser carries a cookie from one answer to the next request.
type browser struct{ cookies []*http.Cookie }

func (b *browser) take(w *httptest.ResponseRecorder) { b.cookies = w.Result().Cookies() }

func (b *browser) request() *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, c := range b.cookies {
		r.AddCookie(c)
	}
	return r
}

// The id changes at each rise, the old one is worthless, and none that a browser brings is
// adopted.
func TestFixation(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		m := &session.Manager{Store: s, Ente: "prova", Secure: true}
		planted := httptest.NewRequest(http.MethodGet, "/", nil)
		planted.AddCookie(&http.Cookie{Name: "__Host-citel", Value: strings.Repeat("A", 43)})
		if got, err := m.Get(t.Context(), planted); got != nil || err != nil {
			t.Fatalf("a planted id is taken: %+v, %v", got, err)
		}
		var b, old browser
		w := httptest.NewRecorder()
		_, err := m.Start(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		b.take(w)
		old.cookies = b.cookies
		c := b.cookies[0]
		if c.Name != "__Host-citel" || !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || len(c.Value) != 43 {
			t.Errorf("%+v", c)
		}
		for _, level := range []session.Level{session.Debole, session.Media, session.Forte} {
			before, err := m.Get(t.Context(), b.request())
			if err != nil || before == nil {
				t.Fatalf("%+v, %v", before, err)
			}
			w := httptest.NewRecorder()
			err = s.Tx(t.Context(), func(tx *sql.Tx) error {
				_, err := m.Rise(t.Context(), tx, w, before, session.Session{Level: level})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			old.cookies = b.cookies
			b.take(w)
			after, err := m.Get(t.Context(), b.request())
			if err != nil || after.Level != level || after.Binding == before.Binding || after.CSRF == before.CSRF || after.CheckCSRF(before.CSRF) || after.CheckCSRF("") {
				t.Errorf("%+v, %v", after, err)
			}
			if got, err := m.Get(t.Context(), old.request()); got != nil || err != nil {
				t.Errorf("the id of before %s: %+v, %v", level, got, err)
			}
		}
		if n := storetest.Count(t, s, "SELECT count(*) FROM session"); n != 1 {
			t.Errorf("%d sessions", n)
		}
	})
}

// A portal's session opens no console and the other way round, even with the cookie's name
// changed; one ente's is another's only where they share an origin.
func TestRealms(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		portal := &session.Manager{Store: s, Ente: "prova"}
		console := &session.Manager{Store: s, Realm: session.Console, Shared: true}
		w := httptest.NewRecorder()
		if _, err := portal.Start(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		id := w.Result().Cookies()[0].Value
		for _, name := range []string{"citel", "citel-console"} {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.AddCookie(&http.Cookie{Name: name, Value: id})
			if got, err := console.Get(t.Context(), r); got != nil || err != nil {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.AddCookie(&http.Cookie{Name: "citel", Value: id})
		for shared, want := range map[bool]bool{false: false, true: true} {
			other := &session.Manager{Store: s, Ente: "altro", Shared: shared}
			if got, err := other.Get(t.Context(), r); (got != nil) != want || err != nil {
				t.Errorf("shared %v: %+v, %v", shared, got, err)
			}
		}
	})
}

// It ends half an hour after the last request, can be extended, and ends after eight hours
// in any case; what a page asks by itself does not extend it.
func TestTime(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		now := time.Now()
		begun := now
		m := &session.Manager{Store: s, Ente: "prova", Now: func() time.Time { return now }}
		var b browser
		w := httptest.NewRecorder()
		if _, err := m.Start(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		b.take(w)
		get := func(quiet bool) *session.Session {
			t.Helper()
			r := b.request()
			if quiet {
				r.Header.Set(session.QuietHeader, "1")
			}
			got, err := m.Get(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		now = now.Add(28*time.Minute + 30*time.Second)
		if got := get(true); got == nil || m.Left(got) > session.Warning || m.Left(got) <= 0 {
			t.Fatalf("%+v", got)
		}
		if got := get(true); m.Left(got) > session.Warning {
			t.Errorf("a quiet request extends it: %v", m.Left(got))
		}
		if err := m.Extend(t.Context(), get(true)); err != nil {
			t.Fatal(err)
		}
		if got := get(true); m.Left(got) < 29*time.Minute {
			t.Errorf("extended: %v", m.Left(got))
		}
		for now.Sub(begun) < session.Max-25*time.Minute {
			now = now.Add(20 * time.Minute)
			if get(false) == nil {
				t.Fatalf("over after %v", now.Sub(begun))
			}
		}
		got := get(false)
		if err := m.Extend(t.Context(), got); err != nil || m.Left(got) > begun.Add(session.Max).Sub(now) {
			t.Errorf("beyond the end: %v, %v", m.Left(got), err)
		}
		now = begun.Add(session.Max + time.Second)
		if get(false) != nil {
			t.Error("after eight hours")
		}
	})
}
