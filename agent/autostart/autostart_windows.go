package autostart

import (
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/windows/registry"
)

// The installer writes the value for the whole computer, a portable copy for its user.
// approved is where Windows keeps the person's no to either (Task Manager, Startup
// apps): twelve bytes, the first odd where it is switched off.
const (
	run      = `Software\Microsoft\Windows\CurrentVersion\Run`
	approved = `Software\Microsoft\Windows\CurrentVersion\Explorer\StartupApproved\Run`
	value    = "CiTel"
)

// has tells whether the value is there.
func has(root registry.Key) (bool, error) {
	k, err := registry.OpenKey(root, run, registry.QUERY_VALUE|registry.WOW64_64KEY)
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

// On tells whether the agent starts with the session.
func On() (bool, error) {
	own, err := has(registry.CURRENT_USER)
	if err != nil {
		return false, err
	}
	all, err := has(registry.LOCAL_MACHINE)
	if err != nil || !own && !all {
		return false, err
	}
	k, err := registry.OpenKey(registry.CURRENT_USER, approved, registry.QUERY_VALUE)
	if errors.Is(err, registry.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("autostart: %w", err)
	}
	defer func() { _ = k.Close() }()
	state, _, err := k.GetBinaryValue(value)
	return err != nil || len(state) == 0 || state[0]&1 == 0, nil
}

// Set turns it on or off.
func Set(on bool) error {
	all, err := has(registry.LOCAL_MACHINE)
	if err != nil {
		return err
	}
	k, _, err := registry.CreateKey(registry.CURRENT_USER, approved, registry.SET_VALUE)
	if err != nil {
		return fmt.Errorf("autostart: %w", err)
	}
	if all && !on {
		err = k.SetBinaryValue(value, []byte{3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	} else if err = k.DeleteValue(value); errors.Is(err, registry.ErrNotExist) {
		err = nil
	}
	if err = errors.Join(err, k.Close()); err != nil {
		return fmt.Errorf("autostart: %w", err)
	}
	return setOwn(on && !all)
}

// setOwn writes or removes the user's own value.
func setOwn(on bool) error {
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
