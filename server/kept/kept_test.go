package kept_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/kept"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
)

func TestKept(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		now := time.Now().UTC().Truncate(time.Millisecond)
		d := &kept.Desk{Store: s, Now: func() time.Time { return now }}
		ctx := t.Context()
		phone := kept.Browser("a phone")
		maria := kept.Of(&session.Session{Level: session.Media, Person: 7, Credential: "m"})
		if err := d.Keep(ctx, phone, "prova", "nido", map[string]string{"child-given": "Nina"}); err != nil {
			t.Fatal(err)
		}
		for _, o := range []kept.Owner{"", kept.Browser("another"), maria, kept.Of(nil)} {
			if f, err := d.Get(ctx, "prova", "nido", o); !errors.Is(err, kept.ErrNotFound) {
				t.Errorf("%q finds %v %v", o, f, err)
			}
		}
		if _, err := d.Get(ctx, "altro", "nido", phone); !errors.Is(err, kept.ErrNotFound) {
			t.Error("another ente has it too")
		}
		if err := d.Move(ctx, phone, maria); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Get(ctx, "prova", "nido", phone); !errors.Is(err, kept.ErrNotFound) {
			t.Error("the browser still has what was moved")
		}
		now = now.Add(kept.BrowserLife + time.Minute)
		f, err := d.Get(ctx, "prova", "nido", phone, maria)
		if err != nil || f.Fields["child-given"] != "Nina" {
			t.Fatalf("%v %v", f, err)
		}
		if err := d.Keep(ctx, phone, "prova", "nido", map[string]string{"child-given": "Ada"}); err != nil {
			t.Fatal(err)
		}
		if f, err := d.Get(ctx, "prova", "nido", phone, maria); err != nil || f.Fields["child-given"] != "Ada" {
			t.Errorf("not the newest: %v %v", f, err)
		}
		now = now.Add(kept.BrowserLife + time.Minute)
		if err := d.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Get(ctx, "prova", "nido", phone); !errors.Is(err, kept.ErrNotFound) {
			t.Error("a browser's form outlives its hours")
		}
		if err := d.Drop(ctx, "prova", "nido", maria); err != nil {
			t.Fatal(err)
		}
		if all, err := d.List(ctx, "prova", maria); err != nil || len(all) != 0 {
			t.Errorf("%v %v", all, err)
		}
		if err := d.Keep(ctx, maria, "prova", "nido", map[string]string{"x": strings.Repeat("x", kept.MaxFields)}); !errors.Is(err, kept.ErrTooLarge) {
			t.Errorf("large: %v", err)
		}
	})
}

// A debole that joined a person is not that person: what was typed at a higher level stays
// closed to it.
func TestOwnerOfAJoinedDebole(t *testing.T) {
	joined := kept.Of(&session.Session{Level: session.Debole, Person: 7, Credential: "d"})
	if joined == kept.Of(&session.Session{Level: session.Forte, Person: 7, Credential: "f"}) {
		t.Error(joined)
	}
}

// An owner fills no database: beyond a number of forms the oldest go, after a login too.
func TestKeptIsBounded(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		now := time.Now().UTC().Truncate(time.Millisecond)
		d := &kept.Desk{Store: s, Now: func() time.Time { return now }}
		phone, maria := kept.Browser("a phone"), kept.Of(&session.Session{Level: session.Media, Person: 7, Credential: "m"})
		for i := range kept.MaxForms + 5 {
			for _, o := range []kept.Owner{phone, maria} {
				now = now.Add(time.Second)
				if err := d.Keep(t.Context(), o, "prova", fmt.Sprint(o[:3], i), map[string]string{"a": "b"}); err != nil {
					t.Fatal(err)
				}
			}
		}
		count := func(o kept.Owner, newest string) {
			t.Helper()
			all, err := d.List(t.Context(), "prova", o)
			if err != nil || len(all) != kept.MaxForms || all[0].Service != newest {
				t.Errorf("%d %+v %v", len(all), all[0], err)
			}
		}
		count(phone, fmt.Sprint("bro", kept.MaxForms+4))
		if err := d.Move(t.Context(), phone, maria); err != nil {
			t.Fatal(err)
		}
		count(maria, fmt.Sprint("per", kept.MaxForms+4))
	})
}
