package cie

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync"

	"github.com/citel-pa/citel/agent/card/iso7816"
)

// ErrNotGenuine means that the chip did not prove to have its own key: a copy, or
// somebody between card and reader.
var ErrNotGenuine = errors.New("cie: the chip is not the one whose key it shows")

// terminalKey is the key that the terminal's certificate names. It proves nothing
// about anybody, since everyone has the role key; a fresh one for each process
// keeps a private key out of the source.
var terminalKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 8*modulusSize) })

// Warm makes the terminal's key ahead of its first use, which takes a tenth of a
// second or two.
func Warm() { _, _ = terminalKey() }

// serialIFD is the terminal's number in its certificate.
var serialIFD = []byte{0x20, 0, 0, 0, 0, 0, 0, 0x01}

// Parts of a terminal's certificate (IAS ECC 1.0.1, card verifiable certificates;
// IAS.cpp, DAPP).
const (
	profileIdentifier = 0x8A
	roleTerminal      = 0x01
	algorithmCert     = 0x41
	randomSize        = 8
	trailerBC         = 0xBC
	headerSix         = 0x6A
)

// oidDeviceAuth is the algorithm in the certificate: device authentication with
// RSA and SHA-256.
var oidDeviceAuth = []byte{0x2A, 0x81, 0x22, 0xF4, 0x2A, 0x02, 0x04, 0x01, 0x04}

// recoverable is how much of a message a signature of ISO/IEC 9796-2 (digital
// signature scheme 1) carries itself: all but 6A, the hash, and BC.
const recoverable = modulusSize - sha256.Size - 2

// recovery builds the block of ISO/IEC 9796-2 over what it carries and what is
// hashed.
func recovery(carried []byte, hashed ...[]byte) *big.Int {
	h := sha256.New()
	for _, b := range hashed {
		h.Write(b)
	}
	block := slices.Concat([]byte{headerSix}, carried, h.Sum(nil), []byte{trailerBC})
	return new(big.Int).SetBytes(block)
}

// certificate is the terminal's, signed with the role key.
func (r role) certificate() ([]byte, error) {
	key, err := terminalKey()
	if err != nil {
		return nil, fmt.Errorf("cie: the terminal's key: %w", err)
	}
	chr := append(make([]byte, 4), serialIFD...)
	body := slices.Concat([]byte{profileIdentifier}, r.car, chr, r.aid, []byte{roleTerminal}, oidDeviceAuth,
		key.N.FillBytes(make([]byte, modulusSize)), binary.BigEndian.AppendUint32(nil, uint32(key.E))) //nolint:gosec // 65537
	m := recovery(body[:recoverable], body)
	sig := new(big.Int).Exp(m, RoleExponent(), r.n)
	if new(big.Int).Exp(sig, r.e, r.n).Cmp(m) != 0 {
		return nil, fmt.Errorf("%w: the role key is another one than the State publishes", ErrCardData)
	}
	out := iso7816.AppendTLV(nil, 0x5F37, sig.FillBytes(make([]byte, modulusSize)))
	out = iso7816.AppendTLV(out, 0x5F38, body[recoverable:])
	out = iso7816.AppendTLV(out, 0x42, r.car)
	return iso7816.AppendTLV(nil, 0x7F21, out), nil
}

// authenticate is the mutual authentication of the devices, inside the channel:
// first the terminal proves its certificate's key, then the chip proves its own
// (IAS ECC 1.0.1, device authentication with privacy protection). Both hash the
// public values of the agreement, so that nobody sits in between.
func (c *Card) authenticate(ctx context.Context, chip *Chip, a *agreement) error {
	key, err := terminalKey()
	if err != nil {
		return fmt.Errorf("cie: the terminal's key: %w", err)
	}
	d := chip.Domain
	set := func(name string, p1, p2 byte, le int, objects ...[]byte) error {
		return c.command(ctx, name, iso7816.Command{INS: 0x22, P1: p1, P2: p2, Data: bytes.Join(objects, nil), Le: le})
	}
	tlv := func(tag uint32, value ...byte) []byte { return iso7816.AppendTLV(nil, tag, value) }
	if err := set("MSE SET (role key)", 0x81, 0xB6, 256, tlv(0x80, algorithmCert), tlv(0x83, keyRole)); err != nil {
		return err
	}
	if err := c.command(ctx, "PSO VERIFY CERTIFICATE", iso7816.Command{INS: 0x2A, P2: 0xAE, Data: chip.terminal, Le: iso7816.NoLe}); err != nil {
		return err
	}
	if err := set("MSE SET (terminal)", 0x81, 0xA4, iso7816.NoLe, tlv(0x83, append(make([]byte, 4), serialIFD...)...)); err != nil {
		return err
	}
	r, err := c.send(ctx, "GET CHALLENGE", iso7816.Command{INS: 0x84, Le: randomSize})
	if err != nil {
		return err
	}
	if r.SW != iso7816.OK || len(r.Data) != randomSize {
		return fmt.Errorf("cie: %w", unexpected(r, "GET CHALLENGE"))
	}
	challenge := r.Data
	carried := make([]byte, recoverable)
	if _, err := rand.Read(carried); err != nil {
		return fmt.Errorf("cie: random numbers: %w", err)
	}
	m := recovery(carried, carried, a.host, serialIFD, challenge, a.card, d.G, d.P, d.Q)
	proof := m.Exp(m, key.D, key.N).FillBytes(make([]byte, modulusSize))
	if err := c.command(ctx, "EXTERNAL AUTHENTICATE", iso7816.Command{INS: 0x82, Data: append(bytes.Clone(serialIFD), proof...), Le: iso7816.NoLe}); err != nil {
		return err
	}
	if err := set("MSE SET (chip)", 0x41, 0xA4, iso7816.NoLe, tlv(0x84, keyChip), tlv(0x80, algorithmDH)); err != nil {
		return err
	}
	ours := make([]byte, randomSize)
	if _, err := rand.Read(ours); err != nil {
		return fmt.Errorf("cie: random numbers: %w", err)
	}
	if r, err = c.send(ctx, "INTERNAL AUTHENTICATE (chip)", iso7816.Command{INS: 0x88, Data: ours, Le: iso7816.NoLe}); err != nil {
		return err
	}
	if r.SW != iso7816.OK {
		return fmt.Errorf("cie: %w", r.SW.Err("INTERNAL AUTHENTICATE (chip)"))
	}
	if err := chip.proves(r.Data, a, ours); err != nil {
		return err
	}
	c.channel.ssc = binary.BigEndian.Uint64(slices.Concat(challenge[4:], ours[4:]))
	return nil
}

// proves checks the chip's answer: its number and a signature of ISO/IEC 9796-2.
func (chip *Chip) proves(answer []byte, a *agreement, ours []byte) error {
	d := chip.Domain
	if len(answer) != 8+modulusSize {
		return fmt.Errorf("%w: an answer of %d bytes", ErrNotGenuine, len(answer))
	}
	serial, sig := answer[:8], new(big.Int).SetBytes(answer[8:])
	if sig.Cmp(chip.Key.N) >= 0 {
		return ErrNotGenuine
	}
	block := sig.Exp(sig, big.NewInt(int64(chip.Key.E)), chip.Key.N).FillBytes(make([]byte, modulusSize))
	carried := block[1 : 1+recoverable]
	want := recovery(carried, carried, a.card, serial, ours, a.host, d.G, d.P, d.Q).FillBytes(make([]byte, modulusSize))
	if subtle.ConstantTimeCompare(block, want) != 1 {
		return ErrNotGenuine
	}
	return nil
}
