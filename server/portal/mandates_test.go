package portal_test

import (
	"bytes"
	"database/sql"
	"image"
	"image/png"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/mandate"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/testdata/town"
)

var mandateID = regexp.MustCompile(`/deleghe/([^/"]+)/(?:accetta|rifiuta|revoca)`)

func (v *visitor) prove(path, name string, file []byte, pairs ...string) answer {
	v.d.t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	fields := append([]string{"csrf", v.csrf("/deleghe/nuova?tipo=figlio")}, pairs...)
	for i := 0; i+1 < len(fields); i += 2 {
		if err := w.WriteField(fields[i], fields[i+1]); err != nil {
			v.d.t.Fatal(err)
		}
	}
	part, err := w.CreateFormFile("prova", name)
	if err == nil {
		_, err = part.Write(file)
	}
	if err != nil || w.Close() != nil {
		v.d.t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, path, &b)
	r.Header.Set("Content-Type", w.FormDataContentType())
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return v.send(r)
}

// One asks, the other accepts with the card; then the first acts for the other, the banner
// is on each page, and it ends when it is revoked: at once, and nothing that was sent after
// it is done for oneself instead.
func TestActingForAnother(t *testing.T) {
	d := newDesk(t)
	one, two := town.FormOf(1), town.FormOf(3)
	a, _ := d.media(1)
	today := d.Today().In(time.UTC).Format(time.DateOnly)
	if x := a.post("/deleghe/nuova?tipo=chiedo", "tipo", "chiedo", "codice", two.Code, "titolo", "Delegato", "dal", today, "tutti", "si"); x.to != "/deleghe?fatto=chiesta" {
		t.Fatal(x.code, x.body)
	}
	page := a.get("/deleghe")
	has(t, page, two.Code, "aspetta la risposta")
	if strings.Contains(page.body, two.Family) {
		t.Error("a codice fiscale is enough to learn a name")
	}
	id := mandateID.FindStringSubmatch(page.body)[1]
	if x := a.post("/deleghe#"+id, "x", "y"); x.code == http.StatusOK {
		t.Error(x.code)
	}
	act := func(v *visitor, path string, pairs ...string) answer {
		values := map[string][]string{"csrf": {v.session().CSRF}}
		for i := 0; i+1 < len(pairs); i += 2 {
			values[pairs[i]] = []string{pairs[i+1]}
		}
		return v.send(form(path, values))
	}
	if x := act(a, "/deleghe/opera", "delega", id); x.code != http.StatusConflict {
		t.Errorf("it is used before it is accepted: %d", x.code)
	}
	if x := act(a, "/deleghe/"+id+"/accetta"); x.code != http.StatusConflict {
		t.Errorf("who asks accepts: %d", x.code)
	}
	// The other one: with the envelope it is not enough, with the card it is.
	b, _ := d.media(3)
	has(t, b.get("/deleghe"), "Entra con la carta per accettare")
	if x := act(b, "/deleghe/"+id+"/accetta"); verdict(x) != window || !strings.Contains(x.to, "serve=forte") {
		t.Errorf("accepted without a card: %d %s", x.code, x.to)
	}
	c := d.visitor()
	c.card(3)
	has(t, c.get("/deleghe"), one.Family)
	if x := act(c, "/deleghe/"+id+"/accetta"); x.to != "/deleghe?fatto=accettata" {
		t.Fatal(x.code, x.body)
	}
	// A stranger sees and does nothing with it.
	s := d.visitor()
	s.card(2)
	for _, path := range []string{"/deleghe/" + id + "/revoca", "/deleghe/" + id + "/accetta"} {
		if x := act(s, path); x.code != http.StatusNotFound {
			t.Errorf("a stranger: %s %d", path, x.code)
		}
	}
	if x := act(s, "/deleghe/opera", "delega", id); x.code != http.StatusNotFound {
		t.Errorf("a stranger acts: %d", x.code)
	}
	if x := act(a, "/enti/altro/deleghe/opera", "delega", id); x.code != http.StatusNotFound && verdict(x) != window {
		t.Errorf("in another ente: %d %s", x.code, x.to)
	}

	if x := act(a, "/deleghe/opera", "delega", id, "poi", "/area"); x.to != "/area" {
		t.Fatal(x.code, x.to)
	}
	banner := `class="acting-banner"`
	for _, path := range []string{"/", "/area", "/deleghe", "/aiuto", "/privacy", "/servizi", "/niente"} {
		x := a.get(path)
		has(t, x, banner, `aria-describedby="acting"`, "Operi per", two.Family, "Delegato", "fino a revoca", "<title>Operi per ")
	}
	if x := a.get("/enti/altro/"); strings.Contains(x.body, banner) {
		t.Error("the banner of another ente")
	}
	if got := a.session().Mandate; got != id {
		t.Error("it is not in the session", got)
	}
	// Back to oneself, and again.
	if x := act(a, "/deleghe/opera", "delega", ""); strings.Contains(a.get("/area").body, banner) {
		t.Error("not back to oneself", x.code)
	}
	act(a, "/deleghe/opera", "delega", id)
	// A rise of level ends it.
	up := d.visitor()
	up.cookies = map[string]string{}
	for k, x := range a.cookies {
		up.cookies[k] = x
	}
	up.card(1)
	if strings.Contains(up.get("/area").body, banner) {
		t.Error("the choice outlives a rise of level")
	}
	act(up, "/deleghe/opera", "delega", id)
	has(t, up.get("/area"), banner)
	// The other one revokes it: what is sent afterwards is done for nobody.
	if x := act(c, "/deleghe/"+id+"/revoca"); x.to != "/deleghe?fatto=revocata" {
		t.Fatal(x.code)
	}
	if x := act(up, "/servizi/nido"); x.code != http.StatusConflict || !strings.Contains(x.body, "non vale più") || !strings.Contains(x.body, `id="mandates" href="/deleghe"`) {
		t.Errorf("sent by a mandate that was revoked: %d %s", x.code, x.to)
	}
	if x := up.get("/area"); strings.Contains(x.body, banner) {
		t.Error("the banner stays")
	}
	if got := up.session().Mandate; got != "" {
		t.Error("the session keeps it", got)
	}
}

