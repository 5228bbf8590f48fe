package operator

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"encoding/base32"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/onetime"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
)

// Next is what an operator's login still needs.
type Next string

// What may come next.
const (
	In        Next = "in" // the session is the operator's
	AskTOTP   Next = "totp"
	AskCard   Next = "card"
	SetFactor Next = "set-factor" // the ente wants one, and the account has none
)

// Login takes user name and password. With a second factor the session waits for it (Next)
// and opens nothing before. A wrong password, an unknown user and one who is not active
// look and last the same: ErrRefused, or a *delay.TooSoonError.
func (d *Desk) Login(ctx context.Context, w http.ResponseWriter, s *session.Session, ente, code string, password []byte, address string) (Next, *session.Session, error) {
	code = strings.ToUpper(strings.TrimSpace(code))
	what := "operator:" + ente + ":" + code
	if err := d.Guard.Begin(ctx, what, address); err != nil {
		return "", nil, err
	}
	var id int64
	var secret string
	err := d.Store.QueryRowContext(ctx, "SELECT id, secret FROM operator WHERE ente = ? AND code = ? AND state = 'active'", ente, code).Scan(&id, &secret)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", nil, fmt.Errorf("operator: %w", err)
	}
	if err := d.Keys.CheckSecret(ctx, keys.PurposePassword, secret, password); err != nil {
		if !errors.Is(err, keys.ErrSecret) {
			return "", nil, err
		}
		return "", nil, errors.Join(ErrRefused, d.refused(ctx, ente, id, address, "password"))
	}
	if err := d.Guard.Success(ctx, what, address); err != nil {
		return "", nil, err
	}
	o, err := get(ctx, d.Store, id)
	if err != nil {
		return "", nil, err
	}
	next, err := d.next(ctx, o)
	if err != nil {
		return "", nil, err
	}
	to := session.Session{Waiting: strconv.FormatInt(id, 10)}
	if next == In {
		to = session.Session{Operator: id}
	}
	risen, err := d.rise(ctx, w, s, o, to, address)
	return next, risen, err
}

// next tells what an account needs besides the password.
func (d *Desk) next(ctx context.Context, o *Operator) (Next, error) {
	switch o.Factor {
	case TOTP:
		return AskTOTP, nil
	case Card:
		return AskCard, nil
	}
	needed := true
	if o.Ente != "" {
		e, err := d.Enti.Get(ctx, o.Ente)
		if err != nil {
			return "", err
		}
		needed = e.SecondFactor
	}
	if needed {
		return SetFactor, nil
	}
	return In, nil
}

// rise gives the session a new id; where the operator is in, the log says so.
func (d *Desk) rise(ctx context.Context, w http.ResponseWriter, s *session.Session, o *Operator, to session.Session, address string) (*session.Session, error) {
	var risen *session.Session
	err := d.Store.Tx(ctx, func(tx *sql.Tx) (err error) {
		if len(o.Roles) > 0 {
			to.Role = o.Roles[0]
		}
		if risen, err = d.Sessions.RiseAt(ctx, tx, w, s, to, o.Ente); err != nil || to.Operator == 0 {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE operator SET seen = ? WHERE id = ?", store.Time(d.now()), o.ID); err != nil {
			return fmt.Errorf("operator: %w", err)
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: o.Ente, Kind: audit.OperatorLogin, Detail: map[string]string{"factor": string(o.Factor)}}.By(o.Actor(address)))
	})
	return risen, err
}

func (d *Desk) refused(ctx context.Context, ente string, id int64, address, what string) error {
	return d.Audit.Write(ctx, audit.Event{Ente: ente, Kind: audit.OperatorRefused, Operator: id, Address: address, Detail: map[string]string{"what": what}})
}

