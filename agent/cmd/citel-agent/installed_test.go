package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/citel-pa/citel/agent/config"
	"github.com/citel-pa/citel/agent/control"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/verify/command"
)

// alone gives the test a home of its own.
func aHome(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	for name, value := range map[string]string{
		"HOME": home, "XDG_RUNTIME_DIR": filepath.Join(home, "run"), "XDG_CONFIG_HOME": "", "XDG_STATE_HOME": "", "XDG_DATA_HOME": "",
		"PATH": filepath.Join(home, "none"), // no xdg-mime
	} {
		t.Setenv(name, value)
	}
	if err := os.Mkdir(filepath.Join(home, "run"), 0o700); err != nil {
		t.Fatal(err)
	}
	return home
}

func execute(t *testing.T, cmd *cobra.Command, in string, args ...string) (string, int) {
	t.Helper()
	var out bytes.Buffer
	cmd.SetIn(strings.NewReader(in))
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs(append([]string{}, args...)) // nil would be the test binary's own
	err := cmd.ExecuteContext(t.Context())
	var e *command.ExitError
	switch {
	case err == nil:
		return out.String(), 0
	case errors.As(err, &e):
		return out.String() + e.Error(), e.Code
	}
	return out.String() + err.Error(), command.Usage
}

func left(t *testing.T, home string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(home, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			list = append(list, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestCleanup(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Fatal("written for Linux")
	}
	home := aHome(t)
	dir, err := config.DefaultDir()
	if err != nil {
		t.Fatal(err)
	}
	s := config.Open(dir)
	if _, err := s.Secret(); err != nil {
		t.Fatal(err)
	}
	if out, code := execute(t, registerCommand(message.English), ""); code != 0 {
		t.Fatalf("%d %s", code, out)
	}
	before := len(left(t, home))
	if before != 4 {
		t.Fatalf("%d files: %v", before, left(t, home))
	}
	// A browser that this user has was told of the native host.
	if err := os.MkdirAll(filepath.Join(home, ".config", "chromium"), 0o700); err != nil {
		t.Fatal(err)
	}
	if out, code := execute(t, nativeCommand(message.English), "", "on"); code != 0 || len(left(t, home)) == before {
		t.Fatalf("%d %s %v", code, out, left(t, home))
	}
	before = len(left(t, home))
	// An agent that runs is ended first.
	ended := aRunningAgent(t)
	for _, no := range []string{"", "\n", "n\n", "maybe\n"} {
		if out, code := execute(t, cleanupCommand(message.English), no); code != command.Invalid || !strings.Contains(out, dir) {
			t.Fatalf("%q: %d %s", no, code, out)
		}
	}
	if n := len(left(t, home)); n != before+1 { // and the socket
		t.Fatalf("something was removed without a yes: %v", left(t, home))
	}
	if out, code := execute(t, cleanupCommand(message.English), "", "--yes"); code != 0 {
		t.Fatalf("%d %s", code, out)
	}
	if list := left(t, home); len(list) > 0 {
		t.Errorf("left: %v", list)
	}
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("the agent was not ended")
	}
	if out, code := execute(t, cleanupCommand(message.English), ""); code != 0 || !strings.Contains(out, "nothing to remove") {
		t.Errorf("%d %s", code, out)
	}
}

// onRead does something while the person thinks.
type onRead struct {
	do   func()
	text *strings.Reader
}

func (r *onRead) Read(p []byte) (int, error) {
	r.do()
	return r.text.Read(p)
}

// A manifest that another program wrote after ours was listed is not removed.
func TestCleanupLeavesAnothersManifest(t *testing.T) {
	home := aHome(t)
	if out, code := execute(t, nativeCommand(message.English), "", "on"); code != 0 {
		t.Fatalf("%d %s", code, out)
	}
	file := filepath.Join(home, ".mozilla", "native-messaging-hosts", "eu.webeid.json")
	theirs := `{"name":"eu.webeid","path":"/usr/bin/web-eid"}`
	cmd := cleanupCommand(message.English)
	cmd.SetIn(&onRead{func() {
		if err := os.WriteFile(file, []byte(theirs), 0o600); err != nil {
			t.Error(err)
		}
	}, strings.NewReader("y\n")})
	cmd.SetOut(&bytes.Buffer{})
	cmd.SetArgs([]string{})
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != theirs {
		t.Errorf("%q %v", b, err)
	}
	if list := left(t, home); len(list) != 1 {
		t.Errorf("%v", list)
	}
}

// A folder's name is only a name in the line that the person is told to type.
func TestInstallWithQuotes(t *testing.T) {
	for path, want := range map[string]string{
		"/home/a/citel-agent_1.0_amd64.deb": "sudo apt install /home/a/citel-agent_1.0_amd64.deb",
		"/home/a/My Files/x.deb":            "sudo apt install '/home/a/My Files/x.deb'",
		"/tmp/$(id)'/x.deb":                 "sudo apt install '/tmp/$(id)'\\''/x.deb'",
	} {
		if got := installWith("deb", path); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
}

func TestRegisterTakenBack(t *testing.T) {
	home := aHome(t)
	for range 2 {
		if out, code := execute(t, registerCommand(message.English), ""); code != 0 {
			t.Fatalf("%d %s", code, out)
		}
	}
	if out, code := execute(t, registerCommand(message.English), "", "--remove"); code != 0 || len(left(t, home)) > 0 {
		t.Errorf("%d %s %v", code, out, left(t, home))
	}
}

// aRunningAgent answers as one does; the channel is closed when it is told to end.
func aRunningAgent(t *testing.T) <-chan struct{} {
	t.Helper()
	path, err := control.Path("")
	if err != nil {
		t.Fatal(err)
	}
	server, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	ended := make(chan struct{})
	go server.Serve(t.Context(), func(_ context.Context, r control.Request) control.Answer {
		if r.Command == control.Quit {
			close(ended)
			time.AfterFunc(50*time.Millisecond, func() { _ = server.Close() })
		}
		return control.Answer{}
	})
	return ended
}

// What the session or a link starts steps back where an agent runs, whatever the link says.
func TestLinkWhereOneRuns(t *testing.T) {
	aHome(t)
	ended := aRunningAgent(t)
	for _, link := range []string{"citel:avvia", "citel:--developer", "--port=1", "-h --developer"} {
		if out, code := execute(t, linkCommand(message.English), "", link); code != 0 || out != "" {
			t.Errorf("%s: %d %s", link, code, out)
		}
	}
	select {
	case <-ended:
		t.Error("it was told to end")
	default:
	}
}

func TestUpdateWithoutAddress(t *testing.T) {
	aHome(t)
	if out, code := execute(t, updateCommand(message.English), "", "--check"); code != command.Unavailable || !strings.Contains(out, "looks for no releases") {
		t.Errorf("%d %s", code, out)
	}
}

func TestPolicyArguments(t *testing.T) {
	for name, args := range map[string][]string{
		"no site": {"apply"}, "neither": {"remove"}, "both": {"remove", "--all", "--site", "https://a.example"},
	} {
		if out, code := execute(t, policyCommand(message.English), "", args...); code != command.Usage {
			t.Errorf("%s: %d %s", name, code, out)
		}
	}
	if os.Geteuid() == 0 {
		if out, code := execute(t, policyCommand(message.English), "", "apply", "--site", "https://*.example"); code != command.Usage || !strings.Contains(out, "nothing was changed") {
			t.Errorf("%d %s", code, out)
		}
	}
}
