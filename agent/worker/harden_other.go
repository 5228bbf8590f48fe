//go:build !linux && !windows

package worker

import "golang.org/x/sys/unix"

// harden keeps a PIN out of core files.
func harden() { _ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) }
