package ranking_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/ranking"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/server/submission"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/town"
)

// office is a town with a school desk and applications that were sent with the card.
type office struct {
	*town.Town
	t      *testing.T
	school role.Actor
	call   *ranking.Call
	apps   map[int]*submission.Application
}

func newOffice(t *testing.T, w *town.Town) *office {
	t.Helper()
	// Signing is not what is tried here: the session of a card is proof enough (CAD, art. 65 c. 1 b).
	text := strings.Replace(string(service.Defaults["iscrizione-nido"]), "signature: required", "signature: none", 1)
	if _, err := w.Services.Publish(t.Context(), w.Operator("prova", 60, "R6"), []byte(text), 0); err != nil {
		t.Fatal(err)
	}
	o := &office{Town: w, t: t, school: w.Operator("prova", 61, "R20"), apps: map[int]*submission.Application{}}
	day := w.Today().In(register.Rome()).Format(time.DateOnly)
	var err error
	if o.call, err = w.Rankings.Make(t.Context(), o.school, "iscrizione-nido", ranking.Settings{Title: "2026/2027", Since: day, Until: day, Term: 5}); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *office) visitor(n int) submission.Visitor {
	o.t.Helper()
	var p *person.Person
	err := o.Store.Tx(context.Background(), func(tx *sql.Tx) (err error) {
		p, err = person.EnsureAccount(context.Background(), tx, person.Natural, pki.Invented(n).CF, "Prova", fmt.Sprint("Esempio ", n), o.Today())
		return err
	})
	if err != nil {
		o.t.Fatal(err)
	}
	return submission.Visitor{Ente: "prova", Level: session.Forte, Profile: "cns", Person: p, Email: fmt.Sprintf("persona%d@example.org", n), Address: "192.0.2.1:1"}
}

// sends an application of a child, with answers over the usual ones.
func (o *office) sends(who, child int, answers ...string) *submission.Application {
	o.t.Helper()
	values := map[string]string{"child-given": "Bimba", "child-family": "Esempio", "child-cf": pki.Child(child).CF, "child-born": o.Today().AddDate(-1, 0, -child).Format(time.DateOnly), "relation": "parent", "other": "none",
		"email": fmt.Sprintf("persona%d@example.org", who), "first": "girasole", "time": "full", "vaccination": "done"}
	for i := 0; i+1 < len(answers); i += 2 {
		values[answers[i]] = answers[i+1]
	}
	ctx, v, d := o.t.Context(), o.visitor(who), o.Applications
	a, err := d.Start(ctx, v, "iscrizione-nido")
	if err != nil {
		o.t.Fatal(err)
	}
	if errs, err := d.Save(ctx, v, a.ID, func(id string) string { return values[id] }, true); err != nil || len(errs) > 0 {
		o.t.Fatal(errs, err)
	}
	if _, err := d.Make(ctx, v, a.ID, true, a.Service.Privacy.Version); err != nil {
		o.t.Fatal(err)
	}
	if a, err = d.Send(ctx, v, a.ID); err != nil {
		o.t.Fatal(err)
	}
	o.Move(time.Second)
	o.apps[who] = a
	return a
}

func at(school, hours string) ranking.Place { return ranking.Place{School: school, Hours: hours} }

func (o *office) seats(n ...int) {
	o.t.Helper()
	all := map[ranking.Place]int{}
	for i, p := range []ranking.Place{at("girasole", "full"), at("arcobaleno", "full"), at("acquerello", "full"), at("girasole", "morning")}[:len(n)] {
		all[p] = n[i]
	}
	if err := o.Rankings.SetSeats(o.t.Context(), o.school, o.call.ID, all); err != nil {
		o.t.Fatal(err)
	}
}

// list makes and publishes one.
func (o *office) list(k ranking.Kind) []ranking.Entry {
	o.t.Helper()
	ctx := o.t.Context()
	n, err := o.Rankings.MakeList(ctx, o.school, o.call.ID, k)
	if err == nil {
		err = o.Rankings.Publish(ctx, o.school, o.call.ID, n)
	}
	if err != nil {
		o.t.Fatal(k, err)
	}
	all, err := o.Rankings.Entries(ctx, o.call, n)
	if err != nil {
		o.t.Fatal(err)
	}
	return all
}

