package submission_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/mandate"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/submission"
)

// record is what the desk wrote down of a visitor.
func (c *counter) record(v submission.Visitor, form string) {
	c.t.Helper()
	_, err := c.Store.ExecContext(context.Background(), "INSERT INTO record (person, ente, form, created, changed) VALUES (?,?,?,?,?)", v.Person.ID, v.Ente, form, store.Time(c.Today()), store.Time(c.Today()))
	if err != nil {
		c.t.Fatal(err)
	}
}

// An operator decides nothing about what is the own affair: sent by oneself, for a child or
// a company, or signed too. A colleague does.
func TestOwnAffair(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx := t.Context()
		operator, colleague := c.Operator("prova", 3, "R12"), c.Operator("prova", 6, "R12")
		words := map[string]string{"topic": "waste", "subject": "Cassonetto", "text": "È pieno"}
		sends := func(v submission.Visitor) *submission.Application {
			t.Helper()
			a := c.made(v, "instradamento", words)
			a, err := c.d.Send(ctx, v, a.ID)
			if err != nil {
				t.Fatal(err)
			}
			return a
		}
		own := sends(c.visitor(3))
		company := c.account(person.Corporate, "00743110157")
		m, err := c.Mandates.Grant(ctx, c.Operator("prova", 8, "R8"), mandate.Mandate{Kind: mandate.Company, Principal: company.ID, Agent: c.visitor(3).Person.ID,
			Title: "legale rappresentante", Since: c.Today().Format(time.DateOnly), Proof: "visura"})
		if err != nil {
			t.Fatal(err)
		}
		acting := c.visitor(3)
		acting.Mandate = m.ID
		for name, a := range map[string]*submission.Application{"the own": own, "of the own company": sends(acting)} {
			for deed, do := range map[string]func() error{
				"take":    func() error { return c.d.Take(ctx, operator, a.ID) },
				"answer":  func() error { return c.d.Answer(ctx, operator, a.ID, "Accolta") },
				"more":    func() error { return c.d.More(ctx, operator, a.ID, "Altro") },
				"write":   func() error { return c.d.Write(ctx, operator, a.ID, "Parola") },
				"reroute": func() error { return c.d.Reroute(ctx, operator, a.ID, "Demografici", "") },
				"close":   func() error { return c.d.Close(ctx, operator, a.ID, "Fatto") },
			} {
				if err := do(); !errors.Is(err, submission.ErrOwn) {
					t.Errorf("%s, %s: %v", name, deed, err)
				}
			}
			if err := errors.Join(c.d.Take(ctx, colleague, a.ID), c.d.Answer(ctx, colleague, a.ID, "Accolta")); err != nil {
				t.Error(name, err)
			}
		}
		// Tied to another office, the operator is not even told that it is there.
		tied := operator
		tied.Offices = []string{"Tributi"}
		if err := c.d.Close(ctx, tied, own.ID, "Fatto"); !errors.Is(err, submission.ErrNotFound) {
			t.Error(err)
		}
	})
}

// An application that was sent to an office which nobody knows would be hidden from all.
func TestRerouteToNowhere(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx, urp, v := t.Context(), c.Operator("prova", 6, "R12"), c.visitor(0)
		a := c.made(v, "instradamento", map[string]string{"topic": "waste", "subject": "Cassonetto", "text": "È pieno"})
		if _, err := c.d.Send(ctx, v, a.ID); err != nil {
			t.Fatal(err)
		}
		if err := c.d.Reroute(ctx, urp, a.ID, "Cantina", "via"); !errors.Is(err, submission.ErrOffice) {
			t.Error(err)
		}
		if err := c.d.Reroute(ctx, urp, a.ID, "Tributi", "via"); err != nil {
			t.Error(err)
		}
	})
}

// Who only fills in for people reads nobody's address by saying that they are there.
func TestAssistedReadsNothing(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx := t.Context()
		v := c.visitor(2)
		c.record(v, `{"form":{"email":"nota@example.org","phone":"0500000000","residence":"Via Segreta 1","cap":"56100","town":"Pisa"}}`)
		caf := c.Operator("prova", 5, "R-CAF1")
		v = submission.Visitor{Ente: "prova", Person: v.Person, Operator: &caf, Address: "192.0.2.9:1", Shown: "identity-card CA00000AA"}
		for _, of := range []string{"iscrizione-nido", "autocertificazione", "segnalazione-anagrafe", "instradamento"} {
			a, err := c.d.Start(ctx, v, of)
			if err != nil {
				t.Fatal(of, err)
			}
			for k, x := range a.Fields {
				if x != "" && x != v.Person.CodiceFiscale && x != v.Person.Given && x != v.Person.Family {
					t.Errorf("%s: %s: %q", of, k, x)
				}
			}
		}
		both := c.Operator("prova", 9, "R-CAF1", "R7") // who may look people up has their address typed in
		v.Operator = &both
		a, err := c.d.Start(ctx, v, "autocertificazione")
		if err != nil || a.Fields["residence"] != "Via Segreta 1" {
			t.Error(a, err)
		}
	})
}

type sameNumber struct{}

func (sameNumber) Register(context.Context, string, register.Entry, io.Reader) (string, error) {
	return "EXT-1", nil
}

// A protocol system that gives one number twice is not believed the second time.
func TestOutsideNumberTwice(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx := t.Context()
		c.d.Outside = map[string]submission.Outside{"prova": sameNumber{}}
		var all []*submission.Application
		for n := range 2 {
			a := c.made(c.visitor(n), "instradamento", map[string]string{"topic": "waste", "subject": "Cassonetto", "text": "È pieno"})
			a, err := c.d.Send(ctx, c.visitor(n), a.ID)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, a)
			c.Move(time.Second)
		}
		if err := c.d.Follow(ctx); err == nil || !strings.Contains(err.Error(), "another document") {
			t.Error("nobody says so:", err)
		}
		for n, want := range []string{"EXT-1", ""} {
			if a, err := c.d.Get(ctx, c.visitor(n), all[n].ID); err != nil || a.Outside != want {
				t.Error(n, a.Outside, err)
			}
		}
	})
}
