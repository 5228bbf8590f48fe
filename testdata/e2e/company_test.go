package e2e

import (
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/chromium"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/stack"
)

// pavement is a small service for companies, as an administrator types it.
const pavement = `id: suolo-pubblico
title: {it: Occupazione di suolo pubblico, en: Use of a public place}
help: {it: "Per dehors, cantieri e banchi.", en: "For terraces, building sites and stalls."}
topic: commercio
act: istanza
level: forte
signature: required
actors: [company]
mandates: [company]
office: Commercio
responsible: {name: Responsabile del Commercio, contact: "Ufficio Commercio"}
term: {days: 30, silence: none}
remedies: {it: "Contro la risposta puoi ricorrere al TAR entro 60 giorni.", en: "The answer can be challenged before the regional court within 60 days."}
retention: 10
declaration: true
privacy:
  version: "1"
  text: {it: "Il Comune usa i dati per questa domanda.", en: "The municipality uses the data for this application."}
sections:
  - id: place
    title: {it: Il luogo, en: The place}
    fields:
      - {id: street, kind: text, label: {it: Via o piazza, en: Street}, required: true, max: 100}
      - {id: area, kind: number, label: {it: Metri quadrati, en: Square metres}, required: true, least: 1, most: 500}
      - {id: email, kind: email, label: {it: E-mail, en: E-mail}, required: true}
`

