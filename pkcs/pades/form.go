package pades

import (
	"slices"

	"github.com/citel-pa/citel/pkcs/pdf"
)

// form compares the fields of both revisions (12.7): what was filled in, what was
// signed, what came and went.
func (c *comparison) form() {
	c.filled, c.signedNow, c.signatureFields = map[int]bool{}, map[int]bool{}, map[int]bool{}
	was := map[string]field{}
	for _, f := range fields(c.was) {
		was[f.name] = f
		*c.compared++
	}
	for _, f := range c.fieldsNow {
		if f.kind == "Sig" {
			c.signatureFields[f.num] = true
		}
		old, there := was[f.name]
		delete(was, f.name)
		if there && old.kind == f.kind && c.sameValue(&old, &f) {
			continue
		}
		switch {
		case !there && f.kind == "Sig":
			c.mark(&f, c.signedNow)
			c.tell(c.signatureKind(&f), "the field %s was added%s", f.name, signedWord(&f))
		case !there:
			c.tell(annotation, "the field %s was added", f.name)
		case f.kind == "Sig" && old.value == nil:
			c.mark(&f, c.signedNow)
			c.tell(c.signatureKind(&f), "the field %s was signed", f.name)
			c.locked(f.name)
		case f.kind == "Sig" || old.kind != f.kind:
			c.tell(pageContent, "the signature in the field %s was replaced", f.name)
		default:
			c.mark(&f, c.filled)
			c.tell(formFill, "the field %s was filled in", f.name)
			c.locked(f.name)
		}
	}
	for name := range was {
		c.tell(undefined, "the field %s is gone", name)
		c.locked(name)
	}
	c.formKeys()
}

// sameValue compares two values of a field. What a signature's Reference points to is the
// whole document, which has its own comparison.
func (c *comparison) sameValue(old, now *field) bool {
	a, b := c.was.Dict(old.value), c.is.Dict(now.value)
	if now.kind != "Sig" || a == nil || b == nil {
		return c.same(old.value, now.value, 0)
	}
	for _, key := range keys(a, b) {
		if key != "Reference" && !c.same(a[key], b[key], 0) {
			return false
		}
	}
	return true
}

func signedWord(f *field) string {
	if f.value == nil {
		return ", not signed"
	}
	return " and signed"
}

func (c *comparison) signatureKind(f *field) string {
	if c.is.Dict(f.value)["Type"] == pdf.Name("DocTimeStamp") || c.is.Name(c.is.Dict(f.value)["SubFilter"]) == subTimestamp {
		return newStamp
	}
	return newSig
}

// mark keeps the numbers of a field and of its widgets.
func (c *comparison) mark(f *field, in map[int]bool) {
	in[f.num] = true
	for _, k := range c.is.Array(f.dict["Kids"]) {
		if ref, ok := k.(pdf.Ref); ok {
			in[ref.Num] = true
			if f.kind == "Sig" {
				c.signatureFields[ref.Num] = true
			}
		}
	}
}

// formKeys compares the form's own entries (table 224).
func (c *comparison) formKeys() {
	a, b := c.was.Dict(c.was.Catalog()["AcroForm"]), c.is.Dict(c.is.Catalog()["AcroForm"])
	for _, key := range keys(a, b) {
		if key == "Fields" || key == "SigFlags" || c.same(a[key], b[key], 0) {
			continue
		}
		switch {
		case a == nil:
			return // a form that came with the first field
		case key == "DA" || key == "Q":
			// How the text of later values is set; what is seen is compared by itself.
			c.tell(metadata, "the form's %s changed", key)
		case key == "DR" && (a[key] == nil || c.onlyMoreResources(a[key], b[key])):
			c.tell(formFill, "the form's resources grew")
		case key == "DR":
			// What is seen of a field is its appearance, which is compared by itself.
			c.tell(undefined, "the form's resources changed")
		default:
			c.tell(undefined, "the form's %s changed", key)
		}
	}
}

// appearance are the entries of a widget that filling and signing change.
var appearance = []pdf.Name{"AP", "AS"}

// quiet are entries of annotations that show nothing.
var quiet = []pdf.Name{"V", "M", "P", "Parent", "StructParent", "Lock", "SV", "Kids", "T", "NM"}

// placed are entries of widgets that say where they are, and whether at all.
var placed = []pdf.Name{"Rect", "Subtype", "F", "OC"}

// visibility are the flags Invisible, Hidden and NoView (12.5.3, table 167).
func visibility(o pdf.Object) int64 {
	f, _ := o.(int64)
	return f & (1<<0 | 1<<1 | 1<<5)
}

// handling are entries of widgets that say how a value is given, not how it is seen.
var handling = []pdf.Name{"Ff", "DA", "Q", "I", "TI", "MaxLen", "DV"}

