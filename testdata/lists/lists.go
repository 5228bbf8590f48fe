// Package lists makes trusted lists (ETSI TS 119 612) for tests and the demo: a list of
// lists with its pivots, and national lists, signed as the real ones are. Their signers
// and services carry the mark of test material (testdata/pki).
package lists

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // the subject key identifier of a list's service
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/xmldsig"
	"github.com/citel-pa/citel/testdata/pki"
)

// URIs of TS 119 612.
const (
	TypeLOTL   = "http://uri.etsi.org/TrstSvc/TrustedList/TSLType/EUlistofthelists"
	TypeEU     = "http://uri.etsi.org/TrstSvc/TrustedList/TSLType/EUgeneric"
	CAQC       = "http://uri.etsi.org/TrstSvc/Svctype/CA/QC"
	IdV        = "http://uri.etsi.org/TrstSvc/Svctype/IdV"
	TSAQTST    = "http://uri.etsi.org/TrstSvc/Svctype/TSA/QTST"
	status     = "http://uri.etsi.org/TrstSvc/TrustedList/Svcstatus/"
	Granted    = status + "granted"
	Withdrawn  = status + "withdrawn"
	Recognised = status + "recognisedatnationallevel"
	info       = "http://uri.etsi.org/TrstSvc/TrustedList/SvcInfoExt/"
	// ForeSignatures and ForeSeals are uses.
	ForeSignatures = info + "ForeSignatures"
	ForeSeals      = info + "ForeSeals"
)

// Qualifier gives the URI of a qualifier, e.g. "QCWithQSCD".
func Qualifier(name string) string { return info + name }

// Signer signs lists.
type Signer struct {
	Cert *x509.Certificate
	Key  crypto.Signer
}

