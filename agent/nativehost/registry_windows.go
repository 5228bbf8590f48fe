package nativehost

import (
	"errors"
	"fmt"

	winregistry "golang.org/x/sys/windows/registry"
)

// registry gives the manifest that a browser's key names, the user's before the whole
// computer's; empty: none.
func registry(key string) (string, error) {
	for _, root := range []winregistry.Key{winregistry.CURRENT_USER, winregistry.LOCAL_MACHINE} {
		k, err := winregistry.OpenKey(root, key+`\`+HostName, winregistry.QUERY_VALUE)
		if errors.Is(err, winregistry.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("nativehost: %w", err)
		}
		file, _, err := k.GetStringValue("")
		_ = k.Close()
		if err == nil && file != "" {
			return file, nil
		}
	}
	return "", nil
}

func setRegistry(key, file string) error {
	k, _, err := winregistry.CreateKey(winregistry.CURRENT_USER, key+`\`+HostName, winregistry.SET_VALUE)
	if err != nil {
		return fmt.Errorf("nativehost: %w", err)
	}
	return errors.Join(k.SetStringValue("", file), k.Close())
}

func dropRegistry(key string) error {
	if err := winregistry.DeleteKey(winregistry.CURRENT_USER, key+`\`+HostName); err != nil && !errors.Is(err, winregistry.ErrNotExist) {
		return fmt.Errorf("nativehost: %w", err)
	}
	return nil
}
