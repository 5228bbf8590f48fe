// Package rooms joins the rooms of the domain: who needs whom, in one place, for the
// server and for the tests of every room. It has no rule of its own.
package rooms

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/credential"
	"github.com/citel-pa/citel/server/delay"
	"github.com/citel-pa/citel/server/denial"
	"github.com/citel-pa/citel/server/deposit"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/envelope"
	"github.com/citel-pa/citel/server/feedback"
	"github.com/citel-pa/citel/server/foureyes"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/limit"
	"github.com/citel-pa/citel/server/mail"
	"github.com/citel-pa/citel/server/mandate"
	"github.com/citel-pa/citel/server/onetime"
	"github.com/citel-pa/citel/server/operator"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/ranking"
	"github.com/citel-pa/citel/server/rating"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/resident"
	"github.com/citel-pa/citel/server/seal"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/submission"
)

// Rooms are all of them.
type Rooms struct {
	Store       *store.Store
	Keys        *keys.Ring
	Audit       *audit.Log
	Enti        *ente.Directory
	Four        *foureyes.Desk
	Guard       *delay.Guard
	Quota       *limit.Quota
	Denials     *denial.Desk
	People      *person.Desk
	Operators   *operator.Desk
	Credentials *credential.Desk
	Envelopes   *envelope.Desk
	Postman     *mail.Postman
	Services    *service.Desk
	Mandates    *mandate.Desk
	Feedback    *feedback.Desk
	Residents   *resident.Desk
	Seals       *seal.Desk
	Register    *register.Desk
	// Applications want Trust, Revocation, Policy, Scanner and Outside of whoever wires them; Mandates want Scanner.
	Applications *submission.Desk
	Rankings     *ranking.Desk
	Ratings      *rating.Desk
	// Deposits wants To.
	Deposits *deposit.Desk
	Citizens *session.Manager // sessions of the portal
	Console  *session.Manager // sessions of the console

	now func() time.Time
}

// Options of New.
type Options struct {
	Store  *store.Store
	Keys   *keys.Ring
	Origin string // the server's, as a browser writes it
	Ente   string // code of the ente that has the origin for itself
	Secure bool   // https
	Demo   bool
	Log    *slog.Logger
	Now    func() time.Time // nil is time.Now
}

