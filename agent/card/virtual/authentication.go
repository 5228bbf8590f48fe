package virtual

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"math/big"

	"github.com/citel-pa/citel/agent/card/iso7816"
)

// agree takes the host's Diffie-Hellman value.
func (c *CIE) agree(cmd iso7816.Command) iso7816.Status {
	alg, ok1 := iso7816.Find(cmd.Data, 0x80)
	key, ok2 := iso7816.Find(cmd.Data, 0x83)
	value, ok3 := iso7816.Find(cmd.Data, 0x91)
	y := new(big.Int).SetBytes(value)
	switch {
	case !ok1 || !ok2 || !ok3 || !bytes.Equal(alg, []byte{0x9B}) || !bytes.Equal(key, []byte{0x81}):
		return iso7816.RefDataNotFound
	case len(value) > cieModulus || !c.group.member(y):
		return iso7816.WrongData
	}
	x, err := rand.Int(rand.Reader, c.group.q)
	if err != nil {
		return iso7816.NoDiagnosis
	}
	s := &c.session
	s.private, s.host, s.hostRaw = x.SetBit(x, 0, 1), y, bytes.Clone(value)
	s.public = new(big.Int).Exp(c.group.g, x, c.group.p)
	return iso7816.OK
}

// beginMessaging derives the keys: SHA-256 over the secret and a counter.
func (c *CIE) beginMessaging() error {
	s := &c.session
	z := new(big.Int).Exp(s.host, s.private, c.group.p).FillBytes(make([]byte, cieModulus))
	enc := sha256.Sum256(append(bytes.Clone(z), 0, 0, 0, 1))
	mac := sha256.Sum256(append(z, 0, 0, 0, 2))
	sm, err := newMessaging(enc[:16], mac[:16])
	s.sm, s.private = sm, nil
	return err
}

// protectedOnly: device authentication is part of the channel.
func (c *CIE) protectedOnly() bool { return c.session.sm != nil }

// chooseRole is MSE SET for the key that checks terminals' certificates.
func (c *CIE) chooseRole(cmd iso7816.Command) iso7816.Status {
	alg, _ := iso7816.Find(cmd.Data, 0x80)
	key, _ := iso7816.Find(cmd.Data, 0x83)
	switch {
	case !c.protectedOnly():
		return iso7816.SecurityStatus
	case !bytes.Equal(alg, []byte{0x41}) || !bytes.Equal(key, []byte{0x84}):
		return iso7816.FuncNotSupported
	}
	c.session.keyRef = 0x84
	return iso7816.OK
}

// verifyCertificate is PSO VERIFY CERTIFICATE: a card verifiable certificate with
// message recovery (ISO/IEC 9796-2).
func (c *CIE) verifyCertificate(cmd iso7816.Command) iso7816.Status {
	s := &c.session
	if !c.protectedOnly() || s.keyRef != 0x84 {
		return iso7816.Conditions
	}
	sig, ok1 := iso7816.Find(cmd.Data, 0x7F21, 0x5F37)
	rest, ok2 := iso7816.Find(cmd.Data, 0x7F21, 0x5F38)
	car, ok3 := iso7816.Find(cmd.Data, 0x7F21, 0x42)
	if !ok1 || !ok2 || !ok3 || string(car) != "CITELTST" || len(sig) != cieModulus {
		return iso7816.WrongData
	}
	carried, hash, ok := recover9796(sig, c.roleE, c.role.N)
	if !ok {
		return iso7816.WrongData
	}
	body := append(bytes.Clone(carried), rest...)
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], hash) {
		return iso7816.WrongData
	}
	// profile 8A, CAR 8, CHR 12, CHA 7, OID 9, modulus 256, exponent 4
	if len(body) != 1+8+12+7+9+cieModulus+4 || body[0] != 0x8A || !bytes.Equal(body[1:9], car) || body[27] != 0x01 ||
		!bytes.Equal(body[28:37], []byte{0x2A, 0x81, 0x22, 0xF4, 0x2A, 0x02, 0x04, 0x01, 0x04}) {
		return iso7816.WrongData
	}
	e := new(big.Int).SetBytes(body[37+cieModulus:])
	s.terminal = &rsa.PublicKey{N: new(big.Int).SetBytes(body[37 : 37+cieModulus]), E: int(e.Int64())}
	s.terminalSerial = bytes.Clone(body[13:21])
	return iso7816.OK
}

