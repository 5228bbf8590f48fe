package pades

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/citel-pa/citel/pkcs/pdf"
	"github.com/citel-pa/citel/pkcs/validation"
)

// Kinds of changes, as validation.PDFChange.ID has them.
const (
	pageCount   = "page-count"
	pageContent = "page-content"
	annotation  = "annotation"
	formFill    = "form-fill"
	newSig      = "signature"
	newStamp    = "time-stamp"
	storeChange = "dss"
	metadata    = "metadata"
	undefined   = "undefined"
	notCompared = "not-compared"
)

// Limits of the comparisons. Of each kind of change so many are told, so that a crowd of
// one kind hides none of another; what was not compared is told as such.
const (
	maxChanges  = 40
	maxCompared = 1 << 20 // objects, for all signatures of a file
	maxPages    = 100_000
)

// changes tells what later revisions did to what was signed: the signed revision and
// the file as it is now are walked side by side, as a reader sees them.
func (d *document) changes(ctx context.Context, s *signature) {
	if s.facts.PDF == nil || s.revision == d.file {
		return
	}
	if s.skipped || (s.revision != nil && d.compared > maxCompared) {
		s.facts.PDF.Changes = []validation.PDFChange{{ID: notCompared, Text: "there are too many objects to compare"}}
		return
	}
	if s.revision == nil {
		return // told as a fault
	}
	if d.pagesNow == nil {
		d.fieldsNow, d.pagesNow = fields(d.file), pagesOf(d.file)
		d.compared += len(d.fieldsNow) + len(d.pagesNow)
	}
	if d.file.Locked() {
		s.facts.PDF.Changes = []validation.PDFChange{{ID: notCompared, Text: "the file is encrypted: what later revisions did is not known"}}
		return
	}
	c := &comparison{ctx: ctx, was: s.revision, is: d.file, equal: map[pair]bool{}, told: map[string]int{}, compared: &d.compared, fieldsNow: d.fieldsNow, pagesNow: d.pagesNow}
	c.rules = d.rules(s)
	c.form()
	c.strict = true
	c.pages()
	c.strict = false
	c.catalog()
	c.encryption()
	if !c.same(c.was.Trailer["Info"], c.is.Trailer["Info"], 0) {
		c.tell(metadata, "the document's information changed")
	}
	if c.over() {
		c.tell(notCompared, "there are too many objects to compare")
	}
	s.facts.PDF.Changes = c.out
}

type comparison struct {
	ctx     context.Context //nolint:containedctx // it lives as long as one call of changes
	was, is *pdf.File
	rules   rules
	out     []validation.PDFChange
	told    map[string]int
	equal   map[pair]bool
	// strict: nothing is looked at elsewhere (what a page shows).
	strict   bool
	compared *int // by all comparisons of the file
	// of the file as it is
	fieldsNow []field
	pagesNow  []page
	// filled are the fields (by their dictionaries' numbers) whose value changed, and
	// those that were signed since.
	filled, signedNow map[int]bool
	signatureFields   map[int]bool
}

// pair names two versions of an object.
type pair struct {
	was, is int
	strict  bool
}

func (c *comparison) tell(id, format string, args ...any) {
	c.add(id, validation.PDFChange{ID: id, Text: fmt.Sprintf(format, args...), Forbidden: c.rules.forbid(id)})
}

func (c *comparison) add(kind string, change validation.PDFChange) {
	if c.told[kind]++; c.told[kind] <= maxChanges {
		c.out = append(c.out, change)
	}
}

// spend counts one object more; ok is false when no more is compared.
func (c *comparison) spend() (ok bool) {
	if *c.compared++; *c.compared%4096 == 0 && c.ctx.Err() != nil {
		*c.compared = maxCompared + 1
	}
	return !c.over()
}

// over: no more is compared.
func (c *comparison) over() bool { return *c.compared > maxCompared }

