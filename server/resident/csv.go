package resident

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// Limits of a file.
const (
	MaxBytes = 64 << 20
	MaxRows  = 200_000
)

// Problem is what is wrong at a place of a file. Sentence and remedy are
// "registry.bad-<Code>" and "registry.do-<Code>". One of line 1 without Column is of the
// file, which cannot be read at all.
type Problem struct {
	Line   int
	Column string // the file's name of it
	Code   string
	Value  string // as it was written, shortened
	// Notice: the line is taken all the same.
	Notice bool
}

// fileError is a file that cannot be read at all.
type fileError struct{ Problem }

func (e *fileError) Error() string {
	return fmt.Sprintf("resident: line %d: %s %s", e.Line, e.Code, e.Value)
}

// form is how a file is written.
type form struct {
	windows bool // Windows-1252, else UTF-8
	comma   rune
}

// look reads a whole file once, piece by piece, and tells how it is written: UTF-8 where
// all of it is UTF-8, else Windows-1252; the separator that the head has more of.
func look(r io.Reader) (form, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	f := form{comma: ';'}
	head, err := b.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return f, err
	}
	if bytes.HasPrefix(head, []byte{0xff, 0xfe}) || bytes.HasPrefix(head, []byte{0xfe, 0xff}) {
		return f, &fileError{Problem{Line: 1, Code: "utf16"}}
	}
	if bytes.HasPrefix(head, []byte("PK\x03\x04")) || bytes.HasPrefix(head, []byte{0xd0, 0xcf, 0x11, 0xe0}) {
		return f, &fileError{Problem{Line: 1, Code: "sheet"}}
	}
	first, _ := b.Peek(8 << 10)
	if i := bytes.IndexByte(first, '\n'); i >= 0 {
		first = first[:i]
	}
	if bytes.Count(first, []byte(",")) > bytes.Count(first, []byte(";")) {
		f.comma = ','
	}
	var rest []byte // a character that began in the piece before
	piece := make([]byte, 64<<10)
	for line := 1; ; {
		n, err := b.Read(piece)
		if i := bytes.IndexByte(piece[:n], 0); i >= 0 {
			return f, &fileError{Problem{Line: line + bytes.Count(piece[:i], []byte("\n")), Code: "binary"}}
		}
		line += bytes.Count(piece[:n], []byte("\n"))
		if !f.windows {
			rest = append(rest, piece[:n]...)
			whole := len(rest)
			for back := 1; back <= min(utf8.UTFMax-1, whole); back++ {
				if utf8.RuneStart(rest[whole-back]) {
					if !utf8.FullRune(rest[whole-back:]) {
						whole -= back
					}
					break
				}
			}
			f.windows = !utf8.Valid(rest[:whole])
			rest = append(rest[:0], rest[whole:]...)
		}
		if errors.Is(err, io.EOF) {
			f.windows = f.windows || len(rest) > 0
			return f, nil
		}
		if err != nil {
			return f, err
		}
	}
}

// row is a line that was read; bad are its problems that keep it out.
type row struct {
	Line     int
	Data     Data
	Problems []Problem
}

func (r *row) bad() bool {
	for _, p := range r.Problems {
		if !p.Notice {
			return true
		}
	}
	return false
}

// maxLine bounds one line in bytes, those inside quotes with it.
const maxLine = 64 << 10

// frugal gives a line no more than its share: a file that is one endless line, or a quote
// that never ends, would be held in memory as a whole, with a number for each of its fields.
// Blank lines cost nothing.
type frugal struct {
	r    io.Reader
	left int
	last byte
}

var errLine = errors.New("resident: the line is too long")

func (f *frugal) Read(b []byte) (int, error) {
	if f.left <= 0 {
		return 0, errLine
	}
	n, err := f.r.Read(b[:min(len(b), 4<<10)])
	for _, x := range b[:n] {
		if (x != '\n' && x != '\r') || f.last != '\n' {
			f.left--
		}
		if x != '\r' {
			f.last = x
		}
	}
	return n, err
}

// parser reads a file line by line; it holds one line and the codes that it has seen.
type parser struct {
	r       *csv.Reader
	share   *frugal
	last    int // line of the one before
	now     time.Time
	columns []int // place of each of Columns in a line; -1: not there
	heads   []string
	seen    map[string]int
	rows    int
	Ignored []string // columns of the file that are not taken
}

