package history

import (
	"os"

	"golang.org/x/sys/windows"
)

// lock waits for the others: they hold it for the time of one write.
func lock(f *os.File) error {
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK, 0, 1, 0, &windows.Overlapped{})
}
