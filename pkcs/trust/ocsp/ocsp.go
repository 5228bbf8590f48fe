// Package ocsp is the Online Certificate Status Protocol (RFC 6960): what a response
// says, and how it is asked for. Who may answer is judged by pkcs/trust.
package ocsp

import (
	"bytes"
	"crypto"
	_ "crypto/sha1" //nolint:gosec // CertID names certificates with it (RFC 6960, 4.1.1)
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/citel-pa/citel/pkcs/certificate"
	"github.com/citel-pa/citel/pkcs/cms"
)

// Errors of Parse.
var (
	// ErrMalformed means bytes that are no response, or one that cannot be used.
	ErrMalformed = errors.New("ocsp: malformed")
	// ErrNoAnswer means that the responder did not answer: its status says why.
	ErrNoAnswer = errors.New("ocsp: the responder does not answer")
)

// MaxResponse bounds a response, in bytes.
const MaxResponse = 256 << 10

// maxSingles bounds the answers in one response.
const maxSingles = 256

// Response is a BasicOCSPResponse (RFC 6960, 4.2.1).
type Response struct {
	// Raw is the BasicOCSPResponse as DER, without the envelope of a response.
	Raw []byte
	// Name (DER) or KeyHash (SHA-1 of the key's bits) of the responder.
	Name, KeyHash []byte
	ProducedAt    time.Time
	Answers       []Answer
	Certificates  []*x509.Certificate
	Nonce         []byte // nil without one

	tbs, signature []byte
	scheme         cms.Scheme
}

// Answer is a SingleResponse.
type Answer struct {
	Status     string // "good", "revoked", "unknown"
	RevokedAt  time.Time
	Reason     int
	ThisUpdate time.Time
	NextUpdate time.Time // zero: none
	// ArchiveCutoff: from when on ended certificates are remembered (4.4.4); zero: not said.
	ArchiveCutoff time.Time

	hash              crypto.Hash
	nameHash, keyHash []byte
	serial            *big.Int
	certHash          *certHash
}

type certHash struct {
	Algorithm pkix.AlgorithmIdentifier
	Digest    []byte
}

type certID struct {
	Algorithm         pkix.AlgorithmIdentifier
	NameHash, KeyHash []byte
	Serial            *big.Int
}

type single struct {
	ID         certID
	Status     asn1.RawValue
	ThisUpdate time.Time        `asn1:"generalized"`
	NextUpdate time.Time        `asn1:"generalized,explicit,optional,tag:0"`
	Extensions []pkix.Extension `asn1:"explicit,optional,tag:1"`
}

type responseData struct {
	Raw        asn1.RawContent
	Version    int `asn1:"explicit,optional,default:0,tag:0"`
	Responder  asn1.RawValue
	ProducedAt time.Time `asn1:"generalized"`
	Responses  []single
	Extensions []pkix.Extension `asn1:"explicit,optional,tag:1"`
}

type basic struct {
	Data         responseData
	Algorithm    asn1.RawValue
	Signature    asn1.BitString
	Certificates []asn1.RawValue `asn1:"explicit,optional,tag:0"`
}

var (
	oidBasic         = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}
	oidNonce         = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}
	oidArchiveCutoff = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 6}
	oidCertHash      = asn1.ObjectIdentifier{1, 3, 36, 8, 3, 13} // Common PKI, part 4, 3.1.2
)