// New joins them.
func New(o Options) *Rooms {
	now := o.Now
	if now == nil {
		now = time.Now
	}
	r := &Rooms{Store: o.Store, Keys: o.Keys, now: now}
	r.Audit = &audit.Log{Store: o.Store, Keys: o.Keys, Now: now}
	r.Enti = &ente.Directory{Store: o.Store, Audit: r.Audit, Keys: o.Keys, Demo: o.Demo, Now: now}
	r.Four = &foureyes.Desk{Store: o.Store, Audit: r.Audit, Now: now}
	r.Enti.Four = r.Four
	r.Guard = &delay.Guard{Store: o.Store, Keys: o.Keys, Now: now}
	r.Quota = &limit.Quota{Store: o.Store, Keys: o.Keys, Now: now}
	r.Denials = &denial.Desk{Store: o.Store, Audit: r.Audit, Quota: r.Quota}
	r.Citizens = &session.Manager{Store: o.Store, Shared: true, Realm: session.Portal, Secure: o.Secure, Now: now}
	r.Console = &session.Manager{Store: o.Store, Shared: true, Realm: session.Console, Secure: o.Secure, Now: now}
	r.People = &person.Desk{Store: o.Store, Audit: r.Audit, Enti: r.Enti, Four: r.Four, Now: now}
	r.Operators = &operator.Desk{Store: o.Store, Audit: r.Audit, Keys: o.Keys, Enti: r.Enti, Guard: r.Guard, Quota: r.Quota, Four: r.Four, Sessions: r.Console, Now: now}
	r.Credentials = &credential.Desk{Store: o.Store, Audit: r.Audit, Keys: o.Keys, Enti: r.Enti, People: r.People, Guard: r.Guard, Quota: r.Quota, Four: r.Four, Sessions: r.Citizens, Now: now}
	r.Envelopes = &envelope.Desk{Store: o.Store, Audit: r.Audit, Keys: o.Keys, Enti: r.Enti, Credentials: r.Credentials, Guard: r.Guard, Sessions: r.Citizens, Now: now}
	r.Postman = &mail.Postman{Store: o.Store, Enti: r.Enti, Origin: o.Origin, Main: o.Ente, Log: o.Log, Now: now}
	r.Services = &service.Desk{Store: o.Store, Audit: r.Audit, Now: now}
	r.Mandates = &mandate.Desk{Store: o.Store, Audit: r.Audit, Enti: r.Enti, Four: r.Four, Now: now}
	r.Feedback = feedback.New(o.Store, r.Audit, r.Enti, now)
	r.Residents = &resident.Desk{Store: o.Store, Audit: r.Audit, Now: now}
	r.Seals = &seal.Desk{Store: o.Store, Keys: o.Keys, Now: now}
	r.Register = &register.Desk{Store: o.Store, Audit: r.Audit, Keys: o.Keys, Enti: r.Enti, Seals: r.Seals, Four: r.Four, Now: now}
	log := o.Log
	if log == nil {
		log = slog.Default()
	}
	r.Applications = &submission.Desk{Store: o.Store, Keys: o.Keys, Audit: r.Audit, Enti: r.Enti, Services: r.Services, Mandates: r.Mandates, Residents: r.Residents, Register: r.Register,
		Seals: r.Seals, Guard: r.Guard, Quota: r.Quota, Bounds: submission.DefaultBounds, Log: log, Now: now}
	r.Rankings = &ranking.Desk{Store: o.Store, Audit: r.Audit, Enti: r.Enti, Services: r.Services, Applications: r.Applications, Seals: r.Seals, Now: now}
	r.Ratings = &rating.Desk{Store: o.Store, Now: now}
	r.Deposits = &deposit.Desk{Store: o.Store, Audit: r.Audit, Enti: r.Enti, Register: r.Register, Applications: r.Applications, Now: now}
	r.Four.Actions = map[foureyes.Kind]foureyes.Action{
		foureyes.RoleAssigned: r.Operators.Action(), foureyes.CodeChanged: r.People.Action(), foureyes.MediaReset: r.Credentials.Action(),
		foureyes.MandateGranted: r.Mandates.GrantAction(), foureyes.MandateAccepted: r.Mandates.AcceptAction(), foureyes.RegisterCancelled: r.Register.CancelAction(),
		foureyes.SwitchedOff: r.Enti.FourOffAction(),
	}
	return r
}

// ErrOtherKeys means that the folder's keys are not those that the database was written
// with.
var ErrOtherKeys = errors.New("rooms: keys.json of this folder is not the database's: copy it from the server's other processes, or from the backup")

// CheckKeys refuses keys of another database: a second server process that was started
// with an empty folder would write a log that the first cannot verify.
func (r *Rooms) CheckKeys(ctx context.Context) error {
	rows, err := r.Store.QueryContext(ctx, "SELECT DISTINCT key FROM journal_head WHERE key <> ''")
	if err != nil {
		return err
	}
	ids, err := store.Strings(rows)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if !r.Keys.Has(id) {
			return ErrOtherKeys
		}
	}
	return nil
}

// Housekeeping does what is due now and then: sessions and links that are over, batches
// that nobody confirmed, the log's signature of the day. Every server process calls it.
func (r *Rooms) Housekeeping(ctx context.Context) error {
	return errors.Join(
		r.Citizens.Sweep(ctx), r.Store.SweepFiles(ctx, r.now()), r.Guard.Sweep(ctx), r.Quota.Sweep(ctx), r.Four.Sweep(ctx), onetime.Sweep(ctx, r.Store, r.now()),
		r.Credentials.Sweep(ctx), r.Envelopes.Sweep(ctx), r.Postman.Sweep(ctx), r.Audit.SignDay(ctx),
		r.Register.CloseDays(ctx), r.Applications.ScanWaiting(ctx), r.Applications.SweepDrafts(ctx), r.Applications.Follow(ctx), r.Deposits.Run(ctx), r.Residents.Sweep(ctx), r.Rankings.Run(ctx),
	)
}
