package store

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A backup is one .tar.gz: about.json, keys.json where it is wanted, one file of JSON
// lines for each table, and the documents. It is the same for both engines, so that a
// backup of the embedded database can be restored into PostgreSQL and back. It is made
// while the server runs: the rows are of one moment, and each document that a row names
// is there, as documents are written before their rows and deleted long after.

// about says what a backup is.
type about struct {
	Format     int       `json:"format"`
	Migrations []string  `json:"migrations"`
	Engine     Engine    `json:"engine"`
	Made       time.Time `json:"made"`
}

const backupFormat = 1

// tables in the order in which rows can be written: what is named by others comes first.
// Those that mean nothing after a restore (sessions, nonces, delays) are left out.
var tables = []string{
	"person", "draft", "register", "submission", "audit", "ente", "ente_switch", "ente_accepts", "ente_office", "ente_closed",
	"operator", "operator_role", "pending", "record", "person_code", "credential", "onetime", "batch", "envelope", "outbox", "api_key",
	"journal", "journal_personal", "journal_head", "journal_day", "kept",
	"service_version", "mandate", "application", "application_step", "application_signature", "application_file", "application_answer",
	"application_notice", "application_observation",
	"operator_office", "office_route",
	"application_read", "rating", "rated",
	"mandate_proof",
	"register_entry", "register_cancelled", "register_emergency", "register_day", "seal_certificate", "deposit",
	"resident", "resident_change", "resident_correction", "resident_import",
	"service_draft", "service_off", "ranking_call", "ranking_seat", "ranking_check", "ranking_list", "ranking_entry", "ranking_offer",
	"ente_public", "feedback",
}

// left are the tables that a backup leaves out, and why.
var left = map[string]string{
	"session": "over", "nonce": "over", "attempt": "over", "quota": "over", "resident_search": "over",
	"file": "written as documents", "file_piece": "written as documents", "file_garbage": "what is to be deleted is not kept",
	"migration": "about.json has it", "sqlite_sequence": "the engine's",
}

// numbered are the tables whose id the database counts, and the migration that made each.
var numbered = map[string]string{"person": "0001_start.sql", "ente_office": "0004_desk.sql", "operator": "0004_desk.sql", "person_code": "0004_desk.sql"}

// Backup writes a backup while the server runs. Keys are the content of keys.json, nil to
// leave it out: without it seals, log and passwords of the backup are worth nothing.
func (s *Store) Backup(ctx context.Context, w io.Writer, keys []byte, now time.Time) error {
	z := gzip.NewWriter(w)
	t := tar.NewWriter(z)
	add := func(name string, size int64, r io.Reader) error {
		if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: now, Format: tar.FormatPAX}); err != nil {
			return err
		}
		_, err := io.Copy(t, r)
		return err
	}
	err := s.snapshot(ctx, func(q *sql.Conn) error {
		done, err := applied(ctx, q)
		if err != nil {
			return err
		}
		head, err := json.Marshal(about{Format: backupFormat, Migrations: done, Engine: s.engine, Made: now.UTC()})
		if err != nil {
			return err
		}
		if err := add("about.json", int64(len(head)), bytes.NewReader(head)); err != nil {
			return err
		}
		if keys != nil {
			if err := add("keys.json", int64(len(keys)), bytes.NewReader(keys)); err != nil {
				return err
			}
		}
		for _, table := range tables {
			if err := dump(ctx, q, s.dir, table, add); err != nil {
				return fmt.Errorf("%s: %w", table, err)
			}
		}
		if s.engine == Postgres {
			return dumpPieces(ctx, q, add)
		}
		return nil
	})
	if err == nil && s.engine == SQLite {
		err = s.dumpFolder(add)
	}
	if err = errors.Join(err, t.Close(), z.Close()); err != nil {
		return fmt.Errorf("store: backup: %w", err)
	}
	return nil
}

// snapshot runs f on a connection that sees one moment.
func (s *Store) snapshot(ctx context.Context, f func(*sql.Conn) error) error {
	c, err := s.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	begin := "BEGIN DEFERRED" // WAL: readers see what was there, writers go on
	if s.engine == Postgres {
		begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
	}
	if _, err := c.ExecContext(ctx, begin); err != nil {
		return err
	}
	err = f(c)
	_, end := c.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
	return errors.Join(err, end)
}

type addFunc func(name string, size int64, r io.Reader) error

