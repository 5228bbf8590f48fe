package submission

import (
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/pdf"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/register"
)

// What is signed and kept is in Italian, whatever language the page has.
func text(key string, args ...any) string { return message.Text(message.Italian, key, args...) }

func label(key string) string { return text(key) }

// documentID turns an identifier of ours into a PDF's.
func documentID(id string) (out [16]byte) {
	b, _ := hex.DecodeString(id)
	copy(out[:], b)
	return out
}

// form writes the application as the document that will be signed.
func (o *Office) form(d *Draft, who *person.Person, w io.Writer) error {
	title := text("service." + d.Service.ID + "-title")
	doc := pdf.New(pdf.Info{
		Title: title + " - " + o.Ente.Name, Lang: "it-IT", Author: who.Name(), Subject: o.Ente.Name,
		Created: d.Created.In(register.Rome()), ID: documentID(d.ID),
	})
	doc.Heading(1, title)
	doc.Paragraph(text("submission.form-to", "ente", o.Ente.Name))
	if o.Trust.HasTest() {
		doc.Note(text("submission.test-note"))
	}
	doc.Heading(2, text("submission.applicant"))
	doc.Fields([]pdf.Field{
		{Label: text("submission.name"), Value: who.Name()},
		{Label: text("submission.codice-fiscale"), Value: who.CodiceFiscale},
	})
	for _, section := range d.Service.Sections() {
		doc.Heading(2, label("service.section-"+section))
		var fields []pdf.Field
		for _, f := range d.Service.Of(section) {
			v := f.Show(d.Fields[f.Name], label)
			if v == "" {
				v = "-"
			}
			fields = append(fields, pdf.Field{Label: label(f.Label()), Value: v})
		}
		doc.Fields(fields)
	}
	doc.Paragraph(text("submission.form-end", "time", d.Created.In(register.Rome()).Format("02/01/2006 15:04")))
	doc.Footer(text("submission.form-footer", "id", d.ID))
	_, err := doc.WriteTo(w)
	return err
}

// Receipt writes the receipt of a submission.
func (o *Office) Receipt(s *Submission, who *person.Person, w io.Writer) error {
	doc := pdf.New(pdf.Info{
		Title: text("submission.receipt-title", "number", s.Number), Lang: "it-IT", Author: o.Ente.Name,
		Subject: text("service." + s.Service.ID + "-title"), Created: s.Received.In(register.Rome()), ID: documentID(s.ID),
	})
	doc.Heading(1, text("submission.receipt-title", "number", s.Number))
	doc.Paragraph(text("submission.receipt-intro", "ente", o.Ente.Name, "service", text("service."+s.Service.ID+"-title")))
	if s.Test {
		doc.Note(text("submission.test-note"))
	}
	if s.ToCheck {
		doc.Note(text("submission.to-check"))
	}
	doc.Heading(2, text("submission.receipt-protocol"))
	doc.Fields([]pdf.Field{
		{Label: text("submission.ente"), Value: o.Ente.Name},
		{Label: text("submission.number"), Value: s.Number.String()},
		{Label: text("submission.received"), Value: s.Received.In(register.Rome()).Format("02/01/2006 15:04:05 MST")},
		{Label: text("submission.applicant"), Value: who.Name() + ", " + who.CodiceFiscale},
		{Label: text("submission.fingerprint"), Value: s.Fingerprint()},
	})
	for i, sig := range s.Report.Signatures {
		heading := text("submission.receipt-signature")
		if len(s.Report.Signatures) > 1 {
			heading = fmt.Sprintf("%s %d", heading, i+1)
		}
		doc.Heading(2, heading)
		fields := []pdf.Field{
			{Label: text("submission.result"), Value: text("command."+string(sig.Indication)) + " (" + string(sig.Indication) + ")"},
			{Label: text("submission.signer"), Value: sig.Signer.CodiceFiscale},
			{Label: text("submission.certificate"), Value: sig.Signer.Subject + ", n. " + sig.Signer.Serial},
			{Label: text("submission.kind"), Value: text("submission.kind-"+sig.Kind) + ", " + sig.Format + " " + sig.Level},
		}
		if sig.SigningTime != nil {
			fields = append(fields, pdf.Field{Label: text("submission.signing-time"), Value: sig.SigningTime.In(register.Rome()).Format("02/01/2006 15:04:05 MST")})
		}
		doc.Fields(fields)
		var notes []string
		for _, m := range sig.Messages {
			notes = append(notes, m.Text)
		}
		if len(notes) > 0 {
			doc.List(notes)
		}
	}
	doc.Heading(2, text("submission.receipt-seal"))
	doc.Paragraph(text("submission.receipt-seal-text"))
	doc.Paragraph(s.Seal)
	doc.Footer(strings.Join([]string{o.Ente.Name, s.Number.String()}, ", "))
	_, err := doc.WriteTo(w)
	return err
}
