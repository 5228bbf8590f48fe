package browser

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/windows/registry"
)

// Machine is this computer's registry.
type Machine struct{}

// Values implements Registry.
func (Machine) Values(key string) (map[string]string, error) {
	out := map[string]string{}
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, key, registry.QUERY_VALUE|registry.WOW64_64KEY)
	if errors.Is(err, registry.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return nil, fmt.Errorf("browser: %s: %w", key, err)
	}
	defer func() { _ = k.Close() }()
	names, err := k.ReadValueNames(-1)
	if err != nil {
		return nil, fmt.Errorf("browser: %s: %w", key, err)
	}
	for _, n := range names {
		if v, _, err := k.GetStringValue(n); err == nil {
			out[n] = v
		}
	}
	return out, nil
}

// Set implements Registry.
func (Machine) Set(key, name, value string) error {
	k, _, err := registry.CreateKey(registry.LOCAL_MACHINE, key, registry.SET_VALUE|registry.WOW64_64KEY)
	if err != nil {
		return fmt.Errorf("browser: %s: %w", key, err)
	}
	return errors.Join(k.SetStringValue(name, value), k.Close())
}

// Delete implements Registry.
func (Machine) Delete(key, name string) error {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, key, registry.SET_VALUE|registry.QUERY_VALUE|registry.ENUMERATE_SUB_KEYS|registry.WOW64_64KEY)
	if errors.Is(err, registry.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("browser: %s: %w", key, err)
	}
	if err := k.DeleteValue(name); err != nil && !errors.Is(err, registry.ErrNotExist) {
		return errors.Join(fmt.Errorf("browser: %s: %w", key, err), k.Close())
	}
	info, err := k.Stat()
	if err = errors.Join(err, k.Close()); err != nil {
		return err
	}
	if info.ValueCount == 0 && info.SubKeyCount == 0 {
		return prune(key)
	}
	return nil
}

// prune removes a key that holds nothing, and those above it that hold nothing then,
// down to the one that every Windows has.
func prune(key string) error {
	for strings.Count(key, `\`) >= 2 || key == `SOFTWARE\CiTel` {
		k, err := registry.OpenKey(registry.LOCAL_MACHINE, key, registry.QUERY_VALUE|registry.ENUMERATE_SUB_KEYS|registry.WOW64_64KEY)
		if err != nil {
			return nil //nolint:nilerr // it is gone
		}
		info, err := k.Stat()
		if err = errors.Join(err, k.Close()); err != nil {
			return err
		}
		if info.ValueCount > 0 || info.SubKeyCount > 0 {
			return nil
		}
		if err := registry.DeleteKey(registry.LOCAL_MACHINE, key); err != nil {
			return fmt.Errorf("browser: %s: %w", key, err)
		}
		key = key[:strings.LastIndex(key, `\`)]
	}
	return nil
}
