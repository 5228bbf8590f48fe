package token

import (
	"context"
	"crypto"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/citel-pa/citel/testdata/badmodule"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/softhsm"
)

// bad opens a module that goes wrong in one way which leaves the process alive.
func bad(t *testing.T, mode string) (m *Module, slot softhsm.Slot, logins func() int) {
	t.Helper()
	store, slots := place(t, softhsm.Token{Label: "bad", Identities: []*pki.Identity{citizen(t, pki.RSA2048)}})
	count := filepath.Join(t.TempDir(), "count")
	for _, e := range append(badmodule.Env(mode, store.Module(), count), badmodule.PINPad(testPIN)) {
		name, value, _ := strings.Cut(e, "=")
		t.Setenv(name, value)
	}
	return open(t, badmodule.Build(t)), slots[0], func() int {
		data, err := os.ReadFile(count)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		return strings.Count(string(data), "\n")
	}
}

func TestPinpad(t *testing.T) {
	m, slot, _ := bad(t, "pinpad")
	s := session(t, m, slot)
	if err := s.Login(nil); err != nil {
		t.Fatal(err)
	}
	key, err := s.Key(identities(t, s)[0])
	if err != nil {
		t.Fatal(err)
	}
	sign(t, key, digest(crypto.SHA256, ""), crypto.SHA256)
}

func TestPinpadCancelled(t *testing.T) {
	m, slot, _ := bad(t, "pinpad-cancel")
	if err := session(t, m, slot).Login(nil); !errors.Is(err, ErrCancelled) {
		t.Errorf("got %v", err)
	}
}

func TestPINFlags(t *testing.T) {
	m, slot, logins := bad(t, "final-try")
	pin, ok := errors.AsType[*PINError](session(t, m, slot).Login([]byte("99999999")))
	if !ok || pin.Kind != PINIncorrect || !pin.FinalTry {
		t.Errorf("got %+v", pin)
	}
	if n := logins(); n != 1 {
		t.Errorf("%d C_Login for one PIN", n)
	}
}

func TestPINLocked(t *testing.T) {
	m, slot, _ := bad(t, "locked")
	pin, ok := errors.AsType[*PINError](session(t, m, slot).Login([]byte(testPIN)))
	if !ok || pin.Kind != PINLocked || !pin.Locked {
		t.Errorf("got %+v", pin)
	}
}

func TestRemovedAtLoginAndSign(t *testing.T) {
	m, slot, _ := bad(t, "removed-login")
	if err := session(t, m, slot).Login([]byte(testPIN)); !errors.Is(err, ErrTokenRemoved) {
		t.Errorf("got %v", err)
	}
	t.Setenv("CITEL_BADMODULE", "removed-sign")
	s := session(t, m, slot)
	login(t, s)
	key, err := s.Key(identities(t, s)[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := key.Sign(nil, make([]byte, 32), crypto.SHA256); !errors.Is(err, ErrTokenRemoved) {
		t.Errorf("got %v", err)
	}
	t.Setenv("CITEL_BADMODULE", "garbage-sign")
	if _, err := key.Sign(nil, make([]byte, 32), crypto.SHA256); !errors.Is(err, ErrModule) {
		t.Errorf("got %v", err)
	}
}

func TestNonsense(t *testing.T) {
	m, slot, _ := bad(t, "hugelist")
	if _, err := m.Slots(context.Background()); !errors.Is(err, ErrModule) {
		t.Errorf("a million slots: %v", err)
	}
	t.Setenv("CITEL_BADMODULE", "garbage")
	if _, err := m.Slots(context.Background()); err != nil {
		t.Errorf("odd names: %v", err)
	}
	if list, err := session(t, m, slot).Identities(); err != nil || len(list) > 1 {
		t.Errorf("a broken certificate: %d, %v", len(list), err)
	}
	t.Setenv("CITEL_BADMODULE", "endless")
	if list, err := session(t, m, slot).Identities(); err == nil && len(list) > 1 {
		t.Errorf("objects without end: %d", len(list))
	}
}

func TestModuleThatCannotLock(t *testing.T) {
	m, slot, _ := bad(t, "cant-lock")
	if !m.lib.single {
		t.Fatal("the module said CKR_CANT_LOCK")
	}
	login(t, session(t, m, slot))
}
