package console_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/feedback"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/town"
)

// A report is listed, opened and answered by the own ente alone; header, footer and colour
// are the ente's.
func TestReportsAndFurniture(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	h := pages(t, w)
	if _, err := w.Feedback.Send(t.Context(), feedback.Report{Ente: "prova", Text: "Non si legge <b>", Email: "vera@example.org"}, "192.0.2.9"); err != nil {
		t.Fatal(err)
	}
	clerk := as(t, w, h, w.Operator("prova", 80, "R7"), "192.0.2.1:1")
	clerk.get("/consolleente/accessibilita").wants(http.StatusOK, "Segnalazioni di accessibilità", "da rispondere")
	clerk.get("/consolleente/accessibilita/1").wants(http.StatusOK, "Non si legge <b>", "vera@example.org")
	clerk.send("/consolleente/accessibilita/1", "answer", "").wants(http.StatusUnprocessableEntity, "Scrivi la risposta")
	clerk.send("/consolleente/accessibilita/1", "answer", "Corretto").follow().wants(http.StatusOK, "Corretto")
	other := as(t, w, h, w.Operator("altro", 81, "R7"), "192.0.2.2:1")
	other.get("/consolleente/accessibilita/1").wants(http.StatusNotFound)
	boss := as(t, w, h, w.Operator("prova", 82, "R6"), "192.0.2.3:1")
	boss.get("/consolleente/infrastruttura/portale").wants(http.StatusOK, "Intestazione e piè di pagina")
	boss.send("/consolleente/infrastruttura/portale", "declaration", "javascript:x").wants(http.StatusUnprocessableEntity, "https://")
	boss.send("/consolleente/infrastruttura/portale", "public-email", "urp@example.org", "europe", "yes").follow().wants(http.StatusOK, "urp@example.org")
	if p, err := w.Enti.Public(t.Context(), "prova"); err != nil || *p != (ente.Public{Email: "urp@example.org", Europe: true}) {
		t.Error(p, err)
	}
	e, err := w.Enti.Get(t.Context(), "prova")
	if err != nil {
		t.Fatal(err)
	}
	e.Color = "#004d26"
	if err := w.Enti.Update(t.Context(), w.Operator("prova", 83, "R6"), *e); err != nil {
		t.Fatal(err)
	}
	if b := boss.get("/consolleente/ente.css"); b.status != http.StatusOK || !strings.Contains(b.body, "#004d26") {
		t.Error(b.status, b.body)
	}
}
