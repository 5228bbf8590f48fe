package envelope

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/credential"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/mail"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
)

// Release is the form of "Rilascio credenziali in busta": Persona (Form) or Azienda
// (Company, whose representative is the holder of the document).
type Release struct {
	Code     string // of the envelope, as typed
	Form     *person.Form
	Company  *person.Company
	Document Document
	// ByPost: requested with a copy of the document; the envelope goes by post, and the
	// holder's code in a letter of its own.
	ByPost bool
	// Replace says yes to ErrHasMedia: the older credential is revoked at activation.
	Replace bool
}

// FormError carries what is wrong with the form: errs block (field -> code, "desk.<code>"),
// warnings want a reason.
type FormError struct {
	Errs     person.Errors
	Warnings []string
}

// Error names the fields.
func (e *FormError) Error() string { return fmt.Sprintf("envelope: the form: %v", e.Errs) }

// Handed is what the desk has after a release.
type Handed struct {
	Envelope *Envelope
	Person   *person.Person
	// Holder is the code for the holder: on the form that is signed at the desk, or in a
	// letter of its own. It is given once and kept as a hash.
	Holder string
}

// activateWithin is how long an envelope waits for its holder.
const activateWithin = 90 * 24 * time.Hour

// Check cleans a release's form and tells what is wrong with it, without doing anything
// (Verifica).
func (d *Desk) Check(r Release) (Release, *FormError) {
	now := d.now()
	errs, warnings := person.Errors{}, []string(nil)
	switch {
	case r.Company != nil:
		c, e, w := r.Company.Check(now)
		r.Company, errs, warnings = &c, e, w
	case r.Form != nil:
		f, e, w := r.Form.Check(now)
		r.Form, errs, warnings = &f, e, w
	default:
		errs["code"] = "required"
	}
	var wrong person.Errors
	r.Document, wrong = r.Document.Check(now)
	for k, code := range wrong {
		errs["document."+k] = code
	}
	if _, err := ParseCode(r.Code); err != nil {
		errs["envelope"] = "envelope-mistyped"
	}
	if len(errs) > 0 {
		return r, &FormError{Errs: errs, Warnings: warnings}
	}
	return r, nil
}

// Check cleans a document and tells what is wrong with it: fields "kind", "number",
// "issuer", "issued", "expires".
func (d Document) Check(now time.Time) (clean Document, errs person.Errors) {
	errs = person.Errors{}
	for name, v := range map[string]*string{"number": &d.Number, "issuer": &d.Issuer} {
		*v = strings.Join(strings.Fields(*v), " ")
		if *v == "" {
			errs[name] = "required"
		} else if len(*v) > 100 {
			errs[name] = "long"
		}
	}
	if !slices.Contains(DocumentKinds, d.Kind) {
		errs["kind"] = "required"
	}
	if t, err := time.Parse(person.BornLayout, d.Issued); err != nil || t.After(now) {
		errs["issued"] = "date"
	}
	if t, err := time.Parse(person.BornLayout, d.Expires); err != nil {
		errs["expires"] = "date"
	} else if t.Before(now.Truncate(24 * time.Hour)) {
		errs["expires"] = "document-expired"
	}
	return d, errs
}

// holder is whom the account is of.
func (r Release) holder() (kind person.Kind, code, given, family, email string) {
	if r.Company != nil {
		email := r.Company.PEC
		if email == "" {
			email = r.Company.Representative.Email
		}
		return person.Corporate, r.Company.Code, "", r.Company.Name, email
	}
	return person.Natural, r.Form.Code, r.Form.Given, r.Form.Family, r.Form.Email
}

// HandOut releases an envelope at the desk or by post: it writes the ente's record, binds
// the envelope to the account and gives the code for the holder. The person is told.
func (d *Desk) HandOut(ctx context.Context, a role.Actor, r Release) (*Handed, error) {
	if err := role.Check(a, a.Ente, role.EnvelopesHandOut); err != nil {
		return nil, err
	}
	r, wrong := d.Check(r)
	if wrong != nil {
		if len(wrong.Errs) == 1 && wrong.Errs["envelope"] != "" {
			return nil, ErrMistyped
		}
		return nil, wrong
	}
	h := &Handed{Holder: credential.Random(8)}
	hashed, err := d.Keys.HashSecret(ctx, keys.PurposeEnvelope, []byte(h.Holder))
	if err != nil {
		return nil, err
	}
	err = d.Store.Tx(ctx, func(tx *sql.Tx) error { return d.handOut(ctx, tx, a, r, h, hashed) })
	if err != nil {
		return nil, err
	}
	return h, nil
}

