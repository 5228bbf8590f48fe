package lists

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/citel-pa/citel/pkcs/certificate"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/xades"
	"github.com/citel-pa/citel/pkcs/xmldsig"
)

const (
	space      = "http://uri.etsi.org/02231/v2#"
	spaceMore  = "http://uri.etsi.org/02231/v2/additionaltypes#"
	spaceQual  = "http://uri.etsi.org/TrstSvc/SvcInfoExt/eSigDir-1999-93-EC-TrustedList/#"
	listTypes  = "http://uri.etsi.org/TrstSvc/TrustedList/TSLType/"
	typeOfLOTL = listTypes + "EUlistofthelists"
	mimeXML    = "application/vnd.etsi.tsl+xml"
)

// Errors of a list.
var (
	// ErrList means that a document is no trusted list of a version that is read.
	ErrList = errors.New("lists: not a trusted list (ETSI TS 119 612, version 5 or 6)")
	// ErrTerritory means that a list is another territory's, or of another type.
	ErrTerritory = errors.New("lists: this is another list than the one that was asked for")
	// ErrRollback means that a list is older than one that was seen.
	ErrRollback = errors.New("lists: older than the list that is known already")
)

const (
	maxServices = 20_000
	maxPointers = 200
	maxHistory  = 200
)

// List is a trusted list that was read, and not yet verified.
type List struct {
	Version  int
	Sequence int64
	// Type is the TSLType URI.
	Type, Territory, Operator string
	Issued                    time.Time
	NextUpdate                time.Time // zero: the list is closed
	// URIs of the scheme information: a LOTL's pivots and its Official Journal page.
	URIs     []string
	Pointers []Pointer
	Services []*trust.Service
	// Skipped says what of the list could not be used.
	Skipped []string
	// Digest is the file's SHA-256.
	Digest [32]byte
	// Signer is the SHA-256 of the signer's certificate, after Verify.
	Signer [32]byte

	document *xmldsig.Document
}

// Pointer is an OtherTSLPointer: where a list is and who signs it.
type Pointer struct {
	Location, Territory, Type, MimeType string
	Signers                             Signers
}

// Signers are certificates that may sign a list, by the SHA-256 of their DER.
type Signers map[[32]byte]bool

// Parse reads a list; Verify must follow before anything of it is believed.
func Parse(data []byte) (*List, error) {
	d, err := xmldsig.Parse(data)
	if err != nil {
		return nil, err
	}
	root := d.Element()
	if !root.Is(space, "TrustServiceStatusList") {
		return nil, fmt.Errorf("%w: the element is %q", ErrList, short(root.Local))
	}
	l := &List{Digest: sha256.Sum256(data), document: d}
	scheme := root.Child(space, "SchemeInformation")
	if err := l.scheme(scheme); err != nil {
		return nil, err
	}
	if err := l.pointers(scheme.Child(space, "PointersToOtherTSL")); err != nil {
		return nil, err
	}
	return l, l.providers(root.Child(space, "TrustServiceProviderList"))
}

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrList, fmt.Sprintf(format, args...))
}

func (l *List) scheme(n *xmldsig.Node) (err error) {
	if n == nil {
		return bad("no SchemeInformation")
	}
	text := func(name string) string { return own(n.Child(space, name)) }
	if l.Version, err = strconv.Atoi(text("TSLVersionIdentifier")); err != nil || l.Version != 5 && l.Version != 6 {
		return bad("version %q", short(text("TSLVersionIdentifier")))
	}
	if l.Sequence, err = strconv.ParseInt(text("TSLSequenceNumber"), 10, 64); err != nil || l.Sequence < 1 {
		return bad("sequence number %q", short(text("TSLSequenceNumber")))
	}
	l.Type, l.Territory = text("TSLType"), text("SchemeTerritory")
	l.Operator = name(n.Child(space, "SchemeOperatorName"))
	if l.Issued, err = xades.Time(text("ListIssueDateTime")); err != nil {
		return bad("ListIssueDateTime: %v", err)
	}
	next := n.Child(space, "NextUpdate")
	if next == nil {
		return bad("no NextUpdate")
	}
	if t := next.Child(space, "dateTime"); t != nil {
		if l.NextUpdate, err = xades.Time(t.Text()); err != nil {
			return bad("NextUpdate: %v", err)
		}
	}
	for _, u := range n.Child(space, "SchemeInformationURI").All(space, "URI") {
		l.URIs = append(l.URIs, own(u))
	}
	return nil
}

// own copies a text, so that it does not keep the whole document in memory.
func own(n *xmldsig.Node) string { return strings.Clone(n.Text()) }

