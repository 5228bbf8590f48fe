// Package doctor looks at what stands between a page and the card. Today: what an
// administrator told the browsers about pages that reach for this computer.
package doctor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// BrowserPolicy is what one browser was told, in the patterns it was told in.
type BrowserPolicy struct {
	Browser string `json:"browser"`
	File    string `json:"file"`
	// Allowed sites reach the agent without the browser's question; Blocked ones never
	// reach it.
	Allowed []string `json:"allowed,omitempty"`
	Blocked []string `json:"blocked,omitempty"`
}

// maxPolicy bounds one policy file, in bytes.
const maxPolicy = 1 << 20

// Where browsers of Linux read their administrator's policies: folders of JSON files
// for those made of Chromium, one file for Firefox.
var (
	chromiumFolders = map[string]string{
		"Chromium": "etc/chromium/policies/managed",
		"Chrome":   "etc/opt/chrome/policies/managed",
		"Edge":     "etc/opt/edge/policies/managed",
		"Brave":    "etc/brave/policies/managed",
	}
	firefoxFiles = []string{"etc/firefox/policies/policies.json", "usr/lib/firefox/distribution/policies.json",
		"usr/lib/firefox-esr/distribution/policies.json", "usr/lib64/firefox/distribution/policies.json"}
)

// Policies of Chrome and Edge (since 146, and 139), in the order in which the
// browsers let them win; chromeenterprise.google/policies and Microsoft's page of
// LoopbackNetworkAllowedForUrls.
type chromiumPolicy struct {
	LoopbackBlocked []string `json:"LoopbackNetworkBlockedForUrls"`
	LoopbackAllowed []string `json:"LoopbackNetworkAllowedForUrls"`
	LocalBlocked    []string `json:"LocalNetworkAccessBlockedForUrls"`
	LocalAllowed    []string `json:"LocalNetworkAccessAllowedForUrls"`
}

// firefoxPolicy is LocalNetworkAccess of Firefox's policies (since 150).
type firefoxPolicy struct {
	Policies struct {
		LocalNetworkAccess *struct {
			SkipDomains []string
		}
	} `json:"policies"`
}

// BrowserPolicies reads them below a root (os.DirFS("/")). Files that cannot be read
// are errors beside what was found.
func BrowserPolicies(root fs.FS) (list []BrowserPolicy, err error) {
	var failures []error
	for _, browser := range []string{"Chromium", "Chrome", "Edge", "Brave"} {
		folder := chromiumFolders[browser]
		entries, err := fs.ReadDir(root, folder)
		if err != nil {
			continue // most computers have none
		}
		for _, e := range entries {
			if !strings.HasSuffix(e.Name(), ".json") {
				continue
			}
			name := path.Join(folder, e.Name())
			var p chromiumPolicy
			if err := read(root, name, &p); err != nil {
				failures = append(failures, err)
				continue
			}
			// A loopback policy wins over one about local networks.
			x := BrowserPolicy{Browser: browser, File: "/" + name, Blocked: p.LoopbackBlocked, Allowed: without(p.LoopbackAllowed, p.LoopbackBlocked)}
			decided := slices.Concat(p.LoopbackBlocked, p.LoopbackAllowed)
			x.Blocked = append(x.Blocked, without(p.LocalBlocked, decided)...)
			x.Allowed = append(x.Allowed, without(p.LocalAllowed, slices.Concat(decided, p.LocalBlocked))...)
			if len(x.Allowed)+len(x.Blocked) > 0 {
				list = append(list, x)
			}
		}
	}
	for _, name := range firefoxFiles {
		if _, err := fs.Stat(root, name); err != nil {
			continue
		}
		var p firefoxPolicy
		if err := read(root, name, &p); err != nil {
			failures = append(failures, err)
			continue
		}
		if lna := p.Policies.LocalNetworkAccess; lna != nil && len(lna.SkipDomains) > 0 {
			list = append(list, BrowserPolicy{Browser: "Firefox", File: "/" + name, Allowed: lna.SkipDomains})
		}
	}
	return list, errors.Join(failures...)
}

func without(list, others []string) []string {
	var out []string
	for _, x := range list {
		if !slices.Contains(others, x) {
			out = append(out, x)
		}
	}
	return out
}

func read(root fs.FS, name string, v any) error {
	st, err := fs.Stat(root, name)
	if err != nil {
		return fmt.Errorf("doctor: %w", err)
	}
	if st.Size() > maxPolicy {
		return fmt.Errorf("doctor: %s has %d bytes", name, st.Size())
	}
	data, err := fs.ReadFile(root, name)
	if err != nil {
		return fmt.Errorf("doctor: %w", err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("doctor: %s: %w", name, err)
	}
	return nil
}
