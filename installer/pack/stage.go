package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/citel-pa/citel/installer"
)

// staged is a file of a package with its content on this disk.
type staged struct {
	installer.File
	source string
}

// stage writes a package's files below the work folder. Texts that programs give
// about themselves come from native, which can run here.
func (o *options) stage(ctx context.Context, p installer.Package, built, native map[string]string, label string) ([]staged, error) {
	var list []staged
	for _, f := range p.Files {
		if f.Program != "" {
			list = append(list, staged{f, built[f.Program]})
			continue
		}
		content, err := o.content(ctx, f, native)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", p.Name, f.Path, err)
		}
		if f.Gzip {
			if content, err = compress(content); err != nil {
				return nil, err
			}
		}
		path := filepath.Join(o.work, "stage", label, p.Name, filepath.FromSlash(f.Path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // not secret
			return nil, err
		}
		if err := os.WriteFile(path, content, f.Mode); err != nil {
			return nil, err
		}
		list = append(list, staged{f, path})
	}
	return list, nil
}

func (o *options) content(ctx context.Context, f installer.File, native map[string]string) ([]byte, error) {
	switch {
	case f.Text != nil:
		return []byte(f.Text(o.release)), nil
	case len(f.Ask) > 0:
		return ask(ctx, native[f.Ask[0]], "en", f.Ask[1:]...)
	case f.Man != "":
		return manual(ctx, f.Man, native[f.Man], f.Lang, o.release)
	}
	return nil, fmt.Errorf("no content is defined")
}

// ask runs a program and takes what it prints. Its environment is empty but for the
// language, so that nothing of the builder's gets in.
func ask(ctx context.Context, program, lang string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = []string{"LANG=" + lang + ".UTF-8", "HOME=/nonexistent"}
	var failed bytes.Buffer
	cmd.Stderr = &failed
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", filepath.Base(program), strings.Join(args, " "), err, failed.Bytes())
	}
	return out, nil
}

// compress: no name, no time. Debian Policy, 12.1 Manual pages: gzip -9.
func compress(content []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
