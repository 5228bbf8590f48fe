package validation

import (
	"slices"
	"time"
)

// timely are the sub-indications that a proof of existence can turn: all of them say
// that the time of validation is too late, none that something is wrong
// (EN 319 102-1, 5.5.4 and 5.6.3.4).
var timelySubs = []SubIndication{
	RevokedNoPOE, RevokedCANoPOE, OutOfBoundsNoPOE, OutOfBoundsNotRevoked, CryptoConstraintsNoPOE,
	RevocationOutOfBounds, NoChainFoundNoPOE, TryLater,
}

// slide judges again at the best signature time.
func (r *Result) slide(f *Facts, p *Policy, known existence) {
	best := r.BestSignatureTime
	if !best.Before(f.Time) {
		return
	}
	v := f.at(best, known)
	if len(f.Chain.Links) > 0 && best.Before(f.Chain.Links[0].NotBefore) && p.level(checkNamed("validity")) == Fail {
		// 5.5.4, 4) and 5.6.3: what existed before its certificate was not made with it.
		r.fail(v, p, NotYetValid)
		return
	}
	if r.Indication != Indeterminate || !onlyTime(r.Findings) {
		return
	}
	findings, indication, sub := conclude(append(v.run(table, p), v.run(stampTable, p)...))
	switch {
	case indication == TotalPassed, indication == TotalFailed:
		r.Findings, r.Indication, r.SubIndication = findings, indication, sub
	case sub == RevocationOutOfBounds:
		// No answer is proved to have existed while its issuer could be held to it
		// (5.6.2.2.4, 1)).
		r.Findings, r.SubIndication = findings, NoPOE
	}
}

// fail puts a verdict that the checks at the best signature time make.
func (r *Result) fail(v *view, p *Policy, sub SubIndication) {
	findings, _, _ := conclude(v.run(table, p))
	r.Findings, r.Indication, r.SubIndication = findings, TotalFailed, sub
}

// onlyTime: every failure is one that an earlier time could turn.
func onlyTime(findings []Finding) bool {
	return !slices.ContainsFunc(findings, func(x Finding) bool {
		return x.Level == Fail && (x.failed || !slices.Contains(timelySubs, x.Sub))
	})
}

func checkNamed(id string) Check {
	return table[slices.IndexFunc(table, func(c Check) bool { return c.ID == id })]
}

// compareContentStamps: a content time-stamp is older than the signature. One that is
// younger than the certificate's end or revocation proves that the signature was made
// after it (EN 319 102-1, 5.3.4, 5 b) and c)).
func (r *Result) compareContentStamps(p *Policy) {
	if r.Indication != Indeterminate || len(r.Facts.Chain.Links) == 0 {
		return
	}
	var after time.Time
	for i, t := range r.Timestamps {
		if r.Facts.Timestamps[i].Kind == "content" && t.Indication == TotalPassed && t.Facts.GenTime.After(after) {
			after = t.Facts.GenTime
		}
	}
	if after.IsZero() {
		return
	}
	signer := status(r.Facts.at(r.Facts.Time, nil), 0, p)
	switch r.SubIndication {
	case RevokedNoPOE:
		if after.After(signer.at) {
			r.Indication, r.SubIndication = TotalFailed, Revoked
		}
	case OutOfBoundsNoPOE, OutOfBoundsNotRevoked:
		if after.After(r.Facts.Chain.Links[0].NotAfter) {
			r.Indication, r.SubIndication = TotalFailed, Expired
		}
	case CryptoConstraintsNoPOE:
		ok, _, _ := p.Algorithms.Digest(r.Facts.Value.DigestName, after)
		okKey, _, _ := p.Algorithms.Key(r.Facts.Value.KeyName, r.Facts.Value.KeyBits, after)
		if !ok || !okKey {
			r.SubIndication = CryptoConstraintsFailure
		}
	}
}
