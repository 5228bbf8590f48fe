package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// users of the fresh root; their numbers are these.
var users = map[string]uint32{"anna": 2001, "bruno": 2002}

// linux installs, uses, upgrades and removes.
func linux(ctx context.Context, work string) (err error) {
	root := filepath.Join(work, "root")
	agent, err := one("build/dist/citel-agent_*_amd64.deb")
	if err != nil {
		return err
	}
	server, err := one("build/dist/citel-server_*_amd64.deb")
	if err != nil {
		return err
	}
	if err := fresh(ctx, root); err != nil {
		return err
	}
	// What the packages need comes first, so that the lists of files show what they
	// themselves leave.
	for _, deb := range []string{agent, server} {
		needs, err := sh(ctx, "dpkg-deb", "-f", deb, "Depends")
		if err != nil {
			return err
		}
		for _, need := range strings.Split(needs, ",") {
			name := strings.Fields(strings.Split(need, "|")[0])[0]
			if _, err := inRoot(ctx, root, "DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "+name); err != nil {
				return err
			}
		}
		if err := os.Link(deb, filepath.Join(root, "root", filepath.Base(deb))); err != nil {
			if _, err := sh(ctx, "cp", deb, filepath.Join(root, "root")); err != nil {
				return err
			}
		}
	}
	for name, id := range users {
		if _, err := inRoot(ctx, root, fmt.Sprintf("useradd -m -u %d -s /bin/sh %s", id, name)); err != nil {
			return err
		}
	}
	// An administrator's own policy file, which has to come out as it went in.
	policy := filepath.Join(root, "etc/firefox/policies/policies.json")
	if err := errors.Join(os.MkdirAll(filepath.Dir(policy), 0o755), os.WriteFile(policy, []byte(`{"policies": {"DisableTelemetry": true}}`), 0o644)); err != nil { //nolint:gosec // as on a computer
		return err
	}
	before, err := listing(root)
	if err != nil {
		return err
	}
	if _, err := inRoot(ctx, root, "dpkg -i /root/"+filepath.Base(agent)+" /root/"+filepath.Base(server)); err != nil {
		return err
	}
	for _, step := range []struct {
		name string
		do   func(context.Context, string) error
	}{
		{"what was installed", installed},
		{"in use", func(ctx context.Context, root string) error { return another(ctx, root, "install") }},
		{"upgrade", func(ctx context.Context, root string) error { return upgrade(ctx, root, agent) }},
		{"in use after the upgrade", func(ctx context.Context, root string) error { return another(ctx, root, "upgrade") }},
		{"removal", func(ctx context.Context, root string) error { return removal(ctx, root, before) }},
	} {
		if err := step.do(ctx, root); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Println("  " + step.name + ": good")
	}
	return nil
}

// fresh makes the root with debootstrap, from the mirror that this computer uses.
func fresh(ctx context.Context, root string) error {
	// A developer who runs this often keeps a root with the dependencies.
	if kept := os.Getenv("CITEL_TRIAL_ROOT"); kept != "" {
		_, err := sh(ctx, "cp", "-a", "--reflink=auto", kept, root)
		return err
	}
	out, err := sh(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages")
	if err != nil {
		return err
	}
	mirror := ""
	for _, line := range strings.Split(out, "\n") {
		if f := strings.Fields(line); len(f) == 2 && f[1] == "bookworm" {
			mirror = f[0]
		}
	}
	if mirror == "" {
		return errors.New("this computer's apt knows no bookworm: the trial runs on Debian 12")
	}
	if _, err := sh(ctx, "debootstrap", "--variant=minbase", "bookworm", root, mirror); err != nil {
		return err
	}
	// No service starts in there: invoke-rc.d(8), policy-rc.d.
	if err := os.WriteFile(filepath.Join(root, "usr/sbin/policy-rc.d"), []byte("#!/bin/sh\nexit 101\n"), 0o755); err != nil { //nolint:gosec // a script
		return err
	}
	for _, file := range []string{"/etc/resolv.conf", "/etc/hosts"} {
		data, err := os.ReadFile(file) //nolint:gosec // the computer's own
		if err != nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(root, file), data, 0o644); err != nil { //nolint:gosec // as on a computer
			return err
		}
	}
	_, err = inRoot(ctx, root, "apt-get update -qq")
	return err
}

