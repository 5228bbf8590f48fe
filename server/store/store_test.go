package store_test

import (
	"database/sql"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/citel-pa/citel/server/store"
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
	if err := s.WriteFile("a/b.p7m", strings.NewReader("x")); err != nil {
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
	dir := t.TempDir()
	s := open(t, dir)
	defer func() { _ = s.Close() }()
	if err := s.WriteFile("x/y.pdf", strings.NewReader("one")); err != nil {
		t.Fatal(err)
	}
	if err := s.WriteFile("x/y.pdf", io.MultiReader(strings.NewReader("tw"), broken{})); err == nil {
		t.Error("a source that breaks off is taken")
	}
	f, err := s.OpenFile("x/y.pdf")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if data, err := io.ReadAll(f); err != nil || string(data) != "one" {
		t.Errorf("%q %v", data, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "files", "x", ".new-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	for _, name := range []string{"../keys.json", "/etc/passwd", "", "a/../../b", "a\\b", "a\x00b"} {
		if err := s.WriteFile(name, strings.NewReader("")); err == nil {
			t.Errorf("%q was written", name)
		}
		if _, err := s.OpenFile(name); err == nil {
			t.Errorf("%q was opened", name)
		}
	}
	if err := errors.Join(s.RemoveFile("x/y.pdf"), s.RemoveFile("x/y.pdf")); err != nil {
		t.Error(err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestTransactions(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	stop := errors.New("stop")
	err := s.Tx(t.Context(), func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(t.Context(), "CREATE TABLE probe (a)"); err != nil {
			return err
		}
		return stop
	})
	if !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
	if _, err := s.ExecContext(t.Context(), "SELECT 1 FROM probe"); err == nil {
		t.Error("what failed was kept")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, dir).Close(); err != nil { // the migrations run once
		t.Fatal(err)
	}
}
