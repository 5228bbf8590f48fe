package xmldsig

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Namespaces.
const (
	Space          = "http://www.w3.org/2000/09/xmldsig#"
	space11        = "http://www.w3.org/2007/05/xmldsig-more#"
	spaceExclusive = "http://www.w3.org/2001/10/xml-exc-c14n#"
)

// Enveloped is the transform that takes the signature itself out of what it signs.
const Enveloped = Space + "enveloped-signature"

// Errors of Read and Verify.
var (
	// ErrForm means that a Signature element is not built as XMLDSig 1.1 says, or uses a
	// part of it that is refused: transforms that are programs, references to the
	// outside, truncated values.
	ErrForm = errors.New("xmldsig: the signature's form is refused")
	// ErrAlgorithm means an algorithm that is not supported.
	ErrAlgorithm = errors.New("xmldsig: algorithm not supported")
	// ErrDigest means that something was changed after it was signed.
	ErrDigest = errors.New("xmldsig: the signed data was changed")
	// ErrValue means that the signature's value does not hold.
	ErrValue = errors.New("xmldsig: the signature's value does not hold")
)

const (
	maxReferences = 16
	maxTransforms = 3
	maxKeyCerts   = 16
)

// Signature is a Signature element that was read, and not yet verified.
type Signature struct {
	Element    *Node
	SignedInfo *Node
	References []*Reference
	Objects    []*Node
	// Certificates are those of KeyInfo, as DER. Nothing says that they are the signer's.
	Certificates [][]byte

	c14n     string
	prefixes []string
	method   method
	value    []byte
}

// Reference is one of the things that are signed: the subtree of Node, without the
// signature where Enveloped is set.
type Reference struct {
	Element   *Node
	URI, Type string
	// Node is what the URI points to, the document's root node for "".
	Node      *Node
	Enveloped bool
	// Digest is the algorithm's name, e.g. "SHA-256".
	Digest string

	hash     crypto.Hash
	value    []byte
	c14n     string
	prefixes []string
}