// annotations compares those of one page: by their numbers, or by their places.
func (c *comparison) annotations(page int, was, is pdf.Array) {
	strict := c.strict
	c.strict = true
	defer func() { c.strict = strict }()
	known := map[int]pdf.Object{}
	for i, o := range was {
		known[annotationKey(o, i)] = o
	}
	var rects [][4]float64
	pictures := 0
	for i, o := range is {
		if !c.spend() {
			return
		}
		key := annotationKey(o, i)
		old, there := known[key]
		delete(known, key)
		num := max(0, key)
		dict := c.is.Dict(o)
		switch {
		case dict == nil:
		case !there && c.signatureFields[num]:
			// told as a signature already; what it covers is told here
			if rects == nil {
				rects = c.rectangles(is)
			}
			if pictures++; pictures <= maxPictures {
				c.overlap(page, rects, i)
			}
			if r, visible := rectangle(c.is, dict["Rect"]); visible && c.rules.permissions > 0 {
				// 12.8.2.2: a certification lets fields be signed that are there. Programs add new
				// ones too; what the picture of such a one shows, or hides, its signer chose.
				c.tell(undefined, "page %d: a new signature field with a picture of %.0f x %.0f was added", page, r[2]-r[0], r[3]-r[1])
			}
		case !c.signatureFields[num] && c.newField(dict) && (!there || c.was.Dict(old)["Subtype"] != dict["Subtype"]):
			c.tell(pageContent, "page %d: a field was added", page)
		case !there:
			c.tell(annotation, "page %d: an annotation was added (%s)", page, c.is.Name(dict["Subtype"]))
		default:
			c.annotationChanged(page, num, c.was.Dict(old), dict)
		}
	}
	for _, o := range known {
		d := c.was.Dict(o)
		if d == nil {
			continue
		}
		if _, seen := rectangle(c.was, d["Rect"]); seen && d["Subtype"] == pdf.Name("Widget") {
			c.tell(pageContent, "page %d: a field is gone", page)
		} else {
			c.tell(annotation, "page %d: an annotation is gone (%s)", page, c.was.Name(d["Subtype"]))
		}
	}
}

// newField: a widget that is seen and belongs to no signature. Unlike a comment, it is
// taken for a part of the page.
func (c *comparison) newField(dict pdf.Dict) bool {
	_, seen := rectangle(c.is, dict["Rect"])
	return seen && dict["Subtype"] == pdf.Name("Widget") && visibility(dict["F"]) == 0
}

// annotationKey is the number of an annotation, or a negative place.
func annotationKey(o pdf.Object, i int) int {
	if ref, ok := o.(pdf.Ref); ok {
		return ref.Num
	}
	return -1 - i
}

func (c *comparison) annotationChanged(page, num int, a, b pdf.Dict) {
	for _, key := range keys(a, b) {
		if slices.Contains(quiet, key) || c.same(a[key], b[key], 0) {
			continue
		}
		widget := b["Subtype"] == pdf.Name("Widget") && a["Subtype"] == b["Subtype"]
		switch {
		case widget && slices.Contains(handling, key):
		case key == "F" && visibility(a[key]) == visibility(b[key]):
		case a["Subtype"] == pdf.Name("Widget") && !c.signedNow[num] && slices.Contains(placed, key):
			c.tell(pageContent, "page %d: %s of a field changed", page, key)
		case c.signedNow[num] && (slices.Contains(appearance, key) || key == "MK" || key == "F" || key == "DA"):
		case slices.Contains(appearance, key) && c.isFilled(num, b):
		case slices.Contains(appearance, key) && widget:
			// The value is the same and looks other than before.
			c.tell(pageContent, "page %d: a field looks other than before, and its value is the same", page)
		default:
			c.tell(annotation, "page %d: %s of an annotation changed (%s)", page, key, c.is.Name(b["Subtype"]))
		}
	}
}

// isFilled tells whether the field that a widget belongs to has a new value.
func (c *comparison) isFilled(num int, widget pdf.Dict) bool {
	if c.filled[num] {
		return true
	}
	parent, ok := widget["Parent"].(pdf.Ref)
	return ok && c.filled[parent.Num]
}

// maxPictures is how many new signatures of a page are compared with its annotations.
const maxPictures = 256

// overlap tells where a new signature's picture lies over an annotation that was there.
// rects are those of the page's annotations.
func (c *comparison) overlap(page int, rects [][4]float64, self int) {
	mine := rects[self]
	if mine[0] == mine[2] {
		return
	}
	for i, r := range rects {
		if i != self && mine[0] < r[2] && r[0] < mine[2] && mine[1] < r[3] && r[1] < mine[3] {
			c.tell(annotation, "page %d: a new signature's picture lies over another annotation", page)
			return
		}
	}
}

// rectangles are the places of annotations; an empty one lies over nothing.
func (c *comparison) rectangles(all pdf.Array) [][4]float64 {
	out := make([][4]float64, len(all))
	for i, o := range all {
		if !c.spend() {
			break
		}
		if r, ok := rectangle(c.is, c.is.Dict(o)["Rect"]); ok {
			out[i] = r
		}
	}
	return out
}

// rectangle is x0, y0, x1, y1 in order; ok is false for an empty one.
func rectangle(f *pdf.File, o pdf.Object) (r [4]float64, ok bool) {
	a := f.Array(o)
	if len(a) != 4 {
		return r, false
	}
	for i, x := range a {
		switch x := f.Resolve(x).(type) {
		case int64:
			r[i] = float64(x)
		case float64:
			r[i] = x
		default:
			return r, false
		}
	}
	r[0], r[2] = min(r[0], r[2]), max(r[0], r[2])
	r[1], r[3] = min(r[1], r[3]), max(r[1], r[3])
	return r, r[0] < r[2] && r[1] < r[3]
}
