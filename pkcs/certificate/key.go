package certificate

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var (
	oidRSA = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidPSS = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
	oidEC  = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
)

// curves that are in use and not known here (RFC 5639, 4.1; SEC 2), by object identifier.
var curves = map[string]string{
	"1.3.36.3.3.2.8.1.1.1": "brainpoolP160r1", "1.3.36.3.3.2.8.1.1.3": "brainpoolP192r1", "1.3.36.3.3.2.8.1.1.5": "brainpoolP224r1",
	"1.3.36.3.3.2.8.1.1.7": "brainpoolP256r1", "1.3.36.3.3.2.8.1.1.8": "brainpoolP256t1", "1.3.36.3.3.2.8.1.1.9": "brainpoolP320r1",
	"1.3.36.3.3.2.8.1.1.11": "brainpoolP384r1", "1.3.36.3.3.2.8.1.1.12": "brainpoolP384t1", "1.3.36.3.3.2.8.1.1.13": "brainpoolP512r1",
	"1.3.36.3.3.2.8.1.1.14": "brainpoolP512t1", "1.3.132.0.10": "secp256k1", "1.2.840.10045.3.1.1": "secp192r1",
}

// ErrKey means a key of a kind or curve that is not known here; its text names it.
var ErrKey = errors.New("the key cannot be used")

// PublicKey reads a SubjectPublicKeyInfo (RFC 5280, 4.1.2.7). RSA keys may lack the NULL
// of their algorithm, or be marked for RSASSA-PSS (RFC 4055, 3.1).
func PublicKey(spki []byte) (crypto.PublicKey, error) {
	key, err := x509.ParsePKIXPublicKey(spki)
	if err == nil {
		return key, nil
	}
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if rest, bad := asn1.Unmarshal(spki, &info); bad != nil || len(rest) > 0 {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	id, parameters := info.Algorithm.Algorithm, info.Algorithm.Parameters.FullBytes
	switch {
	case (id.Equal(oidRSA) && len(parameters) == 0 || id.Equal(oidPSS)) && info.Key.BitLength%8 == 0:
		key, err := x509.ParsePKCS1PublicKey(info.Key.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrKey, err)
		}
		return key, nil
	case id.Equal(oidEC):
		var curve asn1.ObjectIdentifier
		if _, bad := asn1.Unmarshal(parameters, &curve); bad != nil {
			return nil, fmt.Errorf("%w: its elliptic curve is not a named one", ErrKey)
		}
		if name := curves[curve.String()]; name != "" {
			return nil, fmt.Errorf("%w: the elliptic curve %s is not supported", ErrKey, name)
		}
		return nil, fmt.Errorf("%w: the elliptic curve %s is not known", ErrKey, curve)
	}
	return nil, fmt.Errorf("%w: %w (%s)", ErrKey, err, id)
}

// textFits tells whether crypto/x509 takes a string of a Name.
func textFits(tag cbasn1.Tag, value []byte) bool {
	switch tag {
	case cbasn1.PrintableString:
		for _, b := range value {
			if !printable(b) {
				return false
			}
		}
	case cbasn1.UTF8String:
		return utf8.Valid(value)
	case cbasn1.IA5String:
		for _, b := range value {
			if b >= 0x80 {
				return false
			}
		}
	}
	return true
}

// printable is the alphabet of PrintableString (X.680, 41.4), with the two that
// crypto/x509 lets pass.
func printable(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || '\'' <= b && b <= ')' ||
		'+' <= b && b <= '/' || b == ' ' || b == ':' || b == '=' || b == '?' || b == '*' || b == '&'
}

// addresses are the URLs of cRLDistributionPoints (RFC 5280, 4.2.1.13) that crypto/x509
// could not read as a whole.
func addresses(extensions []pkix.Extension) (out []string) {
	for _, x := range extensions {
		if x.Id.String() != oidDistributionPoints {
			continue
		}
		value := cryptobyte.String(x.Value)
		var points cryptobyte.String
		if !value.ReadASN1(&points, cbasn1.SEQUENCE) {
			return nil
		}
		for !points.Empty() {
			var point, name, full cryptobyte.String
			var present bool
			if !points.ReadASN1(&point, cbasn1.SEQUENCE) || !point.ReadOptionalASN1(&name, &present, cbasn1.Tag(0).ContextSpecific().Constructed()) {
				return out
			}
			if !present || !name.ReadOptionalASN1(&full, &present, cbasn1.Tag(0).ContextSpecific().Constructed()) || !present {
				continue
			}
			for !full.Empty() {
				var v cryptobyte.String
				var tag cbasn1.Tag
				if !full.ReadAnyASN1(&v, &tag) {
					return out
				}
				if tag == cbasn1.Tag(6).ContextSpecific() {
					out = append(out, string(v))
				}
			}
		}
	}
	return out
}
