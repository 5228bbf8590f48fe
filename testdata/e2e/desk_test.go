package e2e

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/testdata/chromium"
	"github.com/citel-pa/citel/testdata/page"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/smtp"
	"github.com/citel-pa/citel/testdata/stack"
)

// until waits until a condition of the page holds.
func (k keyboard) until(condition string) {
	k.t.Helper()
	if _, err := chromium.Run(k.ctx, chromium.Until(`document.readyState === "complete" && (`+condition+`)`)); err != nil {
		shot(k.t, k.ctx, "failed")
		k.t.Fatalf("%v\n%s", err, k.main())
	}
}

// script runs statements in the page.
func (k keyboard) script(statements string) {
	k.t.Helper()
	do(k.t, k.ctx, statements, chromedp.Evaluate[bool](`(() => { `+statements+`; return true; })()`))
}

func quoted(text string) string {
	b, _ := json.Marshal(text)
	return string(b)
}

// sets answers questions of the page by their names.
func (k keyboard) sets(answers map[string]string) {
	k.t.Helper()
	for name, value := range answers {
		k.script(`const value = ` + quoted(value) + `, all = [...document.getElementsByName(` + quoted(name) + `)], x = all.find(e => (e.type === "radio" || e.type === "checkbox") && e.value === value) ?? all[0];
			if (x.type === "radio" || x.type === "checkbox") x.click(); else { x.value = value; x.dispatchEvent(new Event("change", {bubbles: true})); }`)
	}
}

// atTheDesk begins an application for a person who is there, fills in its steps, and gives
// its id once the person can sign.
func (k keyboard) atTheDesk(origin, service string, who pki.Person, steps ...map[string]string) (id string) {
	k.t.Helper()
	k.open(origin+"/consolleente/assistita/nuova", "La persona è davanti a te")
	k.sets(map[string]string{
		"service": service, "code": who.CF, "family": who.Surname, "given": who.Given, "email": "persona@example.org",
		"document.kind": "identity-card", "document.number": "CA00000AA", "document.issuer": "Comune di Prova", "document.issued": "01-02-2024",
		"document.expires": time.Now().AddDate(5, 0, 0).Format("02-01-2006"),
	})
	k.click("[name=act][value=confirm]")
	for i, step := range steps {
		k.where(fmt.Sprintf("Passo %d di %d", i+1, len(steps)))
		k.reads("who is named", who.CF, deskOperator)
		k.sets(step)
		k.click(".form-buttons button")
	}
	k.until(`document.getElementById("f-privacy") !== null || document.querySelector("input[type=file]") !== null`)
	if files := do(k.t, k.ctx, "attachments", chromedp.Evaluate[bool](`document.getElementById("f-privacy") === null`)); files {
		k.click("a[href$='/riepilogo']")
	}
	k.where("Controlla con la persona")
	k.script(`for (const id of ["f-warned", "f-privacy"]) document.getElementById(id)?.click()`)
	k.click("form[action$='/riepilogo'] button")
	k.where("La persona firma")
	return strings.Split(k.path(), "/")[3]
}

// deskOperator is the demo's at the desk.
const deskOperator = "Assiste Dimostrazione"

// enrolment is the nursery's form as it is filled in at the desk.
func enrolment(child int) []map[string]string {
	return []map[string]string{
		{"child-given": "Bimba", "child-family": "Esempio", "child-cf": pki.Child(child).CF, "child-born": time.Now().AddDate(-1, 0, 0).Format(time.DateOnly)},
		{"email": "genitore@example.org", "relation": "parent", "other": "none"},
		{"first": "girasole", "time": "full"},
		{},
		{}, // no brother or sister, and nobody else who collects the child
		{},
		{"vaccination": "done"},
		{},
	}
}

