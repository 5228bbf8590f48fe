package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/citel-pa/citel/installer"
)

const module = "github.com/citel-pa/citel"

// target is a system that programs are built for.
type target struct {
	os, arch string // Go's names
	cc       string // empty: the default compiler
	cflags   string // more flags for C
	strip    string // takes the compiler's name out of programs, empty where it cannot
	root     string // a Debian root with that architecture's libraries, empty for the builder's own
}

const hardened = " -fstack-protector-strong -D_FORTIFY_SOURCE=2"

var (
	// The builder's own architecture; on an arm64 machine the packages are arm64's.
	linuxNative  = target{os: "linux", arch: runtime.GOARCH, cflags: hardened, strip: "strip"}
	linuxARM64   = target{os: "linux", arch: "arm64", cflags: hardened, strip: "aarch64-linux-gnu-strip", cc: "aarch64-linux-gnu-gcc"}
	windowsAMD64 = target{os: "windows", arch: "amd64", cc: "x86_64-w64-mingw32-gcc"}
)

func (t target) exe() string {
	if t.os == "windows" {
		return ".exe"
	}
	return ""
}

// updateFlags are the linker's that tell an agent where it looks for releases, and whose
// signatures it wants.
func (o *options) updateFlags() []string {
	if o.updateURL == "" {
		return nil
	}
	return []string{"-X", module + "/agent/update.address=" + o.updateURL, "-X", module + "/agent/update.number=" + o.release.Number(), "-X", module + "/agent/update.keys=" + o.updateKeys}
}

// build builds the programs of a package and gives their paths by name.
func (o *options) build(ctx context.Context, t target, programs []installer.Program) (map[string]string, error) {
	dir := filepath.Join(o.work, t.os+"-"+t.arch)
	paths := make(map[string]string, len(programs))
	for _, p := range programs {
		if t.os != "windows" && p.WindowsOnly {
			continue
		}
		path := filepath.Join(dir, p.Name+t.exe())
		args := []string{"build", "-trimpath", "-buildvcs=false", "-o", path}
		if len(p.Tags) > 0 {
			args = append(args, "-tags", strings.Join(p.Tags, ","))
		}
		cgo := p.Cgo
		flags := []string{"-s", "-w", "-buildid=", "-X", module + "/pkcs/version.Version=" + o.release.Version}
		if p.Name == "citel-agent" {
			flags = append(flags, o.updateFlags()...)
		}
		if t.os == "windows" {
			cgo = p.WindowsCgo
			if p.GUI {
				flags = append(flags, "-H", "windowsgui")
			}
			if cgo {
				// The linker of mingw writes the time of the day, unless told not to.
				flags = append(flags, "-linkmode=external", "-extldflags", "'-Wl,--no-insert-timestamp'")
			}
		} else {
			// Position independent, relocations read-only before main runs.
			args = append(args, "-buildmode=pie")
			flags = append(flags, "-linkmode=external", "-extldflags", "'-Wl,-z,relro,-z,now -Wl,--build-id=none'")
		}
		args = append(args, "-ldflags", strings.Join(flags, " "), p.Go)
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Dir = o.root
		cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "GOOS="+t.os, "GOARCH="+t.arch, "GOAMD64=v1",
			"CGO_ENABLED=0", "CGO_CFLAGS=-O2 -g0"+t.cflags, "CGO_CXXFLAGS=-O2 -g0", "CGO_LDFLAGS=-O2 -g0")
		if cgo {
			cmd.Env = append(cmd.Env, "CGO_ENABLED=1")
		}
		if t.cc != "" {
			cmd.Env = append(cmd.Env, "CC="+t.cc)
		}
		if t.root != "" {
			sysroot := " --sysroot=" + t.root
			cmd.Env = append(cmd.Env, "CGO_CFLAGS=-O2 -g0"+t.cflags+sysroot, "CGO_LDFLAGS=-O2 -g0"+sysroot, "PKG_CONFIG_SYSROOT_DIR="+t.root,
				"PKG_CONFIG_LIBDIR="+t.root+"/usr/lib/aarch64-linux-gnu/pkgconfig:"+t.root+"/usr/share/pkgconfig")
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s for %s/%s: %w\n%s", p.Name, t.os, t.arch, err, out)
		}
		if t.strip != "" {
			if out, err := exec.CommandContext(ctx, t.strip, "--remove-section=.comment", "--remove-section=.note", path).CombinedOutput(); err != nil { //nolint:gosec // a tool of the compiler
				return nil, fmt.Errorf("%s: %w\n%s", t.strip, err, out)
			}
		}
		paths[p.Name] = path
	}
	return paths, nil
}
