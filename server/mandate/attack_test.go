package mandate_test

import (
	"errors"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/mandate"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/town"
)

// Whoever says at an assistance centre that somebody is there learns for whom they act:
// both see it in their accesses.
func TestActsByIsSeen(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		ctx, d := t.Context(), w.Mandates
		m, err := d.GrantTo(ctx, w.Operator("prova", 1, "R8"), mandate.Mandate{Kind: mandate.Delegate, Title: "Delegato", Since: w.Today().Format(time.DateOnly), Proof: "Carta d'identità CA00000AA"}, party(2), party(3))
		if err != nil {
			t.Fatal(err)
		}
		caf := w.Operator("prova", 4, "R-CAF1")
		found, err := d.ActsBy(ctx, caf, m.Agent, "instradamento")
		if err != nil || len(found) != 1 || found[0].Whose.CodiceFiscale != pki.Invented(2).CF {
			t.Fatal(found, err)
		}
		for _, p := range []int64{m.Agent, m.Principal} {
			if n := count(t, w, "SELECT count(*) FROM journal WHERE kind = 'person-read' AND person = ?", p); n != 1 {
				t.Error(p, n)
			}
		}
		if _, err := d.ActsBy(ctx, w.Operator("prova", 5, "R12"), m.Agent, "instradamento"); !errors.Is(err, role.ErrDenied) {
			t.Error(err)
		}
		if found, err := d.ActsBy(ctx, w.Operator("altro", 6, "R-CAF1"), m.Agent, "instradamento"); err != nil || len(found) != 0 {
			t.Error("another ente's", found, err)
		}
	})
}
