package pdf

import (
	"fmt"
	"io"
	"math"
	"strconv"
)

// lexer reads objects from a place of a file through a small window.
type lexer struct {
	r      io.ReaderAt
	size   int64
	pos    int64
	window []byte
	start  int64 // of window
	depth  int
	items  int
	held   int // bytes of the strings read so far
}

func newLexer(r io.ReaderAt, size, pos int64) *lexer { return &lexer{r: r, size: size, pos: pos} }

const windowSize = 4096

// peek gives the byte at pos+n; ok is false at the end.
func (l *lexer) peek(n int64) (byte, bool) {
	at := l.pos + n
	if at < 0 || at >= l.size {
		return 0, false
	}
	if at < l.start || at >= l.start+int64(len(l.window)) {
		if l.window == nil {
			l.window = make([]byte, windowSize)
		}
		l.window = l.window[:cap(l.window)]
		got, err := l.r.ReadAt(l.window[:min(int64(len(l.window)), l.size-at)], at)
		if got == 0 && err != nil {
			l.window = l.window[:0]
			return 0, false
		}
		l.window, l.start = l.window[:got], at
	}
	return l.window[at-l.start], true
}

func (l *lexer) bad(what string) error {
	return fmt.Errorf("%w: %s at byte %d", ErrMalformed, what, l.pos)
}

// isSpace and isDelimiter are tables 1 and 2 (7.2.3).
func isSpace(c byte) bool {
	return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f' || c == 0
}

