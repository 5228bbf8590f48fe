package portal_test

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/assets"
	"github.com/citel-pa/citel/server/mandate"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/ranking"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/town"
)

var (
	linkInPage = regexp.MustCompile(`(?:href|src|action)="([^"]*)"`)
	postForm   = regexp.MustCompile(`(?s)<form[^>]*method="post"[^>]*>`)
	// keyInPage is a key of the catalogue that has no sentence.
	keyInPage = regexp.MustCompile(`>\s*(?:access|answer|application|attachment|console|definition|delega|desk|ente|form|graduatoria|login|mandate|modulo|office|portal|pratica|protocol|ranking|rating|register|registry|service|sign|submission|town|validation)\.[a-z0-9-]+\s*<`)
	idInPage  = regexp.MustCompile(`id="([^"]*)"`)
	level     = regexp.MustCompile(`<h([1-6])[ >]`)
)

// crawl follows each link of a visitor's pages from the first one, and looks at what each
// page is made of.
func (v *visitor) crawl(from ...string) map[string]string {
	v.d.t.Helper()
	pages, came := map[string]string{}, map[string]string{}
	for queue := from; len(queue) > 0 && len(came) < 400; queue = queue[1:] {
		path := queue[0]
		if _, done := came[path]; done {
			continue
		}
		a := v.get(path)
		came[path] = fmt.Sprint(a.code)
		switch {
		case a.code == http.StatusSeeOther && strings.HasPrefix(a.to, "/"):
			queue = append(queue, a.to)
			continue
		case a.code == http.StatusConflict && strings.HasSuffix(path, "/compila") && strings.Contains(a.body, `id="acting"`):
			continue // a service that the mandate does not open says so
		case a.code != http.StatusOK:
			v.d.t.Errorf("%s: %d", path, a.code)
			continue
		case !strings.HasPrefix(a.header.Get("Content-Type"), "text/html"):
			continue
		}
		pages[path] = a.body
		if k := keyInPage.FindString(a.body); k != "" {
			v.d.t.Errorf("%s: the key %q stands on the page", path, k)
		}
		v.structure(path, a.body)
		for _, m := range linkInPage.FindAllStringSubmatch(postForm.ReplaceAllString(a.body, ""), -1) {
			at, fragment, _ := strings.Cut(html.UnescapeString(m[1]), "#")
			switch {
			case strings.Contains(at, "lingua="): // it would change the language of what follows
			case strings.HasPrefix(at, assets.Prefix), strings.HasPrefix(at, "mailto:"), strings.HasPrefix(at, "tel:"), strings.HasPrefix(at, "https://"):
			case at == "" && fragment != "" && !strings.Contains(a.body, `id="`+fragment+`"`):
				v.d.t.Errorf("%s: nothing has the id %q", path, fragment)
			case strings.HasPrefix(at, "?"):
				here, _, _ := strings.Cut(path, "?")
				queue = append(queue, here+at)
			case at != "" && !strings.HasPrefix(at, "/"):
				v.d.t.Errorf("%s: the link %q", path, m[1])
			case at != "":
				queue = append(queue, at)
			}
		}
	}
	return pages
}

// structure: one h1, no level of headings left out, no id twice.
func (v *visitor) structure(path, body string) {
	v.d.t.Helper()
	_, rest, _ := strings.Cut(body, "<main")
	main, _, _ := strings.Cut(rest, "</main>")
	last := byte('0')
	for _, m := range level.FindAllStringSubmatch(main, -1) {
		if m[1][0] > last+1 || m[1] == "1" && last != '0' {
			v.d.t.Errorf("%s: h%s after h%c", path, m[1], last)
		}
		last = m[1][0]
	}
	ids := map[string]bool{}
	for _, m := range idInPage.FindAllStringSubmatch(body, -1) {
		if ids[m[1]] {
			v.d.t.Errorf("%s: the id %q twice", path, m[1])
		}
		ids[m[1]] = true
	}
}

// Every link that a visitor of each level sees leads somewhere, in both languages and in an
// ente that shares the origin, on a portal where something of everything has happened.
func TestEveryLinkLeadsSomewhere(t *testing.T) {
	d := newDesk(t)
	if _, err := d.Store.ExecContext(t.Context(), "UPDATE ente_switch SET enabled = 1"); err != nil {
		t.Fatal(err)
	}
	d.trusts()
	d.population("prova", 61, populationRow(1, "Via del Campo 5", "F1", "Intestataria"), populationRow(21, "Via del Campo 5", "F1", "Figlia"))
	weak := d.debole("debole@example.org", town.FormOf(1).Code)
	_, sheet := d.media(1)
	v := d.citizen(1)
	v.begin(nursery, nurserySteps()[0])
	v.filled(nil, map[string][]string{"relation": {"guardian"}})
	v.made(nil, pairs("other", "consents", "other-cf", pki.Invented(2).CF, "other-signs", "yes"))
	d.wrote(d.at(1))
	sent := d.enrolled(1)
	d.more(t.Context(), d.Operator("prova", 5, "R20"), sent.ID)
	me, err := person.Get(t.Context(), d.Store, v.session().Person)
	if err != nil {
		t.Fatal(err)
	}
	child := d.account(person.Natural, d.Child(4), "Ada", "Esempio")
	m, err := d.Mandates.Grant(t.Context(), d.Operator("prova", 60, "R8"), mandate.Mandate{Kind: mandate.Minor, Principal: child.ID, Agent: me.ID, Title: "Genitore", Since: d.Today().Format(time.DateOnly), Proof: "Estratto di nascita"})
	if err != nil {
		t.Fatal(err)
	}
	c, school := d.nurseries()
	d.nursery(1, "both-work", "yes")
	d.Move(24 * time.Hour)
	d.ranks(c, school, ranking.Provisional)
	d.ranks(c, school, ranking.Final)

	visitors := map[string]*visitor{"none": d.visitor(), "debole": weak, "media": d.visitor(), "forte": d.citizen(1), "acting": d.citizen(1), "second signer": d.citizen(2)}
	if a := weak.post("/accedi", "utente", "debole@example.org", "password", password); a.code != http.StatusSeeOther {
		t.Fatal(a.code)
	}
	d.Move(time.Minute)
	if a := visitors["media"].post("/accedi", "utente", sheet.Username, "password", password); a.code != http.StatusSeeOther {
		t.Fatal(a.code)
	}
	visitors["acting"].sendValues("/deleghe/opera", url.Values{"delega": {m.ID}})
	reached := 0
	for name, x := range visitors {
		for _, lang := range []string{"it", "en"} {
			t.Run(name+" "+lang, func(t *testing.T) {
				was := d.t
				d.t = t
				defer func() { d.t = was }()
				x.get("/?lingua=" + lang)
				all := x.crawl("/", "/accessibilita", "/enti/altro/")
				for path, body := range all {
					if want := `<html lang="` + lang + `"`; !strings.Contains(body, want) {
						t.Errorf("%s is not in %s", path, lang)
					}
				}
				reached += len(all)
			})
		}
	}
	if reached < 200 {
		t.Errorf("%d pages alone were reached", reached)
	}
}
