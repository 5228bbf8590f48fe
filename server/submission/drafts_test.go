package submission_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/mail"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/server/submission"
	"github.com/citel-pa/citel/testdata/pki"
)

const day = 24 * time.Hour

// unsent begins a draft of the nursery with a file.
func (c *counter) unsent(v submission.Visitor) *submission.Application {
	c.t.Helper()
	a, err := c.d.Start(context.Background(), v, "iscrizione-nido")
	data := picture(c.t)
	if err == nil {
		_, err = c.d.Attach(context.Background(), v, a.ID, "diet", "certificato.png", bytes.NewReader(data), int64(len(data)))
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return a
}

// noon moves the clock to the next noon of Rome: days count from there, also where a change
// of the clocks lies between them.
func (c *counter) noon() {
	y, m, d := c.Today().In(register.Rome()).Date()
	c.Move(time.Date(y, m, d+1, 12, 0, 0, 0, register.Rome()).Sub(c.Today()))
}

// sweep does what the housekeeping does with drafts.
func (c *counter) sweep() {
	c.t.Helper()
	if err := errors.Join(c.d.SweepDrafts(context.Background()), c.d.SweepDrafts(context.Background())); err != nil {
		c.t.Fatal(err)
	}
}

// there tells whether a draft can be opened.
func (c *counter) there(v submission.Visitor, a *submission.Application) bool {
	c.t.Helper()
	_, err := c.d.Get(context.Background(), v, a.ID)
	if err != nil && !errors.Is(err, submission.ErrNotFound) {
		c.t.Fatal(err)
	}
	return err == nil
}

func (c *counter) ends(v submission.Visitor, a *submission.Application) string {
	c.t.Helper()
	now, err := c.d.Get(context.Background(), v, a.ID)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.d.DraftEnds(now).Format(time.DateOnly)
}

// rome is a day of Rome, so many days from now on.
func (c *counter) rome(days int) string {
	return c.Today().In(register.Rome()).AddDate(0, 0, days).Format(time.DateOnly)
}

// A draft that nobody touches is announced, and deleted with its files on the day that was
// said; the log tells it, to whose it was too.
func TestDraftEnds(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx := t.Context()
		c.noon()
		v := c.visitor(1)
		c.record(v, `{"form":{"email":"nota@example.org"}}`)
		a := c.unsent(v)
		last := c.rome(90)
		if got := c.ends(v, a); got != last {
			t.Fatalf("until %s, not %s", got, last)
		}
		c.Move(75 * day)
		if c.sweep(); len(c.Mails("nota@example.org")) != 0 {
			t.Error("told too early")
		}
		c.Move(day)
		c.sweep()
		if m := c.Mails("nota@example.org"); len(m) != 1 || m[0] != [2]string{string(mail.DraftEnds), "/pratiche/" + a.ID} {
			t.Fatalf("%v", m)
		}
		var number string
		if err := c.Store.QueryRowContext(ctx, "SELECT number FROM outbox").Scan(&number); err != nil || number != c.d.DraftEnds(a).Format("02/01/2006") {
			t.Errorf("the mail says %s: %v", number, err)
		}
		c.Move(14 * day) // the last day itself
		if c.sweep(); c.rome(0) != last || !c.there(v, a) || c.ends(v, a) != last {
			t.Fatalf("gone on %s, %s was said", c.rome(0), last)
		}
		files := storetest.Count(t, c.Store, "SELECT count(*) FROM application_file")
		c.Move(day)
		if c.sweep(); c.there(v, a) || files != 1 {
			t.Fatal("it is still there")
		}
		for _, table := range []string{"application", "application_file", "application_step", "application_read"} {
			if n := storetest.Count(t, c.Store, "SELECT count(*) FROM "+table); n != 0 {
				t.Errorf("%d rows in %s", n, table)
			}
		}
		if c.Store.Engine() == store.SQLite {
			if n := storetest.Count(t, c.Store, "SELECT count(*) FROM file_garbage WHERE name LIKE 'attachments/%'"); n != 1 {
				t.Error("the file stays")
			}
		} else if n := storetest.Count(t, c.Store, "SELECT count(*) FROM file WHERE name LIKE 'attachments/%'"); n != 0 {
			t.Error("the file stays")
		}
		own, err := c.Audit.Accesses(ctx, v.Person.ID, 10)
		if err != nil || len(own) == 0 || own[0].Kind != audit.DraftExpired || own[0].Detail["application"] != a.ID {
			t.Errorf("%+v, %v", own, err)
		}
	})
}

