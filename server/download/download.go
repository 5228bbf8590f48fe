// Package download offers the agent's packages of a folder that the builder filled
// (`make dist`): which of them fits a visitor's computer, with the checksum of the very
// bytes that are served.
package download

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// ErrNotFound means that the folder offers no such file.
var ErrNotFound = errors.New("download: no such file")

// listName is the builder's list; its signatures have it as the start of their names.
const listName = "releases.json"

// maxList bounds the list, in bytes.
const maxList = 1 << 20

// File is one package of the newest release, as the builder's list describes it.
type File struct {
	Name    string `json:"name"`
	Package string `json:"package"`
	System  string `json:"system"` // "linux", "windows"
	Arch    string `json:"arch"`   // "amd64", "arm64"
	Kind    string `json:"kind"`   // "deb", "rpm", "msi", "tar.gz", "zip"
	Size    int64  `json:"size"`
	SHA256  string `json:"sha256"`
}

// Megabytes is the size for people.
func (f File) Megabytes() string { return fmt.Sprintf("%.1f MB", float64(f.Size)/1e6) }

// Release is what the folder offers.
type Release struct {
	Version string    `json:"version"`
	Date    time.Time `json:"date"`
	Files   []File    `json:"files"`
}

// Folder is read anew when its list changes.
type Folder struct {
	Dir string

	mu      sync.Mutex
	read    time.Time // the list's time
	release *Release
}

// Release reads the folder. Only files of the agent that are there with the hash that
// the list says are offered.
func (d *Folder) Release() (*Release, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	path := filepath.Join(d.Dir, listName)
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("download: %w", err)
	}
	if d.release != nil && st.ModTime().Equal(d.read) {
		return d.release, nil
	}
	f, err := os.Open(path) //nolint:gosec // the operator names the folder
	if err != nil {
		return nil, fmt.Errorf("download: %w", err)
	}
	defer func() { _ = f.Close() }()
	var list struct {
		Format   int       `json:"format"`
		Releases []Release `json:"releases"`
	}
	if err := json.NewDecoder(io.LimitReader(f, maxList)).Decode(&list); err != nil {
		return nil, fmt.Errorf("download: %s: %w", path, err)
	}
	if list.Format != 1 || len(list.Releases) == 0 {
		return nil, fmt.Errorf("download: %s: format %d, %d releases", path, list.Format, len(list.Releases))
	}
	r := list.Releases[0] // newest first
	var failures []error
	r.Files = slices.DeleteFunc(r.Files, func(x File) bool {
		if x.Package != "citel-agent" {
			return true
		}
		err := d.check(x)
		failures = append(failures, err)
		return err != nil
	})
	if len(r.Files) == 0 {
		return nil, errors.Join(append(failures, fmt.Errorf("download: %s: nothing to offer", path))...)
	}
	d.release, d.read = &r, st.ModTime()
	return &r, nil
}

func (d *Folder) check(x File) error {
	if !plain(x.Name) {
		return fmt.Errorf("download: %q is not a file name", x.Name)
	}
	f, err := os.Open(filepath.Join(d.Dir, x.Name))
	if err != nil {
		return fmt.Errorf("download: %w", err)
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return fmt.Errorf("download: %w", err)
	}
	if hex.EncodeToString(h.Sum(nil)) != x.SHA256 {
		return fmt.Errorf("download: %s is not the file of the list", x.Name)
	}
	return nil
}

// Pick is the package for the computer that a request comes from, by what its browser
// says of it; nil where there is none (a phone, a Mac) or nothing is said.
func (r *Release) Pick(h http.Header) *File {
	agent, platform := h.Get("User-Agent"), strings.Trim(h.Get("Sec-CH-UA-Platform"), `"`)
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(agent, w) })
	}
	var system string
	var kinds []string
	switch {
	case has("Android", "iPhone", "iPad", "Mobile"), platform == "Android", platform == "Chrome OS", has("CrOS"):
		return nil
	case platform == "Windows", has("Windows NT"):
		system, kinds = "windows", []string{"msi", "zip"}
	case platform == "Linux", has("Linux", "X11"):
		system, kinds = "linux", []string{"deb", "rpm", "tar.gz"}
		if has("Fedora", "Red Hat", "SUSE", "CentOS") {
			kinds = []string{"rpm", "tar.gz"}
		}
	}
	// Windows on ARM runs programs of x64; Linux does not.
	arch := "amd64"
	if system == "linux" && (has("aarch64", "arm64") || strings.Trim(h.Get("Sec-CH-UA-Arch"), `"`) == "arm") {
		arch = "arm64"
	}
	for _, kind := range kinds {
		for i, f := range r.Files {
			if f.System == system && f.Kind == kind && f.Arch == arch {
				return &r.Files[i]
			}
		}
	}
	return nil
}

// Serve sends one file of the release, or the signed list that agents read.
func (d *Folder) Serve(w http.ResponseWriter, req *http.Request, name string) error {
	r, err := d.Release()
	if err != nil {
		return err
	}
	offered := slices.ContainsFunc(r.Files, func(f File) bool { return f.Name == name })
	list := name == listName || strings.HasPrefix(name, listName+".") && strings.HasSuffix(name, ".minisig")
	if !plain(name) || !offered && !list {
		return ErrNotFound
	}
	f, err := os.Open(filepath.Join(d.Dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("download: %w", err)
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return errors.Join(ErrNotFound, err)
	}
	// A slow line may take longer than a page may. Who cannot set it keeps the page's time.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(30 * time.Minute))
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	http.ServeContent(w, req, "", st.ModTime(), f)
	return nil
}

// plain: a file name, and nothing that is a path.
func plain(name string) bool {
	return name != "" && len(name) <= 200 && name[0] != '.' &&
		strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_+~") == ""
}
