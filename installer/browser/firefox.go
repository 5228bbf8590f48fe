package browser

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/citel-pa/citel/installer/step"
)

// Firefox reads one file: the system's, else the one beside the program.
// firefox-admin-docs.mozilla.org, policies.json.
const firefoxSystem = "/etc/firefox/policies/policies.json"

var firefoxBeside = []string{
	"/usr/lib/firefox/distribution/policies.json", "/usr/lib/firefox-esr/distribution/policies.json",
	"/usr/lib64/firefox/distribution/policies.json", "/opt/firefox/distribution/policies.json",
}

// firefoxFiles are those that Firefox reads here, and those that we changed before. A
// new file of the system would hide one beside the program, so that one is taken.
func (r *record) firefoxFiles(s *step.System) []string {
	var list []string
	there := func(path string) bool {
		_, err := os.Stat(s.Path(path))
		return err == nil
	}
	if !there(firefoxSystem) {
		for _, path := range firefoxBeside {
			if there(path) {
				list = append(list, path)
			}
		}
	}
	if len(list) == 0 {
		list = append(list, firefoxSystem)
	}
	for path := range r.Firefox {
		if !slices.Contains(list, path) {
			list = append(list, path)
		}
	}
	slices.Sort(list)
	return list
}

// hosts: LocalNetworkAccess.SkipDomains knows no ports. A page of such a host is let
// through to this computer without a question (Firefox since 150).
func hosts(sites []string) []string {
	var list []string
	for _, x := range sites {
		if h := hostOf(x); !slices.Contains(list, h) {
			list = append(list, h)
		}
	}
	return list
}

// firefox is the step of one policies.json.
func (r *record) firefox(path string, before, after []string) step.Step {
	return step.Step{
		Name: "Firefox",
		Check: func(_ context.Context, s *step.System) (bool, error) {
			data, err := readOrNil(s.Path(path))
			if err != nil {
				return false, err
			}
			c, ours := r.Firefox[path]
			if len(after) == 0 {
				return !ours, nil
			}
			if data == nil {
				return false, nil
			}
			doc, err := parseFirefox(data)
			if err != nil {
				return false, fmt.Errorf("%s: %w", path, err)
			}
			have := doc.skip()
			for _, h := range hosts(after) {
				if !slices.Contains(have, h) {
					return false, nil
				}
			}
			for _, h := range c.Hosts {
				if !slices.Contains(hosts(after), h) && slices.Contains(have, h) {
					return false, nil // one of ours that is to go
				}
			}
			return true, nil
		},
		Do:   func(_ context.Context, s *step.System) error { return r.setFirefox(s, path, hosts(after)) },
		Undo: func(_ context.Context, s *step.System) error { return r.setFirefox(s, path, hosts(before)) },
	}
}

func (r *record) setFirefox(s *step.System, path string, want []string) error {
	data, err := readOrNil(s.Path(path))
	if err != nil {
		return err
	}
	c, ours := r.Firefox[path]
	base := data
	switch {
	case !ours:
		c = change{}
		if data != nil {
			c.Before = &data
		}
	case bytes.Equal(data, c.After):
		// Nobody touched it since: start from what was there before us.
		base = nil
		if c.Before != nil {
			base = *c.Before
		}
	default:
		// Somebody did: their file without our hosts is what was there before us.
		if base, err = without(data, c.Hosts); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		c.Before = nil
		if base != nil {
			c.Before = &base
		}
	}
	if len(want) == 0 {
		if !ours {
			return nil
		}
		if err := putBack(s.Path(path), base); err != nil {
			return err
		}
		delete(r.Firefox, path)
		r.sweep(s, filepath.Dir(path))
		return r.save(s)
	}
	doc, err := parseFirefox(base)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	c.Hosts = nil
	list := doc.skip()
	for _, h := range want {
		if !slices.Contains(list, h) {
			list, c.Hosts = append(list, h), append(c.Hosts, h)
		}
	}
	if c.After, err = doc.with(list); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	r.Firefox[path] = c
	if err := r.mkdir(s, filepath.Dir(path)); err != nil { // saves the record too
		return err
	}
	return step.Write(s.Path(path), c.After, mode(s.Path(path)))
}

// without takes hosts out of a file that others changed; nil where it does not exist.
func without(data []byte, ours []string) ([]byte, error) {
	if data == nil {
		return nil, nil
	}
	doc, err := parseFirefox(data)
	if err != nil {
		return nil, err
	}
	return doc.with(slices.DeleteFunc(doc.skip(), func(h string) bool { return slices.Contains(ours, h) }))
}

func putBack(path string, data []byte) error {
	if data == nil {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	return step.Write(path, data, mode(path))
}

func mode(path string) fs.FileMode {
	if st, err := os.Stat(path); err == nil {
		return st.Mode().Perm()
	}
	return 0o644
}

func readOrNil(path string) ([]byte, error) {
	data, err := os.ReadFile(path) //nolint:gosec // a file of the system
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// firefoxFile keeps everything of the file that is not ours as it is.
type firefoxFile struct {
	top, policies, access map[string]json.RawMessage
}

// maxFile bounds a policy file, in bytes.
const maxFile = 1 << 20

func parseFirefox(data []byte) (*firefoxFile, error) {
	f := &firefoxFile{top: map[string]json.RawMessage{}, policies: map[string]json.RawMessage{}, access: map[string]json.RawMessage{}}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%w: %d bytes", errFile, len(data))
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return f, nil
	}
	if err := json.Unmarshal(data, &f.top); err != nil {
		return nil, fmt.Errorf("%w: %w", errFile, err)
	}
	if raw := f.top["policies"]; raw != nil {
		if err := json.Unmarshal(raw, &f.policies); err != nil {
			return nil, fmt.Errorf("%w: policies: %w", errFile, err)
		}
	}
	if raw := f.policies["LocalNetworkAccess"]; raw != nil {
		if err := json.Unmarshal(raw, &f.access); err != nil {
			return nil, fmt.Errorf("%w: LocalNetworkAccess: %w", errFile, err)
		}
	}
	if raw := f.access["SkipDomains"]; raw != nil {
		var list []string
		if err := json.Unmarshal(raw, &list); err != nil {
			return nil, fmt.Errorf("%w: SkipDomains: %w", errFile, err)
		}
	}
	if f.top == nil || f.policies == nil || f.access == nil { // "null" in the file
		return nil, fmt.Errorf("%w: null", errFile)
	}
	return f, nil
}

func (f *firefoxFile) skip() []string {
	var list []string
	_ = json.Unmarshal(f.access["SkipDomains"], &list) // was checked
	return list
}

// with is the file with this list; what would be empty and ours is left out.
func (f *firefoxFile) with(list []string) ([]byte, error) {
	set := func(into map[string]json.RawMessage, name string, empty bool, v any) error {
		if empty {
			delete(into, name)
			return nil
		}
		raw, err := json.Marshal(v)
		into[name] = raw
		return err
	}
	err := errors.Join(
		set(f.access, "SkipDomains", len(list) == 0, list),
		set(f.policies, "LocalNetworkAccess", len(f.access) == 0, f.access),
		set(f.top, "policies", false, f.policies))
	if err != nil {
		return nil, err
	}
	data, err := json.MarshalIndent(f.top, "", "  ")
	return append(data, '\n'), err
}
