package cms

import (
	"bytes"
	"crypto"
	"fmt"
	"math/big"
	"slices"
	"time"
)

// Builders of DER pieces. They are used by pkcs/cades, which knows the profile.

// Sequence wraps parts in a SEQUENCE.
func Sequence(parts ...[]byte) []byte { return appendElement(nil, tagSequence, bytes.Join(parts, nil)) }

// SetOf wraps parts in a SET, sorted as DER wants (X.690, 11.6).
func SetOf(parts ...[]byte) []byte {
	parts = slices.Clone(parts)
	slices.SortFunc(parts, bytes.Compare)
	return appendElement(nil, tagSet, bytes.Join(parts, nil))
}

// OID writes an OBJECT IDENTIFIER.
func OID(oid string) []byte { return appendOID(nil, oid) }

// OctetString writes an OCTET STRING.
func OctetString(b []byte) []byte { return appendElement(nil, tagOctetString, b) }

// Context wraps content under a context-specific, constructed tag.
func Context(n byte, content []byte) []byte { return appendElement(nil, tagContext0|n, content) }

// Integer writes a small INTEGER.
func Integer(n int64) []byte {
	b := big.NewInt(n).Bytes()
	if len(b) == 0 || b[0]&0x80 != 0 {
		b = append([]byte{0}, b...)
	}
	return appendElement(nil, tagInteger, b)
}

// IntegerContent writes an INTEGER from its content octets.
func IntegerContent(content []byte) []byte { return appendElement(nil, tagInteger, content) }

// Header writes an identifier and a definite length.
func Header(tag byte, length int64) []byte { return appendHeader(nil, tag, length) }

// Tags of the headers that a streaming writer puts down by itself.
const (
	TagSequence    byte = tagSequence
	TagSet         byte = tagSet
	TagOctetString byte = tagOctetString
	TagExplicit0   byte = tagContext0
)

// Marshal writes an attribute (RFC 5652, 5.3, Attribute).
func (a Attribute) Marshal() []byte { return Sequence(OID(a.OID), SetOf(a.Values...)) }

// Time writes UTCTime through 2049 and GeneralizedTime after (RFC 5652, 11.3,
// Signing Time).
func Time(t time.Time) []byte {
	t = t.UTC()
	if y := t.Year(); y >= 1950 && y < 2050 {
		return appendElement(nil, tagUTCTime, []byte(t.Format("060102150405Z")))
	}
	return appendElement(nil, tagGenTime, []byte(t.Format("20060102150405Z")))
}

// ParseTime reads UTCTime or GeneralizedTime in the form that RFC 5652, 11.3 asks for.
func ParseTime(raw []byte) (time.Time, error) {
	el, rest, err := Next(raw)
	if err != nil || len(rest) > 0 {
		return time.Time{}, malformed("time")
	}
	switch el.Tag {
	case tagUTCTime:
		t, err := time.Parse("060102150405Z", string(el.Content))
		if err != nil {
			return time.Time{}, malformed("UTCTime")
		}
		// RFC 5652, 11.3: years 50 to 99 are 19xx; Go's pivot is 69.
		if t.Year() >= 2050 {
			t = t.AddDate(-100, 0, 0)
		}
		return t, nil
	case tagGenTime:
		t, err := time.Parse("20060102150405Z", string(el.Content))
		if err != nil {
			return time.Time{}, malformed("GeneralizedTime")
		}
		return t, nil
	}
	return time.Time{}, malformed("tag %#02x where a time belongs", el.Tag)
}

// Identifier writes the AlgorithmIdentifier of a scheme (RFC 4055, RFC 5758).
func (s Scheme) Identifier() ([]byte, error) {
	// Nothing is signed with what the algorithms' policy does not know beyond today.
	if s.Hash != crypto.SHA256 && s.Hash != crypto.SHA384 && s.Hash != crypto.SHA512 {
		return nil, fmt.Errorf("%w: %s with %s", ErrAlgorithmUnknown, s.Name, s.Hash)
	}
	null := []byte{tagNull, 0}
	switch s.Name {
	case "RSA":
		return Sequence(OID(signatureOIDs[Scheme{Name: s.Name, Hash: s.Hash}]), null), nil
	case "ECDSA":
		return Sequence(OID(signatureOIDs[Scheme{Name: s.Name, Hash: s.Hash}])), nil
	case "RSA-PSS":
		hash := Sequence(OID(OIDByHash(s.Hash)), null)
		return Sequence(OID(oidRSAPSS), Sequence(
			Context(0, hash),
			Context(1, Sequence(OID(oidMGF1), hash)),
			Context(2, Integer(int64(s.Salt))),
		)), nil
	}
	return nil, fmt.Errorf("%w: %s", ErrAlgorithmUnknown, s.Name)
}

// DigestIdentifier writes the AlgorithmIdentifier of a hash; parameters are left
// out (RFC 5754, 2, Message Digest Algorithms).
func DigestIdentifier(h crypto.Hash) []byte { return Sequence(OID(OIDByHash(h))) }

// DigestInfo is what an RSA signature of PKCS #1 v1.5 pads (RFC 8017, 9.2, step 2
// and note 1): SHA-256, SHA-384 or SHA-512, the parameters NULL.
func DigestInfo(h crypto.Hash, digest []byte) ([]byte, error) {
	switch h {
	case crypto.SHA256, crypto.SHA384, crypto.SHA512:
	default:
		return nil, fmt.Errorf("%w: %s", ErrAlgorithmUnknown, h)
	}
	if len(digest) != h.Size() {
		return nil, fmt.Errorf("%w: a digest of %d bytes for %s", ErrAlgorithmMismatch, len(digest), h)
	}
	return Sequence(Sequence(OID(OIDByHash(h)), []byte{tagNull, 0}), OctetString(digest)), nil
}
