//go:build !linux && !windows

package autostart

// On is never so here.
func On() (bool, error) { return false, ErrNone }

// Set cannot.
func Set(bool) error { return ErrNone }
