// Package authtoken makes and verifies the login token, in Web eID's format
// web-eid:1.0: a signature by the card's key over hash(origin) || hash(nonce). A
// token says nothing about origin and nonce; whoever verifies it must know both.
package authtoken

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Format is what this package makes.
const Format = "web-eid:1.0"

// Bounds of a token in bytes, Web eID's own.
const (
	MinLength = 100
	MaxLength = 10_000
)

// Bounds of a nonce in characters: 32 bytes in base64 at least.
const (
	MinNonce = 44
	MaxNonce = 256
)

// Token is the JSON document that goes to the server.
type Token struct {
	UnverifiedCertificate string `json:"unverifiedCertificate"` // base64 of DER
	Algorithm             string `json:"algorithm"`             // RFC 7518, 3.1
	Signature             string `json:"signature"`             // base64; ECDSA as R||S
	Format                string `json:"format"`
	AppVersion            string `json:"appVersion,omitempty"`
}

// algorithm is a JWA signature algorithm (RFC 7518, 3.1).
type algorithm struct {
	name string
	hash crypto.Hash
	key  string // "RSA", "RSA-PSS", "ECDSA"
	bits int    // of the curve (RFC 7518, 3.4), 0 for RSA
}

var algorithms = []algorithm{
	{"RS256", crypto.SHA256, "RSA", 0}, {"RS384", crypto.SHA384, "RSA", 0}, {"RS512", crypto.SHA512, "RSA", 0},
	{"PS256", crypto.SHA256, "RSA-PSS", 0}, {"PS384", crypto.SHA384, "RSA-PSS", 0}, {"PS512", crypto.SHA512, "RSA-PSS", 0},
	{"ES256", crypto.SHA256, "ECDSA", 256}, {"ES384", crypto.SHA384, "ECDSA", 384}, {"ES512", crypto.SHA512, "ECDSA", 521},
}

func byName(name string) (algorithm, bool) {
	for _, a := range algorithms {
		if a.name == name {
			return a, true
		}
	}
	return algorithm{}, false
}

// AlgorithmFor is the algorithm that a certificate's key signs tokens with: RS256
// (PS256 with pss), ES256, ES384 or ES512 by its curve.
func AlgorithmFor(cert *x509.Certificate, pss bool) (string, error) {
	switch k := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		if pss {
			return "PS256", nil
		}
		return "RS256", nil
	case *ecdsa.PublicKey:
		for _, a := range algorithms {
			if a.bits == k.Curve.Params().BitSize {
				return a.name, nil
			}
		}
	}
	return "", fmt.Errorf("%w: a key of type %T", ErrAlgorithm, cert.PublicKey)
}

// Request is what a token is made for.
type Request struct {
	Origin      string // as the WebSocket's handshake named it
	Nonce       string // the server's text
	Certificate *x509.Certificate
	// Algorithm is a JWA name; empty is AlgorithmFor(Certificate, false).
	Algorithm  string
	AppVersion string // an address, informative
}

// SignFunc signs a digest like crypto.Signer; ECDSA signatures are ASN.1 DER.
type SignFunc func(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error)

