package console_test

import (
	"bytes"
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"github.com/citel-pa/citel/server/console"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/envelope"
	"github.com/citel-pa/citel/server/operator"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/town"
)

const path = console.Prefix

var office = ente.Office{Name: "Ufficio Relazioni", Address: "Piazza Prova 1"}

func release(w *town.Town, code string, f person.Form) envelope.Release {
	return envelope.Release{Code: code, Form: &f, Document: w.Document()}
}

func activation(s envelope.Sheet, holder string) envelope.Activation {
	return envelope.Activation{Ente: "prova", Username: s.Username, PIN: []byte(s.PIN), Holder: []byte(holder), Password: []byte("un gatto sul tetto"), Address: "192.0.2.30:1"}
}

// fields is a Censimento as it is typed.
func fields(prefix string, f person.Form) []string {
	return []string{prefix + "code", f.Code, prefix + "family", f.Family, prefix + "given", f.Given, prefix + "born", f.Born, prefix + "birthPlace", f.BirthPlace, prefix + "sex", f.Sex, prefix + "email", f.Email}
}

func document(w *town.Town) []string {
	d := w.Document()
	return []string{"document.kind", d.Kind, "document.number", d.Number, "document.issuer", d.Issuer, "document.issued", d.Issued, "document.expires", d.Expires}
}

var shown = regexp.MustCompile(`name="shown" value="([^"]+)"`)

const password = "quattro cavalli blu"

