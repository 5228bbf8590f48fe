package cms

import (
	"bytes"
	"fmt"
	"math/big"
	"slices"
)

func (m *Message) signers(set Element) error {
	els, err := children(set.Content, maxSigners)
	if err != nil {
		return err
	}
	for i, el := range els {
		si, err := parseSigner(el)
		if err != nil {
			return fmt.Errorf("signer %d: %w", i+1, err)
		}
		for _, earlier := range m.Signers {
			if bytes.Equal(earlier.Raw, si.Raw) {
				si.Faults = append(si.Faults, Fault{"signer-duplicated", "the same SignerInfo stands twice"})
			}
		}
		m.Signers = append(m.Signers, si)
	}
	return nil
}

// ParseSigner reads one SignerInfo: the value of a counter-signature (RFC 5652, 11.4).
func ParseSigner(raw []byte) (SignerInfo, error) {
	el, rest, err := Next(raw)
	if err != nil {
		return SignerInfo{}, err
	}
	if len(rest) > 0 {
		return SignerInfo{}, malformed("bytes after SignerInfo")
	}
	return parseSigner(el)
}

func parseSigner(el Element) (si SignerInfo, err error) {
	if el.Tag != tagSequence {
		return si, malformed("SignerInfo is not a SEQUENCE")
	}
	si.Raw = el.Raw
	parts, err := children(el.Content, 16)
	if err != nil {
		return si, err
	}
	take := func() (Element, bool) {
		if len(parts) == 0 {
			return Element{}, false
		}
		e := parts[0]
		parts = parts[1:]
		return e, true
	}
	v, _ := take()
	if si.Version, err = smallInt(v); err != nil {
		return si, err
	}
	sid, _ := take()
	if err := si.identifier(sid); err != nil {
		return si, err
	}
	d, _ := take()
	if si.Digest, err = algorithm(d); err != nil {
		return si, err
	}
	next, ok := take()
	if ok && next.Tag == tagContext0 {
		si.SignedAttrs = next.Raw
		if si.Signed, err = attributes(next.Content); err != nil {
			return si, err
		}
		next, _ = take()
	}
	if si.Algorithm, err = algorithm(next); err != nil {
		return si, err
	}
	sig, _ := take()
	if si.Signature, err = octets(sig); err != nil {
		return si, err
	}
	if next, ok = take(); ok && next.Tag == tagContext1 {
		if si.Unsigned, err = attributes(next.Content); err != nil {
			return si, err
		}
		_, ok = take()
	}
	if ok {
		return si, malformed("more in a SignerInfo than belongs there")
	}
	return si, nil
}

func (si *SignerInfo) identifier(el Element) error {
	switch el.Tag {
	case tagSequence:
		name, rest, err := expect(el.Content, tagSequence)
		if err != nil {
			return err
		}
		serial, rest, err := expect(rest, tagInteger)
		if err != nil {
			return err
		}
		if len(rest) > 0 || len(serial.Content) == 0 {
			return malformed("issuerAndSerialNumber")
		}
		si.Issuer, si.Serial = name.Raw, serial.Content
	case 0x80:
		// An empty one is nobody's: the signer stays unknown.
		si.SKI = append([]byte{}, el.Content...)
	default:
		return malformed("tag %#02x where a signer identifier belongs", el.Tag)
	}
	return nil
}

func attributes(content []byte) ([]Attribute, error) {
	els, err := children(content, maxAttrs)
	if err != nil {
		return nil, err
	}
	out := make([]Attribute, 0, len(els))
	for _, el := range els {
		if el.Tag != tagSequence {
			return nil, malformed("an attribute is not a SEQUENCE")
		}
		id, rest, err := expect(el.Content, tagOID)
		if err != nil {
			return nil, err
		}
		oid, err := oidString(id.Content)
		if err != nil {
			return nil, err
		}
		set, rest, err := expect(rest, tagSet)
		if err != nil {
			return nil, err
		}
		if len(rest) > 0 {
			return nil, malformed("more in an attribute than belongs there")
		}
		vals, err := children(set.Content, maxAttrs)
		if err != nil {
			return nil, err
		}
		a := Attribute{OID: oid}
		for _, v := range vals {
			a.Values = append(a.Values, v.Raw)
		}
		out = append(out, a)
	}
	return out, nil
}

func algorithm(el Element) (AlgorithmIdentifier, error) {
	if el.Tag != tagSequence {
		return AlgorithmIdentifier{}, malformed("AlgorithmIdentifier is not a SEQUENCE")
	}
	id, rest, err := expect(el.Content, tagOID)
	if err != nil {
		return AlgorithmIdentifier{}, err
	}
	oid, err := oidString(id.Content)
	if err != nil {
		return AlgorithmIdentifier{}, err
	}
	a := AlgorithmIdentifier{OID: oid}
	if len(rest) > 0 {
		p, more, err := Next(rest)
		if err != nil || len(more) > 0 {
			return a, malformed("AlgorithmIdentifier parameters")
		}
		a.Params = p.Raw
	}
	return a, nil
}

func smallInt(el Element) (int, error) {
	if el.Tag != tagInteger || len(el.Content) == 0 || len(el.Content) > 2 || el.Content[0]&0x80 != 0 {
		return 0, malformed("version")
	}
	return int(new(big.Int).SetBytes(el.Content).Int64()), nil
}

// LooksLikeSignedAttributes tells whether a content parses as the DER of a set
// of signed attributes (content-type and message-digest in it): the two forms can
// be turned into each other without the key (draft-ietf-lamps-cms-euf-cma-signeddata).
func LooksLikeSignedAttributes(content []byte) bool {
	if len(content) == 0 || content[0] != tagSet {
		return false
	}
	set, rest, err := Next(content)
	if err != nil || len(rest) > 0 {
		return false
	}
	attrs, err := attributes(set.Content)
	if err != nil {
		return false
	}
	has := func(oid string) bool {
		return slices.ContainsFunc(attrs, func(a Attribute) bool { return a.OID == oid })
	}
	return has(OIDContentType) || has(OIDMessageDigest)
}
