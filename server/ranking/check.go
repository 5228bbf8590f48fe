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
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/submission"
)

// Check is what the office found of an answer (DPR 445/2000, art. 71). Field is empty where
// it is about the whole application: Verified is "out" or "in" then.
type Check struct {
	Application                       string
	N                                 int
	Field, Declared, Verified, Reason string
	Operator                          int64
	Time                              time.Time
}

// Why an application is not in the order.
const (
	OutExcluded  = "excluded"  // by the office, with a reason
	OutWithdrawn = "withdrawn" // by who sent it
	OutReplaced  = "replaced"  // the same child has a later one
	OutWish      = "wish"      // names no school of the call's
)

// Candidate is an application of a call.
type Candidate struct {
	App      *submission.Application
	Code     string
	Verified map[string]string // fields that were checked
	Checks   []Check           // oldest first
	Out      string            // why it is not in the order; empty: it is
	Reason   string            // of an exclusion
	Values   map[string]string // the answers that count
	Declared int               // points
	Points   int
	// ToCheck counts what gives points and was not verified.
	ToCheck int

	Applicant Applicant
}

// Criteria are those of the answers that count.
func (x *Candidate) Criteria(c *Call) []service.Criterion { return c.Service.Criteria(x.Values) }

// Candidates are a call's applications in the order that holds now, those that are out
// last. Names are not among what is asked for here: the file is opened for that.
func (d *Desk) Candidates(ctx context.Context, a role.Actor, c *Call) ([]*Candidate, error) {
	if err := role.Check(a, c.Ente, role.SchoolUse); err != nil {
		return nil, err
	}
	return d.candidates(ctx, c)
}

func (d *Desk) candidates(ctx context.Context, c *Call) ([]*Candidate, error) {
	from, to := c.span()
	apps, err := d.Applications.SentIn(ctx, c.Ente, c.Service.ID, from, to)
	if err != nil {
		return nil, err
	}
	checks, err := d.checks(ctx, d.Store, c)
	if err != nil {
		return nil, err
	}
	out := make([]*Candidate, 0, len(apps))
	last := map[string]*Candidate{}
	for _, x := range apps { // the earliest first
		k := candidate(c, x, checks[x.ID])
		out = append(out, k)
		if once := k.Values[c.Service.Ranking.Once]; once != "" && k.Out == "" {
			if before := last[once]; before != nil {
				before.Out = OutReplaced
			}
			last[once] = k
		}
	}
	slices.SortFunc(out, func(x, y *Candidate) int {
		if (x.Out == "") != (y.Out == "") {
			if x.Out == "" {
				return -1
			}
			return 1
		}
		return Compare(x.Applicant, y.Applicant)
	})
	return out, nil
}

// candidate applies the call's rules to an application.
func candidate(c *Call, x *submission.Application, checks []Check) *Candidate {
	def := c.Service.Definition
	k := &Candidate{App: x, Code: submission.RankingCode(x.ID), Verified: map[string]string{}, Checks: checks, Declared: def.Points(x.Fields)}
	for _, h := range checks {
		if h.Field != "" {
			k.Verified[h.Field] = h.Verified
			continue
		}
		k.Out, k.Reason = "", ""
		if h.Verified == "out" {
			k.Out, k.Reason = OutExcluded, h.Reason
		}
	}
	k.Values = def.Corrected(x.Fields, k.Verified)
	k.Points = def.Points(k.Values)
	for _, y := range def.Criteria(k.Values) {
		if _, ok := k.Verified[y.ID]; !ok && (y.Points != 0 || y.Tie && y.Value != "") {
			k.ToCheck++
		}
	}
	k.Applicant = Applicant{Application: x.ID, Code: k.Code, Points: k.Points, Lot: Lot(c.Seed, k.Code), Hours: k.Values[def.Ranking.Group]}
	for _, t := range def.Ranking.Ties {
		q, _ := def.Field(t.Field)
		tie := Tie{High: t.First == service.Highest}
		if v := k.Values[t.Field]; v != "" {
			tie.Value = q.TieKey(v)
		}
		k.Applicant.Ties = append(k.Applicant.Ties, tie)
	}
	places := c.Places()
	for _, w := range def.Wishes(k.Values) {
		if slices.Contains(places, Place{w, k.Applicant.Hours}) {
			k.Applicant.Wishes = append(k.Applicant.Wishes, w)
		}
	}
	switch {
	case x.State == submission.StateWithdrawn:
		k.Out = OutWithdrawn
	case k.Out == "" && len(k.Applicant.Wishes) == 0:
		k.Out = OutWish
	}
	return k
}

