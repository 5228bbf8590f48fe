package portal_test

import (
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/citel-pa/citel/server/mandate"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/testdata/chromium"
	"github.com/citel-pa/citel/testdata/town"
)

// The town's pages in a browser, before a login and after it: axe-core finds nothing serious
// at both widths, the banner of whom somebody acts for is read with the main part, and a
// keyboard alone gets through.
func TestTownInABrowser(t *testing.T) {
	d := newDesk(t)
	described(d)
	v := d.visitor()
	s := d.screen(v)
	for path, name := range map[string]string{"/": "home", "/?cerca=nido": "search", "/aiuto": "help", "/privacy": "privacy", "/note-legali": "legal", "/accessibilita": "feedback", "/?lingua=en": "home-english"} {
		s.Open(path, "h1")
		s.Check("town-" + name)
	}
	s.Open("/?lingua=it", "h1")
	chromium.Do(s, "tab", chromedp.KeyEvent("\t"))
	if got := s.JS(`document.activeElement.getAttribute("href")`); got != "#main" {
		t.Errorf("the first stop is %q", got)
	}
	chromium.Do(s, "search", chromium.Focus("#cerca"))
	chromium.Do(s, "search", chromedp.KeyEvent("nido\r"))
	s.Wait("#found")

	me := v.card(1)
	var child *person.Person
	err := d.Store.Tx(t.Context(), func(tx *sql.Tx) (err error) {
		child, err = person.EnsureAccount(t.Context(), tx, person.Natural, d.Child(4), "Ada", "Esempio", d.Today())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	today := d.Today().Format(time.DateOnly)
	m, err := d.Mandates.Grant(t.Context(), d.Operator("prova", 60, "R8"), mandate.Mandate{Kind: mandate.Minor, Principal: child.ID, Agent: me.ID, Title: "Genitore", Since: today, Proof: "Estratto di nascita"})
	if err != nil {
		t.Fatal(err)
	}
	by := mandate.By{Person: me.ID, Level: mandate.LevelGive}
	if _, err := d.Mandates.Ask(t.Context(), "prova", by, mandate.Wish{Kind: mandate.Delegate, Giving: true, Code: town.FormOf(3).Code, Title: "Delegato", Since: today}); err != nil {
		t.Fatal(err)
	}
	for path, name := range map[string]string{"/deleghe": "mandates", "/deleghe/nuova": "mandate-kinds", "/deleghe/nuova?tipo=figlio": "mandate-new"} {
		s.Open(path, "h1")
		s.Check("town-" + name)
	}
	s.Open("/deleghe", "h1")
	chromium.Do(s, "choose", chromium.Focus(`input[value="`+m.ID+`"] ~ button`))
	chromium.Do(s, "choose", chromedp.KeyEvent("\r"))
	s.Wait("#acting")
	s.Check("town-acting")
	if got := s.JS(`document.getElementById(document.querySelector("main").getAttribute("aria-describedby")).textContent`); !strings.Contains(got, "Ada Esempio") {
		t.Errorf("main is described by %q", got)
	}
	chromium.Do(s, "back", chromium.Focus(".acting-banner button"))
	chromium.Do(s, "back", chromedp.KeyEvent("\r"))
	chromium.Do(s, "back", chromium.Gone("#acting"))
}
