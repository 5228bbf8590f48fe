package trust

import (
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/trust/rfc5280"
	"github.com/citel-pa/citel/pkcs/validation"
)

// Service is a trust service of a trusted list (ETSI TS 119 612, 5.5).
type Service struct {
	Name, Provider, Territory string
	// Source is the list's address.
	Source       string
	Certificates []*x509.Certificate
	// History has every state, newest first, the present one included.
	History []ServiceState
	// ListProblem says why the list itself is not beyond doubt; empty for a good one.
	ListProblem string
	// NextUpdate of the list; zero for a list that is closed.
	NextUpdate time.Time
}

// ServiceState is what a list says of a service from a time on.
type ServiceState struct {
	Type, Status string // URIs
	From         time.Time
	// Uses are the additionalServiceInformation URIs (ForeSignatures, ...).
	Uses []string
	// Qualifications (5.5.9.2) of certificates that meet criteria.
	Qualifications []Qualification
	// ExpiredCerts is expiredCertsRevocationInfo (5.5.9.1): since when the service still
	// tells the status of certificates after their end.
	ExpiredCerts *time.Time
	// TakenOverBy (5.5.9.3) is the name of who took the service over.
	TakenOverBy string
}

// Types of services.
const (
	serviceTypes = "http://uri.etsi.org/TrstSvc/Svctype/"
	// ServiceCAQC issues qualified certificates.
	ServiceCAQC = serviceTypes + "CA/QC"
	// ServiceIdV identifies people; Italy lists the issuers of CNS and CIE as such.
	ServiceIdV = serviceTypes + "IdV"
	// ServiceTSA begins the types of time-stamping services.
	ServiceTSA = serviceTypes + "TSA"
	// serviceOCSP begins the types of revocation services.
	serviceOCSP = serviceTypes + "Certstatus/OCSP"
)

// issuerOfCIE is the one provider of Italy's list whose identification service issues
// the CIE; the others issue the CNS.
const issuerOfCIE = "Ministero dell'Interno"

