package cms

import (
	"bytes"
	"fmt"
)

// oidSubjectKeyIdentifier is 2.5.29.14 as content octets.
var oidSubjectKeyIdentifier = []byte{0x55, 0x1d, 0x0e}

// ParseCertificate reads what is needed to find a certificate and its key
// (RFC 5280, 4.1, Basic Certificate Fields). It is not a judgement: a negative
// serial number or an unknown key is kept as it is.
func ParseCertificate(raw []byte) (Certificate, error) {
	c := Certificate{Raw: raw}
	fail := func(err error) (Certificate, error) { return c, fmt.Errorf("certificate: %w", err) }
	outer, _, err := expect(raw, tagSequence)
	if err != nil {
		return fail(err)
	}
	tbs, _, err := expect(outer.Content, tagSequence)
	if err != nil {
		return fail(err)
	}
	el, rest, err := Next(tbs.Content)
	if err == nil && el.Tag == tagContext0 { // version
		el, rest, err = Next(rest)
	}
	if err != nil || el.Tag != tagInteger || len(el.Content) == 0 {
		return fail(malformed("serial number"))
	}
	c.Serial = el.Content
	var fields [5]Element // signature, issuer, validity, subject, SPKI
	for i := range fields {
		if fields[i], rest, err = expect(rest, tagSequence); err != nil {
			return fail(err)
		}
	}
	c.Issuer, c.Subject, c.SPKI = fields[1].Raw, fields[3].Raw, fields[4].Raw
	for len(rest) > 0 {
		if el, rest, err = Next(rest); err != nil {
			return fail(err)
		}
		if el.Tag == 0xA3 {
			c.SKI = subjectKeyIdentifier(el.Content)
		}
	}
	return c, nil
}

func subjectKeyIdentifier(extensions []byte) []byte {
	seq, _, err := expect(extensions, tagSequence)
	if err != nil {
		return nil
	}
	for content := seq.Content; len(content) > 0; {
		ext, rest, err := expect(content, tagSequence)
		if err != nil {
			return nil
		}
		content = rest
		id, rest, err := expect(ext.Content, tagOID)
		if err != nil || !bytes.Equal(id.Content, oidSubjectKeyIdentifier) {
			continue
		}
		for len(rest) > 0 { // critical, then the value
			var el Element
			if el, rest, err = Next(rest); err != nil {
				return nil
			}
			if el.Tag == tagOctetString {
				if v, _, err := expect(el.Content, tagOctetString); err == nil {
					return v.Content
				}
			}
		}
	}
	return nil
}

// Find gives the certificates that a signer names: by issuer and serial number
// (RFC 5652, 10.2.4) or by subject key identifier.
func (m *Message) Find(si *SignerInfo) []Certificate {
	var out []Certificate
	for _, c := range m.Certificates {
		fits := len(si.SKI) > 0 && bytes.Equal(c.SKI, si.SKI) ||
			si.SKI == nil && bytes.Equal(c.Serial, si.Serial) && bytes.Equal(c.Issuer, si.Issuer)
		if fits && !containsRaw(out, c.Raw) {
			out = append(out, c)
		}
	}
	return out
}

func containsRaw(cs []Certificate, raw []byte) bool {
	for _, c := range cs {
		if bytes.Equal(c.Raw, raw) {
			return true
		}
	}
	return false
}
