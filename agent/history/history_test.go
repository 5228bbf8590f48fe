package history_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/citel-pa/citel/agent/history"
)

func store(t *testing.T, n int) (*history.Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	s := history.Open(dir)
	for range n {
		add(t, s)
	}
	return s, filepath.Join(dir, "history.jsonl")
}

func add(t *testing.T, s *history.Store) {
	t.Helper()
	if err := s.Append(history.Entry{Kind: history.KindLogin, By: history.BySite, Origin: "https://a.example", Outcome: history.Done}); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, s *history.Store) history.Log {
	t.Helper()
	l, err := s.Read()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestAppendAndRead(t *testing.T) {
	s, file := store(t, 0)
	if l := read(t, s); len(l.Entries) != 0 || len(l.Gaps) != 0 {
		t.Errorf("%+v", l)
	}
	if _, err := os.Stat(filepath.Dir(file)); !os.IsNotExist(err) {
		t.Error("looking made a folder")
	}
	for range 3 {
		add(t, s)
	}
	l := read(t, s)
	if len(l.Entries) != 3 || len(l.Gaps) != 0 || l.Entries[2].N != 3 || l.Entries[2].Previous == l.Entries[1].Previous {
		t.Errorf("%+v", l)
	}
	for _, name := range []string{"history.jsonl", "history.head"} {
		if st, err := os.Stat(filepath.Join(filepath.Dir(file), name)); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, st.Mode(), err)
		}
	}
}

// Each kind of change is seen, at once and after more was written.
func TestTampering(t *testing.T) {
	lines := func(b []byte) []string { return strings.SplitAfter(string(b), "\n") }
	for name, c := range map[string]struct {
		change func(b []byte) []byte
		gap    int // before which entry; 0: the end
		later  int // the same once another use was written
	}{
		"changed": {func(b []byte) []byte { return bytes.Replace(b, []byte("a.example"), []byte("b.example"), 1) }, 2, 2},
		"the last": {func(b []byte) []byte {
			l := lines(b)
			l[3] = strings.Replace(l[3], "a.example", "b.example", 1)
			return []byte(strings.Join(l, ""))
		}, 0, 5},
		"taken out":      {func(b []byte) []byte { l := lines(b); return []byte(l[0] + l[2] + l[3]) }, 3, 3},
		"swapped":        {func(b []byte) []byte { l := lines(b); return []byte(l[0] + l[2] + l[1] + l[3]) }, 3, 3},
		"cut at the end": {func(b []byte) []byte { l := lines(b); return []byte(l[0] + l[1] + l[2]) }, 0, 5},
		"cut at the top": {func(b []byte) []byte { l := lines(b); return []byte(l[1] + l[2] + l[3]) }, 2, 2},
		"emptied":        {func([]byte) []byte { return nil }, 0, 5},
		"no longer JSON": {func(b []byte) []byte { l := lines(b); return []byte(l[0] + "x\n" + l[2] + l[3]) }, 3, 3},
		"a field more":   {func(b []byte) []byte { return bytes.Replace(b, []byte(`{"n":2`), []byte(`{"x":1,"n":2`), 1) }, 3, 3},
		"written by hand": {func(b []byte) []byte {
			return append(b, []byte(`{"n":5,"at":"2026-11-25T10:00:00Z","by":"site","kind":"login","outcome":"done","previous":"00"}`+"\n")...)
		}, 5, 5},
	} {
		t.Run(name, func(t *testing.T) {
			s, file := store(t, 4)
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, c.change(b), 0o600); err != nil {
				t.Fatal(err)
			}
			has := func(when string, n int) {
				t.Helper()
				l := read(t, s)
				for _, g := range l.Gaps {
					if g.N == n {
						return
					}
				}
				t.Errorf("%s: gaps %+v, want one at %d", when, l.Gaps, n)
			}
			has("at once", c.gap)
			add(t, s)
			has("later", c.later)
		})
	}
	t.Run("without its head", func(t *testing.T) {
		s, file := store(t, 4)
		if err := os.Remove(filepath.Join(filepath.Dir(file), "history.head")); err != nil {
			t.Fatal(err)
		}
		if l := read(t, s); len(l.Gaps) == 0 {
			t.Error("not seen")
		}
	})
}

