package e2e

import (
	"context"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/citel-pa/citel/testdata/chromium"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/stack"
)

// counterDesk is the demo's console: its operators by role.
type counterDesk struct {
	origin    string
	operators map[string][2]string // role: user, password
}

var demoOperator = regexp.MustCompile(`(?m)^  (\S{16})  password (\S+)  (\S+) `)

func openDesk(t *testing.T) *counterDesk {
	t.Helper()
	s := town(t)
	p, origin, err := s.StartServer(context.Background(), stack.ServerOptions{Args: portFlags(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(p.Log())
		}
	})
	return operatorsOf(t, p, origin)
}

// operatorsOf reads the demo's operators off what the server printed.
func operatorsOf(t *testing.T, p *stack.Process, origin string) *counterDesk {
	t.Helper()
	d := &counterDesk{origin: origin, operators: map[string][2]string{}}
	for _, m := range demoOperator.FindAllStringSubmatch(p.Output(), -1) {
		d.operators[m[3]] = [2]string{m[1], m[2]}
		if strings.Contains(p.Log(), m[2]) {
			t.Error("a password is in the server's log")
		}
	}
	if len(d.operators) != 5 {
		t.Fatalf("operators of the demo: %q", p.Output())
	}
	return d
}

// clerk is an operator without a browser.
type clerk struct {
	t      *testing.T
	client *http.Client
	origin string
	body   string
}

var token = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

func (c *clerk) get(path string) string {
	c.t.Helper()
	r, err := c.client.Get(c.origin + path)
	c.take(r, err)
	return c.body
}

func (c *clerk) take(r *http.Response, err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
	b, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode >= http.StatusInternalServerError {
		c.t.Fatal(r.Status, err)
	}
	_ = r.Body.Close()
	c.body = string(b)
}

func (c *clerk) post(path string, form url.Values) string {
	c.t.Helper()
	m := token.FindStringSubmatch(c.body)
	if m == nil {
		c.t.Fatalf("%s: no form before it", path)
	}
	form.Set("csrf", m[1])
	r, err := c.client.PostForm(c.origin+path, form)
	c.take(r, err)
	return c.body
}

func (d *counterDesk) clerk(t *testing.T, role string) *clerk {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &clerk{t: t, client: &http.Client{Jar: jar, Timeout: time.Minute}, origin: d.origin}
	c.get("/consolleente/accedi")
	if page := c.post("/consolleente/accedi", url.Values{"ente": {"prova"}, "user": {d.operators[role][0]}, "password": {d.operators[role][1]}}); !strings.Contains(page, "Scegli un servizio") {
		t.Fatal(page)
	}
	return c
}

// printed prints a batch, confirms it, and gives the codes outside its envelopes.
func (d *counterDesk) printed(t *testing.T, n string) []string {
	codes, _ := d.batch(t, n)
	return codes
}

// batch is printed, with the PDF that holds what is inside.
func (d *counterDesk) batch(t *testing.T, n string) (codes []string, pdf string) {
	t.Helper()
	c := d.clerk(t, "R8")
	c.get("/consolleente/lotti")
	if pdf = c.post("/consolleente/lotti", url.Values{"size": {n}}); !strings.HasPrefix(pdf, "%PDF") {
		t.Fatal(pdf)
	}
	page := c.get("/consolleente/lotti")
	id := regexp.MustCompile(`/lotti/([^/"]+)/conferma`).FindStringSubmatch(page)
	if id == nil {
		t.Fatal(page)
	}
	c.post("/consolleente/lotti/"+id[1]+"/conferma", url.Values{})
	for _, m := range regexp.MustCompile(`/buste/(\d+)"`).FindAllStringSubmatch(c.get("/consolleente/buste?lotto="+id[1]), -1) {
		codes = append(codes, m[1])
	}
	return codes, pdf
}

// keyboard is a person without a mouse.
type keyboard struct {
	t   *testing.T
	ctx context.Context
}

func (k keyboard) press(keys string) {
	k.t.Helper()
	do(k.t, k.ctx, "keys", chromedp.KeyEvent(keys))
}

// to presses the tabulator until the element has the focus, as a person does.
func (k keyboard) to(selector string) {
	k.t.Helper()
	const most = 90
	for range most {
		if do(k.t, k.ctx, selector, chromedp.Evaluate[bool](`document.activeElement !== null && document.activeElement.matches(`+"`"+selector+"`"+`)`)) {
			return
		}
		k.press(kb.Tab)
	}
	k.t.Fatalf("%s is not reached in %d tabulators", selector, most)
}

func (k keyboard) write(selector, text string) {
	k.t.Helper()
	k.to(selector)
	k.press(text)
}

