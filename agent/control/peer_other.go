//go:build !linux

package control

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// folder is in the user's profile, whose access list keeps other users out; Windows
// has sockets with a path since 10 (1803).
func folder() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("control: %w", err)
	}
	return filepath.Join(dir, "citel", "run"), nil
}

func own(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("control: %w", err)
	}
	return nil
}

// peerIsMine: the folder's access list has seen to it.
func peerIsMine(net.Conn) (bool, error) { return true, nil }