// waiting reads who a session waits for.
func (d *Desk) waiting(ctx context.Context, s *session.Session) (*Operator, error) {
	if s == nil || s.Waiting == "" || s.Operator != 0 {
		return nil, ErrRefused
	}
	id, err := strconv.ParseInt(s.Waiting, 10, 64)
	if err != nil {
		return nil, ErrRefused
	}
	o, err := get(ctx, d.Store, id)
	if errors.Is(err, ErrNotFound) || err == nil && o.State != Active {
		return nil, ErrRefused
	}
	return o, err
}

// Code is the second step with TOTP (RFC 6238): a code is taken once.
func (d *Desk) Code(ctx context.Context, w http.ResponseWriter, s *session.Session, code, address string) (*session.Session, error) {
	o, err := d.waiting(ctx, s)
	if err != nil {
		return nil, err
	}
	if o.Factor != TOTP {
		return nil, ErrRefused
	}
	what := "totp:" + strconv.FormatInt(o.ID, 10)
	if err := d.Guard.Begin(ctx, what, address); err != nil {
		return nil, err
	}
	if err := d.useCode(ctx, o.ID, code); err != nil {
		if errors.Is(err, ErrRefused) {
			err = errors.Join(err, d.refused(ctx, o.Ente, o.ID, address, "totp"))
		}
		return nil, err
	}
	if err := d.Guard.Success(ctx, what, address); err != nil {
		return nil, err
	}
	return d.rise(ctx, w, s, o, session.Session{Operator: o.ID}, address)
}

// ByCard is the second step with a card: code is the codice fiscale that a login token
// has just proved, for this console's origin and a nonce of this session (login.Desk).
func (d *Desk) ByCard(ctx context.Context, w http.ResponseWriter, s *session.Session, code, address string) (*session.Session, error) {
	o, err := d.waiting(ctx, s)
	if err != nil {
		return nil, err
	}
	if o.Factor != Card || subtle.ConstantTimeCompare([]byte(o.Code), []byte(code)) != 1 {
		return nil, errors.Join(ErrRefused, d.refused(ctx, o.Ente, o.ID, address, "card"))
	}
	return d.rise(ctx, w, s, o, session.Session{Operator: o.ID}, address)
}

// Logout ends a console's session.
func (d *Desk) Logout(ctx context.Context, w http.ResponseWriter, s *session.Session, address string) error {
	if s == nil {
		return nil
	}
	o, err := d.Current(ctx, s)
	if err := d.Sessions.End(ctx, w, s); err != nil {
		return err
	}
	if err != nil {
		return nil //nolint:nilerr // nobody was in
	}
	return d.Audit.Write(ctx, audit.Event{Ente: o.Ente, Kind: audit.OperatorLogout}.By(o.Actor(address)))
}

// ChangePassword changes the own password (Cambio password); the old one is asked, with
// the delays of a login.
func (d *Desk) ChangePassword(ctx context.Context, a role.Actor, old, password []byte) error {
	o, err := get(ctx, d.Store, a.Operator)
	if err != nil {
		return err
	}
	what := "operator:" + o.Ente + ":" + o.Code
	if err := d.Guard.Begin(ctx, what, a.Address); err != nil {
		return err
	}
	var secret string
	if err := d.Store.QueryRowContext(ctx, "SELECT secret FROM operator WHERE id = ?", o.ID).Scan(&secret); err != nil {
		return fmt.Errorf("operator: %w", err)
	}
	if err := d.Keys.CheckSecret(ctx, keys.PurposePassword, secret, old); err != nil {
		if errors.Is(err, keys.ErrSecret) {
			err = ErrRefused
		}
		return err
	}
	if err := errors.Join(d.Guard.Success(ctx, what, a.Address), keys.CheckPassword(password, o.Code, o.Family, o.Given)); err != nil {
		return err
	}
	hashed, err := d.Keys.HashSecret(ctx, keys.PurposePassword, password)
	if err != nil {
		return err
	}
	return d.Store.Tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "UPDATE operator SET secret = ?, must_change = 0, changed = ? WHERE id = ?", hashed, store.Time(d.now()), o.ID); err != nil {
			return fmt.Errorf("operator: %w", err)
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: o.Ente, Kind: audit.PasswordChanged}.By(a))
	})
}

