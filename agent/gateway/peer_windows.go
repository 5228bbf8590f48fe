package gateway

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Windows lists TCP connections with the process they belong to
// (GetExtendedTcpTable); the process's token says which user that is.
var procGetExtendedTCPTable = windows.NewLazySystemDLL("iphlpapi.dll").NewProc("GetExtendedTcpTable")

const (
	tableOwnerPIDConnections = 4 // TCP_TABLE_OWNER_PID_CONNECTIONS
	stateEstablished         = 5 // MIB_TCP_STATE_ESTAB
	rowLen4, rowLen6         = 24, 56
)

func peerIsMine(local, remote netip.AddrPort) (bool, error) {
	pid, err := peerPID(local, remote)
	if err != nil {
		return false, err
	}
	return processIsMine(pid)
}

func peerPID(local, remote netip.AddrPort) (uint32, error) {
	if local.Addr().Unmap().Is4() {
		table, err := tcpTable(windows.AF_INET)
		if err != nil {
			return 0, err
		}
		return findPID(table, rowLen4, parseRow4, remote, local)
	}
	table, err := tcpTable(windows.AF_INET6)
	if err != nil {
		return 0, err
	}
	return findPID(table, rowLen6, parseRow6, remote, local)
}

// tcpTable fetches one table: a count and so many rows of fixed length.
func tcpTable(family uint32) ([]byte, error) {
	size := uint32(16 << 10)
	for range 8 { // the table may grow between two calls
		buf := make([]byte, size)
		code, _, _ := procGetExtendedTCPTable.Call(uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&size)),
			0, uintptr(family), tableOwnerPIDConnections, 0)
		switch err := windows.Errno(code); {
		case code == 0:
			return buf, nil
		case errors.Is(err, windows.ERROR_INSUFFICIENT_BUFFER) && size < 64<<20:
			size += 4 << 10
		default:
			return nil, fmt.Errorf("%w: GetExtendedTcpTable: %w", errPeerUnknown, err)
		}
	}
	return nil, errPeerUnknown
}

type row struct {
	state         uint32
	local, remote netip.AddrPort
	pid           uint32
}

// parseRow4 reads MIB_TCPROW_OWNER_PID; ports are in network order in the low
// two bytes of a 32-bit field.
func parseRow4(b []byte) row {
	return row{
		state:  binary.LittleEndian.Uint32(b[0:]),
		local:  netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[8:])),
		remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[12:16])), binary.BigEndian.Uint16(b[16:])),
		pid:    binary.LittleEndian.Uint32(b[20:]),
	}
}

// parseRow6 reads MIB_TCP6ROW_OWNER_PID.
func parseRow6(b []byte) row {
	return row{
		local:  netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[0:16])), binary.BigEndian.Uint16(b[20:])),
		remote: netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[24:40])), binary.BigEndian.Uint16(b[44:])),
		state:  binary.LittleEndian.Uint32(b[48:]),
		pid:    binary.LittleEndian.Uint32(b[52:]),
	}
}

func findPID(table []byte, rowLen int, parse func([]byte) row, peerLocal, peerRemote netip.AddrPort) (uint32, error) {
	same := func(a, b netip.AddrPort) bool { return a.Port() == b.Port() && a.Addr().Unmap() == b.Addr().Unmap() }
	n := int(binary.LittleEndian.Uint32(table))
	for i, at := 0, 4; i < n && at+rowLen <= len(table); i, at = i+1, at+rowLen {
		if r := parse(table[at : at+rowLen]); r.state == stateEstablished && same(r.local, peerLocal) && same(r.remote, peerRemote) {
			return r.pid, nil
		}
	}
	return 0, errPeerUnknown
}

// processIsMine compares the user of a process with ours.
func processIsMine(pid uint32) (bool, error) {
	process, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, pid)
	if err != nil {
		return false, fmt.Errorf("%w: OpenProcess: %w", errPeerUnknown, err)
	}
	defer func() { _ = windows.CloseHandle(process) }()
	var token windows.Token
	if err := windows.OpenProcessToken(process, windows.TOKEN_QUERY, &token); err != nil {
		return false, fmt.Errorf("%w: OpenProcessToken: %w", errPeerUnknown, err)
	}
	defer func() { _ = token.Close() }()
	theirs, err := token.GetTokenUser()
	if err != nil {
		return false, fmt.Errorf("%w: %w", errPeerUnknown, err)
	}
	own, err := windows.OpenCurrentProcessToken()
	if err != nil {
		return false, fmt.Errorf("gateway: our own user: %w", err)
	}
	defer func() { _ = own.Close() }()
	ours, err := own.GetTokenUser()
	if err != nil {
		return false, fmt.Errorf("gateway: our own user: %w", err)
	}
	return theirs.User.Sid.Equals(ours.User.Sid), nil
}
