package autostart_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/citel-pa/citel/agent/autostart"
	"github.com/citel-pa/citel/installer"
)

// The package's entry and the person's are one setting: off hides the package's, on
// leaves it alone, and only where an administrator hid it the person has one of their own.
func TestSetBesideThePackages(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", "")
	system := filepath.Join(t.TempDir(), "citel-agent.desktop")
	t.Cleanup(autostart.SetSystemFile(system))
	own := filepath.Join(home, ".config", "autostart", "citel-agent.desktop")
	for _, c := range []struct {
		text          string
		on, ownExists bool
	}{
		{installer.AutostartEntry("/usr/bin/citel-agent"), false, true},
		{installer.AutostartEntry("/usr/bin/citel-agent"), true, false},
		{"[Desktop Entry]\nHidden=true\n", true, true},
	} {
		if err := os.WriteFile(system, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := autostart.Set(c.on); err != nil {
			t.Fatal(err)
		}
		if on, err := autostart.On(); err != nil || on != c.on {
			t.Errorf("%+v: %v %v", c, on, err)
		}
		if _, err := os.Stat(own); (err == nil) != c.ownExists {
			t.Errorf("%+v: the person's own: %v", c, err)
		}
	}
}
