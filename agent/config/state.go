package config

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// StateDir is the folder for what the agent writes by itself for one user: the
// history, reminders. Linux: XDG Base Directory Specification, XDG_STATE_HOME.
func StateDir() (string, error) {
	if runtime.GOOS == "linux" {
		if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
			return filepath.Join(dir, "citel"), nil
		}
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("config: no folder for the state: %w", err)
		}
		return filepath.Join(home, ".local", "state", "citel"), nil
	}
	base, err := os.UserCacheDir() // %LocalAppData%
	if err != nil {
		return "", fmt.Errorf("config: no folder for the state: %w", err)
	}
	return filepath.Join(base, "citel"), nil
}
