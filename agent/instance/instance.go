// Package instance keeps one agent running for one user and folder of settings: what
// starts it by itself (the session, a link) steps back where one runs already.
package instance

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ErrRunning means that another agent holds the lock.
var ErrRunning = errors.New("instance: an agent runs already")

// Lock is held until it is released or the process ends.
type Lock struct{ file *os.File }

// Take takes the lock of a folder of settings. The lock lives where nothing outlives
// the machine's start, and not in the folder: a home on a network belongs to several
// machines at once, each of which has its own agent.
func Take(settings string) (*Lock, error) {
	dir, err := place()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(filepath.Clean(settings)))
	f, err := os.OpenFile(filepath.Join(dir, "agent-"+hex.EncodeToString(sum[:8])+".lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("instance: %w", err)
	}
	if err := lock(f); err != nil {
		_ = f.Close()
		return nil, err
	}
	return &Lock{f}, nil
}

// Release lets another agent start.
func (l *Lock) Release() error { return l.file.Close() }
