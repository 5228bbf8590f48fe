package typeset

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf16"
)

// glyphs encodes a line as glyph ids (Identity-H, 9.7.5.2) and remembers them.
func (d *Document) glyphs(text string, n int) string {
	var b strings.Builder
	for _, r := range text {
		g, ok := d.faces[n].glyphOf[r]
		if !ok {
			if r != ' ' {
				d.missing[r] = true
			}
			r = '?'
			g = d.faces[n].glyphOf[r]
		}
		d.used[n][g] = r
		fmt.Fprintf(&b, "%04X", g)
	}
	return b.String()
}

// show writes one line as marked content of an element (14.6).
func (d *Document) show(e *element, text string, s style, y float64) {
	if d.err != nil {
		return
	}
	page := len(d.pages) - 1
	id := len(d.parents[page])
	d.parents[page] = append(d.parents[page], e)
	e.mcids = append(e.mcids, content{page, id})
	color := s.color
	if color == "" {
		color = "0.10 0.10 0.12"
	}
	_, _ = fmt.Fprintf(d.pages[page], "/%s <</MCID %d>> BDC\nBT /F%d %.2f Tf %s rg %.2f %.2f Td <%s> Tj ET\nEMC\n",
		e.kind, id, face(s), s.size, color, margin+s.x, y, d.glyphs(text, face(s)))
}

// artifact draws what is no content (14.8.2.2).
func (d *Document) artifact(format string, args ...any) {
	if d.err == nil {
		_, _ = fmt.Fprintf(d.pages[len(d.pages)-1], "/Artifact BMC\n"+format+"\nEMC\n", args...)
	}
}

func (d *Document) footers() {
	word := [2]string{"pagina", "di"}
	if strings.HasPrefix(strings.ToLower(d.info.Lang), "en") {
		word = [2]string{"page", "of"}
	}
	s := style{size: 8}
	for i, p := range d.pages {
		for n, text := range []string{d.footer, fmt.Sprintf("%s %d %s %d", word[0], i+1, word[1], len(d.pages))} {
			x := margin
			if n == 1 {
				x = pageWidth - margin - d.measure(text, s)
			}
			text = strings.ReplaceAll(text, "\n", " ")
			_, _ = fmt.Fprintf(p, "/Artifact <</Type /Pagination /Subtype /Footer>> BDC\nBT /F0 8 Tf 0.35 0.40 0.45 rg %.2f 40 Td <%s> Tj ET\nEMC\n", x, d.glyphs(text, 0))
		}
	}
}

// file collects numbered objects (7.3.10).
type file struct {
	objects [][]byte
}

func (f *file) reserve() int { f.objects = append(f.objects, nil); return len(f.objects) }

func (f *file) set(n int, format string, args ...any) {
	f.objects[n-1] = fmt.Appendf(nil, format, args...)
}

func (f *file) add(format string, args ...any) int {
	n := f.reserve()
	f.set(n, format, args...)
	return n
}

// stream adds compressed bytes (7.4.4).
func (f *file) stream(dictionary string, data []byte) int {
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	_, _ = w.Write(data) // into memory
	_ = w.Close()
	n := f.reserve()
	f.objects[n-1] = append(fmt.Appendf(nil, "<<%s /Filter /FlateDecode /Length %d>>\nstream\n", dictionary, z.Len()), append(z.Bytes(), "\nendstream"...)...)
	return n
}

// str writes a text string (7.9.2.2): UTF-16BE with its mark.
func str(s string) string {
	var b strings.Builder
	b.WriteString("<FEFF")
	for _, u := range utf16.Encode([]rune(s)) {
		fmt.Fprintf(&b, "%04X", u)
	}
	b.WriteString(">")
	return b.String()
}

// date writes a date (7.9.4).
func date(t time.Time) string {
	_, offset := t.Zone()
	sign := '+'
	if offset < 0 {
		sign, offset = '-', -offset
	}
	return fmt.Sprintf("(D:%s%c%02d'%02d)", t.Format("20060102150405"), sign, offset/3600, offset/60%60)
}

