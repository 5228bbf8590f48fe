package rating_test

import (
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/citel-pa/citel/server/rating"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/testdata/town"
)

// application writes the row that a rating is about.
func application(t *testing.T, w *town.Town) string {
	t.Helper()
	id := store.NewID()
	err := w.Store.Tx(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(t.Context(), "INSERT INTO application (id, ente, service, version, person, level, state, fields, created, changed) VALUES (?, 'prova', 'instradamento', 0, 0, 1, 'sent', '{}', '', '')", id)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestRatings(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		d, ctx := w.Ratings, t.Context()
		for _, r := range []rating.Rating{{Stars: 0}, {Stars: 6}, {Stars: 3, Text: strings.Repeat("è", rating.MaxText+1)}, {Stars: 3, Text: "\xff"}} {
			if err := d.Rate(ctx, "prova", "instradamento", application(t, w), r); !errors.Is(err, rating.ErrInvalid) {
				t.Errorf("%+v: %v", r, err)
			}
		}
		once := application(t, w)
		if done, err := d.Rated(ctx, once); err != nil || done {
			t.Error(done, err)
		}
		if err := d.Rate(ctx, "prova", "instradamento", once, rating.Rating{Stars: 2, Aspect: "unclear", Text: " Troppe pagine "}); err != nil {
			t.Fatal(err)
		}
		if done, err := d.Rated(ctx, once); err != nil || !done {
			t.Error(done, err)
		}
		if err := d.Rate(ctx, "prova", "instradamento", once, rating.Rating{Stars: 5}); !errors.Is(err, rating.ErrDone) {
			t.Error("rated twice", err)
		}
		// An aspect of the other kind is left out.
		if err := d.Rate(ctx, "prova", "instradamento", application(t, w), rating.Rating{Stars: 5, Aspect: "unclear"}); err != nil {
			t.Fatal(err)
		}
		desk := w.Operator("prova", 5, "R12")
		all, err := d.Counts(ctx, desk)
		if err != nil || len(all) != 1 || all[0].Stars != [5]int{0, 1, 0, 0, 1} || all[0].N() != 2 || all[0].Mean() != 3.5 || all[0].Aspects["unclear"] != 1 {
			t.Errorf("%+v, %v", all, err)
		}
		words, err := d.Words(ctx, desk, 10)
		if err != nil || len(words) != 1 || words[0].Text != "Troppe pagine" || words[0].Stars != 2 {
			t.Errorf("%+v, %v", words, err)
		}
		if all, err := d.Counts(ctx, w.Operator("altro", 6, "R12")); err != nil || len(all) != 0 {
			t.Error("another ente's figures", all, err)
		}
		if _, err := d.Counts(ctx, w.Operator("prova", 7, "R14")); !errors.Is(err, role.ErrDenied) {
			t.Error(err)
		}
	})
}
