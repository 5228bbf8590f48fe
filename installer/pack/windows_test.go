package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/installer"
)

// need fails where a tool is missing, with what installs it.
func need(t *testing.T, tools ...string) {
	t.Helper()
	for _, x := range tools {
		if _, err := exec.LookPath(x); err != nil {
			t.Fatalf("%s is missing; `make deps` installs it", x)
		}
	}
}

func shell(t *testing.T, dir, script string) string {
	t.Helper()
	cmd := exec.Command("sh", "-ec", script) //nolint:gosec // the test's own
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

// The test's key for Authenticode, made anew each time.
func codeKey(t *testing.T) (p12, pass, ca string) {
	t.Helper()
	dir := t.TempDir()
	shell(t, dir, `openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 3650 -not_before 20250101000000Z -not_after 20350101000000Z -subj '/CN=CiTel test, not trusted' -addext keyUsage=critical,digitalSignature -addext extendedKeyUsage=codeSigning 2>/dev/null ||
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 3650 -subj '/CN=CiTel test, not trusted' -addext keyUsage=critical,digitalSignature -addext extendedKeyUsage=codeSigning
printf secret >pass
openssl pkcs12 -export -inkey key.pem -in cert.pem -out key.p12 -passout file:pass`)
	return filepath.Join(dir, "key.p12"), filepath.Join(dir, "pass"), filepath.Join(dir, "cert.pem")
}

// The installer is the same bytes twice, signed too; the signature verifies, and a
// changed octet is noticed.
func TestInstallerSignedAndSame(t *testing.T) {
	need(t, "wixl", "msibuild", "msiinfo", "osslsigncode", "openssl")
	p12, pass, ca := codeKey(t)
	program := filepath.Join(t.TempDir(), "start.exe")
	cmd := exec.Command("go", "build", "-trimpath", "-o", program, "./agent/cmd/citel-start") //nolint:gosec // the test's own
	cmd.Dir, cmd.Env = "../..", append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	exe, err := os.ReadFile(program) //nolint:gosec // just built
	if err != nil {
		t.Fatal(err)
	}
	release := testRelease()
	release.Date = time.Now().UTC().Truncate(24 * time.Hour).Add(-24 * time.Hour) // the test's certificate may be of today
	packed := func() []byte {
		o := options{root: "../..", out: t.TempDir(), work: t.TempDir(), release: release, signP12: p12, signPass: pass}
		built := map[string]string{}
		for _, x := range installer.Agent().Programs {
			path := filepath.Join(o.work, x.Name+".exe")
			if err := os.WriteFile(path, exe, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := o.authenticode(t.Context(), path); err != nil {
				t.Fatal(err)
			}
			built[x.Name] = path
		}
		licence := filepath.Join(o.work, "LICENSE.txt")
		if err := os.WriteFile(licence, []byte("licence"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := o.msi(t.Context(), installer.Agent(), built, licence); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(o.out, "citel-agent_1.2.3_windows_amd64.msi")) //nolint:gosec // just made
		if err != nil {
			t.Fatal(err)
		}
		shell(t, o.work, "cp '"+built["citel-agent"]+"' signed.exe; osslsigncode verify -CAfile '"+ca+"' -time $(date +%s) signed.exe")
		shell(t, o.out, "osslsigncode verify -CAfile '"+ca+"' -time $(date +%s) *.msi")
		if info := shell(t, o.out, "msiinfo suminfo *.msi"); !strings.Contains(info, installer.UUID("package v1.2.3")) {
			t.Errorf("package code: %s", info)
		}
		return data
	}
	first := packed()
	time.Sleep(1100 * time.Millisecond)
	if second := packed(); !bytes.Equal(first, second) {
		t.Error("two builds differ")
	}
	// What was changed after the signature does not verify.
	dir := t.TempDir()
	first[len(first)/2] ^= 1
	if err := os.WriteFile(filepath.Join(dir, "x.msi"), first, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command("osslsigncode", "verify", "-CAfile", ca, "x.msi") //nolint:gosec // the test's own
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err == nil {
		t.Errorf("a changed installer verifies:\n%s", out)
	}
}
