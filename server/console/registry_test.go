package console_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"html"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/resident"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/server/submission"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/town"
)

const registryHead = "codice_fiscale;cognome;nome;sesso;data_nascita;luogo_nascita;indirizzo;cap;cittadinanza;stato_civile;codice_famiglia;relazione\n"

func registryLine(n int, address, cap string) string {
	c := pki.Invented(n)
	return strings.Join([]string{c.CF, c.Surname, c.Given, "F", c.Born.Format("02/01/2006"), "Pisa", address, cap, "italiana", "nubile", fmt.Sprintf("F%d", n/2), ""}, ";") + "\n"
}

// uploads sends a file with the page's form.
func (b *browser) uploads(to, name string, data []byte, pairs ...string) *browser {
	b.t.Helper()
	var body bytes.Buffer
	f := multipart.NewWriter(&body)
	_ = f.WriteField("csrf", b.token())
	for i := 0; i+1 < len(pairs); i += 2 {
		_ = f.WriteField(pairs[i], pairs[i+1])
	}
	part, err := f.CreateFormFile(name, "anagrafe.csv")
	if err == nil {
		_, err = part.Write(data)
	}
	if err != nil || f.Close() != nil {
		b.t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, to, &body)
	r.Header.Set("Content-Type", f.FormDataContentType())
	b.do(r)
	return b
}

// hidden is a hidden value of the page.
func (b *browser) hidden(name string) string {
	b.t.Helper()
	m := regexp.MustCompile(`name="` + regexp.QuoteMeta(name) + `" value="([^"]*)"`).FindStringSubmatch(b.body)
	if m == nil {
		b.t.Fatalf("no %s: %s", name, plain(b.body))
	}
	return html.UnescapeString(m[1])
}

