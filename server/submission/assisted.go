package submission

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/limit"
	"github.com/citel-pa/citel/server/mail"
	"github.com/citel-pa/citel/server/onetime"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/store"
)

// Assisted filing: an operator fills in for a person who is at the desk.
//
// Who is at the desk was identified by an operator, not by CIE or CNS: letter b of CAD,
// art. 65 c. 1, is never reached here. What is left for an istanza:
//   - letter a, the person's own card, or a code where the ente has adopted it as an
//     advanced electronic signature, which is one of the forms of art. 20;
//   - letter c, signed by hand, with the copy of an identity document. DPR 445/2000, art.
//     38 c. 3, lets the copy be left out where the official in charge sees the signature;
//     who assists here may be an assistance centre's (R-CAF1, R-PAAS), so it is asked for.
//
// A code that is mailed is an electronic signature, whose worth a court assesses freely (CAD,
// art. 20 c. 1-bis): good for a message or a self-certification, not for an istanza.

// present asks what an operator needs to fill in for somebody.
func (d *Desk) present(v Visitor) error {
	if err := role.Check(*v.Operator, v.Ente, role.AssistedFile); err != nil {
		return err
	}
	switch {
	case v.Person == nil, v.Person.Kind != person.Natural:
		return ErrActor
	case v.Person.CodiceFiscale == v.Operator.Code:
		return ErrSelf
	case !v.Person.Dead.IsZero():
		return ErrActor
	}
	return nil
}

// identified writes down against which document a person was identified at the desk.
func (d *Desk) identified(ctx context.Context, tx *sql.Tx, v Visitor, a *Application) error {
	shown := strings.TrimSpace(v.Shown)
	if shown == "" || len(shown) > 500 {
		return ErrIdentity
	}
	return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: a.Ente, Kind: audit.PersonRead, PersonID: v.Person.ID, Person: v.Person.CodiceFiscale, Address: v.Address,
		Detail: map[string]string{"application": a.ID, "service": a.Service.ID}, Personal: map[string]string{"document": shown}}.By(*v.Operator))
}

// AtDesk lists what an operator has filled in for people: drafts, and what was sent in the
// last days, newest first.
func (d *Desk) AtDesk(ctx context.Context, a role.Actor, days int) ([]*Application, error) {
	if err := role.Check(a, a.Ente, role.AssistedFile); err != nil {
		return nil, err
	}
	since := d.now().In(register.Rome()).AddDate(0, 0, -days)
	return d.query(ctx, "WHERE ente = ? AND operator = ? AND (state IN ('draft', 'to-sign') OR sent >= ?) ORDER BY created DESC LIMIT ?", a.Ente, a.Operator, store.Time(since), Listed)
}

// codeSubject binds a code to the very document.
func (a *Application) codeSubject() string { return a.ID + "/" + a.Fingerprint() }

// codeLife is how long a one-time code holds.
const codeLife = 10 * time.Minute

// CodeSigns tells whether a one-time code is a way to sign an application at the desk: not
// an istanza's, unless the ente has adopted it as an advanced signature, and not where
// several people sign.
func (a *Application) CodeSigns() bool {
	return (a.Service.Act != service.Istanza || a.Service.AdvancedCode) && len(a.Service.Signers(a.Fields)) == 0
}

// codeTo is where a code goes: to the address that the ente knows already, else to the one
// of the form, and never to the operator's own. A code that signs an istanza goes to none
// that was typed at this desk: whoever types it could be whoever reads it.
func (d *Desk) codeTo(ctx context.Context, tx *sql.Tx, v Visitor, a *Application) (string, error) {
	r, err := person.RecordOf(ctx, tx, a.Actor(), a.Ente)
	if err != nil {
		return "", err
	}
	to := r.Email()
	if to == "" && a.Service.Act == service.Istanza {
		return "", ErrReached
	}
	if to == "" {
		to = a.recipient()
	}
	var form string
	if err := tx.QueryRowContext(ctx, "SELECT form FROM operator WHERE id = ?", v.Operator.Operator).Scan(&form); err != nil {
		return "", fmt.Errorf("submission: %w", err)
	}
	if to == "" || strings.Contains(strings.ToLower(form), `"`+strings.ToLower(to)+`"`) {
		return "", ErrEmail
	}
	return to, nil
}

// How many codes are mailed in an hour: for one application, and to one person or address
// for all of theirs.
const (
	codesForOne = 5
	codesToOne  = 10
)

// codeRules bound the mails of SendCode.
func codeRules(a *Application, to string) []limit.Rule {
	return []limit.Rule{
		{Code: "code-application", Name: "code:application:" + a.ID, Most: codesForOne, In: time.Hour},
		{Code: "code-person", Name: fmt.Sprintf("code:person:%s:%d", a.Ente, a.Actor()), Most: codesToOne, In: time.Hour},
		{Code: "code-person", Name: "code:mail:" + strings.ToLower(to), Most: codesToOne, In: time.Hour},
	}
}

