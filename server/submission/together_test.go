package submission_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/submission"
	"github.com/citel-pa/citel/testdata/pki"
)

// A citizen takes an application back while the office works on it: whoever comes second is
// told, and nothing is half done. No answer has a number and no reader.
func TestWithdrawnWhileTheOfficeWorks(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx, v, urp := t.Context(), c.visitor(0), c.Operator("prova", 6, "R12")
		words := map[string]string{"topic": "waste", "subject": "Cassonetto", "text": "È pieno", "email": "persona@example.org"}
		c.d.Bounds.Messages = 0 // of one citizen on one day
		answered := 0
		for name, x := range map[string]struct {
			do   func(id string) error
			ends bool // it leaves nothing to take back
		}{
			"charge":  {func(id string) error { return c.d.Take(ctx, urp, id) }, false},
			"more":    {func(id string) error { return c.d.More(ctx, urp, id, "In quale via?") }, false},
			"reroute": {func(id string) error { return c.d.Reroute(ctx, urp, id, "Tributi", "via") }, false},
			"answer":  {func(id string) error { return c.d.Answer(ctx, urp, id, "Svuotato") }, true},
			"close":   {func(id string) error { return c.d.Close(ctx, urp, id, "Fatto") }, true},
		} {
			for range 4 {
				a := c.made(v, "instradamento", words)
				a, err := c.d.Send(ctx, v, a.ID)
				if err != nil {
					t.Fatal(err)
				}
				var wait sync.WaitGroup
				var worked, withdrawn error
				wait.Go(func() { worked = x.do(a.ID) })
				wait.Go(func() { withdrawn = c.d.Withdraw(ctx, v, a.ID, "Ci ho ripensato") })
				wait.Wait()
				for _, err := range []error{worked, withdrawn} {
					if err != nil && !errors.Is(err, submission.ErrState) {
						t.Errorf("%s: %v", name, err)
					}
				}
				if x.ends && (worked == nil) == (withdrawn == nil) || !x.ends && withdrawn != nil {
					t.Errorf("%s: office %v, citizen %v", name, worked, withdrawn)
				}
				if a, err = c.d.Get(ctx, v, a.ID); err != nil || (a.State == submission.StateWithdrawn) != (withdrawn == nil) || a.State.Open() {
					t.Errorf("%s: it is %s, %v", name, a.State, err)
				}
				steps, err := c.d.Steps(ctx, a)
				has := func(kind string) bool {
					return slices.ContainsFunc(steps, func(s submission.Step) bool { return s.Kind == kind })
				}
				if err != nil || has("withdraw") != (withdrawn == nil) || has(name) != (worked == nil) {
					t.Errorf("%s: %+v %v", name, steps, err)
				}
				if withdrawn == nil && steps[len(steps)-1].Kind != "withdraw" {
					t.Errorf("%s: something was done to what was taken back: %+v", name, steps)
				}
				if name == "answer" && worked == nil {
					answered++
				}
				if x, err := c.d.AnswerOf(ctx, a); (err == nil && x != nil) != (name == "answer" && worked == nil) {
					t.Errorf("%s: an answer: %v %v", name, x, err)
				}
			}
		}
		if n, gaps, err := c.Register.Verify(ctx, "prova", c.Today().In(register.Rome()).Year()); n != 20+answered || len(gaps) > 0 || err != nil {
			t.Errorf("%d numbers for 20 applications and %d answers: %v %v", n, answered, gaps, err)
		}
		mails := 0
		for _, m := range c.Mails("persona@example.org") {
			if m[0] == "application-answered" {
				mails++
			}
		}
		if mails != answered {
			t.Errorf("%d mails of %d answers", mails, answered)
		}
	})
}

