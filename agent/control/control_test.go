package control_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/citel-pa/citel/agent/control"
)

func listen(t *testing.T) (string, *control.Server) {
	t.Helper()
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	path, err := control.Path("")
	if err != nil {
		t.Fatal(err)
	}
	s, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return path, s
}

func TestSendAndServe(t *testing.T) {
	path, s := listen(t)
	go s.Serve(t.Context(), func(_ context.Context, r control.Request) control.Answer {
		if r.Command != control.Open || r.Page != "doctor" {
			return control.Answer{Error: "unknown"}
		}
		return control.Answer{Version: "1"}
	})
	if a, err := control.Send(t.Context(), path, control.Request{Command: control.Open, Page: "doctor"}); err != nil || a.Version != "1" {
		t.Errorf("%+v %v", a, err)
	}
	if _, err := control.Listen(path); !errors.Is(err, control.ErrRuns) {
		t.Errorf("a second agent: %v", err)
	}
	for name, mode := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if st, err := os.Stat(name); err != nil || st.Mode().Perm() != mode {
			t.Errorf("%s: %v %v", name, st.Mode(), err)
		}
	}
	// Something else than a line ends the connection, and the next one is served.
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = c.Write(make([]byte, 10<<10))
	_ = c.Close()
	if _, err := control.Send(t.Context(), path, control.Request{Command: control.Status}); err != nil {
		t.Error(err)
	}
}

func TestNobodyThere(t *testing.T) {
	path, s := listen(t)
	_ = s.Close()
	if _, err := control.Send(t.Context(), path, control.Request{Command: control.Status}); !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("%v", err)
	}
	// What a crashed agent left behind is no agent.
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
}

// Of agents that start at once one gets the socket, and keeps it.
func TestOneOfManyThatStartAtOnce(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	path, err := control.Path("")
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil { // a crashed one's
			t.Fatal(err)
		}
		got := make(chan *control.Server, 8)
		for range cap(got) {
			go func() {
				s, err := control.Listen(path)
				if err != nil && !errors.Is(err, control.ErrRuns) {
					t.Error(err)
				}
				got <- s
			}()
		}
		var one *control.Server
		for range cap(got) {
			if s := <-got; s != nil && one != nil {
				t.Fatal("two have it")
			} else if s != nil {
				one = s
			}
		}
		if one == nil {
			t.Fatal("nobody has it")
		}
		_ = one.Close()
	}
}

// A link in the socket's place is replaced; what it leads to stays.
func TestLinkInTheSocketsPlace(t *testing.T) {
	path, s := listen(t)
	_ = s.Close()
	target := filepath.Join(t.TempDir(), "mine")
	if err := os.WriteFile(target, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
	again, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
	if b, err := os.ReadFile(target); err != nil || string(b) != "x" {
		t.Errorf("%q %v", b, err)
	}
}

// A folder that others can enter is not used.
func TestFolderOfOthers(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	path, err := control.Path("/some/settings")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // that is the test
		t.Fatal(err)
	}
	if s, err := control.Listen(path); err == nil {
		_ = s.Close()
		t.Error("it was used")
	}
}
