// Package badmodule builds a PKCS#11 module that misbehaves, for tests of what
// has to survive it. It passes on to a real module and goes wrong where the
// environment says; badmodule.c has the list.
package badmodule

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

//go:embed badmodule.c
var source []byte

// Build compiles the module and gives its path.
func Build(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	c, so := filepath.Join(dir, "badmodule.c"), filepath.Join(dir, "badmodule.so")
	if err := os.WriteFile(c, source, 0o600); err != nil {
		tb.Fatal(err)
	}
	out, err := exec.Command("cc", "-std=gnu11", "-shared", "-fPIC", "-O1", "-w", "-o", so, c, "-ldl").CombinedOutput()
	if err != nil {
		tb.Fatalf("badmodule: cc (`make deps` installs it): %v\n%s", err, out)
	}
	return so
}

// Env is the environment for a mode: what goes wrong ("" nothing), the real
// module's path and a file that gets a line for each C_Login ("" none).
func Env(mode, real, count string) []string {
	return []string{"CITEL_BADMODULE=" + mode, "CITEL_BADMODULE_REAL=" + real, "CITEL_BADMODULE_COUNT=" + count}
}

// PINPad is the environment in which the mode "pinpad" types pin on its reader.
func PINPad(pin string) string { return "CITEL_BADMODULE_PIN=" + pin }
