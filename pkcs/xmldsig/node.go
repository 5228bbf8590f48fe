package xmldsig

import "strings"

// Kind of a node.
type Kind uint8

// The kinds.
const (
	Root Kind = iota // the document itself
	Element
	Text
	Comment
	Instruction
)

const (
	spaceXML   = "http://www.w3.org/XML/1998/namespace"
	spaceXMLNS = "http://www.w3.org/2000/xmlns/"
)

// Attr is an attribute that is no namespace declaration.
type Attr struct {
	Prefix, Space, Local, Value string
}

type declaration struct{ prefix, space string }

// Node of a document. Text of comments and instructions is in Data; the name of an
// instruction is in Local.
type Node struct {
	Kind                 Kind
	Prefix, Space, Local string
	Data                 string
	Attrs                []Attr
	Parent               *Node
	Children             []*Node

	declared []declaration
}

// Document is a parsed file.
type Document struct {
	Node *Node // of kind Root
	ids  map[string]*Node
}

// Element gives the document's one element.
func (d *Document) Element() *Node {
	for _, c := range d.Node.Children {
		if c.Kind == Element {
			return c
		}
	}
	return nil // not after Parse
}

// ByID finds the element with an attribute Id of this value; nil when there is none.
func (d *Document) ByID(id string) *Node { return d.ids[id] }

// Is tells whether the node is an element of this name.
func (n *Node) Is(space, local string) bool {
	return n.Kind == Element && n.Local == local && n.Space == space
}

// Attr gives an attribute without a namespace.
func (n *Node) Attr(local string) (string, bool) {
	for _, a := range n.Attrs {
		if a.Space == "" && a.Local == local {
			return a.Value, true
		}
	}
	return "", false
}

// Elements gives the children that are elements.
func (n *Node) Elements() []*Node {
	out := make([]*Node, 0, len(n.Children))
	for _, c := range n.Children {
		if c.Kind == Element {
			out = append(out, c)
		}
	}
	return out
}

// Child gives the first child element of this name; nil when there is none.
func (n *Node) Child(space, local string) *Node {
	if n == nil {
		return nil
	}
	for _, c := range n.Children {
		if c.Is(space, local) {
			return c
		}
	}
	return nil
}

// All gives the child elements of this name.
func (n *Node) All(space, local string) (out []*Node) {
	if n == nil {
		return nil
	}
	for _, c := range n.Children {
		if c.Is(space, local) {
			out = append(out, c)
		}
	}
	return out
}

// Text gives the character data of an element, all of it: a comment in the middle does
// not cut it. White space around it is taken off.
func (n *Node) Text() string {
	if n == nil {
		return ""
	}
	var pieces []string // one as a rule
	for _, c := range n.Children {
		if c.Kind == Text {
			pieces = append(pieces, c.Data)
		}
	}
	if len(pieces) == 1 {
		return strings.TrimSpace(pieces[0])
	}
	return strings.TrimSpace(strings.Join(pieces, ""))
}

// Within tells whether the node is of the subtree of an ancestor.
func (n *Node) Within(ancestor *Node) bool {
	for ; n != nil; n = n.Parent {
		if n == ancestor {
			return true
		}
	}
	return false
}

// Find lists the elements of this name below a node, itself included.
func (n *Node) Find(space, local string) (out []*Node) {
	if n.Is(space, local) {
		out = append(out, n)
	}
	for _, c := range n.Children {
		if c.Kind == Element {
			out = append(out, c.Find(space, local)...)
		}
	}
	return out
}
