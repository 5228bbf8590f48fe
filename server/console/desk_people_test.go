package console_test

import (
	"bytes"
	"database/sql"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/mandate"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/session"
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
		by := mandate.By{Person: account(t, w, person.Natural, town.FormOf(60+i).Code).ID, Level: session.Media}
		m, err := w.Mandates.Ask(t.Context(), "prova", by, mandate.Wish{
			Kind: mandate.Minor, Code: w.Child(5 + i), Given: "Nina", Name: "Esempio", Title: "Genitore", Since: w.Today().In(register.Rome()).Format(time.DateOnly),
			Proof: bytes.NewReader(picture(t)), Size: int64(len(picture(t))), File: "prova.png",
		})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, m.ID)
	}
	return ids
}

func party(n int) person.Party {
	f := town.FormOf(n)
	return person.Party{Kind: person.Natural, Code: f.Code, Given: f.Given, Family: f.Family}
}
