// Command pack builds CiTel's programs and packs them: .deb and .rpm, archives, the
// Windows installer, bills of materials, checksums and the signed list of releases,
// all from the one definition in package installer.
//
// It is a module of its own, so that nothing of what it needs is linked by, or listed
// with, the programs. Two runs over the same commit give the same bytes, wherever they
// run: times are the commit's, paths are trimmed, and no random number is drawn.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/citel-pa/citel/installer"
)

// options are what the builder chooses.
type options struct {
	root, out, work string
	release         installer.Release
	windows         bool
	// arm64Root has the libraries of packages for arm64; empty: none are made.
	arm64Root string
	// Release list: where the agent looks for it, whose signatures it wants, the
	// builder's keys (files), and until when the list is good.
	updateURL, updateKeys string
	listKeys              listFlag
	listDays              int
	// Authenticode: a PKCS#12 file and a file with its password.
	signP12, signPass string
}

type listFlag []string

func (l *listFlag) String() string     { return strings.Join(*l, ",") }
func (l *listFlag) Set(s string) error { *l = append(*l, s); return nil }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("pack", flag.ContinueOnError)
	var o options
	var epoch string
	f.StringVar(&o.root, "root", "../..", "the repository")
	f.StringVar(&o.out, "out", "", "folder for the packages (default ROOT/build/dist)")
	f.StringVar(&o.release.Version, "version", "", "version (default: git describe)")
	f.StringVar(&epoch, "epoch", os.Getenv("SOURCE_DATE_EPOCH"), "time of everything that is packed, in seconds (default: the commit's)")
	f.BoolVar(&o.windows, "windows", false, "the Windows programs and installer (mingw, wixl) instead of the Linux packages")
	f.StringVar(&o.arm64Root, "arm64-root", "", "packages for arm64 too, compiled by gcc-aarch64-linux-gnu with the libraries of this folder, made by: "+
		"mmdebstrap --variant=extract --architectures=arm64 --include=libc6-dev,libpcsclite-dev,libgtk-3-dev,libwebkit2gtk-4.1-dev bookworm DIR")
	f.StringVar(&o.updateURL, "update-url", "", "address of the signed list of releases; empty: the agent never looks")
	f.StringVar(&o.updateKeys, "update-keys", "", "minisign public keys, comma separated; two of them must have signed the list")
	f.Var(&o.listKeys, "list-key", "unencrypted minisign private key file for the list (repeatable)")
	f.IntVar(&o.listDays, "list-days", 90, "days that the list is good for, from the release's date")
	f.StringVar(&o.signP12, "sign-p12", "", "PKCS#12 file with the key for Authenticode")
	f.StringVar(&o.signPass, "sign-pass-file", "", "file with its password")
	if err := f.Parse(args); err != nil {
		return err
	}
	var err error
	if o.root, err = filepath.Abs(o.root); err != nil {
		return err
	}
	if o.arm64Root != "" {
		if o.arm64Root, err = filepath.Abs(o.arm64Root); err != nil {
			return err
		}
	}
	if o.out == "" {
		o.out = filepath.Join(o.root, "build", "dist")
	}
	if o.out, err = filepath.Abs(o.out); err != nil {
		return err
	}
	if err := o.describe(ctx, epoch); err != nil {
		return err
	}
	if o.work, err = os.MkdirTemp("", "citel-pack-"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(o.work) }()
	if err := os.MkdirAll(o.out, 0o755); err != nil { //nolint:gosec // packages are for everybody
		return err
	}
	if o.windows {
		err = o.packWindows(ctx)
	} else {
		err = o.packLinux(ctx)
	}
	if err != nil {
		return err
	}
	return o.finish()
}

// describe finds version, date and texts.
func (o *options) describe(ctx context.Context, epoch string) error {
	if o.release.Version == "" {
		v, err := o.output(ctx, "git", "describe", "--tags", "--always", "--dirty")
		if err != nil {
			return err
		}
		o.release.Version = strings.TrimSpace(v)
	}
	if epoch == "" {
		v, err := o.output(ctx, "git", "log", "-1", "--format=%ct")
		if err != nil {
			return err
		}
		epoch = strings.TrimSpace(v)
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return fmt.Errorf("-epoch: %w", err)
	}
	o.release.Date = time.Unix(seconds, 0).UTC()
	for name, into := range map[string]*string{"CHANGELOG.md": &o.release.Changelog, "LICENSE": &o.release.Licence} {
		text, err := os.ReadFile(filepath.Join(o.root, name))
		if err != nil {
			return err
		}
		*into = string(text)
	}
	return nil
}

// output runs a command in the repository.
func (o *options) output(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // ours
	cmd.Dir = o.root
	out, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, failed.Stderr)
	}
	return string(out), err
}
