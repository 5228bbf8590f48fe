package e2e

import (
	"bytes"
	"context"
	"image"
	"image/png"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/stack"
)

// A person at the desk files an istanza that is signed on paper; the office answers; the
// citizen reads the answer with the card; the server is started anew after each of them.
func TestAPersonAtTheDeskFiles(t *testing.T) {
	s := town(t)
	var p *stack.Process
	origin := ""
	start := func() *counterDesk {
		t.Helper()
		if p != nil {
			if err := p.Stop(); err != nil {
				t.Fatal(err)
			}
		}
		var err error
		o := stack.ServerOptions{Args: ports}
		if origin != "" { // the same address: the browser's origin is what the card signs
			u, err := url.Parse(origin)
			if err != nil {
				t.Fatal(err)
			}
			o.Listen = u.Host
		}
		if p, origin, err = s.StartServer(context.Background(), o); err != nil {
			t.Fatal(err)
		}
		return operatorsOf(t, p, origin)
	}
	d := start()
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(p.Log())
		}
	})
	who := pki.Citizens[0]
	scan := filepath.Join(t.TempDir(), "scansione.png")
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 64, 64))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(scan, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}

	// The desk.
	ctx := browser(t)
	k := keyboard{t, ctx}
	do(t, ctx, "console", chromedp.Navigate(d.origin+"/consolleente/accedi"))
	do(t, ctx, "login", chromedp.WaitVisible("#f-user"))
	fill(t, ctx, "user", d.operators["R-PAAS"][0], "password", d.operators["R-PAAS"][1])
	where(t, ctx, "/consolleente/")
	do(t, ctx, "a new one", chromedp.Navigate(d.origin+"/consolleente/assistita/nuova"))
	do(t, ctx, "a new one", chromedp.WaitVisible("#f-service"))
	for name, value := range map[string]string{
		"service": "iscrizione-nido", "code": who.CF, "family": who.Surname, "given": who.Given,
		"document.kind": "identity-card", "document.number": "CA00000AA", "document.issuer": "Comune di Prova", "document.issued": "01-02-2024",
		"document.expires": time.Now().AddDate(5, 0, 0).Format("02-01-2006"),
	} {
		do(t, ctx, name, chromedp.SetValue("[name='"+name+"']", value))
	}
	do(t, ctx, "begin", chromedp.Click("[name=act][value=confirm]"))
	k.where("Passo 1 di 8")
	child := pki.Child(1)
	for _, step := range []map[string]string{
		{"child-given": "Bimba", "child-family": "Esempio", "child-cf": child.CF, "child-born": time.Now().AddDate(-1, 0, 0).Format(time.DateOnly)},
		{"email": "genitore@example.org", "relation": "parent", "other": "none"},
		{"first": "girasole", "time": "full"},
		{},
		{}, // no brother or sister, nobody else to collect the child
		{},
		{"vaccination": "done"},
		{},
	} {
		for name, value := range step {
			set := `(() => { const all = [...document.getElementsByName("` + name + `")]; const x = all.find(e => (e.type === "radio" || e.type === "checkbox") && e.value === "` + value + `") ?? all[0];
				if (x.type === "radio" || x.type === "checkbox") x.click(); else { x.value = "` + value + `"; x.dispatchEvent(new Event("change", {bubbles: true})); } return true; })()`
			do(t, ctx, name, chromedp.Evaluate[bool](set))
		}
		k.turn(".form-buttons button")
	}
	k.where("Controlla con la persona")
	do(t, ctx, "warned", chromedp.Evaluate[bool](`document.getElementById("f-warned").click(), document.getElementById("f-privacy").click(), true`))
	do(t, ctx, "make", chromedp.Click("form[action$='/riepilogo'] button"))
	k.where("La persona firma")
	at, err := url.Parse(do(t, ctx, "where", chromedp.Location()))
	if err != nil {
		t.Fatal(err)
	}
	id := strings.Split(at.Path, "/")[3]
	for _, slot := range []string{"paper", "identity"} {
		do(t, ctx, slot, chromedp.SetUploadFiles("#f-file-"+slot, []string{scan}))
		k.turn("form:has(#f-file-" + slot + ") button")
		k.seen("ul.kept-files + form:has(#f-file-" + slot + ")")
	}
	do(t, ctx, "sign and send", chromedp.Click("form[action$='/firma/foglio'] button"))
	k.where("La pratica è inviata")
	shot(t, ctx, "desk-sent")

	// The office, after a restart.
	d = start()
	c := d.clerk(t, "R20")
	page := c.get("/consolleente/pratiche/" + id)
	for _, want := range []string{who.CF, "lett. c"} {
		if !strings.Contains(page, want) {
			t.Errorf("the office does not see %q", want)
		}
	}
	if page = c.post("/consolleente/pratiche/"+id+"/risposta", url.Values{"words": {"La domanda è accolta."}}); !strings.Contains(page, "La domanda è accolta.") {
		t.Fatal(page)
	}

	// The citizen, after another.
	d = start()
	agent(t, s, stack.AgentOptions{PIN: pin, Origin: d.origin, Ports: []int{52390}})
	ctx = browser(t)
	do(t, ctx, "the citizen", chromedp.Navigate(d.origin+"/pratiche/"+id))
	where(t, ctx, "/accedi")
	do(t, ctx, "the card", chromedp.Click("#start"))
	where(t, ctx, "/pratiche/"+id)
	text := do(t, ctx, "the answer", chromedp.Evaluate[string](`document.querySelector("main").innerText`))
	if !strings.Contains(text, "La domanda è accolta.") {
		t.Errorf("the citizen does not read the answer:\n%s", text)
	}
	shot(t, ctx, "desk-citizen")
}
