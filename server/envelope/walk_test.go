package envelope_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/citel-pa/citel/server/credential"
	"github.com/citel-pa/citel/server/delay"
	"github.com/citel-pa/citel/server/envelope"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/rooms"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/town"
)

// Whatever operators and citizens do, in whatever order, some things always hold.
func TestRandomWalk(t *testing.T) {
	town.Each(t, func(t *testing.T, tn *town.Town) {
		r := rand.New(rand.NewPCG(7, 41)) //nolint:gosec // the same walk each time
		actors := []role.Actor{
			tn.Operator("prova", 10, "R8"), tn.Operator("prova", 11, "R8"), tn.Operator("prova", 12, "R16"), tn.Operator("prova", 0, "R-Ente"),
			tn.Operator("prova", 13, "R14"), tn.Operator("altro", 14, "R-Ente"), tn.Operator("prova", 15, "R6"),
		}
		var sheets []envelope.Sheet
		holders := map[string]string{}
		before := map[string]envelope.State{}
		for step := range 100 {
			a := actors[r.IntN(len(actors))]
			pick := func() envelope.Sheet {
				if len(sheets) == 0 {
					return envelope.Sheet{Code: "0000000000000"}
				}
				return sheets[r.IntN(len(sheets))]
			}
			var err error
			switch r.IntN(9) {
			case 0:
				b, s, e := tn.Envelopes.Print(t.Context(), a, 1+r.IntN(2))
				if err = e; err == nil {
					sheets = append(sheets, s...)
					if r.IntN(4) > 0 {
						err = tn.Envelopes.Confirm(t.Context(), a, b.ID)
					}
				}
			case 1, 2, 3:
				s, f := pick(), town.FormOf(r.IntN(2))
				h, e := tn.Envelopes.HandOut(t.Context(), a, envelope.Release{Code: s.Code, Form: &f, Document: tn.Document(), ByPost: r.IntN(2) == 0, Replace: r.IntN(2) == 0})
				if err = e; err == nil {
					holders[s.Code] = h.Holder
				}
			case 4, 5:
				s := pick()
				x := envelope.Activation{Ente: "prova", Username: s.Username, PIN: []byte(s.PIN), Holder: []byte(holders[s.Code]), Password: []byte(password), Address: fmt.Sprintf("203.0.113.%d:1", step)}
				if r.IntN(4) == 0 {
					x.PIN = []byte("sbagliato")
				}
				_, err = tn.Envelopes.Activate(t.Context(), tn.Browser(tn.Citizens).Writer(), nil, x)
			case 6, 7:
				err = tn.Envelopes.Change(t.Context(), a, pick().Code, envelope.States[r.IntN(len(envelope.States))], "prova")
			case 8:
				tn.Move(time.Duration(r.IntN(30)) * time.Hour)
				err = tn.Housekeeping(t.Context())
			}
			if err != nil && envelope.Code(err) == "internal" && !errors.Is(err, role.ErrDenied) && !expected(err) {
				t.Fatalf("step %d: %v", step, err)
			}
			holds(t, tn, before)
		}
		if len(holders) < 4 {
			t.Errorf("only %d hand-outs: the walk sees too little", len(holders))
		}
		if rep, err := tn.Audit.Verify(t.Context()); err != nil || rep.Err() != nil {
			t.Errorf("%v, %v", err, rep.Err())
		}
	})
}

func expected(err error) bool {
	var wait *delay.TooSoonError
	return errors.As(err, &wait) || errors.Is(err, credential.ErrState)
}

