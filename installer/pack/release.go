package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"aead.dev/minisign"
	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/citel-pa/citel/agent/update"
	"github.com/citel-pa/citel/installer"
)

// materials writes the bill of materials of a package: what the linker put into its
// programs, read from the programs. CycloneDX 1.6.
func (o *options) materials(p installer.Package, t target, built map[string]string) error {
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{
		Timestamp: o.release.Date.UTC().Format(time.RFC3339),
		Component: &cdx.Component{
			BOMRef: p.Name, Type: cdx.ComponentTypeApplication, Name: p.Name, Version: o.release.Number(),
			Licenses: &cdx.Licenses{{License: &cdx.License{ID: installer.Licence}}},
		},
	}
	modules := map[string]cdx.Component{}
	for _, program := range p.Programs {
		path, ok := built[program.Name]
		if !ok {
			continue
		}
		info, err := buildinfo.ReadFile(path)
		if err != nil {
			return fmt.Errorf("%s: %w", program.Name, err)
		}
		add := func(name, version, sum string) {
			purl := "pkg:golang/" + name + "@" + version
			c := cdx.Component{BOMRef: purl, Type: cdx.ComponentTypeLibrary, Name: name, Version: version, PackageURL: purl}
			if raw, ok := strings.CutPrefix(sum, "h1:"); ok {
				c.Properties = &[]cdx.Property{{Name: "go:sum", Value: "h1:" + raw}}
			}
			modules[purl] = c
		}
		add("std", strings.TrimPrefix(info.GoVersion, "go"), "")
		for _, d := range info.Deps {
			if d.Replace != nil {
				d = d.Replace
			}
			add(d.Path, d.Version, d.Sum)
		}
	}
	var names []string
	for n := range modules {
		names = append(names, n)
	}
	slices.Sort(names)
	list := make([]cdx.Component, 0, len(names))
	for _, n := range names {
		list = append(list, modules[n])
	}
	bom.Components = &list
	bom.Dependencies = &[]cdx.Dependency{{Ref: p.Name, Dependencies: &names}}
	path := filepath.Join(o.out, fmt.Sprintf("%s_%s_%s_%s.cdx.json", p.Name, o.release.Number(), t.os, t.arch))
	out, err := os.Create(path) //nolint:gosec // the builder's folder
	if err != nil {
		return err
	}
	err = cdx.NewBOMEncoder(out, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6)
	return errors.Join(err, out.Close())
}

// kinds are the ends of names that people download.
var kinds = []string{"deb", "rpm", "msi", "tar.gz", "zip"}

// finish writes checksums and the list of releases over everything in the folder.
func (o *options) finish() error {
	entries, err := os.ReadDir(o.out)
	if err != nil {
		return err
	}
	var sums strings.Builder
	release := update.Release{Version: o.release.Number(), Date: o.release.Date}
	for _, e := range entries {
		name := e.Name()
		if !e.Type().IsRegular() || name == "SHA256SUMS" || strings.HasPrefix(name, update.ListName) {
			continue
		}
		size, sum, err := hashFile(filepath.Join(o.out, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%s  %s\n", sum, name)
		if f, ok := o.listed(name); ok {
			f.Size, f.SHA256 = size, sum
			release.Files = append(release.Files, f)
		}
	}
	if err := os.WriteFile(filepath.Join(o.out, "SHA256SUMS"), []byte(sums.String()), 0o644); err != nil { //nolint:gosec // for everybody
		return err
	}
	return o.sign(update.List{
		Format: 1, Serial: o.release.Date.Unix(), Expires: o.release.Date.AddDate(0, 0, o.listDays), Releases: []update.Release{release},
	})
}

// listed tells what a file of this release is, from its name.
func (o *options) listed(name string) (update.File, bool) {
	if !strings.Contains(name, o.release.Number()) {
		return update.File{}, false // of another build
	}
	f := update.File{Name: name, System: "linux", Arch: "amd64"}
	for _, k := range kinds {
		if strings.HasSuffix(name, "."+k) {
			f.Kind = k
		}
	}
	for _, p := range installer.Packages() {
		if strings.HasPrefix(name, p.Name) {
			f.Package = p.Name
		}
	}
	if strings.Contains(name, "windows") || f.Kind == "msi" {
		f.System = "windows"
	}
	if strings.Contains(name, "arm64") || strings.Contains(name, "aarch64") {
		f.Arch = "arm64"
	}
	return f, f.Kind != "" && f.Package != ""
}

// sign writes the list and a signature of each key that the builder gave.
func (o *options) sign(l update.List) error {
	data, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return err
	}
	data = append(data, '\n')
	if err := os.WriteFile(filepath.Join(o.out, update.ListName), data, 0o644); err != nil { //nolint:gosec // for everybody
		return err
	}
	for _, path := range o.listKeys {
		text, err := os.ReadFile(path) //nolint:gosec // the builder's key
		if err != nil {
			return err
		}
		var key minisign.PrivateKey
		if err := key.UnmarshalText(text); err != nil {
			return fmt.Errorf("-list-key %s: %w", path, err)
		}
		signature := minisign.SignWithComments(key, data, fmt.Sprintf("timestamp:%d\tfile:%s", o.release.Date.Unix(), update.ListName), "CiTel releases")
		if err := os.WriteFile(filepath.Join(o.out, update.SignatureName(key.ID())), signature, 0o644); err != nil { //nolint:gosec // for everybody
			return err
		}
	}
	return nil
}

func hashFile(path string) (size int64, sum string, err error) {
	f, err := os.Open(path) //nolint:gosec // what was just packed
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	size, err = io.Copy(h, f)
	return size, hex.EncodeToString(h.Sum(nil)), err
}
