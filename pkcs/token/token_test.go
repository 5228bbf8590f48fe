package token

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha512"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/softhsm"
)

const testPIN = "24680135"

// place makes a store and points this process to it. SoftHSM reads its
// configuration at each C_Initialize, and a test's module is closed at its end.
func place(tb testing.TB, tokens ...softhsm.Token) (*softhsm.Store, []softhsm.Slot) {
	tb.Helper()
	store, err := softhsm.New(tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	var slots []softhsm.Slot
	for _, t := range tokens {
		t.PIN = testPIN
		slot, err := store.Add(t)
		if err != nil {
			tb.Fatal(err)
		}
		slots = append(slots, slot)
	}
	name, value, _ := strings.Cut(store.Env()[0], "=")
	tb.Setenv(name, value)
	return store, slots
}

func open(tb testing.TB, path string) *Module {
	tb.Helper()
	m, err := Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := m.Close(); err != nil {
			tb.Error(err)
		}
	})
	return m
}

func session(tb testing.TB, m *Module, slot softhsm.Slot) *Session {
	tb.Helper()
	s, err := m.Session(slot.ID)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func identities(tb testing.TB, s *Session) []Identity {
	tb.Helper()
	list, err := s.Identities()
	if err != nil {
		tb.Fatal(err)
	}
	return list
}

func login(tb testing.TB, s *Session) {
	tb.Helper()
	if err := s.Login([]byte(testPIN)); err != nil {
		tb.Fatal(err)
	}
}

func citizen(tb testing.TB, alg pki.KeyAlg) *pki.Identity {
	return pki.Shared(tb).MustIssue(tb, pki.CNS, alg, pki.Citizens[0])
}

func digest(h crypto.Hash, s string) []byte {
	w := h.New()
	w.Write([]byte(s))
	return w.Sum(nil)
}

var hashes = []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512}

func TestSlots(t *testing.T) {
	store, slots := place(t, softhsm.Token{Label: "one"}, softhsm.Token{Label: "two"})
	list, err := open(t, store.Module()).Slots(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range slots {
		found := false
		for _, got := range list {
			if got.ID == want.ID && got.Token != nil {
				found = true
				tok := got.Token
				if tok.Label != want.Label || tok.Serial != want.Serial || !tok.Initialized || !tok.LoginRequired || tok.Pinpad || tok.Locked || tok.MinPIN != 4 || got.Reader == "" {
					t.Errorf("got %+v in %+v", tok, got)
				}
			}
		}
		if !found {
			t.Errorf("%s is not among %+v", want.Label, list)
		}
	}
}

func TestEveryAlgorithm(t *testing.T) {
	algs := []pki.KeyAlg{pki.RSA2048, pki.RSA3072, pki.P256, pki.P384, pki.P521}
	var ids []*pki.Identity
	for _, a := range algs {
		ids = append(ids, citizen(t, a))
	}
	store, slots := place(t, softhsm.Token{Label: "all", Identities: ids, Chain: true})
	s := session(t, open(t, store.Module()), slots[0])
	list := identities(t, s)
	if len(list) != len(algs) {
		t.Fatalf("%d identities; the chain's certificates have no key", len(list))
	}
	login(t, s)
	for _, i := range list {
		key, err := s.Key(i)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range hashes {
			d := digest(h, "prova")
			switch pub := key.Public().(type) {
			case *rsa.PublicKey:
				if err := rsa.VerifyPKCS1v15(pub, h, d, sign(t, key, d, h)); err != nil {
					t.Errorf("PKCS #1 %d %v: %v", pub.Size(), h, err)
				}
				for _, salt := range []int{rsa.PSSSaltLengthEqualsHash, rsa.PSSSaltLengthAuto, 20} {
					opts := &rsa.PSSOptions{Hash: h, SaltLength: salt}
					if err := rsa.VerifyPSS(pub, h, d, sign(t, key, d, opts), opts); err != nil {
						t.Errorf("PSS %d %v salt %d: %v", pub.Size(), h, salt, err)
					}
				}
			case *ecdsa.PublicKey:
				if !ecdsa.VerifyASN1(pub, d, sign(t, key, d, h)) {
					t.Errorf("%s %v does not verify", pub.Params().Name, h)
				}
			}
		}
	}
}

func sign(tb testing.TB, key crypto.Signer, d []byte, opts crypto.SignerOpts) []byte {
	tb.Helper()
	sig, err := key.Sign(rand.Reader, d, opts)
	if err != nil {
		tb.Fatalf("%T %+v: %v", key.Public(), opts, err)
	}
	return sig
}

func TestRefused(t *testing.T) {
	store, slots := place(t, softhsm.Token{Label: "refused", Identities: []*pki.Identity{citizen(t, pki.RSA2048), citizen(t, pki.P256)}})
	s := session(t, open(t, store.Module()), slots[0])
	list := identities(t, s)
	if _, err := s.Key(list[0]); !errors.Is(err, ErrNotLoggedIn) {
		t.Errorf("before the PIN: %v", err)
	}
	if err := s.Login(nil); !errors.Is(err, ErrNotLoggedIn) {
		t.Errorf("no PIN without a pinpad: %v", err)
	}
	if pin, ok := errors.AsType[*PINError](s.Login([]byte{})); !ok || pin.Kind != PINLength {
		t.Errorf("an empty PIN: %v", pin)
	}
	login(t, s)
	if err := s.Login([]byte(testPIN)); err == nil {
		t.Error("a second login is none")
	}
	other := Identity{Certificate: citizen(t, pki.RSA2048).Cert}
	if _, err := s.Key(other); !errors.Is(err, ErrNoKey) {
		t.Errorf("a certificate of elsewhere: %v", err)
	}
	for _, i := range list {
		key, err := s.Key(i)
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			digest []byte
			opts   crypto.SignerOpts
		}{
			"SHA-1":      {digest(crypto.SHA1, ""), crypto.SHA1},
			"too short":  {make([]byte, 31), crypto.SHA256},
			"too long":   {make([]byte, 48), crypto.SHA256},
			"no hash":    {make([]byte, 32), crypto.Hash(0)},
			"nothing":    {make([]byte, 32), nil},
			"PSS, SHA-1": {digest(crypto.SHA1, ""), &rsa.PSSOptions{Hash: crypto.SHA1}},
		} {
			if _, err := key.Sign(nil, c.digest, c.opts); !errors.Is(err, ErrHash) {
				t.Errorf("%s: %v", name, err)
			}
		}
		_, err = key.Sign(nil, make([]byte, 32), &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: 1 << 20})
		if !errors.Is(err, ErrMechanism) {
			t.Errorf("a long salt, or PSS with ECDSA: %v", err)
		}
	}
}

