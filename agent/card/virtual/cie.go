package virtual

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/citel-pa/citel/agent/card/iso7816"
)

// CIEFamilies are chips of the CIE by their answers to reset, as they are
// registered with Windows by the State's middleware (italia/cie-middleware,
// CSP/StoreProvider.cpp); the last is one that no table had when it came out. The
// first is used where none is named.
var CIEFamilies = []Family{
	family("itj4a", "3B 8F 80 01 80 31 80 65 49 54 4A 34 41 12 0F FF 82 90 00 88", 0),
	family("gemalto", "3B 8F 80 01 80 31 80 65 B0 85 04 00 11 12 0F FF 82 90 00 8A", 0),
	family("nxp", "3B 8E 80 01 80 31 80 65 49 54 4E 58 50 12 0F FF 82 90 00 F0", 0),
	family("stm", "3B 8B 80 01 80 66 47 50 00 B8 00 7F 82 90 00 2E", 0),
	family("bare", "3B 80 80 01 01", 0),
	family("itj4l", "3B 8F 80 01 80 31 80 65 49 54 4A 34 4C 12 0F FF 82 90 00 85", 0),
}

// CIEFamilyByName finds one; empty is the first.
func CIEFamilyByName(name string) (Family, bool) {
	for _, f := range CIEFamilies {
		if f.Name == name || name == "" {
			return f, true
		}
	}
	return Family{}, false
}

// CIEOptions is what a virtual CIE holds.
type CIEOptions struct {
	Family      Family
	Certificate []byte // DER
	Key         *rsa.PrivateKey
	// ServiceID is the NIS, 12 digits; the card's number is made of the same.
	ServiceID string
	// Serial is printed on the card, 9 characters.
	Serial   string
	PIN, PUK string // 8 digits each
	// RoleExponent is the private exponent of the terminals' role key.
	RoleExponent *big.Int
	// SignerCertificate and Signer sign the security object.
	SignerCertificate []byte
	Signer            crypto.Signer
	// PSS signs the security object with RSASSA-PSS and SHA-512, as newer cards.
	PSS bool
	// OpenCertificate lets the certificate be read before the PIN.
	OpenCertificate bool
	// Tries of the PIN; 0 is 3. The PUK has 10.
	Tries int
}

const (
	cieDigits   = 8
	cieModulus  = 256
	cieCertSize = 2048
)

// CIE is a virtual Carta d'Identità Elettronica 3.0: the IAS ECC application with
// key agreement, device authentication and secure messaging, as
// italia/cie-middleware-linux (cie-pkcs11/CSP/IAS.cpp) speaks to it.
type CIE struct {
	o        CIEOptions
	files    map[string]map[uint16][]byte // by application
	pin, puk secret
	group    group
	role     *rsa.PublicKey // E is of no use: the exponent is a big one
	roleE    *big.Int
	chip     *rsa.PrivateKey
	service  *rsa.PrivateKey

	// forgotten at a reset
	session cieSession
}

// cieSession is what a reset, or a selection outside secure messaging, ends.
type cieSession struct {
	app      string
	file     uint16
	pending  []byte // of an answer, waiting for GET RESPONSE
	chain    []byte
	chainCmd [3]byte

	private, public, host *big.Int
	hostRaw               []byte
	sm                    *messaging
	terminal              *rsa.PublicKey // of the verified certificate
	terminalSerial        []byte
	chosen                bool // MSE SET named the terminal
	challenge             []byte
	authenticated         bool
	keyRef                byte
	verified, unblocking  bool
}

const (
	appNone = ""
	appIAS  = "ias"
	appCIE  = "cie"
)

// NewCIE makes a card; its own keys are new, which takes a second.
func NewCIE(o CIEOptions) (*CIE, error) {
	if o.Key == nil || o.Key.Size() != cieModulus || len(o.Certificate) > cieCertSize || len(o.ServiceID) != 12 || len(o.Serial) != 9 || o.RoleExponent == nil || o.Signer == nil {
		return nil, errors.New("virtual: a CIE has an RSA-2048 key, a certificate of at most 2048 bytes, a service number of 12 digits, a serial of 9 characters, and a signed security object")
	}
	if o.Family.ATR == nil {
		o.Family = CIEFamilies[0]
	}
	if o.Tries == 0 {
		o.Tries = 3
	}
	if len(o.PIN) != cieDigits || len(o.PUK) != cieDigits {
		return nil, errors.New("virtual: PIN and PUK of a CIE have 8 digits")
	}
	c := &CIE{o: o, group: cieGroup()}
	var errs [5]error
	c.pin, errs[0] = newSecret(o.PIN, o.Tries)
	c.puk, errs[1] = newSecret(o.PUK, pukTries)
	c.chip, errs[2] = rsa.GenerateKey(rand.Reader, 8*cieModulus)
	c.service, errs[3] = rsa.GenerateKey(rand.Reader, 8*cieModulus)
	c.role, c.roleE, errs[4] = roleKey(o.RoleExponent)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	return c, c.fill()
}

