package xades

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"html"
	"math/big"
	"strings"
	"time"

	"github.com/citel-pa/citel/pkcs/xmldsig"
)

// SignOptions say who signs.
type SignOptions struct {
	Certificate *x509.Certificate
	SigningTime time.Time
	// MediaType of the document; empty is text/xml.
	MediaType string
	// Sign signs a digest as crypto.Signer does: PKCS #1 v1.5, or ECDSA in DER.
	Sign func(ctx context.Context, digest []byte, o crypto.SignerOpts) ([]byte, error)
}

// ErrDocument means that a document cannot be signed.
var ErrDocument = errors.New("xades: not a document that can be signed")

// profile of a key: its algorithm (RFC 9231, 2.3) and the hash that goes with it.
func (o *SignOptions) algorithm() (uri string, h crypto.Hash, err error) {
	const more = "http://www.w3.org/2001/04/xmldsig-more#"
	switch k := o.Certificate.PublicKey.(type) {
	case *rsa.PublicKey:
		return more + "rsa-sha256", crypto.SHA256, nil
	case *ecdsa.PublicKey:
		switch k.Params().BitSize {
		case 256:
			return more + "ecdsa-sha256", crypto.SHA256, nil
		case 384:
			return more + "ecdsa-sha384", crypto.SHA384, nil
		case 521:
			return more + "ecdsa-sha512", crypto.SHA512, nil
		}
	}
	return "", 0, fmt.Errorf("%w: %T", ErrKey, o.Certificate.PublicKey)
}

const sha256URI = "http://www.w3.org/2001/04/xmlenc#sha256"

// template is the signature without its values (EN 319 132-1, 6.3, level B-B: SigningTime,
// SigningCertificateV2, DataObjectFormat with the media type; the certificate in KeyInfo).
// Canonicalisation is exclusive, so that a namespace of what it is put into is no part of it.
func (o *SignOptions) template(id, method string, digest, certificate string) string {
	media := o.MediaType
	if media == "" {
		media = "text/xml"
	}
	reference := func(attributes, transforms, value string) string {
		return `<ds:Reference ` + attributes + `><ds:Transforms>` + transforms + `<ds:Transform Algorithm="` + xmldsig.ExclusiveC14N + `"/></ds:Transforms><ds:DigestMethod Algorithm="` + sha256URI + `"/><ds:DigestValue>` + value + `</ds:DigestValue></ds:Reference>`
	}
	return `<ds:Signature xmlns:ds="` + xmldsig.Space + `" Id="` + id + `"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm="` + xmldsig.ExclusiveC14N + `"/><ds:SignatureMethod Algorithm="` + method + `"/>` +
		reference(`Id="`+id+`-document" URI=""`, `<ds:Transform Algorithm="`+xmldsig.Enveloped+`"/>`, digest) +
		reference(`Type="`+TypeProperties+`" URI="#`+id+`-properties"`, "", propertiesMark) +
		`</ds:SignedInfo><ds:SignatureValue>` + valueMark + `</ds:SignatureValue><ds:KeyInfo><ds:X509Data><ds:X509Certificate>` + base64.StdEncoding.EncodeToString(o.Certificate.Raw) + `</ds:X509Certificate></ds:X509Data></ds:KeyInfo>` +
		`<ds:Object><xades:QualifyingProperties xmlns:xades="` + Space + `" Target="#` + id + `"><xades:SignedProperties Id="` + id + `-properties">` +
		`<xades:SignedSignatureProperties><xades:SigningTime>` + o.SigningTime.UTC().Format(time.RFC3339) + `</xades:SigningTime>` +
		`<xades:SigningCertificateV2><xades:Cert><xades:CertDigest><ds:DigestMethod Algorithm="` + sha256URI + `"/><ds:DigestValue>` + certificate + `</ds:DigestValue></xades:CertDigest></xades:Cert></xades:SigningCertificateV2></xades:SignedSignatureProperties>` +
		`<xades:SignedDataObjectProperties><xades:DataObjectFormat ObjectReference="#` + id + `-document"><xades:MimeType>` + html.EscapeString(media) + `</xades:MimeType></xades:DataObjectFormat></xades:SignedDataObjectProperties>` +
		`</xades:SignedProperties></xades:QualifyingProperties></ds:Object></ds:Signature>`
}

