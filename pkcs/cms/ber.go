package cms

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// Errors of the parser. ErrNotCMS means that the input is something else;
// ErrMalformed that it starts like CMS and cannot be read; ErrTooLarge that a
// limit was met.
var (
	ErrNotCMS    = errors.New("cms: not a CMS SignedData")
	ErrMalformed = errors.New("cms: malformed")
	ErrTooLarge  = errors.New("cms: larger than the limit")
)

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}

// Identifier octets (ITU-T X.690, 8.1.2) of what CMS uses.
const (
	tagBoolean     = 0x01
	tagInteger     = 0x02
	tagBitString   = 0x03
	tagOctetString = 0x04
	tagNull        = 0x05
	tagOID         = 0x06
	tagUTCTime     = 0x17
	tagGenTime     = 0x18
	tagSequence    = 0x30
	tagSet         = 0x31
	tagConstructed = 0x20
	tagContext0    = 0xA0
	tagContext1    = 0xA1
)

// maxDepth bounds nesting; the deepest honest structure (a name in an extension
// of a certificate) stays below 20.
const maxDepth = 40

// Element is one BER element in memory.
type Element struct {
	Tag byte // identifier octet; high tag numbers are refused
	// Content excludes the end-of-contents octets of an indefinite length.
	Content []byte
	// Raw is the element as received, header and end-of-contents included.
	Raw        []byte
	Indefinite bool
}

// header reads an identifier and a length. length is -1 when indefinite.
func header(data []byte) (tag byte, length, size int, err error) {
	if len(data) < 2 {
		return 0, 0, 0, malformed("element cut off")
	}
	tag = data[0]
	if tag&0x1f == 0x1f {
		return 0, 0, 0, malformed("high tag number")
	}
	b := data[1]
	switch {
	case b < 0x80:
		return tag, int(b), 2, nil
	case b == 0x80:
		if tag&tagConstructed == 0 {
			return 0, 0, 0, malformed("indefinite length of a primitive element")
		}
		return tag, -1, 2, nil
	case b == 0xff || b&0x7f > 8:
		return 0, 0, 0, malformed("length of %d octets", b&0x7f)
	}
	n := int(b & 0x7f)
	if len(data) < 2+n {
		return 0, 0, 0, malformed("length cut off")
	}
	for _, c := range data[2 : 2+n] {
		if length >= 1<<54 {
			return 0, 0, 0, malformed("length out of range")
		}
		length = length<<8 | int(c)
	}
	return tag, length, 2 + n, nil
}

// Next reads the first element of data.
func Next(data []byte) (el Element, rest []byte, err error) { return next(data, 0) }

func next(data []byte, depth int) (el Element, rest []byte, err error) {
	tag, length, size, err := header(data)
	if err != nil {
		return el, nil, err
	}
	if length >= 0 {
		if length > len(data)-size {
			return el, nil, malformed("element of %d bytes in %d", length, len(data)-size)
		}
		end := size + length
		return Element{Tag: tag, Content: data[size:end:end], Raw: data[:end:end]}, data[end:], nil
	}
	if depth >= maxDepth {
		return el, nil, malformed("nested too deeply")
	}
	body := data[size:]
	for {
		if len(body) >= 2 && body[0] == 0 && body[1] == 0 {
			end := len(data) - len(body)
			return Element{Tag: tag, Content: data[size:end:end], Raw: data[: end+2 : end+2], Indefinite: true}, data[end+2:], nil
		}
		if _, body, err = next(body, depth+1); err != nil {
			return el, nil, err
		}
	}
}

// expect reads an element of a given tag.
func expect(data []byte, tag byte) (el Element, rest []byte, err error) {
	el, rest, err = Next(data)
	if err == nil && el.Tag != tag {
		return el, nil, malformed("tag %#02x where %#02x belongs", el.Tag, tag)
	}
	return el, rest, err
}

