// Package typeset writes documents that people read and keep: tagged, accessible
// PDF 1.7 (ISO 32000-1, 14.7, Logical Structure; 14.8, Tagged PDF; ISO 14289-1,
// PDF/UA-1) with embedded fonts, a structure tree, language and title. It is a
// writer for forms, receipts and reports, not for layout: headings, paragraphs,
// tables, lists. What reads PDFs is pkcs/pdf.
package typeset

import (
	"strings"
	"time"
	"unicode/utf8"
)

// Info is what a document says of itself.
type Info struct {
	Title, Lang, Author, Subject string
	Created                      time.Time
	// ID becomes the file's identifier (ISO 32000-1, 14.4).
	ID [16]byte
}

// Field is a label and its value.
type Field struct{ Label, Value string }

// A4 in points, and the layout's measures.
const (
	pageWidth, pageHeight = 595.28, 841.89
	margin                = 56.7 // 2 cm
	bottom                = 70.0
	textWidth             = pageWidth - 2*margin
	bodySize              = 10.5
	maxText               = 1 << 20 // bytes of text in one call; what is beyond is cut
)

// Document is laid out as it is written. Its methods never fail: what a font
// lacks is shown as "?" and told by Missing.
type Document struct {
	info    Info
	faces   [2]*font
	err     error
	used    [2]map[uint16]rune
	missing map[rune]bool
	pages   []*strings.Builder
	footer  string
	y       float64
	root    *element
	parents [][]*element // by page: the element of each marked content
	widgets []*widget    // fields to be filled in (fields.go)
}

// element is a node of the structure tree (ISO 32000-1, 14.7.2).
type element struct {
	kind     string
	parent   *element
	children []*element
	mcids    []content
	scope    string // of a TH
	alt      string // of a Figure
	widget   *widget
	object   int
}

type content struct{ page, id int }

// New begins a document.
func New(info Info) *Document {
	d := &Document{info: info, missing: map[rune]bool{}, root: &element{kind: "Document"}}
	d.used = [2]map[uint16]rune{{}, {}}
	d.faces, d.err = faces()
	if d.err == nil {
		d.newPage()
	}
	return d
}

// Missing lists the characters that no font has.
func (d *Document) Missing() []rune {
	var out []rune
	for r := range d.missing {
		out = append(out, r)
	}
	return out
}

func (d *Document) newPage() {
	d.pages = append(d.pages, &strings.Builder{})
	d.parents = append(d.parents, nil)
	d.y = pageHeight - margin
}

// Footer stands on every page, as an artifact (14.8.2.2).
func (d *Document) Footer(text string) { d.footer = limit(text) }

// Heading of level 1 to 6.
func (d *Document) Heading(level int, text string) {
	level = min(max(level, 1), 6)
	size := map[int]float64{1: 19, 2: 13.5, 3: 11.5}[level]
	if size == 0 {
		size = bodySize
	}
	if d.y < pageHeight-margin {
		d.y -= size * 0.7
	}
	d.need(size*1.3 + 3*bodySize) // no heading alone at the end of a page
	d.text(d.child(d.root, "H"+string(rune('0'+level))), text, style{bold: true, size: size, color: "0.09 0.20 0.30", width: textWidth})
	d.y -= 4
}

// Paragraph of running text; line breaks are kept.
func (d *Document) Paragraph(text string) {
	d.text(d.child(d.root, "P"), text, style{size: bodySize, width: textWidth})
	d.y -= 6
}

// Note is a paragraph in a frame.
func (d *Document) Note(text string) {
	s := style{bold: true, size: bodySize, x: 10, width: textWidth - 20, color: "0.55 0.30 0"}
	lines := d.wrap(text, s)
	height := float64(len(lines))*lead(s) + 12
	d.need(height)
	d.artifact("0.60 0.36 0 RG 1 w %.2f %.2f %.2f %.2f re S", margin, d.y-height, textWidth, height)
	d.y -= 6
	d.lines(d.child(d.root, "P"), lines, s)
	d.y -= 12
}

// List of items.
func (d *Document) List(items []string) {
	list := d.child(d.root, "L")
	for _, text := range items {
		item := d.child(list, "LI")
		s := style{size: bodySize, x: 14, width: textWidth - 14}
		d.need(lead(s))
		d.show(d.child(item, "Lbl"), "•", style{size: bodySize, x: 3}, d.y-s.size)
		d.text(d.child(item, "LBody"), text, s)
		d.y -= 2
	}
	d.y -= 6
}

