package card

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// maxMaps bounds what is read of one process.
const maxMaps = 4 << 20

// holders names the programs that have libpcsclite in memory and may be looked at:
// PC/SC does not say which one holds a card. Ours are left out.
func holders() []string {
	self, err := os.Executable()
	if err != nil {
		return nil
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		exe, err := os.Readlink(filepath.Join("/proc", e.Name(), "exe"))
		if err != nil || exe == self {
			continue // another user's, or gone
		}
		name := strings.TrimSuffix(filepath.Base(exe), " (deleted)")
		if name != "pcscd" && !slices.Contains(names, name) && mapped(filepath.Join("/proc", e.Name(), "maps"), "libpcsclite") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// mapped tells whether a process has a library in memory.
func mapped(file, library string) bool {
	f, err := os.Open(file) //nolint:gosec // below /proc
	if err != nil {
		return false
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
	return bytes.Contains(text, []byte(library))
}
