package store

import (
	"slices"
	"testing"
)

// Every table is in the backup, or its absence has a reason.
func TestEveryTableIsBackedUp(t *testing.T) {
	s, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	rows, err := s.QueryContext(t.Context(), "SELECT name FROM sqlite_master WHERE type = 'table'")
	if err != nil {
		t.Fatal(err)
	}
	names, err := Strings(rows)
	if err != nil || len(names) < 20 {
		t.Fatalf("%v, %v", names, err)
	}
	for _, n := range names {
		if slices.Contains(tables, n) == (left[n] != "") {
			t.Errorf("%s: say whether a backup has it", n)
		}
	}
}
