package console_test

import (
	"bytes"
	"image"
	"image/png"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/town"
)

// Every sentence of the two modules is in the catalogue, in both languages.
func TestDeskSentences(t *testing.T) {
	literal := regexp.MustCompile(`"((?:delega|assisted|attachment|application|form)\.[A-Za-z0-9-]*[A-Za-z0-9])"`)
	field := regexp.MustCompile(`(?:r\.question\("(delega|assisted)", |[^.\w](ask|say)\()"(?:[a-z]+\.)?([A-Za-z-]+)\*?"`)
	heads := regexp.MustCompile(`\.(mandate|assisted)Heads\(([^\n]*)\)`)
	done := regexp.MustCompile(`"(delega|assisted)\.((?:granted|accepted|refused|revoked|scan-added|started|saved|gone|reopened|code-sent|signed|sent))"`)
	files, _ := filepath.Glob("mandates*.go")
	more, _ := filepath.Glob("assisted*.go")
	pages, _ := filepath.Glob("templates/assisted*.html")
	n := 0
	for _, name := range append(append(files, more...), pages...) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		area := "delega"
		if strings.Contains(name, "assisted") {
			area = "assisted"
		}
		need := map[string]bool{}
		for _, m := range field.FindAllStringSubmatch(string(text), -1) {
			need[area+".f-"+m[3]] = true
		}
		for _, m := range heads.FindAllStringSubmatch(string(text), -1) {
			for _, k := range regexp.MustCompile(`"([a-z-]+)"`).FindAllStringSubmatch(m[2], -1) {
				need[area+"."+k[1]] = true
			}
		}
		told := map[string]bool{}
		for _, m := range done.FindAllStringSubmatch(string(text), -1) {
			need[m[1]+".done-"+m[2]], told[m[1]+"."+m[2]] = true, true
		}
		for _, m := range literal.FindAllStringSubmatch(string(text), -1) {
			if !told[m[1]] && m[1] != "assisted.file" {
				need[m[1]] = true
			}
		}
		for key := range need {
			if n++; !message.Has(key) {
				t.Errorf("%s: no sentence %q", name, key)
			}
		}
	}
	if n < 60 {
		t.Errorf("only %d sentences were looked for", n)
	}
}

