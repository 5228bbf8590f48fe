package virtual

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/citel-pa/citel/agent/card/iso7816"
)

// Family is a maker's card: how it is told, and how it differs.
type Family struct {
	Name string
	ATR  []byte
	// PINReference is the PIN's P2: the masks of STIncard set bit 8.
	PINReference byte
}

func family(name, atr string, pin byte) Family {
	b, err := hex.DecodeString(strings.ReplaceAll(atr, " ", ""))
	if err != nil {
		panic(err) // a constant below
	}
	return Family{name, b, pin}
}

// Families of the CNS, by ATRs seen in the field (pcsc-tools' smartcard_list). The
// first is used where none is named. Version 1.0 cards have RSA-1024 keys,
// version 1.1 RSA-2048.
var Families = []Family{
	family("oberthur-1.1", "3B FF 18 00 00 81 31 FE 45 00 6B 11 05 07 00 01 11 01 43 4E 53 11 31 80 7B", 0x10),
	family("oberthur-1.0", "3B FF 18 00 00 81 31 FE 45 00 6B 04 05 01 00 01 21 01 43 4E 53 10 31 80 59", 0x10),
	family("incard-1.1", "3B FF 18 00 FF 81 31 FE 55 00 6B 02 09 03 03 01 11 01 43 4E 53 11 31 80 8C", 0x90),
	family("incard-1.0", "3B FF 18 00 FF 81 31 FE 55 00 6B 02 09 02 00 01 11 01 43 4E 53 10 31 80 8F", 0x90),
	family("athena-1.0", "3B DF 18 00 81 31 FE 7D 00 6B 04 0C 01 84 01 11 01 43 4E 53 10 31 80 FC", 0x10),
}

// FamilyByName finds one; empty is the first.
func FamilyByName(name string) (Family, bool) {
	for _, f := range Families {
		if f.Name == name || name == "" {
			return f, true
		}
	}
	return Family{}, false
}

// CNSOptions is what a virtual CNS holds.
type CNSOptions struct {
	Family      Family
	Certificate []byte // DER
	Key         *rsa.PrivateKey
	// ID is the card's number, 16 digits; it is in the certificate's name too.
	ID string
	// Personal are the sixteen fields of EF_DatiPersonali, in their order.
	Personal [16]string
	PIN, PUK string
	// Tries of the PIN; 0 is 3. The PUK has 10.
	Tries int
	// Application, when set, is the name of the application below which the files
	// are, as on newer chips; the MF has none of them.
	Application []byte
	// SignatureCertificate and SignatureKey are of the digital signature's folder
	// (1400), whose PIN is SignaturePIN; nil: the card has none.
	SignatureCertificate []byte
	SignatureKey         *rsa.PrivateKey
	SignaturePIN         string
}

// Sizes of the CNS file system.
const (
	personalSize    = 400
	certificateSize = 2048
	secretSize      = 8
	pukTries        = 10
	maxChain        = 4096
)

type secret struct {
	value     [secretSize]byte
	max, left int
}

func newSecret(text string, tries int) (secret, error) {
	s := secret{max: tries, left: tries}
	if len(text) < 5 || len(text) > secretSize {
		return s, fmt.Errorf("virtual: a PIN has 5 to %d digits", secretSize)
	}
	copy(s.value[:], bytes.Repeat([]byte{0xFF}, secretSize))
	copy(s.value[:], text)
	return s, nil
}

// check compares and counts.
func (s *secret) check(given []byte) iso7816.Status {
	if s.left == 0 {
		return iso7816.Blocked
	}
	if subtle.ConstantTimeCompare(given, s.value[:]) != 1 {
		s.left--
		return 0x63C0 | iso7816.Status(s.left) //nolint:gosec // 15 tries at most
	}
	s.left = s.max
	return iso7816.OK
}

// CNS is a virtual Carta Nazionale dei Servizi: the file system and the commands
// of the CNS functional specification 1.1.6 and file system v11 (AgID).
type CNS struct {
	o        CNSOptions
	files    map[string][]byte // path without 3F00, in hexadecimal
	folders  map[string]bool
	pin, puk secret
	signPIN  secret

	// forgotten at a reset
	inside   bool // the application is selected
	folder   string
	file     string
	verified map[*secret]bool
	crt      byte // B8 decipher, B6 sign; 0: no key chosen
	key      byte // its reference
	chain    []byte
	chainCmd [3]byte
}

