package pades

import (
	"github.com/citel-pa/citel/pkcs/pdf"
)

// maxFields bounds a form's fields.
const maxFields = 100_000

// field is a terminal field of the form (ISO 32000-2, 12.7.4) with what it inherits.
type field struct {
	name  string // fully qualified
	num   int    // of its dictionary, 0 when that is direct
	dict  pdf.Dict
	kind  pdf.Name   // FT
	value pdf.Object // V, as it stands
	// holder is the object that has the key V: the field or an ancestor.
	holder int
}

func (f *field) signed() bool { return f.kind == "Sig" && f.value != nil }

// fields walks the form's tree.
func fields(f *pdf.File) []field {
	form := f.Dict(f.Catalog()["AcroForm"])
	w := &fieldWalk{f: f, seen: map[int]bool{}}
	for _, o := range f.Array(form["Fields"]) {
		w.visit(o, field{}, 0)
	}
	return w.out
}

type fieldWalk struct {
	f    *pdf.File
	seen map[int]bool
	out  []field
}

func (w *fieldWalk) visit(o pdf.Object, parent field, depth int) {
	here := parent
	here.num = 0
	if ref, ok := o.(pdf.Ref); ok {
		if w.seen[ref.Num] {
			return
		}
		w.seen[ref.Num] = true
		here.num = ref.Num
	}
	here.dict = w.f.Dict(o)
	if here.dict == nil || depth > 64 || len(w.out) >= maxFields {
		return
	}
	if t, ok := w.f.Resolve(here.dict["T"]).(pdf.String); ok {
		if here.name != "" {
			here.name += "."
		}
		here.name += pdf.Text(t)
	}
	if k := w.f.Name(here.dict["FT"]); k != "" {
		here.kind = k
	}
	if v := here.dict["V"]; v != nil && w.f.Resolve(v) != nil {
		here.value, here.holder = v, here.num
	}
	// Kids are fields if they have names; a field's widgets have none (12.7.4.2).
	kids := w.f.Array(here.dict["Kids"])
	isNode := false
	for _, k := range kids {
		if w.f.Dict(k)["T"] != nil {
			isNode = true
		}
	}
	if !isNode {
		w.out = append(w.out, here)
		return
	}
	for _, k := range kids {
		w.visit(k, here, depth+1)
	}
}
