package mandate_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/mandate"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/town"
)

func account(t *testing.T, town *town.Town, kind person.Kind, code string) int64 {
	t.Helper()
	var p *person.Person
	err := town.Store.Tx(context.Background(), func(tx *sql.Tx) (err error) {
		p, err = person.EnsureAccount(context.Background(), tx, kind, code, "Prova", "Esempio", town.Today())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return p.ID
}

func TestMandates(t *testing.T) {
	town.Each(t, func(t *testing.T, town *town.Town) {
		d := &mandate.Desk{Store: town.Store, Audit: town.Audit, Enti: town.Enti, Four: town.Four, Now: town.Today}
		desk := town.Operator("prova", 1, "R8")
		parent, other := account(t, town, person.Natural, pki.Invented(2).CF), account(t, town, person.Natural, pki.Invented(3).CF)
		company := account(t, town, person.Corporate, "00743110157")
		child := account(t, town, person.Natural, town.Child(5))
		today := town.Today().Format(time.DateOnly)
		base := mandate.Mandate{Kind: mandate.Minor, Principal: child, Agent: parent, Title: "Genitore", Since: today, Proof: "Estratto di nascita"}

		with := func(f func(*mandate.Mandate)) mandate.Mandate { m := base; f(&m); return m }
		for name, c := range map[string]struct {
			m    mandate.Mandate
			a    role.Actor
			want error
		}{
			"granted":        {base, desk, nil},
			"no right":       {base, town.Operator("prova", 9, "R11"), role.ErrDenied},
			"assistance":     {base, town.Operator("prova", 10, "R-CAF1"), role.ErrDenied},
			"system":         {base, town.Operator("", 11), role.ErrDenied},
			"to oneself":     {base, town.Operator("prova", 2, "R8"), mandate.ErrSelf},
			"for oneself":    {with(func(m *mandate.Mandate) { m.Principal = parent }), desk, mandate.ErrInvalid},
			"of age":         {with(func(m *mandate.Mandate) { m.Principal = other }), desk, mandate.ErrInvalid},
			"a child acts":   {with(func(m *mandate.Mandate) { m.Principal, m.Agent = other, child; m.Kind = mandate.Delegate }), desk, mandate.ErrInvalid},
			"a company acts": {with(func(m *mandate.Mandate) { m.Agent = company }), desk, mandate.ErrInvalid},
			"no proof":       {with(func(m *mandate.Mandate) { m.Proof = "" }), desk, mandate.ErrInvalid},
			"end first":      {with(func(m *mandate.Mandate) { m.Until = "2020-01-01" }), desk, mandate.ErrInvalid},
			"company": {with(func(m *mandate.Mandate) {
				m.Kind, m.Principal, m.Title = mandate.Company, company, "Legale rappresentante"
			}), desk, nil},
			"not a company": {with(func(m *mandate.Mandate) { m.Kind = mandate.Company }), desk, mandate.ErrInvalid},
		} {
			if _, err := d.Grant(t.Context(), c.a, c.m); !errors.Is(err, c.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		m, err := d.Grant(t.Context(), desk, with(func(m *mandate.Mandate) { m.Scope = []string{"iscrizione-nido"} }))
		if err != nil || m.Until == "" {
			t.Fatal(m, err)
		}
		use := func(service string, agent int64) error {
			_, err := d.For(t.Context(), town.Store, "prova", m.ID, agent, service)
			return err
		}
		if use("iscrizione-nido", parent) != nil || use("autocertificazione", parent) == nil || use("iscrizione-nido", other) == nil {
			t.Error("scope or agent is not looked at")
		}
		if _, err := d.For(t.Context(), town.Store, "altro", m.ID, parent, "iscrizione-nido"); err == nil {
			t.Error("it holds in another ente")
		}
		media := func(p int64) mandate.By { return mandate.By{Person: p, Level: session.Media} }
		forte := func(p int64) mandate.By { return mandate.By{Person: p, Level: session.Forte} }
		if err := d.Revoke(t.Context(), "prova", m.ID, media(other), "x"); !errors.Is(err, mandate.ErrNotFound) {
			t.Error("a stranger revokes", err)
		}
		if err := d.Revoke(t.Context(), "prova", m.ID, mandate.By{Person: parent, Level: session.Debole}, "x"); !errors.Is(err, mandate.ErrLevel) {
			t.Error("a debole revokes", err)
		}
		if _, err := d.Acting(t.Context(), "prova", m.ID, parent); err != nil {
			t.Error(err)
		}
		if err := d.Revoke(t.Context(), "prova", m.ID, media(parent), "x"); err != nil || use("iscrizione-nido", parent) == nil {
			t.Error("revoked, and it holds", err)
		}
		if _, err := d.Acting(t.Context(), "prova", m.ID, parent); !errors.Is(err, mandate.ErrState) {
			t.Error("revoked, and somebody acts", err)
		}

		// Asked and accepted online, by the other one.
		ask := mandate.Wish{Kind: mandate.Delegate, Code: pki.Invented(3).CF, Title: "Delegato", Since: today, Until: town.Today().AddDate(0, 1, 0).Format(time.DateOnly)}
		if m, err = d.Ask(t.Context(), "prova", media(parent), ask); err != nil || use("x", parent) == nil {
			t.Fatal(err)
		}
		if _, err := d.Ask(t.Context(), "prova", media(parent), ask); !errors.Is(err, mandate.ErrThere) {
			t.Error("twice", err)
		}
		if m.NamesOther(parent) || !m.NamesOther(other) {
			t.Error("who asks reads the name that belongs to a code")
		}
		if err := d.Decide(t.Context(), "prova", m.ID, forte(parent), true); !errors.Is(err, mandate.ErrState) {
			t.Error("who asks accepts", err)
		}
		if err := d.Decide(t.Context(), "prova", m.ID, media(other), true); !errors.Is(err, mandate.ErrLevel) {
			t.Error("power is given without a card", err)
		}
		if err := d.Decide(t.Context(), "altro", m.ID, forte(other), true); !errors.Is(err, mandate.ErrNotFound) {
			t.Error("in another ente", err)
		}
		if err := d.Decide(t.Context(), "prova", m.ID, forte(other), true); err != nil || use("x", parent) != nil {
			t.Error(err)
		}
		town.Move(32 * 24 * time.Hour)
		if use("x", parent) == nil {
			t.Error("it holds after its end")
		}
		if all, err := d.Of(t.Context(), "prova", other); err != nil || len(all) != 1 {
			t.Error(all, err)
		}
		// The child is of age, whatever was written.
		town.Move(15 * 366 * 24 * time.Hour)
		if all, _ := d.Of(t.Context(), "prova", child); all[len(all)-1].Covers("iscrizione-nido", town.Today()) {
			t.Error("it holds for somebody of age")
		}
	})
}
