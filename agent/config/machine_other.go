//go:build !windows

package config

// machinePolicy: only Windows has a registry.
func machinePolicy() ([]byte, error) { return nil, nil }
