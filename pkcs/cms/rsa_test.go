package cms

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"math/big"
	"testing"
)

// Cards with public exponents of 32 bits are in use; crypto/rsa refuses them.
func TestLargePublicExponent(t *testing.T) {
	for _, bits := range []int{1024, 1025, 2048} { // 1025: the encoding is a byte shorter than the modulus
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		one := big.NewInt(1)
		phi := new(big.Int).Mul(new(big.Int).Sub(key.Primes[0], one), new(big.Int).Sub(key.Primes[1], one))
		e := big.NewInt(0x875d8fa3)
		for new(big.Int).GCD(nil, nil, e, phi).Cmp(one) != 0 {
			e.Add(e, big.NewInt(2))
		}
		d := new(big.Int).ModInverse(e, phi)
		large := &rsa.PublicKey{N: key.N, E: int(e.Int64())}
		// The encoded message of an ordinary signature, signed with the other exponent.
		again := func(signature []byte) []byte {
			em := new(big.Int).Exp(new(big.Int).SetBytes(signature), big.NewInt(int64(key.E)), key.N)
			return em.Exp(em, d, key.N).FillBytes(make([]byte, key.Size()))
		}
		digest := sha256.Sum256([]byte("istanza"))
		other := sha256.Sum256([]byte("altra"))
		for _, s := range []Scheme{{Name: "RSA", Hash: crypto.SHA256}, {Name: "RSA-PSS", Hash: crypto.SHA256, Salt: 32}, {Name: "RSA-PSS", Hash: crypto.SHA256, Salt: 20}, {Name: "RSA-PSS", Hash: crypto.SHA256}} {
			var signature []byte
			if s.Name == "RSA" {
				signature, err = rsa.SignPKCS1v15(nil, key, s.Hash, digest[:])
			} else {
				signature, err = signPSS(key, digest[:], s.Salt)
			}
			if err != nil {
				t.Fatal(err)
			}
			value := again(signature)
			if err := s.Verify(large, digest[:], value); err != nil {
				t.Errorf("%d bits, %v: %v", bits, s, err)
			}
			if err := s.Verify(large, other[:], value); !errors.Is(err, ErrSignature) {
				t.Errorf("%d bits, %v: another digest: %v", bits, s, err)
			}
			if err := s.Verify(large, digest[:], signature); !errors.Is(err, ErrSignature) {
				t.Errorf("%d bits, %v: another key's signature: %v", bits, s, err)
			}
			if s.Name == "RSA-PSS" {
				s.Salt++
				if err := s.Verify(large, digest[:], value); !errors.Is(err, ErrSignature) {
					t.Errorf("%d bits, %v: another salt: %v", bits, s, err)
				}
			}
		}
	}
}

// signPSS makes a signature with exactly that salt; crypto/rsa takes 0 for "as long as
// fits", so an encoding without salt is made here.
func signPSS(key *rsa.PrivateKey, digest []byte, salt int) ([]byte, error) {
	if salt > 0 {
		return rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest, &rsa.PSSOptions{SaltLength: salt})
	}
	bits := key.N.BitLen() - 1
	em := make([]byte, (bits+7)/8)
	h := sha256.Sum256(append(make([]byte, 8), digest...))
	db := em[:len(em)-33]
	db[len(db)-1] = 1
	for i, done := byte(0), 0; done < len(db); i++ {
		for _, m := range sha256.Sum256(append(append([]byte{}, h[:]...), 0, 0, 0, i)) {
			if done < len(db) {
				db[done] ^= m
				done++
			}
		}
	}
	db[0] &= 0xFF >> (8*len(em) - bits)
	copy(em[len(db):], h[:])
	em[len(em)-1] = 0xBC
	return new(big.Int).Exp(new(big.Int).SetBytes(em), key.D, key.N).FillBytes(make([]byte, key.Size())), nil
}
