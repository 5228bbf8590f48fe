package cie_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/citel-pa/citel/agent/card/cie"
	"github.com/citel-pa/citel/agent/card/iso7816"
	"github.com/citel-pa/citel/agent/card/virtual"
	"github.com/citel-pa/citel/testdata/pki"
)

const (
	pin     = "12345678"
	puk     = "87654321"
	service = "123456789012"
)

// contacts joins driver and virtual card without a reader in between. at, when
// set, may answer in the card's place; answer may change what the card said.
type contacts struct {
	card   *virtual.CIE
	n      int
	at     func(n int, apdu []byte) ([]byte, bool)
	answer func(n int, apdu, response []byte) []byte
	sent   [][]byte
}

func (c *contacts) Transmit(_ context.Context, apdu []byte) ([]byte, error) {
	c.n++
	c.sent = append(c.sent, bytes.Clone(apdu))
	if c.at != nil {
		if answer, ok := c.at(c.n, apdu); ok {
			return answer, nil
		}
	}
	out := c.card.Transmit(apdu)
	if c.answer != nil {
		out = c.answer(c.n, apdu, out)
	}
	return out, nil
}

// signer signs the security objects of all tests.
var signer = sync.OnceValues(virtual.NewDocumentSigner)

func newCard(t testing.TB, change func(*virtual.CIEOptions)) (*virtual.CIE, *pki.Identity) {
	t.Helper()
	ds, err := signer()
	if err != nil {
		t.Fatal(err)
	}
	id := pki.Shared(t).MustIssue(t, pki.CIE, pki.RSA2048, pki.Citizens[1])
	key, ok := id.Key.(*rsa.PrivateKey)
	if !ok {
		t.Fatal("no RSA key")
	}
	o := virtual.CIEOptions{Certificate: id.Cert.Raw, Key: key, ServiceID: service, Serial: "CA00000AA", PIN: pin, PUK: puk,
		RoleExponent: cie.RoleExponent(), SignerCertificate: ds.Certificate.Raw, Signer: ds.Key}
	if change != nil {
		change(&o)
	}
	v, err := virtual.NewCIE(o)
	if err != nil {
		t.Fatal(err)
	}
	return v, id
}

// shared is one card for the tests that change nothing on it: its keys take a
// second to make.
func shared(t testing.TB) (*virtual.CIE, *pki.Identity) {
	sharedOnce.Do(func() { sharedCard, sharedID = newCard(t, nil) })
	if sharedCard == nil {
		t.Fatal("no card")
	}
	sharedCard.Reset()
	return sharedCard, sharedID
}

var (
	sharedOnce sync.Once
	sharedCard *virtual.CIE
	sharedID   *pki.Identity
)

// use does all that a login does.
func use(ctx context.Context, card *cie.Card, known *cie.Chip, secret string) (sig []byte, cert *x509.Certificate, err error) {
	if number, err := card.Number(ctx); err != nil || number != service {
		return nil, nil, errors.Join(err, errors.New("number "+number))
	}
	if _, err := card.Secure(ctx, known); err != nil {
		return nil, nil, err
	}
	if err := card.Verify(ctx, []byte(secret)); err != nil {
		return nil, nil, err
	}
	if cert, err = card.Certificate(ctx); err != nil {
		return nil, nil, err
	}
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, nil, errors.New("no RSA key")
	}
	sig, err = card.Sign(ctx, key, digest[:], crypto.SHA256)
	return sig, cert, err
}

var digest = sha256.Sum256([]byte("x"))