// A day's register is judged by a citizen's own verifier years later: genuine with the
// ente's certificate, not with another's, and not with a byte changed.
func TestDailyRegisterVerifies(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx, v, boss := t.Context(), c.visitor(0), c.Operator("prova", 1, "R6")
		now := c.Today().In(register.Rome())
		c.Move(time.Date(now.Year(), now.Month(), now.Day()+1, 12, 0, 0, 0, register.Rome()).Sub(now))
		a := c.made(v, "instradamento", map[string]string{"topic": "waste", "subject": "Cassonetto", "text": "È pieno"})
		a, err := c.d.Send(ctx, v, a.ID)
		if err != nil {
			t.Fatal(err)
		}
		id, err := c.Register.OpenEmergency(ctx, boss, "Guasto elettrico", c.Today().Add(-time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Register.EnterEmergency(ctx, boss, id, []register.Paper{{Time: c.Today().Add(-30 * time.Minute), Party: "Ditta Prova", Subject: "Ricorso su carta"}}); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(c.Register.CloseEmergency(ctx, boss, id, c.Today()), c.Register.Cancel(ctx, boss, a.Number, "Registrata due volte")); err != nil {
			t.Fatal(err)
		}
		c.Move(24 * time.Hour)
		if err := c.Register.CloseDays(ctx); err != nil {
			t.Fatal(err)
		}
		days, err := c.Register.Days(ctx, "prova", 1)
		if err != nil || len(days) != 1 {
			t.Fatal(days, err)
		}
		f, err := c.Store.OpenFile(ctx, days[0].Document)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(f)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		file := func(name string, data []byte) string {
			t.Helper()
			name = filepath.Join(dir, name)
			if err := os.WriteFile(name, data, 0o600); err != nil {
				t.Fatal(err)
			}
			return name
		}
		pem := func(ente string) string {
			t.Helper()
			data, err := c.Seals.PEM(ctx, ente, "")
			if err != nil {
				t.Fatal(err)
			}
			return file(ente+".pem", data)
		}
		day, changed := file("registro.pdf", data), bytes.Clone(data)
		changed[len(changed)/3] ^= 1
		for name, x := range map[string]struct {
			file, trust string
			want        int
		}{
			"genuine":         {day, pem("prova"), 0},
			"another ente's":  {day, pem("altro"), 2}, // no chain to whom is trusted: it could not be decided
			"a byte is other": {file("mutato.pdf", changed), pem("prova"), 1},
		} {
			cmd := exec.CommandContext(ctx, agent(t), "verify", "--offline", "--time", c.Today().UTC().Format(time.RFC3339), "--trust", x.trust, x.file) //nolint:gosec // our own program
			if out, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != x.want {
				t.Errorf("%s: exit %d, want %d\n%s", name, cmd.ProcessState.ExitCode(), x.want, out)
			}
		}
		out, err := exec.CommandContext(ctx, "pdfinfo", "-struct-text", day).CombinedOutput() //nolint:gosec // our own file
		flat := strings.Join(strings.Fields(strings.ReplaceAll(string(out), "\"", " ")), " ")
		for _, want := range []string{a.Number.String(), "E1/0000001", "Ricorso su carta", "Ditta Prova", "Registrata due volte", boss.Name} {
			if err != nil || !strings.Contains(flat, want) {
				t.Errorf("%q is not in the day (make deps): %v\n%s", want, err, flat)
			}
		}
	})
}

// Figures are opened with a spreadsheet: no office's name is a formula there.
func TestFiguresAreNoFormulas(t *testing.T) {
	var all []submission.Count
	for _, name := range []string{`=HYPERLINK("http://example.org";"x")`, "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "a;=1", "\"=1"} {
		all = append(all, submission.Count{Service: name, Office: name, State: submission.StateSent, N: 1})
	}
	var b bytes.Buffer
	if err := submission.WriteCSV(&b, all); err != nil {
		t.Fatal(err)
	}
	r := csv.NewReader(&b)
	r.Comma = ';'
	rows, err := r.ReadAll()
	if err != nil || len(rows) != len(all)+1 {
		t.Fatal(rows, err)
	}
	for i, row := range rows[1:] {
		for _, cell := range row {
			if strings.IndexAny(cell, "=+-@\t\r\n") == 0 {
				t.Errorf("%q is a formula", cell)
			}
		}
		if !strings.Contains(row[0], strings.TrimLeft(all[i].Service, "\t\r\n")) {
			t.Errorf("%q is not what it was: %q", row[0], all[i].Service)
		}
	}
}

