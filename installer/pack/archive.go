package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/citel-pa/citel/installer"
)

// entry is one file of an archive.
type entry struct {
	name, source string
	mode         int64
}

// portable makes the archive for who cannot install packages: the programs side by
// side, where they find one another, with licence and manual.
func (o *options) portable(p installer.Package, t target, built map[string]string, list []staged) error {
	top := fmt.Sprintf("%s-%s-%s-%s", p.Name, o.release.Number(), t.os, t.arch)
	var entries []entry
	for name, source := range built {
		entries = append(entries, entry{path.Join(top, name+t.exe()), source, 0o755})
	}
	for _, f := range list {
		if strings.HasSuffix(f.Path, "/copyright") || strings.HasSuffix(f.Path, ".svg") || strings.HasPrefix(f.Path, "/usr/share/man/man1/") {
			entries = append(entries, entry{path.Join(top, path.Base(f.Path)), f.source, 0o644})
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	if t.os == "windows" {
		return o.zip(top+".zip", entries)
	}
	return o.tarball(top+".tar.gz", entries)
}

func (o *options) tarball(name string, entries []entry) (err error) {
	out, err := os.Create(filepath.Join(o.out, name)) //nolint:gosec // the builder's folder
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	z, err := gzip.NewWriterLevel(out, gzip.BestCompression)
	if err != nil {
		return err
	}
	t := tar.NewWriter(z)
	for _, e := range entries {
		st, err := os.Stat(e.source)
		if err != nil {
			return err
		}
		// Numbers and no names of owners: nothing of the builder's machine.
		h := &tar.Header{Typeflag: tar.TypeReg, Name: e.name, Mode: e.mode, Size: st.Size(), ModTime: o.release.Date, Format: tar.FormatPAX}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if err := copyFile(t, e.source); err != nil {
			return err
		}
	}
	return errors.Join(t.Close(), z.Close())
}

func (o *options) zip(name string, entries []entry) (err error) {
	out, err := os.Create(filepath.Join(o.out, name)) //nolint:gosec // the builder's folder
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	z := zip.NewWriter(out)
	for _, e := range entries {
		w, err := z.CreateHeader(&zip.FileHeader{Name: e.name, Method: zip.Deflate, Modified: o.release.Date})
		if err != nil {
			return err
		}
		if err := copyFile(w, e.source); err != nil {
			return err
		}
	}
	return z.Close()
}

func copyFile(w io.Writer, source string) error {
	in, err := os.Open(source) //nolint:gosec // what was just built
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	_, err = io.Copy(w, in)
	return err
}
