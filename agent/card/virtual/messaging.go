package virtual

import (
	"bytes"
	"crypto/cipher"
	"crypto/des" //nolint:gosec // what the card speaks
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"math/big"

	"github.com/citel-pa/citel/agent/card/iso7816"
)

// messaging is the card's end of secure messaging (ISO/IEC 7816-4, 10; IAS ECC
// 1.0.1, 7.1.9): two-key triple DES in CBC mode from a zero vector, and the MAC
// algorithm 3 of ISO/IEC 9797-1 with padding method 2.
type messaging struct {
	enc          cipher.Block
	first, final cipher.Block
	ssc          uint64
	next         uint64 // the counter after this answer; 0: no change
}

func newMessaging(enc, mac []byte) (*messaging, error) {
	whole := func(k []byte) []byte { return append(bytes.Clone(k), k[:8]...) }
	e, err1 := des.NewTripleDESCipher(whole(enc)) //nolint:gosec // as above
	f, err2 := des.NewCipher(mac[:8])             //nolint:gosec // as above
	l, err3 := des.NewTripleDESCipher(whole(mac)) //nolint:gosec // as above
	return &messaging{enc: e, first: f, final: l, ssc: 1}, errors.Join(err1, err2, err3)
}

// sum is the MAC over the counter and a text, padded here.
func (m *messaging) sum(text []byte) []byte {
	all := binary.BigEndian.AppendUint64(nil, m.ssc)
	all = append(append(all, text...), 0x80)
	all = append(all, make([]byte, (8-len(all)%8)%8)...)
	mac := make([]byte, 8)
	for at := 0; at < len(all); at += 8 {
		for i := range mac {
			mac[i] ^= all[at+i]
		}
		if at+8 == len(all) {
			m.final.Encrypt(mac, mac)
		} else {
			m.first.Encrypt(mac, mac)
		}
	}
	return mac
}

// open checks a protected command and gives the plain one.
func (m *messaging) open(cmd iso7816.Command) (iso7816.Command, iso7816.Status) {
	m.ssc++
	plain := iso7816.Command{CLA: cmd.CLA &^ 0x0C, INS: cmd.INS, P1: cmd.P1, P2: cmd.P2, Le: iso7816.NoLe}
	objects, err := iso7816.ParseTLV(cmd.Data)
	if err != nil || len(objects) == 0 {
		return plain, iso7816.SMMissing
	}
	last := objects[len(objects)-1]
	if last.Tag != 0x8E || len(last.Value) != 8 {
		return plain, iso7816.SMMissing
	}
	text := append([]byte{cmd.CLA, cmd.INS, cmd.P1, cmd.P2, 0x80, 0, 0, 0}, cmd.Data[:len(cmd.Data)-10]...)
	if subtle.ConstantTimeCompare(m.sum(text), last.Value) != 1 {
		return plain, iso7816.SMIncorrect
	}
	seen := uint32(0)
	for _, o := range objects[:len(objects)-1] {
		if o.Tag <= seen {
			return plain, iso7816.SMIncorrect // out of order, or twice
		}
		seen = o.Tag
		var ok bool
		switch {
		case o.Tag == 0x87 && cmd.INS&1 == 0 && len(o.Value) > 1 && o.Value[0] == 1:
			plain.Data, ok = m.decrypt(o.Value[1:])
		case o.Tag == 0x85 && cmd.INS&1 == 1:
			plain.Data, ok = m.decrypt(o.Value)
		case o.Tag == 0x97 && len(o.Value) == 1:
			plain.Le, ok = int(o.Value[0]), true
			if plain.Le == 0 {
				plain.Le = 256
			}
		}
		if !ok {
			return plain, iso7816.SMIncorrect
		}
	}
	return plain, iso7816.OK
}

func (m *messaging) decrypt(b []byte) ([]byte, bool) {
	if len(b) == 0 || len(b)%8 != 0 {
		return nil, false
	}
	out := make([]byte, len(b))
	cipher.NewCBCDecrypter(m.enc, make([]byte, 8)).CryptBlocks(out, b)
	end := bytes.LastIndexByte(out, 0x80)
	if end < len(out)-8 || end < 0 || len(bytes.Trim(out[end+1:], "\x00")) > 0 {
		return nil, false
	}
	return out[:end], true
}

