package console_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/attachment"
	"github.com/citel-pa/citel/server/deposit"
	"github.com/citel-pa/citel/server/feedback"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/server/submission"
	"github.com/citel-pa/citel/testdata/town"
)

// citizen has an account and a medium credential; who is an invented person's number.
func citizen(t *testing.T, w *town.Town, who int) submission.Visitor {
	t.Helper()
	f := town.FormOf(who)
	v := submission.Visitor{Ente: "prova", Level: session.Media, Email: f.Email, Address: "192.0.2.40:1"}
	err := w.Store.Tx(t.Context(), func(tx *sql.Tx) (err error) {
		v.Person, err = person.EnsureAccount(t.Context(), tx, person.Natural, f.Code, f.Given, f.Family, w.Today())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// writes sends a message about a topic, with files.
func writes(t *testing.T, w *town.Town, v submission.Visitor, topic, text string, files ...[]byte) *submission.Application {
	t.Helper()
	ctx, d := context.Background(), w.Applications
	a, err := d.Start(ctx, v, "instradamento")
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{"topic": topic, "subject": "Cassonetto", "text": text, "email": v.Email}
	if errs, err := d.Save(ctx, v, a.ID, func(id string) string { return values[id] }, true); err != nil || len(errs) > 0 {
		t.Fatal(errs, err)
	}
	for i, f := range files {
		if _, err := d.Attach(ctx, v, a.ID, "file", fmt.Sprintf("allegato <%d>.pdf", i+1), bytes.NewReader(f), int64(len(f))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Make(ctx, v, a.ID, false, a.Service.Privacy.Version); err != nil {
		t.Fatal(err)
	}
	if a, err = d.Send(ctx, v, a.ID); err != nil {
		t.Fatal(err)
	}
	return a
}

// twice is a button that is pressed twice.
func (b *browser) twice(path string, pairs ...string) {
	b.t.Helper()
	token := b.token()
	for range 2 {
		b.post(path, token, pairs...).wants(http.StatusSeeOther)
	}
}

// counter adds an application with a file, an emergency register and a day's register.
func (r *things) counter(t *testing.T, w *town.Town) {
	t.Helper()
	ctx := t.Context()
	v := citizen(t, w, 80)
	a := writes(t, w, v, "waste", "Il cassonetto è pieno", plainPDF(t, w))
	files, err := w.Applications.Files(ctx, a)
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	boss := w.Operator("prova", 81, "R6")
	id, err := w.Register.OpenEmergency(ctx, boss, "Guasto elettrico", w.Today())
	if err != nil {
		t.Fatal(err)
	}
	w.Move(48 * time.Hour)
	if err := w.Register.CloseDays(ctx); err != nil {
		t.Fatal(err)
	}
	days, err := w.Register.Days(ctx, "prova", 1)
	if err != nil || len(days) != 1 {
		t.Fatal(days, err)
	}
	r.sent = map[string]string{"{application}": a.ID, "{paper}": "comunicazione.pdf", "{file}": files[0].ID}
	for k, x := range map[string]string{"{year}": fmt.Sprint(a.Number.Year), "{number}": fmt.Sprint(a.Number.Number),
		"{emergency}": fmt.Sprint(id), "{day}": days[0].Day, "{n}": "1"} {
		r.ids[k] = x
	}
	r.others(t, w)
	r.secrets = append(r.secrets, v.Person.CodiceFiscale, "Il cassonetto è pieno", "Guasto elettrico")
}

// others adds a call for a ranking, an import of the registry that waits, and a record.
func (r *things) others(t *testing.T, w *town.Town) {
	t.Helper()
	h, day := pages(t, w), w.Today().In(register.Rome()).Format(time.DateOnly)
	school := as(t, w, h, w.Operator("prova", 82, "R20"), "192.0.2.6:1")
	school.get(path+"/istruzione").send(path+"/istruzione", "servizio", "iscrizione-nido", "titolo", "Bando segreto", "dal", day, "al", day, "termine", "5").wants(http.StatusSeeOther)
	m := callAddress.FindStringSubmatch(school.header.Get("Location"))
	if m == nil {
		t.Fatal(school.header)
	}
	at := path + "/anagrafe/importazioni"
	registry := as(t, w, h, w.Operator("prova", 83, "R31"), "192.0.2.7:1")
	load := func(n int) string {
		registry.get(at).uploads(at, "list", []byte(registryHead+registryLine(n, "Via Segreta 1", "56100"))).wants(http.StatusSeeOther).follow()
		return strings.TrimPrefix(regexp.MustCompile(at+`/[0-9a-f]{32}`).FindString(registry.body), at+"/")
	}
	first := load(44)
	registry.send(at+"/"+first+"/conferma", "sha256", registry.hidden("sha256"), "plan", registry.hidden("plan")).wants(http.StatusSeeOther)
	registry.get(path+"/anagrafe").send(path+"/anagrafe", "reason", "pratica 12", "code", town.FormOf(44).Code).wants(http.StatusOK)
	record := regexp.MustCompile(path + `/anagrafe/schede/([^"?/]+)`).FindStringSubmatch(registry.body)
	if record == nil {
		t.Fatal(plain(registry.body))
	}
	report, err := w.Feedback.Send(t.Context(), feedback.Report{Ente: "prova", Text: "Il pulsante segreto non si legge", Email: "x@example.org"}, "192.0.2.50:1")
	if err != nil {
		t.Fatal(err)
	}
	r.ids["{report}"] = fmt.Sprint(report.Number)
	r.ids["{call}"], r.ids["{import}"], r.ids["{resident}"] = m[1], load(45), record[1]
	r.secrets = append(r.secrets, "Bando segreto", "Via Segreta", town.FormOf(44).Code, town.FormOf(45).Code)
}

func plainPDF(t *testing.T, w *town.Town) []byte {
	t.Helper()
	x, err := w.Applications.Start(t.Context(), citizen(t, w, 89), "instradamento")
	if err != nil {
		t.Fatal(err)
	}
	v := citizen(t, w, 89)
	values := map[string]string{"topic": "other", "subject": "x", "text": "x"}
	if _, err := w.Applications.Save(t.Context(), v, x.ID, func(id string) string { return values[id] }, true); err != nil {
		t.Fatal(err)
	}
	if x, err = w.Applications.Make(t.Context(), v, x.ID, false, x.Service.Privacy.Version); err != nil {
		t.Fatal(err)
	}
	f, err := w.Applications.Document(t.Context(), x)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close(), w.Applications.Discard(t.Context(), v, x.ID)); err != nil {
		t.Fatal(err)
	}
	return data
}

// A message goes by itself to the office of its topic, and from there to its answer: each
// side sees what the other does, one deed is done once, of two operators one is told.
func TestInstradamento(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		h := pages(t, w)
		admin := as(t, w, h, w.Operator("prova", 1, "R6"), "192.0.2.1:1")
		urp, eco, eco2 := w.Operator("prova", 2, "R12"), w.Operator("prova", 3, "R12"), w.Operator("prova", 4, "R13")

		// The table of topics, and who works where.
		admin.get(path+"/uffici/argomenti").wants(http.StatusOK, "Rifiuti e ambiente", "Ambiente", "scheda del servizio")
		admin.send(path+"/uffici/argomenti", "topic", "instradamento/niente", "office", "URP").wants(http.StatusUnprocessableEntity, "Scegli un argomento")
		admin.send(path+"/uffici/argomenti", "topic", "instradamento/waste", "office", "Lavori pubblici").wants(http.StatusSeeOther)
		admin.follow().wants(http.StatusOK, "questa tabella")
		for who, offices := range map[int64][]string{urp.Operator: {"URP"}, eco.Operator: {"Lavori pubblici"}, eco2.Operator: {"Ambiente", "Lavori pubblici"}} {
			at, pairs := fmt.Sprintf("%s/uffici/operatori/%d", path, who), []string{}
			for _, o := range offices {
				pairs = append(pairs, "o-"+hex.EncodeToString([]byte(o)), "yes")
			}
			admin.get(at).wants(http.StatusOK, "Dove lavora").send(at, pairs...).wants(http.StatusSeeOther)
			admin.follow().wants(http.StatusOK, strings.Join(offices, ", "))
		}
		admin.get(fmt.Sprintf("%s/uffici/operatori/%d", path, urp.Operator)).send(fmt.Sprintf("%s/uffici/operatori/%d", path, urp.Operator), "o-"+hex.EncodeToString([]byte("Inventato")), "yes").wants(http.StatusUnprocessableEntity, "Scegli un altro ufficio")

		v := citizen(t, w, 20)
		a := writes(t, w, v, "waste", "È pieno\n<script>alert(1)</script>")
		other := writes(t, w, v, "other", "Un'altra cosa")
		if a.Office != "Lavori pubblici" || other.Office != "URP" {
			t.Fatal(a.Office, other.Office)
		}
		b, bb, u := as(t, w, h, eco, "192.0.2.3:1"), as(t, w, h, eco2, "192.0.2.4:1"), as(t, w, h, urp, "192.0.2.2:1")
		all := as(t, w, h, w.Operator("prova", 5, "R12"), "192.0.2.5:1")
		page := path + "/pratiche/" + a.ID

		// Each sees the own offices; who is tied to none sees all; no draft is there.
		b.get(path+"/pratiche").wants(http.StatusOK, a.Number.String(), v.Person.Name(), "Lavori pubblici")
		for _, x := range []struct {
			b    *browser
			id   string
			want int
		}{{b, a.ID, 200}, {b, other.ID, 404}, {u, a.ID, 404}, {u, other.ID, 200}, {all, a.ID, 200}, {all, other.ID, 200}} {
			x.b.get(path + "/pratiche/" + x.id).wants(x.want)
			x.b.get(path + "/pratiche?ufficio=").wants(http.StatusOK)
			if strings.Contains(x.b.body, x.id) != (x.want == 200) {
				t.Error("queue", x.id, x.want)
			}
		}
		if b.get(path + "/pratiche?ufficio=URP"); strings.Contains(b.body, other.ID) {
			t.Error("another office's queue")
		}
		for query, want := range map[string]bool{"testo=" + a.Number.String(): true, "testo=" + v.Person.CodiceFiscale: true, "testo=" + strings.ToLower(v.Person.Family): true, "testo=nessuno": false, "testo=%25": false,
			"scadute=yes": false, "mie=yes": false, "stato=closed": false, "servizio=instradamento": true, "servizio=iscrizione-nido": false, "testo=" + a.ID: true} {
			if b.get(path + "/pratiche?" + query).wants(http.StatusOK); strings.Contains(b.body, page) != want {
				t.Errorf("%s: %v", query, !want)
			}
		}
		b.get(page).wants(http.StatusOK, "È pieno", "media", a.Fingerprint(), "instradamento, n. 1", v.Person.CodiceFiscale, "Prendi in carico")
		if strings.Contains(b.body, "<script>alert") {
			t.Error("what a citizen wrote acts on the page")
		}
		if n := storetest.Count(t, w.Store, fmt.Sprintf("SELECT count(*) FROM journal WHERE kind = 'person-read' AND operator = %d AND person = %d", eco.Operator, v.Person.ID)); n < 2 {
			t.Errorf("%d readings in the log", n)
		}

		// Two at once: who comes second is told who was faster, and nothing typed is lost.
		bb.get(page)
		b.twice(page + "/carico")
		b.follow().wants(http.StatusOK, "La pratica è in carico a te")
		bb.send(page+"/carico").wants(http.StatusConflict, "Nel frattempo "+eco.Name+": Presa in carico", "al suo posto")
		bb.send(page+"/risposta", "words", "La mia risposta").wants(http.StatusConflict, "Nel frattempo "+eco.Name, "La mia risposta</textarea>")
		bb.get(page).wants(http.StatusOK, "In carico a "+eco.Name, "Prendi in carico al posto di "+eco.Name)
		if strings.Contains(bb.body, page+"/risposta") {
			t.Error("what a colleague has in charge is offered")
		}
		b.get(path+"/pratiche?mie=yes").wants(http.StatusOK, a.Number.String(), eco.Name)

		// More, the citizen's word, and overdue.
		b.get(page).send(page+"/integrazione", "words", " ").wants(http.StatusUnprocessableEntity, "Scrivi un testo")
		b.send(page+"/integrazione", "words", "In quale via?").wants(http.StatusSeeOther)
		b.get(path+"/pratiche").wants(http.StatusOK, "sospeso")
		mine, err := w.Applications.Get(t.Context(), v, a.ID)
		if err != nil || mine.State != submission.StateMore {
			t.Fatal(mine, err)
		}
		steps, err := w.Applications.Steps(t.Context(), mine)
		if err != nil || steps[len(steps)-1].Text != "In quale via?" {
			t.Error("the citizen does not read it", steps, err)
		}
		if err := w.Applications.Reply(t.Context(), v, a.ID, "Via Prova"); err != nil {
			t.Fatal(err)
		}
		b.get(page).wants(http.StatusOK, "Via Prova", "cittadino")
		w.Move(40 * 24 * time.Hour)
		b, bb, u = as(t, w, h, eco, "192.0.2.3:1"), as(t, w, h, eco2, "192.0.2.4:1"), as(t, w, h, urp, "192.0.2.2:1")
		b.get(path+"/pratiche?scadute=yes").wants(http.StatusOK, a.Number.String(), "SCADUTA il", "giorni)")
		b.get(path+"/pratiche/conteggi?dal=2020-01-01").wants(http.StatusOK, "Scrivi al Comune", "Lavori pubblici", "In carico")

		// To another office and back, taken over by a colleague.
		b.get(page).send(page+"/smista", "office", "Lavori pubblici").wants(http.StatusUnprocessableEntity, "Scegli un altro ufficio")
		b.send(page+"/smista", "office", "Ambiente", "words", "di vostra competenza").wants(http.StatusSeeOther)
		if to := b.header.Get("Location"); !strings.HasPrefix(to, path+"/pratiche?") {
			t.Error("to what the operator sees no more:", to)
		}
		b.follow().wants(http.StatusOK, "andata all'altro ufficio")
		b.get(page).wants(http.StatusNotFound)
		bb.get(page).wants(http.StatusOK, "Smistata a: Ambiente", "di vostra competenza").send(page + "/carico").wants(http.StatusSeeOther)

		// The answer: sealed, numbered, once.
		const words = "Il cassonetto è stato svuotato.\n\nGrazie della segnalazione."
		bb.get(page).twice(page+"/risposta", "words", words)
		bb.get(page).send(page+"/risposta", "words", "un'altra").wants(http.StatusConflict, "un'altra")
		answer(t, w, v, a.ID, "Il cassonetto è stato svuotato.", eco2.Name, "Ambiente", a.Number.String())
		out, err := w.Applications.AnswerOf(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		bb.get(page).wants(http.StatusOK, "protocollo in uscita "+out.Number.String(), "Risposta data")
		bb.get(page + "/carte/risposta.pdf").wants(http.StatusOK)
		if !strings.HasPrefix(bb.body, "%PDF") || bb.header.Get("Content-Security-Policy") != "default-src 'none'; sandbox" || !strings.HasPrefix(bb.header.Get("Content-Disposition"), "attachment") {
			t.Error(bb.header)
		}
		for _, p := range []string{"comunicazione.pdf", "ricevuta.pdf", "passi.json", "servizio.yaml"} {
			bb.get(page + "/carte/" + p).wants(http.StatusOK)
		}
		bb.get(page + "/carte/altro.pdf").wants(http.StatusNotFound)
		bb.get(page).twice(page + "/chiusura")
		bb.get(page).wants(http.StatusOK, "Chiusa")
		if strings.Contains(bb.body, page+"/") && strings.Contains(bb.body, "Che cosa puoi fare") {
			t.Error("deeds on a closed file")
		}
		if mine, err = w.Applications.Get(t.Context(), v, a.ID); err != nil || mine.State != submission.StateClosed {
			t.Error(mine, err)
		}
		var mails []string
		for _, m := range w.Mails(v.Email) {
			mails = append(mails, m[0])
		}
		if got := strings.Join(mails, " "); got != "application-received application-received application-more application-answered application-closed" {
			t.Error(got)
		}
		if n := storetest.Count(t, w.Store, "SELECT count(*) FROM register_entry WHERE ente = 'prova'"); n != 3 {
			t.Errorf("%d entries: two messages and one answer", n)
		}
		bb.get(path + "/pratiche/conteggi.csv?dal=2020-01-01").wants(http.StatusOK)
		if !strings.Contains(bb.body, "instradamento;Ambiente;closed;1;40,0;0") || bb.header.Get("Content-Type") != "text/csv; charset=utf-8" || strings.Contains(bb.body, "URP") {
			t.Error(bb.body)
		}
		bb.get(path+"/pratiche/conteggi?dal=2026-02-01&al=2026-01-01").wants(http.StatusUnprocessableEntity, "il primo non dopo")
		u.get(path + "/pratiche/conteggi.csv?dal=x").wants(http.StatusBadRequest)
	})
}

// What the citizen takes back while the operator writes the answer is not answered: the
// operator is told by whom and why, and keeps what was written.
func TestWithdrawnWhileTheAnswerIsWritten(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	v := citizen(t, w, 20)
	a := writes(t, w, v, "other", "Una cosa")
	b := as(t, w, pages(t, w), w.Operator("prova", 5, "R12"), "192.0.2.5:1")
	page := path + "/pratiche/" + a.ID
	b.get(page).wants(http.StatusOK, page+"/risposta")
	if err := w.Applications.Withdraw(t.Context(), v, a.ID, "Ho risolto da me"); err != nil {
		t.Fatal(err)
	}
	b.send(page+"/risposta", "words", "La mia lunga risposta").wants(http.StatusConflict, "Ritirata", "La mia lunga risposta")
	b.get(page).wants(http.StatusOK, "Ritirata", "Ho risolto da me")
	for _, deed := range []string{"/risposta", "/integrazione", "/chiusura", "/carico"} {
		if strings.Contains(b.body, `action="`+page+deed+`"`) {
			t.Errorf("%s is offered on what was taken back", deed)
		}
	}
	if n := storetest.Count(t, w.Store, "SELECT count(*) FROM register_entry"); n != 1 {
		t.Errorf("%d numbers for a message without an answer", n)
	}
}

// answer looks at the sealed answer as the citizen gets it.
func answer(t *testing.T, w *town.Town, v submission.Visitor, id string, words ...string) {
	t.Helper()
	a, err := w.Applications.Get(t.Context(), v, id)
	if err != nil {
		t.Fatal(err)
	}
	r, err := w.Applications.AnswerPDF(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	x, err := w.Applications.AnswerOf(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	e, err := w.Register.Get(t.Context(), "prova", x.Number)
	if sum := sha256.Sum256(data); err != nil || !bytes.Equal(sum[:], e.SHA256) || e.Direction != register.Out || e.Origin != a.Number.String() || !strings.Contains(e.Party, v.Person.CodiceFiscale) {
		t.Errorf("the register has another document: %+v, %v", e, err)
	}
	name := filepath.Join(t.TempDir(), "risposta.pdf")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if keep := os.Getenv("CITEL_KEEP_ANSWER"); keep != "" {
		_ = os.WriteFile(keep, data, 0o600) //nolint:gosec // a developer's wish
	}
	for _, c := range [][]string{{"pdfsig", "-nocert", name, "Signature is Valid"}, {"qpdf", "--check", name, "No syntax"}, append([]string{"pdfinfo", "-struct-text", name}, words...)} {
		out, err := exec.CommandContext(t.Context(), c[0], c[1:3]...).CombinedOutput() //nolint:gosec // our own words
		if err != nil {
			t.Fatalf("%v (make deps): %v\n%s", c, err, out)
		}
		flat := strings.Join(strings.Fields(strings.ReplaceAll(string(out), "\"", " ")), " ")
		for _, want := range c[3:] {
			if !strings.Contains(flat, want) {
				t.Errorf("%s: no %q in\n%s", c[0], want, flat)
			}
		}
	}
}

type slowScanner struct{ verdict *attachment.Verdict }

func (s *slowScanner) Scan(context.Context, io.Reader, int64) (attachment.Verdict, error) {
	if s.verdict == nil {
		return attachment.Verdict{}, errors.New("down")
	}
	return *s.verdict, nil
}

// Attachments are opened when they are clean, as downloads that can do nothing.
func TestAttachmentsAtTheDesk(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	scanner := &slowScanner{}
	w.Applications.Scanner = scanner
	h := pages(t, w)
	v := citizen(t, w, 20)
	a := writes(t, w, v, "waste", "x", plainPDF(t, w))
	b := as(t, w, h, w.Operator("prova", 1, "R12"), "192.0.2.1:1")
	page := path + "/pratiche/" + a.ID
	files, err := w.Applications.Files(t.Context(), a)
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	at := page + "/file/" + files[0].ID
	b.get(page).wants(http.StatusOK, "in attesa")
	if strings.Contains(b.body, at) {
		t.Error("a link to what was not scanned")
	}
	b.get(at).wants(http.StatusConflict, "L'allegato non si apre")
	scanner.verdict = &attachment.Verdict{Threat: "Prova-Virus"}
	if err := w.Applications.ScanWaiting(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.get(page).wants(http.StatusOK, "fermato", "Prova-Virus")
	b.get(at).wants(http.StatusConflict)
	scanner.verdict = &attachment.Verdict{Clean: true}
	a = writes(t, w, v, "waste", "x", plainPDF(t, w))
	page = path + "/pratiche/" + a.ID
	if files, err = w.Applications.Files(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	at = page + "/file/" + files[0].ID
	b.get(page).wants(http.StatusOK, at, "superato")
	b.get(at).wants(http.StatusOK)
	if b.header.Get("Content-Type") != "application/pdf" || b.header.Get("Content-Security-Policy") != "default-src 'none'; sandbox" || b.header.Get("X-Content-Type-Options") != "nosniff" ||
		!strings.HasPrefix(b.header.Get("Content-Disposition"), "attachment") || strings.ContainsAny(b.header.Get("Content-Disposition"), "<>") {
		t.Error(b.header)
	}
	b.get(page + "/file/999").wants(http.StatusNotFound)
	// Another topic's operator does not get at it.
	school := as(t, w, h, w.Operator("prova", 2, "R20"), "192.0.2.2:1")
	for _, x := range []string{page, at, page + "/carte/comunicazione.pdf"} {
		school.get(x).wants(http.StatusForbidden)
	}
	if school.get(path + "/pratiche?stato=tutte").wants(http.StatusOK); strings.Contains(school.body, a.ID) {
		t.Error("another topic's file is in the queue")
	}
	school.get(path + "/").send(page + "/carico").wants(http.StatusForbidden)
}

// The queue in pages: each application once, those due first.
func TestQueuePages(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		who := w.Operator("prova", 1, "R12")
		const n = 60
		for i := range n {
			v := submission.Visitor{Ente: "prova", Level: session.Debole, Credential: fmt.Sprint("w", i), Email: "w@example.org"}
			writes(t, w, v, "other", "x")
			w.Move(time.Minute)
		}
		b := as(t, w, pages(t, w), who, "192.0.2.1:1")
		seen, at := map[string]bool{}, path+"/pratiche"
		for pages := 1; ; pages++ {
			b.get(at).wants(http.StatusOK)
			for _, part := range strings.Split(b.body, `href="`+path+"/pratiche/")[1:] {
				if id, _, _ := strings.Cut(part, `"`); len(id) == 32 {
					if seen[id] {
						t.Error("twice", id)
					}
					seen[id] = true
				}
			}
			next := regexp.MustCompile(`href="` + path + `/pratiche\?dopo=([0-9a-f]+)"`).FindStringSubmatch(b.body)
			if next == nil {
				if pages != 2 {
					t.Error(pages, "pages")
				}
				break
			}
			at = path + "/pratiche?dopo=" + next[1]
		}
		if len(seen) != n {
			t.Errorf("%d of %d", len(seen), n)
		}
		b.get(path + "/pratiche?dopo=nessuna").wants(http.StatusNotFound)
	})
}

// The register at the desk: who reads names, cancellation, emergency, days, packages.
func TestProtocollo(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		h := pages(t, w)
		v := citizen(t, w, 20)
		now := w.Today().In(register.Rome()) // from noon, so that no day is near its end
		w.Move(time.Date(now.Year(), now.Month(), now.Day()+1, 12, 0, 0, 0, register.Rome()).Sub(now))
		urp, boss := w.Operator("prova", 1, "R12"), w.Operator("prova", 2, "R6")
		e, err := w.Enti.Get(t.Context(), "prova")
		if err != nil {
			t.Fatal(err)
		}
		named := *e
		named.IPA, named.AOO = "c_prova", "A000001"
		if err := w.Enti.Update(t.Context(), boss, named); err != nil {
			t.Fatal(err)
		}
		a := writes(t, w, v, "waste", "x", plainPDF(t, w))
		tied := w.Operator("prova", 3, "R12")
		if err := w.Operators.SetOffices(t.Context(), boss, tied.Operator, []string{"URP"}); err != nil {
			t.Fatal(err)
		}
		u, b, o := as(t, w, h, urp, "192.0.2.1:1"), as(t, w, h, boss, "192.0.2.2:1"), as(t, w, h, tied, "192.0.2.3:1")
		entry := fmt.Sprintf("%s/protocollo/%d/%d", path, a.Number.Year, a.Number.Number)
		for name, x := range map[string]struct {
			b     *browser
			names bool
		}{"urp": {u, true}, "administrator": {b, false}, "tied": {o, false}} {
			for _, at := range []string{path + "/protocollo", entry} {
				x.b.get(at).wants(http.StatusOK, a.Number.String(), "Scrivi al Comune")
				if strings.Contains(x.b.body, v.Person.CodiceFiscale) != x.names || strings.Contains(x.b.body, v.Person.Family) != x.names {
					t.Errorf("%s at %s", name, at)
				}
			}
			want := http.StatusForbidden
			if x.names {
				want = http.StatusOK
			}
			x.b.get(entry + "/segnatura.xml").wants(want)
		}
		if u.get(entry + "/segnatura.xml"); !strings.Contains(u.body, "<prot:CodiceFiscale>"+v.Person.CodiceFiscale) || strings.Count(u.body, "<prot:Allegato") != 1 {
			t.Error(u.body)
		}
		u.get(path+"/protocollo?numero=x").wants(http.StatusUnprocessableEntity, "2026/0000042")
		u.get(path+"/protocollo?parte="+v.Person.CodiceFiscale).wants(http.StatusOK, a.Number.String())
		if o.get(path + "/protocollo?parte=" + v.Person.CodiceFiscale); strings.Contains(o.body, a.Number.String()) {
			t.Error("searched by a name that is not shown")
		}
		if b.get(path + "/protocollo?parte=nessuno"); !strings.Contains(b.body, a.Number.String()) {
			t.Error("an administrator searches names")
		}
		u.get(entry + "x").wants(http.StatusNotFound)
		u.get(fmt.Sprintf("%s/protocollo/%d/99", path, a.Number.Year)).wants(http.StatusNotFound)

		// Cancelled with its reason, readable.
		u.get(entry).send(entry+"/annulla", "why", "doppia").wants(http.StatusForbidden)
		b.get(entry).send(entry+"/annulla", "why", "x").wants(http.StatusUnprocessableEntity, "da 3 a 500")
		b.send(entry+"/annulla", "why", "Registrata due volte").wants(http.StatusSeeOther)
		b.follow().wants(http.StatusOK, "ANNULLATA", "Registrata due volte", boss.Name, "resta leggibile")
		b.send(entry+"/annulla", "why", "ancora").wants(http.StatusConflict, "già annullata")
		b.get(path+"/protocollo?annullate=yes").wants(http.StatusOK, a.Number.String(), "ANNULLATA")
		u.get(entry).wants(http.StatusOK, "ANNULLATA")

		// Emergency: opened, filled from paper once each, closed.
		at := path + "/protocollo/emergenza"
		since := w.Today().In(register.Rome()).Add(-time.Hour).Format("2006-01-02T15:04")
		b.get(at).send(at, "cause", "Guasto", "since", "x").wants(http.StatusUnprocessableEntity, "non nel futuro")
		b.send(at, "cause", "x", "since", since).wants(http.StatusUnprocessableEntity, "da 3 a 500")
		b.send(at, "cause", "Guasto elettrico", "since", "2099-01-01T10:00").wants(http.StatusUnprocessableEntity, "non nel futuro")
		b.twice(at, "cause", "Guasto elettrico", "since", since)
		series := b.header.Get("Location")
		series, _, _ = strings.Cut(series, "?")
		if !strings.HasSuffix(series, "/emergenza/1") {
			t.Fatal(series)
		}
		paper := []string{"time", since, "direction", "in", "party", "Ditta Prova", "subject", "Ricorso su carta"}
		b.get(series).wants(http.StatusOK, "ancora aperto").send(series+"/registra", "time", since).wants(http.StatusUnprocessableEntity, "Servono il giorno")
		b.twice(series+"/registra", paper...)
		b.follow().wants(http.StatusOK, "E1/0000001", "documento su carta", fmt.Sprintf("%d/%07d", a.Number.Year, 2))
		if strings.Contains(b.body, "Ditta Prova") {
			t.Error("an administrator reads the party")
		}
		u.get(series).wants(http.StatusOK, "Ditta Prova", "Ricorso su carta", "E1/0000001")
		u.get(fmt.Sprintf("%s/protocollo/%d/2/segnatura.xml", path, a.Number.Year)).wants(http.StatusNotFound)
		u.get(series).send(series+"/registra", paper...).wants(http.StatusForbidden)
		b.get(series).wants(http.StatusOK, since[8:10]+"/"+since[5:7]+"/"+since[:4]+": 1")
		restored := w.Today().In(register.Rome()).Format("2006-01-02T15:04")
		for _, wrong := range []string{"", "x", "2099-01-01T10:00", "2020-01-01T10:00"} {
			b.send(series+"/chiudi", "restored", wrong).wants(http.StatusUnprocessableEntity, "del ripristino")
		}
		b.send(series+"/chiudi", "restored", restored).wants(http.StatusSeeOther)
		b.get(series).wants(http.StatusOK).send(series+"/registra", paper[:6]...).wants(http.StatusUnprocessableEntity)
		b.get(series).send(series+"/registra", append(paper[:6:6], "subject", "altro")...).wants(http.StatusConflict, "è chiuso")
		b.send(at+"/7/registra", paper...).wants(http.StatusNotFound)

		// The day's register, judged at each look.
		u.get(path+"/protocollo/giorni").wants(http.StatusOK, "Nessun registro giornaliero")
		w.Move(24 * time.Hour)
		to := deposit.Folder(t.TempDir())
		w.Deposits.To = to
		if err := w.Register.CloseDays(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := w.Deposits.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		day := w.Today().In(register.Rome()).AddDate(0, 0, -1).Format(time.DateOnly)
		u, b = as(t, w, h, urp, "192.0.2.1:1"), as(t, w, h, boss, "192.0.2.2:1")
		u.get(path+"/protocollo/giorni").wants(http.StatusOK, "integro", "giorni/"+day+"/registro.pdf")
		if b.get(path+"/protocollo/giorni").wants(http.StatusOK, "integro"); strings.Contains(b.body, "registro.pdf") {
			t.Error("a register of names is offered to who reads none")
		}
		if u.get(path + "/protocollo/giorni/" + day + "/registro.pdf").wants(http.StatusOK); !strings.HasPrefix(u.body, "%PDF") {
			t.Error("no PDF")
		}
		u.get(path+"/protocollo/giorni/"+day+"/registro.json").wants(http.StatusOK, v.Person.CodiceFiscale)
		u.get(path + "/protocollo/giorni/1999-01-01/registro.json").wants(http.StatusNotFound)
		u.get(path+"/protocollo/verifica").wants(http.StatusOK, "2 numeri, nessuno manca")

		// Packages, the answer of whoever keeps them, and what is missing.
		b.get(path+"/protocollo/versamenti").wants(http.StatusOK, "registro-"+day+".zip", "giorno-"+day+".zip", "MANCA la conferma", "2 pacchetti aspettano")
		if err := os.WriteFile(filepath.Join(string(to), "prova", "registro-"+day+".zip.esito"), []byte("preso in carico, RdV 12"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := w.Deposits.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.get(path+"/protocollo/versamenti").wants(http.StatusOK, "RdV 12", "1 pacchetti aspettano")
		if b.get(path + "/protocollo/versamenti?mancanti=yes").wants(http.StatusOK); strings.Contains(b.body, "RdV 12") {
			t.Error("what was acknowledged is missing")
		}

		// Past retention: five years after its end.
		b.get(path+"/protocollo/scarto").wants(http.StatusOK, "Nessuna pratica oltre")
		if err := w.Applications.Close(t.Context(), urp, a.ID, "risolta"); err != nil {
			t.Fatal(err)
		}
		w.Move(6 * 366 * 24 * time.Hour)
		as(t, w, h, boss, "192.0.2.2:1").get(path+"/protocollo/scarto").wants(http.StatusOK, a.Number.String())
		u.get(path + "/protocollo/scarto")
	})
}