// Each change lets a draft stay anew; the service's own days count before the house's; and
// a server that was off, or has just got this rule, deletes nothing that it has not told.
func TestDraftStays(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx := t.Context()
		c.noon()
		v := c.visitor(1)
		a := c.unsent(v)
		c.Move(80 * day)
		c.sweep()
		if _, err := c.d.Save(ctx, v, a.ID, get(map[string]string{"child-given": "Bimba"}), false); err != nil {
			t.Fatal(err)
		}
		if got := c.ends(v, a); got != c.rome(90) {
			t.Errorf("after a change until %s", got)
		}
		c.Move(30 * day)
		if c.sweep(); !c.there(v, a) {
			t.Fatal("gone in spite of the change")
		}
		c.Move(200 * day) // nobody ran the housekeeping
		if got := c.ends(v, a); got != c.rome(14) {
			t.Errorf("until %s", got)
		}
		said := c.rome(14)
		if c.sweep(); !c.there(v, a) {
			t.Fatal("gone without a word")
		}
		c.Move(13 * day)
		if c.sweep(); !c.there(v, a) || c.ends(v, a) != said {
			t.Errorf("until %s, %s was said", c.ends(v, a), said)
		}
		c.Move(2 * day)
		if c.sweep(); c.there(v, a) {
			t.Error("it is still there")
		}
		text := strings.Replace(string(service.Defaults["instradamento"]), "retention: 5", "retention: 5\ndraft-days: 30", 1)
		if _, err := c.Services.Publish(ctx, c.Operator("prova", 7, "R6"), []byte(text), 0); err != nil {
			t.Fatal(err)
		}
		weak := submission.Visitor{Ente: "prova", Level: session.Debole, Credential: "w1", Email: "w@example.org"}
		m, err := c.d.Begin(ctx, weak, "instradamento", store.NewID(), rubbish)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.ends(weak, m); got != c.rome(30) {
			t.Errorf("by the service's own days until %s", got)
		}
		c.Move(16 * day)
		if c.sweep(); len(c.Mails("w@example.org")) != 1 {
			t.Error("a debole is not told")
		}
		c.Move(15 * day)
		if c.sweep(); c.there(weak, m) {
			t.Error("it is still there")
		}
	})
}

// What waits for signatures stays while somebody signs; what was sent is never touched.
func TestDraftWithASignature(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx := t.Context()
		v := c.visitor(0)
		made := c.made(v, "iscrizione-nido", child(nursery, "other", "consents", "other-cf", pki.Invented(2).CF, "other-signs", "on"))
		sent := c.made(c.visitor(3), "iscrizione-nido", child(nursery))
		if _, err := c.d.Sign(ctx, c.visitor(3), sent.ID, bytes.NewReader(c.signed(sent, pki.Invented(3))), message.Italian); err != nil {
			t.Fatal(err)
		}
		if _, err := c.d.Send(ctx, c.visitor(3), sent.ID); err != nil {
			t.Fatal(err)
		}
		old := store.Time(c.Today().Add(-89 * day))
		if _, err := c.Store.ExecContext(ctx, "UPDATE application SET changed = ?, created = ?", old, old); err != nil {
			t.Fatal(err)
		}
		if _, err := c.d.Sign(ctx, v, made.ID, bytes.NewReader(c.signed(made, pki.Invented(0))), message.Italian); err != nil {
			t.Fatal(err)
		}
		c.Move(60 * day)
		if c.sweep(); !c.there(v, made) {
			t.Fatal("gone while it is signed")
		}
		c.Move(20 * day)
		c.sweep()
		c.Move(20 * day)
		if c.sweep(); c.there(v, made) {
			t.Error("nobody signs it any more, and it stays")
		}
		if n := storetest.Count(t, c.Store, "SELECT count(*) FROM application_signature WHERE application = ?", made.ID); n != 0 {
			t.Error("its signatures stay")
		}
		c.Move(1000 * day)
		c.sweep()
		if a, err := c.d.Get(ctx, c.visitor(3), sent.ID); err != nil || a.State != submission.StateSent || !c.d.DraftEnds(a).IsZero() {
			t.Errorf("what was sent: %+v, %v", a, err)
		}
	})
}

// A draft that is thrown away, or ends, while its document is written leaves no document.
func TestThrownAwayWhileItIsMade(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx, v := t.Context(), c.visitor(0)
		a, err := c.d.Begin(ctx, v, "instradamento", store.NewID(), rubbish)
		if err != nil {
			t.Fatal(err)
		}
		elsewhere := *c.d
		clock, once := c.d.Now, sync.Once{}
		c.d.Now = func() time.Time { // Make has read the draft and asks what time it is
			once.Do(func() {
				if err := elsewhere.Discard(ctx, v, a.ID); err != nil {
					t.Error(err)
				}
			})
			return clock()
		}
		if _, err := c.d.Make(ctx, v, a.ID, true, a.Service.Privacy.Version); !errors.Is(err, submission.ErrNotFound) {
			t.Errorf("made: %v", err)
		}
		left, want := "SELECT count(*) FROM file WHERE name LIKE 'applications/%'", 0
		if c.Store.Engine() == store.SQLite {
			left, want = "SELECT count(*) FROM file_garbage WHERE name LIKE 'applications/%'", 1
		}
		if n := storetest.Count(t, c.Store, left); n != want {
			t.Errorf("the document stays: %d", n)
		}
	})
}
