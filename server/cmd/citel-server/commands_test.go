package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/citel-pa/citel/pkcs/verify/command"
	"github.com/citel-pa/citel/server/envelope"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/rooms"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/town"
)

// call runs a command and gives its exit code and output.
func call(t *testing.T, args ...string) (int, string) {
	t.Helper()
	root := newRoot()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	var code *command.ExitError
	switch {
	case err == nil:
		return command.Done, out.String()
	case errors.As(err, &code):
		if code.Err != nil {
			out.WriteString(code.Err.Error())
		}
		return code.Code, out.String()
	}
	return command.Usage, err.Error()
}

// The commands as who runs the server uses them, on both databases: set up, a release, the
// log that names it, a backup into another place, a byte of the log changed and found.
func TestCommands(t *testing.T) {
	for _, e := range []store.Engine{store.SQLite, store.Postgres} {
		t.Run(string(e), func(t *testing.T) {
			dir := filepath.Join(storetest.Dir(t), "data")
			t.Setenv("DATABASE_URL", storetest.Address(t, e))
			f := town.FormOf(0)
			setup := []string{"setup", "--demo", "--data", dir, "--origin", "http://127.0.0.1:8480", "--ente", "prova", "--name", "Comune di Prova",
				"--code", f.Code, "--family", f.Family, "--given", f.Given, "--born", f.Born, "--birth-place", f.BirthPlace, "--sex", f.Sex}
			code, out := call(t, setup...)
			if code != 0 || !strings.Contains(out, "http://127.0.0.1:8480/consolleente/attiva?codice=") {
				t.Fatalf("setup: %d %s", code, out)
			}
			if code, out := call(t, append(setup, "--given", "Ugo")...); code != command.Usage || !strings.Contains(out, "does not match") {
				t.Errorf("a form that does not fit: %d %s", code, out)
			}
			release(t, dir)
			code, out = call(t, "audit", "verify", "--data", dir)
			if code != 0 || !strings.Contains(out, "envelope-handed-out") || !strings.Contains(out, "identity-card CA00000AA") || !strings.Contains(out, town.FormOf(11).Code) {
				t.Errorf("audit: %d %s", code, out)
			}
			file := filepath.Join(storetest.Dir(t), "backup.tar.gz")
			if code, out := call(t, "backup", file, "--data", dir); code != 0 {
				t.Fatalf("backup: %d %s", code, out)
			}
			if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o600 {
				t.Errorf("%v, %v", st, err)
			}
			// Into the other engine.
			other := filepath.Join(storetest.Dir(t), "data")
			if e == store.Postgres {
				t.Setenv("DATABASE_URL", "")
			} else {
				t.Setenv("DATABASE_URL", storetest.Empty(t))
			}
			if code, out := call(t, "restore", file, "--data", other); code != 0 {
				t.Fatalf("restore: %d %s", code, out)
			}
			if code, again := call(t, "audit", "verify", "--data", other); code != 0 || again != out {
				t.Errorf("restored: %d %s\nnot %s", code, again, out)
			}
			if code, out := call(t, "restore", file, "--data", other); code != command.InputOutput {
				t.Errorf("restored twice: %d %s", code, out)
			}
			change(t, other)
			if code, out := call(t, "audit", "verify", "--data", other); code != command.Invalid || !strings.Contains(out, "changed: prova, row 2") {
				t.Errorf("changed: %d %s", code, out)
			}
		})
	}
}

func openTown(t *testing.T, dir string) *rooms.Rooms {
	t.Helper()
	s, err := openStore(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	ring, err := keys.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return rooms.New(rooms.Options{Store: s, Keys: ring})
}

func release(t *testing.T, dir string) {
	t.Helper()
	tn := town.Join(t, openTown(t, dir))
	sheets := tn.Print(tn.Operator("prova", 10, "R8"), 1)
	f := town.FormOf(1)
	if _, err := tn.Envelopes.HandOut(t.Context(), tn.Operator("prova", 11, "R16"), envelope.Release{Code: sheets[0].Code, Form: &f, Document: tn.Document()}); err != nil {
		t.Fatal(err)
	}
}

// change changes a byte of the log, as whoever owns the database can.
func change(t *testing.T, dir string) {
	t.Helper()
	r := openTown(t, dir)
	q := "DROP TRIGGER journal_no_update"
	if r.Store.Engine() == store.Postgres {
		q += " ON journal"
	}
	for _, q := range []string{q, "UPDATE journal SET kind = 'x' || substr(kind, 2) WHERE ente = 'prova' AND seq = 2"} {
		if _, err := r.Store.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
}

// A second process with keys of its own is refused.
func TestOtherKeys(t *testing.T) {
	t.Setenv("DATABASE_URL", storetest.Address(t, store.Postgres))
	f := town.FormOf(0)
	for i, want := range []int{command.Done, command.InputOutput} {
		code, out := call(t, "setup", "--demo", "--data", filepath.Join(storetest.Dir(t), "data"), "--origin", "http://127.0.0.1:8480", "--ente", "prova",
			"--code", f.Code, "--family", f.Family, "--given", f.Given, "--born", f.Born, "--birth-place", f.BirthPlace, "--sex", f.Sex)
		if code != want {
			t.Errorf("process %d: %d %s", i+1, code, out)
		}
	}
}
