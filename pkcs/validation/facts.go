package validation

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"time"

	"github.com/citel-pa/citel/pkcs/certificate"
)

// Facts is everything that was collected about one signature. Nothing in it is
// judged: a wrong digest is a fact like any other. Formats (pkcs/cades, ...) fill
// the signature's own part, pkcs/verify the chain and the revocation.
//
// Facts can be saved as JSON and judged again under another policy or time.
type Facts struct {
	// ID is the ObjectID of the signature value: what a time-stamp proves the
	// existence of.
	ID string `json:"id,omitempty"`
	// Format is "CAdES", "PAdES", "CMS" (no AdES attributes at all), "RFC 3161" for
	// a time-stamp token's own signature, or the name of a format that is not read
	// here ("XAdES", "ASiC", ...), see Unread.
	Format string `json:"format"`
	// Unread is set where the format is known by name only: nothing else is filled.
	Unread bool `json:"unread,omitempty"`
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
	// SignaturePolicy is the policy that the signer names; nil without one.
	SignaturePolicy *SignaturePolicyFacts `json:"signaturePolicy,omitempty"`
	// Proofs of existence that are no time-stamps: a sealed register's entry.
	Proofs []ProofFacts `json:"proofs,omitempty"`
	// PDF is set for signatures in a PDF.
	PDF *PDFFacts `json:"pdf,omitempty"`
	// Counter are the counter-signatures (RFC 5652, 11.4), signatures in their own
	// right: Content is this signature's value.
	Counter []*Facts `json:"counter,omitempty"`
	// Nested counts the envelopes around this signature: 0 for the outermost
	// (.p7m), 1 for what was found in it (.p7m.p7m).
	Nested int `json:"nested,omitempty"`

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
	Found bool `json:"found"`
	// Name of the content that the signature fits, where several were given.
	Name     string `json:"name,omitempty"`
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
	// Raw is the signature value itself. It is not saved with the facts: the file has it.
	Raw                []byte `json:"-"`
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
	// WithoutNull: it holds, but its DigestInfo lacks the NULL parameter (RFC 8017, 9.2).
	WithoutNull bool `json:"withoutNull,omitempty"`
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
	// CodiceFiscale is empty unless Profile is set: a name alone proves nothing. It is
	// empty too for a qualified certificate of somebody who has none.
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
	// Periods are the times in which the anchor counted (a trusted list's status and
	// its history); none: always.
	Periods []Period `json:"periods,omitempty"`
	// Service is what a trusted list says of it; nil for anchors from files.
	Service *ServiceFacts `json:"service,omitempty"`
}

// Period is a span of time; a zero To has not ended.
type Period struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to,omitzero"`
}

// ServiceFacts is a trust service of a trusted list (ETSI TS 119 612, 5.5), as it
// stood at Facts.Time and as it stood over time.
type ServiceFacts struct {
	Type      string `json:"type"`   // the identifier's URI
	Status    string `json:"status"` // now
	Name      string `json:"name,omitempty"`
	Provider  string `json:"provider,omitempty"`
	Territory string `json:"territory,omitempty"`
	// History has every status with its start, newest first, the present one included.
	History []ServiceStatus `json:"history,omitempty"`
	// ListProblem says why the list itself is not beyond doubt (an older copy kept, a
	// signature of an old form); empty for a good one.
	ListProblem string `json:"listProblem,omitempty"`
	// ListNextUpdate is when the list has to be replaced by a newer one; nil for a list
	// that is closed.
	ListNextUpdate *time.Time `json:"listNextUpdate,omitempty"`
	// ExpiredCerts: since when the service tells of certificates after their end
	// (expiredCertsRevocationInfo, TS 119 612, 5.5.9.1); nil: it does not say.
	ExpiredCerts *time.Time `json:"expiredCerts,omitempty"`
	// TakenOverBy names who took the service over (5.5.9.3).
	TakenOverBy string `json:"takenOverBy,omitempty"`
}

// ServiceStatus is one entry of a service's history.
type ServiceStatus struct {
	Type   string    `json:"type"`
	Status string    `json:"status"`
	From   time.Time `json:"from"`
	// Uses are the additionalServiceInformation URIs (ForeSignatures, ForeSeals, ...).
	Uses []string `json:"uses,omitempty"`
	// Qualifiers are those of the Qualifications extension whose criteria the
	// signer's certificate meets (QCWithSSCD, QCForESig, NotQualified, ...).
	Qualifiers []string `json:"qualifiers,omitempty"`
}

// LinkFacts is one certificate of the path.
type LinkFacts struct {
	Certificate []byte    `json:"certificate"`
	NotBefore   time.Time `json:"notBefore"`
	NotAfter    time.Time `json:"notAfter"`
	DigestName  string    `json:"digestName"` // of the signature on it
	KeyName     string    `json:"keyName"`
	KeyBits     int       `json:"keyBits"`
	// NoCheck: a responder whose issuer asks not to look for its revocation (RFC 6960,
	// 4.2.2.2.1).
	NoCheck bool `json:"noCheck,omitempty"`
	// Faults of RFC 5280, 6.1 found on this certificate, time excepted.
	Faults []Fault `json:"faults,omitempty"`
}

