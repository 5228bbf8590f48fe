//go:build !windows

package terminal

import "os"

// openTTY opens the controlling terminal; opened by path, the runtime can wait
// for it with a deadline.
func openTTY() (*tty, error) {
	f, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return &tty{f: f}, nil
}
