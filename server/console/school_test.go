package console_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/server/submission"
	"github.com/citel-pa/citel/testdata/town"

	"database/sql"

	"github.com/citel-pa/citel/server/person"
)

// nursery sends an application of an invented person, whose child has the same number.
func nursery(t *testing.T, w *town.Town, n int, answers ...string) *submission.Application {
	t.Helper()
	ctx, f := t.Context(), town.FormOf(n)
	v := submission.Visitor{Ente: "prova", Level: session.Forte, Profile: "cns", Email: f.Email, Address: "192.0.2.1:1"}
	err := w.Store.Tx(ctx, func(tx *sql.Tx) (err error) {
		v.Person, err = person.EnsureAccount(ctx, tx, person.Natural, f.Code, f.Given, f.Family, w.Today())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{"child-given": "Bimba", "child-family": "Segreta", "child-cf": w.Child(n), "child-born": w.Today().AddDate(-1, 0, -n).Format(time.DateOnly), "relation": "parent", "other": "none",
		"email": f.Email, "first": "girasole", "time": "full", "vaccination": "done"}
	for i := 0; i+1 < len(answers); i += 2 {
		values[answers[i]] = answers[i+1]
	}
	a, err := w.Applications.Start(ctx, v, "iscrizione-nido")
	if err != nil {
		t.Fatal(err)
	}
	if errs, err := w.Applications.Save(ctx, v, a.ID, func(id string) string { return values[id] }, true); err != nil || len(errs) > 0 {
		t.Fatal(errs, err)
	}
	if _, err = w.Applications.Make(ctx, v, a.ID, true, a.Service.Privacy.Version); err == nil {
		a, err = w.Applications.Send(ctx, v, a.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// unsigned publishes the nursery's service as one that the card's session sends alone.
func unsigned(t *testing.T, w *town.Town) {
	t.Helper()
	text := strings.Replace(string(service.Defaults["iscrizione-nido"]), "signature: required", "signature: none", 1)
	if _, err := w.Services.Publish(t.Context(), w.Operator("prova", 90, "R6"), []byte(text), 0); err != nil {
		t.Fatal(err)
	}
}

var callAddress = regexp.MustCompile(`^/consolleente/istruzione/([0-9a-f]+)$`)

// Istruzione: a call, seats, checks, lists, offers and answers, as the desk does it.
func TestSchool(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		unsigned(t, w)
		h := pages(t, w)
		b := as(t, w, h, w.Operator("prova", 10, "R20"), "192.0.2.3:1")
		at := path + "/istruzione"
		day := w.Today().In(register.Rome()).Format(time.DateOnly)
		b.get(at).wants(http.StatusOK, "Nessun bando", "Iscrizione al nido comunale")
		b.send(at, "servizio", "iscrizione-nido", "titolo", "2026/2027 bis", "dal", day, "al", "2020-01-01", "termine", "5").wants(http.StatusUnprocessableEntity, "la fine viene dopo l'inizio", `value="2026/2027 bis"`)
		b.send(at, "servizio", "instradamento", "titolo", "x", "dal", day, "al", day, "termine", "5").wants(http.StatusUnprocessableEntity, "non ha una graduatoria")
		b.send(at, "servizio", "iscrizione-nido", "titolo", "2026/2027", "dal", day, "al", day, "termine", "5").wants(http.StatusSeeOther)
		m := callAddress.FindStringSubmatch(b.header.Get("Location"))
		if m == nil {
			t.Fatal(b.header)
		}
		call := at + "/" + m[1]
		one, two := nursery(t, w, 1, "both-work", "yes", "isee", "9.000,00"), nursery(t, w, 2)
		code := submission.RankingCode(one.ID)
		b.get(call).wants(http.StatusOK, code, "Domande nell'ordine di oggi: 2", one.Protocol(), "Girasole, Tempo pieno")
		if strings.Contains(b.body, "Segreta") || strings.Contains(b.body, town.FormOf(1).Code) {
			t.Error("the list of applications has names")
		}
		b.send(call+"/posti", "posti.girasole.full", "uno").wants(http.StatusUnprocessableEntity, `value="uno"`, "numero intero")
		seats := []string{}
		for _, school := range []string{"arcobaleno", "girasole", "acquerello"} {
			for _, hours := range []string{"full", "morning"} {
				n := "0"
				if school == "girasole" && hours == "full" {
					n = "1"
				}
				seats = append(seats, "posti."+school+"."+hours, n)
			}
		}
		b.send(call+"/posti", seats...).wants(http.StatusSeeOther)
		b.get(call).send(call+"/elenco", "tipo", "provisional").wants(http.StatusConflict, "Le domande possono ancora arrivare")
		w.Move(24 * time.Hour)
		b = as(t, w, h, w.Operator("prova", 11, "R20"), "192.0.2.3:1")

		// What was declared is verified and corrected, with the reason.
		file := call + "/domande/" + one.ID
		b.get(file).wants(http.StatusOK, "Come si formano i punti", "Entrambi i genitori lavorano", "decide a parità di punti", "9.000,00 €")
		b.send(file+"/verifica", "campo", "both-work", "valore", "").wants(http.StatusUnprocessableEntity, "Scrivi il motivo")
		b.send(file+"/verifica", "campo", "both-work", "valore", "yes").wants(http.StatusSeeOther)
		b.get(file).send(file+"/verifica", "campo", "isee", "valore", "10.000,00", "motivo", "banca dati INPS").wants(http.StatusSeeOther)
		b.follow().wants(http.StatusOK, "banca dati INPS", "10.000,00 €", "Salvato")
		b.send(call+"/elenco", "tipo", "final").wants(http.StatusConflict, "Pubblica prima la graduatoria provvisoria")
		b.send(call+"/elenco", "tipo", "provisional").wants(http.StatusSeeOther).follow().wants(http.StatusOK, "provvisoria, da pubblicare", code, "ammessa", "lista d'attesa")
		b.get(call + "/elenco/1/pdf").wants(http.StatusNotFound)
		b.get(call+"/elenco/1").send(call+"/elenco/1/pubblica").wants(http.StatusSeeOther).follow().wants(http.StatusOK, "provvisoria, pubblicata")
		if b.get(call + "/elenco/1/pdf").wants(http.StatusOK); !strings.HasPrefix(b.body, "%PDF") {
			t.Error("no PDF")
		}
		b.get(call).send(call+"/elenco/1/pubblica").wants(http.StatusConflict, "già pubblicata")
		b.send(call+"/elenco", "tipo", "final").wants(http.StatusSeeOther)
		b.get(call).send(call + "/elenco/2/pubblica").wants(http.StatusSeeOther)
		b.get(call+"/offerte").wants(http.StatusOK, code, "offerto")
		b.get(file).wants(http.StatusOK, "Risposta allo sportello").send(file+"/offerta", "n", "1", "risposta", "rinuncia").wants(http.StatusUnprocessableEntity, "Scrivi il motivo")
		b.send(file+"/offerta", "n", "1", "risposta", "forse", "motivo", "x").wants(http.StatusUnprocessableEntity)
		b.send(file+"/offerta", "n", "1", "risposta", "rinuncia", "motivo", "di persona").wants(http.StatusSeeOther)
		b.get(call+"/offerte").wants(http.StatusOK, "rinunciato", submission.RankingCode(two.ID))
		b.get(call+"/domande/"+two.ID).wants(http.StatusOK, "Risposta allo sportello").send(call+"/domande/"+two.ID+"/esclusione", "fuori", "si", "motivo", "non residente").wants(http.StatusSeeOther)
		b.get(call+"/domande/"+two.ID).wants(http.StatusOK, "non residente", "cessato")
		b.get(call + "/domande.csv").wants(http.StatusOK)
		if lines := strings.Split(strings.TrimSpace(b.body), "\n"); len(lines) != 3 || !strings.Contains(lines[1], code+";"+one.Protocol()) || strings.Contains(b.body, "Segreta") {
			t.Error(b.body)
		}
		if n := storetest.Count(t, w.Store, fmt.Sprintf("SELECT count(*) FROM journal WHERE kind = 'person-read' AND person = %d", one.Person)); n == 0 {
			t.Error("that the application was read is not in the log")
		}

		// Another ente's desk finds nothing, whatever it asks.
		other := as(t, w, h, w.Operator("altro", 12, "R20", "R25"), "192.0.2.9:1")
		other.get(at).wants(http.StatusOK, "Nessun bando")
		for _, x := range []string{"", "/elenco/1", "/elenco/1/pdf", "/offerte", "/domande.csv", "/domande/" + one.ID} {
			other.get(call + x).wants(http.StatusNotFound)
		}
		for _, x := range []string{"", "/posti", "/elenco", "/elenco/1/pubblica", "/domande/" + one.ID + "/verifica", "/domande/" + one.ID + "/esclusione", "/domande/" + one.ID + "/offerta"} {
			other.get(at).send(call+x, "tipo", "provisional", "campo", "isee", "motivo", "x", "n", "1", "risposta", "rinuncia").wants(http.StatusNotFound)
		}
	})
}
