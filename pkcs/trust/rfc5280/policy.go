package rfc5280

import "slices"

// node is one node of the valid_policy_tree (RFC 5280, 6.1.2). Qualifiers are not
// kept: nothing here depends on them.
type node struct {
	policy   string
	expected []string
	parent   *node
	children int
}

// tree holds the nodes by depth.
type tree struct {
	levels [][]*node
	nodes  int
}

func newTree() *tree {
	return &tree{levels: [][]*node{{{policy: AnyPolicy, expected: []string{AnyPolicy}}}}, nodes: 1}
}

func (t *tree) empty() bool { return len(t.levels[0]) == 0 }

func (t *tree) last() []*node { return t.levels[len(t.levels)-1] }

func (t *tree) add(parent *node, policy string, expected ...string) *node {
	parent.children++
	t.nodes++
	return &node{policy: policy, expected: expected, parent: parent}
}

// grow is RFC 5280, 6.1.3, (d): the policies of one certificate. It is false when the
// tree became too large.
func (t *tree) grow(policies []string, anyAllowed bool) bool {
	above := t.last()
	var level []*node
	hasAny := false
	for _, p := range policies {
		if p == AnyPolicy {
			hasAny = true
			continue
		}
		found := false
		for _, n := range above { // (1)(i)
			if slices.Contains(n.expected, p) {
				level = append(level, t.add(n, p, p))
				found = true
			}
		}
		for _, n := range above { // (1)(ii)
			if !found && n.policy == AnyPolicy {
				level = append(level, t.add(n, p, p))
			}
		}
		if t.nodes > maxNodes {
			t.levels = [][]*node{{}}
			return false
		}
	}
	if hasAny && anyAllowed { // (2)
		for _, n := range above {
			for _, e := range n.expected {
				if !slices.ContainsFunc(level, func(x *node) bool { return x.parent == n && x.policy == e }) {
					level = append(level, t.add(n, e, e))
				}
			}
			if t.nodes > maxNodes {
				t.levels = [][]*node{{}}
				return false
			}
		}
	}
	t.levels = append(t.levels, level)
	t.prune()
	return true
}

// prune removes nodes without children above the last level (3).
func (t *tree) prune() {
	for d := len(t.levels) - 2; d >= 0; d-- {
		t.levels[d] = slices.DeleteFunc(t.levels[d], func(n *node) bool {
			if n.children > 0 {
				return false
			}
			if n.parent != nil {
				n.parent.children--
			}
			t.nodes--
			return true
		})
	}
}

// mapTo is RFC 5280, 6.1.4, (b)(1): what is expected below is the mapped policy.
func (t *tree) mapTo(m map[string][]string) {
	level := t.last()
	for from, to := range m {
		found := false
		for _, n := range level {
			if n.policy == from {
				n.expected, found = to, true
			}
		}
		if found {
			continue
		}
		for _, n := range level {
			if n.policy == AnyPolicy { // a node beside it, with the mapped policies
				t.levels[len(t.levels)-1] = append(t.levels[len(t.levels)-1], t.add(n.parent, from, to...))
				break
			}
		}
	}
}

// remove is RFC 5280, 6.1.4, (b)(2): mapping is inhibited.
func (t *tree) remove(m map[string][]string) {
	d := len(t.levels) - 1
	t.levels[d] = slices.DeleteFunc(t.levels[d], func(n *node) bool {
		if _, mapped := m[n.policy]; !mapped {
			return false
		}
		if n.parent != nil {
			n.parent.children--
		}
		t.nodes--
		return true
	})
	t.prune()
}

// constrained is RFC 5280, 6.1.5, (g): the policies in the authorities' own words that
// the user asked for.
func (t *tree) constrained(initial []string) []string {
	asked := func(p string) bool {
		return initial == nil || slices.Contains(initial, AnyPolicy) || slices.Contains(initial, p)
	}
	var out []string
	take := func(p string) {
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	// The valid_policy_node_set: children of any-policy nodes, as far as a branch
	// leads down to the signer's certificate.
	for d := 1; d < len(t.levels); d++ {
		for _, n := range t.levels[d] {
			if n.parent == nil || n.parent.policy != AnyPolicy {
				continue
			}
			switch {
			case n.policy != AnyPolicy && asked(n.policy):
				take(n.policy)
			case n.policy == AnyPolicy && d == len(t.levels)-1:
				if initial == nil {
					take(AnyPolicy)
				}
				for _, p := range initial {
					take(p)
				}
			}
		}
	}
	return out
}
