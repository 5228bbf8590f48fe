package cie

import (
	"context"
	"crypto/cipher"
	"crypto/des" //nolint:gosec // the cipher of the card's secure messaging
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/citel-pa/citel/agent/card/iso7816"
)

// Tags of the secure messaging data objects (ISO/IEC 7816-4, 10.2.1, table 48).
const (
	tagCryptogramOdd = 0x85 // in commands with an odd INS: no padding indicator
	tagCryptogram    = 0x87 // padding indicator, then the cryptogram
	tagLe            = 0x97
	tagStatus        = 0x99
	tagMAC           = 0x8E
)

const (
	blockSize = des.BlockSize
	keySize   = 16 // two-key triple DES
	macSize   = 8
	// maxPlain is the most of a command's data that one protected command
	// carries: with padding, MAC and Le its data field stays below 256 bytes.
	maxPlain = 0xE7
	// smClass marks protected commands, the header authenticated (ISO/IEC
	// 7816-4, 5.4.1, CLA bits 4 and 3).
	smClass = 0x0C
)

// ErrChannel means that secure messaging failed: an answer that the card did not
// protect, or not for this session. The card cannot be used any further without
// being begun with again.
var ErrChannel = errors.New("cie: secure messaging")

// channel is secure messaging with triple DES (IAS ECC 1.0.1, 7.1.9): CBC from a
// zero vector, and the retail MAC (ISO/IEC 9797-1, MAC algorithm 3) over the send
// sequence counter and the data objects.
type channel struct {
	cipher cipher.Block // K_ENC
	mac    [2]cipher.Block
	ssc    uint64
	broken error
}

// tripleDES makes k1, k2, k1 of a key of 16 bytes.
func tripleDES(key []byte) (cipher.Block, error) {
	return des.NewTripleDESCipher(append(append(make([]byte, 0, 24), key...), key[:8]...)) //nolint:gosec // as above
}

// newChannel begins with the keys of the session; ssc is the counter before the
// first command.
func newChannel(enc, mac []byte, ssc uint64) (*channel, error) {
	if len(enc) != keySize || len(mac) != keySize {
		return nil, fmt.Errorf("%w: keys of %d and %d bytes", ErrChannel, len(enc), len(mac))
	}
	c := &channel{ssc: ssc}
	var err1, err2, err3 error
	c.cipher, err1 = tripleDES(enc)
	c.mac[0], err2 = des.NewCipher(mac[:8]) //nolint:gosec // as above
	c.mac[1], err3 = tripleDES(mac)
	return c, errors.Join(err1, err2, err3)
}

// pad is ISO/IEC 9797-1, padding method 2: 80, then zeros to a whole block.
func pad(b []byte) []byte {
	out := append(append(make([]byte, 0, len(b)+blockSize), b...), 0x80)
	for len(out)%blockSize != 0 {
		out = append(out, 0)
	}
	return out
}

func unpad(b []byte) ([]byte, error) {
	for i := len(b) - 1; i >= 0 && i >= len(b)-blockSize; i-- {
		switch b[i] {
		case 0:
		case 0x80:
			return b[:i], nil
		default:
			return nil, fmt.Errorf("%w: padding", ErrChannel)
		}
	}
	return nil, fmt.Errorf("%w: padding", ErrChannel)
}

// retail is the MAC: DES in CBC mode with the first half of the key, the last
// block with both halves.
func (c *channel) retail(message []byte) []byte {
	message = pad(message)
	var state [blockSize]byte
	for i := 0; i < len(message); i += blockSize {
		subtle.XORBytes(state[:], state[:], message[i:i+blockSize])
		if i+blockSize < len(message) {
			c.mac[0].Encrypt(state[:], state[:])
		} else {
			c.mac[1].Encrypt(state[:], state[:])
		}
	}
	return state[:macSize]
}

func (c *channel) counter() []byte { return binary.BigEndian.AppendUint64(nil, c.ssc) }