func (d *Desk) handOut(ctx context.Context, tx *sql.Tx, a role.Actor, r Release, h *Handed, hashed string) error {
	e, err := d.own(ctx, tx, a, r.Code)
	if err != nil {
		return err
	}
	switch {
	case e.State == Void:
		return ErrVoid
	case e.State != Printed:
		return ErrUsed
	case !e.Confirmed:
		return ErrNotConfirmed
	case e.PrintedBy == a.Operator:
		return ErrPrinter
	}
	if err := d.samePerson(ctx, tx, e.PrintedBy, a); err != nil {
		return err
	}
	kind, code, given, family, email := r.holder()
	if code == a.Code || r.Company != nil && r.Company.Representative.Code == a.Code {
		return ErrSelf
	}
	now := d.now()
	if h.Person, err = d.account(ctx, tx, kind, code, given, family, now); err != nil {
		return err
	}
	var has int
	err = tx.QueryRowContext(ctx, "SELECT count(*) FROM credential WHERE person = ? AND ente = ? AND kind = 'media' AND state IN ('active', 'suspended')", h.Person.ID, a.Ente).Scan(&has)
	if err != nil {
		return fmt.Errorf("envelope: %w", err)
	}
	if has > 0 && !r.Replace {
		return ErrHasMedia
	}
	if err := person.Keep(ctx, tx, h.Person.ID, a.Ente, person.Record{Form: r.Form, Company: r.Company}, now); err != nil {
		return err
	}
	document, err := json.Marshal(r.Document)
	if err != nil {
		return err
	}
	to, event, title, reason := HandedOut, audit.EnvelopeHandedOut, "", ""
	if r.ByPost {
		to, event = Sent, audit.EnvelopeSent
	}
	personal := map[string]string{"document": r.Document.String(), "name": h.Person.Name()}
	if r.Form != nil {
		reason = r.Form.Reason
	} else {
		title, reason = r.Company.Title, r.Company.Representative.Reason
		personal["representative"] = r.Company.Representative.Code
	}
	personal["reason"] = reason
	_, err = tx.ExecContext(ctx, `UPDATE envelope SET state = ?, holder = ?, person = ?, document = ?, title = ?, handed_by = ?, handed = ?, expires = ?, changed = ? WHERE code = ? AND state = 'printed'`,
		string(to), hashed, h.Person.ID, string(document), title, a.Operator, store.Time(now), store.Time(now.Add(activateWithin)), store.Time(now), e.Code)
	if err != nil {
		return fmt.Errorf("envelope: %w", err)
	}
	if h.Envelope, err = get(ctx, tx, e.Code); err != nil {
		return err
	}
	if err := mail.Queue(ctx, tx, mail.Message{Ente: a.Ente, To: email, Kind: mail.Released, Number: e.Code[9:]}, now); err != nil {
		return err
	}
	return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: a.Ente, Kind: event, PersonID: h.Person.ID, Person: code,
		Detail: map[string]string{"envelope": e.Code}, Personal: personal}.By(a))
}

// samePerson: whoever printed has no second account to hand out with, as an operator's code
// is once in an ente; this looks all the same.
func (d *Desk) samePerson(ctx context.Context, tx *sql.Tx, printer int64, a role.Actor) error {
	var code string
	if err := tx.QueryRowContext(ctx, "SELECT code FROM operator WHERE id = ?", printer).Scan(&code); err != nil {
		return fmt.Errorf("envelope: %w", err)
	}
	if code == a.Code {
		return ErrPrinter
	}
	return nil
}

// account finds or makes the holder's. The names of an account that a card has proved stay.
func (d *Desk) account(ctx context.Context, tx *sql.Tx, kind person.Kind, code, given, family string, now time.Time) (*person.Person, error) {
	p, err := person.ByCode(ctx, tx, kind, code)
	if errors.Is(err, person.ErrNotFound) {
		return person.EnsureAccount(ctx, tx, kind, code, given, family, now)
	}
	if err == nil && !p.Dead.IsZero() {
		return nil, ErrDead
	}
	return p, err
}

// maxFailures is how many wrong activations void an envelope.
const maxFailures = 10

// Activation is what the holder types.
type Activation struct {
	Ente     string
	Username string
	PIN      []byte // in the envelope
	Holder   []byte // the code from the hand-out
	Password []byte // the new one
	Address  string
}

