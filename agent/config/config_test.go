package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/citel-pa/citel/agent/wire"
)

func TestNothingIsMadeBeforeItIsNeeded(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "citel")
	s := Open(dir)
	if v, err := s.Settings(); err != nil || v.MaxTotal != wire.MaxTotal {
		t.Fatalf("defaults: %+v, %v", v, err)
	}
	if d, err := s.Site("https://a.example"); err != nil || d != Unknown {
		t.Fatalf("site: %q, %v", d, err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Fatalf("the folder was made: %v", err)
	}
}

func TestSecretIsKeptAndPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "citel")
	first, err := Open(dir).Secret()
	if err != nil || len(first) != SecretLen {
		t.Fatalf("%d bytes, %v", len(first), err)
	}
	again, err := Open(dir).Secret()
	if err != nil || !bytes.Equal(first, again) {
		t.Fatalf("not the same secret: %v", err)
	}
	path := filepath.Join(dir, secretFile)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode: %v, %v", info.Mode(), err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir).Secret(); !errors.Is(err, ErrPermissions) {
		t.Fatalf("a secret that others can read: %v", err)
	}
	if err := os.WriteFile(path, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir).Secret(); err == nil {
		t.Fatal("a short secret was taken")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", path); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir).Secret(); !errors.Is(err, ErrPermissions) {
		t.Fatalf("a link to elsewhere: %v", err)
	}
}

// Two agents of one user that start at once end with one secret.
func TestSecretRace(t *testing.T) {
	dir := t.TempDir()
	got := make([][]byte, 8)
	var wg sync.WaitGroup
	for i := range got {
		wg.Add(1)
		go func() {
			defer wg.Done()
			secret, err := Open(dir).Secret()
			if err != nil {
				t.Error(err)
			}
			got[i] = secret
		}()
	}
	wg.Wait()
	for _, g := range got[1:] {
		if !bytes.Equal(g, got[0]) {
			t.Fatal("two secrets")
		}
	}
}

func TestSites(t *testing.T) {
	s := Open(t.TempDir())
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	set := func(origin string, d Decision) {
		t.Helper()
		if err := s.SetSite(origin, d, now); err != nil {
			t.Fatal(err)
		}
	}
	want := func(origin string, d Decision) {
		t.Helper()
		if got, err := Open(s.Dir()).Site(origin); err != nil || got != d {
			t.Fatalf("%s: %q, %v; want %q", origin, got, err, d)
		}
	}
	set("https://a.example", Remembered)
	set("https://b.example", Blocked)
	want("https://a.example", Remembered)
	want("https://b.example", Blocked)
	want("https://a.example:444", Unknown)
	want("https://A.example", Unknown)
	set("https://a.example", Blocked)
	want("https://a.example", Blocked)
	set("https://a.example", Unknown)
	want("https://a.example", Unknown)
	for i := range maxSites + 10 {
		if i%100 == 0 || i > maxSites-2 {
			set(fmt.Sprintf("https://s%d.example", i), Remembered)
		}
	}
	all, err := s.Sites()
	if err != nil || len(all) > maxSites {
		t.Fatalf("%d sites, %v", len(all), err)
	}
}

func TestBrokenFiles(t *testing.T) {
	for name, content := range map[string]string{
		"not json":      "{",
		"relative path": `{"modules":[{"path":"opensc-pkcs11.so"}]}`,
		"negative":      `{"maxTotal":-1}`,
		"large":         strings.Repeat(" ", maxFile+1),
	} {
		t.Run(name, func(t *testing.T) {
			s := Open(t.TempDir())
			if err := os.WriteFile(filepath.Join(s.Dir(), settingsFile), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if v, err := s.Settings(); err == nil {
				t.Fatalf("taken: %+v", v)
			}
		})
	}
}
