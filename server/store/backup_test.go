package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
)

// A backup of either engine goes into either engine: rows, documents, keys; the log still
// verifies, numbers go on, and a restore adds to nothing.
func TestBackup(t *testing.T) {
	engines := []store.Engine{store.SQLite, store.Postgres}
	for _, from := range engines {
		for _, to := range engines {
			t.Run(fmt.Sprintf("%s to %s", from, to), func(t *testing.T) {
				s := storetest.New(t, from)
				ring, err := keys.Open(storetest.Dir(t), nil)
				if err != nil {
					t.Fatal(err)
				}
				l := &audit.Log{Store: s, Keys: ring}
				big := strings.Repeat("documento ", 60_000)
				var id int64
				err = errors.Join(
					s.WriteFile(t.Context(), "drafts/a.pdf", strings.NewReader("")), s.WriteFile(t.Context(), "submissions/ab/b.p7m", strings.NewReader(big)),
					s.QueryRowContext(t.Context(), "INSERT INTO person (kind, code, given, family, created) VALUES ('person', 'X', 'È \"strano\"', '\u2028', '') RETURNING id").Scan(&id),
					l.Write(t.Context(), audit.Event{Ente: "prova", Kind: audit.Logout, PersonID: id, Person: "X"}), l.SignDay(t.Context()),
				)
				if err != nil {
					t.Fatal(err)
				}
				var file bytes.Buffer
				if err := s.Backup(t.Context(), &file, []byte("[]"), time.Now()); err != nil {
					t.Fatal(err)
				}
				address, dir := "", storetest.Dir(t)
				if to == store.Postgres {
					address = storetest.Empty(t)
				}
				got, err := store.Restore(t.Context(), bytes.NewReader(file.Bytes()), address, dir)
				if err != nil || string(got) != "[]" {
					t.Fatalf("%q, %v", got, err)
				}
				r, err := store.OpenURL(t.Context(), address, dir)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = r.Close() }()
				for name, want := range map[string]string{"drafts/a.pdf": "", "submissions/ab/b.p7m": big} {
					f, err := r.OpenFile(t.Context(), name)
					if err != nil {
						t.Fatal(err)
					}
					text, err := io.ReadAll(f)
					if err := errors.Join(err, f.Close()); err != nil || string(text) != want {
						t.Errorf("%s: %d bytes, %v", name, len(text), err)
					}
				}
				rep, err := (&audit.Log{Store: r, Keys: ring}).Verify(t.Context())
				if err != nil || rep.Err() != nil || len(rep.Chains) != 2 {
					t.Errorf("%+v, %v", rep, err)
				}
				var name, family string
				var next int64
				err = errors.Join(
					r.QueryRowContext(t.Context(), "SELECT given, family FROM person WHERE id = ?", id).Scan(&name, &family),
					r.QueryRowContext(t.Context(), "INSERT INTO person (kind, code, given, family, created) VALUES ('person', 'Y', '', '', '') RETURNING id").Scan(&next),
				)
				if err != nil || name != "È \"strano\"" || family != "\u2028" || next <= id {
					t.Errorf("%q %q %d %v", name, family, next, err)
				}
				if _, err := store.Restore(t.Context(), bytes.NewReader(file.Bytes()), address, dir); !errors.Is(err, store.ErrNotEmpty) {
					t.Errorf("restored over data: %v", err)
				}
			})
		}
	}
}

// A backup while the server works: every row's document is in it, and the log's chain is
// whole.
func TestBackupWhileRunning(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ring, err := keys.Open(storetest.Dir(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		l := &audit.Log{Store: s, Keys: ring}
		ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
		var g errgroup.Group
		for w := range 3 {
			g.Go(func() error {
				for i := 0; ctx.Err() == nil; i++ {
					id := fmt.Sprintf("%d-%d", w, i)
					if err := s.WriteFile(context.WithoutCancel(ctx), "drafts/"+id, strings.NewReader(id)); err != nil {
						return err
					}
					err := s.Tx(context.WithoutCancel(ctx), func(tx *sql.Tx) error {
						if _, err := tx.ExecContext(context.WithoutCancel(ctx), "INSERT INTO register (ente, year, last) VALUES (?, 1, 1)", id); err != nil {
							return err
						}
						return l.WriteTx(context.WithoutCancel(ctx), tx, audit.Event{Ente: "prova", Kind: audit.Logout})
					})
					if err != nil {
						return err
					}
					if i%2 == 0 { // the row goes, then its document
						if _, err := s.ExecContext(context.WithoutCancel(ctx), "DELETE FROM register WHERE ente = ?", id); err != nil {
							return err
						}
						if err := s.RemoveFile(context.WithoutCancel(ctx), "drafts/"+id); err != nil {
							return err
						}
					}
				}
				return nil
			})
		}
		for range 3 {
			var file bytes.Buffer
			if err := s.Backup(t.Context(), &file, nil, time.Now()); err != nil {
				t.Fatal(err)
			}
			dir := storetest.Dir(t)
			if _, err := store.Restore(t.Context(), &file, "", dir); err != nil {
				t.Fatal(err)
			}
			r, err := store.Open(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			rows, err := r.QueryContext(t.Context(), "SELECT ente FROM register")
			if err != nil {
				t.Fatal(err)
			}
			names, err := store.Strings(rows)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range names {
				if f, err := r.OpenFile(t.Context(), "drafts/"+n); err != nil {
					t.Errorf("a row without its document: %v", err)
				} else {
					_ = f.Close()
				}
			}
			if rep, err := (&audit.Log{Store: r, Keys: ring}).Verify(t.Context()); err != nil || rep.Err() != nil {
				t.Errorf("%v, %+v", err, rep)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
		stop()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
}

func TestDamagedBackups(t *testing.T) {
	s := storetest.New(t, store.SQLite)
	var file bytes.Buffer
	if err := s.Backup(t.Context(), &file, nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	whole := file.Bytes()
	for _, n := range []int{0, 1, 20, 200, len(whole) / 2, len(whole) - 9} {
		if _, err := store.Restore(t.Context(), bytes.NewReader(whole[:n]), "", storetest.Dir(t)); !errors.Is(err, store.ErrBackup) {
			t.Errorf("%d of %d bytes: %v", n, len(whole), err)
		}
	}
}
