package xmldsig

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// value replaces references; attribute values get their white space normalised (XML
// 1.0, 2.11 and 3.3.3; without a DTD every attribute is CDATA).
func (p *parser) value(raw string, attribute bool) (string, error) {
	if err := p.characters(raw); err != nil {
		return "", err
	}
	special := "&\r"
	if attribute {
		special = "&\r\n\t"
	}
	if !strings.ContainsAny(raw, special) {
		return raw, nil
	}
	var b strings.Builder
	b.Grow(len(raw))
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '&':
			end := strings.IndexByte(raw[i:], ';')
			if end < 0 {
				return "", p.bad("& without ;")
			}
			r, err := p.reference(raw[i+1 : i+end])
			if err != nil {
				return "", err
			}
			b.WriteRune(r)
			i += end
		case c == '\r':
			if i+1 < len(raw) && raw[i+1] == '\n' {
				i++
			}
			if attribute {
				b.WriteByte(' ')
			} else {
				b.WriteByte('\n')
			}
		case attribute && (c == '\n' || c == '\t'):
			b.WriteByte(' ')
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), nil
}

func (p *parser) reference(name string) (rune, error) {
	switch name {
	case "amp":
		return '&', nil
	case "lt":
		return '<', nil
	case "gt":
		return '>', nil
	case "quot":
		return '"', nil
	case "apos":
		return '\'', nil
	}
	digits, base := "", 10
	if rest, ok := strings.CutPrefix(name, "#x"); ok {
		digits, base = rest, 16
	} else if rest, ok := strings.CutPrefix(name, "#"); ok {
		digits = rest
	} else {
		return 0, fmt.Errorf("%w: &%s;", ErrDTD, short(name))
	}
	n, err := strconv.ParseUint(digits, base, 32)
	if err != nil || digits[0] == '+' || n > utf8.MaxRune || !isChar(rune(n)) {
		return 0, p.bad("the reference &%s;", short(name))
	}
	return rune(n), nil
}

// characters refuses what is no character of XML 1.0 (2.2).
func (p *parser) characters(s string) error {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c < 0x20 && c != '\t' && c != '\n' && c != '\r' {
			return p.bad("the control character %#x", c)
		}
		// U+FFFE and U+FFFF; the text is known to be UTF-8.
		if c == 0xef && i+2 < len(s) && s[i+1] == 0xbf && s[i+2] >= 0xbe {
			return p.bad("the character U+FFFE or U+FFFF")
		}
	}
	return nil
}
