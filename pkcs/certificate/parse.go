// Package certificate reads X.509 certificates as they are found in the field. What
// crypto/x509 reads is read by it alone; what it refuses for one field that decides
// nothing, or that can be judged afterwards, is read all the same, so that a file is
// refused for a reason that has a name and not because it "cannot be read".
package certificate

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// maxExtensions bounds the extensions of a certificate that is read by parts.
const maxExtensions = 64

var errParts = errors.New("certificate: it does not have the parts of a certificate")

// harmless are extensions whose loss changes no verdict: hints for finding keys and
// addresses (RFC 5280, 4.2.1.1, 4.2.1.2, 4.2.2), and what is read elsewhere: the
// distribution points by pkcs/trust; alternative names by pkcs/trust/rfc5280, which
// refuses them where they are constrained.
var harmless = []string{"2.5.29.35", "2.5.29.14", "1.3.6.1.5.5.7.1.1", oidDistributionPoints, "2.5.29.17"}

const oidDistributionPoints = "2.5.29.31"

// Parse reads a certificate. The error is crypto/x509's where nothing helps.
//
// What differs from crypto/x509: a negative serial number is taken as it is; RSA keys
// may lack their NULL (RFC 3279, 2.3.1 wants it) or be marked for RSASSA-PSS; a key of
// an unknown kind or curve leaves PublicKey nil; distribution points may be named
// relative to their issuer; text of the wrong kind in names is taken as Latin-1. An
// extension that cannot be read stays in Extensions, and, unless it is harmless, in
// UnhandledCriticalExtensions, where path validation refuses it.
func Parse(der []byte) (*x509.Certificate, error) {
	c, err := x509.ParseCertificate(der)
	if err == nil {
		if c.PublicKey == nil {
			c.PublicKey, c.PublicKeyAlgorithm = pssKey(c)
		}
		return c, nil
	}
	p, split := splitCertificate(der)
	if split != nil {
		return nil, err
	}
	c, read := p.read()
	if read != nil {
		return nil, err
	}
	return c, nil
}

func pssKey(c *x509.Certificate) (any, x509.PublicKeyAlgorithm) {
	if key, err := PublicKey(c.RawSubjectPublicKeyInfo); err == nil {
		return key, x509.RSA
	}
	return nil, c.PublicKeyAlgorithm
}

// parts of a Certificate (RFC 5280, 4.1), each as received.
type parts struct {
	raw, tbs                      []byte
	version                       []byte
	serial                        cryptobyte.String
	algorithm, issuer, validity   cryptobyte.String
	subject, spki                 cryptobyte.String
	identifiers                   []byte // issuerUniqueID, subjectUniqueID
	extensions                    []cryptobyte.String
	signatureAlgorithm, signature cryptobyte.String
}

func splitCertificate(der []byte) (*parts, error) {
	p := &parts{raw: der}
	input := cryptobyte.String(der)
	var outer, tbs cryptobyte.String
	if !input.ReadASN1(&outer, cbasn1.SEQUENCE) || !input.Empty() || !outer.ReadASN1Element(&tbs, cbasn1.SEQUENCE) ||
		!outer.ReadASN1Element(&p.signatureAlgorithm, cbasn1.SEQUENCE) || !outer.ReadASN1Element(&p.signature, cbasn1.BIT_STRING) || !outer.Empty() {
		return nil, errParts
	}
	p.tbs = tbs
	if !tbs.ReadASN1(&tbs, cbasn1.SEQUENCE) {
		return nil, errParts
	}
	before := tbs
	if !tbs.SkipOptionalASN1(cbasn1.Tag(0).ContextSpecific().Constructed()) {
		return nil, errParts
	}
	p.version = before[:len(before)-len(tbs)]
	ok := tbs.ReadASN1(&p.serial, cbasn1.INTEGER)
	for _, field := range []*cryptobyte.String{&p.algorithm, &p.issuer, &p.validity, &p.subject, &p.spki} {
		ok = ok && tbs.ReadASN1Element(field, cbasn1.SEQUENCE)
	}
	before = tbs
	ok = ok && tbs.SkipOptionalASN1(cbasn1.Tag(1).ContextSpecific()) && tbs.SkipOptionalASN1(cbasn1.Tag(2).ContextSpecific())
	if !ok || len(p.serial) == 0 {
		return nil, errParts
	}
	p.identifiers = before[:len(before)-len(tbs)]
	var explicit, list cryptobyte.String
	var present bool
	if !tbs.ReadOptionalASN1(&explicit, &present, cbasn1.Tag(3).ContextSpecific().Constructed()) || !tbs.Empty() {
		return nil, errParts
	}
	if present && (!explicit.ReadASN1(&list, cbasn1.SEQUENCE) || !explicit.Empty()) {
		return nil, errParts
	}
	for !list.Empty() {
		var one cryptobyte.String
		if !list.ReadASN1Element(&one, cbasn1.SEQUENCE) || len(p.extensions) == maxExtensions {
			return nil, errParts
		}
		p.extensions = append(p.extensions, one)
	}
	return p, nil
}

