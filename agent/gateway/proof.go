package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"

	"github.com/citel-pa/citel/agent/wire"
)

// linkKey derives the key of this user for one origin: HKDF-SHA256 (RFC 5869)
// over the user's master secret with the origin in the info, so that no two
// origins see the same key and nothing is stored per site. A candidate that is
// no scalar of P-256 (chance below 2^-32) gives way to the next.
func linkKey(secret []byte, origin string) (*ecdsa.PrivateKey, error) {
	if len(secret) < 32 {
		return nil, errors.New("gateway: the master secret is too short")
	}
	for try := range 8 {
		info := wire.LinkKeyInfo + "\x00" + strconv.Itoa(try) + "\x00" + origin
		scalar, err := hkdf.Key(sha256.New, secret, nil, info, 32)
		if err != nil {
			return nil, fmt.Errorf("gateway: deriving the link's key: %w", err)
		}
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar)
		clear(scalar)
		if err == nil {
			return key, nil
		}
	}
	return nil, errors.New("gateway: no key could be derived")
}

// prove answers a page's challenge; see wire.Proof for what is signed.
func prove(secret []byte, origin string, challenge []byte) (wire.Proof, error) {
	key, err := linkKey(secret, origin)
	if err != nil {
		return wire.Proof{}, err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return wire.Proof{}, fmt.Errorf("gateway: the link's key: %w", err)
	}
	digest := sha256.Sum256(slices.Concat([]byte(wire.ProofLabel), []byte{0}, []byte(origin), []byte{0}, challenge))
	der, err := key.Sign(rand.Reader, digest[:], nil)
	if err != nil {
		return wire.Proof{}, fmt.Errorf("gateway: the link's proof: %w", err)
	}
	// RFC 7518, 3.4, Digital Signature with ECDSA: R || S, 32 bytes each.
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &rs); err != nil {
		return wire.Proof{}, fmt.Errorf("gateway: the link's proof: %w", err)
	}
	raw := make([]byte, 64)
	rs.R.FillBytes(raw[:32])
	rs.S.FillBytes(raw[32:])
	return wire.Proof{Key: base64.StdEncoding.EncodeToString(public), Signature: base64.StdEncoding.EncodeToString(raw)}, nil
}
