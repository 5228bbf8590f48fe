package config

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/windows"
)

func lockByte(f *os.File, at int64) error {
	where := &windows.Overlapped{Offset: uint32(at), OffsetHigh: uint32(at >> 32)} //nolint:gosec // the two halves of a number
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, where)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return errHeld
	}
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	return nil
}
