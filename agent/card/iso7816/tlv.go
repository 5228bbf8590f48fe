package iso7816

import (
	"errors"
	"fmt"
)

// TLV is one BER-TLV data object (ISO/IEC 7816-4, 6.3).
type TLV struct {
	Tag   uint32 // as written, e.g. 0x6F, 0x7F49, 0xBFA101
	Value []byte
}

// ErrTLV means bytes that are no BER-TLV.
var ErrTLV = errors.New("iso7816: not valid BER-TLV")

// ParseTLV reads all data objects of one level. Lengths are definite, tags have
// three bytes at most.
func ParseTLV(b []byte) ([]TLV, error) {
	var list []TLV
	for len(b) > 0 {
		tag, head, size, err := header(b)
		if err != nil {
			return nil, err
		}
		if size > len(b)-head {
			return nil, fmt.Errorf("%w: tag %X says %d bytes, %d are there", ErrTLV, tag, size, len(b)-head)
		}
		list = append(list, TLV{Tag: tag, Value: b[head : head+size : head+size]})
		b = b[head+size:]
	}
	return list, nil
}

// header reads tag and length: the tag, the bytes that both take, the length.
func header(b []byte) (tag uint32, head, size int, err error) {
	short := func() (uint32, int, int, error) { return 0, 0, 0, fmt.Errorf("%w: cut off", ErrTLV) }
	if len(b) < 2 {
		return short()
	}
	tag, head = uint32(b[0]), 1
	if b[0]&0x1F == 0x1F {
		for {
			if head >= len(b) {
				return short()
			}
			if head == 3 {
				return 0, 0, 0, fmt.Errorf("%w: a tag of more than three bytes", ErrTLV)
			}
			tag = tag<<8 | uint32(b[head])
			head++
			if b[head-1]&0x80 == 0 {
				break
			}
		}
	}
	if head >= len(b) {
		return short()
	}
	first := b[head]
	head++
	if first < 0x80 {
		return tag, head, int(first), nil
	}
	n := int(first & 0x7F)
	if n == 0 || n > 3 {
		return 0, 0, 0, fmt.Errorf("%w: a length in %d bytes", ErrTLV, n)
	}
	if head+n > len(b) {
		return short()
	}
	for _, x := range b[head : head+n] {
		size = size<<8 | int(x)
	}
	return tag, head + n, size, nil
}

// Children reads what a constructed object holds.
func (t TLV) Children() ([]TLV, error) { return ParseTLV(t.Value) }

// Find follows a path of tags and gives the last one's value.
func Find(b []byte, tags ...uint32) ([]byte, bool) {
	for _, tag := range tags {
		list, err := ParseTLV(b)
		if err != nil {
			return nil, false
		}
		found := false
		for _, t := range list {
			if t.Tag == tag {
				b, found = t.Value, true
				break
			}
		}
		if !found {
			return nil, false
		}
	}
	return b, true
}

// AppendTLV writes a data object; value is shorter than 16 MiB.
func AppendTLV(dst []byte, tag uint32, value []byte) []byte {
	for shift := 16; shift > 0; shift -= 8 {
		if tag>>shift != 0 {
			dst = append(dst, byte(tag>>shift))
		}
	}
	dst = append(dst, byte(tag))
	switch n := len(value); {
	case n < 0x80:
		dst = append(dst, byte(n))
	case n < 0x100:
		dst = append(dst, 0x81, byte(n))
	case n < 0x10000:
		dst = append(dst, 0x82, byte(n>>8), byte(n))
	default:
		dst = append(dst, 0x83, byte(n>>16), byte(n>>8), byte(n))
	}
	return append(dst, value...)
}

// ElementLength is the whole length of the element that b begins with: files of
// cards are padded after it.
func ElementLength(b []byte) (int, error) {
	_, head, size, err := header(b)
	if err != nil {
		return 0, err
	}
	return head + size, nil
}
