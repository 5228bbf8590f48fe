package console_test

import (
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/server/submission"
	"github.com/citel-pa/citel/testdata/town"
)

// The notice before a refusal at the desk: who tries to go round it is told what to do, the
// term that stands still is shown everywhere, and the refusal deals with the observations.
func TestNoticeAtTheDesk(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		h := pages(t, w)
		ctx := t.Context()
		w.Publish(1)
		urp := w.Operator("prova", 2, "R12")
		v := w.WithCard(citizen(t, w, 20).Person, "persona@example.org")
		a := w.Applies(v)
		page, day := path+"/pratiche/"+a.ID, func(n int) time.Time { return w.Today().In(register.Rome()).AddDate(0, 0, n) }
		b := as(t, w, h, urp, "192.0.2.2:1")
		b.get(page).wants(200, "Comunica i motivi ostativi", "Per respingere: Non si può respingere", `name="outcome"`)
		for _, not := range []string{page + "/ricevimento", page + "/osservazioni", `name="about"`} {
			if strings.Contains(b.body, not) {
				t.Errorf("%s is offered", not)
			}
		}
		b.send(page+"/carico").wants(303, "").get(page)

		// Ways round: what was typed stays, the remedy is said.
		b.send(page+"/risposta", "words", "Respinta, è stretto").wants(422, "Scegli l'esito", "Respinta, è stretto</textarea>")
		b.send(page+"/risposta", "words", "Respinta, è stretto", "outcome", "refused").wants(422, "prima di aver comunicato i motivi ostativi", "Respinta, è stretto</textarea>", `value="refused" selected`)
		b.send(page+"/chiusura", "words", "Archiviata").wants(422, "né chiudere senza risposta", "Archiviata</textarea>")
		b.send(page+"/preavviso", "words", " ").wants(422, "Scrivi un testo")
		// Who may not: the other ente, another topic's desk, who reads only.
		as(t, w, h, w.Operator("altro", 3, "R12"), "192.0.2.3:1").get(path+"/password").send(page+"/preavviso", "words", "x").wants(404, "")
		as(t, w, h, w.Operator("prova", 4, "R20"), "192.0.2.4:1").get(path+"/password").send(page+"/preavviso", "words", "x").wants(403, "")
		as(t, w, h, w.Operator("prova", 5, "R11"), "192.0.2.5:1").get(path+"/password").send(page+"/preavviso", "words", "x").wants(403, "")

		b.get(page).twice(page+"/preavviso", "words", "Il marciapiede è <b>stretto</b>.")
		b.follow().wants(200, "I motivi ostativi sono comunicati", "Il marciapiede è", "sospeso fino al "+day(10).Format("02/01/2006")+" per i motivi ostativi (10 giorni)",
			"osservazioni fino al "+day(10).Format("02/01/2006"), page+"/carte/preavviso.pdf", "protocollo in uscita", "Registra osservazioni")
		if strings.Contains(b.body, "<b>stretto") {
			t.Error("what was written acts on the page")
		}
		if strings.Contains(b.body, page+"/preavviso\"") {
			t.Error("a second notice is offered")
		}
		b.get(page+"/carte/preavviso.pdf").wants(200, "%PDF")
		b.get(path+"/pratiche?stato=notice").wants(200, a.Number.String(), "(10 giorni)", "Motivi ostativi comunicati")
		b.get(path+"/pratiche/conteggi").wants(200, "Sospese ora", "10,0")
		b.get(path+"/pratiche/conteggi.csv").wants(200, "sospese;giorni-sospesi-medi", "notice;1;0,0;0;1;10,0")
		b.get(page).send(page+"/risposta", "words", "Respinta", "outcome", "refused").wants(422, "fino al "+day(10).Format("02/01/2006")+" com")
		b.send(page+"/osservazioni", "words", "Per PEC", "day", day(1).Format(time.DateOnly)).wants(422, "Scrivi un giorno", "Per PEC</textarea>")

		// The citizen answers; the operator's page of before has no field for it, and says so.
		if err := w.Applications.Observe(ctx, v, a.ID, "Resta un metro e mezzo."); err != nil {
			t.Fatal(err)
		}
		b.send(page+"/risposta", "words", "Respinta", "outcome", "refused").wants(422, "Ci sono osservazioni presentate nel termine", `name="about"`, "Resta un metro e mezzo.")
		b.get(page+"/carte/osservazioni-1.pdf").wants(200, "%PDF")
		b.get(page+"/carte/osservazioni-2.pdf").wants(404, "")
		b.get(page).twice(page+"/risposta", "words", "Respinta", "outcome", "refused", "about", "La misura è di un altro tratto.")
		b.follow().wants(200, "Sulle osservazioni presentate: La misura è di un altro tratto.", "protocollo in entrata", "Risposta data")
		if x, err := w.Applications.AnswerOf(ctx, a); err != nil || x.Outcome != submission.Refused {
			t.Error(x, err)
		}
		if n := storetest.Count(t, w.Store, "SELECT count(*) FROM register_entry WHERE ente = 'prova'"); n != 4 {
			t.Errorf("%d entries", n)
		}

		// Nobody can be mailed: the desk says when it was received.
		c := w.Applies(w.WithCard(v.Person, ""))
		page = path + "/pratiche/" + c.ID
		b.get(page).send(page+"/preavviso", "words", "Motivi").wants(303, "").follow().wants(200, "annota quando sono stati ricevuti", "Annota il ricevimento dei motivi")
		b.send(page+"/risposta", "words", "No", "outcome", "refused").wants(422, "Annota il ricevimento")
		b.send(page+"/ricevimento", "words", "a mano", "day", day(0).Format(time.DateOnly)).wants(303, "").follow().wants(200, "i dieci giorni partono da lì", "Ricevuta il "+day(0).Format("02/01/2006")+": a mano")
		b.send(page+"/osservazioni", "words", "Portate allo sportello.", "day", day(0).Format(time.DateOnly)).wants(303, "").follow().wants(200, "Le osservazioni sono registrate in entrata", "Portate allo sportello.")
	})
}