func TestWrongPIN(t *testing.T) {
	store, slots := place(t, softhsm.Token{Label: "wrong", Identities: []*pki.Identity{citizen(t, pki.P256)}})
	m := open(t, store.Module())
	err := session(t, m, slots[0]).Login([]byte("99999999"))
	pin, ok := errors.AsType[*PINError](err)
	if !ok || pin.Kind != PINIncorrect || !pin.CountLow {
		t.Fatalf("got %+v (%v)", pin, err)
	}
	if strings.Contains(err.Error(), "9999") {
		t.Error("the error tells the PIN")
	}
	login(t, session(t, m, slots[0]))
}

func TestAlwaysAuthenticate(t *testing.T) {
	store, slots := place(t, softhsm.Token{Label: "always", AlwaysAuthenticate: true, Identities: []*pki.Identity{citizen(t, pki.RSA2048)}})
	s := session(t, open(t, store.Module()), slots[0])
	login(t, s)
	kept := s.pin
	if string(kept) != testPIN {
		t.Fatal("a key asks for the PIN each time and it is not there")
	}
	key, err := s.Key(identities(t, s)[0])
	if err != nil {
		t.Fatal(err)
	}
	d := digest(crypto.SHA256, "a")
	for range 3 {
		if err := rsa.VerifyPKCS1v15(key.Public().(*rsa.PublicKey), crypto.SHA256, d, sign(t, key, d, crypto.SHA256)); err != nil {
			t.Error(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(kept, make([]byte, len(kept))) {
		t.Error("the PIN is not wiped")
	}
	if _, err := key.Sign(nil, d, crypto.SHA256); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestPINIsNotKept(t *testing.T) {
	store, slots := place(t, softhsm.Token{Label: "once", Identities: []*pki.Identity{citizen(t, pki.P256)}})
	s := session(t, open(t, store.Module()), slots[0])
	login(t, s)
	if s.pin != nil {
		t.Error("no key asks for the PIN again and it is kept")
	}
}

func TestConcurrentSigning(t *testing.T) {
	store, slots := place(t, softhsm.Token{Label: "many", Identities: []*pki.Identity{citizen(t, pki.RSA2048), citizen(t, pki.P256)}})
	s := session(t, open(t, store.Module()), slots[0])
	login(t, s)
	list := identities(t, s)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			key, err := s.Key(list[g%len(list)])
			if err != nil {
				t.Error(err)
				return
			}
			for n := range 50 {
				d := digest(crypto.SHA256, string(rune(g*50+n)))
				sig, err := key.Sign(nil, d, crypto.SHA256)
				if err != nil {
					t.Error(err)
					return
				}
				switch pub := key.Public().(type) {
				case *rsa.PublicKey:
					err = rsa.VerifyPKCS1v15(pub, crypto.SHA256, d, sig)
				case *ecdsa.PublicKey:
					if !ecdsa.VerifyASN1(pub, d, sig) {
						err = errors.New("does not verify")
					}
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestTokenRemoved(t *testing.T) {
	store, slots := place(t, softhsm.Token{Label: "gone", Identities: []*pki.Identity{citizen(t, pki.RSA2048)}})
	s := session(t, open(t, store.Module()), slots[0])
	login(t, s)
	key, err := s.Key(identities(t, s)[0])
	if err != nil {
		t.Fatal(err)
	}
	sign(t, key, digest(crypto.SHA256, "still there"), crypto.SHA256)
	if err := store.Remove(slots[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := key.Sign(nil, digest(crypto.SHA256, "gone"), crypto.SHA256); !errors.Is(err, ErrTokenRemoved) {
		t.Errorf("got %v", err)
	}
}

// Two modules at once, as on a computer with two vendors' cards.
func TestTwoModules(t *testing.T) {
	store, slots := place(t, softhsm.Token{Label: "shared", Identities: []*pki.Identity{citizen(t, pki.P256)}})
	data, err := os.ReadFile(store.Module())
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "other.so")
	if err := os.WriteFile(copied, data, 0o700); err != nil {
		t.Fatal(err)
	}
	a, b := open(t, store.Module()), open(t, copied)
	sa, sb := session(t, a, slots[0]), session(t, b, slots[0])
	login(t, sa)
	login(t, sb) // another C_Initialize, another login state
	for _, s := range []*Session{sa, sb} {
		key, err := s.Key(identities(t, s)[0])
		if err != nil {
			t.Fatal(err)
		}
		sign(t, key, digest(crypto.SHA256, ""), crypto.SHA256)
	}
}

func TestOpenTwiceAndAgain(t *testing.T) {
	store, slots := place(t, softhsm.Token{Label: "twice"})
	for range 2 {
		a, err := Open(store.Module())
		if err != nil {
			t.Fatal(err)
		}
		b := open(t, store.Module())
		s := session(t, a, slots[0])
		if err := errors.Join(a.Close(), a.Close()); err != nil {
			t.Error(err)
		}
		if _, err := s.Identities(); !errors.Is(err, ErrClosed) {
			t.Errorf("a session of a closed module: %v", err)
		}
		if _, err := a.Slots(context.Background()); !errors.Is(err, ErrClosed) {
			t.Errorf("a closed module: %v", err)
		}
		identities(t, session(t, b, slots[0]))
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenWrong(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text.so")
	if err := os.WriteFile(text, []byte("not a library"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"libsofthsm2.so", "", filepath.Join(t.TempDir(), "missing.so"), text} {
		if _, err := Open(path); !errors.Is(err, ErrModule) {
			t.Errorf("%q: %v", path, err)
		}
	}
}

// BenchmarkSignDirect is C_Sign alone; agent/worker has its sister.
func BenchmarkSignDirect(b *testing.B) {
	store, slots := place(b, softhsm.Token{Label: "bench", Identities: []*pki.Identity{citizen(b, pki.RSA2048)}})
	s := session(b, open(b, store.Module()), slots[0])
	login(b, s)
	key, err := s.Key(identities(b, s)[0])
	if err != nil {
		b.Fatal(err)
	}
	d := digest(crypto.SHA256, "")
	for b.Loop() {
		sign(b, key, d, crypto.SHA256)
	}
}
