package console_test

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/town"
)

// What a desk does with a person: file, log, states, reset, another code, death.
func TestUsers(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	h := pages(t, w)
	r := ready(t, w) // four eyes are on
	b := as(t, w, h, w.Operator("prova", 55, "R-Ente"), "192.0.2.3:1")
	user, credential := path+"/utenti/"+r.person, path+"/credenziali/"+r.ids["{credential}"]
	b.get(path+"/utenti?fare=log&code="+r.code).wants(http.StatusOK, r.person+"/log")
	b.get(path+"/utenti?fare=stato").wants(http.StatusOK, "Cerca prima la persona")
	if strings.Contains(b.body, r.code) {
		t.Error("everybody is listed before anybody was asked for")
	}
	b.get(user).wants(http.StatusOK, r.code, "Media (busta)", "Attiva")
	b.get(user+"/log").wants(http.StatusOK, "Busta consegnata", "Busta attivata")
	b.get(credential).wants(http.StatusOK, "Attiva")
	b.send(credential+"/stato", "to", "suspended").wants(http.StatusUnprocessableEntity, "Scrivi il motivo")
	b.send(credential+"/stato", "to", "suspended", "why", "persa").wants(http.StatusSeeOther)
	b.follow().wants(http.StatusOK, "Lo stato è cambiato", "Sospesa")
	b.send(credential+"/stato", "to", "expired", "why", "x").wants(http.StatusConflict)
	b.send(credential+"/stato", "to", "active", "why", "ritrovata").wants(http.StatusSeeOther)

	// A reset waits for a second operator, who confirms; then who asked prints the sheet.
	b.get(credential).send(credential+"/reset").wants(http.StatusUnprocessableEntity, "Scrivi il documento")
	b.send(credential+"/reset", "document", "CI CA00000AA").wants(http.StatusSeeOther)
	b.follow().wants(http.StatusOK, "aspetta la conferma di un secondo operatore")
	b.send(credential+"/foglio").wants(http.StatusConflict, "Nessun reset confermato")
	b.get(path+"/conferme").wants(http.StatusOK, "Reset di una credenziale media", "Rifiuta")
	id := storetestString(t, w, "SELECT id FROM pending WHERE kind = 'media-reset' AND state = 'open'")
	b.send(path+"/conferme/"+id, "grant", "yes").wants(http.StatusForbidden, "un collega")
	second := as(t, w, h, w.Operator("prova", 56, "R8"), "192.0.2.4:1")
	second.get(path+"/conferme").wants(http.StatusOK, "Conferma")
	second.send(path+"/conferme/"+id, "grant", "yes").wants(http.StatusSeeOther)
	b.get(credential).send(credential + "/foglio").wants(http.StatusOK)
	if !strings.HasPrefix(b.body, "%PDF") {
		t.Error("no sheet")
	}
	b.get(credential).send(credential + "/foglio").wants(http.StatusConflict)

	// Another code, and a death.
	b.get(user).send(user+"/codice", "code", "X", "document", "x", "why", "x").wants(http.StatusUnprocessableEntity, "Il codice fiscale non è giusto")
	b.send(user+"/codice", "code", town.FormOf(70).Code).wants(http.StatusUnprocessableEntity, "Scrivi il documento e il motivo")
	b.send(user+"/codice", "code", town.FormOf(70).Code, "document", "Agenzia", "why", "omocodia").wants(http.StatusSeeOther)
	b.follow().wants(http.StatusOK, "aspetta la conferma")
	b.send(user+"/decesso", "dead", "yes").wants(http.StatusUnprocessableEntity, "Scrivi il documento")
	b.send(user+"/decesso", "dead", "yes", "proof", "atto 12").wants(http.StatusSeeOther)
	b.get(user).wants(http.StatusOK, "Deceduta", "Annulla il decesso")
}

func storetestString(t *testing.T, w *town.Town, q string) (s string) {
	t.Helper()
	if err := w.Store.QueryRowContext(t.Context(), q).Scan(&s); err != nil {
		t.Fatal(q, err)
	}
	return s
}

