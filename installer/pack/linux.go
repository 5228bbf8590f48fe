package main

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb" // registers itself
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm" // registers itself

	"github.com/citel-pa/citel/installer"
)

func (o *options) packLinux(ctx context.Context) error {
	targets := []target{linuxNative}
	if o.arm64Root != "" {
		cross := linuxARM64
		cross.root = o.arm64Root
		targets = append(targets, cross)
	}
	for _, p := range installer.Packages() {
		var native map[string]string
		for _, t := range targets {
			built, err := o.build(ctx, t, p.Programs)
			if err != nil {
				return err
			}
			if native == nil {
				native = built // the builder's own architecture comes first
				if err := o.bare(p, built); err != nil {
					return err
				}
			}
			list, err := o.stage(ctx, p, built, native, t.arch)
			if err != nil {
				return err
			}
			for _, format := range []installer.Format{installer.Deb, installer.RPM} {
				if err := o.packOne(p, list, format, t.arch); err != nil {
					return fmt.Errorf("%s: %s: %w", p.Name, format, err)
				}
			}
			if err := o.portable(p, t, built, list); err != nil {
				return err
			}
			if err := o.materials(p, t, built); err != nil {
				return err
			}
		}
	}
	return nil
}

// bare puts the programs themselves beside the packages.
func (o *options) bare(p installer.Package, built map[string]string) error {
	for _, x := range p.Programs {
		if built[x.Name] == "" {
			continue
		}
		data, err := os.ReadFile(built[x.Name])
		if err != nil {
			return err
		}
		path := filepath.Join(o.out, x.Name)
		_ = os.Remove(path)                                     // one that runs cannot be written over
		if err := os.WriteFile(path, data, 0o755); err != nil { //nolint:gosec // a program
			return err
		}
	}
	return nil
}

// packOne makes one package with nfpm.
func (o *options) packOne(p installer.Package, list []staged, format installer.Format, arch string) error {
	info := &nfpm.Info{
		Name: p.Name, Arch: arch, Platform: "linux", Version: o.release.Number(), VersionSchema: "none",
		Section: p.Section, Priority: "optional", Maintainer: installer.Maintainer, Homepage: installer.Homepage, License: installer.Licence,
		Description: p.Summary + "\n" + p.Description, MTime: o.release.Date, DisableGlobbing: true,
		Overridables: nfpm.Overridables{
			Depends: p.Depends[format], Recommends: p.Recommends[format],
			Deb: nfpm.Deb{Compression: "xz"},
			RPM: nfpm.RPM{Compression: "zstd", Summary: p.Summary, BuildHost: "citel", Packager: installer.Maintainer},
		},
	}
	if format == installer.RPM {
		info.Description = strings.ReplaceAll(p.Description, "\n.\n", "\n\n")
		info.Release = "1"
	}
	for when, into := range map[installer.Script]*string{
		installer.PostInstall: &info.Overridables.Scripts.PostInstall,
		installer.PreRemove:   &info.Overridables.Scripts.PreRemove,
		installer.PostRemove:  &info.Overridables.Scripts.PostRemove,
	} {
		text, ok := p.Scripts[format][when]
		if !ok {
			continue
		}
		path := filepath.Join(o.work, p.Name+"."+string(format)+"."+string(when))
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil { //nolint:gosec // a script
			return err
		}
		*into = path
	}
	owned := map[string]bool{}
	for _, f := range list {
		if f.Only != "" && f.Only != format {
			continue
		}
		// rpm takes away only the folders that a package owns; dpkg all that are empty.
		if dir := path.Dir(f.Path); format == installer.RPM && strings.HasPrefix(path.Base(dir), "citel") && !owned[dir] {
			owned[dir] = true
			info.Contents = append(info.Contents, &files.Content{Destination: dir, Type: files.TypeDir, FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: 0o755, MTime: o.release.Date}})
		}
		c := &files.Content{Source: f.source, Destination: f.Path, FileInfo: &files.ContentFileInfo{
			Owner: or(f.Owner, "root"), Group: or(f.Group, "root"), Mode: f.Mode, MTime: o.release.Date,
		}}
		switch {
		case f.Kind == installer.Config:
			c.Type = files.TypeConfigNoReplace
		case f.Kind == installer.Doc && format == installer.RPM:
			c.Type = files.TypeRPMDoc
		}
		info.Contents = append(info.Contents, c)
	}
	if err := nfpm.PrepareForPackager(info, string(format)); err != nil {
		return err
	}
	packager, err := nfpm.Get(string(format))
	if err != nil {
		return err
	}
	path := filepath.Join(o.out, packager.ConventionalFileName(info))
	out, err := os.Create(path) //nolint:gosec // the builder's folder
	if err != nil {
		return err
	}
	if err := packager.Package(info, out); err != nil {
		_ = out.Close()
		return err
	}
	return out.Close()
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
