// Package keys holds the server's own keys in one room: the seal that receipts
// carry, and the key of the audit log. They are files that only the server's
// user can read. Rotating makes a new key; old ones stay and verify what they
// made.
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
	path string

	mu   sync.RWMutex
	keys []key
}

// key is one generation: an Ed25519 seed for seals, a secret for MACs.
type key struct {
	ID    string    `json:"id"`
	Made  time.Time `json:"made"`
	Seal  []byte    `json:"seal"`
	Audit []byte    `json:"audit"`
}

// Open reads the keys of a folder, and makes the first ones when there are none.
func Open(dir string) (*Ring, error) {
	r := &Ring{path: filepath.Join(dir, "keys.json")}
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
	data, err := os.ReadFile(r.path)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	if err := json.Unmarshal(data, &r.keys); err != nil {
		return nil, fmt.Errorf("keys: %s: %w", r.path, err)
	}
	for _, k := range r.keys {
		if k.ID == "" || len(k.Seal) != ed25519.SeedSize || len(k.Audit) != sha256.Size {
			return nil, fmt.Errorf("keys: %s: a key is damaged", r.path)
		}
	}
	if len(r.keys) == 0 {
		return nil, fmt.Errorf("keys: %s holds no key", r.path)
	}
	return r, nil
}

// Rotate makes a new key that is used from now on.
func (r *Ring) Rotate(now time.Time) error {
	k := key{Made: now.UTC().Truncate(time.Second), Seal: make([]byte, ed25519.SeedSize), Audit: make([]byte, sha256.Size)}
	id := make([]byte, 4)
	for _, b := range [][]byte{k.Seal, k.Audit, id} {
		if _, err := rand.Read(b); err != nil {
			return err
		}
	}
	k.ID = hex.EncodeToString(id)
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

func (r *Ring) find(id string) (key, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, k := range r.keys {
		if k.ID == id {
			return k, nil
		}
	}
	return key{}, fmt.Errorf("%w: %q", ErrUnknown, id)
}

// Seal signs data for everybody to verify: "id.signature", Ed25519 (RFC 8032).
func (r *Ring) Seal(data []byte) string {
	k := r.newest()
	sig := ed25519.Sign(ed25519.NewKeyFromSeed(k.Seal), data)
	return k.ID + "." + base64.RawURLEncoding.EncodeToString(sig)
}

// CheckSeal tells whether a seal of this server, of now or before, is on data.
func (r *Ring) CheckSeal(data []byte, seal string) error {
	id, text, _ := strings.Cut(seal, ".")
	k, err := r.find(id)
	if err != nil {
		return err
	}
	sig, err := base64.RawURLEncoding.DecodeString(text)
	public := ed25519.NewKeyFromSeed(k.Seal).Public().(ed25519.PublicKey)
	if err != nil || !ed25519.Verify(public, data, sig) {
		return errors.New("keys: the seal does not hold")
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
	h := hmac.New(sha256.New, k.Audit)
	_, _ = h.Write(data)
	return h.Sum(nil)
}
