package ranking

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/mail"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/submission"
)

// Offer is a place that was offered.
type Offer struct {
	Held
	N        int
	Code     string
	Made     time.Time
	Due      string // last day for the answer
	Answered time.Time
	Operator int64 // who answered at the desk
	Reason   string
}

// Open tells whether it can be answered on a day.
func (o *Offer) Open(day string) bool { return o.State == Offered && day <= o.Due }

// Offers are a call's, oldest first.
func (d *Desk) Offers(ctx context.Context, a role.Actor, c *Call) ([]Offer, error) {
	if err := role.Check(a, c.Ente, role.SchoolUse); err != nil {
		return nil, err
	}
	return offers(ctx, d.Store, c)
}

func offers(ctx context.Context, q querier, c *Call) ([]Offer, error) {
	rows, err := q.QueryContext(ctx, "SELECT n, application, school, hours, state, made, due, answered, operator, reason FROM ranking_offer WHERE call = ? ORDER BY n", c.ID)
	return store.All(rows, err, func(row store.Row) (Offer, error) {
		var o Offer
		var made, answered string
		if err := row.Scan(&o.N, &o.Application, &o.Place.School, &o.Place.Hours, &o.State, &made, &o.Due, &answered, &o.Operator, &o.Reason); err != nil {
			return o, fmt.Errorf("ranking: %w", err)
		}
		o.Made, o.Answered, o.Code = store.ParseTime(made), store.ParseTime(answered), submission.RankingCode(o.Application)
		return o, nil
	})
}

