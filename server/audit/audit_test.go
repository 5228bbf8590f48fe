package audit_test

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
)

func ring(t *testing.T) *keys.Ring {
	t.Helper()
	r, err := keys.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var who = role.Actor{Operator: 7, Ente: "prova", Code: "PRVMRA80A01H501Z", Name: "Maria Prova", Address: "192.0.2.77:4242"}

// journal has five rows in each of two chains and a signed day after the third.
func journal(t *testing.T, s *store.Store) *audit.Log {
	t.Helper()
	l := &audit.Log{Store: s, Keys: ring(t)}
	for i := range 5 {
		for _, ente := range []string{"prova", "altro"} {
			e := audit.Event{Ente: ente, Kind: audit.EnvelopeHandedOut, PersonID: 3, Person: "RSSMRA80A01H501U", Credential: "c",
				Detail: map[string]string{"envelope": fmt.Sprint(i)}, Personal: map[string]string{"document": "CI AA1"}}
			if err := l.Write(t.Context(), e.By(who)); err != nil {
				t.Fatal(err)
			}
		}
		if i == 2 {
			if err := errors.Join(l.SignDay(t.Context()), l.SignDay(t.Context())); err != nil {
				t.Fatal(err)
			}
		}
	}
	return l
}

// Whoever has the database but not the keys cannot change, add, take out, cut or reorder
// anything unseen; and the report says where.
func TestEveryChangeShows(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		r, err := journal(t, s).Verify(t.Context())
		if err != nil || r.Err() != nil || len(r.Chains) != 3 {
			t.Fatalf("untouched: %+v, %v", r, err)
		}
		for _, c := range r.Chains {
			if c.Ente != "" && (c.Rows != 5 || len(c.Last) != 32 || c.Sealed == "") {
				t.Errorf("%+v", c)
			}
		}
	})
	at := " WHERE ente = 'prova' AND seq = "
	for _, c := range []struct{ change, where string }{
		{"UPDATE journal SET ente = 'terzo'" + at + "3", "prova, row 4"},
		{"UPDATE journal SET time = '2020-01-01T00:00:00.000Z'" + at + "3", "prova, row 3"},
		{"UPDATE journal SET kind = 'logout'" + at + "3", "prova, row 3"},
		{"UPDATE journal SET operator = 8" + at + "3", "prova, row 3"},
		{"UPDATE journal SET person = 8" + at + "3", "prova, row 3"},
		{"UPDATE journal SET credential = ''" + at + "3", "prova, row 3"},
		{"UPDATE journal SET address = ''" + at + "3", "prova, row 3"},
		{"UPDATE journal SET detail = '{}'" + at + "3", "prova, row 3"},
		{"UPDATE journal SET personal = (SELECT personal FROM journal" + at + "2)" + at + "3", "prova, row 3"},
		{"UPDATE journal SET mac = (SELECT mac FROM journal" + at + "2)" + at + "3", "prova, row 3"},
		{"DELETE FROM journal" + at + "1", "prova, row 2"},
		{"DELETE FROM journal" + at + "3", "prova, row 4"},
		{"DELETE FROM journal" + at + "5", "prova: the end is cut off: rows 5 to 5"},
		{"DELETE FROM journal WHERE ente = 'prova'", "prova: the end is cut off: rows 1 to 5"},
		{"DELETE FROM journal WHERE ente = 'prova'; DELETE FROM journal_head WHERE ente = 'prova'", "prova"},
		{"DELETE FROM journal WHERE ente = 'prova'; DELETE FROM journal_head WHERE ente = 'prova'; DELETE FROM journal_day WHERE ente = 'prova'", "prova: the whole chain is gone"},
		{"DELETE FROM journal" + at + "5; UPDATE journal_head SET seq = 4, mac = (SELECT mac FROM journal" + at + "4) WHERE ente = 'prova'", "prova: the record of the chain's end was changed"},
		{"UPDATE journal_head SET head = mac WHERE ente = 'prova'", "prova: the record of the chain's end was changed"},
		{"DELETE FROM journal_head WHERE ente = 'prova'", "prova: the record of the chain's end is gone"},
		{"UPDATE journal_day SET seal = 'x' WHERE ente = 'prova'", "prova, row 3"},
		{"UPDATE journal_day SET day = '2020-01-01' WHERE ente = 'prova'", "prova, row 3"},
		{"UPDATE journal_personal SET data = '{}'" + at + "3", "prova, row 3: its personal data was changed"},
		{"DELETE FROM journal_personal" + at + "3", "prova, row 3: its personal data is gone"},
		{"DELETE FROM journal" + at + "3; UPDATE journal SET seq = 3" + at + "4; UPDATE journal SET seq = 4" + at + "5", "prova, row 3"},
		{"INSERT INTO journal SELECT ente, 6, time, kind, operator, person, credential, address, detail, personal, key, mac FROM journal" + at + "5", "prova, row 6"},
	} {
		t.Run(c.change, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, s *store.Store) {
				l := journal(t, s)
				if strings.HasPrefix(c.change, "UPDATE journal SET") || strings.HasPrefix(c.change, "DELETE FROM journal ") {
					if _, err := s.ExecContext(t.Context(), c.change); err == nil {
						t.Error("the database itself lets it happen")
					}
				}
				unguard(t, s)
				if _, err := s.ExecContext(t.Context(), c.change); err != nil {
					t.Fatal(err)
				}
				r, err := l.Verify(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if err := r.Err(); !errors.Is(err, audit.ErrChanged) || !strings.HasPrefix(r.Problems[0].String(), c.where) {
					t.Errorf("%v, not at %q", r.Problems, c.where)
				}
			})
		})
	}
}