// WriteTo writes the document. The same calls give the same bytes.
func (d *Document) WriteTo(w io.Writer) (int64, error) {
	if d.err != nil {
		return 0, d.err
	}
	if d.info.Title == "" || d.info.Lang == "" {
		return 0, errors.New("typeset: a document needs a title and a language")
	}
	d.footers()
	f := &file{}
	catalog, pagesNode := f.reserve(), f.reserve()
	var fonts []string
	for i := range d.faces {
		fonts = append(fonts, fmt.Sprintf("/F%d %d 0 R", i, d.writeFont(f, i)))
	}
	var kids []string
	d.reserveWidgets(f)
	pageObjects := make([]int, len(d.pages))
	for i, p := range d.pages {
		content := f.stream("", []byte(p.String()))
		pageObjects[i] = f.add("<</Type /Page /Parent %d 0 R /MediaBox [0 0 %.2f %.2f] /Contents %d 0 R /Resources <</Font <<%s>>>> /StructParents %d /Tabs /S%s>>",
			pagesNode, pageWidth, pageHeight, content, strings.Join(fonts, " "), i, d.annotations(i))
		kids = append(kids, fmt.Sprintf("%d 0 R", pageObjects[i]))
	}
	f.set(pagesNode, "<</Type /Pages /Count %d /Kids [%s]>>", len(kids), strings.Join(kids, " "))
	form := d.writeWidgets(f, pageObjects)
	tree := d.writeTree(f, pageObjects)
	meta := f.reserve()
	xmp := d.xmp()
	f.set(meta, "<</Type /Metadata /Subtype /XML /Length %d>>\nstream\n%s\nendstream", len(xmp), xmp)
	info := f.add("<</Title %s /Author %s /Subject %s /Creator %s /Producer %s /CreationDate %s /ModDate %s>>",
		str(d.info.Title), str(d.info.Author), str(d.info.Subject), str("CiTel"), str("CiTel"), date(d.info.Created), date(d.info.Created))
	f.set(catalog, "<</Type /Catalog /Pages %d 0 R /MarkInfo <</Marked true>> /StructTreeRoot %d 0 R /Lang %s /ViewerPreferences <</DisplayDocTitle true>> /Metadata %d 0 R%s>>",
		pagesNode, tree, str(d.info.Lang), meta, form)
	return f.write(w, catalog, info, d.info.ID)
}

// writeFont embeds one face as a composite font (9.7) with the way back to
// Unicode (9.10.3).
func (d *Document) writeFont(f *file, n int) int {
	face, used := d.faces[n], d.used[n]
	gids := make([]int, 0, len(used))
	for g := range used {
		gids = append(gids, int(g))
	}
	slices.Sort(gids)
	data := face.subset(used)
	program := f.stream(fmt.Sprintf(" /Length1 %d", len(data)), data)
	name := "CITELA+" + face.name
	descriptor := f.add("<</Type /FontDescriptor /FontName /%s /Flags 32 /FontBBox [%d %d %d %d] /ItalicAngle 0 /Ascent %d /Descent %d /CapHeight %d /StemV %d /FontFile2 %d 0 R>>",
		name, face.box[0], face.box[1], face.box[2], face.box[3], face.ascent, face.descent, face.capHeight, 80+60*n, program)
	var widths, unicode strings.Builder
	for _, g := range gids {
		fmt.Fprintf(&widths, "%d [%d] ", g, face.width(uint16(g))) //nolint:gosec // glyph ids have 16 bits
	}
	for i := 0; i < len(gids); i += 100 {
		part := gids[i:min(i+100, len(gids))]
		fmt.Fprintf(&unicode, "%d beginbfchar\n", len(part))
		for _, g := range part {
			fmt.Fprintf(&unicode, "<%04X> <", g)
			for _, u := range utf16.Encode([]rune{used[uint16(g)]}) { //nolint:gosec // see above
				fmt.Fprintf(&unicode, "%04X", u)
			}
			unicode.WriteString(">\n")
		}
		unicode.WriteString("endbfchar\n")
	}
	toUnicode := f.stream("", fmt.Appendf(nil, "/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n/CIDSystemInfo <</Registry (Adobe) /Ordering (UCS) /Supplement 0>> def\n/CMapName /Adobe-Identity-UCS def\n/CMapType 2 def\n1 begincodespacerange\n<0000> <FFFF>\nendcodespacerange\n%sendcmap\nCMapName currentdict /CMap defineresource pop\nend\nend", unicode.String()))
	descendant := f.add("<</Type /Font /Subtype /CIDFontType2 /BaseFont /%s /CIDSystemInfo <</Registry (Adobe) /Ordering (Identity) /Supplement 0>> /FontDescriptor %d 0 R /W [%s] /DW 0 /CIDToGIDMap /Identity>>",
		name, descriptor, widths.String())
	return f.add("<</Type /Font /Subtype /Type0 /BaseFont /%s /Encoding /Identity-H /DescendantFonts [%d 0 R] /ToUnicode %d 0 R>>", name, descendant, toUnicode)
}