// Enrolment is what the page of a first access shows: who it is for, and the TOTP secret
// to scan or type.
type Enrolment struct {
	Operator *Operator
	Needed   bool   // the ente wants a second factor
	Secret   string // base32, in groups of four
	Key      *otp.Key
}

// Look tells whom a link is for, without using it up.
func (d *Desk) Look(ctx context.Context, link string) (*Operator, error) {
	_, subject, err := onetime.Look(ctx, d.Store, onetime.Operator, link, d.now())
	if err != nil {
		return nil, err
	}
	id, err := strconv.ParseInt(subject, 10, 64)
	if err != nil {
		return nil, onetime.ErrLink
	}
	o, err := get(ctx, d.Store, id)
	if err == nil && o.State != Invited {
		return nil, onetime.ErrLink
	}
	return o, err
}

// Enrol makes a TOTP secret for whom a link is for. It counts once Activate got a code
// of it; opening the page again makes another.
func (d *Desk) Enrol(ctx context.Context, link string) (*Enrolment, error) {
	o, err := d.Look(ctx, link)
	if err != nil {
		return nil, err
	}
	return d.enrol(ctx, o)
}

// EnrolWaiting is Enrol for a session that waits because the account has no second factor
// and the ente wants one now (SetFactor).
func (d *Desk) EnrolWaiting(ctx context.Context, s *session.Session) (*Enrolment, error) {
	o, err := d.waiting(ctx, s)
	if err != nil {
		return nil, err
	}
	if o.Factor == TOTP || o.Factor == Card {
		return nil, ErrRefused
	}
	return d.enrol(ctx, o)
}

func (d *Desk) enrol(ctx context.Context, o *Operator) (*Enrolment, error) {
	issuer, needed := "CiTel", true
	if o.Ente != "" {
		e, err := d.Enti.Get(ctx, o.Ente)
		if err != nil {
			return nil, err
		}
		issuer, needed = "CiTel "+e.Name, e.SecondFactor
	}
	key, err := totp.Generate(totp.GenerateOpts{Issuer: issuer, AccountName: o.Code})
	if err != nil {
		return nil, fmt.Errorf("operator: %w", err)
	}
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(key.Secret())
	if err != nil {
		return nil, fmt.Errorf("operator: %w", err)
	}
	sealed, err := d.Keys.Encrypt(keys.PurposeTOTP, raw)
	if err != nil {
		return nil, err
	}
	if _, err := d.Store.ExecContext(ctx, "UPDATE operator SET totp = ?, totp_step = 0 WHERE id = ? AND factor NOT IN ('totp', 'card')", sealed, o.ID); err != nil {
		return nil, fmt.Errorf("operator: %w", err)
	}
	var groups []string
	for s := key.Secret(); s != ""; {
		n := min(4, len(s))
		groups, s = append(groups, s[:n]), s[n:]
	}
	return &Enrolment{Operator: o, Needed: needed, Secret: strings.Join(groups, " "), Key: key}, nil
}

// Activation is what a first access brings.
type Activation struct {
	Link     string
	Password []byte
	// Code of the TOTP secret that Enrol gave; or CardCode, the codice fiscale that a login
	// token has just proved; both empty where the ente wants no second factor.
	Code, CardCode string
	Address        string
}

// Activate uses a link up: the operator has a password and a second factor, and logs in.
func (d *Desk) Activate(ctx context.Context, x Activation) (*Operator, error) {
	o, err := d.Look(ctx, x.Link)
	if err != nil {
		return nil, err
	}
	if err := keys.CheckPassword(x.Password, o.Code, o.Family, o.Given); err != nil {
		return nil, err
	}
	factor, err := d.chosen(ctx, o, x)
	if err != nil {
		return nil, err
	}
	hashed, err := d.Keys.HashSecret(ctx, keys.PurposePassword, x.Password)
	if err != nil {
		return nil, err
	}
	err = d.Store.Tx(ctx, func(tx *sql.Tx) error {
		now := d.now()
		if _, _, err := onetime.Take(ctx, tx, onetime.Operator, x.Link, now); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "UPDATE operator SET state = ?, secret = ?, must_change = 0, factor = ?, changed = ? WHERE id = ? AND state = 'invited'",
			string(Active), hashed, string(factor), store.Time(now), o.ID)
		if err != nil {
			return fmt.Errorf("operator: %w", err)
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: o.Ente, Kind: audit.OperatorActivated, Detail: map[string]string{"factor": string(factor)}}.By(o.Actor(x.Address)))
	})
	if err != nil {
		return nil, err
	}
	return get(ctx, d.Store, o.ID)
}