// read parses what crypto/x509 can take of the parts, and puts the rest beside it.
func (p *parts) read() (*x509.Certificate, error) {
	readable := *p
	readable.extensions = nil
	if p.serial[0]&0x80 != 0 || len(p.serial) > 1 && p.serial[0] == 0 && p.serial[1] < 0x80 {
		readable.serial = cryptobyte.String{1}
	}
	readable.issuer, readable.subject = asText(p.issuer), asText(p.subject)
	key, keyErr := PublicKey(p.spki)
	if _, err := x509.ParsePKIXPublicKey(p.spki); err != nil {
		readable.spki = withoutKey
	}
	base, err := readable.parse(nil)
	if err != nil {
		return nil, err
	}
	var good []cryptobyte.String
	var all []pkix.Extension
	var unread []asn1.ObjectIdentifier
	for _, raw := range p.extensions {
		x, err := extension(raw)
		if err != nil || slices.ContainsFunc(all, func(other pkix.Extension) bool { return other.Id.Equal(x.Id) }) {
			return nil, errParts // RFC 5280, 4.2: no two of a kind
		}
		all = append(all, x)
		if _, err := readable.parse([]cryptobyte.String{raw}); err == nil {
			good = append(good, raw)
		} else if id := x.Id.String(); !slices.Contains(harmless, id) || x.Critical && id != oidDistributionPoints {
			unread = append(unread, x.Id)
		}
	}
	c := base
	if len(good) > 0 {
		if c, err = readable.parse(good); err != nil {
			return nil, err
		}
	}
	c.Raw, c.RawTBSCertificate, c.RawSubjectPublicKeyInfo = p.raw, p.tbs, p.spki
	c.RawIssuer, c.RawSubject = p.issuer, p.subject
	c.SerialNumber = signed(p.serial)
	c.Extensions = all
	c.UnhandledCriticalExtensions = append(c.UnhandledCriticalExtensions, unread...)
	if c.PublicKey == nil && keyErr == nil {
		c.PublicKey, c.PublicKeyAlgorithm = key, x509.RSA
	}
	if c.CRLDistributionPoints == nil {
		c.CRLDistributionPoints = addresses(all)
	}
	return c, nil
}

// withoutKey is a SubjectPublicKeyInfo of an unknown kind.
var withoutKey = cryptobyte.String{0x30, 0x09, 0x30, 0x03, 0x06, 0x01, 0x2A, 0x03, 0x02, 0x00, 0x00}

func (p *parts) parse(extensions []cryptobyte.String) (*x509.Certificate, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(p.version)
			b.AddASN1(cbasn1.INTEGER, func(b *cryptobyte.Builder) { b.AddBytes(p.serial) })
			for _, field := range []cryptobyte.String{p.algorithm, p.issuer, p.validity, p.subject, p.spki} {
				b.AddBytes(field)
			}
			b.AddBytes(p.identifiers)
			if len(extensions) > 0 {
				b.AddASN1(cbasn1.Tag(3).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
						for _, x := range extensions {
							b.AddBytes(x)
						}
					})
				})
			}
		})
		b.AddBytes(p.signatureAlgorithm)
		b.AddBytes(p.signature)
	})
	der, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func extension(raw cryptobyte.String) (x pkix.Extension, err error) {
	rest, err := asn1.Unmarshal(raw, &x)
	if err != nil || len(rest) > 0 {
		return x, errParts
	}
	return x, nil
}

// signed reads the content octets of an INTEGER (X.690, 8.3).
func signed(octets []byte) *big.Int {
	n := new(big.Int).SetBytes(octets)
	if octets[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(len(octets))*8))
	}
	return n
}

// asText retags the strings of a Name that are not what their tag says as T61String,
// which crypto/x509 takes as Latin-1. Lengths stay as they are.
func asText(name cryptobyte.String) cryptobyte.String {
	out := slices.Clone(name)
	rest := out
	var rdns cryptobyte.String
	if !rest.ReadASN1(&rdns, cbasn1.SEQUENCE) {
		return name
	}
	for !rdns.Empty() {
		var set cryptobyte.String
		if !rdns.ReadASN1(&set, cbasn1.SET) {
			return name
		}
		for !set.Empty() {
			var pair, value cryptobyte.String
			var tag cbasn1.Tag
			if !set.ReadASN1(&pair, cbasn1.SEQUENCE) || !pair.SkipASN1(cbasn1.OBJECT_IDENTIFIER) {
				return name
			}
			whole := pair
			if !pair.ReadAnyASN1(&value, &tag) {
				return name
			}
			if !textFits(tag, value) {
				whole[0] = byte(cbasn1.T61String)
			}
		}
	}
	return out
}
