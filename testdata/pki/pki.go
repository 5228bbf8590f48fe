package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // a test certificate that has to be refused
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/trust"
)

// Kind of an end-entity certificate.
type Kind string

// The good ones.
const (
	CNS       Kind = "cns"
	CIE       Kind = "cie"
	Qualified Kind = "qualified"
)

// The bad ones are CNS certificates with one thing wrong.
const (
	Expired     Kind = "expired"
	NotYetValid Kind = "not-yet-valid"
	Revoked     Kind = "revoked"
	WrongUsage  Kind = "wrong-usage"  // serverAuth instead of clientAuth
	WrongPolicy Kind = "wrong-policy" // not the profile's policy OID
	OtherRoot   Kind = "other-root"   // the same names below a root nobody trusts
	SHA1        Kind = "sha1"         // signed by the CA with SHA-1
	WrongCF     Kind = "wrong-cf"     // a codice fiscale with a wrong check character
)

// KeyAlg is the algorithm of a holder's key.
type KeyAlg string

// Key algorithms. RSA1024 is one that the server refuses by name.
const (
	RSA1024 KeyAlg = "rsa1024"
	RSA2048 KeyAlg = "rsa2048"
	RSA3072 KeyAlg = "rsa3072"
	P256    KeyAlg = "p256"
	P384    KeyAlg = "p384"
	P521    KeyAlg = "p521"
)

// Policies of the profiles.
const (
	PolicyCNS = "1.3.76.16.2.1"
	PolicyCIE = "1.3.76.47.4"
	// policyQCP is ETSI EN 319 411-2, 5.3: QCP-n-qscd.
	policyQCP = "0.4.0.194112.1.2"
)

// CA is an issuing authority.
type CA struct {
	Cert *x509.Certificate
	Key  crypto.Signer

	mu      sync.Mutex
	revoked []x509.RevocationListEntry
	number  int64
}

// Identity is a certificate with its key and the way up (issuer first, root last).
type Identity struct {
	Kind  Kind
	Who   Person
	Cert  *x509.Certificate
	Key   crypto.Signer
	Chain []*x509.Certificate
}

// PKI is one test authority.
type PKI struct {
	Root                *CA
	CNS, CIE, Qualified *CA
	OCSP, TSA           *Identity
	// CRLURL, when set before Issue, is the prefix of the CRL distribution point:
	// CRLURL + "/cns.crl".
	CRLURL string
	// OCSPURL, when set before Issue, goes into the AIA extension.
	OCSPURL string

	otherOnce sync.Once
	other     *PKI
	otherErr  error
}

// caLife and leafLife are far enough away for a demo that stays installed.
const (
	caLife   = 20 * 365 * 24 * time.Hour
	leafLife = 5 * 365 * 24 * time.Hour
)

// New makes a new PKI with fresh keys.
func New() (*PKI, error) {
	p := &PKI{}
	var err error
	if p.Root, err = newCA("CiTel TEST Root CA", nil); err != nil {
		return nil, err
	}
	for _, sub := range []struct {
		name string
		ca   **CA
	}{
		{"CiTel TEST CNS CA", &p.CNS}, {"CiTel TEST CIE CA", &p.CIE}, {"CiTel TEST Qualified CA", &p.Qualified},
	} {
		if *sub.ca, err = newCA(sub.name, p.Root); err != nil {
			return nil, err
		}
	}
	if p.OCSP, err = p.service("CiTel TEST OCSP", p.CNS, x509.ExtKeyUsageOCSPSigning); err != nil {
		return nil, err
	}
	if p.TSA, err = p.service("CiTel TEST TSA", p.Root, x509.ExtKeyUsageTimeStamping); err != nil {
		return nil, err
	}
	return p, nil
}

var shared = sync.OnceValues(New)

// Shared gives one PKI for the whole test process.
func Shared(tb testing.TB) *PKI {
	tb.Helper()
	p, err := shared()
	if err != nil {
		tb.Fatalf("test PKI: %v", err)
	}
	return p
}

// GenerateKey makes a key.
func GenerateKey(alg KeyAlg) (crypto.Signer, error) {
	switch alg {
	case RSA1024:
		return rsa.GenerateKey(rand.Reader, 1024)
	case RSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case RSA3072:
		return rsa.GenerateKey(rand.Reader, 3072)
	case P256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case P384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case P521:
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	}
	return nil, fmt.Errorf("pki: unknown key algorithm %q", alg)
}

func newCA(name string, issuer *CA) (*CA, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	policies, err := trust.PoliciesExtension(trust.TestPolicy, "2.5.29.32.0")
	if err != nil {
		return nil, err
	}
	now := time.Now()
	tmpl := &x509.Certificate{
		SerialNumber: serial(), Subject: subject(name),
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(caLife),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage:        x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtraExtensions: []pkix.Extension{policies},
	}
	parent, signer := tmpl, crypto.Signer(key)
	if issuer != nil {
		tmpl.MaxPathLenZero = true
		parent, signer = issuer.Cert, issuer.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("pki: %s: %w", name, err)
	}
	cert, err := x509.ParseCertificate(der)
	return &CA{Cert: cert, Key: key}, err
}