// Parse reads an OCSPResponse, or the BasicOCSPResponse in it: signatures carry both.
func Parse(der []byte) (*Response, error) {
	if len(der) > MaxResponse {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrMalformed, MaxResponse)
	}
	var outer struct {
		Status asn1.Enumerated
		Bytes  struct {
			Type     asn1.ObjectIdentifier
			Response []byte
		} `asn1:"explicit,optional,tag:0"`
	}
	if rest, err := asn1.Unmarshal(der, &outer); err == nil && len(rest) == 0 {
		if outer.Status != 0 {
			return nil, fmt.Errorf("%w: status %d", ErrNoAnswer, outer.Status)
		}
		if !outer.Bytes.Type.Equal(oidBasic) {
			return nil, fmt.Errorf("%w: response type %s", ErrMalformed, outer.Bytes.Type)
		}
		der = outer.Bytes.Response
	}
	var b basic
	rest, err := asn1.Unmarshal(der, &b)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	case len(rest) > 0:
		return nil, fmt.Errorf("%w: bytes after the response", ErrMalformed)
	case len(b.Data.Responses) > maxSingles:
		return nil, fmt.Errorf("%w: %d answers", ErrMalformed, len(b.Data.Responses))
	}
	r := &Response{Raw: der, ProducedAt: b.Data.ProducedAt, tbs: b.Data.Raw, signature: b.Signature.RightAlign()}
	if err := r.responder(b.Data.Responder); err != nil {
		return nil, err
	}
	if r.scheme, err = SchemeOf(b.Algorithm.FullBytes); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	for _, e := range b.Data.Extensions {
		switch {
		case e.Id.Equal(oidNonce):
			r.Nonce = e.Value
		case e.Critical:
			return nil, fmt.Errorf("%w: critical extension %s", ErrMalformed, e.Id)
		}
	}
	for i := range b.Data.Responses {
		a, err := answer(&b.Data.Responses[i])
		if err != nil {
			return nil, err
		}
		r.Answers = append(r.Answers, a)
	}
	for _, raw := range b.Certificates {
		if c, err := certificate.Parse(raw.FullBytes); err == nil && len(r.Certificates) < 16 {
			r.Certificates = append(r.Certificates, c)
		}
	}
	return r, nil
}

func (r *Response) responder(v asn1.RawValue) error {
	switch {
	case v.Class == asn1.ClassContextSpecific && v.Tag == 1:
		r.Name = v.Bytes
		return nil
	case v.Class == asn1.ClassContextSpecific && v.Tag == 2:
		if rest, err := asn1.Unmarshal(v.Bytes, &r.KeyHash); err == nil && len(rest) == 0 {
			return nil
		}
	}
	return fmt.Errorf("%w: it does not name its responder", ErrMalformed)
}

// SchemeOf settles a signature algorithm (an AlgorithmIdentifier in DER) that names its
// hash; one that does not is not known here.
func SchemeOf(raw []byte) (cms.Scheme, error) {
	var id struct {
		OID    asn1.ObjectIdentifier
		Params asn1.RawValue `asn1:"optional"`
	}
	if _, err := asn1.Unmarshal(raw, &id); err != nil {
		return cms.Scheme{}, err
	}
	sig := cms.AlgorithmIdentifier{OID: id.OID.String(), Params: id.Params.FullBytes}
	var err error
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA1} {
		var s cms.Scheme
		if s, err = cms.SchemeOf(cms.AlgorithmIdentifier{OID: cms.OIDByHash(h)}, sig); err == nil {
			return s, nil
		}
	}
	return cms.Scheme{}, err
}

func answer(s *single) (Answer, error) {
	a := Answer{ThisUpdate: s.ThisUpdate, NextUpdate: s.NextUpdate, hash: cms.HashByOID(s.ID.Algorithm.Algorithm.String()),
		nameHash: s.ID.NameHash, keyHash: s.ID.KeyHash, serial: s.ID.Serial, Status: "unknown"}
	if s.Status.Class != asn1.ClassContextSpecific {
		return a, fmt.Errorf("%w: status", ErrMalformed)
	}
	switch s.Status.Tag {
	case 0:
		a.Status = "good"
	case 1:
		var info struct {
			At     time.Time       `asn1:"generalized"`
			Reason asn1.Enumerated `asn1:"explicit,optional,tag:0"`
		}
		der := bytes.Clone(s.Status.FullBytes)
		der[0] = 0x30 // [1] IMPLICIT RevokedInfo
		if rest, err := asn1.Unmarshal(der, &info); err != nil || len(rest) > 0 {
			return a, fmt.Errorf("%w: revocation", ErrMalformed)
		}
		a.Status, a.RevokedAt, a.Reason = "revoked", info.At, int(info.Reason)
	}
	for _, e := range s.Extensions {
		switch {
		case e.Id.Equal(oidArchiveCutoff):
			if _, err := asn1.UnmarshalWithParams(e.Value, &a.ArchiveCutoff, "generalized"); err != nil {
				return a, fmt.Errorf("%w: archiveCutoff", ErrMalformed)
			}
		case e.Id.Equal(oidCertHash):
			a.certHash = &certHash{}
			if _, err := asn1.Unmarshal(e.Value, a.certHash); err != nil {
				return a, fmt.Errorf("%w: certHash", ErrMalformed)
			}
		case e.Critical:
			return a, fmt.Errorf("%w: critical extension %s", ErrMalformed, e.Id)
		}
	}
	return a, nil
}

