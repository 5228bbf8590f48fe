package cie

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/citel-pa/citel/agent/card/iso7816"
	"github.com/citel-pa/citel/pkcs/cms"
)

// Errors that callers decide on. Status words come as *iso7816.StatusError.
var (
	// ErrNotCIE: the card does not have the CIE's applications.
	ErrNotCIE = errors.New("cie: the card is no CIE 3.0")
	// ErrSecret: PIN and PUK have 8 digits, all of them: the software that the
	// State gives away keeps half of the PIN on the computer and asks for the
	// other half, which is why people try four.
	ErrSecret = errors.New("cie: PIN and PUK have 8 digits")
	// ErrNeedsPIN: the card gives this only after its PIN.
	ErrNeedsPIN = errors.New("cie: the card wants its PIN first")
)

// Digits of PIN and PUK.
const Digits = 8

// Files and limits (sizes in bytes).
const (
	fileNumber      = 0xD003 // EF.SN_ICC, in the IAS application
	fileDomain      = 0xD004 // EF.DH
	fileServiceID   = 0x1001 // EF.IdServizi, in the CIE application
	fileSerial      = 0x1002
	fileCertificate = 0x1003
	fileChipKey     = 0x1004 // EF.IntAuth
	fileServiceKey  = 0x1005
	fileSOD         = 0x1006

	maxKeyFile     = 1024
	maxCertificate = 8192
	maxSOD         = 16384
	// readPlain and readProtected are the most of one READ BINARY: in the channel
	// an answer with all its objects stays below 256 bytes.
	readPlain, readProtected = 256, 224

	refPIN, refPUK = 0x81, 0x82
)

var (
	aidIAS = []byte{0xA0, 0x00, 0x00, 0x00, 0x30, 0x80, 0x00, 0x00, 0x00, 0x09, 0x81, 0x60, 0x01}
	aidCIE = []byte{0xA0, 0x00, 0x00, 0x00, 0x00, 0x39}
)

// Card is a CIE with which the caller has a transaction: nobody else's command
// comes between.
type Card struct {
	t       iso7816.Transmitter
	o       iso7816.Options
	channel *channel // nil before Secure
}

// New speaks to a card through t.
func New(t iso7816.Transmitter, o iso7816.Options) *Card { return &Card{t: t, o: o} }

// send goes through the channel once there is one.
func (c *Card) send(ctx context.Context, name string, cmd iso7816.Command) (r iso7816.Response, err error) {
	if c.channel != nil {
		r, err = c.channel.send(ctx, c.t, cmd, c.o)
	} else {
		r, err = iso7816.Exchange(ctx, c.t, cmd, c.o)
	}
	if err != nil {
		return r, fmt.Errorf("cie: %s: %w", name, err)
	}
	return r, nil
}

// command is send where nothing but 9000 will do.
func (c *Card) command(ctx context.Context, name string, cmd iso7816.Command) error {
	r, err := c.send(ctx, name, cmd)
	if err != nil {
		return err
	}
	if err := r.SW.Err(name); err != nil {
		return fmt.Errorf("cie: %w", err)
	}
	return nil
}

// absent are the answers of cards that do not know an application or a file.
func absent(sw iso7816.Status) bool {
	switch sw {
	case iso7816.FileNotFound, iso7816.InsNotSupported, iso7816.ClaNotSupported, iso7816.WrongParameters,
		iso7816.FuncNotSupported, iso7816.WrongLength, iso7816.WrongData, iso7816.Conditions:
		return true
	}
	return false
}