// writeTree writes the structure tree and the way from marked content to it
// (14.7.4.4).
func (d *Document) writeTree(f *file, pages []int) int {
	root := f.reserve()
	var number func(e *element)
	number = func(e *element) {
		e.object = f.reserve()
		for _, c := range e.children {
			number(c)
		}
	}
	number(d.root)
	var write func(e *element, parent int)
	write = func(e *element, parent int) {
		var kids []string
		for _, m := range e.mcids {
			kids = append(kids, fmt.Sprintf("<</Type /MCR /Pg %d 0 R /MCID %d>>", pages[m.page], m.id))
		}
		if e.widget != nil {
			kids = append(kids, fmt.Sprintf("<</Type /OBJR /Pg %d 0 R /Obj %d 0 R>>", pages[e.widget.page], e.widget.object))
		}
		for _, c := range e.children {
			kids = append(kids, fmt.Sprintf("%d 0 R", c.object))
			write(c, e.object)
		}
		scope := ""
		if e.scope != "" {
			scope = " /A <</O /Table /Scope /" + e.scope + ">>"
		}
		if e.alt != "" {
			scope += " /Alt " + str(e.alt)
		}
		f.set(e.object, "<</Type /StructElem /S /%s /P %d 0 R%s /K [%s]>>", e.kind, parent, scope, strings.Join(kids, " "))
	}
	write(d.root, root)
	var nums strings.Builder
	for i, elements := range d.parents {
		var refs []string
		for _, e := range elements {
			refs = append(refs, fmt.Sprintf("%d 0 R", e.object))
		}
		fmt.Fprintf(&nums, "%d [%s] ", i, strings.Join(refs, " "))
	}
	for _, w := range d.widgets {
		fmt.Fprintf(&nums, "%d %d 0 R ", w.key, w.element.object)
	}
	parents := f.add("<</Nums [%s]>>", nums.String())
	f.set(root, "<</Type /StructTreeRoot /K [%d 0 R] /ParentTree %d 0 R /ParentTreeNextKey %d>>", d.root.object, parents, len(pages)+len(d.widgets))
	return root
}

var xmlEscape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")

// xmp is the metadata that PDF/UA asks for (ISO 14289-1, 5).
func (d *Document) xmp() string {
	return `<?xpacket begin="` + "\ufeff" + `" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:pdfuaid="http://www.aiim.org/pdfua/ns/id/" xmlns:xmp="http://ns.adobe.com/xap/1.0/">
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">` + xmlEscape.Replace(d.info.Title) + `</rdf:li></rdf:Alt></dc:title>
<pdfuaid:part>1</pdfuaid:part><xmp:CreateDate>` + d.info.Created.Format(time.RFC3339) + `</xmp:CreateDate>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>`
}

// write puts the objects down with their cross-reference table (7.5.4).
func (f *file) write(w io.Writer, catalog, info int, id [16]byte) (int64, error) {
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
	offsets := make([]int, len(f.objects))
	for i, o := range f.objects {
		offsets[i] = b.Len()
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	at := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(offsets)+1)
	for _, o := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&b, "trailer\n<</Size %d /Root %d 0 R /Info %d 0 R /ID [<%X> <%X>]>>\nstartxref\n%d\n%%%%EOF\n", len(offsets)+1, catalog, info, id, id, at)
	return b.WriteTo(w)
}