// Import, search, record, correction, and the conflict of the next import, as an operator
// of the registry office does them.
func TestRegistry(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		h, at := pages(t, w), path+"/anagrafe"
		b := as(t, w, h, w.Operator("prova", 10, "R31"), "192.0.2.3:1")
		b.get(path+"/").wants(http.StatusOK, "Gestione Anagrafe", at+`/importazioni`)
		b.get(at+"/importazioni").wants(http.StatusOK, "codice_fiscale", "Elenco completo")
		b.uploads(at+"/importazioni", "list", []byte("PK\x03\x04")).wants(http.StatusSeeOther).follow().wants(http.StatusOK, "Salvalo come CSV")
		b.get(at+"/importazioni").send(at+"/importazioni").wants(http.StatusUnprocessableEntity, "Scegli il file")

		// A file larger than pages take, with a bad line.
		big := registryHead + registryLine(40, "Via Prova 1", "56100") + registryLine(41, "Via Prova <b>1", "=1+1") + registryLine(42, strings.Repeat("x", 100), "56100")
		b.get(at+"/importazioni").uploads(at+"/importazioni", "list", append([]byte(big), bytes.Repeat([]byte("\n"), 3<<20)...), "complete", "yes").wants(http.StatusSeeOther).follow()
		b.wants(http.StatusOK, "Il CAP non ha cinque cifre", "Scrivilo con gli zeri iniziali", "Riga", "Importa senza le righe sbagliate (1)")
		one := b.header.Get("X-None") + regexp.MustCompile(at+`/importazioni/[0-9a-f]{32}`).FindString(b.body)
		sha, plan := b.hidden("sha256"), b.hidden("plan")
		b.send(one+"/conferma", "sha256", sha, "plan", plan).wants(http.StatusUnprocessableEntity, "Manca una decisione")
		b.send(one+"/conferma", "sha256", strings.Repeat("0", 64), "plan", plan, "bad", "yes").wants(http.StatusConflict, "Nel frattempo")
		b.get(one+"/esito.csv").wants(http.StatusOK, "Il CAP non ha cinque cifre", pki.Invented(40).CF, ";'=1+1;") // no formula in a spreadsheet
		b.get(one).send(one+"/conferma", "sha256", sha, "plan", plan, "bad", "yes").wants(http.StatusSeeOther).follow().wants(http.StatusOK, "Confermata", "Salvato")
		b.send(one+"/conferma", "sha256", sha, "plan", plan, "bad", "yes").wants(http.StatusConflict)
		b.get(one + "/esito.csv").wants(http.StatusConflict)

		// No search without a reason, none of everybody.
		b.get(at).wants(http.StatusOK, "Cerca una persona")
		b.send(at, "family", "Prova").wants(http.StatusUnprocessableEntity, "Scrivi il motivo")
		b.send(at, "reason", "pratica 12").wants(http.StatusUnprocessableEntity, "troppo ampia")
		b.send(at, "reason", "pratica 12", "code", strings.ToLower(pki.Invented(40).CF)).wants(http.StatusOK, pki.Invented(40).CF, "Via Prova 1")
		record := html.UnescapeString(regexp.MustCompile(at + `/schede/[^"]+`).FindString(b.body))
		sheet, _, _ := strings.Cut(record, "?")
		b.get(record).wants(http.StatusOK, "Residente", "Via Prova 1", "nubile", "Correggi")
		b.send(sheet+"/correggi", "ricerca", b.hidden("ricerca"), "field", "cap", "old-cap", "56100", "new-value", "1", "reason", "pratica 12").wants(http.StatusUnprocessableEntity, "non ha cinque cifre")
		b.send(sheet+"/correggi", "ricerca", b.hidden("ricerca"), "field", "cap", "old-cap", "56100", "new-value", "56121", "reason", "pratica 12").wants(http.StatusSeeOther)
		b.follow().wants(http.StatusOK, "56121", "Correzioni in vigore", "pratica 12", "Salvato")

		// Without a search the reason is asked for first; another operator's search opens nothing.
		b.get(sheet).wants(http.StatusOK, "Perché apri questa scheda?")
		if strings.Contains(b.body, pki.Invented(40).CF) {
			t.Error("the record shows before the reason")
		}
		b.send(sheet, "reason", "x").wants(http.StatusUnprocessableEntity, "Scrivi il motivo")
		b.send(sheet, "reason", "pratica 13").wants(http.StatusSeeOther).follow().wants(http.StatusOK, "56121")
		police := as(t, w, h, w.Operator("prova", 11, "R-POL1"), "192.0.2.4:1")
		police.get(record).wants(http.StatusOK, "Perché apri questa scheda?")
		police.send(sheet, "reason", "controllo 7").wants(http.StatusSeeOther).follow().wants(http.StatusOK, "56121")
		if strings.Contains(police.body, "/correggi") {
			t.Error("who looks up may correct")
		}
		police.send(sheet+"/correggi", "field", "cap", "old-cap", "56121", "new-value", "56100", "reason", "controllo 7").wants(http.StatusForbidden)
		police.get(at+"/importazioni").wants(http.StatusOK, "Importazioni")
		police.get(one).wants(http.StatusForbidden)

		// Another ente's operator finds none of it.
		there := as(t, w, h, w.Operator("altro", 12, "R31"), "192.0.2.5:1")
		for _, p := range []string{sheet, record, one, one + "/esito.csv"} {
			there.get(p).wants(http.StatusNotFound)
		}
		there.get(at+"/importazioni").send(one+"/conferma", "sha256", sha, "plan", plan, "bad", "yes").wants(http.StatusNotFound)
		there.send(one + "/scarta").wants(http.StatusNotFound)
		there.send(sheet+"/correggi", "field", "cap", "old-cap", "56121", "new-value", "56100", "reason", "prova di accesso").wants(http.StatusNotFound)
		there.send(at, "reason", "prova di accesso", "code", pki.Invented(40).CF).wants(http.StatusOK, "Nessuno corrisponde")

		// The next list still has the old one, and one who is gone.
		b.get(at+"/importazioni").uploads(at+"/importazioni", "list", []byte(registryHead+registryLine(40, "Via Prova 1", "56100")), "complete", "yes").wants(http.StatusSeeOther).follow()
		b.wants(http.StatusOK, "era stato corretto da un operatore", "Resta la correzione: 56121", "che non sono nel file: 1", pki.Invented(42).CF)
		two := regexp.MustCompile(at + `/importazioni/[0-9a-f]{32}`).FindString(b.body)
		key := regexp.MustCompile(`name="(c\.[^"]+)"`).FindStringSubmatch(b.body)[1]
		b.send(two+"/conferma", "sha256", b.hidden("sha256"), "plan", b.hidden("plan"), "gone", "yes", key, "").wants(http.StatusUnprocessableEntity, "Manca una decisione")
		b.send(two+"/conferma", "sha256", b.hidden("sha256"), "plan", b.hidden("plan"), "gone", "yes", key, "keep").wants(http.StatusSeeOther).follow().wants(http.StatusOK, "Confermata")
		b.get(at).send(at, "reason", "pratica 14", "code", pki.Invented(42).CF).wants(http.StatusOK, "Non è più negli elenchi")
		b.get(at+"/importazioni").uploads(at+"/importazioni", "list", []byte(registryHead), "complete", "no").follow()
		three := regexp.MustCompile(at + `/importazioni/[0-9a-f]{32}`).FindString(b.body)
		b.send(three+"/scarta").wants(http.StatusSeeOther).follow().wants(http.StatusOK, "Scartata")
	})
}

