package submission_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/server/submission"
	"github.com/citel-pa/citel/testdata/town"
)

// at moves the town's clock to a time of Rome.
func (c *counter) at(when string) {
	c.t.Helper()
	t, err := time.ParseInLocation("2006-01-02 15:04:05", when, register.Rome())
	if err != nil {
		c.t.Fatal(err)
	}
	c.Move(t.Sub(c.Today()))
}

func (c *counter) now(a *submission.Application, v submission.Visitor) *submission.Application {
	c.t.Helper()
	a, err := c.d.Get(context.Background(), v, a.ID)
	if err != nil {
		c.t.Fatal(err)
	}
	return a
}

func (c *counter) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *counter) refused(err, want error) {
	c.t.Helper()
	if !errors.Is(err, want) {
		c.t.Errorf("%v, not %v", err, want)
	}
}

// sheet is the structure text of a sealed PDF, and the hash of the file.
func (c *counter) sheet(r io.ReadCloser, err error) (flat string, sum [32]byte) {
	c.t.Helper()
	c.must(err)
	data, err := io.ReadAll(r)
	name := filepath.Join(c.t.TempDir(), "foglio.pdf")
	c.must(errors.Join(err, r.Close(), os.WriteFile(name, data, 0o600)))
	out, err := exec.CommandContext(context.Background(), "pdfinfo", "-struct-text", name).CombinedOutput() //nolint:gosec // our own file
	if err != nil {
		c.t.Fatalf("%v (make deps)\n%s", err, out)
	}
	if out, err := exec.CommandContext(context.Background(), "pdfsig", "-nocert", name).CombinedOutput(); err != nil || !strings.Contains(string(out), "Signature is Valid") { //nolint:gosec // our own file
		c.t.Errorf("pdfsig: %v\n%s", err, out)
	}
	return strings.Join(strings.Fields(strings.ReplaceAll(string(out), "\"", " ")), " "), sha256.Sum256(data)
}

func (c *counter) says(flat string, words ...string) {
	c.t.Helper()
	for _, w := range words {
		if !strings.Contains(flat, w) && !strings.Contains(strings.ReplaceAll(flat, " ", ""), strings.ReplaceAll(w, " ", "")) {
			c.t.Errorf("%q is not in %s", w, flat)
		}
	}
}

