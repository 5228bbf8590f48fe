package pades

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/citel-pa/citel/pkcs/pdf"
)

// Errors of preparing and signing.
var (
	// ErrNoChanges: the document's certification permits no further signature.
	ErrNoChanges = errors.New("pades: the document's certification permits no changes")
	// ErrField: the field that was named is not an empty signature field.
	ErrField = errors.New("pades: no empty signature field")
	// ErrRoom: the signature is larger than the room that was kept for it.
	ErrRoom = errors.New("pades: the signature does not fit")
	// ErrPrepared: what was prepared is not what Prepare makes.
	ErrPrepared = errors.New("pades: prepared data is not in order")
)

// Room for a signature's value in bytes: a certificate chain and a time-stamp fit.
const (
	DefaultRoom = 16 << 10
	maxRoom     = 1 << 20
)

// PrepareOptions says what the signature's dictionary tells (ISO 32000-2, table 255).
type PrepareOptions struct {
	// Field is the empty signature field to sign. Without it one is made, with the name
	// NewField, or the first free one.
	Field, NewField string
	// Time is the signer's claim (M).
	Time                   time.Time
	Name, Reason, Location string
	// Room for the value in bytes; 0 is DefaultRoom.
	Room int
}

// Prepared is an increment with room for a signature. It is data: another process may
// have made it (the one that reads strangers' documents), so Complete checks it.
type Prepared struct {
	// Increment is what follows the document.
	Increment []byte
	// From and To are where the value goes in it, the angle brackets included.
	From, To int
}

// Prepare makes the increment that holds a signature (EN 319 142-1, 6.3; ISO 32000-2,
// 12.8.1): the field, its invisible widget on the first page, and a dictionary with room
// for the value. The document is read only.
func Prepare(r io.ReaderAt, size int64, o PrepareOptions) (*Prepared, error) {
	f, err := pdf.Open(r, size)
	if err != nil {
		return nil, err
	}
	if o.Room == 0 {
		o.Room = DefaultRoom
	}
	if o.Room < 1024 || o.Room > maxRoom {
		return nil, fmt.Errorf("pades: room of %d bytes", o.Room)
	}
	if err := maySign(r, f, o.Field); err != nil {
		return nil, err
	}
	u, err := f.Increment()
	if err != nil {
		return nil, err
	}
	value := u.New()
	lock, err := place(f, u, value, o)
	if err != nil {
		return nil, err
	}
	body, rangeAt, gap := dictionary(o, lock)
	u.SetRaw(value, body)
	data, at, err := u.Finish()
	if err != nil {
		return nil, err
	}
	p := &Prepared{Increment: data, From: at[value.Num] + gap.from, To: at[value.Num] + gap.to}
	ranges := fmt.Appendf(nil, "[0 %d %d %d]", size+int64(p.From), size+int64(p.To), int64(len(data)-p.To))
	hole := data[at[value.Num]+rangeAt:][:rangeRoom]
	if len(ranges) > len(hole) {
		return nil, pdf.ErrTooLarge
	}
	copy(hole, append(ranges, bytes.Repeat([]byte{' '}, len(hole)-len(ranges))...))
	return p, nil
}

// maySign refuses where a certification or a signature's lock permits nothing (P 1), or
// locks the field: one more signature would break the one that is there.
func maySign(r io.ReaderAt, f *pdf.File, field string) error {
	d := &document{r: r, file: f, store: &store{}}
	d.find()
	for _, s := range d.signatures {
		s.revision = f
	}
	for _, s := range d.signatures {
		rules := d.rules(s)
		if rules.permissions == 1 || (field != "" && rules.holds(field)) {
			return ErrNoChanges
		}
	}
	return nil
}

// rangeRoom is the room for ByteRange's array.
const rangeRoom = 64

type gap struct{ from, to int }

// dictionary writes the signature's dictionary: the place of ByteRange's array and of
// the value in it. What the field's Lock says comes along as a FieldMDP transform (12.7.5.5).
func dictionary(o PrepareOptions, lock pdf.Dict) (body []byte, rangeAt int, g gap) {
	d := pdf.Dict{"Type": pdf.Name("Sig"), "Filter": pdf.Name("Adobe.PPKLite"), "SubFilter": pdf.Name(subCAdES)}
	if !o.Time.IsZero() {
		d["M"] = pdf.Date(o.Time)
	}
	for key, text := range map[pdf.Name]string{"Name": o.Name, "Reason": o.Reason, "Location": o.Location} {
		if text != "" {
			d[key] = pdf.EncodeText(text)
		}
	}
	if lock != nil {
		params := pdf.Dict{"Type": pdf.Name("TransformParams"), "V": pdf.Name("1.2"), "Action": lock["Action"]}
		if lock["Fields"] != nil {
			params["Fields"] = lock["Fields"]
		}
		d["Reference"] = pdf.Array{pdf.Dict{"Type": pdf.Name("SigRef"), "TransformMethod": pdf.Name("FieldMDP"), "TransformParams": params}}
	}
	body = bytes.TrimSuffix(pdf.Append(nil, d), []byte(">>"))
	body = append(body, "/ByteRange "...)
	rangeAt = len(body)
	body = append(body, bytes.Repeat([]byte{' '}, rangeRoom)...)
	body = append(body, "\n/Contents "...)
	g.from = len(body)
	body = append(append(append(body, '<'), bytes.Repeat([]byte{'0'}, 2*o.Room)...), '>')
	g.to = len(body)
	return append(body, "\n>>"...), rangeAt, g
}

