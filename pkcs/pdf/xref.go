package pdf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
)

// entry is where an object is: in the file, in an object stream, or nowhere.
type entry struct {
	offset int64 // kind 1
	gen    int
	stream int // kind 2: the object stream's number
	index  int
	kind   byte // 0 free, 1 in use, 2 compressed
}

// Section is one cross-reference section (7.5.4, 7.5.8).
type Section struct {
	Offset  int64
	Trailer Dict
	// Stream: it is a cross-reference stream.
	Stream bool
}

// tail is how much of a file's end is searched for startxref.
const tail = 2048

// startXRef finds the offset that the last startxref names (7.5.5).
func (f *File) startXRef() (int64, error) {
	from := max(0, f.size-tail)
	buf := make([]byte, f.size-from)
	if _, err := f.r.ReadAt(buf, from); err != nil && err != io.EOF {
		return 0, fmt.Errorf("pdf: %w", err)
	}
	at := bytes.LastIndex(buf, []byte("startxref"))
	if at < 0 {
		return 0, fmt.Errorf("%w: no startxref at its end", ErrMalformed)
	}
	l := newLexer(f.r, f.size, from+int64(at)+9)
	l.space()
	n, ok := l.integer()
	if !ok || n >= f.size {
		return 0, l.bad("startxref")
	}
	l.pos = from + int64(at)
	f.startXRefAt = l.pos
	return n, nil
}

// load reads the chain of sections, newest first: the first entry of a number counts.
func (f *File) load() error {
	at, err := f.startXRef()
	if err != nil {
		return err
	}
	seen := map[int64]bool{}
	for {
		if seen[at] || len(f.Sections) >= maxSections {
			return fmt.Errorf("%w: the cross-reference sections do not end", ErrMalformed)
		}
		seen[at] = true
		s, err := f.section(f.headOffset + at)
		if err != nil {
			return err
		}
		f.Sections = append(f.Sections, *s)
		// 7.5.8.4: a table may have a stream beside it for readers that know streams.
		if also, ok := s.Trailer["XRefStm"].(int64); ok && !s.Stream {
			if _, err := f.section(f.headOffset + also); err != nil {
				return err
			}
		}
		prev, ok := s.Trailer["Prev"].(int64)
		if !ok {
			if x, real := s.Trailer["Prev"].(float64); real && x == float64(int64(x)) {
				prev, ok = int64(x), true
			}
		}
		if !ok || prev == 0 { // some writers put 0 where nothing precedes
			break
		}
		if prev < 0 || prev >= f.size {
			return fmt.Errorf("%w: Prev is outside the file", ErrMalformed)
		}
		at = prev
	}
	f.Trailer = f.Sections[0].Trailer
	if f.Trailer["Root"] == nil {
		return fmt.Errorf("%w: the trailer has no Root", ErrMalformed)
	}
	return nil
}

func (f *File) add(num int64, e entry) error {
	if num < 0 || num > maxNumber {
		return fmt.Errorf("%w: object number %d", ErrMalformed, num)
	}
	if _, known := f.entries[int(num)]; known {
		return nil
	}
	if len(f.entries) >= maxObjects {
		return fmt.Errorf("%w: more than %d objects", ErrTooLarge, maxObjects)
	}
	f.entries[int(num)] = e
	return nil
}

func (f *File) section(at int64) (*Section, error) {
	if at < 0 || at >= f.size {
		return nil, fmt.Errorf("%w: a cross-reference is outside the file", ErrMalformed)
	}
	l := newLexer(f.r, f.size, at)
	l.space()
	if l.word("xref") {
		return f.table(l, at)
	}
	s, err := f.indirectAt(l.pos, -1)
	if err != nil {
		return nil, err
	}
	stream, ok := s.(*Stream)
	if !ok || stream.Dict["Type"] != Name("XRef") {
		return nil, fmt.Errorf("%w: no cross-reference at byte %d", ErrMalformed, at)
	}
	return &Section{at, stream.Dict, true}, f.xrefStream(stream)
}

// table reads a cross-reference table (7.5.4).
func (f *File) table(l *lexer, at int64) (*Section, error) {
	for {
		l.space()
		if l.word("trailer") {
			break
		}
		first, ok1 := l.integer()
		l.space()
		count, ok2 := l.integer()
		if !ok1 || !ok2 || count > maxNumber {
			return nil, l.bad("cross-reference table")
		}
		for i := range count {
			l.space()
			offset, ok1 := l.integer()
			l.space()
			gen, ok2 := l.integer()
			l.space()
			c, ok3 := l.peek(0)
			if !ok1 || !ok2 || !ok3 || (c != 'n' && c != 'f') {
				return nil, l.bad("cross-reference entry")
			}
			l.pos++
			e := entry{kind: 1, offset: f.headOffset + offset, gen: int(gen)}
			if c == 'f' {
				e = entry{gen: int(gen)}
			}
			// Many writers count the table's first object wrongly from 1.
			if i == 0 && first == 1 && c == 'f' && gen == 65535 {
				first = 0
			}
			if err := f.add(first+i, e); err != nil {
				return nil, err
			}
		}
	}
	o, err := l.object()
	if err != nil {
		return nil, err
	}
	d, ok := o.(Dict)
	if !ok {
		return nil, l.bad("trailer")
	}
	return &Section{Offset: at, Trailer: d}, nil
}

