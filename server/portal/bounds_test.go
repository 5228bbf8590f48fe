package portal_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/envelope"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/server/submission"
)

// A message that is one too many says when the next can go and what else can be done; it
// stays as it was typed, and goes the day after.
func TestOneMessageTooMany(t *testing.T) {
	d := newDesk(t)
	d.Applications.Bounds.Messages = 1
	v := d.debole("zoe@example.org", "")
	write := func() string {
		return v.begin("/servizi/instradamento", pairs("topic", "waste", "subject", "Cassonetto", "text", "È ancora rotto."))
	}
	confirm := pairs("privacy", "yes", "version", "1")
	first := write()
	if a := v.sendValues(first+"/riepilogo", confirm); a.code != http.StatusSeeOther || a.to != first {
		t.Fatalf("%d %s", a.code, a.to)
	}
	if a := v.get("/servizi/instradamento/compila"); a.code != http.StatusOK || !strings.Contains(a.body, `id="over"`) {
		t.Errorf("not said before it is written: %d", a.code)
	}
	second := write()
	has(t, v.get(second+"/riepilogo"), `id="over"`, "in un giorno (1)")
	a := v.sendValues(second+"/riepilogo", confirm)
	if a.code != http.StatusTooManyRequests {
		t.Fatalf("%d", a.code)
	}
	has(t, a, `id="wrong"`, "resta nelle tue bozze", "telefona")
	if strings.Contains(a.body, `id="over"`) {
		t.Error("said twice")
	}
	if x := d.app(second); x.State != submission.StateDraft || x.Fields["text"] != "È ancora rotto." {
		t.Errorf("%s %v", x.State, x.Fields)
	}
	has(t, v.get("/pratiche"), strings.TrimPrefix(second, "/pratiche/"))
	d.Move(24 * time.Hour)
	if a := v.post("/accedi", "utente", "zoe@example.org", "password", password); a.code != http.StatusSeeOther {
		t.Fatal(a.code)
	}
	if a := v.sendValues(second+"/riepilogo", confirm); a.code != http.StatusSeeOther || a.to != second {
		t.Errorf("the day after: %d %s", a.code, a.to)
	}
}

// Who asks for too many links reads the same whether the address has an account or not.
func TestTooManyLinks(t *testing.T) {
	d := newDesk(t)
	d.debole("zoe@example.org", "")
	d.Move(time.Hour)
	said := map[string]string{}
	for _, to := range []string{"zoe@example.org", "nessuno@example.org"} {
		var a answer
		for range 6 {
			a = d.visitor().post("/password", "email", to)
		}
		if a.code != http.StatusTooManyRequests {
			t.Errorf("%s: %d", to, a.code)
		}
		has(t, a, "che qui abbia un account oppure no", "posta")
		said[to] = strings.ReplaceAll(csrfField.ReplaceAllString(a.body, ""), to, "")
	}
	if said["zoe@example.org"] != said["nessuno@example.org"] {
		t.Error("the pages differ")
	}
	// Registering is counted apart: who does it again and again keeps no owner from a password.
	var a answer
	for i := range 6 {
		a = d.visitor().post("/registrazione", "nome", "Nome", "cognome", "Cognome", "email", "nessuno@example.org", "categoria", "citizen", "nuova", password)
		if i == 0 && a.code == http.StatusTooManyRequests {
			t.Error("the first registration is refused")
		}
	}
	if a.code != http.StatusTooManyRequests || !strings.Contains(a.body, `value="Cognome"`) {
		t.Errorf("a registration: %d", a.code)
	}
}

var csrfField = regexp.MustCompile(`name="csrf" value="[^"]*"`)

// The pages of a draft say until when it stays.
func TestDraftSaysItsEnd(t *testing.T) {
	d := newDesk(t)
	v := d.debole("zoe@example.org", "")
	at := v.begin("/servizi/instradamento", pairs("topic", "waste", "subject", "Cassonetto", "text", "È rotto."))
	until := d.Applications.DraftEnds(d.app(at)).Format("02/01/2006")
	for _, page := range []string{at + "/passo/1", at + "/allegati", at + "/riepilogo"} {
		has(t, v.get(page), `id="stays"`, "resta fino al "+until)
	}
	has(t, v.get("/pratiche"), "resta fino al "+until)
}

// Who asks for another person's application is in the log; who is only led to a higher
// credential, or asks for what is nowhere, is not.
func TestDeniedToAVisitor(t *testing.T) {
	d := newDesk(t)
	a := d.enrolled(1)
	at := "/pratiche/" + a.ID
	denied := func() int {
		t.Helper()
		return storetest.Count(t, d.Store, "SELECT count(*) FROM journal WHERE kind = ?", audit.AccessDenied)
	}
	for _, x := range []struct {
		name string
		v    *visitor
	}{{"nobody", d.visitor()}, {"a debole", d.debole("zoe@example.org", "")}, {"the holder's media", first(d.media(1))}} {
		if got := x.v.get(at); verdict(got) != window || denied() != 0 {
			t.Errorf("%s: %d, %d rows", x.name, got.code, denied())
		}
	}
	stranger := d.citizen(2)
	for range 2 {
		for _, page := range []string{at, at + "/ricevuta.pdf", at + "?parola=segreta"} {
			if got := stranger.get(page); got.code != http.StatusNotFound {
				t.Errorf("%s: %d", page, got.code)
			}
		}
	}
	if n := denied(); n != 2 {
		t.Errorf("%d rows of two pages", n)
	}
	for _, page := range []string{"/pratiche/" + strings.Repeat("0", 32), "/domande/" + strings.Repeat("0", 32), "/nessuna"} {
		if got := stranger.get(page); got.code != http.StatusNotFound {
			t.Errorf("%s: %d", page, got.code)
		}
	}
	own := d.citizen(1)
	if got := own.get(at + "/firmato/9"); got.code != http.StatusNotFound {
		t.Errorf("%d", got.code)
	}
	if n := denied(); n != 2 {
		t.Errorf("%d rows", n)
	}
	if got := own.get("/enti/altro" + at); got.code != http.StatusNotFound {
		t.Errorf("%d", got.code)
	}
	if n := storetest.Count(t, d.Store, "SELECT count(*) FROM journal WHERE kind = ? AND ente = 'altro' AND detail LIKE ?", audit.AccessDenied, "%"+a.ID+"%"); n != 1 {
		t.Errorf("at another ente %d rows", n)
	}
	if n := storetest.Count(t, d.Store, "SELECT count(*) FROM journal WHERE detail LIKE '%segreta%'"); n != 0 {
		t.Error("what was typed into an address is in the log")
	}
	has(t, stranger.get("/area/accessi"), "Accesso negato")
}

func first(v *visitor, _ envelope.Sheet) *visitor { return v }