// A person at the desk files three times before one operator: signed on paper, with the own
// card in the desk's reader, and with a code that is mailed. What is another's does not
// sign. The office answers; the citizen reads it with the card; the server is started anew
// after each of them.
func TestAPersonAtTheDeskFiles(t *testing.T) {
	t.Parallel()
	d := newDesk(t, pki.CNS)
	who, other := d.who, pki.Citizens[1]
	others, err := d.VirtualCNS(other, d.pin)
	if err != nil {
		t.Fatal(err)
	}
	post, h := smtp.Start(t, false), newHouse(t, d.Stack)
	h.postTo(post)
	agent(t, d.Stack, stack.AgentOptions{PIN: d.pin, Origin: h.origin, Native: true, Ports: []int{agentPort(t)}, Env: d.pcsc.Env()})
	scan := filepath.Join(t.TempDir(), "scansione.png")
	if err := os.WriteFile(scan, page.Picture(64, 64), 0o600); err != nil {
		t.Fatal(err)
	}
	k := h.login("R-PAAS")
	ctx := k.ctx

	// On paper: the signed sheet and the identity document are scanned.
	paper := k.atTheDesk(h.origin, "iscrizione-nido", who, enrolment(1)...)
	for _, slot := range []string{"paper", "identity"} {
		do(t, ctx, slot, chromium.Upload("#f-file-"+slot, scan))
		k.click("form:has(#f-file-" + slot + ") button")
		k.until(`document.querySelector("ul.kept-files + form #f-file-` + slot + `")`)
	}
	k.click("form[action$='/firma/foglio'] button")
	k.where("La pratica è inviata")
	k.reads("on paper", who.CF, deskOperator, "lett. c", "/0000001")
	shot(t, ctx, "desk-sent")

	// With the card: an empty reader, another person's card, and the person's.
	card := k.atTheDesk(h.origin, "iscrizione-nido", who, enrolment(2)...)
	said := func(what string, words ...string) (problem string) {
		t.Helper()
		k.click("#start")
		k.until(`!document.getElementById("problem").hidden && !document.getElementById("start").disabled`)
		problem = do(t, ctx, what, chromedp.Evaluate[string](`document.getElementById("problem").textContent`))
		for _, w := range words {
			if !strings.Contains(problem, w) {
				t.Errorf("%s: the page says %q, without %q", what, problem, w)
			}
		}
		return problem
	}
	said("an empty reader", "Nessuna carta nel lettore")
	if err := d.pcsc.Readers[0].Insert(t.Context(), others, nil); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); strings.Contains(said("another's card"), "Nessuna carta"); { // pcscd has not looked yet
		if time.Now().After(end) {
			t.Fatal("the card is never seen")
		}
	}
	said("another's card", "non è di "+who.CF)
	shot(t, ctx, "desk-other-card")
	// A page that names the other signer: the agent signs, and the server takes nothing.
	k.script(`document.getElementById("card-sign").dataset.code = ` + quoted(other.CF))
	said("another's signature", "la carta di un'altra persona")
	shot(t, ctx, "desk-other-signature")
	k.open(h.origin+"/consolleente/assistita/"+card, "La persona firma")
	d.pcsc.Readers[0].Remove()
	for end := time.Now().Add(time.Minute); !strings.Contains(said("taken out"), "Nessuna carta"); {
		if time.Now().After(end) {
			t.Fatal("the card is still there")
		}
	}
	d.insert(t, nil)
	for end := time.Now().Add(time.Minute); ; {
		k.click("#start")
		k.until(`document.getElementById("card-sign") === null || !document.getElementById("problem").hidden && !document.getElementById("start").disabled`)
		if do(t, ctx, "signed", chromedp.Evaluate[bool](`document.getElementById("card-sign") === null`)) {
			break
		}
		if text := k.main(); !strings.Contains(text, "Nessuna carta") || time.Now().After(end) {
			t.Fatal("the person's card does not sign:", text)
		}
	}
	k.where("La pratica è inviata")
	k.reads("with the card", who.CF, deskOperator, "lett. a", "firmata con la carta", "/0000002")
	shot(t, ctx, "desk-card")

	// With a code: of another application, a wrong one, one that is over, and the last.
	message := map[string]string{"what": "address", "is": "Via dell'Esempio 1", "should-be": "Via dell'Esempio 11"}
	first := k.atTheDesk(h.origin, "segnalazione-anagrafe", who, message)
	mails := func() (codes []string) {
		for _, m := range post.Messages() {
			if c := regexp.MustCompile(`\b\d{8}\b`).FindString(m.Body); c != "" && strings.Contains(m.To, "persona@example.org") {
				codes = append(codes, c)
			}
		}
		return codes
	}
	mailed := func() string {
		t.Helper()
		before := len(mails())
		k.turn("form[action$='/firma/codice'] button")
		k.where("Il codice è partito")
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if all := mails(); len(all) > before {
				code := all[len(all)-1]
				if strings.Contains(k.main(), code) {
					t.Error("the operator sees the code")
				}
				return code
			}
		}
		t.Fatalf("no code is mailed: %+v", post.Messages())
		return ""
	}
	tells := func(code, text string) {
		t.Helper()
		k.sets(map[string]string{"code": code})
		k.turn("form[action$='/firma/conferma'] button") // the words of before may be the same
		k.where(text)
	}
	foreign := mailed()
	coded := k.atTheDesk(h.origin, "segnalazione-anagrafe", who, message)
	over := mailed()
	tells(foreign, "Il codice non è giusto")
	tells("x", "Il codice non è giusto")
	h.inStore(func(db *store.Store) error {
		_, err := db.ExecContext(t.Context(), "UPDATE onetime SET expires = ? WHERE purpose = 'application-code'", store.Time(time.Now().Add(-time.Second)))
		return err
	})
	tells(over, "è scaduto")
	shot(t, ctx, "desk-code")
	tells(mailed(), "La pratica è inviata")
	k.reads("with a code", who.CF, deskOperator, "codice usa e getta", "/0000003")

	// The office, after a restart; who reads the log finds both, and what was refused.
	h.restart()
	c := h.clerk(t, "R20")
	for id, words := range map[string][]string{paper: {"lett. c"}, card: {"lett. a", "firmata con la carta"}} {
		text := c.get("/consolleente/pratiche/" + id)
		for _, want := range append(words, who.CF, "cittadino, allo sportello con "+deskOperator) {
			if !strings.Contains(text, want) {
				t.Errorf("the office does not see %q of %s", want, id)
			}
		}
		if text = c.post("/consolleente/pratiche/"+id+"/risposta", url.Values{"words": {"La domanda è accolta."}}); !strings.Contains(text, "La domanda è accolta.") {
			t.Fatal(text)
		}
	}
	c = h.clerk(t, "R8")
	m := regexp.MustCompile(`/consolleente/utenti/\d+`).FindString(c.get("/consolleente/utenti?code=" + who.CF))
	log := c.get(m + "/log")
	for _, want := range []string{deskOperator, "allo sportello: paper", "allo sportello: card", "allo sportello: code", "motivo: other-signer", "motivo: code", "pratica: " + coded, "pratica: " + first} {
		if !strings.Contains(log, want) {
			t.Errorf("the log has no %q", want)
		}
	}

	// The citizen, after another, in the portal with the same card.
	h.restart()
	one := keyboard{t, browser(t)}
	do(t, one.ctx, "the citizen", chromium.Navigate(h.origin+"/pratiche/"+card))
	one.click("#start")
	one.where("La domanda è accolta.")
	one.reads("the citizen", who.CF, deskOperator)
	shot(t, one.ctx, "desk-citizen")
	dir := t.TempDir()
	receipt := one.download(dir, "/pratiche/"+card+"/ricevuta.pdf")
	says(t, "TOTAL-PASSED", d.Agent, "verify", "--offline", "--json", "--trust", one.download(dir, "/sigillo.pem"), receipt)
	for _, want := range []string{who.CF, deskOperator, "lett. a", "firmata con la carta"} {
		says(t, want, "pdftotext", receipt, "-")
	}
	for id, words := range map[string]string{paper: "La domanda è accolta.", coded: "codice usa e getta"} {
		one.open(h.origin+"/pratiche/"+id, deskOperator)
		one.reads("the citizen", words)
	}
}

// inStore does something to the house's data behind its back.
func (h *house) inStore(do func(*store.Store) error) {
	h.t.Helper()
	db, err := store.Open(h.t.Context(), filepath.Join(h.s.Dir, "data"))
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := do(db); err != nil {
		h.t.Fatal(err)
	}
}
