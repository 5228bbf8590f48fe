package submission

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/pdf"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/service"
)

// receiptFile has the number in its name: where that follows, there is a second receipt.
func (a *Application) receiptFile() string {
	if a.Protocol() == "" {
		return a.file("-receipt-0.pdf")
	}
	return a.file("-receipt-1.pdf")
}

// Receipt opens the sealed receipt (L. 241/1990, art. 18-bis; with art. 8 it is the notice
// of the procedure's start too). It is made at the first time it is asked for, of what was
// written when the application was sent.
func (d *Desk) Receipt(ctx context.Context, a *Application) (io.ReadCloser, error) {
	if a.Sent.IsZero() || a.Service.Act == service.SelfCertification {
		return nil, ErrState
	}
	f, err := d.Store.OpenFile(ctx, a.receiptFile())
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return f, err
	}
	e, err := d.Enti.Get(ctx, a.Ente)
	if err != nil {
		return nil, err
	}
	var plain bytes.Buffer
	if err := d.receipt(ctx, a, e, &plain); err != nil {
		return nil, err
	}
	sealed, stamped, err := d.Seals.Seal(ctx, a.Ente, e.Name, text("application.receipt-title", "number", a.Reference()), plain.Bytes())
	if err != nil {
		return nil, err
	}
	if !stamped && d.Seals.Stamp != nil {
		d.Log.Warn("a receipt has no time-stamp: the authority does not answer", "ente", a.Ente, "application", a.ID)
		return io.NopCloser(bytes.NewReader(sealed)), nil // the next time it is asked again
	}
	return io.NopCloser(bytes.NewReader(sealed)), d.Store.WriteFile(ctx, a.receiptFile(), bytes.NewReader(sealed))
}

func moment(t time.Time) string { return t.In(register.Rome()).Format("02/01/2006 15:04:05 MST") }

func day(s string) string {
	if d, err := time.Parse(time.DateOnly, s); err == nil {
		return d.Format("02/01/2006")
	}
	return s
}

// firstDue is the term as it was when the application was sent: a receipt does not change.
func (a *Application) firstDue() string {
	if a.Service.Term.Days == 0 {
		return ""
	}
	return a.Sent.In(register.Rome()).AddDate(0, 0, a.Service.Term.Days).Format(time.DateOnly)
}