// order names who is in a list by number, with the place that each got.
func (o *office) order(all []ranking.Entry) string {
	var out []string
	for _, e := range all {
		for n, a := range o.apps {
			if a.ID == e.Application {
				out = append(out, fmt.Sprintf("%d:%d:%s", n, e.Points, e.School))
			}
		}
	}
	return strings.Join(out, " ")
}

// held are the places that somebody has, "who:school:state".
func (o *office) held() string {
	o.t.Helper()
	all, err := o.Rankings.Offers(o.t.Context(), o.school, o.call)
	if err != nil {
		o.t.Fatal(err)
	}
	var out []string
	for _, x := range all {
		for n, a := range o.apps {
			if a.ID == x.Application {
				out = append(out, fmt.Sprintf("%d:%s:%s", n, x.Place.School, x.State))
			}
		}
	}
	return strings.Join(out, " ")
}

func (o *office) answers(who, n int, accept bool) {
	o.t.Helper()
	if err := o.Rankings.Answer(o.t.Context(), o.visitor(who), o.apps[who].ID, n, accept); err != nil {
		o.t.Fatal(who, n, err)
	}
}

// The whole way: applications, checks, provisional, corrections, final, offers, answers, the
// waiting list moving up, an exclusion, a term that goes by; on both databases.
func TestFromCallToPlaces(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		ctx := t.Context()
		o := newOffice(t, w)
		d := o.Rankings
		o.sends(0, 0, "both-work", "yes", "isee", "20.000,00")                                   // 15
		o.sends(1, 1, "both-work", "yes", "isee", "9.000,00")                                    // 15, lower ISEE
		o.sends(2, 2, "disability", "yes", "second", "arcobaleno")                               // 30
		o.sends(3, 3, "sibling", "yes", "single", "yes", "second", "arcobaleno")                 // 30, the older child
		o.sends(4, 4, "first", "arcobaleno", "second", "girasole")                               // 0
		old := o.sends(5, 5)                                                                     // sent again
		o.sends(5, 5, "both-work", "yes", "isee", "")                                            // 15, without ISEE
		o.sends(6, 6, "time", "morning")                                                         // other hours
		if err := o.Applications.Withdraw(ctx, o.visitor(6), o.sends(6, 7).ID, ""); err != nil { // withdrawn
			t.Fatal(err)
		}
		o.seats(1, 1, 0, 0)

		// Before the call's end there is no list; nobody of another desk or ente does anything.
		if _, err := d.MakeList(ctx, o.school, o.call.ID, ranking.Provisional); !errors.Is(err, ranking.ErrOpen) {
			t.Error(err)
		}
		for _, a := range []role.Actor{w.Operator("prova", 62, "R16"), w.Operator("altro", 63, "R20")} {
			if _, err := d.Get(ctx, a, o.call.ID); err == nil {
				t.Errorf("%v reads the call", a.Roles)
			}
			if err := d.Verify(ctx, a, o.call.ID, o.apps[0].ID, "both-work", "", "x"); err == nil {
				t.Errorf("%v verifies", a.Roles)
			}
			if err := d.SetSeats(ctx, a, o.call.ID, nil); err == nil {
				t.Errorf("%v sets seats", a.Roles)
			}
		}
		w.Move(24 * time.Hour)
		if _, err := d.MakeList(ctx, o.school, o.call.ID, ranking.Final); !errors.Is(err, ranking.ErrOrder) {
			t.Error(err)
		}
		first := o.list(ranking.Provisional)
		// 30 points twice: nobody has an ISEE, so the older child; then 15 by ISEE.
		if got := o.order(first); !strings.HasPrefix(got, "3:30:girasole 2:30:arcobaleno 1:15: 0:15: 5:15: ") || strings.Contains(got, "6:0:girasole") {
			t.Error(got)
		}
		if slices.ContainsFunc(first, func(e ranking.Entry) bool { return e.Application == old.ID }) {
			t.Error("the earlier application of the same child is in the list")
		}
		if n := len(w.Mails("persona3@example.org")); n != 2 { // receipt and list
			t.Error(n, w.Mails("persona3@example.org"))
		}

		// What is checked: a wrong value, one without its reason, a field that does not count.
		for _, c := range []struct {
			field, value, reason string
			want                 error
		}{
			{"sibling", "", "", ranking.ErrReason}, {"child-given", "x", "x", ranking.ErrField}, {"isee", "poco", "x", ranking.ErrValue}, {"first", "acquerello", "x", ranking.ErrField},
		} {
			if err := d.Verify(ctx, o.school, o.call.ID, o.apps[3].ID, c.field, c.value, c.reason); !errors.Is(err, c.want) {
				t.Errorf("%s: %v", c.field, err)
			}
		}
		if err := d.Verify(ctx, o.school, o.call.ID, o.apps[3].ID, "sibling", "", "il fratello non frequenta"); err != nil {
			t.Fatal(err)
		}
		if err := d.Verify(ctx, o.school, o.call.ID, o.apps[2].ID, "disability", "yes", ""); err != nil {
			t.Fatal(err)
		}
		k, err := d.Candidate(ctx, o.school, o.call, o.apps[3].ID)
		if err != nil || k.Points != 20 || k.Declared != 30 || len(k.Checks) != 1 || k.Checks[0].Reason == "" {
			t.Fatalf("%+v %v", k, err)
		}
		// A list of before the correction is not published.
		n, err := d.MakeList(ctx, o.school, o.call.ID, ranking.Final)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Exclude(ctx, o.school, o.call.ID, o.apps[4].ID, true, "fuori età"); err != nil {
			t.Fatal(err)
		}
		if err := d.Publish(ctx, o.school, o.call.ID, n); !errors.Is(err, ranking.ErrOld) {
			t.Error(err)
		}
		final := o.list(ranking.Final)
		if got := o.order(final); !strings.HasPrefix(got, "2:30:girasole 3:20:arcobaleno 1:15: 0:15: 5:15: ") || final[len(final)-1].Application != o.apps[4].ID || final[len(final)-1].Position != 0 || final[len(final)-1].Points != 0 {
			t.Error(got)
		}
		if got := o.held(); got != "2:girasole:offered 3:arcobaleno:offered" {
			t.Error(got)
		}
		if err := d.Verify(ctx, o.school, o.call.ID, o.apps[0].ID, "both-work", "", "tardi"); !errors.Is(err, ranking.ErrFinal) {
			t.Error(err)
		}

		// Others answer for nobody; a session of a lower level does not.
		if err := d.Answer(ctx, o.visitor(1), o.apps[2].ID, 1, true); !errors.Is(err, submission.ErrNotFound) {
			t.Error(err)
		}
		low := o.visitor(2)
		low.Level = session.Media
		if err := d.Answer(ctx, low, o.apps[2].ID, 1, true); !errors.Is(err, ranking.ErrLevel) {
			t.Error(err)
		}
		if err := d.Answer(ctx, o.visitor(3), o.apps[3].ID, 1, true); !errors.Is(err, ranking.ErrNotFound) { // another's offer
			t.Error(err)
		}
		// 3 accepts the second wish and waits on; 2 renounces the first: 3 comes before 1.
		o.answers(3, 2, true)
		o.answers(2, 1, false)
		if got := o.held(); got != "2:girasole:renounced 3:arcobaleno:accepted 3:girasole:offered" {
			t.Error(got)
		}
		o.answers(3, 3, true)
		if got := o.held(); got != "2:girasole:renounced 3:arcobaleno:moved 3:girasole:accepted" {
			t.Error(got)
		}
		if err := d.Answer(ctx, o.visitor(3), o.apps[3].ID, 3, true); !errors.Is(err, ranking.ErrOffer) {
			t.Error(err)
		}
		// More seats move the list up; a term that goes by too, and then nothing comes any more.
		o.seats(2, 1)
		if got := o.held(); !strings.HasSuffix(got, "1:girasole:offered") {
			t.Error(got)
		}
		w.Move(6 * 24 * time.Hour)
		if err := d.Answer(ctx, o.visitor(1), o.apps[1].ID, 4, true); !errors.Is(err, ranking.ErrOffer) {
			t.Error(err)
		}
		if err := d.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if got := o.held(); !strings.HasSuffix(got, "1:girasole:expired 0:girasole:offered") {
			t.Error(got)
		}
		if err := errors.Join(d.Run(ctx), d.Run(ctx)); err != nil || strings.Count(o.held(), "0:girasole") != 1 {
			t.Error(err, o.held())
		}
		// At the desk, with how it is known.
		if err := d.AnswerAtDesk(ctx, o.school, o.call.ID, o.apps[0].ID, 5, true, ""); !errors.Is(err, ranking.ErrReason) {
			t.Error(err)
		}
		if err := d.AnswerAtDesk(ctx, o.school, o.call.ID, o.apps[0].ID, 5, true, "di persona, CI CA00000AA"); err != nil {
			t.Error(err)
		}
		// A false declaration found late ends the place (DPR 445/2000, art. 75).
		if err := d.Exclude(ctx, o.school, o.call.ID, o.apps[3].ID, true, "dichiarazione non veritiera"); err != nil {
			t.Fatal(err)
		}
		if got := o.held(); !strings.Contains(got, "3:girasole:ended") || !strings.HasSuffix(got, "0:girasole:accepted 5:girasole:offered") {
			t.Error(got)
		}
		if err := d.Exclude(ctx, o.school, o.call.ID, o.apps[3].ID, false, "ripensamento"); !errors.Is(err, ranking.ErrFinal) {
			t.Error(err)
		}
		s, err := d.Of(ctx, o.apps[3], message.Italian)
		if err != nil || s.Reason != "dichiarazione non veritiera" || s.Accepted != nil || s.Code != submission.RankingCode(o.apps[3].ID) {
			t.Errorf("%+v %v", s, err)
		}
		// Who withdraws loses the place with the next round.
		if err := o.Applications.Withdraw(ctx, o.visitor(5), o.apps[5].ID, "trasloco"); err != nil {
			t.Fatal(err)
		}
		if err := d.Run(ctx); err != nil || !strings.HasSuffix(o.held(), "5:girasole:ended") {
			t.Error(err, o.held())
		}
		if n := storetest.Count(t, w.Store, "SELECT count(*) FROM journal WHERE kind IN ('ranking-changed', 'ranking-checked', 'ranking-offered')"); n < 20 {
			t.Error(n)
		}
	})
}

