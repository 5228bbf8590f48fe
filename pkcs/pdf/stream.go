package pdf

import (
	"bytes"
	"compress/zlib"
	"encoding/ascii85"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// Decode gives a stream's bytes with its filters undone (7.4), at most 64 MiB.
func (f *File) Decode(s *Stream) ([]byte, error) {
	var filters []Name
	var params []Dict
	switch o := f.Resolve(s.Dict["Filter"]).(type) {
	case nil:
	case Name:
		filters, params = []Name{o}, []Dict{f.Dict(s.Dict["DecodeParms"])}
	case Array:
		parms := f.Array(s.Dict["DecodeParms"])
		for i, x := range o {
			filters = append(filters, f.Name(x))
			var p Dict
			if i < len(parms) {
				p = f.Dict(parms[i])
			}
			params = append(params, p)
		}
	default:
		return nil, fmt.Errorf("%w: Filter", ErrMalformed)
	}
	if f.decoded > maxDecodedInAll {
		return nil, fmt.Errorf("%w: more than %d bytes to decode", ErrTooLarge, int64(maxDecodedInAll))
	}
	if len(filters) > 8 {
		return nil, fmt.Errorf("%w: %d filters", ErrMalformed, len(filters))
	}
	var r io.Reader = f.Raw(s)
	if f.locked {
		return nil, ErrEncrypted
	}
	if f.crypt != nil {
		data, err := limited(r)
		if err != nil {
			return nil, err
		}
		r = bytes.NewReader(f.body(s, data))
	}
	for i, name := range filters {
		switch name {
		case "FlateDecode", "Fl":
			z, err := zlib.NewReader(r)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
			}
			data, err := limited(z)
			f.decoded += int64(len(data))
			if err != nil {
				return nil, err
			}
			if data, err = f.predict(data, params[i]); err != nil {
				return nil, err
			}
			r = bytes.NewReader(data)
		case "ASCIIHexDecode", "AHx":
			data, err := limited(r)
			if err != nil {
				return nil, err
			}
			data = bytes.Map(func(c rune) rune {
				if c > 255 || isSpace(byte(c)) || c == '>' {
					return -1
				}
				return c
			}, data)
			out := make([]byte, hex.DecodedLen(len(data)))
			if _, err := hex.Decode(out, data); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
			}
			r = bytes.NewReader(out)
		case "ASCII85Decode", "A85":
			data, err := limited(r)
			if err != nil {
				return nil, err
			}
			data, _, _ = bytes.Cut(bytes.TrimPrefix(bytes.TrimSpace(data), []byte("<~")), []byte("~>"))
			r = ascii85.NewDecoder(bytes.NewReader(data))
		case "Crypt":
		default:
			return nil, fmt.Errorf("pdf: filter %s is not read here", name)
		}
	}
	return limited(r)
}

func limited(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxDecoded+1))
	switch {
	case len(data) > maxDecoded:
		return nil, fmt.Errorf("%w: a stream of more than %d bytes", ErrTooLarge, maxDecoded)
	// A missing checksum is common and costs nothing here: what counts is signed.
	case err != nil && len(data) > 0 && (errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, zlib.ErrChecksum)):
		return data, nil
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return data, nil
}

// predict undoes the PNG predictors (7.4.4.4), the only ones that cross-references use.
func (f *File) predict(data []byte, p Dict) ([]byte, error) {
	kind, ok := f.Int(p["Predictor"])
	if !ok || kind == 1 {
		return data, nil
	}
	if kind < 10 {
		return nil, fmt.Errorf("pdf: predictor %d is not read here", kind)
	}
	value := func(key Name, or int64) int64 {
		if n, ok := f.Int(p[key]); ok && n > 0 && n < 1<<16 {
			return n
		}
		return or
	}
	pixel := int(max(1, value("Colors", 1)*value("BitsPerComponent", 8)/8))
	row := int((value("Columns", 1)*value("Colors", 1)*value("BitsPerComponent", 8) + 7) / 8)
	out := make([]byte, 0, len(data))
	previous := make([]byte, row)
	for len(data) > 1 {
		filter, line := data[0], data[1:min(len(data), row+1)]
		data = data[1+len(line):]
		if err := unfilter(filter, line, previous, pixel); err != nil {
			return nil, err
		}
		out = append(out, line...)
		copy(previous, line)
	}
	return out, nil
}