func (p *PKI) service(name string, ca *CA, eku x509.ExtKeyUsage) (*Identity, error) {
	key, err := GenerateKey(RSA2048)
	if err != nil {
		return nil, err
	}
	policies, err := trust.PoliciesExtension(trust.TestPolicy)
	if err != nil {
		return nil, err
	}
	ekuOID := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8} // id-kp-timeStamping
	extra := []pkix.Extension{policies}
	if eku == x509.ExtKeyUsageOCSPSigning {
		ekuOID[8] = 9
		// id-pkix-ocsp-nocheck, RFC 6960, 4.2.2.2.1, Revocation Checking of an Authorized Responder
		extra = append(extra, pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}, Value: []byte{5, 0}})
	}
	value, err := asn1.Marshal([]asn1.ObjectIdentifier{ekuOID})
	if err != nil {
		return nil, err
	}
	// RFC 3161, 2.3, Identification of the TSA: the extension is critical and has
	// this one purpose.
	extra = append(extra, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: value})
	now := time.Now()
	tmpl := &x509.Certificate{
		SerialNumber: serial(), Subject: subject(name),
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(leafLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtraExtensions: extra,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, ca.Cert, key.Public(), ca.Key)
	if err != nil {
		return nil, fmt.Errorf("pki: %s: %w", name, err)
	}
	cert, err := x509.ParseCertificate(der)
	return &Identity{Cert: cert, Key: key, Chain: p.chain(ca)}, err
}

func subject(cn string) pkix.Name {
	return pkix.Name{Country: []string{"IT"}, Organization: []string{trust.TestOrganization}, CommonName: cn}
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		panic(err) // the system's random source: nothing works without it
	}
	return n.Add(n, big.NewInt(1))
}

func (p *PKI) chain(ca *CA) []*x509.Certificate {
	if ca == p.Root {
		return []*x509.Certificate{p.Root.Cert}
	}
	return []*x509.Certificate{ca.Cert, p.Root.Cert}
}

// Option changes the template before it is signed.
type Option func(*x509.Certificate)

// ValidBetween sets the validity.
func ValidBetween(from, to time.Time) Option {
	return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = from, to }
}

// WithKeyUsage replaces the key usage bits.
func WithKeyUsage(u x509.KeyUsage) Option { return func(c *x509.Certificate) { c.KeyUsage = u } }

// Issue makes a certificate of a kind for a person with a fresh key.
func (p *PKI) Issue(kind Kind, alg KeyAlg, who Person, opts ...Option) (*Identity, error) {
	key, err := GenerateKey(alg)
	if err != nil {
		return nil, err
	}
	return p.IssueFor(kind, key, who, opts...)
}

// IssueFor is Issue for a key that exists already.
func (p *PKI) IssueFor(kind Kind, key crypto.Signer, who Person, opts ...Option) (*Identity, error) {
	if kind == OtherRoot {
		other, err := p.otherPKI()
		if err != nil {
			return nil, err
		}
		id, err := other.IssueFor(CNS, key, who, opts...)
		if err == nil {
			id.Kind = OtherRoot
		}
		return id, err
	}
	tmpl, ca, err := p.template(kind, who)
	if err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("pki: %s key: %w", kind, err)
	}
	ski := sha1.Sum(spki) //nolint:gosec // an identifier (RFC 5280, 4.2.1.2), not a protection
	tmpl.SubjectKeyId = ski[:]
	for _, o := range opts {
		o(tmpl)
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, ca.Cert, key.Public(), ca.Key)
	if err != nil {
		return nil, fmt.Errorf("pki: %s certificate: %w", kind, err)
	}
	if kind == SHA1 {
		if der, err = resignSHA1(der, ca.Key); err != nil {
			return nil, err
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("pki: %s certificate: %w", kind, err)
	}
	if kind == Revoked {
		p.Revoke(cert)
	}
	return &Identity{Kind: kind, Who: who, Cert: cert, Key: key, Chain: p.chain(ca)}, nil
}

// MustIssue is Issue for tests.
func (p *PKI) MustIssue(tb testing.TB, kind Kind, alg KeyAlg, who Person, opts ...Option) *Identity {
	tb.Helper()
	id, err := p.Issue(kind, alg, who, opts...)
	if err != nil {
		tb.Fatal(err)
	}
	return id
}

func (p *PKI) otherPKI() (*PKI, error) {
	p.otherOnce.Do(func() { p.other, p.otherErr = New() })
	return p.other, p.otherErr
}