// NewSigner makes a list's signer with a certificate of its own.
func NewSigner(name string, alg pki.KeyAlg) (*Signer, error) {
	key, err := pki.GenerateKey(alg)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	policies, err := trust.PoliciesExtension(trust.TestPolicy)
	if err != nil {
		return nil, err
	}
	// id-tsl-kp-tslSigning (TS 119 612, 5.7.1)
	eku, err := asn1.Marshal([]asn1.ObjectIdentifier{{0, 4, 0, 2231, 3, 0}})
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{Country: []string{"IT"}, Organization: []string{trust.TestOrganization}, CommonName: name},
		NotBefore: time.Now().AddDate(-10, 0, 0), NotAfter: time.Now().AddDate(10, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{policies, {Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Value: eku}},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	c, err := x509.ParseCertificate(der)
	return &Signer{Cert: c, Key: key}, err
}

// List is what a list says.
type List struct {
	Version            int // 5 or 6
	Sequence           int
	Type, Territory    string
	Issued, NextUpdate time.Time // a zero NextUpdate closes the list
	URIs               []string
	Pointers           []Pointer
	Services           []Service
}

// Pointer to another list.
type Pointer struct {
	Location, Territory, Type string
	Signers                   []*x509.Certificate
}

// Service of a provider.
type Service struct {
	Provider, Name string
	Certs          []*x509.Certificate
	State
	History []State
}

// State of a service from a time on.
type State struct {
	Type, Status string
	From         time.Time
	Uses         []string
	// Extension is the XML of a further extension.
	Extension string
}

const declarations = `xmlns="http://uri.etsi.org/02231/v2#" xmlns:add="http://uri.etsi.org/02231/v2/additionaltypes#" xmlns:sie="http://uri.etsi.org/TrstSvc/SvcInfoExt/eSigDir-1999-93-EC-TrustedList/#" xmlns:xa="http://uri.etsi.org/01903/v1.3.2#"`

func esc(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder does not fail
	return b.String()
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

func certs(b *strings.Builder, list []*x509.Certificate) {
	for _, c := range list {
		fmt.Fprintf(b, "<DigitalId><X509Certificate>%s</X509Certificate></DigitalId>", base64.StdEncoding.EncodeToString(c.Raw))
	}
}

// XML writes the list, without a signature.
func (l *List) XML() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"+`<TrustServiceStatusList %s Id="list" TSLTag="http://uri.etsi.org/19612/TSLTag"><SchemeInformation>`, declarations)
	fmt.Fprintf(&b, "<TSLVersionIdentifier>%d</TSLVersionIdentifier><TSLSequenceNumber>%d</TSLSequenceNumber><TSLType>%s</TSLType>", l.Version, l.Sequence, l.Type)
	fmt.Fprintf(&b, `<SchemeOperatorName><Name xml:lang="en">%s</Name></SchemeOperatorName><SchemeInformationURI>`, trust.TestOrganization)
	for _, u := range l.URIs {
		fmt.Fprintf(&b, `<URI xml:lang="en">%s</URI>`, esc(u))
	}
	fmt.Fprintf(&b, "</SchemeInformationURI><SchemeTerritory>%s</SchemeTerritory>", l.Territory)
	if len(l.Pointers) > 0 {
		b.WriteString("<PointersToOtherTSL>")
		for _, p := range l.Pointers {
			b.WriteString("<OtherTSLPointer><ServiceDigitalIdentities>")
			for _, c := range p.Signers {
				b.WriteString("<ServiceDigitalIdentity>")
				certs(&b, []*x509.Certificate{c})
				b.WriteString("</ServiceDigitalIdentity>")
			}
			fmt.Fprintf(&b, "</ServiceDigitalIdentities><TSLLocation>%s</TSLLocation><AdditionalInformation><OtherInformation><TSLType>%s</TSLType></OtherInformation>"+
				"<OtherInformation><SchemeTerritory>%s</SchemeTerritory></OtherInformation><OtherInformation><add:MimeType>application/vnd.etsi.tsl+xml</add:MimeType></OtherInformation></AdditionalInformation></OtherTSLPointer>",
				esc(p.Location), p.Type, p.Territory)
		}
		b.WriteString("</PointersToOtherTSL>")
	}
	fmt.Fprintf(&b, "<ListIssueDateTime>%s</ListIssueDateTime><NextUpdate>", stamp(l.Issued))
	if !l.NextUpdate.IsZero() {
		fmt.Fprintf(&b, "<dateTime>%s</dateTime>", stamp(l.NextUpdate))
	}
	b.WriteString("</NextUpdate></SchemeInformation>")
	if len(l.Services) > 0 {
		b.WriteString("<TrustServiceProviderList>")
		for _, s := range l.Services {
			s.write(&b)
		}
		b.WriteString("</TrustServiceProviderList>")
	}
	b.WriteString("</TrustServiceStatusList>")
	return b.String()
}

func (s *Service) write(b *strings.Builder) {
	fmt.Fprintf(b, `<TrustServiceProvider><TSPInformation><TSPName><Name xml:lang="en">%s</Name></TSPName></TSPInformation><TSPServices><TSPService><ServiceInformation>`, esc(s.Provider))
	fmt.Fprintf(b, `<ServiceTypeIdentifier>%s</ServiceTypeIdentifier><ServiceName><Name xml:lang="en">%s</Name></ServiceName><ServiceDigitalIdentity>`, s.Type, esc(s.Name))
	certs(b, s.Certs)
	b.WriteString("</ServiceDigitalIdentity>")
	s.State.write(b)
	b.WriteString("</ServiceInformation>")
	if len(s.History) > 0 {
		b.WriteString("<ServiceHistory>")
		for _, h := range s.History {
			fmt.Fprintf(b, `<ServiceHistoryInstance><ServiceTypeIdentifier>%s</ServiceTypeIdentifier><ServiceName><Name xml:lang="en">%s</Name></ServiceName><ServiceDigitalIdentity><DigitalId><X509SKI>%s</X509SKI></DigitalId></ServiceDigitalIdentity>`,
				h.Type, esc(s.Name), ski(s.Certs))
			h.write(b)
			b.WriteString("</ServiceHistoryInstance>")
		}
		b.WriteString("</ServiceHistory>")
	}
	b.WriteString("</TSPService></TSPServices></TrustServiceProvider>")
}

func ski(list []*x509.Certificate) string {
	if len(list) == 0 {
		return ""
	}
	sum := sha1.Sum(list[0].RawSubjectPublicKeyInfo) //nolint:gosec // an identifier
	return base64.StdEncoding.EncodeToString(sum[:])
}

func (s *State) write(b *strings.Builder) {
	fmt.Fprintf(b, "<ServiceStatus>%s</ServiceStatus><StatusStartingTime>%s</StatusStartingTime>", s.Status, stamp(s.From))
	if len(s.Uses) == 0 && s.Extension == "" {
		return
	}
	b.WriteString("<ServiceInformationExtensions>")
	for _, u := range s.Uses {
		fmt.Fprintf(b, `<Extension Critical="true"><AdditionalServiceInformation><URI xml:lang="en">%s</URI></AdditionalServiceInformation></Extension>`, u)
	}
	if s.Extension != "" {
		b.WriteString(s.Extension)
	}
	b.WriteString("</ServiceInformationExtensions>")
}

// Qualified writes a Qualifications extension: certificates with all of the policies get
// the qualifiers.
func Qualified(policy string, qualifiers ...string) string {
	var b strings.Builder
	b.WriteString(`<Extension Critical="true"><sie:Qualifications><sie:QualificationElement><sie:Qualifiers>`)
	for _, q := range qualifiers {
		fmt.Fprintf(&b, `<sie:Qualifier uri="%s"/>`, Qualifier(q))
	}
	fmt.Fprintf(&b, `</sie:Qualifiers><sie:CriteriaList assert="all"><sie:PolicySet><sie:PolicyIdentifier><xa:Identifier Qualifier="OIDAsURN">urn:oid:%s</xa:Identifier></sie:PolicyIdentifier></sie:PolicySet></sie:CriteriaList></sie:QualificationElement></sie:Qualifications></Extension>`, policy)
	return b.String()
}

// Style is how a signature is made; the zero value is that of lists of version 5.
type Style struct {
	V2   bool      // SigningCertificateV2
	Time time.Time // SigningTime; zero is now
	// PSS signs with RSA-PSS instead of PKCS #1 v1.5.
	PSS bool
	// Inclusive uses Canonical XML 1.0 instead of the exclusive form.
	Inclusive bool
	// ByID refers to the root by its Id instead of by "".
	ByID bool
	// Template changes the signature's text before it is signed, for tests of what must
	// be refused.
	Template func(string) string
}

// Template gives an unsigned signature element: digests and value are DIGEST0, DIGEST1
// and VALUE.
func Template(s *Signer, o Style) string {
	if o.Time.IsZero() {
		o.Time = time.Now()
	}
	sum := sha256.Sum256(s.Cert.Raw)
	method := "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
	if o.PSS {
		method = "http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1"
	}
	if _, ok := s.Key.Public().(*ecdsa.PublicKey); ok {
		method = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
	}
	c14n, uri, v2 := xmldsig.ExclusiveC14N, "", ""
	if o.Inclusive {
		c14n = xmldsig.C14N
	}
	if o.ByID {
		uri = "#list"
	}
	serial := "<xades:IssuerSerial><ds:X509IssuerName>" + esc(s.Cert.Issuer.String()) + "</ds:X509IssuerName><ds:X509SerialNumber>" + s.Cert.SerialNumber.String() + "</ds:X509SerialNumber></xades:IssuerSerial>"
	if o.V2 {
		v2, serial = "V2", ""
	}
	text := `<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#" Id="sig"><ds:SignedInfo>` +
		`<ds:CanonicalizationMethod Algorithm="` + c14n + `"/><ds:SignatureMethod Algorithm="` + method + `"/>` +
		`<ds:Reference URI="` + uri + `"><ds:Transforms><ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/><ds:Transform Algorithm="` + c14n + `"/></ds:Transforms><ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><ds:DigestValue>DIGEST0</ds:DigestValue></ds:Reference>` +
		`<ds:Reference Type="http://uri.etsi.org/01903#SignedProperties" URI="#props"><ds:Transforms><ds:Transform Algorithm="` + c14n + `"/></ds:Transforms><ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><ds:DigestValue>DIGEST1</ds:DigestValue></ds:Reference>` +
		`</ds:SignedInfo><ds:SignatureValue>VALUE</ds:SignatureValue><ds:KeyInfo><ds:X509Data><ds:X509Certificate>` + base64.StdEncoding.EncodeToString(s.Cert.Raw) + `</ds:X509Certificate></ds:X509Data></ds:KeyInfo>` +
		`<ds:Object><xades:QualifyingProperties xmlns:xades="http://uri.etsi.org/01903/v1.3.2#" Target="#sig"><xades:SignedProperties Id="props"><xades:SignedSignatureProperties>` +
		`<xades:SigningTime>` + stamp(o.Time) + `</xades:SigningTime><xades:SigningCertificate` + v2 + `><xades:Cert><xades:CertDigest><ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><ds:DigestValue>` + base64.StdEncoding.EncodeToString(sum[:]) + `</ds:DigestValue></xades:CertDigest>` + serial + `</xades:Cert></xades:SigningCertificate` + v2 + `>` +
		`</xades:SignedSignatureProperties></xades:SignedProperties></xades:QualifyingProperties></ds:Object></ds:Signature>`
	if o.Template != nil {
		text = o.Template(text)
	}
	return text
}

// Sign puts a signature at the end of the document's element. xmlsec1 judges it in the
// tests.
func Sign(document string, s *Signer, o Style) (string, error) {
	end := strings.LastIndex(document, "</")
	if end < 0 {
		return "", fmt.Errorf("lists: no element to sign")
	}
	text := document[:end] + Template(s, o) + document[end:]
	d, err := xmldsig.Parse([]byte(text))
	if err != nil {
		return "", err
	}
	signature := last(d)
	info := signature.Child(xmldsig.Space, "SignedInfo")
	for i, r := range info.All(xmldsig.Space, "Reference") {
		var node, without *xmldsig.Node
		uri, _ := r.Attr("URI")
		if node = d.Node; uri != "" {
			if node = d.ByID(strings.TrimPrefix(uri, "#")); node == nil {
				continue // an attack: nothing to digest
			}
		}
		method := xmldsig.C14N
		for _, t := range r.Child(xmldsig.Space, "Transforms").All(xmldsig.Space, "Transform") {
			switch a, _ := t.Attr("Algorithm"); a {
			case xmldsig.Enveloped:
				without = signature
			case xmldsig.C14N, xmldsig.ExclusiveC14N:
				method = a
			}
		}
		h := sha256.New()
		if err := xmldsig.Canonical(h, node, method, without); err != nil {
			return "", err
		}
		text = strings.Replace(text, fmt.Sprintf("DIGEST%d", i), base64.StdEncoding.EncodeToString(h.Sum(nil)), 1)
	}
	value, err := s.value(text, o)
	if err != nil {
		return "", err
	}
	return strings.Replace(text, "VALUE", base64.StdEncoding.EncodeToString(value), 1), nil
}

// last is the signature that was put in.
func last(d *xmldsig.Document) *xmldsig.Node {
	all := d.Element().All(xmldsig.Space, "Signature")
	return all[len(all)-1]
}

func (s *Signer) value(text string, o Style) ([]byte, error) {
	d, err := xmldsig.Parse([]byte(text))
	if err != nil {
		return nil, err
	}
	info := last(d).Child(xmldsig.Space, "SignedInfo")
	method, _ := info.Child(xmldsig.Space, "CanonicalizationMethod").Attr("Algorithm")
	h := sha256.New()
	if err := xmldsig.Canonical(h, info, method, nil); err != nil {
		return nil, err
	}
	if k, ok := s.Key.(*ecdsa.PrivateKey); ok {
		r, v, err := ecdsa.Sign(rand.Reader, k, h.Sum(nil))
		if err != nil {
			return nil, err
		}
		size := (k.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, size)), v.FillBytes(make([]byte, size))...), nil
	}
	var opts crypto.SignerOpts = crypto.SHA256
	if o.PSS {
		opts = pss
	}
	return s.Key.Sign(rand.Reader, h.Sum(nil), opts)
}
