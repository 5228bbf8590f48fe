// Command build fetches and bundles what the pages of citel-server and of the
// agent's window need, into server/assets/dist and agent/window/dist, from where they
// are embedded. Run from the repository's root:
//
//	go run ./server/assets/build
//
// It works in four steps: npm ci (only when package.json or the lock changed),
// the files of Bootstrap Italia, the project's own page scripts, the tools of
// the tests. A second run with nothing new writes nothing.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Where things lie, from the repository's root.
const (
	home     = "server/assets"
	modules  = home + "/node_modules"
	dist     = home + "/dist"
	distTest = home + "/dist-test"
	winHome  = "agent/window"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "assets:", err)
		os.Exit(1)
	}
}

func run() error {
	if _, err := os.Stat(home + "/package.json"); err != nil {
		return errors.New("run this from the repository's root: go run ./server/assets/build")
	}
	if err := install(); err != nil {
		return err
	}
	out := newOutput(dist)
	if err := addBootstrapItalia(out); err != nil {
		return err
	}
	if err := addScripts(out); err != nil {
		return err
	}
	if err := out.flush(); err != nil {
		return err
	}
	if err := window(); err != nil {
		return err
	}
	test := newOutput(distTest)
	if err := test.copy("axe.min.js", modules+"/axe-core/axe.min.js"); err != nil {
		return err
	}
	return test.flush()
}

// install runs npm ci when what npm was told differs from the last time. No
// package's install script is run: nothing here needs one, and they are the
// usual way in for a hostile package.
func install() error {
	want, err := stamp(home+"/package.json", home+"/package-lock.json", home+"/.npmrc")
	if err != nil {
		return err
	}
	stampFile := modules + "/.citel-stamp"
	if have, err := os.ReadFile(stampFile); err == nil && string(have) == want {
		return nil
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		return errors.New("npm not found: run make deps")
	}
	cmd := exec.Command(npm, "ci", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", "--loglevel=error")
	cmd.Dir = filepath.FromSlash(home)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("npm ci in %s: %w", home, err)
	}
	return os.WriteFile(stampFile, []byte(want), 0o644)
}

// stamp is a hash over the contents of the files named.
func stamp(names ...string) (string, error) {
	h := sha256.New()
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		_, _ = fmt.Fprintf(h, "%s %d\n", name, len(b))
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
