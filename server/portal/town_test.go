package portal_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/citel-pa/citel/server/assets"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/feedback"
)

// everyPage is what somebody who is logged in and somebody who is not can look at.
var everyPage = []string{"/", "/?cerca=nido", "/servizi", "/servizi/iscrizione-nido", "/aiuto", "/privacy", "/note-legali", "/accessibilita", "/credenziali", "/accedi", "/area", "/deleghe", "/deleghe/nuova", "/deleghe/nuova?tipo=figlio", "/niente"}

// shown are those that somebody who is logged in is not led away from.
var shown = slices.DeleteFunc(slices.Clone(everyPage), func(p string) bool { return p == "/accedi" })

// element finds the addresses of links with a data-element of the Modello Comuni.
func element(body, name string) (out []string) {
	for _, tag := range regexp.MustCompile(`<a [^>]*>`).FindAllString(body, -1) {
		if strings.Contains(tag, `data-element="`+name+`"`) {
			out = append(out, regexp.MustCompile(`href="([^"]*)"`).FindStringSubmatch(tag)[1])
		}
	}
	return out
}

func described(d *desk) ente.Public {
	p := ente.Public{Region: "Regione di Prova", RegionSite: "https://regione.example", Address: "Piazza di Prova 1", Phone: "000 000", Email: "urp@example.org", PEC: "pec@example.org", TaxCode: "00743110157",
		DPO: "dpo@example.org", Declaration: "https://form.agid.gov.it/view/prova", Europe: true}
	if err := d.Enti.SetPublic(d.t.Context(), d.Operator("prova", 70, "R6"), "prova", p); err != nil {
		d.t.Fatal(err)
	}
	return p
}

// C.SE.1.3 (and C.SI.1.1): the pages' fonts are Titillium Web, Lora and Roboto Mono, from
// this server.
func TestCriterionFonts(t *testing.T) {
	d := newDesk(t)
	v := d.visitor()
	page := v.get("/").body
	allowed := []string{"Titillium Web", "Lora", "Roboto Mono"}
	for _, sheet := range regexp.MustCompile(`<link rel="stylesheet" href="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if strings.Contains(sheet[1], "://") {
			t.Error("a sheet from elsewhere", sheet[1])
		}
		css := v.get(sheet[1])
		if css.code != http.StatusOK {
			t.Fatal(sheet[1], css.code)
		}
		for _, f := range regexp.MustCompile(`@font-face\s*{[^}]*font-family:\s*["']?([^;"'}]+)`).FindAllStringSubmatch(css.body, -1) {
			if !slices.Contains(allowed, strings.TrimSpace(f[1])) {
				t.Error("another font is loaded", f[1])
			}
		}
		if strings.HasSuffix(sheet[1], "portal.css") {
			for _, f := range regexp.MustCompile(`font-family:\s*([^;}]+)`).FindAllStringSubmatch(css.body, -1) {
				first := strings.Trim(strings.Split(f[1], ",")[0], `"' `)
				if !slices.Contains(allowed, first) {
					t.Error("portal.css uses", f[1])
				}
			}
		}
	}
	if err := assets.Check(); err != nil {
		t.Error(err)
	}
}

// C.SE.3.1: nothing but technical cookies, and each is on the notice.
func TestCriterionCookies(t *testing.T) {
	d := newDesk(t)
	v := d.visitor()
	names := map[string]bool{}
	for _, path := range append([]string{"/?lingua=it"}, everyPage...) {
		a := v.get(path)
		for _, line := range a.header.Values("Set-Cookie") {
			c, err := http.ParseSetCookie(line)
			if err != nil {
				t.Fatal(err)
			}
			names[c.Name] = true
		}
	}
	v.card(1)
	for n := range v.cookies {
		names[n] = true
	}
	notice := v.get("/privacy").body
	for n := range names {
		if !strings.Contains(notice, "<code>"+n+"</code>") {
			t.Errorf("the cookie %q is not on the notice", n)
		}
	}
	if len(names) != 3 {
		t.Errorf("%v", names)
	}
	has(t, v.get("/privacy"), "art. 122", "tecnici")
	for _, path := range everyPage { // nothing of anybody else is loaded, so no cookie of others
		for _, src := range regexp.MustCompile(`(?:src|<link[^>]*href)="([^"]+)"`).FindAllStringSubmatch(v.get(path).body, -1) {
			if strings.Contains(src[1], "://") || strings.HasPrefix(src[1], "//") {
				t.Errorf("%s loads %s", path, src[1])
			}
		}
	}
}

