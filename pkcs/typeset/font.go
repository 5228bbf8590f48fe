package typeset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/go-fonts/liberation/liberationsansbold"
	"github.com/go-fonts/liberation/liberationsansregular"
)

// font is a TrueType font as far as a PDF needs it (OpenType 1.9, "The OpenType
// Font File"; ISO 32000-1, 9.9, Embedded Font Programs).
type font struct {
	name                       string
	tables                     map[string][]byte
	unitsPerEm                 int
	ascent, descent, capHeight int
	box                        [4]int
	numGlyphs, numHMetrics     int
	longLoca                   bool
	glyphOf                    map[rune]uint16
}

var errFont = errors.New("typeset: the font cannot be read")

// faces are parsed once.
var faces = sync.OnceValues(func() ([2]*font, error) {
	regular, err1 := parseFont("LiberationSans", liberationsansregular.TTF)
	bold, err2 := parseFont("LiberationSans-Bold", liberationsansbold.TTF)
	return [2]*font{regular, bold}, errors.Join(err1, err2)
})

func u16(b []byte, at int) int { return int(binary.BigEndian.Uint16(b[at:])) }
func i16(b []byte, at int) int { return int(int16(binary.BigEndian.Uint16(b[at:]))) } //nolint:gosec // two's complement is meant
func u32(b []byte, at int) int { return int(binary.BigEndian.Uint32(b[at:])) }

func parseFont(name string, ttf []byte) (f *font, err error) {
	defer func() {
		if recover() != nil { // a table shorter than it says
			err = fmt.Errorf("%w: %s", errFont, name)
		}
	}()
	f = &font{name: name, tables: map[string][]byte{}, glyphOf: map[rune]uint16{}}
	for i := range u16(ttf, 4) {
		at := 12 + 16*i
		f.tables[string(ttf[at:at+4])] = ttf[u32(ttf, at+8) : u32(ttf, at+8)+u32(ttf, at+12)]
	}
	head, hhea := f.tables["head"], f.tables["hhea"]
	f.unitsPerEm = u16(head, 18)
	for i := range f.box {
		f.box[i] = f.milli(i16(head, 36+2*i))
	}
	f.longLoca = u16(head, 50) == 1
	f.ascent, f.descent = f.milli(i16(hhea, 4)), f.milli(i16(hhea, 6))
	f.numHMetrics = u16(hhea, 34)
	f.numGlyphs = u16(f.tables["maxp"], 4)
	f.capHeight = f.ascent
	if os2 := f.tables["OS/2"]; len(os2) >= 90 {
		f.capHeight = f.milli(i16(os2, 88))
	}
	return f, f.readCmap()
}

// milli turns font units into thousandths of the size.
func (f *font) milli(v int) int { return v * 1000 / f.unitsPerEm }

// readCmap reads the Unicode subtable of format 4 (OpenType, cmap).
func (f *font) readCmap() error {
	cmap := f.tables["cmap"]
	for i := range u16(cmap, 2) {
		at := 4 + 8*i
		sub := cmap[u32(cmap, at+4):]
		if u16(cmap, at) != 3 || u16(cmap, at+2) != 1 || u16(sub, 0) != 4 {
			continue
		}
		n := u16(sub, 6) / 2
		for s := range n {
			end, start := u16(sub, 14+2*s), u16(sub, 16+2*n+2*s)
			delta, offset := u16(sub, 16+4*n+2*s), u16(sub, 16+6*n+2*s)
			for c := start; c <= end && c != 0xffff; c++ {
				g := c + delta
				if offset != 0 {
					if g = u16(sub, 16+6*n+2*s+offset+2*(c-start)); g != 0 {
						g += delta
					}
				}
				if g &= 0xffff; g != 0 && g < f.numGlyphs {
					f.glyphOf[rune(c)] = uint16(g) //nolint:gosec // masked above
				}
			}
		}
		return nil
	}
	return fmt.Errorf("%w: no Unicode table", errFont)
}

// width is a glyph's advance in thousandths of the size.
func (f *font) width(g uint16) int {
	i := min(int(g), f.numHMetrics-1)
	return f.milli(u16(f.tables["hmtx"], 4*i))
}

