package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// Policy is what an administrator set for all users of a computer. What it names
// counts instead of the user's own, and is shown as locked.
type Policy struct {
	// Language, Modules and Autostart as in Settings; nil leaves them to the person.
	Language  *string   `json:"language,omitempty"`
	Modules   *[]Module `json:"modules,omitempty"`
	Autostart *bool     `json:"autostart,omitempty"`
	Updates   *string   `json:"updates,omitempty"`
	// TrustedSites and BlockedSites are origins ("https://host[:port]"). A trusted
	// one is as if remembered: each use is still asked for.
	TrustedSites []string `json:"trustedSites,omitempty"`
	BlockedSites []string `json:"blockedSites,omitempty"`
}

// PolicyFile is the administrator's file: for them alone to write.
func PolicyFile() string {
	if runtime.GOOS == "windows" {
		base := os.Getenv("ProgramData")
		if !filepath.IsAbs(base) {
			base = `C:\ProgramData`
		}
		return filepath.Join(base, "citel", "policy.json")
	}
	return "/etc/citel/policy.json"
}

// WithPolicy makes a store that reads another administrator's file.
func (s *Store) WithPolicy(file string) *Store {
	s.policy = file
	return s
}

// PolicyPath is the administrator's file, there or not.
func (s *Store) PolicyPath() string { return s.policy }

// Policy reads it; without one it is empty. A file that others than its owner can
// write is no administrator's, and is an error.
func (s *Store) Policy() (Policy, error) {
	var p Policy
	if s.policy == PolicyFile() { // what group policies set comes before the file
		data, err := machinePolicy()
		if err != nil {
			return p, err
		}
		if data != nil {
			if err := json.Unmarshal(data, &p); err != nil {
				return Policy{}, fmt.Errorf("config: the registry's policy: %w", err)
			}
			return p, nil
		}
	}
	info, err := os.Stat(s.policy)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, fmt.Errorf("config: %w", err)
	}
	if !info.Mode().IsRegular() || runtime.GOOS != "windows" && info.Mode().Perm()&0o022 != 0 {
		return p, fmt.Errorf("%w: %s has mode %v", ErrPermissions, s.policy, info.Mode())
	}
	data, err := readAll(s.policy)
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return Policy{}, fmt.Errorf("config: %s: %w", s.policy, err)
	}
	return p, nil
}

// decision is the administrator's about a site.
func (p *Policy) decision(origin string) Decision {
	for _, b := range p.BlockedSites {
		if b == origin {
			return Blocked
		}
	}
	for _, t := range p.TrustedSites {
		if t == origin {
			return Remembered
		}
	}
	return Unknown
}

// Change reads the user's own settings, lets change do its work, and writes them. The
// administrator's are not written into them.
func (s *Store) Change(change func(*Settings)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var v Settings
	if err := s.readJSON(settingsFile, &v); err != nil {
		return err
	}
	change(&v)
	if err := v.check(); err != nil {
		return err
	}
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	return s.replace(settingsFile, append(data, '\n'))
}

// SettingsFile is where the user's own settings are.
func (s *Store) SettingsFile() string { return filepath.Join(s.dir, settingsFile) }
