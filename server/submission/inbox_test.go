package submission_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/bundle"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/server/mandate"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/submission"
	"github.com/citel-pa/citel/testdata/pki"
)

// What an office writes is unread until it was seen, by each reader apart.
func TestInbox(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx, v, urp := t.Context(), c.visitor(0), c.Operator("prova", 6, "R12")
		a := c.made(v, "instradamento", map[string]string{"topic": "other", "subject": "Oggetto", "text": "Testo"})
		if _, err := c.d.Send(ctx, v, a.ID); err != nil {
			t.Fatal(err)
		}
		if all, err := c.d.Inbox(ctx, v); err != nil || len(all) != 0 {
			t.Error(all, err)
		}
		write := func(words string) {
			t.Helper()
			c.Move(time.Second)
			if err := c.d.Write(ctx, urp, a.ID, words); err != nil {
				t.Fatal(err)
			}
		}
		unread := func(v submission.Visitor) (out string) {
			t.Helper()
			all, err := c.d.Inbox(ctx, v)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range all {
				if out += m.Step.Text; m.Unread {
					out += "!"
				}
				out += " "
			}
			return out
		}
		write("uno")
		write("due")
		if got := unread(v); got != "due! uno! " {
			t.Errorf("%q", got)
		}
		if err := errors.Join(c.d.Seen(ctx, v, a), c.d.Seen(ctx, v, a)); err != nil {
			t.Fatal(err)
		}
		write("tre")
		if err := c.d.Reroute(ctx, urp, a.ID, "Ambiente", "tra uffici"); err != nil {
			t.Fatal(err)
		}
		if got := unread(v); got != "tre! due uno " {
			t.Errorf("%q", got)
		}
		if got := unread(c.visitor(2)); got != "" {
			t.Errorf("a stranger's inbox: %q", got)
		}
		low := submission.Visitor{Ente: "prova", Level: session.Debole, Credential: "c"}
		if got := unread(low); got != "" {
			t.Errorf("a debole's inbox: %q", got)
		}
		if need, err := c.d.Needs(ctx, "prova", a.ID); err != nil || need != session.Debole {
			t.Error(need, err)
		}
		if _, err := c.d.Needs(ctx, "altro", a.ID); !errors.Is(err, submission.ErrNotFound) {
			t.Error("another ente's", err)
		}
	})
}

// Whoever acts for a company sees what another representative sent, in the mandate's scope
// and as long as it holds; a delegate sees what was made with the delegation.
func TestWhoActsSees(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx, desk, one, two := t.Context(), c.Operator("prova", 5, "R8"), c.visitor(0), c.visitor(2)
		company := c.account(person.Corporate, "00743110157")
		grant := func(kind mandate.Kind, principal int64, v submission.Visitor, scope ...string) submission.Visitor {
			t.Helper()
			m, err := c.d.Mandates.Grant(ctx, desk, mandate.Mandate{Kind: kind, Principal: principal, Agent: v.Person.ID, Title: "Rappresentante", Scope: scope, Since: c.Today().Format(time.DateOnly), Proof: "Visura"})
			if err != nil {
				t.Fatal(err)
			}
			v.Mandate = m.ID
			return v
		}
		first, second, narrow := grant(mandate.Company, company.ID, one), grant(mandate.Company, company.ID, two), grant(mandate.Company, company.ID, c.visitor(3), "altro-servizio")
		a := c.made(first, "instradamento", map[string]string{"topic": "other", "subject": "Oggetto", "text": "Testo"})
		if _, err := c.d.Send(ctx, first, a.ID); err != nil {
			t.Fatal(err)
		}
		sees := func(v submission.Visitor) bool {
			t.Helper()
			all, err := c.d.List(ctx, v)
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.d.Get(ctx, v, a.ID)
			if (err == nil) != (len(all) == 1) {
				t.Errorf("list and page differ: %d, %v", len(all), err)
			}
			return err == nil
		}
		if !sees(first) || !sees(second) || sees(narrow) || !sees(one) || sees(two) {
			t.Error("who acts for the company", sees(first), sees(second), sees(narrow), sees(one), sees(two))
		}
		if err := c.d.Mandates.RevokeAtDesk(ctx, desk, first.Mandate, "cessata"); err != nil {
			t.Fatal(err)
		}
		if sees(first) || sees(one) || !sees(second) {
			t.Error("after the end", sees(first), sees(one), sees(second))
		}
	})
}

// The evidence of a signature is a bundle that judges the same again, offline.
func TestEvidence(t *testing.T) {
	each(t, func(t *testing.T, c *counter) {
		ctx, v, other := t.Context(), c.visitor(0), c.visitor(2)
		a := c.made(v, "iscrizione-nido", child(nursery, "other", "consents", "other-cf", pki.Invented(2).CF, "other-signs", "yes"))
		all, err := c.d.ToSign(ctx, other)
		if err != nil || len(all) != 1 || all[0].ID != a.ID {
			t.Error(all, err)
		}
		if all, err := c.d.ToSign(ctx, v); err != nil || len(all) != 0 {
			t.Error(all, err)
		}
		// Who signs second is told once who sent it has signed, where an address is known.
		if _, err := c.Store.ExecContext(ctx, "INSERT INTO credential (id, kind, ente, person, handle, email, state, created, changed) VALUES ('c2', 'debole', 'prova', ?, 'seconda@example.org', 'seconda@example.org', 'active', ?, ?)", other.Person.ID, store.Time(c.Today()), store.Time(c.Today())); err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{0, 2} {
			if _, err := c.d.Sign(ctx, map[int]submission.Visitor{0: v, 2: other}[n], a.ID, bytes.NewReader(c.signed(a, pki.Invented(n))), message.Italian); err != nil {
				t.Fatal(err)
			}
			if m := c.Mails("seconda@example.org"); len(m) != 1 || m[0] != [2]string{"application-sign", "/pratiche/" + a.ID} {
				t.Error(m)
			}
		}
		if a, err = c.d.Send(ctx, v, a.ID); err != nil {
			t.Fatal(err)
		}
		for n := 1; n <= 2; n++ {
			var b bytes.Buffer
			if err := c.d.Evidence(ctx, a, n, message.Italian, &b); err != nil {
				t.Fatal(err)
			}
			archive, err := bundle.Read(bytes.NewReader(b.Bytes()), int64(b.Len()))
			if err != nil {
				t.Fatal(err)
			}
			j, err := archive.Judge(ctx, bundle.JudgeOptions{})
			if err != nil || len(j.Results) != 1 || j.Results[0].Indication != validation.TotalPassed || len(j.Changed) > 0 || !j.Same {
				t.Errorf("%+v %v", j, err)
			}
			if page, _ := archive.Page(); !strings.Contains(string(page), "VALIDA") {
				t.Error("its page does not say so")
			}
		}
		if err := c.d.Evidence(ctx, a, 3, message.Italian, &bytes.Buffer{}); !errors.Is(err, submission.ErrNotFound) {
			t.Error(err)
		}
	})
}
