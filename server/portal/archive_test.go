package portal_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/town"
)

// What was sent before services were data is found from the area and can be read and
// downloaded by whoever sent it; drafts of that time are gone, and their address says where
// to look.
func TestArchive(t *testing.T) {
	d := newDesk(t)
	_, sheet := d.media(1)
	v := d.visitor()
	who := v.card(1)
	at := "/domande/" + d.Archived(who)
	for _, page := range []string{"/area", "/pratiche", "/domande"} {
		has(t, v.get(page), `href="`+at+`"`, "asilo nido comunale")
	}
	has(t, v.get(at), "/0000001", `id="to-check"`, "PROVA", "TOTAL-PASSED", who.CodiceFiscale, at+"/ricevuta.pdf", at+"/istanza.pdf.p7m", at+"/istanza.pdf", at+"/rapporto.json")
	for path, want := range map[string]string{"/istanza.pdf": town.ArchivedPDF, "/istanza.pdf.p7m": town.ArchivedSigned} {
		if a := v.get(at + path); a.code != http.StatusOK || a.body != want {
			t.Errorf("%s: %d %q", path, a.code, a.body)
		}
	}
	has(t, v.get(at+"/rapporto.json"), `"indication":"TOTAL-PASSED"`)
	if a := v.get(at + "/ricevuta.pdf"); a.code != http.StatusOK || !strings.HasPrefix(a.body, "%PDF-") || a.header.Get("Content-Type") != "application/pdf" {
		t.Errorf("receipt: %d", a.code)
	}
	if n := storetest.Count(t, d.Store, "SELECT count(*) FROM journal WHERE kind = 'downloaded'"); n != 1 {
		t.Errorf("%d downloads in the log", n)
	}
	// Below the card's level there is only how many there are.
	w := d.visitor()
	w.post("/accedi", "utente", sheet.Username, "password", password)
	for _, page := range []string{"/area", "/pratiche", "/domande"} {
		a := w.get(page)
		has(t, a, "serve=forte")
		if strings.Contains(a.body, at) {
			t.Errorf("%s lists what the level does not open", page)
		}
	}
	for _, path := range []string{"/bozze/" + strings.Repeat("a", 32), "/bozze/x/istanza.pdf"} {
		if a := v.get(path); a.to != "/area" {
			t.Errorf("%s: %d %s", path, a.code, a.to)
		}
	}
	if a := v.sendValues("/api/bozze/x/firma", nil); a.code != http.StatusNotFound {
		t.Error(a.code)
	}
}
