package timestamp_test

import (
	"crypto"
	"math/big"
	"testing"

	"github.com/citel-pa/citel/pkcs/timestamp"
)

func FuzzInfo(f *testing.F) {
	f.Add([]byte("\x30\x03\x02\x01\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if i, err := timestamp.ParseInfo(data); err == nil && (i.GenTime.IsZero() || i.Policy == "") {
			t.Errorf("%+v", i)
		}
	})
}

func FuzzResponse(f *testing.F) {
	f.Add([]byte("\x30\x05\x30\x03\x02\x01\x02"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if token, err := timestamp.ParseResponse(data); err == nil && len(token) == 0 {
			t.Error("granted, and nothing")
		}
	})
}

func TestRequest(t *testing.T) {
	if _, err := timestamp.NewRequest(crypto.SHA256, make([]byte, 20), big.NewInt(1)); err == nil {
		t.Error("a digest of 20 bytes by SHA-256")
	}
	der, err := timestamp.NewRequest(crypto.SHA256, make([]byte, 32), big.NewInt(1))
	if err != nil || len(der) == 0 {
		t.Error(err)
	}
}
