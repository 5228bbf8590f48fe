package audit_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/store"
)

func journal(t *testing.T) *audit.Log {
	t.Helper()
	dir := t.TempDir()
	s, err := store.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	ring, err := keys.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	l := &audit.Log{Store: s, Keys: ring}
	for i := range 5 {
		if err := l.Write(t.Context(), audit.Event{Ente: "prova", Kind: audit.LoginGranted, Person: "PRVMRA80A01H501Z", Detail: map[string]string{"n": fmt.Sprint(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// Whoever has the database but not the keys cannot change, add, take out or
// reorder a row unseen.
func TestEveryChangeShows(t *testing.T) {
	if rows, last, err := journal(t).Verify(t.Context()); err != nil || rows != 5 || len(last) == 0 {
		t.Fatalf("untouched: %d rows, %v", rows, err)
	}
	for _, change := range []string{
		"UPDATE audit SET ente = 'altro' WHERE seq = 3",
		"UPDATE audit SET time = '2020-01-01T00:00:00.000Z' WHERE seq = 3",
		"UPDATE audit SET kind = 'logout' WHERE seq = 3",
		"UPDATE audit SET person = '' WHERE seq = 3",
		"UPDATE audit SET detail = '{}' WHERE seq = 3",
		"UPDATE audit SET mac = x'00' WHERE seq = 3",
		"UPDATE audit SET mac = (SELECT mac FROM audit WHERE seq = 2) WHERE seq = 3",
		"DELETE FROM audit WHERE seq = 1",
		"DELETE FROM audit WHERE seq = 3",
		"DELETE FROM audit WHERE seq = 3; UPDATE audit SET seq = seq - 1 WHERE seq > 3",
		"INSERT INTO audit SELECT 6, ente, time, kind, person, detail, key, mac FROM audit WHERE seq = 5",
	} {
		l := journal(t)
		if !strings.HasPrefix(change, "INSERT") {
			if _, err := l.Store.ExecContext(t.Context(), change); err == nil {
				t.Errorf("%s: the database itself lets it happen", change)
			}
		}
		unguard(t, l)
		if _, err := l.Store.ExecContext(t.Context(), change); err != nil {
			t.Fatalf("%s: %v", change, err)
		}
		if _, _, err := l.Verify(t.Context()); !errors.Is(err, audit.ErrChanged) {
			t.Errorf("%s: %v", change, err)
		}
	}
}

// unguard takes the database's own guards away, as whoever owns the file can.
func unguard(t *testing.T, l *audit.Log) {
	t.Helper()
	rows, err := l.Store.QueryContext(t.Context(), "SELECT name FROM sqlite_master WHERE type = 'trigger'")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil || len(names) == 0 {
		t.Fatalf("%d guards, %v", len(names), err)
	}
	for _, name := range names {
		if _, err := l.Store.ExecContext(t.Context(), "DROP TRIGGER "+name); err != nil {
			t.Fatal(err)
		}
	}
}

// A cut at the end shows against the last MAC kept elsewhere.
func TestACutShowsInTheLastMAC(t *testing.T) {
	l := journal(t)
	_, before, err := l.Verify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	unguard(t, l)
	if _, err := l.Store.ExecContext(t.Context(), "DELETE FROM audit WHERE seq = 5"); err != nil {
		t.Fatal(err)
	}
	rows, after, err := l.Verify(t.Context())
	if err != nil || rows != 4 || string(before) == string(after) {
		t.Errorf("%d rows, the same MAC: %v, %v", rows, string(before) == string(after), err)
	}
}

func TestRotationKeepsTheLog(t *testing.T) {
	l := journal(t)
	if err := l.Keys.Rotate(time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := l.Write(t.Context(), audit.Event{Ente: "prova", Kind: audit.Logout}); err != nil {
		t.Fatal(err)
	}
	if rows, _, err := l.Verify(t.Context()); err != nil || rows != 6 {
		t.Errorf("%d rows, %v", rows, err)
	}
}