// C.SE.3.2: the accessibility declaration is in the footer of each page.
func TestCriterionAccessibilityDeclaration(t *testing.T) {
	d := newDesk(t)
	v := d.visitor()
	v.card(1)
	if got := element(v.get("/").body, "accessibility-link"); len(got) != 1 || got[0] != "/accessibilita" {
		t.Error("without a declaration", got)
	}
	p := described(d)
	for _, path := range shown {
		if got := element(v.get(path).body, "accessibility-link"); len(got) != 1 || got[0] != p.Declaration {
			t.Error(path, got)
		}
	}
}

// C.SE.3.3: the privacy notice is in the footer of each page and says what art. 13 asks.
func TestCriterionPrivacy(t *testing.T) {
	d := newDesk(t)
	p := described(d)
	v := d.visitor()
	v.card(1)
	for _, path := range shown {
		if got := element(v.get(path).body, "privacy-policy-link"); len(got) != 1 || got[0] != "/privacy" {
			t.Error(path, got)
		}
	}
	has(t, v.get("/privacy"), "Comune di Prova", p.Email, p.PEC, p.DPO, "art. 6", "artt. 15-22", "art. 77", "art. 28")
	if got := element(v.get("/enti/altro/").body, "privacy-policy-link"); len(got) != 1 || got[0] != "/enti/altro/privacy" {
		t.Error("another ente's", got)
	}
	if strings.Contains(v.get("/enti/altro/privacy").body, p.DPO) {
		t.Error("another ente's officer")
	}
}

// The other elements that the Modello Comuni's checks look for: navigation, login, services,
// crumbs, notes, questions.
func TestCriterionElements(t *testing.T) {
	d := newDesk(t)
	described(d)
	v := d.visitor()
	home := v.get("/")
	has(t, home, `data-element="main-navigation"`, `<a class="navbar-brand" href="https://regione.example"`, "Finanziato dall", `<html lang="it"`)
	for name, want := range map[string]string{"personal-area-login": "/accedi", "all-services": "/servizi", "faq": "/aiuto", "legal-notes": "/note-legali"} {
		if got := element(home.body, name); len(got) != 1 || got[0] != want {
			t.Error(name, got)
		}
	}
	if !strings.Contains(home.body, "Leggi le domande frequenti") { // C.SI.2.3: the link's words
		t.Error("the link to the questions has other words")
	}
	if n := len(element(home.body, "service-link")); n < 4 {
		t.Errorf("%d services", n)
	}
	has(t, v.get("/note-legali"), `data-element="legal-notes-section"`, `data-element="legal-notes-body"`, "CC-BY 4.0") // C.SI.3.4
	v.card(1)
	for _, path := range shown[2:] {
		a := v.get(path)
		has(t, a, `data-element="breadcrumb"`, `aria-current="page"`, `lang="it"`)
		if n := strings.Count(a.body, "<h1"); n != 1 {
			t.Errorf("%s has %d first headings", path, n)
		}
	}
	has(t, v.get("/deleghe/nuova"), `<li><a href="/area">`, `<li><a href="/deleghe">`)
	if a := v.get("/pratiche/ffffffffffffffffffffffffffffffff"); strings.Count(a.body, `<li><a href="/pratiche">Le mie pratiche</a></li>`) != 1 {
		t.Error("the way to an application does not lead over the list once:", a.body)
	}
	// The emblem only where the ente has said so.
	if a := d.visitor().get("/enti/altro/"); strings.Contains(a.body, "Finanziato dall") || strings.Contains(a.body, "regione.example") {
		t.Error("another ente's footer")
	}
}

// Services are found without a script, without accents and in any order of words.
func TestSearchOfServices(t *testing.T) {
	d := newDesk(t)
	v := d.visitor()
	for query, want := range map[string]string{"nido": "/servizi/iscrizione-nido", "NIDO iscrizione": "/servizi/iscrizione-nido", "sènd": "", "anagrafe errore": "/servizi/segnalazione-anagrafe", "zzz": "", `"><script>`: "", "nursery": "/servizi/iscrizione-nido"} {
		a := v.get("/?cerca=" + url.QueryEscape(query))
		links := element(a.body, "service-link")
		if want == "" && len(links) != 0 || want != "" && !slices.Contains(links, want) {
			t.Errorf("%q: %v", query, links)
		}
		if strings.Contains(a.body, "<script>") {
			t.Error("what was searched for is markup")
		}
		has(t, a, `id="found"`)
	}
	if a := v.get("/?cerca=" + strings.Repeat("x", 5000)); a.code != http.StatusOK || strings.Contains(a.body, `value="`+strings.Repeat("x", 101)) {
		t.Error(a.code)
	}
}

