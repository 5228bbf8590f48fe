package cns_test

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"

	"github.com/citel-pa/citel/agent/card/cns"
	"github.com/citel-pa/citel/agent/card/iso7816"
	"github.com/citel-pa/citel/agent/card/virtual"
	"github.com/citel-pa/citel/testdata/pki"
)

const (
	pin = "24680"
	puk = "12345678"
)

// contacts joins driver and virtual card without a reader in between. at, when
// set, may answer in the card's place.
type contacts struct {
	card *virtual.CNS
	n    int
	at   func(n int, apdu []byte) ([]byte, bool)
}

func (c *contacts) Transmit(_ context.Context, apdu []byte) ([]byte, error) {
	c.n++
	if c.at != nil {
		if answer, ok := c.at(c.n, apdu); ok {
			return answer, nil
		}
	}
	return c.card.Transmit(apdu), nil
}

func setup(t testing.TB, family string) (*cns.Card, *contacts, *pki.Identity) {
	t.Helper()
	f, ok := virtual.FamilyByName(family)
	if !ok {
		t.Fatal(family)
	}
	who := pki.Citizens[0]
	id := pki.Shared(t).MustIssue(t, pki.CNS, pki.RSA2048, who)
	key, ok := id.Key.(*rsa.PrivateKey)
	if !ok {
		t.Fatal("no RSA key")
	}
	v, err := virtual.NewCNS(virtual.CNSOptions{Family: f, Certificate: id.Cert.Raw, Key: key, ID: who.CardID, PIN: pin, PUK: puk,
		Personal: [16]string{"6090", "01012024", "01012030", who.Surname, who.Given, "01011980", who.Sex, "", who.CF}})
	if err != nil {
		t.Fatal(err)
	}
	c := &contacts{card: v}
	return cns.New(c, v.ATR(), iso7816.Options{}), c, id
}

func TestEveryFamily(t *testing.T) {
	for _, f := range virtual.Families {
		t.Run(f.Name, func(t *testing.T) {
			card, _, id := setup(t, f.Name)
			ctx := t.Context()
			if got := card.Family().PIN; got != f.PINReference {
				t.Errorf("PIN reference %#02x, want %#02x", got, f.PINReference)
			}
			if number, err := card.Number(ctx); err != nil || number != pki.Citizens[0].CardID {
				t.Errorf("number %q: %v", number, err)
			}
			if cert, err := card.Certificate(ctx); err != nil || !cert.Equal(id.Cert) {
				t.Errorf("certificate: %v", err)
			}
			if p, err := card.Personal(ctx); err != nil || p.CodiceFiscale != pki.Citizens[0].CF || p.Surname != pki.Citizens[0].Surname {
				t.Errorf("%+v %v", p, err)
			}
			public, _ := id.Cert.PublicKey.(*rsa.PublicKey)
			digest := sha256.Sum256([]byte("x"))
			var status *iso7816.StatusError
			if _, err := card.Sign(ctx, public, digest[:], crypto.SHA256); !errors.As(err, &status) || status.SW != iso7816.SecurityStatus {
				t.Errorf("a signature without the PIN: %v", err)
			}
			if err := card.Verify(ctx, []byte(pin)); err != nil {
				t.Fatal(err)
			}
			sig, err := card.Sign(ctx, public, digest[:], crypto.SHA256)
			if err != nil || rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], sig) != nil {
				t.Errorf("signature: %v", err)
			}
		})
	}
}

// Newer chips keep the files below an application of their own.
func TestApplications(t *testing.T) {
	for _, aid := range [][]byte{
		{0xA0, 0x00, 0x00, 0x05, 0x30, 0x00, 0x0B, 0x10, 0x40, 0x01, 0x02, 0x1A},
		{0xA0, 0x00, 0x00, 0x00, 0x95, 0x01, 0x00, 0x4D},
	} {
		who := pki.Citizens[0]
		id := pki.Shared(t).MustIssue(t, pki.CNS, pki.RSA2048, who)
		key, _ := id.Key.(*rsa.PrivateKey)
		v, err := virtual.NewCNS(virtual.CNSOptions{Certificate: id.Cert.Raw, Key: key, ID: who.CardID, PIN: pin, PUK: puk, Application: aid,
			Personal: [16]string{8: who.CF}})
		if err != nil {
			t.Fatal(err)
		}
		card := cns.New(&contacts{card: v}, v.ATR(), iso7816.Options{})
		if number, err := card.Number(t.Context()); err != nil || number != who.CardID {
			t.Fatalf("%x: %s %v", aid, number, err)
		}
		if cert, err := card.Certificate(t.Context()); err != nil || !cert.Equal(id.Cert) {
			t.Errorf("%x: %v", aid, err)
		}
		if err := card.Verify(t.Context(), []byte(pin)); err != nil {
			t.Fatal(err)
		}
		digest := sha256.Sum256(nil)
		if sig, err := card.Sign(t.Context(), &key.PublicKey, digest[:], crypto.SHA256); err != nil || rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], sig) != nil {
			t.Errorf("%x: %v", aid, err)
		}
	}
}