// where waits for a page by a text in its main part.
func (k keyboard) where(text string) {
	k.t.Helper()
	if _, err := chromium.Run(k.ctx, chromium.Until(`document.readyState === "complete" && (document.querySelector("main")?.innerText ?? "").includes(`+"`"+text+"`"+`)`)); err != nil {
		shot(k.t, k.ctx, "failed")
		k.t.Fatalf("no page with %q: %v\n%s", text, err, do(k.t, k.ctx, "the page", chromedp.Evaluate[string](`document.querySelector("main")?.innerText ?? ""`)))
	}
}

// An R16 operator logs in and hands an envelope out against a document, with the keyboard
// alone.
func TestConsoleHandsOutByKeyboard(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	codes := d.printed(t, "1")
	if len(codes) != 1 {
		t.Fatal(codes)
	}
	ctx := browser(t)
	k := keyboard{t, ctx}
	do(t, ctx, "login", chromium.Navigate(d.origin+"/consolleente"))
	k.where("Accesso operatori")
	k.write("#f-user", d.operators["R16"][0])
	k.write("#f-password", d.operators["R16"][1])
	k.press(kb.Enter)
	k.where("Scegli un servizio")
	k.to("a[href='/consolleente/rilascio/persona']")
	k.press(kb.Enter)
	k.where("Identifica la persona")
	who := pki.Citizens[0]
	k.write("#f-envelope", codes[0])
	k.write("#f-code", who.CF)
	k.write("#f-family", who.Surname)
	k.write("#f-given", who.Given)
	k.write("#f-born", who.Born.Format("02/01/2006"))
	k.write("#f-birthPlace", "Pisa")
	k.to("[name=sex]")
	k.press(" ") // the first: F
	if who.Sex == "M" {
		k.press(kb.ArrowDown)
	}
	k.to("[name='document.kind']")
	k.press("C") // Carta d'identità
	k.write("[name='document.number']", "CA00000AA")
	k.write("[name='document.issuer']", "Comune di Prova")
	k.write("[name='document.issued']", "01-02-2024")
	k.to("[name=act]")
	k.press(kb.Enter) // the expiry was forgotten
	k.where("Ci sono campi da correggere")
	k.to("a[href='#f-document.expires']")
	do(t, ctx, "to the field", chromium.Follow())
	do(t, ctx, "at the field", chromium.Until(`document.activeElement?.name === "document.expires"`))
	k.write("[name='document.expires']", time.Now().AddDate(5, 0, 0).Format("02-01-2006"))
	k.press(kb.Enter)
	k.where("Busta consegnata")
	shot(t, ctx, "console-consegnata")
	code := do(t, ctx, "the holder's code", chromium.Text("#holder-code"))
	if len(code) != 8 {
		t.Errorf("the holder's code is %q", code)
	}
	page := html.UnescapeString(d.clerk(t, "R16").get("/consolleente/buste/" + codes[0]))
	if !strings.Contains(page, "Consegnata") || !strings.Contains(page, "CA00000AA") {
		t.Error("the envelope is not handed out:", page)
	}
}

