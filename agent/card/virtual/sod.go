package virtual

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"crypto/x509"

	"github.com/citel-pa/citel/agent/card/iso7816"
)

// dataGroup is a data group: its number and its content.
type dataGroup struct {
	number  byte
	content []byte
}

// The security object is ICAO Doc 9303-10, 4.6.2 (LDSSecurityObject), in CMS
// SignedData (RFC 5652, 5).
type (
	dataGroupHash struct {
		// Number is one octet as the State's software reads it: A1 and the others
		// are negative as INTEGERs.
		Number int8
		Hash   []byte
	}
	ldsSecurityObject struct {
		Version int
		Hash    pkix.AlgorithmIdentifier
		Groups  []dataGroupHash
	}
	cmsAttribute struct {
		ID     asn1.ObjectIdentifier
		Values asn1.RawValue // SET
	}
	issuerAndSerial struct {
		Issuer asn1.RawValue
		Serial *big.Int
	}
	signerInfo struct {
		Version   int
		ID        issuerAndSerial
		Digest    pkix.AlgorithmIdentifier
		Signed    asn1.RawValue // [0] IMPLICIT
		Algorithm pkix.AlgorithmIdentifier
		Signature []byte
	}
	encapsulated struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue // [0] EXPLICIT
	}
	signedData struct {
		Version      int
		Digests      []pkix.AlgorithmIdentifier `asn1:"set"`
		Content      encapsulated
		Certificates asn1.RawValue // [0] IMPLICIT
		Signers      []signerInfo  `asn1:"set"`
	}
	contentInfo struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue // [0] EXPLICIT
	}
)

var (
	oidSignedData    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidLDS           = asn1.ObjectIdentifier{2, 23, 136, 1, 1, 1}
	oidContentType   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSHA256        = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidSHA512        = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}
	oidRSASHA256     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}
	oidPSS           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
	oidMGF1          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8}
)

// writer collects the first error of many marshals.
type writer struct{ err error }

func (w *writer) der(v any) []byte {
	b, err := asn1.Marshal(v)
	w.err = errors.Join(w.err, err)
	return b
}

func within(class, tag int, content []byte) asn1.RawValue {
	return asn1.RawValue{Class: class, Tag: tag, IsCompound: true, Bytes: content}
}

// pssAlgorithm is RSASSA-PSS with SHA-512 (RFC 4055, 3.1).
func (w *writer) pssAlgorithm(hash pkix.AlgorithmIdentifier, salt int) pkix.AlgorithmIdentifier {
	h := w.der(hash)
	mgf := w.der(pkix.AlgorithmIdentifier{Algorithm: oidMGF1, Parameters: asn1.RawValue{FullBytes: h}})
	body := w.der(within(asn1.ClassContextSpecific, 0, h))
	body = append(body, w.der(within(asn1.ClassContextSpecific, 1, mgf))...)
	body = append(body, w.der(within(asn1.ClassContextSpecific, 2, w.der(salt)))...)
	return pkix.AlgorithmIdentifier{Algorithm: oidPSS, Parameters: within(asn1.ClassUniversal, asn1.TagSequence, body)}
}

// securityObject signs the hashes of the groups: the file EF.SOD.
func securityObject(o CIEOptions, groups []dataGroup) ([]byte, error) {
	signer, err := x509.ParseCertificate(o.SignerCertificate)
	if err != nil {
		return nil, fmt.Errorf("virtual: the document signer's certificate: %w", err)
	}
	hash, oid := crypto.SHA256, oidSHA256
	if o.PSS {
		hash, oid = crypto.SHA512, oidSHA512
	}
	sum := func(b []byte) []byte {
		h := hash.New()
		h.Write(b)
		return h.Sum(nil)
	}
	w := &writer{}
	digest := pkix.AlgorithmIdentifier{Algorithm: oid, Parameters: asn1.NullRawValue}
	lds := ldsSecurityObject{Hash: digest}
	if o.PSS {
		lds.Version = 1 // as the cards have it, with LDS 1.8; the older ones 0
	}
	for _, g := range groups {
		lds.Groups = append(lds.Groups, dataGroupHash{int8(g.number), sum(g.content)})
	}
	content := w.der(lds)
	set := func(v any) asn1.RawValue { return within(asn1.ClassUniversal, asn1.TagSet, w.der(v)) }
	// In this order, as the cards have it.
	attributes := append(w.der(cmsAttribute{oidContentType, set(oidLDS)}), w.der(cmsAttribute{oidMessageDigest, set(sum(content))})...)
	// What is signed is the SET OF (RFC 5652, 5.4).
	message := sum(w.der(within(asn1.ClassUniversal, asn1.TagSet, attributes)))
	algorithm := pkix.AlgorithmIdentifier{Algorithm: oidRSASHA256, Parameters: asn1.NullRawValue}
	var opts crypto.SignerOpts = hash
	if o.PSS {
		algorithm = w.pssAlgorithm(digest, hash.Size())
		opts = &rsa.PSSOptions{SaltLength: hash.Size(), Hash: hash}
	}
	signature, err := o.Signer.Sign(rand.Reader, message, opts)
	if err != nil {
		return nil, fmt.Errorf("virtual: signing the security object: %w", err)
	}
	sd := signedData{
		Version: 3, Digests: []pkix.AlgorithmIdentifier{digest},
		Content:      encapsulated{oidLDS, within(asn1.ClassContextSpecific, 0, w.der(content))},
		Certificates: within(asn1.ClassContextSpecific, 0, signer.Raw),
		Signers: []signerInfo{{
			Version: 1, ID: issuerAndSerial{asn1.RawValue{FullBytes: signer.RawIssuer}, signer.SerialNumber}, Digest: digest,
			Signed: within(asn1.ClassContextSpecific, 0, attributes), Algorithm: algorithm, Signature: signature,
		}},
	}
	out := w.der(contentInfo{oidSignedData, within(asn1.ClassContextSpecific, 0, w.der(sd))})
	return iso7816.AppendTLV(nil, 0x77, out), w.err
}
