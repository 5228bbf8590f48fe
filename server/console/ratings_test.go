package console_test

import (
	"database/sql"
	"net/http"
	"strings"
	"testing"

	"github.com/citel-pa/citel/server/rating"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/town"
)

// The own ente's stars and words, escaped, and nothing of another's.
func TestRatingsOfTheServices(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	for ente, words := range map[string]string{"prova": "Troppe <pagine>", "altro": "Di un altro"} {
		id := store.NewID()
		err := w.Store.Tx(t.Context(), func(tx *sql.Tx) error {
			_, err := tx.ExecContext(t.Context(), "INSERT INTO application (id, ente, service, version, person, level, state, fields, created, changed) VALUES (?, ?, 'instradamento', 0, 0, 1, 'sent', '{}', '', '')", id, ente)
			return err
		})
		if err == nil {
			err = w.Ratings.Rate(t.Context(), ente, "instradamento", id, rating.Rating{Stars: 2, Aspect: "unclear", Text: words})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	h := pages(t, w)
	b := as(t, w, h, w.Operator("prova", 5, "R12"), "192.0.2.5:1").get(path + "/valutazioni").wants(http.StatusOK)
	for _, want := range []string{"Troppe &lt;pagine&gt;", "2,0", "5 stelle", "Le indicazioni non erano chiare: 1"} {
		if !strings.Contains(b.body, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if !strings.Contains(plain(b.body), "1 2,0 0 1 0 0 0 ") {
		t.Error(plain(b.body))
	}
	if strings.Contains(b.body, "Di un altro") {
		t.Error("another ente's words")
	}
	as(t, w, h, w.Operator("prova", 6, "R-CAF1"), "192.0.2.6:1").get(path + "/valutazioni").wants(http.StatusForbidden)
}