// Two answer at once for one place: it is held once.
func TestAtOnce(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		o := newOffice(t, w)
		for i := range 4 {
			o.sends(i, i)
		}
		o.seats(2)
		w.Move(24 * time.Hour)
		o.list(ranking.Provisional)
		o.list(ranking.Final)
		all, err := o.Rankings.Offers(t.Context(), o.school, o.call)
		if err != nil || len(all) != 2 {
			t.Fatal(all, err)
		}
		done := make(chan error)
		for _, x := range all {
			for n, a := range o.apps {
				if a.ID == x.Application {
					v := o.visitor(n)
					go func() { done <- o.Rankings.Answer(context.Background(), v, x.Application, x.N, false) }()
				}
			}
			go func() { done <- o.Rankings.Run(context.Background()) }()
		}
		for range 4 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if got := o.held(); strings.Count(got, "offered") != 2 || strings.Count(got, "renounced") != 2 {
			t.Error(got)
		}
	})
}

// The published document: sealed, by code, without a name, an answer or the ISEE.
func TestPublishedPDF(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	o := newOffice(t, w)
	o.sends(0, 0, "disability", "yes", "isee", "12.345,67")
	o.sends(1, 1)
	o.seats(1)
	ctx := t.Context()
	if all, err := o.Rankings.Public(ctx, "prova"); err != nil || len(all) != 1 || all[0].Newest() != nil || len(all[0].Commitment()) != 64 {
		t.Fatal(all, err)
	}
	w.Move(24 * time.Hour)
	n, err := o.Rankings.MakeList(ctx, o.school, o.call.ID, ranking.Provisional)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Rankings.PDF(ctx, o.call, n); !errors.Is(err, ranking.ErrNotFound) {
		t.Error("there is a document before it is published", err)
	}
	if err := o.Rankings.Publish(ctx, o.school, o.call.ID, n); err != nil {
		t.Fatal(err)
	}
	f, err := o.Rankings.PDF(ctx, o.call, n)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "graduatoria.pdf")
	if dir := os.Getenv("CITEL_KEEP"); dir != "" {
		path = filepath.Join(dir, "graduatoria.pdf")
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) string {
		out, err := exec.Command(name, append(args, path)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s (make deps installs it): %v\n%s", name, err, out)
		}
		return string(out)
	}
	run("qpdf", "--check")
	squeeze := strings.NewReplacer("\"", "", " ", "", "\n", "") // long words are cut
	text := run("pdfinfo", "-struct-text")
	for _, want := range []string{submission.RankingCode(o.apps[0].ID), submission.RankingCode(o.apps[1].ID), o.call.Seed, "Girasole, Tempo pieno", "lista d'attesa", "ammessa"} {
		if !strings.Contains(squeeze.Replace(text), squeeze.Replace(want)) {
			t.Errorf("it lacks %q:\n%s", want, text)
		}
	}
	for _, secret := range []string{"12.345", "Esempio", "Bimba", pki.Child(0).CF, pki.Invented(0).CF, o.apps[0].ID, o.apps[0].Protocol(), "isabilit"} {
		if strings.Contains(text, secret) || bytes.Contains(data, []byte(secret)) {
			t.Errorf("it shows %q", secret)
		}
	}
	if out := run("pdfsig", "-nocert"); !strings.Contains(out, "Signature is Valid") {
		t.Error(out)
	}
	// After the last day of publication nobody sees it.
	s := ranking.Settings{Title: "2026/2027", Since: o.call.Since, Until: o.call.Until, Term: 5, Shown: w.Today().In(register.Rome()).Format(time.DateOnly)}
	if err := o.Rankings.Change(ctx, o.school, o.call.ID, s); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Rankings.PublicCall(ctx, "prova", o.call.ID); err != nil {
		t.Error(err)
	}
	w.Move(24 * time.Hour)
	if _, err := o.Rankings.PublicCall(ctx, "prova", o.call.ID); !errors.Is(err, ranking.ErrNotFound) {
		t.Error(err)
	}
	if _, err := o.Rankings.PublicCall(ctx, "altro", o.call.ID); !errors.Is(err, ranking.ErrNotFound) {
		t.Error(err)
	}
}