// The second key: a certificate, a folder and a PIN of its own.
func TestSignatureKey(t *testing.T) {
	first, _, _ := setup(t, "")
	if _, err := first.Signature().Certificate(t.Context()); !errors.Is(err, cns.ErrNotCNS) {
		t.Errorf("a card without one: %v", err)
	}
	who := pki.Citizens[0]
	id := pki.Shared(t).MustIssue(t, pki.CNS, pki.RSA2048, who)
	qualified := pki.Shared(t).MustIssue(t, pki.Qualified, pki.RSA2048, who)
	key, _ := id.Key.(*rsa.PrivateKey)
	second, _ := qualified.Key.(*rsa.PrivateKey)
	for _, family := range []string{"oberthur-1.1", "incard-1.1"} {
		f, _ := virtual.FamilyByName(family)
		v, err := virtual.NewCNS(virtual.CNSOptions{Family: f, Certificate: id.Cert.Raw, Key: key, ID: who.CardID, PIN: pin, PUK: puk,
			SignatureCertificate: qualified.Cert.Raw, SignatureKey: second, SignaturePIN: "13579"})
		if err != nil {
			t.Fatal(err)
		}
		card := cns.New(&contacts{card: v}, v.ATR(), iso7816.Options{})
		if _, err := card.Number(t.Context()); err != nil {
			t.Fatal(err)
		}
		other := card.Signature()
		if cert, err := other.Certificate(t.Context()); err != nil || !cert.Equal(qualified.Cert) {
			t.Fatalf("%s: %v", family, err)
		}
		digest := sha256.Sum256(nil)
		var status *iso7816.StatusError
		if err := card.Verify(t.Context(), []byte(pin)); err != nil {
			t.Fatal(err)
		}
		if _, err := other.Sign(t.Context(), &second.PublicKey, digest[:], crypto.SHA256); !errors.As(err, &status) || status.SW != iso7816.SecurityStatus {
			t.Errorf("%s: the first key's PIN opens the second: %v", family, err)
		}
		if err := other.Verify(t.Context(), []byte("13579")); err != nil {
			t.Fatal(err)
		}
		if sig, err := other.Sign(t.Context(), &second.PublicKey, digest[:], crypto.SHA256); err != nil || rsa.VerifyPKCS1v15(&second.PublicKey, crypto.SHA256, digest[:], sig) != nil {
			t.Errorf("%s: %v", family, err)
		}
	}
}

