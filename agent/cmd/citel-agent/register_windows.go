package main

import (
	"context"
	"errors"
	"path/filepath"

	"golang.org/x/sys/windows/registry"

	"github.com/citel-pa/citel/installer"
	"github.com/citel-pa/citel/installer/step"
)

const (
	runKey    = `Software\Microsoft\Windows\CurrentVersion\Run`
	schemeKey = `Software\Classes\` + installer.Scheme
)

// userSteps: the same keys below HKEY_CURRENT_USER as the installer writes for the
// whole computer.
func userSteps(exe string) ([]step.Step, error) {
	start := filepath.Join(filepath.Dir(exe), "citel-start.exe")
	return []step.Step{
		value(runKey, "CiTel", `"`+start+`" run --session`, ""),
		value(schemeKey, "URL Protocol", "", schemeKey),
		value(schemeKey+`\shell\open\command`, "", `"`+start+`" link "%1"`, schemeKey+`\shell\open\command`),
	}, nil
}

// value is the step of one value; its undoing takes gone, a key of ours, too.
func value(key, name, want, gone string) step.Step {
	return step.Step{
		Name: key,
		Check: func(context.Context, *step.System) (bool, error) {
			k, err := registry.OpenKey(registry.CURRENT_USER, key, registry.QUERY_VALUE)
			if errors.Is(err, registry.ErrNotExist) {
				return false, nil
			}
			if err != nil {
				return false, err
			}
			defer func() { _ = k.Close() }()
			v, _, err := k.GetStringValue(name)
			return err == nil && v == want, nil
		},
		Do: func(context.Context, *step.System) error {
			k, _, err := registry.CreateKey(registry.CURRENT_USER, key, registry.SET_VALUE)
			if err != nil {
				return err
			}
			return errors.Join(k.SetStringValue(name, want), k.Close())
		},
		Undo: func(context.Context, *step.System) error {
			k, err := registry.OpenKey(registry.CURRENT_USER, key, registry.SET_VALUE)
			if err != nil {
				return nil //nolint:nilerr // it is gone
			}
			if err := k.DeleteValue(name); err != nil && !errors.Is(err, registry.ErrNotExist) {
				return errors.Join(err, k.Close())
			}
			if err := k.Close(); err != nil || gone == "" {
				return err
			}
			for gone := gone; len(gone) >= len(schemeKey); gone = gone[:lastSlash(gone)] {
				if registry.DeleteKey(registry.CURRENT_USER, gone) != nil {
					break // somebody else's value is in it
				}
			}
			return nil
		},
	}
}

func lastSlash(key string) int {
	for i := len(key) - 1; i > 0; i-- {
		if key[i] == '\\' {
			return i
		}
	}
	return 0
}

func forgetUser(ctx context.Context) error {
	steps, err := userSteps("")
	if err != nil {
		return err
	}
	return step.Remove(ctx, step.Here(), steps)
}