// activate uses an operator's link and gives the TOTP key.
func activate(t *testing.T, w *town.Town, b *browser, link string) *otp.Key {
	t.Helper()
	b.get(link).wants(http.StatusOK, "Attiva il tuo accesso")
	_, text, _ := strings.Cut(link, "codice=")
	m := shown.FindStringSubmatch(b.body)
	if m == nil {
		t.Fatal("no key on the page")
	}
	key, err := otp.NewKeyFromURL(html.UnescapeString(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	fill := func(code, pw string) []string {
		return []string{"link", text, "password", pw, "again", pw, "code", code, "shown", html.UnescapeString(m[1])}
	}
	b.send(path+"/attiva", fill("000000", "kurz")...).wants(http.StatusUnprocessableEntity, "troppo debole")
	b.send(path+"/attiva", fill("000000", password)...).wants(http.StatusForbidden, "Il codice dell'app non è giusto")
	// The picture is the one that was scanned.
	if again := shown.FindStringSubmatch(b.body); again == nil || again[1] != m[1] {
		t.Fatal("another key after a mistyped code")
	}
	w.Move(time.Minute)
	b.send(path+"/attiva", fill(codeOf(t, w, key), password)...).wants(http.StatusSeeOther)
	b.follow().wants(http.StatusOK, "L'accesso è attivo")
	b.get(link).wants(http.StatusGone, "non vale più")
	return key
}

func codeOf(t *testing.T, w *town.Town, key *otp.Key) string {
	t.Helper()
	code, err := totp.GenerateCode(key.Secret(), w.Today())
	if err != nil {
		t.Fatal(err)
	}
	return code
}

func login(t *testing.T, w *town.Town, b *browser, ente, code string, key *otp.Key) {
	t.Helper()
	w.Move(time.Minute)
	b.get(path+"/accedi").send(path+"/accedi", "ente", ente, "user", code, "password", password)
	b.wants(http.StatusSeeOther).follow().wants(http.StatusOK, "Secondo fattore")
	b.send(path+"/codice", "code", codeOf(t, w, key)).wants(http.StatusSeeOther)
	b.follow().wants(http.StatusOK, "Scegli un servizio")
}

// The main journey over HTTP, on both databases: the first administrator comes by the
// one-time link, registers an operator and gives R16; R16 hands an envelope out against a
// document; the log names all of it.
func TestMainJourney(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		h := pages(t, w)
		admin := town.FormOf(10)
		inv, err := w.Operators.First(t.Context(), role.Actor{}, "prova", admin)
		if err != nil {
			t.Fatal(err)
		}
		a := open(t, h, "192.0.2.1:1")
		key := activate(t, w, a, inv.Link)
		login(t, w, a, "prova", admin.Code, key)
		a.wants(http.StatusOK, "Censimento operatori", "Associazione Operatore - Ruolo", "Comune di Prova", admin.Family)
		if strings.Contains(a.body, "Rilascio credenziali") {
			t.Error("an administrator sees the desk's menu")
		}

		clerk := town.FormOf(11)
		a.get(path + "/operatori/nuovo").wants(http.StatusOK)
		a.send(path+"/operatori/nuovo", append(fields("", clerk), "act", "check")...).wants(http.StatusOK, "Nessun operatore di questo ente")
		wrong := clerk
		wrong.Family = "Altrui"
		a.send(path+"/operatori/nuovo", append(fields("", wrong), "act", "confirm")...).wants(http.StatusUnprocessableEntity, "Il cognome non corrisponde", "Perché i dati sono giusti lo stesso")
		a.send(path+"/operatori/nuovo", append(fields("", clerk), "act", "confirm")...).wants(http.StatusOK, clerk.Email)
		a.send(path+"/operatori/nuovo", append(fields("", clerk), "act", "confirm")...).wants(http.StatusConflict, "ha già un accesso operatore")
		a.get(path+"/profilazione").wants(http.StatusOK, clerk.Code)
		_, row, _ := strings.Cut(a.body, clerk.Code)
		id := regexp.MustCompile(`/profilazione/(\d+)"`).FindStringSubmatch(row)
		if id == nil {
			t.Fatal("no link to the new operator's roles")
		}
		a.get(path+"/profilazione/"+id[1]).wants(http.StatusOK, "URP&BUSTE", "Assegna ruolo")
		a.send(path+"/profilazione/"+id[1]+"/assegna", "role", "R16").wants(http.StatusSeeOther)
		a.follow().wants(http.StatusOK, "I ruoli sono cambiati", "Cerca gli utenti")

		sheets := w.Print(w.Operator("prova", 12, "R8"), 2)
		b := open(t, h, "192.0.2.2:1")
		key = activate(t, w, b, operator.ActivatePath+w.Link(clerk.Email, "activation"))
		login(t, w, b, "prova", clerk.Code, key)
		holder := town.FormOf(13)
		b.get(path+"/rilascio/persona").wants(http.StatusOK, "Identifica la persona")
		filled := append(append(fields("", holder), document(w)...), "act", "confirm", "envelope")
		b.send(path+"/rilascio/persona", append(filled, "1234")...).wants(http.StatusUnprocessableEntity, "scritto male", holder.Code)
		expired := append(append([]string{}, filled...), sheets[0].Code, "document.expires", "01-01-2020")
		b.send(path+"/rilascio/persona", expired...).wants(http.StatusUnprocessableEntity, "Il documento è scaduto")
		b.send(path+"/rilascio/persona", append(filled, sheets[0].Code)...).wants(http.StatusOK, "Busta consegnata", "Codice del titolare")
		use(t, w, sheets[0], b) // the code on the page activates it
		// Once: the same form again is a used envelope, with the next step.
		b.get(path+"/rilascio/persona").send(path+"/rilascio/persona", append(filled, sheets[0].Code)...).wants(http.StatusConflict, "già nota a questo ente")
		b.send(path+"/rilascio/persona", append(append([]string{}, filled...), sheets[0].Code, "known", holder.Code)...).wants(http.StatusConflict, "già stata consegnata", "Apri la scheda della busta")

		b.get(path+"/utenti?code="+holder.Code).wants(http.StatusOK, holder.Family)
		b.get(path+"/buste/"+sheets[0].Code).wants(http.StatusOK, "Attiva", "Carta d'identità CA00000AA")
		events := storetest.Count(t, w.Store, "SELECT count(*) FROM journal WHERE kind = 'envelope-handed-out' AND ente = 'prova'")
		if events != 1 {
			t.Errorf("%d hand-outs in the log", events)
		}
		b.send(path + "/esci").wants(http.StatusSeeOther)
		b.get(path + "/buste").wants(http.StatusSeeOther)
	})
}

// use activates an envelope with the code that the page of its hand-out shows.
func use(t *testing.T, w *town.Town, s envelope.Sheet, b *browser) {
	t.Helper()
	code := regexp.MustCompile(`id="holder-code">([^<]+)<`).FindStringSubmatch(b.body)
	if code == nil {
		t.Fatal("no code for the holder")
	}
	citizen := w.Browser(w.Citizens)
	at, err := w.Citizens.StartAt(t.Context(), citizen.Writer(), "prova")
	if err == nil {
		_, err = w.Envelopes.Activate(t.Context(), citizen.Writer(), at, activation(s, code[1]))
	}
	if err != nil {
		t.Fatal("the code on the page does not activate the envelope:", err)
	}
}

