// Package config keeps what the agent remembers for one user: settings, the
// sites that the person allowed or blocked, and the secret from which the keys
// of the link are derived. Files of one folder, readable by the user alone.
//
// Nothing is created before it is needed, and files are small enough to be read
// anew at each use: what another process of the same user changes counts at once.
package config

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/citel-pa/citel/agent/wire"
)

// File names below the folder.
const (
	settingsFile = "settings.json"
	sitesFile    = "sites.json"
	secretFile   = "link.key"
)

// maxFile bounds what is read from any file here, in bytes.
const maxFile = 1 << 20

// SecretLen is the length of the link's master secret, in bytes.
const SecretLen = 32

// ErrPermissions means that a file that must be the user's own can be read by others.
var ErrPermissions = errors.New("config: readable by others")

// Store is one user's folder. It is safe for concurrent use.
type Store struct {
	dir    string
	policy string     // the administrator's file
	mu     sync.Mutex // guards writes, and the secret's first making
}

// DefaultDir is the folder where the operating system keeps a user's settings.
func DefaultDir() (string, error) {
	base, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("config: no folder for settings: %w", err)
	}
	return filepath.Join(base, "citel"), nil
}

// Open names the folder; it does not touch it.
func Open(dir string) *Store { return &Store{dir: dir, policy: PolicyFile()} }

// Dir is the folder.
func (s *Store) Dir() string { return s.dir }

// Settings are what the person or an administrator set.
type Settings struct {
	// Modules are PKCS#11 modules, tried before those known by default.
	Modules []Module `json:"modules,omitempty"`
	// MaxTotal is the limit for the documents of one request, in bytes; zero
	// stands for wire.MaxTotal.
	MaxTotal int64 `json:"maxTotal,omitempty"`
	// CountrySigners is a PEM file with the State's country signing certificates: a
	// CIE whose security object does not lead to one of them is refused. Empty: the
	// chip's own authentication alone decides.
	CountrySigners string `json:"countrySigners,omitempty"`
	// Language is "it" or "en"; empty follows the locale.
	Language string `json:"language,omitempty"`
	// Updates is UpdatesOff where the agent does not look for releases.
	Updates string `json:"updates,omitempty"`
}

// UpdatesOff is the only value of Settings.Updates but the empty one.
const UpdatesOff = "off"

// Module is one PKCS#11 module. Its path never comes from the wire.
type Module struct {
	Path string `json:"path"`
	Name string `json:"name,omitempty"`
	// Env are additions to the helper's environment, "NAME=value".
	Env []string `json:"env,omitempty"`
}

// Settings reads the settings, the administrator's first; a missing file gives the
// defaults.
func (s *Store) Settings() (Settings, error) {
	var v Settings
	if err := s.readJSON(settingsFile, &v); err != nil {
		return Settings{}, err
	}
	p, err := s.Policy()
	if err != nil {
		return Settings{}, err
	}
	if p.Language != nil {
		v.Language = *p.Language
	}
	if p.Modules != nil {
		v.Modules = *p.Modules
	}
	if p.Updates != nil {
		v.Updates = *p.Updates
	}
	if err := v.check(); err != nil {
		return Settings{}, err
	}
	if v.MaxTotal == 0 {
		v.MaxTotal = wire.MaxTotal
	}
	return v, nil
}

func (v *Settings) check() error {
	if v.Updates != "" && v.Updates != UpdatesOff {
		return fmt.Errorf("config: %s: updates: %q is not %q", settingsFile, v.Updates, UpdatesOff)
	}
	if v.MaxTotal < 0 {
		return fmt.Errorf("config: %s: maxTotal is negative", settingsFile)
	}
	if v.CountrySigners != "" && !filepath.IsAbs(v.CountrySigners) {
		return fmt.Errorf("config: %s: countrySigners: the path must be absolute", settingsFile)
	}
	for i, m := range v.Modules {
		if !filepath.IsAbs(m.Path) {
			return fmt.Errorf("config: %s: modules[%d]: the path must be absolute", settingsFile, i)
		}
	}
	return nil
}

// Secret gives the master secret of the link's keys, made at its first use.
func (s *Store) Secret() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := filepath.Join(s.dir, secretFile)
	secret, err := readPrivate(path)
	switch {
	case err == nil && len(secret) == SecretLen:
		return secret, nil
	case err == nil:
		return nil, fmt.Errorf("config: %s has %d bytes, not %d: remove it, sites will ask you to log in again", path, len(secret), SecretLen)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	secret = make([]byte, SecretLen)
	if _, err := rand.Read(secret); err != nil {
		return nil, fmt.Errorf("config: random bytes: %w", err)
	}
	if err := s.create(secretFile, secret); err != nil {
		if errors.Is(err, fs.ErrExist) { // another agent of this user was faster
			return readPrivate(path)
		}
		return nil, err
	}
	return secret, nil
}

func (s *Store) readJSON(name string, into any) error {
	data, err := readAll(filepath.Join(s.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("config: %s: %w", filepath.Join(s.dir, name), err)
	}
	return nil
}

func readAll(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("config: %s is larger than %d bytes", path, maxFile)
	}
	return data, nil
}

// readPrivate refuses a file that others can read: what was in it may be known.
func readPrivate(path string) ([]byte, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	// On Windows the mode says nothing about other users: the profile's own
	// access list keeps them out.
	if !info.Mode().IsRegular() || runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%w: %s has mode %v, remove it or make it 0600", ErrPermissions, path, info.Mode())
	}
	return readAll(path)
}

// create writes a new file that must not be there yet. The content appears
// whole or not at all.
func (s *Store) create(name string, data []byte) error {
	return s.place(name, data, os.Link)
}

// replace writes a file over an old one in one step.
func (s *Store) replace(name string, data []byte) error {
	return s.place(name, data, os.Rename)
}

func (s *Store) place(name string, data []byte, move func(from, to string) error) error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	f, err := os.CreateTemp(s.dir, "."+name+"-*") // CreateTemp makes 0600
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	if err := move(f.Name(), filepath.Join(s.dir, name)); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	return nil
}