// fill ends what is over, and offers the places that are free, in the transaction of what
// made them free. Before the final list is published there is nothing to offer.
func (d *Desk) fill(ctx context.Context, tx *sql.Tx, c *Call) error {
	n, err := published(ctx, tx, c, Final)
	if err != nil || n == 0 {
		return err
	}
	all, err := entries(ctx, tx, c, n)
	if err != nil {
		return err
	}
	past, err := offers(ctx, tx, c)
	if err != nil {
		return err
	}
	gone, err := d.gone(ctx, tx, c)
	if err != nil {
		return err
	}
	held := make([]Held, 0, len(past))
	for i := range past {
		o := &past[i]
		switch {
		case o.State.Live() && gone[o.Application]:
			err = d.end(ctx, tx, c, o, Ended)
		case o.State == Offered && d.today() > o.Due:
			err = d.end(ctx, tx, c, o, Expired)
		}
		if err != nil {
			return err
		}
		held = append(held, o.Held)
	}
	var order []Applicant
	for _, e := range all {
		if e.Position > 0 && !gone[e.Application] {
			order = append(order, e.Applicant)
		}
	}
	places, err := seats(ctx, tx, c)
	if err != nil {
		return err
	}
	due := d.now().In(register.Rome()).AddDate(0, 0, c.Term).Format(time.DateOnly)
	for i, h := range Offers(order, places, held) {
		_, err := tx.ExecContext(ctx, "INSERT INTO ranking_offer (call, n, application, school, hours, state, made, due) VALUES (?,?,?,?,?,?,?,?)",
			c.ID, len(past)+i+1, h.Application, h.Place.School, h.Place.Hours, string(Offered), store.Time(d.now()), due)
		if err == nil {
			err = d.tell(ctx, tx, c, h.Application, mail.RankingOffer)
		}
		if err == nil {
			err = d.log(ctx, tx, role.Actor{}, c, audit.RankingOffered, "application", h.Application, "act", string(Offered), "school", h.Place.School, "due", due)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// gone are the applications that were withdrawn or excluded.
func (d *Desk) gone(ctx context.Context, tx *sql.Tx, c *Call) (map[string]bool, error) {
	out := map[string]bool{}
	rows, err := tx.QueryContext(ctx, "SELECT id FROM application WHERE ente = ? AND service = ? AND state = 'withdrawn'", c.Ente, c.Service.ID)
	if err != nil {
		return nil, fmt.Errorf("ranking: %w", err)
	}
	ids, err := store.Strings(rows)
	if err != nil {
		return nil, fmt.Errorf("ranking: %w", err)
	}
	for _, id := range ids {
		out[id] = true
	}
	all, err := d.checks(ctx, tx, c)
	for id, checks := range all {
		for _, x := range checks {
			if x.Field == "" && x.Verified == "out" {
				out[id] = true
			} else if x.Field == "" {
				delete(out, id)
			}
		}
	}
	return out, err
}

// end writes down that a place is not held any more.
func (d *Desk) end(ctx context.Context, tx *sql.Tx, c *Call, o *Offer, to State) error {
	o.State = to
	_, err := tx.ExecContext(ctx, "UPDATE ranking_offer SET state = ?, answered = ? WHERE call = ? AND n = ?", string(to), store.Time(d.now()), c.ID, o.N)
	if err != nil {
		return err
	}
	if to == Expired {
		if err := d.tell(ctx, tx, c, o.Application, mail.RankingAnswer); err != nil {
			return err
		}
	}
	return d.log(ctx, tx, role.Actor{}, c, audit.RankingOffered, "application", o.Application, "act", string(to), "school", o.Place.School)
}

func (d *Desk) tell(ctx context.Context, tx *sql.Tx, c *Call, application string, kind mail.Kind) error {
	to, err := d.Applications.RecipientOf(ctx, tx, c.Ente, application)
	if err != nil {
		return err
	}
	return mail.Queue(ctx, tx, mail.Message{Ente: c.Ente, To: to, Kind: kind, Link: "/pratiche/" + application, Number: c.Title}, d.now())
}

// Run ends offers whose term is over and moves the waiting lists up, in all enti.
func (d *Desk) Run(ctx context.Context) error {
	all, err := d.calls(ctx, "id IN (SELECT call FROM ranking_list WHERE kind = 'final' AND published <> '')")
	if err != nil {
		return err
	}
	var failed error
	for _, c := range all {
		failed = errors.Join(failed, d.Store.Tx(ctx, func(tx *sql.Tx) error { return d.fill(ctx, tx, c) }))
	}
	return failed
}

// Answer accepts or renounces a place that the visitor's application was offered.
func (d *Desk) Answer(ctx context.Context, v submission.Visitor, application string, n int, accept bool) error {
	x, err := d.Applications.Get(ctx, v, application)
	if err != nil {
		return err
	}
	// Who only signs an application too has read it, and decides nothing about it.
	if mine, err := d.Applications.Owns(ctx, v, x); err != nil || !mine {
		return errors.Join(err, submission.ErrNotFound)
	}
	if v.Operator == nil && v.Level < x.Service.Needs() {
		return ErrLevel
	}
	c, err := d.callOf(ctx, x)
	if err != nil {
		return err
	}
	e := audit.Event{PersonID: x.Person, Credential: v.Credential, Address: v.Address}
	if v.Person != nil && v.Person.ID != x.Person {
		e.Detail = map[string]string{"agent": fmt.Sprint(v.Person.ID), "mandate": v.Mandate}
	}
	return d.answer(ctx, c, application, n, accept, e, 0, "")
}

// AnswerAtDesk writes down what the person said at the desk, or on paper; the reason says
// how it is known.
func (d *Desk) AnswerAtDesk(ctx context.Context, a role.Actor, id, application string, n int, accept bool, reason string) error {
	c, k, err := d.one(ctx, a, id, application)
	if err != nil {
		return err
	}
	if reason = strings.TrimSpace(reason); reason == "" || len([]rune(reason)) > maxReason {
		return ErrReason
	}
	return d.answer(ctx, c, application, n, accept, audit.Event{PersonID: k.App.Person}.By(a), a.Operator, reason)
}

func (d *Desk) answer(ctx context.Context, c *Call, application string, n int, accept bool, e audit.Event, operator int64, reason string) error {
	err := d.Store.Tx(ctx, func(tx *sql.Tx) error {
		all, err := offers(ctx, tx, c)
		if err != nil {
			return err
		}
		final, err := published(ctx, tx, c, Final)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(o Offer) bool { return o.N == n && o.Application == application })
		if i < 0 {
			return ErrNotFound
		}
		o := all[i]
		// What was accepted can be given back later too.
		if !o.Open(d.today()) && (accept || o.State != Accepted) {
			return ErrOffer
		}
		lines, err := entries(ctx, tx, c, final)
		if err != nil {
			return err
		}
		j := slices.IndexFunc(lines, func(x Entry) bool { return x.Application == application })
		if j < 0 {
			return ErrNotFound
		}
		to := Renounced
		if accept {
			to = Accepted
		}
		_, err = tx.ExecContext(ctx, "UPDATE ranking_offer SET state = ?, answered = ?, operator = ?, reason = ? WHERE call = ? AND n = ?", string(to), store.Time(d.now()), operator, reason, c.ID, n)
		if err != nil {
			return err
		}
		wish := func(school string) int { return slices.Index(lines[j].Wishes, school) }
		for k := range all {
			x := &all[k]
			if accept && x.N != n && x.Application == application && x.State.Live() && wish(x.Place.School) > wish(o.Place.School) {
				if err := d.end(ctx, tx, c, x, Moved); err != nil {
					return err
				}
			}
		}
		ev := e
		ev.Ente, ev.Kind = c.Ente, audit.RankingOffered
		detail := map[string]string{"call": c.ID, "application": application, "act": string(to), "school": o.Place.School} // the reason is the file's
		for k, v := range e.Detail {
			detail[k] = v
		}
		ev.Detail = detail
		if err := d.Audit.WriteTx(ctx, tx, ev); err != nil {
			return err
		}
		if err := d.tell(ctx, tx, c, application, mail.RankingAnswer); err != nil {
			return err
		}
		return d.fill(ctx, tx, c)
	})
	if err != nil {
		return fmt.Errorf("ranking: %w", err)
	}
	return nil
}

func (d *Desk) callOf(ctx context.Context, x *submission.Application) (*Call, error) {
	all, err := d.calls(ctx, "ente = ? AND service = ?", x.Ente, x.Service.ID)
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		if c.Covers(x) {
			return c, nil
		}
	}
	return nil, ErrNotFound
}