// recover9796 opens a signature of ISO/IEC 9796-2: what it carries, and the hash.
func recover9796(sig []byte, e, n *big.Int) (carried, hash []byte, ok bool) {
	v := new(big.Int).SetBytes(sig)
	if v.Cmp(n) >= 0 || n.BitLen() != 8*cieModulus {
		return nil, nil, false
	}
	block := v.Exp(v, e, n).FillBytes(make([]byte, cieModulus))
	last := cieModulus - 1
	if block[0] != 0x6A || block[last] != 0xBC {
		return nil, nil, false
	}
	return block[1 : last-sha256.Size], block[last-sha256.Size : last], true
}

func (c *CIE) chooseTerminal(cmd iso7816.Command) iso7816.Status {
	s := &c.session
	name, ok := iso7816.Find(cmd.Data, 0x83)
	switch {
	case s.terminal == nil:
		return iso7816.Conditions
	case !ok || len(name) != 12 || !bytes.Equal(name[4:], s.terminalSerial):
		return iso7816.RefDataNotFound
	}
	s.chosen = true
	return iso7816.OK
}

func (c *CIE) getChallenge(cmd iso7816.Command) ([]byte, iso7816.Status) {
	if cmd.Le != 8 {
		return nil, iso7816.WrongLength
	}
	out := make([]byte, 8)
	if _, err := rand.Read(out); err != nil {
		return nil, iso7816.NoDiagnosis
	}
	c.session.challenge = bytes.Clone(out)
	return out, iso7816.OK
}

// external is EXTERNAL AUTHENTICATE: the terminal proves its key, over the public
// values of both sides.
func (c *CIE) external(cmd iso7816.Command) iso7816.Status {
	s := &c.session
	challenge := s.challenge
	s.challenge = nil // good for one try
	switch {
	case !c.protectedOnly() || s.terminal == nil || !s.chosen || challenge == nil:
		return iso7816.Conditions
	case len(cmd.Data) != 8+cieModulus || !bytes.Equal(cmd.Data[:8], s.terminalSerial):
		return iso7816.WrongData
	}
	carried, hash, ok := recover9796(cmd.Data[8:], big.NewInt(int64(s.terminal.E)), s.terminal.N)
	if !ok {
		return iso7816.AuthFailed
	}
	h := sha256.New()
	for _, b := range [][]byte{carried, s.hostRaw, s.terminalSerial, challenge, s.public.FillBytes(make([]byte, cieModulus)), c.group.g.Bytes(), c.group.p.Bytes(), c.group.q.Bytes()} {
		h.Write(b)
	}
	if !bytes.Equal(h.Sum(nil), hash) {
		return iso7816.AuthFailed
	}
	s.authenticated = true
	s.challenge = challenge // its half goes into the new counter
	return iso7816.OK
}

// chipProof signs both public values with the chip's key, and sets the counter
// from both challenges.
func (c *CIE) chipProof(theirs []byte) ([]byte, iso7816.Status) {
	s := &c.session
	switch {
	case !c.protectedOnly() || !s.authenticated || s.challenge == nil:
		return nil, iso7816.Conditions
	case len(theirs) != 8:
		return nil, iso7816.WrongLength
	}
	carried := make([]byte, cieModulus-sha256.Size-2)
	if _, err := rand.Read(carried); err != nil {
		return nil, iso7816.NoDiagnosis
	}
	serial := []byte("CITELCIE")
	h := sha256.New()
	for _, b := range [][]byte{carried, s.public.FillBytes(make([]byte, cieModulus)), serial, theirs, s.hostRaw, c.group.g.Bytes(), c.group.p.Bytes(), c.group.q.Bytes()} {
		h.Write(b)
	}
	block := append(append([]byte{0x6A}, carried...), append(h.Sum(nil), 0xBC)...)
	next := append(bytes.Clone(s.challenge[4:]), theirs[4:]...)
	s.challenge = nil
	s.sm.next = new(big.Int).SetBytes(next).Uint64()
	return append(serial, raw(c.chip, block)...), iso7816.OK
}