// A report needs no login, keeps what was typed when something is wrong, and its answer is
// read by whoever has its address.
func TestFeedbackWithoutALogin(t *testing.T) {
	d := newDesk(t)
	described(d)
	v := d.visitor()
	a := v.post("/accessibilita", "testo", "", "email", "non un indirizzo", "nome", "Vera")
	has(t, a, `value="Vera"`, `id="f-testo-e"`, `id="f-email-e"`)
	if a.code != http.StatusUnprocessableEntity || len(d.Mails("urp@example.org")) != 0 {
		t.Error(a.code)
	}
	if a := v.post("/accessibilita", "testo", "x", "sito", "http://spam.example"); a.to != "/accessibilita" || len(d.Mails("urp@example.org")) != 0 {
		t.Error("a program's report is taken", a.code)
	}
	a = v.post("/accessibilita", "testo", "Il pulsante <b>Accedi</b> non si legge", "email", "vera@example.org")
	if a.code != http.StatusSeeOther || !strings.HasPrefix(a.to, "/accessibilita/") {
		t.Fatal(a.code, a.body)
	}
	has(t, v.get(a.to), "n. 1", "&lt;b&gt;Accedi", d.Today().AddDate(0, 0, feedback.Days).Format("02/01/2006"), "Difensore civico")
	path, _, _ := strings.Cut(a.to, "?")
	if x := d.visitor().get("/enti/altro" + path); x.code != http.StatusNotFound {
		t.Error("in another ente", x.code)
	}
	if len(d.Mails("vera@example.org")) != 0 || len(d.Mails("urp@example.org")) != 1 {
		t.Error("mails", d.Mails("vera@example.org"), d.Mails("urp@example.org"))
	}
	if err := d.Feedback.Answer(t.Context(), d.Operator("prova", 71, "R7"), 1, "Fatto."); err != nil {
		t.Fatal(err)
	}
	has(t, d.visitor().get(path), "Fatto.")
	// Many from one address are told to wait, and lose nothing.
	for range 4 {
		v.post("/accessibilita", "testo", "x")
	}
	a = v.post("/accessibilita", "testo", "questo resta")
	has(t, a, "questo resta")
	if a.code != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" {
		t.Error(a.code)
	}
	// The page that somebody came from is filled in, without what may be secret in it.
	r := httptest.NewRequest(http.MethodGet, "/accessibilita", nil)
	r.Header.Set("Referer", origin+"/password/nuova?codice=segreto")
	if a := v.send(r); !strings.Contains(a.body, `value="/password/nuova"`) || strings.Contains(a.body, "segreto") {
		t.Error("the page is not filled in, or with its query")
	}
}

// The help answers what people ask, and what pages link to is there.
func TestHelp(t *testing.T) {
	d := newDesk(t)
	for _, lang := range []string{"it", "en"} {
		a := d.visitor().get("/aiuto?lingua=" + lang)
		for _, id := range []string{"serve", "carta", "lettore", "programma", "installare", "browser", "permesso", "pin", "bloccata", "senza-carta", "uffici"} {
			has(t, a, `id="`+id+`"`, `href="#`+id+`"`)
		}
		if strings.Contains(a.body, "town.faq") {
			t.Error("a sentence is missing")
		}
	}
}

// Each criterion of the table is there, and what the table calls met has its test or reason.
func TestCriteriaTable(t *testing.T) {
	text, err := os.ReadFile("CRITERIA.md")
	if errors.Is(err, os.ErrNotExist) {
		t.Fatal("CRITERIA.md is missing")
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []string{"1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.7", "1.8", "1.9", "1.10", "2.1", "2.2", "3.1", "3.2", "3.3", "4.1", "5.1", "5.2"} {
		if !strings.Contains(string(text), "| C.SE."+c+" |") {
			t.Errorf("C.SE.%s is not in the table", c)
		}
	}
	for _, name := range regexp.MustCompile("`(Test[A-Za-z]+)`").FindAllStringSubmatch(string(text), -1) {
		if !testNamed(t, name[1]) {
			t.Errorf("the table names %s, which is no test here", name[1])
		}
	}
}

func testNamed(t *testing.T, name string) bool {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		text, err := os.ReadFile(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "func "+name+"(") {
			return true
		}
	}
	return false
}
