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
// 4.4); anchors from files leave the certificate's.
func (r *Result) qualified() bool {
	qscd := r.Facts.Identity.QSCD
	s := r.Facts.Chain.Anchor.Service
	if s == nil {
		return qscd
	}
	status := s.at(r.BestSignatureTime)
	if status == nil || !Granted(status.Status) {
		return false
	}
	has := func(q string) bool {
		return slices.ContainsFunc(status.Qualifiers, func(u string) bool { return strings.HasSuffix(u, "/"+q) })
	}
	switch {
	case has("NotQualified"), has("QCForESeal"), has("QCForWSA"):
		return false
	case has("QCWithSSCD"), has("QCWithQSCD"), has("QCQSCDManagedOnBehalf"):
		return true
	case has("QCNoSSCD"), has("QCNoQSCD"):
		return false
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
