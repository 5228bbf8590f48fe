package console_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/town"
)

// Who is refused a page, or asks for another ente's, is in the log, and whoever reads the
// log finds it with a filter.
func TestDeniedAccesses(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	h := pages(t, w)
	r := ready(t, w)
	urp := as(t, w, h, w.Operator("prova", 60, "R16"), "192.0.2.1:1")
	other := as(t, w, h, w.Operator("altro", 61, "R6", "R8"), "192.0.2.2:1")
	admin := as(t, w, h, w.Operator("prova", 62, "R6", "R8"), "192.0.2.3:1")
	denied := func(ente string) int {
		t.Helper()
		return storetest.Count(t, w.Store, "SELECT count(*) FROM journal WHERE kind = ? AND ente = ?", audit.AccessDenied, ente)
	}
	for range 2 {
		urp.get(path + "/infrastruttura/posta?x=parola-segreta").wants(http.StatusForbidden)
		urp.post(path+"/infrastruttura/uffici/nuovo", "x", "name", "Ufficio").wants(http.StatusForbidden)
		other.get(path + "/utenti/" + r.person).wants(http.StatusNotFound)
		other.get(path + "/buste/" + r.ids["{code}"]).wants(http.StatusNotFound)
		other.get(path + "/buste?codice=" + r.ids["{code}"]).wants(http.StatusNotFound)
	}
	urp.get(path + "/buste/000000000000").wants(http.StatusNotFound)
	urp.get(path + "/nessuna-pagina").wants(http.StatusNotFound)
	open(t, h, "192.0.2.4:1").get(path + "/infrastruttura/posta").wants(http.StatusSeeOther)
	if n, m := denied("prova"), denied("altro"); n != 2 || m != 3 {
		t.Errorf("%d and %d rows", n, m)
	}
	// An old page's token is no denial.
	admin.get(path+"/infrastruttura/uffici/nuovo").post(path+"/infrastruttura/uffici/nuovo", "x", "name", "Ufficio").wants(http.StatusForbidden, "La pagina è vecchia")
	if denied("prova") != 2 {
		t.Error("a page that is old is noted")
	}
	urp.get(path + "/accessi-negati").wants(http.StatusForbidden)
	admin.get(path+"/accessi-negati").wants(http.StatusOK, "GET /consolleente/infrastruttura/posta", "Manca il permesso", town.FormOf(60).Family)
	if strings.Contains(admin.body, "parola-segreta") {
		t.Error("the log has what was typed into the address")
	}
	admin.get(path + "/accessi-negati?chi=citizens").wants(http.StatusOK)
	if strings.Contains(admin.body, "Manca il permesso") {
		t.Error("operators among the citizens")
	}
	admin.get(path + "/accessi-negati?dal=2026-13-01").wants(http.StatusUnprocessableEntity)
	admin.get(path + "/accessi-negati?chi=tutti").wants(http.StatusUnprocessableEntity)
	other.get(path+"/accessi-negati").wants(http.StatusOK, "GET /consolleente/utenti/{id}", "Persona n. "+r.person, "È di un altro", "Busta "+r.ids["{code}"])
	if strings.Contains(other.body, "posta") && strings.Contains(other.body, town.FormOf(60).Family) {
		t.Error("another ente's rows")
	}
	admin.get(path + "/operatori?fare=log").wants(http.StatusOK)
	id := storetest.Count(t, w.Store, "SELECT id FROM operator WHERE code = ?", town.FormOf(60).Code)
	admin.get(path+"/operatori/"+strconv.Itoa(id)+"/log?mostra=negati").wants(http.StatusOK, "Accesso negato")
	if strings.Contains(admin.body, message.Text(message.Italian, "audit.log-read")) {
		t.Error("the filter shows other rows")
	}
}
