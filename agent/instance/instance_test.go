package instance

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestOneAtATime(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	first, err := Take("/home/a/.config/citel")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Take("/home/a/.config/citel/"); !errors.Is(err, ErrRunning) {
		t.Fatalf("a second agent: %v", err)
	}
	other, err := Take("/home/a/other")
	if err != nil {
		t.Fatalf("other settings: %v", err)
	}
	if err := errors.Join(first.Release(), other.Release()); err != nil {
		t.Fatal(err)
	}
	again, err := Take("/home/a/.config/citel")
	if err != nil {
		t.Fatalf("after its end: %v", err)
	}
	_ = again.Release()
}

// A folder that others prepared is not used.
func TestFolderOfOthers(t *testing.T) {
	base := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", base)
	if err := os.Mkdir(filepath.Join(base, "citel"), 0o777); err != nil { //nolint:gosec // that is the test
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(base, "citel"), 0o777); err != nil { //nolint:gosec // that is the test
		t.Fatal(err)
	}
	if _, err := Take("x"); err == nil {
		t.Fatal("taken")
	}
}
