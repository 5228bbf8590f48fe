package console_test

import (
	"bytes"
	"database/sql"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/citel-pa/citel/server/console"
	"github.com/citel-pa/citel/server/feedback"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/ranking"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/server/submission"
	"github.com/citel-pa/citel/testdata/town"
)

var update = flag.Bool("update", false, "write the table anew; then read every changed line")

const tableFile = "testdata/table.txt"

var places = regexp.MustCompile(`\{[a-z]+\$?\}`)

// address fills a pattern with what is nowhere.
func address(pattern string) string {
	pattern = strings.TrimSuffix(pattern, "{$}")
	return places.ReplaceAllStringFunc(pattern, func(name string) string {
		switch name {
		case "{kind}":
			return "persona"
		case "{step}":
			return "secondo"
		case "{code}":
			return "000000000000"
		}
		return "999999"
	})
}

// The table of every address with every one of the 37 roles and everybody else, as the
// running router answers. An address that has no row in the file fails, and so does one
// that anybody else reaches than the row says.
func TestEveryAddressWithEveryRole(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	h := pages(t, w)
	got := map[string][]string{}
	reach := func(name string, b *browser, roleID string) {
		t.Helper()
		b.get(console.Prefix + "/password")
		token := b.token()
		for _, rt := range console.Routes() {
			key := rt.Method + " " + rt.Pattern
			if rt.Access == console.Anybody {
				got[key] = []string{"everybody"}
				continue
			}
			if rt.Method == http.MethodGet {
				b.get(address(rt.Pattern))
			} else {
				b.post(address(rt.Pattern), token, "role", roleID, "act", "confirm")
			}
			switch {
			case b.status == http.StatusForbidden, b.status == http.StatusUnauthorized,
				b.status == http.StatusSeeOther && strings.HasPrefix(b.header.Get("Location"), console.Prefix+"/accedi"):
			default:
				got[key] = append(got[key], name)
			}
			if b.status == http.StatusMethodNotAllowed {
				t.Errorf("%s: %d", key, b.status)
			}
		}
	}
	for i, r := range role.List() {
		a := w.Operator("prova", 100+i, r.ID)
		reach(r.ID, as(t, w, h, a, fmt.Sprintf("192.0.2.%d:1", i)), r.ID)
	}
	reach("without-role", as(t, w, h, w.Operator("prova", 200), "192.0.2.200:1"), "R6")
	reach("system", as(t, w, h, w.Operator("", 201), "192.0.2.201:1"), "R6")
	reach("nobody", open(t, h, "192.0.2.202:1"), "R6")
	// A citizen of the highest level, in the same browser, is nobody here.
	citizen := w.Browser(w.Citizens)
	s, err := w.Citizens.StartAt(t.Context(), citizen.Writer(), "prova")
	if err != nil {
		t.Fatal(err)
	}
	err = w.Store.Tx(t.Context(), func(tx *sql.Tx) error {
		p, err := person.EnsureAccount(t.Context(), tx, person.Natural, town.FormOf(202).Code, "Prova", "Cittadina", w.Today())
		if err == nil {
			_, err = w.Citizens.RiseAt(t.Context(), tx, citizen.Writer(), s, session.Session{Level: session.Forte, Person: p.ID}, "prova")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	b := open(t, h, "192.0.2.203:1")
	for _, c := range citizen.Request().Cookies() {
		b.cookies[c.Name] = c.Value
	}
	if len(b.cookies) == 0 {
		t.Fatal("the citizen has no session")
	}
	reach("citizen", b, "R6")

	var lines []string
	for _, rt := range console.Routes() {
		key := rt.Method + " " + rt.Pattern
		lines = append(lines, key+": "+strings.Join(got[key], " "))
	}
	slices.Sort(lines)
	text := "# Who reaches each address of the console: the answer of the running router.\n" + strings.Join(lines, "\n") + "\n"
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil { //nolint:gosec // of the repository
			t.Fatal(err)
		}
		if err := os.WriteFile(tableFile, []byte(text), 0o644); err != nil { //nolint:gosec // of the repository
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(tableFile)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for line := range strings.Lines(string(want)) {
		key, who, _ := strings.Cut(strings.TrimSpace(line), ": ")
		rows[key] = who
	}
	for _, line := range lines {
		key, who, _ := strings.Cut(line, ": ")
		row, ok := rows[key]
		if !ok {
			t.Errorf("%s has no row in %s", key, tableFile)
		} else if row != who {
			t.Errorf("%s\nis reached by %s\nbut should by %s", key, who, row)
		}
		if delete(rows, key); who != "everybody" && (strings.Contains(who, "nobody") || strings.Contains(who, "citizen")) {
			t.Errorf("%s is open to whoever is not logged in", key)
		}
	}
	for key := range rows {
		if !strings.HasPrefix(key, "#") {
			t.Errorf("the row %q has no address", key)
		}
	}
}

// An administrator of another ente, who may do everything there, walks this ente's ids.
func TestAnotherEntesIDs(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		h := pages(t, w)
		r := ready(t, w)
		r.counter(t, w)
		everything := []string{"R-Ente", "R8", "R25", "R9", "R-CAF1"}
		there := w.Operator("altro", 60, everything...)
		b := as(t, w, h, there, "192.0.2.9:1")
		token := b.get(console.Prefix + "/password").token()
		before := state(t, w)
		for _, rt := range console.Routes() {
			if !strings.Contains(rt.Pattern, "{") || strings.HasSuffix(rt.Pattern, "{$}") || rt.Access == console.Anybody || strings.HasSuffix(rt.Pattern, "{kind}") {
				continue
			}
			path := rt.Pattern
			if strings.Contains(path, "{service}") {
				continue // a name that every ente has for its own
			}
			if strings.Contains(path, "/pratiche/") {
				for name, value := range r.sent {
					path = strings.ReplaceAll(path, name, value)
				}
			}
			for name, value := range r.ids {
				path = strings.ReplaceAll(path, name, value)
			}
			if strings.Contains(rt.Pattern, "/utenti/") {
				path = strings.ReplaceAll(path, "{id}", r.person)
			}
			path = strings.ReplaceAll(path, "{id}", r.operator)
			if strings.Contains(path, "{") {
				t.Fatalf("%s: what is in it?", path)
			}
			if rt.Method == http.MethodGet {
				b.get(path)
			} else {
				b.post(path, token, "to", "revoked", "why", "x", "document", "x", "proof", "x", "role", "R7", "old", "R16", "with", "R7", "grant", "yes", "dead", "yes", "code", town.FormOf(70).Code, "name", "Ufficio",
					"words", "x", "day", "2026-01-01", "outcome", "granted", "office", "Ambiente", "time", "2026-01-01T10:00", "party", "x", "subject", "x", "direction", "in")
			}
			want := []int{http.StatusNotFound}
			if strings.Contains(rt.Pattern, "/enti/") {
				want = []int{http.StatusForbidden} // who runs the server alone
			}
			if !slices.Contains(want, b.status) {
				t.Errorf("%s %s: %d\n%s", rt.Method, path, b.status, plain(b.body))
			}
			for _, secret := range r.secrets {
				if strings.Contains(b.body, secret) {
					t.Errorf("%s %s shows %q", rt.Method, path, secret)
				}
			}
		}
		for _, list := range []string{"/utenti", "/utenti?code=" + r.code, "/buste", "/buste?lotto=" + r.batch, "/lotti", "/operatori", "/profilazione", "/conferme", "/infrastruttura/uffici",
			"/pratiche?stato=tutte", "/pratiche?stato=tutte&testo=Esempio", "/pratiche/conteggi", "/protocollo", "/protocollo?parte=Esempio", "/protocollo/giorni", "/protocollo/emergenza", "/protocollo/versamenti", "/protocollo/scarto", "/uffici/operatori", "/uffici/argomenti"} {
			b.get(console.Prefix + list).wants(http.StatusOK)
			for _, secret := range r.secrets {
				if strings.Contains(strings.ReplaceAll(plain(b.body), `value="`+r.code+`"`, ""), secret) {
					t.Errorf("%s shows %q", list, secret)
				}
			}
		}
		b.send(console.Prefix + "/lotti/" + r.batch + "/conferma")
		b.send(console.Prefix+"/lotti/annulla", "batch", r.batch, "why", "x")
		if after := state(t, w); after != before {
			t.Errorf("the other ente's data has changed:\n%s\n%s", before, after)
		}
	})
}

// state is what another ente's operator could have changed.
func state(t *testing.T, w *town.Town) string {
	t.Helper()
	var out []string
	for _, q := range []string{
		"SELECT count(*) FROM envelope WHERE ente = 'prova' AND state = 'handed-out'", "SELECT count(*) FROM envelope WHERE ente = 'prova'",
		"SELECT count(*) FROM batch WHERE ente = 'prova' AND voided = ''", "SELECT count(*) FROM operator WHERE ente = 'prova' AND state = 'active'",
		"SELECT count(*) FROM operator_role", "SELECT count(*) FROM pending WHERE state = 'open'", "SELECT count(*) FROM ente_office", "SELECT count(*) FROM person WHERE dead = ''",
		"SELECT count(*) FROM person_code", "SELECT count(*) FROM application_step", "SELECT count(*) FROM application_read", "SELECT count(*) FROM register_entry", "SELECT count(*) FROM register_cancelled",
		"SELECT count(*) FROM register_emergency WHERE closed = ''", "SELECT count(*) FROM operator_office", "SELECT count(*) FROM office_route",
		"SELECT count(*) FROM mandate WHERE state = 'asked'", "SELECT count(*) FROM mandate_proof", "SELECT count(*) FROM application", "SELECT count(*) FROM application_file",
	} {
		out = append(out, fmt.Sprint(storetest.Count(t, w.Store, q)))
	}
	return strings.Join(out, " ")
}

type things struct {
	ids                           map[string]string
	sent                          map[string]string // of an application that an office has
	person, operator, batch, code string
	secrets                       []string
}

// ready fills the ente "prova": a person with an envelope, operators, an office, an act
// that waits.
func ready(t *testing.T, w *town.Town) things {
	t.Helper()
	ctx := t.Context()
	admin := w.Operator("prova", 50, "R6")
	printer := w.Operator("prova", 51, "R8")
	urp := w.Operator("prova", 52, "R16")
	sheets := w.Print(printer, 2)
	f := town.FormOf(53)
	handed, err := w.Envelopes.HandOut(ctx, urp, release(w, sheets[0].Code, f))
	if err != nil {
		t.Fatal(err)
	}
	e, err := w.Enti.Get(ctx, "prova")
	if err != nil {
		t.Fatal(err)
	}
	four := *e
	four.FourEyes = true
	if err := w.Enti.Update(ctx, admin, four); err != nil {
		t.Fatal(err)
	}
	_ = w.Operators.Assign(ctx, admin, urp.Operator, "R6") // waits
	waits, err := w.Four.List(ctx, admin)
	if err != nil || len(waits) != 1 {
		t.Fatal(waits, err)
	}
	if err := w.Enti.SaveOffice(ctx, admin, "prova", office); err != nil {
		t.Fatal(err)
	}
	offices, err := w.Enti.Offices(ctx, "prova")
	if err != nil || len(offices) != 1 {
		t.Fatal(err)
	}
	batches, err := w.Envelopes.Batches(ctx, printer)
	if err != nil {
		t.Fatal(err)
	}
	b := w.Browser(w.Citizens)
	s, err := w.Citizens.StartAt(ctx, b.Writer(), "prova")
	if err != nil {
		t.Fatal(err)
	}
	if s, err = w.Envelopes.Activate(ctx, b.Writer(), s, activation(sheets[0], handed.Holder)); err != nil {
		t.Fatal(err)
	}
	m := askedMandates(t, w, 1)[0]
	scan, err := w.Mandates.AddProof(ctx, printer, m, "prova.png", bytes.NewReader(picture(t)), int64(len(picture(t))))
	if err != nil {
		t.Fatal(err)
	}
	report, err := w.Feedback.Send(ctx, feedback.Report{Ente: "prova", Page: "/servizi", Text: "Il modulo non si legge con la tastiera"}, "192.0.2.77:1")
	if err != nil {
		t.Fatal(err)
	}
	caf := w.Operator("prova", 54, "R-CAF1")
	v := submission.Visitor{Ente: "prova", Person: account(t, w, person.Natural, town.FormOf(55).Code), Operator: &caf, Shown: "CA00000AA"}
	draft, err := w.Applications.Start(ctx, v, "iscrizione-nido")
	if err != nil {
		t.Fatal(err)
	}
	paper, err := w.Applications.Attach(ctx, v, draft.ID, submission.SlotIdentity, "documento.png", bytes.NewReader(picture(t)), int64(len(picture(t))))
	if err != nil {
		t.Fatal(err)
	}
	call, err := w.Rankings.Make(ctx, w.Operator("prova", 58, "R20"), "iscrizione-nido", ranking.Settings{Title: "x", Since: "2026-01-01", Until: "2026-01-31", Term: 5})
	if err != nil {
		t.Fatal(err)
	}
	return things{
		ids:    map[string]string{"{call}": call.ID, "{n}": "1", "{report}": fmt.Sprint(report.Number), "{application}": draft.ID, "{file}": paper.ID, "{step}": "1", "{mandate}": m, "{proof}": scan.ID, "{code}": sheets[0].Code, "{credential}": url.PathEscape(s.Credential), "{batch}": batches[0].ID, "{pending}": waits[0].ID, "{office}": fmt.Sprint(offices[0].ID), "{ente}": "prova"},
		person: fmt.Sprint(handed.Person.ID), operator: fmt.Sprint(urp.Operator), batch: batches[0].ID, code: f.Code,
		secrets: []string{f.Code, f.Family, sheets[0].Username, urp.Code, office.Name},
	}
}
