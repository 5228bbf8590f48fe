package validation

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"strconv"
	"time"

	"github.com/citel-pa/citel/pkcs/certificate"
	"github.com/citel-pa/citel/pkcs/profile"
)

func itoa(n int) string { return strconv.Itoa(n) }

// known is what the answers about one certificate come to.
type known struct {
	known  string // "good", "revoked", "hold", "stale", ""
	at     time.Time
	reason string
	note   string
	doubt  string // who vouches for "good" without being known as good
}

// status weighs the answers about one link of the path at Facts.Time: revoked by
// anybody trusted is revoked, and good counts only while it is fresh.
func status(f *view, link int, p *Policy) known {
	return f.statusOf(f.Chain.Links[link].Certificate, link, p, 0)
}

// maxVouching is how far those who sign answers are looked at in turn.
const maxVouching = 4

// statusOf is status for any certificate; link is -1 for one that is not on the path.
func (f *view) statusOf(cert []byte, link int, p *Policy, depth int) known {
	sum := sha256.Sum256(cert)
	best := known{}
	for i := range f.Revocation {
		r := &f.Revocation[i]
		if !bytes.Equal(r.Subject, sum[:]) {
			continue
		}
		if !r.Trusted {
			if best.known == "" {
				best.note = r.Note
			}
			continue
		}
		by, from := f.vouching(r, p, depth)
		if by.known == "revoked" || by.known == "hold" {
			if best.known == "" {
				best.note = from + " signed the answer, and was revoked on " + day(by.at)
			}
			continue
		}
		if weak := f.weakAnswer(r, p); weak != "" {
			if best.known == "" {
				best.note = "the answer of " + day(r.ThisUpdate) + " is signed with " + weak + ", which was no longer safe"
			}
			continue
		}
		if !f.timely(r, link) {
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
		case link >= 0 && r.forgets(f.Chain.Links[link].NotAfter):
			if best.known == "" {
				best.note = "the answer of " + day(r.ThisUpdate) + " is from after the certificate's end, and does not say that it remembers ended certificates"
			}
		case !fresh(r, f.Time, p):
			if best.known == "" || best.known == "late" {
				best = known{known: "stale", at: r.ThisUpdate}
			}
		default:
			doubt := ""
			if by.known == "" && from != "" {
				doubt = from
			}
			if best.known != "good" || best.doubt != "" {
				best = known{known: "good", at: r.ThisUpdate, doubt: doubt}
			}
		}
	}
	return best
}

// weakAnswer names an algorithm of an answer's signature that the policy no longer took
// when the answer is known to have existed; empty when there is none.
func (f *view) weakAnswer(r *RevocationFacts, p *Policy) string {
	at := f.existedID(r.Object)
	if r.DigestName != "" {
		if ok, _, level := p.Algorithms.Digest(r.DigestName, at); !ok && level == Fail {
			return r.DigestName
		}
	}
	if r.KeyName != "" {
		if ok, _, level := p.Algorithms.Key(r.KeyName, r.KeyBits, at); !ok && level == Fail {
			return r.KeyName + "-" + itoa(r.KeyBits)
		}
	}
	return ""
}

// forgets tells whether an answer that was given after a certificate's end may have lost
// sight of it: unless it says since when it remembers (archiveCutoff, RFC 6960, 4.4.4;
// expiredCertsOnCRL), or holds the certificate's own hash.
func (r *RevocationFacts) forgets(notAfter time.Time) bool {
	if !r.ThisUpdate.After(notAfter) || r.Status == "revoked" || r.CertHash != nil && *r.CertHash {
		return false
	}
	return r.Remembers == nil || r.Remembers.After(notAfter)
}

