package console_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/citel-pa/citel/server/ranking"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/chromium"
	"github.com/citel-pa/citel/testdata/town"
)

// The editor in a browser: accessible at both widths; a problem's link puts the cursor on
// its line; numbers stand beside their lines; the keyboard alone publishes.
func TestEditorInABrowser(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	h := pages(t, w)
	b := as(t, w, h, w.Operator("prova", 10, "R6"), "192.0.2.3:1")
	at := path + "/portale/iscrizione-nido"
	good := string(service.Defaults["iscrizione-nido"])
	b.get(at).sendText(at, strings.Replace(good, "kind: money", "kind: gold", 1), "0", "save").wants(http.StatusOK)
	s := b.window("console")
	s.Open(path+"/portale", "#t-services")
	s.Check("servizi")
	s.Open(path+"/schema-servizi", "#t-schema")
	s.Check("schema")
	s.Open(path+"/nuovo-servizio", "#f-servizio")
	s.Check("nuovo-servizio")
	s.Open(at, "#f-testo")
	chromium.Do(s, "check", chromium.Click(`button[value="check"]`))
	s.Wait("#wrong")
	s.Check("editor")
	// The number of a line stands where its text is (both begin at the same height, lines are 20px).
	if got := s.JS(`(() => { const a = document.getElementById("L1").getBoundingClientRect(), b = document.getElementById("L101").getBoundingClientRect(); return String((b.top - a.top) / 100) + " " + getComputedStyle(document.getElementById("f-testo")).lineHeight })()`); got != "20 20px" {
		t.Error("lines and numbers:", got)
	}
	chromium.Do(s, "the first problem", chromium.Click(`a[data-line]`))
	if got := s.JS(`(() => { const x = document.getElementById("f-testo"); return document.activeElement === x ? x.value.slice(x.selectionStart, x.selectionEnd) : "no focus" })()`); !strings.Contains(got, "kind: gold") {
		t.Errorf("the link leads to %q", got)
	}
	// Typed over, by keyboard, to the end.
	chromium.Do(s, "typed", chromedp.KeyEvent("      - {id: isee, kind: money, label: {it: Valore ISEE, en: ISEE}, least: 0}"))
	chromium.Do(s, "tab", chromedp.KeyEvent("\t"))
	for range 2 { // check, preview, diff
		chromium.Do(s, "tab", chromedp.KeyEvent("\t"))
	}
	chromium.Do(s, "enter", chromedp.KeyEvent("\r"))
	s.Wait("#t-diff")
	s.Check("differenze")
	chromium.Do(s, "publish", chromium.Focus(`form[action$="/pubblica"] button`))
	chromium.Do(s, "enter", chromedp.KeyEvent("\r"))
	s.Wait(".page-links")
	if v, err := w.Services.Current(t.Context(), "prova", "iscrizione-nido"); err != nil || v.Number != 1 {
		t.Fatal(v, err)
	}
	s.Open(at, "#f-testo")
	chromium.Do(s, "preview", chromium.Click(`button[value="preview"]`))
	s.Wait("#f-child-given")
	s.Check("anteprima")
	s.Open(at+"/versioni", "#t-versions")
	s.Check("versioni")
	s.Open(at+"/versioni/1", "#L1")
	s.Check("versione")
}

// Istruzione in a browser: accessible at both widths.
func TestSchoolInABrowser(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	unsigned(t, w)
	h := pages(t, w)
	a := w.Operator("prova", 10, "R20", "R6")
	day := w.Today().In(register.Rome()).Format(time.DateOnly)
	c, err := w.Rankings.Make(t.Context(), a, "iscrizione-nido", ranking.Settings{Title: "2026/2027", Since: day, Until: day, Term: 5})
	if err == nil {
		err = w.Rankings.SetSeats(t.Context(), a, c.ID, map[ranking.Place]int{{School: "girasole", Hours: "full"}: 1})
	}
	if err != nil {
		t.Fatal(err)
	}
	one := nursery(t, w, 1, "both-work", "yes", "isee", "9.000,00", "second", "arcobaleno")
	nursery(t, w, 2, "disability", "yes")
	w.Move(24 * time.Hour)
	b := as(t, w, h, a, "192.0.2.3:1")
	s := b.window("console")
	at := path + "/istruzione"
	s.Open(at, "#t-calls")
	s.Check("bandi")
	s.Open(at+"/"+c.ID, "#t-applications")
	s.Check("bando")
	for _, k := range []ranking.Kind{ranking.Provisional, ranking.Final} {
		n, err := w.Rankings.MakeList(t.Context(), a, c.ID, k)
		if err == nil {
			err = w.Rankings.Publish(t.Context(), a, c.ID, n)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s.Open(at+"/"+c.ID+"/elenco/2", "#t-place-0")
	s.Check("elenco")
	s.Open(at+"/"+c.ID+"/domande/"+one.ID, "#t-points")
	s.Check("domanda")
	s.Open(at+"/"+c.ID+"/offerte", "#t-offers")
	s.Check("offerte")
}
