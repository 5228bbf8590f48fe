package config

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func withPolicy(t *testing.T, text string) *Store {
	t.Helper()
	file := filepath.Join(t.TempDir(), "policy.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Open(t.TempDir()).WithPolicy(file)
}

// What an administrator set counts instead of the person's own; the rest is theirs.
func TestPolicy(t *testing.T) {
	s := withPolicy(t, `{"language":"en","modules":[],"trustedSites":["https://a.example","https://c.example"],"blockedSites":["https://b.example"]}`)
	if err := s.Change(func(v *Settings) { v.Language = "it"; v.MaxTotal = 1000; v.Modules = []Module{{Path: "/lib/x.so"}} }); err != nil {
		t.Fatal(err)
	}
	v, err := s.Settings()
	if err != nil || v.Language != "en" || v.MaxTotal != 1000 || len(v.Modules) != 0 {
		t.Errorf("%+v %v", v, err)
	}
	now := time.Now()
	for origin, d := range map[string]Decision{"https://b.example": Remembered, "https://c.example": Blocked} {
		if err := s.SetSite(origin, d, now); err != nil {
			t.Fatal(err)
		}
	}
	// What was blocked for all stays blocked; what was trusted for all a person may block.
	for origin, want := range map[string]Decision{"https://a.example": Remembered, "https://b.example": Blocked, "https://c.example": Blocked, "https://d.example": Unknown} {
		if got, err := s.Site(origin); err != nil || got != want {
			t.Errorf("%s: %q %v, want %q", origin, got, err, want)
		}
	}
	own := Open(s.Dir()).WithPolicy(filepath.Join(t.TempDir(), "none"))
	if v, err := own.Settings(); err != nil || v.Language != "it" || len(v.Modules) != 1 {
		t.Errorf("the person's own: %+v %v", v, err)
	}
}

func TestPolicyOfNobody(t *testing.T) {
	s := withPolicy(t, `{"trustedSites":["https://evil.example"]}`)
	if err := os.Chmod(s.policy, 0o666); err != nil { //nolint:gosec // that is the test
		t.Fatal(err)
	}
	if _, err := s.Site("https://evil.example"); !errors.Is(err, ErrPermissions) {
		t.Errorf("%v", err)
	}
	if _, err := withPolicy(t, `{`).Settings(); err == nil {
		t.Error("a broken policy is passed over")
	}
}

func TestChangeKeepsABrokenFile(t *testing.T) {
	s := Open(t.TempDir())
	if err := os.WriteFile(s.SettingsFile(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Change(func(v *Settings) { v.Language = "en" }); err == nil {
		t.Error("it was written over")
	}
}
