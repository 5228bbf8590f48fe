// Package keys holds the server's own keys in one room: the seal that receipts
// carry, and the key of the audit log. They are in a file that only the server's
// user can read, or on a PKCS#11 token (Token). Rotating makes a new key; old ones
// stay and verify what they made.
package keys

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// ErrPermissions means that the key file can be read by others.
var ErrPermissions = errors.New("keys: the file can be read by others; chmod 600 it")

// ErrUnknown means that there is no key of that name.
var ErrUnknown = errors.New("keys: unknown key")

// Ring is the set of keys, newest last.
type Ring struct {
	path  string
	token *Token // nil: keys are in the file

	mu   sync.RWMutex
	keys []key
}

// key is one generation. In a file: an Ed25519 seed for seals, a secret for MACs.
// On a token: the certificate's SHA-256 and the public key (SubjectPublicKeyInfo),
// nothing secret; the secret for MACs is derived when the ring is opened.
type key struct {
	ID     string    `json:"id"`
	Made   time.Time `json:"made"`
	Seal   []byte    `json:"seal,omitempty"`
	Audit  []byte    `json:"audit,omitempty"`
	Token  string    `json:"token,omitempty"`
	Public []byte    `json:"public,omitempty"`

	mac []byte // Audit, or derived
}

// ErrNeedsToken means that a key is on a token and none was named.
var ErrNeedsToken = errors.New("keys: a key is on a PKCS#11 token; name it (--keys-module, --keys-pin-file)")

var errSeal = errors.New("keys: the seal does not hold")

// Open reads the keys of a folder, and makes the first ones when there are none:
// in the file, or on the token where one is given.
func Open(dir string, t *Token) (*Ring, error) {
	r := &Ring{path: filepath.Join(dir, "keys.json"), token: t}
	st, err := os.Stat(r.path)
	if errors.Is(err, os.ErrNotExist) {
		return r, r.Rotate(time.Now())
	}
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%w: %s", ErrPermissions, r.path)
	}
	if r.keys, err = r.read(); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Ring) read() ([]key, error) {
	data, err := os.ReadFile(r.path)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	var all []key
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, fmt.Errorf("keys: %s: %w", r.path, err)
	}
	for i := range all {
		if err := r.ready(&all[i]); err != nil {
			return nil, err
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("keys: %s holds no key", r.path)
	}
	return all, nil
}

// ready checks a key and makes its secret known.
func (r *Ring) ready(k *key) (err error) {
	switch {
	case k.ID != "" && k.Token != "" && len(k.Public) > 0 && len(k.Seal) == 0 && len(k.Audit) == 0:
		if r.token == nil {
			return ErrNeedsToken
		}
		k.mac, err = r.token.derive(*k)
		return err
	case k.ID != "" && k.Token == "" && len(k.Seal) == ed25519.SeedSize && len(k.Audit) == sha256.Size:
		k.mac = k.Audit
		return nil
	}
	return fmt.Errorf("keys: %s: a key is damaged", r.path)
}

// Rotate makes a new key that is used from now on.
func (r *Ring) Rotate(now time.Time) error {
	k, err := r.generate(now)
	if err != nil {
		return err
	}
	if err := r.ready(&k); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	all := append(append([]key(nil), r.keys...), k)
	data, err := json.Marshal(all)
	if err != nil {
		return err
	}
	if err := write(r.path, data); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	r.keys = all
	return nil
}

func (r *Ring) generate(now time.Time) (key, error) {
	k := key{Made: now.UTC().Truncate(time.Second)}
	id := make([]byte, 4)
	if _, err := rand.Read(id); err != nil {
		return k, err
	}
	k.ID = hex.EncodeToString(id)
	if r.token != nil {
		chosen, err := r.token.choose()
		if err != nil {
			return k, err
		}
		k.Token, k.Public = chosen.ID, chosen.Certificate.RawSubjectPublicKeyInfo
		return k, nil
	}
	k.Seal, k.Audit = make([]byte, ed25519.SeedSize), make([]byte, sha256.Size)
	_, err1 := rand.Read(k.Seal)
	_, err2 := rand.Read(k.Audit)
	return k, errors.Join(err1, err2)
}

func write(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".keys-*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

func (r *Ring) newest() key {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.keys[len(r.keys)-1]
}

// Has tells whether a key is in the ring.
func (r *Ring) Has(id string) bool {
	_, err := r.find(id)
	return err == nil
}

// find gives a key. One that is not there may have come since: another process rotated,
// and the file is read again.
func (r *Ring) find(id string) (key, error) {
	if k, ok := r.known(id); ok {
		return k, nil
	}
	if all, err := r.read(); err == nil {
		r.mu.Lock()
		if len(all) > len(r.keys) {
			r.keys = all
		}
		r.mu.Unlock()
	}
	if k, ok := r.known(id); ok {
		return k, nil
	}
	return key{}, fmt.Errorf("%w: %q", ErrUnknown, id)
}

func (r *Ring) known(id string) (key, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, k := range r.keys {
		if k.ID == id {
			return k, true
		}
	}
	return key{}, false
}

// Seal signs data: "id.signature", Ed25519 (RFC 8032) with a key of the file, RSA
// PKCS#1 v1.5 with SHA-256 with one of a token. A token can fail.
func (r *Ring) Seal(data []byte) (string, error) {
	k := r.newest()
	var sig []byte
	if k.Token == "" {
		sig = ed25519.Sign(ed25519.NewKeyFromSeed(k.Seal), data)
	} else {
		var err error
		if sig, err = r.token.sign(k.Token, append([]byte(sealDomain), data...)); err != nil {
			return "", err
		}
	}
	return k.ID + "." + base64.RawURLEncoding.EncodeToString(sig), nil
}

// CheckSeal tells whether a seal of this server, of now or before, is on data.
func (r *Ring) CheckSeal(data []byte, seal string) error {
	id, text, _ := strings.Cut(seal, ".")
	k, err := r.find(id)
	if err != nil {
		return err
	}
	sig, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return errSeal
	}
	if k.Token != "" {
		return checkRSA(k.Public, append([]byte(sealDomain), data...), sig)
	}
	public := ed25519.NewKeyFromSeed(k.Seal).Public().(ed25519.PublicKey)
	if !ed25519.Verify(public, data, sig) {
		return errSeal
	}
	return nil
}

// MAC authenticates a row of the audit log with the newest key.
func (r *Ring) MAC(data []byte) (id string, mac []byte) {
	k := r.newest()
	return k.ID, sum(k, data)
}

// CheckMAC checks a row.
func (r *Ring) CheckMAC(id string, data, mac []byte) error {
	k, err := r.find(id)
	if err != nil {
		return err
	}
	if !hmac.Equal(sum(k, data), mac) {
		return errors.New("keys: the MAC does not hold")
	}
	return nil
}

func sum(k key, data []byte) []byte {
	h := hmac.New(sha256.New, k.mac)
	_, _ = h.Write(data)
	return h.Sum(nil)
}
