//go:build !windows

package config

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// machinePolicy: only Windows has a registry.
func machinePolicy() ([]byte, error) { return nil, nil }

// administrators: the file is root's, or this user's own.
func administrators(file string, info fs.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Uid != 0 && int(st.Uid) != os.Getuid() {
		return fmt.Errorf("%w: %s is another user's", ErrNotAdministrators, file)
	}
	return nil
}
