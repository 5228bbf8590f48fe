package submission_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/limit"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/server/submission"
	"github.com/citel-pa/citel/testdata/pki"
)

var rubbish = map[string]string{"topic": "waste", "subject": "Cassonetto", "text": "È pieno"}

// A person writes so many messages a day to an ente, whatever credential it is; what is one
// too many stays a draft.
func TestMessagesADay(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx := t.Context()
		c.d.Bounds.Messages = 2
		who := c.visitor(1)
		weak := submission.Visitor{Ente: "prova", Level: session.Debole, Credential: "w1", Email: "w@example.org"}
		other := submission.Visitor{Ente: "prova", Level: session.Debole, Credential: "w2", Email: "x@example.org"}
		for id, person := range map[string]any{"w1": nil, "w2": nil, "w3": who.Person.ID} {
			joined := ""
			if person != nil {
				joined = store.Time(c.Today())
			}
			if _, err := c.Store.ExecContext(ctx, "INSERT INTO credential (id, kind, ente, person, handle, state, joined, created, changed) VALUES (?,'debole','prova',?,?,'active',?,'','')", id, person, id, joined); err != nil {
				t.Fatal(err)
			}
		}
		send := func(v submission.Visitor) {
			t.Helper()
			a := c.made(v, "instradamento", rubbish)
			if a, err := c.d.Send(ctx, v, a.ID); err != nil || a.State != submission.StateSent {
				t.Fatal(err)
			}
		}
		begun := c.Today()
		third := c.made(weak, "instradamento", rubbish)
		send(weak)
		c.Move(time.Hour)
		send(weak)
		var over *limit.OverError
		if _, err := c.d.Send(ctx, weak, third.ID); !errors.As(err, &over) || over.Rule.Most != 2 || !over.Again.Equal(begun.Add(24*time.Hour)) {
			t.Fatalf("one too many: %v", err)
		}
		if a, err := c.d.Get(ctx, weak, third.ID); err != nil || a.State != submission.StateToSign || a.Fields["text"] != "È pieno" {
			t.Fatal("it is lost", err)
		}
		fourth, err := c.d.Begin(ctx, weak, "instradamento", store.NewID(), rubbish)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.d.Make(ctx, weak, fourth.ID, true, "1"); !errors.As(err, &over) {
			t.Errorf("the document of one too many: %v", err)
		}
		if err := c.d.Over(ctx, weak, fourth.Service); !errors.As(err, &over) {
			t.Errorf("said before: %v", err)
		}
		send(other)
		// The credential that joined a person counts with the person's card.
		joined := submission.Visitor{Ente: "prova", Level: session.Debole, Credential: "w3", Email: "y@example.org"}
		send(joined)
		send(who)
		for _, v := range []submission.Visitor{joined, who} {
			if err := c.d.Over(ctx, v, fourth.Service); !errors.As(err, &over) {
				t.Errorf("%+v: %v", v, err)
			}
		}
		elsewhere := who
		elsewhere.Ente = "altro"
		if err := c.d.Over(ctx, elsewhere, fourth.Service); err != nil {
			t.Errorf("another ente: %v", err)
		}
		nursery, err := c.Services.Current(ctx, "prova", "iscrizione-nido")
		if err != nil {
			t.Fatal(err)
		}
		if err := c.d.Over(ctx, who, nursery); err != nil {
			t.Errorf("an application: %v", err)
		}
		urp := c.Operator("prova", 6, "R12")
		if err := c.d.Over(ctx, submission.Visitor{Ente: "prova", Person: who.Person, Operator: &urp}, fourth.Service); err != nil {
			t.Errorf("at the desk: %v", err)
		}
		c.Move(23 * time.Hour)
		if _, err := c.d.Send(ctx, weak, third.ID); err != nil {
			t.Errorf("a day later: %v", err)
		}
		c.d.Bounds.Messages = 0
		send(weak)
	})
}