// The days: the first is not counted, the last is the person's whole (Civil Code, art.
// 2963); over a year's end, a leap day and both changes of the clock, at the edges of a day
// of Rome that is another one in UTC.
func TestNoticeDays(t *testing.T) {
	c := newCounter(t, town.New(t, storetest.New(t, store.SQLite)))
	ctx, office := t.Context(), c.Operator("prova", 5, "R12")
	c.at("2031-12-01 12:00:00")
	c.Publish(6)
	v := c.visitor(0)
	for _, x := range []struct {
		sent, notice, heard        string
		until, restarts, due, last string // last: on which a refusal is too early
		late                       bool
	}{
		{"2031-12-10 10:00:00", "2031-12-27 23:59:59", "", "2032-01-06", "2032-01-06", "2032-01-19", "2032-01-06 23:59:59", false},
		{"2032-02-10 10:00:00", "2032-02-20 00:00:00", "", "2032-03-01", "2032-03-01", "2032-03-21", "2032-03-01 23:59:59", false},
		// The clock goes forward on 28 March; observations in the last hour, and restarted in April.
		{"2032-03-10 23:30:00", "2032-03-24 00:30:00", "2032-04-03 23:59:59", "2032-04-03", "2032-04-13", "2032-04-29", "", false},
		// It goes back on 31 October; observations half an hour late, when UTC has the day before.
		{"2032-10-20 10:00:00", "2032-10-25 00:10:00", "2032-11-05 00:30:00", "2032-11-04", "2032-11-04", "2032-11-29", "2032-11-04 23:59:59", true},
		{"2032-12-01 10:00:00", "2032-12-28 08:00:00", "2032-12-31 23:30:00", "2033-01-07", "2033-01-10", "2033-01-13", "2032-12-31 12:00:00", false},
		// What was over before the notice stays over.
		{"2033-02-01 10:00:00", "2033-03-04 09:00:00", "", "2033-03-14", "2033-03-14", "2033-03-03", "2033-03-14 12:00:00", false},
	} {
		c.at(x.sent)
		a := c.Applies(v)
		before := a.Due
		c.at(x.notice)
		c.must(c.d.GiveNotice(ctx, office, a.ID, "Il marciapiede è troppo stretto."))
		a = c.now(a, v)
		overdue := before < x.notice[:10]
		if a.State != submission.StateNoticed || a.Until != x.until || a.Suspended(c.Today()) == overdue || a.Overdue(c.Today()) != overdue {
			t.Errorf("%s: %+v", x.notice, a)
		}
		if x.last != "" {
			c.at(x.last)
			c.refused(c.d.MayRefuse(ctx, a), submission.ErrNoticeTerm)
		}
		if x.heard == "" {
			c.Move(time.Second)
			if x.last[11:] == "23:59:59" {
				c.must(c.d.MayRefuse(ctx, a))
			}
		} else {
			c.at(x.heard)
			c.must(c.d.Observe(ctx, v, a.ID, "Resta un metro e mezzo libero."))
			a = c.now(a, v)
			c.must(c.d.MayRefuse(ctx, a))
			all, err := c.d.Observations(ctx, a)
			if err != nil || len(all) != 1 || all[0].Late != x.late || all[0].Day != x.heard[:10] || submission.ToBeAnswered(all) == x.late {
				t.Errorf("%s: %+v, %v", x.heard, all, err)
			}
		}
		if a.Restarts != x.restarts || a.Due != x.due {
			t.Errorf("%s: the term runs again after %s, the answer is due on %s; %s, %s", x.notice, a.Restarts, a.Due, x.restarts, x.due)
		}
		if !overdue {
			c.at(x.restarts + " 23:59:59")
			if !a.Suspended(c.Today()) || a.Overdue(c.Today()) {
				t.Errorf("%s: it runs before %s is over", x.notice, x.restarts)
			}
			c.at(x.due + " 23:59:59")
			if a.Suspended(c.Today()) || a.Overdue(c.Today()) {
				t.Errorf("%s: overdue on %s", x.notice, x.due)
			}
			c.Move(time.Second)
			if late, err := c.d.Work(ctx, office, submission.Queue{Overdue: true}); err != nil || len(late) != 1 || late[0].ID != a.ID || !a.Overdue(c.Today()) {
				t.Errorf("%s: the day after is not overdue: %v, %v", x.notice, late, err)
			}
		}
		c.must(c.d.Decide(ctx, office, a.ID, submission.Decision{Words: "Concessa.", Outcome: submission.Granted}))
	}
}

