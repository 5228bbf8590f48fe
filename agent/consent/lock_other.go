//go:build !linux

package consent

// Lock: nothing is done on this system.
func Lock([]byte) {}
