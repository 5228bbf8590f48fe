package control

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// folder is below $XDG_RUNTIME_DIR, or else below the folder for temporary files.
func folder() (string, error) {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "citel"), nil
	}
	return filepath.Join(os.TempDir(), "citel-"+strconv.Itoa(os.Getuid())), nil
}

// own makes the folder, and refuses one that another user may have made.
func own(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("control: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || int(st.Uid) != os.Getuid() || info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("control: %s is not this user's own folder (mode %v)", dir, info.Mode())
	}
	return nil
}

// peerIsMine: unix(7), SO_PEERCRED.
func peerIsMine(conn net.Conn) (bool, error) {
	c, ok := conn.(*net.UnixConn)
	if !ok {
		return false, errors.New("control: no unix socket")
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return false, err
	}
	var cred *unix.Ucred
	var inner error
	if err := raw.Control(func(fd uintptr) { cred, inner = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return false, err
	}
	if inner != nil {
		return false, inner
	}
	return int(cred.Uid) == os.Getuid(), nil
}
