// Package store is the server's database and its documents. Embedded by default: one
// SQLite file in the data folder, and beside it the documents as files. PostgreSQL
// where one machine is not enough: then the documents are in the database too, in
// pieces, so that every server process reaches them, a row and its document are in
// the same backup, and nobody has to run a shared folder.
//
// There is one set of queries, in SQLite's words: "?" for a value, INTEGER for a yes or
// no, times as text (Time). postgres.go translates in one place.
//
// What was acknowledged is on disk: SQLite runs in WAL mode with synchronous=FULL,
// files and their folders are synced before anybody is told; PostgreSQL is refused
// with fsync or synchronous_commit off.
package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite" // the driver: pure Go, so that the server is one static file
	sqlite3 "modernc.org/sqlite/lib"
)

// Store is the database and the documents.
type Store struct {
	*sql.DB
	dir    string
	engine Engine
	turn   chan struct{} // one writing transaction at a time in this process
}

// Engine is the kind of database.
type Engine string

// The engines.
const (
	SQLite   Engine = "sqlite"
	Postgres Engine = "postgresql"
)

// Engine tells which database this is.
func (s *Store) Engine() Engine { return s.engine }

// Open opens or makes the embedded database in a folder, which nobody else may read.
func Open(ctx context.Context, dir string) (*Store, error) { return open(ctx, dir, nil) }

// OpenURL opens the database that an address names (postgres://...), or the embedded
// one where it is empty. The folder is for the embedded one and for keys.
func OpenURL(ctx context.Context, address, dir string) (*Store, error) {
	if address == "" {
		return Open(ctx, dir)
	}
	return openPostgres(ctx, address, dir, nil)
}

func open(ctx context.Context, dir string, only []string) (*Store, error) {
	if err := os.MkdirAll(filepath.Join(dir, "files"), 0o700); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	q := url.Values{}
	// Each connection of the pool gets them (https://www.sqlite.org/pragma.html).
	for _, p := range []string{"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "trusted_schema(0)"} {
		q.Add("_pragma", p)
	}
	q.Set("_txlock", "immediate") // a transaction that reads first cannot lose its turn to write
	name := filepath.Join(dir, "citel.db")
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: name}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	db.SetMaxOpenConns(8)
	s := &Store{DB: db, dir: dir, engine: SQLite, turn: make(chan struct{}, 1)}
	// Turning WAL on is not waited for by the busy timeout when another process does the same.
	for try := 1; ; try++ {
		if err = s.prepare(ctx, only); err == nil || !retryable(err) || try == maxTries {
			break
		}
		if err = pause(ctx, try); err != nil {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("store: %s: %w", name, err), db.Close())
	}
	return s, nil
}

func (s *Store) prepare(ctx context.Context, only []string) error {
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
	return s.migrate(ctx, only)
}

// maxTries bounds how often a transaction is tried that others got in the way of.
const maxTries = 50

// Tx runs f in a transaction that is committed when f returns nil. Transactions are
// serializable on both engines: what f reads is what holds when it is committed. So f
// may run several times (another process was faster); it leaves nothing behind but
// what it writes in the transaction, does no slow work, and begins no other one.
func (s *Store) Tx(ctx context.Context, f func(*sql.Tx) error) error {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for try := 1; ; try++ {
		err := s.once(ctx, f)
		// A serializable transaction that another one got in the way of may be told of a
		// row that is there twice (https://www.postgresql.org/docs/15/mvcc-serialization-failure-handling.html):
		// one that is really there is so again.
		again := retryable(err) || sqlState(err) == "23505" && try <= 3
		if err == nil || !again || try == maxTries {
			return err
		}
		if err := pause(ctx, try); err != nil {
			return err
		}
	}
}

func (s *Store) once(ctx context.Context, f func(*sql.Tx) error) error {
	o := &sql.TxOptions{}
	if s.engine == Postgres {
		o.Isolation = sql.LevelSerializable
	}
	tx, err := s.BeginTx(ctx, o)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		if back := tx.Rollback(); back != nil && !errors.Is(back, sql.ErrTxDone) {
			err = errors.Join(err, back)
		}
		return err
	}
	return tx.Commit()
}

// pause waits a random time that grows with the tries, so that two processes do not
// meet again and again.
func pause(ctx context.Context, try int) error {
	var b [1]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	limit := min(1<<min(try, 7), 100)
	t := time.NewTimer(time.Duration(1+int(b[0])*limit/256) * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// retryable tells whether an error only means that somebody else was faster.
func retryable(err error) bool {
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		return lite.Code()&0xff == sqlite3.SQLITE_BUSY
	}
	state := sqlState(err)
	// https://www.postgresql.org/docs/15/errcodes-appendix.html: serialization_failure, deadlock_detected
	return state == "40001" || state == "40P01"
}

// IsUnique tells whether an error means that such a row is there already.
func IsUnique(err error) bool {
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		return lite.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || lite.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
	}
	return sqlState(err) == "23505" // unique_violation
}

// NewID makes a random identifier of 128 bits in hex: good for an address that
// must not be guessed.
func NewID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// Time writes a time as the database keeps it: RFC 3339 in UTC, sortable. The zero
// time is the empty text.
func Time(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// ParseTime reads what Time wrote.
func ParseTime(s string) time.Time {
	t, _ := time.Parse(time.RFC3339Nano, s)
	return t
}

// Like makes a pattern for "LIKE ? ESCAPE '\'" that finds what begins with a text.
func Like(prefix string) string {
	return strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(prefix) + "%"
}

// TempDir is a folder below the data folder that nobody else may read, for what is put
// aside while a request lasts. Each process has its own; what runs of days ago left is
// taken away.
func (s *Store) TempDir() (string, error) {
	all := filepath.Join(s.dir, "tmp")
	if err := os.MkdirAll(all, 0o700); err != nil {
		return "", fmt.Errorf("store: %w", err)
	}
	entries, err := os.ReadDir(all)
	if err != nil {
		return "", fmt.Errorf("store: %w", err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > 48*time.Hour {
			_ = os.RemoveAll(filepath.Join(all, e.Name()))
		}
	}
	dir, err := os.MkdirTemp(all, "run-*")
	if err != nil {
		return "", fmt.Errorf("store: %w", err)
	}
	return dir, nil
}
