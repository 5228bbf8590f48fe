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
func status(f *Facts, link int) known {
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
		switch {
		case r.Status == "revoked" && r.RevokedAt != nil && !r.RevokedAt.After(f.Time):
			if r.Reason == "certificateHold" {
				return known{known: "hold", at: *r.RevokedAt, reason: r.Reason}
			}
			return known{known: "revoked", at: *r.RevokedAt, reason: r.Reason}
		case r.Status != "good" && r.Status != "revoked":
		case r.NextUpdate == nil || r.NextUpdate.Before(f.Time):
			if best.known == "" {
				best = known{known: "stale", at: r.ThisUpdate}
			}
		default:
			best = known{known: "good", at: r.ThisUpdate}
		}
	}
	return best
}

// below gives the links whose revocation counts: all but the anchor.
func below(f *Facts) int { return max(0, len(f.Chain.Links)-1) }

func revoked(f *Facts, _ *Policy) []outcome {
	var out []outcome
	for i := range below(f) {
		s := status(f, i)
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
func revocationKnown(f *Facts, _ *Policy) []outcome {
	var out []outcome
	for i := range below(f) {
		s := status(f, i)
		if i == 0 && (f.Identity.NoRevocation || s.known == "" && !f.Identity.RevocationSources) {
			continue // revocationNoSource speaks of it
		}
		o := outcome{args: []any{"note", s.note}}
		if i > 0 {
			o.level = Warn
		}
		switch s.known {
		case "":
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
func revocationNoSource(f *Facts, _ *Policy) []outcome {
	if below(f) > 0 && !f.Identity.NoRevocation && !f.Identity.RevocationSources && status(f, 0).known == "" {
		return []outcome{{}}
	}
	return nil
}