// Every sentence that the registry's pages may need is there in both languages.
func TestRegistrySentences(t *testing.T) {
	var need []string
	for _, c := range resident.Columns {
		need = append(need, "f-"+c.Field, "about-"+c.Field)
	}
	for _, v := range resident.Civils {
		need = append(need, "civil-"+v)
	}
	literal := regexp.MustCompile(`"registry\.([a-z0-9-]*[a-z0-9])"`)
	codes := regexp.MustCompile(`(?:Code: |, )"(required|long|code|sex|cap|date|date-range|civil|odd-born|odd-sex|utf16|sheet|binary|empty|quotes|head|column-twice|column-missing|rows|fields|twice|until|field|same)"`)
	heads := regexp.MustCompile(`registryHeads\(([^)]*)\)`)
	word := regexp.MustCompile(`"([a-z-]+)"`)
	for _, name := range []string{"registry.go", "imports.go", "../resident/csv.go", "../resident/data.go", "../resident/search.go", "../portal/records.go"} {
		text, err := os.ReadFile(filepath.FromSlash(name))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range literal.FindAllStringSubmatch(string(text), -1) {
			need = append(need, m[1])
		}
		for _, m := range heads.FindAllStringSubmatch(string(text), -1) {
			for _, x := range word.FindAllStringSubmatch(m[1], -1) {
				need = append(need, "f-"+x[1])
			}
		}
		if strings.Contains(name, "resident") {
			for _, m := range codes.FindAllStringSubmatch(string(text), -1) {
				need = append(need, "bad-"+m[1], "do-"+m[1])
			}
		}
	}
	if len(need) < 120 {
		t.Fatal("the pattern finds nothing:", len(need))
	}
	for _, k := range need {
		if !message.Has("registry." + k) {
			t.Errorf("no sentence registry.%s", k)
		}
	}
}

// A citizen's report leads to the record, and neither code nor reason is in an address.
func TestRegistryReports(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	h, ctx := pages(t, w), t.Context()
	b := as(t, w, h, w.Operator("prova", 10, "R31"), "192.0.2.3:1")
	at := path + "/anagrafe"
	b.get(at+"/segnalazioni").wants(http.StatusOK, "Nessuna segnalazione aperta")
	b.get(at + "?pratica=" + store.NewID()).wants(http.StatusNotFound)
	v := submission.Visitor{Ente: "prova", Level: session.Media, Credential: "m"}
	err := w.Store.Tx(ctx, func(tx *sql.Tx) (err error) {
		v.Person, err = person.EnsureAccount(ctx, tx, person.Natural, pki.Invented(40).CF, "Prova", "Cittadina", w.Today())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	a, err := w.Applications.Begin(ctx, v, "segnalazione-anagrafe", store.NewID(), map[string]string{"what": "address", "is": "Via Prova 1", "should-be": "Via Prova 11"})
	if err == nil {
		a, err = w.Applications.Make(ctx, v, a.ID, false, a.Service.Privacy.Version)
	}
	if err == nil {
		a, err = w.Applications.Send(ctx, v, a.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	b.get(at+"/segnalazioni").wants(http.StatusOK, "Indirizzo: Via Prova 1", path+"/pratiche/"+a.ID, "pratica="+a.ID)
	if strings.Contains(b.body, pki.Invented(40).CF) {
		t.Error("the list has a code")
	}
	b.get(at+"?pratica="+a.ID).wants(http.StatusOK, `value="`+pki.Invented(40).CF+`"`, "Segnalazione di errore, pratica "+a.ID)
	there := as(t, w, h, w.Operator("altro", 11, "R31"), "192.0.2.4:1")
	there.get(at + "?pratica=" + a.ID).wants(http.StatusNotFound)
	there.get(at+"/segnalazioni").wants(http.StatusOK, "Nessuna segnalazione aperta")
}