// catalogKinds are the catalogue's entries that others look after, or that have a kind
// of their own (7.7.2, table 29).
var catalogKinds = map[pdf.Name]string{
	"Pages": "", "AcroForm": "", "Type": "",
	"DSS": storeChange, "Perms": newSig,
	"Metadata": metadata, "Extensions": metadata, "Version": metadata, "PieceInfo": metadata,
	"OCProperties": pageContent, // which layers are seen
}

func (c *comparison) catalog() {
	was, is := c.was.Catalog(), c.is.Catalog()
	for _, key := range keys(was, is) {
		kind, known := catalogKinds[key]
		if !known {
			kind = undefined
		}
		if kind != "" && !c.same(was[key], is[key], 0) {
			c.tell(kind, "the catalogue's %s changed", key)
		}
	}
}

// encryption: under another key the same bytes are other words.
func (c *comparison) encryption() {
	a, b := c.was.Trailer["Encrypt"], c.is.Trailer["Encrypt"]
	if (a == nil) != (b == nil) || !c.same(a, b, 0) {
		c.tell(pageContent, "the encryption changed")
	}
}

func keys(a, b pdf.Dict) []pdf.Name {
	out := make([]pdf.Name, 0, len(a)+len(b))
	for k := range a {
		out = append(out, k)
	}
	for k := range b {
		if _, both := a[k]; !both {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}

// elsewhere: pages and annotations are compared in their own places, so a reference to
// one is equal to a reference to its other version.
func elsewhere(d pdf.Dict) bool {
	switch d["Type"] {
	case pdf.Name("Page"), pdf.Name("Pages"), pdf.Name("Annot"):
		return true
	}
	return d["Subtype"] == pdf.Name("Widget") || d["FT"] != nil
}

// same compares two objects of the two revisions in depth.
func (c *comparison) same(a, b pdf.Object, depth int) bool {
	if !c.spend() || depth > 256 {
		return c.over()
	}
	ra, oka := a.(pdf.Ref)
	rb, okb := b.(pdf.Ref)
	if oka && okb {
		p := pair{ra.Num, rb.Num, c.strict}
		if c.equal[p] {
			return true
		}
		c.equal[p] = true // a way back to here must not go round for ever
		ok := c.sameDirect(c.was.Resolve(a), c.is.Resolve(b), ra.Num == rb.Num && c.was.SameEntry(c.is, ra.Num), depth)
		c.equal[p] = ok
		return ok
	}
	if oka {
		a = c.was.Resolve(a)
	}
	if okb {
		b = c.is.Resolve(b)
	}
	return c.sameDirect(a, b, false, depth)
}

func (c *comparison) sameDirect(a, b pdf.Object, sameBytes bool, depth int) bool {
	switch a := a.(type) {
	case pdf.Dict:
		b, ok := b.(pdf.Dict)
		return ok && ((!c.strict && elsewhere(a) && elsewhere(b)) || c.sameDict(a, b, depth))
	case pdf.Array:
		b, ok := b.(pdf.Array)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !c.same(a[i], b[i], depth+1) {
				return false
			}
		}
		return true
	case *pdf.Stream:
		b, ok := b.(*pdf.Stream)
		return ok && c.sameDict(a.Dict, b.Dict, depth) && (sameBytes || sameStream(c.was, c.is, a, b))
	case pdf.String:
		b, ok := b.(pdf.String)
		return ok && bytes.Equal(a, b)
	}
	return number(a) == number(b)
}

// number makes 1 and 1.0 the same; other objects stay.
func number(o pdf.Object) pdf.Object {
	switch o := o.(type) {
	case int64:
		return float64(o)
	case nil, bool, float64, pdf.Name, pdf.Ref:
		return o
	}
	return fmt.Sprintf("%T", o)
}

func (c *comparison) sameDict(a, b pdf.Dict, depth int) bool {
	for _, k := range keys(a, b) {
		// Length may have moved to an object of its own; the bytes are compared.
		if k == "Parent" || k == "P" || k == "Length" {
			continue
		}
		if !c.same(a[k], b[k], depth+1) {
			return false
		}
	}
	return true
}

func sameStream(was, is *pdf.File, a, b *pdf.Stream) bool {
	if a.Length != b.Length {
		return false
	}
	x, y := was.Raw(a), is.Raw(b)
	var p, q [32 << 10]byte
	for {
		n, err := io.ReadFull(x, p[:])
		m, _ := io.ReadFull(y, q[:])
		if !bytes.Equal(p[:n], q[:m]) {
			return false
		}
		if err != nil {
			return true
		}
	}
}

// page is a leaf of the page tree with what it inherits (7.7.3.4).
type page struct {
	dict pdf.Dict
	num  int
}

var inherited = []pdf.Name{"Resources", "MediaBox", "CropBox", "Rotate"}

func pagesOf(f *pdf.File) (out []page) {
	seen := map[int]bool{}
	var visit func(o pdf.Object, from pdf.Dict, depth int)
	visit = func(o pdf.Object, from pdf.Dict, depth int) {
		ref, _ := o.(pdf.Ref)
		d := f.Dict(o)
		if d == nil || depth > 64 || len(out) >= maxPages || (ref.Num > 0 && seen[ref.Num]) {
			return
		}
		seen[ref.Num] = true
		has := pdf.Dict{}
		for _, k := range inherited {
			if has[k] = d[k]; d[k] == nil {
				has[k] = from[k]
			}
		}
		if kids := f.Array(d["Kids"]); kids != nil && f.Name(d["Type"]) != "Page" {
			for _, k := range kids {
				visit(k, has, depth+1)
			}
			return
		}
		whole := pdf.Dict{}
		for k, v := range d {
			whole[k] = v
		}
		for k, v := range has {
			whole[k] = v
		}
		out = append(out, page{whole, ref.Num})
	}
	visit(f.Catalog()["Pages"], pdf.Dict{}, 0)
	return out
}

// pageKinds are a page's entries that do not change what it shows (7.7.3.3, table 31).
var pageKinds = map[pdf.Name]string{
	"Parent": "", "Annots": "", "Type": "", "Tabs": "", "StructParents": "",
	"LastModified": metadata, "Metadata": metadata, "PieceInfo": metadata, "ID": metadata,
	"Thumb": undefined, "B": undefined, "AA": undefined, "PZ": undefined, "SeparationInfo": undefined,
	"Trans": undefined, "Dur": undefined, "PresSteps": undefined, "VP": undefined, "DPart": undefined, "AF": undefined,
}

func (c *comparison) pages() {
	was, is := pagesOf(c.was), c.pagesNow
	*c.compared += len(was)
	if len(was) != len(is) {
		c.tell(pageCount, "%d pages became %d", len(was), len(is))
	}
	for i := range min(len(was), len(is)) {
		a, b := was[i].dict, is[i].dict
		for _, key := range keys(a, b) {
			kind, known := pageKinds[key]
			if !known {
				kind = pageContent
			}
			if kind == "" || c.same(a[key], b[key], 0) {
				continue
			}
			if key == "Resources" && c.onlyMoreResources(a[key], b[key]) {
				c.tell(undefined, "page %d: resources were added", i+1)
				continue
			}
			c.tell(kind, "page %d: %s changed", i+1, key)
		}
		c.annotations(i+1, c.was.Array(a["Annots"]), c.is.Array(b["Annots"]))
	}
}

// onlyMoreResources: names were added and none was changed, so that the page's content,
// the same as before, cannot use them.
func (c *comparison) onlyMoreResources(a, b pdf.Object) bool {
	was, is := c.was.Dict(a), c.is.Dict(b)
	for kind, x := range was {
		old, now := c.was.Dict(x), c.is.Dict(is[kind])
		if old == nil || now == nil {
			if !c.same(x, is[kind], 0) {
				return false
			}
			continue
		}
		for name, v := range old {
			if !c.same(v, now[name], 0) {
				return false
			}
		}
	}
	return true
}
