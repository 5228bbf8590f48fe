package validation

import (
	"slices"
	"time"
)

// TimestampResult is the verdict on one time-stamp (EN 319 102-1, 5.4).
type TimestampResult struct {
	Facts         *TimestampFacts
	Indication    Indication
	SubIndication SubIndication
	Findings      []Finding
}

// judgeTimestamps judges from the youngest to the oldest, so that each one that holds
// proves the existence of what it covers before the older ones are looked at
// (EN 319 102-1, 5.6.3.4). What they prove goes into known.
func judgeTimestamps(f *Facts, p *Policy, known existence) []TimestampResult {
	out := make([]TimestampResult, len(f.Timestamps))
	order := make([]int, len(f.Timestamps))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return f.Timestamps[b].GenTime.Compare(f.Timestamps[a].GenTime) })
	for _, i := range order {
		t := &f.Timestamps[i]
		out[i] = judgeTimestamp(f, t, p, known)
		if out[i].Indication != TotalPassed || t.Kind == "content" {
			continue // a content time-stamp proves nothing about the signature
		}
		if t.Kind == "signature" {
			known.add(f.ID, t.GenTime)
		}
		for _, id := range t.Covers {
			known.add(id, t.GenTime)
		}
	}
	return out
}

// stampChecks speak of a token's place and form; table then judges its signature.
var stampChecks = []Check{
	{ID: "timestamp-readable", Clause: "5.4; RFC 3161, 2.4.2", Level: Fail, Failed: true, Sub: FormatFailure},
	{ID: "timestamp-imprint", Clause: "5.4; RFC 3161, 2.4.2", Level: Fail, Failed: true, Sub: HashFailure},
	{ID: "timestamp-form", Clause: "5.4; RFC 3161, 2.3", Level: Fail, Sub: SigConstraintsFailure},
	{ID: "timestamp-time", Clause: "5.4; RFC 3161, 2.3", Level: Fail, Sub: SigConstraintsFailure},
}

// notInToken are the checks that ask of documents what tokens do not have.
var notInToken = []string{
	"signing-time-present", "signing-time-in-validity", "signing-time-future", "key-usage", CheckKnownProfile, CheckESSPresent,
	"signature-policy-known", "signature-policy-hash", "declaration", CheckTestMaterial,
}

func judgeTimestamp(f *Facts, t *TimestampFacts, p *Policy, known existence) TimestampResult {
	r := TimestampResult{Facts: t}
	var findings []Finding
	tell := func(i int, sub SubIndication, failed bool, args ...any) {
		c := stampChecks[i]
		if p.level(c) == Ignore {
			return
		}
		findings = append(findings, Finding{Check: c.ID, Clause: c.Clause, Level: p.level(c), Sub: sub, failed: failed, args: args})
	}
	now := f.Time
	switch {
	case t.Token == nil:
		tell(0, FormatFailure, true, "why", t.Note)
	case !t.ImprintFound:
		tell(1, SignedDataNotFound, false, "kind", t.Kind)
	case !t.ImprintMatch:
		tell(1, HashFailure, true, "kind", t.Kind)
	}
	for _, x := range t.Faults {
		sub := SigConstraintsFailure
		if x.ID == "hash-index-missing" || x.ID == "hash-index-unreadable" {
			sub = FormatFailure
		}
		tell(2, sub, sub == FormatFailure, "what", x.Text)
	}
	if t.GenTime.After(now.Add(p.skew())) {
		tell(3, SigConstraintsFailure, false, "time", day(t.GenTime))
	}
	if t.Token != nil {
		token := *t.Token
		token.Time = now
		if links := token.Chain.Links; len(links) > 0 && (t.GenTime.Before(links[0].NotBefore) || t.GenTime.After(links[0].NotAfter)) {
			tell(3, SigConstraintsFailure, false, "time", day(t.GenTime))
		}
		findings = append(findings, token.tokenFindings(p, now, known)...)
		if onlyTime(findings) {
			if at := known.of(t.ID, now); at.Before(now) {
				again := token.tokenFindings(p, at, known)
				if _, indication, _ := conclude(again); indication == TotalPassed {
					findings = again
				}
			}
		}
	}
	r.Findings, r.Indication, r.SubIndication = conclude(findings)
	return r
}

func (f *Facts) tokenFindings(p *Policy, at time.Time, known existence) (out []Finding) {
	v := f.at(at, known)
	for _, c := range table {
		if !slices.Contains(notInToken, c.ID) {
			out = append(out, c.findings(v, p)...)
		}
	}
	return out
}

// stampTable are the checks of a signature's time-stamps together.
var stampTable = []Check{
	{ID: "timestamp-order", Clause: "5.5.4; RFC 3161", Level: Fail, Sub: TimestampOrderFailure, run: timestampOrder},
}

// timestampOrder: content before signature before archive (EN 319 102-1, 5.5.4, 5)).
func timestampOrder(f *view, p *Policy) []outcome {
	rank := map[string]int{"content": 0, "signature": 1, "archive": 2, "document": 2}
	for _, a := range f.Timestamps {
		for _, b := range f.Timestamps {
			if rank[a.Kind] < rank[b.Kind] && a.Token != nil && b.Token != nil && a.GenTime.After(b.GenTime.Add(p.skew())) {
				return one("first", day(a.GenTime), "second", day(b.GenTime))
			}
		}
	}
	return nil
}

// JudgeTimestamp judges one token for itself, as whoever has just been given it does. Its
// own signature's facts are completed before.
func JudgeTimestamp(t *TimestampFacts, at time.Time, p *Policy) TimestampResult {
	return judgeTimestamp(&Facts{Time: at}, t, p, existence{})
}
