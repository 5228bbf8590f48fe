package validation

import (
	"crypto/x509"
	"time"
)

// Facts is everything that was collected about one signature. Nothing in it is
// judged: a wrong digest is a fact like any other. Formats (pkcs/cades, ...) fill
// the signature's own part, pkcs/verify the chain and the revocation.
//
// Facts can be saved as JSON and judged again under another policy or time.
type Facts struct {
	// Format is "CAdES" or "CMS" (no CAdES attributes at all).
	Format string `json:"format"`
	// Level is what the attributes claim: CMS, B-B, B-T, B-LT, B-LTA.
	Level string `json:"level"`
	// Faults are departures from the encoding or structure rules that did not
	// stop the parser.
	Faults []Fault `json:"faults,omitempty"`

	Content   ContentFacts   `json:"content"`
	Signer    SignerFacts    `json:"signer"`
	Value     ValueFacts     `json:"value"`
	Attribute AttributeFacts `json:"attributes"`

	// Certificates are all that came with the file, as DER.
	Certificates [][]byte `json:"certificates,omitempty"`
	// CRLs and OCSPs came with the file, as DER.
	CRLs  [][]byte `json:"crls,omitempty"`
	OCSPs [][]byte `json:"ocsps,omitempty"`

	Chain      ChainFacts        `json:"chain"`
	Identity   IdentityFacts     `json:"identity"`
	Revocation []RevocationFacts `json:"revocation,omitempty"`
	Timestamps []TimestampFacts  `json:"timestamps,omitempty"`

	// Time is the moment the validation is made for.
	Time time.Time `json:"time"`
}

// Fault names a departure: ID is stable ("signed-attributes-not-der"), Text is
// for the auditor.
type Fault struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

// ContentFacts is what was signed.
type ContentFacts struct {
	// Found is false when the signature is detached and no content was given.
	Found    bool   `json:"found"`
	Detached bool   `json:"detached"`
	Type     string `json:"type"` // eContentType OID
	SHA256   []byte `json:"sha256,omitempty"`
	Bytes    int64  `json:"bytes"`
	// LooksLikeAttributes: the content parses as DER SignedAttributes
	// (draft-ietf-lamps-cms-euf-cma-signeddata).
	LooksLikeAttributes bool `json:"looksLikeAttributes,omitempty"`
}

// SignerFacts is who the SignerInfo names.
type SignerFacts struct {
	// Certificate is the signer's as DER, nil if no certificate fits.
	Certificate []byte `json:"certificate,omitempty"`
	// By is "issuerAndSerialNumber" or "subjectKeyIdentifier".
	By      string `json:"by"`
	Version int    `json:"version"`
	// Ambiguous: more than one certificate of the file fits.
	Ambiguous bool `json:"ambiguous,omitempty"`
}

// ValueFacts is the mathematics of the signature value.
type ValueFacts struct {
	DigestAlgorithm    string `json:"digestAlgorithm"`    // OID
	SignatureAlgorithm string `json:"signatureAlgorithm"` // OID
	// DigestName is "SHA-256" etc., empty if unknown; KeyName "RSA", "RSA-PSS",
	// "ECDSA"; KeyBits the modulus' or the field's size.
	DigestName string `json:"digestName"`
	KeyName    string `json:"keyName"`
	KeyBits    int    `json:"keyBits"`
	// ParametersFault is set when algorithm parameters contradict each other.
	ParametersFault string `json:"parametersFault,omitempty"`
	// OverReceived: holds over the signed attributes as received (or over the
	// content, without attributes). OverDER: holds over their DER form.
	OverReceived bool `json:"overReceived"`
	OverDER      bool `json:"overDER"`
	// ReceivedIsDER: the received attributes are in DER (SET OF order included).
	ReceivedIsDER bool `json:"receivedIsDER"`
	// Checked is false when no certificate or no known algorithm let it be tried.
	Checked bool `json:"checked"`
	// Note is the library's own word on why it does not hold.
	Note string `json:"note,omitempty"`
}

// AttributeFacts are the signed attributes.
type AttributeFacts struct {
	Present bool `json:"present"`
	// Duplicated lists attribute OIDs that appear twice or hold several values
	// where one is allowed.
	Duplicated []string `json:"duplicated,omitempty"`
	Signed     []string `json:"signed,omitempty"`   // OIDs in order
	Unsigned   []string `json:"unsigned,omitempty"` // OIDs in order

	ContentTypePresent bool       `json:"contentTypePresent"`
	ContentTypeMatch   bool       `json:"contentTypeMatch"`
	DigestPresent      bool       `json:"digestPresent"`
	DigestMatch        bool       `json:"digestMatch"`
	SigningTime        *time.Time `json:"signingTime,omitempty"` // a claim, never a proof

	// SigningCertificate is the ESS attribute (RFC 5035).
	SigningCertificate ESSFacts `json:"signingCertificate"`
	// AlgorithmProtection is RFC 6211's attribute: nil absent, else whether it agrees.
	AlgorithmProtection *bool `json:"algorithmProtection,omitempty"`
	// Declaration is CiTel's mark of a login by declaration; `sign` never sets it.
	Declaration bool `json:"declaration,omitempty"`
}

