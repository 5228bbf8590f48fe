package e2e

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/citel-pa/citel/testdata/page"
	"github.com/citel-pa/citel/testdata/stack"
)

// visitorCommand makes the test's binary a program that only opens a link.
const visitorCommand = "visit-agent"

const visitorOrigin = "https://comune.example"

func visit(port string) int {
	n, err := strconv.Atoi(port)
	if err != nil {
		return 2
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	l, err := page.Dial(ctx, n, visitorOrigin)
	if err == nil {
		_, err = l.Hello()
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("in")
	return 0
}

// The agent is its own user's: another one of the same computer gets nothing.
func TestAnotherLocalUser(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can become another user; .ci/run is root")
	}
	s := town(t)
	port := agent(t, s, stack.AgentOptions{PIN: pin, Origin: visitorOrigin})
	// The other user must be able to run the visitor.
	dir, err := os.MkdirTemp("/tmp", "citel-visitor-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "visitor")
	if err := copyFile(program, self); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // the other user runs what is in it
		t.Fatal(err)
	}
	run := func(uid uint32) (string, error) {
		cmd := exec.Command(program, visitorCommand, strconv.Itoa(port)) //nolint:gosec // a copy of ourselves
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, err := cmd.Output()
		return strings.TrimSpace(string(out)), err
	}
	if out, err := run(0); err != nil || out != "in" {
		t.Fatalf("the same user: %q %v", out, err)
	}
	if out, err := run(65534); err == nil || !strings.Contains(out, "403") {
		t.Errorf("another user: %q %v", out, err)
	}
}

func copyFile(to, from string) error {
	in, err := os.Open(from) //nolint:gosec // our own binary
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755) //nolint:gosec // run by another user
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Close()
}