// unfilter is ISO/IEC 15948 (PNG), 9.2.
func unfilter(filter byte, line, up []byte, pixel int) error {
	left := func(i int) (a, c byte) {
		if i >= pixel {
			return line[i-pixel], up[i-pixel]
		}
		return 0, 0
	}
	for i := range line {
		a, c := left(i)
		switch filter {
		case 0:
		case 1:
			line[i] += a
		case 2:
			line[i] += up[i]
		case 3:
			line[i] += byte((int(a) + int(up[i])) / 2)
		case 4:
			line[i] += paeth(a, up[i], c)
		default:
			return fmt.Errorf("%w: predictor row %d", ErrMalformed, filter)
		}
	}
	return nil
}

func paeth(a, b, c byte) byte {
	p := int(a) + int(b) - int(c)
	pa, pb, pc := abs(p-int(a)), abs(p-int(b)), abs(p-int(c))
	switch {
	case pa <= pb && pa <= pc:
		return a
	case pb <= pc:
		return b
	}
	return c
}

func abs(n int) int { return max(n, -n) }

// packed is an object stream (7.5.7), decoded.
type packed struct {
	data    []byte
	numbers []int
	offsets []int64
	err     error
}

// maxPacked bounds the decoded object streams that are kept, in bytes; the last one is
// kept in any case.
const maxPacked = 8 << 20

// packed gives an object stream; one that cannot be read is not tried again.
func (f *File) packed(num int) (*packed, error) {
	if p := f.streams[num]; p != nil {
		return p, p.err
	}
	p, err := f.unpack(num)
	if err != nil {
		if f.loading[num] {
			return nil, err // seen from within: the outer one tells
		}
		p = &packed{err: err}
	}
	f.streams[num] = p
	if err == nil {
		f.order, f.kept = append(f.order, num), f.kept+len(p.data)
		for len(f.order) > 1 && f.kept > maxPacked {
			f.kept -= len(f.streams[f.order[0]].data)
			delete(f.streams, f.order[0])
			f.order = f.order[1:]
		}
	}
	return p, err
}

func (f *File) unpack(num int) (*packed, error) {
	if f.locked {
		return nil, ErrEncrypted
	}
	// An object stream is never inside another (7.5.7).
	e := f.entries[num]
	if e.kind != 1 || f.loading[num] {
		return nil, fmt.Errorf("%w: object stream %d", ErrMalformed, num)
	}
	f.loading[num] = true
	defer delete(f.loading, num)
	o, err := f.indirectAt(e.offset, num)
	if err != nil {
		return nil, err
	}
	s, ok := o.(*Stream)
	if !ok || s.Dict["Type"] != Name("ObjStm") {
		return nil, fmt.Errorf("%w: %d is no object stream", ErrMalformed, num)
	}
	data, err := f.Decode(s)
	if err != nil {
		return nil, err
	}
	count, _ := f.Int(s.Dict["N"])
	first, _ := f.Int(s.Dict["First"])
	if count < 0 || count > maxItems || first < 0 || first > int64(len(data)) {
		return nil, fmt.Errorf("%w: object stream %d", ErrMalformed, num)
	}
	p := &packed{data: data}
	l := newLexer(bytes.NewReader(data), first, 0)
	for range count {
		l.space()
		n, ok1 := l.integer()
		l.space()
		at, ok2 := l.integer()
		if !ok1 || !ok2 || n > maxNumber {
			return nil, fmt.Errorf("%w: object stream %d", ErrMalformed, num)
		}
		p.numbers, p.offsets = append(p.numbers, int(n)), append(p.offsets, first+at)
	}
	return p, nil
}

func (p *packed) get(index, want int) (Object, error) {
	if index >= len(p.numbers) || p.numbers[index] != want {
		return nil, fmt.Errorf("%w: object %d is not in its stream", ErrMalformed, want)
	}
	if p.offsets[index] >= int64(len(p.data)) {
		return nil, fmt.Errorf("%w: object %d is outside its stream", ErrMalformed, want)
	}
	return newLexer(bytes.NewReader(p.data), int64(len(p.data)), p.offsets[index]).object()
}
