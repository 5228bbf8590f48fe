package keys_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/keys"
)

func TestSecrets(t *testing.T) {
	ring, err := keys.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	h, err := ring.HashSecret(t.Context(), keys.PurposePassword, []byte("giusta"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(h, "giusta") {
		t.Error("the secret is in its hash")
	}
	if again, _ := ring.HashSecret(t.Context(), keys.PurposePassword, []byte("giusta")); again == h {
		t.Error("two hashes of one secret are the same")
	}
	if err := ring.Rotate(time.Now()); err != nil { // old ones still verify
		t.Fatal(err)
	}
	for _, c := range []struct {
		purpose, hash, secret string
		want                  error
	}{
		{keys.PurposePassword, h, "giusta", nil},
		{keys.PurposePassword, h, "sbagliata", keys.ErrSecret},
		{keys.PurposePassword, h, "", keys.ErrSecret},
		{keys.PurposeEnvelope, h, "giusta", keys.ErrSecret},
		{keys.PurposePassword, "", "giusta", keys.ErrSecret},
		{keys.PurposePassword, "", "", keys.ErrSecret},
	} {
		if err := ring.CheckSecret(t.Context(), c.purpose, c.hash, []byte(c.secret)); !errors.Is(err, c.want) {
			t.Errorf("%s %q: %v", c.purpose, c.secret, err)
		}
	}
	for _, bad := range []string{"x", "$$$$", strings.Replace(h, "t=2", "t=0", 1), strings.Replace(h, "m=", "m=9999999", 1), h[:len(h)-4], strings.Replace(h, "k=", "k=0", 1)} {
		if err := ring.CheckSecret(t.Context(), keys.PurposePassword, bad, []byte("giusta")); err == nil || errors.Is(err, keys.ErrSecret) {
			t.Errorf("damaged %q: %v", bad, err)
		}
	}
	// Without the server's key the hash is worth nothing.
	other, err := keys.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.CheckSecret(t.Context(), keys.PurposePassword, h, []byte("giusta")); err == nil {
		t.Error("another server's key verifies it")
	}
}

// What a process hashed after it rotated, another that has the same file verifies.
func TestRotationElsewhere(t *testing.T) {
	dir := t.TempDir()
	one, err1 := keys.Open(dir, nil)
	two, err2 := keys.Open(dir, nil)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if err := one.Rotate(time.Now()); err != nil {
		t.Fatal(err)
	}
	h, err := one.HashSecret(t.Context(), keys.PurposePassword, []byte("giusta"))
	if err != nil {
		t.Fatal(err)
	}
	if err := two.CheckSecret(t.Context(), keys.PurposePassword, h, []byte("giusta")); err != nil {
		t.Error(err)
	}
}

func TestEncryption(t *testing.T) {
	ring, err := keys.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := ring.Encrypt(keys.PurposeTOTP, []byte("seme"))
	if err != nil || bytes.Contains(sealed, []byte("seme")) {
		t.Fatalf("%q %v", sealed, err)
	}
	if err := ring.Rotate(time.Now()); err != nil {
		t.Fatal(err)
	}
	if plain, err := ring.Decrypt(keys.PurposeTOTP, sealed); err != nil || string(plain) != "seme" {
		t.Errorf("%q %v", plain, err)
	}
	if _, err := ring.Decrypt(keys.PurposeMail, sealed); err == nil {
		t.Error("one purpose opens another")
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := ring.Decrypt(keys.PurposeTOTP, bad); err == nil {
			t.Errorf("byte %d changed: opened", i)
		}
	}
	for n := range sealed {
		if _, err := ring.Decrypt(keys.PurposeTOTP, sealed[:n]); err == nil {
			t.Errorf("cut to %d bytes: opened", n)
		}
	}
}