// The whole way to a refusal: nobody gets round it, each side sees what the other did, and
// each document is sealed and in the register.
func TestRefusalAfterNotice(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx := t.Context()
		c.Publish(6)
		v, stranger := c.visitor(0), c.visitor(3)
		office, reader := c.Operator("prova", 5, "R12"), c.Operator("prova", 7, "R11")
		body, err := c.Enti.Get(ctx, "prova")
		c.must(err)
		named := *body
		named.Fiscal, named.IPA, named.AOO = "00743110157", "c_prova", "AOO1"
		c.must(c.Enti.Update(ctx, c.Operator("prova", 11, "R6"), named))
		a := c.Applies(v)
		no := submission.Decision{Words: "Respinta: il marciapiede è troppo stretto.", Outcome: submission.Refused}
		c.must(c.d.Take(ctx, office, a.ID))

		// Ways round.
		c.refused(c.d.Answer(ctx, office, a.ID, "Respinta."), submission.ErrOutcome)
		c.refused(c.d.Decide(ctx, office, a.ID, submission.Decision{Words: "No.", Outcome: "other"}), submission.ErrOutcome)
		c.refused(c.d.Decide(ctx, office, a.ID, no), submission.ErrNotice)
		c.refused(c.d.Close(ctx, office, a.ID, "Archiviata"), submission.ErrNotice)
		c.refused(c.d.Observe(ctx, v, a.ID, "Prima del tempo"), submission.ErrState)
		c.refused(c.d.NoticeReceived(ctx, office, a.ID, c.Today().Format(time.DateOnly), "a mano"), submission.ErrState)
		c.refused(c.d.ObservedElsewhere(ctx, office, a.ID, c.Today().Format(time.DateOnly), "x"), submission.ErrState)
		if _, err := c.d.Attach(ctx, v, a.ID, submission.SlotMore, "foto.png", bytes.NewReader(picture(t)), int64(len(picture(t)))); !errors.Is(err, submission.ErrFiles) {
			t.Error(err)
		}
		// Who may not.
		c.refused(c.d.GiveNotice(ctx, office, a.ID, " "), submission.ErrWords)
		c.refused(c.d.GiveNotice(ctx, c.Operator("altro", 8, "R12"), a.ID, "x"), submission.ErrNotFound)
		c.refused(c.d.GiveNotice(ctx, c.Operator("prova", 9, "R20"), a.ID, "x"), role.ErrDenied)
		c.refused(c.d.GiveNotice(ctx, reader, a.ID, "x"), role.ErrDenied)
		c.refused(c.d.GiveNotice(ctx, c.Operator("prova", 10, "R12"), a.ID, "x"), submission.ErrHeld)

		const reasons = "Il marciapiede è largo 1,80 m.\n\nNe servono 2,00."
		before := a.Due
		c.must(c.d.GiveNotice(ctx, office, a.ID, reasons))
		c.must(c.d.GiveNotice(ctx, office, a.ID, reasons)) // a button pressed twice
		c.refused(c.d.GiveNotice(ctx, office, a.ID, "Altri motivi"), submission.ErrState)
		a = c.now(a, v)
		notice, err := c.d.NoticeOf(ctx, a)
		if err != nil || notice.Text != reasons || a.SuspendedDays() != 10 || a.Due <= before {
			t.Fatal(notice, err, a.Due)
		}
		flat, sum := c.sheet(c.d.NoticePDF(ctx, a))
		c.says(flat, "1,80", office.Name, a.Number.String(), "art. 10-bis", "Fino al", "non è un rifiuto")
		c.entry(a, notice.Number, register.Out, sum)
		c.refused(c.d.Decide(ctx, office, a.ID, no), submission.ErrNoticeTerm)
		c.refused(c.d.Close(ctx, office, a.ID, "Archiviata"), submission.ErrNoticeTerm)
		c.refused(c.d.Reply(ctx, v, a.ID, "Un messaggio qualunque"), submission.ErrState)
		if inbox, err := c.d.Inbox(ctx, v); err != nil || len(inbox) != 1 || !inbox[0].Unread || inbox[0].Step.Kind != "notice" {
			t.Error(inbox, err)
		}
		queue, err := c.d.Work(ctx, office, submission.Queue{States: []submission.State{submission.StateNoticed}})
		if err != nil || len(queue) != 1 {
			t.Error(queue, err)
		}
		counts, err := c.d.Counts(ctx, office, c.Today().AddDate(0, -1, 0), c.Today())
		var csv bytes.Buffer
		if err != nil || submission.WriteCSV(&csv, counts) != nil || !strings.Contains(csv.String(), "suolo-pubblico;Commercio;notice;1;0,0;0;1;10,0") {
			t.Error(csv.String(), err)
		}

		// Observations, with a document.
		c.refused(c.d.Observe(ctx, stranger, a.ID, "x"), submission.ErrNotFound)
		c.refused(c.d.NoObservations(ctx, stranger, a.ID), submission.ErrNotFound)
		c.refused(c.d.Observe(ctx, v, a.ID, " \n"), submission.ErrWords)
		c.Move(3 * 24 * time.Hour)
		f, err := c.d.Attach(ctx, v, a.ID, submission.SlotMore, "misure.png", bytes.NewReader(picture(t)), int64(len(picture(t))))
		c.must(err)
		c.must(c.d.Observe(ctx, v, a.ID, "Le misure allegate dicono 2,10 m."))
		c.must(c.d.Observe(ctx, v, a.ID, "Le misure allegate dicono 2,10 m.")) // a button pressed twice
		a = c.now(a, v)
		heard, err := c.d.Observations(ctx, a)
		if err != nil || len(heard) != 1 || heard[0].Late || a.State != submission.StateInCharge || a.SuspendedDays() != 13 {
			t.Fatalf("%+v, %v, %+v", heard, err, a)
		}
		flat, sum = c.sheet(c.d.ObservationPDF(ctx, a, 1))
		c.says(flat, "2,10", "misure.png", v.Person.CodiceFiscale, a.Number.String())
		c.entry(a, heard[0].Number, register.In, sum)
		if files, err := c.d.Files(ctx, a); err != nil || len(files) != 1 || files[0].ID != f.ID || !files[0].Sent {
			t.Error(files, err)
		}
		c.refused(c.d.Detach(ctx, v, a.ID, f.ID), submission.ErrNotFound)
		c.refused(c.d.NoObservations(ctx, v, a.ID), submission.ErrSaid)
		if _, err := c.d.ObservationPDF(ctx, a, 2); !errors.Is(err, submission.ErrNotFound) {
			t.Error(err)
		}
		c.refused(c.d.GiveNotice(ctx, office, a.ID, "Altri motivi"), submission.ErrNoticeGiven)

		// The refusal deals with them.
		c.refused(c.d.Decide(ctx, office, a.ID, no), submission.ErrObservations)
		no.About = "Le misure sono di un altro tratto."
		c.must(c.d.Decide(ctx, office, a.ID, no))
		c.must(c.d.Decide(ctx, office, a.ID, no))
		answer, err := c.d.AnswerOf(ctx, a)
		if err != nil || answer.Outcome != submission.Refused {
			t.Fatal(answer, err)
		}
		flat, sum = c.sheet(c.d.AnswerPDF(ctx, a))
		c.says(flat, "respinta", "troppo stretto", "altro tratto", notice.Number.String(), heard[0].Number.String())
		c.entry(a, answer.Number, register.Out, sum)
		c.refused(c.d.Observe(ctx, v, a.ID, "Dopo la decisione"), submission.ErrState)
		c.refused(c.d.ObservedElsewhere(ctx, office, a.ID, c.Today().Format(time.DateOnly), "x"), submission.ErrState)
		c.must(c.d.Close(ctx, office, a.ID, ""))

		var kinds, mails, papers []string
		steps, err := c.d.Steps(ctx, a)
		c.must(err)
		for _, s := range steps {
			kinds = append(kinds, s.Kind)
		}
		for _, m := range c.Mails("persona@example.org") {
			mails = append(mails, m[0])
		}
		all, err := c.d.Papers(ctx, c.now(a, v))
		c.must(err)
		for _, p := range all {
			papers = append(papers, p.Name)
		}
		for got, want := range map[string]string{strings.Join(kinds, " "): "started made sent charge notice observations answer close",
			strings.Join(mails, " "):  "application-received application-notice application-observed application-answered application-closed",
			strings.Join(papers, " "): "istanza.pdf allegato-01.png ricevuta.pdf segnatura.xml preavviso.pdf osservazioni-1.pdf risposta.pdf passi.json servizio.yaml"} {
			if got != want {
				t.Errorf("%s, not %s", got, want)
			}
		}
		for n, name := range map[register.Number]string{a.Number: "istanza.pdf", notice.Number: "preavviso.pdf", heard[0].Number: "osservazioni-1.pdf", answer.Number: "risposta.pdf"} {
			if data, err := c.d.Segnatura(ctx, office, n); err != nil || !bytes.Contains(data, []byte(name)) {
				t.Errorf("%s: %v\n%s", name, err, data)
			}
		}
		if n, gaps, err := c.Register.Verify(ctx, "prova", a.Number.Year); n != 4 || len(gaps) > 0 || err != nil {
			t.Error(n, gaps, err)
		}
	})
}

