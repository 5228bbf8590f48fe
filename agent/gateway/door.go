package gateway

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/citel-pa/citel/agent/wire"
)

// maxConns bounds the connections that are open at once, handshakes included.
const maxConns = 128

// door is a listener that asks the system who is at the other end before a byte
// is read. Another local user is answered with the gate's code and hung up on at
// once, so that they cannot fill the places.
type door struct {
	net.Listener
	addr *net.TCPAddr
	log  *slog.Logger
	open atomic.Int64
	// hanging counts refusals on their way out.
	hanging atomic.Int64
}

func newDoor(l net.Listener, log *slog.Logger) *door {
	addr, _ := l.Addr().(*net.TCPAddr)
	return &door{Listener: l, addr: addr, log: log}
}

// peerConn is a connection with what the door knows of it.
type peerConn struct {
	net.Conn
	mine     bool
	listener *net.TCPAddr
	closed   atomic.Bool
	door     *door
}

// Accept waits for the next connection of our own user. The listener's error is
// passed on as it is: net/http tells passing ones from lasting ones by its type.
func (d *door) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		mine, err := sameUser(conn)
		if err != nil || !mine {
			d.log.Warn("connection refused", "code", wire.CodeUserRefused, "error", err)
			d.hangUp(conn, http.StatusForbidden, wire.CodeUserRefused)
			continue
		}
		if d.open.Add(1) > maxConns {
			d.open.Add(-1)
			d.hangUp(conn, http.StatusTooManyRequests, wire.CodeTooMany)
			continue
		}
		return &peerConn{Conn: conn, mine: true, listener: d.addr, door: d}, nil
	}
}

// maxHanging bounds the refusals that are answered; more are just closed.
const maxHanging = 16

// hangUp answers without reading, and does not hold up who comes next. What the
// other end sent meanwhile is read away for a moment, or its system would throw
// our answer away with the connection.
func (d *door) hangUp(conn net.Conn, status int, code wire.Code) {
	if d.hanging.Add(1) > maxHanging {
		d.hanging.Add(-1)
		_ = conn.Close()
		return
	}
	go func() {
		defer d.hanging.Add(-1)
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(200 * time.Millisecond))
		text := fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s\n",
			status, http.StatusText(status), len(code)+1, code)
		if _, err := conn.Write([]byte(text)); err != nil {
			return
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.CloseWrite()
		}
		_, _ = io.Copy(io.Discard, io.LimitReader(conn, maxHeader))
	}()
}

// Close gives the place back, once.
func (c *peerConn) Close() error {
	if c.closed.CompareAndSwap(false, true) {
		c.door.open.Add(-1)
	}
	return c.Conn.Close()
}

type connKey struct{}

func withConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// connOf is never nil: a request that did not come through the door is nobody's.
func connOf(ctx context.Context) *peerConn {
	if c, ok := ctx.Value(connKey{}).(*peerConn); ok {
		return c
	}
	return &peerConn{}
}