func TestEveryChip(t *testing.T) {
	for i, f := range virtual.CIEFamilies {
		t.Run(f.Name, func(t *testing.T) {
			v, id := newCard(t, func(o *virtual.CIEOptions) { o.Family, o.PSS = f, i%2 == 1 })
			c := &contacts{card: v}
			card := cie.New(c, iso7816.Options{})
			ctx := t.Context()
			if _, err := card.Number(ctx); err != nil {
				t.Fatal(err)
			}
			ds, _ := signer()
			roots := x509.NewCertPool()
			roots.AddCert(ds.Root)
			sod, err := card.SecurityObject(ctx, roots, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := card.SecurityObject(ctx, x509.NewCertPool(), time.Now()); !errors.Is(err, cie.ErrNotGenuine) {
				t.Errorf("a security object of nobody: %v", err)
			}
			chip, err := card.Secure(ctx, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := sod.Holds(cie.GroupChipKey, chip.KeyFile); err != nil {
				t.Error(err)
			}
			if err := sod.Holds(cie.GroupChipKey, chip.KeyFile[1:]); !errors.Is(err, cie.ErrNotGenuine) {
				t.Errorf("another chip's key: %v", err)
			}
			if _, err := card.Certificate(ctx); !errors.Is(err, cie.ErrNeedsPIN) {
				t.Errorf("the certificate without the PIN: %v", err)
			}
			var status *iso7816.StatusError
			key, _ := id.Cert.PublicKey.(*rsa.PublicKey)
			if _, err := card.Sign(ctx, key, digest[:], crypto.SHA256); !errors.As(err, &status) || status.SW != iso7816.SecurityStatus {
				t.Errorf("a signature without the PIN: %v", err)
			}
			if err := card.Verify(ctx, []byte(pin)); err != nil {
				t.Fatal(err)
			}
			cert, err := card.Certificate(ctx)
			if err != nil || !cert.Equal(id.Cert) {
				t.Fatalf("certificate: %v", err)
			}
			if err := sod.Holds(cie.GroupCertificate, cert.Raw); err != nil {
				t.Error(err)
			}
			for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
				sum := make([]byte, h.Size())
				sig, err := card.Sign(ctx, key, sum, h)
				if err != nil || rsa.VerifyPKCS1v15(key, h, sum, sig) != nil {
					t.Errorf("%s: %v", h, err)
				}
			}
			// Again, with what is known of the chip.
			before := c.n
			v.Reset()
			sig, _, err := use(ctx, cie.New(c, iso7816.Options{}), chip, pin)
			if err != nil || rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], sig) != nil {
				t.Errorf("again: %v", err)
			}
			t.Logf("%d APDUs with the chip known", c.n-before)
		})
	}
}

// No PIN goes over the contacts in the clear, whole or in part.
func TestThePINIsNeverInTheClear(t *testing.T) {
	v, _ := shared(t)
	c := &contacts{card: v}
	if _, _, err := use(t.Context(), cie.New(c, iso7816.Options{}), nil, pin); err != nil {
		t.Fatal(err)
	}
	for _, apdu := range c.sent {
		if bytes.Contains(apdu, []byte(pin)) || bytes.Contains(apdu, []byte(pin[:4])) || bytes.Contains(apdu, []byte(pin[4:])) {
			t.Errorf("%x", apdu)
		}
	}
	card := cie.New(c, iso7816.Options{})
	if err := card.Verify(t.Context(), []byte(pin)); !errors.Is(err, cie.ErrChannel) {
		t.Errorf("a PIN without a channel: %v", err)
	}
}