func (f *font) glyphRange(g int) (from, to int) {
	loca := f.tables["loca"]
	if f.longLoca {
		return u32(loca, 4*g), u32(loca, 4*g+4)
	}
	return 2 * u16(loca, 2*g), 2 * u16(loca, 2*g+2)
}

// subset writes the font with the outlines of the used glyphs alone. Glyph ids
// stay, so that text needs no other numbering. More names further tables to keep.
func (f *font) subset(used map[uint16]rune, more ...string) []byte {
	glyf := f.tables["glyf"]
	keep := map[int]bool{0: true}
	var add func(g int)
	add = func(g int) {
		keep[g] = true
		from, to := f.glyphRange(g)
		if to-from < 10 || i16(glyf, from) >= 0 {
			return
		}
		// A composite glyph is made of others (OpenType, glyf, Composite glyph description).
		for at := from + 10; ; {
			flags, part := u16(glyf, at), u16(glyf, at+2)
			if !keep[part] {
				add(part)
			}
			at += 6
			if flags&1 != 0 { // ARG_1_AND_2_ARE_WORDS
				at += 2
			}
			switch {
			case flags&8 != 0: // WE_HAVE_A_SCALE
				at += 2
			case flags&0x40 != 0: // WE_HAVE_AN_X_AND_Y_SCALE
				at += 4
			case flags&0x80 != 0: // WE_HAVE_A_TWO_BY_TWO
				at += 8
			}
			if flags&0x20 == 0 { // MORE_COMPONENTS
				return
			}
		}
	}
	for g := range used {
		add(int(g))
	}
	var outlines []byte
	loca := make([]byte, 4*(f.numGlyphs+1))
	for g := range f.numGlyphs {
		binary.BigEndian.PutUint32(loca[4*g:], uint32(len(outlines))) //nolint:gosec // far below 4 GiB
		if keep[g] {
			from, to := f.glyphRange(g)
			outlines = append(outlines, glyf[from:to]...)
			for len(outlines)%4 != 0 {
				outlines = append(outlines, 0)
			}
		}
	}
	binary.BigEndian.PutUint32(loca[4*f.numGlyphs:], uint32(len(outlines))) //nolint:gosec // see above
	head := slices.Clone(f.tables["head"])
	binary.BigEndian.PutUint16(head[50:], 1)
	binary.BigEndian.PutUint32(head[8:], 0)
	out := map[string][]byte{"head": head, "loca": loca, "glyf": outlines}
	for _, name := range append([]string{"hhea", "hmtx", "maxp", "cvt ", "fpgm", "prep"}, more...) {
		if t, ok := f.tables[name]; ok {
			out[name] = t
		}
	}
	return assemble(out)
}

// assemble writes tables as a font file.
func assemble(tables map[string][]byte) []byte {
	names := make([]string, 0, len(tables))
	for n := range tables {
		names = append(names, n)
	}
	slices.Sort(names)
	n := len(names)
	entry := 0
	for 1<<(entry+1) <= n {
		entry++
	}
	out := binary.BigEndian.AppendUint32(nil, 0x00010000)
	for _, v := range []int{n, 16 << entry, entry, 16*n - 16<<entry} {
		out = binary.BigEndian.AppendUint16(out, uint16(v)) //nolint:gosec // a handful of tables
	}
	at := 12 + 16*n
	var body []byte
	for _, name := range names {
		t := tables[name]
		out = append(out, name...)
		out = binary.BigEndian.AppendUint32(out, checksum(t))
		out = binary.BigEndian.AppendUint32(out, uint32(at+len(body))) //nolint:gosec // far below 4 GiB
		out = binary.BigEndian.AppendUint32(out, uint32(len(t)))       //nolint:gosec // see above
		body = append(body, t...)
		for len(body)%4 != 0 {
			body = append(body, 0)
		}
	}
	return append(out, body...)
}

func checksum(t []byte) (sum uint32) {
	for i := 0; i < len(t); i += 4 {
		var w [4]byte
		copy(w[:], t[i:])
		sum += binary.BigEndian.Uint32(w[:])
	}
	return sum
}
