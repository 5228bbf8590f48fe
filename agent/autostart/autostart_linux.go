package autostart

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// name of the entry. Desktop Application Autostart Specification 0.5: a file in the
// person's folder stands for the system's file of the same name.
const name = "citel-agent.desktop"

const systemFile = "/etc/xdg/autostart/" + name

func file() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("autostart: %w", err)
	}
	return filepath.Join(dir, "autostart", name), nil
}

// On tells whether the agent starts with the session.
func On() (bool, error) {
	own, err := file()
	if err != nil {
		return false, err
	}
	for _, f := range []string{own, systemFile} {
		text, err := os.Open(f) //nolint:gosec // one of two places
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("autostart: %w", err)
		}
		defer func() { _ = text.Close() }()
		for lines := bufio.NewScanner(text); lines.Scan(); {
			if strings.TrimSpace(lines.Text()) == "Hidden=true" {
				return false, nil
			}
		}
		return true, nil
	}
	return false, nil
}

// Set turns it on or off.
func Set(on bool) error {
	own, err := file()
	if err != nil {
		return err
	}
	if !on {
		if _, err := os.Stat(systemFile); err == nil {
			return write(own, "[Desktop Entry]\nType=Application\nName=CiTel\nHidden=true\n")
		}
		if err := os.Remove(own); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("autostart: %w", err)
		}
		return nil
	}
	exe, err := program()
	if err != nil {
		return fmt.Errorf("autostart: %w", err)
	}
	return write(own, "[Desktop Entry]\nType=Application\nName=CiTel\nComment=Entra e firma con la carta\nExec="+quote(exe)+" run --session\nTerminal=false\nNoDisplay=true\nX-GNOME-Autostart-enabled=true\n")
}

// quote: Desktop Entry Specification 1.5, "The Exec key".
func quote(s string) string {
	s = strings.NewReplacer(`\`, `\\\\`, `"`, `\\"`, "`", "\\\\`", `$`, `\\$`, `%`, `%%`).Replace(s)
	return `"` + s + `"`
}

func write(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("autostart: %w", err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("autostart: %w", err)
	}
	return nil
}
