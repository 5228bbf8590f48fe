package pdf

import (
	"io"
	"time"

	"github.com/citel-pa/citel/pkcs/typeset"
)

// field of a request form; a row's widths are parts of the line.
type field struct {
	name  string
	width float64
	max   int
}

var (
	personRows = [][]field{
		{{"code", 0.4, 16}}, {{"family", 0.5, 60}, {"given", 0.5, 60}},
		{{"born", 0.25, 10}, {"birthPlace", 0.45, 80}, {"sex", 0.3, 1}}, {{"birthState", 0.6, 80}},
		{{"residence", 0.6, 120}, {"cap", 0.15, 5}, {"town", 0.25, 80}},
		{{"phone", 0.3, 20}, {"email", 0.7, 120}},
	}
	companyRows = [][]field{
		{{"company-name", 1, 150}}, {{"company-seat", 1, 150}},
		{{"company-code", 0.35, 16}, {"company-vat", 0.3, 11}, {"company-pec", 0.35, 120}}, {{"company-title", 0.6, 100}},
	}
	documentRows = [][]field{
		{{"document-kind", 0.5, 60}, {"document-number", 0.5, 40}}, {{"document-issuer", 0.5, 80}, {"document-issued", 0.25, 10}, {"document-expires", 0.25, 10}},
	}
)

// Request writes the form with which a person (mod-persone.pdf) or a company's
// representative (mod-giuridico.pdf) asks for an envelope: to be filled in on a screen or
// by hand, signed and brought to the desk, or sent with a copy of the document. It is
// without an ente where it is asked for without one.
func Request(w io.Writer, ente string, company bool, now time.Time) error {
	kind := "person"
	if company {
		kind = "company"
	}
	title := text("sheet.request-" + kind)
	author := ente
	if author == "" {
		author = "CiTel"
	}
	doc := New(Info{Title: title, Lang: "it-IT", Author: author, Subject: title, Created: now, ID: [16]byte{'c', 'i', 't', 'e', 'l', '-', kind[0]}})
	doc.Heading(1, title)
	if ente != "" {
		doc.Paragraph(text("sheet.request-to", "ente", ente))
	} else {
		doc.Blank("ente", text("sheet.request-ente"), 0.7, 1, 100)
	}
	doc.Paragraph(text("sheet.request-intro"))
	if company {
		doc.Heading(2, text("sheet.request-the-company"))
		blanks(doc, companyRows)
		doc.Heading(2, text("sheet.request-representative"))
	} else {
		doc.Heading(2, text("sheet.request-the-person"))
	}
	blanks(doc, personRows)
	doc.Heading(2, text("sheet.request-document"))
	blanks(doc, documentRows)
	doc.Heading(2, text("sheet.request-how"))
	doc.Choice("by-desk", text("sheet.request-desk"))
	doc.Choice("by-post", text("sheet.request-post"))
	doc.Heading(2, text("sheet.request-declares"))
	doc.Paragraph(text("sheet.request-declaration"))
	doc.Blanks(fields([]field{{"place-date", 0.5, 80}, {"signature", 0.5, 0}}))
	doc.Heading(2, text("sheet.request-for-the-desk"))
	doc.Blanks(fields([]field{{"envelope", 0.5, 20}, {"operator", 0.5, 80}}))
	doc.Footer(title)
	return finish(doc, w)
}

func blanks(doc *Document, rows [][]field) {
	for _, r := range rows {
		doc.Blanks(fields(r))
	}
}

func fields(row []field) []typeset.BlankField {
	out := make([]typeset.BlankField, 0, len(row))
	for _, f := range row {
		out = append(out, typeset.BlankField{Name: f.name, Label: text("sheet.field-" + f.name), Width: f.width, Max: f.max})
	}
	return out
}
