package submission

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/limit"
	"github.com/citel-pa/citel/server/service"
)

// Bounds are what the house sets.
type Bounds struct {
	// Messages that a person sends to an ente in 24 hours (service.Message); 0: no bound.
	Messages int
	// Drafts is for how many days a draft is kept after its last change, where its service
	// sets no other number.
	Drafts int
}

// DefaultBounds are those of a house that sets none.
var DefaultBounds = Bounds{Messages: 10, Drafts: 90}

const leastDrafts = service.LeastDraftDays

// Check refuses bounds that cannot be meant.
func (b Bounds) Check() error {
	if b.Messages < 0 || b.Drafts < leastDrafts || b.Drafts > service.MostDraftDays {
		return fmt.Errorf("submission: 0 messages or more, and drafts of %d to %d days", leastDrafts, service.MostDraftDays)
	}
	return nil
}

// messageRule is the bound of who writes messages to offices: of the person, whatever
// credential it is and whomever it acts for; of a credential that nobody has proved, its
// own. At the desk there is an operator, and none is needed.
func (d *Desk) messageRule(ctx context.Context, q limit.Querier, v Visitor) (limit.Rule, error) {
	who := "credential:" + v.Credential
	var id int64
	if v.Person != nil {
		id = v.Person.ID
	} else if err := q.QueryRowContext(ctx, "SELECT coalesce(person, 0) FROM credential WHERE id = ? AND joined <> ''", v.Credential).Scan(&id); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return limit.Rule{}, fmt.Errorf("submission: %w", err)
	}
	if id != 0 {
		who = fmt.Sprintf("person:%d", id)
	}
	return limit.Rule{Code: "messages", Name: "message:" + v.Ente + ":" + who, Most: d.Bounds.Messages, In: 24 * time.Hour}, nil
}

func bounded(v Visitor, s *service.Version) bool {
	return s.Act == service.Message && v.Operator == nil
}

// Over tells whether a visitor has sent as many messages as may be for now
// (*limit.OverError): what is typed stays a draft.
func (d *Desk) Over(ctx context.Context, v Visitor, s *service.Version) error {
	if !bounded(v, s) {
		return nil
	}
	r, err := d.messageRule(ctx, d.Store, v)
	if err != nil {
		return err
	}
	return d.Quota.Over(ctx, d.Store, r)
}

// count takes one message, in the transaction that sends it.
func (d *Desk) count(ctx context.Context, tx *sql.Tx, v Visitor, s *service.Version) error {
	if !bounded(v, s) {
		return nil
	}
	r, err := d.messageRule(ctx, tx, v)
	if err != nil {
		return err
	}
	return d.Quota.Take(ctx, tx, r)
}

// refusedAnHour is how often an hour the log has what was refused of an application's files
// and signatures: who sends the same over and over fills no log with it.
const refusedAnHour = 30

// logRefused writes such a refusal down, or nothing where there are enough for now.
func (d *Desk) logRefused(ctx context.Context, a *Application, e audit.Event) error {
	err := d.Store.Tx(ctx, func(tx *sql.Tx) error {
		if err := d.Quota.Take(ctx, tx, limit.Rule{Code: "refused", Name: "refused:" + a.ID, Most: refusedAnHour, In: time.Hour}); err != nil {
			return err
		}
		return d.Audit.WriteTx(ctx, tx, e)
	})
	var over *limit.OverError
	if errors.As(err, &over) {
		return nil
	}
	return err
}
