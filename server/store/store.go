// Package store is the server's embedded database: one SQLite file in the data
// folder, and beside it the documents as files. What was acknowledged is on disk:
// the database runs in WAL mode with synchronous=FULL, files and their folders
// are synced before anybody is told.
package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver: pure Go, so that the server is one static file
)

//go:embed migrations/*.sql
var migrations embed.FS

// Store is the database and the folder of files.
type Store struct {
	*sql.DB
	dir string
}

// Open opens or makes the database in a folder, which nobody else may read.
func Open(ctx context.Context, dir string) (*Store, error) {
	if err := os.MkdirAll(filepath.Join(dir, "files"), 0o700); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	q := url.Values{}
	// Each connection of the pool gets them (https://www.sqlite.org/pragma.html).
	for _, p := range []string{"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "busy_timeout(10000)", "trusted_schema(0)"} {
		q.Add("_pragma", p)
	}
	q.Set("_txlock", "immediate") // a transaction that reads first cannot lose its turn to write
	name := filepath.Join(dir, "citel.db")
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: name}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	db.SetMaxOpenConns(8)
	s := &Store{DB: db, dir: dir}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("store: %s: %w", name, err), db.Close())
	}
	return s, nil
}

func (s *Store) prepare(ctx context.Context) error {
	var mode string
	var sync int
	if err := s.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return err
	}
	if err := s.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&sync); err != nil {
		return err
	}
	// 2 is FULL. Without it a power cut may lose what a citizen has a receipt for.
	if mode != "wal" || sync != 2 {
		return fmt.Errorf("journal_mode=%s synchronous=%d, not wal and 2 (FULL)", mode, sync)
	}
	if err := os.Chmod(filepath.Join(s.dir, "citel.db"), 0o600); err != nil {
		return err
	}
	return s.migrate(ctx)
}

// migrate runs the scripts that the database has not seen, each in a transaction.
func (s *Store) migrate(ctx context.Context) error {
	entries, err := migrations.ReadDir("migrations")
	if err != nil {
		return err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	var done int
	if err := s.QueryRowContext(ctx, "PRAGMA user_version").Scan(&done); err != nil {
		return err
	}
	if done > len(names) {
		return fmt.Errorf("the database is of a newer version of CiTel (%d, this program knows %d)", done, len(names))
	}
	for i := done; i < len(names); i++ {
		script, err := migrations.ReadFile("migrations/" + names[i])
		if err != nil {
			return err
		}
		err = s.Tx(ctx, func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, string(script)); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", i+1))
			return err
		})
		if err != nil {
			return fmt.Errorf("migration %s: %w", names[i], err)
		}
	}
	return nil
}

// Tx runs f in a transaction that is committed when f returns nil.
func (s *Store) Tx(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// NewID makes a random identifier of 128 bits in hex: good for an address that
// must not be guessed.
func NewID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// Time writes a time as the database keeps it: RFC 3339 in UTC, sortable.
func Time(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// ParseTime reads what Time wrote.
func ParseTime(s string) time.Time {
	t, _ := time.Parse(time.RFC3339Nano, s)
	return t
}

// WriteFile puts a file below the data folder so that it survives a power cut:
// written beside its name, synced, moved, and its folder synced.
func (s *Store) WriteFile(name string, r io.Reader) (err error) {
	path, err := s.path(name)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := mkdirSynced(dir); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	tmp, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp.Name())
		}
	}()
	_, err = io.Copy(tmp, r)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("store: %s: %w", name, err)
	}
	if err = os.Rename(tmp.Name(), path); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err = syncDir(dir); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// TempDir is a folder below the data folder that nobody else may read, for what is put
// aside while a request lasts. What an earlier run left there is taken away.
func (s *Store) TempDir() (string, error) {
	dir := filepath.Join(s.dir, "tmp")
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)); err != nil {
		return "", fmt.Errorf("store: %w", err)
	}
	return dir, nil
}

// OpenFile opens a file that WriteFile wrote.
func (s *Store) OpenFile(name string) (*os.File, error) {
	path, err := s.path(name)
	if err != nil {
		return nil, err
	}
	return os.Open(path) //nolint:gosec // path has checked it
}

// RemoveFile takes a file away; one that is not there is fine.
func (s *Store) RemoveFile(name string) error {
	path, err := s.path(name)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func (s *Store) path(name string) (string, error) {
	if !filepath.IsLocal(name) || strings.ContainsAny(name, "\\\x00") {
		return "", fmt.Errorf("store: not a file's name: %q", name)
	}
	return filepath.Join(s.dir, "files", name), nil
}

// mkdirSynced makes a folder and syncs each parent that got a new entry.
func mkdirSynced(dir string) error {
	if st, err := os.Stat(dir); err == nil && st.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if err := mkdirSynced(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return syncDir(parent)
}
