package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/citel-pa/citel/testdata/stack"
)

// limit is what signing and verifying may use, whatever the document's size.
const limit = 64 << 20

// A document six times as large as the limit is signed and verified within it.
// `make bench` does the same with 2 GiB.
func TestMemoryDoesNotGrowWithTheDocument(t *testing.T) {
	t.Parallel()
	s := town(t)
	dir := t.TempDir()
	doc := filepath.Join(dir, "large.bin")
	f, err := os.Create(doc)
	if err != nil {
		t.Fatal(err)
	}
	block := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for range 6 * limit / len(block) {
		if _, err := f.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	pinFile := filepath.Join(dir, "pin")
	if err := os.WriteFile(pinFile, []byte(pin), 0o600); err != nil {
		t.Fatal(err)
	}
	sign := []string{"sign", "--module", s.Cards.Module(), "--pin-file", pinFile}
	verify := []string{"verify", "--offline", "--trust", filepath.Join(s.Dir, "ca.pem")}
	for _, args := range [][]string{
		append(sign, "--detached", "--out", doc+".p7s", doc),
		append(verify, "--content", doc, doc+".p7s"),
		append(sign, "--out", doc+".p7m", doc),
		append(verify, doc+".p7m"),
	} {
		peak := peakMemory(t, s, args)
		if peak > limit {
			t.Errorf("%s: %d MB at most", args[0], peak>>20)
		}
		t.Logf("%s: %d MB", args[0], peak>>20)
	}
}

// peakMemory runs the agent and gives the most memory that it had, or one of its helpers
// that parses a document.
func peakMemory(t *testing.T, s *stack.Stack, args []string) int {
	t.Helper()
	cmd := exec.Command(s.Agent, args...) //nolint:gosec // our own program
	cmd.Env = append(os.Environ(), s.Cards.Env()...)
	p, err := stack.Start(cmd, nil)
	if err != nil {
		t.Fatal(err)
	}
	peak := 0
	for done := false; !done; {
		select {
		case <-p.Done():
			done = true
		case <-time.After(2 * time.Millisecond):
			if m, err := p.PeakMemoryOfAll(); err == nil {
				peak = max(peak, m)
			}
		}
	}
	if err := p.Err(); err != nil {
		t.Fatalf("%s: %v\n%s", args[0], err, p.Log())
	}
	if peak == 0 {
		t.Fatalf("%s: its memory is not known", args[0])
	}
	return peak
}