// Every page of the console, at a desk's and a phone's width: axe-core finds nothing
// serious, nothing is wider than a phone, and its picture is in build/screenshots.
func TestConsolePages(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile("../../server/assets/dist-test/axe.min.js")
	if err != nil {
		t.Fatalf("%v (`make assets` fetches it)", err)
	}
	d := openDesk(t)
	codes := d.printed(t, "3")
	urp := d.clerk(t, "R16")
	who := pki.Citizens[1]
	form := url.Values{
		"envelope": {codes[0]}, "code": {who.CF}, "family": {who.Surname}, "given": {who.Given}, "born": {who.Born.Format("02-01-2006")}, "birthPlace": {"Pisa"}, "sex": {who.Sex},
		"document.kind": {"identity-card"}, "document.number": {"CA00000AA"}, "document.issuer": {"Comune di Prova"}, "document.issued": {"01-02-2024"}, "document.expires": {time.Now().AddDate(5, 0, 0).Format("02-01-2006")}, "act": {"confirm"},
	}
	urp.get("/consolleente/rilascio/persona")
	if page := urp.post("/consolleente/rilascio/persona", form); !strings.Contains(page, "Busta consegnata") {
		t.Fatal(page)
	}
	person := regexp.MustCompile(`/consolleente/utenti/(\d+)"`).FindStringSubmatch(urp.get("/consolleente/utenti"))
	admin := d.clerk(t, "R6")
	operator := regexp.MustCompile(`/consolleente/operatori/(\d+)"`).FindAllStringSubmatch(admin.get("/consolleente/operatori"), -1)
	if person == nil || len(operator) < 3 {
		t.Fatal("nobody is there", person, operator)
	}
	admin.get("/consolleente/infrastruttura/uffici/nuovo")
	admin.post("/consolleente/infrastruttura/uffici/nuovo", url.Values{"name": {"Ufficio Relazioni con il Pubblico"}, "address": {"Piazza Prova 1"}, "hours": {"lun-ven 9-13"}})
	admin.get("/consolleente/infrastruttura/calendario")
	admin.post("/consolleente/infrastruttura/calendario", url.Values{"day": {"24-12-2099"}, "why": {"Patrono"}, "close": {"yes"}})
	ctx := browser(t)
	seen := func(t *testing.T, name, path string, phone bool) {
		t.Helper()
		if path != "" {
			do(t, ctx, path, chromium.Navigate(d.origin+path))
		}
		keyboard{t, ctx}.where("")
		do(t, ctx, name, chromedp.Evaluate[bool](string(script)+"; true"))
		if found := do(t, ctx, name, chromedp.Evaluate[string](axe, chromedp.EvalAwaitPromise)); found != "" {
			t.Errorf("%s:\n%s", name, found)
		}
		if wide := do(t, ctx, name, chromedp.Evaluate[int](`document.documentElement.scrollWidth - document.documentElement.clientWidth`)); wide > 0 {
			t.Errorf("%s is %d pixels wider than the window", name, wide)
		}
		if phone {
			name += "-telefono"
		}
		shot(t, ctx, "console-"+name)
	}
	login := func(t *testing.T, role string) {
		t.Helper()
		do(t, ctx, "login", chromium.Navigate(d.origin+"/consolleente/accedi"))
		if do(t, ctx, "login", chromedp.Evaluate[bool](`!document.querySelector("#f-user")`)) {
			do(t, ctx, "logout", chromium.Click("form[action='/consolleente/esci'] button"))
		}
		do(t, ctx, "login", chromium.Seen("#f-user"))
		do(t, ctx, "user", chromium.Type("#f-user", d.operators[role][0]))
		do(t, ctx, "password", chromium.Type("#f-password", d.operators[role][1]+kb.Enter))
		keyboard{t, ctx}.where("Scegli un servizio")
	}
	admins := [][2]string{
		{"operatori", "/consolleente/operatori"}, {"censimento", "/consolleente/operatori/nuovo"}, {"operatore", "/consolleente/operatori/" + operator[2][1]},
		{"operatore-log", "/consolleente/operatori/" + operator[0][1] + "/log"}, {"ruoli", "/consolleente/ruoli"}, {"profilazione", "/consolleente/profilazione"}, {"profilo", "/consolleente/profilazione/" + operator[2][1]},
		{"conferme", "/consolleente/conferme"}, {"ente", "/consolleente/infrastruttura/ente"}, {"uffici", "/consolleente/infrastruttura/uffici"}, {"ufficio", "/consolleente/infrastruttura/uffici/nuovo"},
		{"calendario", "/consolleente/infrastruttura/calendario"}, {"posta", "/consolleente/infrastruttura/posta"}, {"credenziali", "/consolleente/infrastruttura/credenziali"}, {"accettati", "/consolleente/infrastruttura/accettati"},
	}
	clerks := [][2]string{
		{"home", "/consolleente/"}, {"rilascio-persona", "/consolleente/rilascio/persona"}, {"rilascio-azienda", "/consolleente/rilascio/azienda"}, {"utenti", "/consolleente/utenti"}, {"utente", "/consolleente/utenti/" + person[1]},
		{"buste", "/consolleente/buste"}, {"busta", "/consolleente/buste/" + codes[0]}, {"lotti", "/consolleente/lotti"}, {"password", "/consolleente/password"}, {"registrazione", "/consolleente/registrazione"},
		{"vietata", "/consolleente/operatori"}, {"non-trovata", "/consolleente/niente"},
	}
	for _, phone := range []bool{false, true} {
		if phone {
			do(t, ctx, "a phone", chromedp.EmulateViewport(360, 740))
		}
		if !phone {
			seen(t, "accedi", "/consolleente/accedi", phone)
		}
		for role, pages := range map[string][][2]string{"R6": admins, "R16": clerks} {
			login(t, role)
			for _, p := range pages {
				seen(t, p[0], p[1], phone)
			}
			if role == "R16" {
				do(t, ctx, "an empty form", chromium.Navigate(d.origin+"/consolleente/rilascio/persona"))
				do(t, ctx, "an empty form", chromium.Click("button[value=confirm]"))
				do(t, ctx, "a form with errors", chromium.Seen("#wrong"))
				seen(t, "rilascio-errori", "", phone)
			}
		}
	}
}
