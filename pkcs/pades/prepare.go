package pades

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/citel-pa/citel/pkcs/pdf"
)

// Errors of preparing and signing.
var (
	// ErrNoChanges: the document's certification permits no further signature.
	ErrNoChanges = errors.New("pades: the document's certification permits no changes")
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
	// Field to sign: an empty one of that name is used, else a new one is made; "" takes
	// the first free name.
	Field string
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
	if err := maySign(r, f); err != nil {
		return nil, err
	}
	u, err := f.Increment()
	if err != nil {
		return nil, err
	}
	value := u.New()
	if err := place(f, u, value, o.Field); err != nil {
		return nil, err
	}
	body, rangeAt, gap := dictionary(o)
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

// maySign refuses where a certification permits nothing (P 1).
func maySign(r io.ReaderAt, f *pdf.File) error {
	d := &document{r: r, file: f, store: &store{}}
	d.find()
	for _, s := range d.signatures {
		s.revision = f
		if s.permissions() == 1 {
			return ErrNoChanges
		}
	}
	return nil
}

// rangeRoom is the room for ByteRange's array.
const rangeRoom = 64

type gap struct{ from, to int }

// dictionary writes the signature's dictionary: the place of ByteRange's array and of
// the value in it.
func dictionary(o PrepareOptions) (body []byte, rangeAt int, g gap) {
	d := pdf.Dict{"Type": pdf.Name("Sig"), "Filter": pdf.Name("Adobe.PPKLite"), "SubFilter": pdf.Name(subCAdES)}
	if !o.Time.IsZero() {
		d["M"] = pdf.Date(o.Time)
	}
	for key, text := range map[pdf.Name]string{"Name": o.Name, "Reason": o.Reason, "Location": o.Location} {
		if text != "" {
			d[key] = pdf.EncodeText(text)
		}
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

// place puts the field into the form and its widget onto the first page.
func place(f *pdf.File, u *pdf.Increment, value pdf.Ref, name string) error {
	taken := map[string]bool{}
	for _, x := range fields(f) {
		taken[x.name] = true
		if x.name == name && name != "" {
			if x.kind != "Sig" || x.value != nil || x.num == 0 {
				return fmt.Errorf("pades: the field %s is no empty signature field", name)
			}
			d := x.dict.Clone()
			d["V"] = value
			u.Set(pdf.Ref{Num: x.num}, d)
			return flagForm(f, u, nil)
		}
	}
	for i := 1; name == ""; i++ {
		if n := fmt.Sprintf("Firma%d", i); !taken[n] {
			name = n
		}
	}
	pages := pagesOf(f)
	if len(pages) == 0 || pages[0].num == 0 {
		return fmt.Errorf("%w: it has no page", pdf.ErrMalformed)
	}
	page := pdf.Ref{Num: pages[0].num}
	field := u.New()
	u.Set(field, pdf.Dict{
		"Type": pdf.Name("Annot"), "Subtype": pdf.Name("Widget"), "FT": pdf.Name("Sig"), "T": pdf.EncodeText(name), "V": value, "P": page,
		"Rect": pdf.Array{int64(0), int64(0), int64(0), int64(0)}, "F": int64(132), // print, locked
	})
	d := f.Dict(page).Clone()
	if err := appendRef(f, u, d, "Annots", field); err != nil {
		return err
	}
	if _, direct := f.Dict(page)["Annots"].(pdf.Ref); !direct {
		u.Set(page, d)
	}
	return flagForm(f, u, &field)
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
