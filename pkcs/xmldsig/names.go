package xmldsig

import (
	"strings"
	"unicode/utf8"
)

func split(name string) (prefix, local string, ok bool) {
	prefix, local, found := strings.Cut(name, ":")
	if !found {
		return "", name, true
	}
	return prefix, local, isName(prefix) && isName(local) && !strings.Contains(local, ":")
}

func lineEnds(s string) string {
	if strings.IndexByte(s, '\r') < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func isChar(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' || r >= 0x20 && r <= 0xd7ff || r >= 0xe000 && r <= 0xfffd || r >= 0x10000 && r <= 0x10ffff
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == ':' || c == '-' || c == '.'
}

// isNameRune is XML 1.0, 2.3, productions 4 and 4a, above ASCII.
func isNameRune(r rune) bool {
	return isNameStart(r) || r == 0xb7 || r >= 0x300 && r <= 0x36f || r == 0x203f || r == 0x2040
}

func isNameStart(r rune) bool {
	for _, x := range nameStarts {
		if r >= x[0] && r <= x[1] {
			return true
		}
	}
	return false
}

var nameStarts = [][2]rune{
	{'a', 'z'}, {'A', 'Z'}, {'_', '_'}, {':', ':'}, {0xc0, 0xd6}, {0xd8, 0xf6}, {0xf8, 0x2ff}, {0x370, 0x37d}, {0x37f, 0x1fff},
	{0x200c, 0x200d}, {0x2070, 0x218f}, {0x2c00, 0x2fef}, {0x3001, 0xd7ff}, {0xf900, 0xfdcf}, {0xfdf0, 0xfffd}, {0x10000, 0xeffff},
}

func isName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i, r := range s {
		if i == 0 && !isNameStart(r) || r < utf8.RuneSelf && !isNameByte(byte(r)) || r >= utf8.RuneSelf && !isNameRune(r) {
			return false
		}
	}
	return true
}

// short keeps a stranger's text in an error short.
func short(s string) string {
	if len(s) > 64 {
		s = s[:64] + "..."
	}
	return strings.ToValidUTF8(s, "?")
}