// inRoot runs a script in the fresh root, with processes and mounts of its own.
func inRoot(ctx context.Context, root, script string) (string, error) {
	return sh(ctx, "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc="+filepath.Join(root, "proc"), "chroot", root,
		"env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "sh", "-ec", script)
}

// Places whose content is nobody's installation: logs and package managers' own books.
var books = []string{"/proc", "/sys", "/dev", "/run", "/tmp", "/var/log", "/var/cache", "/var/lib/dpkg", "/var/lib/apt", "/root", "/home",
	"/etc/ld.so.cache", "/var/lib/systemd/deb-systemd-helper-enabled", "/var/lib/systemd/deb-systemd-helper-masked"}

// listing is every file below root with its mode and content.
func listing(root string) (map[string]string, error) {
	out := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, root)
		if slices.Contains(books, name) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		what := info.Mode().String()
		switch {
		case info.Mode().IsRegular():
			data, err := os.ReadFile(path) //nolint:gosec // below the root
			if err != nil {
				return err
			}
			sum := sha256.Sum256(data)
			what += " " + hex.EncodeToString(sum[:])
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			what += " " + target
		}
		out[name] = what
		return nil
	})
	return out, err
}

// installed looks at the programs and at what the dependencies brought.
func installed(ctx context.Context, root string) error {
	out, err := inRoot(ctx, root, `
citel-agent version; citel-server version
# Nothing of testers is in the programs that people get.
for word in virtual-card login; do
	if citel-agent "$word" --help >/dev/null 2>&1; then echo "citel-agent has $word"; exit 1; fi
done
if citel-agent sign --help | grep -q -- --pin; then echo "citel-agent takes a PIN as an option"; exit 1; fi
if grep -qaE 'UNATTENDED|pin-fd|virtual-card' /usr/bin/citel-agent; then echo "the testers' words are in citel-agent"; exit 1; fi
test -e /etc/systemd/system/sockets.target.wants/pcscd.socket || { echo "pcscd.socket is not enabled"; exit 1; }
for program in /usr/bin/citel-agent /usr/libexec/citel/citel-window /usr/bin/citel-server; do
	if ldd $program | grep 'not found'; then exit 1; fi
done
grep -q 'x-scheme-handler/citel' /usr/share/applications/citel-agent.desktop
test -f /usr/share/man/man1/citel-agent.1.gz
`)
	if err != nil {
		return err
	}
	if !strings.Contains(out, "citel-agent ") || strings.Contains(out, "tester") {
		return fmt.Errorf("version says %q", out)
	}
	return nil
}

// another starts this program again, in a network of its own where the agents' ports
// are free, and with the root's policies over this computer's.
func another(ctx context.Context, root, when string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, inside, root, when) //nolint:gosec // ourselves
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd.Run()
}

// upgrade installs the same package with a higher number: what people set stays.
func upgrade(ctx context.Context, root, deb string) error {
	dir := filepath.Join(root, "root", "next")
	if _, err := sh(ctx, "dpkg-deb", "-R", deb, dir); err != nil {
		return err
	}
	control := filepath.Join(dir, "DEBIAN", "control")
	text, err := os.ReadFile(control) //nolint:gosec // just unpacked
	if err != nil {
		return err
	}
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "Version: ") {
			lines[i] = "Version: 99.0"
		}
	}
	if err := os.WriteFile(control, []byte(strings.Join(lines, "\n")), 0o644); err != nil { //nolint:gosec // a package's
		return err
	}
	if _, err := sh(ctx, "dpkg-deb", "--root-owner-group", "-Znone", "-b", dir, filepath.Join(root, "root", "next.deb")); err != nil {
		return err
	}
	out, err := inRoot(ctx, root, `
printf 'X-Office=yes\n' >>/etc/xdg/autostart/citel-agent.desktop # an administrator's change
dpkg -i /root/next.deb
grep -q X-Office /etc/xdg/autostart/citel-agent.desktop || { echo "the administrator's change is gone"; exit 1; }
test -f /etc/chromium/policies/managed/citel.json || { echo "an upgrade took the policies"; exit 1; }
rm -rf /root/next /root/next.deb
`)
	if err != nil {
		return fmt.Errorf("%w%s", err, out)
	}
	return nil
}

// removal: the lists of files are the same as before, homes left to their people.
func removal(ctx context.Context, root string, before map[string]string) error {
	if _, err := inRoot(ctx, root, "su anna -c 'citel-agent cleanup --yes'; ! find /home/anna -name '*citel*' | grep ."); err != nil {
		return err
	}
	if _, err := inRoot(ctx, root, "DEBIAN_FRONTEND=noninteractive apt-get purge -y -qq citel-agent citel-server"); err != nil {
		return err
	}
	after, err := listing(root)
	if err != nil {
		return err
	}
	var wrong []string
	for name, what := range before {
		if after[name] != what {
			wrong = append(wrong, "changed: "+name)
		}
	}
	for name := range after {
		if _, ok := before[name]; !ok {
			wrong = append(wrong, "left: "+name)
		}
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		return errors.New(strings.Join(wrong, "\n"))
	}
	return nil
}