// Marks of what is not known yet; Base64 has no such characters.
const (
	propertiesMark = "{properties}"
	valueMark      = "{value}"
)

// Sign puts an enveloped XAdES-B-B signature at the end of the document's element. The
// result is checked as Whole checks it before it is given.
func Sign(ctx context.Context, document []byte, o SignOptions) ([]byte, error) {
	method, h, err := o.algorithm()
	if err != nil {
		return nil, err
	}
	d, err := xmldsig.Parse(document)
	if err != nil {
		return nil, err
	}
	if len(d.Element().Find(xmldsig.Space, "Signature")) > 0 {
		return nil, fmt.Errorf("%w: it has a signature already", ErrDocument)
	}
	random := make([]byte, 8)
	if _, err := rand.Read(random); err != nil {
		return nil, err
	}
	id := "xades-" + hex.EncodeToString(random)
	whole, err := canonicalDigest(d.Node, crypto.SHA256)
	if err != nil {
		return nil, err
	}
	sum := crypto.SHA256.New()
	sum.Write(o.Certificate.Raw)
	end := bytes.LastIndex(document, []byte("</"))
	if end < 0 {
		return nil, fmt.Errorf("%w: its element is empty", ErrDocument)
	}
	b64 := base64.StdEncoding.EncodeToString
	text := string(document[:end]) + o.template(id, method, b64(whole), b64(sum.Sum(nil))) + string(document[end:])
	for _, step := range []struct {
		mark string
		make func(d *xmldsig.Document) ([]byte, error)
	}{
		{propertiesMark, func(d *xmldsig.Document) ([]byte, error) {
			return canonicalDigest(d.ByID(id+"-properties"), crypto.SHA256)
		}},
		{valueMark, func(d *xmldsig.Document) ([]byte, error) { return o.value(ctx, d.ByID(id), h) }},
	} {
		d, err := xmldsig.Parse([]byte(text))
		if err != nil {
			return nil, err
		}
		value, err := step.make(d)
		if err != nil {
			return nil, err
		}
		text = strings.Replace(text, step.mark, b64(value), 1)
	}
	if d, err = xmldsig.Parse([]byte(text)); err != nil {
		return nil, err
	}
	if _, err := Whole(d, func(der []byte) bool { return bytes.Equal(der, o.Certificate.Raw) }); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDocument, err)
	}
	return []byte(text), nil
}

// canonicalDigest is over a node's exclusive canonical form.
func canonicalDigest(n *xmldsig.Node, h crypto.Hash) ([]byte, error) {
	if n == nil {
		return nil, fmt.Errorf("%w: the signature is not where it was put", ErrDocument)
	}
	sum := h.New()
	if err := xmldsig.Canonical(sum, n, xmldsig.ExclusiveC14N, nil); err != nil {
		return nil, err
	}
	return sum.Sum(nil), nil
}

// value signs SignedInfo.
func (o *SignOptions) value(ctx context.Context, signature *xmldsig.Node, h crypto.Hash) ([]byte, error) {
	if signature == nil {
		return nil, fmt.Errorf("%w: the signature is not where it was put", ErrDocument)
	}
	digest, err := canonicalDigest(signature.Child(xmldsig.Space, "SignedInfo"), h)
	if err != nil {
		return nil, err
	}
	value, err := o.Sign(ctx, digest, h)
	if err != nil {
		return nil, fmt.Errorf("xades: %w", err)
	}
	k, ok := o.Certificate.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return value, nil
	}
	// RFC 9231, 2.3.6: r and s, each as long as the order, one after the other.
	var rs struct{ R, S *big.Int }
	size := (k.Params().N.BitLen() + 7) / 8
	if rest, err := asn1.Unmarshal(value, &rs); err != nil || len(rest) > 0 || rs.R.Sign() <= 0 || rs.S.Sign() <= 0 || rs.R.BitLen() > 8*size || rs.S.BitLen() > 8*size {
		return nil, fmt.Errorf("%w: its signature is no ECDSA value", ErrKey)
	}
	out := make([]byte, 2*size)
	rs.R.FillBytes(out[:size])
	rs.S.FillBytes(out[size:])
	return out, nil
}