// NewCNS makes a card.
func NewCNS(o CNSOptions) (*CNS, error) {
	if o.Key == nil || len(o.Certificate) > certificateSize || len(o.ID) != 16 {
		return nil, errors.New("virtual: a CNS has a key, a certificate of at most 2048 bytes, and a number of 16 digits")
	}
	if o.Family.ATR == nil {
		o.Family = Families[0]
	}
	if o.Tries == 0 {
		o.Tries = 3
	}
	c := &CNS{o: o}
	var err1, err2 error
	c.pin, err1 = newSecret(o.PIN, o.Tries)
	c.puk, err2 = newSecret(o.PUK, pukTries)
	personal, err3 := personalFile(o.Personal)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	if o.SignatureKey != nil {
		if len(o.SignatureCertificate) > certificateSize {
			return nil, errors.New("virtual: a signature certificate of at most 2048 bytes")
		}
		var err error
		if c.signPIN, err = newSecret(o.SignaturePIN, o.Tries); err != nil {
			return nil, err
		}
	}
	c.Reset()
	c.folders = map[string]bool{"": true, "1000": true, "1100": true, "1200": true, "1400": true}
	c.files = map[string][]byte{
		"2f02":     append([]byte{0x5A, 8}, bcd(o.ID)...),
		"10001002": make([]byte, 54),
		"10001003": []byte(o.ID),
		"11001101": append(bytes.Clone(o.Certificate), make([]byte, certificateSize-len(o.Certificate))...),
		"11001102": personal,
		"12001201": make([]byte, 160),
		"12001202": make([]byte, 2),
		"12001203": make([]byte, 160),
	}
	if o.SignatureKey != nil {
		c.files["14009010"] = append(bytes.Clone(o.SignatureCertificate), make([]byte, certificateSize-len(o.SignatureCertificate))...)
		c.folders["14008110"] = true
	}
	return c, nil
}

func bcd(digits string) []byte {
	b, err := hex.DecodeString(digits)
	if err != nil {
		return make([]byte, len(digits)/2)
	}
	return b
}

// personalFile writes EF_DatiPersonali: six hexadecimal characters for the length
// of all, then for each field two for its own and the value.
func personalFile(fields [16]string) ([]byte, error) {
	var body strings.Builder
	for _, f := range fields {
		if len(f) > 0xFF {
			return nil, errors.New("virtual: a personal datum is too long")
		}
		fmt.Fprintf(&body, "%02X%s", len(f), f)
	}
	text := fmt.Sprintf("%06X%s", body.Len(), body.String())
	if len(text) > personalSize {
		return nil, errors.New("virtual: the personal data do not fit")
	}
	return append([]byte(text), make([]byte, personalSize-len(text))...), nil
}

// ATR of the card's family.
func (c *CNS) ATR() []byte { return c.o.Family.ATR }

// TriesLeft of the PIN, for tests.
func (c *CNS) TriesLeft() int { return c.pin.left }

// Reset forgets the PIN, the selection, and a chain.
func (c *CNS) Reset() {
	c.inside, c.folder, c.file, c.crt, c.key, c.chain = false, "", "", 0, 0, nil
	c.verified = map[*secret]bool{}
}

// Transmit answers a command.
func (c *CNS) Transmit(apdu []byte) []byte {
	cmd, err := iso7816.ParseCommand(apdu)
	if err != nil {
		return answer(nil, iso7816.WrongLength)
	}
	if cmd.CLA&^0x10 != 0 {
		return answer(nil, iso7816.ClaNotSupported)
	}
	head := [3]byte{cmd.INS, cmd.P1, cmd.P2}
	if c.chain != nil && c.chainCmd != head {
		c.chain = nil // another command ends a chain
	}
	if cmd.CLA&0x10 != 0 {
		if len(c.chain)+len(cmd.Data) > maxChain {
			c.chain = nil
			return answer(nil, iso7816.WrongLength)
		}
		c.chain, c.chainCmd = append(append([]byte{}, c.chain...), cmd.Data...), head
		return answer(nil, iso7816.OK)
	}
	if c.chain != nil {
		cmd.Data, c.chain = append(c.chain, cmd.Data...), nil
	}
	return answer(c.run(cmd))
}

