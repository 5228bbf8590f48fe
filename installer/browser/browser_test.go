package browser

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/citel-pa/citel/agent/doctor"
	"github.com/citel-pa/citel/installer/step"
)

// tree is every file and folder below a root with its content.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name := strings.TrimPrefix(path, root)
		if d.IsDir() {
			out[name+"/"] = ""
			return nil
		}
		data, err := os.ReadFile(path) //nolint:gosec // the test's own
		out[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func put(t *testing.T, s *step.System, path, text string) {
	t.Helper()
	if err := step.Write(s.Path(path), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func set(t *testing.T, s *step.System, sites ...string) []Conflict {
	t.Helper()
	c, err := Set(t.Context(), s, sites)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// computer is a root with what every system has.
func computer(t *testing.T) *step.System {
	t.Helper()
	s := &step.System{Root: t.TempDir()}
	if err := os.MkdirAll(s.Path("/var/lib"), 0o755); err != nil { //nolint:gosec // as on a system
		t.Fatal(err)
	}
	return s
}

const (
	a = "https://sportello.a.example"
	b = "https://b.example:8443"
)

func TestSites(t *testing.T) {
	for _, bad := range []string{"*", "https://*", "https://[*.]a.example", "https://*.a.example", "http://a.example", "a.example",
		"https://a.example/", "https://a.example/x", "https://A.example", "https://localhost", "https://127.0.0.1:8443", "https://u@a.example", "", "https://"} {
		if err := CheckSite(bad); !errors.Is(err, ErrSite) {
			t.Errorf("%q was taken: %v", bad, err)
		}
		s := computer(t)
		if _, err := Set(t.Context(), s, []string{a, bad}); !errors.Is(err, ErrSite) || len(tree(t, s.Root)) != 2 {
			t.Errorf("%q: %v, %v", bad, err, tree(t, s.Root))
		}
	}
}

// What was written is what the doctor reads, and taking it back leaves no trace.
func TestAppliedAndTakenBack(t *testing.T) {
	s := computer(t)
	put(t, s, "/etc/chromium/policies/managed/office.json", `{"HomepageLocation":"https://x.example"}`)
	theirs := "{\n\t\"policies\": {\"DisableTelemetry\": true, \"LocalNetworkAccess\": {\"SkipDomains\": [\"old.example\"], \"Locked\": true}}}"
	put(t, s, firefoxSystem, theirs)
	before := tree(t, s.Root)

	set(t, s, a, b)
	found, err := doctor.BrowserPolicies(os.DirFS(s.Root))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, p := range found {
		seen[p.Browser] = true
		want := []string{"https://b.example:8443", "https://sportello.a.example:443"}
		if p.Browser == "Firefox" {
			want = []string{"old.example", "b.example", "sportello.a.example"}
		}
		if !slices.Equal(p.Allowed, want) || len(p.Blocked) > 0 {
			t.Errorf("%s: %v", p.Browser, p.Allowed)
		}
	}
	for _, name := range []string{"Chromium", "Chrome", "Edge", "Firefox"} {
		if !seen[name] {
			t.Errorf("%s was told nothing", name)
		}
	}
	var doc struct{ Policies map[string]json.RawMessage }
	data, err := os.ReadFile(s.Path(firefoxSystem))
	if err != nil || json.Unmarshal(data, &doc) != nil || string(doc.Policies["DisableTelemetry"]) != "true" || !bytes.Contains(doc.Policies["LocalNetworkAccess"], []byte(`"Locked":`)) {
		t.Errorf("their policies are gone: %s %v", data, err)
	}

	once := tree(t, s.Root)
	set(t, s, b, a) // again: nothing changes
	if !maps.Equal(once, tree(t, s.Root)) {
		t.Error("a second run changed something")
	}
	set(t, s, a) // one fewer
	if have, _ := Sites(s); !slices.Equal(have, []string{a}) {
		t.Errorf("%v", have)
	}
	if data, _ := os.ReadFile(s.Path(firefoxSystem)); bytes.Contains(data, []byte("b.example")) {
		t.Errorf("left in Firefox's: %s", data)
	}
	set(t, s)
	if after := tree(t, s.Root); !maps.Equal(before, after) {
		t.Errorf("not as before:\n%v\n%v", before, after)
	}
	set(t, s) // nothing to take back
}

// A file that an administrator changed after us keeps their change, and loses only
// what was ours.
func TestChangedSince(t *testing.T) {
	s := computer(t)
	set(t, s, a)
	put(t, s, firefoxSystem, `{"policies":{"LocalNetworkAccess":{"SkipDomains":["sportello.a.example","mine.example"]},"DisablePocket":true}}`)
	set(t, s, a, b)
	set(t, s)
	data, err := os.ReadFile(s.Path(firefoxSystem))
	if err != nil {
		t.Fatal(err)
	}
	f, err := parseFirefox(data)
	if err != nil || !slices.Equal(f.skip(), []string{"mine.example"}) || string(f.policies["DisablePocket"]) != "true" {
		t.Errorf("%s %v", data, err)
	}
}

// A file beside the program would be hidden by a new one of the system: it is taken.
func TestFirefoxBesideTheProgram(t *testing.T) {
	s := computer(t)
	put(t, s, firefoxBeside[1], `{"policies":{}}`)
	before := tree(t, s.Root)
	set(t, s, a)
	if _, err := os.Stat(s.Path(firefoxSystem)); err == nil {
		t.Error("the file beside the program is hidden")
	}
	set(t, s)
	if after := tree(t, s.Root); !maps.Equal(before, after) {
		t.Errorf("%v\n%v", before, after)
	}
}

func TestAnotherFileSetsThePolicy(t *testing.T) {
	s := computer(t)
	put(t, s, "/etc/opt/chrome/policies/managed/office.json", `{"LoopbackNetworkAllowedForUrls":["https://x.example"]}`)
	c := set(t, s, a)
	if len(c) != 1 || c[0].Browser != "Chrome" || c[0].File != "/etc/opt/chrome/policies/managed/office.json" {
		t.Errorf("%v", c)
	}
	if _, err := os.Stat(s.Path("/etc/opt/chrome/policies/managed/citel.json")); err == nil {
		t.Error("two files with one policy")
	}
}

// A file that is not understood stops everything, and nothing was changed.
func TestBrokenFirefoxFile(t *testing.T) {
	for _, text := range []string{"{", "[]", `{"policies":3}`, `{"policies":{"LocalNetworkAccess":{"SkipDomains":"x"}}}`, "null"} {
		s := computer(t)
		put(t, s, firefoxSystem, text)
		before := tree(t, s.Root)
		if _, err := Set(t.Context(), s, []string{a}); !errors.Is(err, errFile) {
			t.Errorf("%s: %v", text, err)
		}
		if after := tree(t, s.Root); !maps.Equal(before, after) {
			t.Errorf("%s: %v", text, after)
		}
	}
}

// memory is a registry.
type memory map[string]map[string]string

func (m memory) Values(key string) (map[string]string, error) {
	out := map[string]string{}
	maps.Copy(out, m[key])
	return out, nil
}
func (m memory) Set(key, name, value string) error {
	if m[key] == nil {
		m[key] = map[string]string{}
	}
	m[key][name] = value
	return nil
}
func (m memory) Delete(key, name string) error {
	delete(m[key], name)
	if len(m[key]) == 0 {
		delete(m, key)
	}
	return nil
}

func TestRegistry(t *testing.T) {
	edge := lists[2].key
	m := memory{edge: {"1": "https://x.example"}}
	if err := SetIn(t.Context(), m, []string{a, b}); err != nil {
		t.Fatal(err)
	}
	if v := m[edge]; v["1"] != "https://x.example" || v["2"] != "https://b.example:8443" || v["3"] != "https://sportello.a.example:443" {
		t.Errorf("%v", v)
	}
	if err := SetIn(t.Context(), m, []string{a}); err != nil {
		t.Fatal(err)
	}
	if v := m[edge]; len(v) != 2 || has(v, "https://b.example:8443") {
		t.Errorf("%v", v)
	}
	if have, _ := SitesIn(m); !slices.Equal(have, []string{a}) {
		t.Errorf("%v", have)
	}
	if err := SetIn(t.Context(), m, nil); err != nil {
		t.Fatal(err)
	}
	if len(m) != 1 || len(m[edge]) != 1 {
		t.Errorf("left: %v", m)
	}
}

func FuzzFirefoxFile(f *testing.F) {
	f.Add([]byte(`{"policies":{"LocalNetworkAccess":{"SkipDomains":["x"]}}}`))
	f.Add([]byte(`{"policies":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := parseFirefox(data)
		if err != nil {
			return
		}
		list := append(doc.skip(), "added.example")
		out, err := doc.with(list)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseFirefox(out)
		if err != nil || !slices.Equal(again.skip(), list) {
			t.Fatalf("%s: %v", out, err)
		}
	})
}
