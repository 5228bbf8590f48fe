package mandate_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/foureyes"
	"github.com/citel-pa/citel/server/mandate"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/town"
)

// With four eyes on, a mandate of the desk waits: nothing of it is there before another
// operator, who is in it as little as the first, has confirmed it; what is wrong is said at
// once.
func TestGrantedByTwo(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		ctx, d := t.Context(), w.Mandates
		w.FourEyes()
		first, second, none := w.Operator("prova", 40, "R8"), w.Operator("prova", 41, "R8"), w.Operator("prova", 42, "R11")
		involved := w.Operator("prova", 3, "R8") // who acts, at the other job
		m := mandate.Mandate{Kind: mandate.Delegate, Title: "Delegato", Since: w.Today().Format(time.DateOnly), Proof: "Carta d'identità CA00000AA"}
		bad := m
		bad.Title = ""
		if _, err := d.GrantTo(ctx, first, bad, party(2), party(3)); !errors.Is(err, mandate.ErrInvalid) {
			t.Errorf("what is wrong waits: %v", err)
		}
		if _, err := d.GrantTo(ctx, involved, m, party(2), party(3)); !errors.Is(err, mandate.ErrSelf) {
			t.Errorf("the own: %v", err)
		}
		for range 2 {
			if _, err := d.GrantTo(ctx, first, m, party(2), party(3)); !errors.Is(err, foureyes.ErrPending) {
				t.Fatal(err)
			}
		}
		for table, where := range map[string]string{"mandate": "1 = 1", "person": "code IN ('" + pki.Invented(2).CF + "', '" + pki.Invented(3).CF + "')", "outbox": "1 = 1", "journal": "kind = 'mandate-changed'"} {
			if n := count(t, w, "SELECT count(*) FROM "+table+" WHERE "+where); n != 0 {
				t.Errorf("%d rows in %s before it is confirmed", n, table)
			}
		}
		list, err := w.Four.List(ctx, second)
		if err != nil || len(list) != 1 || list[0].Kind != foureyes.MandateGranted {
			t.Fatalf("%+v, %v", list, err)
		}
		for _, part := range []string{pki.Invented(2).CF, pki.Invented(3).CF, "Delegato", m.Since, m.Proof} {
			if !strings.Contains(list[0].Subject, part) {
				t.Errorf("%q does not say %s", list[0].Subject, part)
			}
		}
		for name, x := range map[string]struct {
			a    role.Actor
			want error
		}{"who asked": {first, foureyes.ErrSame}, "no right": {none, role.ErrDenied}, "who is in it": {involved, mandate.ErrSelf}, "elsewhere": {w.Operator("altro", 43, "R8"), foureyes.ErrNotFound}} {
			if err := w.Four.Decide(ctx, x.a, list[0].ID, true); !errors.Is(err, x.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := w.Four.Decide(ctx, second, list[0].ID, true); err != nil {
			t.Fatal(err)
		}
		found, err := d.Search(ctx, first, mandate.Query{Code: pki.Invented(2).CF, Reason: "allo sportello"})
		if err != nil || len(found) != 1 || found[0].State != mandate.Active || found[0].Operator != first.Operator || found[0].Who.CodiceFiscale != pki.Invented(3).CF {
			t.Fatalf("%+v, %v", found, err)
		}
		if n := count(t, w, "SELECT count(*) FROM journal j JOIN journal_personal p ON p.ente = j.ente AND p.seq = j.seq WHERE j.kind = 'mandate-changed' AND j.operator = ? AND p.data LIKE ?", second.Operator, "%"+first.Code+"%"); n != 2 {
			t.Errorf("%d rows name both", n)
		}
		// Refused, there is none.
		if _, err := d.GrantTo(ctx, first, m, party(2), party(4)); !errors.Is(err, foureyes.ErrPending) {
			t.Fatal(err)
		}
		if list, err = w.Four.List(ctx, second); err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		if err := w.Four.Decide(ctx, second, list[0].ID, false); err != nil || count(t, w, "SELECT count(*) FROM mandate") != 1 {
			t.Error(err)
		}
		// To end one waits for nobody.
		if err := d.RevokeAtDesk(ctx, first, found[0].ID, "lo chiede chi l'ha data"); err != nil {
			t.Error(err)
		}
	})
}

// One that was asked online and the desk accepts waits too; to refuse it does not.
func TestAcceptedByTwo(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		ctx, d := t.Context(), w.Mandates
		first, second := w.Operator("prova", 40, "R8"), w.Operator("prova", 41, "R8")
		state := func(id string) mandate.State {
			t.Helper()
			v, err := d.Open(ctx, first, id)
			if err != nil {
				t.Fatal(err)
			}
			return v.State
		}
		ask := func(n int) string {
			t.Helper()
			m, err := d.GrantTo(ctx, first, mandate.Mandate{Kind: mandate.Ward, Title: "Tutore", Since: w.Today().Format(time.DateOnly), Proof: "Decreto"}, party(2), party(n))
			if err == nil {
				_, err = w.Store.ExecContext(ctx, "UPDATE mandate SET state = 'asked', asked_by = agent, operator = 0 WHERE id = ?", m.ID)
			}
			if err != nil {
				t.Fatal(err)
			}
			return m.ID
		}
		one, two := ask(3), ask(4)
		w.FourEyes()
		if err := d.DecideAtDesk(ctx, first, two, false, "", "manca il decreto"); err != nil || state(two) != mandate.Refused {
			t.Errorf("%s, %v", state(two), err)
		}
		if err := d.DecideAtDesk(ctx, first, two, true, "", ""); !errors.Is(err, mandate.ErrState) {
			t.Error(err)
		}
		if err := d.DecideAtDesk(ctx, first, one, true, "Decreto 12/2026", ""); !errors.Is(err, foureyes.ErrPending) || state(one) != mandate.Asked {
			t.Fatalf("%s, %v", state(one), err)
		}
		list, err := w.Four.List(ctx, second)
		if err != nil || len(list) != 1 || !mandate.Accepts(list[0].Payload, one) || mandate.Accepts(list[0].Payload, two) || !strings.Contains(list[0].Subject, "Decreto 12/2026") {
			t.Fatalf("%+v, %v", list, err)
		}
		if err := w.Four.Decide(ctx, second, list[0].ID, true); err != nil || state(one) != mandate.Active {
			t.Errorf("%s, %v", state(one), err)
		}
	})
}
