package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aead.dev/minisign"

	"github.com/citel-pa/citel/agent/update"
	"github.com/citel-pa/citel/installer"
)

// scripts stand in for built programs: they answer what packers ask.
func scripts(t *testing.T, dir string, p installer.Package) map[string]string {
	t.Helper()
	built := map[string]string{}
	for _, x := range p.Programs {
		if x.WindowsOnly {
			continue
		}
		path := filepath.Join(dir, x.Name)
		text := `#!/bin/sh
case "$1" in
completion) echo "complete $2" ;;
run) printf 'Runs.\n\nFlags:\n  --port\n' ;;
*) printf 'Does things.\n\nAvailable Commands:\n  run         start\n\nUse "x"\n' ;;
esac
`
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil { //nolint:gosec // a program
			t.Fatal(err)
		}
		built[x.Name] = path
	}
	return built
}

func testRelease() installer.Release {
	return installer.Release{Version: "v1.2.3", Date: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC), Changelog: "## Unreleased\n- A change\n  of two lines\n", Licence: "Licence\n\ntext\n"}
}

func pack(t *testing.T) string {
	t.Helper()
	return packed(t, options{release: testRelease(), listDays: 10})
}

// packed is the folder of a release, with scripts for programs.
func packed(t *testing.T, o options) string {
	t.Helper()
	o.root, o.out, o.work = "../..", t.TempDir(), t.TempDir()
	for _, p := range installer.Packages() {
		built := scripts(t, t.TempDir(), p)
		list, err := o.stage(t.Context(), p, built, built, "amd64")
		if err != nil {
			t.Fatal(err)
		}
		for _, format := range []installer.Format{installer.Deb, installer.RPM} {
			if err := o.packOne(p, list, format, "amd64"); err != nil {
				t.Fatal(err)
			}
		}
		if err := o.portable(p, linuxNative, built, list); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.finish(); err != nil {
		t.Fatal(err)
	}
	return o.out
}

func contents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if out[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// Two builds in different folders, at different times, give the same bytes.
func TestSameBytes(t *testing.T) {
	first := contents(t, pack(t))
	time.Sleep(1100 * time.Millisecond) // a clock that got into a package would show
	second := contents(t, pack(t))
	if len(first) != 8 {
		t.Errorf("%d files", len(first))
	}
	for name, data := range first {
		if !bytes.Equal(data, second[name]) {
			t.Errorf("%s differs", name)
		}
	}
}

// The package holds what the definition says, and nothing else.
func TestDebHoldsTheDefinition(t *testing.T) {
	dir := pack(t)
	for _, p := range installer.Packages() {
		out, err := exec.Command("dpkg-deb", "-c", filepath.Join(dir, p.Name+"_1.2.3_amd64.deb")).Output() //nolint:gosec // just packed
		if err != nil {
			t.Fatal(err)
		}
		have := map[string]string{}
		for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
			f := strings.Fields(line)
			if name := strings.TrimPrefix(f[5], "."); !strings.HasSuffix(name, "/") {
				have[name] = f[0] + " " + f[1]
			}
		}
		want := 0
		for _, f := range p.Files {
			if f.Only != "" && f.Only != installer.Deb {
				continue
			}
			want++
			if mode := fs.FileMode.String(f.Mode); have[f.Path] != mode+" root/root" {
				t.Errorf("%s: %s: %q, want %q", p.Name, f.Path, have[f.Path], mode)
			}
			if strings.HasPrefix(f.Path, "/home") || strings.HasPrefix(f.Path, "/root") || strings.Contains(f.Path, "ca-certificates") {
				t.Errorf("%s writes %s", p.Name, f.Path)
			}
		}
		if len(have) != want {
			t.Errorf("%s holds %d files, want %d", p.Name, len(have), want)
		}
	}
}

// The same for rpm, which also has to own the folders that are CiTel's alone.
func TestRPMHoldsTheDefinition(t *testing.T) {
	dir := pack(t)
	for _, p := range installer.Packages() {
		out, err := exec.Command("rpm", "-qp", "--queryformat", `%{LICENSE}\n[%{FILEMODES:perms} %{FILEUSERNAME}/%{FILEGROUPNAME} %{FILENAMES}\n]`, filepath.Join(dir, p.Name+"-1.2.3-1.x86_64.rpm")).Output() //nolint:gosec // just packed
		if err != nil {
			t.Fatalf("rpm: %v (make deps)", err)
		}
		licence, rest, _ := strings.Cut(string(out), "\n")
		if licence != installer.Licence {
			t.Errorf("%s: licence %q", p.Name, licence)
		}
		want := map[string]string{}
		for _, f := range p.Files {
			if f.Only != "" && f.Only != installer.RPM {
				continue
			}
			want[f.Path] = fs.FileMode.String(f.Mode)
			if folder := path.Dir(f.Path); strings.HasPrefix(path.Base(folder), "citel") {
				want[folder] = "drwxr-xr-x"
			}
		}
		for _, line := range strings.Split(strings.TrimSpace(rest), "\n") {
			f := strings.Fields(line)
			if want[f[2]] != f[0] || f[1] != "root/root" {
				t.Errorf("%s: %s, want %s", p.Name, line, want[f[2]])
			}
			delete(want, f[2])
		}
		for name := range want {
			t.Errorf("%s: %s is missing", p.Name, name)
		}
	}
}

// Maintainer scripts never write below a home and touch no trust store.
func TestScripts(t *testing.T) {
	for _, p := range installer.Packages() {
		for format, scripts := range p.Scripts {
			for when, text := range scripts {
				for _, word := range []string{"/home", "$HOME", "~", "ca-certificates", "certutil", "nssdb", "iptables", "ufw"} {
					if strings.Contains(text, word) {
						t.Errorf("%s %s %s: %s", p.Name, format, when, word)
					}
				}
				path := filepath.Join(t.TempDir(), "script")
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				if out, err := exec.Command("sh", "-n", path).CombinedOutput(); err != nil { //nolint:gosec // ours
					t.Errorf("%s %s %s: %s", p.Name, format, when, out)
				}
			}
		}
	}
}

// listKeys are keys for lists of releases, the private ones as files.
func listKeys(t *testing.T, n int) (keys []minisign.PublicKey, paths []string) {
	t.Helper()
	for i := range n {
		pub, priv, err := minisign.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		text, err := priv.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "key"+string(rune('0'+i)))
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		keys, paths = append(keys, pub), append(paths, path)
	}
	return keys, paths
}

