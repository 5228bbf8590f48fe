package mandate_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/mandate"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/town"
)

// With a codice fiscale alone nobody learns whether there is an account, nor its name: not by
// what is missing in a form, not by a wish that the desk has refused.
func TestAskingTellsNothingOfTheOther(t *testing.T) {
	town.Each(t, func(t *testing.T, town *town.Town) {
		d, ctx := town.Mandates, t.Context()
		me := account(t, town, person.Natural, pki.Invented(1).CF)
		account(t, town, person.Natural, town.Child(6))
		by := mandate.By{Person: me, Level: session.Media}
		wish := func(code, given, name string) mandate.Wish {
			data := picture(t)
			return mandate.Wish{Kind: mandate.Minor, Code: code, Given: given, Name: name, Title: "Genitore", Since: town.Today().Format(time.DateOnly), Proof: bytes.NewReader(data), Size: int64(len(data)), File: "a.png"}
		}
		for what, code := range map[string]string{"an account": town.Child(6), "none": town.Child(7)} {
			var invalid *mandate.InvalidError
			if _, err := d.Ask(ctx, "prova", by, wish(code, "", "")); !errors.As(err, &invalid) || invalid.Code != "name" {
				t.Errorf("%s: %v", what, err)
			}
		}
		m, err := d.Ask(ctx, "prova", by, wish(town.Child(6), "Chi", "Sarà"))
		if err != nil {
			t.Fatal(err)
		}
		if err := d.DecideAtDesk(ctx, town.Operator("prova", 9, "R8"), m.ID, false, "", "La prova non dice nulla"); err != nil {
			t.Fatal(err)
		}
		all, err := d.Of(ctx, "prova", me)
		if err != nil || len(all) != 1 || all[0].State != mandate.Refused || all[0].NamesOther(me) {
			t.Errorf("%+v %v", all, err)
		}
	})
}

// Who takes a wish back and asks again mails somebody else each time: there is an end to it.
func TestAskingAgainAndAgainEnds(t *testing.T) {
	town.Each(t, func(t *testing.T, town *town.Town) {
		d, ctx := town.Mandates, t.Context()
		by := mandate.By{Person: account(t, town, person.Natural, pki.Invented(1).CF), Level: session.Media}
		w := mandate.Wish{Kind: mandate.Delegate, Code: pki.Invented(2).CF, Title: "Delegato", Since: town.Today().Format(time.DateOnly)}
		n := 0
		for ; n < 40; n++ {
			m, err := d.Ask(ctx, "prova", by, w)
			if errors.Is(err, mandate.ErrTooMany) {
				break
			}
			if err == nil {
				err = d.Revoke(ctx, "prova", m.ID, by, "online")
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if n != 30 {
			t.Errorf("asked %d times", n)
		}
		town.Move(25 * time.Hour)
		w.Since = town.Today().Format(time.DateOnly)
		if _, err := d.Ask(ctx, "prova", by, w); err != nil {
			t.Error("the day after", err)
		}
	})
}