// Codes that sign are mailed so many times an hour for an application, and to a person; the
// last one stays good.
func TestCodesAnHour(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx := t.Context()
		caf := c.Operator("prova", 5, "R-CAF1")
		v := submission.Visitor{Ente: "prova", Person: c.visitor(1).Person, Operator: &caf, Address: caf.Address, Shown: "Carta d'identità CA00000AA"}
		c.record(v, `{"form":{"email":"nota@example.org"}}`)
		sent := func() (n int) { return len(c.Mails("nota@example.org")) }
		one := c.made(v, "instradamento", rubbish)
		begun := c.Today()
		for range 5 {
			if _, err := c.d.SendCode(ctx, v, one.ID); err != nil {
				t.Fatal(err)
			}
			c.Move(time.Minute)
		}
		var over *limit.OverError
		if _, err := c.d.SendCode(ctx, v, one.ID); !errors.As(err, &over) || over.Rule.Code != "code-application" || !over.Again.Equal(begun.Add(time.Hour)) || sent() != 5 {
			t.Fatalf("one too many: %v, %d mails", err, sent())
		}
		var code string
		if err := c.Store.QueryRowContext(ctx, "SELECT number FROM outbox WHERE kind = 'application-code' ORDER BY created DESC LIMIT 1").Scan(&code); err != nil {
			t.Fatal(err)
		}
		if err := c.d.SignAtDesk(ctx, v, one.ID, submission.WithCode, code); err != nil {
			t.Errorf("the last code: %v", err)
		}
		for range 2 {
			next := c.made(v, "instradamento", rubbish)
			for range 4 {
				_, err := c.d.SendCode(ctx, v, next.ID)
				if err != nil && (!errors.As(err, &over) || over.Rule.Code != "code-person") {
					t.Fatal(err)
				}
			}
		}
		if sent() != 10 {
			t.Errorf("the person got %d", sent())
		}
		c.Move(time.Hour)
		if _, err := c.d.SendCode(ctx, v, one.ID); err != nil {
			t.Errorf("an hour later: %v", err)
		}
	})
}

// Who sends what is refused over and over, as a file or as a signature, fills no log; and
// what a person signs at home is no deed of the operator's who has filled the form in.
func TestRefusedOverAndOver(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx, caf := t.Context(), c.Operator("prova", 5, "R-CAF1")
		home := c.visitor(2)
		v := submission.Visitor{Ente: "prova", Person: home.Person, Operator: &caf, Address: caf.Address, Shown: "identity-card CA00000AA"}
		a := c.made(v, "iscrizione-nido", child(nursery))
		for range 20 {
			if _, err := c.d.Sign(ctx, home, a.ID, strings.NewReader("nothing signed"), message.Italian); !errors.Is(err, submission.ErrNotSigned) {
				t.Fatal(err)
			}
			if _, err := c.d.Attach(ctx, home, a.ID, submission.SlotIdentity, "x.exe", strings.NewReader("MZ"), 2); err == nil {
				t.Fatal("taken")
			}
		}
		if n := storetest.Count(t, c.Store, "SELECT count(*) FROM journal WHERE kind IN (?, ?)", audit.SignRefused, audit.ApplicationFile); n != 30 {
			t.Errorf("%d rows", n)
		}
		last := func() submission.Step {
			t.Helper()
			steps, err := c.d.Steps(ctx, a)
			if err != nil || len(steps) == 0 {
				t.Fatal(steps, err)
			}
			return steps[len(steps)-1]
		}
		for _, x := range []struct {
			v        submission.Visitor
			operator int64
		}{{home, 0}, {v, caf.Operator}} {
			if _, err := c.d.Sign(ctx, x.v, a.ID, bytes.NewReader(c.signed(a, pki.Invented(2))), message.Italian); err != nil {
				t.Fatal(err)
			}
			if s := last(); s.Kind != "signed" || s.Operator != x.operator || s.Person != home.Person.ID || (s.Text != "") != (x.operator != 0) {
				t.Errorf("%+v", s)
			}
		}
	})
}
