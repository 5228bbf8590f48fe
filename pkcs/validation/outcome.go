package validation

import "slices"

// Outcome is what one row of the policy table came to: no findings means that the check
// passed; Level Ignore, that the policy does not ask it.
type Outcome struct {
	Check, Clause string
	Level         Level
	Findings      []Finding
}

// Outcomes lists the checks that were made of a signature under the policy that judged
// it, each with what it found, in the table's order.
func (r *Result) Outcomes(p *Policy) []Outcome {
	if r.Facts.Unread {
		return outcomes(table[:1], r.Findings, p)
	}
	return outcomes(slices.Concat(table, stampTable), r.Findings, p)
}

// Outcomes is the same for a time-stamp.
func (r *TimestampResult) Outcomes(p *Policy) []Outcome {
	checks := slices.Clone(stampChecks)
	if r.Facts.Token != nil {
		checks = append(checks, slices.DeleteFunc(slices.Clone(table), func(c Check) bool { return slices.Contains(notInToken, c.ID) })...)
	}
	return outcomes(checks, r.Findings, p)
}

func outcomes(checks []Check, findings []Finding, p *Policy) []Outcome {
	out := make([]Outcome, 0, len(checks))
	for _, c := range checks {
		o := Outcome{Check: c.ID, Clause: c.Clause, Level: p.level(c)}
		for _, f := range findings {
			if f.Check == c.ID {
				o.Findings = append(o.Findings, f)
			}
		}
		out = append(out, o)
	}
	return out
}

// Deciding gives the findings that keep a verdict from being TOTAL-PASSED, the one that
// it rests on first (see conclude); none where the time-stamps decided.
func Deciding(findings []Finding) []Finding {
	var out []Finding
	for _, x := range findings {
		if x.Level == Fail {
			out = append(out, x)
		}
	}
	slices.SortStableFunc(out, func(a, b Finding) int {
		switch {
		case a.failed == b.failed:
			return 0
		case a.failed:
			return -1
		}
		return 1
	})
	return out
}
