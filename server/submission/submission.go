// Package submission is the way of an application: from a draft with its PDF,
// through the signed file that comes back, to a stored submission with a protocol
// number and a receipt (ARCHITECTURE.md, Application).
package submission

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/citel-pa/citel/pkcs/cms"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/pkcs/verify"
	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/store"
)

// Office takes applications in for one ente.
type Office struct {
	Ente       ente.Ente
	Store      *store.Store
	Trust      *trust.Store
	Revocation *trust.Revocation
	Policy     *validation.Policy
	Keys       *keys.Ring
	Audit      *audit.Log
	Log        *slog.Logger
	Now        func() time.Time
}

// MaxSigned bounds a signed file in bytes: the PDF is ours and small.
const MaxSigned = 4 << 20

// maxDrafts bounds the open drafts of a person.
const maxDrafts = 50

// Errors of this room. Each has a sentence, "submission.<code>" (Code).
var (
	ErrNotFound     = errors.New("submission: not found")
	ErrTooMany      = errors.New("submission: too many drafts")
	ErrTooLarge     = errors.New("submission: file too large")
	ErrNotSigned    = errors.New("submission: no signature in the file")
	ErrOtherContent = errors.New("submission: the signed document is not the one that was served")
	ErrOtherSigner  = errors.New("submission: signed by somebody else")
	// ErrInvalid: a signature is not TOTAL-PASSED.
	ErrInvalid = errors.New("submission: a signature is not valid")
)

// Code is the stable name of an error of this package, "internal" for others.
func Code(err error) string {
	for _, c := range []struct {
		err  error
		code string
	}{
		{ErrNotFound, "not-found"}, {ErrTooMany, "too-many"}, {ErrTooLarge, "too-large"}, {ErrNotSigned, "not-signed"},
		{ErrOtherContent, "other-content"}, {ErrOtherSigner, "other-signer"}, {ErrInvalid, "invalid"},
	} {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	var refused *RefusedError
	if errors.As(err, &refused) {
		return refused.Code
	}
	return "internal"
}

// InvalidError carries the report of a signature that did not pass.
type InvalidError struct{ Report *validation.Report }

// Error names the first verdict.
func (e *InvalidError) Error() string {
	for _, s := range e.Report.Signatures {
		if s.Indication != validation.TotalPassed {
			return fmt.Sprintf("%v: %s %s", ErrInvalid, s.Indication, s.SubIndication)
		}
	}
	return ErrInvalid.Error()
}

// Unwrap makes errors.Is(err, ErrInvalid) hold.
func (e *InvalidError) Unwrap() error { return ErrInvalid }

// Draft is an application that was filled in and is to be signed.
type Draft struct {
	ID       string
	Service  *service.Service
	Person   int64
	Fields   map[string]string
	Cosigner string
	SHA256   []byte
	Created  time.Time
}

func (o *Office) now() time.Time {
	if o.Now != nil {
		return o.Now()
	}
	return time.Now()
}

func draftPDF(id string) string { return "drafts/" + id + ".pdf" }

// NewDraft writes the document that will be signed. It carries a random id of its
// own, so that no two drafts have the same bytes and none can be guessed.
func (o *Office) NewDraft(ctx context.Context, s *service.Service, who *person.Person, fields map[string]string) (*Draft, error) {
	var open int
	if err := o.Store.QueryRowContext(ctx, "SELECT count(*) FROM draft WHERE person = ? AND ente = ?", who.ID, o.Ente.Code).Scan(&open); err != nil {
		return nil, fmt.Errorf("submission: %w", err)
	}
	if open >= maxDrafts {
		return nil, ErrTooMany
	}
	d := &Draft{ID: store.NewID(), Service: s, Person: who.ID, Fields: fields, Created: o.now()}
	if s.Cosigner != "" {
		d.Cosigner = fields[s.Cosigner]
	}
	var pdf bytes.Buffer
	if err := o.form(d, who, &pdf); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(pdf.Bytes())
	d.SHA256 = sum[:]
	values, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	if err := o.Store.WriteFile(ctx, draftPDF(d.ID), &pdf); err != nil {
		return nil, err
	}
	_, err = o.Store.ExecContext(ctx, "INSERT INTO draft (id, ente, service, person, fields, cosigner, sha256, created) VALUES (?,?,?,?,?,?,?,?)",
		d.ID, o.Ente.Code, s.ID, who.ID, string(values), d.Cosigner, d.SHA256, store.Time(d.Created))
	if err != nil {
		return nil, fmt.Errorf("submission: %w", err)
	}
	return d, nil
}

// Draft reads a person's draft.
func (o *Office) Draft(ctx context.Context, id string, who int64) (*Draft, error) {
	d := &Draft{ID: id, Person: who}
	var serviceID, fields, created string
	err := o.Store.QueryRowContext(ctx, "SELECT service, fields, cosigner, sha256, created FROM draft WHERE id = ? AND person = ? AND ente = ?", id, who, o.Ente.Code).
		Scan(&serviceID, &fields, &d.Cosigner, &d.SHA256, &created)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("submission: %w", err)
	}
	d.Service, d.Created = service.All[serviceID], store.ParseTime(created)
	if d.Service == nil {
		return nil, ErrNotFound
	}
	return d, json.Unmarshal([]byte(fields), &d.Fields)
}