// name takes the English name, or else the first.
func name(n *xmldsig.Node) string {
	first := ""
	for _, c := range n.All(space, "Name") {
		for _, a := range c.Attrs {
			if a.Local == "lang" && strings.HasPrefix(a.Value, "en") {
				return own(c)
			}
		}
		if first == "" {
			first = own(c)
		}
	}
	return first
}

func (l *List) pointers(n *xmldsig.Node) error {
	all := n.All(space, "OtherTSLPointer")
	if len(all) > maxPointers {
		return bad("more than %d pointers", maxPointers)
	}
	for _, p := range all {
		out := Pointer{Location: own(p.Child(space, "TSLLocation")), Signers: Signers{}}
		for _, id := range p.Child(space, "ServiceDigitalIdentities").All(space, "ServiceDigitalIdentity") {
			for _, der := range certificates(id) {
				out.Signers[sha256.Sum256(der)] = true
			}
		}
		for _, o := range p.Child(space, "AdditionalInformation").All(space, "OtherInformation") {
			for _, c := range o.Elements() {
				switch {
				case c.Is(space, "TSLType"):
					out.Type = own(c)
				case c.Is(space, "SchemeTerritory"):
					out.Territory = own(c)
				case c.Is(spaceMore, "MimeType"):
					out.MimeType = own(c)
				}
			}
		}
		l.Pointers = append(l.Pointers, out)
	}
	return nil
}

// certificates of a ServiceDigitalIdentity, as DER. A name or a key identifier alone
// is no anchor: neither holds a key.
func certificates(n *xmldsig.Node) (out [][]byte) {
	for _, id := range n.All(space, "DigitalId") {
		for _, c := range id.All(space, "X509Certificate") {
			if der, err := xmldsig.Base64(c.Text()); err == nil && len(der) > 0 {
				out = append(out, der)
			}
		}
	}
	return out
}

