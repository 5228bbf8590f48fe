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
