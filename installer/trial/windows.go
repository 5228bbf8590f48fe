package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/citel-pa/citel/installer"
)

// windows reads the installer back, then installs, uses and removes it under Wine.
func windows(ctx context.Context, work string) error {
	msi, err := one("build/dist-windows/*.msi")
	if err != nil {
		return err
	}
	if err := readBack(ctx, msi); err != nil {
		return err
	}
	w := &wine{dir: filepath.Join(work, "wine")}
	defer w.end()
	if err := w.prepare(ctx); err != nil {
		return err
	}
	return w.install(ctx, work, msi)
}

// rows of a table of an installer.
func rows(ctx context.Context, msi, table string) ([][]string, error) {
	out, err := sh(ctx, "msiinfo", "export", msi, table)
	if err != nil {
		return nil, err
	}
	var list [][]string
	for i, line := range strings.Split(strings.TrimRight(out, "\r\n"), "\n") {
		if i >= 3 { // names, types, keys
			list = append(list, strings.Split(strings.TrimRight(line, "\r"), "\t"))
		}
	}
	return list, nil
}

// readBack holds the tables against the definition.
func readBack(ctx context.Context, msi string) error {
	properties := map[string]string{}
	list, err := rows(ctx, msi, "Property")
	if err != nil {
		return err
	}
	for _, r := range list {
		properties[r[0]] = r[1]
	}
	if properties["ALLUSERS"] != "1" || properties["UpgradeCode"] != "{"+installer.UpgradeCode+"}" {
		return fmt.Errorf("properties: %v", properties)
	}
	if list, err = rows(ctx, msi, "Registry"); err != nil {
		return err
	}
	want := installer.WindowsRegistry()
	if len(list) != len(want) {
		return fmt.Errorf("%d registry values, want %d", len(list), len(want))
	}
	for _, v := range want {
		if !slices.ContainsFunc(list, func(r []string) bool { return r[1] == "2" && r[2] == v.Key && r[3] == v.Name && r[4] == v.Value }) {
			return fmt.Errorf("registry: %v is not in %v", v, list)
		}
	}
	if list, err = rows(ctx, msi, "File"); err != nil {
		return err
	}
	for _, name := range []string{"citel-agent.exe", "citel-window.exe", "citel-start.exe"} {
		if !slices.ContainsFunc(list, func(r []string) bool { return r[2] == name }) {
			return fmt.Errorf("%s is not in the installer", name)
		}
	}
	if list, err = rows(ctx, msi, "Upgrade"); err != nil || len(list) != 2 {
		return fmt.Errorf("upgrade: %v %w", list, err)
	}
	// Nothing else acts: no service, no firewall rule, one action of our own.
	if list, err = rows(ctx, msi, "CustomAction"); err != nil || len(list) != 1 || list[0][0] != "RemovePolicies" {
		return fmt.Errorf("actions: %v %w", list, err)
	}
	return nil
}

// wine is a Windows of the trial's own.
type wine struct{ dir string }

func (w *wine) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // commands of the trial
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + w.dir, "WINEPREFIX=" + filepath.Join(w.dir, "prefix"), "WINEARCH=win64",
		"WINEDEBUG=-all", "WINEDLLOVERRIDES=mscoree,mshtml=;winemenubuilder.exe=d", "LANG=C.UTF-8"}
	return cmd
}

func (w *wine) run(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	var out, errs strings.Builder
	cmd := w.command(ctx, "wine", args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("wine %s: %w\n%s%s", strings.Join(args, " "), err, out.String(), errs.String())
	}
	return out.String(), nil
}

func (w *wine) end() {
	_ = w.command(context.Background(), "wineserver", "-k").Run()
}

// prng stands in for a library that Debian 12's Wine 8 lacks and Go programs load.
// Microsoft's ProcessPrng fills a buffer from the system's random numbers.
const prng = `#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T size) { return SystemFunction036(data, (ULONG)size); }
`

func (w *wine) prepare(ctx context.Context) error {
	if err := os.MkdirAll(w.dir, 0o755); err != nil { //nolint:gosec // the trial's
		return err
	}
	if out, err := w.command(ctx, "wineboot", "--init").CombinedOutput(); err != nil {
		return fmt.Errorf("wineboot: %w\n%s", err, out)
	}
	source := filepath.Join(w.dir, "prng.c")
	if err := os.WriteFile(source, []byte(prng), 0o600); err != nil {
		return err
	}
	_, err := sh(ctx, "x86_64-w64-mingw32-gcc", "-shared", "-o", filepath.Join(w.dir, "prefix/drive_c/windows/system32/bcryptprimitives.dll"), source, "-ladvapi32")
	return err
}