// vouching is what is known of the certificates that vouch for an answer and are not on
// the path themselves: whose signature it is, up to the anchor (RFC 5280, 6.3.3, (f);
// RFC 6960, 4.2.2.2.1). from names the certificate that is not known to be good; empty
// when there is none.
func (f *view) vouching(r *RevocationFacts, p *Policy, depth int) (worst known, from string) {
	if r.By == nil || depth >= maxVouching {
		return known{known: "good"}, ""
	}
	for i, l := range r.By.Links {
		if i == len(r.By.Links)-1 || f.onPath(l.Certificate) {
			break
		}
		if l.NoCheck {
			continue
		}
		switch s := f.statusOf(l.Certificate, -1, p, depth+1); s.known {
		case "good":
		case "revoked", "hold":
			return s, subjectOf(l.Certificate)
		default:
			worst, from = known{}, subjectOf(l.Certificate)
		}
	}
	if from == "" {
		worst.known = "good"
	}
	return worst, from
}

func (f *view) onPath(cert []byte) bool {
	return slices.ContainsFunc(f.Chain.Links, func(l LinkFacts) bool { return bytes.Equal(l.Certificate, cert) })
}

// subjectOf names a certificate in a sentence.
func subjectOf(der []byte) string {
	c, err := certificate.Parse(der)
	if err != nil {
		return "?"
	}
	return profile.DistinguishedName(c.Subject)
}

// below gives the links whose revocation counts: all but the anchor.
func below(f *view) int { return max(0, len(f.Chain.Links)-1) }

func revoked(f *view, p *Policy) []outcome {
	var out []outcome
	for i := range below(f) {
		s := status(f, i, p)
		switch {
		case s.known == "hold":
			out = append(out, outcome{args: []any{"who", f.name(i), "time", day(s.at), "reason", s.reason}, sub: TryLater})
		case s.known == "revoked" && i > 0:
			out = append(out, outcome{args: []any{"who", f.name(i), "time", day(s.at), "reason", s.reason}, sub: RevokedCANoPOE})
		case s.known == "revoked":
			out = append(out, outcome{args: []any{"who", f.name(i), "time", day(s.at), "reason", s.reason}})
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
		if i == 0 && s.known == "late" {
			continue // revocationIssuer speaks of it
		}
		if s.known != "" && s.known != "late" && s.known != "stale" {
			continue
		}
		o := outcome{args: []any{"who", f.name(i), "note", noteOr(s.note)}}
		if s.known == "stale" {
			o.sub = TryLater
			o.args = []any{"who", f.name(i), "note", day(s.at)}
		}
		if i > 0 {
			o.level = Warn
		}
		out = append(out, o)
	}
	return out
}

// revocationNoSource: nobody publishes whether this certificate was revoked.
func revocationNoSource(f *view, p *Policy) []outcome {
	if below(f) > 0 && !f.Identity.NoRevocation && !f.Identity.RevocationSources && status(f, 0, p).known == "" {
		return one("who", f.name(0))
	}
	return nil
}

// name says whose certificate a link of the path is.
func (f *view) name(link int) string { return subjectOf(f.Chain.Links[link].Certificate) }

func noteOr(note string) string {
	if note == "" {
		return "-"
	}
	return note
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
	case link >= 0 && link+1 < len(f.Chain.Links)-1:
		by = &f.Chain.Links[link+1]
	default:
		return true // the anchor itself: it is trusted as such
	}
	// What was produced within the validity is good while that can still be said.
	return !at.Before(by.NotBefore) && !at.After(by.NotAfter)
}

// revocationVouched: whether who signed the answer was itself revoked is not known.
func revocationVouched(f *view, p *Policy) []outcome {
	var out []outcome
	for i := range below(f) {
		if s := status(f, i, p); s.known == "good" && s.doubt != "" {
			out = append(out, outcome{args: []any{"who", s.doubt}})
		}
	}
	return out
}

// revocationIssuer: the only answers about the signer came from somebody whose
// certificate had ended.
func revocationIssuer(f *view, p *Policy) []outcome {
	if below(f) > 0 && status(f, 0, p).known == "late" {
		return one("who", f.name(0), "time", day(status(f, 0, p).at))
	}
	return nil
}