func answer(data []byte, sw iso7816.Status) []byte {
	return iso7816.Response{Data: data, SW: sw}.Bytes()
}

func (c *CNS) run(cmd iso7816.Command) ([]byte, iso7816.Status) {
	switch cmd.INS {
	case 0xA4:
		return c.selectFile(cmd)
	case 0xB0:
		return c.readBinary(cmd)
	case 0x20:
		return nil, c.verify(cmd)
	case 0x24:
		return nil, c.change(cmd)
	case 0x2C:
		return nil, c.unblock(cmd)
	case 0x22:
		return nil, c.environment(cmd)
	case 0x2A:
		return c.operate(cmd)
	case 0x84:
		if cmd.Le == iso7816.NoLe || cmd.Le > 256 {
			return nil, iso7816.WrongLength
		}
		out := make([]byte, cmd.Le)
		if _, err := rand.Read(out); err != nil {
			return nil, iso7816.NoDiagnosis
		}
		return out, iso7816.OK
	}
	return nil, iso7816.InsNotSupported
}

// selectFile: by path from the MF (08) or from here (09), by identifier (00, 02),
// by name (04; there is none).
func (c *CNS) selectFile(cmd iso7816.Command) ([]byte, iso7816.Status) {
	id := hex.EncodeToString(cmd.Data)
	var path string
	switch cmd.P1 {
	case 0x08:
		path = strings.TrimPrefix(id, "3f00")
	case 0x09, 0x02:
		path = c.folder + id
	case 0x00:
		switch {
		case id == "3f00" || id == "":
		case c.folders[id]:
			path = id
		default:
			path = c.folder + id
		}
	case 0x04:
		if c.o.Application == nil || !bytes.Equal(cmd.Data, c.o.Application) {
			return nil, iso7816.FileNotFound
		}
		c.inside, c.folder, c.file = true, "", ""
		return nil, iso7816.OK
	default:
		return nil, iso7816.WrongParameters
	}
	content, isFile := c.files[path]
	switch {
	case c.o.Application != nil && (!c.inside || cmd.P1 == 0x08):
		return nil, iso7816.FileNotFound
	case isFile:
		c.file, c.folder = path, path[:len(path)-4]
	case c.folders[path]:
		c.file, c.folder = "", path
	default:
		return nil, iso7816.FileNotFound
	}
	switch cmd.P2 {
	case 0x0C:
		return nil, iso7816.OK
	case 0x00, 0x04:
	default:
		return nil, iso7816.WrongParameters
	}
	kind, name := byte(0x38), path
	if isFile {
		kind = 0x01
	}
	if name == "" {
		name = "3f00"
	}
	fid, err := hex.DecodeString(name[len(name)-4:])
	if err != nil {
		return nil, iso7816.NoDiagnosis
	}
	fci := iso7816.AppendTLV(nil, 0x81, []byte{byte(len(content) >> 8), byte(len(content))})
	fci = iso7816.AppendTLV(fci, 0x82, []byte{kind})
	fci = iso7816.AppendTLV(fci, 0x83, fid)
	fci = iso7816.AppendTLV(fci, 0x86, make([]byte, 9))
	return iso7816.AppendTLV(nil, 0x6F, fci), iso7816.OK
}

func (c *CNS) readBinary(cmd iso7816.Command) ([]byte, iso7816.Status) {
	content, ok := c.files[c.file]
	offset := int(cmd.P1)<<8 | int(cmd.P2)
	switch {
	case cmd.P1&0x80 != 0:
		return nil, iso7816.FileNotFound // no short identifiers
	case !ok:
		return nil, iso7816.NoCurrentFile
	case cmd.Le == iso7816.NoLe:
		return nil, iso7816.WrongLength
	case offset > len(content):
		return nil, iso7816.OutOfRange
	}
	rest := content[offset:]
	if len(rest) < cmd.Le {
		return rest, iso7816.EndOfFile
	}
	return rest[:cmd.Le], iso7816.OK
}

