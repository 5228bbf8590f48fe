package virtual

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	"testing"

	"github.com/citel-pa/citel/agent/card/iso7816"
)

func TestTheGroup(t *testing.T) {
	g := cieGroup()
	one := big.NewInt(1)
	if !g.p.ProbablyPrime(32) || !g.q.ProbablyPrime(32) || g.p.BitLen() != 2048 || g.q.BitLen() != 256 {
		t.Error("p and q")
	}
	if new(big.Int).Mod(new(big.Int).Sub(g.p, one), g.q).Sign() != 0 || !g.member(g.g) {
		t.Error("the order of g")
	}
	for _, bad := range []*big.Int{big.NewInt(0), one, new(big.Int).Sub(g.p, one), g.p, big.NewInt(2)} {
		if g.member(bad) {
			t.Errorf("%v is a member", bad.BitLen())
		}
	}
}

// host is the other end of the channel, written here a second time.
func protect(m *messaging, cmd iso7816.Command) iso7816.Command {
	out := iso7816.Command{CLA: cmd.CLA | 0x0C, INS: cmd.INS, P1: cmd.P1, P2: cmd.P2, Le: 256}
	m.ssc++
	var objects []byte
	if len(cmd.Data) > 0 {
		padded := append(bytes.Clone(cmd.Data), 0x80)
		padded = append(padded, make([]byte, (8-len(padded)%8)%8)...)
		for at, last := 0, make([]byte, 8); at < len(padded); at += 8 {
			for i := range 8 {
				padded[at+i] ^= last[i]
			}
			m.enc.Encrypt(padded[at:at+8], padded[at:at+8])
			last = padded[at : at+8]
		}
		objects = iso7816.AppendTLV(nil, 0x87, append([]byte{1}, padded...))
	}
	text := append([]byte{out.CLA, out.INS, out.P1, out.P2, 0x80, 0, 0, 0}, objects...)
	out.Data = iso7816.AppendTLV(objects, 0x8E, m.sum(text))
	return out
}

func pair(t testing.TB) (host, card *messaging) {
	t.Helper()
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		t.Fatal(err)
	}
	host, err1 := newMessaging(key[:16], key[16:])
	card, err2 := newMessaging(key[:16], key[16:])
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return host, card
}

// The card refuses every fault of a host: wrong MAC, wrong counter, wrong padding,
// missing or doubled objects.
func TestTheCardRefusesFaults(t *testing.T) {
	plain := iso7816.Command{INS: 0x20, P2: 0x81, Data: []byte("12345678"), Le: iso7816.NoLe}
	host, card := pair(t)
	if got, sw := card.open(protect(host, plain)); sw != iso7816.OK || !bytes.Equal(got.Data, plain.Data) {
		t.Fatalf("%s", sw)
	}
	reMAC := func(m *messaging, c iso7816.Command, objects []byte) iso7816.Command {
		c.Data = iso7816.AppendTLV(bytes.Clone(objects), 0x8E, m.sum(append([]byte{c.CLA, c.INS, c.P1, c.P2, 0x80, 0, 0, 0}, objects...)))
		return c
	}
	for name, change := range map[string]func(m *messaging, c iso7816.Command) iso7816.Command{
		"MAC":     func(_ *messaging, c iso7816.Command) iso7816.Command { c.Data[len(c.Data)-1] ^= 1; return c },
		"header":  func(_ *messaging, c iso7816.Command) iso7816.Command { c.P2 = 0x82; return c },
		"no MAC":  func(_ *messaging, c iso7816.Command) iso7816.Command { c.Data = c.Data[:len(c.Data)-10]; return c },
		"nothing": func(_ *messaging, c iso7816.Command) iso7816.Command { c.Data = nil; return c },
		"padding": func(m *messaging, c iso7816.Command) iso7816.Command {
			return reMAC(m, c, iso7816.AppendTLV(nil, 0x87, append([]byte{1}, make([]byte, 16)...)))
		},
		"padding indicator": func(m *messaging, c iso7816.Command) iso7816.Command {
			o := bytes.Clone(c.Data[:len(c.Data)-10])
			o[2] = 2
			return reMAC(m, c, o)
		},
		"length": func(m *messaging, c iso7816.Command) iso7816.Command {
			return reMAC(m, c, iso7816.AppendTLV(nil, 0x87, []byte{1, 2, 3}))
		},
		"twice": func(m *messaging, c iso7816.Command) iso7816.Command {
			o := c.Data[:len(c.Data)-10]
			return reMAC(m, c, append(bytes.Clone(o), o...))
		},
		"unknown object": func(m *messaging, c iso7816.Command) iso7816.Command {
			return reMAC(m, c, iso7816.AppendTLV(bytes.Clone(c.Data[:len(c.Data)-10]), 0x8C, []byte{1}))
		},
	} {
		host, card := pair(t)
		if _, sw := card.open(change(host, protect(host, plain))); sw == iso7816.OK {
			t.Errorf("%s: taken", name)
		}
	}
	host, card = pair(t)
	first := protect(host, plain)
	if _, sw := card.open(first); sw != iso7816.OK {
		t.Fatal(sw)
	}
	card.seal(nil, iso7816.OK, 0x20)
	if _, sw := card.open(first); sw != iso7816.SMIncorrect {
		t.Errorf("a command once more: %s", sw)
	}
}

func FuzzMessaging(f *testing.F) {
	f.Add([]byte{0x0C, 0x20, 0, 0x81, 4, 0x8E, 2, 1, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, card := pair(t)
		cmd, err := iso7816.ParseCommand(b)
		if err != nil {
			return
		}
		if _, sw := card.open(cmd); sw == iso7816.OK {
			t.Error("a forged command")
		}
	})
}

// A card in any state answers any command.
func FuzzCIE(f *testing.F) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		f.Fatal(err)
	}
	ds, err := NewDocumentSigner()
	if err != nil {
		f.Fatal(err)
	}
	c, err := NewCIE(CIEOptions{Certificate: ds.Certificate.Raw, Key: key, ServiceID: "123456789012", Serial: "CA00000AA", PIN: "12345678", PUK: "87654321",
		RoleExponent: big.NewInt(65537), SignerCertificate: ds.Certificate.Raw, Signer: ds.Key})
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{0, 0xA4, 4, 0x0C, 6, 0xA0, 0, 0, 0, 0, 0x39}, []byte{0, 0xB0, 0x81, 0, 0x0C})
	f.Add([]byte{0, 0x22, 0x41, 0xA6, 3, 0x80, 1, 0x9B}, []byte{0, 0xCB, 0x3F, 0xFF, 6, 0x4D, 4, 0xA6, 2, 0x91, 0})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		c.Reset()
		for _, apdu := range [][]byte{a, b, a} {
			if out := c.Transmit(apdu); len(out) < 2 {
				t.Errorf("%x", out)
			}
		}
		if c.session.verified || c.session.authenticated {
			t.Error("opened by chance")
		}
	})
}
