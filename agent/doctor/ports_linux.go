package doctor

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// agentName is our own program's.
const agentName = "citel-agent"

// PortOwner finds the program that listens on a loopback port, through the socket's
// inode (proc(5), /proc/net/tcp).
func PortOwner(port int) Owner {
	f, err := os.Open("/proc/net/tcp")
	if err != nil {
		return Owner{}
	}
	defer func() { _ = f.Close() }()
	uid, inode, ok := listener(f, port)
	if !ok {
		return Owner{}
	}
	if uid != os.Getuid() {
		return Owner{Program: programOf(inode), Other: true}
	}
	name := programOf(inode)
	return Owner{Program: name, Agent: name == agentName}
}

// listening is TCP_LISTEN.
const listening = "0A"

// listener reads the table for a socket that waits on a port of 127.0.0.1, or of any
// address.
func listener(table io.Reader, port int) (uid int, inode string, ok bool) {
	lines := bufio.NewScanner(table)
	lines.Buffer(make([]byte, 0, 512), 4096)
	suffix := fmt.Sprintf(":%04X", port)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 10 || f[3] != listening || f[1] != "0100007F"+suffix && f[1] != "00000000"+suffix {
			continue
		}
		n, err := strconv.Atoi(f[7])
		if err != nil {
			return 0, "", false
		}
		return n, f[9], true
	}
	return 0, "", false
}

// programOf is the name of the program that has the socket open; those of other users
// show nothing, unless we are root.
func programOf(inode string) string {
	link := "socket:[" + inode + "]"
	pids, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return ""
	}
	for _, dir := range pids {
		fds, err := os.ReadDir(filepath.Join(dir, "fd"))
		if err != nil {
			continue
		}
		for _, fd := range fds {
			if to, err := os.Readlink(filepath.Join(dir, "fd", fd.Name())); err == nil && to == link {
				exe, err := os.Readlink(filepath.Join(dir, "exe"))
				if err != nil {
					return ""
				}
				return strings.TrimSuffix(filepath.Base(exe), " (deleted)")
			}
		}
	}
	return ""
}