// The receipt gives the code that the list has.
func TestReceiptHasTheCode(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	o := newOffice(t, w)
	a := o.sends(0, 0)
	f, err := o.Applications.Receipt(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ricevuta.pdf")
	data, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close(), os.WriteFile(path, data, 0o600)); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("pdftotext", "-layout", path, "-").CombinedOutput()
	if err != nil || !strings.Contains(string(out), submission.RankingCode(a.ID)) {
		t.Errorf("%v\n%s", err, out)
	}
}

// What a call refuses.
func TestSettings(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	o := newOffice(t, w)
	good := ranking.Settings{Title: "2027/2028", Since: "2027-01-01", Until: "2027-02-01", Term: 5}
	for want, f := range map[error]func(*ranking.Settings){
		ranking.ErrTitle: func(s *ranking.Settings) { s.Title = " " }, ranking.ErrTerm: func(s *ranking.Settings) { s.Term = 0 },
		ranking.ErrDays: func(s *ranking.Settings) { s.Until = "2026-01-01" },
	} {
		s := good
		f(&s)
		if _, err := o.Rankings.Make(t.Context(), o.school, "iscrizione-nido", s); !errors.Is(err, want) {
			t.Errorf("%v: %v", want, err)
		}
	}
	for _, id := range []string{"instradamento", "nothing"} {
		if _, err := o.Rankings.Make(t.Context(), o.school, id, good); !errors.Is(err, ranking.ErrService) {
			t.Errorf("%s: %v", id, err)
		}
	}
	if err := o.Rankings.SetSeats(t.Context(), o.school, o.call.ID, map[ranking.Place]int{at("girasole", "full"): -1}); !errors.Is(err, ranking.ErrSeats) {
		t.Error(err)
	}
	w.Move(24 * time.Hour)
	if _, err := o.Rankings.MakeList(t.Context(), o.school, o.call.ID, ranking.Provisional); !errors.Is(err, ranking.ErrEmpty) {
		t.Error(err)
	}
}