// roleKey finds a modulus for a private exponent that is given: two primes for
// which the exponent has an inverse, which is then the public one.
func roleKey(d *big.Int) (*rsa.PublicKey, *big.Int, error) {
	one := big.NewInt(1)
	for range 100 {
		p, err1 := rand.Prime(rand.Reader, 4*cieModulus)
		q, err2 := rand.Prime(rand.Reader, 4*cieModulus)
		if err := errors.Join(err1, err2); err != nil {
			return nil, nil, err
		}
		n := new(big.Int).Mul(p, q)
		p1, q1 := new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)
		lambda := new(big.Int).Div(new(big.Int).Mul(p1, q1), new(big.Int).GCD(nil, nil, p1, q1))
		if e := new(big.Int).ModInverse(d, lambda); e != nil && n.BitLen() == 8*cieModulus && p.Cmp(q) != 0 {
			return &rsa.PublicKey{N: n}, e, nil
		}
	}
	return nil, nil, errors.New("virtual: no modulus for this role exponent")
}

// publicKey is SEQUENCE { modulus, exponent }.
func publicKey(k *rsa.PublicKey) []byte {
	body := iso7816.AppendTLV(nil, 0x02, append([]byte{0}, k.N.Bytes()...))
	body = iso7816.AppendTLV(body, 0x02, big.NewInt(int64(k.E)).Bytes())
	return iso7816.AppendTLV(nil, 0x30, body)
}

// fill writes the files and signs the security object over them.
func (c *CIE) fill() error {
	number, err := hex.DecodeString(c.o.ServiceID)
	if err != nil {
		return errors.New("virtual: the service number has 12 digits")
	}
	domain := c.domain(0x97, 0x98, 0x99)
	ias := map[uint16][]byte{
		0xD003: append(append([]byte{0x5A, 0x0A, 0, 0, 0}, number...), 0),
		0xD004: domain,
	}
	cie := map[uint16][]byte{
		0x1001: []byte(c.o.ServiceID),
		0x1002: []byte(c.o.Serial),
		0x1003: append(bytes.Clone(c.o.Certificate), make([]byte, cieCertSize-len(c.o.Certificate))...),
		0x1004: publicKey(&c.chip.PublicKey),
		0x1005: publicKey(&c.service.PublicKey),
	}
	cie[0x1006], err = securityObject(c.o, []dataGroup{
		{0xA1, cie[0x1001]}, {0xA2, cie[0x1002]}, {0xA3, c.o.Certificate}, {0xA4, cie[0x1004]}, {0xA5, cie[0x1005]}, {0x1B, domain},
	})
	c.files = map[string]map[uint16][]byte{appIAS: ias, appCIE: cie}
	return err
}

// domain writes the Diffie-Hellman parameters that were asked for.
func (c *CIE) domain(tags ...byte) []byte {
	values := map[byte]*big.Int{0x97: c.group.g, 0x98: c.group.p, 0x99: c.group.q}
	var body []byte
	for _, tag := range tags {
		body = iso7816.AppendTLV(body, uint32(tag), values[tag].Bytes())
	}
	return iso7816.AppendTLV(nil, 0x70, iso7816.AppendTLV(nil, 0xBFA101, iso7816.AppendTLV(nil, 0xA3, body)))
}

// ATR of the chip.
func (c *CIE) ATR() []byte { return c.o.Family.ATR }

// TriesLeft of the PIN, for tests.
func (c *CIE) TriesLeft() int { return c.pin.left }

// Reset forgets everything but the counters.
func (c *CIE) Reset() { c.session = cieSession{} }