// unguard takes the database's own guards away, as whoever owns it can.
func unguard(t *testing.T, s *store.Store) {
	t.Helper()
	for _, x := range [][2]string{{"journal_no_update", "journal"}, {"journal_no_delete", "journal"}, {"journal_day_no_update", "journal_day"}, {"journal_day_no_delete", "journal_day"}} {
		q := "DROP TRIGGER " + x[0]
		if s.Engine() == store.Postgres {
			q += " ON " + x[1]
		}
		if _, err := s.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRotationKeepsTheLog(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		l := journal(t, s)
		if err := l.Keys.Rotate(time.Now()); err != nil {
			t.Fatal(err)
		}
		if err := l.Write(t.Context(), audit.Event{Ente: "prova", Kind: audit.Logout}); err != nil {
			t.Fatal(err)
		}
		if r, err := l.Verify(t.Context()); err != nil || r.Err() != nil {
			t.Errorf("%v, %v", err, r)
		}
	})
}

// Names and codes can be erased, and the chain holds and says so.
func TestErasure(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		l := journal(t, s)
		if n, err := l.Erase(t.Context(), "prova", 3, time.Now().Add(time.Hour), "diritto alla cancellazione"); n != 5 || err != nil {
			t.Fatalf("%d rows, %v", n, err)
		}
		r, err := l.Verify(t.Context())
		if err != nil || r.Err() != nil {
			t.Fatalf("%v, %v", err, r.Err())
		}
		all, err := l.Read(t.Context(), audit.Filter{Ente: "prova"})
		if err != nil || len(all) != 6 {
			t.Fatalf("%d rows, %v", len(all), err)
		}
		for _, e := range all {
			if len(e.Personal) != 0 {
				t.Errorf("%+v", e)
			}
		}
		if other, err := l.Read(t.Context(), audit.Filter{Ente: "altro"}); err != nil || other[0].Personal["person"] == "" {
			t.Errorf("%+v, %v", other, err)
		}
	})
}

// Rows name operator, document and time; who may read them is asked; the citizen sees
// the own ones without names.
func TestReading(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		l := journal(t, s)
		a := role.Actor{Operator: 9, Ente: "prova", Roles: []string{"R8"}}
		got, err := l.ForOperator(t.Context(), a, audit.Filter{PersonID: 3, Ente: "altro"})
		if err != nil || len(got) != 5 {
			t.Fatalf("%d rows, %v", len(got), err)
		}
		e := got[0]
		if e.Ente != "prova" || e.Seq != 5 || e.Detail["envelope"] != "4" || e.Personal["operator"] != who.Code || e.Personal["document"] != "CI AA1" ||
			e.Personal["person"] != "RSSMRA80A01H501U" || e.Address != "192.0.2.0/24" || time.Since(e.Time) > time.Minute || e.Personal["salt"] != "" {
			t.Errorf("%+v", e)
		}
		for _, f := range []audit.Filter{{PersonID: 3}, {Operator: 7}} {
			if _, err := l.ForOperator(t.Context(), role.Actor{Operator: 9, Ente: "prova", Roles: []string{"R7"}}, f); !errors.Is(err, role.ErrDenied) {
				t.Errorf("%+v: %v", f, err)
			}
		}
		if read, err := l.Read(t.Context(), audit.Filter{Ente: "prova", Kinds: []string{audit.LogRead}}); err != nil || len(read) != 1 || read[0].Operator != 9 {
			t.Errorf("%+v, %v", read, err)
		}
		mine, err := l.Accesses(t.Context(), 3, 0)
		if err != nil || len(mine) != 10 || mine[0].Operator != 0 || mine[0].Personal != nil || mine[0].Address == "" {
			t.Errorf("%+v, %v", mine, err)
		}
	})
}

