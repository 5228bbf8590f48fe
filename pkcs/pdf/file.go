package pdf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
)

// File is one revision of a PDF, or the whole of it: what a reader sees that opens the
// bytes up to an end. It is not safe for concurrent use.
type File struct {
	r    io.ReaderAt
	size int64
	// headOffset is where %PDF- stands: offsets count from there (annex H.3, note 13).
	headOffset  int64
	startXRefAt int64
	entries     map[int]entry
	// Sections are the cross-reference sections, newest first.
	Sections []Section
	Trailer  Dict
	// Rebuilt: the cross-reference could not be read and objects were searched for.
	Rebuilt bool
	// Problem says why it was rebuilt.
	Problem error

	streams map[int]*packed
	order   []int // of those that were read
	kept    int   // bytes of them
	decoded int64 // bytes in all, read again or not
	loading map[int]bool
	crypt   *crypt
	locked  bool
}

// Open reads the cross-reference of size bytes. A file whose cross-reference is broken
// is searched for objects, as readers do; Rebuilt tells.
func Open(r io.ReaderAt, size int64) (*File, error) {
	f, err := open(r, size)
	if err != nil {
		return nil, err
	}
	problem := f.load()
	if problem == nil {
		f.unlock()
		if f.Dict(f.Catalog()["Pages"]) == nil && !f.locked {
			problem = fmt.Errorf("%w: the catalogue or its pages are not there", ErrMalformed)
		}
	}
	if problem != nil {
		if errors.Is(problem, ErrTooLarge) {
			return nil, problem
		}
		f.Problem = problem
		if err := f.rebuild(); err != nil {
			return nil, errors.Join(err, problem)
		}
		f.unlock()
	}
	return f, nil
}

func open(r io.ReaderAt, size int64) (*File, error) {
	head := make([]byte, min(size, 1024))
	if _, err := r.ReadAt(head, 0); err != nil && err != io.EOF {
		return nil, fmt.Errorf("pdf: %w", err)
	}
	at := bytes.Index(head, []byte("%PDF-"))
	if at < 0 {
		return nil, ErrNotPDF
	}
	return &File{r: r, size: size, headOffset: int64(at), entries: map[int]entry{}, streams: map[int]*packed{}, loading: map[int]bool{}}, nil
}

// Size is the file's length in bytes.
func (f *File) Size() int64 { return f.size }

// Encrypted tells whether strings and streams are encrypted (7.6).
func (f *File) Encrypted() bool { return f.Trailer["Encrypt"] != nil }

// Linearized files have two sections that are one revision (annex F).
func (f *File) Linearized() bool {
	o, err := f.firstObject()
	d, ok := o.(Dict)
	return err == nil && ok && d["Linearized"] != nil
}

func (f *File) firstObject() (Object, error) {
	l := newLexer(f.r, f.size, f.headOffset)
	l.space()
	return f.indirectAt(l.pos, -1)
}

// Revisions counts the file's revisions by its cross-reference sections.
func (f *File) Revisions() int {
	n := len(f.Sections)
	if n > 1 && f.Linearized() {
		n--
	}
	return max(1, n)
}

// Cost is about how many objects were read to open the file.
func (f *File) Cost() int {
	n := len(f.entries)
	if f.Rebuilt {
		n += int(f.size / 4096) // it was searched through
	}
	return n
}

