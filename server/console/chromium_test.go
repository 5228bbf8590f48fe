package console_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/citel-pa/citel/server/deposit"
	"github.com/citel-pa/citel/server/foureyes"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/chromium"
	"github.com/citel-pa/citel/testdata/town"
)

// The back office in a browser: nothing serious for axe-core at both widths, and an
// application is answered by the keyboard alone.
func TestBackOfficeInABrowser(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	h := pages(t, w)
	// R9 is an administrator and a desk.
	all := w.Operator("prova", 1, "R9")
	colleague := w.Operator("prova", 2, "R12")
	if err := w.Operators.SetOffices(t.Context(), all, colleague.Operator, []string{"Ambiente", "URP"}); err != nil {
		t.Fatal(err)
	}
	v := citizen(t, w, 20)
	late := writes(t, w, v, "waste", "Il cassonetto di Via Prova è pieno da una settimana.", plainPDF(t, w))
	w.Move(45 * 24 * time.Hour)
	a := writes(t, w, v, "other", "Buongiorno,\nvorrei sapere gli orari dell'ufficio.\n\nGrazie")
	if err := w.Applications.Take(t.Context(), colleague, late.ID); err != nil {
		t.Fatal(err)
	}
	if err := w.Applications.More(t.Context(), colleague, late.ID, "In quale via esattamente?"); err != nil {
		t.Fatal(err)
	}
	if err := w.Applications.Reply(t.Context(), v, late.ID, "Via Prova 12"); err != nil {
		t.Fatal(err)
	}
	w.Publish(3)
	told := w.Applies(w.WithCard(v.Person, v.Email))
	if err := w.Applications.GiveNotice(t.Context(), all, told.ID, "Il marciapiede è largo 1,80 m, ne servono 2,00."); err != nil {
		t.Fatal(err)
	}
	since := w.Today().Add(-time.Hour)
	series, err := w.Register.OpenEmergency(t.Context(), all, "Interruzione della corrente in tutto il palazzo", since)
	if err != nil {
		t.Fatal(err)
	}
	w.Move(24 * time.Hour)
	w.Deposits.To = deposit.Folder(t.TempDir())
	if err := errors.Join(w.Register.CloseDays(t.Context()), w.Deposits.Run(t.Context())); err != nil {
		t.Fatal(err)
	}
	s := as(t, w, h, all, "192.0.2.1:1").window("console")
	s.Look("pratiche", path+"/pratiche?stato=tutte")
	s.Look("pratica", path+"/pratiche/"+late.ID)
	s.Look("pratica-motivi", path+"/pratiche/"+told.ID)
	s.Look("conteggi", path+"/pratiche/conteggi?dal=2020-01-01")
	s.Look("argomenti", path+"/uffici/argomenti")
	s.Look("operatori-uffici", path+"/uffici/operatori")
	s.Look("operatore-uffici", fmt.Sprintf("%s/uffici/operatori/%d", path, colleague.Operator))
	s.Look("protocollo", path+"/protocollo")
	s.Look("registrazione", fmt.Sprintf("%s/protocollo/%d/%d", path, late.Number.Year, late.Number.Number))
	s.Look("verifica", path+"/protocollo/verifica")
	s.Look("giorni", path+"/protocollo/giorni")
	s.Look("emergenze", path+"/protocollo/emergenza")
	s.Look("emergenza", fmt.Sprintf("%s/protocollo/emergenza/%d", path, series))
	s.Look("versamenti", path+"/protocollo/versamenti")
	s.Look("scarto", path+"/protocollo/scarto")
	w.FourEyes()
	if err := w.Register.Cancel(t.Context(), w.Operator("prova", 4, "R6"), late.Number, "Registrata due volte"); !errors.Is(err, foureyes.ErrPending) {
		t.Fatal(err)
	}
	s.Look("conferme", path+"/conferme")
	s.Look("registrazione-attesa", fmt.Sprintf("%s/protocollo/%d/%d", path, late.Number.Year, late.Number.Number))
	as(t, w, h, colleague, "192.0.2.2:1").get(path + "/infrastruttura/posta")
	s.Look("accessi-negati", path+"/accessi-negati")

	// By keyboard: to the act, opened with Enter, written, sent.
	chromium.Do(s, "the application", chromium.Navigate(s.Origin+path+"/pratiche/"+a.ID))
	keys := func(what, all string) {
		t.Helper()
		chromium.Do(s, what, chromedp.KeyEvent(all))
	}
	tab := func(want string) {
		t.Helper()
		s.Tab(`e.textContent.trim() === "` + want + `" || e.name === "` + want + `" && e.checkVisibility()`)
	}
	tab("Rispondi")
	keys("open", "\r")
	tab("words")
	keys("write", "Ufficio aperto dalle 9 alle 13.")
	tab("Rispondi") // the button
	keys("send", "\r")
	s.Wait(`a[href$="/carte/risposta.pdf"]`)
	s.Check("risposta")
	if x, err := w.Applications.Get(t.Context(), v, a.ID); err != nil || x.State != "answered" {
		t.Error(x, err)
	}
	if text := chromium.Do(s, "text", chromedp.Evaluate[string]("document.body.innerText")); !strings.Contains(text, "protocollo in uscita") {
		t.Error(text)
	}
}
