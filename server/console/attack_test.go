package console_test

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/town"
)

// A session that somebody else has put into the browser opens nothing: the id changes
// when the password is proved and again at the second factor, and none is adopted.
func TestSessionFixation(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	h := pages(t, w)
	f := town.FormOf(10)
	inv, err := w.Operators.First(t.Context(), role.Actor{}, "prova", f)
	if err != nil {
		t.Fatal(err)
	}
	b := open(t, h, "192.0.2.1:1")
	key := activate(t, w, b, inv.Link)
	attacker := open(t, h, "192.0.2.66:1")
	attacker.get(path + "/accedi").wants(http.StatusOK)
	victim := open(t, h, "192.0.2.1:1")
	for n, v := range attacker.cookies {
		victim.cookies[n] = v
	}
	login(t, w, victim, "prova", f.Code, key)
	victim.get(path + "/").wants(http.StatusOK)
	for n, v := range attacker.cookies {
		if n != "lingua" && victim.cookies[n] == v {
			t.Errorf("the cookie %s is the one that the attacker has set", n)
		}
	}
	attacker.get(path + "/").wants(http.StatusSeeOther)
	attacker.get(path + "/codice").wants(http.StatusSeeOther)
	// The first system's address carried the session's id.
	for n, v := range victim.cookies {
		attacker.get(path + "?idEnte=DEMO&idSessione=" + v + "&" + n + "=" + v).wants(http.StatusSeeOther)
		if to := attacker.header.Get("Location"); to != path+"/accedi?idEnte=DEMO" {
			t.Errorf("leads to %s", to)
		}
	}
	invented := open(t, h, "192.0.2.67:1")
	for n := range victim.cookies {
		invented.cookies[n] = strings.Repeat("A", 43)
	}
	invented.get(path + "/").wants(http.StatusSeeOther)
}

// A form from elsewhere does nothing: without the session's token, with another's, and
// from another origin even with the right one.
func TestCSRF(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	h := pages(t, w)
	b := as(t, w, h, w.Operator("prova", 10, "R6"), "192.0.2.1:1")
	other := as(t, w, h, w.Operator("prova", 11, "R6"), "192.0.2.2:1")
	token := b.get(path + "/infrastruttura/uffici/nuovo").token()
	for _, bad := range []string{"", "x", other.get(path + "/").token()} {
		b.post(path+"/infrastruttura/uffici/nuovo", bad, "name", "Ufficio").wants(http.StatusForbidden, "La pagina è vecchia")
	}
	for _, x := range [][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}} {
		r := httptest.NewRequest(http.MethodPost, path+"/infrastruttura/uffici/nuovo", strings.NewReader("name=Ufficio&csrf="+token))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set(x[0], x[1])
		if b.do(r); b.status != http.StatusForbidden {
			t.Errorf("%s: %d", x[0], b.status)
		}
	}
	if n := storetest.Count(t, w.Store, "SELECT count(*) FROM ente_office"); n != 0 {
		t.Errorf("%d offices", n)
	}
	b.post(path+"/infrastruttura/uffici/nuovo", token, "name", "Ufficio").wants(http.StatusSeeOther)
}

// Who tries codes of envelopes and users learns nothing: another ente's envelope gets one
// sentence without data, an account is told to be there without where or what, and a user
// name at the login looks the same whether it is there or not.
func TestEnumeration(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	h := pages(t, w)
	r := ready(t, w)
	b := as(t, w, h, w.Operator("altro", 60, "R-Ente"), "192.0.2.9:1")
	b.get(path+"/buste?codice="+r.ids["{code}"]).wants(http.StatusNotFound, "di un altro ente")
	b.get(path + "/buste/000000000000").wants(http.StatusNotFound)
	f := town.FormOf(53)
	b.get(path+"/rilascio/persona").send(path+"/rilascio/persona", append(fields("", f), "act", "check")...)
	b.wants(http.StatusUnprocessableEntity, "Esiste già un account")
	for _, secret := range []string{"Comune di Prova", r.ids["{code}"], "già nota"} {
		if strings.Contains(plain(b.body), secret) {
			t.Errorf("told: %s", secret)
		}
	}
	if n := storetest.Count(t, w.Store, "SELECT count(*) FROM journal WHERE kind = 'person-read' AND ente = 'altro'"); n != 1 {
		t.Errorf("%d questions in the log", n)
	}
	// Ids of people: what is another ente's and what is nowhere look the same.
	known := b.get(path + "/utenti/" + r.person).wants(http.StatusNotFound).body
	nowhere := b.get(path + "/utenti/987654").wants(http.StatusNotFound).body
	if strings.ReplaceAll(known, "/utenti/"+r.person, "") != strings.ReplaceAll(nowhere, "/utenti/987654", "") {
		t.Errorf("another ente's person looks different from nobody:\n%s\n%s", known, nowhere)
	}
	there, nobody := open(t, h, "192.0.2.40:1"), open(t, h, "192.0.2.41:1")
	there.get(path+"/accedi").send(path+"/accedi", "ente", "prova", "user", town.FormOf(50).Code, "password", "sbagliata davvero")
	nobody.get(path+"/accedi").send(path+"/accedi", "ente", "prova", "user", town.FormOf(77).Code, "password", "sbagliata davvero")
	if there.status != nobody.status || plain(there.body) != plain(nobody.body) {
		t.Errorf("%d %s\n%d %s", there.status, plain(there.body), nobody.status, plain(nobody.body))
	}
}