// xrefStream reads a cross-reference stream's entries (7.5.8.3).
func (f *File) xrefStream(s *Stream) error {
	data, err := f.Decode(s)
	if err != nil {
		return err
	}
	var w [3]int64
	widths, _ := s.Dict["W"].(Array)
	if len(widths) < 3 {
		return fmt.Errorf("%w: cross-reference stream without W", ErrMalformed)
	}
	for i := range w {
		n, ok := widths[i].(int64)
		if !ok || n < 0 || n > 8 {
			return fmt.Errorf("%w: W of a cross-reference stream", ErrMalformed)
		}
		w[i] = n
	}
	row := w[0] + w[1] + w[2]
	index, _ := s.Dict["Index"].(Array)
	if index == nil {
		size, _ := s.Dict["Size"].(int64)
		index = Array{int64(0), size}
	}
	if row == 0 {
		return fmt.Errorf("%w: W of a cross-reference stream", ErrMalformed)
	}
	for i := 0; i+1 < len(index); i += 2 {
		first, _ := index[i].(int64)
		count, _ := index[i+1].(int64)
		for k := int64(0); k < count && int64(len(data)) >= row; k++ {
			kind, a, b := int64(1), field(data[w[0]:w[0]+w[1]]), field(data[w[0]+w[1]:row])
			if w[0] > 0 {
				kind = field(data[:w[0]])
			}
			data = data[row:]
			e := entry{kind: byte(kind)}
			switch kind {
			case 0:
			case 1:
				e.offset, e.gen = f.headOffset+a, int(b)
			case 2:
				if a < 0 || a > maxNumber || b < 0 || b > maxNumber {
					return fmt.Errorf("%w: entry of a cross-reference stream", ErrMalformed)
				}
				e.stream, e.index = int(a), int(b)
			default:
				continue // 7.5.8.3: a reference to null
			}
			if err := f.add(first+k, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// field is a big-endian number of up to eight bytes; what does not fit is negative.
func field(b []byte) int64 {
	var buf [8]byte
	copy(buf[8-len(b):], b)
	return int64(binary.BigEndian.Uint64(buf[:])) //nolint:gosec // a negative one is refused where it is used
}

// rebuild finds objects by their headers where the cross-reference cannot be read. The
// last of a number counts; what it gives is a guess, and File.Rebuilt says so.
func (f *File) rebuild() error {
	f.Rebuilt = true
	clear(f.entries)
	clear(f.streams)
	f.order, f.kept = nil, 0
	f.Sections = nil
	const overlap = 64
	buf := make([]byte, 256<<10)
	trailer := Dict{}
	for base := int64(0); base < f.size; base += int64(len(buf)) - overlap {
		n, err := f.r.ReadAt(buf[:min(int64(len(buf)), f.size-base)], base)
		if err != nil && err != io.EOF {
			return fmt.Errorf("pdf: %w", err)
		}
		part := buf[:n]
		for i := 0; ; {
			k := bytes.Index(part[i:], []byte("obj"))
			if k < 0 {
				break
			}
			i += k + 3
			if num, from, ok := headBefore(part[:i-3]); ok && num <= maxNumber {
				if len(f.entries) >= maxObjects {
					return ErrTooLarge
				}
				f.entries[num] = entry{kind: 1, offset: base + int64(from)}
			}
		}
		for i := 0; ; {
			k := bytes.Index(part[i:], []byte("trailer"))
			if k < 0 {
				break
			}
			i += k + 7
			if o, err := newLexer(f.r, f.size, base+int64(i)).object(); err == nil {
				if d, ok := o.(Dict); ok {
					maps.Copy(trailer, d)
				}
			}
		}
	}
	for num := range maps.Clone(f.entries) {
		o, err := f.Get(Ref{Num: num})
		if err != nil {
			continue
		}
		switch o := o.(type) {
		case Dict:
			if o["Type"] == Name("Catalog") && trailer["Root"] == nil {
				trailer["Root"] = Ref{Num: num}
			}
		case *Stream:
			if o.Dict["Type"] == Name("XRef") && o.Dict["Root"] != nil && trailer["Root"] == nil {
				trailer["Root"], trailer["Encrypt"] = o.Dict["Root"], o.Dict["Encrypt"]
			}
			if o.Dict["Type"] == Name("ObjStm") {
				f.rebuildPacked(num)
			}
		}
	}
	if trailer["Encrypt"] == nil {
		delete(trailer, "Encrypt")
	}
	if trailer["Root"] == nil {
		return fmt.Errorf("%w: no catalogue", ErrMalformed)
	}
	f.Trailer = trailer
	return nil
}

func (f *File) rebuildPacked(stream int) {
	p, err := f.packed(stream)
	if err != nil {
		return
	}
	for i, num := range p.numbers {
		if _, known := f.entries[num]; !known && len(f.entries) < maxObjects {
			f.entries[num] = entry{kind: 2, stream: stream, index: i}
		}
	}
}

// headBefore reads "12 0 " backwards from the end of b.
func headBefore(b []byte) (num, from int, ok bool) {
	i := len(b)
	skip := func(is func(byte) bool) int {
		n := 0
		for i > 0 && is(b[i-1]) && n < 10 {
			i--
			n++
		}
		return n
	}
	if skip(isSpace) == 0 || skip(isDigit) == 0 || skip(isSpace) == 0 {
		return 0, 0, false
	}
	end := i
	if skip(isDigit) == 0 {
		return 0, 0, false
	}
	for _, c := range b[i:end] {
		num = num*10 + int(c-'0')
	}
	return num, i, true
}
