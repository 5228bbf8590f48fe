package console_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/mandate"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/testdata/town"
)

func account(t *testing.T, w *town.Town, kind person.Kind, code string) *person.Person {
	t.Helper()
	var p *person.Person
	err := w.Store.Tx(t.Context(), func(tx *sql.Tx) (err error) {
		p, err = person.EnsureAccount(t.Context(), tx, kind, code, "Prova", "Esempio", w.Today())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// askedMandates are parents' requests for their children, online.
func askedMandates(t *testing.T, w *town.Town, n int) (ids []string) {
	t.Helper()
	for i := range n {
		m, err := w.Mandates.Ask(t.Context(), "prova", account(t, w, person.Natural, town.FormOf(60+i).Code).ID, mandate.Mandate{
			Kind: mandate.Minor, Principal: account(t, w, person.Natural, w.Child(5+i)).ID, Agent: account(t, w, person.Natural, town.FormOf(60+i).Code).ID,
			Title: "Genitore", Since: w.Today().Format(time.DateOnly), Proof: "Estratto di nascita",
		})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, m.ID)
	}
	return ids
}
