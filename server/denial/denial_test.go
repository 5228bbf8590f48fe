package denial_test

import (
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/denial"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/town"
)

func rows(t *testing.T, w *town.Town) int {
	t.Helper()
	return storetest.Count(t, w.Store, "SELECT count(*) FROM journal WHERE kind = ?", audit.AccessDenied)
}

// What is refused is noted with who, where and why; the same thing once in a while; what is
// nowhere, or is the own, not at all.
func TestNote(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		ctx := t.Context()
		a, elsewhere := w.Operator("prova", 5, "R16"), w.Operator("altro", 6, "R16")
		var mine, theirs *person.Person
		err := w.Store.Tx(ctx, func(tx *sql.Tx) (err error) {
			if mine, err = person.EnsureAccount(ctx, tx, person.Natural, town.FormOf(1).Code, "Prova", "Una", w.Today()); err != nil {
				return err
			}
			if theirs, err = person.EnsureAccount(ctx, tx, person.Natural, town.FormOf(2).Code, "Prova", "Due", w.Today()); err != nil {
				return err
			}
			for id, ente := range map[string]string{"here": "prova", "there": "altro"} {
				if _, err := tx.ExecContext(ctx, "INSERT INTO mandate (id, ente, kind, principal, agent, title, scope, since, until, proof, state, asked_by, operator, created, changed) VALUES (?,?,'delegate',?,?,'','','','','','active',0,0,'','')", id, ente, theirs.ID, theirs.ID); err != nil {
					return err
				}
			}
			_, err = tx.ExecContext(ctx, "INSERT INTO credential (id, kind, ente, person, handle, state, created, changed) VALUES ('card', 'media', 'prova', ?, 'x', 'active', '', '')", mine.ID)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		operator := denial.Who{Ente: "prova", Operator: &a, Address: a.Address}
		citizen := denial.Who{Ente: "prova", Person: mine.ID, Credential: "card", Address: "192.0.2.7:1"}
		for name, x := range map[string]struct {
			who  denial.Who
			what denial.Refusal
			want int
		}{
			"no right":                    {operator, denial.Refusal{Why: denial.Right, Page: "GET /a"}, 1},
			"no right to what is there":   {operator, denial.Refusal{Why: denial.Right, Page: "GET /b/{mandate}", Kind: denial.Mandate, Object: "here"}, 1},
			"no right, something typed":   {operator, denial.Refusal{Why: denial.Right, Page: "GET /c/{mandate}", Kind: denial.Mandate, Object: "secret words"}, 1},
			"another ente's":              {operator, denial.Refusal{Why: denial.Other, Page: "GET /b/{mandate}", Kind: denial.Mandate, Object: "there"}, 1},
			"the own ente's, not found":   {operator, denial.Refusal{Why: denial.Other, Page: "GET /b/{mandate}", Kind: denial.Mandate, Object: "here"}, 0},
			"nowhere":                     {operator, denial.Refusal{Why: denial.Other, Page: "GET /b/{mandate}", Kind: denial.Mandate, Object: "none"}, 0},
			"another ente's operator":     {operator, denial.Refusal{Why: denial.Other, Page: "GET /o/{id}", Kind: denial.Operator, Object: strconv.FormatInt(elsewhere.Operator, 10)}, 1},
			"somebody not shown":          {operator, denial.Refusal{Why: denial.Other, Page: "GET /p/{id}", Kind: denial.Person, Object: strconv.FormatInt(mine.ID, 10)}, 1},
			"a number that is none":       {operator, denial.Refusal{Why: denial.Other, Page: "GET /p/{id}", Kind: denial.Person, Object: "1 OR 1=1"}, 0},
			"another's mandate":           {citizen, denial.Refusal{Why: denial.Other, Page: "GET /m/{id}", Kind: denial.Mandate, Object: "here"}, 1},
			"the own, of something else":  {citizen, denial.Refusal{Why: denial.Other, Page: "GET /c/{id}", Kind: denial.Credential, Object: "card"}, 0},
			"nobody in particular":        {denial.Who{Ente: "prova", Address: "192.0.2.7:1"}, denial.Refusal{Why: denial.Other, Page: "GET /m/{id}", Kind: denial.Mandate, Object: "here"}, 0},
			"a credential without person": {denial.Who{Ente: "prova", Credential: "w"}, denial.Refusal{Why: denial.Other, Page: "GET /m/{id}", Kind: denial.Mandate, Object: "here"}, 1},
		} {
			before := rows(t, w)
			for range 3 {
				if err := w.Denials.Note(ctx, x.who, x.what); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
			if n := rows(t, w) - before; n != x.want {
				t.Errorf("%s: %d rows", name, n)
			}
		}
		before := rows(t, w)
		w.Move(10 * time.Minute)
		if err := w.Denials.Note(ctx, operator, denial.Refusal{Why: denial.Right, Page: "GET /a"}); err != nil || rows(t, w) != before+1 {
			t.Errorf("ten minutes later: %v", err)
		}
		if n := storetest.Count(t, w.Store, "SELECT count(*) FROM journal WHERE detail LIKE '%secret words%'"); n != 0 {
			t.Error("what was typed is in the log")
		}
		if r, err := w.Audit.Verify(ctx); err != nil || len(r.Problems) > 0 {
			t.Errorf("%+v, %v", r, err)
		}

		// Who reads them: by the permission, the own ente's alone.
		all := w.Operator("prova", 8, "R6", "R8")
		read := func(a role.Actor, f audit.Filter) []audit.Entry {
			t.Helper()
			out, err := w.Audit.Denials(ctx, a, f)
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		both, operators, citizens := read(all, audit.Filter{}), read(all, audit.Filter{By: audit.ByOperators}), read(all, audit.Filter{By: audit.ByCitizens})
		if len(both) != rows(t, w) || len(operators)+len(citizens) != len(both) || len(citizens) != 2 || operators[0].Operator != a.Operator {
			t.Errorf("%d, %d, %d", len(both), len(operators), len(citizens))
		}
		if n := len(read(all, audit.Filter{From: w.Today().Add(-time.Minute)})); n != 1 {
			t.Errorf("the last minute: %d", n)
		}
		if n := len(read(w.Operator("altro", 9, "R6", "R8"), audit.Filter{})); n != 0 {
			t.Errorf("another ente reads %d", n)
		}
		if _, err := w.Audit.Denials(ctx, w.Operator("prova", 10, "R20"), audit.Filter{}); !errors.Is(err, role.ErrDenied) {
			t.Error(err)
		}
		own, err := w.Audit.Accesses(ctx, mine.ID, 10)
		if err != nil || len(own) != 1 || own[0].Kind != audit.AccessDenied {
			t.Errorf("%+v, %v", own, err)
		}
	})
}

// Whoever goes on and on fills no log: of one account so many an hour, the last of which
// says so, and from one address of all accounts.
func TestNoFlood(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		ctx := t.Context()
		note := func(who, page string) {
			t.Helper()
			if err := w.Denials.Note(ctx, denial.Who{Ente: "prova", Credential: who, Address: "192.0.2.7:1"}, denial.Refusal{Why: denial.Right, Page: page}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 40 {
			note("a", fmt.Sprint(i))
		}
		if n := rows(t, w); n != 30 {
			t.Errorf("%d rows", n)
		}
		last, err := w.Audit.Read(ctx, audit.Filter{Ente: "prova", Kinds: []string{audit.AccessDenied}})
		if err != nil || len(last) == 0 {
			t.Fatal(err)
		}
		said := 0
		for _, e := range last {
			if e.Detail["last"] != "" {
				said++
			}
		}
		if said != 1 || last[0].Detail["last"] != "yes" {
			t.Errorf("%d rows say that they are the last", said)
		}
		for i := range 40 {
			note("b", fmt.Sprint(i))
		}
		for i := range 40 {
			note("c", fmt.Sprint(i))
		}
		if n := rows(t, w); n != 60 {
			t.Errorf("from one address %d rows", n)
		}
		w.Move(time.Hour)
		note("c", strings.Repeat("x", 10))
		if n := rows(t, w); n != 61 {
			t.Errorf("an hour later %d rows", n)
		}
	})
}
