package validation

import (
	"bytes"
	"crypto/sha256"
	"strconv"
	"time"
)

func itoa(n int) string { return strconv.Itoa(n) }

// known is what the answers about one certificate come to.
type known struct {
	known  string // "good", "revoked", "hold", "stale", ""
	at     time.Time
	reason string
	note   string
}

// status weighs the answers about one link of the path at Facts.Time: revoked by
// anybody trusted is revoked, and good counts only while it is fresh.
func status(f *view, link int, p *Policy) known {
	sum := sha256.Sum256(f.Chain.Links[link].Certificate)
	best := known{}
	for _, r := range f.Revocation {
		if !bytes.Equal(r.Subject, sum[:]) {
			continue
		}
		if !r.Trusted {
			if best.known == "" {
				best.note = r.Note
			}
			continue
		}
		if !f.timely(&r, link) {
			if best.known == "" {
				best = known{known: "late", at: r.ThisUpdate}
			}
			continue
		}
		switch {
		case r.Status == "revoked" && r.RevokedAt != nil && !r.RevokedAt.After(f.Time):
			if r.Reason == "certificateHold" {
				return known{known: "hold", at: *r.RevokedAt, reason: r.Reason}
			}
			return known{known: "revoked", at: *r.RevokedAt, reason: r.Reason}
		case r.Status != "good" && r.Status != "revoked":
		case !fresh(&r, f.Time, p):
			if best.known == "" || best.known == "late" {
				best = known{known: "stale", at: r.ThisUpdate}
			}
		default:
			best = known{known: "good", at: r.ThisUpdate}
		}
	}
	return best
}

// below gives the links whose revocation counts: all but the anchor.
func below(f *view) int { return max(0, len(f.Chain.Links)-1) }

func revoked(f *view, p *Policy) []outcome {
	var out []outcome
	for i := range below(f) {
		s := status(f, i, p)
		switch {
		case s.known == "hold":
			out = append(out, outcome{args: []any{"time", day(s.at), "reason", s.reason}, sub: TryLater})
		case s.known == "revoked" && i > 0:
			out = append(out, outcome{args: []any{"time", day(s.at), "reason", s.reason}, sub: RevokedCANoPOE})
		case s.known == "revoked":
			out = append(out, outcome{args: []any{"time", day(s.at), "reason", s.reason}})
		}
	}
	return out
}

// revocationKnown: a certificate that names a source and has no fresh answer is
// not good, whatever the reason. For issuers between signer and anchor it warns.
func revocationKnown(f *view, p *Policy) []outcome {
	var out []outcome
	for i := range below(f) {
		s := status(f, i, p)
		if i == 0 && (f.Identity.NoRevocation || s.known == "" && !f.Identity.RevocationSources) {
			continue // revocationNoSource speaks of it
		}
		o := outcome{args: []any{"note", s.note}}
		if i > 0 {
			o.level = Warn
		}
		if i == 0 && s.known == "late" {
			continue // revocationIssuer speaks of it
		}
		switch s.known {
		case "", "late":
			out = append(out, o)
		case "stale":
			o.sub = TryLater
			o.args = []any{"note", day(s.at)}
			out = append(out, o)
		}
	}
	return out
}

// revocationNoSource: nobody publishes whether this certificate was revoked.
func revocationNoSource(f *view, p *Policy) []outcome {
	if below(f) > 0 && !f.Identity.NoRevocation && !f.Identity.RevocationSources && status(f, 0, p).known == "" {
		return []outcome{{}}
	}
	return nil
}

// fresh: the answer's next update has not come, or the policy takes an answer of this age.
func fresh(r *RevocationFacts, at time.Time, p *Policy) bool {
	if r.NextUpdate != nil && !r.NextUpdate.Before(at) {
		return true
	}
	return p.RevocationKeepHours > 0 && !r.ThisUpdate.Before(at.Add(-time.Duration(p.RevocationKeepHours)*time.Hour))
}

// timely: who signed the answer was within its certificate's validity when the answer
// is known to have existed (5.2.5; 5.6.2.2). A key outlives its certificate, and nobody
// watches it then.
func (f *view) timely(r *RevocationFacts, link int) bool {
	at := f.existedID(r.Object)
	var by *LinkFacts
	switch {
	case r.By != nil && len(r.By.Links) > 0:
		by = &r.By.Links[0]
	case link+1 < len(f.Chain.Links)-1:
		by = &f.Chain.Links[link+1]
	default:
		return true // the anchor itself: it is trusted as such
	}
	// What was produced within the validity is good while that can still be said.
	return !at.Before(by.NotBefore) && !at.After(by.NotAfter)
}

// revocationIssuer: the only answers about the signer came from somebody whose
// certificate had ended.
func revocationIssuer(f *view, p *Policy) []outcome {
	if below(f) > 0 && status(f, 0, p).known == "late" {
		return one("time", day(status(f, 0, p).at))
	}
	return nil
}
