package limit_test

import (
	"database/sql"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/limit"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/town"
)

func TestQuota(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		q := w.Quota
		take := func(rules ...limit.Rule) error {
			return w.Store.Tx(t.Context(), func(tx *sql.Tx) error { return q.Take(t.Context(), tx, rules...) })
		}
		hour := limit.Rule{Code: "a", Name: "x", Most: 2, In: time.Hour}
		day := limit.Rule{Code: "b", Name: "x", Most: 3, In: 24 * time.Hour}
		begun := w.Today()
		for range 2 {
			if err := take(hour, day); err != nil {
				t.Fatal(err)
			}
			w.Move(10 * time.Minute)
		}
		var over *limit.OverError
		if err := take(hour, day); !errors.As(err, &over) || over.Rule.Code != "a" || !over.Again.Equal(begun.Add(time.Hour)) {
			t.Fatalf("one too many: %v", err)
		}
		if err := q.Over(t.Context(), w.Store, hour); !errors.As(err, &over) {
			t.Errorf("a look: %v", err)
		}
		// What was refused is not counted: an hour after the first there is room for one.
		w.Move(begun.Add(time.Hour).Sub(w.Today()))
		if err := take(hour, day); err != nil {
			t.Fatal(err)
		}
		w.Move(time.Hour)
		if err := take(hour, day); !errors.As(err, &over) || over.Rule.Code != "b" || !over.Again.Equal(begun.Add(24*time.Hour)) {
			t.Fatalf("one too many of the day: %v", err)
		}
		// Of several rules either all take one or none does.
		other := limit.Rule{Code: "c", Name: "y", Most: 1, In: time.Hour}
		if err := take(other, day); !errors.As(err, &over) {
			t.Fatal(err)
		}
		if err := take(other, limit.Rule{Name: "z"}); err != nil {
			t.Errorf("another name: %v", err)
		}
		// Nothing in the table tells whose it is, and a day later nothing is left.
		if n := storetest.Count(t, w.Store, "SELECT count(*) FROM quota WHERE name IN ('x', 'y', 'z')"); n != 0 {
			t.Error("a name is readable")
		}
		w.Move(25 * time.Hour)
		if err := q.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := storetest.Count(t, w.Store, "SELECT count(*) FROM quota"); n != 0 {
			t.Errorf("%d rows are left", n)
		}
	})
}

// Many at once get no more than may be.
func TestQuotaAtOnce(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		r := limit.Rule{Name: "x", Most: 3, In: time.Hour}
		var all sync.WaitGroup
		var mu sync.Mutex
		got := 0
		for range 8 {
			all.Go(func() {
				err := w.Store.Tx(t.Context(), func(tx *sql.Tx) error { return w.Quota.Take(t.Context(), tx, r) })
				var over *limit.OverError
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					got++
				} else if !errors.As(err, &over) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got != r.Most {
			t.Errorf("%d of %d", got, r.Most)
		}
	})
}
