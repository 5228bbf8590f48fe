package xmldsig

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Errors of Parse.
var (
	// ErrMalformed means that the bytes are no well-formed XML 1.0 with namespaces.
	ErrMalformed = errors.New("xmldsig: not well-formed XML")
	// ErrDTD means that the document has a document type declaration or uses an
	// entity that only one could declare.
	ErrDTD = errors.New("xmldsig: document type declarations and their entities are refused")
	// ErrDuplicateID means that two elements have the same identifier.
	ErrDuplicateID = errors.New("xmldsig: two elements have the same Id")
	// ErrTooLarge means that a limit was passed.
	ErrTooLarge = errors.New("xmldsig: the document is too large")
)

// Limits of a document. The largest trusted lists have 2.5 MB, 110,000 nodes, depths of
// 20 and a dozen namespaces. Nodes are what costs memory: some 250 bytes each.
const (
	MaxBytes      = 16 << 20
	maxDepth      = 128
	maxNodes      = 500_000
	maxAttributes = 64
	maxScope      = 128 // declarations in scope, each of which every name is compared with
	maxName       = 1024
)

type parser struct {
	s     string
	at    int
	nodes int
	doc   *Document
	scope []declaration
	open  []opened
}

type opened struct {
	node  *Node
	scope int // declarations before this element's
	name  string
}

// Parse reads a document: UTF-8, with or without a byte order mark and white space in
// front. Document type declarations are refused.
func Parse(data []byte) (*Document, error) {
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, MaxBytes)
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if bytes.HasPrefix(data, []byte{0xfe, 0xff}) || bytes.HasPrefix(data, []byte{0xff, 0xfe}) {
		return nil, fmt.Errorf("%w: UTF-16; only UTF-8 is read", ErrMalformed)
	}
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("%w: not UTF-8", ErrMalformed)
	}
	p := &parser{s: string(bytes.TrimLeft(data, " \t\r\n")), doc: &Document{Node: &Node{Kind: Root}, ids: map[string]*Node{}}}
	p.scope = []declaration{{"xml", spaceXML}}
	if err := p.document(); err != nil {
		return nil, err
	}
	return p.doc, nil
}

func (p *parser) bad(format string, args ...any) error {
	line := 1 + strings.Count(p.s[:min(p.at, len(p.s))], "\n")
	return fmt.Errorf("%w: line %d: %s", ErrMalformed, line, fmt.Sprintf(format, args...))
}

func (p *parser) document() error {
	if strings.HasPrefix(p.s, "<?xml") && len(p.s) > 5 && isSpace(p.s[5]) {
		if err := p.xmlDeclaration(); err != nil {
			return err
		}
	}
	parent := p.doc.Node
	seen := false
	for p.at < len(p.s) {
		rest := p.s[p.at:]
		var err error
		switch {
		case rest[0] != '<':
			err = p.text(parent)
		case strings.HasPrefix(rest, "<!--"):
			err = p.comment(parent)
		case strings.HasPrefix(rest, "<?"):
			err = p.instruction(parent)
		case strings.HasPrefix(rest, "<![CDATA["):
			err = p.cdata(parent)
		case strings.HasPrefix(rest, "<!"):
			return ErrDTD
		case strings.HasPrefix(rest, "</"):
			parent, err = p.end(parent)
		default:
			if parent.Kind == Root {
				if seen {
					return p.bad("a second element beside the document's")
				}
				seen = true
			}
			parent, err = p.start(parent)
		}
		if err != nil {
			return err
		}
	}
	if len(p.open) > 0 {
		return p.bad("<%s> is not closed", p.open[len(p.open)-1].name)
	}
	if !seen {
		return p.bad("no element")
	}
	return nil
}

// xmlDeclaration: XML 1.0, 2.8, production 23.
func (p *parser) xmlDeclaration() error {
	end := strings.Index(p.s, "?>")
	if end < 0 {
		return p.bad("the XML declaration does not end")
	}
	text := p.s[5:end]
	for _, name := range []string{"version", "encoding", "standalone"} {
		rest := strings.TrimLeft(text, " \t\r\n")
		value, ok := strings.CutPrefix(rest, name)
		if !ok {
			if name == "version" {
				return p.bad("the XML declaration has no version")
			}
			continue
		}
		if rest == text {
			return p.bad("no space before %s", name)
		}
		value = strings.TrimLeft(value, " \t\r\n")
		value, ok = strings.CutPrefix(value, "=")
		value = strings.TrimLeft(value, " \t\r\n")
		if !ok || len(value) < 2 || value[0] != '"' && value[0] != '\'' {
			return p.bad("the XML declaration's %s", name)
		}
		quote := value[0]
		i := strings.IndexByte(value[1:], quote)
		if i < 0 {
			return p.bad("the XML declaration's %s", name)
		}
		got := value[1 : 1+i]
		text = value[2+i:]
		switch {
		case name == "version" && got != "1.0":
			return p.bad("XML version %q; only 1.0 is read", got)
		case name == "encoding" && !strings.EqualFold(got, "utf-8") && !strings.EqualFold(got, "us-ascii"):
			return p.bad("encoding %q; only UTF-8 is read", got)
		case name == "standalone" && got != "yes" && got != "no":
			return p.bad("standalone %q", got)
		}
	}
	if strings.Trim(text, " \t\r\n") != "" {
		return p.bad("the XML declaration")
	}
	p.at = end + 2
	return nil
}

