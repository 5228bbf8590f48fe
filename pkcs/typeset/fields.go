package typeset

import (
	"fmt"
	"strings"
)

// widget is a field that a reader fills in (ISO 32000-1, 12.7, Interactive Forms), with
// its place in the structure tree (14.7.4.3, PDF Objects as Content Items).
type widget struct {
	name, label string
	check       bool
	lines       int
	max         int
	page        int
	rect        [4]float64
	element     *element
	object, key int
}

const fieldHeight = 18.0

// Blank is a label with a field to fill in under it, or by hand on paper. Width is a part
// of the text's width (1 is all of it); lines above 1 make it higher; max bounds the
// characters, 0 does not.
func (d *Document) Blank(name, label string, width float64, lines, max int) {
	d.Blanks([]BlankField{{Name: name, Label: label, Width: width, Lines: lines, Max: max}})
}

// BlankField is one field of a row.
type BlankField struct {
	Name, Label string
	Width       float64 // part of the text's width
	Lines, Max  int
}

// Blanks are fields side by side.
func (d *Document) Blanks(row []BlankField) {
	if d.err != nil || len(row) == 0 {
		return
	}
	s := style{size: 8.5, color: "0.25 0.30 0.35"}
	labels, height := 0, fieldHeight
	for _, f := range row {
		labels = max(labels, len(d.wrap(f.Label, style{size: s.size, width: textWidth*f.Width - 8})))
		height = max(height, fieldHeight*float64(max(f.Lines, 1)))
	}
	d.need(float64(labels)*lead(s) + height + 8)
	x, top := 0.0, d.y
	for _, f := range row {
		w := textWidth * f.Width
		s.x, s.width = x, w-8
		e := d.child(d.root, "P")
		d.y = top
		d.lines(e, d.wrap(f.Label, s), s)
		at := top - float64(labels)*lead(s) - 2
		d.widget(e, &widget{name: f.Name, label: f.Label, lines: f.Lines, max: f.Max, rect: [4]float64{margin + x, at - height, margin + x + w - 6, at}})
		x += w
	}
	d.y = top - float64(labels)*lead(s) - height - 10
}

// Choice is a box to tick with its text.
func (d *Document) Choice(name, label string) {
	s := style{size: bodySize, x: 20, width: textWidth - 20}
	lines := d.wrap(label, s)
	d.need(float64(len(lines))*lead(s) + 4)
	e := d.child(d.root, "P")
	d.widget(e, &widget{name: name, label: label, check: true, rect: [4]float64{margin, d.y - 12, margin + 12, d.y}})
	d.lines(e, lines, s)
	d.y -= 4
}

func (d *Document) widget(parent *element, w *widget) {
	if d.err != nil {
		return
	}
	w.page = len(d.pages) - 1
	w.element = d.child(parent, "Form")
	w.element.widget = w
	d.widgets = append(d.widgets, w)
	d.artifact("0.45 0.50 0.55 RG 0.6 w %.2f %.2f %.2f %.2f re S", w.rect[0], w.rect[1], w.rect[2]-w.rect[0], w.rect[3]-w.rect[1])
}

func (d *Document) reserveWidgets(f *file) {
	for i, w := range d.widgets {
		w.object, w.key = f.reserve(), len(d.pages)+i
	}
}

// annotations is what a page's dictionary says of them.
func (d *Document) annotations(page int) string {
	var refs []string
	for _, w := range d.widgets {
		if w.page == page {
			refs = append(refs, fmt.Sprintf("%d 0 R", w.object))
		}
	}
	if refs == nil {
		return ""
	}
	return " /Annots [" + strings.Join(refs, " ") + "]"
}

// writeWidgets writes the fields and gives what the catalogue says of them.
func (d *Document) writeWidgets(f *file, pages []int) string {
	if len(d.widgets) == 0 {
		return ""
	}
	font := d.writeTyped(f)
	resources := fmt.Sprintf("<</Font <</F9 %d 0 R>>>>", font)
	var refs []string
	for _, w := range d.widgets {
		refs = append(refs, fmt.Sprintf("%d 0 R", w.object))
		width, height := w.rect[2]-w.rect[0], w.rect[3]-w.rect[1]
		box := fmt.Sprintf(" /Type /XObject /Subtype /Form /BBox [0 0 %.2f %.2f] /Resources %s", width, height, resources)
		common := fmt.Sprintf("/Type /Annot /Subtype /Widget /T %s /TU %s /F 4 /Rect [%.2f %.2f %.2f %.2f] /P %d 0 R /StructParent %d",
			str(w.name), str(w.label), w.rect[0], w.rect[1], w.rect[2], w.rect[3], pages[w.page], w.key)
		if w.check {
			on := f.stream(box, fmt.Appendf(nil, "q 0 G 1.4 w 2.5 2.5 m %.2f %.2f l 2.5 %.2f m %.2f 2.5 l S Q", width-2.5, height-2.5, height-2.5, width-2.5))
			off := f.stream(box, nil)
			f.set(w.object, "<<%s /FT /Btn /V /Off /AS /Off /AP <</N <</Yes %d 0 R /Off %d 0 R>>>>>>", common, on, off)
			continue
		}
		flags, most := "", ""
		if w.lines > 1 {
			flags = " /Ff 4096" // 12.7.4.3, Multiline
		}
		if w.max > 0 {
			most = fmt.Sprintf(" /MaxLen %d", w.max)
		}
		empty := f.stream(box, []byte("/Tx BMC EMC"))
		f.set(w.object, "<<%s /FT /Tx /V () /DA (/F9 10 Tf 0 g)%s%s /AP <</N %d 0 R>>>>", common, flags, most, empty)
	}
	return fmt.Sprintf(" /AcroForm <</Fields [%s] /DR %s /DA (/F9 10 Tf 0 g)>>", strings.Join(refs, " "), resources)
}

// winAnsi are the characters from 128 to 159 (ISO 32000-1, Annex D.2); the others are
// Unicode's own.
var winAnsi = []rune("\u20ac\u2022\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\u2022\u017d\u2022\u2022\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\u2022\u017e\u0178")

// writeTyped embeds the regular face as a simple font (9.6.3) with all of Windows-1252,
// for what a reader types.
func (d *Document) writeTyped(f *file) int {
	face, used := d.faces[0], map[uint16]rune{}
	var widths strings.Builder
	for c := 32; c < 256; c++ {
		r := rune(c)
		if c >= 128 && c < 160 {
			r = winAnsi[c-128]
		}
		g := face.glyphOf[r]
		used[g] = r
		fmt.Fprintf(&widths, "%d ", face.width(g))
	}
	data := face.subset(used, "cmap")
	program := f.stream(fmt.Sprintf(" /Length1 %d", len(data)), data)
	name := "CITELF+" + face.name
	descriptor := f.add("<</Type /FontDescriptor /FontName /%s /Flags 32 /FontBBox [%d %d %d %d] /ItalicAngle 0 /Ascent %d /Descent %d /CapHeight %d /StemV 80 /FontFile2 %d 0 R>>",
		name, face.box[0], face.box[1], face.box[2], face.box[3], face.ascent, face.descent, face.capHeight, program)
	return f.add("<</Type /Font /Subtype /TrueType /BaseFont /%s /Encoding /WinAnsiEncoding /FirstChar 32 /LastChar 255 /Widths [%s] /FontDescriptor %d 0 R>>", name, widths.String(), descriptor)
}
