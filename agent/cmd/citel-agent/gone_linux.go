package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// nobodyReads tells when the other end of a pipe is closed (poll(2), POLLERR).
func nobodyReads(f *os.File) func() bool {
	return func() bool {
		p := []unix.PollFd{{Fd: int32(f.Fd())}} //nolint:gosec // a small number
		n, err := unix.Poll(p, 0)
		return err == nil && n > 0 && p[0].Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0
	}
}