func (d *Desk) receipt(ctx context.Context, a *Application, e *ente.Ente, w io.Writer) error {
	s := a.Service
	title := text("application.receipt-title", "number", a.Reference())
	doc := pdf.New(pdf.Info{Title: title, Lang: "it-IT", Author: e.Name, Subject: s.Title.It, Created: a.Sent.In(register.Rome()), ID: documentID(a.ID)})
	doc.Heading(1, title)
	intro := "application.receipt-intro"
	if s.Act == service.Message {
		intro = "application.receipt-message"
	}
	doc.Paragraph(text(intro, "ente", e.Name, "service", s.Title.It))
	if a.Test {
		doc.Note(text("submission.test-note"))
	}
	signed, err := d.Signatures(ctx, a)
	if err != nil {
		return err
	}
	toCheck := false
	for _, x := range signed {
		toCheck = toCheck || x.ToCheck
	}
	if toCheck {
		doc.Note(text("submission.to-check"))
	}
	doc.Heading(2, text("submission.receipt-protocol"))
	number := a.Protocol()
	if number == "" {
		number = text("application.number-follows")
	}
	fields := []pdf.Field{
		{Label: text("submission.ente"), Value: e.Name},
		{Label: text("submission.number"), Value: number},
		{Label: text("application.id"), Value: a.ID},
		{Label: text("submission.received"), Value: moment(a.Sent)},
		{Label: text("application.subject"), Value: s.Title.It},
	}
	who, err := d.whoFields(ctx, a)
	if err != nil {
		return err
	}
	fields = append(append(fields, who...), pdf.Field{Label: text("submission.fingerprint"), Value: a.Fingerprint()})
	if len(a.Letter)+len(a.Assisted) > 0 {
		fields = append(fields, pdf.Field{Label: text("application.valid"), Value: strings.Join(a.Letters(message.Italian), "\n")})
	}
	doc.Fields(fields)
	doc.Heading(2, text("application.procedure"))
	office, err := d.sentTo(ctx, a)
	if err != nil {
		return err
	}
	fields = []pdf.Field{{Label: text("application.office"), Value: office}}
	add := func(key, value string) {
		if value != "" {
			fields = append(fields, pdf.Field{Label: text(key), Value: value})
		}
	}
	// L. 241/1990, art. 8 c. 2: c) office, digital domicile and person in charge; c-bis) end
	// and remedies; d) how to follow it online; d-bis) the office for what is not online.
	add("application.domicile", e.Domicile)
	add("application.responsible", strings.Trim(s.Responsible.Name+", "+s.Responsible.Contact, ", "))
	if due := a.firstDue(); due != "" {
		add("application.due", day(due)+" ("+text("application.days", "days", s.Term.Days)+")")
		add("application.silence", text("application.silence-"+string(s.Term.Silence)))
	}
	if s.Act == service.Istanza { // L. 241/1990, art. 10-bis
		promise := text("notice.promise")
		if !s.GivesNotice() {
			promise = cmp.Or(s.PreavvisoWhy.It, text("notice.competitive"))
		}
		add("notice.promise-label", promise)
	}
	add("application.remedies", s.Remedies.It)
	if s.Ranking != nil {
		add("ranking.receipt-code", RankingCode(a.ID)+" ("+text("ranking.receipt-code-text")+")")
	}
	add("application.follow", text("application.follow-text", "id", a.ID))
	where, err := d.where(ctx, a.Ente, s.OfficeFor(a.Fields))
	if err != nil {
		return err
	}
	add("application.where", where)
	doc.Fields(fields)
	if err := d.receiptLists(ctx, a, doc, signed); err != nil {
		return err
	}
	doc.Heading(2, text("application.seal"))
	doc.Paragraph(text("application.seal-text"))
	doc.Footer(strings.Join([]string{e.Name, a.Reference()}, ", "))
	_, err = doc.WriteTo(w)
	return err
}

// where is the office with its address and hours, as far as the ente wrote them down.
func (d *Desk) where(ctx context.Context, ente, office string) (string, error) {
	all, err := d.Enti.Offices(ctx, ente)
	if err != nil {
		return "", err
	}
	out := []string{office}
	for _, o := range all {
		if !strings.EqualFold(o.Name, office) {
			continue
		}
		for _, x := range []string{o.Address, o.Hours, o.Phone, o.Email} {
			if x != "" {
				out = append(out, x)
			}
		}
	}
	return strings.Join(out, ", "), nil
}

// receiptLists writes attachments and signatures.
func (d *Desk) receiptLists(ctx context.Context, a *Application, doc *pdf.Document, signed []*Signature) error {
	files, err := d.Files(ctx, a)
	if err != nil {
		return err
	}
	var items []string
	for _, f := range files {
		if f.Slot != SlotMore {
			items = append(items, text("application.attachment", "name", f.Name, "hash", fmt.Sprintf("%x", f.SHA256)))
		}
	}
	if len(items) > 0 {
		doc.Heading(2, text("application.attachments"))
		doc.List(items)
	}
	for _, s := range signed {
		for _, r := range s.Report.Signatures {
			if r.Signer.CodiceFiscale != s.Code {
				continue
			}
			doc.Heading(2, text("submission.receipt-signature"))
			doc.Fields([]pdf.Field{
				{Label: text("submission.result"), Value: text("command."+string(r.Indication)) + " (" + string(r.Indication) + ")"},
				{Label: text("submission.signer"), Value: s.Code},
				{Label: text("submission.certificate"), Value: r.Signer.Subject + ", n. " + r.Signer.Serial},
				{Label: text("submission.kind"), Value: text("submission.kind-"+r.Kind) + ", " + r.Format + " " + r.Level},
				{Label: text("application.signature-received"), Value: moment(s.Time)},
			})
		}
	}
	return nil
}
