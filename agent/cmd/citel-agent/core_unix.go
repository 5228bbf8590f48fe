//go:build !windows

package main

import "golang.org/x/sys/unix"

// noCoreDumps: a crash must not write a PIN to disk. Helpers inherit it.
func noCoreDumps() { _ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) }