// ESSFacts is signing-certificate or signing-certificate-v2.
type ESSFacts struct {
	Version int `json:"version"` // 0 absent, 1, 2
	// Match: the first ESSCertID is the signer's certificate.
	Match bool   `json:"match"`
	Hash  string `json:"hash,omitempty"`
	// IssuerSerialMatch: nil when the attribute has none.
	IssuerSerialMatch *bool `json:"issuerSerialMatch,omitempty"`
}

// IdentityFacts is what the signer's certificate says of its holder, and how far
// that counts.
type IdentityFacts struct {
	Subject string `json:"subject,omitempty"` // as profile.DistinguishedName writes it
	Serial  string `json:"serial,omitempty"`  // hexadecimal
	// Profile is "cns", "cie" or "qualified" where certificate and anchor agree.
	Profile string `json:"profile,omitempty"`
	// CodiceFiscale is empty unless Profile is set: a name alone proves nothing.
	CodiceFiscale string `json:"codiceFiscale,omitempty"`
	Given         string `json:"given,omitempty"`
	Family        string `json:"family,omitempty"`
	// QSCD: a qualified certificate says that its key is on a qualified device.
	QSCD bool `json:"qscd,omitempty"`
	// Seal: a certificate for electronic seals.
	Seal bool `json:"seal,omitempty"`
	// KeyUsage (RFC 5280, 4.2.1.3); empty when the extension is absent.
	KeyUsage []string `json:"keyUsage,omitempty"`
	// RevocationSources: the certificate names a CRL or a responder.
	RevocationSources bool `json:"revocationSources,omitempty"`
	// NoRevocation: RFC 9608's noRevAvail or EN 319 412-1's short term extension.
	NoRevocation bool `json:"noRevocation,omitempty"`
	// Problem says what was seen when no profile fits.
	Problem string `json:"problem,omitempty"`
}

// ChainFacts is the path from the signer to an anchor, signer first. Each link
// carries what is wrong with it at Facts.Time; an empty list is a path not found.
type ChainFacts struct {
	Found bool `json:"found"`
	// Anchor is set when Found: the name, profile and mark of the anchor's source.
	Anchor *AnchorFacts `json:"anchor,omitempty"`
	Links  []LinkFacts  `json:"links,omitempty"`
	// Note is the path builder's word when nothing was found.
	Note string `json:"note,omitempty"`
}

// AnchorFacts says where trust comes from.
type AnchorFacts struct {
	Certificate []byte `json:"certificate"`
	// Profiles the anchor is listed for: "cns", "cie", "qualified".
	Profiles []string `json:"profiles"`
	// Test is set for anchors that only --demo may load.
	Test bool `json:"test,omitempty"`
	// Source is a file's name or a trusted list's address.
	Source string `json:"source,omitempty"`
}

// LinkFacts is one certificate of the path.
type LinkFacts struct {
	Certificate []byte    `json:"certificate"`
	NotBefore   time.Time `json:"notBefore"`
	NotAfter    time.Time `json:"notAfter"`
	DigestName  string    `json:"digestName"` // of the signature on it
	KeyName     string    `json:"keyName"`
	KeyBits     int       `json:"keyBits"`
	// Faults of RFC 5280, 6.1 found on this certificate, time excepted.
	Faults []Fault `json:"faults,omitempty"`
}

// RevocationFacts is one answer about one certificate of the path.
type RevocationFacts struct {
	// Subject is the SHA-256 of the certificate asked about.
	Subject []byte `json:"subject"`
	// Kind is "crl" or "ocsp".
	Kind string `json:"kind"`
	// Source is "file", "cache", "embedded" or the address.
	Source     string     `json:"source"`
	ThisUpdate time.Time  `json:"thisUpdate"`
	NextUpdate *time.Time `json:"nextUpdate,omitempty"`
	// Status is "good", "revoked" or "unknown".
	Status    string     `json:"status"`
	RevokedAt *time.Time `json:"revokedAt,omitempty"`
	Reason    string     `json:"reason,omitempty"`
	// Trusted: the answer's own signature and issuer hold.
	Trusted bool   `json:"trusted"`
	Note    string `json:"note,omitempty"`
}

// TimestampFacts is one RFC 3161 token on the signature.
type TimestampFacts struct {
	Kind         string    `json:"kind"` // "signature", "content", "archive"
	GenTime      time.Time `json:"genTime"`
	ImprintMatch bool      `json:"imprintMatch"`
	// Token holds the facts of the token's own signature.
	Token *Facts `json:"token,omitempty"`
	Note  string `json:"note,omitempty"`
}

// SignerX509 parses the signer's certificate; nil when there is none.
func (f *Facts) SignerX509() *x509.Certificate {
	if f.Signer.Certificate == nil {
		return nil
	}
	c, err := x509.ParseCertificate(f.Signer.Certificate)
	if err != nil {
		return nil
	}
	return c
}