func (p *parser) add(parent, n *Node) error {
	if p.nodes++; p.nodes > maxNodes {
		return fmt.Errorf("%w: more than %d nodes", ErrTooLarge, maxNodes)
	}
	n.Parent = parent
	parent.Children = append(parent.Children, n)
	return nil
}

func (p *parser) text(parent *Node) error {
	raw := p.s[p.at:]
	if i := strings.IndexByte(raw, '<'); i >= 0 {
		raw = raw[:i]
	}
	if parent.Kind == Root {
		if strings.Trim(raw, " \t\r\n") != "" {
			return p.bad("text outside the element")
		}
		p.at += len(raw)
		return nil
	}
	if strings.Contains(raw, "]]>") {
		return p.bad("]]> in text")
	}
	value, err := p.value(raw, false)
	if err != nil {
		return err
	}
	p.at += len(raw)
	return p.add(parent, &Node{Kind: Text, Data: value})
}

func (p *parser) cdata(parent *Node) error {
	const open = len("<![CDATA[")
	end := strings.Index(p.s[p.at+open:], "]]>")
	if end < 0 || parent.Kind == Root {
		return p.bad("CDATA")
	}
	raw := p.s[p.at+open : p.at+open+end]
	if err := p.characters(raw); err != nil {
		return err
	}
	p.at += open + end + 3
	if raw == "" {
		return nil
	}
	return p.add(parent, &Node{Kind: Text, Data: lineEnds(raw)})
}

func (p *parser) comment(parent *Node) error {
	end := strings.Index(p.s[p.at+4:], "--")
	if end < 0 || !strings.HasPrefix(p.s[p.at+4+end:], "-->") {
		return p.bad("comment")
	}
	raw := p.s[p.at+4 : p.at+4+end]
	if err := p.characters(raw); err != nil {
		return err
	}
	p.at += 4 + end + 3
	return p.add(parent, &Node{Kind: Comment, Data: lineEnds(raw)})
}

func (p *parser) instruction(parent *Node) error {
	end := strings.Index(p.s[p.at+2:], "?>")
	if end < 0 {
		return p.bad("processing instruction")
	}
	raw := p.s[p.at+2 : p.at+2+end]
	name := raw
	if i := strings.IndexAny(raw, " \t\r\n"); i >= 0 {
		name = raw[:i]
	}
	data := strings.TrimLeft(raw[len(name):], " \t\r\n")
	if !isName(name) || strings.Contains(name, ":") || strings.EqualFold(name, "xml") {
		return p.bad("processing instruction %q", name)
	}
	if err := p.characters(data); err != nil {
		return err
	}
	p.at += end + 4
	return p.add(parent, &Node{Kind: Instruction, Local: name, Data: lineEnds(data)})
}

func (p *parser) end(parent *Node) (*Node, error) {
	i := strings.IndexByte(p.s[p.at:], '>')
	if i < 0 || len(p.open) == 0 {
		return nil, p.bad("an end tag without its start")
	}
	name := strings.TrimRight(p.s[p.at+2:p.at+i], " \t\r\n")
	last := p.open[len(p.open)-1]
	if name != last.name {
		return nil, p.bad("</%s> ends <%s>", short(name), last.name)
	}
	p.at += i + 1
	p.open, p.scope = p.open[:len(p.open)-1], p.scope[:last.scope]
	return parent.Parent, nil
}

func (p *parser) start(parent *Node) (*Node, error) {
	p.at++
	name := p.name()
	if name == "" {
		return nil, p.bad("a tag without a name")
	}
	if len(p.open) >= maxDepth {
		return nil, fmt.Errorf("%w: deeper than %d elements", ErrTooLarge, maxDepth)
	}
	n := &Node{Kind: Element}
	here := opened{node: n, scope: len(p.scope), name: name}
	var attrs []Attr
	for {
		spaced := p.space()
		if p.at >= len(p.s) {
			return nil, p.bad("<%s does not end", name)
		}
		c := p.s[p.at]
		if c == '>' || c == '/' {
			break
		}
		if !spaced {
			return nil, p.bad("no space between attributes of <%s>", name)
		}
		a, err := p.attribute()
		if err != nil {
			return nil, err
		}
		switch {
		case a.Prefix == "" && a.Local == "xmlns":
			err = p.declare(n, "", a.Value)
		case a.Prefix == "xmlns":
			err = p.declare(n, a.Local, a.Value)
		default:
			attrs = append(attrs, a)
		}
		if err != nil {
			return nil, err
		}
		if len(attrs)+len(n.declared) > maxAttributes {
			return nil, fmt.Errorf("%w: more than %d attributes", ErrTooLarge, maxAttributes)
		}
	}
	empty := p.s[p.at] == '/'
	if empty {
		p.at++
	}
	if p.at >= len(p.s) || p.s[p.at] != '>' {
		return nil, p.bad("<%s", name)
	}
	p.at++
	if err := p.resolve(n, name, attrs); err != nil {
		return nil, err
	}
	if err := p.add(parent, n); err != nil {
		return nil, err
	}
	if empty {
		p.scope = p.scope[:here.scope]
		return parent, nil
	}
	p.open = append(p.open, here)
	return n, nil
}

