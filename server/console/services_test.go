package console_test

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/town"
)

// sendText posts the editor's form as a browser does.
func (b *browser) sendText(path, text, before, act string) *browser {
	b.t.Helper()
	var body bytes.Buffer
	f := multipart.NewWriter(&body)
	for k, v := range map[string]string{"csrf": b.token(), "testo": strings.ReplaceAll(text, "\n", "\r\n"), "prima": before, "act": act} {
		if err := f.WriteField(k, v); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		b.t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, path, &body)
	r.Header.Set("Content-Type", f.FormDataContentType())
	b.do(r)
	return b
}

var printOf = regexp.MustCompile(`name="impronta" value="([0-9a-f]{64})"`)

func (b *browser) print() string {
	m := printOf.FindStringSubmatch(b.body)
	if m == nil {
		b.t.Fatalf("no fingerprint on the page:\n%s", plain(b.body))
	}
	return m[1]
}

// Every sentence of the modules' own areas is there.
func TestModuleSentences(t *testing.T) {
	literal := regexp.MustCompile(`"((?:services|school|ranking|schema|graduatoria)\.[a-z0-9][a-z0-9-]*[a-z0-9])"`)
	heads := regexp.MustCompile(`r\.in\("([a-z]+)"((?:, "[a-z0-9-]+")+)\)`)
	n := 0
	for _, pattern := range []string{"*.go", "templates/*.html", "../portal/*.go", "../portal/templates/*.html"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var keys []string
			for _, m := range literal.FindAllStringSubmatch(string(text), -1) {
				keys = append(keys, m[1])
			}
			for _, m := range heads.FindAllStringSubmatch(string(text), -1) {
				for _, k := range strings.Split(m[2], ",") {
					if k = strings.Trim(k, ` "`); k != "" {
						keys = append(keys, m[1]+"."+k)
					}
				}
			}
			for _, key := range keys {
				if n++; !message.Has(key) && !strings.HasSuffix(name, "_test.go") {
					t.Errorf("%s: no sentence %q", name, key)
				}
			}
		}
	}
	if n < 100 {
		t.Errorf("only %d sentences were looked for", n)
	}
}