// newParser reads the head.
func newParser(r io.Reader, f form, now time.Time) (*parser, error) {
	if f.windows {
		r = charmap.Windows1252.NewDecoder().Reader(r)
	}
	b := bufio.NewReader(r)
	if head, _ := b.Peek(3); bytes.Equal(head, []byte("\ufeff")) {
		_, _ = b.Discard(3)
	}
	p := &parser{share: &frugal{r: b, left: maxLine}, now: now, seen: map[string]int{}}
	p.r = csv.NewReader(p.share)
	p.r.Comma, p.r.FieldsPerRecord, p.r.ReuseRecord = f.comma, -1, true
	head, err := p.r.Read()
	if errors.Is(err, errLine) {
		return nil, &fileError{Problem{Line: 1, Code: "line"}}
	}
	if errors.Is(err, io.EOF) {
		return nil, &fileError{Problem{Line: 1, Code: "empty"}}
	}
	var wrong *csv.ParseError
	if errors.As(err, &wrong) {
		return nil, &fileError{Problem{Line: wrong.Line, Code: "quotes"}}
	}
	if err != nil {
		return nil, err
	}
	if len(head) > 200 {
		return nil, &fileError{Problem{Line: 1, Code: "head"}}
	}
	where := map[string]int{}
	for i, h := range head {
		h = headName(h)
		p.heads = append(p.heads, short(h))
		if _, twice := where[h]; twice && h != "" {
			return nil, &fileError{Problem{Line: 1, Column: short(h), Code: "column-twice"}}
		}
		where[h] = i
	}
	for _, c := range Columns {
		i, ok := where[c.Name]
		if !ok {
			i = -1
		}
		if !ok && !c.Optional {
			return nil, &fileError{Problem{Line: 1, Column: c.Name, Code: "column-missing"}}
		}
		delete(where, c.Name)
		p.columns = append(p.columns, i)
	}
	for _, h := range p.heads {
		if _, left := where[h]; left && h != "" && len(p.Ignored) < 50 {
			p.Ignored = append(p.Ignored, h)
		}
	}
	return p, nil
}

// headName takes "Codice Fiscale" and "CODICE-FISCALE" for codice_fiscale.
func headName(s string) string {
	return strings.ToLower(strings.NewReplacer(" ", "_", "-", "_", "__", "_").Replace(fold(s)))
}

func short(s string) string {
	if r := []rune(tidy(s)); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return tidy(s)
}

// next reads a line; io.EOF after the last one. A fileError: there are more lines than a
// file may have.
func (p *parser) next() (*row, error) {
	p.share.left = maxLine
	rec, err := p.r.Read()
	if errors.Is(err, errLine) {
		return nil, &fileError{Problem{Line: p.last + 1, Code: "line"}}
	}
	var wrong *csv.ParseError
	if errors.As(err, &wrong) {
		if p.rows++; p.rows > MaxRows {
			return nil, &fileError{Problem{Line: wrong.StartLine, Code: "rows"}}
		}
		return &row{Line: wrong.StartLine, Problems: []Problem{{Line: wrong.StartLine, Code: "quotes"}}}, nil
	}
	if err != nil {
		return nil, err
	}
	line, _ := p.r.FieldPos(0)
	p.last = line
	if p.rows++; p.rows > MaxRows {
		return nil, &fileError{Problem{Line: line, Code: "rows"}}
	}
	out := &row{Line: line}
	say := func(column, code, value string, notice bool) {
		out.Problems = append(out.Problems, Problem{Line: line, Column: column, Code: code, Value: short(value), Notice: notice})
	}
	if len(rec) != len(p.heads) {
		say("", "fields", fmt.Sprintf("%d/%d", len(rec), len(p.heads)), false)
		return out, nil
	}
	for k, c := range Columns {
		if p.columns[k] < 0 {
			continue
		}
		raw := rec[p.columns[k]]
		v, code := c.check(raw, p.now)
		if code != "" {
			say(c.Name, code, raw, false)
			continue
		}
		*c.at(&out.Data) = strings.Clone(v) // rec is used again
	}
	d := &out.Data
	if d.Code != "" {
		if first, twice := p.seen[d.Code]; twice {
			say("codice_fiscale", "twice", fmt.Sprint(first), false)
		} else {
			p.seen[d.Code] = line
		}
	}
	if d.Since != "" && d.Until != "" && d.Until < d.Since {
		say("residente_fino_al", "until", d.Until, false)
	}
	if !out.bad() {
		if field, code := d.odd(p.now); code != "" {
			c, _ := ColumnOf(field)
			say(c.Name, code, d.Get(field), true)
		}
	}
	return out, nil
}
