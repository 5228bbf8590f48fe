package pades

import (
	"fmt"
	"slices"
	"strings"

	"github.com/citel-pa/citel/pkcs/pdf"
	"github.com/citel-pa/citel/pkcs/validation"
)

// rules are what a certification (DocMDP, ISO 32000-2, 12.8.2.2) and a signature's locks
// (FieldMDP, 12.8.2.4; SigFieldLock, 12.7.5.5) permit after it.
type rules struct {
	permissions int // 0: no certification
	locks       []lock
}

type lock struct {
	action pdf.Name // All, Include, Exclude
	names  []string
}

// rules collects those that bind what follows a signature: its own, and the
// certification that was there when it was made.
func (d *document) rules(s *signature) rules {
	r := rules{permissions: s.permissions()}
	stricter := func(p int) {
		if p > 0 && (r.permissions == 0 || p < r.permissions) {
			r.permissions = p
		}
	}
	for _, other := range d.signatures {
		if other != s && other.end > 0 && other.end <= s.end {
			stricter(other.permissions())
		}
	}
	f := s.revision
	if l := f.Dict(s.field.dict["Lock"]); l != nil {
		r.addLock(f, l)
		if p, ok := f.Int(l["P"]); ok && p >= 1 && p <= 3 {
			stricter(int(p))
		}
	}
	for _, ref := range f.Array(s.dict["Reference"]) {
		if x := f.Dict(ref); f.Name(x["TransformMethod"]) == "FieldMDP" {
			r.addLock(f, f.Dict(x["TransformParams"]))
		}
	}
	return r
}

func (r *rules) addLock(f *pdf.File, d pdf.Dict) {
	l := lock{action: f.Name(d["Action"])}
	for _, o := range f.Array(d["Fields"]) {
		if s, ok := f.Resolve(o).(pdf.String); ok {
			l.names = append(l.names, pdf.Text(s))
		}
	}
	if l.action != "" {
		r.locks = append(r.locks, l)
	}
}

// forbid is table 257: 1 permits nothing but what PAdES adds (EN 319 142-1, 5.4), 2 the
// filling in of forms and signing, 3 annotations too.
func (r *rules) forbid(id string) bool {
	switch r.permissions {
	case 1:
		return !slices.Contains([]string{storeChange, newStamp, metadata, undefined}, id)
	case 2:
		return slices.Contains([]string{pageCount, pageContent, annotation}, id)
	case 3:
		return slices.Contains([]string{pageCount, pageContent}, id)
	}
	return false
}

func (r *rules) holds(name string) bool {
	for _, l := range r.locks {
		named := slices.ContainsFunc(l.names, func(n string) bool { return name == n || strings.HasPrefix(name, n+".") })
		if l.action == "All" || (l.action == "Include" && named) || (l.action == "Exclude" && !named) {
			return true
		}
	}
	return false
}

// locked tells of a change to a field that the signature locked.
func (c *comparison) locked(name string) {
	if c.rules.holds(name) {
		c.add("locked", validation.PDFChange{ID: formFill, Forbidden: true, Text: fmt.Sprintf("the field %s was locked by the signature and changed", name)})
	}
}