func isDelimiter(c byte) bool {
	switch c {
	case '(', ')', '<', '>', '[', ']', '{', '}', '/', '%':
		return true
	}
	return false
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// space skips white space and comments.
func (l *lexer) space() {
	for {
		c, ok := l.peek(0)
		switch {
		case !ok:
			return
		case isSpace(c):
			l.pos++
		case c == '%':
			for ok && c != '\n' && c != '\r' {
				l.pos++
				c, ok = l.peek(0)
			}
		default:
			return
		}
	}
}

// word takes a keyword if it is next.
func (l *lexer) word(w string) bool {
	for i := range len(w) {
		if c, ok := l.peek(int64(i)); !ok || c != w[i] {
			return false
		}
	}
	if c, ok := l.peek(int64(len(w))); ok && !isSpace(c) && !isDelimiter(c) {
		return false
	}
	l.pos += int64(len(w))
	return true
}

// integer takes an unsigned integer of at most 12 digits.
func (l *lexer) integer() (int64, bool) {
	var n int64
	i := int64(0)
	for ; i < 12; i++ {
		c, ok := l.peek(i)
		if !ok || !isDigit(c) {
			break
		}
		n = n*10 + int64(c-'0')
	}
	if i == 0 {
		return 0, false
	}
	l.pos += i
	return n, true
}

// object reads the next object; stream bodies are not its matter.
func (l *lexer) object() (Object, error) {
	l.space()
	c, ok := l.peek(0)
	if !ok {
		return nil, l.bad("end of file")
	}
	if l.items++; l.items > maxItems {
		return nil, ErrTooLarge
	}
	switch {
	case c == '/':
		return l.name()
	case c == '(':
		return l.literal()
	case c == '<':
		if d, _ := l.peek(1); d == '<' {
			return nested(l, func() (Object, error) { return l.dict(nil) })
		}
		return l.hex()
	case c == '[':
		return nested(l, l.array)
	case isDigit(c) || c == '+' || c == '-' || c == '.':
		return l.number()
	case l.word("true"):
		return true, nil
	case l.word("false"):
		return false, nil
	case l.word("null"):
		return nil, nil
	}
	return nil, l.bad("no object")
}

func nested(l *lexer, read func() (Object, error)) (Object, error) {
	if l.depth++; l.depth > maxDepth {
		return nil, l.bad("nested too deep")
	}
	defer func() { l.depth-- }()
	return read()
}

func (l *lexer) name() (Object, error) {
	l.pos++
	var out []byte
	for {
		c, ok := l.peek(0)
		if !ok || isSpace(c) || isDelimiter(c) {
			return Name(out), nil
		}
		if len(out) >= 1024 {
			return nil, l.bad("long name")
		}
		if c == '#' {
			a, _ := l.peek(1)
			b, _ := l.peek(2)
			if h, ok := hexPair(a, b); ok {
				out = append(out, h)
				l.pos += 3
				continue
			}
		}
		out = append(out, c)
		l.pos++
	}
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case isDigit(c):
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

func hexPair(a, b byte) (byte, bool) {
	h, ok1 := hexDigit(a)
	g, ok2 := hexDigit(b)
	return h<<4 | g, ok1 && ok2
}

func (l *lexer) hex() (Object, error) {
	l.pos++
	var out []byte
	half, have := byte(0), false
	for {
		c, ok := l.peek(0)
		if !ok {
			return nil, l.bad("string without end")
		}
		l.pos++
		if c == '>' {
			if have {
				out = append(out, half<<4) // 7.3.4.3: a missing digit is 0
			}
			l.held += len(out)
			return String(out), nil
		}
		if isSpace(c) {
			continue
		}
		d, ok := hexDigit(c)
		if !ok {
			return nil, l.bad("hexadecimal string")
		}
		if have {
			out = append(out, half<<4|d)
		}
		half, have = d, !have
		if len(out)+l.held > maxString {
			return nil, ErrTooLarge
		}
	}
}

var escapes = map[byte]byte{'n': '\n', 'r': '\r', 't': '\t', 'b': '\b', 'f': '\f'}

func (l *lexer) literal() (Object, error) {
	l.pos++
	var out []byte
	for level := 1; ; l.pos++ {
		c, ok := l.peek(0)
		if !ok {
			return nil, l.bad("string without end")
		}
		if len(out)+l.held > maxString {
			return nil, ErrTooLarge
		}
		switch c {
		case '(':
			level++
		case ')':
			if level--; level == 0 {
				l.pos++
				l.held += len(out)
				return String(out), nil
			}
		case '\r': // 7.3.4.2: any end of line is a line feed
			if d, _ := l.peek(1); d == '\n' {
				continue
			}
			c = '\n'
		case '\\':
			l.pos++
			if c, ok = l.escape(); !ok {
				continue
			}
		}
		out = append(out, c)
	}
}

// escape reads what follows a reverse solidus and stands on its last byte; ok is false
// where it stands for nothing.
func (l *lexer) escape() (byte, bool) {
	c, _ := l.peek(0)
	if e, ok := escapes[c]; ok {
		return e, true
	}
	switch {
	case c == '\r':
		if d, _ := l.peek(1); d == '\n' {
			l.pos++
		}
		return 0, false
	case c == '\n':
		return 0, false
	case c >= '0' && c <= '7':
		n := int(c - '0')
		for range 2 {
			d, ok := l.peek(1)
			if !ok || d < '0' || d > '7' {
				break
			}
			n = n<<3 | int(d-'0')
			l.pos++
		}
		return byte(n), true
	}
	return c, true
}

// number reads a number, or a reference where two integers and an R stand.
func (l *lexer) number() (Object, error) {
	from := l.pos
	if n, ok := l.integer(); ok && n <= maxNumber {
		after := l.pos
		if c, ok := l.peek(0); ok && isSpace(c) {
			l.space()
			if g, ok := l.integer(); ok && g <= math.MaxUint16 {
				l.space()
				if l.word("R") {
					return Ref{int(n), int(g)}, nil
				}
			}
		}
		l.pos = after
	}
	l.pos = from
	var text []byte
	plain := true
	for {
		c, ok := l.peek(0)
		if !ok || isSpace(c) || isDelimiter(c) {
			break
		}
		if len(text) >= 64 {
			return nil, l.bad("number")
		}
		plain = plain && (isDigit(c) || c == '.' || c == '+' || c == '-')
		text = append(text, c)
		l.pos++
	}
	if n, err := strconv.ParseInt(string(text), 10, 64); err == nil {
		return n, nil
	}
	x, err := strconv.ParseFloat(string(text), 64)
	// "-1.#INF" and "--3" are seen in the field; readers take them for nothing, as they do
	// with what annex C, table C.1 has no room for.
	if size := math.Abs(x); err != nil || !plain || size > maxReal || size < 1/maxReal {
		return float64(0), nil
	}
	return x, nil
}

// maxReal is about the largest real number (ISO 32000-1, annex C).
const maxReal = 1e38

func (l *lexer) array() (Object, error) {
	l.pos++
	out := Array{}
	for {
		l.space()
		if c, ok := l.peek(0); ok && c == ']' {
			l.pos++
			return out, nil
		}
		o, err := l.object()
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
}

// dict reads a dictionary; spans, unless nil, gets the place of each value.
func (l *lexer) dict(spans map[Name]Span) (Object, error) {
	l.pos += 2
	out := Dict{}
	for {
		l.space()
		c, ok := l.peek(0)
		if !ok {
			return nil, l.bad("dictionary without end")
		}
		if c == '>' {
			if d, _ := l.peek(1); d != '>' {
				return nil, l.bad("dictionary")
			}
			l.pos += 2
			return out, nil
		}
		if c != '/' {
			return nil, l.bad("dictionary without a key")
		}
		key, err := l.name()
		if err != nil {
			return nil, err
		}
		l.space()
		from := l.pos
		v, err := l.object()
		if err != nil {
			return nil, err
		}
		name, _ := key.(Name)
		if _, twice := out[name]; twice && spans != nil {
			// Readers differ on which of two equal keys counts (7.3.7).
			return nil, l.bad("key " + string(name) + " stands twice")
		}
		out[name] = v
		if spans != nil {
			spans[name] = Span{from, l.pos}
		}
	}
}