func TestSignedList(t *testing.T) {
	keys, paths := listKeys(t, 2)
	o := options{out: t.TempDir(), release: testRelease(), listDays: 10, listKeys: paths}
	if err := os.WriteFile(filepath.Join(o.out, "citel-agent_1.2.3_amd64.deb"), []byte("a package"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := o.finish(); err != nil {
		t.Fatal(err)
	}
	files := contents(t, o.out)
	signatures := map[uint64][]byte{}
	for _, k := range keys {
		signatures[k.ID()] = files[update.SignatureName(k.ID())]
	}
	if err := update.Verify(files[update.ListName], signatures, keys); err != nil {
		t.Fatal(err)
	}
	l, err := update.Parse(files[update.ListName])
	if err != nil || len(l.Releases) != 1 || len(l.Releases[0].Files) != 1 || l.Releases[0].Files[0].Kind != "deb" || !l.Expires.Equal(o.release.Date.AddDate(0, 0, 10)) {
		data, _ := json.Marshal(l)
		t.Errorf("%s %v", data, err)
	}
}

func TestVersions(t *testing.T) {
	date := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	var numbers []string
	for _, c := range []struct{ version, number, windows string }{
		{"abcdef0", "0.1.0~20261125120000.abcdef0", "0.1.0"},
		{"v1.2.3-rc1", "1.2.3~rc1", "1.2.300"},
		{"v1.2.3", "1.2.3", "1.2.300"},
		{"v1.2.3-4-gabcdef0", "1.2.3+4.abcdef0", "1.2.304"},
		{"v1.2.4-dirty", "1.2.4+dirty", "1.2.400"},
	} {
		r := installer.Release{Version: c.version, Date: date}
		if r.Number() != c.number || r.WindowsVersion() != c.windows {
			t.Errorf("%s: %s, %s", c.version, r.Number(), r.WindowsVersion())
		}
		numbers = append(numbers, r.Number())
	}
	if !slices.IsSortedFunc(numbers, update.Compare) {
		t.Errorf("not in order: %v", numbers)
	}
}

func TestSettle(t *testing.T) {
	if err := settle([]byte("no installer"), "", 0); err == nil {
		t.Error("taken")
	}
	if err := settle(append(make([]byte, 28), summaryID...), "", 0); err == nil {
		t.Error("taken")
	}
}
