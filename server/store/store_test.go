package store_test

import (
	"database/sql"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
)

func open(t *testing.T, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Every connection of the pool loses nothing at a power cut.
func TestDurability(t *testing.T) {
	s := open(t, t.TempDir())
	defer func() { _ = s.Close() }()
	for range 8 {
		c, err := s.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		var mode string
		var sync, keys int
		for pragma, into := range map[string]any{"journal_mode": &mode, "synchronous": &sync, "foreign_keys": &keys} {
			if err := c.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(into); err != nil {
				t.Fatal(err)
			}
		}
		if mode != "wal" || sync != 2 || keys != 1 {
			t.Errorf("journal_mode=%s synchronous=%d foreign_keys=%d", mode, sync, keys)
		}
	}
}

func TestNobodyElseReads(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := open(t, dir)
	if err := s.WriteFile(t.Context(), "a/b.p7m", strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has %v", path, info.Mode().Perm())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFiles(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		read := func(name string) string {
			t.Helper()
			f, err := s.OpenFile(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(f)
			if err := errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
			return string(data)
		}
		for _, size := range []int{0, 1, 256 << 10, 256<<10 + 1, 1 << 20} {
			text := strings.Repeat("x", size)
			if err := s.WriteFile(t.Context(), "x/y.pdf", iotest.OneByteReader(strings.NewReader(text))); err != nil {
				t.Fatal(err)
			}
			if read("x/y.pdf") != text {
				t.Errorf("%d bytes are read as others", size)
			}
		}
		if err := s.WriteFile(t.Context(), "x/y.pdf", strings.NewReader("one")); err != nil {
			t.Fatal(err)
		}
		if err := s.WriteFile(t.Context(), "x/y.pdf", io.MultiReader(strings.NewReader("tw"), broken{})); err == nil {
			t.Error("a source that breaks off is taken")
		}
		if got := read("x/y.pdf"); got != "one" {
			t.Errorf("%q", got)
		}
		if _, err := s.OpenFile(t.Context(), "x/z.pdf"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("not there: %v", err)
		}
		for _, name := range []string{"../keys.json", "/etc/passwd", "", "a/../../b", "a\\b", "a\x00b", "a//b", "./a"} {
			if err := s.WriteFile(t.Context(), name, strings.NewReader("")); err == nil {
				t.Errorf("%q was written", name)
			}
			if _, err := s.OpenFile(t.Context(), name); err == nil {
				t.Errorf("%q was opened", name)
			}
		}
		if err := errors.Join(s.RemoveFile(t.Context(), "x/y.pdf"), s.RemoveFile(t.Context(), "x/y.pdf"), s.RemoveFile(t.Context(), "none")); err != nil {
			t.Error(err)
		}
		if err := s.SweepFiles(t.Context(), time.Now().Add(2*time.Hour)); err != nil {
			t.Error(err)
		}
		if _, err := s.OpenFile(t.Context(), "x/y.pdf"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("removed: %v", err)
		}
	})
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestTransactions(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		stop := errors.New("stop")
		err := s.Tx(t.Context(), func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(t.Context(), "INSERT INTO register (ente, year, last) VALUES ('a', 1, 1)"); err != nil {
				return err
			}
			return stop
		})
		if !errors.Is(err, stop) {
			t.Errorf("%v", err)
		}
		if n := storetest.Count(t, s, "SELECT count(*) FROM register"); n != 0 {
			t.Error("what failed was kept")
		}
		if _, err := s.ExecContext(t.Context(), "INSERT INTO register (ente, year, last) VALUES ('a', 1, 1)"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.ExecContext(t.Context(), "INSERT INTO register (ente, year, last) VALUES ('a', 1, 1)"); !store.IsUnique(err) {
			t.Errorf("twice: %v", err)
		}
	})
}

// The migrations run once, and several processes may start at the same time.
func TestOpenedTogether(t *testing.T) {
	for _, e := range []store.Engine{store.SQLite, store.Postgres} {
		t.Run(string(e), func(t *testing.T) {
			address, dir := "", t.TempDir()
			if e == store.Postgres {
				address = storetest.Empty(t)
			}
			var g errgroup.Group
			for range 4 {
				g.Go(func() error {
					s, err := store.OpenURL(t.Context(), address, dir)
					if err != nil {
						return err
					}
					return s.Close()
				})
			}
			if err := g.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Two processes, many at once: a number for each, none twice, no gap. Each transaction
// reads first and writes what follows from it.
func TestSerializable(t *testing.T) {
	for _, e := range []store.Engine{store.SQLite, store.Postgres} {
		t.Run(string(e), func(t *testing.T) {
			address, dir := storetest.Address(t, e), t.TempDir()
			const each, workers = 10, 4
			var g errgroup.Group
			var one *store.Store
			for range 2 {
				s, err := store.OpenURL(t.Context(), address, dir)
				if err != nil {
					t.Fatal(err)
				}
				one = s
				t.Cleanup(func() { _ = s.Close() })
				for range workers {
					g.Go(func() error {
						for range each {
							err := s.Tx(t.Context(), func(tx *sql.Tx) error {
								var n int
								if err := tx.QueryRowContext(t.Context(), "SELECT count(*) FROM register").Scan(&n); err != nil {
									return err
								}
								_, err := tx.ExecContext(t.Context(), "INSERT INTO register (ente, year, last) VALUES ('a', ?, 0)", n)
								return err
							})
							if err != nil {
								return err
							}
						}
						return nil
					})
				}
			}
			if err := g.Wait(); err != nil {
				t.Fatal(err)
			}
			if n := storetest.Count(t, one, "SELECT count(*) FROM register WHERE year < ?", 2*workers*each); n != 2*workers*each {
				t.Errorf("%d rows without a gap, not %d", n, 2*workers*each)
			}
		})
	}
}