// children splits a constructed element's content.
func children(content []byte, most int) ([]Element, error) {
	var out []Element
	if len(content) > 0 {
		out = make([]Element, 0, 8)
	}
	for len(content) > 0 {
		el, rest, err := Next(content)
		if err != nil {
			return nil, err
		}
		if len(out) >= most {
			return nil, fmt.Errorf("%w: more than %d elements", ErrTooLarge, most)
		}
		out = append(out, el)
		content = rest
	}
	return out, nil
}

// octets joins an OCTET STRING, primitive or constructed (X.690, 8.7).
func octets(el Element) ([]byte, error) { return joinOctets(el, 0) }

func joinOctets(el Element, depth int) ([]byte, error) {
	switch {
	case el.Tag == tagOctetString:
		return el.Content, nil
	case el.Tag != tagOctetString|tagConstructed:
		return nil, malformed("tag %#02x where an OCTET STRING belongs", el.Tag)
	case depth >= maxDepth:
		return nil, malformed("nested too deeply")
	}
	var out []byte
	for content := el.Content; len(content) > 0; {
		part, rest, err := Next(content)
		if err != nil {
			return nil, err
		}
		b, err := joinOctets(part, depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, b...)
		content = rest
	}
	return out, nil
}

// AppendDER appends the DER form of a BER element: definite minimal lengths,
// strings in one piece, SET OF sorted (X.690, 10 and 11.6).
func AppendDER(dst, raw []byte) ([]byte, error) {
	el, rest, err := Next(raw)
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return nil, malformed("trailing bytes")
	}
	return appendDER(dst, el, 0)
}

func appendDER(dst []byte, el Element, depth int) ([]byte, error) {
	if depth >= maxDepth {
		return nil, malformed("nested too deeply")
	}
	if el.Tag&tagConstructed == 0 {
		return appendElement(dst, el.Tag, el.Content), nil
	}
	if el.Tag == tagOctetString|tagConstructed {
		b, err := octets(el)
		if err != nil {
			return nil, err
		}
		return appendElement(dst, tagOctetString, b), nil
	}
	var parts [][]byte
	for content := el.Content; len(content) > 0; {
		child, rest, err := next(content, depth)
		if err != nil {
			return nil, err
		}
		part, err := appendDER(nil, child, depth+1)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
		content = rest
	}
	if el.Tag == tagSet {
		slices.SortFunc(parts, bytes.Compare)
	}
	return appendElement(dst, el.Tag, bytes.Join(parts, nil)), nil
}

func appendElement(dst []byte, tag byte, content []byte) []byte {
	dst = appendHeader(dst, tag, int64(len(content)))
	return append(dst, content...)
}

// appendHeader writes an identifier and a definite, minimal length.
func appendHeader(dst []byte, tag byte, length int64) []byte {
	dst = append(dst, tag)
	if length < 0x80 {
		return append(dst, byte(length))
	}
	var b [8]byte
	n := 0
	for v := length; v > 0; v >>= 8 {
		n++
		b[8-n] = byte(v)
	}
	dst = append(dst, 0x80|byte(n))
	return append(dst, b[8-n:]...)
}

// headerSize is the size of the header of a definite element.
func headerSize(length int64) int64 {
	n := int64(2)
	if length >= 0x80 {
		for v := length; v > 0; v >>= 8 {
			n++
		}
	}
	return n
}

// IsDER tells whether an element is in DER already, without building it again.
func IsDER(raw []byte) bool {
	el, rest, err := Next(raw)
	return err == nil && len(rest) == 0 && isDER(el, 0)
}

func isDER(el Element, depth int) bool {
	if el.Indefinite || depth >= maxDepth || int64(len(el.Raw)-len(el.Content)) != headerSize(int64(len(el.Content))) {
		return false
	}
	if el.Tag&tagConstructed == 0 {
		return true
	}
	if el.Tag == tagOctetString|tagConstructed {
		return false
	}
	var last []byte
	for content := el.Content; len(content) > 0; {
		child, rest, err := next(content, depth)
		if err != nil || !isDER(child, depth+1) {
			return false
		}
		if el.Tag == tagSet && last != nil && bytes.Compare(last, child.Raw) > 0 {
			return false
		}
		last, content = child.Raw, rest
	}
	return true
}