// RevocationFacts is one answer about one certificate: of the path, or of the path of who
// signed another answer.
type RevocationFacts struct {
	// Subject is the SHA-256 of the certificate asked about.
	Subject []byte `json:"subject"`
	// Kind is "crl" or "ocsp".
	Kind string `json:"kind"`
	// Source is "file", "cache", "embedded" or the address.
	Source string `json:"source"`
	// Object is the ObjectID of the answer's DER (a CertificateList, or the
	// BasicOCSPResponse): what a time-stamp proves the existence of.
	Object string `json:"object,omitempty"`
	// Raw is that DER, as long as the program runs: facts that are saved do without it,
	// and so do those from long lists.
	Raw        []byte     `json:"-"`
	ThisUpdate time.Time  `json:"thisUpdate"`
	NextUpdate *time.Time `json:"nextUpdate,omitempty"`
	// ProducedAt is an OCSP response's time; a list has none.
	ProducedAt *time.Time `json:"producedAt,omitempty"`
	// Status is "good", "revoked" or "unknown".
	Status    string     `json:"status"`
	RevokedAt *time.Time `json:"revokedAt,omitempty"`
	Reason    string     `json:"reason,omitempty"`
	// Trusted: the answer's own signature and issuer hold, times and algorithms excepted.
	Trusted bool   `json:"trusted"`
	Note    string `json:"note,omitempty"`

	// DigestName, KeyName and KeyBits are those of the answer's signature.
	DigestName string `json:"digestName,omitempty"`
	KeyName    string `json:"keyName,omitempty"`
	KeyBits    int    `json:"keyBits,omitempty"`
	// By is the path of who signed the answer, signer first, when that is not the
	// certificate's own issuer (a delegated responder, an indirect list).
	By *ChainFacts `json:"by,omitempty"`
	// ByIssuer: the certificate's own issuer signed it; By is nil then.
	ByIssuer bool `json:"byIssuer,omitempty"`
	// Remembers is the time from which the source still knows expired certificates:
	// archiveCutoff or expiredCertsOnCRL (RFC 6960, 4.4.4; X.509); nil: it does not say.
	Remembers *time.Time `json:"remembers,omitempty"`
	// CertHash: the response holds the certificate's hash (Common PKI), and whether it agrees.
	CertHash *bool `json:"certHash,omitempty"`
}

// TimestampFacts is one RFC 3161 token on or in the signature.
type TimestampFacts struct {
	// Raw is the token itself. It is not saved with the facts: the file has it.
	Raw []byte `json:"-"`
	// ID is the ObjectID of the token's DER.
	ID string `json:"id"`
	// Kind is "content", "signature", "archive" or "document" (PAdES DocTimeStamp).
	Kind    string    `json:"kind"`
	GenTime time.Time `json:"genTime"`
	// ImprintFound: the data that it stamps is there; ImprintMatch: and it is what was stamped.
	ImprintFound  bool   `json:"imprintFound"`
	ImprintMatch  bool   `json:"imprintMatch"`
	ImprintDigest string `json:"imprintDigest,omitempty"` // "SHA-256"
	// Covers are the ObjectIDs of what it proves the existence of: signature values,
	// certificates, lists, responses and other tokens.
	Covers []string `json:"covers,omitempty"`
	// Token holds the facts of the token's own signature.
	Token *Facts `json:"token,omitempty"`
	// Faults of the token or its place (RFC 3161, 2.4.2; EN 319 122-1, 5.5.2).
	Faults []Fault `json:"faults,omitempty"`
	Note   string  `json:"note,omitempty"`
}

// ProofFacts says that the signature existed at a time, on somebody's word; the
// policy tells whose word counts.
type ProofFacts struct {
	Kind   string    `json:"kind"` // "register"
	Time   time.Time `json:"time"`
	Source string    `json:"source,omitempty"`
}

// SignaturePolicyFacts is signature-policy-identifier (EN 319 122-1, 5.2.9).
type SignaturePolicyFacts struct {
	OID string `json:"oid,omitempty"` // empty: implied
	// Hash is the digest that the signer gives, empty or all zeros when not known.
	HashName string `json:"hashName,omitempty"`
	Hash     []byte `json:"hash,omitempty"`
	URI      string `json:"uri,omitempty"`
}

// PDFFacts is where in a PDF a signature stands and what happened to the file since
// (ISO 32000-2, 12.8; ETSI EN 319 142-1, 5).
type PDFFacts struct {
	Field     string `json:"field,omitempty"`
	SubFilter string `json:"subFilter,omitempty"`
	// Revision counts from 1; Revisions is how many the file has.
	Revision  int     `json:"revision"`
	Revisions int     `json:"revisions"`
	ByteRange []int64 `json:"byteRange,omitempty"`
	// Encrypted: the file's strings cannot be read, the claimed time among them.
	Encrypted bool `json:"encrypted,omitempty"`
	// Whole: the signature covers the file to its end.
	Whole bool `json:"whole"`
	// Permissions is P of the certification (DocMDP): 1, 2, 3; 0 without one.
	Permissions int `json:"permissions,omitempty"`
	// Changes are what later revisions did, in the file's order.
	Changes []PDFChange `json:"changes,omitempty"`
}

// PDFChange is one change after the signature.
type PDFChange struct {
	// ID: page-count, page-content, annotation, form-fill, signature, time-stamp, dss,
	// metadata, undefined; not-compared where nobody knows.
	ID   string `json:"id"`
	Text string `json:"text"`
	// Forbidden: the certification or a field lock does not permit it.
	Forbidden bool `json:"forbidden,omitempty"`
}

// ObjectID names a piece of evidence: the SHA-256 of its bytes in hexadecimal.
func ObjectID(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// SignerX509 parses the signer's certificate; nil when there is none.
func (f *Facts) SignerX509() *x509.Certificate {
	if f.Signer.Certificate == nil {
		return nil
	}
	c, err := certificate.Parse(f.Signer.Certificate)
	if err != nil {
		return nil
	}
	return c
}
