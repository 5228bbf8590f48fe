//go:build !linux

package tray

import (
	"errors"
	"runtime"
)

// quits: the icon is taken away by hand, or stays as a ghost.
const quits = true

func reachable() bool { return runtime.GOOS == "windows" }

// Notify cannot: the hand's first page says it.
func Notify(string, string) error { return errors.New("tray: no notifications here") }