func TestPINs(t *testing.T) {
	v, _ := newCard(t, nil)
	ctx := t.Context()
	c := &contacts{card: v}
	var chip *cie.Chip
	open := func() *cie.Card {
		t.Helper()
		v.Reset()
		card := cie.New(c, iso7816.Options{})
		if _, err := card.Number(ctx); err != nil {
			t.Fatal(err)
		}
		var err error
		if chip, err = card.Secure(ctx, chip); err != nil {
			t.Fatal(err)
		}
		return card
	}
	wrong := func(err error, want int) {
		t.Helper()
		var e *iso7816.WrongError
		if !errors.As(err, &e) || e.TriesLeft != want {
			t.Errorf("%v, want %d tries left", err, want)
		}
	}
	card := open()
	before := c.n
	for _, bad := range []string{"", "1234", "1234567", "123456789", "1234567a"} {
		if err := card.Verify(ctx, []byte(bad)); !errors.Is(err, cie.ErrSecret) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if c.n != before {
		t.Error("half a PIN was sent")
	}
	wrong(card.Verify(ctx, []byte("99999999")), 2)
	if err := card.Change(ctx, []byte(pin), []byte("11112222")); err != nil {
		t.Fatal(err)
	}
	card = open()
	wrong(card.Verify(ctx, []byte(pin)), 2)
	wrong(card.Verify(ctx, []byte(pin)), 1)
	wrong(card.Verify(ctx, []byte(pin)), 0)
	if err := card.Verify(ctx, []byte("11112222")); !errors.Is(err, iso7816.ErrBlocked) {
		t.Errorf("blocked: %v", err)
	}
	wrong(card.Unblock(ctx, []byte("00000000"), []byte(pin)), 9)
	if err := card.Unblock(ctx, []byte(puk), []byte(pin)); err != nil {
		t.Fatal(err)
	}
	if err := open().Verify(ctx, []byte(pin)); err != nil {
		t.Errorf("after the PUK: %v", err)
	}
}

// A chip that has another key than the one it is known by.
func TestACopyIsNotGenuine(t *testing.T) {
	v, _ := shared(t)
	other, _ := newCard(t, nil)
	ctx := t.Context()
	card := cie.New(&contacts{card: other}, iso7816.Options{})
	if _, err := card.Number(ctx); err != nil {
		t.Fatal(err)
	}
	chip, err := card.Secure(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	// The role key differs from card to card here; take the rest.
	first := cie.New(&contacts{card: v}, iso7816.Options{})
	if _, err := first.Number(ctx); err != nil {
		t.Fatal(err)
	}
	mine, err := first.Secure(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	mine.Key = chip.Key
	v.Reset()
	if _, _, err := use(ctx, cie.New(&contacts{card: v}, iso7816.Options{}), mine, pin); !errors.Is(err, cie.ErrNotGenuine) {
		t.Errorf("a chip without the key: %v", err)
	}
	if v.TriesLeft() != 3 {
		t.Error("the PIN was sent to it")
	}
}

// Whatever is changed in a protected answer is found, and ends the channel.
func TestTheDriverRefusesFaults(t *testing.T) {
	v, id := shared(t)
	key, _ := id.Cert.PublicKey.(*rsa.PublicKey)
	ctx := t.Context()
	for name, change := range map[string]func(b []byte) []byte{
		"MAC":              func(b []byte) []byte { b[len(b)-3] ^= 1; return b },
		"status inside":    func(b []byte) []byte { b[len(b)-13] ^= 1; return b },
		"first byte":       func(b []byte) []byte { b[0] ^= 1; return b },
		"cryptogram":       func(b []byte) []byte { b[len(b)/2-8] ^= 1; return b },
		"no MAC":           func(b []byte) []byte { return append(b[:len(b)-12], b[len(b)-2:]...) },
		"no protection":    func([]byte) []byte { return []byte{1, 2, 3, 0x90, 0} },
		"nothing but 9000": func([]byte) []byte { return []byte{0x90, 0} },
		"more after it": func(b []byte) []byte {
			return append(append(slices.Clone(b[:len(b)-2]), 0x99, 2, 0x90, 0), b[len(b)-2:]...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			v.Reset()
			c := &contacts{card: v}
			card := cie.New(c, iso7816.Options{})
			if _, err := card.Number(ctx); err != nil {
				t.Fatal(err)
			}
			if _, err := card.Secure(ctx, nil); err != nil {
				t.Fatal(err)
			}
			if err := card.Verify(ctx, []byte(pin)); err != nil {
				t.Fatal(err)
			}
			start := c.n
			c.answer = func(n int, _, r []byte) []byte {
				if n == start+2 { // the first READ BINARY
					return change(slices.Clone(r))
				}
				return r
			}
			if _, err := card.Certificate(ctx); !errors.Is(err, cie.ErrChannel) {
				t.Errorf("taken: %v", err)
			}
			sent := c.n
			if _, err := card.Sign(ctx, key, digest[:], crypto.SHA256); !errors.Is(err, cie.ErrChannel) || c.n != sent {
				t.Errorf("used after the fault: %v", err)
			}
		})
	}
	// An answer that was good before, once more: the counter is another one.
	t.Run("replay", func(t *testing.T) {
		v.Reset()
		c := &contacts{card: v}
		card := cie.New(c, iso7816.Options{})
		if _, err := card.Number(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := card.Secure(ctx, nil); err != nil {
			t.Fatal(err)
		}
		var good []byte
		c.answer = func(_ int, _, r []byte) []byte {
			if good == nil {
				good = slices.Clone(r)
			}
			return slices.Clone(good)
		}
		if err := card.Verify(ctx, []byte(pin)); err != nil {
			t.Fatal(err)
		}
		if err := card.Verify(ctx, []byte("00000000")); !errors.Is(err, cie.ErrChannel) {
			t.Errorf("an old answer taken for a new one: %v", err)
		}
		_ = card
	})
}

// Every status word that the standard defines, garbage, and sizes, at every
// command of a login: an error, never a success, never a panic.
func TestFaults(t *testing.T) {
	v, id := shared(t)
	ctx := t.Context()
	c := &contacts{card: v}
	card := cie.New(c, iso7816.Options{})
	if _, _, err := use(ctx, card, nil, pin); err != nil {
		t.Fatal(err)
	}
	v.Reset()
	first := cie.New(c, iso7816.Options{})
	if _, err := first.Number(ctx); err != nil {
		t.Fatal(err)
	}
	chip, err := first.Secure(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	key, _ := id.Cert.PublicKey.(*rsa.PublicKey)
	answers := map[string][]byte{"nothing": {}, "one byte": {0x90}, "long": append(make([]byte, 300), 0x90, 0), "too long": make([]byte, 70000)}
	for _, w := range []iso7816.Status{0x9000, 0x6282, 0x6283, 0x6300, 0x63C2, 0x63C0, 0x6400, 0x6581, 0x6700, 0x6881, 0x6882, 0x6883, 0x6884, 0x6981, 0x6982, 0x6983, 0x6984,
		0x6985, 0x6986, 0x6987, 0x6988, 0x6A80, 0x6A81, 0x6A82, 0x6A83, 0x6A84, 0x6A86, 0x6A88, 0x6B00, 0x6C00, 0x6C05, 0x6D00, 0x6E00, 0x6F00, 0x6100, 0x6105, 0x0000, 0xFFFF} {
		answers[w.String()] = iso7816.Response{SW: w}.Bytes()
		answers[w.String()+" with data"] = iso7816.Response{Data: []byte{1, 2, 3}, SW: w}.Bytes()
	}
	v.Reset()
	c.n = 0
	if _, _, err := use(ctx, cie.New(c, iso7816.Options{}), chip, pin); err != nil {
		t.Fatal(err)
	}
	steps := c.n
	// Faults that a card's answer may have and be right: the file control parameters
	// are passed over, and the number's file may be read in fewer steps.
	for at := 1; at <= steps; at++ {
		for name, answer := range answers {
			v.Reset()
			c := &contacts{card: v, at: func(n int, _ []byte) ([]byte, bool) { return slices.Clone(answer), n == at }}
			sig, cert, err := use(ctx, cie.New(c, iso7816.Options{}), chip, pin)
			if err == nil && (!cert.Equal(id.Cert) || rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], sig) != nil) {
				t.Errorf("APDU %d answered with %s: taken", at, name)
			}
			if v.TriesLeft() != 3 {
				t.Fatalf("APDU %d answered with %s: a try was used", at, name)
			}
		}
	}
	t.Logf("%d steps, %d answers each", steps, len(answers))
}

// What a hostile card says before the channel is there.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte{0x90, 0}, []byte{0x30, 0x82, 0x10, 0x00, 0x90, 0})
	f.Add([]byte{0x61, 0x05}, []byte{0x70, 0x08, 0xBF, 0xA1, 1, 4, 0xA3, 2, 0x97, 0, 0x90, 0})
	f.Fuzz(func(_ *testing.T, a, b []byte) {
		answers := [][]byte{a, b}
		c := &contacts{at: func(n int, _ []byte) ([]byte, bool) { return answers[n%2], true }}
		card := cie.New(c, iso7816.Options{})
		_, _ = card.Number(context.Background())
		_, _ = card.Secure(context.Background(), nil)
		_, _ = card.Certificate(context.Background())
	})
}

func FuzzSecurityObject(f *testing.F) {
	v, _ := newCard(f, nil)
	c := &contacts{card: v}
	for _, h := range []string{"00a4040c06a00000000039", "00a40204021006"} {
		b, _ := hex.DecodeString(h)
		_, _ = c.Transmit(context.Background(), b)
	}
	var sod []byte
	for {
		r, _ := c.Transmit(context.Background(), []byte{0, 0xB0, byte(len(sod) >> 8), byte(len(sod)), 0x80})
		sod = append(sod, r[:len(r)-2]...)
		if r[len(r)-2] != 0x90 {
			break
		}
	}
	ds, err := signer()
	if err != nil {
		f.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ds.Root)
	if _, err := cie.ParseSecurityObject(sod, roots, time.Now()); err != nil {
		f.Fatal(err)
	}
	f.Add(sod)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := cie.ParseSecurityObject(b, roots, time.Now())
		if err == nil && !bytes.Equal(b, sod) && s.Holds(cie.GroupChipKey, []byte("x")) == nil {
			t.Error("a forged group")
		}
	})
}
