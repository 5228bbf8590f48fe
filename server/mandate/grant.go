package mandate

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/foureyes"
	"github.com/citel-pa/citel/server/mail"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
)

// What a desk gives a power by: it makes a mandate, or accepts one that was asked for. Where
// the ente has four eyes on both wait for a second operator (foureyes.ErrPending).

// granting is what four-eyes keeps of a mandate to be made.
type granting struct {
	Mandate    Mandate       `json:"mandate"`
	Whose, Who *person.Party // nil: Mandate has the accounts
}

// accepting is what it keeps of one to be accepted.
type accepting struct {
	ID    string `json:"id"`
	Proof string `json:"proof"`
}

// Grant makes a mandate at the desk, against a proof that the operator saw.
func (d *Desk) Grant(ctx context.Context, a role.Actor, m Mandate) (*Mandate, error) {
	return d.granted(ctx, a, granting{Mandate: m})
}

// GrantTo is Grant for people as they are written down at the desk: accounts that are
// missing are made with it, or not at all.
func (d *Desk) GrantTo(ctx context.Context, a role.Actor, m Mandate, whose, who person.Party) (*Mandate, error) {
	return d.granted(ctx, a, granting{Mandate: m, Whose: &whose, Who: &who})
}

func (d *Desk) granted(ctx context.Context, a role.Actor, g granting) (*Mandate, error) {
	if err := role.Check(a, a.Ente, Needs); err != nil {
		return nil, err
	}
	e, err := d.Enti.Get(ctx, a.Ente)
	if err != nil {
		return nil, err
	}
	var m *Mandate
	err = d.Four.Second(ctx, a, e.FourEyes, foureyes.MandateGranted, g, func(tx *sql.Tx) (subject string, err error) {
		if m, err = d.grant(ctx, tx, g, a, a); err != nil {
			return "", err
		}
		return d.subject(ctx, tx, m)
	})
	return m, wrapped(err)
}

// grant makes a mandate that first has asked for, and second, who may be the same, confirms.
func (d *Desk) grant(ctx context.Context, tx *sql.Tx, g granting, first, second role.Actor) (*Mandate, error) {
	m := g.Mandate
	if g.Whose != nil && g.Who != nil {
		principal, err := person.AtDesk(ctx, tx, *g.Whose, d.now())
		if err != nil {
			return nil, err
		}
		agent, err := person.AtDesk(ctx, tx, *g.Who, d.now())
		if err != nil {
			return nil, err
		}
		m.Principal, m.Agent = principal.ID, agent.ID
	}
	m.ID, m.Ente, m.State, m.Operator, m.AskedBy, m.Reason = store.NewID(), first.Ente, Active, first.Operator, 0, ""
	if err := errors.Join(d.notOwn(ctx, tx, first, &m), d.notOwn(ctx, tx, second, &m)); err != nil {
		return nil, err
	}
	if err := d.insertTx(ctx, tx, &m, by(first, second)); err != nil {
		return nil, err
	}
	return &m, d.tell(ctx, tx, &m, mail.MandateGranted, m.Principal, m.Agent) // nobody gets a power in silence
}

// by says who did it, and where that was a second operator who had asked.
func by(first, second role.Actor) audit.Event {
	e := audit.Event{}
	if first.Operator != second.Operator {
		e.Personal = map[string]string{"asked-by": first.Code}
	}
	return e.By(second)
}

// subject names a mandate for whoever confirms it: who acts for whom, as what, in what, from
// when to when, against which proof.
func (d *Desk) subject(ctx context.Context, tx *sql.Tx, m *Mandate) (string, error) {
	who, err1 := person.Get(ctx, tx, m.Agent)
	whose, err2 := person.Get(ctx, tx, m.Principal)
	if err := errors.Join(err1, err2); err != nil {
		return "", err
	}
	parts := []string{fmt.Sprintf("%s, %s -> %s, %s", who.Name(), who.CodiceFiscale, whose.Name(), whose.CodiceFiscale), m.Title}
	if len(m.Scope) > 0 {
		parts = append(parts, strings.Join(m.Scope, ", "))
	}
	return strings.Join(append(parts, strings.TrimSuffix(m.Since+" - "+m.Until, " - "), m.Proof), "; "), nil
}