// wrap protects one command whose data has at most maxPlain bytes.
func (c *channel) wrap(cmd iso7816.Command) iso7816.Command {
	c.ssc++
	out := iso7816.Command{CLA: cmd.CLA | smClass, INS: cmd.INS, P1: cmd.P1, P2: cmd.P2, Le: 256}
	var objects []byte
	if len(cmd.Data) > 0 {
		padded := pad(cmd.Data)
		value := make([]byte, 1+len(padded))
		value[0] = 0x01 // padded as above
		cipher.NewCBCEncrypter(c.cipher, make([]byte, blockSize)).CryptBlocks(value[1:], padded)
		clear(padded) // it may hold a PIN
		if cmd.INS&1 == 0 {
			objects = iso7816.AppendTLV(objects, tagCryptogram, value)
		} else {
			objects = iso7816.AppendTLV(objects, tagCryptogramOdd, value[1:])
		}
	}
	if cmd.Le != iso7816.NoLe {
		objects = iso7816.AppendTLV(objects, tagLe, []byte{byte(cmd.Le)})
	}
	message := pad(append(c.counter(), out.CLA, out.INS, out.P1, out.P2))
	out.Data = iso7816.AppendTLV(objects, tagMAC, c.retail(append(message, objects...)))
	return out
}

// unwrap checks one answer and gives what it protects.
func (c *channel) unwrap(r iso7816.Response) (iso7816.Response, error) {
	c.ssc++
	bad := func(why string) (iso7816.Response, error) {
		return iso7816.Response{}, fmt.Errorf("%w: %s", ErrChannel, why)
	}
	list, err := iso7816.ParseTLV(r.Data)
	if err != nil {
		return iso7816.Response{}, fmt.Errorf("%w: %w", ErrChannel, err)
	}
	// [cryptogram] status MAC, in this order and nothing else.
	var cryptogram *iso7816.TLV
	if len(list) == 3 {
		cryptogram, list = &list[0], list[1:]
	}
	if len(list) != 2 || list[0].Tag != tagStatus || len(list[0].Value) != 2 || list[1].Tag != tagMAC || len(list[1].Value) != macSize {
		return bad("an answer that is not protected")
	}
	covered := r.Data[:len(r.Data)-2-macSize]
	if subtle.ConstantTimeCompare(c.retail(append(c.counter(), covered...)), list[1].Value) != 1 {
		return bad("the answer's MAC")
	}
	out := iso7816.Response{SW: iso7816.Status(binary.BigEndian.Uint16(list[0].Value))}
	if cryptogram == nil {
		return out, nil
	}
	value := cryptogram.Value
	switch cryptogram.Tag {
	case tagCryptogramOdd:
	case tagCryptogram:
		if len(value) == 0 || value[0] != 0x01 {
			return bad("padding indicator")
		}
		value = value[1:]
	default:
		return bad("an unknown data object")
	}
	if len(value) == 0 || len(value)%blockSize != 0 {
		return bad("the cryptogram's length")
	}
	plain := make([]byte, len(value))
	cipher.NewCBCDecrypter(c.cipher, make([]byte, blockSize)).CryptBlocks(plain, value)
	out.Data, err = unpad(plain)
	return out, err
}

// send carries a command through the channel; long data goes in a chain whose
// links are protected one by one (ISO/IEC 7816-4, 5.3.3). After the first fault
// nothing is sent any more.
func (c *channel) send(ctx context.Context, t iso7816.Transmitter, cmd iso7816.Command, o iso7816.Options) (iso7816.Response, error) {
	for {
		part, last := cmd, len(cmd.Data) <= maxPlain
		if !last {
			part.CLA |= iso7816.Chaining
			part.Data, cmd.Data = cmd.Data[:maxPlain], cmd.Data[maxPlain:]
			part.Le = iso7816.NoLe
		}
		r, err := c.one(ctx, t, part, o)
		if err != nil || last || r.SW != iso7816.OK {
			return r, err
		}
	}
}

func (c *channel) one(ctx context.Context, t iso7816.Transmitter, cmd iso7816.Command, o iso7816.Options) (iso7816.Response, error) {
	if c.broken != nil {
		return iso7816.Response{}, c.broken
	}
	protected := c.wrap(cmd)
	defer clear(protected.Data)
	r, err := iso7816.Exchange(ctx, t, protected, o)
	if err == nil {
		switch {
		case len(r.Data) > 0:
			r, err = c.unwrap(r)
		case r.SW == iso7816.OK:
			err = fmt.Errorf("%w: a success that is not protected", ErrChannel)
		default:
			// The card refused outside the channel (e.g. 6988); the counters may
			// differ from here on.
			c.broken = fmt.Errorf("%w: %w", ErrChannel, r.SW.Err("secure messaging"))
			return r, nil
		}
	}
	if err != nil {
		c.broken = fmt.Errorf("%w: ended by an earlier fault", ErrChannel)
	}
	return r, err
}