// It ends on a page that is only looked at, too, with a word; logout ends it as well.
func TestAMandateEnds(t *testing.T) {
	d := newDesk(t)
	v, _ := d.media(1)
	var ward *person.Person
	err := d.Store.Tx(t.Context(), func(tx *sql.Tx) (err error) {
		ward, err = person.EnsureAccount(t.Context(), tx, person.Natural, d.Child(4), "Ada", "Esempio", d.Today())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	m, err := d.Mandates.Grant(t.Context(), d.Operator("prova", 60, "R8"), mandate.Mandate{Kind: mandate.Minor, Principal: ward.ID, Agent: v.session().Person, Title: "Genitore",
		Since: d.Today().Format(time.DateOnly), Until: d.Today().AddDate(0, 0, 2).Format(time.DateOnly), Proof: "Estratto"})
	if err != nil {
		t.Fatal(err)
	}
	if x := v.post("/deleghe", "delega", m.ID); x.code == http.StatusOK {
		t.Error(x.code)
	}
	x := v.send(form("/deleghe/opera", map[string][]string{"csrf": {v.session().CSRF}, "delega": {m.ID}}))
	if x.code != http.StatusSeeOther {
		t.Fatal(x.code)
	}
	has(t, v.get("/area"), "Ada Esempio", "Genitore", "fino al ")
	if _, err := d.Store.ExecContext(t.Context(), "UPDATE mandate SET until = '2020-01-01', since = '2020-01-01' WHERE id = ?", m.ID); err != nil {
		t.Fatal(err)
	}
	has(t, v.get("/area"), `id="mandate-over"`)
	if x := v.get("/area"); strings.Contains(x.body, "mandate-over") || strings.Contains(x.body, "acting-banner") {
		t.Error("said twice, or not over")
	}
}

// A proof comes with a child's; hostile files are refused with the reason and what was typed
// is still there.
func TestAskingForAChild(t *testing.T) {
	d := newDesk(t)
	v, _ := d.media(1)
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 30, 30))); err != nil {
		t.Fatal(err)
	}
	fields := []string{"tipo", "figlio", "codice", d.Child(5), "nome", "Nina", "cognome", "Esempio", "titolo", "Genitore", "dal", d.Today().Format(time.DateOnly), "tutti", "si"}
	x := v.prove("/deleghe/nuova", "nascita.pdf", []byte("MZ not a document"), fields...)
	has(t, x, `value="Nina"`, `id="f-prova-e"`)
	if x.code != http.StatusUnprocessableEntity {
		t.Error(x.code)
	}
	for name, change := range map[string][2]string{
		"f-codice-e": {"codice", "AAAAAA00A00A000A"}, "f-titolo-e": {"titolo", "Re"}, "f-dal-e": {"dal", "2020-01-01"}, "f-cognome-e": {"nome", ""},
	} {
		wrong := append([]string{}, fields...)
		for i := 0; i < len(wrong); i += 2 {
			if wrong[i] == change[0] {
				wrong[i+1] = change[1]
			}
		}
		has(t, v.prove("/deleghe/nuova", "nascita.png", b.Bytes(), wrong...), `id="`+name+`"`)
	}
	if x := v.prove("/deleghe/nuova", "nascita.png", b.Bytes(), fields...); x.to != "/deleghe?fatto=chiesta" {
		t.Fatal(x.code, x.body)
	}
	has(t, v.get("/deleghe"), "lo sportello verifica la prova")
	id := mandateID.FindStringSubmatch(v.get("/deleghe").body)[1]
	proof := v.get("/deleghe/" + id + "/prova")
	if proof.body != b.String() || !strings.Contains(proof.header.Get("Content-Security-Policy"), "sandbox") || !strings.HasPrefix(proof.header.Get("Content-Disposition"), "attachment") {
		t.Error(proof.code, proof.header)
	}
	other := d.visitor()
	other.card(2)
	if x := other.get("/deleghe/" + id + "/prova"); x.code != http.StatusNotFound {
		t.Error("another's proof", x.code)
	}
	if err := d.Mandates.DecideAtDesk(t.Context(), d.Operator("prova", 61, "R8"), id, true, "Estratto visto", ""); err != nil {
		t.Fatal(err)
	}
	has(t, v.get("/deleghe"), "Opera per Nina Esempio")
}