// Activate makes the media credential and gives the session its level. Everything that is
// wrong looks and lasts the same (ErrRefused, or a *delay.TooSoonError); ten wrong ones void
// the envelope. A weak new password is told before anything is counted.
func (d *Desk) Activate(ctx context.Context, w http.ResponseWriter, s *session.Session, x Activation) (*session.Session, error) {
	username := strings.ToLower(strings.TrimSpace(x.Username))
	if err := keys.CheckPassword(x.Password, username, string(x.PIN)); err != nil {
		return nil, err
	}
	if err := d.Guard.Begin(ctx, "envelope:"+username, x.Address); err != nil {
		return nil, err
	}
	var code, secret, holder string
	var failures int
	// A try is counted before it is looked at: many at once gain nothing.
	err := d.Store.Tx(ctx, func(tx *sql.Tx) error {
		code, secret, holder = "", "", ""
		err := tx.QueryRowContext(ctx, `UPDATE envelope SET failures = failures + 1 WHERE username = ? AND state IN ('handed-out', 'sent') AND failures < ? AND (expires = '' OR expires > ?)
			RETURNING code, secret, holder, failures`, username, maxFailures, store.Time(d.now())).Scan(&code, &secret, &holder, &failures)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("envelope: %w", err)
	}
	clean := func(b []byte) []byte {
		return []byte(strings.ToLower(strings.ReplaceAll(strings.TrimSpace(string(b)), " ", "")))
	}
	// Both are always computed: how long it takes tells nothing.
	err1 := d.Keys.CheckSecret(ctx, keys.PurposeEnvelope, secret, clean(x.PIN))
	err2 := d.Keys.CheckSecret(ctx, keys.PurposeEnvelope, holder, clean(x.Holder))
	hashed, err3 := d.Keys.HashSecret(ctx, keys.PurposePassword, x.Password)
	if err3 != nil {
		return nil, err3
	}
	if err1 != nil || err2 != nil {
		for _, err := range []error{err1, err2} {
			if err != nil && !errors.Is(err, keys.ErrSecret) {
				return nil, err
			}
		}
		return nil, errors.Join(ErrRefused, d.wrong(ctx, x, code, failures))
	}
	if err := d.Guard.Success(ctx, "envelope:"+username, x.Address); err != nil {
		return nil, err
	}
	var risen *session.Session
	err = d.Store.Tx(ctx, func(tx *sql.Tx) (err error) {
		risen, err = d.activate(ctx, tx, w, s, x, code, hashed)
		return err
	})
	return risen, err
}

func (d *Desk) activate(ctx context.Context, tx *sql.Tx, w http.ResponseWriter, s *session.Session, x Activation, code, hashed string) (*session.Session, error) {
	e, err := get(ctx, tx, code)
	if err != nil {
		return nil, err
	}
	if e.State != HandedOut && e.State != Sent {
		return nil, ErrRefused
	}
	p, err := person.Get(ctx, tx, e.Person)
	if err != nil {
		return nil, err
	}
	if !p.Dead.IsZero() {
		return nil, ErrRefused
	}
	lets, err := d.Enti.Lets(ctx, x.Ente, ente.Media, p.Category())
	if err != nil {
		return nil, err
	}
	if !lets {
		return nil, credential.ErrSwitchedOff
	}
	record, err := person.RecordOf(ctx, tx, p.ID, e.Ente)
	if err != nil {
		return nil, err
	}
	c, err := d.Credentials.NewMedia(ctx, tx, e.Ente, p.ID, e.Username, hashed, record.Email())
	if err != nil {
		return nil, err
	}
	now := d.now()
	_, err = tx.ExecContext(ctx, "UPDATE envelope SET state = 'active', credential = ?, activated = ?, secret = '', holder = '', failures = 0, changed = ? WHERE code = ?",
		c.ID, store.Time(now), store.Time(now), e.Code)
	if err != nil {
		return nil, fmt.Errorf("envelope: %w", err)
	}
	risen, err := d.Sessions.RiseAt(ctx, tx, w, s, session.Session{Level: session.Media, Person: p.ID, Credential: c.ID, Releaser: e.Ente}, x.Ente)
	if err != nil {
		return nil, err
	}
	if err := mail.Queue(ctx, tx, mail.Message{Ente: e.Ente, To: c.Email, Kind: mail.Activated, Number: e.Code[9:]}, now); err != nil {
		return nil, err
	}
	return risen, d.Audit.WriteTx(ctx, tx, audit.Event{Ente: e.Ente, Kind: audit.EnvelopeActivated, PersonID: p.ID, Person: p.CodiceFiscale, Credential: c.ID,
		Address: x.Address, Detail: map[string]string{"envelope": e.Code}})
}

// wrong writes a wrong activation down, and voids the envelope at the tenth.
func (d *Desk) wrong(ctx context.Context, x Activation, code string, failures int) error {
	return d.Store.Tx(ctx, func(tx *sql.Tx) error {
		e := &Envelope{Ente: x.Ente}
		detail := map[string]string{}
		if code != "" {
			var err error
			if e, err = get(ctx, tx, code); err != nil {
				return err
			}
			detail["envelope"], detail["failures"] = code, fmt.Sprint(failures)
			if failures >= maxFailures && (e.State == HandedOut || e.State == Sent) {
				detail["state"] = string(Void)
				if err := d.set(ctx, tx, code, Void, "ten-wrong-activations"); err != nil {
					return err
				}
			}
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: e.Ente, Kind: audit.EnvelopeRefused, PersonID: e.Person, Address: x.Address, Detail: detail})
	})
}