// The policy lets nothing in from outside and nothing inline, and no page has any.
func TestNothingInline(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	b := as(t, w, pages(t, w), w.Operator("prova", 10, "R-Ente", "R25"), "192.0.2.1:1")
	for _, page := range []string{"/", "/rilascio/persona", "/rilascio/azienda", "/utenti", "/buste", "/lotti", "/operatori", "/operatori/nuovo", "/ruoli", "/profilazione", "/conferme", "/infrastruttura/ente", "/infrastruttura/uffici", "/infrastruttura/uffici/nuovo", "/infrastruttura/calendario", "/infrastruttura/posta", "/infrastruttura/credenziali", "/infrastruttura/accettati", "/password", "/registrazione"} {
		b.get(path + page).wants(http.StatusOK)
		for _, bad := range []string{" style=", " onclick=", "<style", "javascript:", "data:image", "<no value>", "console.f-", "console.m-", "ZgotmplZ"} {
			if strings.Contains(b.body, bad) {
				t.Errorf("%s has %q", page, bad)
			}
		}
		for script := range strings.SplitSeq(b.body, "<script") {
			if strings.Contains(script, "</script>") && !strings.Contains(script, `src="`) {
				t.Errorf("%s has a script of its own", page)
			}
		}
		if !strings.Contains(b.header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %v", page, b.header)
		}
	}
}

// One address cannot make the server write without end; others go on.
func TestRequestsAreLimited(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	h := pages(t, w)
	b := open(t, h, "192.0.2.3:1")
	for range 120 {
		b.post(path+"/codice", "")
	}
	if b.post(path+"/codice", ""); b.status != http.StatusTooManyRequests || b.header.Get("Retry-After") == "" {
		t.Errorf("%d, Retry-After %q", b.status, b.header.Get("Retry-After"))
	}
	other := open(t, h, "192.0.2.4:1")
	if other.post(path+"/codice", ""); other.status == http.StatusTooManyRequests {
		t.Error("another address is limited too")
	}
}

// Who does an act wrongly on purpose gets the whole file on the page that says so: the log
// has it as any other reading. The own file is read, and nobody is offered to decide it.
func TestRefusedActsAreReadings(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	h := pages(t, w)
	v := citizen(t, w, 20)
	a := writes(t, w, v, "waste", "Il cassonetto è pieno")
	b := as(t, w, h, w.Operator("prova", 10, "R12"), "192.0.2.1:1")
	readings := func() int {
		return storetest.Count(t, w.Store, fmt.Sprintf("SELECT count(*) FROM journal WHERE kind = 'person-read' AND person = %d", v.Person.ID))
	}
	b.get(path + "/pratiche")
	before := readings()
	b.send(path+"/pratiche/"+a.ID+"/messaggio", "words", " ").wants(http.StatusUnprocessableEntity, "Il cassonetto è pieno", v.Person.CodiceFiscale)
	if n := readings(); n != before+1 {
		t.Errorf("%d readings in the log instead of %d", n, before+1)
	}
	own := as(t, w, h, w.Operator("prova", 20, "R12"), "192.0.2.2:1")
	own.get(path+"/pratiche/"+a.ID).wants(http.StatusOK, "la tratta un collega")
	if strings.Contains(own.body, a.ID+"/risposta") || strings.Contains(own.body, a.ID+"/chiusura") {
		t.Error("the own file is offered to be decided")
	}
	own.send(path+"/pratiche/"+a.ID+"/risposta", "words", "Accolta").wants(http.StatusUnprocessableEntity, "la tratta un collega")
}

// What is sent before anybody is logged in is as small as a form, however it is packed.
func TestStrangersSendLittle(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	b := open(t, pages(t, w), "192.0.2.1:1")
	token := b.get(path + "/accedi").token()
	var body bytes.Buffer
	m := multipart.NewWriter(&body)
	for k, x := range map[string]string{"csrf": token, "ente": "prova", "user": "x", "password": strings.Repeat("x", 100<<10)} {
		if err := m.WriteField(k, x); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, path+"/accedi", &body)
	r.Header.Set("Content-Type", m.FormDataContentType())
	if b.do(r); b.status != http.StatusBadRequest {
		t.Errorf("%d", b.status)
	}
}