// declare takes a namespace declaration (Namespaces in XML 1.0, 3).
func (p *parser) declare(n *Node, prefix, space string) error {
	switch {
	case slices.ContainsFunc(n.declared, func(d declaration) bool { return d.prefix == prefix }):
		return p.bad("xmlns:%s is declared twice", prefix)
	case prefix == "xmlns", space == spaceXMLNS, (prefix == "xml") != (space == spaceXML):
		return p.bad("xmlns:%s=%q is reserved", prefix, short(space))
	case prefix != "" && space == "":
		return p.bad("xmlns:%s is empty", prefix)
	case prefix == "xml":
		return nil // always there
	}
	if len(p.scope) >= maxScope {
		return fmt.Errorf("%w: more than %d namespaces in scope", ErrTooLarge, maxScope)
	}
	d := declaration{prefix, space}
	n.declared = append(n.declared, d)
	p.scope = append(p.scope, d)
	return nil
}

func (p *parser) spaceOf(prefix string) (string, bool) {
	for i := len(p.scope) - 1; i >= 0; i-- {
		if p.scope[i].prefix == prefix {
			return p.scope[i].space, true
		}
	}
	return "", prefix == ""
}

// resolve gives names their namespaces and finds what is there twice.
func (p *parser) resolve(n *Node, name string, attrs []Attr) error {
	var ok bool
	if n.Prefix, n.Local, ok = split(name); !ok {
		return p.bad("the name %s", short(name))
	}
	if n.Space, ok = p.spaceOf(n.Prefix); !ok {
		return p.bad("the prefix %s is not declared", n.Prefix)
	}
	for i := range attrs {
		a := &attrs[i]
		if a.Prefix != "" {
			if a.Space, ok = p.spaceOf(a.Prefix); !ok {
				return p.bad("the prefix %s is not declared", a.Prefix)
			}
		}
		for _, b := range attrs[:i] {
			if a.Local == b.Local && a.Space == b.Space {
				return p.bad("the attribute %s is there twice", a.Local)
			}
		}
		if isID(a) {
			if p.doc.ids[a.Value] != nil {
				return fmt.Errorf("%w: %q", ErrDuplicateID, short(a.Value))
			}
			p.doc.ids[a.Value] = n
		}
	}
	n.Attrs = attrs
	return nil
}

// isID: the identifiers of XMLDSig, XAdES and trusted lists are attributes Id. The other
// spellings are for no reference of ours, but they must not be ambiguous either.
func isID(a *Attr) bool {
	return a.Space == "" && (a.Local == "Id" || a.Local == "ID" || a.Local == "id") || a.Space == spaceXML && a.Local == "id"
}

func (p *parser) attribute() (a Attr, err error) {
	name := p.name()
	p.space()
	if name == "" || p.at >= len(p.s) || p.s[p.at] != '=' {
		return a, p.bad("attribute %s", short(name))
	}
	p.at++
	p.space()
	if p.at >= len(p.s) || p.s[p.at] != '"' && p.s[p.at] != '\'' {
		return a, p.bad("the value of %s is not quoted", name)
	}
	end := strings.IndexByte(p.s[p.at+1:], p.s[p.at])
	if end < 0 {
		return a, p.bad("the value of %s does not end", name)
	}
	raw := p.s[p.at+1 : p.at+1+end]
	if strings.IndexByte(raw, '<') >= 0 {
		return a, p.bad("< in the value of %s", name)
	}
	var ok bool
	if a.Prefix, a.Local, ok = split(name); !ok {
		return a, p.bad("the name %s", short(name))
	}
	if a.Value, err = p.value(raw, true); err != nil {
		return a, err
	}
	p.at += end + 2
	return a, nil
}

func (p *parser) space() bool {
	from := p.at
	for p.at < len(p.s) && isSpace(p.s[p.at]) {
		p.at++
	}
	return p.at > from
}

// name reads a name; empty when there is none.
func (p *parser) name() string {
	from := p.at
	for p.at < len(p.s) && p.at-from <= maxName {
		c := p.s[p.at]
		if c < utf8.RuneSelf {
			if !isNameByte(c) {
				break
			}
			p.at++
			continue
		}
		r, n := utf8.DecodeRuneInString(p.s[p.at:])
		if !isNameRune(r) {
			break
		}
		p.at += n
	}
	name := p.s[from:p.at]
	if !isName(name) {
		return ""
	}
	return name
}
