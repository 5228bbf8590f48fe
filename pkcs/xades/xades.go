// Package xades checks the XAdES baseline-B signatures of trusted lists (ETSI EN 319
// 132-1; ETSI TS 119 612, 5.7, The Signature on the list) and makes such a one over an XML
// document of ours. Signed documents of other kinds are not read here.
package xades

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/citel-pa/citel/pkcs/certificate"
	"github.com/citel-pa/citel/pkcs/xmldsig"
)

// Space is the namespace of XAdES 1.3.2.
const Space = "http://uri.etsi.org/01903/v1.3.2#"

// TypeProperties is the reference type of SignedProperties (EN 319 132-1, 4.4.2).
const TypeProperties = "http://uri.etsi.org/01903#SignedProperties"

// Errors.
var (
	// ErrUnsigned means that there is no signature.
	ErrUnsigned = errors.New("xades: not signed")
	// ErrScope means that a signature is not over the whole document.
	ErrScope = errors.New("xades: the signature is not over the whole document")
	// ErrProperties means that the signed properties are absent, not signed, or not as
	// EN 319 132-1 says.
	ErrProperties = errors.New("xades: the signed properties")
	// ErrSigner means that the signer is none of those who may sign.
	ErrSigner = errors.New("xades: signed by another certificate than those listed for it")
	// ErrWeak means that an algorithm is too weak.
	ErrWeak = errors.New("xades: weak algorithm")
	// ErrKey means that the signer's certificate has a key that is not supported.
	ErrKey = errors.New("xades: the signer's key is not supported")
)

// Signed is what a signature that holds says.
type Signed struct {
	Certificate []byte // DER
	Time        time.Time
	// Old lists the properties that EN 319 132-1 replaced (SigningCertificate by
	// SigningCertificateV2, ...): right in lists of version 5, wrong in version 6.
	Old []string
}

// Whole checks the one enveloped signature over a whole document. allowed tells
// whether a certificate (DER) may sign; it is asked before anything is computed.
func Whole(d *xmldsig.Document, allowed func(der []byte) bool) (*Signed, error) {
	root := d.Element()
	all := root.Find(xmldsig.Space, "Signature")
	switch {
	case len(all) == 0:
		return nil, ErrUnsigned
	case len(all) > 1:
		return nil, fmt.Errorf("%w: %d signatures, one is asked for", ErrScope, len(all))
	case all[0].Parent != root:
		return nil, fmt.Errorf("%w: it is not directly in the document's element", ErrScope)
	}
	s, err := xmldsig.Read(d, all[0])
	if err != nil {
		return nil, err
	}
	if err := scope(s, d); err != nil {
		return nil, err
	}
	p, err := read(s)
	if err != nil {
		return nil, err
	}
	der := p.signer(s.Certificates)
	switch {
	case der == nil && len(s.Certificates) == 0:
		return nil, fmt.Errorf("%w: the signer's certificate is not in KeyInfo", ErrSigner)
	case der == nil:
		return nil, fmt.Errorf("%w: SigningCertificate names none of KeyInfo", ErrProperties)
	case !allowed(der):
		return nil, fmt.Errorf("%w: %s", ErrSigner, subject(der))
	}
	if weak := s.Weak(); len(weak) > 0 {
		return nil, fmt.Errorf("%w: %s", ErrWeak, weak[0])
	}
	cert, err := certificate.Parse(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	key, err := certificate.PublicKey(cert.RawSubjectPublicKeyInfo)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrKey, cert.Subject, err)
	}
	if err := s.Verify(key); err != nil {
		return nil, err
	}
	if p.time.Before(cert.NotBefore) || p.time.After(cert.NotAfter) {
		return nil, fmt.Errorf("%w: signed at %s, outside the certificate's validity", ErrProperties, p.time.Format(time.RFC3339))
	}
	return &Signed{Certificate: der, Time: p.time, Old: p.old}, nil
}

func subject(der []byte) string {
	if c, err := certificate.Parse(der); err == nil {
		return c.Subject.String()
	}
	return "a certificate that cannot be read"
}

