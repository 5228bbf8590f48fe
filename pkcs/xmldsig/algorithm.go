package xmldsig

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	_ "crypto/sha1" //nolint:gosec // old certificates' digests; Weak tells where it is used
	_ "crypto/sha256"
	_ "crypto/sha512"
	"fmt"
	"math/big"
)

const (
	spaceEnc  = "http://www.w3.org/2001/04/xmlenc#"
	spaceMore = "http://www.w3.org/2001/04/xmldsig-more#"
)

// minRSA and maxRSA bound an RSA key, in bits: TS 119 312 counts from 1900, and the
// Norwegian list was signed with 2032.
const minRSA, maxRSA = 1900, 8192

// digests of RFC 9231, 2.1.
var digests = map[string]struct {
	hash crypto.Hash
	name string
}{
	Space + "sha1":       {crypto.SHA1, "SHA-1"},
	spaceEnc + "sha256":  {crypto.SHA256, "SHA-256"},
	spaceMore + "sha384": {crypto.SHA384, "SHA-384"},
	spaceEnc + "sha512":  {crypto.SHA512, "SHA-512"},
}

// Digest gives the hash of a DigestMethod element and its name.
func Digest(n *Node) (crypto.Hash, string, error) { return digestMethod(n) }

func digestMethod(n *Node) (crypto.Hash, string, error) {
	uri, _ := n.Attr("Algorithm")
	d, ok := digests[uri]
	if !ok {
		return 0, "", fmt.Errorf("%w: digest %q", ErrAlgorithm, short(uri))
	}
	if len(n.Elements()) > 0 {
		return 0, "", form("parameters of DigestMethod")
	}
	return d.hash, d.name, nil
}

type method struct {
	kind string // "RSA", "PSS", "ECDSA"
	hash crypto.Hash
	salt int
	name string
}

// methods of RFC 9231, 2.3. Secret keys (HMAC) are no signatures of anybody.
var methods = map[string]method{
	Space + "rsa-sha1":          {"RSA", crypto.SHA1, 0, "RSA with SHA-1"},
	spaceMore + "rsa-sha256":    {"RSA", crypto.SHA256, 0, "RSA with SHA-256"},
	spaceMore + "rsa-sha384":    {"RSA", crypto.SHA384, 0, "RSA with SHA-384"},
	spaceMore + "rsa-sha512":    {"RSA", crypto.SHA512, 0, "RSA with SHA-512"},
	spaceMore + "ecdsa-sha1":    {"ECDSA", crypto.SHA1, 0, "ECDSA with SHA-1"},
	spaceMore + "ecdsa-sha256":  {"ECDSA", crypto.SHA256, 0, "ECDSA with SHA-256"},
	spaceMore + "ecdsa-sha384":  {"ECDSA", crypto.SHA384, 0, "ECDSA with SHA-384"},
	spaceMore + "ecdsa-sha512":  {"ECDSA", crypto.SHA512, 0, "ECDSA with SHA-512"},
	space11 + "sha256-rsa-MGF1": {"PSS", crypto.SHA256, 32, "RSA-PSS with SHA-256"},
	space11 + "sha384-rsa-MGF1": {"PSS", crypto.SHA384, 48, "RSA-PSS with SHA-384"},
	space11 + "sha512-rsa-MGF1": {"PSS", crypto.SHA512, 64, "RSA-PSS with SHA-512"},
	space11 + "rsa-pss":         {"PSS", crypto.SHA256, 32, "RSA-PSS with SHA-256"}, // RFC 9231, 2.3.9, without parameters
}

func signatureMethod(n *Node) (method, error) {
	uri, _ := n.Attr("Algorithm")
	m, ok := methods[uri]
	if !ok {
		return m, fmt.Errorf("%w: signature %q", ErrAlgorithm, short(uri))
	}
	if len(n.Elements()) > 0 {
		return m, form("parameters of SignatureMethod")
	}
	return m, nil
}

func (m method) verify(key crypto.PublicKey, digest, value []byte) error {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minRSA || bits > maxRSA {
			return fmt.Errorf("%w: an RSA key of %d bits", ErrAlgorithm, bits)
		}
		switch m.kind {
		case "RSA":
			if rsa.VerifyPKCS1v15(k, m.hash, digest, value) == nil {
				return nil
			}
			return ErrValue
		case "PSS":
			if rsa.VerifyPSS(k, m.hash, digest, value, &rsa.PSSOptions{SaltLength: m.salt, Hash: m.hash}) == nil {
				return nil
			}
			return ErrValue
		}
	case *ecdsa.PublicKey:
		if m.kind != "ECDSA" {
			break
		}
		// RFC 9231, 2.3.6: r and s, each as long as the order, one after the other.
		size := (k.Params().N.BitLen() + 7) / 8
		if len(value) != 2*size {
			return fmt.Errorf("%w: %d bytes for %s", ErrValue, len(value), k.Params().Name)
		}
		if ecdsa.Verify(k, digest, new(big.Int).SetBytes(value[:size]), new(big.Int).SetBytes(value[size:])) {
			return nil
		}
		return ErrValue
	default:
		return fmt.Errorf("%w: a key of type %T", ErrAlgorithm, key)
	}
	return fmt.Errorf("%w: %s with a key of type %T", ErrAlgorithm, m.name, key)
}
