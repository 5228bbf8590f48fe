package report

import (
	"fmt"
	"io"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/typeset"
)

// PDF writes the report as a tagged PDF.
func (r *Report) PDF(w io.Writer) error {
	lang := "it-IT"
	if r.Lang == message.English {
		lang = "en"
	}
	d := typeset.New(typeset.Info{Title: r.Title, Lang: lang, Author: "CiTel", Subject: r.Answer, Created: r.time.In(rome()), ID: r.id})
	d.Heading(1, r.Answer)
	d.Paragraph(r.Title)
	for _, b := range r.Blocks {
		switch {
		case b.Heading != "":
			d.Heading(b.Level, b.Heading)
		case b.Answer != "":
			d.Note(b.Answer)
		case b.Note != "":
			d.Note(b.Note)
		case b.Text != "":
			d.Paragraph(b.Text)
		case b.List != nil:
			d.List(b.List)
		case b.Fields != nil:
			fields := make([]typeset.Field, len(b.Fields))
			for i, f := range b.Fields {
				fields[i] = typeset.Field(f)
			}
			d.Fields(fields)
		case b.Table != nil:
			d.Table(b.Table.Header, b.Table.Rows)
		}
	}
	d.Footer(r.Title)
	if _, err := d.WriteTo(w); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}