// Number selects the IAS application and gives the card's number, 12 digits of
// EF.SN_ICC. It needs no PIN and names nobody.
func (c *Card) Number(ctx context.Context) (string, error) {
	c.channel = nil // a new selection ends secure messaging
	r, err := c.send(ctx, "SELECT (IAS)", iso7816.Command{INS: 0xA4, P1: 0x04, P2: 0x0C, Data: aidIAS, Le: iso7816.NoLe})
	if err != nil {
		return "", err
	}
	if absent(r.SW) {
		// Some chips reach it by the MF alone (IAS.cpp, SelectAID_IAS).
		if r, err = c.send(ctx, "SELECT (MF)", iso7816.Command{INS: 0xA4, Le: iso7816.NoLe}); err != nil {
			return "", err
		}
	}
	if absent(r.SW) {
		return "", fmt.Errorf("%w: %w", ErrNotCIE, r.SW.Err("SELECT (IAS)"))
	}
	if r.SW != iso7816.OK {
		return "", fmt.Errorf("cie: %w", r.SW.Err("SELECT (IAS)"))
	}
	b, err := c.file(ctx, fileNumber, 256)
	if err != nil {
		return "", err
	}
	if len(b) < 11 {
		return "", fmt.Errorf("%w: EF.SN_ICC has %d bytes", ErrNotCIE, len(b))
	}
	// The CIE's own application makes it one: IAS ECC is on other countries' cards too.
	r, err = c.send(ctx, "SELECT (CIE)", iso7816.Command{INS: 0xA4, P1: 0x04, P2: 0x0C, Data: aidCIE, Le: iso7816.NoLe})
	if err != nil {
		return "", err
	}
	if absent(r.SW) {
		return "", fmt.Errorf("%w: %w", ErrNotCIE, r.SW.Err("SELECT (CIE)"))
	}
	if r.SW != iso7816.OK {
		return "", fmt.Errorf("cie: %w", r.SW.Err("SELECT (CIE)"))
	}
	return strings.ToUpper(hex.EncodeToString(b[5:11])), nil
}

// file reads an elementary file of the current application to its end, or no
// further than most.
func (c *Card) file(ctx context.Context, id uint16, most int) ([]byte, error) {
	// P2 = 04: the answer, file control parameters, is passed over (IAS.cpp, readfile).
	r, err := c.send(ctx, "SELECT (file)", iso7816.Command{INS: 0xA4, P1: 0x02, P2: 0x04, Data: []byte{byte(id >> 8), byte(id)}, Le: iso7816.NoLe})
	if err != nil {
		return nil, err
	}
	switch r.SW {
	case iso7816.OK:
	case iso7816.SecurityStatus:
		return nil, fmt.Errorf("%w: %w", ErrNeedsPIN, r.SW.Err("SELECT (file)"))
	case iso7816.FileNotFound:
		return nil, fmt.Errorf("%w: file %04X: %w", ErrNotCIE, id, r.SW.Err("SELECT (file)"))
	default:
		return nil, fmt.Errorf("cie: file %04X: %w", id, r.SW.Err("SELECT (file)"))
	}
	step := readPlain
	if c.channel != nil {
		step = readProtected
	}
	var out []byte
	for want := most; len(out) < want; {
		at := len(out)
		r, err := c.send(ctx, "READ BINARY", iso7816.Command{INS: 0xB0, P1: byte(at >> 8), P2: byte(at), Le: min(step, want-at)})
		if err != nil {
			return nil, err
		}
		switch {
		case r.SW == iso7816.SecurityStatus:
			return nil, fmt.Errorf("%w: %w", ErrNeedsPIN, r.SW.Err("READ BINARY"))
		case r.SW != iso7816.OK && r.SW != iso7816.EndOfFile && r.SW != iso7816.OutOfRange:
			return nil, fmt.Errorf("cie: file %04X: %w", id, r.SW.Err("READ BINARY"))
		case len(r.Data) > min(step, want-at):
			return nil, fmt.Errorf("%w: more than was asked for", ErrCardData)
		}
		out = append(out, r.Data...)
		if r.SW != iso7816.OK || len(r.Data) == 0 {
			break
		}
		// The file's own length, where it begins with one, saves the reading of
		// what it is padded with.
		if at == 0 && (out[0] == 0x30 || out[0] == 0x77) {
			n, err := iso7816.ElementLength(out)
			if err != nil || n > most {
				return nil, fmt.Errorf("%w: file %04X", ErrCardData, id)
			}
			want = n
		}
	}
	if len(out) > 0 && (out[0] == 0x30 || out[0] == 0x77) {
		n, err := iso7816.ElementLength(out)
		if err != nil || n > len(out) {
			return nil, fmt.Errorf("%w: file %04X is cut off", ErrCardData, id)
		}
		out = out[:n]
	}
	return out, nil
}

// Secure agrees on keys and authenticates both devices; Number has selected the
// applications before. known is what an earlier call gave for a card of this
// number, or nil to read it. From here on every command is protected.
func (c *Card) Secure(ctx context.Context, known *Chip) (*Chip, error) {
	chip := known
	if chip == nil {
		var err error
		if chip, err = c.chip(ctx); err != nil {
			return nil, err
		}
	}
	a, err := c.agree(ctx, chip.Domain)
	if err != nil {
		return nil, err
	}
	defer a.wipe()
	if c.channel, err = newChannel(a.enc, a.mac, 1); err != nil {
		return nil, err
	}
	if err := c.authenticate(ctx, chip, a); err != nil {
		c.channel.broken = fmt.Errorf("%w: no device authentication", ErrChannel)
		return nil, err
	}
	return chip, nil
}

