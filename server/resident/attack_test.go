package resident_test

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/citel-pa/citel/server/resident"
	"github.com/citel-pa/citel/testdata/town"
)

// Who imports a file changes the own record with it no more than by hand.
func TestOwnRecordByFile(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		a, colleague := w.Operator("prova", 1, "R31"), w.Operator("prova", 2, "R31")
		i, _ := upload(t, w, a, file(line(1), line(10)))
		if err := confirm(w, a, i, nil); err != nil {
			t.Fatal("the first file", err)
		}
		i, _ = upload(t, w, a, file(line(1, "indirizzo", "Via Comoda 1"), line(10)))
		if err := confirm(w, a, i, nil); !errors.Is(err, resident.ErrSelf) {
			t.Error(err)
		}
		if r, _ := find(t, w, colleague, 1); r.Address != "Via Prova 1" {
			t.Error(r.Address)
		}
		if err := confirm(w, colleague, i, nil); err != nil {
			t.Error(err)
		}
	})
}

// A file that is one endless line, or a quote that never ends, is refused before it is held
// in memory with a number for each of its fields.
func TestEndlessLine(t *testing.T) {
	const size = 16 << 20
	for name, data := range map[string][]byte{
		"head":  bytes.Repeat([]byte(";"), size),
		"line":  append(file(line(1)), bytes.Repeat([]byte(";"), size)...),
		"quote": append(append(file(line(1)), '"'), bytes.Repeat([]byte("\n;"), size/2)...),
		"lines": append(file(line(1)), []byte(strings.Repeat("\"\n\";", size/4))...),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got, _ := problems(t, data)
		runtime.ReadMemStats(&after)
		if len(got) != 1 || !strings.HasSuffix(got[0], " line") {
			t.Error(name, got)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 2*size {
			t.Errorf("%s: %d MiB for a file of %d", name, used>>20, len(data)>>20)
		}
	}
}