// Several processes write at once: one chain, no gap.
func TestTogether(t *testing.T) {
	for _, e := range []store.Engine{store.SQLite, store.Postgres} {
		t.Run(string(e), func(t *testing.T) {
			address, dir := storetest.Address(t, e), t.TempDir()
			r := ring(t)
			var g errgroup.Group
			var l *audit.Log
			for range 3 {
				s, err := store.OpenURL(t.Context(), address, dir)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = s.Close() })
				l = &audit.Log{Store: s, Keys: r}
				mine := l
				for range 4 {
					g.Go(func() error {
						for range 5 {
							if err := mine.Write(context.WithoutCancel(t.Context()), audit.Event{Ente: "prova", Kind: audit.Logout, Person: "x"}); err != nil {
								return err
							}
						}
						return mine.SignDay(context.WithoutCancel(t.Context()))
					})
				}
			}
			if err := g.Wait(); err != nil {
				t.Fatal(err)
			}
			rep, err := l.Verify(t.Context())
			if err != nil || rep.Err() != nil || len(rep.Chains) != 2 || rep.Chains[1].Rows != 60 {
				t.Errorf("%+v, %v", rep, err)
			}
		})
	}
}

// The log of before goes on: the new chains hang on its end.
func TestTheLogOfBefore(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		l := &audit.Log{Store: s, Keys: ring(t)}
		var before []byte
		for i := 1; i <= 3; i++ {
			id, mac := l.Keys.MAC(fmt.Appendf(nil, `[%s,%d,"prova","2026-01-01T00:00:00.000Z","logout","","{}"]`, base64JSON(before), i))
			if _, err := s.ExecContext(t.Context(), "INSERT INTO audit (seq, ente, time, kind, person, detail, key, mac) VALUES (?,'prova','2026-01-01T00:00:00.000Z','logout','','{}',?,?)", i, id, mac); err != nil {
				t.Fatal(err)
			}
			before = mac
		}
		if err := l.Write(t.Context(), audit.Event{Ente: "prova", Kind: audit.Logout}); err != nil {
			t.Fatal(err)
		}
		if r, err := l.Verify(t.Context()); err != nil || r.Err() != nil || r.Before != 3 {
			t.Fatalf("%+v, %v", r, err)
		}
		q := "DROP TRIGGER audit_no_delete"
		if s.Engine() == store.Postgres {
			q += " ON audit"
		}
		if _, err := s.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		err := s.Tx(t.Context(), func(tx *sql.Tx) error {
			_, err := tx.ExecContext(t.Context(), "DELETE FROM audit WHERE seq = 3")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if r, err := l.Verify(t.Context()); err != nil || !errors.Is(r.Err(), audit.ErrChanged) {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

func base64JSON(b []byte) string {
	if b == nil {
		return "null"
	}
	return `"` + base64.StdEncoding.EncodeToString(b) + `"`
}

func TestShorten(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.77:80": "192.0.2.0/24", "192.0.2.77": "192.0.2.0/24", "[2001:db8:1:2::3]:443": "2001:db8:1::/48", "::ffff:192.0.2.9": "192.0.2.0/24",
		"fe80::1%eth0": "fe80::/48", "": "", "x": "",
	} {
		if got := audit.Shorten(in); got != want {
			t.Errorf("%q gives %q, not %q", in, got, want)
		}
	}
}

// What a row costs, on both databases; the transaction is synced to disk.
func BenchmarkWrite(b *testing.B) {
	for _, e := range []store.Engine{store.SQLite, store.Postgres} {
		b.Run(string(e), func(b *testing.B) {
			s := storetest.New(b, e)
			r, err := keys.Open(b.TempDir(), nil)
			if err != nil {
				b.Fatal(err)
			}
			l := &audit.Log{Store: s, Keys: r}
			for b.Loop() {
				if err := l.Write(b.Context(), audit.Event{Ente: "prova", Kind: audit.Logout, Person: "x"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Verifying is reading once.
func BenchmarkVerify(b *testing.B) {
	for _, e := range []store.Engine{store.SQLite, store.Postgres} {
		b.Run(string(e), func(b *testing.B) {
			s := storetest.New(b, e)
			r, err := keys.Open(b.TempDir(), nil)
			if err != nil {
				b.Fatal(err)
			}
			l := &audit.Log{Store: s, Keys: r}
			for range 2000 {
				if err := l.Write(b.Context(), audit.Event{Ente: "prova", Kind: audit.Logout, Person: "x"}); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				if rep, err := l.Verify(b.Context()); err != nil || rep.Err() != nil {
					b.Fatal(err, rep)
				}
			}
			b.ReportMetric(2000*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