// Operators: state, reset with and without e-mail, the log; nobody does it to oneself.
func TestOperators(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	h := pages(t, w)
	me := w.Operator("prova", 10, "R6")
	other := w.Operator("prova", 11, "R16")
	b := as(t, w, h, me, "192.0.2.3:1")
	mine, its := fmt.Sprintf("%s/operatori/%d", path, me.Operator), fmt.Sprintf("%s/operatori/%d", path, other.Operator)
	b.get(mine).wants(http.StatusOK, "Stato operatore")
	if strings.Contains(b.body, mine+"/stato") {
		t.Error("the own state is a form")
	}
	b.send(mine+"/stato", "to", "suspended", "why", "x").wants(http.StatusForbidden, "Non su te stesso")
	b.send(mine+"/reset").wants(http.StatusForbidden, "Non su te stesso")
	b.send(fmt.Sprintf("%s/profilazione/%d/assegna", path, me.Operator), "role", "R9").wants(http.StatusForbidden, "Non su te stesso")
	victim := as(t, w, h, other, "192.0.2.5:1")
	victim.get(path + "/").wants(http.StatusOK)
	b.get(its).send(its+"/stato", "to", "suspended", "why", "ferie").wants(http.StatusSeeOther)
	victim.get(path + "/").wants(http.StatusSeeOther) // its session is over
	b.get(its).wants(http.StatusOK, "Sospesa").send(its + "/reset").wants(http.StatusConflict)
	b.send(its+"/stato", "to", "active", "why", "torna").wants(http.StatusSeeOther)
	b.get(its).send(its + "/reset").wants(http.StatusOK)
	if !strings.HasPrefix(b.body, "%PDF") { // no e-mail in its record
		t.Error("no sealed sheet")
	}
	b.get(its + "/log").wants(http.StatusOK)
	p := fmt.Sprintf("%s/profilazione/%d", path, other.Operator)
	b.get(p).send(p+"/modifica", "old", "R16", "with", "R7").wants(http.StatusSeeOther)
	b.follow().wants(http.StatusOK, "Operatore Ente")
	b.send(p+"/togli", "role", "R7").wants(http.StatusSeeOther)
	b.get(p).wants(http.StatusOK, "nessun ruolo").send(p+"/togli", "role", "R7").wants(http.StatusNotFound)
	// The own record and password.
	b.get(path+"/registrazione").send(path+"/registrazione", "cap", "1").wants(http.StatusUnprocessableEntity, "cinque cifre")
}

// Infrastruttura.
func TestInfrastructure(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	b := as(t, w, pages(t, w), w.Operator("prova", 10, "R6"), "192.0.2.3:1")
	at := path + "/infrastruttura"
	b.get(at+"/ente").send(at+"/ente", "ente-name", "Comune di Prova", "color", "#ffff00").wants(http.StatusUnprocessableEntity, "abbastanza per un testo bianco")
	b.send(at+"/ente", "ente-name", "Comune Rinominato", "color", "#003366", "secondFactor", "yes").wants(http.StatusSeeOther)
	b.follow().wants(http.StatusOK, "Comune Rinominato", "Salvato")
	upload := func(data []byte) *browser {
		var body bytes.Buffer
		f := multipart.NewWriter(&body)
		_ = f.WriteField("csrf", b.token())
		part, err := f.CreateFormFile("arms", "stemma.png")
		if err == nil {
			_, err = part.Write(data)
		}
		if err != nil || f.Close() != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, at+"/stemma", &body)
		r.Header.Set("Content-Type", f.FormDataContentType())
		b.do(r)
		return b
	}
	upload([]byte("<svg/>")).wants(http.StatusUnprocessableEntity, "Non è un'immagine utilizzabile")
	b.get(at + "/ente")
	upload(make([]byte, 4<<20)).wants(http.StatusBadRequest)
	b.get(at + "/ente")
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewRGBA(image.Rect(0, 0, 32, 32))); err != nil {
		t.Fatal(err)
	}
	upload(picture.Bytes()).wants(http.StatusSeeOther)
	b.get(path+"/").wants(http.StatusOK, `src="/consolleente/stemma.png"`)
	if b.get(path + "/stemma.png").wants(http.StatusOK); b.header.Get("Content-Type") != "image/png" {
		t.Error(b.header)
	}
	b.get(at+"/uffici/nuovo").send(at+"/uffici/nuovo", "name", "").wants(http.StatusUnprocessableEntity, "Un ufficio ha un nome")
	b.send(at+"/uffici/nuovo", "name", "Anagrafe", "address", "Via Prova 1").wants(http.StatusSeeOther)
	b.follow().wants(http.StatusOK, "Anagrafe", "Via Prova 1")
	b.get(at+"/calendario").send(at+"/calendario", "day", "x", "why", "y", "close", "yes").wants(http.StatusUnprocessableEntity)
	b.send(at+"/calendario", "day", "24/12/2099", "why", "Patrono", "close", "yes").wants(http.StatusSeeOther)
	b.follow().wants(http.StatusOK, "24/12/2099", "Patrono").send(at+"/calendario", "day", "24-12-2099").wants(http.StatusSeeOther)
	b.follow().wants(http.StatusOK, "Nessun risultato")
	b.get(at+"/posta").send(at+"/posta", "from", "x", "host", "y", "security", "tls").wants(http.StatusUnprocessableEntity)
	b.send(at+"/posta", "from", "urp@example.org", "host", "smtp.example.org:587", "security", "starttls", "mail-user", "urp", "mail-password", "segretissima").wants(http.StatusSeeOther)
	if b.follow().wants(http.StatusOK, "smtp.example.org:587"); strings.Contains(b.body, "segretissima") {
		t.Error("the mail server's password is on the page")
	}
	b.get(at+"/credenziali").wants(http.StatusOK, "Debole", "Professionisti").send(at+"/credenziali", "credential", "media", "category", "citizen", "enabled", "off").wants(http.StatusUnprocessableEntity)
	b.send(at+"/credenziali", "credential", "media", "category", "citizen", "enabled", "off", "why", "delibera 7").wants(http.StatusSeeOther)
	b.follow().wants(http.StatusOK, "delibera 7")
	b.get(at+"/accettati").send(at+"/accettati", "ente", "altro", "accept", "yes").wants(http.StatusSeeOther)
	b.follow().wants(http.StatusOK, "Comune Altro").send(at+"/accettati", "ente", "altro").wants(http.StatusSeeOther)
	b.get(at + "/accettati")
	if strings.Contains(plain(b.body), "Non accettare più") {
		t.Error("still accepted")
	}
}