// Read takes a Signature element apart. What is not known is refused: it could change
// what the rest means.
func Read(d *Document, element *Node) (*Signature, error) {
	if !element.Is(Space, "Signature") {
		return nil, form("no Signature element")
	}
	s := &Signature{Element: element}
	parts, err := sequence(element, "SignedInfo", "SignatureValue", "KeyInfo?", "Object*")
	if err != nil {
		return nil, err
	}
	if err := s.signedInfo(d, parts["SignedInfo"][0]); err != nil {
		return nil, err
	}
	if s.value, err = Base64(parts["SignatureValue"][0].Text()); err != nil {
		return nil, form("SignatureValue: %v", err)
	}
	s.Objects = parts["Object"]
	for _, k := range parts["KeyInfo"] {
		if err := s.keyInfo(k); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func form(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrForm, fmt.Sprintf(format, args...))
}

// sequence checks an element's children against names in their order, each once; "?"
// marks one that may be absent, "*" any number, "+" at least one.
func sequence(n *Node, names ...string) (map[string][]*Node, error) {
	out := map[string][]*Node{}
	rest := n.Elements()
	for _, spec := range names {
		name := strings.TrimRight(spec, "?*+")
		many := strings.HasSuffix(spec, "*") || strings.HasSuffix(spec, "+")
		for len(rest) > 0 && rest[0].Is(Space, name) && (many || len(out[name]) == 0) {
			out[name] = append(out[name], rest[0])
			rest = rest[1:]
		}
		if len(out[name]) == 0 && (name == spec || strings.HasSuffix(spec, "+")) {
			return nil, form("%s has no %s in its place", n.Local, name)
		}
	}
	if len(rest) > 0 {
		return nil, form("%s in %s", short(rest[0].Local), n.Local)
	}
	for _, c := range n.Children {
		if c.Kind == Text && strings.TrimSpace(c.Data) != "" {
			return nil, form("text in %s", n.Local)
		}
	}
	return out, nil
}

func (s *Signature) signedInfo(d *Document, n *Node) error {
	s.SignedInfo = n
	parts, err := sequence(n, "CanonicalizationMethod", "SignatureMethod", "Reference+")
	if err != nil {
		return err
	}
	if s.c14n, s.prefixes, err = canonicalMethod(parts["CanonicalizationMethod"][0]); err != nil {
		return err
	}
	if s.method, err = signatureMethod(parts["SignatureMethod"][0]); err != nil {
		return err
	}
	if len(parts["Reference"]) > maxReferences {
		return form("more than %d references", maxReferences)
	}
	for _, r := range parts["Reference"] {
		ref, err := s.reference(d, r)
		if err != nil {
			return err
		}
		s.References = append(s.References, ref)
	}
	return nil
}

func canonicalMethod(n *Node) (string, []string, error) {
	uri, _ := n.Attr("Algorithm")
	switch uri {
	case C14N, C14NComments, ExclusiveC14N, ExclusiveC14NAll:
	default:
		return "", nil, fmt.Errorf("%w: canonicalisation %q", ErrAlgorithm, short(uri))
	}
	var prefixes []string
	for i, c := range n.Elements() {
		if i > 0 || !c.Is(spaceExclusive, "InclusiveNamespaces") || uri == C14N || uri == C14NComments {
			return "", nil, form("parameters of %s", n.Local)
		}
		list, _ := c.Attr("PrefixList")
		if prefixes = strings.Fields(list); len(prefixes) > maxAttributes {
			return "", nil, form("PrefixList is too long")
		}
	}
	return uri, prefixes, nil
}

// reference resolves each URI once: what is digested is the node that is kept.
func (s *Signature) reference(d *Document, n *Node) (*Reference, error) {
	parts, err := sequence(n, "Transforms?", "DigestMethod", "DigestValue")
	if err != nil {
		return nil, err
	}
	r := &Reference{Element: n}
	var ok bool
	r.Type, _ = n.Attr("Type")
	if r.URI, ok = n.Attr("URI"); !ok {
		return nil, form("a Reference without URI")
	}
	switch id, local := strings.CutPrefix(r.URI, "#"); {
	case r.URI == "":
		r.Node = d.Node
	case local && isName(id) && !strings.Contains(id, ":"):
		// XPointers (#xpointer(/), #xpointer(id('x'))) are no names and end below.
		node := d.ByID(id)
		if node == nil {
			return nil, form("the Reference %s points to nothing", short(r.URI))
		}
		if v, _ := node.Attr("Id"); v != id {
			return nil, form("the Reference %s points to an element that has it not as Id", short(r.URI))
		}
		r.Node = node
	default:
		return nil, form("the Reference %q is not to an element of the document", short(r.URI))
	}
	if err := s.transforms(r, parts["Transforms"]); err != nil {
		return nil, err
	}
	if r.hash, r.Digest, err = digestMethod(parts["DigestMethod"][0]); err != nil {
		return nil, err
	}
	if r.value, err = Base64(parts["DigestValue"][0].Text()); err != nil || len(r.value) != r.hash.Size() {
		return nil, form("DigestValue is no %s", r.Digest)
	}
	return r, nil
}

func (s *Signature) transforms(r *Reference, list []*Node) error {
	r.c14n = C14N // XMLDSig 1.1, 4.4.3.2: what turns nodes into octets by default
	if len(list) == 0 {
		return nil
	}
	parts, err := sequence(list[0], "Transform+")
	if err != nil {
		return err
	}
	if len(parts["Transform"]) > maxTransforms {
		return form("more than %d transforms", maxTransforms)
	}
	done := false
	for _, t := range parts["Transform"] {
		uri, _ := t.Attr("Algorithm")
		switch {
		case done:
			return form("a transform after the canonicalisation")
		case uri == Enveloped && !r.Enveloped:
			if len(t.Elements()) > 0 || !s.Element.Within(r.Node) {
				return form("the enveloped-signature transform")
			}
			r.Enveloped = true
		default:
			if r.c14n, r.prefixes, err = canonicalMethod(t); err != nil {
				return fmt.Errorf("%w: transform %q; only enveloped-signature and canonicalisation are used", ErrForm, short(uri))
			}
			done = true
		}
	}
	return nil
}

// keyInfo takes the certificates; keys by themselves, names and things to be fetched
// are not looked at.
func (s *Signature) keyInfo(n *Node) error {
	for _, data := range n.All(Space, "X509Data") {
		for _, c := range data.All(Space, "X509Certificate") {
			der, err := Base64(c.Text())
			if err != nil {
				return form("X509Certificate: %v", err)
			}
			if len(s.Certificates) >= maxKeyCerts {
				return form("more than %d certificates", maxKeyCerts)
			}
			s.Certificates = append(s.Certificates, der)
		}
	}
	return nil
}

// Verify checks the value with the signer's key, then every reference.
func (s *Signature) Verify(key crypto.PublicKey) error {
	h := s.method.hash.New()
	if err := Canonical(h, s.SignedInfo, s.c14n, nil, s.prefixes...); err != nil {
		return err
	}
	if err := s.method.verify(key, h.Sum(nil), s.value); err != nil {
		return err
	}
	for _, r := range s.References {
		if err := s.check(r); err != nil {
			return err
		}
	}
	return nil
}

func (s *Signature) check(r *Reference) error {
	var without *Node
	if r.Enveloped {
		without = s.Element
	}
	method := r.c14n
	if r.c14n == C14NComments || r.c14n == ExclusiveC14NAll {
		// XMLDSig 1.1, 4.4.3.3: same-document references are without comments, whatever
		// canonicalisation follows.
		method = strings.TrimSuffix(strings.TrimSuffix(method, "#WithComments"), "WithComments")
	}
	h := r.hash.New()
	if err := Canonical(h, r.Node, method, without, r.prefixes...); err != nil {
		return err
	}
	if !bytes.Equal(h.Sum(nil), r.value) {
		return fmt.Errorf("%w: reference %q", ErrDigest, short(r.URI))
	}
	return nil
}

// Weak lists what is not strong enough for new signatures: algorithms with SHA-1.
func (s *Signature) Weak() (out []string) {
	if s.method.hash == crypto.SHA1 {
		out = append(out, s.method.name)
	}
	for _, r := range s.References {
		if r.hash == crypto.SHA1 && !slices.Contains(out, r.Digest) {
			out = append(out, r.Digest)
		}
	}
	return out
}

// Base64 decodes a value of base64Binary: white space anywhere.
func Base64(s string) ([]byte, error) {
	clean := strings.Map(func(r rune) rune {
		if r == ' ' || r == '\t' || r == '\n' || r == '\r' {
			return -1
		}
		return r
	}, s)
	out, err := base64.StdEncoding.DecodeString(clean)
	if err != nil {
		return nil, fmt.Errorf("not base64: %w", err)
	}
	return out, nil
}
