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

// latest asks for every migration that there is.
const latest = -1

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

// migrate runs the scripts that the database has not seen, each in a transaction, up
// to a version.
func (s *Store) migrate(ctx context.Context, version int) error {
	all, err := allMigrations()
	if err != nil {
		return err
	}
	if version == latest {
		version = len(all)
	}
	if version < 0 || version > len(all) {
		return fmt.Errorf("the data is of a newer version of CiTel (%d, this program knows %d)", version, len(all))
	}
	for {
		more := false
		var at int
		err := s.Tx(ctx, func(tx *sql.Tx) error {
			done, err := s.version(ctx, tx) // inside: another process may have been here
			if err != nil {
				return err
			}
			if done > len(all) {
				return fmt.Errorf("the database is of a newer version of CiTel (%d, this program knows %d)", done, len(all))
			}
			if done >= version {
				more = false
				return nil
			}
			at, more = done, true
			script := all[done].script
			if s.engine == Postgres {
				script = translate(script) + all[done].extra
			}
			if _, err := tx.ExecContext(ctx, script); err != nil {
				return err
			}
			return s.setVersion(ctx, tx, done+1)
		})
		if err != nil {
			if at < len(all) {
				return fmt.Errorf("migration %s: %w", all[at].name, err)
			}
			return err
		}
		if !more {
			return nil
		}
	}
}

func (s *Store) version(ctx context.Context, tx *sql.Tx) (n int, err error) {
	if s.engine == Postgres {
		return n, tx.QueryRowContext(ctx, "SELECT coalesce(max(version), 0) FROM migration").Scan(&n)
	}
	return n, tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&n)
}

func (s *Store) setVersion(ctx context.Context, tx *sql.Tx, n int) error {
	q := fmt.Sprintf("PRAGMA user_version = %d", n)
	if s.engine == Postgres {
		q = fmt.Sprintf("INSERT INTO migration (version) VALUES (%d)", n)
	}
	_, err := tx.ExecContext(ctx, q)
	return err
}
