// Package iso7816 is what every card speaks: command and response APDUs (ISO/IEC
// 7816-3, 12.1 and 7816-4, 5), status words, and BER-TLV.
package iso7816

import (
	"errors"
	"fmt"
)

// NoLe is a Command's Le when no data is expected back.
const NoLe = -1

// MaxLe is the largest answer that can be asked for.
const MaxLe = 65536

// Command is a command APDU.
type Command struct {
	CLA, INS, P1, P2 byte
	Data             []byte
	// Le is how many bytes are expected at most: NoLe for none, 256 or 65536 for
	// "all there are" in the short and the extended form.
	Le int
}

// ErrAPDU means bytes that are no APDU, or one that cannot be written.
var ErrAPDU = errors.New("iso7816: not a valid APDU")

// Bytes writes the command, in the short form where it fits (ISO/IEC 7816-3, 12.1.3).
func (c Command) Bytes() ([]byte, error) {
	n, le := len(c.Data), c.Le
	if n > 65535 || le == 0 || le < NoLe || le > MaxLe {
		return nil, fmt.Errorf("%w: %d bytes, Le %d", ErrAPDU, n, le)
	}
	out := make([]byte, 0, 4+3+n+3)
	out = append(out, c.CLA, c.INS, c.P1, c.P2)
	if n <= 255 && le <= 256 {
		if n > 0 {
			out = append(append(out, byte(n)), c.Data...)
		}
		if le != NoLe {
			out = append(out, byte(le))
		}
		return out, nil
	}
	out = append(out, 0)
	if n > 0 {
		out = append(append(out, byte(n>>8), byte(n)), c.Data...)
	}
	if le != NoLe {
		out = append(out, byte(le>>8), byte(le))
	}
	return out, nil
}

// ParseCommand reads a command in any of the seven forms.
func ParseCommand(b []byte) (Command, error) {
	bad := func() (Command, error) { return Command{}, fmt.Errorf("%w: %d bytes", ErrAPDU, len(b)) }
	if len(b) < 4 {
		return bad()
	}
	c := Command{CLA: b[0], INS: b[1], P1: b[2], P2: b[3], Le: NoLe}
	body := b[4:]
	short := func(v byte) int {
		if v == 0 {
			return 256
		}
		return int(v)
	}
	extended := func(v []byte) int {
		if n := int(v[0])<<8 | int(v[1]); n != 0 {
			return n
		}
		return MaxLe
	}
	switch {
	case len(body) == 0: // case 1
	case len(body) == 1: // case 2 short
		c.Le = short(body[0])
	case body[0] != 0: // case 3 or 4 short
		n := int(body[0])
		switch len(body) {
		case 1 + n:
		case 2 + n:
			c.Le = short(body[1+n])
		default:
			return bad()
		}
		c.Data = body[1 : 1+n]
	case len(body) == 3: // case 2 extended
		c.Le = extended(body[1:])
	case len(body) > 3: // case 3 or 4 extended
		n := int(body[1])<<8 | int(body[2])
		switch {
		case n == 0:
			return bad()
		case len(body) == 3+n:
		case len(body) == 5+n:
			c.Le = extended(body[3+n:])
		default:
			return bad()
		}
		c.Data = body[3 : 3+n]
	default:
		return bad()
	}
	return c, nil
}

// Response is a response APDU.
type Response struct {
	Data []byte
	SW   Status
}

// ParseResponse reads a response; it has at least its status word.
func ParseResponse(b []byte) (Response, error) {
	if len(b) < 2 || len(b) > MaxLe+2 {
		return Response{}, fmt.Errorf("%w: a response of %d bytes", ErrAPDU, len(b))
	}
	n := len(b) - 2
	return Response{Data: b[:n:n], SW: Status(b[n])<<8 | Status(b[n+1])}, nil
}

// Bytes writes the response.
func (r Response) Bytes() []byte {
	return append(append(make([]byte, 0, len(r.Data)+2), r.Data...), byte(r.SW>>8), byte(r.SW))
}