// Fields is a table of labels and values; the labels are row headers. Without any there is
// no table.
func (d *Document) Fields(fields []Field) {
	if len(fields) == 0 {
		return
	}
	const label = 0.36
	table := d.child(d.root, "Table")
	for _, f := range fields {
		row := d.child(table, "TR")
		d.row([]*element{d.header(row, "Row"), d.child(row, "TD")}, []string{f.Label, f.Value}, []float64{label, 1 - label}, []bool{true, false})
	}
	d.y -= 6
}

// Table with a header row.
func (d *Document) Table(header []string, rows [][]string) {
	if len(header) == 0 {
		return
	}
	widths := make([]float64, len(header))
	bold := make([]bool, len(header))
	for i := range widths {
		widths[i], bold[i] = 1/float64(len(header)), true
	}
	table := d.child(d.root, "Table")
	row := d.child(table, "TR")
	var cells []*element
	for range header {
		cells = append(cells, d.header(row, "Column"))
	}
	d.row(cells, header, widths, bold)
	for _, r := range rows {
		row, cells := d.child(table, "TR"), []*element(nil)
		for len(r) < len(header) {
			r = append(r, "")
		}
		for range header {
			cells = append(cells, d.child(row, "TD"))
		}
		d.row(cells, r[:len(header)], widths, make([]bool, len(header)))
	}
	d.y -= 6
}

// row lays cells side by side; a row that is higher than a page runs on.
func (d *Document) row(cells []*element, texts []string, widths []float64, bold []bool) {
	var all [][]string
	styles := make([]style, len(texts))
	x, most := 0.0, 0
	for i, t := range texts {
		w := textWidth * widths[i]
		styles[i] = style{bold: bold[i], size: bodySize - 0.5, x: x + 4, width: w - 8}
		lines := d.wrap(t, styles[i])
		all = append(all, lines)
		most = max(most, len(lines))
		x += w
	}
	step := lead(styles[0])
	d.need(min(float64(most), 6)*step + 8)
	d.y -= 4
	for n := range most {
		d.need(step)
		for i, lines := range all {
			if n < len(lines) && lines[n] != "" {
				d.show(cells[i], lines[n], styles[i], d.y-styles[i].size)
			}
		}
		d.y -= step
	}
	d.y -= 4
	d.artifact("0.80 0.83 0.86 RG 0.5 w %.2f %.2f m %.2f %.2f l S", margin, d.y, pageWidth-margin, d.y)
}

func (d *Document) child(parent *element, kind string) *element {
	e := &element{kind: kind, parent: parent}
	parent.children = append(parent.children, e)
	return e
}

func (d *Document) header(row *element, scope string) *element {
	e := d.child(row, "TH")
	e.scope = scope
	return e
}

// need begins a new page when less than height is left.
func (d *Document) need(height float64) {
	if d.err == nil && d.y-height < bottom {
		d.newPage()
	}
}

type style struct {
	bold           bool
	size, x, width float64
	color          string
}

func lead(s style) float64 { return s.size * 1.38 }

func (d *Document) text(e *element, text string, s style) { d.lines(e, d.wrap(text, s), s) }

func (d *Document) lines(e *element, lines []string, s style) {
	for _, line := range lines {
		d.need(lead(s))
		if line != "" {
			d.show(e, line, s, d.y-s.size)
		}
		d.y -= lead(s)
	}
}

func limit(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "?")
	}
	return strings.NewReplacer("\r\n", "\n", "\r", "\n", "\t", " ", "\u00a0", " ").Replace(s)
}

// wrap breaks text into lines at spaces, and a word that is too long anywhere.
func (d *Document) wrap(text string, s style) []string {
	var out []string
	if d.err != nil {
		return nil
	}
	for _, paragraph := range strings.Split(limit(text), "\n") {
		line, width := "", 0.0
		for _, word := range strings.Fields(paragraph) {
			w := d.measure(word, s)
			space := d.measure(" ", s)
			if line != "" && width+space+w <= s.width {
				line, width = line+" "+word, width+space+w
				continue
			}
			if line != "" {
				out = append(out, line)
			}
			for w > s.width {
				cut := d.fitting(word, s)
				out = append(out, word[:cut])
				word = word[cut:]
				w = d.measure(word, s)
			}
			line, width = word, w
		}
		out = append(out, line)
	}
	return out
}

// fitting is the number of bytes of a word that fit into the width, one
// character at least.
func (d *Document) fitting(word string, s style) int {
	width := 0.0
	for i, r := range word {
		width += d.measure(string(r), s)
		if width > s.width && i > 0 {
			return i
		}
	}
	return len(word)
}

func (d *Document) measure(text string, s style) float64 {
	f := d.faces[face(s)]
	n := 0
	for _, r := range text {
		n += f.width(f.glyphOf[r])
	}
	return float64(n) * s.size / 1000
}

func face(s style) int {
	if s.bold {
		return 1
	}
	return 0
}
