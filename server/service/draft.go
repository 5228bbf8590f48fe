package service

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

// Draft is a text that an operator is writing. Each has an own one: nobody overwrites
// what somebody else types.
type Draft struct {
	Service  string
	Operator int64
	Before   int // the version that it was begun from; 0: the default, or none
	Text     []byte
	Changed  time.Time
}

// Errors of drafts.
var (
	// ErrTooLong: more than MaxText.
	ErrTooLong = errors.New("service: the text is too long")
	// ErrExists: there is a service of this name.
	ErrExists = errors.New("service: the name is taken")
	// ErrName is no identifier.
	ErrName = errors.New("service: no identifier")
	// ErrReason: a switch needs its reason.
	ErrReason = errors.New("service: the reason is missing")
)

// Drafts lists the texts that an ente's operators are writing; with a service those of it.
func (d *Desk) Drafts(ctx context.Context, a role.Actor, service string) ([]Draft, error) {
	if err := role.Check(a, a.Ente, role.PortalUse); err != nil {
		return nil, err
	}
	rows, err := d.Store.QueryContext(ctx, "SELECT service, operator, version, content, changed FROM service_draft WHERE ente = ? AND (service = ? OR ? = '') ORDER BY service, changed", a.Ente, service, service)
	return store.All(rows, err, func(row store.Row) (Draft, error) {
		var x Draft
		var text, changed string
		if err := row.Scan(&x.Service, &x.Operator, &x.Before, &text, &changed); err != nil {
			return x, fmt.Errorf("service: %w", err)
		}
		x.Text, x.Changed = []byte(text), store.ParseTime(changed)
		return x, nil
	})
}

// Keep keeps the operator's text, whatever is wrong with it.
func (d *Desk) Keep(ctx context.Context, a role.Actor, service string, text []byte, before int) error {
	if err := role.Check(a, a.Ente, role.PortalUse); err != nil {
		return err
	}
	if !idForm.MatchString(service) || len(service) > 40 {
		return ErrName
	}
	if len(text) > MaxText {
		return ErrTooLong
	}
	// A database keeps no NUL in a text, and nobody means one.
	words := strings.ReplaceAll(strings.ToValidUTF8(strings.ReplaceAll(string(text), "\r\n", "\n"), "\uFFFD"), "\x00", "")
	_, err := d.Store.ExecContext(ctx, `INSERT INTO service_draft (ente, service, operator, version, content, changed) VALUES (?,?,?,?,?,?)
		ON CONFLICT (ente, service, operator) DO UPDATE SET version = excluded.version, content = excluded.content, changed = excluded.changed`,
		a.Ente, service, a.Operator, before, words, store.Time(d.now()))
	if err != nil {
		return fmt.Errorf("service: %w", err)
	}
	return nil
}

// Drop throws the operator's text away.
func (d *Desk) Drop(ctx context.Context, a role.Actor, service string) error {
	if err := role.Check(a, a.Ente, role.PortalUse); err != nil {
		return err
	}
	_, err := d.Store.ExecContext(ctx, "DELETE FROM service_draft WHERE ente = ? AND service = ? AND operator = ?", a.Ente, service, a.Operator)
	if err != nil {
		return fmt.Errorf("service: %w", err)
	}
	return nil
}

// Begin begins a new service as a draft, from the text of another.
func (d *Desk) Begin(ctx context.Context, a role.Actor, service, from string) error {
	if !idForm.MatchString(service) || len(service) > 40 {
		return ErrName
	}
	switch _, err := d.Current(ctx, a.Ente, service); {
	case err == nil:
		return ErrExists
	case !errors.Is(err, ErrNotFound):
		return err
	}
	drafts, err := d.Drafts(ctx, a, service)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(drafts, func(x Draft) bool { return x.Operator == a.Operator }) {
		return ErrExists
	}
	v, err := d.Current(ctx, a.Ente, from)
	if err != nil {
		return err
	}
	all := lines(v.Text)
	for i, l := range all {
		if strings.HasPrefix(l, "id:") {
			all[i] = "id: " + service
			break
		}
	}
	return d.Keep(ctx, a, service, []byte(strings.Join(all, "\n")+"\n"), 0)
}

// ParseFor reads a text that is to become a version of a service.
func ParseFor(service string, text []byte) (*Definition, error) {
	def, err := Parse(text)
	if err != nil {
		return nil, err
	}
	if def.ID != service {
		for i, l := range lines(text) {
			if strings.HasPrefix(l, "id:") {
				return nil, &ProblemsError{[]Problem{{Line: i + 1, Code: "other-id", Detail: service}}}
			}
		}
		return nil, &ProblemsError{[]Problem{{Line: 1, Code: "other-id", Detail: service}}}
	}
	return def, nil
}

// Versions lists a service's, newest first, as far as they are told apart without their
// texts.
func (d *Desk) Versions(ctx context.Context, a role.Actor, service string) ([]*Version, error) {
	if err := role.Check(a, a.Ente, role.PortalUse); err != nil {
		return nil, err
	}
	rows, err := d.Store.QueryContext(ctx, "SELECT version, sha256, published, operator FROM service_version WHERE ente = ? AND service = ? ORDER BY version DESC", a.Ente, service)
	return store.All(rows, err, func(row store.Row) (*Version, error) {
		var v Version
		var published string
		if err := row.Scan(&v.Number, &v.SHA256, &published, &v.Operator); err != nil {
			return nil, fmt.Errorf("service: %w", err)
		}
		v.Published = store.ParseTime(published)
		return &v, nil
	})
}

// off tells whether an ente has switched a service off.
func off(ctx context.Context, q querier, ente, service string) (bool, error) {
	var is bool
	err := q.QueryRowContext(ctx, "SELECT is_off FROM service_off WHERE ente = ? AND service = ?", ente, service).Scan(&is)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, fmt.Errorf("service: %w", err)
	}
	return is, nil
}

// Switch switches a service off or on again. What was sent stays with its office; drafts
// wait.
func (d *Desk) Switch(ctx context.Context, a role.Actor, service string, to bool, why string) error {
	if err := role.Check(a, a.Ente, role.PortalUse); err != nil {
		return err
	}
	if why = strings.TrimSpace(why); why == "" || len([]rune(why)) > 300 {
		return ErrReason
	}
	if _, err := d.Current(ctx, a.Ente, service); err != nil {
		return err
	}
	state := "on"
	if to {
		state = "off"
	}
	return d.Store.Tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO service_off (ente, service, is_off, reason, operator, changed) VALUES (?,?,?,?,?,?)
			ON CONFLICT (ente, service) DO UPDATE SET is_off = excluded.is_off, reason = excluded.reason, operator = excluded.operator, changed = excluded.changed`,
			a.Ente, service, to, why, a.Operator, store.Time(d.now()))
		if err != nil {
			return fmt.Errorf("service: %w", err)
		}
		return d.Audit.WriteTx(ctx, tx, audit.Event{Ente: a.Ente, Kind: audit.ServiceSwitched, Detail: map[string]string{"service": service, "to": state, "reason": why}}.By(a))
	})
}
