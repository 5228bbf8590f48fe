package gateway

import (
	"errors"
	"net"
)

// errPeerUnknown: the operating system did not say whose the connection is.
// Unknown is refused.
var errPeerUnknown = errors.New("gateway: the peer's user is not known")

// sameUser tells whether the program at the other end of a loopback connection
// runs as the agent's own user. Any other local user could else drive the card
// of the person who sits at the computer.
func sameUser(conn net.Conn) (bool, error) {
	local, ok := conn.LocalAddr().(*net.TCPAddr)
	if !ok {
		return false, errPeerUnknown
	}
	remote, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok || !remote.IP.IsLoopback() || !local.IP.IsLoopback() {
		return false, errPeerUnknown
	}
	return peerIsMine(local.AddrPort(), remote.AddrPort())
}
