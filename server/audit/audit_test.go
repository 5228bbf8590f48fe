package audit_test

import (
	"errors"
	"fmt"
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
		if _, err := l.Store.ExecContext(t.Context(), change); err != nil {
			t.Logf("%s: the database itself refuses: %v", change, err)
			continue
		}
		if _, _, err := l.Verify(t.Context()); !errors.Is(err, audit.ErrChanged) {
			t.Errorf("%s: %v", change, err)
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
	if _, err := l.Store.ExecContext(t.Context(), "DELETE FROM audit WHERE seq = 5"); err != nil {
		t.Skipf("the database itself refuses: %v", err)
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