// seal protects an answer.
func (m *messaging) seal(data []byte, sw iso7816.Status, ins byte) []byte {
	m.ssc++
	var out []byte
	if len(data) > 0 {
		padded := append(bytes.Clone(data), 0x80)
		padded = append(padded, make([]byte, (8-len(padded)%8)%8)...)
		cipher.NewCBCEncrypter(m.enc, make([]byte, 8)).CryptBlocks(padded, padded)
		if ins&1 == 1 {
			out = iso7816.AppendTLV(out, 0x85, padded)
		} else {
			out = iso7816.AppendTLV(out, 0x87, append([]byte{1}, padded...))
		}
	}
	out = iso7816.AppendTLV(out, 0x99, []byte{byte(sw >> 8), byte(sw)})
	return iso7816.AppendTLV(out, 0x8E, m.sum(out))
}

// group is the Diffie-Hellman group of the virtual cards.
type group struct{ p, q, g *big.Int }

// member: 1 < y < p-1, of the order q.
func (g group) member(y *big.Int) bool {
	one := big.NewInt(1)
	return y.Cmp(one) > 0 && y.Cmp(new(big.Int).Sub(g.p, one)) < 0 && new(big.Int).Exp(y, g.q, g.p).Cmp(one) == 0
}

// Parameters of FIPS 186-4, A.1.1.2 and A.2.1 (2048 and 256 bits), made for these
// cards by crypto/dsa; a test looks at them.
const (
	groupP = "D5A0DAF7C59AEEAC21D778720F4AF962ED48866E844AA7A3613CB6205890EBB12F31CD2EBB8B110816382C60E91ADF34" +
		"A302B30D194F6B72455D2DB60DB290F6FB7912483B036B6A1A8E1F49CC06A81FEF1447B08743053F888D91D50302DEB7" +
		"AAC53D67DE3C507A1304F447972A0E38EFCD184F6D239C2C9C4EDD5690781E1386B8B38A88FFDE6824DDB4E5F23C6DF4" +
		"63057C818CC5AFBC3C378369D4C6D8CE7D25A5418DEE99D072CE9BB6F903A2F4997F161C8311E28BD6C8C7BC1213C27E" +
		"ABB759C4496235CBBA1C82287A846CAD3FB310449AA533CA59F7C397452796E0E96CF824764CF75ACDE25E2382F80A0B" +
		"8D2F39F7BA2591FBC25B0CCAF2B01DE1"
	groupQ = "E7D2FEFCAE16C0E342DBFDC23896CB4F0D5E6E46ACB96FE48E1DB1C466147709"
	groupG = "9115C5329EDAAEECA6B3C8057B32C9EB55D44EA818DB8DEB0114C88356EA6D8DF22713E977D0C6E7948EE50746C2AE7F" +
		"D4961BDB8D676F8989D28CD77AFD3437D1A0EBC03D50CC4F604AC68527701862113F194958ECCD1F5681E9BBBA053150" +
		"15D342095CFEBA6D90B0F5BAB651CF411618EE6D47170D7F31C928FDAF5F24E65254388183E874495524CB3C5AD9380E" +
		"80DBC0E2B0B7F7BF8041BCE60FD787F8FFD4860877EE22A8459CDD150985574458E235E912B6E38314DE68A8BD760320" +
		"E79729A6676C85A7677D3A2D8690F927CC26230CA85DD4CF83FB0DA9BEE839A8BDB190AB1AB40F0D554B277EB6E941BE" +
		"5180D3FC8C6C54A363F2C815B496DB97"
)

func cieGroup() group {
	number := func(s string) *big.Int {
		n, ok := new(big.Int).SetString(s, 16)
		if !ok {
			panic("virtual: a constant of the group")
		}
		return n
	}
	return group{number(groupP), number(groupQ), number(groupG)}
}
