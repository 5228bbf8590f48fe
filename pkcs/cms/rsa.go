package cms

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"math/big"
)

// maxStandardExponent is the largest public exponent that crypto/rsa takes. RFC 8017,
// 3.1 allows more, and cards with random exponents of 32 bits are in use.
const maxStandardExponent = 1<<31 - 1

// recovered is RSAVP1 (RFC 8017, 5.2.2): the encoded message as long as the modulus. ok
// is false for what is no signature representative, and for keys that cost too much.
func recovered(k *rsa.PublicKey, value []byte) (em []byte, ok bool) {
	s := new(big.Int).SetBytes(value)
	if len(value) != k.Size() || k.N.BitLen() > 8192 || k.E < 3 || k.E%2 == 0 || s.Cmp(k.N) >= 0 {
		return nil, false
	}
	return s.Exp(s, big.NewInt(int64(k.E)), k.N).FillBytes(make([]byte, k.Size())), true
}

// verifyLargeExponent does what crypto/rsa does for keys that it does not take.
func (s Scheme) verifyLargeExponent(k *rsa.PublicKey, digest, value []byte) error {
	em, ok := recovered(k, value)
	if !ok || k.N.Bit(0) == 0 || k.N.BitLen() < 1024 || len(digest) != s.Hash.Size() {
		return ErrSignature
	}
	if s.Name == "RSA-PSS" {
		return checkPSS(em, k.N.BitLen()-1, s.Hash, digest, s.Salt)
	}
	switch {
	case bytes.Equal(em, paddedDigestInfo(k.Size(), s.Hash, digest, true)):
		return nil
	case bytes.Equal(em, paddedDigestInfo(k.Size(), s.Hash, digest, false)):
		return ErrDigestInfoWithoutNull
	}
	return ErrSignature
}

// paddedDigestInfo is EMSA-PKCS1-v1_5 (RFC 8017, 9.2); nil where the key is too short.
// It is compared as a whole: nothing in a signature's padding is parsed.
func paddedDigestInfo(size int, h crypto.Hash, digest []byte, null bool) []byte {
	alg := appendOID(nil, OIDByHash(h))
	if null {
		alg = append(alg, tagNull, 0)
	}
	info := appendElement(nil, tagSequence, append(appendElement(nil, tagSequence, alg), appendElement(nil, tagOctetString, digest)...))
	if size < len(info)+11 {
		return nil
	}
	out := append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, size-len(info)-3)...)
	return append(append(out, 0), info...)
}

// verifyPSS is RSASSA-PSS-VERIFY (RFC 8017, 8.1.2) with the salt's length as the
// signature's parameters say, and no other.
func verifyPSS(k *rsa.PublicKey, h crypto.Hash, digest, value []byte, salt int) error {
	if salt == 0 {
		// crypto/rsa takes a length of 0 for "whichever it is".
		em, ok := recovered(k, value)
		if !ok || len(digest) != h.Size() {
			return ErrSignature
		}
		return checkPSS(em, k.N.BitLen()-1, h, digest, 0)
	}
	if salt < 0 || rsa.VerifyPSS(k, h, digest, value, &rsa.PSSOptions{SaltLength: salt, Hash: h}) != nil {
		return ErrSignature
	}
	return nil
}

// checkPSS is EMSA-PSS-VERIFY (RFC 8017, 9.1.2) with MGF1 (B.2.1) of the same hash.
func checkPSS(em []byte, bits int, hash crypto.Hash, digest []byte, salt int) error {
	size, hLen := (bits+7)/8, hash.Size()
	if salt < 0 || size < hLen+salt+2 || em[len(em)-1] != 0xBC {
		return ErrSignature
	}
	// A modulus of 8n+1 bits has one more byte than the encoding: it is zero.
	if len(bytes.TrimLeft(em[:len(em)-size], "\x00")) > 0 {
		return ErrSignature
	}
	em = em[len(em)-size:]
	db, seed := bytes.Clone(em[:size-hLen-1]), em[size-hLen-1:size-1]
	unused := byte(0xFF) >> (8*size - bits)
	if db[0]&^unused != 0 {
		return ErrSignature
	}
	h := hash.New()
	for i, done := uint32(0), 0; done < len(db); i++ {
		h.Reset()
		h.Write(seed)
		h.Write([]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})
		for _, m := range h.Sum(nil) {
			if done < len(db) {
				db[done] ^= m
				done++
			}
		}
	}
	db[0] &= unused
	zeros := len(db) - salt - 1
	if len(bytes.TrimLeft(db[:zeros], "\x00")) > 0 || db[zeros] != 1 {
		return ErrSignature
	}
	h.Reset()
	h.Write(make([]byte, 8))
	h.Write(digest)
	h.Write(db[zeros+1:])
	if !bytes.Equal(h.Sum(nil), seed) {
		return ErrSignature
	}
	return nil
}

// lacksNull names the one deviation that is seen in the field; no other padding passes.
func lacksNull(k *rsa.PublicKey, h crypto.Hash, digest, value []byte) bool {
	em, ok := recovered(k, value)
	want := paddedDigestInfo(k.Size(), h, digest, false)
	return ok && want != nil && bytes.Equal(em, want)
}
