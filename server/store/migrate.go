package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migration is one step. The script is in SQLite's words; "NAME.postgresql.sql" holds
// what only PostgreSQL needs after it.
type migration struct{ name, script, extra string }

func allMigrations() ([]migration, error) {
	entries, err := migrations.ReadDir("migrations")
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	var out []migration
	text := func(n string) string {
		b, _ := migrations.ReadFile("migrations/" + n) // embedded; none is empty
		return string(b)
	}
	for _, n := range names {
		if base, ok := strings.CutSuffix(n, ".sql"); ok && !strings.HasSuffix(n, ".postgresql.sql") {
			out = append(out, migration{name: n, script: text(n), extra: text(base + ".postgresql.sql")})
		}
	}
	return out, nil
}

// migrate runs the scripts that the database has not seen, in their order, each in a
// transaction; only names those that it may, nil is all. The database remembers them by
// name, so that two lines of development that each add one can be joined.
func (s *Store) migrate(ctx context.Context, only []string) error {
	all, err := allMigrations()
	if err != nil {
		return err
	}
	if err := s.Tx(ctx, func(tx *sql.Tx) error { return s.remember(ctx, tx, all) }); err != nil {
		return err
	}
	for _, m := range all {
		if only != nil && !slices.Contains(only, m.name) {
			continue
		}
		err := s.Tx(ctx, func(tx *sql.Tx) error {
			done, err := applied(ctx, tx) // inside: another process may have been here
			if err != nil || slices.Contains(done, m.name) {
				return err
			}
			script := m.script
			if s.engine == Postgres {
				script = translate(script) + m.extra
			}
			if _, err := tx.ExecContext(ctx, script); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, "INSERT INTO migration (name) VALUES (?)", m.name); err != nil {
				return err
			}
			return s.count(ctx, tx, len(done)+1)
		})
		if err != nil {
			return fmt.Errorf("migration %s: %w", m.name, err)
		}
	}
	return nil
}

// remember makes the list of migrations, and fills it in for a database of before, which
// counted them. One that has some which this program does not know is newer than it.
func (s *Store) remember(ctx context.Context, tx *sql.Tx, all []migration) error {
	if s.engine == SQLite {
		var tables, counted int
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'migration'").Scan(&tables); err != nil {
			return err
		}
		if tables == 0 {
			if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&counted); err != nil {
				return err
			}
			if counted > len(all) {
				return fmt.Errorf("the database is of a newer version of CiTel (%d, this program knows %d)", counted, len(all))
			}
			if _, err := tx.ExecContext(ctx, "CREATE TABLE migration (name TEXT PRIMARY KEY) STRICT"); err != nil {
				return err
			}
			for _, m := range all[:counted] {
				if _, err := tx.ExecContext(ctx, "INSERT INTO migration (name) VALUES (?)", m.name); err != nil {
					return err
				}
			}
		}
	}
	done, err := applied(ctx, tx)
	if err != nil {
		return err
	}
	return known(done, all)
}

// known tells whether a program knows all of some migrations.
func known(done []string, all []migration) error {
	for _, n := range done {
		if !slices.ContainsFunc(all, func(m migration) bool { return m.name == n }) {
			return fmt.Errorf("the data is of a newer version of CiTel (%s, which this program does not know)", n)
		}
	}
	return nil
}

// querier is a connection or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// applied are the names of the migrations that a database has seen.
func applied(ctx context.Context, q querier) ([]string, error) {
	rows, err := q.QueryContext(ctx, "SELECT name FROM migration ORDER BY name")
	if err != nil {
		return nil, err
	}
	return Strings(rows)
}

// count keeps SQLite's own number, by which programs of before tell that a database is
// newer than they are.
func (s *Store) count(ctx context.Context, tx *sql.Tx, n int) error {
	if s.engine != SQLite {
		return nil
	}
	_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", n))
	return err
}
