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
		titles := []string{s.Title.It}
		for _, g := range s.Groups(a.Fields) {
			if g.N > 0 {
				titles = append(titles, s.TitleOf(g.N, message.Italian))
			}
			titles = selfGroup(doc, a, g, titles)
		}
	}
}

// selfGroup writes a section's answers, or an item's, below the titles that are still to be
// written, and gives back those that are.
func selfGroup(doc *pdf.Document, a *Application, g service.Group, titles []string) []string {
	var fields []pdf.Field
	head := func() {
		for i, t := range titles {
			level := 2
			if g.N > 0 && i == len(titles)-1 {
				level = 3
			}
			doc.Heading(level, t)
		}
		titles = nil
	}
	for _, q := range g.Questions {
		v := a.Fields[q.ID]
		switch {
		case v == "" || !a.Service.Asked(q, a.Fields) || q.ID == a.Service.Addressee:
		case q.Kind == service.Choices:
			head()
			doc.List(strings.Split(q.Show(v, message.Italian), "; "))
		default:
			fields = append(fields, pdf.Field{Label: q.Label.It, Value: q.Show(v, message.Italian)})
		}
	}
	if len(fields) > 0 {
		head()
		doc.Fields(fields)
	}
	if g.N > 0 && len(titles) > 0 {
		titles = titles[:len(titles)-1] // of an item with nothing in it
	}
	return titles
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
