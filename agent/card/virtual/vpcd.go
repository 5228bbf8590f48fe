// Package virtual plays a smart card behind a real PC/SC reader: it speaks the
// protocol of vsmartcard's virtual reader (vpcd) to the real pcscd. It is written
// from the cards' specifications and shares nothing with the drivers but APDUs and
// BER-TLV, so that each side finds the other's faults.
package virtual

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Card is the card's side of the contacts. Its methods are called one at a time.
type Card interface {
	// ATR is the answer to reset.
	ATR() []byte
	// Reset forgets all that a reset or a power cycle makes a card forget.
	Reset()
	// Transmit answers one command APDU.
	Transmit(apdu []byte) []byte
}

// Control codes of the protocol; a longer message is a command APDU. The first
// three have no answer.
const (
	ctrlOff   = 0
	ctrlOn    = 1
	ctrlReset = 2
	ctrlATR   = 4
)

// Action is what happens at one APDU.
type Action int

// The actions of a Fault.
const (
	Pass      Action = iota // the card answers
	Replace                 // this answer instead, the card sees nothing
	CutBefore               // the link ends before the card sees the command
	CutAfter                // the card has seen the command, its answer is lost
	CutMiddle               // the link ends in the middle of the answer
)

// Faults makes a card slow, or wrong. The zero value changes nothing.
type Faults struct {
	// PerAPDU and PerByte (both ways) delay each exchange as a real card does.
	PerAPDU, PerByte time.Duration
	// At is asked before each APDU, counted from 1 since the card was put in.
	At func(n int, apdu []byte) (Action, []byte)

	mu          sync.Mutex
	apdus, size int
}

// Count gives how many APDUs went through and their bytes, both ways.
func (f *Faults) Count() (apdus, bytes int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.apdus, f.size
}

func (f *Faults) add(command, answer []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.apdus++
	f.size += len(command) + len(answer)
}

// errCut means that a fault ended the link.
var errCut = errors.New("virtual: the link was cut")

// Serve plays the card over one connection with the reader until it ends.
// Closing the connection takes the card out.
func Serve(ctx context.Context, conn net.Conn, card Card, faults *Faults) error {
	if faults == nil {
		faults = &Faults{}
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	for n := 0; ; {
		var head [2]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return ended(ctx, err)
		}
		message := make([]byte, binary.BigEndian.Uint16(head[:]))
		if _, err := io.ReadFull(conn, message); err != nil {
			return ended(ctx, err)
		}
		var err error
		switch {
		case len(message) == 1 && (message[0] == ctrlOff || message[0] == ctrlOn || message[0] == ctrlReset):
			card.Reset()
		case len(message) == 1 && message[0] == ctrlATR:
			err = write(conn, card.ATR())
		case len(message) > 1:
			n++
			err = exchange(conn, card, faults, n, message)
		}
		if err != nil {
			return ended(ctx, err)
		}
	}
}

func exchange(conn net.Conn, card Card, f *Faults, n int, apdu []byte) error {
	action, answer := Pass, []byte(nil)
	if f.At != nil {
		action, answer = f.At(n, apdu)
	}
	if action == CutBefore {
		_ = conn.Close()
		return errCut
	}
	if action != Replace {
		answer = card.Transmit(apdu)
	}
	f.add(apdu, answer)
	if d := f.PerAPDU + time.Duration(len(apdu)+len(answer))*f.PerByte; d > 0 {
		time.Sleep(d)
	}
	switch action {
	case CutAfter:
		_ = conn.Close()
		return errCut
	case CutMiddle:
		half := append([]byte{byte(len(answer) >> 8), byte(len(answer))}, answer[:len(answer)/2]...)
		_, _ = conn.Write(half)
		_ = conn.Close()
		return errCut
	}
	return write(conn, answer)
}

func write(w io.Writer, message []byte) error {
	out := binary.BigEndian.AppendUint16(nil, uint16(len(message))) //nolint:gosec // a card's answer has 64 KiB at most
	_, err := w.Write(append(out, message...))
	return err
}

func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, errCut) {
		return nil
	}
	return fmt.Errorf("virtual: %w", err)
}

// Reader is the place where a card is put in: pcscd's virtual reader (vpcd), which
// waits for its card's connection.
type Reader struct {
	// Dial connects to vpcd.
	Dial func(ctx context.Context) (net.Conn, error)

	mu     sync.Mutex
	cancel context.CancelFunc
	done   chan struct{}
}

// Insert puts a card in; one that is there is taken out first.
func (r *Reader) Insert(ctx context.Context, card Card, faults *Faults) error {
	r.Remove()
	conn, err := r.Dial(ctx)
	if err != nil {
		return fmt.Errorf("virtual: the reader (vpcd) does not answer: %w", err)
	}
	inside, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	r.mu.Lock()
	r.cancel, r.done = cancel, done
	r.mu.Unlock()
	go func() {
		defer close(done)
		defer func() { _ = conn.Close() }()
		_ = Serve(inside, conn, card, faults) // how a link ends is seen at the other side
	}()
	return nil
}

// Remove takes the card out; it returns when the link has ended.
func (r *Reader) Remove() {
	r.mu.Lock()
	cancel, done := r.cancel, r.done
	r.cancel, r.done = nil, nil
	r.mu.Unlock()
	if done == nil {
		return
	}
	cancel()
	<-done
}