func (l *List) providers(n *xmldsig.Node) error {
	for _, p := range n.All(space, "TrustServiceProvider") {
		provider := name(p.Child(space, "TSPInformation").Child(space, "TSPName"))
		for _, s := range p.Child(space, "TSPServices").All(space, "TSPService") {
			if len(l.Services) >= maxServices {
				return bad("more than %d services", maxServices)
			}
			if err := l.service(s, provider); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *List) service(n *xmldsig.Node, provider string) error {
	info := n.Child(space, "ServiceInformation")
	v := &trust.Service{Provider: provider, Territory: l.Territory, Name: name(info.Child(space, "ServiceName")), NextUpdate: l.NextUpdate}
	state, why := readState(info)
	if why != "" {
		return l.skip(v, why)
	}
	v.History = []trust.ServiceState{state}
	history := n.Child(space, "ServiceHistory").All(space, "ServiceHistoryInstance")
	if len(history) > maxHistory {
		return bad("%s has more than %d states", short(v.Name), maxHistory)
	}
	for _, h := range history {
		state, why := readState(h)
		switch {
		case why != "":
			// What is before it is not known to hold until the next one.
			return l.skip(v, "history: "+why)
		case state.From.After(v.History[len(v.History)-1].From):
			return l.skip(v, "its history is not in order")
		}
		v.History = append(v.History, state)
	}
	ders := certificates(info.Child(space, "ServiceDigitalIdentity"))
	if len(ders) == 0 {
		return l.skip(v, "it has no certificate")
	}
	for _, der := range ders {
		c, err := certificate.Parse(der)
		if err != nil {
			_ = l.skip(v, err.Error())
			continue
		}
		v.Certificates = append(v.Certificates, c)
	}
	if len(v.Certificates) > 0 {
		l.Services = append(l.Services, v)
	}
	return nil
}

func (l *List) skip(v *trust.Service, why string) error {
	if len(l.Skipped) >= maxServices {
		return bad("nothing of it can be used")
	}
	l.Skipped = append(l.Skipped, fmt.Sprintf("%s: %s", short(v.Name), why))
	return nil
}

// readState reads a ServiceInformation or a ServiceHistoryInstance, or says why it
// cannot be used.
func readState(n *xmldsig.Node) (s trust.ServiceState, why string) {
	if n == nil {
		return s, "no ServiceInformation"
	}
	s.Type, s.Status = own(n.Child(space, "ServiceTypeIdentifier")), own(n.Child(space, "ServiceStatus"))
	var err error
	if s.From, err = xades.Time(n.Child(space, "StatusStartingTime").Text()); err != nil || s.Type == "" || s.Status == "" {
		return s, "type, status or its time is missing"
	}
	for _, e := range n.Child(space, "ServiceInformationExtensions").All(space, "Extension") {
		critical, _ := e.Attr("Critical")
		known := false
		for _, c := range e.Elements() {
			known = extension(&s, c)
			if !known && critical != "false" {
				// TS 119 612, 5.5.9: what is critical and not understood forbids the entry.
				return s, "a critical extension that is not known: " + short(c.Local)
			}
		}
	}
	return s, ""
}

func extension(s *trust.ServiceState, n *xmldsig.Node) bool {
	switch {
	case n.Is(space, "AdditionalServiceInformation"):
		s.Uses = append(s.Uses, own(n.Child(space, "URI")))
	case n.Is(space, "ExpiredCertsRevocationInfo"):
		t, err := xades.Time(n.Text())
		if err != nil {
			return false
		}
		s.ExpiredCerts = &t
	case n.Is(spaceMore, "TakenOverBy"):
		s.TakenOverBy = name(n.Child(spaceMore, "TSPName"))
	case n.Is(spaceQual, "Qualifications"):
		for _, q := range n.All(spaceQual, "QualificationElement") {
			var out trust.Qualification
			for _, u := range q.Child(spaceQual, "Qualifiers").All(spaceQual, "Qualifier") {
				uri, _ := u.Attr("uri")
				out.Qualifiers = append(out.Qualifiers, strings.Clone(uri))
			}
			out.Criteria = criteria(q.Child(spaceQual, "CriteriaList"))
			s.Qualifications = append(s.Qualifications, out)
		}
	default:
		return false
	}
	return true
}

// criteria reads a CriteriaList (5.5.9.2.2). The parser bounds its depth.
func criteria(n *xmldsig.Node) (c trust.Criteria) {
	if n == nil {
		return c // with no Assert: not understood
	}
	assert, _ := n.Attr("assert")
	c.Assert = strings.Clone(assert)
	for _, e := range n.Elements() {
		switch {
		case e.Is(spaceQual, "KeyUsage"):
			bits := map[string]bool{}
			for _, b := range e.All(spaceQual, "KeyUsageBit") {
				bit, _ := b.Attr("name")
				bits[strings.Clone(bit)] = b.Text() == "true" || b.Text() == "1"
			}
			c.KeyUsages = append(c.KeyUsages, bits)
		case e.Is(spaceQual, "PolicySet"):
			c.Policies = append(c.Policies, identifiers(e.All(spaceQual, "PolicyIdentifier")))
		case e.Is(spaceQual, "CriteriaList"):
			c.Lists = append(c.Lists, criteria(e))
		case e.Is(spaceQual, "Description"):
		case e.Is(spaceQual, "otherCriteriaList"):
			for _, o := range e.Elements() {
				switch {
				case o.Is(spaceMore, "ExtendedKeyUsage"):
					c.ExtKeyUsages = append(c.ExtKeyUsages, identifiers(o.All(spaceMore, "KeyPurposeId")))
				case o.Is(spaceMore, "CertSubjectDNAttribute"):
					c.SubjectAttributes = append(c.SubjectAttributes, identifiers(o.All(spaceMore, "AttributeOID")))
				default:
					c.Unknown = true
				}
			}
		default:
			c.Unknown = true
		}
	}
	return c
}

func identifiers(nodes []*xmldsig.Node) (out []string) {
	for _, n := range nodes {
		// xades:ObjectIdentifierType; urn:oid: is RFC 3061's.
		out = append(out, strings.TrimPrefix(own(n.Child(xades.Space, "Identifier")), "urn:oid:"))
	}
	return out
}

// Verify checks the list's one signature, made by one of the signers over the whole
// list. Afterwards the document is let go.
func (l *List) Verify(signers Signers) (warnings []string, err error) {
	s, err := xades.Whole(l.document, func(der []byte) bool { return signers[sha256.Sum256(der)] })
	if err != nil {
		return nil, err
	}
	l.document, l.Signer = nil, sha256.Sum256(s.Certificate)
	if l.Version >= 6 && len(s.Old) > 0 {
		// TS 119 612 v2.4.1, annex B: lists of version 6 have the V2 forms only. The
		// signature holds all the same.
		warnings = append(warnings, fmt.Sprintf("list of version %d with %s", l.Version, strings.Join(s.Old, ", ")))
	}
	return warnings, nil
}

func short(s string) string {
	if len(s) > 80 {
		s = s[:80] + "..."
	}
	return strings.ToValidUTF8(s, "?")
}
