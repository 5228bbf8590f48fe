package submission

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/pdf"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
)

// sheet is a document about an application, before it is sealed.
type sheet struct {
	*pdf.Document
	ente  *ente.Ente
	title string
}

// begin writes what each has: the title, and the facts with those whom the application
// names; label is what the application's number is called.
func (d *Desk) begin(ctx context.Context, s *sheet, x *Application, title string, at time.Time, label string, facts ...pdf.Field) error {
	who, err := d.whoFields(ctx, x)
	if err != nil {
		return err
	}
	s.title = title
	s.Document = pdf.New(pdf.Info{Title: title, Lang: "it-IT", Author: s.ente.Name, Subject: x.Service.Title.It, Created: at.In(register.Rome()), ID: documentID(store.NewID())})
	s.Heading(1, title)
	if x.Test {
		s.Note(text("submission.test-note"))
	}
	facts = append([]pdf.Field{{Label: text("submission.ente"), Value: s.ente.Name}}, facts...)
	s.Fields(append(append(facts, pdf.Field{Label: text("application.subject"), Value: x.Service.Title.It},
		pdf.Field{Label: text(label), Value: x.Reference()}, pdf.Field{Label: text("submission.received"), Value: moment(x.Sent)}), who...))
	return nil
}

// part writes a heading and what somebody wrote below it.
func (s *sheet) part(heading, words string) {
	s.Heading(2, heading)
	for line := range strings.Lines(words) {
		if line = strings.TrimSpace(line); line != "" {
			s.Paragraph(line)
		}
	}
}

// end writes what the seal says.
func (s *sheet) end(x *Application, sealed string) {
	s.Heading(2, text("application.seal"))
	s.Paragraph(sealed)
	s.Footer(strings.Join([]string{s.ente.Name, x.Reference()}, ", "))
}

func (d *Desk) keep(ctx context.Context, x *Application, kind string, at time.Time, sealed []byte, stamped bool) (*stored, error) {
	out := &stored{sum: sha256.Sum256(sealed), stamped: stamped, at: at}
	out.file = x.file("-" + kind + "-" + hex.EncodeToString(out.sum[:8]) + ".pdf")
	return out, d.Store.WriteFile(ctx, out.file, bytes.NewReader(sealed))
}

func (d *Desk) noticeSheet(ctx context.Context, a role.Actor, x *Application, reasons string, at time.Time, s *sheet) error {
	facts := []pdf.Field{{Label: text("notice.office"), Value: x.Office}, {Label: text("answer.by"), Value: a.Name}, {Label: text("answer.time"), Value: moment(at)}}
	if r := x.Service.Responsible; r.Name != "" { // L. 241/1990, art. 10-bis: who tells it, or for whom
		facts = append(facts, pdf.Field{Label: text("application.responsible"), Value: strings.Trim(r.Name+", "+r.Contact, ", ")})
	}
	if err := d.begin(ctx, s, x, text("application.notice-to", "number", x.Reference()), at, "notice.application", facts...); err != nil {
		return err
	}
	s.part(text("notice.reasons"), reasons)
	s.Heading(2, text("notice.what-now"))
	if x.recipient() != "" {
		s.Paragraph(text("notice.until-day", "day", day(addDays(dayOf(at), noticeDays)), "days", noticeDays))
	} else {
		s.Paragraph(text("notice.until-received", "days", noticeDays))
	}
	s.Paragraph(text("notice.law"))
	s.Paragraph(text("notice.follow", "id", x.ID))
	s.end(x, text("notice.seal-out"))
	return nil
}

func (d *Desk) observationSheet(ctx context.Context, x *Application, h heard, s *sheet) error {
	title, how := text("application.observed", "number", x.Reference()), text("notice.sent-online")
	if h.kind == ObservationsNone {
		title = text("application.observed-none-title", "number", x.Reference())
	}
	facts := []pdf.Field{{Label: text("notice.presented"), Value: moment(h.at)}}
	if h.operator != nil {
		how = text("notice.sent-elsewhere", "operator", h.operator.Name)
		facts = []pdf.Field{{Label: text("notice.presented"), Value: day(h.day)}, {Label: text("notice.written-down"), Value: moment(h.at)}}
	}
	facts = append(facts, pdf.Field{Label: text("notice.how"), Value: how})
	if err := d.begin(ctx, s, x, title, h.at, "notice.application", facts...); err != nil {
		return err
	}
	if h.kind == ObservationsNone {
		s.part(text("notice.observations"), text("notice.none-words"))
	} else {
		s.part(text("notice.observations"), h.words)
	}
	if len(h.files) > 0 {
		var items []string
		for _, f := range h.files {
			items = append(items, text("application.attachment", "name", f.Name, "hash", fmt.Sprintf("%x", f.SHA256)))
		}
		s.Heading(2, text("application.attachments"))
		s.List(items)
	}
	s.end(x, text("notice.seal-in"))
	return nil
}

// answerSheet is the answer; of an istanza with what came of it, and what the person said to
// the notice.
func (d *Desk) answerSheet(ctx context.Context, a role.Actor, x *Application, y Decision, at time.Time, s *sheet) error {
	facts := []pdf.Field{{Label: text("answer.office"), Value: x.Office}, {Label: text("answer.by"), Value: a.Name}, {Label: text("answer.time"), Value: moment(at)}}
	if y.Outcome != "" {
		facts = append(facts, pdf.Field{Label: text("notice.outcome"), Value: text("notice.outcome-" + string(y.Outcome))})
	}
	if err := d.begin(ctx, s, x, text("application.answer-to", "number", x.Reference()), at, "answer.application", facts...); err != nil {
		return err
	}
	s.part(text("answer.text"), y.Words)
	if x.Noticed != "" {
		if err := d.answerNotice(ctx, x, y, s); err != nil {
			return err
		}
	}
	if r := x.Service.Remedies.It; r != "" {
		s.Heading(2, text("application.remedies"))
		s.Paragraph(r)
	}
	s.end(x, text("answer.seal"))
	return nil
}

// answerNotice writes what was told before the decision, and what is said of the
// observations (L. 241/1990, art. 10-bis: the refusal's reason gives account of them).
func (d *Desk) answerNotice(ctx context.Context, x *Application, y Decision, s *sheet) error {
	n, err := d.NoticeOf(ctx, x)
	if err != nil {
		return err
	}
	heard, err := d.Observations(ctx, x)
	if err != nil {
		return err
	}
	items := []string{text("notice.given", "day", n.Made.In(register.Rome()).Format("02/01/2006")) + numbered(n.Number)}
	for _, o := range heard {
		key := "notice.came"
		switch {
		case o.Kind == ObservationsNone:
			key = "notice.came-none"
		case o.Late:
			key = "notice.came-late"
		}
		items = append(items, text(key, "day", day(o.Day))+numbered(o.Number))
	}
	if len(heard) == 0 {
		items = append(items, text("notice.came-not"))
	}
	s.Heading(2, text("notice.before"))
	s.List(items)
	if y.About != "" {
		s.part(text("notice.about"), y.About)
	}
	return nil
}

func numbered(n register.Number) string {
	if n.Number == 0 {
		return ""
	}
	return text("notice.numbered", "number", n)
}
