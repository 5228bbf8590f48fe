package portal_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/citel-pa/citel/testdata/chromium"
	"github.com/citel-pa/citel/testdata/pki"
)

// screen is Chromium with a visitor's session.
func (d *desk) screen(v *visitor) *chromium.Window {
	d.t.Helper()
	return chromium.Open(d.t, d.handler, v.cookies, "portal")
}

// The way of an application in a browser: accessible at both widths, conditions shown at
// once, and the keyboard alone is enough.
func TestWayInABrowser(t *testing.T) {
	d := newDesk(t)
	d.trusts()
	v := d.citizen(1)
	s := d.screen(v)
	s.Open("/servizi", "h1")
	s.Check("servizi")
	s.Open(nursery, "#begin")
	s.Check("servizio")
	chromium.Do(s, "begin", chromium.Click("#begin"))
	s.Wait("#f-child-given")
	s.Check("compila")
	at := v.begin(nursery, nurserySteps()[0])

	// By keyboard: the second step's radios, a field that appears, the button.
	s.Open(at+"/passo/2", "#f-relation")
	visible := func(id string) bool {
		return s.JS(`String(document.getElementById("`+id+`").checkVisibility())`) == "true"
	}
	if visible("f-other-cf") {
		t.Error("a question is shown before what it depends on")
	}
	chromium.Do(s, "relation", chromium.Focus("#f-relation"))
	for _, keys := range []string{" ", "\t", "mail@example.org", "\t", "\t", " "} {
		chromium.Do(s, "keys", chromedp.KeyEvent(keys))
	}
	if got := s.JS(`document.querySelector("[name=other]:checked")?.value ?? ""`); got != "consents" {
		t.Fatalf("the keyboard chose %q", got)
	}
	if !visible("f-other-cf") || !visible("f-other-signs") {
		t.Error("a question is not shown at once")
	}
	s.Check("passo")
	for _, keys := range []string{"\t", pki.Invented(2).CF, "\t", "\t", "\r"} {
		chromium.Do(s, "keys", chromedp.KeyEvent(keys))
	}
	s.Wait("#f-first")
	if f := d.app(at).Fields; f["other-cf"] != pki.Invented(2).CF || f["email"] != "mail@example.org" {
		t.Error(f)
	}
	chromium.Do(s, "on", chromium.Click("#next"))
	s.Wait("#wrong")
	if s.JS(`document.activeElement.id`) != "wrong" {
		t.Error("the summary of errors is not focused")
	}
	s.Check("passo-sbagliato")

	// Items by keyboard: the page begins where the button led, and the return key goes on and
	// takes none away.
	s.Open(at+"/passo/6", `[value="collectors.add"]`)
	for n := 1; n <= 2; n++ {
		chromium.Do(s, "add", chromium.Focus(`[value="collectors.add"]`))
		chromium.Do(s, "add", chromedp.KeyEvent("\r"))
		s.Wait(fmt.Sprintf(`[id="item-collectors.%d"]`, n))
		if got := s.JS(`document.activeElement.id`); got != fmt.Sprintf("f-collectors.%d.collector-given", n) {
			t.Errorf("item %d: the focus is at %q", n, got)
		}
		chromium.Do(s, "typed", chromedp.KeyEvent(fmt.Sprintf("Nonna %d", n)))
	}
	chromium.Do(s, "send on", chromedp.KeyEvent("\r"))
	s.Wait("#wrong")
	if got := s.JS(`document.getElementById("wrong").textContent + document.querySelector("[name='collectors.items']").value`); !strings.Contains(got, "Persona delegata 2: Cognome") || !strings.HasSuffix(got, "2") {
		t.Errorf("the return key: %q", got)
	}
	s.Check("voci-sbagliate")
	chromium.Do(s, "take away", chromium.Focus(`[value="collectors.1"]`))
	chromium.Do(s, "take away", chromedp.KeyEvent(" "))
	s.Wait("#gone-collectors")
	if got := s.JS(`document.activeElement.id + document.querySelector("[name='collectors.1.collector-given']").value`); got != "gone-collectorsNonna 2" {
		t.Errorf("after one is gone: %q", got)
	}
	s.Check("voci")
	s.Open(at+"/passo/7", "#next")
	s.Check("vaccinazioni")

	// Attachments: too large is told before it is sent.
	at = v.filled(nil, map[string][]string{"relation": {"guardian"}})
	v.uploads(at+"/allegati", "custody", "Provvedimento del tribunale.pdf", pdfWith("", ""))
	s.Open(at+"/allegati", "#s-custody")
	s.Check("allegati")
	s.JS(`(() => { const t = new DataTransfer(); t.items.add(new File([new Uint8Array(21 << 20)], "a.pdf")); const f = document.getElementById("f-custody"); f.files = t.files; f.form.requestSubmit(); return ""; })()`)
	if got := s.JS(`document.getElementById("f-custody-e").textContent + location.pathname`); !strings.Contains(got, "troppo grande") || !strings.HasSuffix(got, "/allegati") {
		t.Errorf("too large: %q", got)
	}
	s.Open(at+"/riepilogo", "#next")
	s.Check("riepilogo")
	chromium.Do(s, "warned", chromium.Click("#warned"))
	chromium.Do(s, "privacy", chromium.Click("#privacy"))
	chromium.Do(s, "on", chromium.Click("#next"))
	s.Wait("#card-sign")
	s.Check("firma")
	if got := s.JS(`document.getElementById("card-sign").dataset.name`); got != d.app(at).DocumentName() || !strings.HasPrefix(got, "iscrizione-nido-") {
		t.Errorf("the agent is told the name %q", got)
	}
	// The draft is discarded in another window: the page says so, and no card is asked.
	v.sendValues(at+"/scarta", nil)
	s.JS(`(document.getElementById("start").click(), "")`)
	s.Wait("#error")

	// Two who sign.
	at = v.made(nil, pairs("other", "consents", "other-cf", pki.Invented(2).CF, "other-signs", "yes"))
	v.signs(at, d.signedBy(at, pki.Invented(1)))
	s.Open(at+"/firma", "#signers")
	s.Check("firma-in-due")
	w := d.screen(d.citizen(2))
	w.Open(at+"/firma", "#card-sign")
	w.Check("firma-insieme")
	// One message too many for today.
	d.Applications.Bounds.Messages = 1
	d.wrote(d.at(1))
	s.Open(v.begin("/servizi/instradamento", pairs("topic", "waste", "subject", "Cassonetto", "text", "È rotto."))+"/riepilogo", "#over")
	s.Check("messaggi-finiti")
	x := d.screen(d.visitor())
	x.Open(nursery+"/compila?compila=1", "#write-now")
	x.Check("scrivi-prima")
}