// Each service keeps what it took for its own years, or for good.
func TestRetentionIsTheServices(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx, v, boss := t.Context(), c.visitor(0), c.Operator("prova", 1, "R6")
		for id, years := range map[string]string{"instradamento": "retention: 5", "segnalazione-anagrafe": "retention: 0"} {
			now, err := c.Services.Current(ctx, "prova", id)
			if err != nil {
				t.Fatal(err)
			}
			text := strings.Replace(string(service.Defaults[id]), "retention: 5", years, 1)
			if text == string(now.Text) {
				continue
			}
			if _, err := c.Services.Publish(ctx, boss, []byte(text), now.Number); err != nil {
				t.Fatal(err)
			}
		}
		ended := func(id string, values map[string]string) *submission.Application {
			t.Helper()
			a := c.made(v, id, values)
			a, err := c.d.Send(ctx, v, a.ID)
			if err == nil {
				err = c.d.Withdraw(ctx, v, a.ID, "")
			}
			if err == nil {
				a, err = c.d.Get(ctx, v, a.ID)
			}
			if err != nil {
				t.Fatal(err)
			}
			return a
		}
		kept := ended("segnalazione-anagrafe", map[string]string{"what": "name", "is": "A", "should-be": "B"})
		message := ended("instradamento", map[string]string{"topic": "waste", "subject": "Cassonetto", "text": "È pieno"})
		// A message that nobody has ended is kept.
		open := c.made(v, "instradamento", map[string]string{"topic": "waste", "subject": "Cassonetto", "text": "È pieno"})
		if _, err := c.d.Send(ctx, v, open.ID); err != nil {
			t.Fatal(err)
		}
		if want := message.Closed.In(register.Rome()).AddDate(5, 0, 0).Format(time.DateOnly); message.KeepUntil() != want || kept.KeepUntil() != "" {
			t.Errorf("until %q and %q, want %q and for good", message.KeepUntil(), kept.KeepUntil(), want)
		}
		over := func() (ids []string) {
			t.Helper()
			all, err := c.d.Expired(ctx, boss)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range all {
				ids = append(ids, a.ID)
			}
			return ids
		}
		c.Move(4 * 366 * 24 * time.Hour)
		if got := over(); len(got) > 0 {
			t.Error("after four years", got)
		}
		c.Move(2 * 366 * 24 * time.Hour)
		if got := over(); !slices.Equal(got, []string{message.ID}) {
			t.Error("after six years", got)
		}
	})
}

// A message has a receipt too, which says that it starts no procedure.
func TestReceiptOfAMessage(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		weak := submission.Visitor{Ente: "prova", Level: session.Debole, Credential: "w1", Email: "w@example.org"}
		a := c.made(weak, "instradamento", map[string]string{"topic": "waste", "subject": "Cassonetto", "text": "È pieno"})
		a, err := c.d.Send(t.Context(), weak, a.ID)
		if err != nil {
			t.Fatal(err)
		}
		flat := c.receipt(a, a.Number.String(), a.ID, a.Fingerprint(), "Un messaggio non è un'istanza e non avvia un procedimento", "Ambiente", "non provato")
		if strings.Contains(flat, "art. 65") {
			t.Error("a message is no istanza:", flat)
		}
	})
}

// A young person's card opens what a service allows at that age, from the birthday on.
func TestAgeOpensFromTheBirthday(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		young, v := pki.Child(2), c.visitor(0)
		v.Person = c.account(person.Natural, young.CF)
		for _, x := range []struct {
			years, days int
			service     string
			want        error
		}{
			{14, -1, "instradamento", submission.ErrAge}, {14, 0, "instradamento", nil},
			{14, 0, "iscrizione-nido", submission.ErrAge}, {18, -1, "iscrizione-nido", submission.ErrAge}, {18, 0, "iscrizione-nido", nil},
		} {
			noon := time.Date(young.Born.Year()+x.years, young.Born.Month(), young.Born.Day()+x.days, 12, 0, 0, 0, register.Rome())
			c.Move(noon.Sub(c.Today()))
			if _, err := c.d.Start(t.Context(), v, x.service); !errors.Is(err, x.want) {
				t.Errorf("%s at %d years and %d days: %v", x.service, x.years, x.days, err)
			}
		}
	})
}

// Another office has no more time than the first: the term is the application's.
func TestReroutedWithinTheTerm(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx, v, urp := t.Context(), c.visitor(0), c.Operator("prova", 6, "R12")
		a := c.made(v, "instradamento", map[string]string{"topic": "waste", "subject": "Cassonetto", "text": "È pieno"})
		a, err := c.d.Send(ctx, v, a.ID)
		if err != nil || a.Due == "" {
			t.Fatal(a, err)
		}
		c.Move(10 * 24 * time.Hour)
		if err := c.d.Reroute(ctx, urp, a.ID, "Tributi", "di vostra competenza"); err != nil {
			t.Fatal(err)
		}
		b, err := c.d.Get(ctx, v, a.ID)
		if err != nil || b.Due != a.Due || b.Office != "Tributi" || b.State != submission.StateSent {
			t.Errorf("%+v, %v", b, err)
		}
		c.Move(30 * 24 * time.Hour)
		late, err := c.d.Work(ctx, urp, submission.Queue{Offices: []string{"Tributi"}, Overdue: true})
		if err != nil || len(late) != 1 || late[0].ID != a.ID {
			t.Error("it is not overdue at the second office", late, err)
		}
	})
}
