package submission

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/citel-pa/citel/pkcs/cms"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/pkcs/verify"
	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/limit"
	"github.com/citel-pa/citel/server/mail"
	"github.com/citel-pa/citel/server/pdf"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
)

// Signature is one that was put under the document.
type Signature struct {
	Code    string // the signer's codice fiscale
	Time    time.Time
	File    string
	Report  validation.Report
	ToCheck bool
}

// Signatures lists an application's, in their order.
func (d *Desk) Signatures(ctx context.Context, a *Application) ([]*Signature, error) {
	return signatures(ctx, d.Store, a.ID)
}

type rowsQuerier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func signatures(ctx context.Context, q rowsQuerier, id string) (out []*Signature, err error) {
	rows, err := q.QueryContext(ctx, "SELECT code, time, file, report, to_check FROM application_signature WHERE application = ? ORDER BY n", id)
	if err != nil {
		return nil, fmt.Errorf("submission: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var s Signature
		var at, report string
		if err := rows.Scan(&s.Code, &at, &s.File, &report, &s.ToCheck); err != nil {
			return nil, fmt.Errorf("submission: %w", err)
		}
		s.Time = store.ParseTime(at)
		if err := json.Unmarshal([]byte(report), &s.Report); err != nil {
			return nil, fmt.Errorf("submission: %w", err)
		}
		out = append(out, &s)
	}
	return out, rows.Err()
}

// Wanted lists the codici fiscali of those who must sign, the one who acts first.
func (d *Desk) Wanted(ctx context.Context, a *Application) ([]string, error) {
	who, err := person.Get(ctx, d.Store, a.Actor())
	if err != nil {
		return nil, err
	}
	out := []string{who.CodiceFiscale}
	for _, c := range a.Service.Signers(a.Fields) {
		if !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	return out, nil
}

// Sign takes a signed file of the document. Several people sign one after the other: each
// sends a file of its own over the same document, or one with all signatures in it.
func (d *Desk) Sign(ctx context.Context, v Visitor, id string, signed io.Reader, lang message.Lang) (*Application, error) {
	a, err := d.Get(ctx, v, id)
	if err != nil {
		return nil, err
	}
	if a.State != StateToSign || a.Service.Signature == service.SignatureNone || v.Person == nil {
		return nil, ErrState
	}
	wanted, err := d.Wanted(ctx, a)
	if err != nil {
		return nil, err
	}
	err = d.sign(ctx, v, a, wanted, signed, lang)
	if err != nil && (Code(err) != "internal") {
		err = errors.Join(err, d.logRefused(ctx, a, signRefused(v, a, Code(err))))
	}
	if err != nil {
		return nil, err
	}
	return d.Get(ctx, v, id)
}

// signRefused is the log's line of what was not taken as a signature. At the desk it names
// the operator too.
func signRefused(v Visitor, a *Application, code string) audit.Event {
	e := audit.Event{Ente: a.Ente, Kind: audit.SignRefused, PersonID: v.Person.ID, Person: v.Person.CodiceFiscale, Address: v.Address,
		Detail: map[string]string{"application": a.ID, "code": code}}
	if v.Operator != nil {
		e = e.By(*v.Operator)
	}
	return e
}

func (d *Desk) sign(ctx context.Context, v Visitor, a *Application, wanted []string, signed io.Reader, lang message.Lang) error {
	data, err := io.ReadAll(io.LimitReader(signed, MaxSigned+1))
	if err != nil {
		return fmt.Errorf("submission: %w", err)
	}
	if len(data) > MaxSigned {
		return ErrTooLarge
	}
	var content bytes.Buffer
	results, err := verify.Reader(ctx, bytes.NewReader(data), verify.Options{Store: d.Trust, Revocation: d.Revocation, Policy: d.Policy, Time: d.now(), Extract: &content})
	switch {
	case errors.Is(err, verify.ErrNoSignature), errors.Is(err, cms.ErrMalformed), errors.Is(err, cms.ErrTooLarge), err == nil && len(results) == 0:
		return fmt.Errorf("%w: %v", ErrNotSigned, err) //nolint:errorlint // the cause is for the log alone
	case err != nil:
		return fmt.Errorf("submission: %w", err)
	}
	found, err := judge(a.SHA256, wanted, content.Bytes(), results, lang)
	if err != nil {
		return err
	}
	name := a.file("-" + store.NewID()[:12] + ".p7m")
	if err := d.Store.WriteFile(ctx, name, bytes.NewReader(data)); err != nil {
		return err
	}
	var facts []*validation.Facts
	for _, r := range results {
		facts = append(facts, r.Facts)
	}
	factsJSON, err1 := json.Marshal(facts)
	report, err2 := json.Marshal(validation.NewReport(results, lang))
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	var gone []string
	err = d.change(ctx, v, a.ID, []State{StateToSign}, func(tx *sql.Tx, now *Application) error {
		before, err := signatures(ctx, tx, a.ID)
		if err != nil {
			return err
		}
		if !bytes.Equal(now.SHA256, a.SHA256) {
			return ErrOtherContent // it was made anew meanwhile
		}
		for _, code := range found.signers {
			if _, err := tx.ExecContext(ctx, "DELETE FROM application_signature WHERE application = ? AND code = ?", a.ID, code); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, `INSERT INTO application_signature (application, n, code, time, file, report, facts, to_check)
				VALUES (?, (SELECT coalesce(max(n), 0) + 1 FROM application_signature WHERE application = ?), ?,?,?,?,?,?)`,
				a.ID, a.ID, code, store.Time(d.now()), name, string(report), string(factsJSON), found.toCheck)
			if err != nil {
				return err
			}
		}
		if found.test {
			if _, err := tx.ExecContext(ctx, "UPDATE application SET test = 1 WHERE id = ?", a.ID); err != nil {
				return err
			}
		}
		after, err := signatures(ctx, tx, a.ID)
		if err != nil {
			return err
		}
		for _, s := range before { // who signs again replaces the own file, unless others' signatures are in it
			if !slices.ContainsFunc(after, func(x *Signature) bool { return x.File == s.File }) {
				gone = append(gone, s.File)
			}
		}
		// Who signs the same document again mails nobody a second time.
		again := slices.ContainsFunc(before, func(s *Signature) bool { return s.Code == wanted[0] })
		if v.Person.ID == a.Actor() && !again {
			if err := d.askCosigners(ctx, tx, a, wanted[1:]); err != nil {
				return err
			}
		}
		x := Step{Kind: "signed", State: StateToSign, Person: v.Person.ID}
		if v.Operator != nil { // else it was signed at home, whoever has filled it in
			x.Operator, x.Text = v.Operator.Operator, string(WithCard)
		}
		return d.step(ctx, tx, a.ID, x)
	})
	if err != nil {
		return errors.Join(err, d.unnamed(context.WithoutCancel(ctx), name))
	}
	d.remove(context.WithoutCancel(ctx), gone...)
	return nil
}

// askCosigners tells those who are known here, and have not signed yet, that a document waits
// for them: the mail names neither what it is nor whose.
func (d *Desk) askCosigners(ctx context.Context, tx *sql.Tx, a *Application, codes []string) error {
	all, err := signatures(ctx, tx, a.ID)
	if err != nil {
		return err
	}
	for _, code := range codes {
		if slices.ContainsFunc(all, func(s *Signature) bool { return s.Code == code }) {
			continue
		}
		p, err := person.ByCode(ctx, tx, person.Natural, code)
		if errors.Is(err, person.ErrNotFound) {
			continue // who sent it tells them: the page says so
		}
		if err != nil {
			return err
		}
		to, err := knownEmail(ctx, tx, a.Ente, p.ID)
		if err != nil {
			return err
		}
		var over *limit.OverError // who makes the document anew and signs it again, over and over, mails nobody each time
		err = d.Quota.Take(ctx, tx, limit.Rule{Name: fmt.Sprintf("cosign:%s:%d", a.ID, p.ID), Most: 3, In: time.Hour})
		if errors.As(err, &over) {
			continue
		}
		if err != nil {
			return err
		}
		if err := mail.Queue(ctx, tx, mail.Message{Ente: a.Ente, To: to, Kind: mail.ApplicationSign, Link: "/pratiche/" + a.ID}, d.now()); err != nil {
			return err
		}
	}
	return nil
}

// recipient is where the person is written to: the address in the form, but for somebody
// whom nobody has proved the one that was confirmed, so that a form mails no stranger.
func (a *Application) recipient() string {
	if a.Fields["email"] != "" && (a.Person != 0 || a.Email == "") {
		return a.Fields["email"]
	}
	return a.Email
}

// Send sends an application: from here on it is the office's. When Send has returned, the
// application, its documents and its number are on disk. Sending again gives the same.
func (d *Desk) Send(ctx context.Context, v Visitor, id string) (*Application, error) {
	a, err := d.Get(ctx, v, id)
	if err != nil {
		return nil, err
	}
	if a.State.AtOffice() {
		return a, nil
	}
	if a.State != StateToSign || v.Person != nil && v.Operator == nil && v.Person.ID != a.Actor() {
		return nil, ErrState
	}
	if v.Operator == nil && v.Level < a.Service.Needs() {
		return nil, ErrLevel
	}
	v.Mandate = a.Mandate
	var wanted []string
	if a.Actor() != 0 {
		if wanted, err = d.Wanted(ctx, a); err != nil {
			return nil, err
		}
	}
	who, err := d.whoFields(ctx, a)
	if err != nil {
		return nil, err
	}
	party := partyOf(who)
	err = d.Store.Tx(ctx, func(tx *sql.Tx) error {
		now, err := d.read(ctx, tx, v.Ente, id)
		if err != nil {
			return err
		}
		if now.State.AtOffice() {
			return nil // another tab was faster
		}
		now.Service = a.Service
		if now.State != StateToSign || !bytes.Equal(now.SHA256, a.SHA256) {
			return ErrState
		}
		return d.sendTx(ctx, tx, v, now, wanted, party)
	})
	if err != nil {
		return nil, fmt.Errorf("submission: %w", err)
	}
	if a, err = d.Get(ctx, v, id); err == nil {
		d.Log.Info("application received", "ente", a.Ente, "protocol", a.Protocol(), "service", a.Service.ID)
	}
	return a, err
}

func (d *Desk) sendTx(ctx context.Context, tx *sql.Tx, v Visitor, a *Application, wanted []string, party string) error {
	if _, err := d.may(ctx, tx, v, a.Service.Definition); err != nil {
		return err // a mandate that was revoked a moment ago, a service that has closed
	}
	if err := d.count(ctx, tx, v, a.Service); err != nil {
		return err
	}
	letter, toCheck, err := d.proof(ctx, tx, v, a, wanted)
	if err != nil {
		return err
	}
	a.Letter, a.Sent = letter, d.now().UTC().Truncate(time.Millisecond)
	if a.Office, err = d.officeFor(ctx, tx, a); err != nil {
		return err
	}
	a.State = StateSent
	// A server that takes test cards may have let the sender in by one.
	a.Test = a.Test || v.Profile != "" && d.Trust != nil && d.Trust.HasTest()
	if toCheck {
		a.State = StateToCheck
	}
	if a.Service.Term.Days > 0 {
		a.Due = a.Sent.In(register.Rome()).AddDate(0, 0, a.Service.Term.Days).Format(time.DateOnly)
	}
	closed := ""
	if a.Service.Act == service.SelfCertification {
		a.State, closed = StateClosed, store.Time(a.Sent)
	} else if d.Outside[a.Ente] == nil {
		e := register.Entry{Ente: a.Ente, Time: a.Sent, Direction: register.In, Party: party, Subject: a.Service.Title.It, SHA256: a.SHA256, Document: a.ID}
		if err := register.Enter(ctx, tx, d.Keys, &e); err != nil {
			return err
		}
		a.Number = e.Number
	}
	_, err = tx.ExecContext(ctx, "UPDATE application SET state = ?, office = ?, letter = ?, year = ?, number = ?, sent = ?, due = ?, closed = ?, level = ?, session = ?, assisted = ?, test = ?, changed = ? WHERE id = ?",
		string(a.State), a.Office, a.Letter, a.Number.Year, a.Number.Number, store.Time(a.Sent), a.Due, closed, int(v.Level), v.Profile, string(a.Assisted), a.Test, store.Time(a.Sent), a.ID)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE application_file SET sent = 1 WHERE application = ?", a.ID); err != nil {
		return err
	}
	if err := d.step(ctx, tx, a.ID, Step{Kind: "sent", State: a.State, Operator: a.Operator, Person: a.Actor(), Office: a.Office}); err != nil {
		return err
	}
	if a.Service.Act != service.SelfCertification {
		if err := d.tell(ctx, tx, a, mail.ApplicationReceived); err != nil {
			return err
		}
	}
	e := audit.Event{Ente: a.Ente, Kind: audit.Submitted, PersonID: a.Person, Credential: v.Credential, Address: v.Address,
		Detail: map[string]string{"application": a.ID, "protocol": a.Protocol(), "sha256": a.Fingerprint(), "service": a.Service.ID, "letter": a.Letter}}
	if a.Agent != 0 {
		e.Detail["agent"], e.Detail["mandate"] = fmt.Sprint(a.Agent), a.Mandate
	}
	if v.Operator != nil {
		e = e.By(*v.Operator)
		e.Detail["assisted"] = string(a.Assisted)
	}
	return d.Audit.WriteTx(ctx, tx, e)
}

