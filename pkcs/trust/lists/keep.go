package lists

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/citel-pa/citel/pkcs/xmldsig"
)

// errNowhere means that there is no copy of a list to be had.
var errNowhere = errors.New("lists: no copy on this machine, and no address is asked")

type origin int

const (
	fromFile origin = iota
	fromKept
	fromNet
)

// copied is a copy of a list, not judged.
type copied struct {
	bytes   []byte
	from    string // for errors
	checked time.Time
	err     error
}

// copies gives what there is of a list: the file that was named or lies beside it, the
// kept copy, and the address's.
func (l *Loader) copies(ctx context.Context, ask bool, role, location string) iter.Seq2[origin, copied] {
	return func(yield func(origin, copied) bool) {
		if file := l.beside(location); file != "" {
			data, err := readFile(file)
			if !yield(fromFile, copied{bytes: data, from: file, err: err}) {
				return
			}
			if !isAddress(location) {
				return
			}
		}
		if kept := l.kept(role, location); kept.err == nil && !yield(fromKept, kept) {
			return
		}
		if ask && l.Fetch != nil && isAddress(location) {
			data, err := l.Fetch.Get(ctx, location, xmldsig.MaxBytes)
			yield(fromNet, copied{bytes: data, from: location, err: err})
		}
	}
}

func isAddress(location string) bool {
	u, err := url.Parse(location)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

var notAlphanumeric = regexp.MustCompile(`[^A-Za-z0-9]`)

// beside finds the file of a list: the one that was named, or, when the LOTL is a file,
// the one beside it that is called as in the address, with or without the rest of it.
func (l *Loader) beside(location string) string {
	if !isAddress(location) {
		return location
	}
	if isAddress(l.source()) {
		return ""
	}
	dir := filepath.Dir(l.source())
	u, err := url.Parse(location)
	if err != nil {
		return ""
	}
	for _, name := range []string{path.Base(u.Path), notAlphanumeric.ReplaceAllString(location, "_")} {
		if name == "." || name == "/" || name == ".." || strings.ContainsAny(name, `/\:`) {
			continue
		}
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
			return file
		}
	}
	return ""
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name) //nolint:gosec // the person names it, or it lies beside
	if err != nil {
		return nil, fmt.Errorf("lists: %w", err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, xmldsig.MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("lists: %w", err)
	}
	if len(data) > xmldsig.MaxBytes {
		return nil, fmt.Errorf("lists: %s: %w", name, xmldsig.ErrTooLarge)
	}
	return data, nil
}

func (l *Loader) keptName(role, location string) string {
	sum := sha256.Sum256([]byte(location))
	return filepath.Join(l.Dir, notAlphanumeric.ReplaceAllString(role, "_")+"-"+hex.EncodeToString(sum[:6])+".xml")
}

func (l *Loader) kept(role, location string) copied {
	if l.Dir == "" {
		return copied{err: errNowhere}
	}
	name := l.keptName(role, location)
	info, err := os.Stat(name)
	if err != nil {
		return copied{err: err}
	}
	data, err := readFile(name)
	return copied{bytes: data, from: name, checked: info.ModTime(), err: err}
}

// keep writes a list that holds to the disk, in one step.
func (l *Loader) keep(role, location string, data []byte) {
	if l.Dir == "" {
		return
	}
	if err := replace(l.keptName(role, location), data); err != nil {
		l.log().Warn("a trusted list could not be kept", "list", role, "error", err)
	}
}

func replace(name string, data []byte) (err error) {
	if err = os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".list-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// touch notes that a kept list is still the newest.
func (l *Loader) touch(role, location string) {
	if l.Dir != "" {
		now := time.Now()
		_ = os.Chtimes(l.keptName(role, location), now, now) // or it is asked for again
	}
}

// unchanged asks for the small file beside a list that has its SHA-256 (TS 119 612, 6).
// Nothing signs it: it can spare a download and no more, and never beyond the list's
// next update.
func (l *Loader) unchanged(ctx context.Context, location string, digest [32]byte) bool {
	u, err := url.Parse(location)
	if err != nil || l.Fetch == nil {
		return false
	}
	ext := path.Ext(u.Path)
	if ext != ".xml" && ext != ".xtsl" {
		return false
	}
	u.Path = strings.TrimSuffix(u.Path, ext) + ".sha2"
	data, err := l.Fetch.Get(ctx, u.String(), 4<<10)
	return err == nil && isDigest(data, digest)
}

// isDigest: the file holds the 32 bytes, or their hexadecimal or base64 form.
func isDigest(data []byte, digest [32]byte) bool {
	if bytes.Equal(data, digest[:]) {
		return true
	}
	words := strings.Fields(string(data))
	if len(words) == 0 {
		return false
	}
	first := words[0]
	return strings.EqualFold(first, hex.EncodeToString(digest[:])) || first == base64.StdEncoding.EncodeToString(digest[:])
}
