package portal_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/testdata/page"
)

const atCollectors = "/passo/6"

// item is an item's part of a form.
func item(n int, more ...string) url.Values {
	out := url.Values{}
	for k, v := range map[string]string{"given": "Nonna", "family": fmt.Sprintf("Esempio %d", n), "born": "1960-02-03", "is": "grandparent", "phone": "06 1234567"} {
		out.Set(fmt.Sprintf("collectors.%d.collector-%s", n, k), v)
	}
	for i := 0; i+1 < len(more); i += 2 {
		out.Set(fmt.Sprintf("collectors.%d.collector-%s", n, more[i]), more[i+1])
	}
	return out
}

func joined(all ...url.Values) url.Values {
	out := url.Values{}
	for _, x := range all {
		for k, v := range x {
			out[k] = v
		}
	}
	return out
}

// Items are added and taken away by the form's own buttons, without any script, and
// nothing that was typed is lost.
func TestItemsWithoutScript(t *testing.T) {
	d := newDesk(t)
	v := d.citizen(1)
	at := v.filled()
	step := at + atCollectors
	has(t, v.get(step), "nessuna voce indicata", `name="collectors.items" value="0"`, `value="collectors.add"`)
	a := v.sendValues(step, pairs("collectors.items", "0", "_voce", "collectors.add", "_da", "riepilogo"))
	if a.to != step+"?da=riepilogo&voce=collectors.1" {
		t.Fatalf("%d %s", a.code, a.to)
	}
	has(t, v.get(a.to), `id="item-collectors.1"`, `name="collectors.1.collector-given" value="" type="text" autofocus`, `name="_da" value="riepilogo"`)
	// Another one, with the first half written and something wrong in it: all of it stays.
	a = v.sendValues(step, joined(pairs("collectors.items", "1", "_voce", "collectors.add"), item(1, "phone", "non so", "is", "other")))
	if a.to != step+"?voce=collectors.2" {
		t.Fatalf("%d %s", a.code, a.to)
	}
	a = v.get(a.to)
	has(t, a, `value="Esempio 1"`, `value="non so"`, `id="item-collectors.2"`, `data-when="collectors.1.collector-is" data-is="other">`, `data-when="collectors.2.collector-is" data-is="other" hidden`)
	if strings.Contains(a.body, `id="wrong"`) {
		t.Error("what is not finished is called wrong")
	}
	// Sent on: each error names its item.
	two := joined(pairs("collectors.items", "2", "_script", "1"), item(1, "phone", "non so"), item(2, "born", time.Now().AddDate(-10, 0, 0).Format(time.DateOnly)))
	a = v.sendValues(step, two)
	if a.code != http.StatusUnprocessableEntity {
		t.Fatalf("%d %s", a.code, a.to)
	}
	has(t, a, `<a href="#f-collectors.1.collector-phone">Persona delegata 1: Telefono</a>`, `<a href="#f-collectors.2.collector-born">Persona delegata 2: Data di nascita</a>`)
	has(t, v.get(at+"/riepilogo"), `id="gaps"`, at+atCollectors+"?da=riepilogo#f-collectors.1.collector-phone", "Persona delegata 1: Telefono")
	// The first goes, the second moves up.
	a = v.sendValues(step, joined(two, pairs("_voce", "collectors.1")))
	if a.to != step+"?voce=collectors.0" {
		t.Fatalf("%d %s", a.code, a.to)
	}
	has(t, v.get(a.to), `id="gone-collectors"`, "Voci rimaste: 1", `value="Esempio 2"`)
	if f := d.app(at).Fields; f["collectors.items"] != "1" || f["collectors.1.collector-family"] != "Esempio 2" || f["collectors.2.collector-family"] != "" {
		t.Error(f)
	}
	if a := v.sendValues(step, joined(pairs("collectors.items", "1", "_script", "1"), item(1))); a.to != at+"/passo/7" {
		t.Fatalf("%d %s", a.code, a.to)
	}
	a = v.get(at + "/riepilogo")
	has(t, a, "Persona delegata 1</h3>", "Esempio 1", "03/02/1960", "Fratello o sorella 1</h3>", "Nido Girasole", "Vaccinazioni obbligatorie", "Sono state fatte")
	if strings.Contains(a.body, `id="gaps"`) {
		t.Error("something is missing")
	}
}

