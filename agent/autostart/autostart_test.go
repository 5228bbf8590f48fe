package autostart_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/citel-pa/citel/agent/autostart"
)

func TestSet(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", "")
	is := func(want bool) {
		t.Helper()
		if on, err := autostart.On(); err != nil || on != want {
			t.Errorf("%v %v, want %v", on, err, want)
		}
	}
	is(false)
	for _, on := range []bool{true, true, false, false} {
		if err := autostart.Set(on); err != nil {
			t.Fatal(err)
		}
		is(on)
		text, err := os.ReadFile(filepath.Join(home, ".config", "autostart", "citel-agent.desktop"))
		if on && (err != nil || !strings.Contains(string(text), `" run`)) {
			t.Errorf("%q %v", text, err)
		}
	}
	// As desktops' own settings turn it off.
	if err := autostart.Set(true); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".config", "autostart", "citel-agent.desktop"), []byte("[Desktop Entry]\nHidden=true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	is(false)
}