// A service is written, checked, previewed, compared and published; nothing typed is lost.
func TestServiceEditor(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		h := pages(t, w)
		b := as(t, w, h, w.Operator("prova", 10, "R33"), "192.0.2.3:1")
		at := path + "/portale/iscrizione-nido"
		b.get(path+"/portale").wants(http.StatusOK, "Iscrizione al nido comunale", "predefinita", "sempre", at)
		good := string(service.Defaults["iscrizione-nido"])
		b.get(at).wants(http.StatusOK, "id: iscrizione-nido", `id="L1"`, "testo predefinito")

		// A text with problems is shown as it was typed, each problem with a link to its line.
		bad := strings.Replace(strings.Replace(good, "level: forte", "level: fortissimo", 1), "kind: money", "kind: gold", 1) + "# <script>alert(1)</script>\n"
		b.sendText(at, bad, "0", "check").wants(http.StatusUnprocessableEntity, "Da correggere: 4", `href="#L7"`, "level: fortissimo", "kind: gold", `id="L7" class="editor-wrong"`)
		if strings.Contains(b.body, "<script>alert") {
			t.Error("the text is not escaped")
		}
		for _, act := range []string{"preview", "diff"} {
			b.sendText(at, bad, "0", act).wants(http.StatusUnprocessableEntity, "Da correggere: 4")
		}
		// Another window, another day: it is still there.
		as(t, w, h, w.Operator("altro", 11, "R33"), "192.0.2.4:1").get(at).wants(http.StatusOK, "testo predefinito")
		b.get(at).wants(http.StatusOK, "fortissimo", "La tua bozza è del")
		b.sendText(at, "", "0", "check").wants(http.StatusUnprocessableEntity)
		b.sendText(at, bad, "x", "check").wants(http.StatusBadRequest)
		b.get(at).sendText(at, strings.Repeat("x", service.MaxText+1), "0", "save").wants(http.StatusUnprocessableEntity, "256 KiB")
		b.sendText(at, strings.Replace(good, "id: iscrizione-nido", "id: altra-cosa", 1), "0", "check").wants(http.StatusUnprocessableEntity, "non cambia")

		// A part that repeats: what is wrong with it, what a citizen would see of it, what changes.
		b.sendText(at, strings.Replace(good, "repeat: {max: 5, one: {it: Persona", "repeat: {min: 6, max: 5, one: {it: Persona", 1), "0", "check").wants(http.StatusUnprocessableEntity, "Da correggere: 1", "una parte che si ripete va da «min»", "min: 6, max: 5")
		b.sendText(at, strings.Replace(good, "repeat: {max: 5, one: {it: Persona", "repeat: {max: 4, one: {it: Persona", 1), "0", "preview").wants(http.StatusOK, "Persona delegata 1", `name="collectors.1.collector-given"`, `value="collectors.add" disabled`, "Fratello o sorella 1")
		b.sendText(at, strings.Replace(good, "repeat: {max: 5, one: {it: Persona", "repeat: {max: 4, one: {it: Persona", 1), "0", "diff").wants(http.StatusOK, "repeat: {max: 4", "repeat: {max: 5", "diff-minus")
		b.get(path+"/schema-servizi").wants(http.StatusOK, "sections[].repeat.max", "lo controlla il server")

		next := strings.Replace(good, "en: Enrolment in a municipal nursery", "en: Nursery enrolment", 1)
		b.sendText(at, next, "0", "check").wants(http.StatusOK, "Il testo è corretto")
		b.sendText(at, next, "0", "preview").wants(http.StatusOK, "La bambina o il bambino", `name="child-cf"`, "Provvedimento di affidamento", "Regolamento (UE) 2016/679")
		b.sendText(at, next, "0", "diff").wants(http.StatusOK, "Nursery enrolment", "diff-minus", "righe uguali", "Pubblica questo testo")
		print1 := b.print()
		b.send(at+"/pubblica", "impronta", strings.Repeat("0", 64)).wants(http.StatusConflict, "rileggile qui sotto")
		b.send(at+"/pubblica", "impronta", print1).wants(http.StatusOK, "la versione 1 è in vigore", print1)
		b.send(at+"/pubblica", "impronta", print1).wants(http.StatusConflict, "non c'è più")
		if v, err := w.Services.Current(t.Context(), "prova", "iscrizione-nido"); err != nil || v.Number != 1 || v.Title.En != "Nursery enrolment" {
			t.Fatal(v, err)
		}
		if storetest.Count(t, w.Store, "SELECT count(*) FROM journal WHERE kind = 'service-published' AND ente = 'prova'") != 1 {
			t.Error("the log has no row")
		}
	})
}

