package portal_test

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/citel-pa/citel/server/ranking"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/submission"
	"github.com/citel-pa/citel/testdata/chromium"
	"github.com/citel-pa/citel/testdata/town"
)

func init() {
	access["GET /graduatorie"] = same(opens)
	access["GET /graduatorie/{id}"] = same(gone) // a call's alone: TestRankingPages
	access["GET /graduatorie/{id}/{n}/graduatoria.pdf"] = same(gone)
	access["GET /pratiche/{id}/graduatoria"] = row{window, window, window, gone, gone, gone} // of an application in a call alone: likewise
	access["POST /pratiche/{id}/graduatoria"] = row{window, window, window, gone, gone, gone}
}

var missingKey = regexp.MustCompile(`>(?:graduatoria|ranking|service)\.[a-z-]+`)

// nursery sends an application of the person with number n, whose child has the same one.
func (d *desk) nursery(n int, answers ...string) *submission.Application {
	d.t.Helper()
	v := d.visitor()
	who := submission.Visitor{Ente: "prova", Level: session.Forte, Profile: "cns", Person: v.card(n), Address: v.address}
	values := map[string]string{"child-given": "Bimba", "child-family": "Segreta", "child-cf": d.Child(n), "child-born": d.Today().AddDate(-1, 0, -n).Format(time.DateOnly), "relation": "parent", "other": "none",
		"email": town.FormOf(n).Email, "first": "girasole", "time": "full", "vaccination": "done"}
	for i := 0; i+1 < len(answers); i += 2 {
		values[answers[i]] = answers[i+1]
	}
	ctx := context.Background()
	a, err := d.Applications.Start(ctx, who, "iscrizione-nido")
	if err != nil {
		d.t.Fatal(err)
	}
	if errs, err := d.Applications.Save(ctx, who, a.ID, func(id string) string { return values[id] }, true); err != nil || len(errs) > 0 {
		d.t.Fatal(errs, err)
	}
	if _, err = d.Applications.Make(ctx, who, a.ID, true, a.Service.Privacy.Version); err == nil {
		a, err = d.Applications.Send(ctx, who, a.ID)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return a
}

// nurseries is a call with a service that the card's session sends without a signature.
func (d *desk) nurseries() (*ranking.Call, role.Actor) {
	d.t.Helper()
	text := strings.Replace(string(service.Defaults["iscrizione-nido"]), "signature: required", "signature: none", 1)
	v, err := d.Services.Current(d.t.Context(), "prova", "iscrizione-nido")
	if err == nil {
		_, err = d.Services.Publish(d.t.Context(), d.Operator("prova", 80, "R6"), []byte(text), v.Number)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	school := d.Operator("prova", 81, "R20")
	day := d.Today().In(register.Rome()).Format(time.DateOnly)
	c, err := d.Rankings.Make(d.t.Context(), school, "iscrizione-nido", ranking.Settings{Title: "2026/2027", Since: day, Until: day, Term: 5})
	if err == nil {
		err = d.Rankings.SetSeats(d.t.Context(), school, c.ID, map[ranking.Place]int{{School: "girasole", Hours: "full"}: 1})
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return c, school
}

func (d *desk) ranks(c *ranking.Call, school role.Actor, k ranking.Kind) {
	d.t.Helper()
	n, err := d.Rankings.MakeList(d.t.Context(), school, c.ID, k)
	if err == nil {
		err = d.Rankings.Publish(d.t.Context(), school, c.ID, n)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// The public pages show codes and no names; the own line is marked after the login; a place
// is accepted and given back by whom it was offered to, at the service's level.
func TestRankingPages(t *testing.T) {
	d := newDesk(t)
	if _, err := d.Store.ExecContext(t.Context(), "UPDATE ente_switch SET enabled = 1"); err != nil {
		t.Fatal(err)
	}
	x := d.things() // the first person's visitors of each level
	c, school := d.nurseries()
	mine, theirs := d.nursery(1, "both-work", "yes", "isee", "12.345,00"), d.nursery(2)
	code := submission.RankingCode(mine.ID)
	public, own := "/graduatorie/"+c.ID, "/pratiche/"+mine.ID+"/graduatoria"
	has(t, d.visitor().get("/graduatorie"), "2026/2027", "non è ancora pubblicata", public)
	before := d.visitor().get(public)
	has(t, before, c.Commitment())
	if strings.Contains(before.body, c.Seed) || strings.Contains(before.body, code) {
		t.Error("the seed or a code is public before the list")
	}
	has(t, x.forte().get(own), code, "non è ancora pubblicata")
	d.Move(24 * time.Hour)
	d.ranks(c, school, ranking.Provisional)
	page := d.visitor().get(public)
	has(t, page, code, submission.RankingCode(theirs.ID), "Girasole, Tempo pieno", c.Seed, "provvisoria", "1/graduatoria.pdf")
	for _, secret := range []string{"Segreta", town.FormOf(1).Code, d.Child(1), "12.345", mine.ID, mine.Protocol(), "aria-current=\"true\""} {
		if strings.Contains(page.body, secret) {
			t.Errorf("everybody sees %q", secret)
		}
	}
	if a := d.visitor().get(public + "/1/graduatoria.pdf"); a.code != http.StatusOK || !strings.HasPrefix(a.body, "%PDF") {
		t.Error(a.code)
	}
	for _, path := range []string{public + "/2/graduatoria.pdf", public + "/x/graduatoria.pdf", "/enti/altro" + public, "/enti/altro" + public + "/1/graduatoria.pdf", "/graduatorie/x"} {
		if a := d.visitor().get(path); a.code != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.code)
		}
	}
	has(t, x.forte().get(public), "Le tue domande", `aria-current="true"`, own)

	// Who reaches the own position, at which level.
	for name, v := range map[string]struct {
		visitor *visitor
		base    string
		want    string
	}{
		"none": {d.visitor(), "", window}, "debole": {x.debole(), "", window}, "media": {x.media(), "", window}, "forte": {x.forte(), "", opens},
		"another person": {x.other(), "", gone}, "another ente": {x.forte(), "/enti/altro", gone},
	} {
		if got := verdict(v.visitor.get(v.base + own)); got != v.want {
			t.Errorf("%s: %s, want %s", name, got, v.want)
		}
		if s := v.visitor.session(); s != nil && v.want != opens {
			a := v.visitor.send(form(v.base+own, url.Values{"csrf": {s.CSRF}, "n": {"1"}, "risposta": {"accetta"}}))
			if got := verdict(a); got != v.want {
				t.Errorf("%s posts: %s, want %s", name, got, v.want)
			}
		}
	}

	d.ranks(c, school, ranking.Final)
	v := x.forte()
	has(t, v.get("/pratiche/"+mine.ID), own, "Ti è offerto un posto: rispondi")
	has(t, v.get(own), "Ti è offerto un posto: Girasole, Tempo pieno", "Rispondi entro il", "Accetto il posto")
	if a := v.post(own, "n", "1"); a.code != http.StatusUnprocessableEntity || !strings.Contains(a.body, "Scegli se accetti") {
		t.Error(a.code)
	}
	if a := v.send(form(own, url.Values{"csrf": {"x"}, "n": {"1"}, "risposta": {"accetta"}})); a.code != http.StatusForbidden {
		t.Error(a.code)
	}
	a := v.post(own, "n", "1", "risposta", "accetta")
	if a.code != http.StatusSeeOther {
		t.Fatal(a.code, a.body)
	}
	has(t, v.get(a.to), "La risposta è registrata", `id="accepted"`, "Rinuncio a Girasole")
	if a := v.post(own, "n", "1", "risposta", "accetta"); a.code != http.StatusConflict || !strings.Contains(a.body, "non si può più rispondere") {
		t.Error(a.code)
	}
	if a := v.post(own, "n", "1", "risposta", "rinuncia"); a.code != http.StatusSeeOther {
		t.Error(a.code)
	}
	other := x.other()
	has(t, other.get("/pratiche/"+theirs.ID+"/graduatoria"), "Ti è offerto un posto")
	mails := d.Mails(town.FormOf(2).Email)
	if last := mails[len(mails)-1]; last[0] != "ranking-offer" || last[1] != "/pratiche/"+theirs.ID {
		t.Error(mails)
	}
	for _, l := range []string{"it", "en"} {
		other.cookies["lingua"] = l
		for _, path := range []string{"/graduatorie", public, "/pratiche/" + theirs.ID + "/graduatoria"} {
			if a := other.get(path); missingKey.MatchString(a.body) {
				t.Errorf("%s lacks a sentence: %q", path, missingKey.FindString(a.body))
			}
		}
	}
}

// Rankings in a browser: accessible at both widths, and answered by keyboard alone.
func TestRankingInABrowser(t *testing.T) {
	d := newDesk(t)
	c, school := d.nurseries()
	mine := d.nursery(1, "both-work", "yes", "second", "arcobaleno")
	d.nursery(2)
	d.nursery(3, "disability", "yes", "first", "arcobaleno")
	d.Move(24 * time.Hour)
	d.ranks(c, school, ranking.Provisional)
	d.ranks(c, school, ranking.Final)
	v := d.visitor()
	v.card(1)
	s := d.screen(v)
	s.Open("/graduatorie", "h1")
	s.Check("graduatorie")
	s.Open("/graduatorie/"+c.ID, "#own")
	s.Check("graduatoria")
	s.Open("/pratiche/"+mine.ID+"/graduatoria", "#offer-1, #offer-2")
	s.Check("posizione")
	chromium.Do(s, "accept", chromium.Focus(`input[value="accetta"]`))
	for _, keys := range []string{" ", "\t", "\r"} {
		chromium.Do(s, "keys", chromedp.KeyEvent(keys))
	}
	s.Wait("#accepted")
	s.Check("accettato")
}
