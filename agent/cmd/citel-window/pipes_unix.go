//go:build unix

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// pipes takes the two pipes away from where libraries and helper processes of the
// web engine could write to them or read from them.
func pipes() (in, out *os.File, err error) {
	move := func(fd int, name, instead string, flag int) (*os.File, error) {
		own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 10)
		if err != nil {
			return nil, err
		}
		null, err := os.OpenFile(instead, flag, 0)
		if err != nil {
			return nil, err
		}
		defer func() { _ = null.Close() }()
		return os.NewFile(uintptr(own), name), unix.Dup2(int(null.Fd()), fd)
	}
	// No core file of this process ever holds a PIN.
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return nil, nil, err
	}
	if in, err = move(0, "in", os.DevNull, os.O_RDONLY); err != nil {
		return nil, nil, err
	}
	out, err = move(1, "out", os.DevNull, os.O_WRONLY)
	return in, out, err
}
