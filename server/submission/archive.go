package submission

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/pdf"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/store"
)

// Archive reads what one ente took in before services were data (Desk): applications that
// a card had signed, each with its number. Nothing is added to it.
type Archive struct {
	Ente  ente.Ente
	Store *store.Store
	Keys  *keys.Ring
}

// Submission is an application of the archive.
type Submission struct {
	ID       string
	Service  string
	Person   int64
	Number   register.Number
	Received time.Time
	SHA256   []byte
	Signers  []string // codici fiscali
	Report   validation.Report
	Seal     string
	Test     bool
	// ToCheck: whether a certificate was revoked could not be known when it arrived.
	// Nothing is lost: it has its number, and the office looks again.
	ToCheck bool
}

// Fingerprint is the content's hash as people compare it.
func (s *Submission) Fingerprint() string { return hex.EncodeToString(s.SHA256) }

func signedFile(id string) string { return "submissions/" + id[:2] + "/" + id + ".p7m" }
func pdfFile(id string) string    { return "submissions/" + id[:2] + "/" + id + ".pdf" }

// sealed is what the receipt's seal is over.
func (s *Submission) sealed(code string) []byte {
	parts := []any{"citel-receipt-1", code, s.ID, s.Number.String(), store.Time(s.Received), s.Fingerprint(), s.Signers, s.Test}
	if s.ToCheck { // receipts of before have no such word
		parts = append(parts, "to-check")
	}
	b, err := json.Marshal(parts)
	if err != nil {
		panic(err) // strings and numbers always have JSON
	}
	return b
}

const columns = "id, service, person, year, number, received, sha256, signers, report, seal, test, to_check"

func scan(row interface{ Scan(...any) error }) (*Submission, error) {
	var s Submission
	var received, signers, report string
	err := row.Scan(&s.ID, &s.Service, &s.Person, &s.Number.Year, &s.Number.Number, &received, &s.SHA256, &signers, &report, &s.Seal, &s.Test, &s.ToCheck)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("submission: %w", err)
	}
	s.Received = store.ParseTime(received)
	return &s, errors.Join(json.Unmarshal([]byte(signers), &s.Signers), json.Unmarshal([]byte(report), &s.Report))
}

// Get reads a person's submission and checks the seal of its receipt.
func (x *Archive) Get(ctx context.Context, id string, who int64) (*Submission, error) {
	s, err := scan(x.Store.QueryRowContext(ctx, "SELECT "+columns+" FROM submission WHERE id = ? AND person = ? AND ente = ?", id, who, x.Ente.Code))
	if err != nil {
		return nil, err
	}
	if err := x.Keys.CheckSeal(s.sealed(x.Ente.Code), s.Seal); err != nil {
		return nil, fmt.Errorf("submission: %s: %w", id, err)
	}
	return s, nil
}

// List gives a person's submissions, newest first.
func (x *Archive) List(ctx context.Context, who int64) (_ []*Submission, err error) {
	rows, err := x.Store.QueryContext(ctx, "SELECT "+columns+" FROM submission WHERE person = ? AND ente = ? ORDER BY year DESC, number DESC LIMIT 200", who, x.Ente.Code)
	if err != nil {
		return nil, fmt.Errorf("submission: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var out []*Submission
	for rows.Next() {
		s, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// Signed opens the file that the citizen signed, byte for byte.
func (x *Archive) Signed(ctx context.Context, s *Submission) (io.ReadCloser, error) {
	return x.Store.OpenFile(ctx, signedFile(s.ID))
}

// PDF opens the document in it.
func (x *Archive) PDF(ctx context.Context, s *Submission) (io.ReadCloser, error) {
	return x.Store.OpenFile(ctx, pdfFile(s.ID))
}

// Receipt writes the receipt of a submission.
func (x *Archive) Receipt(s *Submission, who *person.Person, w io.Writer) error {
	doc := pdf.New(pdf.Info{
		Title: text("submission.receipt-title", "number", s.Number), Lang: "it-IT", Author: x.Ente.Name,
		Subject: text("service." + s.Service + "-title"), Created: s.Received.In(register.Rome()), ID: documentID(s.ID),
	})
	doc.Heading(1, text("submission.receipt-title", "number", s.Number))
	doc.Paragraph(text("submission.receipt-intro", "ente", x.Ente.Name, "service", text("service."+s.Service+"-title")))
	if s.Test {
		doc.Note(text("submission.test-note"))
	}
	if s.ToCheck {
		doc.Note(text("submission.to-check"))
	}
	doc.Heading(2, text("submission.receipt-protocol"))
	doc.Fields([]pdf.Field{
		{Label: text("submission.ente"), Value: x.Ente.Name},
		{Label: text("submission.number"), Value: s.Number.String()},
		{Label: text("submission.received"), Value: moment(s.Received)},
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
			fields = append(fields, pdf.Field{Label: text("submission.signing-time"), Value: moment(*sig.SigningTime)})
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
	doc.Footer(strings.Join([]string{x.Ente.Name, s.Number.String()}, ", "))
	_, err := doc.WriteTo(w)
	return err
}
