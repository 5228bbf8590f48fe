package keys

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/token"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/softhsm"
)

const pin = "13579"

// hsm is a SoftHSM token with an RSA key, as an operator would name it.
func hsm(t *testing.T, algs ...pki.KeyAlg) *Token {
	t.Helper()
	store, err := softhsm.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	tok := softhsm.Token{Label: "server", PIN: pin}
	for _, alg := range algs {
		tok.Identities = append(tok.Identities, pki.Shared(t).MustIssue(t, pki.Qualified, alg, pki.Citizens[0]))
	}
	if _, err := store.Add(tok); err != nil {
		t.Fatal(err)
	}
	for _, kv := range store.Env() {
		k, v, _ := strings.Cut(kv, "=")
		t.Setenv(k, v)
	}
	file := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(file, []byte(pin+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := &Token{Module: store.Module(), PINFile: file}
	t.Cleanup(func() {
		if err := out.Close(); err != nil {
			t.Error(err)
		}
	})
	return out
}

func open(t *testing.T, dir string, tok *Token) *Ring {
	t.Helper()
	r, err := Open(dir, tok)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What a ring made is verified by it, after a rotation and a restart, and by
// nobody else's; what was changed is not.
func TestSealsAndMACs(t *testing.T) {
	for name, tok := range map[string]*Token{"file": nil, "token": hsm(t, pki.RSA2048)} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			r := open(t, dir, tok)
			data := []byte("2026/0000001")
			first, err := r.Seal(data)
			if err != nil {
				t.Fatal(err)
			}
			firstID, firstMAC := r.MAC(data)
			if err := r.Rotate(time.Now()); err != nil {
				t.Fatal(err)
			}
			second, err := r.Seal(data)
			if err != nil {
				t.Fatal(err)
			}
			secondID, secondMAC := r.MAC(data)
			if first == second || firstID == secondID || string(firstMAC) == string(secondMAC) {
				t.Error("rotating changed nothing")
			}
			again := open(t, dir, tok)
			for _, err := range []error{again.CheckSeal(data, first), again.CheckSeal(data, second), again.CheckMAC(firstID, data, firstMAC), again.CheckMAC(secondID, data, secondMAC)} {
				if err != nil {
					t.Errorf("after a restart: %v", err)
				}
			}
			flipped := []byte(second)
			flipped[len(flipped)/2] ^= 2
			for what, err := range map[string]error{
				"other data": again.CheckSeal([]byte("2026/0000002"), first), "a changed seal": again.CheckSeal(data, string(flipped)),
				"no seal": again.CheckSeal(data, ""), "the other key": again.CheckMAC(firstID, data, secondMAC),
				"an unknown key": again.CheckMAC("beef", data, firstMAC),
				"another server": open(t, t.TempDir(), nil).CheckSeal(data, first),
			} {
				if err == nil {
					t.Errorf("%s is taken", what)
				}
			}
		})
	}
}

// The file says nothing secret when the key is on a token, and the ring is of no
// use without it.
func TestTokenKeepsItsSecrets(t *testing.T) {
	tok := hsm(t, pki.RSA2048)
	dir := t.TempDir()
	r := open(t, dir, tok)
	data, err := os.ReadFile(filepath.Join(dir, "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), `"seal"`) || strings.Contains(string(data), `"audit"`) {
		t.Errorf("the file holds secrets: %s", data)
	}
	if _, err := Open(dir, nil); !errors.Is(err, ErrNeedsToken) {
		t.Errorf("without the token: %v", err)
	}
	// The session is lost: the next seal opens another.
	if err := tok.session.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Seal([]byte("x")); err != nil {
		t.Errorf("after a lost session: %v", err)
	}
}

// A file that others can read is refused, for keys and for the PIN.
func TestPermissions(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, nil)
	if err := os.Chmod(filepath.Join(dir, "keys.json"), 0o644); err != nil { //nolint:gosec // what must be refused
		t.Fatal(err)
	}
	if _, err := Open(dir, nil); !errors.Is(err, ErrPermissions) {
		t.Errorf("keys: %v", err)
	}
	tok := hsm(t, pki.RSA2048)
	if err := os.Chmod(tok.PINFile, 0o640); err != nil { //nolint:gosec // what must be refused
		t.Fatal(err)
	}
	if _, err := Open(t.TempDir(), tok); !errors.Is(err, ErrPermissions) {
		t.Errorf("PIN: %v", err)
	}
}

func TestTokenThatDoesNotFit(t *testing.T) {
	// One after the other: a process has a module once.
	t.Run("no RSA key", func(t *testing.T) {
		if _, err := Open(t.TempDir(), hsm(t, pki.P256)); !errors.Is(err, ErrToken) {
			t.Error(err)
		}
	})
	t.Run("wrong PIN", func(t *testing.T) {
		tok := hsm(t, pki.RSA2048)
		if err := os.WriteFile(tok.PINFile, []byte("00000"), 0o600); err != nil {
			t.Fatal(err)
		}
		var refused *token.PINError
		if _, err := Open(t.TempDir(), tok); !errors.As(err, &refused) {
			t.Error(err)
		}
	})
}

func TestDamagedFile(t *testing.T) {
	for name, text := range map[string]string{"not JSON": "{", "no key": "[]", "no secret": `[{"id":"a"}]`, "both": `[{"id":"a","token":"b","public":"AA==","seal":"AA=="}]`} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "keys.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, nil); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