// entry is of the very file, in its direction, and belongs to the application.
func (c *counter) entry(a *submission.Application, n register.Number, way register.Direction, sum [32]byte) {
	c.t.Helper()
	e, err := c.Register.Get(context.Background(), a.Ente, n)
	if err != nil || !bytes.Equal(e.SHA256, sum[:]) || e.Direction != way || e.Origin != a.Number.String() || e.Document != a.ID {
		c.t.Errorf("%+v, %v", e, err)
	}
}

// The other ways: none to observe, in another way, without an address, taken back, granted;
// and the service that has no notice.
func TestNoticeOtherWays(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx := t.Context()
		c.Publish(6)
		v, office := c.visitor(0), c.Operator("prova", 5, "R12")
		no := submission.Decision{Words: "Respinta.", Outcome: submission.Refused}
		day := func(n int) string { return c.Today().In(register.Rome()).AddDate(0, 0, n).Format(time.DateOnly) }
		noticed := func() *submission.Application {
			a := c.Applies(v)
			c.must(c.d.GiveNotice(ctx, office, a.ID, "Motivi"))
			return a
		}

		// "I have none": the office decides at once, the term stays where the law has it.
		a := noticed()
		c.must(c.d.NoObservations(ctx, v, a.ID))
		c.must(c.d.NoObservations(ctx, v, a.ID)) // twice
		if a = c.now(a, v); a.State != submission.StateInCharge || a.SuspendedDays() != 10 {
			t.Errorf("%+v", a)
		}
		c.must(c.d.MayRefuse(ctx, a))
		// Minds change: what comes within the days counts.
		c.must(c.d.Observe(ctx, v, a.ID, "Ci ho ripensato."))
		c.refused(c.d.Decide(ctx, office, a.ID, no), submission.ErrObservations)
		// Nobody fills the register.
		for i := range 18 {
			c.must(c.d.Observe(ctx, v, a.ID, strings.Repeat("Ancora. ", i+1)))
		}
		c.refused(c.d.Observe(ctx, v, a.ID, "Una di troppo."), submission.ErrOften)
		c.must(c.d.ObservedElsewhere(ctx, office, a.ID, day(0), "Su carta."))
		c.must(c.d.Decide(ctx, office, a.ID, submission.Decision{Words: "Concessa.", Outcome: submission.Granted}))

		// On paper: the day is when it came.
		a = noticed()
		c.Move(4 * 24 * time.Hour)
		c.refused(c.d.ObservedElsewhere(ctx, office, a.ID, day(1), "Per PEC"), submission.ErrDay)
		c.refused(c.d.ObservedElsewhere(ctx, office, a.ID, day(-5), "Per PEC"), submission.ErrDay)
		c.refused(c.d.ObservedElsewhere(ctx, office, a.ID, "ieri", "Per PEC"), submission.ErrDay)
		c.must(c.d.ObservedElsewhere(ctx, office, a.ID, day(-2), "Per PEC: non sono d'accordo."))
		a = c.now(a, v)
		all, err := c.d.Observations(ctx, a)
		if err != nil || len(all) != 1 || all[0].Operator != office.Operator || a.Restarts != day(8) {
			t.Error(all, err, a.Restarts)
		}
		flat, sum := c.sheet(c.d.ObservationPDF(ctx, a, 1))
		c.says(flat, office.Name, "Per PEC")
		c.entry(a, all[0].Number, register.In, sum)
		// Asked for more while the term stands still: its days do not count twice.
		due := a.Due
		c.must(c.d.More(ctx, office, a.ID, "Manca un dato"))
		c.Move(5 * 24 * time.Hour)
		c.must(c.d.Reply(ctx, v, a.ID, "Ecco"))
		if a = c.now(a, v); a.Due != due {
			t.Errorf("due on %s, not %s", a.Due, due)
		}
		c.must(c.d.Withdraw(ctx, v, a.ID, ""))
		c.refused(c.d.Observe(ctx, v, a.ID, "x"), submission.ErrState)

		// Nobody can be mailed: the desk says when it was received, the ten days begin there.
		v = c.WithCard(v.Person, "")
		a = noticed()
		if a = c.now(a, v); a.Until != "" || !a.Suspended(c.Today().AddDate(1, 0, 0)) {
			t.Errorf("%+v", a)
		}
		c.Move(40 * 24 * time.Hour)
		c.refused(c.d.Decide(ctx, office, a.ID, no), submission.ErrNotReceived)
		if late, err := c.d.Work(ctx, office, submission.Queue{Overdue: true}); err != nil || len(late) > 0 {
			t.Error("overdue while it stands still", late, err)
		}
		c.refused(c.d.NoticeReceived(ctx, office, a.ID, day(1), "a mano"), submission.ErrDay)
		c.refused(c.d.NoticeReceived(ctx, office, a.ID, day(0), " "), submission.ErrWords)
		c.must(c.d.NoticeReceived(ctx, office, a.ID, day(-3), "raccomandata"))
		c.refused(c.d.NoticeReceived(ctx, office, a.ID, day(-2), "raccomandata"), submission.ErrState)
		if a = c.now(a, v); a.Until != day(7) || a.SuspendedDays() != 47 {
			t.Errorf("%s, %d days", a.Until, a.SuspendedDays())
		}
		c.refused(c.d.Decide(ctx, office, a.ID, no), submission.ErrNoticeTerm)
		c.Move(8 * 24 * time.Hour)
		c.must(c.d.Decide(ctx, office, a.ID, no))
		flat, _ = c.sheet(c.d.AnswerPDF(ctx, a))
		c.says(flat, "Nessuna osservazione nel termine")

		// A message has none.
		message := c.made(c.visitor(1), "instradamento", map[string]string{"topic": "other", "subject": "Orari", "text": "Quando?"})
		message, err = c.d.Send(ctx, c.visitor(1), message.ID)
		c.must(err)
		c.refused(c.d.GiveNotice(ctx, office, message.ID, "x"), submission.ErrNoNotice)
		c.must(c.d.Answer(ctx, office, message.ID, "Dalle 9."))
	})
}

