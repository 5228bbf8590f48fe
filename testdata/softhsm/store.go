package softhsm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/citel-pa/citel/testdata/pki"
)

// ErrMissing means that SoftHSM is not installed.
var ErrMissing = errors.New("softhsm: libsofthsm2.so is not installed; `make deps` installs it")

// places where distributions put the module. SOFTHSM2_MODULE goes before them.
var places = []string{
	"/usr/lib/softhsm/libsofthsm2.so",
	"/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
	"/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
	"/usr/lib64/pkcs11/libsofthsm2.so",
	"/usr/lib64/softhsm/libsofthsm2.so",
	"/usr/local/lib/softhsm/libsofthsm2.so",
	"/opt/homebrew/lib/softhsm/libsofthsm2.so",
}

// Module finds the SoftHSM library.
func Module() (string, error) {
	if p := os.Getenv("SOFTHSM2_MODULE"); p != "" {
		return p, nil
	}
	for _, p := range places {
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
	}
	return "", ErrMissing
}

// Store is a folder with tokens and the configuration that points to it.
type Store struct {
	dir    string
	module string
}

// Token is what Add makes.
type Token struct {
	Label string
	// PIN of the user and of the security officer. Empty ones are DefaultPIN and
	// DefaultSOPIN.
	PIN, SOPIN string
	// Identities get a private key, a public key and a certificate each. CKA_ID
	// is the SHA-1 of the public key's bits, as cards have it.
	Identities []*pki.Identity
	// Chain puts the issuers' certificates on the token too, as many cards have
	// them.
	Chain bool
	// AlwaysAuthenticate sets CKA_ALWAYS_AUTHENTICATE on the keys: the PIN is
	// asked for at each signature.
	AlwaysAuthenticate bool
	// NoCertificate leaves the certificates out: keys alone.
	NoCertificate bool
}

// PINs of test tokens that were given none.
const (
	DefaultPIN   = "12345678"
	DefaultSOPIN = "87654321"
)

// Slot is where a token is.
type Slot struct {
	ID     uint
	Label  string
	Serial string
	PIN    string
}

// New makes a store in dir, or opens the one that is there.
func New(dir string) (*Store, error) {
	module, err := Module()
	if err != nil {
		return nil, err
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, module: module}
	if err := os.MkdirAll(s.tokens(), 0o700); err != nil {
		return nil, err
	}
	conf := fmt.Sprintf("directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = true\n", s.tokens())
	if old, err := os.ReadFile(s.conf()); err == nil && string(old) == conf {
		return s, nil
	}
	return s, os.WriteFile(s.conf(), []byte(conf), 0o600)
}

func (s *Store) tokens() string { return filepath.Join(s.dir, "tokens") }
func (s *Store) conf() string   { return filepath.Join(s.dir, "softhsm2.conf") }

// Module is the path of libsofthsm2.so.
func (s *Store) Module() string { return s.module }

// Env is what a process needs in its environment to use this store.
func (s *Store) Env() []string { return []string{"SOFTHSM2_CONF=" + s.conf()} }

// Add makes a token. A process that has the module initialised already does not
// see it until it initialises again.
func (s *Store) Add(t Token) (Slot, error) {
	if t.PIN == "" {
		t.PIN = DefaultPIN
	}
	if t.SOPIN == "" {
		t.SOPIN = DefaultSOPIN
	}
	if t.Label == "" || len(t.Label) > 32 {
		return Slot{}, fmt.Errorf("softhsm: the label %q has to have 1 to 32 bytes", t.Label)
	}
	o := order{Module: s.module, Label: t.Label, PIN: t.PIN, SOPIN: t.SOPIN, AlwaysAuthenticate: t.AlwaysAuthenticate}
	for _, id := range t.Identities {
		i, err := orderItem(id, t)
		if err != nil {
			return Slot{}, err
		}
		o.Items = append(o.Items, i)
	}
	if t.Chain {
		seen := map[string]bool{}
		for _, id := range t.Identities {
			for _, c := range id.Chain {
				if !seen[string(c.Raw)] {
					seen[string(c.Raw)] = true
					o.Items = append(o.Items, item{Label: c.Subject.CommonName, Cert: c.Raw, Subject: c.RawSubject, Issuer: c.RawIssuer, Serial: serialDER(c)})
				}
			}
		}
	}
	slot := Slot{Label: t.Label, PIN: t.PIN}
	a, err := s.load(o)
	if err != nil {
		return Slot{}, err
	}
	slot.ID, slot.Serial = a.Slot, a.Serial
	return slot, nil
}

// Remove takes a token away, files and all. A process that has the module
// initialised already finds its objects gone.
func (s *Store) Remove(slot Slot) error {
	entries, err := os.ReadDir(s.tokens())
	if err != nil {
		return err
	}
	for _, e := range entries {
		// The folder is a UUID; the serial number is its end without the dashes.
		if slot.Serial != "" && strings.HasSuffix(strings.ReplaceAll(e.Name(), "-", ""), slot.Serial) {
			return os.RemoveAll(filepath.Join(s.tokens(), e.Name()))
		}
	}
	return fmt.Errorf("softhsm: no token with serial number %s: %w", slot.Serial, fs.ErrNotExist)
}

// load runs the loader in a process of its own. What is secret goes over its
// standard input.
func (s *Store) load(o order) (answer, error) {
	exe, err := os.Executable()
	if err != nil {
		return answer{}, err
	}
	in, err := json.Marshal(o)
	if err != nil {
		return answer{}, err
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), append(s.Env(), loadVariable+"=1")...)
	cmd.Stdin = bytes.NewReader(in)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return answer{}, fmt.Errorf("softhsm: loading a token: %w: %s", err, strings.TrimSpace(errs.String()))
	}
	var a answer
	if err := json.Unmarshal(out.Bytes(), &a); err != nil {
		return answer{}, fmt.Errorf("softhsm: loading a token: %w: %q", err, out.String())
	}
	return a, nil
}
