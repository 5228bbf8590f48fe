package card

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// maxMaps bounds what is read of one process.
const maxMaps = 4 << 20

// wellKnown are programs that use cards by themselves, so that they are named also
// where another user runs them (a login screen's does).
var wellKnown = []string{"scdaemon", "gsd-smartcard"}

// programs names the programs that have libpcsclite in memory and may be looked at:
// PC/SC does not say which one holds a card. Ours are left out.
func programs() []Program {
	self, err := os.Executable()
	if err != nil {
		return nil
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var list []Program
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		p := Program{}
		exe, err := os.Readlink(filepath.Join("/proc", e.Name(), "exe"))
		switch {
		case err == nil && exe == self:
			continue
		case err == nil:
			maps := readMaps(filepath.Join("/proc", e.Name(), "maps"))
			p.Name = strings.TrimSuffix(filepath.Base(exe), " (deleted)")
			p.OpenSC = bytes.Contains(maps, []byte("opensc-pkcs11"))
			if p.Name == "pcscd" || !bytes.Contains(maps, []byte("libpcsclite")) {
				continue
			}
		case mine(filepath.Join("/proc", e.Name())):
			continue // it has ended
		default: // another user's
			name, err := os.ReadFile(filepath.Join("/proc", e.Name(), "comm"))
			if p.Name, p.Other = strings.TrimSpace(string(name)), true; err != nil || !slices.Contains(wellKnown, p.Name) {
				continue
			}
		}
		if !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b Program) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// mine tells whether a process is our user's, or cannot be looked at.
func mine(dir string) bool {
	info, err := os.Stat(dir)
	if err != nil {
		return true
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return !ok || int(st.Uid) == os.Getuid()
}

// readMaps reads which files a process has in memory.
func readMaps(file string) []byte {
	f, err := os.Open(file) //nolint:gosec // below /proc
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	text := make([]byte, 0, 64<<10)
	buf := make([]byte, 32<<10)
	for len(text) < maxMaps {
		n, err := f.Read(buf)
		text = append(text, buf[:n]...)
		if err != nil {
			break
		}
	}
	return text
}