// dump writes a table: the first line has the columns, each other one a row. Bytes are
// {"b": base64}. It goes through a file, as a tar's entry begins with its size.
func dump(ctx context.Context, c *sql.Conn, dir, table string, add addFunc) (err error) {
	tmp, err := os.CreateTemp(dir, ".backup-")
	if err != nil {
		return err
	}
	defer func() { _ = errors.Join(tmp.Close(), os.Remove(tmp.Name())) }()
	rows, err := c.QueryContext(ctx, "SELECT * FROM "+table) //nolint:gosec // one of our own names
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	w := bufio.NewWriter(tmp)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	if err := e.Encode(columns); err != nil {
		return err
	}
	values, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		line := make([]any, len(values))
		for i, v := range values {
			if b, ok := v.([]byte); ok {
				v = map[string]string{"b": base64.StdEncoding.EncodeToString(b)}
			}
			line[i] = v
		}
		if err := e.Encode(line); err != nil {
			return err
		}
	}
	if err := errors.Join(rows.Err(), w.Flush()); err != nil {
		return err
	}
	size, err := tmp.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if _, err := tmp.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return add("tables/"+table+".jsonl", size, tmp)
}

func dumpPieces(ctx context.Context, c *sql.Conn, add addFunc) error {
	rows, err := c.QueryContext(ctx, "SELECT name FROM file ORDER BY name")
	if err != nil {
		return err
	}
	names, err := Strings(rows)
	if err != nil {
		return err
	}
	for _, name := range names {
		var size int64
		var n int
		var id string
		err := c.QueryRowContext(ctx, "SELECT f.id, count(p.n), coalesce(sum(length(p.data)), 0) FROM file f LEFT JOIN file_piece p ON p.file = f.id WHERE f.name = ? GROUP BY f.id", name).Scan(&id, &n, &size)
		if err != nil {
			return err
		}
		r, w := io.Pipe()
		go func() {
			var err error
			for i := 0; i < n && err == nil; i++ {
				var data []byte
				if err = c.QueryRowContext(ctx, "SELECT data FROM file_piece WHERE file = ? AND n = ?", id, i).Scan(&data); err == nil {
					_, err = w.Write(data)
				}
			}
			_ = w.CloseWithError(err)
		}()
		if err := add("files/"+name, size, r); err != nil {
			return errors.Join(err, r.Close())
		}
	}
	return nil
}

// dumpFolder writes the documents of the folder. One that goes meanwhile was named by no
// row of the snapshot, or is younger than it.
func (s *Store) dumpFolder(add addFunc) error {
	root := filepath.Join(s.dir, "files")
	return filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil || !e.Type().IsRegular() || strings.HasPrefix(e.Name(), ".new-") {
			return err
		}
		f, err := os.Open(path) //nolint:gosec // a folder of ours
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		st, err := f.Stat()
		if err != nil {
			return errors.Join(err, f.Close())
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return errors.Join(err, f.Close())
		}
		return errors.Join(add("files/"+filepath.ToSlash(name), st.Size(), io.LimitReader(f, st.Size())), f.Close())
	})
}

// ErrNotEmpty means that there is a database with data already: a restore adds to none.
var ErrNotEmpty = errors.New("store: the database is not empty; restore into a new folder or a new PostgreSQL database")

// ErrBackup means that a file is no backup that this program can read.
var ErrBackup = errors.New("store: not a backup of CiTel, or a damaged one")

// Restore reads a backup into an empty database, brings it up to date, and gives the
// keys that were in it, nil without. What fails leaves the database empty.
func Restore(ctx context.Context, r io.Reader, address, dir string) (keys []byte, err error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBackup, err)
	}
	t := tar.NewReader(z)
	var a about
	h, err := t.Next()
	if err != nil || h.Name != "about.json" {
		return nil, fmt.Errorf("%w: it does not begin with about.json", ErrBackup)
	}
	if err := json.NewDecoder(io.LimitReader(t, 1<<16)).Decode(&a); err != nil || a.Format != backupFormat {
		return nil, fmt.Errorf("%w: about.json", ErrBackup)
	}
	all, err := allMigrations()
	if err != nil {
		return nil, err
	}
	if len(a.Migrations) == 0 {
		return nil, fmt.Errorf("%w: about.json", ErrBackup)
	}
	if err := known(a.Migrations, all); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	s, err := openOnly(ctx, address, dir, a.Migrations)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if keys, err = s.fill(ctx, z, t, a.Migrations); err != nil {
		return nil, err
	}
	return keys, s.migrate(ctx, nil)
}

