// Command trial puts the packages on trial, as a person would: in a fresh Debian root
// they are installed, used by two users with both browsers, upgraded and removed; the
// Windows installer is read back and run under Wine. It stops at the first thing that is
// not as it should be, and needs root. `make test-install` runs it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

// Limits of what people download, in bytes.
const (
	maxAgentDeb  = 15 << 20
	maxServerDeb = 25 << 20
	maxMSI       = 20 << 20
)

func main() { os.Exit(command()) }

func command() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Minute)
	defer cancel()
	var err error
	switch {
	case len(os.Args) == 4 && os.Args[1] == inside:
		err = use(ctx, os.Args[2], os.Args[3])
	case len(os.Args) == 3 && os.Args[1] == browsing:
		err = browse(ctx, os.Args[2])
	case len(os.Args) <= 2:
		err = run(ctx, append(os.Args, "")[1])
	default:
		err = errors.New("usage: trial [papers|linux|windows]")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "trial:", err)
		return 1
	}
	return 0
}

// The program starts itself for what has to happen in another namespace or as
// another user.
const (
	inside   = "inside"
	browsing = "browse"
)

func run(ctx context.Context, only string) (err error) {
	if os.Geteuid() != 0 {
		return errors.New("only root can make another root")
	}
	work, err := os.MkdirTemp("", "citel-trial-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	if err := os.Chmod(work, 0o755); err != nil { //nolint:gosec // the users of the trial get in
		return err
	}
	for _, s := range []struct {
		word, name string
		do         func(context.Context, string) error
	}{
		{"papers", "sizes, checksums, lintian, desktop files", papers},
		{"linux", "a fresh Debian root: install, use, upgrade, remove", linux},
		{"windows", "the Windows installer, read back and under Wine", windows},
	} {
		if only != "" && only != s.word {
			continue
		}
		start := time.Now()
		fmt.Println("trial:", s.name)
		if err := s.do(ctx, work); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Printf("trial: done in %s\n", time.Since(start).Round(time.Second))
	}
	return nil
}

// one is the only file of a pattern.
func one(pattern string) (string, error) {
	list, err := filepath.Glob(pattern)
	if err != nil {
		return "", err
	}
	if len(list) != 1 {
		return "", fmt.Errorf("%s: %d files (make dist)", pattern, len(list))
	}
	return filepath.Abs(list[0])
}

// sh runs a command and gives what it said; its failure has its words.
func sh(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput() //nolint:gosec // commands of the trial
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// papers looks at the packages without installing them.
func papers(ctx context.Context, work string) error {
	for pattern, limit := range map[string]int64{
		"build/dist/citel-agent_*_amd64.deb": maxAgentDeb, "build/dist/citel-server_*_amd64.deb": maxServerDeb, "build/dist-windows/*.msi": maxMSI,
	} {
		path, err := one(pattern)
		if err != nil {
			return err
		}
		st, err := os.Stat(path)
		if err != nil {
			return err
		}
		fmt.Printf("  %s: %.1f MB\n", filepath.Base(path), float64(st.Size())/1e6)
		if st.Size() > limit {
			return fmt.Errorf("%s has %d bytes, more than %d", path, st.Size(), limit)
		}
	}
	for _, dir := range []string{"build/dist", "build/dist-windows"} {
		if _, err := sh(ctx, "sh", "-c", "cd "+dir+" && sha256sum --quiet -c SHA256SUMS"); err != nil {
			return err
		}
	}
	for _, name := range []string{"citel-agent", "citel-server"} {
		deb, err := one("build/dist/" + name + "_*_amd64.deb")
		if err != nil {
			return err
		}
		// Nothing above "info" that is not explained by an override.
		if out, err := sh(ctx, "lintian", "--allow-root", "--fail-on", "error,warning,info,pedantic", "--pedantic", "--display-info", deb); err != nil {
			return fmt.Errorf("%w%s", err, out)
		}
		if _, err := sh(ctx, "dpkg-deb", "-x", deb, filepath.Join(work, name)); err != nil {
			return err
		}
	}
	agent := filepath.Join(work, "citel-agent")
	for _, entry := range []string{"/usr/share/applications/citel-agent.desktop", "/etc/xdg/autostart/citel-agent.desktop"} {
		if _, err := sh(ctx, "desktop-file-validate", agent+entry); err != nil {
			return err
		}
	}
	if _, err := sh(ctx, "appstreamcli", "validate", "--no-net", agent+"/usr/share/metainfo/citel-agent.metainfo.xml"); err != nil {
		return err
	}
	return exposure(ctx, filepath.Join(work, "citel-server"))
}

// exposure is the figure that systemd gives to the server's unit.
func exposure(ctx context.Context, root string) error {
	out, err := sh(ctx, "systemd-analyze", "security", "--no-pager", "--offline=yes", "--threshold=20", root+"/usr/lib/systemd/system/citel-server.service")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	fmt.Println("  " + lines[len(lines)-1])
	if err != nil {
		return err
	}
	// And no line of the unit is one that systemd does not know: verify says so, and
	// ends well all the same. The units that it builds on are this computer's.
	if _, err := sh(ctx, "cp", "-rn", "/usr/lib/systemd/system/.", root+"/usr/lib/systemd/system/"); err != nil {
		return err
	}
	out, err = sh(ctx, "systemd-analyze", "verify", "--root="+root, "--man=no", "citel-server.service")
	if err == nil && strings.TrimSpace(out) != "" {
		err = errors.New(out)
	}
	return err
}
