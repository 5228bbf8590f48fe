package delay_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/citel-pa/citel/server/delay"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
)

func guard(t *testing.T, s *store.Store, now *time.Time) *delay.Guard {
	t.Helper()
	ring, err := keys.Open(storetest.Dir(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	return &delay.Guard{Store: s, Keys: ring, Now: func() time.Time { return *now }}
}

// waits makes n failing tries, each as soon as it may be made, and gives the waits.
func waits(t *testing.T, g *delay.Guard, now *time.Time, n int, what, from string) (out []time.Duration) {
	t.Helper()
	for range n {
		err := g.Begin(t.Context(), what, from)
		var soon *delay.TooSoonError
		if errors.As(err, &soon) {
			out = append(out, soon.Wait)
			*now = now.Add(soon.Wait)
			err = g.Begin(t.Context(), what, from)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestDelays(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		now := time.Now().UTC().Truncate(time.Millisecond)
		g := guard(t, s, &now)
		got := waits(t, g, &now, 16, "maria", "192.0.2.1:1")
		if fmt.Sprint(got) != "[1s 2s 4s 8s 16s 32s 1m4s 2m8s 4m16s 8m32s 15m0s 15m0s]" {
			t.Errorf("%v", got)
		}
		// The same account from elsewhere, and another from there.
		if got := waits(t, g, &now, 1, "maria", "192.0.2.2:1"); len(got) > 0 && got[0] > 5*time.Second {
			t.Errorf("from elsewhere: %v", got)
		}
		if got := waits(t, g, &now, 1, "piero", "192.0.2.1:1"); len(got) > 0 {
			t.Errorf("another account: %v", got)
		}
		if err := g.Success(t.Context(), "maria", "192.0.2.1:1"); err != nil {
			t.Fatal(err)
		}
		if got := waits(t, g, &now, 3, "maria", "192.0.2.1:1"); len(got) > 0 {
			t.Errorf("after a success: %v", got)
		}
		// Names and addresses are not in the database.
		if n := storetest.Count(t, s, "SELECT count(*) FROM attempt WHERE name LIKE '%maria%' OR name LIKE '%192.0.2%'"); n != 0 {
			t.Error("who tried can be read")
		}
		now = now.Add(25 * time.Hour)
		if err := g.Sweep(t.Context()); err != nil || storetest.Count(t, s, "SELECT count(*) FROM attempt") != 0 {
			t.Errorf("not forgotten: %v", err)
		}
	})
}

// Many accounts from one address, and one home's many IPv6 addresses.
func TestSpraying(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		now := time.Now().UTC()
		g := guard(t, s, &now)
		for _, from := range []func(i int) string{
			func(int) string { return "192.0.2.1:1" }, func(i int) string { return fmt.Sprintf("[2001:db8:1:1::%x]:1", i+1) },
		} {
			var soon *delay.TooSoonError
			n := 0
			for ; n < 50; n++ {
				if err := g.Begin(t.Context(), fmt.Sprintf("utente%d", n), from(n)); errors.As(err, &soon) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
			}
			if n < 25 || n > 35 {
				t.Errorf("%d tries", n)
			}
		}
		if err := g.Begin(t.Context(), "utente1", "[2001:db8:1:2::1]:1"); err != nil {
			t.Errorf("the neighbour: %v", err)
		}
	})
}

// A thousand guesses at once are not more than one after the other.
func TestAtOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		now := time.Now().UTC()
		g := guard(t, s, &now)
		var eg errgroup.Group
		var passed atomic.Int32
		for range 30 {
			eg.Go(func() error {
				err := g.Begin(context.WithoutCancel(t.Context()), "maria", "192.0.2.1:1")
				var soon *delay.TooSoonError
				if err == nil {
					passed.Add(1)
				} else if !errors.As(err, &soon) {
					return err
				}
				return nil
			})
		}
		if err := eg.Wait(); err != nil || passed.Load() != 4 {
			t.Errorf("%d passed, %v", passed.Load(), err)
		}
	})
}