// scope: one reference is to the whole document, without the signature and nothing
// else left out. The others are of the signature's own parts.
func scope(s *xmldsig.Signature, d *xmldsig.Document) error {
	whole := 0
	for _, r := range s.References {
		switch {
		case r.Enveloped && (r.Node == d.Node || r.Node == d.Element()):
			whole++
		case !r.Enveloped && r.Node.Within(s.Element):
		default:
			return fmt.Errorf("%w: it refers to %q", ErrScope, r.URI)
		}
	}
	if whole != 1 {
		return fmt.Errorf("%w: %d references to it", ErrScope, whole)
	}
	return nil
}

type properties struct {
	time  time.Time
	certs []certID
	old   []string
}

type certID struct {
	digest *xmldsig.Node
	value  []byte
}

// read finds the signed properties: those that a reference of their type points to, and
// no others are in the signature.
func read(s *xmldsig.Signature) (*properties, error) {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrProperties, fmt.Sprintf(format, args...))
	}
	var qualifying []*xmldsig.Node
	for _, o := range s.Objects {
		qualifying = append(qualifying, o.All(Space, "QualifyingProperties")...)
	}
	if n := len(s.Element.Find(Space, "QualifyingProperties")); len(qualifying) != 1 || n != 1 {
		return nil, bad("%d QualifyingProperties", n)
	}
	q := qualifying[0]
	// EN 319 132-1, 4.3.1: the Target is the signature's own Id.
	id, _ := s.Element.Attr("Id")
	if target, _ := q.Attr("Target"); id == "" || target != "#"+id {
		return nil, bad("Target %q is not the signature", target)
	}
	signed := q.All(Space, "SignedProperties")
	if n := len(s.Element.Find(Space, "SignedProperties")); len(signed) != 1 || n != 1 {
		return nil, bad("%d SignedProperties", n)
	}
	found := 0
	for _, r := range s.References {
		if r.Type == TypeProperties {
			if r.Node != signed[0] || r.Enveloped {
				return nil, bad("the reference %q is not to them", r.URI)
			}
			found++
		}
	}
	if found != 1 {
		return nil, bad("%d references to them", found)
	}
	p := &properties{}
	own := signed[0].All(Space, "SignedSignatureProperties")
	if len(own) != 1 {
		return nil, bad("%d SignedSignatureProperties", len(own))
	}
	var err error
	times := own[0].All(Space, "SigningTime")
	if len(times) != 1 {
		return nil, bad("%d SigningTime", len(times))
	}
	if p.time, err = Time(times[0].Text()); err != nil {
		return nil, bad("SigningTime: %v", err)
	}
	v1, v2 := own[0].All(Space, "SigningCertificate"), own[0].All(Space, "SigningCertificateV2")
	if len(v1)+len(v2) != 1 {
		return nil, bad("%d SigningCertificate", len(v1)+len(v2))
	}
	for _, name := range []string{"SigningCertificate", "SignatureProductionPlace", "SignerRole"} {
		if len(own[0].All(Space, name)) > 0 {
			p.old = append(p.old, name)
		}
	}
	for _, c := range append(v1, v2...)[0].All(Space, "Cert") {
		d := c.Child(Space, "CertDigest")
		id := certID{digest: d.Child(xmldsig.Space, "DigestMethod")}
		if id.value, err = xmldsig.Base64(d.Child(xmldsig.Space, "DigestValue").Text()); err != nil || id.digest == nil {
			return nil, bad("CertDigest")
		}
		p.certs = append(p.certs, id)
	}
	if len(p.certs) == 0 {
		return nil, bad("no Cert")
	}
	return p, nil
}

// signer is the certificate that the first Cert names (EN 319 132-1, 5.2.2). Who may
// sign is known by whole certificates, so a weak digest here can choose among those
// and no more.
func (p *properties) signer(certs [][]byte) []byte {
	hash, _, err := xmldsig.Digest(p.certs[0].digest)
	if err != nil {
		return nil
	}
	for _, der := range certs {
		h := hash.New()
		h.Write(der)
		if bytes.Equal(h.Sum(nil), p.certs[0].value) {
			return der
		}
	}
	return nil
}

// Time reads a dateTime of XML Schema; one without a zone is taken as UTC.
func Time(s string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, nil
	}
	return time.Parse("2006-01-02T15:04:05.999999999", s)
}
