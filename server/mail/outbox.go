// Package mail sends what the counter has to tell by e-mail, through an outbox: written
// in the transaction of what it tells, sent afterwards, tried again when a server does
// not answer. A message has the ente's name, a number and a link, and no personal data;
// the address is forgotten once it was sent.
package mail

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/store"
)

// Kind of a message. Each has a subject and a text, "mail.<kind>-subject" and
// "mail.<kind>-text", in Italian and English.
type Kind string

// The kinds.
const (
	ConfirmEmail    Kind = "confirm-email"    // link
	AlreadyThere    Kind = "already-there"    // somebody registered with an address that has an account
	ResetDebole     Kind = "reset-debole"     // link
	NoAccount       Kind = "no-account"       // a reset was asked for an address without an account
	Activation      Kind = "activation"       // link, for an operator
	NewLogin        Kind = "new-login"        // a login from somewhere else than before
	Released        Kind = "released"         // an envelope was released; number: the envelope's last digits
	Activated       Kind = "activated"        // and activated
	PasswordChanged Kind = "password-changed" //
	Joined          Kind = "joined"           // a debole credential joined the person's account
	StateChanged    Kind = "state-changed"    // a desk suspended, resumed or revoked a credential

	ApplicationReceived Kind = "application-received" // number: the protocol's; link: the application
	ApplicationNumber   Kind = "application-number"   // the outside system's number came
	ApplicationMore     Kind = "application-more"     // the office asks for more
	ApplicationNotice   Kind = "application-notice"   // the reasons against it, before it is refused
	ApplicationObserved Kind = "application-observed" // the observations on them were received
	ApplicationMessage  Kind = "application-message"  // the office has written
	ApplicationAnswered Kind = "application-answered" //
	ApplicationClosed   Kind = "application-closed"   //
	ApplicationCode     Kind = "application-code"     // number: a code that the desk asks for
	ApplicationSign     Kind = "application-sign"     // another person's document waits for the signature
	DraftEnds           Kind = "draft-ends"           // number: the draft's last day; link: the draft

	MandateAsked    Kind = "mandate-asked"    // somebody asks to act, or to be acted for; link
	MandateAccepted Kind = "mandate-accepted" // likewise
	MandateRefused  Kind = "mandate-refused"  //
	MandateRevoked  Kind = "mandate-revoked"  //
	MandateGranted  Kind = "mandate-granted"  // the desk made one; to both, link

	FeedbackReceived Kind = "feedback-received" // to the ente's own office: number, link into the console
	FeedbackAnswered Kind = "feedback-answered" // to who wrote: number, link
	RankingPublished Kind = "ranking-published" // number: the call's title; link: the application
	RankingOffer     Kind = "ranking-offer"     // a place is offered
	RankingAnswer    Kind = "ranking-answer"    // an offer was answered, or its term is over
)

// Message is one to be.
type Message struct {
	Ente   string
	To     string // e-mail address
	Kind   Kind
	Link   string // path of the portal or console, with its query; empty for none
	Number string
}

// Queue puts a message into the outbox, in the transaction of what it tells. Without an
// address nothing is done.
func Queue(ctx context.Context, tx *sql.Tx, m Message, now time.Time) error {
	if m.To == "" {
		return nil
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO outbox (id, ente, recipient, kind, link, number, state, next, created) VALUES (?,?,?,?,?,?,'waiting',?,?)",
		store.NewID(), m.Ente, m.To, string(m.Kind), m.Link, m.Number, store.Time(now), store.Time(now))
	if err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	return nil
}

// queued is a message that this process has taken for a while.
type queued struct {
	Message
	id    string
	tries int
}

// lease is how long a message belongs to the process that took it.
const lease = 2 * time.Minute

// take gives messages that are due, and keeps other processes from them meanwhile.
func (p *Postman) take(ctx context.Context) (out []queued, err error) {
	err = p.Store.Tx(ctx, func(tx *sql.Tx) error {
		out = nil
		now := p.now()
		rows, err := tx.QueryContext(ctx, "SELECT id, ente, recipient, kind, link, number, tries FROM outbox WHERE state = 'waiting' AND next <= ? ORDER BY next LIMIT 20", store.Time(now))
		if err != nil {
			return err
		}
		for rows.Next() {
			var q queued
			if err := rows.Scan(&q.id, &q.Ente, &q.To, &q.Kind, &q.Link, &q.Number, &q.tries); err != nil {
				return errors.Join(err, rows.Close())
			}
			out = append(out, q)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return err
		}
		for _, q := range out {
			if _, err := tx.ExecContext(ctx, "UPDATE outbox SET next = ?, tries = tries + 1 WHERE id = ?", store.Time(now.Add(lease)), q.id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	return out, nil
}

// backOff is how long the next try waits: a minute, doubled up to six hours.
func backOff(tries int) time.Duration {
	return min(time.Minute<<min(tries, 10), 6*time.Hour)
}

// giveUp is after how many tries a message has failed: about two days.
const giveUp = 16

// done writes down how a try went. The address of what was sent is forgotten.
func (p *Postman) done(ctx context.Context, q queued, failure error) error {
	text := ""
	if failure != nil {
		text = failure.Error()
		text = strings.ToValidUTF8(text[:min(len(text), 300)], "")
	}
	var err error
	var permanent *PermanentError
	switch {
	case failure == nil:
		_, err = p.Store.ExecContext(ctx, "UPDATE outbox SET state = 'sent', recipient = '', link = '', error = '' WHERE id = ?", q.id)
	case errors.As(failure, &permanent), q.tries+1 >= giveUp:
		_, err = p.Store.ExecContext(ctx, "UPDATE outbox SET state = 'failed', link = '', error = ? WHERE id = ?", text, q.id)
	default:
		_, err = p.Store.ExecContext(ctx, "UPDATE outbox SET next = ?, error = ? WHERE id = ?", store.Time(p.now().Add(backOff(q.tries))), text, q.id)
	}
	if err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	return nil
}

// Sweep deletes what was sent a month ago, and what failed three months ago.
func (p *Postman) Sweep(ctx context.Context) error {
	now := p.now()
	_, err := p.Store.ExecContext(ctx, "DELETE FROM outbox WHERE state = 'sent' AND created < ? OR state = 'failed' AND created < ?",
		store.Time(now.AddDate(0, -1, 0)), store.Time(now.AddDate(0, -3, 0)))
	if err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	return nil
}

// Status counts an ente's messages by state, for the console.
func (p *Postman) Status(ctx context.Context, ente string) (waiting, sent, failed int, err error) {
	err = p.Store.QueryRowContext(ctx, `SELECT coalesce(sum(CASE WHEN state = 'waiting' THEN 1 ELSE 0 END), 0), coalesce(sum(CASE WHEN state = 'sent' THEN 1 ELSE 0 END), 0),
		coalesce(sum(CASE WHEN state = 'failed' THEN 1 ELSE 0 END), 0) FROM outbox WHERE ente = ?`, ente).Scan(&waiting, &sent, &failed)
	if err != nil {
		err = fmt.Errorf("mail: %w", err)
	}
	return waiting, sent, failed, err
}