// Transmit answers a command, plain or protected.
func (c *CIE) Transmit(apdu []byte) []byte {
	cmd, err := iso7816.ParseCommand(apdu)
	if err != nil {
		return answer(nil, iso7816.WrongLength)
	}
	s := &c.session
	if cmd.INS == 0xC0 && (cmd.CLA == 0 || cmd.CLA == 0x0C) {
		return c.more(cmd)
	}
	s.pending = nil
	protected := cmd.CLA&0x0C == 0x0C
	if cmd.CLA&^0x1C != 0 || cmd.CLA&0x0C != 0 && !protected {
		return answer(nil, iso7816.ClaNotSupported)
	}
	if !protected {
		// A command in the clear ends secure messaging and what it gave.
		if s.sm != nil {
			app, file := s.app, s.file
			*s = cieSession{app: app, file: file}
		}
		data, sw, done := c.link(cmd)
		if !done {
			data, sw = c.run(cmd, data)
		}
		return c.give(data, sw)
	}
	if s.sm == nil {
		return answer(nil, iso7816.SMNotSupported)
	}
	plain, sw := s.sm.open(cmd)
	if sw != iso7816.OK {
		*s = cieSession{app: s.app} // the keys are gone
		return answer(nil, sw)
	}
	sm := s.sm
	data, sw, done := c.link(plain)
	if !done {
		data, sw = c.run(plain, data)
	}
	out := sm.seal(data, sw, plain.INS)
	if s.sm != nil && s.sm.next != 0 { // device authentication sets a new counter
		s.sm.ssc, s.sm.next = s.sm.next, 0
	}
	if sw != iso7816.OutOfRange && sw != iso7816.EndOfFile {
		sw = iso7816.OK // the real one is inside
	}
	return c.give(out, sw)
}

// link collects the commands of a chain; done is true for all but the last.
func (c *CIE) link(cmd iso7816.Command) (data []byte, sw iso7816.Status, done bool) {
	s := &c.session
	head := [3]byte{cmd.INS, cmd.P1, cmd.P2}
	if s.chain != nil && s.chainCmd != head {
		s.chain = nil
	}
	if cmd.CLA&0x10 != 0 {
		if len(s.chain)+len(cmd.Data) > maxChain {
			s.chain = nil
			return nil, iso7816.WrongLength, true
		}
		s.chain, s.chainCmd = append(append([]byte{}, s.chain...), cmd.Data...), head
		return nil, iso7816.OK, true
	}
	data = cmd.Data
	if s.chain != nil {
		data, s.chain = slices.Concat(s.chain, cmd.Data), nil
	}
	return data, iso7816.OK, false
}

// give sends up to 256 bytes at once; what is left waits (61xx; 6100 for 256 or
// more).
func (c *CIE) give(data []byte, sw iso7816.Status) []byte {
	if len(data) <= 256 {
		return answer(data, sw)
	}
	c.session.pending = data
	return answer(nil, 0x6100)
}

// more is GET RESPONSE.
func (c *CIE) more(cmd iso7816.Command) []byte {
	s := &c.session
	if len(s.pending) == 0 {
		return answer(nil, iso7816.Conditions)
	}
	n := min(256, len(s.pending))
	if cmd.Le != iso7816.NoLe {
		n = min(n, cmd.Le)
	}
	part := s.pending[:n]
	s.pending = s.pending[n:]
	switch left := len(s.pending); {
	case left == 0:
		return answer(part, iso7816.OK)
	case left >= 256:
		return answer(part, 0x6100)
	default:
		return answer(part, 0x6100|iso7816.Status(left)) //nolint:gosec // below 256
	}
}

func (c *CIE) run(cmd iso7816.Command, data []byte) ([]byte, iso7816.Status) {
	cmd.Data = data
	switch uint32(cmd.INS)<<16 | uint32(cmd.P1)<<8 | uint32(cmd.P2) {
	case 0xA4040C, 0xA40400, 0xA40000:
		return nil, c.selectApp(cmd)
	case 0xA40204, 0xA4020C:
		return c.selectFile(cmd)
	case 0xCB3FFF:
		return c.getData(cmd)
	case 0x2241A6:
		return nil, c.agree(cmd)
	case 0x2241A4:
		return nil, c.chooseKey(cmd)
	case 0x2281B6:
		return nil, c.chooseRole(cmd)
	case 0x2281A4:
		return nil, c.chooseTerminal(cmd)
	case 0x2A00AE:
		return nil, c.verifyCertificate(cmd)
	case 0x840000:
		return c.getChallenge(cmd)
	case 0x820000:
		return nil, c.external(cmd)
	case 0x880000:
		return c.internal(cmd)
	case 0x200081, 0x200082:
		return nil, c.verify(cmd)
	case 0x240081:
		return nil, c.change(cmd)
	case 0x2C0281, 0x2C0381:
		return nil, c.unblock(cmd)
	}
	switch cmd.INS {
	case 0xB0:
		return c.readBinary(cmd)
	case 0xA4, 0xCB, 0x22, 0x2A, 0x84, 0x82, 0x88, 0x20, 0x24, 0x2C:
		return nil, iso7816.WrongParameters
	}
	return nil, iso7816.InsNotSupported
}

