package ente

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
	"github.com/citel-pa/citel/server/store"
)

// Category is a kind of person, as the law tells them apart.
type Category string

// The categories.
const (
	Citizen      Category = "citizen"
	Company      Category = "company"
	Professional Category = "professional"
)

// Categories are all of them.
var Categories = []Category{Citizen, Company, Professional}

// Credentials that are switched: forte is the card, which the law lets in.
const (
	Debole = "debole"
	Media  = "media"
)

// SwitchedCredentials are both.
var SwitchedCredentials = []string{Debole, Media}

// ReasonLaw is the reason of a switch that is as the law of today has it for citizens
// (CAD, art. 64; DL 76/2020, art. 24: SPID, CIE, CNS). The page has the sentence,
// "ente.reason-law".
const ReasonLaw = "law"

// ReasonDemo is the reason in the demo's invented ente.
const ReasonDemo = "demo"

// Switch says whether a credential lets a category of persons in.
type Switch struct {
	Credential string
	Category   Category
	Enabled    bool
	Reason     string
	Since      time.Time
}

// Switches of an ente: one for each credential and category. What the database does not
// know is off.
func (d *Directory) Switches(ctx context.Context, ente string) (out []Switch, err error) {
	rows, err := d.Store.QueryContext(ctx, "SELECT credential, kind, enabled, reason, since FROM ente_switch WHERE ente = ?", ente)
	if err != nil {
		return nil, fmt.Errorf("ente: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	known := map[[2]string]Switch{}
	for rows.Next() {
		var s Switch
		var since string
		if err := rows.Scan(&s.Credential, &s.Category, &s.Enabled, &s.Reason, &since); err != nil {
			return nil, fmt.Errorf("ente: %w", err)
		}
		s.Since = store.ParseTime(since)
		known[[2]string{s.Credential, string(s.Category)}] = s
	}
	for _, c := range SwitchedCredentials {
		for _, k := range Categories {
			s, ok := known[[2]string{c, string(k)}]
			if !ok {
				s = Switch{Credential: c, Category: k, Reason: ReasonLaw}
			}
			out = append(out, s)
		}
	}
	return out, rows.Err()
}

// Lets tells whether an ente lets a category of persons in with a credential.
func (d *Directory) Lets(ctx context.Context, ente, credential string, k Category) (bool, error) {
	all, err := d.Switches(ctx, ente)
	if err != nil {
		return false, err
	}
	for _, s := range all {
		if s.Credential == credential && s.Category == k {
			return s.Enabled, nil
		}
	}
	return false, nil
}

// SetSwitch switches a credential for a category, with the reason that the page shows.
func (d *Directory) SetSwitch(ctx context.Context, a role.Actor, ente string, s Switch) error {
	if err := role.Check(a, ente, role.InfrastructureWrite); err != nil {
		return err
	}
	s.Reason = strings.TrimSpace(s.Reason)
	if !slices.Contains(SwitchedCredentials, s.Credential) || !slices.Contains(Categories, s.Category) {
		return invalid("no such switch: %s, %s", s.Credential, s.Category)
	}
	if s.Reason == "" || len(s.Reason) > 500 {
		return invalid("a switch needs its reason, in at most 500 characters")
	}
	s.Since = d.now()
	err := d.Store.Tx(ctx, func(tx *sql.Tx) error {
		if err := d.setSwitch(ctx, tx, ente, s); err != nil {
			return err
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: ente, Kind: audit.SwitchChanged, Detail: map[string]string{
			"credential": s.Credential, "category": string(s.Category), "enabled": fmt.Sprint(s.Enabled), "reason": s.Reason,
		}}.By(a))
	})
	return err
}

func (d *Directory) setSwitch(ctx context.Context, tx *sql.Tx, ente string, s Switch) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO ente_switch (ente, credential, kind, enabled, reason, since) VALUES (?,?,?,?,?,?)
		ON CONFLICT (ente, credential, kind) DO UPDATE SET enabled = excluded.enabled, reason = excluded.reason, since = excluded.since`,
		ente, s.Credential, string(s.Category), s.Enabled, s.Reason, store.Time(s.Since))
	if err != nil {
		return fmt.Errorf("ente: %w", err)
	}
	return nil
}

// Accepted lists whose envelopes open an ente's data; its own always do and are first.
func (d *Directory) Accepted(ctx context.Context, ente string) ([]string, error) {
	rows, err := d.Store.QueryContext(ctx, "SELECT releaser FROM ente_accepts WHERE ente = ? ORDER BY releaser", ente)
	if err != nil {
		return nil, fmt.Errorf("ente: %w", err)
	}
	others, err := store.Strings(rows)
	if err != nil {
		return nil, fmt.Errorf("ente: %w", err)
	}
	return append([]string{ente}, others...), nil
}

// Accepts tells whether an envelope that releaser handed out opens an ente's data.
func (d *Directory) Accepts(ctx context.Context, ente, releaser string) (bool, error) {
	all, err := d.Accepted(ctx, ente)
	return slices.Contains(all, releaser), err
}

// SetAccepts accepts another ente's envelopes, or does so no more.
func (d *Directory) SetAccepts(ctx context.Context, a role.Actor, ente, releaser string, accept bool) error {
	if err := role.Check(a, ente, role.InfrastructureWrite); err != nil {
		return err
	}
	if ente == releaser {
		return invalid("an ente's own envelopes always open its data")
	}
	if _, err := d.Get(ctx, releaser); err != nil {
		return err
	}
	q, args := "DELETE FROM ente_accepts WHERE ente = ? AND releaser = ?", []any{ente, releaser}
	if accept {
		q, args = "INSERT INTO ente_accepts (ente, releaser, since) VALUES (?,?,?) ON CONFLICT (ente, releaser) DO NOTHING", append(args, store.Time(d.now()))
	}
	return d.Store.Tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, q, args...); err != nil {
			return fmt.Errorf("ente: %w", err)
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: ente, Kind: audit.EnteChanged, Detail: map[string]string{"releaser": releaser, "accepted": fmt.Sprint(accept)}}.By(a))
	})
}

// catalogue is the example of a district, as the issue lists it. They are switched off,
// without arms, and marked: nobody has agreed to anything.
var catalogue = []Ente{
	{Code: "pisa", IDEnte: "COPI", Name: "Comune di Pisa"},
	{Code: "san-giuliano-terme", Name: "Comune di San Giuliano Terme"},
	{Code: "vecchiano", Name: "Comune di Vecchiano"},
	{Code: "volterra", Name: "Comune di Volterra"},
	{Code: "calci", Name: "Comune di Calci"},
	{Code: "vicopisano", Name: "Comune di Vicopisano"},
	{Code: "cascina", Name: "Comune di Cascina"},
	{Code: "san-miniato", Name: "Comune di San Miniato"},
	{Code: "pietrasanta", Name: "Comune di Pietrasanta"},
	{Code: "santa-maria-a-monte", Name: "Comune di Santa Maria a Monte"},
}

// FillCatalogue adds the examples to a directory that has no ente yet.
func (d *Directory) FillCatalogue(ctx context.Context) error {
	return d.Store.Tx(ctx, func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM ente WHERE example = 1").Scan(&n); err != nil || n > 0 {
			return err
		}
		for _, e := range catalogue {
			e.Example = true
			var there int
			if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM ente WHERE code = ? OR id_ente <> '' AND id_ente = ?", e.Code, e.IDEnte).Scan(&there); err != nil {
				return fmt.Errorf("ente: %w", err)
			}
			if there > 0 {
				continue
			}
			if _, err := d.CreateTx(ctx, tx, e, role.Actor{}); err != nil {
				return err
			}
		}
		return nil
	})
}

// Ensure makes an ente that the server's flags name, active, or gives it the flags' name
// and origin. In the demo debole and media are on for everybody.
func (d *Directory) Ensure(ctx context.Context, e Ente) (*Ente, error) {
	e.Active = true
	err := d.Store.Tx(ctx, func(tx *sql.Tx) error {
		_, err := scan(tx.QueryRowContext(ctx, "SELECT "+columns+" FROM ente WHERE code = ?", e.Code))
		if err == nil {
			_, err = tx.ExecContext(ctx, "UPDATE ente SET origin = ?, active = 1, example = 0 WHERE code = ?", e.Origin, e.Code)
			return err
		}
		if !errors.Is(err, ErrNotFound) {
			return err
		}
		if _, err := d.CreateTx(ctx, tx, e, role.Actor{}); err != nil || !d.Demo {
			return err
		}
		for _, c := range SwitchedCredentials {
			for _, k := range Categories {
				if err := d.setSwitch(ctx, tx, e.Code, Switch{Credential: c, Category: k, Enabled: true, Reason: ReasonDemo, Since: d.now()}); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return d.Get(ctx, e.Code)
}