// file posts a form with a file in it.
func (b *browser) file(path, field, name string, content []byte, pairs ...string) *browser {
	b.t.Helper()
	var body bytes.Buffer
	m := multipart.NewWriter(&body)
	for i := 0; i+1 < len(pairs); i += 2 {
		if err := m.WriteField(pairs[i], pairs[i+1]); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := m.WriteField("csrf", b.token()); err != nil {
		b.t.Fatal(err)
	}
	if field != "" {
		w, err := m.CreateFormFile(field, name)
		if err == nil {
			_, err = w.Write(content)
		}
		if err != nil {
			b.t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		b.t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, path, &body)
	r.Header.Set("Content-Type", m.FormDataContentType())
	b.do(r)
	return b
}

func picture(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 16, 16))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func whoIs(prefix string, n int) []string {
	f := town.FormOf(n)
	return []string{prefix + "code", f.Code, prefix + "family", f.Family, prefix + "given", f.Given}
}

// A mandate from the document on the table to its end, through the pages.
func TestMandatePages(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		h := pages(t, w)
		b := as(t, w, h, w.Operator("prova", 1, "R8"), "192.0.2.8:1")
		at := path + "/deleghe"
		b.get(at).wants(http.StatusOK, "Richieste da controllare", "Nessun risultato")
		b.get(at+"/nuova").wants(http.StatusOK, "Concedi una delega solo con il documento davanti", "Iscrizione al nido comunale")
		filled := append(append(whoIs("whose.", 2), whoIs("who.", 3)...), "kind", "delegate", "title", "Delegato", "since", w.Today().Format(time.DateOnly), "document", "Delega scritta", "number", "12 del 01/09/2026", "scope.iscrizione-nido", "yes")
		with := func(pairs ...string) []string { return append(append([]string{}, filled...), pairs...) }
		for name, c := range map[string]struct {
			pairs []string
			want  string
		}{
			"no kind":       {with("kind", ""), "Scegli il tipo"},
			"no proof":      {with("number", ""), "con il numero e la data"},
			"another name":  {with("who.family", "Altrui"), "Il cognome non corrisponde"},
			"a wrong code":  {with("whose.code", "RSSMRA80A01H501X"), "codice fiscale"},
			"the same":      {append(with(), whoIs("who.", 2)...), "scrivi due persone diverse"},
			"of age":        {with("kind", "minor"), "è maggiorenne"},
			"end first":     {with("until", "2020-01-01"), "viene prima del primo"},
			"kind and code": {with("kind", "company", "whose.code", "00743110157", "since", "x"), "Scrivi il primo giorno"},
		} {
			b.get(at + "/nuova")
			if b.send(at+"/nuova", c.pairs...); b.status != http.StatusUnprocessableEntity || !strings.Contains(plain(b.body), c.want) {
				t.Errorf("%s: %d %s", name, b.status, plain(b.body))
			}
		}
		own := as(t, w, h, w.Operator("prova", 3, "R8"), "192.0.2.9:1")
		own.get(at+"/nuova").send(at+"/nuova", filled...).wants(http.StatusForbidden, "Sei una delle due persone")
		b.get(at+"/nuova").send(at+"/nuova", filled...).wants(http.StatusSeeOther)
		one := b.header.Get("Location")
		one, _, _ = strings.Cut(one, "?")
		b.follow().wants(http.StatusOK, "La delega è concessa", "Delega scritta, 12 del 01/09/2026", "Iscrizione al nido comunale", town.FormOf(2).Code, town.FormOf(3).Code)

		// Scans: what acts is refused, what is taken comes back as a download in a sandbox.
		b.file(one+"/prova", "", "", nil).wants(http.StatusUnprocessableEntity, message.Text(message.Italian, "attachment.empty"))
		b.file(one+"/prova", "file", "delega.pdf", []byte("%PDF-1.7\n1 0 obj<</OpenAction<</S/JavaScript>>>>")).wants(http.StatusUnprocessableEntity)
		b.file(one+"/prova", "file", "delega.svg", []byte(`<svg onload="alert(1)"/>`)).wants(http.StatusUnprocessableEntity)
		b.file(one+"/prova", "file", "delega.png", picture(t)).wants(http.StatusSeeOther)
		b.follow().wants(http.StatusOK, "La scansione è salvata", "delega.png")
		scan := regexp.MustCompile(`href="([^"]+/prova/[^"]+)"`).FindStringSubmatch(b.body)
		if scan == nil {
			t.Fatal("no link to the scan")
		}
		b.get(scan[1]).wants(http.StatusOK)
		if b.body != string(picture(t)) || !strings.Contains(b.header.Get("Content-Security-Policy"), "sandbox") || !strings.HasPrefix(b.header.Get("Content-Disposition"), "attachment") {
			t.Error(b.header)
		}

		// Found by a name, with a reason.
		b.get(at).send(at, "family", town.FormOf(2).Family).wants(http.StatusUnprocessableEntity, "Scrivi il motivo")
		b.send(at, "reason", "curiosità").wants(http.StatusUnprocessableEntity, "Scrivi il codice fiscale o il nome")
		b.send(at, "family", town.FormOf(2).Family, "reason", "persona allo sportello").wants(http.StatusOK, one, "Valida")

		// Nobody else: another ente's desk, a desk without the right, who runs the server.
		there := as(t, w, h, w.Operator("altro", 4, "R8"), "192.0.2.10:1")
		there.get(at).send(at, "code", town.FormOf(2).Code, "reason", "persona allo sportello").wants(http.StatusOK, "Nessun risultato")
		there.get(one).wants(http.StatusNotFound)
		there.get(scan[1]).wants(http.StatusNotFound)
		there.get(at).send(one+"/revoca", "why", "non vale").wants(http.StatusNotFound)
		for _, a := range []role.Actor{w.Operator("prova", 5, "R12"), w.Operator("prova", 6, "R-CAF1"), w.Operator("", 7)} {
			x := as(t, w, h, a, "192.0.2.11:1")
			x.get(path+"/password").send(one+"/revoca", "why", "non vale").wants(http.StatusForbidden)
			x.get(one).wants(http.StatusForbidden)
		}

		b.get(one).send(one+"/revoca").wants(http.StatusUnprocessableEntity, "Scrivi il motivo")
		b.send(one+"/revoca", "why", "revocata da chi delega").wants(http.StatusSeeOther)
		b.follow().wants(http.StatusOK, "La delega è revocata", "Revocata", "revocata da chi delega")
		b.send(one+"/revoca", "why", "di nuovo").wants(http.StatusConflict, "è cambiata nel frattempo")
	})
}

// What was asked online is accepted or refused at the desk.
func TestMandateRequests(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	b := as(t, w, pages(t, w), w.Operator("prova", 1, "R-Ente"), "192.0.2.8:1")
	ids := askedMandates(t, w, 2)
	at := path + "/deleghe"
	b.get(at).wants(http.StatusOK, at+"/"+ids[0], at+"/"+ids[1])
	b.get(at+"/"+ids[0]).wants(http.StatusOK, "Accetta solo dopo aver visto il documento", "prova.png", at+"/"+ids[0]+"/prova/"+ids[0])
	b.send(at+"/"+ids[0]+"/decidi", "accept", "yes", "document", "Estratto", "number", "7/2026").wants(http.StatusSeeOther)
	b.follow().wants(http.StatusOK, "La delega è accettata", "Estratto, 7/2026", "Valida")
	b.get(at+"/"+ids[1]).send(at+"/"+ids[1]+"/decidi").wants(http.StatusUnprocessableEntity, "Scrivi il motivo")
	b.send(at+"/"+ids[1]+"/decidi", "why", "documento scaduto").wants(http.StatusSeeOther)
	b.follow().wants(http.StatusOK, "Rifiutata", "documento scaduto")
}
