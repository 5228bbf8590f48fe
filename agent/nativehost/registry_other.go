//go:build !windows

package nativehost

// Only browsers of Windows are told by a registry.
func registry(string) (string, error) { return "", nil }

func setRegistry(_, _ string) error { return nil }

func dropRegistry(string) error { return nil }
