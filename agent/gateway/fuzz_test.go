package gateway

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"encoding/json"

	"github.com/citel-pa/citel/agent/wire"
)

// Whatever a page sends is a checked message or an error with a code.
func FuzzMessage(f *testing.F) {
	seeds, err := filepath.Glob("../wire/golden/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range seeds {
		data, err := os.ReadFile(name) //nolint:gosec // our own examples
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"type":"hello","id":1,"version":1}`))
	f.Add([]byte(`{"type":"sign-hash","id":1,"hash":"AAAA"}`))
	f.Add([]byte(`{"type":"cancel","id":2,"request":1}`))
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, data []byte) {
		m, e := decode(data, now)
		switch {
		case (m == nil) == (e == nil):
			t.Fatalf("%T and %+v", m, e)
		case e != nil:
			if e.Code == "" || e.ID < 0 || e.ID > wire.MaxID {
				t.Errorf("%+v", e)
			}
			return
		}
		again, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		n, e := decode(again, now)
		if e != nil || !reflect.DeepEqual(m, n) {
			t.Errorf("%s becomes %+v (%+v)", again, n, e)
		}
	})
}
