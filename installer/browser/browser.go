// Package browser writes, for an office, what lets browsers open the connection to
// the agent without asking each person: enterprise policies of Chromium, Chrome, Edge,
// Brave and Firefox, for the sites that the administrator names and no other.
//
// It has files of its own where a browser reads several, and where there is one for
// everybody (Firefox) it adds its sites and can take exactly them out again. What it
// did is recorded, so that an uninstallation leaves no trace.
package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/citel-pa/citel/installer/step"
	"github.com/citel-pa/citel/pkcs/authtoken"
)

// Errors that a caller decides on.
var (
	ErrSite = errors.New("browser: name each site by its address, https://host or https://host:port, without wildcards")
	errFile = errors.New("browser: a policy file that is not understood")
)

// AllowedForURLs is the policy of browsers made of Chromium, since 146: pages of these
// sites reach the loopback addresses without a question, and nothing else on the
// network. chromeenterprise.google/policies/#LoopbackNetworkAllowedForUrls; Microsoft
// Edge, LoopbackNetworkAllowedForUrls. WebSockets are asked about since 147, so no
// older policy is needed.
const AllowedForURLs = "LoopbackNetworkAllowedForUrls"

// fileName of our own file in their folders.
const fileName = "citel.json"

// recordFile says what was done.
const recordFile = "/var/lib/citel-agent/browsers.json"

// Folders where browsers made of Chromium read their administrator's policies; every
// *.json in one is read.
var folders = []struct{ name, path string }{
	{"Chromium", "/etc/chromium/policies/managed"},
	{"Chromium (snap)", "/etc/chromium-browser/policies/managed"},
	{"Chrome", "/etc/opt/chrome/policies/managed"},
	{"Edge", "/etc/opt/edge/policies/managed"},
	{"Brave", "/etc/brave/policies/managed"},
}

// record is kept in recordFile.
type record struct {
	Sites []string `json:"sites"`
	// Firefox: each file that was changed, before and after; Before is nil where
	// there was none.
	Firefox map[string]change `json:"firefox,omitempty"`
	// Folders that were made, outermost first.
	Folders []string `json:"folders,omitempty"`
}

type change struct {
	Before *[]byte `json:"before"`
	After  []byte  `json:"after"`
	// Hosts that were added, and not there before.
	Hosts []string `json:"hosts"`
}

// Conflict is a browser whose policy another file sets: two files with one policy
// would hide each other, so ours is not written.
type Conflict struct{ Browser, File string }

// CheckSite takes an origin, or an error that says what one looks like.
func CheckSite(site string) error {
	o, err := authtoken.ParseOrigin(site, false)
	if err != nil || strings.ContainsAny(site, "*[") {
		return fmt.Errorf("%w: %q", ErrSite, site)
	}
	_ = o
	host := hostOf(site)
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && (ip.IsLoopback() || ip.IsUnspecified()) {
		return fmt.Errorf("%w: %q is this computer", ErrSite, site)
	}
	return nil
}

func hostOf(site string) string {
	host := strings.TrimPrefix(site, "https://")
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return host
}

// pattern is the site as Chromium's policies want it: with its port, else every port
// would match. Enterprise policy URL pattern format.
func pattern(site string) string {
	host := strings.TrimPrefix(site, "https://")
	if _, _, err := net.SplitHostPort(host); err != nil {
		host += ":443"
	}
	return "https://" + host
}

// Sites are those that are written now.
func Sites(s *step.System) ([]string, error) {
	r, err := load(s)
	return r.Sites, err
}

// Set makes these sites the ones that browsers are told of; none takes everything
// back. Browsers whose policy another file sets are left alone and named.
func Set(ctx context.Context, s *step.System, sites []string) ([]Conflict, error) {
	for _, x := range sites {
		if err := CheckSite(x); err != nil {
			return nil, err
		}
	}
	sites = slices.Compact(slices.Sorted(slices.Values(sites)))
	r, err := load(s)
	if err != nil {
		return nil, err
	}
	before := r.Sites
	var steps []step.Step
	var conflicts []Conflict
	for _, f := range folders {
		other, err := taken(s, f.path)
		if err != nil {
			return nil, err
		}
		if other != "" && len(sites) > 0 {
			conflicts = append(conflicts, Conflict{f.name, other})
			continue
		}
		steps = append(steps, r.own(f.name, filepath.Join(f.path, fileName), before, sites))
	}
	for _, path := range r.firefoxFiles(s) {
		steps = append(steps, r.firefox(path, before, sites))
	}
	// The record is written first: what a power cut leaves half done can be undone.
	r.Sites = slices.Compact(slices.Sorted(slices.Values(slices.Concat(before, sites))))
	if err := r.save(s); err != nil {
		return nil, err
	}
	if err := step.Apply(ctx, s, steps); err != nil {
		r.Sites = before
		return nil, errors.Join(err, r.save(s))
	}
	r.Sites = sites
	return conflicts, r.save(s)
}

