package portal_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/submission"
)

// The notice before a refusal as the citizen has it: told, answered with a document, with a
// number back; after the days still readable; nobody else's; all of it after a restart.
func TestNoticeBeforeARefusal(t *testing.T) {
	d := newDesk(t)
	d.Publish(60)
	ctx, x := t.Context(), d.Applications
	office := d.Operator("prova", 61, "R12")
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	v, stranger := d.citizen(1), d.citizen(2)
	me := d.WithCard(d.at(1).Person, "persona@example.org")
	a := d.Applies(me)
	at := "/pratiche/" + a.ID
	day := func(n int) string { return d.Today().In(register.Rome()).AddDate(0, 0, n).Format("02/01/2006") }

	has(t, v.get("/servizi/suolo-pubblico"), "Preavviso di rigetto: Se l&#39;ufficio vede motivi")
	has(t, v.get("/servizi/iscrizione-nido"), "Preavviso di rigetto: La graduatoria è una procedura concorsuale")
	lacks(t, v.get("/servizi/instradamento"), "Preavviso di rigetto")
	lacks(t, v.get(at), "Motivi contro", "non ho osservazioni")
	for _, path := range []string{"/preavviso.pdf", "/osservazioni/1", "/osservazioni/x"} {
		if got := v.get(at + path); got.code != http.StatusNotFound {
			t.Errorf("%s before the notice: %d", path, got.code)
		}
	}
	if got := v.replies(at, at+"/risposta", nil, "words", "Prima", "do", "observe"); got.code != http.StatusUnprocessableEntity || !strings.Contains(got.body, "Prima</textarea>") {
		t.Errorf("observations on nothing: %d", got.code)
	}

	const reasons = "Il marciapiede è largo 1,80 m: <b>ne servono</b> 2,00."
	do(x.GiveNotice(ctx, office, a.ID, reasons))
	for _, m := range d.Mails("persona@example.org") {
		if strings.Contains(strings.Join(m[:], " "), "marciapiede") {
			t.Error("the mail says why")
		}
	}
	has(t, v.get("/area/messaggi"), "Occupazione di suolo pubblico: motivi contro", "Da leggere")
	has(t, v.get("/pratiche"), "Motivi ostativi comunicati", "termine sospeso")
	page := v.get(at)
	has(t, page, "&lt;b&gt;ne servono&lt;/b&gt;", "fino al "+day(10)+" com", at+"/preavviso.pdf", "protocollo in uscita", "(10 giorni, L. 241/1990, art. 10-bis)", "Non ho osservazioni", `type="file"`, "Invia le osservazioni")
	lacks(t, page, "Quello che hai risposto", "Invia il messaggio")
	if got := v.get(at + "/preavviso.pdf"); got.code != http.StatusOK || !strings.HasPrefix(got.body, "%PDF") {
		t.Errorf("the sealed notice: %d", got.code)
	}
	// Others.
	other := d.visitor()
	other.card(1)
	for _, who := range []struct {
		v    *visitor
		base string
	}{{stranger, ""}, {other, "/enti/altro"}} {
		for _, path := range []string{"", "/preavviso.pdf", "/osservazioni/1"} {
			if got := who.v.get(who.base + at + path); got.code != http.StatusNotFound {
				t.Errorf("%s%s of others: %d", who.base, path, got.code)
			}
		}
	}
	for _, what := range []string{"observe", "none"} {
		if got := stranger.replies("/servizi/suolo-pubblico", at+"/risposta", nil, "words", "x", "do", what); got.code != http.StatusNotFound {
			t.Errorf("a stranger says %s: %d", what, got.code)
		}
	}

	// Empty, a file that is refused, then files one after the other.
	if got := v.replies(at, at+"/risposta", nil, "words", " ", "do", "observe"); got.code != http.StatusUnprocessableEntity {
		t.Errorf("empty: %d", got.code)
	}
	if got := v.replies(at, at+"/risposta", map[string][]byte{"x.exe": []byte("MZ")}, "words", "Ecco", "do", "observe"); got.code != http.StatusUnprocessableEntity || !strings.Contains(got.body, "Ecco</textarea>") {
		t.Errorf("a program: %d", got.code)
	}
	if got := v.replies(at, at+"/risposta", map[string][]byte{"misure.png": picture(t)}, "words", "Sono 2,10 m", "do", "attach"); got.code != http.StatusOK || !strings.Contains(got.body, "Sono 2,10 m</textarea>") || !strings.Contains(got.body, "misure.png") {
		t.Fatalf("attached: %d", got.code)
	}
	d.Move(24 * time.Hour)
	v = d.citizen(1)
	if got := v.replies(at, at+"/risposta", map[string][]byte{"foto.png": picture(t)}, "words", "Sono 2,10 m", "do", "observe"); got.to != at+"?fatto=osservazioni#messaggi" {
		t.Fatalf("%d %s\n%s", got.code, got.to, got.body)
	}

	// On a second server too.
	again := d.restarted()
	w := again.visitor()
	w.cookies = v.cookies
	page = w.get(at + "?fatto=osservazioni")
	has(t, page, "Le tue osservazioni sono registrate", "Quello che hai risposto", at+"/osservazioni/1", "protocollo in entrata", "misure.png</a>", "foto.png</a>", "Sono 2,10 m", "Aggiungi altre osservazioni", "(11 giorni")
	lacks(t, page, "Non ho osservazioni")
	if got := w.get(at + "/osservazioni/1"); got.code != http.StatusOK || !strings.HasPrefix(got.body, "%PDF") {
		t.Errorf("the receipt: %d", got.code)
	}
	for _, n := range []string{"0", "2", "x", "-1"} {
		if got := w.get(at + "/osservazioni/" + n); got.code != http.StatusNotFound {
			t.Errorf("no. %s: %d", n, got.code)
		}
	}
	// After the days: readable, and late ones are taken.
	d.Move(11 * 24 * time.Hour)
	v = d.citizen(1)
	page = v.get(at)
	has(t, page, "Il termine per le osservazioni è passato", "può tenerne conto", "ne servono")
	if got := v.replies(at, at+"/risposta", nil, "words", "Un'altra cosa", "do", "observe"); got.to != at+"?fatto=osservazioni#messaggi" {
		t.Fatalf("%d %s", got.code, got.to)
	}
	has(t, v.get(at), "arrivate dopo il termine")
	do(x.Decide(ctx, office, a.ID, submission.Decision{Words: "Respinta.", Outcome: submission.Refused, About: "Le misure sono di un altro tratto."}))
	page = v.get(at)
	has(t, page, "Esito: respinta", "altro tratto", "Prima di decidere l&#39;ufficio ti aveva comunicato", at+"/preavviso.pdf", "è stato sospeso")
	lacks(t, page, "Invia le osservazioni", "Scrivi le tue")
	if got := v.replies("/pratiche", at+"/risposta", nil, "words", "Troppo tardi", "do", "observe"); got.code != http.StatusUnprocessableEntity || !strings.Contains(got.body, "Troppo tardi</textarea>") {
		t.Errorf("after the decision: %d", got.code)
	}

	// None to observe, in one press.
	b := d.Applies(d.WithCard(me.Person, "persona@example.org"))
	do(x.GiveNotice(ctx, office, b.ID, "Motivi"))
	at = "/pratiche/" + b.ID
	if got := v.replies(at, at+"/risposta", nil, "do", "none"); got.to != at+"?fatto=nessuna#messaggi" {
		t.Fatalf("%d %s", got.code, got.to)
	}
	page = v.get(at + "?fatto=nessuna")
	has(t, page, "È registrato che non hai osservazioni", "Ricevuta della dichiarazione", "nessuna osservazione")
	lacks(t, page, "Non ho osservazioni</button>")
	if got := v.get("/pratiche/" + b.ID + "?lingua=en"); !strings.Contains(got.body, "Reasons against granting it") || strings.Contains(got.body, "notice.") {
		t.Error("in English")
	}
}

// More observations than a day has room for: said so, from when on, and nothing written is
// lost.
func TestTooManyObservations(t *testing.T) {
	d := newDesk(t)
	d.Publish(60)
	v := d.citizen(1)
	a := d.Applies(d.WithCard(d.at(1).Person, "persona@example.org"))
	if err := d.Applications.GiveNotice(t.Context(), d.Operator("prova", 61, "R12"), a.ID, "Motivi"); err != nil {
		t.Fatal(err)
	}
	at := "/pratiche/" + a.ID
	for i := range 10 {
		if got := v.replies(at, at+"/risposta", nil, "words", fmt.Sprintf("Osservazione %d", i), "do", "observe"); got.code != http.StatusSeeOther {
			t.Fatalf("%d: %d", i, got.code)
		}
	}
	got := v.replies(at, at+"/risposta", nil, "words", "Una di troppo", "do", "observe")
	if got.code != http.StatusTooManyRequests || !strings.Contains(got.body, "Una di troppo</textarea>") || !strings.Contains(got.body, "sono tutte registrate") || strings.Contains(got.body, "{time}") {
		t.Errorf("%d\n%s", got.code, got.body)
	}
}
