package cns

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"

	"github.com/citel-pa/citel/agent/card/iso7816"
	"github.com/citel-pa/citel/pkcs/cms"
)

// Family is what differs from maker to maker. The ATR's historical bytes name the
// mask (CNS functional specification 1.1.6, ATR): 00 6B, the chip's maker, the
// mask's maker, the system's version, and "CNS" with the specification's version.
type Family struct {
	Name string
	// PIN is the reference of the holder's PIN in P2 (ISO/IEC 7816-4, 11.6).
	PIN byte
}

// families by the mask's maker. The masks of STIncard want bit 8 of the PIN's
// reference set; all others seen do not.
var families = map[byte]Family{
	0x05: {"Oberthur", 0x10},
	0x08: {"Siemens", 0x10},
	0x09: {"STIncard", 0x90},
	0x0C: {"Athena", 0x10},
}

// generic is a CNS of a maker that we do not know.
var generic = Family{"", 0x10}

// maskAt is where the mask's maker stands, counted from the ATR's end: fifteen
// historical bytes and TCK.
const maskAt = 13

// Likely tells whether an answer to reset says CNS. Cards that do not say it may be
// one all the same.
func Likely(atr []byte) bool { return len(atr) > 16 && string(atr[len(atr)-7:len(atr)-4]) == "CNS" }

// FamilyOf reads a family out of an ATR. What it says is a hint: the card's files
// decide whether it is a CNS.
func FamilyOf(atr []byte) Family {
	// Historical bytes: 00 6B ic mask os os 01 x x 'C' 'N' 'S' version 31 80, TCK.
	if n := len(atr); Likely(atr) && atr[n-16] == 0x00 && atr[n-15] == 0x6B {
		if f, ok := families[atr[n-maskAt]]; ok {
			return f
		}
	}
	return generic
}

// Errors that callers decide on. Status words come as *iso7816.StatusError.
var (
	// ErrNotCNS: the card does not have the CNS's files.
	ErrNotCNS = errors.New("cns: the card is no CNS")
	// ErrPINLength: the PIN has 5 to 8 digits.
	ErrPINLength = errors.New("cns: a PIN has 5 to 8 digits")
)

const (
	maxRead        = 256  // of one READ BINARY
	maxCertificate = 8192 // of the whole file
	personalSize   = 400
	idSize         = 16
	secretSize     = 8
	minSecret      = 5
)

// Files by their path from the MF (CNS file system v11).
var (
	pathID       = []byte{0x10, 0x00, 0x10, 0x03}
	pathPersonal = []byte{0x11, 0x00, 0x11, 0x02}
)

// keySet is one of the card's keys with what goes with it.
type keySet struct {
	certificate []byte // path
	folder      []byte // to be selected before PIN and key are used; nil: none
	key, pin    byte   // references; the family's bit is added to the PIN's
}

var (
	authentication = keySet{certificate: []byte{0x11, 0x00, 0x11, 0x01}, key: 0x01, pin: 0x10}
	// The digital signature's folder is not part of the CNS's own specification;
	// cards that have it have it like this.
	signature = keySet{certificate: []byte{0x14, 0x00, 0x90, 0x10}, folder: []byte{0x14, 0x00, 0x81, 0x10}, key: 0x10, pin: 0x1A}
)

// applications are where newer chips keep the CNS's files, below an application of
// their own: Actalis ACe 2025, and STMicroelectronics 2022 over the antenna.
var applications = [][]byte{
	{0xA0, 0x00, 0x00, 0x05, 0x30, 0x00, 0x0B, 0x10, 0x40, 0x01, 0x02, 0x1A},
	{0xA0, 0x00, 0x00, 0x00, 0x95, 0x01, 0x00, 0x4D},
}

// Card is a CNS with which the caller has a transaction: nobody else's command
// comes between.
type Card struct {
	t      iso7816.Transmitter
	o      iso7816.Options
	family Family
	keys   keySet
	// application is selected before every path; nil: paths begin at the MF.
	application []byte
}

// New speaks to a card through t; atr tells its family.
func New(t iso7816.Transmitter, atr []byte, o iso7816.Options) *Card {
	return &Card{t: t, o: o, family: FamilyOf(atr), keys: authentication}
}

// Signature is the same card with its key for digital signatures, which has a
// certificate and a PIN of its own. Few cards have one: ErrNotCNS.
func (c *Card) Signature() *Card {
	other := *c
	other.keys = signature
	return &other
}

// Family is the maker's.
func (c *Card) Family() Family { return c.family }

func (c *Card) send(ctx context.Context, name string, cmd iso7816.Command) (iso7816.Response, error) {
	r, err := iso7816.Exchange(ctx, c.t, cmd, c.o)
	if err != nil {
		return r, fmt.Errorf("cns: %s: %w", name, err)
	}
	return r, nil
}