// A power cut is no tampering: half a line, or a line without its head.
func TestPowerCut(t *testing.T) {
	s, file := store(t, 3)
	head := filepath.Join(filepath.Dir(file), "history.head")
	old, err := os.ReadFile(head)
	if err != nil {
		t.Fatal(err)
	}
	add(t, s)
	if err := os.WriteFile(head, old, 0o600); err != nil {
		t.Fatal(err)
	}
	if l := read(t, s); len(l.Gaps) != 0 || len(l.Entries) != 4 {
		t.Errorf("%+v", l)
	}
	add(t, s)
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"n":6,"at":"20`); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	if l := read(t, s); len(l.Gaps) != 0 || len(l.Entries) != 5 {
		t.Errorf("%+v", l)
	}
	add(t, s)
	if l := read(t, s); len(l.Gaps) != 0 || len(l.Entries) != 6 {
		t.Errorf("%+v", l)
	}
}

func TestClear(t *testing.T) {
	s, _ := store(t, 3)
	if err := s.Clear(); err != nil {
		t.Fatal(err)
	}
	add(t, s)
	if l := read(t, s); len(l.Entries) != 2 || l.Entries[0].Kind != history.KindCleared || len(l.Gaps) != 0 {
		t.Errorf("%+v", l)
	}
}

// The file stays small: older entries make room, and that is no gap.
func TestBounded(t *testing.T) {
	s, file := store(t, history.MaxEntries+10)
	l := read(t, s)
	if len(l.Gaps) != 0 || len(l.Entries) > history.MaxEntries || l.Dropped == 0 || l.Dropped+len(l.Entries) != history.MaxEntries+10 {
		t.Errorf("%d entries, %d dropped, gaps %v", len(l.Entries), l.Dropped, l.Gaps)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b[bytes.IndexByte(b, '\n')+1:], 0o600); err != nil {
		t.Fatal(err)
	}
	if l := read(t, s); len(l.Gaps) == 0 {
		t.Error("a cut at the top is not seen")
	}
}

// Several programs of one user write at the same time.
func TestConcurrent(t *testing.T) {
	_, file := store(t, 0)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s := history.Open(filepath.Dir(file))
			for range 10 {
				add(t, s)
			}
		})
	}
	wg.Wait()
	if l := read(t, history.Open(filepath.Dir(file))); len(l.Entries) != 80 || len(l.Gaps) != 0 {
		t.Errorf("%d entries, gaps %v", len(l.Entries), l.Gaps)
	}
}

func TestExport(t *testing.T) {
	s, _ := store(t, 1)
	s.Now = func() time.Time { return time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC) }
	if err := s.Append(history.Entry{Kind: history.KindSign, By: history.BySite, Origin: "=HYPERLINK(1)", Documents: 2, Digests: []string{"aa", "bb"}, Outcome: "refused"}); err != nil {
		t.Fatal(err)
	}
	l := read(t, s)
	var b bytes.Buffer
	if err := l.CSV(&b); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil || len(rows) != 3 || rows[2][3] != "'=HYPERLINK(1)" || rows[2][6] != "aa bb" || rows[2][1] != "2026-11-25T10:00:00Z" || rows[2][11] != "yes" {
		t.Errorf("%v %v", rows, err)
	}
	b.Reset()
	if err := l.JSON(&b); err != nil {
		t.Fatal(err)
	}
	var back history.Log
	if err := json.Unmarshal(b.Bytes(), &back); err != nil || len(back.Entries) != 2 || back.Entries[1].Digests[1] != "bb" {
		t.Errorf("%+v %v", back, err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"n":1,"at":"2026-11-25T10:00:00Z","by":"site","kind":"login","outcome":"done","previous":"00"}`+"\n"), []byte(`{"n":1,"hash":"00"}`))
	f.Add([]byte("\n\n"), []byte(`{"n":-1,"start":{"dropped":-5}}`))
	f.Fuzz(func(t *testing.T, lines, head []byte) {
		dir := t.TempDir()
		_ = os.WriteFile(filepath.Join(dir, "history.jsonl"), lines, 0o600)
		_ = os.WriteFile(filepath.Join(dir, "history.head"), head, 0o600)
		s := history.Open(dir)
		if l, err := s.Read(); err == nil {
			_ = l.CSV(&bytes.Buffer{})
		}
		if s.Append(history.Entry{Kind: history.KindLogin}) == nil {
			if l, err := s.Read(); err != nil || len(l.Entries) == 0 {
				t.Errorf("what was written is not read: %v", err)
			}
		}
	})
}
