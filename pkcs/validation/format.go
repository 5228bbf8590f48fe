package validation

import (
	"encoding/hex"
	"slices"
	"strings"

	"github.com/citel-pa/citel/pkcs/message"
)

// pdfFault begins the ids of faults in a PDF's structure: each of them is a way to show
// something else than what was signed.
const pdfFault = "pdf-"

// said is a sentence of the catalogue for people, with the auditor's detail behind it.
type said struct{ key, detail string }

func (s said) in(lang message.Lang) string {
	text := message.Text(lang, "pdf."+s.key)
	if s.detail != "" {
		text += " (" + s.detail + ")"
	}
	return text
}

func pdfStructure(f *view, _ *Policy) (out []outcome) {
	for _, x := range f.Faults {
		if strings.HasPrefix(x.ID, pdfFault) {
			out = append(out, outcome{args: []any{"what", said{x.ID, x.Text}}})
		}
	}
	return out
}

// harmless are the changes after a signature that show nothing else than before.
var harmless = []string{"signature", "time-stamp", "dss", "metadata", "form-fill", pdfNotCompared}

// content are those that do.
var contentChanges = []string{"page-count", "page-content"}

func pdfChanges(content bool) func(*view, *Policy) []outcome {
	return func(f *view, _ *Policy) (out []outcome) {
		if f.PDF == nil {
			return nil
		}
		for _, c := range f.PDF.Changes {
			if !slices.Contains(harmless, c.ID) && slices.Contains(contentChanges, c.ID) == content {
				out = append(out, outcome{args: []any{"what", said{c.ID, c.Text}}})
			}
		}
		return out
	}
}

// pdfCompared: what later revisions did is not known.
func pdfCompared(f *view, _ *Policy) (out []outcome) {
	if f.PDF == nil {
		return nil
	}
	for _, c := range f.PDF.Changes {
		if c.ID == pdfNotCompared {
			out = append(out, outcome{args: []any{"what", said{c.ID, c.Text}}})
		}
	}
	return out
}

const pdfNotCompared = "not-compared"

func pdfForbidden(f *view, _ *Policy) (out []outcome) {
	if f.PDF == nil {
		return nil
	}
	for _, c := range f.PDF.Changes {
		if c.Forbidden {
			out = append(out, outcome{args: []any{"what", said{c.ID, c.Text}}})
		}
	}
	return out
}

func policyKnown(f *view, p *Policy) []outcome {
	if s := f.SignaturePolicy; s != nil && s.OID != "" {
		if _, ok := p.SignaturePolicies[s.OID]; !ok {
			return one("policy", s.OID)
		}
	}
	return nil
}

func policyHash(f *view, p *Policy) []outcome {
	s := f.SignaturePolicy
	if s == nil || s.OID == "" || !slices.ContainsFunc(s.Hash, func(b byte) bool { return b != 0 }) {
		return nil // implied, or no digest given
	}
	if want := p.SignaturePolicies[s.OID]; want != "" && !strings.EqualFold(want, hex.EncodeToString(s.Hash)) {
		return one("policy", s.OID)
	}
	return nil
}

// anchorPeriod: a trusted list no longer counts the anchor (its sunset).
func anchorPeriod(f *view, _ *Policy) []outcome {
	a := f.Chain.Anchor
	if a == nil || len(a.Periods) == 0 {
		return nil
	}
	for _, x := range a.Periods {
		if !f.Time.Before(x.From) && (x.To.IsZero() || f.Time.Before(x.To)) {
			return nil
		}
	}
	return one("source", a.Source)
}

// anchorList: what is odd about the list, and its being due (TLNotExpired of the EU's
// DSS). The list is looked at today, whenever the signature was made.
func anchorList(f *view, _ *Policy) []outcome {
	a := f.Chain.Anchor
	if a == nil || a.Service == nil {
		return nil
	}
	var out []outcome
	if a.Service.ListProblem != "" {
		out = one("what", a.Service.ListProblem)
	}
	if next := a.Service.ListNextUpdate; next != nil && f.Facts.Time.After(*next) {
		out = append(out, outcome{args: []any{"what", "NextUpdate " + day(*next)}})
	}
	return out
}

// anchorListAge: a list that was due for longer than the policy keeps one counts no
// longer.
func anchorListAge(f *view, p *Policy) []outcome {
	a := f.Chain.Anchor
	if a == nil || a.Service == nil || a.Service.ListNextUpdate == nil || p.ListKeepDays == 0 {
		return nil
	}
	if next := *a.Service.ListNextUpdate; f.Facts.Time.After(next.AddDate(0, 0, p.ListKeepDays)) {
		return one("next", day(next), "days", itoa(p.ListKeepDays))
	}
	return nil
}
