// Package autostart starts the agent with the user's session: by a file of the
// desktop (Linux), or a value of the registry (Windows).
package autostart

import (
	"errors"
	"os"
)

// ErrNone means that this system has no such thing that we know.
var ErrNone = errors.New("autostart: not on this system")

// program is this program's path.
func program() (string, error) { return os.Executable() }
