package submission

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
)

// maxOffice bounds an office's name in characters.
const maxOffice = 120

type oneRow interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// officeFor is where an application goes: by the ente's own table of topics, else by the
// service's.
func (d *Desk) officeFor(ctx context.Context, q oneRow, a *Application) (string, error) {
	if r := a.Service.Routes; r != nil {
		var office string
		err := q.QueryRowContext(ctx, "SELECT office FROM office_route WHERE ente = ? AND service = ? AND value = ?", a.Ente, a.Service.ID, a.Fields[r.Field]).Scan(&office)
		if err == nil {
			return office, nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return "", fmt.Errorf("submission: %w", err)
		}
	}
	return a.Service.OfficeFor(a.Fields), nil
}

// sentTo is the office that an application was sent to: a receipt does not change when
// the application goes on to another.
func (d *Desk) sentTo(ctx context.Context, a *Application) (string, error) {
	var office string
	err := d.Store.QueryRowContext(ctx, "SELECT office FROM application_step WHERE application = ? AND kind = 'sent' ORDER BY n LIMIT 1", a.ID).Scan(&office)
	if errors.Is(err, sql.ErrNoRows) {
		return a.Office, nil
	}
	if err != nil {
		return "", fmt.Errorf("submission: %w", err)
	}
	return office, nil
}

// Topic is a line of the table that sends an application to an office by what was chosen
// in its form.
type Topic struct {
	Service, Title string
	Value, Label   string
	Office         string
	// Own: the ente's table says so; else it is the service's word.
	Own bool
}

// Topics is the table, with the titles in a language.
func (d *Desk) Topics(ctx context.Context, a role.Actor, l message.Lang) (out []Topic, err error) {
	if !a.Has(role.InfrastructureRead, role.RoutingRead) {
		return nil, role.Check(a, a.Ente, role.InfrastructureRead)
	}
	all, err := d.Services.List(ctx, a.Ente)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		if s.Routes == nil {
			continue
		}
		q, _ := s.Field(s.Routes.Field)
		for _, o := range q.Options {
			t := Topic{Service: s.ID, Title: s.Title.In(l), Value: o.Value, Label: o.Label.In(l), Office: s.OfficeFor(map[string]string{s.Routes.Field: o.Value})}
			var own string
			err := d.Store.QueryRowContext(ctx, "SELECT office FROM office_route WHERE ente = ? AND service = ? AND value = ?", a.Ente, s.ID, o.Value).Scan(&own)
			if err == nil {
				t.Office, t.Own = own, true
			} else if !errors.Is(err, sql.ErrNoRows) {
				return nil, fmt.Errorf("submission: %w", err)
			}
			out = append(out, t)
		}
	}
	return out, nil
}

// SetTopic sends a topic to an office of the ente's choice; an empty office leaves it to
// the service again. What was sent before stays where it is.
func (d *Desk) SetTopic(ctx context.Context, a role.Actor, service, value, office string) error {
	if err := role.Check(a, a.Ente, role.InfrastructureWrite); err != nil {
		return err
	}
	office = strings.TrimSpace(office)
	if len([]rune(office)) > maxOffice {
		return ErrOffice
	}
	table, err := d.Topics(ctx, a, message.Italian)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(table, func(t Topic) bool { return t.Service == service && t.Value == value })
	if i < 0 {
		return ErrNotFound
	}
	if table[i].Own && table[i].Office == office || !table[i].Own && office == "" {
		return nil
	}
	err = d.Store.Tx(ctx, func(tx *sql.Tx) error {
		q, args := "DELETE FROM office_route WHERE ente = ? AND service = ? AND value = ?", []any{a.Ente, service, value}
		if office != "" {
			q = `INSERT INTO office_route (ente, service, value, office, changed, operator) VALUES (?,?,?,?,?,?)
				ON CONFLICT (ente, service, value) DO UPDATE SET office = excluded.office, changed = excluded.changed, operator = excluded.operator`
			args = append(args, office, store.Time(d.now()), a.Operator)
		}
		if _, err := tx.ExecContext(ctx, q, args...); err != nil {
			return err
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: a.Ente, Kind: audit.EnteChanged, Detail: map[string]string{"service": service, "topic": value, "before": table[i].Office, "office": office}}.By(a))
	})
	if err != nil {
		return fmt.Errorf("submission: %w", err)
	}
	return nil
}

// Offices are the names that an application can be sent to: those of the ente's list, of
// its services and of its table of topics, those where applications are, and those where
// somebody works.
func (d *Desk) Offices(ctx context.Context, ente string) ([]string, error) {
	rows, err := d.Store.QueryContext(ctx, `SELECT name FROM ente_office WHERE ente = ? UNION SELECT office FROM office_route WHERE ente = ?
		UNION SELECT office FROM application WHERE ente = ? AND office <> '' UNION SELECT f.office FROM operator_office f JOIN operator o ON o.id = f.operator WHERE o.ente = ?`, ente, ente, ente, ente)
	if err != nil {
		return nil, fmt.Errorf("submission: %w", err)
	}
	out, err := store.Strings(rows)
	if err != nil {
		return nil, fmt.Errorf("submission: %w", err)
	}
	all, err := d.Services.List(ctx, ente)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		out = append(out, s.Office)
		if s.Routes != nil {
			for _, o := range s.Routes.To {
				out = append(out, o)
			}
		}
	}
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), func(o string) bool { return o == "" }), nil
}
