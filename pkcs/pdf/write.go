package pdf

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// Errors of an increment.
var (
	// ErrDamaged: the file's cross-reference is broken, so nothing can be appended.
	ErrDamaged = errors.New("pdf: the file is damaged")
)

// Append writes an object's text. A Stream is written as a reference only, see Ref.
func Append(dst []byte, o Object) []byte {
	switch o := o.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, o)
	case int64:
		return strconv.AppendInt(dst, o, 10)
	case int:
		return strconv.AppendInt(dst, int64(o), 10)
	case float64:
		return strconv.AppendFloat(dst, o, 'f', -1, 64)
	case Name:
		return appendName(dst, o)
	case String:
		return fmt.Appendf(dst, "<%x>", []byte(o))
	case Ref:
		return fmt.Appendf(dst, "%d %d R", o.Num, o.Gen)
	case Array:
		dst = append(dst, '[')
		for i, x := range o {
			if i > 0 {
				dst = append(dst, ' ')
			}
			dst = Append(dst, x)
		}
		return append(dst, ']')
	case Dict:
		dst = append(dst, "<<"...)
		names := make([]Name, 0, len(o))
		for k := range o {
			names = append(names, k)
		}
		slices.Sort(names) // the same object gives the same bytes
		for _, k := range names {
			dst = append(Append(append(appendName(dst, k), ' '), o[k]), '\n')
		}
		return append(dst, ">>"...)
	}
	panic(fmt.Sprintf("pdf: a %T cannot be written", o))
}

func appendName(dst []byte, n Name) []byte {
	dst = append(dst, '/')
	for _, c := range []byte(n) {
		if c <= ' ' || c >= 0x7F || c == '#' || isDelimiter(c) {
			dst = fmt.Appendf(dst, "#%02X", c)
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// Increment is an incremental update in the making (7.5.6): what is there stays, byte
// for byte.
type Increment struct {
	f       *File
	next    int
	numbers []int
	bodies  map[int][]byte
}

// Increment begins an update.
func (f *File) Increment() (*Increment, error) {
	switch {
	case f.Rebuilt:
		return nil, fmt.Errorf("%w: %w", ErrDamaged, f.Problem)
	case f.Encrypted():
		return nil, ErrEncrypted
	}
	size, _ := f.Trailer["Size"].(int64)
	next := max(int(min(size, maxNumber)), 1)
	for n := range f.entries {
		next = max(next, n+1)
	}
	if next > maxNumber-64 {
		return nil, ErrTooLarge
	}
	return &Increment{f: f, next: next, bodies: map[int][]byte{}}, nil
}

// New reserves an object number.
func (u *Increment) New() Ref {
	u.next++
	return Ref{Num: u.next - 1}
}

// Set writes an object under a number, new or known.
func (u *Increment) Set(ref Ref, o Object) { u.SetRaw(ref, Append(nil, o)) }

// SetStream writes a stream (7.3.8).
func (u *Increment) SetStream(ref Ref, d Dict, data []byte) {
	d = d.Clone()
	d["Length"] = int64(len(data))
	u.SetRaw(ref, append(append(append(Append(nil, d), "\nstream\n"...), data...), "\nendstream"...))
}

// SetRaw writes an object's text as it is.
func (u *Increment) SetRaw(ref Ref, body []byte) {
	if u.bodies[ref.Num] == nil {
		u.numbers = append(u.numbers, ref.Num)
	}
	u.bodies[ref.Num] = body
}

// Finish gives the bytes to append, and where each object's body begins in them.
func (u *Increment) Finish() (data []byte, at map[int]int, err error) {
	f := u.f
	var last [1]byte
	if _, err := f.r.ReadAt(last[:], f.size-1); err != nil && err != io.EOF {
		return nil, nil, fmt.Errorf("pdf: %w", err)
	}
	if last[0] != '\n' && last[0] != '\r' {
		data = append(data, '\n')
	}
	offset := func() int64 { return f.size - f.headOffset + int64(len(data)) }
	at = map[int]int{}
	rows := map[int]entry{}
	slices.Sort(u.numbers)
	for _, n := range u.numbers {
		e := f.entries[n]
		gen := e.gen
		if e.kind != 1 {
			gen = 0
		}
		rows[n] = entry{offset: offset(), gen: gen}
		data = fmt.Appendf(data, "%d %d obj\n", n, gen)
		at[n] = len(data)
		data = append(data, u.bodies[n]...)
		data = append(data, "\nendobj\n"...)
	}
	trailer := Dict{"Size": int64(u.next), "Prev": f.Sections[0].Offset - f.headOffset}
	for _, k := range []Name{"Root", "Info", "ID"} {
		if v := f.Trailer[k]; v != nil {
			trailer[k] = v
		}
	}
	start := offset()
	if f.Sections[0].Stream {
		data = u.stream(data, trailer, rows, start)
	} else {
		data = u.table(data, trailer, rows)
	}
	return fmt.Appendf(data, "startxref\n%d\n%%%%EOF\n", start), at, nil
}

// runs gives the numbers as ranges: first, count.
func (u *Increment) runs() (out [][2]int) {
	for _, n := range u.numbers {
		if k := len(out); k > 0 && out[k-1][0]+out[k-1][1] == n {
			out[k-1][1]++
			continue
		}
		out = append(out, [2]int{n, 1})
	}
	return out
}

// table is 7.5.4.
func (u *Increment) table(data []byte, trailer Dict, rows map[int]entry) []byte {
	data = append(data, "xref\n"...)
	for _, run := range u.runs() {
		data = fmt.Appendf(data, "%d %d\n", run[0], run[1])
		for n := run[0]; n < run[0]+run[1]; n++ {
			data = fmt.Appendf(data, "%010d %05d n\r\n", rows[n].offset, rows[n].gen)
		}
	}
	return append(Append(append(data, "trailer\n"...), trailer), '\n')
}

// stream is 7.5.8: a file whose last section is a stream gets another one.
func (u *Increment) stream(data []byte, trailer Dict, rows map[int]entry, start int64) []byte {
	self := u.New()
	u.numbers = append(u.numbers, self.Num)
	rows[self.Num] = entry{offset: start}
	var body []byte
	index := Array{}
	for _, run := range u.runs() {
		index = append(index, int64(run[0]), int64(run[1]))
		for n := run[0]; n < run[0]+run[1]; n++ {
			o, g := rows[n].offset, rows[n].gen
			body = append(body, 1, byte(o>>32), byte(o>>24), byte(o>>16), byte(o>>8), byte(o), byte(g>>8), byte(g)) //nolint:gosec // the low bytes are meant
		}
	}
	trailer["Type"], trailer["W"], trailer["Index"] = Name("XRef"), Array{int64(1), int64(5), int64(2)}, index
	trailer["Size"], trailer["Length"] = int64(u.next), int64(len(body))
	data = append(Append(fmt.Appendf(data, "%d 0 obj\n", self.Num), trailer), "\nstream\n"...)
	return append(append(data, body...), "\nendstream\nendobj\n"...)
}

// Clone copies a dictionary so that it can be changed.
func (d Dict) Clone() Dict {
	out := make(Dict, len(d)+2)
	for k, v := range d {
		out[k] = v
	}
	return out
}