// Verify checks the response's signature with a certificate's key.
func (r *Response) Verify(by *x509.Certificate) error {
	h := r.scheme.Hash.New()
	h.Write(r.tbs)
	return r.scheme.Verify(by.PublicKey, h.Sum(nil), r.signature)
}

// Digest names the hash of the response's signature.
func (r *Response) Digest() string { return r.scheme.Hash.String() }

// Names tells whether the response says that this certificate signed it.
func (r *Response) Names(c *x509.Certificate) bool {
	if r.Name != nil {
		return bytes.Equal(r.Name, c.RawSubject)
	}
	return bytes.Equal(r.KeyHash, keyHash(crypto.SHA1, c))
}

// About finds the answer about a certificate. Issuer's name and key count as well as
// the serial number: numbers are the same with several issuers.
func (r *Response) About(cert, issuer *x509.Certificate) *Answer {
	for i := range r.Answers {
		a := &r.Answers[i]
		if a.hash == 0 || !a.hash.Available() || a.serial.Cmp(cert.SerialNumber) != 0 {
			continue
		}
		if bytes.Equal(a.nameHash, digest(a.hash, cert.RawIssuer)) && bytes.Equal(a.keyHash, keyHash(a.hash, issuer)) {
			return a
		}
	}
	return nil
}

// CertHash compares the hash of the certificate that the responder knows; nil when it
// gives none.
func (a *Answer) CertHash(cert *x509.Certificate) *bool {
	if a.certHash == nil {
		return nil
	}
	h := cms.HashByOID(a.certHash.Algorithm.Algorithm.String())
	same := h != 0 && h.Available() && bytes.Equal(a.certHash.Digest, digest(h, cert.Raw))
	return &same
}

func digest(h crypto.Hash, b []byte) []byte {
	d := h.New()
	d.Write(b)
	return d.Sum(nil)
}

// keyHash is the hash of the key's bits, without tag and length (RFC 6960, 4.1.1).
func keyHash(h crypto.Hash, c *x509.Certificate) []byte {
	var spki struct {
		Algorithm asn1.RawValue
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(c.RawSubjectPublicKeyInfo, &spki); err != nil {
		return nil
	}
	return digest(h, spki.Key.RightAlign())
}

// NewRequest writes an OCSPRequest about one certificate (RFC 6960, 4.1.1), its CertID
// by SHA-1, which every responder knows, with a nonce (RFC 9654, 2.1: 32 octets).
func NewRequest(cert, issuer *x509.Certificate, nonce []byte) ([]byte, error) {
	value, err := asn1.Marshal(nonce)
	if err != nil {
		return nil, fmt.Errorf("ocsp: %w", err)
	}
	type request struct{ ID certID }
	var sha1ID pkix.AlgorithmIdentifier
	sha1ID.Algorithm, sha1ID.Parameters = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}, asn1.NullRawValue
	var tbs struct {
		Requests   []request
		Extensions []pkix.Extension `asn1:"explicit,optional,tag:2"`
	}
	tbs.Requests = []request{{certID{sha1ID, digest(crypto.SHA1, cert.RawIssuer), keyHash(crypto.SHA1, issuer), cert.SerialNumber}}}
	tbs.Extensions = []pkix.Extension{{Id: oidNonce, Value: value}}
	return asn1.Marshal(struct{ TBS any }{tbs})
}

// NonceIs tells whether the response echoes a nonce; ok is also true for a response
// without any, which responders that answer from a store give.
func (r *Response) NonceIs(nonce []byte) (ok bool) {
	if r.Nonce == nil {
		return true
	}
	var got []byte
	rest, err := asn1.Unmarshal(r.Nonce, &got)
	return err == nil && len(rest) == 0 && bytes.Equal(got, nonce)
}
