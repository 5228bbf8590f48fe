package typeset

import (
	"fmt"
	"strings"
)

// What follows puts things at a place of the page, for sheets that are folded: points
// from the upper left corner of an A4 page, 595 wide and 842 high.

// NewPage begins a page; the first is there already.
func (d *Document) NewPage() {
	if d.err == nil {
		d.newPage()
	}
}

// Text is a text at a place.
type Text struct {
	X, Y  float64 // of the upper left corner
	Width float64 // where lines break; 0 is the rest of the page
	Size  float64
	Bold  bool
	Level int // 1 to 6: a heading; 0: a paragraph
	Text  string
}

// Place writes a text at a place.
func (d *Document) Place(t Text) {
	if d.err != nil {
		return
	}
	if t.Width == 0 {
		t.Width = pageWidth - t.X - margin/2
	}
	kind := "P"
	if t.Level > 0 {
		kind = fmt.Sprintf("H%d", min(t.Level, 6))
	}
	s := style{bold: t.Bold, size: t.Size, x: t.X - margin, width: t.Width}
	e, y := d.child(d.root, kind), pageHeight-t.Y
	for _, line := range d.wrap(t.Text, s) {
		if line != "" {
			d.show(e, line, s, y-s.size)
		}
		y -= lead(s)
	}
}

// Bars draws a bar code of modules (true is dark) in a box, as a figure with its text
// (ISO 32000-1, 14.9.3, Alternate Descriptions).
func (d *Document) Bars(x, y, width, height float64, modules []bool, alt string) {
	if d.err != nil || len(modules) == 0 {
		return
	}
	e := d.child(d.root, "Figure")
	e.alt = limit(alt)
	page := len(d.pages) - 1
	id := len(d.parents[page])
	d.parents[page] = append(d.parents[page], e)
	e.mcids = append(e.mcids, content{page, id})
	var b strings.Builder
	unit := width / float64(len(modules))
	for from := 0; from < len(modules); {
		to := from
		for to < len(modules) && modules[to] == modules[from] {
			to++
		}
		if modules[from] {
			fmt.Fprintf(&b, "%.3f %.2f %.3f %.2f re\n", x+unit*float64(from), pageHeight-y-height, unit*float64(to-from), height)
		}
		from = to
	}
	_, _ = fmt.Fprintf(d.pages[page], "/Figure <</MCID %d>> BDC\n0 0 0 rg\n%sf\nEMC\n", id, b.String())
}

// Frame draws a rectangle, Fold a dashed line over the whole page.
func (d *Document) Frame(x, y, width, height float64) {
	d.artifact("0.45 0.50 0.55 RG 0.8 w %.2f %.2f %.2f %.2f re S", x, pageHeight-y-height, width, height)
}

// Fold is where a sheet is folded.
func (d *Document) Fold(y float64) {
	d.artifact("q 0.6 0.6 0.6 RG 0.5 w [3 4] 0 d 0 %.2f m %.2f %.2f l S Q", pageHeight-y, pageWidth, pageHeight-y)
}

// Mask fills a box with a dense pattern of letters without meaning, through which nothing
// can be read against the light. The pattern is the same for every sheet.
func (d *Document) Mask(x, y, width, height float64) {
	if d.err != nil {
		return
	}
	letters := []rune("HNEZK8W0MX3BA5QR")
	var b strings.Builder
	for row := 0; float64(row)*3.1 < height-4; row++ {
		var line []rune
		s := style{size: 6.5, bold: row%2 == 0}
		for n, w := 0, 0.0; w < width-6; n++ {
			r := letters[(n*7+row*5+n*row%11)%len(letters)]
			w += d.measure(string(r), s)
			line = append(line, r)
		}
		fmt.Fprintf(&b, "BT /F%d 6.5 Tf 0.25 0.28 0.32 rg %.2f %.2f Td <%s> Tj ET\n", face(s), x+float64(row%3), pageHeight-y-6-float64(row)*3.1, d.glyphs(string(line), face(s)))
	}
	d.artifact("q %.2f %.2f %.2f %.2f re W n\n%sQ", x, pageHeight-y-height, width, height, b.String())
}