// Numbers are all object numbers in use, sorted.
func (f *File) Numbers() []int {
	out := make([]int, 0, len(f.entries))
	for n, e := range f.entries {
		if e.kind != 0 {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// SameEntry tells whether two revisions have an object at the same place: its bytes are
// the same then.
func (f *File) SameEntry(g *File, num int) bool {
	a, b := f.entries[num], g.entries[num]
	if a != b {
		return a.kind == 0 && b.kind == 0
	}
	return a.kind != 2 || f.entries[a.stream] == g.entries[a.stream]
}

// At gives where an object begins in the file; ok is false for one in an object stream
// or none.
func (f *File) At(num int) (offset int64, ok bool) {
	e := f.entries[num]
	return e.offset, e.kind == 1
}

// Get reads an indirect object; nil for one that is not there (7.3.10).
func (f *File) Get(ref Ref) (Object, error) {
	e, ok := f.entries[ref.Num]
	switch {
	case !ok || e.kind == 0:
		return nil, nil
	case e.kind == 1:
		o, gen, err := f.indirect(e.offset, ref.Num)
		if err == nil && f.crypt != nil {
			o = f.crypt.clear(o, ref.Num, gen)
		}
		return o, err
	}
	p, err := f.packed(e.stream)
	if err != nil {
		return nil, err
	}
	return p.get(e.index, ref.Num)
}

// Resolve follows references to a direct object; what cannot be read is nil.
func (f *File) Resolve(o Object) Object {
	for range 16 {
		ref, ok := o.(Ref)
		if !ok {
			return o
		}
		var err error
		if o, err = f.Get(ref); err != nil {
			return nil
		}
	}
	return nil
}

// Dict resolves to a dictionary (a stream's own included), nil if it is something else.
func (f *File) Dict(o Object) Dict {
	switch o := f.Resolve(o).(type) {
	case Dict:
		return o
	case *Stream:
		return o.Dict
	}
	return nil
}

// Array resolves to an array, nil if it is something else.
func (f *File) Array(o Object) Array {
	a, _ := f.Resolve(o).(Array)
	return a
}

// Name resolves to a name, empty if it is something else.
func (f *File) Name(o Object) Name {
	n, _ := f.Resolve(o).(Name)
	return n
}

// Int resolves to an integer.
func (f *File) Int(o Object) (int64, bool) {
	n, ok := f.Resolve(o).(int64)
	return n, ok
}

// Catalog is the document's catalogue (7.7.2).
func (f *File) Catalog() Dict { return f.Dict(f.Trailer["Root"]) }

// header reads "12 0 obj".
func header(l *lexer) (num, gen int, ok bool) {
	l.space()
	n, ok1 := l.integer()
	l.space()
	g, ok2 := l.integer()
	l.space()
	return int(n), int(g), ok1 && ok2 && n <= maxNumber && l.objWord()
}

// objWord takes "obj", which some writers do not separate from what follows.
func (l *lexer) objWord() bool {
	for i, c := range []byte("obj") {
		if d, ok := l.peek(int64(i)); !ok || c != d {
			return false
		}
	}
	l.pos += 3
	return true
}

// indirectAt reads the indirect object at an offset as it stands there, encrypted or not;
// want is its number, -1 for any.
func (f *File) indirectAt(at int64, want int) (Object, error) {
	o, _, err := f.indirect(at, want)
	return o, err
}

func (f *File) indirect(at int64, want int) (o Object, gen int, err error) {
	if at < 0 || at >= f.size {
		return nil, 0, fmt.Errorf("%w: object %d is outside the file", ErrMalformed, want)
	}
	l := newLexer(f.r, f.size, at)
	num, gen, ok := header(l)
	if !ok || (want >= 0 && num != want) {
		return nil, 0, fmt.Errorf("%w: object %d is not at byte %d", ErrMalformed, want, at)
	}
	if o, err = l.object(); err != nil {
		return nil, 0, err
	}
	d, ok := o.(Dict)
	if !ok {
		return o, gen, nil
	}
	l.space()
	if !l.word("stream") {
		return d, gen, nil
	}
	// 7.3.8.1: the keyword ends with CR LF or LF; a lone CR is seen too.
	if c, _ := l.peek(0); c == '\r' {
		l.pos++
	}
	if c, _ := l.peek(0); c == '\n' {
		l.pos++
	}
	s := &Stream{Dict: d, Offset: l.pos, num: num, gen: gen}
	s.Length, err = f.streamLength(d, num, l.pos)
	return s, gen, err
}

// streamLength takes Length where the stream ends there, else looks for the end.
func (f *File) streamLength(d Dict, num int, from int64) (int64, error) {
	length := d["Length"]
	if _, indirect := length.(Ref); indirect {
		if f.loading[num] {
			return 0, fmt.Errorf("%w: object %d needs itself", ErrMalformed, num)
		}
		f.loading[num] = true
		length = f.Resolve(length)
		delete(f.loading, num)
	}
	if n, ok := length.(int64); ok && n >= 0 && n <= f.size-from {
		l := newLexer(f.r, f.size, from+n)
		l.space()
		if l.word("endstream") {
			return n, nil
		}
	}
	const step = 64 << 10
	buf := make([]byte, step)
	for at := from; at < f.size; at += step - 16 {
		n, err := f.r.ReadAt(buf[:min(step, f.size-at)], at)
		if err != nil && err != io.EOF {
			return 0, fmt.Errorf("pdf: %w", err)
		}
		if i := bytes.Index(buf[:n], []byte("endstream")); i >= 0 {
			end := at + int64(i)
			return int64(len(trimEOL(f, from, end))), nil
		}
	}
	return 0, fmt.Errorf("%w: stream %d has no end", ErrMalformed, num)
}

// trimEOL gives a stream's bytes without the end of line before endstream. It is
// called for broken lengths only.
func trimEOL(f *File, from, end int64) []byte {
	n := min(end-from, maxDecoded)
	buf := make([]byte, n)
	_, _ = f.r.ReadAt(buf, from)
	buf = bytes.TrimSuffix(buf, []byte("\n"))
	return bytes.TrimSuffix(buf, []byte("\r"))
}

// Raw gives a stream's encoded bytes.
func (f *File) Raw(s *Stream) *io.SectionReader { return io.NewSectionReader(f.r, s.Offset, s.Length) }

// Spans reads the dictionary of an indirect object and tells where each of its values
// stands in the file. A key that stands twice is an error.
func (f *File) Spans(num int) (Dict, map[Name]Span, error) {
	at, ok := f.At(num)
	if !ok {
		return nil, nil, fmt.Errorf("%w: object %d is not in the file itself", ErrMalformed, num)
	}
	l := newLexer(f.r, f.size, at)
	n, gen, ok := header(l)
	if !ok || n != num {
		return nil, nil, l.bad("object")
	}
	l.space()
	d, spans, err := f.spansAt(l)
	return f.cleared(d, num, gen), spans, err
}

// cleared decrypts a dictionary's strings.
func (f *File) cleared(d Dict, num, gen int) Dict {
	if f.crypt != nil {
		f.crypt.clear(d, num, gen)
	}
	return d
}

func (f *File) spansAt(l *lexer) (Dict, map[Name]Span, error) {
	if c, _ := l.peek(0); c != '<' {
		return nil, nil, l.bad("no dictionary")
	}
	if c, _ := l.peek(1); c != '<' {
		return nil, nil, l.bad("no dictionary")
	}
	spans := map[Name]Span{}
	l.depth++
	o, err := l.dict(spans)
	d, _ := o.(Dict)
	return d, spans, err
}

// InnerSpans is Spans for a dictionary that is the value of a key of another object.
func (f *File) InnerSpans(num int, key Name) (Dict, map[Name]Span, error) {
	_, outer, err := f.Spans(num)
	if err != nil {
		return nil, nil, err
	}
	span, ok := outer[key]
	if !ok {
		return nil, nil, fmt.Errorf("%w: object %d has no %s", ErrMalformed, num, key)
	}
	d, spans, err := f.spansAt(newLexer(f.r, f.size, span.From))
	return f.cleared(d, num, f.entries[num].gen), spans, err
}
