package cie

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"

	"github.com/citel-pa/citel/agent/card/iso7816"
)

// Domain are the Diffie-Hellman domain parameters: g of the prime order q in the
// group modulo the prime P. The bytes are kept as the card gave them, because they
// go into hashes.
type Domain struct{ G, P, Q []byte }

// Chip is what a card publishes about itself and never changes: a caller may keep
// it by the card's number. A card that is not the one it was read from does not
// pass device authentication with it.
type Chip struct {
	Domain Domain
	// Role is the key with which terminals' certificates are checked.
	Role role
	// Key is the chip's own, for its authentication (EF.IntAuth); KeyFile its file.
	Key     *rsa.PublicKey
	KeyFile []byte
	// terminal is the certificate that this process shows to the card.
	terminal []byte
}

// role is the certification authority of terminals as the card names it.
type role struct {
	n, e *big.Int
	car  []byte // certification authority reference, 8 bytes
	aid  []byte // of the authorisation, 6 bytes
}

// ErrCardData means that the card publishes something that cannot be used.
var ErrCardData = errors.New("cie: the card's public data")

const (
	modulusSize = 256 // RSA and Diffie-Hellman: 2048 bits
	minOrder    = 20
	tagDomain   = 0xBFA101
	tagRoleKey  = 0xBFA004
	algorithmDH = 0x9B
	keyDH       = 0x81
	keyRole     = 0x84
	keyChip     = 0x82
	keySign     = 0x81
)

// getData asks for a data object by its extended header list (ISO/IEC 7816-4,
// 8.4.7, 11.4.3; GET DATA with INS CB in the MF).
func (c *Card) getData(ctx context.Context, name string, list []byte) ([]byte, error) {
	r, err := c.send(ctx, name, iso7816.Command{INS: 0xCB, P1: 0x3F, P2: 0xFF, Data: iso7816.AppendTLV(nil, 0x4D, list), Le: iso7816.NoLe})
	if err != nil {
		return nil, err
	}
	if r.SW != iso7816.OK {
		return nil, fmt.Errorf("cie: %w", r.SW.Err(name))
	}
	return r.Data, nil
}

// domain reads the parameters one at a time, as every chip seen lets it be done
// (IAS.cpp, InitDHParam).
func (c *Card) domain(ctx context.Context) (Domain, error) {
	var d Domain
	for _, part := range []struct {
		tag  byte
		into *[]byte
	}{{0x97, &d.G}, {0x98, &d.P}, {0x99, &d.Q}} {
		b, err := c.getData(ctx, "GET DATA (Diffie-Hellman)", []byte{0x70, 0x08, 0xBF, 0xA1, 0x01, 0x04, 0xA3, 0x02, part.tag, 0x00})
		if err != nil {
			return d, err
		}
		value, ok := iso7816.Find(b, 0x70, tagDomain, 0xA3, uint32(part.tag))
		if !ok {
			return d, fmt.Errorf("%w: no parameter %02X", ErrCardData, part.tag)
		}
		*part.into = bytes.Clone(value)
	}
	return d, d.check()
}

// check refuses parameters in which the agreement would not be worth anything.
func (d Domain) check() error {
	p, q, g := new(big.Int).SetBytes(d.P), new(big.Int).SetBytes(d.Q), new(big.Int).SetBytes(d.G)
	switch {
	case len(d.P) != modulusSize || d.P[0] < 0x80, len(d.Q) < minOrder || len(d.Q) > modulusSize || d.Q[0] == 0, len(d.G) > modulusSize:
		return fmt.Errorf("%w: sizes of the Diffie-Hellman parameters", ErrCardData)
	case p.Bit(0) == 0, !between(g, p):
		return fmt.Errorf("%w: the Diffie-Hellman parameters", ErrCardData)
	case new(big.Int).Exp(g, q, p).Cmp(big.NewInt(1)) != 0:
		return fmt.Errorf("%w: g is not of the order q", ErrCardData)
	}
	return nil
}

// between: 1 < v < p-1 (NIST SP 800-56A, 5.6.2.3.1).
func between(v, p *big.Int) bool {
	return v.Cmp(big.NewInt(1)) > 0 && v.Cmp(new(big.Int).Sub(p, big.NewInt(1))) < 0
}

// roleKey reads the key of terminals' certificates (IAS.cpp, InitExtAuthKeyParam).
func (c *Card) roleKey(ctx context.Context) (role, error) {
	b, err := c.getData(ctx, "GET DATA (role key)", []byte{0x70, 0x07, 0xBF, 0xA0, keyRole & 0x7F, 0x03, 0x7F, 0x49, 0x80})
	if err != nil {
		return role{}, err
	}
	get := func(tag uint32) []byte {
		v, _ := iso7816.Find(b, 0x70, tagRoleKey, 0x7F49, tag)
		return v
	}
	n, e, chr, cha := get(0x81), get(0x82), get(0x5F20), get(0x5F4C)
	if len(n) != modulusSize || n[0] < 0x80 || len(e) == 0 || len(e) > modulusSize || len(chr) != 12 || len(cha) < 6 {
		return role{}, fmt.Errorf("%w: the role key", ErrCardData)
	}
	return role{n: new(big.Int).SetBytes(n), e: new(big.Int).SetBytes(e), car: bytes.Clone(chr[4:]), aid: bytes.Clone(cha[:6])}, nil
}