// taken names another file of the folder that sets our policy.
func taken(s *step.System, folder string) (string, error) {
	entries, err := os.ReadDir(s.Path(folder))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("browser: %w", err)
	}
	for _, e := range entries {
		if e.Name() == fileName || !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		data, err := os.ReadFile(s.Path(filepath.Join(folder, e.Name())))
		if err != nil {
			return "", fmt.Errorf("browser: %w", err)
		}
		var policies map[string]json.RawMessage
		if json.Unmarshal(data, &policies) == nil && policies[AllowedForURLs] != nil {
			return filepath.Join(folder, e.Name()), nil
		}
	}
	return "", nil
}

// own is the step of a browser that reads several files.
func (r *record) own(name, path string, before, after []string) step.Step {
	put := func(s *step.System, sites []string) error {
		if len(sites) == 0 {
			if err := os.Remove(s.Path(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			r.sweep(s, filepath.Dir(path))
			return nil
		}
		if err := r.mkdir(s, filepath.Dir(path)); err != nil {
			return err
		}
		return step.Write(s.Path(path), content(sites), 0o644)
	}
	return step.Step{
		Name: name,
		Check: func(_ context.Context, s *step.System) (bool, error) {
			have, err := os.ReadFile(s.Path(path))
			if errors.Is(err, fs.ErrNotExist) {
				return len(after) == 0, nil
			}
			return err == nil && string(have) == string(content(after)), err
		},
		Do:   func(_ context.Context, s *step.System) error { return put(s, after) },
		Undo: func(_ context.Context, s *step.System) error { return put(s, before) },
	}
}

func content(sites []string) []byte {
	patterns := make([]string, len(sites))
	for i, x := range sites {
		patterns[i] = pattern(x)
	}
	data, err := json.MarshalIndent(map[string][]string{AllowedForURLs: patterns}, "", "  ")
	if err != nil {
		panic(err) // strings
	}
	return append(data, '\n')
}

func load(s *step.System) (*record, error) {
	r := &record{Firefox: map[string]change{}}
	data, err := os.ReadFile(s.Path(recordFile))
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(data, r)
	}
	if err != nil {
		return r, fmt.Errorf("browser: %s: %w", recordFile, err)
	}
	if r.Firefox == nil {
		r.Firefox = map[string]change{}
	}
	return r, nil
}

// save writes the record; with nothing to record there is none.
func (r *record) save(s *step.System) error {
	if len(r.Sites) == 0 && len(r.Firefox) == 0 && len(r.Folders) == 0 {
		if err := os.Remove(s.Path(recordFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("browser: %w", err)
		}
		_ = os.Remove(s.Path(filepath.Dir(recordFile)))
		return nil
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("browser: %w", err)
	}
	if err := step.Write(s.Path(recordFile), append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("browser: %w", err)
	}
	return nil
}

// mkdir makes a folder and those above it, and records which of them are ours.
func (r *record) mkdir(s *step.System, dir string) error {
	var missing []string
	for d := dir; d != "/" && d != "."; d = filepath.Dir(d) {
		if _, err := os.Stat(s.Path(d)); err == nil {
			break
		}
		missing = append(missing, d)
	}
	slices.Reverse(missing)
	for _, d := range missing {
		if !slices.Contains(r.Folders, d) {
			r.Folders = append(r.Folders, d)
		}
	}
	if err := r.save(s); err != nil {
		return err
	}
	return os.MkdirAll(s.Path(dir), 0o755) //nolint:gosec // browsers of all users read it
}

// sweep removes folders that we made and nobody else uses.
func (r *record) sweep(s *step.System, dir string) {
	for d := dir; slices.Contains(r.Folders, d); d = filepath.Dir(d) {
		if err := os.Remove(s.Path(d)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return
		}
		r.Folders = slices.DeleteFunc(r.Folders, func(x string) bool { return x == d })
	}
}
