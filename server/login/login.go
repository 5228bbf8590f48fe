// Package login raises a session to the strong level by a card's login token
// (ARCHITECTURE.md, Login, 1 and 7).
package login

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"time"

	"github.com/citel-pa/citel/pkcs/authtoken"
	"github.com/citel-pa/citel/pkcs/declaration"
	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/credential"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
)

// Desk issues nonces and takes tokens for one ente.
type Desk struct {
	Ente      ente.Ente
	Nonces    *Nonces
	Validator *authtoken.Validator
	Sessions  *session.Manager
	Store     *store.Store
	Audit     *audit.Log
	Log       *slog.Logger
	// Credentials keeps the cards that were used; a desk can suspend one.
	Credentials *credential.Desk
	Now         func() time.Time // nil is time.Now
}

func (d *Desk) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

// binding is what a nonce is bound to: the browser's session, and the ente.
func (d *Desk) binding(s *session.Session) string { return s.Binding + "@" + d.Ente.Code }

// Nonce issues a nonce for a session.
func (d *Desk) Nonce(ctx context.Context, s *session.Session) (nonce string, expires time.Time, err error) {
	return d.Nonces.Issue(ctx, d.binding(s), d.Ente.Origin)
}

var fingerprint = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Token takes a token and, when it is good, replaces the session by one of level
// forte. The nonce is used up whatever comes out.
func (d *Desk) Token(ctx context.Context, w http.ResponseWriter, s *session.Session, token []byte, nonce, agentKey, address string) (*session.Session, error) {
	risen, err := d.token(ctx, w, s, token, nonce, agentKey, address)
	if err != nil {
		code := authtoken.Code(err)
		if errors.Is(err, credential.ErrRefused) {
			code = "suspended"
		}
		d.Log.Info("login refused", "ente", d.Ente.Code, "code", code)
		if logged := d.Audit.Write(ctx, audit.Event{Ente: d.Ente.Code, Kind: audit.LoginRefused, Address: address, Detail: map[string]string{"code": code}}); logged != nil {
			return nil, errors.Join(err, logged)
		}
		return nil, err
	}
	return risen, nil
}

// Prove takes a token, or a declaration in its place, and tells who its card says that it
// is, without any session: the second factor of a console's operator. The nonce is used up whatever comes out.
func (d *Desk) Prove(ctx context.Context, s *session.Session, token []byte, nonce string) (*authtoken.Identity, error) {
	if err := d.Nonces.Take(ctx, nonce, d.binding(s), d.Ente.Origin); err != nil {
		return nil, err
	}
	if declaration.Is(token) {
		v := d.Validator
		take := declaration.Validator{Origin: v.Origin, Known: v.Known, Store: v.Store, Revocation: v.Revocation, Policy: v.Policy, Now: v.Now}
		return take.Validate(ctx, token, nonce)
	}
	return d.Validator.Validate(ctx, token, nonce)
}

func (d *Desk) token(ctx context.Context, w http.ResponseWriter, s *session.Session, token []byte, nonce, agentKey, address string) (*session.Session, error) {
	id, err := d.Prove(ctx, s, token, nonce)
	if err != nil {
		return nil, err
	}
	if !fingerprint.MatchString(agentKey) {
		agentKey = ""
	}
	var risen *session.Session
	err = d.Store.Tx(ctx, func(tx *sql.Tx) error {
		p, err := person.Ensure(ctx, tx, id.Person, d.now())
		if err != nil {
			return err
		}
		c, err := d.Credentials.EnsureCard(ctx, tx, d.Ente.Code, p, id.Certificate.Raw)
		if err != nil {
			return err
		}
		risen, err = d.Sessions.RiseAt(ctx, tx, w, s, session.Session{
			Level: session.Forte, Person: p.ID, Certificate: id.Certificate.Raw, Credential: c.ID, Releaser: d.Ente.Code,
			Profile: string(id.Person.Profile), Fingerprint: agentKey,
		}, d.Ente.Code)
		if err != nil {
			return err
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{
			Ente: d.Ente.Code, Kind: audit.LoginGranted, Person: p.CodiceFiscale, PersonID: p.ID, Credential: c.ID, Address: address,
			Detail: map[string]string{
				"level": session.Forte.String(), "profile": string(id.Person.Profile), "algorithm": id.Algorithm,
				"issuer": id.Certificate.Issuer.String(),
			},
			Personal: map[string]string{"serial": fmt.Sprintf("%x", id.Certificate.SerialNumber)},
		})
	})
	if err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	d.Log.Info("login granted", "ente", d.Ente.Code, "level", risen.Level.String(), "profile", risen.Profile)
	return risen, nil
}
