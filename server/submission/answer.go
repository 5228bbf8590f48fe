package submission

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/mail"
	"github.com/citel-pa/citel/server/pdf"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
)

// Answer answers. The answer is a document of its own, sealed by the ente, and where the
// register is here it goes out with a number: the register has the hash of the very file
// that the person gets. A sealed file cannot hold a number that is given to it afterwards,
// so the two are bound by the register (DPR 445/2000, art. 55: apposition or association).
func (d *Desk) Answer(ctx context.Context, a role.Actor, id, words string) error {
	if strings.TrimSpace(words) == "" || len([]rune(words)) > maxWords {
		return ErrWords
	}
	in := []State{StateSent, StateInCharge, StateMore}
	seen, err := d.atDesk(ctx, a, id, true)
	if err != nil {
		return err
	}
	var file string
	var sum [32]byte
	var stamped bool
	at := d.now().UTC()
	if seen.mayMove(a, deed{in: in}) == nil { // else move says why not, and nothing is sealed
		var sealed []byte
		if sealed, stamped, err = d.sealAnswer(ctx, a, seen, words, at); err != nil {
			return err
		}
		sum = sha256.Sum256(sealed)
		// Before the number: a crash between leaves a file that nobody points to.
		file = seen.file("-answer-" + hex.EncodeToString(sum[:8]) + ".pdf")
		if err := d.Store.WriteFile(ctx, file, bytes.NewReader(sealed)); err != nil {
			return err
		}
	}
	taken := false
	err = d.move(ctx, a, id, deed{kind: "answer", words: words, in: in, letter: mail.ApplicationAnswered, do: func(tx *sql.Tx, x *Application) error {
		if file == "" || x.Office != seen.Office {
			return ErrState // it came back, or went to another office, a moment ago
		}
		x.resume(d.now())
		x.State, x.Holder, x.Answered = StateAnswered, a.Operator, at
		var number register.Number
		if x.Number.Number != 0 {
			var party string
			if err := tx.QueryRowContext(ctx, "SELECT party FROM register_entry WHERE ente = ? AND year = ? AND number = ?", x.Ente, x.Number.Year, x.Number.Number).Scan(&party); err != nil {
				return err
			}
			e := register.Entry{Ente: x.Ente, Time: at, Direction: register.Out, Party: party, Subject: text("application.answer-to", "number", x.Number), SHA256: sum[:], Document: x.ID, Origin: x.Number.String()}
			if err := register.Enter(ctx, tx, d.Keys, &e); err != nil {
				return err
			}
			number = e.Number
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO application_answer (application, file, sha256, year, number, made, stamped) VALUES (?,?,?,?,?,?,?)",
			x.ID, file, sum[:], number.Year, number.Number, store.Time(at), stamped)
		taken = err == nil
		return err
	}})
	if file != "" && (err != nil || !taken) {
		err = errors.Join(err, d.Store.RemoveFile(ctx, file))
	}
	if err == nil && taken && !stamped && d.Seals.Stamp != nil {
		d.Log.Warn("an answer has no time-stamp: the authority does not answer", "ente", seen.Ente, "application", id)
	}
	return err
}

func (d *Desk) sealAnswer(ctx context.Context, a role.Actor, x *Application, words string, at time.Time) (sealed []byte, stamped bool, err error) {
	e, err := d.Enti.Get(ctx, x.Ente)
	if err != nil {
		return nil, false, err
	}
	who, err := d.whoFields(ctx, x)
	if err != nil {
		return nil, false, err
	}
	title := text("application.answer-to", "number", x.Reference())
	doc := pdf.New(pdf.Info{Title: title, Lang: "it-IT", Author: e.Name, Subject: x.Service.Title.It, Created: at.In(register.Rome()), ID: documentID(store.NewID())})
	doc.Heading(1, title)
	if x.Test {
		doc.Note(text("submission.test-note"))
	}
	doc.Fields(append([]pdf.Field{
		{Label: text("submission.ente"), Value: e.Name},
		{Label: text("answer.office"), Value: x.Office},
		{Label: text("answer.by"), Value: a.Name},
		{Label: text("answer.time"), Value: moment(at)},
		{Label: text("application.subject"), Value: x.Service.Title.It},
		{Label: text("answer.application"), Value: x.Reference()},
		{Label: text("submission.received"), Value: moment(x.Sent)},
	}, who...))
	doc.Heading(2, text("answer.text"))
	for line := range strings.Lines(words) {
		if line = strings.TrimSpace(line); line != "" {
			doc.Paragraph(line)
		}
	}
	if r := x.Service.Remedies.It; r != "" {
		doc.Heading(2, text("application.remedies"))
		doc.Paragraph(r)
	}
	doc.Heading(2, text("application.seal"))
	doc.Paragraph(text("answer.seal"))
	doc.Footer(strings.Join([]string{e.Name, x.Reference()}, ", "))
	var plain bytes.Buffer
	if _, err := doc.WriteTo(&plain); err != nil {
		return nil, false, err
	}
	return d.Seals.Seal(ctx, x.Ente, e.Name, title, plain.Bytes())
}

// Answered is the document that answers an application.
type Answered struct {
	Number register.Number // as it went out; 0: the ente's own system numbers
	SHA256 []byte
	Made   time.Time
	file   string
}

// AnswerOf finds an application's answer; ErrNotFound while there is none, and where it
// was given before answers were documents.
func (d *Desk) AnswerOf(ctx context.Context, a *Application) (*Answered, error) {
	var x Answered
	var made string
	err := d.Store.QueryRowContext(ctx, "SELECT file, sha256, year, number, made FROM application_answer WHERE application = ?", a.ID).Scan(&x.file, &x.SHA256, &x.Number.Year, &x.Number.Number, &made)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("submission: %w", err)
	}
	x.Made = store.ParseTime(made)
	return &x, nil
}

// AnswerPDF opens the sealed answer, byte for byte as it is registered. Whoever calls has
// read the application as somebody who may.
func (d *Desk) AnswerPDF(ctx context.Context, a *Application) (io.ReadCloser, error) {
	x, err := d.AnswerOf(ctx, a)
	if err != nil {
		return nil, err
	}
	return d.Store.OpenFile(ctx, x.file)
}