// Make builds a token. The caller answers for the origin: it comes from the
// WebSocket's handshake and never from a page's message.
func Make(ctx context.Context, r Request, sign SignFunc) ([]byte, error) {
	if _, err := ParseOrigin(r.Origin, true); err != nil {
		return nil, err
	}
	if err := CheckNonce(r.Nonce); err != nil {
		return nil, err
	}
	name := r.Algorithm
	if name == "" {
		var err error
		if name, err = AlgorithmFor(r.Certificate, false); err != nil {
			return nil, err
		}
	}
	a, ok := byName(name)
	if !ok {
		return nil, fmt.Errorf("%w: %q", ErrAlgorithm, name)
	}
	var opts crypto.SignerOpts = a.hash
	if a.key == "RSA-PSS" {
		// RFC 7518, 3.5: salt as long as the hash, MGF1 with the same hash
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: a.hash}
	}
	sig, err := sign(ctx, digest(a.hash, r.Origin, r.Nonce), opts)
	if err != nil {
		return nil, err
	}
	if a.key == "ECDSA" {
		if sig, err = RawECDSA(sig, a.bits); err != nil {
			return nil, err
		}
	}
	token, err := json.Marshal(Token{
		UnverifiedCertificate: base64.StdEncoding.EncodeToString(r.Certificate.Raw),
		Algorithm:             name, Signature: base64.StdEncoding.EncodeToString(sig),
		Format: Format, AppVersion: r.AppVersion,
	})
	if err != nil {
		return nil, err
	}
	if len(token) > MaxLength {
		return nil, fmt.Errorf("%w: %d bytes; the certificate is too large", ErrTooLong, len(token))
	}
	return token, nil
}

// digest is the hash of hash(origin) || hash(nonce), the nonce as its text.
func digest(h crypto.Hash, origin, nonce string) []byte {
	sum := func(data []byte) []byte {
		x := h.New()
		x.Write(data)
		return x.Sum(nil)
	}
	return sum(append(sum([]byte(origin)), sum([]byte(nonce))...))
}

// RawECDSA turns an ECDSA-Sig-Value (RFC 3279, 2.2.3) into R||S of fixed length
// (RFC 7518, 3.4), for a curve of so many bits.
func RawECDSA(der []byte, bits int) ([]byte, error) {
	input := cryptobyte.String(der)
	var seq cryptobyte.String
	var r, s []byte
	size := (bits + 7) / 8
	if !input.ReadASN1(&seq, cbasn1.SEQUENCE) || !input.Empty() ||
		!seq.ReadASN1Integer(&r) || !seq.ReadASN1Integer(&s) || !seq.Empty() || len(r) > size || len(s) > size {
		return nil, errors.New("authtoken: the key gave no ECDSA signature")
	}
	out := make([]byte, 2*size)
	copy(out[size-len(r):], r)
	copy(out[2*size-len(s):], s)
	return out, nil
}

// CheckNonce tells whether a text can be a nonce: base64, of a bounded length.
func CheckNonce(nonce string) error {
	if len(nonce) < MinNonce || len(nonce) > MaxNonce {
		return fmt.Errorf("%w: %d characters; %d to %d are possible", ErrNonce, len(nonce), MinNonce, MaxNonce)
	}
	if _, err := base64.StdEncoding.DecodeString(nonce); err != nil {
		return fmt.Errorf("%w: not base64", ErrNonce)
	}
	return nil
}

// ParseOrigin checks that a text is an origin as a browser writes it (RFC 6454,
// 6.2): scheme://host[:port], lower case, no default port, nothing behind it.
// https only; http is for developers on loopback, where the caller allows it.
func ParseOrigin(origin string, loopbackHTTP bool) (*url.URL, error) {
	bad := func(why string) (*url.URL, error) { return nil, fmt.Errorf("%w: %q %s", ErrOrigin, origin, why) }
	if len(origin) > 300 {
		return nil, fmt.Errorf("%w: too long", ErrOrigin)
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Opaque != "" {
		return bad("is not scheme://host[:port]")
	}
	if u.Scheme+"://"+u.Host != origin || strings.ToLower(origin) != origin {
		return bad("has more than scheme, host and port, or is not in lower case")
	}
	host := u.Hostname()
	loopback := host == "localhost" || host == "127.0.0.1" || host == "::1"
	switch u.Scheme {
	case "https":
		if u.Port() == "443" {
			return bad("names the default port")
		}
	case "http":
		if !loopback || !loopbackHTTP {
			return bad("is not https")
		}
		if u.Port() == "80" {
			return bad("names the default port")
		}
	default:
		return bad("is not https")
	}
	return u, nil
}
