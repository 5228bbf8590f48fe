package portal_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

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
	has(t, v.get(second+"/riepilogo"), `id="over"`, "hai già inviato 1 messaggi")
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
	a := d.visitor().post("/registrazione", "nome", "Nome", "cognome", "Cognome", "email", "nessuno@example.org", "categoria", "citizen", "nuova", password)
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