// Two write at once: the second is told, sees what would change, and loses nothing.
func TestTwoEditors(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	h := pages(t, w)
	one, two := as(t, w, h, w.Operator("prova", 10, "R6"), "192.0.2.3:1"), as(t, w, h, w.Operator("prova", 11, "R33"), "192.0.2.4:1")
	at := path + "/portale/instradamento"
	good := string(service.Defaults["instradamento"])
	mine, theirs := strings.Replace(good, "max: 4000", "max: 3000", 1), strings.Replace(good, "max: 120", "max: 100", 1)
	one.get(at).sendText(at, mine, "0", "diff").wants(http.StatusOK, "max: 3000")
	two.get(at).wants(http.StatusOK, "Anche "+town.FormOf(10).Given, "max: 4000")
	two.sendText(at, theirs, "0", "diff").wants(http.StatusOK, "max: 100")
	print1, print2 := one.print(), two.print()
	one.send(at+"/pubblica", "impronta", print1).wants(http.StatusOK, "versione 1")
	two.send(at+"/pubblica", "impronta", print2).wants(http.StatusConflict, "Un'altra persona ha pubblicato intanto", "versione 1", "max: 100", "max: 3000")
	if strings.Contains(two.body, "/pubblica") {
		t.Error("it can be published over the other")
	}
	two.get(at).wants(http.StatusOK, "max: 100", "Intanto è stata pubblicata la versione 1")
	both := strings.Replace(theirs, "max: 4000", "max: 3000", 1)
	two.sendText(at, both, "1", "diff").wants(http.StatusOK, "max: 100").send(at+"/pubblica", "impronta", two.print()).wants(http.StatusOK, "versione 2")
	// The history, read only, and the difference of any two.
	two.get(at+"/versioni").wants(http.StatusOK, town.FormOf(10).Given, town.FormOf(11).Given, "confronto?a=2&da=1")
	two.get(at+"/versioni/1").wants(http.StatusOK, "max: 3000", "max: 120")
	two.get(at+"/confronto?a=2&da=1").wants(http.StatusOK, "Dalla versione 1 alla 2", "diff-plus")
	two.get(at+"/confronto?a=1&da=1").wants(http.StatusOK, "uguali")
	for _, x := range []string{"/versioni/3", "/versioni/0", "/versioni/x", "/confronto?a=9&da=1", "/confronto"} {
		two.get(at + x).wants(http.StatusNotFound)
	}
	// Another ente has its own.
	as(t, w, h, w.Operator("altro", 12, "R6"), "192.0.2.5:1").get(at + "/versioni/1").wants(http.StatusNotFound)
}

// A new service begins with another's text; a service is switched off and on with a reason.
func TestNewServiceAndSwitch(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	h := pages(t, w)
	b := as(t, w, h, w.Operator("prova", 10, "R6"), "192.0.2.3:1")
	at := path + "/portale/mensa"
	b.get(path+"/nuovo-servizio").wants(http.StatusOK, "Comincia dal testo di").send(path+"/nuovo-servizio", "servizio", "Mensa!", "da", "instradamento").wants(http.StatusUnprocessableEntity, `value="Mensa!"`)
	b.send(path+"/nuovo-servizio", "servizio", "instradamento", "da", "instradamento").wants(http.StatusConflict, "C'è già")
	b.send(path+"/nuovo-servizio", "servizio", "mensa", "da", "niente").wants(http.StatusUnprocessableEntity, "Scegli un servizio")
	b.send(path+"/nuovo-servizio", "servizio", "mensa", "da", "instradamento").wants(http.StatusSeeOther).follow().wants(http.StatusOK, "id: mensa", "Non è ancora pubblicato")
	b.get(path+"/portale").wants(http.StatusOK, "non pubblicato", town.FormOf(10).Given)
	as(t, w, h, w.Operator("altro", 11, "R6"), "192.0.2.4:1").get(at).wants(http.StatusNotFound)
	text := strings.Replace(string(service.Defaults["instradamento"]), "id: instradamento", "id: mensa", 1)
	b.get(at).sendText(at, text, "0", "diff").wants(http.StatusOK, "Pubblica").send(at+"/pubblica", "impronta", b.print()).wants(http.StatusOK, "versione 1")
	b.get(at).wants(http.StatusOK, "Spegni il servizio").send(at+"/stato", "verso", "off").wants(http.StatusUnprocessableEntity, "Scrivi il motivo")
	b.send(at+"/stato", "verso", "off", "perche", "delibera 3").wants(http.StatusSeeOther).follow().wants(http.StatusOK, "Riaccendi")
	b.get(path+"/portale").wants(http.StatusOK, "spento")
	if v, err := w.Services.Current(t.Context(), "prova", "mensa"); err != nil || v.Open(w.Today()) {
		t.Error("it is still open", err)
	}
	b.get(at).send(at+"/stato", "verso", "on", "perche", "delibera 4").wants(http.StatusSeeOther)
	if v, err := w.Services.At(t.Context(), "prova", "mensa", 1); err != nil || !v.Open(w.Today()) {
		t.Error("it is not open again", err)
	}
	b.get(at).send(at + "/scarta").wants(http.StatusSeeOther)
	b.get(path+"/schema-servizi").wants(http.StatusOK, "sections[].fields[].kind", "codice-fiscale", "ranking.ties[].first")
}