var (
	aidIAS = "a0000000308000000009816001"
	aidCIE = "a00000000039"
)

// selectApp selects by name; or the MF, which is the IAS application.
func (c *CIE) selectApp(cmd iso7816.Command) iso7816.Status {
	app := ""
	switch id := hex.EncodeToString(cmd.Data); {
	case cmd.P1 == 0x04 && id == aidIAS, cmd.P1 == 0 && (id == "" || id == "3f00"):
		app = appIAS
	case cmd.P1 == 0x04 && id == aidCIE:
		app = appCIE
	default:
		return iso7816.FileNotFound
	}
	c.session.app, c.session.file = app, 0
	return iso7816.OK
}

// guarded files are the holder's: read in secure messaging, after the PIN.
func (c *CIE) guarded(id uint16) bool {
	return c.session.app == appCIE && (id == 0x1002 || id == 0x1003 && !c.o.OpenCertificate)
}

func (c *CIE) selectFile(cmd iso7816.Command) ([]byte, iso7816.Status) {
	if len(cmd.Data) != 2 {
		return nil, iso7816.WrongLength
	}
	id := uint16(cmd.Data[0])<<8 | uint16(cmd.Data[1])
	content, ok := c.files[c.session.app][id]
	if !ok {
		return nil, iso7816.FileNotFound
	}
	c.session.file = id
	if cmd.P2 == 0x0C {
		return nil, iso7816.OK
	}
	fcp := iso7816.AppendTLV(nil, 0x80, []byte{byte(len(content) >> 8), byte(len(content))})
	fcp = iso7816.AppendTLV(fcp, 0x82, []byte{0x01})
	fcp = iso7816.AppendTLV(fcp, 0x83, cmd.Data)
	return iso7816.AppendTLV(nil, 0x62, fcp), iso7816.OK
}

func (c *CIE) readBinary(cmd iso7816.Command) ([]byte, iso7816.Status) {
	s := &c.session
	offset := int(cmd.P1)<<8 | int(cmd.P2)
	if cmd.P1&0x80 != 0 { // a short identifier: the low half of the file's
		id := uint16(0x1000) | uint16(cmd.P1&0x1F)
		if _, ok := c.files[appCIE][id]; !ok || s.app != appCIE {
			return nil, iso7816.FileNotFound
		}
		s.file, offset = id, int(cmd.P2)
	}
	content, ok := c.files[s.app][s.file]
	switch {
	case !ok:
		return nil, iso7816.NoCurrentFile
	case c.guarded(s.file) && !(s.sm != nil && s.authenticated && s.verified):
		return nil, iso7816.SecurityStatus
	case cmd.Le == iso7816.NoLe:
		return nil, iso7816.WrongLength
	case offset >= len(content):
		return nil, iso7816.OutOfRange
	}
	rest := content[offset:]
	if len(rest) < cmd.Le {
		return rest, iso7816.EndOfFile
	}
	return rest[:cmd.Le], iso7816.OK
}

// getData answers the extended header lists that the dialogue uses.
func (c *CIE) getData(cmd iso7816.Command) ([]byte, iso7816.Status) {
	switch list := strings.ToUpper(hex.EncodeToString(cmd.Data)); list {
	case "4D087006BFA10102A380":
		return c.domain(0x97, 0x98, 0x99), iso7816.OK
	case "4D0A7008BFA10104A3029700":
		return c.domain(0x97), iso7816.OK
	case "4D0A7008BFA10104A3029800":
		return c.domain(0x98), iso7816.OK
	case "4D0A7008BFA10104A3029900":
		return c.domain(0x99), iso7816.OK
	case "4D097007BFA004037F4980":
		body := iso7816.AppendTLV(nil, 0x81, c.role.N.Bytes())
		body = iso7816.AppendTLV(body, 0x82, c.roleE.Bytes())
		body = iso7816.AppendTLV(body, 0x5F20, append([]byte{0, 0, 0, 0}, "CITELTST"...))
		body = iso7816.AppendTLV(body, 0x5F4C, []byte{0xA0, 0, 0, 0, 0, 0x39, 0x01})
		return iso7816.AppendTLV(nil, 0x70, iso7816.AppendTLV(nil, 0xBFA004, iso7816.AppendTLV(nil, 0x7F49, body))), iso7816.OK
	case "4D04A6029100":
		if c.session.public == nil {
			return nil, iso7816.Conditions
		}
		value := c.session.public.FillBytes(make([]byte, cieModulus))
		// The keys hold from this answer on.
		if err := c.beginMessaging(); err != nil {
			return nil, iso7816.NoDiagnosis
		}
		return iso7816.AppendTLV(nil, 0xA6, iso7816.AppendTLV(nil, 0x91, value)), iso7816.OK
	}
	return nil, iso7816.RefDataNotFound
}