func openOnly(ctx context.Context, address, dir string, only []string) (*Store, error) {
	if address == "" {
		return open(ctx, dir, only)
	}
	return openPostgres(ctx, address, dir, only)
}

// fill reads the entries: rows in one transaction, documents beside it; the documents of
// a restore that fails are named by nobody.
func (s *Store) fill(ctx context.Context, whole io.Reader, t *tar.Reader, migrations []string) (keys []byte, err error) {
	tx, err := s.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = tx.Rollback()
		}
	}()
	done, err := applied(ctx, tx)
	if err != nil {
		return nil, err
	}
	var people, enti int
	if err := tx.QueryRowContext(ctx, "SELECT (SELECT count(*) FROM person) + (SELECT count(*) FROM audit)").Scan(&people); err != nil {
		return nil, err
	}
	if slices.Contains(migrations, "0004_desk.sql") {
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM ente").Scan(&enti); err != nil {
			return nil, err
		}
	}
	if !slices.Equal(done, migrations) || people+enti > 0 {
		return nil, ErrNotEmpty
	}
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBackup, err)
		}
		switch dir, name, _ := strings.Cut(h.Name, "/"); {
		case h.Name == "keys.json":
			if keys, err = io.ReadAll(io.LimitReader(t, 1<<20)); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrBackup, err)
			}
		case dir == "tables":
			if err := load(ctx, tx, strings.TrimSuffix(name, ".jsonl"), t); err != nil {
				return nil, err
			}
		case dir == "files" && isName(name):
			if err := s.restoreFile(ctx, tx, name, t); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("%w: an entry %q", ErrBackup, h.Name)
		}
	}
	if _, err := io.Copy(io.Discard, whole); err != nil { // its checksum is at the end
		return nil, fmt.Errorf("%w: %w", ErrBackup, err)
	}
	if s.engine == Postgres {
		for n, since := range numbered {
			if !slices.Contains(migrations, since) {
				continue
			}
			// PostgreSQL counts by itself; what was inserted with its id did not count.
			if _, err := tx.ExecContext(ctx, fmt.Sprintf("SELECT setval(pg_get_serial_sequence('%s', 'id'), (SELECT coalesce(max(id), 0) + 1 FROM %s), false)", n, n)); err != nil {
				return nil, err
			}
		}
	}
	return keys, tx.Commit()
}

// restoreFile writes a document in the restore's own transaction where the database has
// it.
func (s *Store) restoreFile(ctx context.Context, tx *sql.Tx, name string, r io.Reader) error {
	if s.engine == SQLite {
		return writeSynced(filepath.Join(s.dir, "files", name), r)
	}
	return insertPieces(ctx, tx, name, r)
}

// load reads a table's lines.
func load(ctx context.Context, tx *sql.Tx, table string, r io.Reader) error {
	bad := func(err error) error { return fmt.Errorf("%w: table %s: %w", ErrBackup, table, err) }
	known := false
	for _, n := range tables {
		known = known || n == table
	}
	if !known {
		return bad(errors.New("unknown"))
	}
	d := json.NewDecoder(r)
	d.UseNumber()
	var columns []string
	if err := d.Decode(&columns); err != nil {
		return bad(err)
	}
	for _, c := range columns {
		if strings.Trim(c, "abcdefghijklmnopqrstuvwxyz_0123456789") != "" || c == "" {
			return bad(fmt.Errorf("a column %q", c))
		}
	}
	q := "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES (?" + strings.Repeat(", ?", len(columns)-1) + ")" //nolint:gosec // names are checked
	for {
		var line []any
		err := d.Decode(&line)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil || len(line) != len(columns) {
			return bad(fmt.Errorf("a line: %w", err))
		}
		for i, v := range line {
			if line[i], err = value(v); err != nil {
				return bad(err)
			}
		}
		if _, err := tx.ExecContext(ctx, q, line...); err != nil {
			return fmt.Errorf("store: table %s: %w", table, err)
		}
	}
}

func value(v any) (any, error) {
	switch x := v.(type) {
	case json.Number:
		return x.Int64()
	case map[string]any:
		text, ok := x["b"].(string)
		if !ok || len(x) != 1 {
			return nil, errors.New("a value that is none")
		}
		b, err := base64.StdEncoding.DecodeString(text)
		if b == nil {
			b = []byte{}
		}
		return b, err
	case string, nil:
		return v, nil
	}
	return nil, fmt.Errorf("a value of type %T", v)
}
