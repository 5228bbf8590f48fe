package autostart

import (
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/windows/registry"
)

const (
	run   = `Software\Microsoft\Windows\CurrentVersion\Run`
	value = "CiTel"
)

// On tells whether the agent starts with the session.
func On() (bool, error) {
	k, err := registry.OpenKey(registry.CURRENT_USER, run, registry.QUERY_VALUE)
	if errors.Is(err, registry.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("autostart: %w", err)
	}
	defer func() { _ = k.Close() }()
	_, _, err = k.GetStringValue(value)
	if errors.Is(err, registry.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Set turns it on or off.
func Set(on bool) error {
	k, _, err := registry.CreateKey(registry.CURRENT_USER, run, registry.SET_VALUE)
	if err != nil {
		return fmt.Errorf("autostart: %w", err)
	}
	defer func() { _ = k.Close() }()
	if !on {
		if err := k.DeleteValue(value); err != nil && !errors.Is(err, registry.ErrNotExist) {
			return fmt.Errorf("autostart: %w", err)
		}
		return nil
	}
	exe, err := program()
	if err != nil {
		return fmt.Errorf("autostart: %w", err)
	}
	// The program beside it opens no console.
	if err := k.SetStringValue(value, `"`+filepath.Join(filepath.Dir(exe), "citel-start.exe")+`" run --session`); err != nil {
		return fmt.Errorf("autostart: %w", err)
	}
	return nil
}