// place puts the field into the form and its widget onto the first page. It gives the Lock
// of a field that was there.
func place(f *pdf.File, u *pdf.Increment, value pdf.Ref, o PrepareOptions) (lock pdf.Dict, err error) {
	taken := map[string]bool{}
	for _, x := range fields(f) {
		taken[x.name] = true
		if x.name == o.Field && o.Field != "" {
			if x.kind != "Sig" || x.value != nil || x.num == 0 {
				return nil, fmt.Errorf("%w: %s", ErrField, o.Field)
			}
			d := x.dict.Clone()
			d["V"] = value
			u.Set(pdf.Ref{Num: x.num}, d)
			if l := f.Dict(x.dict["Lock"]); l != nil && f.Name(l["Action"]) != "" {
				lock = pdf.Dict{"Action": f.Name(l["Action"])}
				if names := f.Array(l["Fields"]); names != nil {
					lock["Fields"] = names
				}
			}
			return lock, flagForm(f, u, nil)
		}
	}
	name := o.NewField
	if o.Field != "" || taken[name] || strings.Contains(name, ".") {
		return nil, fmt.Errorf("%w: %s", ErrField, o.Field+name)
	}
	for i := 1; name == ""; i++ {
		if n := fmt.Sprintf("Firma%d", i); !taken[n] {
			name = n
		}
	}
	pages := pagesOf(f)
	if len(pages) == 0 || pages[0].num == 0 {
		return nil, fmt.Errorf("%w: it has no page", pdf.ErrMalformed)
	}
	page := pdf.Ref{Num: pages[0].num}
	field := u.New()
	u.Set(field, pdf.Dict{
		"Type": pdf.Name("Annot"), "Subtype": pdf.Name("Widget"), "FT": pdf.Name("Sig"), "T": pdf.EncodeText(name), "V": value, "P": page,
		"Rect": pdf.Array{int64(0), int64(0), int64(0), int64(0)}, "F": int64(132), // print, locked
	})
	d := f.Dict(page).Clone()
	if err := appendRef(f, u, d, "Annots", field); err != nil {
		return nil, err
	}
	if _, direct := f.Dict(page)["Annots"].(pdf.Ref); !direct {
		u.Set(page, d)
	}
	return nil, flagForm(f, u, &field)
}

// flagForm adds a field to the form, which may be an object or stand in the catalogue,
// and says that there are signatures and that the file is only to be appended to.
func flagForm(f *pdf.File, u *pdf.Increment, field *pdf.Ref) error {
	root, ok := f.Trailer["Root"].(pdf.Ref)
	if !ok {
		return fmt.Errorf("%w: Root is no reference", pdf.ErrMalformed)
	}
	catalog := f.Catalog().Clone()
	form := f.Dict(catalog["AcroForm"]).Clone()
	if field != nil {
		if err := appendRef(f, u, form, "Fields", *field); err != nil {
			return err
		}
	}
	form["SigFlags"] = int64(3)
	if ref, ok := catalog["AcroForm"].(pdf.Ref); ok && f.Dict(ref) != nil {
		u.Set(ref, form)
		return nil
	}
	catalog["AcroForm"] = form
	u.Set(root, catalog)
	return nil
}

// appendRef appends to an array that stands in a dictionary, or is an object.
func appendRef(f *pdf.File, u *pdf.Increment, d pdf.Dict, key pdf.Name, ref pdf.Ref) error {
	all := append(slices.Clone(f.Array(d[key])), ref)
	if d[key] != nil && f.Array(d[key]) == nil && f.Resolve(d[key]) != nil {
		return fmt.Errorf("%w: %s is no array", pdf.ErrMalformed, key)
	}
	if at, ok := d[key].(pdf.Ref); ok {
		u.Set(at, all)
		return nil
	}
	d[key] = all
	return nil
}
