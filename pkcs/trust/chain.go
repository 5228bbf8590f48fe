package trust

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"slices"

	"github.com/citel-pa/citel/pkcs/trust/rfc5280"
	"github.com/citel-pa/citel/pkcs/validation"
)

// Bounds of the search for a path. A stranger's file brings the certificates in
// between, so the work that they can cause is counted.
const (
	maxDepth           = 6
	maxSignatureChecks = 60
	maxHelpers         = 64
)

// Path finds the way from a certificate to an anchor (RFC 5280, 6.1), with helper
// certificates from a file; they are never trusted by themselves. The time does
// not decide whether a path is found: each link carries its validity, and what
// is wrong with it otherwise is a fault of the link.
//
// The second result is the path as certificates, signer first and anchor last;
// nil when none was found.
func (s *Store) Path(leaf *x509.Certificate, helpers []*x509.Certificate) (validation.ChainFacts, []*x509.Certificate) {
	if len(helpers) > maxHelpers {
		helpers = helpers[:maxHelpers]
	}
	search := &search{store: s, helpers: helpers, checks: maxSignatureChecks}
	path, anchor := search.from([]*x509.Certificate{leaf})
	if anchor == nil {
		note := "no anchor issued " + leaf.Issuer.String()
		if search.checks <= 0 {
			note = "too many certificates in the file to try them all"
		}
		return validation.ChainFacts{Note: note}, nil
	}
	facts := validation.ChainFacts{Found: true, Anchor: anchor.facts(leaf)}
	faults := rulesOf(path)
	for i, c := range path {
		link := linkFacts(c)
		if i == 0 || i == len(path)-1 {
			// The path rules speak of the path as a whole; the signer carries them.
			if i == 0 {
				link.Faults = faults
			}
		}
		facts.Links = append(facts.Links, link)
	}
	return facts, path
}

type search struct {
	store   *Store
	helpers []*x509.Certificate
	checks  int
}

// from extends a path towards an anchor, depth first, anchors before helpers.
func (s *search) from(path []*x509.Certificate) ([]*x509.Certificate, *Anchor) {
	last := path[len(path)-1]
	if a := s.store.anchorOf(last); a != nil {
		return path, a
	}
	if len(path) >= maxDepth {
		return nil, nil
	}
	for _, a := range preferred(s.store.anchorsNamed(last.RawIssuer), path[0]) {
		if s.issued(a.Certificate, last) {
			return append(path, a.Certificate), a
		}
	}
	for _, h := range s.helpers {
		if !rfc5280.SameName(h.RawSubject, last.RawIssuer) || onPath(path, h) || !s.issued(h, last) {
			continue
		}
		if found, a := s.from(append(path[:len(path):len(path)], h)); a != nil {
			return found, a
		}
	}
	return nil, nil
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