// A refusal and observations at once: either the refusal has them, or they come too late to
// be taken, and never a document without its row or a number without its document.
func TestRefusalAgainstObservations(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx := t.Context()
		c.Publish(6)
		v, office := c.visitor(0), c.Operator("prova", 5, "R12")
		a := c.Applies(v)
		c.must(c.d.GiveNotice(ctx, office, a.ID, "Motivi"))
		c.Move(11 * 24 * time.Hour)
		var g sync.WaitGroup
		var refusal, observed error
		g.Go(func() {
			refusal = c.d.Decide(ctx, office, a.ID, submission.Decision{Words: "Respinta.", Outcome: submission.Refused})
		})
		g.Go(func() { observed = c.d.Observe(ctx, v, a.ID, "Osservo.") })
		g.Wait()
		if refusal != nil && !errors.Is(refusal, submission.ErrState) || observed != nil && !errors.Is(observed, submission.ErrState) || refusal != nil && observed != nil {
			t.Fatal(refusal, observed)
		}
		heard, err := c.d.Observations(ctx, a)
		if err != nil || (len(heard) == 1) != (observed == nil) {
			t.Fatal(heard, err)
		}
		if refusal == nil && observed == nil { // the observations were first, so the refusal names them
			flat, _ := c.sheet(c.d.AnswerPDF(ctx, a))
			c.says(flat, "dopo il termine")
		}
		n, gaps, err := c.Register.Verify(ctx, "prova", a.Number.Year)
		want := 3
		if refusal == nil && observed == nil {
			want = 4
		}
		if n != want || len(gaps) > 0 || err != nil {
			t.Error(n, want, gaps, err)
		}
	})
}