// A company has no card: a person acts for it, as long as the desk says so.
func TestACompanysRepresentative(t *testing.T) {
	t.Parallel()
	w, d := newScreen(t), newDesk(t, pki.CIE)
	d.Env = append(d.Env, "DATABASE_URL="+storetest.Empty(t))
	d.insert(t, nil)
	h := newHouse(t, d.Stack)
	agent(t, d.Stack, stack.AgentOptions{Native: true, Ports: []int{agentPort(t)}, Env: append(d.pcsc.Env(), w.env...)})
	const company, code = "Esempio Srl", "00743110157"

	// An administrator writes a service for companies and publishes it.
	admin := h.login("R6")
	admin.open(h.origin+"/consolleente/nuovo-servizio", "Nuovo servizio")
	fill(t, admin.ctx, "servizio", "suolo-pubblico")
	where(t, admin.ctx, "/consolleente/portale/suolo-pubblico")
	write := func(text string) {
		t.Helper()
		do(t, admin.ctx, "the text", chromium.SetValue("#f-testo", text))
	}
	write(strings.Replace(pavement, "level: forte", "level: altissimo", 1))
	admin.click("#service-form button[value=check]")
	do(t, admin.ctx, "a mistake", chromium.Seen("#wrong"))
	admin.reads("a mistake", "level: altissimo")
	shot(t, admin.ctx, "company-1-editor")
	write(pavement)
	admin.click("#service-form button[value=check]")
	do(t, admin.ctx, "it is right", chromium.Seen("#good"))
	admin.click("#service-form button[value=diff]")
	admin.where("Pubblica")
	admin.click("form[action$='/pubblica'] button")
	admin.where("Servizio pubblicato")

	// The desk grants the mandate against a document.
	desk := h.login("R8")
	desk.open(h.origin+"/consolleente/deleghe/nuova", "Nuova delega")
	for name, value := range map[string]string{
		"kind": "company", "title": "Legale rappresentante", "whose.code": code, "whose.family": company, "who.code": d.who.CF, "who.family": d.who.Surname, "who.given": d.who.Given,
		"document": "Visura camerale", "number": "PI-123456 del 10/11/2026",
	} {
		do(t, desk.ctx, name, chromium.SetValue("[name='"+name+"']", value))
	}
	desk.click("label[for='f-scope.suolo-pubblico']")
	desk.click("[name=act][value=confirm]")
	desk.where("Delega o rappresentanza")
	desk.reads("the mandate", company, code, d.who.CF, "Valida", "Visura camerale", "Occupazione di suolo pubblico")
	mandate := desk.path()
	shot(t, desk.ctx, "company-2-mandate")

	// The person logs in with the card. For oneself the service is closed; for the company
	// it is open, and each page says for whom.
	one := keyboard{t, browser(t)}
	ctx := one.ctx
	one.open(h.origin+"/deleghe", "")
	where(t, ctx, "/accedi")
	one.click("#start")
	w.login(d.pin)
	where(t, ctx, "/deleghe")
	if shown := do(t, ctx, "no banner", chromedp.Evaluate[bool](`document.getElementById("acting") !== null`)); shown {
		t.Error("a banner before anybody was chosen")
	}
	shot(t, ctx, "company-3-choose")
	one.click(".choose-acting form:has([name=delega]) button")
	where(t, ctx, "/area")
	banner := func(on string) {
		t.Helper()
		if text := do(t, ctx, on, chromium.Text("#acting")); !strings.Contains(text, "Operi per "+company) || !strings.Contains(text, "Legale rappresentante") {
			t.Errorf("%s: the banner is %q", on, text)
		}
	}
	banner("area")
	shot(t, ctx, "company-4-area")
	for _, path := range []string{"/servizi", "/pratiche", "/aiuto", "/servizi/suolo-pubblico"} {
		one.open(h.origin+path, "")
		banner(path)
	}
	begin := func() (id string) {
		t.Helper()
		one.open(h.origin+"/servizi/suolo-pubblico", "Occupazione di suolo pubblico")
		one.click("#begin")
		do(t, ctx, "the form", chromium.Seen("#f-street"))
		banner("the form")
		fillStep(t, ctx, url.Values{"street": {"Piazza dell'Esempio"}, "area": {"12"}, "email": {"ditta@example.org"}})
		do(t, ctx, "the summary", chromium.Seen("#privacy"))
		banner("the summary")
		return strings.Split(one.path(), "/")[2]
	}
	id := begin()
	one.reads("the summary", company, d.who.CF)
	confirm(t, ctx)
	do(t, ctx, "the signature", chromium.Seen("#card-sign"))
	banner("the signature")
	shot(t, ctx, "company-5-sign")
	w.gone()
	one.click("#start")
	w.read(ctx, d.pin, company, "company-6-window")
	where(t, ctx, "/pratiche/"+id)
	number := do(t, ctx, "the number", chromium.Text("#protocol"))
	banner("sent")
	shot(t, ctx, "company-7-sent")

	// The office answers; after a restart both sides see both names.
	office := h.login("R16")
	office.open(h.origin+"/consolleente/pratiche", number)
	office.click("a[href='/consolleente/pratiche/" + id + "']")
	office.where("Piazza dell'Esempio")
	office.deed("carico", "")
	do(t, office.ctx, "granted", chromedp.Evaluate[string](`document.querySelector('form[action$="/risposta"] select').value = "granted"`))
	office.deed("risposta", "Concessa dal primo del mese.")
	h.restart()
	names := []string{company, code, d.who.Given, d.who.Surname, d.who.CF, "Legale rappresentante", "Concessa dal primo del mese."}
	one.open(h.origin+"/pratiche/"+id, "Concessa dal primo del mese.")
	banner("answered")
	one.reads("the citizen", names...)
	shot(t, ctx, "company-8-answer")
	office = h.login("R16")
	office.open(h.origin+"/consolleente/pratiche/"+id, "Concessa dal primo del mese.")
	office.reads("the office", names...)
	shot(t, office.ctx, "company-9-office")
	dir := t.TempDir()
	receipt := one.download(dir, "/pratiche/"+id+"/ricevuta.pdf")
	says(t, "TOTAL-PASSED", d.Agent, "verify", "--offline", "--json", "--trust", one.download(dir, "/sigillo.pem"), receipt)
	for _, name := range []string{company, d.who.CF, number} {
		says(t, name, "pdftotext", receipt, "-")
	}

	// Another one waits to be sent when the desk revokes.
	second := begin()
	desk = h.login("R8")
	desk.open(h.origin+mandate, "Revoca")
	do(t, desk.ctx, "why", chromium.SetValue("form[action$='/revoca'] textarea", "Nuovo amministratore in visura."))
	desk.click("form[action$='/revoca'] button")
	desk.where("Revocata")
	shot(t, desk.ctx, "company-10-revoked")
	confirm(t, ctx)
	one.where("La delega non vale più")
	one.seen("a#mandates")
	shot(t, ctx, "company-11-over")
	for _, path := range []string{"/pratiche/" + second + "/riepilogo", "/pratiche/" + second + "/firma", "/pratiche/" + second, "/pratiche/" + id, "/pratiche/" + id + "/ricevuta.pdf"} {
		if status := do(t, ctx, path, chromedp.Evaluate[int](`fetch("`+path+`").then(r => r.status)`, chromedp.EvalAwaitPromise)); status != 404 {
			t.Errorf("%s: %d after the revocation", path, status)
		}
	}
	one.open(h.origin+"/deleghe", "")
	if left := do(t, ctx, "banner", chromedp.Evaluate[bool](`document.getElementById("acting") !== null || document.querySelector(".choose-acting [name=delega]") !== null`)); left {
		t.Error("the person can still act for the company")
	}
	one.reads("mandates", company, "revocata")
	one.open(h.origin+"/servizi/suolo-pubblico/compila", "")
	if form := do(t, ctx, "the form", chromedp.Evaluate[bool](`document.getElementById("f-street") !== null`)); form {
		t.Error("the form opens for somebody who is no company")
	}
	one.reads("closed", "scegli prima per chi operi")
	one.seen("a#mandates")
	shot(t, ctx, "company-12-closed")
	office.open(h.origin+"/consolleente/pratiche?stato=tutte", number)
	if strings.Contains(do(t, office.ctx, "the queue", chromedp.Evaluate[string](`document.querySelector("main").innerHTML`)), second) {
		t.Error("what was not sent is in the queue")
	}
}