// SendCode mails the person at the desk a code that signs the document, and tells where it
// went. Enough for now is a *limit.OverError, and the last code stays good.
func (d *Desk) SendCode(ctx context.Context, v Visitor, id string) (to string, err error) {
	if v.Operator == nil {
		return "", ErrAssisted
	}
	err = d.change(ctx, v, id, []State{StateToSign}, func(tx *sql.Tx, a *Application) error {
		if !a.CodeSigns() {
			return ErrCodeAct
		}
		if to, err = d.codeTo(ctx, tx, v, a); err != nil {
			return err
		}
		if err := d.Quota.Take(ctx, tx, codeRules(a, to)...); err != nil {
			return err
		}
		code, err := onetime.IssueCode(ctx, tx, onetime.ApplicationCode, a.Ente, a.codeSubject(), d.now().Add(codeLife))
		if err != nil {
			return err
		}
		if err := mail.Queue(ctx, tx, mail.Message{Ente: a.Ente, To: to, Kind: mail.ApplicationCode, Number: code}, d.now()); err != nil {
			return err
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: a.Ente, Kind: audit.ApplicationCode, PersonID: a.Actor(), Address: v.Address,
			Detail: map[string]string{"application": a.ID}, Personal: map[string]string{"to": to}}.By(*v.Operator))
	})
	return to, err
}

// SignAtDesk says how the person signed before the operator: on paper (scans of the signed
// document and of the identity document are attached) or with the code that was mailed.
// The card signs as ever.
func (d *Desk) SignAtDesk(ctx context.Context, v Visitor, id string, how Assisted, code string) error {
	if v.Operator == nil || how != OnPaper && how != WithCode {
		return ErrAssisted
	}
	if how == WithCode {
		if err := d.Guard.Begin(ctx, "application-code:"+id, v.Address); err != nil {
			return err
		}
	}
	err := d.change(ctx, v, id, []State{StateToSign}, func(tx *sql.Tx, a *Application) error {
		if how == WithCode {
			if !a.CodeSigns() {
				return ErrCodeAct
			}
			if err := onetime.TakeCode(ctx, tx, onetime.ApplicationCode, a.Ente, a.codeSubject(), code, d.now()); errors.Is(err, onetime.ErrLink) {
				return ErrCode
			} else if err != nil {
				return err
			}
		} else if ok, err := onPaper(ctx, tx, a, 1+len(a.Service.Signers(a.Fields))); err != nil || !ok {
			return errors.Join(err, ErrAssisted)
		}
		if _, err := tx.ExecContext(ctx, "UPDATE application SET assisted = ? WHERE id = ?", string(how), id); err != nil {
			return err
		}
		return d.step(ctx, tx, id, Step{Kind: "signed", State: StateToSign, Operator: v.Operator.Operator, Person: a.Actor(), Text: string(how)})
	})
	if errors.Is(err, ErrCode) {
		if a, read := d.Get(ctx, v, id); read == nil && v.Person != nil {
			err = errors.Join(err, d.logRefused(ctx, a, signRefused(v, a, ErrCode.Code)))
		}
	}
	if err == nil && how == WithCode {
		err = d.Guard.Success(ctx, "application-code:"+id, v.Address)
	}
	return err
}

// onPaper tells whether the scan of the signed document is there, and an identity document
// of each signer.
func onPaper(ctx context.Context, tx *sql.Tx, a *Application, signers int) (bool, error) {
	var papers, documents int
	err := tx.QueryRowContext(ctx, "SELECT coalesce(sum(CASE WHEN slot = 'paper' THEN 1 ELSE 0 END), 0), coalesce(sum(CASE WHEN slot = 'identity' THEN 1 ELSE 0 END), 0) FROM application_file WHERE application = ? AND state <> 'infected'", a.ID).
		Scan(&papers, &documents)
	if err != nil {
		return false, fmt.Errorf("submission: %w", err)
	}
	return papers > 0 && documents >= signers, nil
}

// proofAtDesk is proof for what an operator sends.
func (d *Desk) proofAtDesk(ctx context.Context, tx *sql.Tx, a *Application, signed bool, signers int) (letter string, err error) {
	switch {
	case signed:
		a.Assisted = WithCard
		return "a", nil
	case a.Assisted == OnPaper:
		if ok, err := onPaper(ctx, tx, a, signers); err != nil || !ok { // a scan was taken away meanwhile
			return "", errors.Join(err, ErrAssisted)
		}
		return "c", nil
	case a.Assisted == WithCode && !a.CodeSigns():
		return "", ErrCodeAct
	case a.Assisted == WithCode && a.Service.AdvancedCode:
		return "a", nil
	case a.Assisted == WithCode:
		return "", nil
	case a.Service.Act == service.Istanza, a.Service.Signature != service.SignatureNone:
		return "", ErrSigners
	}
	return "", nil
}
