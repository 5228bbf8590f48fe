package keys

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/citel-pa/citel/pkcs/token"
)

// Token is a PKCS#11 token (an HSM, or a smart card in the server) that holds the
// server's RSA key with its certificate. The key never leaves it; the secret of
// the log is derived from it and lives in memory only.
type Token struct {
	Module string
	// PINFile holds the PIN; it is read each time a session is opened, and must
	// not be readable by others.
	PINFile string
	// Certificate is the SHA-256, in hexadecimal, of the certificate whose key is
	// used from the next Rotate on; empty takes the only one.
	Certificate string
	// Seals names, by ente, the certificate (SHA-256, hexadecimal) on the same token whose
	// key seals the ente's documents; others are sealed with the ring's key. Changing it is
	// the rotation: certificates that were used stay published.
	Seals map[string]string

	mu      sync.Mutex
	module  *token.Module
	session *token.Session
	ids     []token.Identity
}

// ErrToken means that the token did not do what was asked.
var ErrToken = errors.New("keys: the token")

// open is called with mu held.
func (t *Token) open() (err error) {
	if t.session != nil {
		return nil
	}
	pin, err := readPIN(t.PINFile)
	if err != nil {
		return err
	}
	defer clear(pin)
	if t.module == nil {
		if t.module, err = token.Open(t.Module); err != nil {
			return err
		}
	}
	slots, err := t.module.Slots(context.Background())
	if err != nil {
		return err
	}
	for _, s := range slots {
		session, err := t.module.Session(s.ID)
		if err != nil {
			continue // an empty slot
		}
		ids, err := session.Identities()
		if err != nil || len(ids) == 0 || t.Certificate != "" && !has(ids, t.Certificate) {
			_ = session.Close()
			continue
		}
		if err := session.Login(pin); err != nil {
			return errors.Join(err, session.Close())
		}
		t.session, t.ids = session, ids
		return nil
	}
	return errors.New("no token with a certificate and its key")
}

func has(ids []token.Identity, id string) bool {
	for _, i := range ids {
		if i.ID == id {
			return true
		}
	}
	return false
}

func readPIN(name string) ([]byte, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if st.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%w: %s", ErrPermissions, name)
	}
	data, err := os.ReadFile(name) //nolint:gosec // the operator names it
	if err != nil {
		return nil, err
	}
	return bytes.TrimRight(data, "\r\n"), nil
}

// choose gives the identity that new keys use.
func (t *Token) choose() (token.Identity, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.open(); err != nil {
		return token.Identity{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	var found []token.Identity
	for _, i := range t.ids {
		if _, ok := i.Certificate.PublicKey.(*rsa.PublicKey); ok && (t.Certificate == "" || t.Certificate == i.ID) {
			found = append(found, i)
		}
	}
	if len(found) != 1 {
		return token.Identity{}, fmt.Errorf("%w: %d RSA keys with a certificate fit; name one by its SHA-256", ErrToken, len(found))
	}
	return found[0], nil
}

// sign signs with PKCS#1 v1.5 and SHA-256.
func (t *Token) sign(id string, data []byte) ([]byte, error) {
	digest := sha256.Sum256(data)
	return t.signDigest(id, digest[:], crypto.SHA256)
}

// signDigest signs; a session that was lost (the token was restarted) is opened again
// once; a PIN that was refused is never tried again.
func (t *Token) signDigest(id string, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var err error
	for range 2 {
		var sig []byte
		if sig, err = t.signOnce(id, digest, o); err == nil {
			return sig, nil
		}
		if refused := (*token.PINError)(nil); errors.As(err, &refused) {
			break
		}
		if t.session != nil {
			_ = t.session.Close()
			t.session = nil
		}
	}
	return nil, fmt.Errorf("%w: %w", ErrToken, err)
}

func (t *Token) signOnce(id string, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	if err := t.open(); err != nil {
		return nil, err
	}
	for _, i := range t.ids {
		if i.ID != id {
			continue
		}
		key, err := t.session.Key(i)
		if err != nil {
			return nil, err
		}
		return key.Sign(rand.Reader, digest, o)
	}
	return nil, fmt.Errorf("%w: its certificate %s is not there", ErrUnknown, id)
}

// Close ends the session with the token.
func (t *Token) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.module == nil {
		return nil
	}
	var err error
	if t.session != nil {
		err = t.session.Close()
	}
	err = errors.Join(err, t.module.Close())
	t.module, t.session = nil, nil
	return err
}

// Seals and the derivation sign different things by their first bytes, so that
// no seal is ever the log's secret.
const (
	sealDomain  = "citel-seal-v1\x00"
	auditDomain = "citel-audit-key-v1\x00"
)

// derive makes the log's secret from the token's key: PKCS#1 v1.5 signatures are
// a function of key and message (RFC 8017, 8.2.1), so it is the same each time.
func (t *Token) derive(k key) ([]byte, error) {
	sig, err := t.sign(k.Token, []byte(auditDomain+k.ID))
	if err != nil {
		return nil, err
	}
	if err := checkRSA(k.Public, []byte(auditDomain+k.ID), sig); err != nil {
		return nil, err
	}
	secret := sha256.Sum256(sig)
	return secret[:], nil
}

func checkRSA(spki, data, sig []byte) error {
	public, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	k, ok := public.(*rsa.PublicKey)
	if !ok {
		return errors.New("keys: the token's key is not RSA")
	}
	digest := sha256.Sum256(data)
	if rsa.VerifyPKCS1v15(k, crypto.SHA256, digest[:], sig) != nil {
		return errSeal
	}
	return nil
}
