package submission

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/pdf"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/service"
)

func (a *Application) file(what string) string {
	return "applications/" + a.ID[:2] + "/" + a.ID + what
}

// documentFile has the document's hash in its name: one that was made before is another.
func (a *Application) documentFile() string { return a.file("-" + a.Fingerprint()[:16] + ".pdf") }

// Document opens the document, byte for byte as it is signed.
func (d *Desk) Document(ctx context.Context, a *Application) (io.ReadCloser, error) {
	if len(a.SHA256) == 0 {
		return nil, ErrNotFound
	}
	return d.Store.OpenFile(ctx, a.documentFile())
}

// people reads those who are named in the document.
func (d *Desk) people(ctx context.Context, a *Application) (owner, agent *person.Person, err error) {
	if a.Person != 0 {
		if owner, err = person.Get(ctx, d.Store, a.Person); err != nil {
			return nil, nil, err
		}
	} else {
		owner = &person.Person{}
		if err := d.Store.QueryRowContext(ctx, "SELECT given, family FROM credential WHERE id = ?", a.Credential).Scan(&owner.Given, &owner.Family); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, nil, fmt.Errorf("submission: %w", err)
		}
	}
	if a.Agent != 0 {
		agent, err = person.Get(ctx, d.Store, a.Agent)
	}
	return owner, agent, err
}

// whoFields are the lines that name owner, agent with title, and operator.
func (d *Desk) whoFields(ctx context.Context, a *Application) ([]pdf.Field, error) {
	w, err := d.Who(ctx, a)
	if err != nil {
		return nil, err
	}
	out := []pdf.Field{{Label: text("application.owner"), Value: w.Owner.Name()}}
	if w.Owner.CodiceFiscale != "" {
		out = append(out, pdf.Field{Label: text("submission.codice-fiscale"), Value: w.Owner.CodiceFiscale})
	} else {
		out = append(out, pdf.Field{Label: text("submission.codice-fiscale"), Value: text("application.not-proved")})
	}
	if w.Agent != nil {
		out = append(out, pdf.Field{Label: text("application.agent"), Value: w.Agent.Name() + ", " + w.Agent.CodiceFiscale + " (" + w.Title + ")"})
	}
	if w.Operator != "" {
		out = append(out, pdf.Field{Label: text("application.operator"), Value: w.Operator})
	}
	return out, nil
}

func (d *Desk) document(ctx context.Context, a *Application, files []*File, w io.Writer) error {
	e, err := d.Enti.Get(ctx, a.Ente)
	if err != nil {
		return err
	}
	title := a.Service.Title.It
	self := a.Service.Act == service.SelfCertification
	doc := pdf.New(pdf.Info{Title: title + " - " + e.Name, Lang: "it-IT", Author: e.Name, Subject: e.Name, Created: a.Made.In(register.Rome()), ID: documentID(a.ID)})
	doc.Heading(1, title)
	if self {
		selfHead(doc, a)
	} else {
		office, err := d.officeFor(ctx, d.Store, a)
		if err != nil {
			return err
		}
		doc.Paragraph(text("application.to", "ente", e.Name, "office", office))
	}
	if d.Trust != nil && d.Trust.HasTest() {
		doc.Note(text("submission.test-note"))
	}
	who, err := d.whoFields(ctx, a)
	if err != nil {
		return err
	}
	if self {
		selfBody(doc, a, who)
	} else {
		doc.Heading(2, text("submission.applicant"))
		doc.Fields(who)
		for _, b := range a.Service.Preview(a.Fields, message.Italian) {
			doc.Heading(2, b.Title)
			if len(b.Lines) > 0 {
				doc.Fields(lineFields(b.Lines))
			}
			for _, x := range b.Items {
				doc.Heading(3, x.Title)
				doc.Fields(lineFields(x.Lines))
			}
			if b.None != "" {
				doc.Paragraph(b.None)
			}
		}
	}
	// The copy of a document of identity goes with the signature, and may still be changed
	// after the document is made.
	files = slices.DeleteFunc(slices.Clone(files), func(f *File) bool { return f.Slot == SlotIdentity })
	if len(files) > 0 {
		doc.Heading(2, text("application.attachments"))
		var items []string
		for _, f := range files {
			items = append(items, text("application.attachment", "name", f.Name, "hash", fmt.Sprintf("%x", f.SHA256)))
		}
		doc.List(items)
	}
	if a.Service.Declaration {
		if self {
			doc.Heading(2, text("application.self-heading"))
			doc.Paragraph(text("application.self-warnings"))
		} else {
			doc.Heading(2, text("application.declaration"))
			doc.Paragraph(text("application.warnings"))
		}
	}
	if !self { // the notice is between the person and the ente, and not for whom it is meant for
		doc.Paragraph(text("application.privacy", "version", a.Service.Privacy.Version))
	}
	doc.Paragraph(text("application.made", "time", a.Made.In(register.Rome()).Format("02/01/2006 15:04")))
	if self {
		selfFoot(doc)
		doc.Footer(text("application.self-footer", "id", a.ID))
	} else {
		doc.Footer(text("submission.form-footer", "id", a.ID))
	}
	_, err = doc.WriteTo(w)
	return err
}

func lineFields(lines []service.Line) (out []pdf.Field) {
	for _, l := range lines {
		out = append(out, pdf.Field{Label: l.Label, Value: l.Value})
	}
	return out
}
