package terminal

import (
	"os"
	"time"

	"golang.org/x/term"

	"github.com/citel-pa/citel/agent/consent"
)

// maxLine bounds a line; longer input is cut, which no answer survives.
const maxLine = 128

// tty is a terminal whose lines are edited by us: the system's own line editing
// would keep a copy of a PIN, and could not be left when time is up.
type tty struct{ f *os.File }

// raw switches line editing and echo off. The descriptor is borrowed, since
// os.File.Fd would make reads wait beyond their deadline.
func (t *tty) raw() (restore func(), err error) {
	conn, err := t.f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var state *term.State
	var inner error
	if err := conn.Control(func(fd uintptr) { state, inner = term.MakeRaw(int(fd)) }); err != nil {
		return nil, err
	}
	if inner != nil {
		return nil, inner
	}
	return func() {
		_ = t.f.SetReadDeadline(time.Time{})
		_ = conn.Control(func(fd uintptr) { _ = term.Restore(int(fd), state) })
	}, nil
}

// readLine reads up to Enter. What comes before ready is thrown away. Ctrl-C,
// Ctrl-D and Escape refuse.
func (t *tty) readLine(ready, deadline time.Time, secret bool) ([]byte, error) {
	if err := t.f.SetReadDeadline(deadline); err != nil {
		return nil, err
	}
	line := make([]byte, 0, maxLine) // never grows, so no copy of a PIN is left behind
	consent.Lock(line)
	one := make([]byte, 1)
	echo := func(s string) { _, _ = t.f.WriteString(s) }
	for {
		n, err := t.f.Read(one)
		if err != nil {
			return line, err
		}
		if n == 0 || time.Now().Before(ready) {
			continue
		}
		b := one[0]
		clear(one)
		switch {
		case b == '\r' || b == '\n':
			return line, nil
		case b == 3 || b == 4 || b == 27:
			clear(line)
			return nil, consent.ErrRefused
		case b == 8 || b == 127:
			if len(line) > 0 {
				line[len(line)-1] = 0
				line = line[:len(line)-1]
				echo("\b \b")
			}
		case b == 21: // Ctrl-U
			for range line {
				echo("\b \b")
			}
			clear(line)
			line = line[:0]
		case b < 32 || len(line) == maxLine:
		default:
			line = append(line, b)
			if secret {
				echo("*")
			} else {
				_, _ = t.f.Write([]byte{b}) // UTF-8 passes byte by byte
			}
		}
	}
}
