// Package rfc5280 is the certification path validation of RFC 5280, 6.1, over a path
// that somebody else found: names, basic constraints, key usage, name constraints and
// the policy tree. It asks nobody anything, and judges no algorithm's strength.
package rfc5280

import (
	"crypto/x509"
	"fmt"
	"slices"
	"time"
)

// AnyPolicy is the special policy of RFC 5280, 4.2.1.4.
const AnyPolicy = "2.5.29.32.0"

const oidNameConstraints = "2.5.29.30"

// Params are the inputs of RFC 5280, 6.1.1, (c) to (g), and the time.
type Params struct {
	// Time at which the certificates must be valid; zero: the times are not looked at.
	Time time.Time
	// SignaturesHold: whoever found the path checked them.
	SignaturesHold bool
	// InitialPolicies is the user-initial-policy-set; nil stands for any-policy.
	InitialPolicies                                               []string
	RequireExplicitPolicy, InhibitPolicyMapping, InhibitAnyPolicy bool
}

// Fault is a rule that a path breaks.
type Fault struct {
	// ID is stable: signature, time, name-chain, issuer-not-ca, issuer-key-usage,
	// path-length, critical-extension, name-constraints, policy, malformed.
	ID, Text string
	// Certificate is the place in the path, the anchor's child 1.
	Certificate int
}

// maxNodes bounds the policy tree: mappings can make it grow without end
// (CVE-2023-0464 was that).
const maxNodes = 4096

type state struct {
	path   []*x509.Certificate // anchor first
	p      Params
	n      int
	faults []Fault

	tree                                   *tree
	explicit, inhibitAny, mapping, maxPath int
	permitted                              []subtrees // one for each certificate that had any: all must hold
	excluded                               subtrees
}

// Validate judges a path, the signer's certificate first and the trust anchor last.
// The policies are the user-constrained-policy-set; no fault means that the path is
// valid.
func Validate(path []*x509.Certificate, p Params) (policies []string, faults []Fault) {
	s := &state{p: p, n: len(path) - 1}
	s.path = slices.Clone(path)
	slices.Reverse(s.path)
	if s.n < 1 {
		return nil, nil // the anchor itself
	}
	initial := func(set bool) int {
		if set {
			return 0
		}
		return s.n + 1
	}
	s.explicit, s.inhibitAny, s.mapping, s.maxPath = initial(p.RequireExplicitPolicy), initial(p.InhibitAnyPolicy), initial(p.InhibitPolicyMapping), s.n
	s.tree = newTree()
	for i := 1; i <= s.n; i++ {
		s.basic(i)
		if i < s.n {
			s.prepare(i)
		}
	}
	return s.wrapUp(), s.faults
}

func (s *state) fault(i int, id, format string, args ...any) {
	s.faults = append(s.faults, Fault{ID: id, Text: fmt.Sprintf(format, args...), Certificate: i})
}

// selfIssued: subject and issuer are the same (RFC 5280, 3.2).
func selfIssued(c *x509.Certificate) bool { return SameName(c.RawSubject, c.RawIssuer) }

// basic is RFC 5280, 6.1.3.
func (s *state) basic(i int) {
	c, issuer := s.path[i], s.path[i-1]
	if !s.p.SignaturesHold {
		if err := issuer.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature); err != nil {
			s.fault(i, "signature", "%v", err)
		}
	}
	if t := s.p.Time; !t.IsZero() && (t.Before(c.NotBefore) || t.After(c.NotAfter)) {
		s.fault(i, "time", "valid from %s to %s", c.NotBefore, c.NotAfter)
	}
	if !SameName(c.RawIssuer, issuer.RawSubject) {
		s.fault(i, "name-chain", "the issuer's name is not the one of the next certificate")
	}
	if i == s.n || !selfIssued(c) {
		s.names(i, c)
	}
	// (d) to (f)
	if s.tree != nil {
		if len(c.Policies) == 0 {
			s.tree = nil
		} else {
			var list []string
			for _, p := range c.Policies {
				list = append(list, p.String())
			}
			if !s.tree.grow(list, s.inhibitAny > 0 || i < s.n && selfIssued(c)) {
				s.fault(i, "policy", "the policy tree has more than %d nodes", maxNodes)
			}
			if s.tree.empty() {
				s.tree = nil
			}
		}
	}
	if s.explicit == 0 && s.tree == nil {
		s.fault(i, "policy", "no policy that holds for the whole path, and one is required")
	}
}

// prepare is RFC 5280, 6.1.4.
func (s *state) prepare(i int) {
	c := s.path[i]
	s.mappings(i, c)
	s.constraints(i, c)
	if !selfIssued(c) {
		s.explicit, s.mapping, s.inhibitAny = max(0, s.explicit-1), max(0, s.mapping-1), max(0, s.inhibitAny-1)
	}
	lower := func(v *int, value int, zero bool) {
		if value > 0 || value == 0 && zero {
			*v = min(*v, value)
		}
	}
	lower(&s.explicit, c.RequireExplicitPolicy, c.RequireExplicitPolicyZero)
	lower(&s.mapping, c.InhibitPolicyMapping, c.InhibitPolicyMappingZero)
	lower(&s.inhibitAny, c.InhibitAnyPolicy, c.InhibitAnyPolicyZero)
	if c.Version != 3 || !c.BasicConstraintsValid || !c.IsCA {
		s.fault(i, "issuer-not-ca", "%s", c.Subject)
	}
	if !selfIssued(c) {
		if s.maxPath <= 0 {
			s.fault(i, "path-length", "%s", c.Subject)
		}
		s.maxPath--
	}
	if c.MaxPathLen > 0 || c.MaxPathLen == 0 && c.MaxPathLenZero {
		s.maxPath = min(s.maxPath, c.MaxPathLen)
	}
	if c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0 {
		s.fault(i, "issuer-key-usage", "%s", c.Subject)
	}
	s.critical(i, c)
}

// critical: an extension that must be understood and is not.
func (s *state) critical(i int, c *x509.Certificate) {
	for _, id := range c.UnhandledCriticalExtensions {
		if id.String() != oidNameConstraints { // which is read here
			s.fault(i, "critical-extension", "%s has the critical extension %s", c.Subject, id)
		}
	}
}

// mappings is RFC 5280, 6.1.4, (a) and (b).
func (s *state) mappings(i int, c *x509.Certificate) {
	m := map[string][]string{}
	for _, x := range c.PolicyMappings {
		from, to := x.IssuerDomainPolicy.String(), x.SubjectDomainPolicy.String()
		if from == AnyPolicy || to == AnyPolicy {
			s.fault(i, "policy", "a mapping from or to any policy")
			continue
		}
		m[from] = append(m[from], to)
	}
	if s.tree == nil || len(m) == 0 {
		return
	}
	if s.mapping > 0 {
		s.tree.mapTo(m)
	} else {
		s.tree.remove(m)
	}
	if s.tree.empty() {
		s.tree = nil
	}
}

// wrapUp is RFC 5280, 6.1.5.
func (s *state) wrapUp() []string {
	c := s.path[s.n]
	s.explicit = max(0, s.explicit-1)
	if c.RequireExplicitPolicy == 0 && c.RequireExplicitPolicyZero {
		s.explicit = 0
	}
	s.critical(s.n, c)
	var policies []string
	if s.tree != nil {
		policies = s.tree.constrained(s.p.InitialPolicies)
	}
	if s.explicit == 0 && len(policies) == 0 {
		s.fault(s.n, "policy", "no policy that is asked for, and one is required")
	}
	return policies
}
