package iso7816

import (
	"context"
	"errors"
	"fmt"
)

// Transmitter carries one command APDU to a card and its answer back.
type Transmitter interface {
	Transmit(ctx context.Context, apdu []byte) ([]byte, error)
}

// Options of Exchange: what card and reader can do.
type Options struct {
	// MaxData is the most that one command of a chain carries; 0 is 255.
	MaxData int
	// Extended: long commands go in one extended APDU and not in a chain.
	Extended bool
	// T0: the card speaks T=0, in which a command with data has no Le; what it
	// answers is announced by 61xx (ISO/IEC 7816-3, 12.2.5).
	T0 bool
}

// Chaining is CLA's bit 5: not the last command (ISO/IEC 7816-4, 5.3.3.1).
const Chaining = 0x10

const (
	getResp = 0xC0
	// chainAndSM are the bits of CLA that GET RESPONSE does not take over: it
	// fetches an answer that is protected already.
	chainAndSM = Chaining | 0x0C
	// maxAnswer and maxRounds bound what a card can make us collect.
	maxAnswer = 64 << 10
	maxRounds = 512
)

// ErrAnswer means that a card answers without end.
var ErrAnswer = errors.New("iso7816: the card's answer is too long")

// Exchange sends a command and gives the whole answer: long data goes in a chain
// (ISO/IEC 7816-4, 5.3.3) or extended, 6Cxx is asked again once, and what 61xx
// announces is fetched (ISO/IEC 7816-4, 5.3.4). A status word that is not 9000 is
// no error here.
func Exchange(ctx context.Context, t Transmitter, c Command, o Options) (Response, error) {
	if o.T0 && len(c.Data) > 0 {
		c.Le = NoLe
	}
	piece := o.MaxData
	if piece <= 0 || piece > 255 {
		piece = 255
	}
	if !o.Extended {
		for len(c.Data) > piece {
			part := c
			part.CLA |= Chaining
			part.Data, c.Data = c.Data[:piece], c.Data[piece:]
			part.Le = NoLe
			r, err := send(ctx, t, part)
			if err != nil || r.SW != OK {
				return r, err
			}
		}
		if c.Le > 256 {
			c.Le = 256
		}
	}
	r, err := send(ctx, t, c)
	if err != nil {
		return r, err
	}
	if n, ok := r.SW.CorrectLe(); ok {
		c.Le = n
		if r, err = send(ctx, t, c); err != nil {
			return r, err
		}
	}
	data := r.Data
	for range maxRounds {
		n, ok := r.SW.More()
		if !ok {
			r.Data = data
			return r, nil
		}
		if r, err = send(ctx, t, Command{CLA: c.CLA &^ chainAndSM, INS: getResp, Le: n}); err != nil {
			return r, err
		}
		if le, again := r.SW.CorrectLe(); again {
			if r, err = send(ctx, t, Command{CLA: c.CLA &^ chainAndSM, INS: getResp, Le: le}); err != nil {
				return r, err
			}
		}
		if len(data)+len(r.Data) > maxAnswer {
			return Response{}, ErrAnswer
		}
		data = append(data[:len(data):len(data)], r.Data...)
	}
	return Response{}, ErrAnswer
}

func send(ctx context.Context, t Transmitter, c Command) (Response, error) {
	apdu, err := c.Bytes()
	if err != nil {
		return Response{}, err
	}
	// A command may hold a PIN.
	defer clear(apdu)
	answer, err := t.Transmit(ctx, apdu)
	if err != nil {
		return Response{}, fmt.Errorf("iso7816: INS %02X: %w", c.INS, err)
	}
	return ParseResponse(answer)
}
