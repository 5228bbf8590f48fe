package validation

import (
	"slices"
	"strings"
	"time"
)

// Kind says what sort of signature it is, as far as certificate, anchor and trusted
// list tell: qualified, advanced-cie, advanced-cns, advanced, seal, other.
func (r *Result) Kind() string {
	id := r.Facts.Identity
	switch {
	case !r.Facts.Chain.Found:
		return "other"
	case id.Seal:
		return "seal"
	case id.Profile == "cie":
		return "advanced-cie"
	case id.Profile == "cns":
		return "advanced-cns"
	case id.Profile == "qualified" && r.qualified():
		return "qualified"
	case id.Profile == "qualified":
		return "advanced"
	}
	return "other"
}

// qualified: the trusted list's word stands over the certificate's (ETSI TS 119 615,
// 4.4); anchors from files leave the certificate's. The list must have said so when the
// certificate was issued and when the signature was made.
func (r *Result) qualified() bool {
	chain := r.Facts.Chain
	if chain.Anchor == nil || len(chain.Links) == 0 {
		return false
	}
	s := chain.Anchor.Service
	if s == nil {
		return r.Facts.Identity.QSCD
	}
	return s.qualifies(chain.Links[0].NotBefore, r.Facts.Identity.QSCD) && s.qualifies(r.BestSignatureTime, r.Facts.Identity.QSCD)
}

// eIDAS is when Regulation (EU) 910/2014 began to apply: from then on a service says
// whether its certificates are for signatures, seals or web sites.
var eIDAS = time.Date(2016, 7, 1, 0, 0, 0, 0, time.UTC)

// qualifies: a certificate of the service counted as one for qualified signatures on a
// qualified device at a time; qscd is what the certificate itself says of the device.
func (s *ServiceFacts) qualifies(t time.Time, qscd bool) bool {
	status := s.at(t)
	if status == nil || !strings.HasSuffix(status.Type, "/CA/QC") || !Granted(status.Status) || strings.HasSuffix(status.Status, "/recognisedatnationallevel") {
		return false
	}
	ends := func(list []string, q string) bool {
		return slices.ContainsFunc(list, func(u string) bool { return strings.HasSuffix(u, "/"+q) })
	}
	has := func(q string) bool { return ends(status.Qualifiers, q) }
	if !t.Before(eIDAS) && !ends(status.Uses, "ForeSignatures") && (ends(status.Uses, "ForeSeals") || ends(status.Uses, "ForWebSiteAuthentication")) {
		return false
	}
	switch {
	case has("NotQualified"):
		return false
	case (has("QCForESeal") || has("QCForWSA")) && !has("QCForESig"):
		return false
	case has("QCNoSSCD"), has("QCNoQSCD"):
		return false
	case has("QCWithSSCD"), has("QCWithQSCD"), has("QCQSCDManagedOnBehalf"), has("QCSSCDStatusAsInCert") && qscd:
		return true
	}
	return qscd
}

// at gives the status that held at a time; nil before the first.
func (s *ServiceFacts) at(t time.Time) *ServiceStatus {
	for i := range s.History {
		if !t.Before(s.History[i].From) {
			return &s.History[i]
		}
	}
	return nil
}

// Granted tells whether a status of a trusted list means that a service counted
// (ETSI TS 119 612, 5.5.4 and the statuses of before 1 July 2016).
func Granted(status string) bool {
	i := strings.LastIndex(status, "/")
	return slices.Contains([]string{
		"granted", "recognisedatnationallevel", "undersupervision", "supervisionincessation", "accredited", "setbynationallaw",
	}, strings.ToLower(status[i+1:]))
}
