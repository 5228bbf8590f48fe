package console_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/citel-pa/citel/server/mandate"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/chromium"
	"github.com/citel-pa/citel/testdata/town"
)

// The pages of mandates and of assisted filing in a browser: accessible at both widths,
// and the keyboard alone is enough.
func TestDeskInABrowser(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	cards(t, w)
	h := pages(t, w)
	ids := askedMandates(t, w, 1)
	desk := as(t, w, h, w.Operator("prova", 1, "R8"), "192.0.2.7:1")
	s := desk.window("desk")
	s.Open(path+"/deleghe", "h1")
	s.Check("deleghe")
	s.Open(path+"/deleghe/"+ids[0], "h1")
	s.Check("delega")
	s.Open(path+"/deleghe/nuova", "#f-kind")
	s.Check("delega-nuova")
	chromium.Do(s, "submit", chromium.Click("[name=act][value=confirm]"))
	s.Wait("#wrong")
	s.Check("delega-errori")

	caf := as(t, w, h, w.Operator("prova", 5, "R-CAF1"), "192.0.2.8:1")
	m, err := w.Mandates.GrantTo(t.Context(), w.Operator("prova", 6, "R8"), mandate.Mandate{Kind: mandate.Ward, Title: "Tutore", Since: w.Today().AddDate(0, 0, -1).Format(time.DateOnly), Proof: "Decreto 12/2026"}, party(30), party(20))
	if err != nil {
		t.Fatal(err)
	}
	one := caf.beginAt(w, "iscrizione-nido", 20, "other", "yes", "mandate", m.ID).draft()
	s = caf.window("desk")
	s.Open(path+"/assistita", "h1")
	s.Check("assistita")
	s.Open(path+"/assistita/nuova", "#f-service")
	s.Check("assistita-nuova")
	chromium.Do(s, "submit", chromium.Click("[name=act][value=confirm]"))
	s.Wait("#wrong")
	s.Check("assistita-errori")

	// The first step with the keyboard.
	s.Open(one+"/passo/1", "#f-child-given")
	s.Check("assistita-passo")
	for i := 0; i < len(nidoSteps[0]); i += 2 {
		s.Tab(`e.matches("#f-` + nidoSteps[0][i] + `")`)
		if nidoSteps[0][i] == "child-born" {
			chromium.Do(s, "date", chromium.SetValue("#f-child-born", nidoSteps[0][i+1]))
			continue
		}
		chromium.Do(s, nidoSteps[0][i], chromedp.KeyEvent(nidoSteps[0][i+1]))
	}
	s.Tab(`e.matches(".form-buttons button")`)
	chromium.Do(s, "enter", chromedp.KeyEvent(kb.Enter))
	s.Wait("#f-email")
	s.Check("assistita-passo-2")
	caf.get(one+"/passo/2").send(one+"/passo/2", "relation", "guardian", "email", "genitore@example.org", "other", "none").wants(http.StatusSeeOther)
	s.Open(one+"/passo/6", "h1")
	chromium.Do(s, "an item", chromium.Click(`[value="collectors.add"]`))
	s.Wait(`[id="item-collectors.1"]`)
	if got := s.JS("document.activeElement.id"); got != "f-collectors.1.collector-given" {
		t.Errorf("after an item is added the focus is at %q", got)
	}
	s.Check("assistita-voci")
	s.Open(one+"/allegati", "#f-file-custody")
	s.Check("assistita-allegati")
	s.Open(one+"/riepilogo", "h1")
	s.Check("assistita-riepilogo")
	caf.toSign(one)
	s.Open(one+"/firma", "#card-sign")
	s.Check("assistita-firma")
	chromium.Do(s, "without the scans", chromium.Click("form[action$='/firma/foglio'] button"))
	s.Wait("#wrong-note")
	s.Check("assistita-firma-errore")
	for _, slot := range []string{"paper", "identity"} {
		caf.get(one+"/firma").file(one+"/allegati", "file", slot+".png", picture(t), "slot", slot).wants(http.StatusSeeOther)
	}
	s.Open(one+"/firma", "#card-sign")
	s.Check("assistita-firma-scansioni")
	chromium.Do(s, "on paper", chromium.Click("form[action$='/firma/foglio'] button"))
	s.Wait(".alert-success")
	s.Check("assistita-inviata")
}