// chip reads all that the card publishes.
func (c *Card) chip(ctx context.Context) (*Chip, error) {
	d, err := c.domain(ctx)
	if err != nil {
		return nil, err
	}
	r, err := c.roleKey(ctx)
	if err != nil {
		return nil, err
	}
	file, err := c.file(ctx, fileChipKey, maxKeyFile)
	if err != nil {
		return nil, err
	}
	key, err := parseKey(file)
	if err != nil {
		return nil, err
	}
	terminal, err := r.certificate()
	if err != nil {
		return nil, err
	}
	return &Chip{Domain: d, Role: r, Key: key, KeyFile: file, terminal: terminal}, nil
}

// parseKey reads SEQUENCE { modulus, exponent } (RFC 8017, A.1.1, RSAPublicKey).
func parseKey(der []byte) (*rsa.PublicKey, error) {
	body, ok := iso7816.Find(der, 0x30)
	list, err := iso7816.ParseTLV(body)
	if !ok || err != nil || len(list) != 2 || list[0].Tag != 0x02 || list[1].Tag != 0x02 || len(list[1].Value) > 4 {
		return nil, fmt.Errorf("%w: the chip's key", ErrCardData)
	}
	n, e := new(big.Int).SetBytes(list[0].Value), new(big.Int).SetBytes(list[1].Value)
	if n.BitLen() != 8*modulusSize || e.BitLen() > 31 || e.Int64() < 3 || e.Bit(0) == 0 || n.Bit(0) == 0 {
		return nil, fmt.Errorf("%w: the chip's key", ErrCardData)
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
}

// agreement is what both sides have after the exchange.
type agreement struct {
	host, card []byte // public values, modulusSize bytes each
	enc, mac   []byte
}

func (a *agreement) wipe() {
	clear(a.enc)
	clear(a.mac)
}

// agree is the Diffie-Hellman exchange (IAS ECC 1.0.1, 5.2.3; IAS.cpp,
// DHKeyExchange).
func (c *Card) agree(ctx context.Context, d Domain) (*agreement, error) {
	p, q, g := new(big.Int).SetBytes(d.P), new(big.Int).SetBytes(d.Q), new(big.Int).SetBytes(d.G)
	x, public, err := ephemeral(g, p, q)
	if err != nil {
		return nil, err
	}
	defer x.SetInt64(0)
	a := &agreement{host: public}
	data := iso7816.AppendTLV(nil, 0x80, []byte{algorithmDH})
	data = iso7816.AppendTLV(data, 0x83, []byte{keyDH})
	data = iso7816.AppendTLV(data, 0x91, public)
	if err := c.command(ctx, "MSE SET (key agreement)", iso7816.Command{INS: 0x22, P1: 0x41, P2: 0xA6, Data: data, Le: iso7816.NoLe}); err != nil {
		return nil, err
	}
	b, err := c.getData(ctx, "GET DATA (the card's public value)", []byte{0xA6, 0x02, 0x91, 0x00})
	if err != nil {
		return nil, err
	}
	value, ok := iso7816.Find(b, 0xA6, 0x91)
	y := new(big.Int).SetBytes(value)
	if !ok || len(value) != modulusSize || !between(y, p) || new(big.Int).Exp(y, q, p).Cmp(big.NewInt(1)) != 0 {
		return nil, fmt.Errorf("%w: its Diffie-Hellman value", ErrCardData)
	}
	a.card = bytes.Clone(value)
	z := new(big.Int).Exp(y, x, p)
	secret := z.FillBytes(make([]byte, modulusSize))
	z.SetInt64(0)
	defer clear(secret)
	a.enc, a.mac = deriveKey(secret, 1), deriveKey(secret, 2)
	return a, nil
}

// ephemeral picks x below q, odd as the card's chips want it (IAS.cpp), until the
// public value has all its bytes: shorter ones are written in more than one way.
func ephemeral(g, p, q *big.Int) (x *big.Int, public []byte, err error) {
	for {
		if x, err = rand.Int(rand.Reader, q); err != nil {
			return nil, nil, fmt.Errorf("cie: random numbers: %w", err)
		}
		if x.SetBit(x, 0, 1).Cmp(q) >= 0 {
			continue
		}
		public = new(big.Int).Exp(g, x, p).FillBytes(make([]byte, modulusSize))
		if public[0] != 0 {
			return x, public, nil
		}
	}
}

// deriveKey is SHA-256 over the secret and a counter of four bytes, cut to the
// key's size (ANSI X9.63, 5.6.3, without shared info).
func deriveKey(secret []byte, counter byte) []byte {
	h := sha256.New()
	h.Write(secret)
	h.Write([]byte{0, 0, 0, counter})
	return h.Sum(nil)[:keySize]
}