func (p *PKI) template(kind Kind, who Person) (*x509.Certificate, *CA, error) {
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: serial(), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(leafLife),
	}
	ca, policies, crl := p.CNS, []string{trust.TestPolicy, PolicyCNS}, "cns"
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	cf := who.CF
	switch kind {
	case CNS, Revoked, SHA1:
	case Expired:
		t.NotBefore, t.NotAfter = now.Add(-2*time.Hour), now.Add(-time.Hour)
	case NotYetValid:
		t.NotBefore = now.Add(365 * 24 * time.Hour)
	case WrongUsage:
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	case WrongPolicy:
		policies[1] = "1.3.76.16.2.99"
	case WrongCF:
		cf = cf[:15] + string('A'+(cf[15]-'A'+1)%26)
	case CIE:
		ca, policies[1], crl = p.CIE, PolicyCIE, "cie"
	case Qualified:
		ca, policies[1], crl = p.Qualified, policyQCP, "qualified"
		t.KeyUsage = x509.KeyUsageContentCommitment
		t.ExtKeyUsage = nil
		t.ExtraExtensions = append(t.ExtraExtensions, pkix.Extension{Id: oidQCStatements, Value: qcStatements()})
	default:
		return nil, nil, fmt.Errorf("pki: unknown kind %q", kind)
	}
	t.Subject = holder(kind, who, cf)
	ext, err := trust.PoliciesExtension(policies...)
	if err != nil {
		return nil, nil, err
	}
	t.ExtraExtensions = append(t.ExtraExtensions, ext)
	if p.CRLURL != "" {
		t.CRLDistributionPoints = []string{p.CRLURL + "/" + crl + ".crl"}
	}
	if p.OCSPURL != "" {
		t.OCSPServer = []string{p.OCSPURL}
	}
	return t, ca, nil
}

var (
	oidSurname   = asn1.ObjectIdentifier{2, 5, 4, 4}
	oidGivenName = asn1.ObjectIdentifier{2, 5, 4, 42}
	oidSerial    = asn1.ObjectIdentifier{2, 5, 4, 5}
	// ETSI EN 319 412-5, 4.2, QCStatements claiming compliance to legislation
	oidQCStatements = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 3}
)

// holder is the subject as each profile writes it.
func holder(kind Kind, who Person, cf string) pkix.Name {
	n := subject("")
	n.ExtraNames = []pkix.AttributeTypeAndValue{
		{Type: oidSurname, Value: who.Surname}, {Type: oidGivenName, Value: who.Given},
	}
	switch kind {
	case Qualified:
		// ETSI EN 319 412-1, 5.1.3, Natural person semantics identifier
		n.CommonName = who.Given + " " + who.Surname
		n.ExtraNames = append(n.ExtraNames, pkix.AttributeTypeAndValue{Type: oidSerial, Value: "TINIT-" + cf})
	case CIE:
		n.CommonName = cf + "/" + who.CardID
	default:
		// CN = codice fiscale / card id . hash; the hash is SHA-1 over the card's
		// personal data, in base64.
		h := sha1.Sum([]byte(who.CF + who.CardID)) //nolint:gosec // what the profile says
		n.CommonName = cf + "/" + who.CardID + "." + base64.StdEncoding.EncodeToString(h[:])
	}
	return n
}

// qcStatements: QcCompliance, QcSSCD, QcType eSign (ETSI EN 319 412-5, 4.2 and 4.3).
func qcStatements() []byte {
	type statement struct {
		ID   asn1.ObjectIdentifier
		Info asn1.RawValue `asn1:"optional"`
	}
	eSign, err := asn1.Marshal([]asn1.ObjectIdentifier{{0, 4, 0, 1862, 1, 6, 1}})
	if err != nil {
		panic(err) // constants
	}
	out, err := asn1.Marshal([]statement{
		{ID: asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 1}},
		{ID: asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 4}},
		{ID: asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 6}, Info: asn1.RawValue{FullBytes: eSign}},
	})
	if err != nil {
		panic(err)
	}
	return out
}

// AnchorsPEM gives the issuing CAs of the kinds as PEM, or the root for none.
func (p *PKI) AnchorsPEM(kinds ...Kind) []byte {
	var certs []*x509.Certificate
	for _, k := range kinds {
		certs = append(certs, p.Issuer(k).Cert)
	}
	if len(kinds) == 0 {
		certs = []*x509.Certificate{p.Root.Cert}
	}
	return EncodePEM(certs...)
}

// Issuer is the CA that issues a kind.
func (p *PKI) Issuer(kind Kind) *CA {
	switch kind {
	case CIE:
		return p.CIE
	case Qualified:
		return p.Qualified
	}
	return p.CNS
}

// EncodePEM writes certificates one after the other.
func EncodePEM(certs ...*x509.Certificate) []byte {
	var out []byte
	for _, c := range slices.Compact(certs) {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}
