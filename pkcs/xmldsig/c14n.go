package xmldsig

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Methods of canonicalisation.
const (
	C14N             = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
	C14NComments     = C14N + "#WithComments"
	ExclusiveC14N    = "http://www.w3.org/2001/10/xml-exc-c14n#"
	ExclusiveC14NAll = ExclusiveC14N + "WithComments"
)

// ErrCanonical means that a document has no canonical form.
var ErrCanonical = errors.New("xmldsig: no canonical form")

// Canonical writes the canonical form of a node's whole subtree, without the nodes of
// another one (an enveloped signature); nil leaves nothing out. Prefixes are those of
// InclusiveNamespaces, "#default" for none (Exclusive XML Canonicalization 1.0, 3).
func Canonical(w io.Writer, n *Node, method string, without *Node, prefixes ...string) error {
	c := &canonical{w: w, without: without}
	switch method {
	case C14N, C14NComments:
	case ExclusiveC14N, ExclusiveC14NAll:
		c.exclusive = true
		for _, p := range prefixes {
			if p == "#default" {
				p = ""
			}
			c.prefixes = append(c.prefixes, p)
		}
	default:
		return fmt.Errorf("%w: method %s", ErrAlgorithm, short(method))
	}
	c.comments = method == C14NComments || method == ExclusiveC14NAll
	var above []*Node
	for a := n.Parent; a != nil; a = a.Parent {
		above = append(above, a)
	}
	for _, a := range slices.Backward(above) {
		c.scope = append(c.scope, a.declared...)
	}
	if n.Kind == Root {
		c.document(n)
	} else {
		c.apex = n
		c.node(n)
	}
	c.flush()
	return c.err
}

type canonical struct {
	w         io.Writer
	buf       []byte
	err       error
	exclusive bool
	comments  bool
	prefixes  []string
	without   *Node
	apex      *Node
	scope     []declaration // in scope, inner last
	written   []declaration // of the output's ancestors
}

// document: 2.3 of Canonical XML 1.0, line feeds between the element and what is
// beside it.
func (c *canonical) document(d *Node) {
	after := false
	for _, n := range d.Children {
		switch {
		case n.Kind == Element:
			c.node(n)
			after = true
		case n.Kind == Instruction || n.Kind == Comment && c.comments:
			if after {
				c.put("\n")
			}
			c.node(n)
			if !after {
				c.put("\n")
			}
		}
	}
}

func (c *canonical) put(s string) {
	c.buf = append(c.buf, s...)
	if len(c.buf) > 32<<10 {
		c.flush()
	}
}

func (c *canonical) flush() {
	if c.err == nil {
		_, c.err = c.w.Write(c.buf)
	}
	c.buf = c.buf[:0]
}

func (c *canonical) node(n *Node) {
	if n == c.without {
		return
	}
	switch n.Kind {
	case Text:
		c.escape(n.Data, false)
	case Comment:
		if c.comments {
			c.put("<!--" + n.Data + "-->")
		}
	case Instruction:
		c.put("<?" + n.Local)
		if n.Data != "" {
			c.put(" ")
			c.escapeCR(n.Data)
		}
		c.put("?>")
	case Element:
		c.element(n)
	}
}

func (c *canonical) element(n *Node) {
	scope, written := len(c.scope), len(c.written)
	c.scope = append(c.scope, n.declared...)
	name := n.Local
	if n.Prefix != "" {
		name = n.Prefix + ":" + n.Local
	}
	c.put("<" + name)
	for _, d := range c.declarations(n) {
		if d.space != "" && !strings.Contains(d.space, ":") && c.err == nil {
			// Canonical XML 1.0, 1.3: relative namespace URIs have no canonical form.
			c.err = fmt.Errorf("%w: the namespace %q is relative", ErrCanonical, short(d.space))
		}
		if d.prefix == "" {
			c.put(` xmlns="`)
		} else {
			c.put(" xmlns:" + d.prefix + `="`)
		}
		c.escape(d.space, true)
		c.put(`"`)
		c.written = append(c.written, d)
	}
	for _, a := range c.attributes(n) {
		c.put(" ")
		if a.Prefix != "" {
			c.put(a.Prefix + ":")
		}
		c.put(a.Local + `="`)
		c.escape(a.Value, true)
		c.put(`"`)
	}
	c.put(">")
	for _, child := range n.Children {
		c.node(child)
	}
	c.put("</" + name + ">")
	c.scope, c.written = c.scope[:scope], c.written[:written]
}

// declarations gives those that an element has to write.
func (c *canonical) declarations(n *Node) []declaration {
	var out []declaration
	need := func(prefix string) {
		if prefix == "xml" || slices.ContainsFunc(out, func(d declaration) bool { return d.prefix == prefix }) {
			return
		}
		space, _ := last(c.scope, prefix)
		have, ok := last(c.written, prefix)
		if ok && have == space || !ok && space == "" {
			return
		}
		out = append(out, declaration{prefix, space})
	}
	switch {
	case c.exclusive:
		need(n.Prefix)
		for _, a := range n.Attrs {
			if a.Prefix != "" {
				need(a.Prefix)
			}
		}
		for _, p := range c.prefixes {
			if _, ok := last(c.scope, p); ok {
				need(p)
			}
		}
	case n == c.apex:
		for _, d := range c.scope {
			need(d.prefix)
		}
	default:
		for _, d := range n.declared {
			need(d.prefix)
		}
	}
	slices.SortFunc(out, func(a, b declaration) int { return strings.Compare(a.prefix, b.prefix) })
	return out
}

func last(list []declaration, prefix string) (string, bool) {
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].prefix == prefix {
			return list[i].space, true
		}
	}
	return "", false
}

// attributes in order. The top of a part takes over its ancestors' attributes of the
// xml namespace (Canonical XML 1.0, 2.4), in the inclusive form.
func (c *canonical) attributes(n *Node) []Attr {
	out := n.Attrs
	if n == c.apex && !c.exclusive {
		for a := n.Parent; a != nil; a = a.Parent {
			for _, x := range a.Attrs {
				if x.Space == spaceXML && !slices.ContainsFunc(out, func(y Attr) bool { return y.Space == spaceXML && y.Local == x.Local }) {
					out = append(slices.Clip(out), x)
				}
			}
		}
	}
	if len(out) < 2 {
		return out
	}
	out = slices.Clone(out)
	slices.SortFunc(out, func(a, b Attr) int {
		if s := strings.Compare(a.Space, b.Space); s != 0 {
			return s
		}
		return strings.Compare(a.Local, b.Local)
	})
	return out
}

var (
	textEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\r", "&#xD;")
	attrEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", `"`, "&quot;", "\t", "&#x9;", "\n", "&#xA;", "\r", "&#xD;")
)

func (c *canonical) escape(s string, attribute bool) {
	special, r := "&<>\r", textEscapes
	if attribute {
		special, r = "&<\"\t\n\r", attrEscapes
	}
	if strings.ContainsAny(s, special) {
		s = r.Replace(s)
	}
	c.put(s)
}

func (c *canonical) escapeCR(s string) { c.put(strings.ReplaceAll(s, "\r", "&#xD;")) }
