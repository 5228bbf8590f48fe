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
	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
)

// Desk issues nonces and takes tokens for one ente.
type Desk struct {
	Ente      ente.Ente
	Nonces    *authtoken.Nonces
	Validator *authtoken.Validator
	Sessions  *session.Manager
	Store     *store.Store
	Audit     *audit.Log
	Log       *slog.Logger
}

// Nonce issues a nonce for a session.
func (d *Desk) Nonce(s *session.Session) (nonce string, expires time.Time, err error) {
	return d.Nonces.Issue(s.Binding, d.Ente.Origin)
}

var fingerprint = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Token takes a token and, when it is good, replaces the session by one of level
// forte. The nonce is used up whatever comes out.
func (d *Desk) Token(ctx context.Context, w http.ResponseWriter, s *session.Session, token []byte, nonce, agentKey string) (*session.Session, error) {
	risen, err := d.token(ctx, w, s, token, nonce, agentKey)
	if err != nil {
		code := authtoken.Code(err)
		d.Log.Info("login refused", "ente", d.Ente.Code, "code", code)
		if logged := d.Audit.Write(ctx, audit.Event{Ente: d.Ente.Code, Kind: audit.LoginRefused, Detail: map[string]string{"code": code}}); logged != nil {
			return nil, errors.Join(err, logged)
		}
		return nil, err
	}
	return risen, nil
}

func (d *Desk) token(ctx context.Context, w http.ResponseWriter, s *session.Session, token []byte, nonce, agentKey string) (*session.Session, error) {
	if err := d.Nonces.Take(nonce, s.Binding, d.Ente.Origin); err != nil {
		return nil, err
	}
	id, err := d.Validator.Validate(ctx, token, nonce)
	if err != nil {
		return nil, err
	}
	if !fingerprint.MatchString(agentKey) {
		agentKey = ""
	}
	var risen *session.Session
	err = d.Store.Tx(ctx, func(tx *sql.Tx) error {
		p, err := person.Ensure(ctx, tx, id.Person, time.Now())
		if err != nil {
			return err
		}
		risen, err = d.Sessions.Rise(ctx, tx, w, s, session.Session{
			Level: session.Forte, Person: p.ID, Certificate: id.Certificate.Raw,
			Profile: string(id.Person.Profile), Fingerprint: agentKey,
		})
		if err != nil {
			return err
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{
			Ente: d.Ente.Code, Kind: audit.LoginGranted, Person: p.CodiceFiscale,
			Detail: map[string]string{
				"level": session.Forte.String(), "profile": string(id.Person.Profile), "algorithm": id.Algorithm,
				"serial": fmt.Sprintf("%x", id.Certificate.SerialNumber), "issuer": id.Certificate.Issuer.String(),
			},
		})
	})
	if err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	d.Log.Info("login granted", "ente", d.Ente.Code, "level", risen.Level.String(), "profile", risen.Profile)
	return risen, nil
}
