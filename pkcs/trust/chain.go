package trust

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/citel-pa/citel/pkcs/certificate"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/trust/rfc5280"
	"github.com/citel-pa/citel/pkcs/validation"
)

// Bounds of the search for a path. A stranger's file brings the certificates in
// between, so the work that they can cause is counted.
const (
	maxDepth           = 8
	maxPaths           = 16
	maxSignatureChecks = 60
	maxHelpers         = 64
)

// Path is PathAt now.
func (s *Store) Path(leaf *x509.Certificate, helpers []*x509.Certificate) (validation.ChainFacts, []*x509.Certificate) {
	return s.PathAt(leaf, helpers, time.Now())
}

// PathAt finds the way from a certificate to an anchor (RFC 5280, 6.1), with helper
// certificates from a file; they are never trusted by themselves. Of several ways the
// first counts that keeps the rules and is within its validity at the time, else that
// keeps the rules, else any: each link carries its validity, and what is wrong with it
// otherwise is a fault of the link.
//
// The second result is the path as certificates, signer first and anchor last;
// nil when none was found.
func (s *Store) PathAt(leaf *x509.Certificate, helpers []*x509.Certificate, at time.Time) (validation.ChainFacts, []*x509.Certificate) {
	search := s.search(helpers)
	var best candidate
	n := 0
	search.each([]*x509.Certificate{leaf}, func(path []*x509.Certificate, anchor *Anchor) bool {
		c := candidate{path: path, anchor: anchor, faults: rulesOf(path)}
		ended := slices.ContainsFunc(path[1:max(1, len(path)-1)], func(c *x509.Certificate) bool { return at.Before(c.NotBefore) || at.After(c.NotAfter) })
		switch {
		case len(c.faults) > 0:
			c.rank = 2
		case ended:
			c.rank = 1
		}
		if best.anchor == nil || c.rank < best.rank {
			best = c
		}
		n++
		return best.rank > 0 && n < maxPaths
	})
	if best.anchor == nil {
		return validation.ChainFacts{Note: search.whyNot(leaf)}, nil
	}
	return chainFacts(best.path, best.anchor, best.faults), best.path
}

type candidate struct {
	path   []*x509.Certificate
	anchor *Anchor
	faults []validation.Fault
	rank   int
}

func chainFacts(path []*x509.Certificate, anchor *Anchor, faults []validation.Fault) validation.ChainFacts {
	facts := validation.ChainFacts{Found: true, Anchor: anchor.facts(path[0])}
	for i, c := range path {
		link := linkFacts(c)
		if i == 0 {
			// The path rules speak of the path as a whole; the signer carries them.
			link.Faults = faults
		}
		facts.Links = append(facts.Links, link)
	}
	return facts
}

type search struct {
	store   *Store
	helpers []*x509.Certificate
	checks  int
	// unusable is an issuer whose key is of a kind that is not known here.
	unusable *x509.Certificate
}

func (s *Store) search(helpers []*x509.Certificate) *search {
	if len(helpers) > maxHelpers {
		helpers = helpers[:maxHelpers]
	}
	return &search{store: s, helpers: helpers, checks: maxSignatureChecks}
}

// whyNot says why no path was found.
func (s *search) whyNot(leaf *x509.Certificate) string {
	switch {
	case s.checks <= 0:
		return "too many certificates in the file to try them all"
	case s.unusable != nil:
		why := fmt.Sprintf("keys of kind %s are not used", s.unusable.PublicKeyAlgorithm)
		if _, err := certificate.PublicKey(s.unusable.RawSubjectPublicKeyInfo); err != nil {
			why = err.Error()
		}
		return fmt.Sprintf("%s: %s", s.unusable.Subject, why)
	}
	return "no anchor issued " + profile.DistinguishedName(leaf.Issuer)
}

// each extends a path towards anchors, depth first, anchors before helpers, until
// yield is false.
func (s *search) each(path []*x509.Certificate, yield func([]*x509.Certificate, *Anchor) bool) bool {
	last := path[len(path)-1]
	if a := s.store.anchorOf(last); a != nil {
		return yield(path, a)
	}
	if len(path) >= maxDepth {
		return true
	}
	for _, a := range preferred(s.store.anchorsNamed(last.RawIssuer), path[0]) {
		if s.issued(a.Certificate, last) && !yield(append(path[:len(path):len(path)], a.Certificate), a) {
			return false
		}
	}
	for _, h := range s.helpers {
		if !rfc5280.SameName(h.RawSubject, last.RawIssuer) || onPath(path, h) || s.store.anchorOf(h) != nil || !s.issued(h, last) {
			continue
		}
		if !s.each(append(path[:len(path):len(path)], h), yield) {
			return false
		}
	}
	return true
}

// preferred puts anchors in front whose service is of the signer's kind: one key can be
// listed with two certificates.
func preferred(anchors []*Anchor, leaf *x509.Certificate) []*Anchor {
	if len(anchors) < 2 {
		return anchors
	}
	points := func(a *Anchor) int {
		if v := a.service(leaf); v != nil {
			return v.fits(leaf)
		}
		return 0
	}
	out := slices.Clone(anchors)
	slices.SortStableFunc(out, func(a, b *Anchor) int { return cmp.Compare(points(b), points(a)) })
	return out
}

func onPath(path []*x509.Certificate, c *x509.Certificate) bool {
	for _, p := range path {
		if p.Equal(c) {
			return true
		}
	}
	return false
}

// issued checks one signature. Results that hold are remembered: the same few
// issuers sign all citizens' certificates, and a path is walked at each login.
func (s *search) issued(issuer, c *x509.Certificate) bool {
	if len(c.AuthorityKeyId) > 0 && len(issuer.SubjectKeyId) > 0 && !bytes.Equal(c.AuthorityKeyId, issuer.SubjectKeyId) {
		return false
	}
	h := sha256.New()
	h.Write(issuer.Raw)
	h.Write(c.Raw)
	key := [32]byte(h.Sum(nil))
	s.store.mu.RLock()
	known := s.store.checked[key]
	s.store.mu.RUnlock()
	if known {
		return true
	}
	if s.checks--; s.checks < 0 {
		return false
	}
	if issuer.PublicKey == nil || issuer.PublicKeyAlgorithm == x509.DSA {
		s.unusable = issuer
		return false
	}
	if issuer.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) != nil {
		return false
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if s.store.nChecked >= maxChecked {
		s.store.checked, s.store.nChecked = map[[32]byte]bool{}, 0
	}
	s.store.checked[key] = true
	s.store.nChecked++
	return true
}

// maxChecked bounds the memory of signatures already seen: 48 bytes each or so.
const maxChecked = 50_000

// rulesOf is RFC 5280, 6.1 without the times and the strength of algorithms, which
// the policy judges.
func rulesOf(path []*x509.Certificate) []validation.Fault {
	// Faults that the policy knows by name; all others are path-rules.
	named := map[string]bool{"issuer-not-ca": true, "issuer-key-usage": true, "path-length": true, "critical-extension": true}
	_, broken := rfc5280.Validate(path, rfc5280.Params{SignaturesHold: true}) // see issued
	var faults []validation.Fault
	for _, f := range broken {
		id := f.ID
		if !named[id] {
			id = "path-rules"
		}
		faults = append(faults, validation.Fault{ID: id, Text: f.Text})
	}
	return faults
}