// Who runs the server.
func TestSystem(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	b := as(t, w, pages(t, w), w.Operator("", 10), "192.0.2.3:1")
	b.get(path+"/nuovo-ente").send(path+"/nuovo-ente", "ente-code", "A B", "ente-name", "x").wants(http.StatusUnprocessableEntity)
	b.send(path+"/nuovo-ente", "ente-code", "prova", "ente-name", "x").wants(http.StatusConflict, "di un altro ente")
	b.send(path+"/nuovo-ente", "ente-code", "terzo", "ente-name", "Comune Terzo").wants(http.StatusSeeOther)
	b.follow().wants(http.StatusOK, "Comune Terzo")
	b.send(path+"/enti/terzo", "origin", "javascript:x", "active", "yes").wants(http.StatusUnprocessableEntity)
	b.send(path+"/enti/terzo", "origin", "https://terzo.example", "active", "yes").wants(http.StatusSeeOther)
	b.get(path+"/enti/terzo/operatore").send(path+"/enti/terzo/operatore", fields("", town.FormOf(40))...).wants(http.StatusOK, origin+path+"/attiva?codice=")
	b.get(path + "/enti/nessuno").wants(http.StatusNotFound)
	b.get(path + "/enti/nessuno/operatore").wants(http.StatusNotFound)
	b.get(path + "/utenti").wants(http.StatusForbidden)
}

// The first system's addresses and the ways from one page to the next.
func TestWaysIn(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	h := pages(t, w)
	b := open(t, h, "192.0.2.3:1")
	b.get("/consolleente?idEnte=demo").wants(http.StatusSeeOther).follow().wants(http.StatusOK, `value="prova" selected`)
	b.get("/consolleente/?idEnte="+url.QueryEscape("DEMO")).follow().wants(http.StatusOK, `value="prova" selected`)
	b.get("/consolleente?idEnte=DEMO&idSessione=abc").follow().wants(http.StatusOK, `value="prova" selected`)
	b.get(path+"/accedi?idEnte=DEMO&lingua=en").wants(http.StatusOK, "Operators' login", "idEnte=DEMO")
	b.get(path+"/attiva?codice=x").wants(http.StatusGone, "This link no longer works")
	b.get(path + "/api/sessione").wants(http.StatusUnauthorized)
	b.get(path + "/niente").wants(http.StatusNotFound)
	for _, step := range []string{"/codice", "/carta", "/fattore"} {
		b.get(path + step).wants(http.StatusSeeOther)
	}
	// Wrong passwords wait, and the page says how long.
	b.get(path + "/accedi?lingua=it")
	for range 12 {
		b.send(path+"/accedi", "ente", "prova", "user", town.FormOf(3).Code, "password", "sbagliata davvero")
	}
	b.wants(http.StatusTooManyRequests, "secondi e riprova")
}

// Every permission has its words, in both languages.
func TestPermissionsHaveWords(t *testing.T) {
	for _, p := range role.All {
		if key := "permission." + strings.ReplaceAll(string(p), ".", "-"); !message.Has(key) {
			t.Errorf("%s has no words", key)
		}
	}
}
