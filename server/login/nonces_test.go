package login_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/citel-pa/citel/pkcs/authtoken"
	"github.com/citel-pa/citel/server/login"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
)

func TestNonces(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		now := time.Now()
		n := &login.Nonces{Store: s, Now: func() time.Time { return now }}
		issue := func() string {
			t.Helper()
			v, expires, err := n.Issue(t.Context(), "me", "https://a.example")
			if err != nil || len(v) != 44 || expires.Sub(now) != authtoken.NonceLife {
				t.Fatalf("%q %v %v", v, expires, err)
			}
			return v
		}
		v := issue()
		for _, c := range []struct {
			value, binding, origin string
			want                   error
		}{
			{"x", "me", "https://a.example", authtoken.ErrNonceUnknown},
			{v, "you", "https://a.example", authtoken.ErrNonceUnknown},
			{v, "me", "https://b.example", authtoken.ErrOtherOrigin},
			{v, "me", "https://a.example", authtoken.ErrNonceUsed}, // the try before used it up
			{issue(), "me", "https://a.example", nil},
		} {
			if err := n.Take(t.Context(), c.value, c.binding, c.origin); !errors.Is(err, c.want) {
				t.Errorf("%+v: %v", c, err)
			}
		}
		late := issue()
		first := late
		for range 8 {
			now = now.Add(time.Second)
			late = issue()
		}
		if err := n.Take(t.Context(), first, "me", "https://a.example"); !errors.Is(err, authtoken.ErrNonceUnknown) {
			t.Errorf("the ninth did not push the first out: %v", err)
		}
		now = now.Add(authtoken.NonceLife + time.Second)
		if err := n.Take(t.Context(), late, "me", "https://a.example"); !errors.Is(err, authtoken.ErrNonceExpired) {
			t.Errorf("late: %v", err)
		}
	})
}

// Two processes and one nonce: one of them gets it.
func TestOnceAmongProcesses(t *testing.T) {
	for _, e := range []store.Engine{store.SQLite, store.Postgres} {
		t.Run(string(e), func(t *testing.T) {
			address, dir := storetest.Address(t, e), storetest.Dir(t)
			var all []*login.Nonces
			for range 2 {
				s, err := store.OpenURL(t.Context(), address, dir)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = s.Close() })
				all = append(all, &login.Nonces{Store: s})
			}
			v, _, err := all[0].Issue(t.Context(), "me", "https://a.example")
			if err != nil {
				t.Fatal(err)
			}
			var g errgroup.Group
			var got atomic.Int32
			for i := range 8 {
				g.Go(func() error {
					err := all[i%2].Take(context.WithoutCancel(t.Context()), v, "me", "https://a.example")
					if err == nil {
						got.Add(1)
					} else if !errors.Is(err, authtoken.ErrNonceUsed) {
						return err
					}
					return nil
				})
			}
			if err := g.Wait(); err != nil || got.Load() != 1 {
				t.Errorf("taken %d times, %v", got.Load(), err)
			}
		})
	}
}