const program = `C:\Program Files\CiTel\citel-agent.exe`

func (w *wine) install(ctx context.Context, work, msi string) error {
	folder := filepath.Join(w.dir, "prefix/drive_c/Program Files/CiTel")
	if _, err := w.run(ctx, "msiexec", "/i", msi, "/qn"); err != nil {
		return err
	}
	for _, name := range []string{"citel-agent.exe", "citel-window.exe", "citel-start.exe"} {
		if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
			return err
		}
	}
	for key, value := range map[string]string{
		`HKLM\Software\Microsoft\Windows\CurrentVersion\Run`: `citel-start.exe" run --session`,
		`HKLM\Software\Classes\citel\shell\open\command`:     `citel-start.exe" link "%1"`,
	} {
		if out, err := w.run(ctx, "reg", "query", key, "/s"); err != nil || !strings.Contains(out, value) {
			return fmt.Errorf("%s: %w\n%s", key, err, out)
		}
	}
	out, err := w.run(ctx, program, "version")
	if err != nil || !strings.HasPrefix(out, "citel-agent ") {
		return fmt.Errorf("version: %q %w", out, err)
	}
	fmt.Println("  under Wine:", strings.TrimSpace(out))
	// No reader is there; that is said, not crashed over.
	for _, args := range [][]string{{"cards"}, {"doctor"}} {
		out, err := w.run(ctx, append([]string{program}, args...)...)
		var exit *exec.ExitError
		if err != nil && (!errors.As(err, &exit) || exit.ExitCode() > 74) {
			return err
		}
		if strings.Contains(out, "panic") || strings.TrimSpace(out) == "" && err == nil {
			return fmt.Errorf("%v says %q", args, out)
		}
	}
	if err := w.verify(ctx, work); err != nil {
		return err
	}
	const edge = `HKLM\SOFTWARE\Policies\Microsoft\Edge\LoopbackNetworkAllowedForUrls`
	if _, err := w.run(ctx, program, "policy", "apply", "--site", "https://sportello.example"); err != nil {
		return err
	}
	if out, err := w.run(ctx, "reg", "query", edge); err != nil || !strings.Contains(out, "https://sportello.example:443") {
		return fmt.Errorf("the policy is not there: %w\n%s", err, out)
	}
	if _, err := w.run(ctx, "msiexec", "/x", msi, "/qn"); err != nil {
		return err
	}
	if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the folder stays: %w", err)
	}
	for _, key := range []string{edge, `HKLM\Software\Classes\citel`, `HKLM\Software\CiTel`} {
		if out, err := w.run(ctx, "reg", "query", key); err == nil {
			return fmt.Errorf("left: %s %q", key, out)
		}
	}
	fmt.Println("  installed, used, removed under Wine: good")
	return nil
}

// verify judges a file that openssl signed, with its issuer as anchor: valid by its
// content, and not after one octet was changed.
func (w *wine) verify(ctx context.Context, work string) error {
	dir := filepath.Join(work, "signed")
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // the trial's
		return err
	}
	script := `cd "$1"
printf 'istanza' >istanza.txt
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj '/CN=Trial CA' 2>/dev/null
openssl req -newkey rsa:2048 -nodes -keyout key.pem -out req.pem -subj '/CN=Trial' 2>/dev/null
printf 'keyUsage=critical,nonRepudiation\n' >ext
openssl x509 -req -in req.pem -CA ca.pem -CAkey ca.key -days 1 -out cert.pem -extfile ext 2>/dev/null
openssl cms -sign -cades -nodetach -binary -md sha256 -in istanza.txt -signer cert.pem -inkey key.pem -outform DER -out istanza.txt.p7m
sed 's/istanza/istanzb/' istanza.txt.p7m >changed.p7m`
	if _, err := sh(ctx, "sh", "-ec", script, "sh", dir); err != nil {
		return err
	}
	for file, want := range map[string]string{"istanza.txt.p7m": "TOTAL-PASSED", "changed.p7m": "TOTAL-FAILED"} {
		out, err := w.run(ctx, program, "verify", "--offline", "--json", "--trust", `Z:`+strings.ReplaceAll(filepath.Join(dir, "ca.pem"), "/", `\`), `Z:`+strings.ReplaceAll(filepath.Join(dir, file), "/", `\`))
		if !strings.Contains(out, want) {
			return fmt.Errorf("verify %s: want %s: %w\n%s", file, want, err, out)
		}
	}
	return nil
}