// chosen is the second factor that an activation proves.
func (d *Desk) chosen(ctx context.Context, o *Operator, x Activation) (Factor, error) {
	switch {
	case x.CardCode != "":
		if subtle.ConstantTimeCompare([]byte(x.CardCode), []byte(o.Code)) != 1 {
			return "", ErrRefused
		}
		return Card, nil
	case x.Code != "":
		what := "totp:" + strconv.FormatInt(o.ID, 10)
		if err := d.Guard.Begin(ctx, what, x.Address); err != nil {
			return "", err
		}
		if err := d.useCode(ctx, o.ID, x.Code); err != nil {
			return "", err
		}
		return TOTP, d.Guard.Success(ctx, what, x.Address)
	}
	next, err := d.next(ctx, o)
	if err != nil {
		return "", err
	}
	if next != In {
		return "", ErrRefused
	}
	return NoFactor, nil
}

// Confirm gives a waiting session's account its second factor (SetFactor) and lets it in.
func (d *Desk) Confirm(ctx context.Context, w http.ResponseWriter, s *session.Session, code, cardCode, address string) (*session.Session, error) {
	o, err := d.waiting(ctx, s)
	if err != nil {
		return nil, err
	}
	if o.Factor == TOTP || o.Factor == Card {
		return nil, ErrRefused
	}
	if o.Factor, err = d.chosen(ctx, o, Activation{Code: code, CardCode: cardCode, Address: address}); err != nil {
		return nil, err
	}
	if _, err := d.Store.ExecContext(ctx, "UPDATE operator SET factor = ? WHERE id = ?", string(o.Factor), o.ID); err != nil {
		return nil, fmt.Errorf("operator: %w", err)
	}
	return d.rise(ctx, w, s, o, session.Session{Operator: o.ID}, address)
}

// Measures of TOTP: what every authenticator app has (RFC 6238, 5.2: steps of 30 seconds,
// one step of delay to either side).
const (
	step = 30 * time.Second
	skew = 1
)

// useCode checks a code and uses its step up, so that the same code, seen by somebody, is
// worth nothing.
func (d *Desk) useCode(ctx context.Context, id int64, code string) error {
	code = strings.Map(func(r rune) rune {
		if r == ' ' {
			return -1
		}
		return r
	}, code)
	return d.Store.Tx(ctx, func(tx *sql.Tx) error {
		var sealed []byte
		var last int64
		if err := tx.QueryRowContext(ctx, "SELECT totp, totp_step FROM operator WHERE id = ?", id).Scan(&sealed, &last); err != nil {
			return fmt.Errorf("operator: %w", err)
		}
		if len(sealed) == 0 {
			return ErrRefused
		}
		raw, err := d.Keys.Decrypt(keys.PurposeTOTP, sealed)
		if err != nil {
			return err
		}
		secret := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw)
		now := d.now().Unix() / int64(step/time.Second)
		for n := now - skew; n <= now+skew; n++ {
			want, err := hotp.GenerateCodeCustom(secret, uint64(n), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}) //nolint:gosec // a time after 1970
			if err != nil {
				return fmt.Errorf("operator: %w", err)
			}
			if n > last && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
				_, err := tx.ExecContext(ctx, "UPDATE operator SET totp_step = ? WHERE id = ?", n, id)
				return err
			}
		}
		return ErrRefused
	})
}