func TestPINs(t *testing.T) {
	card, c, _ := setup(t, "")
	ctx := t.Context()
	wrong := func(err error, want int) {
		t.Helper()
		var e *iso7816.WrongError
		if !errors.As(err, &e) || e.TriesLeft != want {
			t.Errorf("%v, want %d tries left", err, want)
		}
	}
	for _, bad := range []string{"", "1234", "123456789"} {
		if err := card.Verify(ctx, []byte(bad)); !errors.Is(err, cns.ErrPINLength) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if c.n != 0 {
		t.Error("a PIN of a wrong length was sent")
	}
	wrong(card.Verify(ctx, []byte("99999")), 2)
	if err := card.Change(ctx, []byte(pin), []byte("13579")); err != nil {
		t.Fatal(err)
	}
	wrong(card.Verify(ctx, []byte(pin)), 2)
	wrong(card.Verify(ctx, []byte(pin)), 1)
	wrong(card.Verify(ctx, []byte(pin)), 0)
	if err := card.Verify(ctx, []byte("13579")); !errors.Is(err, iso7816.ErrBlocked) {
		t.Errorf("blocked: %v", err)
	}
	wrong(card.Unblock(ctx, []byte("00000000"), []byte(pin)), 9)
	if err := card.Unblock(ctx, []byte(puk), []byte(pin)); err != nil {
		t.Fatal(err)
	}
	if err := card.Verify(ctx, []byte(pin)); err != nil {
		t.Errorf("after the PUK: %v", err)
	}
}

// Every status word that the standard defines, at every command of a signature:
// an error, never a success, never a panic.
func TestFaults(t *testing.T) {
	words := []iso7816.Status{0x6282, 0x6283, 0x6300, 0x63C2, 0x63C0, 0x6400, 0x6581, 0x6700, 0x6881, 0x6882, 0x6883, 0x6884, 0x6981, 0x6982, 0x6983, 0x6984,
		0x6985, 0x6986, 0x6987, 0x6988, 0x6A80, 0x6A81, 0x6A82, 0x6A83, 0x6A84, 0x6A86, 0x6A88, 0x6B00, 0x6C00, 0x6C05, 0x6D00, 0x6E00, 0x6F00, 0x6100, 0x6105, 0x0000, 0xFFFF}
	answers := map[string][]byte{"nothing": {}, "one byte": {0x90}, "long": append(make([]byte, 300), 0x90, 0), "too long": make([]byte, 70000), "9000 alone": {0x90, 0}}
	for _, w := range words {
		answers[w.String()] = iso7816.Response{SW: w}.Bytes()
		answers[w.String()+" with data"] = iso7816.Response{Data: []byte{1, 2, 3}, SW: w}.Bytes()
	}
	card, c, id := setup(t, "")
	public, _ := id.Cert.PublicKey.(*rsa.PublicKey)
	digest := sha256.Sum256([]byte("x"))
	job := func() error {
		ctx := t.Context()
		number, err := card.Number(ctx)
		if err != nil {
			return err
		}
		cert, err := card.Certificate(ctx)
		if err != nil {
			return err
		}
		if err := card.Verify(ctx, []byte(pin)); err != nil {
			return err
		}
		sig, err := card.Sign(ctx, public, digest[:], crypto.SHA256)
		if err != nil {
			return err
		}
		if number != pki.Citizens[0].CardID || !cert.Equal(id.Cert) || rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], sig) != nil {
			return errors.New("a wrong success")
		}
		return nil
	}
	if err := job(); err != nil {
		t.Fatal(err)
	}
	steps := c.n
	for at := 1; at <= steps; at++ {
		for name, answer := range answers {
			// A fresh card each time: nothing is left from the fault before.
			card, c, id = setupLike(t, c.card, id)
			c.at = func(n int, _ []byte) ([]byte, bool) { return slices.Clone(answer), n == at }
			if err := job(); err != nil && err.Error() == "a wrong success" {
				t.Errorf("APDU %d answered with %s: taken", at, name)
			}
		}
	}
}

// setupLike resets the card, its tries included.
func setupLike(t *testing.T, v *virtual.CNS, id *pki.Identity) (*cns.Card, *contacts, *pki.Identity) {
	t.Helper()
	v.Reset()
	c := &contacts{card: v}
	return cns.New(c, v.ATR(), iso7816.Options{}), c, id
}

func TestFamilyOfAnyATR(t *testing.T) {
	for _, atr := range [][]byte{nil, {0x3B}, make([]byte, 16), make([]byte, 33), []byte("CNSCNSCNSCNSCNSCNSCNS")} {
		if got := cns.FamilyOf(atr); got.PIN != 0x10 {
			t.Errorf("%x: %+v", atr, got)
		}
	}
}

// A card may answer anything: files that a hostile card gives are errors.
func FuzzAnswers(f *testing.F) {
	card, c, _ := setup(f, "")
	f.Add([]byte{0x90, 0}, []byte{0x30, 0x82, 0x10, 0x00, 0x90, 0})
	f.Add([]byte{0x61, 0x05}, []byte{0x6C, 0x10})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		answers := [][]byte{a, b}
		c.n = 0
		c.at = func(n int, _ []byte) ([]byte, bool) { return answers[n%2], n <= 600 }
		if number, err := card.Number(t.Context()); err == nil && len(number) != 16 {
			t.Errorf("%q", number)
		}
		_, _ = card.Certificate(t.Context())
		_, _ = card.Personal(t.Context())
	})
}