// secretOf finds the PIN that P2 means; the signature's only in its own folder.
func (c *CNS) secretOf(p2 byte) (*secret, bool) {
	bit := c.o.Family.PINReference & 0x80
	switch {
	case p2 == c.o.Family.PINReference:
		return &c.pin, true
	case p2 == 0x1A|bit && c.o.SignatureKey != nil && c.folder == "14008110":
		return &c.signPIN, true
	}
	return nil, false
}

func (c *CNS) verify(cmd iso7816.Command) iso7816.Status {
	pin, ok := c.secretOf(cmd.P2)
	switch {
	case cmd.P1 != 0 || !ok:
		return iso7816.RefDataNotFound
	case len(cmd.Data) != secretSize:
		return iso7816.WrongLength
	}
	sw := pin.check(cmd.Data)
	c.verified[pin] = sw == iso7816.OK
	return sw
}

func (c *CNS) change(cmd iso7816.Command) iso7816.Status {
	pin, ok := c.secretOf(cmd.P2)
	switch {
	case cmd.P1 != 0 || !ok:
		return iso7816.RefDataNotFound
	case len(cmd.Data) != 2*secretSize:
		return iso7816.WrongLength
	}
	sw := pin.check(cmd.Data[:secretSize])
	if sw == iso7816.OK {
		copy(pin.value[:], cmd.Data[secretSize:])
	}
	return sw
}

func (c *CNS) unblock(cmd iso7816.Command) iso7816.Status {
	pin, ok := c.secretOf(cmd.P2)
	switch {
	case cmd.P1 != 0 || !ok:
		return iso7816.RefDataNotFound
	case len(cmd.Data) != 2*secretSize:
		return iso7816.WrongLength
	}
	sw := c.puk.check(cmd.Data[:secretSize])
	if sw == iso7816.OK {
		copy(pin.value[:], cmd.Data[secretSize:])
		pin.left = pin.max
	}
	return sw
}

// environment is MANAGE SECURITY ENVIRONMENT, in the form of the CNS: F3 restores
// number 3, F1 chooses the key of a control reference template.
func (c *CNS) environment(cmd iso7816.Command) iso7816.Status {
	switch {
	case cmd.P1 == 0xF3 && cmd.P2 == 0x03, cmd.P1 == 0xF3 && cmd.P2 == 0x00:
		c.crt = 0
		return iso7816.OK
	case cmd.P1 == 0xF1 && (cmd.P2 == 0xB8 || cmd.P2 == 0xB6):
		ref, ok := iso7816.Find(cmd.Data, 0x83)
		if !ok || len(ref) != 1 || ref[0] != 0x01 && (ref[0] != 0x10 || c.o.SignatureKey == nil || c.folder != "14008110") {
			return iso7816.RefDataNotFound
		}
		c.crt, c.key = cmd.P2, ref[0]
		return iso7816.OK
	}
	return iso7816.WrongParameters
}

// operate is PERFORM SECURITY OPERATION: the key's raw operation over a block
// that the host padded.
func (c *CNS) operate(cmd iso7816.Command) ([]byte, iso7816.Status) {
	block := cmd.Data
	key, pin := c.o.Key, &c.pin
	if c.key == 0x10 {
		key, pin = c.o.SignatureKey, &c.signPIN
	}
	size := key.Size()
	switch op := uint16(cmd.P1)<<8 | uint16(cmd.P2); {
	case op == 0x8086 && c.crt == 0xB8:
		if len(block) != size+1 || block[0] != 0 { // the padding indicator
			return nil, iso7816.WrongLength
		}
		block = block[1:]
	case op == 0x9E9A && c.crt == 0xB6:
		if len(block) != size {
			return nil, iso7816.WrongLength
		}
	case op == 0x8086, op == 0x9E9A:
		return nil, iso7816.Conditions
	default:
		return nil, iso7816.WrongParameters
	}
	if !c.verified[pin] {
		return nil, iso7816.SecurityStatus
	}
	m := new(big.Int).SetBytes(block)
	if m.Cmp(key.N) >= 0 {
		return nil, iso7816.WrongData
	}
	return m.Exp(m, key.D, key.N).FillBytes(make([]byte, size)), iso7816.OK
}