// Certificate is the holder's. Most chips give it after the PIN only: ErrNeedsPIN.
func (c *Card) Certificate(ctx context.Context) (*x509.Certificate, error) {
	der, err := c.file(ctx, fileCertificate, maxCertificate)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%w: the certificate: %w", ErrCardData, err)
	}
	return cert, nil
}

func eightDigits(secret []byte) bool {
	if len(secret) != Digits {
		return false
	}
	for _, d := range secret {
		if d < '0' || d > '9' {
			return false
		}
	}
	return true
}

// secret sends PIN or PUK; the copy is wiped. Without a channel nothing is sent.
func (c *Card) secret(ctx context.Context, name string, ins, p1, p2 byte, secrets ...[]byte) error {
	if c.channel == nil {
		return fmt.Errorf("%w: none is there", ErrChannel)
	}
	data := make([]byte, 0, 2*Digits)
	defer func() { clear(data[:cap(data)]) }()
	for _, s := range secrets {
		if !eightDigits(s) {
			return ErrSecret
		}
		data = append(data, s...)
	}
	r, err := c.send(ctx, name, iso7816.Command{INS: ins, P1: p1, P2: p2, Data: data, Le: iso7816.NoLe})
	if err != nil {
		return err
	}
	if r.SW == iso7816.WrongLength { // as the State's middleware reads it
		return &iso7816.WrongError{TriesLeft: -1}
	}
	return r.SW.Verification(name)
}

// Verify enters the PIN, once. The caller wipes pin.
func (c *Card) Verify(ctx context.Context, pin []byte) error {
	return c.secret(ctx, "VERIFY", 0x20, 0, refPIN, pin)
}

// Change sets a new PIN, given the old one.
func (c *Card) Change(ctx context.Context, old, fresh []byte) error {
	if !eightDigits(fresh) {
		return ErrSecret
	}
	if err := c.Verify(ctx, old); err != nil {
		return err
	}
	return c.secret(ctx, "CHANGE REFERENCE DATA", 0x24, 0, refPIN, old, fresh)
}

// Unblock sets a new PIN, given the PUK. Ten wrong PUKs end the card for good.
func (c *Card) Unblock(ctx context.Context, puk, fresh []byte) error {
	if !eightDigits(fresh) {
		return ErrSecret
	}
	if err := c.secret(ctx, "VERIFY (PUK)", 0x20, 0, refPUK, puk); err != nil {
		return err
	}
	return c.secret(ctx, "RESET RETRY COUNTER", 0x2C, 0x02, refPIN, fresh)
}

// Sign makes an RSA PKCS#1 v1.5 signature; the PIN was verified before. The card
// pads what it is given, the DigestInfo is ours.
func (c *Card) Sign(ctx context.Context, key *rsa.PublicKey, digest []byte, h crypto.Hash) ([]byte, error) {
	if c.channel == nil {
		return nil, fmt.Errorf("%w: none is there", ErrChannel)
	}
	info, err := cms.DigestInfo(h, digest)
	if err != nil || len(info) > key.Size()-11 {
		return nil, fmt.Errorf("cie: no signature of %s with %d bits", h, 8*key.Size())
	}
	if err := c.command(ctx, "MSE SET (signature)", iso7816.Command{INS: 0x22, P1: 0x41, P2: 0xA4, Data: []byte{0x80, 1, 0x02, 0x84, 1, keySign}, Le: iso7816.NoLe}); err != nil {
		return nil, err
	}
	r, err := c.send(ctx, "INTERNAL AUTHENTICATE (signature)", iso7816.Command{INS: 0x88, Data: info, Le: iso7816.NoLe})
	if err != nil {
		return nil, err
	}
	if r.SW != iso7816.OK {
		return nil, fmt.Errorf("cie: %w", r.SW.Err("INTERNAL AUTHENTICATE (signature)"))
	}
	if len(r.Data) != key.Size() {
		return nil, fmt.Errorf("cie: a signature of %d bytes: %w", len(r.Data), io.ErrUnexpectedEOF)
	}
	return bytes.Clone(r.Data), nil
}

func unexpected(r iso7816.Response, command string) error {
	if err := r.SW.Err(command); err != nil {
		return err
	}
	return fmt.Errorf("%w: %s gives %d bytes", ErrCardData, command, len(r.Data))
}