// holds are the invariants.
func holds(t *testing.T, tn *town.Town, before map[string]envelope.State) {
	t.Helper()
	for what, q := range map[string]string{
		"handed out by its printer":            "SELECT count(*) FROM envelope e JOIN batch b ON b.id = e.batch WHERE e.handed_by = b.printed_by",
		"handed out of a batch not confirmed":  "SELECT count(*) FROM envelope e JOIN batch b ON b.id = e.batch WHERE e.handed_by IS NOT NULL AND b.confirmed = ''",
		"released to the operator":             "SELECT count(*) FROM envelope e JOIN operator o ON o.id = e.handed_by JOIN person p ON p.id = e.person WHERE o.code = p.code",
		"handed out by another ente":           "SELECT count(*) FROM envelope e JOIN operator o ON o.id = e.handed_by WHERE o.ente <> e.ente",
		"active without a credential":          "SELECT count(*) FROM envelope WHERE state IN ('active', 'suspended') AND (credential = '' OR person IS NULL)",
		"a credential without a hand-out":      "SELECT count(*) FROM credential c WHERE c.kind = 'media' AND NOT EXISTS (SELECT 1 FROM envelope e WHERE e.credential = c.id AND e.handed_by IS NOT NULL)",
		"envelope and credential not the same": "SELECT count(*) FROM envelope e JOIN credential c ON c.id = e.credential WHERE e.state <> c.state",
		"two active ones of an ente":           "SELECT count(*) FROM (SELECT person FROM credential WHERE kind = 'media' AND state IN ('active', 'suspended') GROUP BY person, ente HAVING count(*) > 1) x",
		"a session of what opens nothing":      "SELECT count(*) FROM session s JOIN credential c ON c.id = s.credential WHERE c.state <> 'active'",
		"a secret of what was activated":       "SELECT count(*) FROM envelope WHERE state IN ('active', 'suspended') AND (secret <> '' OR holder <> '')",
		"more than ten wrong activations":      "SELECT count(*) FROM envelope WHERE failures > 10 OR failures = 10 AND state IN ('handed-out', 'sent')",
	} {
		if n := storetest.Count(t, tn.Store, q); n != 0 {
			t.Fatalf("%s: %d", what, n)
		}
	}
	rows, err := tn.Store.QueryContext(t.Context(), "SELECT code, state FROM envelope")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var code string
		var state envelope.State
		if err := rows.Scan(&code, &state); err != nil {
			t.Fatal(err)
		}
		if old, ok := before[code]; ok && old != state && !envelope.Can(old, state) {
			t.Fatalf("%s: from %s to %s", code, old, state)
		}
		before[code] = state
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

// Two processes and one envelope: one hand-out, one activation, one credential.
func TestAtOnce(t *testing.T) {
	for _, e := range []store.Engine{store.SQLite, store.Postgres} {
		t.Run(string(e), func(t *testing.T) {
			address, dir := storetest.Address(t, e), storetest.Dir(t)
			ring, err := keys.Open(dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			var towns []*town.Town
			for i := range 2 {
				s, err := store.OpenURL(t.Context(), address, dir)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = s.Close() })
				if i == 0 {
					towns = append(towns, town.On(t, s, ring))
				} else {
					towns = append(towns, town.Join(t, rooms.New(rooms.Options{Store: s, Keys: ring, Demo: true})))
				}
			}
			d := newDesk(towns[0], 1)
			var g errgroup.Group
			var handed, used atomic.Int32
			var holder atomic.Value
			ctx := context.WithoutCancel(t.Context())
			for i := range 6 {
				r := d.release(0, i%2)
				g.Go(func() error {
					h, err := towns[i%2].Envelopes.HandOut(ctx, d.urp, r)
					switch {
					case err == nil:
						handed.Add(1)
						holder.Store(h.Holder)
					case errors.Is(err, envelope.ErrUsed):
						used.Add(1)
					default:
						return err
					}
					return nil
				})
			}
			if err := g.Wait(); err != nil || handed.Load() != 1 || used.Load() != 5 {
				t.Fatalf("%d handed out, %d used already, %v", handed.Load(), used.Load(), err)
			}
			var active atomic.Int32
			for i := range 4 {
				x := d.activation(0, holder.Load().(string)) //nolint:forcetypeassert // stored above
				x.Address = fmt.Sprintf("203.0.113.%d:1", i)
				g.Go(func() error {
					_, err := towns[i%2].Envelopes.Activate(ctx, towns[i%2].Browser(towns[i%2].Citizens).Writer(), nil, x)
					if err == nil {
						active.Add(1)
					} else if !errors.Is(err, envelope.ErrRefused) {
						return err
					}
					return nil
				})
			}
			if err := g.Wait(); err != nil || active.Load() != 1 {
				t.Errorf("activated %d times, %v", active.Load(), err)
			}
			if n := storetest.Count(t, d.Store, "SELECT count(*) FROM credential WHERE kind = 'media'"); n != 1 {
				t.Errorf("%d credentials", n)
			}
			if rep, err := d.Audit.Verify(t.Context()); err != nil || rep.Err() != nil {
				t.Errorf("%v, %v", err, rep)
			}
		})
	}
}