// open selects a file by its path.
func (c *Card) open(ctx context.Context, path []byte) error {
	cmd := iso7816.Command{INS: 0xA4, P1: 0x08, P2: 0x0C, Data: path, Le: iso7816.NoLe}
	if c.application != nil {
		// 09: from the current folder, which is the application's.
		cmd.P1 = 0x09
		if err := c.choose(ctx, iso7816.Command{INS: 0xA4, P1: 0x04, P2: 0x0C, Data: c.application, Le: iso7816.NoLe}); err != nil {
			return err
		}
	}
	return c.choose(ctx, cmd)
}

func (c *Card) choose(ctx context.Context, cmd iso7816.Command) error {
	r, err := c.send(ctx, "SELECT", cmd)
	if err != nil {
		return err
	}
	switch r.SW {
	case iso7816.OK:
		return nil
	case iso7816.FileNotFound, iso7816.InsNotSupported, iso7816.ClaNotSupported, iso7816.WrongParameters, iso7816.FuncNotSupported:
		return fmt.Errorf("%w: %w", ErrNotCNS, r.SW.Err("SELECT"))
	}
	return fmt.Errorf("cns: %w", r.SW.Err("SELECT"))
}

// read reads n bytes of the selected file from an offset, or less at its end.
func (c *Card) read(ctx context.Context, offset, n int) ([]byte, error) {
	var out []byte
	for len(out) < n {
		at := offset + len(out)
		r, err := c.send(ctx, "READ BINARY", iso7816.Command{INS: 0xB0, P1: byte(at >> 8), P2: byte(at), Le: min(n-len(out), maxRead)})
		if err != nil {
			return nil, err
		}
		out = append(out, r.Data...)
		switch {
		case len(out) > n:
			return nil, fmt.Errorf("%w: the card reads more than it was asked for", ErrFile)
		case r.SW == iso7816.EndOfFile, r.SW == iso7816.OutOfRange, r.SW == iso7816.OK && len(r.Data) == 0:
			return out, nil
		case r.SW != iso7816.OK:
			return nil, fmt.Errorf("cns: %w", r.SW.Err("READ BINARY"))
		}
	}
	return out, nil
}

// Number is the card's number, 16 digits (EF_IDCarta). It finds out where the
// card keeps its files.
func (c *Card) Number(ctx context.Context) (string, error) {
	c.application = nil
	err := c.open(ctx, pathID)
	for _, name := range applications {
		if !errors.Is(err, ErrNotCNS) {
			break
		}
		c.application = name
		err = c.open(ctx, pathID)
	}
	if err != nil {
		return "", err
	}
	b, err := c.read(ctx, 0, idSize)
	if err != nil {
		return "", err
	}
	if len(b) != idSize {
		return "", fmt.Errorf("%w: the card's number has %d characters", ErrFile, len(b))
	}
	for _, x := range b {
		if x < '0' || x > '9' {
			return "", fmt.Errorf("%w: the card's number is no number", ErrFile)
		}
	}
	return string(b), nil
}

// Certificate is the holder's: for authentication EF_C_Carta.
func (c *Card) Certificate(ctx context.Context) (*x509.Certificate, error) {
	if err := c.open(ctx, c.keys.certificate); err != nil {
		return nil, err
	}
	// The file is padded; the certificate's own length says how much to read.
	der, err := c.read(ctx, 0, maxRead)
	if err != nil {
		return nil, err
	}
	n, err := iso7816.ElementLength(der)
	if err != nil || n > maxCertificate || len(der) > 0 && der[0] != 0x30 {
		return nil, fmt.Errorf("%w: no certificate in its file", ErrFile)
	}
	if n > len(der) {
		rest, err := c.read(ctx, len(der), n-len(der))
		if err != nil {
			return nil, err
		}
		der = append(der, rest...)
	}
	if n > len(der) {
		return nil, fmt.Errorf("%w: the certificate is cut off", ErrFile)
	}
	cert, err := x509.ParseCertificate(der[:n])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	return cert, nil
}

// Personal is EF_DatiPersonali.
func (c *Card) Personal(ctx context.Context) (PersonalData, error) {
	if err := c.open(ctx, pathPersonal); err != nil {
		return PersonalData{}, err
	}
	b, err := c.read(ctx, 0, personalSize)
	if err != nil {
		return PersonalData{}, err
	}
	return ParsePersonalData(b)
}

// pinReference is P2 of the commands about the PIN.
func (c *Card) pinReference() byte { return c.keys.pin | c.family.PIN&0x80 }

// PINCommand is VERIFY without the digits, for a reader with a keypad that puts them
// in: 8 bytes, filled with FF.
func (c *Card) PINCommand() []byte {
	return append([]byte{0x00, 0x20, 0x00, c.pinReference(), secretSize}, bytes.Repeat([]byte{0xFF}, secretSize)...)
}

