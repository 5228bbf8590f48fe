package gateway

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// Linux lists every TCP socket with the user who made it in /proc/net/tcp and
// tcp6 (proc(5)): "sl local_address rem_address st ... uid". The peer's row is
// the one whose local address is our remote one and the other way round. A
// program that connects with an IPv6 socket to 127.0.0.1 is in tcp6 with mapped
// addresses.
func peerIsMine(local, remote netip.AddrPort) (bool, error) {
	uid, err := peerUID(local, remote)
	if err != nil {
		return false, err
	}
	return uid == os.Geteuid(), nil
}

func peerUID(local, remote netip.AddrPort) (int, error) {
	tables := []struct {
		file   string
		mapped bool
	}{{"/proc/net/tcp6", false}}
	if local.Addr().Unmap().Is4() {
		tables = []struct {
			file   string
			mapped bool
		}{{"/proc/net/tcp", false}, {"/proc/net/tcp6", true}}
	}
	for _, t := range tables {
		f, err := os.Open(t.file)
		if err != nil {
			continue // no IPv6 here; the other table decides, or nothing does
		}
		uid, err := findUID(f, procAddr(remote, t.mapped), procAddr(local, t.mapped))
		_ = f.Close()
		if !errors.Is(err, errPeerUnknown) {
			return uid, err
		}
	}
	return -1, errPeerUnknown
}

// established is TCP_ESTABLISHED. Rows in other states are not looked at: what
// is closed already may show user 0 for anybody.
const established = "01"

// findUID reads one table. A connection listed twice is a contradiction and so
// unknown.
func findUID(table io.Reader, peerLocal, peerRemote string) (int, error) {
	uid, found := -1, false
	lines := bufio.NewScanner(table)
	lines.Buffer(make([]byte, 0, 512), 4096)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 8 || f[1] != peerLocal || f[2] != peerRemote || f[3] != established {
			continue
		}
		n, err := strconv.ParseUint(f[7], 10, 32)
		if err != nil || found {
			return -1, errPeerUnknown
		}
		uid, found = int(n), true
	}
	if err := lines.Err(); err != nil {
		return -1, fmt.Errorf("%w: %w", errPeerUnknown, err)
	}
	if !found {
		return -1, errPeerUnknown
	}
	return uid, nil
}

// procAddr writes an address as the tables do: each 32-bit word of the address
// as a number of the machine, the port as a number, upper-case hex.
func procAddr(a netip.AddrPort, mapped bool) string {
	raw := a.Addr().Unmap().AsSlice()
	if mapped {
		b := a.Addr().As16()
		raw = b[:]
	}
	var text strings.Builder
	for i := 0; i+4 <= len(raw); i += 4 {
		fmt.Fprintf(&text, "%08X", binary.NativeEndian.Uint32(raw[i:]))
	}
	fmt.Fprintf(&text, ":%04X", a.Port())
	return text.String()
}