// What no page of ours asks is refused in words, and changes nothing; too many are told.
func TestForgedItems(t *testing.T) {
	d := newDesk(t)
	v := d.citizen(1)
	at := v.filled()
	step := at + atCollectors
	if a := v.sendValues(step, joined(pairs("collectors.items", "1", "_script", "1"), item(1))); a.to != at+"/passo/7" {
		t.Fatal(a.code, a.to)
	}
	before := fmt.Sprint(d.app(at).Fields)
	for _, x := range []url.Values{
		joined(pairs("collectors.items", "1"), item(1), item(2)), pairs("collectors.items", "1000"), pairs("collectors.items", "x"), pairs("collectors.items", "1", "collectors.1.points", "100"),
		pairs("collectors.items", "1", "_voce", "collectors.2"), pairs("collectors.items", "1", "_voce", "child.add"), pairs("child.1.child-given", "x"), pairs("collectors.items", "1", "collectors.01.collector-given", "x"),
	} {
		a := v.sendValues(step, x)
		if a.code != http.StatusUnprocessableEntity {
			t.Errorf("%v: %d %s", x, a.code, a.to)
		}
		has(t, a, "voci che questa pagina non ha chiesto", `value="Esempio 1"`)
	}
	full := pairs("collectors.items", "5", "_script", "1")
	for n := range 5 {
		full = joined(full, item(n+1))
	}
	if a := v.sendValues(step, joined(full, pairs("_voce", "collectors.add"))); a.code != http.StatusUnprocessableEntity || !strings.Contains(a.body, "al massimo 5") || strings.Contains(a.body, "item-collectors.6") {
		t.Errorf("one too many: %d\n%s", a.code, a.body)
	}
	if a := v.sendValues(step, joined(full, pairs("collectors.items", "6"), item(6))); a.code != http.StatusUnprocessableEntity || !strings.Contains(a.body, "al massimo 5") {
		t.Errorf("six: %d", a.code)
	}
	if a := v.sendValues(at+"/riepilogo", pairs("warned", "yes", "privacy", "yes", "version", "2")); a.code != http.StatusUnprocessableEntity {
		t.Errorf("six are sent: %d %s", a.code, a.to)
	}
	if a := v.sendValues(step, joined(pairs("collectors.items", "1", "_script", "1"), item(1))); a.to != at+"/passo/7" || fmt.Sprint(d.app(at).Fields) != before {
		t.Error(a.code, a.to, d.app(at).Fields, before)
	}
	// Before there is a draft, too.
	if a := d.visitor().sendValues(nursery, pairs("collectors.items", "30", "_bozza", strings.Repeat("a", 32))); a.code != http.StatusUnprocessableEntity || !strings.Contains(a.body, "voci che questa pagina non ha chiesto") {
		t.Errorf("%d", a.code)
	}
}

// Who writes first and logs in later, and whose session ends in the middle of a step, finds
// every item again.
func TestItemsBeforeTheLogin(t *testing.T) {
	d := newDesk(t)
	v := d.visitor()
	x := joined(pairs("child-given", "Nina", "siblings.items", "0", "collectors.items", "1", "_voce", "collectors.add", "_bozza", strings.Repeat("a", 32)), item(1))
	a := v.sendValues(nursery, x)
	if a.code != http.StatusOK {
		t.Fatalf("%d %s", a.code, a.to)
	}
	has(t, a, `value="Nina"`, `value="Esempio 1"`, `name="collectors.2.collector-given" value="" type="text" autofocus`, `name="collectors.items" value="2"`)
	x = joined(x, item(2))
	x.Set("collectors.items", "2")
	x.Del("_voce")
	if a := v.sendValues(nursery, x); verdict(a) != window {
		t.Fatalf("%d %s", a.code, a.to)
	}
	v.card(1)
	at := v.begin(nursery, page.Nursery()[0])
	if f := d.app(at).Fields; f["collectors.items"] != "2" || f["collectors.2.collector-family"] != "Esempio 2" {
		t.Error(f)
	}
	y := joined(pairs("collectors.items", "3", "csrf", v.session().CSRF, "_serve", "forte"), item(1), item(2), item(3))
	d.Move(31 * time.Minute)
	if a := v.sendValues(at+atCollectors, y); verdict(a) != window {
		t.Fatalf("%d %s", a.code, a.to)
	}
	v.card(1)
	has(t, v.get(at+atCollectors), `id="kept-note"`, `value="Esempio 3"`)
}

// What was sent has every item on its own page too.
func TestItemsOfWhatWasSent(t *testing.T) {
	d := newDesk(t)
	d.trusts()
	v := d.citizen(1)
	at := v.filled()
	v.sendValues(at+atCollectors, joined(pairs("collectors.items", "2", "_script", "1"), item(1), item(2)))
	if _, err := d.Store.ExecContext(t.Context(), "UPDATE application SET state = 'sent', sent = changed WHERE id = ?", d.app(at).ID); err != nil {
		t.Fatal(err)
	}
	has(t, v.get(at), "Esempio 1", "Esempio 2")
}

// Only what a doctor attests asks for a paper; the answer is in no mail and no list.
func TestVaccinationStep(t *testing.T) {
	d := newDesk(t)
	d.trusts()
	v := d.citizen(1)
	at := v.filled()
	has(t, v.get(at+"/passo/7"), "Vaccinazioni obbligatorie", "DL 73/2017, art. 3", `value="done" checked`, `value="booked"`, `value="exempt"`, `value="ask"`)
	if a := v.get(at + "/passo/8"); strings.Contains(a.body, "accinazioni obbligatorie per") || !strings.Contains(a.body, "Disabilità") {
		t.Error("vaccinations are not asked apart from disability and diet")
	}
	if a := v.sendValues(at+"/passo/7", pairs("_script", "1")); a.code != http.StatusUnprocessableEntity {
		t.Errorf("left open: %d %s", a.code, a.to)
	}
	for _, x := range []string{"booked", "ask", "exempt"} {
		if a := v.sendValues(at+"/passo/7", pairs("vaccination", x, "_script", "1")); a.to != at+"/passo/8" {
			t.Fatalf("%s: %d %s", x, a.code, a.to)
		}
		a := v.sendValues(at+"/riepilogo", pairs("warned", "yes", "privacy", "yes", "version", "2"))
		if x == "exempt" {
			if a.code != http.StatusUnprocessableEntity || !strings.Contains(a.body, "Attestazione del medico") {
				t.Errorf("without the attestation: %d", a.code)
			}
			continue
		}
		if a.to != at+"/firma" {
			t.Errorf("%s: %d %s", x, a.code, a.to)
		}
		v.sendValues(at+"/riapri", nil)
	}
	v.uploads(at+"/allegati", "vaccination", "attestazione.pdf", pdfWith("", ""))
	if a := v.sendValues(at+"/riepilogo", pairs("warned", "yes", "privacy", "yes", "version", "2")); a.to != at+"/firma" {
		t.Errorf("%d %s", a.code, a.to)
	}
}
