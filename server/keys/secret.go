package keys

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"golang.org/x/crypto/argon2"
)

// ErrSecret means that a password, PIN or code is not the one that was hashed.
var ErrSecret = errors.New("keys: the secret is another one")

// Argon2id's cost (RFC 9106, 4, Parameter Choice, scaled down as the OWASP password
// storage sheet does for many logins at once): 19 MiB, two passes, one lane.
const (
	argonMemory = 19 << 10 // KiB
	argonTime   = 2
	argonLanes  = 1
	argonSalt   = 16
	argonLength = 32
)

// hashing bounds how many hashes are computed at once, and so their memory.
var hashing = make(chan struct{}, max(2, runtime.NumCPU()))

// Purposes keep keys apart: what is made for one thing opens no other.
const (
	PurposePassword = "password"
	PurposeEnvelope = "envelope"
	PurposeTOTP     = "totp"
	PurposeMail     = "mail"
	PurposeAttempt  = "attempt"
)

// subkey derives a key for a purpose (RFC 5869).
func subkey(k key, purpose string) []byte {
	out, err := hkdf.Key(sha256.New, k.mac, nil, "citel-"+purpose+"-v1", sha256.Size)
	if err != nil {
		panic(err) // only for lengths that SHA-256 cannot give
	}
	return out
}

// HashSecret hashes a password, PIN or code with argon2id over its MAC by a key of the
// server: who has the database alone cannot even guess. The text names the key and the
// cost: "$citel-argon2id$k=ID,m=...,t=...,p=...$salt$hash".
func (r *Ring) HashSecret(ctx context.Context, purpose string, secret []byte) (string, error) {
	k := r.newest()
	salt := make([]byte, argonSalt)
	_, _ = rand.Read(salt) // never fails (crypto/rand)
	sum, err := argon(ctx, subkey(k, purpose), secret, salt, argonTime, argonMemory, argonLanes)
	if err != nil {
		return "", err
	}
	e := base64.RawStdEncoding
	return fmt.Sprintf("$citel-argon2id$k=%s,m=%d,t=%d,p=%d$%s$%s", k.ID, argonMemory, argonTime, argonLanes, e.EncodeToString(salt), e.EncodeToString(sum)), nil
}

// CheckSecret tells whether a secret is the hashed one: nil, ErrSecret, or what kept it
// from being known. An empty hash takes as long as any and is never right: that is how
// an unknown user looks like a wrong password.
func (r *Ring) CheckSecret(ctx context.Context, purpose, hashed string, secret []byte) error {
	unknown := hashed == ""
	k, salt, want := r.newest(), make([]byte, argonSalt), make([]byte, argonLength)
	var time, memory uint32 = argonTime, argonMemory
	var lanes uint8 = argonLanes
	if !unknown {
		var err error
		if k, salt, want, err = r.parse(hashed, &memory, &time, &lanes); err != nil {
			return err
		}
	}
	sum, err := argon(ctx, subkey(k, purpose), secret, salt, time, memory, lanes)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(sum, want) != 1 || unknown {
		return ErrSecret
	}
	return nil
}

func (r *Ring) parse(hashed string, memory, time *uint32, lanes *uint8) (k key, salt, want []byte, err error) {
	bad := errors.New("keys: a stored hash is damaged")
	parts := strings.Split(hashed, "$")
	if len(parts) != 5 || parts[0] != "" || parts[1] != "citel-argon2id" {
		return k, nil, nil, bad
	}
	id, cost, ok := strings.Cut(strings.TrimPrefix(parts[2], "k="), ",")
	if n, err := fmt.Sscanf(cost, "m=%d,t=%d,p=%d", memory, time, lanes); !ok || err != nil || n != 3 || *memory > 1<<20 || *time == 0 || *time > 100 || *lanes == 0 {
		return k, nil, nil, bad
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[3])
	want, err2 := base64.RawStdEncoding.DecodeString(parts[4])
	if errors.Join(err1, err2) != nil || len(want) != argonLength || len(salt) < 8 {
		return k, nil, nil, bad
	}
	k, err = r.find(id)
	return k, salt, want, err
}

func argon(ctx context.Context, pepper, secret, salt []byte, time, memory uint32, lanes uint8) ([]byte, error) {
	h := hmac.New(sha256.New, pepper)
	_, _ = h.Write(secret)
	select {
	case hashing <- struct{}{}:
		defer func() { <-hashing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return argon2.IDKey(h.Sum(nil), salt, time, memory, lanes, argonLength), nil
}

// Encrypt hides a value that the server must read again (AES-256-GCM): key's name,
// nonce, ciphertext. The purpose is under the seal.
func (r *Ring) Encrypt(purpose string, plain []byte) ([]byte, error) {
	k := r.newest()
	g, err := gcm(subkey(k, purpose))
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, g.NonceSize())
	_, _ = rand.Read(nonce) // never fails (crypto/rand)
	return g.Seal(append([]byte(k.ID+"."), nonce...), nonce, plain, []byte(purpose)), nil
}

// Decrypt reads what Encrypt made.
func (r *Ring) Decrypt(purpose string, sealed []byte) ([]byte, error) {
	id, rest, _ := strings.Cut(string(sealed), ".")
	k, err := r.find(id)
	if err != nil {
		return nil, err
	}
	g, err := gcm(subkey(k, purpose))
	if err != nil {
		return nil, err
	}
	if len(rest) < g.NonceSize() {
		return nil, errors.New("keys: an encrypted value is damaged")
	}
	plain, err := g.Open(nil, []byte(rest[:g.NonceSize()]), []byte(rest[g.NonceSize():]), []byte(purpose))
	if err != nil {
		return nil, fmt.Errorf("keys: an encrypted value is damaged: %w", err)
	}
	return plain, nil
}

func gcm(k []byte) (cipher.AEAD, error) {
	b, err := aes.NewCipher(k)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(b)
}

// Alias turns a value into a name that tells nobody what it was, the same each time
// until the next rotation.
func (r *Ring) Alias(purpose, value string) string {
	h := hmac.New(sha256.New, subkey(r.newest(), purpose))
	_, _ = h.Write([]byte(value))
	return hex.EncodeToString(h.Sum(nil)[:16])
}