// chooseKey is MSE SET AT: 81 signs, 82 is the chip's, 83 the services'.
func (c *CIE) chooseKey(cmd iso7816.Command) iso7816.Status {
	alg, _ := iso7816.Find(cmd.Data, 0x80)
	key, _ := iso7816.Find(cmd.Data, 0x84)
	if len(alg) != 1 || len(key) != 1 {
		return iso7816.WrongData
	}
	switch want := map[byte]byte{0x81: 0x02, 0x82: 0x9B, 0x83: 0x02}[key[0]]; {
	case want == 0 || c.session.app != appCIE:
		return iso7816.FuncNotSupported
	case alg[0] != want:
		return iso7816.WrongData
	}
	c.session.keyRef = key[0]
	return iso7816.OK
}

// internal is INTERNAL AUTHENTICATE with the key that was chosen.
func (c *CIE) internal(cmd iso7816.Command) ([]byte, iso7816.Status) {
	s := &c.session
	switch s.keyRef {
	case 0x82:
		return c.chipProof(cmd.Data)
	case 0x83:
		return sign(c.service, cmd.Data)
	case 0x81:
		if s.sm == nil || !s.authenticated || !s.verified {
			return nil, iso7816.SecurityStatus
		}
		return sign(c.o.Key, cmd.Data)
	}
	return nil, iso7816.Conditions
}

// sign pads with block type 01 whatever it is given (RFC 8017, 9.2).
func sign(key *rsa.PrivateKey, data []byte) ([]byte, iso7816.Status) {
	if len(data) == 0 || len(data) > key.Size()-11 {
		return nil, iso7816.WrongLength
	}
	block := bytes.Repeat([]byte{0xFF}, key.Size())
	block[0], block[1] = 0, 1
	copy(block[len(block)-len(data):], data)
	block[len(block)-len(data)-1] = 0
	return raw(key, block), iso7816.OK
}

func raw(key *rsa.PrivateKey, block []byte) []byte {
	m := new(big.Int).SetBytes(block)
	return m.Exp(m, key.D, key.N).FillBytes(make([]byte, key.Size()))
}

// inside: PIN commands come protected, from an authenticated terminal.
func (c *CIE) inside() bool { return c.session.sm != nil && c.session.authenticated }

func (c *CIE) verify(cmd iso7816.Command) iso7816.Status {
	switch {
	case !c.inside():
		return iso7816.SecurityStatus
	case len(cmd.Data) != cieDigits:
		return iso7816.WrongLength
	}
	if cmd.P2 == 0x82 {
		sw := c.puk.check(cmd.Data)
		c.session.unblocking = sw == iso7816.OK
		return sw
	}
	sw := c.pin.check(cmd.Data)
	c.session.verified = sw == iso7816.OK
	return sw
}

func (c *CIE) change(cmd iso7816.Command) iso7816.Status {
	switch {
	case !c.inside():
		return iso7816.SecurityStatus
	case len(cmd.Data) != 2*cieDigits:
		return iso7816.WrongLength
	}
	sw := c.pin.check(cmd.Data[:cieDigits])
	if sw == iso7816.OK {
		copy(c.pin.value[:], cmd.Data[cieDigits:])
	}
	return sw
}

// unblock is RESET RETRY COUNTER after the PUK: with a new PIN (02) or without (03).
func (c *CIE) unblock(cmd iso7816.Command) iso7816.Status {
	switch {
	case !c.inside() || !c.session.unblocking:
		return iso7816.SecurityStatus
	case cmd.P1 == 0x02 && len(cmd.Data) != cieDigits, cmd.P1 == 0x03 && len(cmd.Data) != 0:
		return iso7816.WrongLength
	}
	if cmd.P1 == 0x02 {
		copy(c.pin.value[:], cmd.Data)
	}
	c.pin.left = c.pin.max
	return iso7816.OK
}

// String names the card, for logs.
func (c *CIE) String() string { return fmt.Sprintf("CIE %s (%s)", c.o.ServiceID, c.o.Family.Name) }