// DraftPDF gives the bytes that are to be signed.
func (o *Office) DraftPDF(ctx context.Context, d *Draft) (io.ReadCloser, error) {
	return o.Store.OpenFile(ctx, draftPDF(d.ID))
}

// Drafts lists a person's open drafts, newest first.
func (o *Office) Drafts(ctx context.Context, who int64) (_ []*Draft, err error) {
	rows, err := o.Store.QueryContext(ctx, "SELECT id, service, created FROM draft WHERE person = ? AND ente = ? ORDER BY created DESC", who, o.Ente.Code)
	if err != nil {
		return nil, fmt.Errorf("submission: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var out []*Draft
	for rows.Next() {
		var d Draft
		var serviceID, created string
		if err := rows.Scan(&d.ID, &serviceID, &created); err != nil {
			return nil, fmt.Errorf("submission: %w", err)
		}
		if d.Service = service.All[serviceID]; d.Service != nil {
			d.Created = store.ParseTime(created)
			out = append(out, &d)
		}
	}
	return out, rows.Err()
}

// Submission is an application that was taken in.
type Submission struct {
	ID       string
	Service  *service.Service
	Draft    string
	Person   int64
	Fields   map[string]string
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

// Submit takes the signed file of a draft: it must hold exactly the document that
// was served, every signature must be good, and each signer must be the person of
// the session or the co-signer that the draft names. Sending the same draft again
// gives the same submission.
func (o *Office) Submit(ctx context.Context, d *Draft, who *person.Person, signed io.Reader, lang message.Lang) (*Submission, error) {
	s, err := o.submit(ctx, d, who, signed, lang)
	if err != nil && Code(err) != "internal" {
		o.Log.Info("submission refused", "ente", o.Ente.Code, "code", Code(err))
		logged := o.Audit.Write(ctx, audit.Event{Ente: o.Ente.Code, Kind: audit.SignRefused, Person: who.CodiceFiscale, PersonID: who.ID,
			Detail: map[string]string{"code": Code(err), "draft": d.ID}})
		err = errors.Join(err, logged)
	}
	return s, err
}

func (o *Office) submit(ctx context.Context, d *Draft, who *person.Person, signed io.Reader, lang message.Lang) (*Submission, error) {
	data, err := io.ReadAll(io.LimitReader(signed, MaxSigned+1))
	if err != nil {
		return nil, fmt.Errorf("submission: %w", err)
	}
	if len(data) > MaxSigned {
		return nil, ErrTooLarge
	}
	var content bytes.Buffer
	results, err := verify.Reader(ctx, bytes.NewReader(data), verify.Options{
		Store: o.Trust, Revocation: o.Revocation, Policy: o.Policy, Time: o.now(), Extract: &content,
	})
	switch {
	case errors.Is(err, verify.ErrNoSignature), errors.Is(err, cms.ErrMalformed), errors.Is(err, cms.ErrTooLarge), err == nil && len(results) == 0:
		return nil, fmt.Errorf("%w: %v", ErrNotSigned, err) //nolint:errorlint // the cause is for the log alone
	case err != nil:
		return nil, fmt.Errorf("submission: %w", err)
	}
	found, err := o.judge(d, who, content.Bytes(), results, lang)
	if err != nil {
		return nil, err
	}
	s := &Submission{
		ID: store.NewID(), Service: d.Service, Draft: d.ID, Person: who.ID, Fields: d.Fields, SHA256: d.SHA256,
		Signers: found.signers, Report: *validation.NewReport(results, lang), Test: found.test, ToCheck: found.toCheck,
	}
	// First the files, then the row that names them: a crash in between leaves
	// files that nobody was told of, never a receipt without its document.
	if err := errors.Join(o.Store.WriteFile(ctx, signedFile(s.ID), bytes.NewReader(data)), o.Store.WriteFile(ctx, pdfFile(s.ID), &content)); err != nil {
		return nil, err
	}
	if err := o.record(ctx, s, who, results); err != nil {
		_ = errors.Join(o.Store.RemoveFile(ctx, signedFile(s.ID)), o.Store.RemoveFile(ctx, pdfFile(s.ID)))
		if again, ok := o.sent(ctx, d.ID, who.ID); ok {
			return again, nil
		}
		return nil, err
	}
	_ = o.Store.RemoveFile(ctx, draftPDF(d.ID)) // the document is with the submission now
	return s, nil
}

// judgement is what results come to.
type judgement struct {
	signers       []string
	test, toCheck bool
}

// judge decides on results; it knows nothing of files and rows.
func (o *Office) judge(d *Draft, who *person.Person, content []byte, results []*validation.Result, lang message.Lang) (judgement, error) {
	return judge(d.SHA256, []string{who.CodiceFiscale, d.Cosigner}, content, results, lang)
}

// judge: every signature is good, over the document of that hash, and by one of those who
// may sign it.
func judge(hash []byte, may []string, content []byte, results []*validation.Result, lang message.Lang) (j judgement, err error) {
	sum := sha256.Sum256(content)
	for _, r := range results {
		if r.Indication == validation.TotalFailed {
			return j, &InvalidError{Report: validation.NewReport(results, lang)}
		}
	}
	if subtle.ConstantTimeCompare(sum[:], hash) != 1 {
		return j, ErrOtherContent
	}
	for _, r := range results {
		f := r.Facts
		if !r.Passed() && !onlyRevocationUnknown(r) {
			return j, &InvalidError{Report: validation.NewReport(results, lang)}
		}
		// The facts' own hash: what the signature is over, not what was extracted.
		if subtle.ConstantTimeCompare(f.Content.SHA256, hash) != 1 || f.Content.Detached || f.Attribute.Declaration {
			return j, ErrOtherContent
		}
		cf := f.Identity.CodiceFiscale
		if cf == "" || !slices.Contains(may, cf) {
			return j, ErrOtherSigner
		}
		if !slices.Contains(j.signers, cf) {
			j.signers = append(j.signers, cf)
		}
		j.test = j.test || f.Chain.Anchor.Test
		j.toCheck = j.toCheck || !r.Passed()
	}
	return j, nil
}

// onlyRevocationUnknown: all that stands against the signature is that nobody could be
// asked about a certificate that names who can be. A responder that is down must not
// cost a citizen the day of an application.
func onlyRevocationUnknown(r *validation.Result) bool {
	unknown := false
	for _, x := range r.Findings {
		if x.Level != validation.Fail {
			continue
		}
		if x.Check != validation.CheckRevocationKnown && x.Check != validation.CheckRevocationIssuer {
			return false
		}
		unknown = true
	}
	return unknown
}

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

// record gives the protocol number and writes everything in one transaction.
func (o *Office) record(ctx context.Context, s *Submission, who *person.Person, results []*validation.Result) error {
	var facts []*validation.Facts
	for _, r := range results {
		facts = append(facts, r.Facts)
	}
	factsJSON, err := json.Marshal(facts)
	if err != nil {
		return err
	}
	report, err := json.Marshal(s.Report)
	if err != nil {
		return err
	}
	fields, err := json.Marshal(s.Fields)
	if err != nil {
		return err
	}
	signers, err := json.Marshal(s.Signers)
	if err != nil {
		return err
	}
	err = o.Store.Tx(ctx, func(tx *sql.Tx) error {
		s.Received = o.now().UTC().Truncate(time.Millisecond)
		entry := register.Entry{Ente: o.Ente.Code, Time: s.Received, Direction: register.In, Party: who.Name() + ", " + who.CodiceFiscale,
			Subject: text("service." + s.Service.ID + "-title"), SHA256: s.SHA256, Document: s.ID}
		if err := register.Enter(ctx, tx, o.Keys, &entry); err != nil {
			return err
		}
		s.Number = entry.Number
		if s.Seal, err = o.Keys.Seal(s.sealed(o.Ente.Code)); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO submission (id, ente, service, draft, person, fields, year, number, received, sha256, signers, report, facts, seal, test, to_check)
			VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`, s.ID, o.Ente.Code, s.Service.ID, s.Draft, s.Person, string(fields), s.Number.Year, s.Number.Number,
			store.Time(s.Received), s.SHA256, string(signers), string(report), string(factsJSON), s.Seal, s.Test, s.ToCheck)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM draft WHERE id = ?", s.Draft); err != nil {
			return err
		}
		return o.Audit.WriteTx(ctx, tx, audit.Event{Ente: o.Ente.Code, Kind: audit.Submitted, Person: who.CodiceFiscale, PersonID: who.ID,
			Detail: map[string]string{"protocol": s.Number.String(), "sha256": s.Fingerprint(), "service": s.Service.ID}})
	})
	if err != nil {
		return fmt.Errorf("submission: %w", err)
	}
	o.Log.Info("submission received", "ente", o.Ente.Code, "protocol", s.Number.String(), "service", s.Service.ID)
	return nil
}

func (o *Office) sent(ctx context.Context, draft string, who int64) (*Submission, bool) {
	var id string
	if err := o.Store.QueryRowContext(ctx, "SELECT id FROM submission WHERE draft = ? AND person = ? AND ente = ?", draft, who, o.Ente.Code).Scan(&id); err != nil {
		return nil, false
	}
	s, err := o.Get(ctx, id, who)
	return s, err == nil
}

// Sent finds the submission that a draft became.
func (o *Office) Sent(ctx context.Context, draft string, who int64) (*Submission, error) {
	if s, ok := o.sent(ctx, draft, who); ok {
		return s, nil
	}
	return nil, ErrNotFound
}

const columns = "id, service, draft, person, fields, year, number, received, sha256, signers, report, seal, test, to_check"

func scan(row interface{ Scan(...any) error }) (*Submission, error) {
	var s Submission
	var serviceID, fields, received, signers, report string
	err := row.Scan(&s.ID, &serviceID, &s.Draft, &s.Person, &fields, &s.Number.Year, &s.Number.Number, &received, &s.SHA256, &signers, &report, &s.Seal, &s.Test, &s.ToCheck)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("submission: %w", err)
	}
	s.Service, s.Received = service.All[serviceID], store.ParseTime(received)
	if s.Service == nil {
		return nil, fmt.Errorf("submission: %s is of an unknown service %q", s.ID, serviceID)
	}
	return &s, errors.Join(json.Unmarshal([]byte(fields), &s.Fields), json.Unmarshal([]byte(signers), &s.Signers), json.Unmarshal([]byte(report), &s.Report))
}

// Get reads a person's submission and checks the seal of its receipt.
func (o *Office) Get(ctx context.Context, id string, who int64) (*Submission, error) {
	s, err := scan(o.Store.QueryRowContext(ctx, "SELECT "+columns+" FROM submission WHERE id = ? AND person = ? AND ente = ?", id, who, o.Ente.Code))
	if err != nil {
		return nil, err
	}
	if err := o.Keys.CheckSeal(s.sealed(o.Ente.Code), s.Seal); err != nil {
		return nil, fmt.Errorf("submission: %s: %w", id, err)
	}
	return s, nil
}

// List gives a person's submissions, newest first.
func (o *Office) List(ctx context.Context, who int64) (_ []*Submission, err error) {
	rows, err := o.Store.QueryContext(ctx, "SELECT "+columns+" FROM submission WHERE person = ? AND ente = ? ORDER BY year DESC, number DESC LIMIT 200", who, o.Ente.Code)
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
func (o *Office) Signed(ctx context.Context, s *Submission) (io.ReadCloser, error) {
	return o.Store.OpenFile(ctx, signedFile(s.ID))
}

// PDF opens the document in it.
func (o *Office) PDF(ctx context.Context, s *Submission) (io.ReadCloser, error) {
	return o.Store.OpenFile(ctx, pdfFile(s.ID))
}
