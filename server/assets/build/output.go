package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// output collects the files of one folder and then makes the folder hold just
// them. Files that did not change are not touched and each is put in place by a
// rename, so that a compiler reading the folder at the same time sees whole
// files.
type output struct {
	dir   string
	files map[string][]byte
}

func newOutput(dir string) *output {
	return &output{dir: dir, files: map[string][]byte{}}
}

func (o *output) add(name string, b []byte) { o.files[name] = b }

func (o *output) copy(name, from string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	o.add(name, b)
	return nil
}

func (o *output) flush() error {
	for name, b := range o.files {
		if err := place(filepath.Join(o.dir, filepath.FromSlash(name)), b); err != nil {
			return err
		}
	}
	return filepath.WalkDir(o.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(o.dir, path)
		if err != nil || name == ".keep" {
			return err
		}
		if _, ok := o.files[filepath.ToSlash(name)]; ok {
			return nil
		}
		if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}

func place(path string, b []byte) error {
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, b) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the write's own error is the one to tell
	}
	return err
}