// A certificate that was found bad: it is not marked as good to get on, and not closed
// without the notice, which can be given at once.
func TestNoticeOfWhatIsToCheck(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx, office := t.Context(), c.Operator("prova", 5, "R12")
		c.Publish(6)
		v := c.visitor(0)
		a := c.Applies(v)
		if _, err := c.Store.ExecContext(ctx, "UPDATE application SET state = 'to-check' WHERE id = ?", a.ID); err != nil {
			t.Fatal(err)
		}
		c.refused(c.d.Close(ctx, office, a.ID, "Certificato revocato"), submission.ErrNotice)
		c.must(c.d.GiveNotice(ctx, office, a.ID, "Il certificato era revocato quando hai firmato."))
		c.refused(c.d.Close(ctx, office, a.ID, "Certificato revocato"), submission.ErrNoticeTerm)
		c.must(c.d.NoObservations(ctx, v, a.ID))
		c.must(c.d.Decide(ctx, office, a.ID, submission.Decision{Words: "Respinta.", Outcome: submission.Refused}))
	})
}

// A connection that breaks while a notice is committed: whatever the server was told, the
// document that the register names stays.
func TestNoticeWhoseCommitBroke(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx := t.Context()
		c.Publish(6)
		v := c.visitor(0)
		a := c.Applies(v)
		c.must(c.d.GiveNotice(ctx, c.Operator("prova", 5, "R12"), a.ID, "Motivi"))
		broken := errors.New("the connection has gone")
		c.refused(c.d.Settle(ctx, a, broken), broken)
		c.must(c.Store.SweepFiles(ctx, time.Now().Add(48*time.Hour)))
		f, err := c.d.NoticePDF(ctx, a)
		c.must(err)
		c.must(f.Close())
	})
}