func (d *Desk) checks(ctx context.Context, q querier, c *Call) (_ map[string][]Check, err error) {
	rows, err := q.QueryContext(ctx, "SELECT application, n, field, declared, verified, reason, operator, time FROM ranking_check WHERE call = ? ORDER BY application, n", c.ID)
	if err != nil {
		return nil, fmt.Errorf("ranking: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	out := map[string][]Check{}
	for rows.Next() {
		var x Check
		var at string
		if err := rows.Scan(&x.Application, &x.N, &x.Field, &x.Declared, &x.Verified, &x.Reason, &x.Operator, &at); err != nil {
			return nil, fmt.Errorf("ranking: %w", err)
		}
		x.Time = store.ParseTime(at)
		out[x.Application] = append(out[x.Application], x)
	}
	return out, rows.Err()
}

// Candidate gives one of a call's; that it was read is logged.
func (d *Desk) Candidate(ctx context.Context, a role.Actor, c *Call, id string) (*Candidate, error) {
	all, err := d.Candidates(ctx, a, c)
	if err != nil {
		return nil, err
	}
	k := d.byID(all, id)
	if k == nil {
		return nil, ErrNotFound
	}
	if _, err := d.Applications.Look(ctx, a, id); err != nil { // at an office that is not the operator's
		return nil, err
	}
	return k, d.Audit.Write(ctx, audit.Event{Ente: c.Ente, Kind: audit.PersonRead, PersonID: k.App.Person, Detail: map[string]string{"application": id, "call": c.ID}}.By(a))
}

const maxReason = 1000

// Verify writes down what the office found of a declared answer; the points follow by the
// rules. A value that is not the declared one needs its reason.
func (d *Desk) Verify(ctx context.Context, a role.Actor, callID, application, field, value, reason string) error {
	c, k, err := d.one(ctx, a, callID, application)
	if err != nil {
		return err
	}
	reason = strings.TrimSpace(reason)
	i := slices.IndexFunc(append(k.Criteria(c), c.Service.Criteria(k.App.Fields)...), func(x service.Criterion) bool { return x.ID == field })
	q, ok := c.Service.Field(field)
	if !ok || i < 0 {
		return ErrField
	}
	clean, code := q.Clean(value, d.now())
	if code != "" {
		return ErrValue
	}
	if clean != k.App.Fields[field] && reason == "" || len([]rune(reason)) > maxReason {
		return ErrReason
	}
	return d.check(ctx, a, c, k, Check{Field: field, Declared: k.App.Fields[field], Verified: clean, Reason: reason}, false)
}

// Exclude takes an application out of the order, or back into it, with the reason. After
// the final list places that it holds end (DPR 445/2000, art. 75), and the waiting list
// moves up; then nothing leads back.
func (d *Desk) Exclude(ctx context.Context, a role.Actor, callID, application string, out bool, reason string) error {
	c, k, err := d.one(ctx, a, callID, application)
	if err != nil {
		return err
	}
	if reason = strings.TrimSpace(reason); reason == "" || len([]rune(reason)) > maxReason {
		return ErrReason
	}
	if out == (k.Out == OutExcluded) {
		return ErrStands
	}
	x := Check{Declared: "in", Verified: "out", Reason: reason}
	if !out {
		x.Declared, x.Verified = "out", "in"
	}
	return d.check(ctx, a, c, k, x, out)
}

func (d *Desk) one(ctx context.Context, a role.Actor, callID, application string) (*Call, *Candidate, error) {
	c, err := d.Get(ctx, a, callID)
	if err != nil {
		return nil, nil, err
	}
	all, err := d.candidates(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	k := d.byID(all, application)
	if k == nil {
		return nil, nil, ErrNotFound
	}
	if _, err := d.Applications.Look(ctx, a, application); err != nil {
		return nil, nil, err
	}
	// Nobody gives points to the own child, or takes them from it.
	if own, err := d.Applications.Own(ctx, a, k.App); err != nil || own {
		return nil, nil, errors.Join(err, ErrOwn)
	}
	return c, k, nil
}

func (d *Desk) check(ctx context.Context, a role.Actor, c *Call, k *Candidate, x Check, late bool) error {
	return d.Store.Tx(ctx, func(tx *sql.Tx) error {
		final, err := published(ctx, tx, c, Final)
		if err != nil {
			return err
		}
		if final > 0 && !late {
			return ErrFinal
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO ranking_check (call, application, n, field, declared, verified, reason, operator, time)
			VALUES (?,?,(SELECT coalesce(max(n), 0) + 1 FROM ranking_check WHERE call = ? AND application = ?),?,?,?,?,?,?)`,
			c.ID, k.App.ID, c.ID, k.App.ID, x.Field, x.Declared, x.Verified, x.Reason, a.Operator, store.Time(d.now()))
		if err != nil {
			return err
		}
		// The values themselves are the file's, not the log's.
		e := audit.Event{Ente: c.Ente, Kind: audit.RankingChecked, PersonID: k.App.Person,
			Detail: map[string]string{"call": c.ID, "application": k.App.ID, "field": x.Field, "corrected": fmt.Sprint(x.Declared != x.Verified)}}.By(a)
		if err := d.Audit.WriteTx(ctx, tx, e); err != nil {
			return err
		}
		if final == 0 {
			return nil
		}
		return d.fill(ctx, tx, c)
	})
}