// profiles that an anchor of the service is listed for.
func (s *Service) profiles() (out []profile.Profile) {
	add := func(p profile.Profile) {
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	for _, h := range s.History {
		switch {
		case h.Type == ServiceCAQC:
			add(profile.Qualified)
		case h.Type != ServiceIdV || s.Territory != "IT": // a country recognises for itself alone
		case strings.ReplaceAll(s.Provider, "\u2019", "'") == issuerOfCIE:
			add(profile.CIE)
		default:
			add(profile.CNS)
		}
	}
	return out
}

// anchoring are the types whose certificates paths may end at: issuers, time-stampers,
// who answers about revocation. Those of other services (validation, preservation,
// delivery) sign for themselves and are nobody's issuers.
var anchoring = []string{serviceTypes + "CA/", ServiceIdV, ServiceTSA, serviceTypes + "Certstatus/"}

func (s *Service) anchors() bool {
	return slices.ContainsFunc(anchoring, func(t string) bool { return strings.HasPrefix(s.History[0].Type, t) }) && len(s.periods()) > 0
}

// periods in which the service counted; none: it never did.
func (s *Service) periods() (out []validation.Period) {
	for i, h := range slices.Backward(s.History) {
		if !validation.Granted(h.Status) {
			continue
		}
		p := validation.Period{From: h.From}
		if i > 0 {
			p.To = s.History[i-1].From
		}
		if n := len(out); n > 0 && out[n-1].To.Equal(p.From) {
			out[n-1].To = p.To
			continue
		}
		out = append(out, p)
	}
	return out
}

// SetServices takes the services of a trusted list as anchors, in place of those that
// the same source gave before; nil takes them all away. A service that never counted
// is no anchor, and test material is none unless AllowTest was given. It tells how many
// certificates are anchors now because of this list.
func (s *Store) SetServices(source string, services []*Service) int {
	var usable []*Service
	n := 0
	for _, v := range services {
		if !v.anchors() || !s.allowTest && slices.ContainsFunc(v.Certificates, IsTest) {
			continue
		}
		usable = append(usable, v)
		n += len(v.Certificates)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listed == nil {
		s.listed = map[string][]*Service{}
	}
	if s.listed[source] = usable; len(usable) == 0 {
		delete(s.listed, source)
	}
	s.rebuild()
	return n
}

// rebuild makes the anchors anew: paths that were found keep the old ones.
func (s *Store) rebuild() {
	s.anchors, s.byCert, s.bySubj, s.names = nil, map[[32]byte]*Anchor{}, map[string][]*Anchor{}, map[string]string{}
	put := func(c *x509.Certificate, source string) *Anchor {
		key := sha256.Sum256(c.Raw)
		a := s.byCert[key]
		if a == nil {
			a = &Anchor{Certificate: c, Source: source, Test: IsTest(c)}
			s.anchors = append(s.anchors, a)
			s.byCert[key] = a
			name := rfc5280.NameKey(c.RawSubject)
			s.names[string(c.RawSubject)] = name
			s.bySubj[name] = append(s.bySubj[name], a)
		}
		return a
	}
	for _, f := range s.files {
		a := put(f.Certificate, f.Source)
		a.Profiles, a.always = slices.Clone(f.Profiles), true
	}
	for _, source := range slices.Sorted(maps.Keys(s.listed)) {
		for _, v := range s.listed[source] {
			for _, c := range v.Certificates {
				if len(s.anchors) >= maxAnchors {
					return
				}
				a := put(c, source)
				a.Services = append(a.Services, v)
				for _, p := range v.profiles() {
					if !slices.Contains(a.Profiles, p) {
						a.Profiles = append(a.Profiles, p)
					}
				}
			}
		}
	}
}

// service chooses, of the services that have this certificate, the one that speaks of a
// signer's: by type, then by use, then by its being in force.
func (a *Anchor) service(leaf *x509.Certificate) *Service {
	if len(a.Services) == 0 {
		return nil
	}
	return slices.MaxFunc(a.Services, func(x, y *Service) int { return cmp.Compare(x.fits(leaf), y.fits(leaf)) })
}

func (s *Service) fits(leaf *x509.Certificate) int {
	now := s.History[0]
	points := 0
	want, use := issuerType(leaf)
	if strings.HasPrefix(now.Type, want) {
		points += 8
		if use == "" || slices.ContainsFunc(now.Uses, func(u string) bool { return strings.HasSuffix(u, "/"+use) }) {
			points += 4
		}
	}
	if validation.Granted(now.Status) {
		points++
	}
	return points
}

// issuerType is the type of service that a certificate's issuer should be listed as, and
// its use.
func issuerType(leaf *x509.Certificate) (prefix, use string) {
	p, _ := profile.Of(leaf)
	switch {
	case p == profile.CNS || p == profile.CIE:
		return ServiceIdV, ""
	case slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageTimeStamping):
		return ServiceTSA, ""
	case slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
		return serviceOCSP, ""
	case profile.IsSeal(leaf):
		return ServiceCAQC, "ForeSeals"
	}
	return ServiceCAQC, "ForeSignatures"
}

// facts of an anchor, as far as they concern a signer's certificate.
func (a *Anchor) facts(leaf *x509.Certificate) *validation.AnchorFacts {
	f := &validation.AnchorFacts{Certificate: a.Certificate.Raw, Test: a.Test, Source: a.Source}
	for _, p := range a.Profiles {
		f.Profiles = append(f.Profiles, string(p))
	}
	v := a.service(leaf)
	if v == nil {
		return f
	}
	if !a.always {
		f.Periods = v.periods() // never none, see SetServices
		f.Source = v.Source
	}
	f.Service = &validation.ServiceFacts{
		Type: v.History[0].Type, Status: v.History[0].Status, Name: v.Name, Provider: v.Provider, Territory: v.Territory,
		ListProblem: v.ListProblem, ExpiredCerts: v.History[0].ExpiredCerts, TakenOverBy: v.History[0].TakenOverBy,
	}
	if !v.NextUpdate.IsZero() {
		f.Service.ListNextUpdate = &v.NextUpdate
	}
	for _, h := range v.History {
		st := validation.ServiceStatus{Type: h.Type, Status: h.Status, From: h.From, Uses: h.Uses}
		for _, q := range h.Qualifications {
			st.Qualifiers = append(st.Qualifiers, q.of(leaf)...)
		}
		f.Service.History = append(f.Service.History, st)
	}
	return f
}

// Qualification says what certificates that meet criteria are.
type Qualification struct {
	Qualifiers []string // URIs
	Criteria   Criteria
}

// of gives the qualifiers that hold for a certificate. Where the criteria are not
// understood, those that make less of it hold and those that make more do not.
func (q *Qualification) of(c *x509.Certificate) (out []string) {
	met := q.Criteria.meets(c)
	for _, u := range q.Qualifiers {
		if met == yes || met == unknown && slices.Contains(lessening, u[strings.LastIndex(u, "/")+1:]) {
			out = append(out, u)
		}
	}
	return out
}

var lessening = []string{"NotQualified", "QCNoSSCD", "QCNoQSCD", "QCForESeal", "QCForWSA"}

// Criteria is a CriteriaList (TS 119 612, 5.5.9.2.2): Assert over all the rest.
type Criteria struct {
	Assert string // all, atLeastOne, none
	// KeyUsages: each a set of bits with the values that they must have.
	KeyUsages []map[string]bool
	// Policies: each a set of OIDs that must all be there.
	Policies [][]string
	// ExtKeyUsages and SubjectAttributes of otherCriteriaList: sets of OIDs.
	ExtKeyUsages, SubjectAttributes [][]string
	Lists                           []Criteria
	// Unknown: there is a criterion that is not understood.
	Unknown bool
}

type answer int

const (
	no answer = iota
	yes
	unknown
)

func (c *Criteria) meets(cert *x509.Certificate) answer {
	var all []answer
	tell := func(b bool) {
		if b {
			all = append(all, yes)
		} else {
			all = append(all, no)
		}
	}
	for _, k := range c.KeyUsages {
		tell(usageIs(cert, k))
	}
	for _, set := range c.Policies {
		tell(every(set, func(o string) bool {
			return slices.ContainsFunc(cert.Policies, func(p x509.OID) bool { return p.String() == o })
		}))
	}
	for _, set := range c.ExtKeyUsages {
		tell(every(set, func(o string) bool { return slices.Contains(purposes(cert), o) }))
	}
	for _, set := range c.SubjectAttributes {
		tell(every(set, func(o string) bool {
			for _, n := range cert.Subject.Names {
				if n.Type.String() == o {
					return true
				}
			}
			return false
		}))
	}
	for i := range c.Lists {
		all = append(all, c.Lists[i].meets(cert))
	}
	if c.Unknown {
		all = append(all, unknown)
	}
	has := func(a answer) bool { return slices.Contains(all, a) }
	switch c.Assert {
	case "all":
		switch {
		case has(no):
			return no
		case has(unknown) || len(all) == 0:
			return unknown
		}
		return yes
	case "atLeastOne":
		switch {
		case has(yes):
			return yes
		case has(unknown) || len(all) == 0:
			return unknown
		}
		return no
	case "none":
		switch {
		case has(yes):
			return no
		case has(unknown) || len(all) == 0:
			return unknown
		}
		return yes
	}
	return unknown
}

func every(set []string, ok func(string) bool) bool {
	return len(set) > 0 && !slices.ContainsFunc(set, func(s string) bool { return !ok(s) })
}

// usageBits are the names of KeyUsageBit (RFC 5280, 4.2.1.3).
var usageBits = map[string]x509.KeyUsage{
	"digitalSignature": x509.KeyUsageDigitalSignature, "nonRepudiation": x509.KeyUsageContentCommitment,
	"keyEncipherment": x509.KeyUsageKeyEncipherment, "dataEncipherment": x509.KeyUsageDataEncipherment,
	"keyAgreement": x509.KeyUsageKeyAgreement, "keyCertSign": x509.KeyUsageCertSign, "crlSign": x509.KeyUsageCRLSign,
	"encipherOnly": x509.KeyUsageEncipherOnly, "decipherOnly": x509.KeyUsageDecipherOnly,
}

func usageIs(c *x509.Certificate, bits map[string]bool) bool {
	for name, want := range bits {
		bit, ok := usageBits[name]
		if !ok || (c.KeyUsage&bit != 0) != want {
			return false
		}
	}
	return len(bits) > 0
}

// purposes are the extended key usages as OIDs.
func purposes(c *x509.Certificate) (out []string) {
	for _, e := range c.Extensions {
		if e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 37}) {
			var oids []asn1.ObjectIdentifier
			if rest, err := asn1.Unmarshal(e.Value, &oids); err == nil && len(rest) == 0 {
				for _, o := range oids {
					out = append(out, o.String())
				}
			}
		}
	}
	return out
}