// GrantAction is what four-eyes runs for a mandate to be made.
func (d *Desk) GrantAction() foureyes.Action {
	return foureyes.Action{Permission: Needs, Run: func(ctx context.Context, tx *sql.Tx, payload []byte, first, second role.Actor) error {
		var g granting
		if err := json.Unmarshal(payload, &g); err != nil {
			return fmt.Errorf("mandate: %w", err)
		}
		_, err := d.grant(ctx, tx, g, first, second)
		return wrapped(err)
	}}
}

// DecideAtDesk accepts or refuses in the place of who answers nothing online: a child, a
// ward, a company. proof is what the desk saw besides what was sent; who refuses says why.
// To refuse gives nobody a power, and waits for nobody.
func (d *Desk) DecideAtDesk(ctx context.Context, a role.Actor, id string, accept bool, proof, reason string) error {
	if err := role.Check(a, a.Ente, Needs); err != nil {
		return err
	}
	if !accept {
		if !reasoned(reason) {
			return ErrReason
		}
		return d.move(ctx, a.Ente, id, audit.Event{}.By(a), func(m *Mandate) error {
			m.Operator, m.Reason = a.Operator, strings.TrimSpace(reason)
			return m.decided(Refused)
		}, func(tx *sql.Tx, m *Mandate) error {
			if err := d.notOwn(ctx, tx, a, m); err != nil {
				return err
			}
			return d.tell(ctx, tx, m, mail.MandateRefused, m.AskedBy)
		})
	}
	e, err := d.Enti.Get(ctx, a.Ente)
	if err != nil {
		return err
	}
	x := accepting{ID: id, Proof: strings.TrimSpace(proof)}
	return d.Four.Second(ctx, a, e.FourEyes, foureyes.MandateAccepted, x, func(tx *sql.Tx) (string, error) {
		m, err := d.accept(ctx, tx, x, a, a)
		if err != nil {
			return "", err
		}
		return d.subject(ctx, tx, m)
	})
}

// decided ends the asking of one that the desk answers.
func (m *Mandate) decided(to State) error {
	if m.State != Asked || m.Kind == Delegate {
		return ErrState
	}
	m.State = to
	return nil
}

func (d *Desk) accept(ctx context.Context, tx *sql.Tx, x accepting, first, second role.Actor) (out *Mandate, err error) {
	err = d.moveTx(ctx, tx, first.Ente, x.ID, by(first, second), func(m *Mandate) error {
		m.Operator, m.Reason = first.Operator, ""
		if x.Proof != "" {
			m.Proof = x.Proof
		}
		return m.decided(Active)
	}, func(tx *sql.Tx, m *Mandate) error {
		out = m
		if err := errors.Join(d.notOwn(ctx, tx, first, m), d.notOwn(ctx, tx, second, m)); err != nil {
			return err
		}
		return d.tell(ctx, tx, m, mail.MandateAccepted, m.AskedBy)
	})
	return out, err
}

// Accepts tells whether what four-eyes keeps (foureyes.Pending.Payload, of MandateAccepted)
// is about a mandate.
func Accepts(payload []byte, id string) bool {
	var x accepting
	return json.Unmarshal(payload, &x) == nil && x.ID == id
}

// AcceptAction is what four-eyes runs for one to be accepted.
func (d *Desk) AcceptAction() foureyes.Action {
	return foureyes.Action{Permission: Needs, Run: func(ctx context.Context, tx *sql.Tx, payload []byte, first, second role.Actor) error {
		var x accepting
		if err := json.Unmarshal(payload, &x); err != nil {
			return fmt.Errorf("mandate: %w", err)
		}
		_, err := d.accept(ctx, tx, x, first, second)
		return err
	}}
}

func wrapped(err error) error {
	if err != nil {
		return fmt.Errorf("mandate: %w", err)
	}
	return nil
}

// notOwn: an operator decides about no mandate in which the own person is.
func (d *Desk) notOwn(ctx context.Context, tx *sql.Tx, a role.Actor, m *Mandate) error {
	for _, id := range []int64{m.Principal, m.Agent} {
		if p, err := person.Get(ctx, tx, id); err != nil {
			return err
		} else if p.CodiceFiscale == a.Code {
			return ErrSelf
		}
	}
	return nil
}
