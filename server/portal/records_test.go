package portal_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/resident"
	"github.com/citel-pa/citel/server/submission"
	"github.com/citel-pa/citel/testdata/chromium"
	"github.com/citel-pa/citel/testdata/pki"
)

// population imports records of an ente.
func (d *desk) population(ente string, who int, lines ...string) {
	d.t.Helper()
	a := d.Operator(ente, who, "R31")
	head := "codice_fiscale;cognome;nome;sesso;data_nascita;luogo_nascita;indirizzo;cap;cittadinanza;stato_civile;codice_famiglia;relazione;residente_dal\n"
	i, err := d.Residents.Upload(d.t.Context(), a, "x.csv", true, strings.NewReader(head+strings.Join(lines, "\n")))
	if err == nil {
		err = d.Residents.Confirm(d.t.Context(), a, i.ID, resident.Decision{SHA256: i.SHA256, Plan: i.Plan()})
	}
	if err != nil {
		d.t.Fatalf("%v %+v", err, i)
	}
}

func populationRow(n int, address, sheet, relation string) string {
	p := pki.Invented(n)
	sex := "F"
	if !strings.ContainsAny(p.CF[9:10], "4567") {
		sex = "M"
	}
	return strings.Join([]string{p.CF, p.Surname, p.Given, sex, p.Born.Format("02/01/2006"), "Pisa", address, "56100", "italiana", "coniugato/a", sheet, relation, "01/03/2010"}, ";")
}

// The own record is shown at level media, with the family as a certificate has it, in the
// ente whose it is.
func TestOwnRecord(t *testing.T) {
	d := newDesk(t)
	d.population("prova", 60, populationRow(20, "Via del Campo <5>", "F1", "Intestataria"), populationRow(21, "Via del Campo 5", "F1", "Figlia"), populationRow(22, "Via Altrui 9", "F2", "Intestataria"))
	weak := d.debole("ada@example.org", pki.Invented(20).CF)
	for _, v := range []*visitor{weak, d.visitor()} {
		if a := v.get("/area/dati"); a.code != http.StatusSeeOther || !strings.HasPrefix(a.to, "/accedi?") || !strings.Contains(a.to, "serve=media") {
			t.Errorf("below media: %d %s", a.code, a.to)
		}
	}
	v, _ := d.media(20)
	a := v.get("/area/dati")
	mate := pki.Invented(21)
	has(t, a, pki.Invented(20).CF, "Via del Campo &lt;5&gt;", "coniugato/a", "La mia famiglia", mate.Given+" "+mate.Surname, "Figlia", mate.Born.Format("02/01/2006"), "Segnala un errore")
	for _, not := range []string{mate.CF, pki.Invented(22).CF, "Via Altrui", pki.Invented(22).Given + " " + pki.Invented(22).Surname} {
		if strings.Contains(a.body, not) {
			t.Errorf("%q is on the page", not)
		}
	}
	has(t, v.get("/area"), "/area/dati")
	// The other family's page has its own.
	w, _ := d.media(22)
	a = w.get("/area/dati")
	has(t, a, "Via Altrui 9")
	if strings.Contains(a.body, "Via del Campo") || strings.Contains(a.body, mate.Given+" "+mate.Surname) {
		t.Error("another family's data")
	}
	// Who is in no list.
	x, _ := d.media(23)
	has(t, x.get("/area/dati"), `id="none"`)
	if a := x.send(form("/area/dati/segnala", url.Values{"csrf": {x.csrf("/area")}, "dato": {"address"}})); a.code != http.StatusNotFound {
		t.Errorf("a report of nothing: %d", a.code)
	}
}

// An error report begins with the field and what is written there; a form of another page
// begins nothing.
func TestReportAnError(t *testing.T) {
	d := newDesk(t)
	d.population("prova", 60, populationRow(20, "Via del Campo 5", "F1", "Intestataria"), populationRow(21, "Via del Campo 5", "F1", "Figlia"))
	v, _ := d.media(20)
	if a := v.send(form("/area/dati/segnala", url.Values{"dato": {"address"}})); a.code != http.StatusForbidden {
		t.Errorf("without the page's token: %d", a.code)
	}
	token := v.csrf("/area/dati")
	for field, want := range map[string][2]string{"address": {"address", "Via del Campo 5"}, "family-sheet": {"family", pki.Invented(21).Given}, "citizenship": {"other", "italiana"}} {
		a := v.send(form("/area/dati/segnala", url.Values{"csrf": {token}, "dato": {field}}))
		if a.code != http.StatusSeeOther || !strings.HasPrefix(a.to, "/pratiche/") {
			t.Fatalf("%s: %d %s", field, a.code, a.to)
		}
		id := strings.Split(a.to, "/")[2]
		s := v.session()
		p := submission.Visitor{Ente: "prova", Level: s.Level, Credential: s.Credential, Person: d.personOf(s.Person)}
		x, err := d.Applications.Get(t.Context(), p, id)
		if err != nil || x.Service.ID != "segnalazione-anagrafe" || x.Fields["what"] != want[0] || !strings.Contains(x.Fields["is"], want[1]) {
			t.Errorf("%s: %v %+v", field, err, x)
		}
	}
	for _, bad := range []string{"", "nothing", "until"} {
		if a := v.send(form("/area/dati/segnala", url.Values{"csrf": {token}, "dato": {bad}})); a.code != http.StatusBadRequest {
			t.Errorf("%q: %d", bad, a.code)
		}
	}
}

func (d *desk) personOf(id int64) *person.Person {
	d.t.Helper()
	p, err := person.Get(d.t.Context(), d.Store, id)
	if err != nil {
		d.t.Fatal(err)
	}
	return p
}

// The own record in a browser, at both widths; a report is begun by the keyboard alone.
func TestOwnRecordInABrowser(t *testing.T) {
	d := newDesk(t)
	d.population("prova", 60, populationRow(20, "Via del Campo 5", "F1", "Intestataria"), populationRow(21, "Via del Campo 5", "F1", "Figlia"))
	v, _ := d.media(20)
	s := d.screen(v)
	s.Open("/area/dati", "#famiglia")
	s.Check("own-record")
	s.JS(`document.querySelector("#record button").focus(), ""`)
	chromium.Do(s, "Enter on the first report", chromedp.KeyEvent(kb.Enter))
	s.Wait(`[name="should-be"]`)
	s.Check("own-report")
	x, _ := d.media(23)
	none := d.screen(x)
	none.Open("/area/dati", "#none")
	none.Check("own-record-none")
}
