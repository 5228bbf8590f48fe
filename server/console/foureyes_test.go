package console_test

import (
	"crypto/sha256"
	"database/sql"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/town"
)

var pendingID = regexp.MustCompile(`/conferme/([0-9a-f]{32})`)

// A mandate of the desk and a cancelled number wait for another operator where the ente has
// four eyes on; the pages say so, and where to decide.
func TestFourEyesPages(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	h := pages(t, w)
	w.FourEyes()
	first, second := as(t, w, h, w.Operator("prova", 60, "R6", "R8"), "192.0.2.1:1"), as(t, w, h, w.Operator("prova", 61, "R6", "R8"), "192.0.2.2:1")
	desk := as(t, w, h, w.Operator("prova", 62, "R8"), "192.0.2.3:1")
	other := as(t, w, h, w.Operator("altro", 63, "R6", "R8"), "192.0.2.4:1")
	sum := sha256.Sum256([]byte("x"))
	e := register.Entry{Ente: "prova", Time: w.Today(), Direction: register.In, Party: "Prova Esempio", Subject: "Iscrizione", SHA256: sum[:], Document: "d"}
	if err := w.Store.Tx(t.Context(), func(tx *sql.Tx) error { return register.Enter(t.Context(), tx, w.Keys, &e) }); err != nil {
		t.Fatal(err)
	}
	entry := fmt.Sprintf("%s/protocollo/%d/%d", path, e.Number.Year, e.Number.Number)
	decide := func(b *browser, grant string) *browser {
		t.Helper()
		b.get(path + "/conferme").wants(http.StatusOK)
		m := pendingID.FindStringSubmatch(b.body)
		if m == nil {
			t.Fatalf("nothing waits: %s", plain(b.body))
		}
		return b.send(path+"/conferme/"+m[1], "grant", grant)
	}

	first.get(entry).send(entry+"/annulla", "why", "Registrata due volte").wants(http.StatusSeeOther).follow().wants(http.StatusOK, "aspetta la conferma di un secondo operatore", "Su questa pagina c'è già un atto")
	if strings.Contains(first.body, entry+"/annulla") || strings.Contains(first.body, "ANNULLATA") {
		t.Error("offered again, or done")
	}
	decide(first, "yes").wants(http.StatusForbidden)
	desk.get(path + "/conferme").wants(http.StatusOK)
	if strings.Contains(desk.body, "Registrata due volte") {
		t.Error("shown to who has no right to it")
	}
	second.get(path + "/conferme")
	id := pendingID.FindStringSubmatch(second.body)[1]
	other.get(path+"/conferme").send(path+"/conferme/"+id, "grant", "yes").wants(http.StatusNotFound)
	desk.get(path+"/conferme").send(path+"/conferme/"+id, "grant", "yes").wants(http.StatusForbidden)
	decide(second, "yes").wants(http.StatusSeeOther)
	first.get(entry).wants(http.StatusOK, "ANNULLATA", town.FormOf(60).Family, town.FormOf(61).Family)

	whose, who := town.FormOf(20), town.FormOf(21)
	form := []string{"kind", "delegate", "title", "Delegato", "whose.code", whose.Code, "whose.family", whose.Family, "whose.given", whose.Given, "who.code", who.Code, "who.family", who.Family, "who.given", who.Given,
		"since", w.Today().Format(time.DateOnly), "document", "Carta d'identità", "number", "CA00000AA"}
	desk.get(path+"/deleghe/nuova").send(path+"/deleghe/nuova", form...).wants(http.StatusSeeOther).follow().wants(http.StatusOK, "aspetta la conferma di un secondo operatore")
	if n := storetest.Count(t, w.Store, "SELECT count(*) FROM mandate"); n != 0 {
		t.Error("it did not wait")
	}
	second.get(path+"/conferme").wants(http.StatusOK, "Nuova delega o rappresentanza", whose.Code, who.Code, "CA00000AA")
	// Meanwhile one of the two has died: it cannot be confirmed, and the page says why.
	if _, err := w.Store.ExecContext(t.Context(), "INSERT INTO person (kind, code, given, family, created, dead) VALUES ('person', ?, ?, ?, ?, ?)", who.Code, who.Given, who.Family, store.Time(w.Today()), store.Time(w.Today())); err != nil {
		t.Fatal(err)
	}
	decide(second, "yes").wants(http.StatusConflict, "Non si può più confermare", "decesso")
	if _, err := w.Store.ExecContext(t.Context(), "UPDATE person SET dead = ''"); err != nil {
		t.Fatal(err)
	}
	decide(second, "yes").wants(http.StatusSeeOther).follow().wants(http.StatusOK)
	if n := storetest.Count(t, w.Store, "SELECT count(*) FROM mandate WHERE state = 'active'"); n != 1 {
		t.Errorf("%d mandates", n)
	}
}

// Four eyes do not fall at one pair's word: to switch them off waits for a second operator,
// what else was changed with it does not; whoever is alone with the right is not shut in.
func TestFourEyesOff(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		h := pages(t, w)
		ctx := t.Context()
		e, err := w.Enti.Get(ctx, "prova")
		if err != nil {
			t.Fatal(err)
		}
		on := func(want bool) {
			t.Helper()
			if now, err := w.Enti.Get(ctx, "prova"); err != nil || now.FourEyes != want {
				t.Fatalf("%v, %v", now.FourEyes, err)
			}
		}
		only := w.Operator("prova", 70, "R6")
		w.Operator("altro", 73, "R6")
		w.Operator("prova", 74, "R8")
		for _, four := range []bool{true, false, true} {
			e.FourEyes = four
			if err := w.Enti.Update(ctx, only, *e); err != nil {
				t.Fatal(err)
			}
			on(four)
		}
		first, second := as(t, w, h, only, "192.0.2.1:1"), as(t, w, h, w.Operator("prova", 71, "R6"), "192.0.2.2:1")
		page := path + "/infrastruttura/ente"
		for range 2 { // asked twice, it waits once
			first.get(page).send(page, "ente-name", "Comune di Altrove", "secondFactor", "yes").wants(http.StatusSeeOther).follow().wants(http.StatusOK, "aspetta la conferma di un secondo operatore", "Comune di Altrove", "Su questa pagina c'è già un atto")
		}
		on(true)
		first.get(path+"/conferme").wants(http.StatusOK, "Spegnere i quattro occhi")
		id := pendingID.FindStringSubmatch(first.body)[1]
		if strings.Count(first.body, "Spegnere i quattro occhi") != 1 {
			t.Error("it waits twice")
		}
		first.send(path+"/conferme/"+id, "grant", "yes").wants(http.StatusForbidden)
		on(true)
		second.get(path+"/conferme").send(path+"/conferme/"+id, "grant", "yes").wants(http.StatusSeeOther)
		on(false)
	})
}
