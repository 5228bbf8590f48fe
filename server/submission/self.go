package submission

import (
	"strings"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/pdf"
	"github.com/citel-pa/citel/server/service"
)

// A self-certification is the person's own document, meant for whoever asks for it: it is
// signed by the declarant, stands in place of a certificate for a public body, a public
// service or a private party (DPR 445/2000, art. 2 and 46 c. 1), has the warnings in it
// that forms must have (art. 48 c. 2), and holds as long as what it stands for would (art.
// 48 c. 1, art. 41). It gets no protocol number: nothing is asked of the ente.
func selfHead(doc *pdf.Document, a *Application) {
	doc.Paragraph(text("application.self-law"))
	to := a.Fields[a.Service.Addressee]
	if to == "" {
		to = text("application.self-anybody")
	}
	doc.Fields([]pdf.Field{{Label: text("application.self-to"), Value: to}})
}

// selfBody says who declares and what: what was chosen as a list, what was not answered not
// at all. For a child or a ward whoever acts declares (art. 5).
func selfBody(doc *pdf.Document, a *Application, who []pdf.Field) {
	doc.Heading(2, text("application.self-declarant"))
	who[0].Label = text("submission.name")
	if a.Agent != 0 {
		who[0].Label = text("application.self-for")
	}
	doc.Fields(who)
	for _, s := range a.Service.Sections {
		var fields []pdf.Field
		title := s.Title.It
		for _, q := range s.Questions {
			v := a.Fields[q.ID]
			switch {
			case v == "" || !a.Service.Asked(q, a.Fields) || q.ID == a.Service.Addressee:
			case q.Kind == service.Choices:
				doc.Heading(2, title)
				title = ""
				doc.List(strings.Split(q.Show(v, message.Italian), "; "))
			default:
				fields = append(fields, pdf.Field{Label: q.Label.It, Value: q.Show(v, message.Italian)})
			}
		}
		if len(fields) == 0 {
			continue
		}
		if title != "" {
			doc.Heading(2, title)
		}
		doc.Fields(fields)
	}
}

// selfFoot is where it is signed by hand. The signature needs no authentication (art. 46
// c. 1, "sottoscritte dall'interessato"), and no copy of a document: art. 38 c. 3 asks that
// of declarations of art. 47.
func selfFoot(doc *pdf.Document) {
	doc.Heading(2, text("application.self-signature"))
	doc.Paragraph(text("application.self-how"))
	doc.Fields([]pdf.Field{
		{Label: text("application.self-place"), Value: "........................................"},
		{Label: text("application.self-name"), Value: "........................................................................"},
	})
}
