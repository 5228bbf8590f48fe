package doctor

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
)

// socket is where pcscd waits; PCSCLITE_CSOCK_NAME names another place
// (pcsc-lite, src/utils.c, getSocketName).
const socket = "/run/pcscd/pcscd.comm"

var daemons = []string{"/usr/sbin/pcscd", "/usr/local/sbin/pcscd", "/usr/bin/pcscd"}

// PCSC looks for pcscd and at its door. It is asked when PC/SC did not answer.
func PCSC(ctx context.Context) Service {
	name := os.Getenv("PCSCLITE_CSOCK_NAME")
	if name == "" {
		name = socket
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", name)
	if err == nil {
		_ = conn.Close()
		return ServiceRefused
	}
	if errors.Is(err, fs.ErrPermission) {
		return ServiceRefused
	}
	for _, d := range daemons {
		if _, err := os.Stat(d); err == nil {
			return ServiceStopped
		}
	}
	return ServiceMissing
}
