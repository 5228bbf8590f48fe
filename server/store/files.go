package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// piece is how much of a document one row of the database holds, in bytes.
const piece = 256 << 10

// WriteFile puts a document in so that it survives a power cut. In the folder: written
// beside its name, synced, moved, and its folder synced. In the database: one
// transaction.
func (s *Store) WriteFile(ctx context.Context, name string, r io.Reader) error {
	if !isName(name) {
		return fmt.Errorf("store: not a file's name: %q", name)
	}
	if s.engine == Postgres {
		return s.writePieces(ctx, name, r)
	}
	if _, err := s.ExecContext(ctx, "DELETE FROM file_garbage WHERE name = ?", name); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return writeSynced(filepath.Join(s.dir, "files", name), r)
}

func writeSynced(path string, r io.Reader) (err error) {
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
		return fmt.Errorf("store: %s: %w", filepath.Base(path), err)
	}
	if err = os.Rename(tmp.Name(), path); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err = syncDir(dir); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// writePieces does not go through Tx: what is read from r cannot be read twice.
func (s *Store) writePieces(ctx context.Context, name string, r io.Reader) (err error) {
	tx, err := s.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("store: %s: %w", name, err)
			_ = tx.Rollback()
		}
	}()
	if err = insertPieces(ctx, tx, name, r); err != nil {
		return err
	}
	return tx.Commit()
}

// insertPieces gives the pieces an id of their own, so that whoever reads the older ones
// meanwhile gets an error and no mixture.
func insertPieces(ctx context.Context, tx *sql.Tx, name string, r io.Reader) error {
	id := NewID()
	if _, err := tx.ExecContext(ctx, "DELETE FROM file_piece WHERE file IN (SELECT id FROM file WHERE name = ?)", name); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO file (name, id) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET id = excluded.id", name, id); err != nil {
		return err
	}
	buffer := make([]byte, piece)
	for n := 0; ; n++ {
		k, err := io.ReadFull(r, buffer)
		if k > 0 {
			if _, err := tx.ExecContext(ctx, "INSERT INTO file_piece (file, n, data) VALUES (?, ?, ?)", id, n, buffer[:k]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF) && k > 0 && ended(r):
			return nil
		case err != nil:
			return err
		}
	}
}

// ended tells a reader that is at its end from one that broke off: io.ReadFull says
// ErrUnexpectedEOF for both.
func ended(r io.Reader) bool {
	var b [1]byte
	n, err := r.Read(b[:])
	return n == 0 && errors.Is(err, io.EOF)
}

// OpenFile opens a document that WriteFile wrote; os.ErrNotExist without one.
func (s *Store) OpenFile(ctx context.Context, name string) (io.ReadCloser, error) {
	if !isName(name) {
		return nil, fmt.Errorf("store: not a file's name: %q", name)
	}
	if s.engine != Postgres {
		return os.Open(filepath.Join(s.dir, "files", name)) //nolint:gosec // isName has checked it
	}
	r := &pieces{ctx: ctx, s: s}
	err := s.QueryRowContext(ctx, "SELECT id FROM file WHERE name = ?", name).Scan(&r.id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("store: %s: %w", name, os.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if err := s.QueryRowContext(ctx, "SELECT count(*) FROM file_piece WHERE file = ?", r.id).Scan(&r.all); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return r, nil
}

// pieces reads a document piece by piece.
type pieces struct {
	ctx    context.Context //nolint:containedctx // the reader lives as long as its request
	s      *Store
	id     string
	n, all int
	left   bytes.Reader
}

// Read gives the next bytes.
func (p *pieces) Read(b []byte) (int, error) {
	for p.left.Len() == 0 {
		if p.n == p.all {
			return 0, io.EOF
		}
		var data []byte
		if err := p.s.QueryRowContext(p.ctx, "SELECT data FROM file_piece WHERE file = ? AND n = ?", p.id, p.n).Scan(&data); err != nil {
			return 0, fmt.Errorf("store: %w", err)
		}
		p.n++
		p.left.Reset(data)
	}
	return p.left.Read(b)
}

// Close is there for io.ReadCloser.
func (p *pieces) Close() error { return nil }

// garbageLife is how long a file that was removed stays on disk: a backup that runs
// has read the rows that name it, and finds it yet.
const garbageLife = time.Hour

// RemoveFile takes a document away; one that is not there is fine. A file in the
// folder goes with the next SweepFiles.
func (s *Store) RemoveFile(ctx context.Context, name string) error {
	if !isName(name) {
		return fmt.Errorf("store: not a file's name: %q", name)
	}
	var err error
	if s.engine == Postgres {
		err = s.Tx(ctx, func(tx *sql.Tx) error {
			_, err1 := tx.ExecContext(ctx, "DELETE FROM file_piece WHERE file IN (SELECT id FROM file WHERE name = ?)", name)
			if err1 != nil {
				return err1
			}
			_, err1 = tx.ExecContext(ctx, "DELETE FROM file WHERE name = ?", name)
			return err1
		})
	} else {
		_, err = s.ExecContext(ctx, "INSERT INTO file_garbage (name, since) VALUES (?, ?) ON CONFLICT (name) DO NOTHING", name, Time(time.Now()))
	}
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// SweepFiles deletes the files that were removed an hour before now.
func (s *Store) SweepFiles(ctx context.Context, now time.Time) (err error) {
	rows, err := s.QueryContext(ctx, "SELECT name FROM file_garbage WHERE since < ?", Time(now.Add(-garbageLife)))
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	names, err := Strings(rows)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	for _, n := range names {
		if !isName(n) {
			continue
		}
		if err := os.Remove(filepath.Join(s.dir, "files", n)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("store: %w", err)
		}
		if _, err := s.ExecContext(ctx, "DELETE FROM file_garbage WHERE name = ?", n); err != nil {
			return fmt.Errorf("store: %w", err)
		}
	}
	return nil
}

func isName(name string) bool {
	return filepath.IsLocal(name) && !strings.ContainsAny(name, "\\\x00") && name == filepath.ToSlash(filepath.Clean(name))
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
