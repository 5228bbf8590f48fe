package pdf

import (
	"crypto/rand"
	"fmt"
	"io"
	"time"

	"github.com/boombuler/barcode/code128"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/typeset"
)

// Sheets that are folded in three and closed: above what is read from outside, in the
// middle what only the holder reads, below a mask that lies over it once the sheet is
// folded, so that nothing shows against the light. They are in Italian, as what is kept
// on paper is. They are written once into the answer and kept nowhere.
const (
	fold1, fold2 = 280.6, 561.3 // a third and two thirds of A4
	edge         = 56.7
	wide         = 595.28 - 2*edge
)

// Envelope is what is printed of one.
type Envelope struct {
	Code     string // digits: the bar code
	Shown    string // the same as people read it
	Username string
	PIN      string
}

func text(key string, args ...any) string { return message.Text(message.Italian, key, args...) }

func sheet(ente, title string, now time.Time) *Document {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	return New(Info{Title: title, Lang: "it-IT", Author: ente, Subject: title, Created: now, ID: id})
}

// Envelopes writes a batch, one page for each.
func Envelopes(w io.Writer, ente, portal string, all []Envelope, now time.Time) error {
	doc := sheet(ente, text("sheet.envelopes-title"), now)
	for i, e := range all {
		if i > 0 {
			doc.NewPage()
		}
		doc.Place(typeset.Text{X: edge, Y: 50, Size: 16, Bold: true, Level: 1, Text: ente})
		doc.Place(typeset.Text{X: edge, Y: 76, Width: wide, Size: 11, Text: text("sheet.envelope-outside")})
		if err := bars(doc, edge, 122, 230, 60, e.Code, text("sheet.code")+" "+e.Shown); err != nil {
			return err
		}
		doc.Place(typeset.Text{X: edge, Y: 190, Size: 9, Text: text("sheet.code")})
		doc.Place(typeset.Text{X: edge, Y: 203, Size: 17, Bold: true, Text: e.Shown})
		inside(doc, [][2]string{{text("sheet.username"), e.Username}, {text("sheet.pin"), group(e.PIN)}}, text("sheet.envelope-inside", "portal", portal))
	}
	doc.Footer(ente)
	return finish(doc, w)
}

// Sealed writes the sheet of an operator's first access, or of a password that a desk has
// reset: secrets are pairs of a label and what it names.
func Sealed(w io.Writer, ente, holder, outside, how string, secrets [][2]string, now time.Time) error {
	doc := sheet(ente, text("sheet.sealed-title"), now)
	doc.Place(typeset.Text{X: edge, Y: 50, Size: 16, Bold: true, Level: 1, Text: ente})
	doc.Place(typeset.Text{X: edge, Y: 80, Width: wide, Size: 11, Text: outside})
	doc.Place(typeset.Text{X: edge, Y: 170, Size: 9, Text: text("sheet.for")})
	doc.Place(typeset.Text{X: edge, Y: 184, Size: 15, Bold: true, Text: holder})
	inside(doc, secrets, how)
	doc.Footer(ente)
	return finish(doc, w)
}

// inside fills the middle third, and masks it from above and below.
func inside(doc *Document, secrets [][2]string, how string) {
	doc.Fold(fold1)
	doc.Fold(fold2)
	y := fold1 + 26
	doc.Frame(edge-8, y-10, wide+16, 44*float64(len(secrets))+16)
	for _, s := range secrets {
		doc.Place(typeset.Text{X: edge, Y: y, Size: 9, Text: s[0]})
		size := 17.0
		if len(s[1]) > 40 {
			size = 8.5
		}
		doc.Place(typeset.Text{X: edge, Y: y + 12, Width: wide, Size: size, Bold: true, Text: s[1]})
		y += 44
	}
	doc.Place(typeset.Text{X: edge, Y: y + 18, Width: wide, Size: 10, Text: how})
	doc.Mask(edge-14, fold2+10, wide+28, 841.89-fold2-72)
}

// group writes a PIN in groups of five, which typing takes with or without the space.
func group(pin string) string {
	out := ""
	for i, r := range pin {
		if i > 0 && i%5 == 0 {
			out += " "
		}
		out += string(r)
	}
	return out
}

// bars writes a Code 128 (ISO/IEC 15417) with its quiet zones.
func bars(doc *Document, x, y, width, height float64, code, alt string) error {
	img, err := code128.Encode(code)
	if err != nil {
		return fmt.Errorf("pdf: %w", err)
	}
	b := img.Bounds()
	modules := make([]bool, b.Dx())
	for i := range modules {
		r, _, _, _ := img.At(b.Min.X+i, b.Min.Y).RGBA()
		modules[i] = r < 0x8000
	}
	doc.Bars(x, y, width, height, modules, alt)
	return nil
}

func finish(doc *Document, w io.Writer) error {
	_, err := doc.WriteTo(w)
	return err
}