// Each bad case of a release is a screen that keeps what was typed and says what to do.
func TestReleaseScreens(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	h := pages(t, w)
	printer, urp := w.Operator("prova", 20, "R8"), w.Operator("prova", 21, "R16")
	there := w.Print(w.Operator("altro", 22, "R8"), 1)
	sheets := w.Print(printer, 6)
	b := as(t, w, h, urp, "192.0.2.3:1")
	ask := func(who int, code string, more ...string) *browser {
		f := town.FormOf(who)
		b.get(path + "/rilascio/persona")
		return b.send(path+"/rilascio/persona", append(append(append(fields("", f), document(w)...), "act", "confirm", "envelope", code, "known", f.Code), more...)...)
	}
	use(t, w, sheets[0], ask(30, sheets[0].Code).wants(http.StatusOK))
	for _, x := range []struct {
		name, want string
		who        int
		code       string
	}{
		{"mistyped", "scritto male", 31, "1"},
		{"used", "già stata consegnata", 31, sheets[0].Code},
		{"another town's", "di un altro ente", 31, there[0].Code},
		{"to oneself", "a se stesso", 21, sheets[1].Code},
		{"has one", "ha già una credenziale", 30, sheets[1].Code},
	} {
		ask(x.who, x.code)
		if b.status != http.StatusConflict && b.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d", x.name, b.status)
		}
		if page := html.UnescapeString(b.body); !strings.Contains(page, x.want) || !strings.Contains(page, town.FormOf(x.who).Family) {
			t.Errorf("%s: %s", x.name, plain(b.body))
		}
	}
	b.wants(http.StatusConflict, "Consegna lo stesso")
	ask(30, sheets[1].Code, "replace", "yes").wants(http.StatusOK, "Busta consegnata")
	// Torn: voided with a reason, and not handed out any more.
	b.get(path+"/buste?codice="+sheets[2].Code).follow().wants(http.StatusOK, "Annulla (danneggiata")
	b.send(path+"/buste/"+sheets[2].Code+"/stato", "to", "void").wants(http.StatusUnprocessableEntity, "Scrivi il motivo")
	b.send(path+"/buste/"+sheets[2].Code+"/stato", "to", "void", "why", "strappata").wants(http.StatusSeeOther)
	ask(32, sheets[2].Code).wants(http.StatusConflict, "è annullata", "Apri la scheda della busta")
	// Dead: found by Verifica Precedenti of Conferma.
	id := storetest.Count(t, w.Store, "SELECT id FROM person WHERE code = ?", town.FormOf(30).Code)
	if err := w.People.SetDead(t.Context(), w.Operator("prova", 23, "R-Ente"), int64(id), true, "atto 1"); err != nil {
		t.Fatal(err)
	}
	f := town.FormOf(30)
	b.send(path+"/rilascio/persona", append(append(fields("", f), document(w)...), "act", "confirm", "envelope", sheets[3].Code)...).wants(http.StatusConflict, "risulta un decesso")
	// By post.
	ask(33, sheets[3].Code, "byPost", "yes").wants(http.StatusOK, "Busta da spedire", "lettera a parte")
	// A company, with its representative.
	who, c := town.FormOf(34), []string{"company.code", "00488410010", "company.name", "Prova S.r.l.", "company.seat", "Pisa", "company.vat", "00488410010", "company.title", "amministratore"}
	b.get(path+"/rilascio/azienda").wants(http.StatusOK, "Rappresentante")
	b.send(path+"/rilascio/azienda", append(append(append(fields("representative.", who), c...), document(w)...), "act", "confirm", "envelope", sheets[4].Code)...).wants(http.StatusOK, "Busta consegnata", "Dichiaro di rappresentare")
	b.get(path + "/rilascio/altro").wants(http.StatusNotFound)
	// Whoever printed it does not hand it out.
	b = as(t, w, h, printer, "192.0.2.4:1")
	ask(35, sheets[5].Code).wants(http.StatusConflict, "Chi ha stampato")
}

// A batch comes as a PDF, once, and counts when it is confirmed.
func TestBatches(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	b := as(t, w, pages(t, w), w.Operator("prova", 20, "R8"), "192.0.2.3:1")
	b.get(path+"/lotti").wants(http.StatusOK, "Stampa un lotto")
	b.send(path+"/lotti", "size", "500").wants(http.StatusUnprocessableEntity, "da 1 a 200")
	b.send(path+"/lotti", "size", "2").wants(http.StatusOK)
	if !bytes.HasPrefix([]byte(b.body), []byte("%PDF-1.7")) || b.header.Get("Cache-Control") != "no-store" {
		t.Errorf("no PDF: %q %v", b.body[:20], b.header)
	}
	b.get(path+"/lotti").wants(http.StatusOK, "Da confermare")
	id := regexp.MustCompile(`/lotti/([^/"]+)/conferma`).FindStringSubmatch(b.body)
	if id == nil {
		t.Fatal("no button to confirm")
	}
	b.send(path + "/lotti/" + id[1] + "/conferma").wants(http.StatusSeeOther)
	b.follow().wants(http.StatusOK, "Confermato")
	b.send(path+"/lotti/annulla", "batch", id[1]).wants(http.StatusUnprocessableEntity, "Scrivi il motivo")
	b.send(path+"/lotti/annulla", "batch", id[1], "why", "carta sbagliata").wants(http.StatusSeeOther)
	b.get(path+"/buste").wants(http.StatusOK, "Annullata")
}
