//go:build unix

package history

import (
	"os"

	"golang.org/x/sys/unix"
)

// lock waits for the others: they hold it for the time of one write.
func lock(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if err != unix.EINTR {
			return err
		}
	}
}
