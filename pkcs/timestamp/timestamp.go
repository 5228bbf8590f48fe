// Package timestamp is the Time-Stamp Protocol (RFC 3161, RFC 5816): what a token
// says, and how one is asked for. Whether a token's signature holds is a matter of
// pkcs/cades, which reads it as any other signature.
package timestamp

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/citel-pa/citel/pkcs/cms"
)

// ErrMalformed means bytes that are no TSTInfo, request or response.
var ErrMalformed = errors.New("timestamp: malformed")

// Info is a TSTInfo (RFC 3161, 2.4.2).
type Info struct {
	Policy string
	Hash   crypto.Hash // 0: not known
	// HashOID names the hash also where it is not known.
	HashOID string
	Imprint []byte
	Serial  *big.Int
	GenTime time.Time // UTC
	Nonce   *big.Int  // nil without one
	// TSA is the GeneralName of the authority as DER, nil without one.
	TSA []byte
}

type tstInfo struct {
	Version  int
	Policy   asn1.RawValue // an OID; asn1's own type refuses arcs over 31 bits
	Imprint  imprint
	Serial   *big.Int
	GenTime  asn1.RawValue
	Accuracy struct {
		Seconds int `asn1:"optional"`
		Millis  int `asn1:"optional,tag:0"`
		Micros  int `asn1:"optional,tag:1"`
	} `asn1:"optional"`
	Ordering   bool          `asn1:"optional,default:false"`
	Nonce      *big.Int      `asn1:"optional"`
	TSA        asn1.RawValue `asn1:"optional,tag:0,explicit"`
	Extensions asn1.RawValue `asn1:"optional,tag:1"`
}

type imprint struct {
	Algorithm pkix.AlgorithmIdentifier
	Digest    []byte
}

// MaxToken bounds a token, in bytes: certificates and lists may be in it.
const MaxToken = 1 << 20

// ParseInfo reads a TSTInfo, the content of a token.
func ParseInfo(der []byte) (*Info, error) {
	var t tstInfo
	rest, err := asn1.Unmarshal(der, &t)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	case len(rest) > 0:
		return nil, fmt.Errorf("%w: bytes after TSTInfo", ErrMalformed)
	case t.Version != 1:
		return nil, fmt.Errorf("%w: version %d", ErrMalformed, t.Version)
	case t.GenTime.Class != asn1.ClassUniversal || t.GenTime.Tag != asn1.TagGeneralizedTime:
		return nil, fmt.Errorf("%w: genTime is no GeneralizedTime", ErrMalformed)
	}
	// Fractions of a second are allowed, other zones than UTC are not (RFC 3161, 2.4.2).
	at, err := time.Parse("20060102150405.999999999Z", string(t.GenTime.Bytes))
	if err != nil || bytes.IndexByte(t.GenTime.Bytes, ',') >= 0 { // Parse takes a comma for a point
		return nil, fmt.Errorf("%w: genTime %q", ErrMalformed, t.GenTime.Bytes)
	}
	var policy x509.OID
	if err := policy.UnmarshalBinary(t.Policy.Bytes); err != nil || t.Policy.Tag != asn1.TagOID {
		return nil, fmt.Errorf("%w: its policy is no object identifier", ErrMalformed)
	}
	oid := t.Imprint.Algorithm.Algorithm.String()
	return &Info{
		Policy: policy.String(), Hash: cms.HashByOID(oid), HashOID: oid, Imprint: t.Imprint.Digest,
		Serial: t.Serial, GenTime: at.UTC(), Nonce: t.Nonce, TSA: t.TSA.Bytes,
	}, nil
}

type request struct {
	Version int
	Imprint imprint
	Nonce   *big.Int
	CertReq bool
}

// NewRequest writes a TimeStampReq (RFC 3161, 2.4.1) that asks for the certificate too.
func NewRequest(h crypto.Hash, digest []byte, nonce *big.Int) ([]byte, error) {
	if len(digest) != h.Size() {
		return nil, fmt.Errorf("timestamp: %d bytes are no digest by %s", len(digest), h)
	}
	var id pkix.AlgorithmIdentifier
	if _, err := asn1.Unmarshal(cms.DigestIdentifier(h), &id); err != nil {
		return nil, fmt.Errorf("timestamp: %s: %w", h, err)
	}
	return asn1.Marshal(request{Version: 1, Imprint: imprint{id, digest}, Nonce: nonce, CertReq: true})
}

// ErrRefused means that the authority answered, and said no.
var ErrRefused = errors.New("timestamp: the authority refuses")

// ParseResponse gives the token of a TimeStampResp (RFC 3161, 2.4.2).
func ParseResponse(der []byte) ([]byte, error) {
	var r struct {
		Status struct {
			Status int
			Text   []asn1.RawValue `asn1:"optional"`
			Fail   asn1.BitString  `asn1:"optional"`
		}
		Token asn1.RawValue `asn1:"optional"`
	}
	rest, err := asn1.Unmarshal(der, &r)
	if err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("%w: the response cannot be read", ErrMalformed)
	}
	if r.Status.Status > 1 { // 0 granted, 1 granted with changes
		return nil, fmt.Errorf("%w: status %d, failure %x", ErrRefused, r.Status.Status, r.Status.Fail.Bytes)
	}
	if len(r.Token.FullBytes) == 0 {
		return nil, fmt.Errorf("%w: granted, and no token", ErrMalformed)
	}
	return r.Token.FullBytes, nil
}
