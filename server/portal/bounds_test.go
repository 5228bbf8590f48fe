package portal_test

import (
	"net/http"
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