// MinDigits and MaxDigits of a PIN.
const (
	MinDigits = minSecret
	MaxDigits = secretSize
)

// Judge reads a status word that came by way of the keypad.
func (c *Card) Judge(sw iso7816.Status) error { return judge("VERIFY", sw) }

func judge(name string, sw iso7816.Status) error {
	if sw == iso7816.RefDataUnusable { // as some masks say it
		return fmt.Errorf("cns: %w: %w", iso7816.ErrBlocked, sw.Err(name))
	}
	return sw.Verification(name)
}

// padded writes a PIN or PUK as the card keeps it: 8 bytes, filled with FF.
func padded(dst, secret []byte) ([]byte, error) {
	if len(secret) < minSecret || len(secret) > secretSize {
		return nil, ErrPINLength
	}
	dst = append(dst, secret...)
	for range secretSize - len(secret) {
		dst = append(dst, 0xFF)
	}
	return dst, nil
}

// secret sends one or two secrets; their copies are wiped.
func (c *Card) secret(ctx context.Context, name string, ins byte, secrets ...[]byte) error {
	data := make([]byte, 0, 2*secretSize)
	defer func() { clear(data[:cap(data)]) }()
	var err error
	for _, s := range secrets {
		if data, err = padded(data, s); err != nil {
			return err
		}
	}
	if c.keys.folder != nil {
		if err := c.open(ctx, c.keys.folder); err != nil {
			return err
		}
	}
	r, err := c.send(ctx, name, iso7816.Command{INS: ins, P2: c.pinReference(), Data: data, Le: iso7816.NoLe})
	if err != nil {
		return err
	}
	return judge(name, r.SW)
}

// Verify enters the PIN, once. The caller wipes pin.
func (c *Card) Verify(ctx context.Context, pin []byte) error {
	return c.secret(ctx, "VERIFY", 0x20, pin)
}

// Change sets a new PIN, given the old one.
func (c *Card) Change(ctx context.Context, old, fresh []byte) error {
	return c.secret(ctx, "CHANGE REFERENCE DATA", 0x24, old, fresh)
}

// Unblock sets a new PIN, given the PUK. The PIN's counter starts again.
func (c *Card) Unblock(ctx context.Context, puk, fresh []byte) error {
	return c.secret(ctx, "RESET RETRY COUNTER", 0x2C, puk, fresh)
}

// Sign makes an RSA PKCS#1 v1.5 signature; the PIN was verified before. The card
// does the bare operation, so the block is padded here (RFC 8017, 9.2). The key is
// reached as one for decipherment (PSO DECIPHER), as its certificate's use says
// and as it works on every card seen.
func (c *Card) Sign(ctx context.Context, key *rsa.PublicKey, digest []byte, h crypto.Hash) ([]byte, error) {
	message, err := cms.DigestInfo(h, digest)
	size := key.Size()
	if err != nil || size < len(message)+11 {
		return nil, fmt.Errorf("cns: no signature of %s with %d bits", h, 8*size)
	}
	block := make([]byte, 1+size) // the padding indicator 00 comes first
	block[2] = 0x01
	for i := 3; i < len(block)-len(message)-1; i++ {
		block[i] = 0xFF
	}
	copy(block[len(block)-len(message):], message)

	if c.keys.folder != nil {
		if err := c.open(ctx, c.keys.folder); err != nil {
			return nil, err
		}
	}
	for _, step := range []struct {
		name string
		cmd  iso7816.Command
	}{
		// The trailing 00 is what the CNS specification wants after RESTORE.
		{"MSE RESTORE", iso7816.Command{INS: 0x22, P1: 0xF3, P2: 0x03, Le: 256}},
		{"MSE SET", iso7816.Command{INS: 0x22, P1: 0xF1, P2: 0xB8, Data: []byte{0x83, 1, c.keys.key}, Le: iso7816.NoLe}},
	} {
		r, err := c.send(ctx, step.name, step.cmd)
		if err != nil {
			return nil, err
		}
		if r.SW != iso7816.OK {
			return nil, fmt.Errorf("cns: %w", r.SW.Err(step.name))
		}
	}
	r, err := c.send(ctx, "PSO DECIPHER", iso7816.Command{INS: 0x2A, P1: 0x80, P2: 0x86, Data: block, Le: 256})
	if err != nil {
		return nil, err
	}
	if r.SW != iso7816.OK {
		return nil, fmt.Errorf("cns: %w", r.SW.Err("PSO DECIPHER"))
	}
	if len(r.Data) != size {
		return nil, fmt.Errorf("cns: a signature of %d bytes: %w", len(r.Data), io.ErrUnexpectedEOF)
	}
	return r.Data, nil
}