// partyOf is the sender in a register; of a weak credential it says that it is not proved.
func partyOf(who []pdf.Field) string {
	return strings.TrimPrefix(who[0].Value+", "+who[1].Value, ", ")
}

// proof tells under which letter of CAD, art. 65 c. 1, an istanza is valid, and whether a
// certificate is to be asked about again.
func (d *Desk) proof(ctx context.Context, tx *sql.Tx, v Visitor, a *Application, wanted []string) (letter string, toCheck bool, err error) {
	all, err := signatures(ctx, tx, a.ID)
	if err != nil {
		return "", false, err
	}
	signed := len(wanted) > 0
	for _, w := range wanted {
		i := slices.IndexFunc(all, func(s *Signature) bool { return s.Code == w })
		if signed = signed && i >= 0; i >= 0 {
			toCheck = toCheck || all[i].ToCheck
		}
	}
	if v.Operator != nil {
		letter, err := d.proofAtDesk(ctx, tx, a, signed, len(wanted))
		return letter, toCheck, err
	}
	var copies int // signed by hand and scanned, and the document of identity
	if err := tx.QueryRowContext(ctx, "SELECT count(DISTINCT slot) FROM application_file WHERE application = ? AND slot IN ('identity', 'paper') AND state <> 'infected'", a.ID).Scan(&copies); err != nil {
		return "", false, err
	}
	// Letter b knows SPID, CIE and CNS; who came in with another certificate signs.
	card := v.Level >= session.Forte && (v.Profile == string(profile.CIE) || v.Profile == string(profile.CNS))
	switch {
	case signed:
		letter = "a"
	case a.Service.Signature == service.SignatureRequired, len(wanted) > 1:
		return "", false, ErrSigners
	}
	if card {
		letter += "b"
	}
	if letter == "" && copies == 2 {
		letter = "c"
	}
	switch {
	case letter != "" || a.Service.Act != service.Istanza:
		return letter, toCheck, nil
	case a.Service.Signature == service.SignatureNone:
		return "", false, ErrCard
	}
	return "", false, ErrSigners
}

// tell queues a mail about an application.
func (d *Desk) tell(ctx context.Context, tx *sql.Tx, a *Application, kind mail.Kind) error {
	return mail.Queue(ctx, tx, mail.Message{Ente: a.Ente, To: a.recipient(), Kind: kind, Link: "/pratiche/" + a.ID, Number: a.Reference()}, d.now())
}

// Letters gives the sentences of the letters under which an application is valid.
func (a *Application) Letters(l message.Lang) (out []string) {
	for _, x := range strings.Split(a.Letter, "") {
		out = append(out, message.Text(l, "application.letter-"+x))
	}
	switch {
	case a.Assisted == WithCode && a.Letter == "a":
		out = append(out, message.Text(l, "application.assisted-advanced"))
	case a.Assisted != "":
		out = append(out, message.Text(l, "application.assisted-"+string(a.Assisted)))
	}
	return out
}
