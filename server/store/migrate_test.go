package store_test

import (
	"strings"
	"testing"

	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
)

// A database of the first version, with data, is brought up to date and has its data.
func TestMigrationsWithData(t *testing.T) {
	for _, e := range []store.Engine{store.SQLite, store.Postgres} {
		t.Run(string(e), func(t *testing.T) {
			address, dir := "", storetest.Dir(t)
			if e == store.Postgres {
				address = storetest.Empty(t)
			}
			old, err := store.OpenOnly(t.Context(), address, dir, []string{"0001_start.sql", "0002_to_check.sql"})
			if err != nil {
				t.Fatal(err)
			}
			for _, q := range []string{
				"INSERT INTO person (kind, code, given, family, created) VALUES ('person', 'X', 'a', 'b', '2026-01-01T00:00:00.000Z')",
				"INSERT INTO session (hash, ente, csrf, level, person, created, seen) VALUES ('h', 'prova', 'c', 3, 1, '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z')",
				"INSERT INTO register (ente, year, last) VALUES ('prova', 2026, 7)",
				"INSERT INTO draft (id, ente, service, person, fields, cosigner, sha256, created) VALUES ('d2', 'prova', 'nido', 1, '{}', '', 'x', '2026-01-01T00:00:00.000Z')",
				"INSERT INTO submission (id, ente, service, draft, person, fields, year, number, received, sha256, signers, report, facts, seal, test) VALUES ('s', 'prova', 'nido', 'd', 1, '{}', 2026, 7, '2026-01-01T00:00:00.000Z', 'x', '[]', '{}', '[]', 'seal', 1)",
				"INSERT INTO audit (seq, ente, time, kind, person, detail, key, mac) VALUES (1, 'prova', '2026-01-01T00:00:00.000Z', 'logout', '', '{}', 'k', 'm')",
			} {
				if e == store.SQLite { // STRICT: bytes are bytes
					for from, to := range map[string]string{"('h',": "(x'68',", "'x', '[]'": "x'78', '[]'", "'', 'x'": "'', x'78'", "'m')": "x'6d')"} {
						q = strings.ReplaceAll(q, from, to)
					}
				}
				if _, err := old.ExecContext(t.Context(), q); err != nil {
					t.Fatalf("%s: %v", q, err)
				}
			}
			if e == store.SQLite { // as programs of before left it
				if _, err := old.ExecContext(t.Context(), "DROP TABLE migration"); err != nil {
					t.Fatal(err)
				}
			}
			if err := old.Close(); err != nil {
				t.Fatal(err)
			}
			s, err := store.OpenURL(t.Context(), address, dir)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			for q, want := range map[string]int{
				"SELECT count(*) FROM person WHERE code = 'X' AND professional = 0 AND dead = ''": 1,
				"SELECT count(*) FROM session WHERE realm = 'portal' AND operator = 0":            1,
				"SELECT last FROM register":                                       7,
				"SELECT count(*) FROM submission WHERE to_check = 0 AND test = 1": 1,
				"SELECT count(*) FROM draft":                                      0, // nobody can finish it
				"SELECT count(*) FROM file_garbage WHERE name = 'drafts/d2.pdf'":  1,
				"SELECT count(*) FROM audit":                                      1,
				"SELECT count(*) FROM journal":                                    0,
			} {
				if got := storetest.Count(t, s, q); got != want {
					t.Errorf("%s: %d", q, got)
				}
			}
			for _, q := range []string{"UPDATE audit SET kind = 'x'", "DELETE FROM audit"} {
				if _, err := s.ExecContext(t.Context(), q); err == nil {
					t.Errorf("the guard is gone: %s", q)
				}
			}
			if _, err := s.ExecContext(t.Context(), "INSERT INTO migration (name) VALUES ('9999_later.sql')"); err != nil {
				t.Fatal(err)
			}
			if _, err := store.OpenURL(t.Context(), address, dir); err == nil || !strings.Contains(err.Error(), "newer") {
				t.Errorf("a database of a newer program: %v", err)
			}
		})
	}
}
