package register_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/foureyes"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/town"
)

// forge puts an entry without a seal into the register, as whoever has the database could.
func forge(t *testing.T, town *town.Town, ente string, n register.Number) {
	t.Helper()
	sum := sha256.Sum256([]byte("forged"))
	at := store.Time(town.Today())
	_, err := town.Store.ExecContext(t.Context(), `INSERT INTO register_entry (ente, year, number, ipa, aoo, registry, time, direction, party, subject, sha256, document, origin, emergency, seal)
		VALUES (?,?,?,'','','PROT',?,'in','Prova','Istanza',?,'x','','','')`, ente, n.Year, n.Number, at, sum[:])
	if err == nil {
		_, err = town.Store.ExecContext(t.Context(), "UPDATE register SET last = ? WHERE ente = ? AND year = ?", n.Number, ente, n.Year)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// An entry that lost its seal, or never had one, is found out; and what is wrong in one
// ente's register keeps no other from its daily registers.
func TestForgedEntryIsFound(t *testing.T) {
	town.Each(t, func(t *testing.T, town *town.Town) {
		d, ctx := desk(town), t.Context()
		now := town.Today().In(register.Rome())
		town.Move(time.Date(now.Year(), now.Month(), now.Day()+1, 12, 0, 0, 0, register.Rome()).Sub(now))
		last := enter(t, town, "altro") // the first in the list of enti
		enter(t, town, "prova")
		last.Number++
		forge(t, town, "altro", last)
		if n, found, err := d.Verify(ctx, "altro", last.Year); err != nil || n != last.Number || len(found) != 1 || found[0].Number != last {
			t.Error("a forged entry goes by", n, found, err)
		}
		if _, err := d.Get(ctx, "altro", last); !errors.Is(err, register.ErrUnsealed) {
			t.Error(err)
		}
		town.Move(2 * 24 * time.Hour)
		if err := d.CloseDays(ctx); err == nil || !strings.Contains(err.Error(), "altro") {
			t.Error("nobody says so:", err)
		}
		if days, err := d.Days(ctx, "prova", 10); err != nil || len(days) != 2 {
			t.Error("another ente has no daily register", days, err)
		}
	})
}

// What was made before, and waited for its number, is registered when its turn comes: times
// never go back from one number to the next.
func TestTimesNeverGoBack(t *testing.T) {
	town.Each(t, func(t *testing.T, town *town.Town) {
		d := desk(town)
		before := town.Today()
		town.Move(time.Minute)
		n := enter(t, town, "prova")
		sum := sha256.Sum256([]byte("answer"))
		e := register.Entry{Ente: "prova", Time: before, Direction: register.Out, Party: "Prova Esempio", Subject: "Risposta", SHA256: sum[:], Document: "d"}
		if err := town.Store.Tx(t.Context(), func(tx *sql.Tx) error { return register.Enter(context.Background(), tx, town.Keys, &e) }); err != nil {
			t.Fatal(err)
		}
		if last, found, err := d.Verify(t.Context(), "prova", n.Year); last != 2 || len(found) > 0 || err != nil {
			t.Error(last, found, err)
		}
	})
}

// The emergency register takes nothing that is older than its cause.
func TestEmergencyIsNoTimeMachine(t *testing.T) {
	town.Each(t, func(t *testing.T, town *town.Town) {
		d, ctx, boss := desk(town), t.Context(), town.Operator("prova", 1, "R6")
		since := town.Today().Add(-2 * time.Hour)
		id, err := d.OpenEmergency(ctx, boss, "Guasto elettrico", since)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []time.Time{since.AddDate(-1, 0, 0), since.Add(-time.Minute)} {
			if _, err := d.EnterEmergency(ctx, boss, id, []register.Paper{{Time: at, Party: "A", Subject: "offerta"}}); !errors.Is(err, register.ErrInvalid) {
				t.Error(at, err)
			}
		}
		if _, err := d.EnterEmergency(ctx, boss, id, []register.Paper{{Time: since.Truncate(time.Minute), Party: "A", Subject: "offerta"}}); err != nil {
			t.Error(err)
		}
	})
}

// A cancellation that was put in by hand, or taken away, is found out.
func TestForgedCancellationIsFound(t *testing.T) {
	town.Each(t, func(t *testing.T, town *town.Town) {
		d, ctx, boss := desk(town), t.Context(), town.Operator("prova", 1, "R6")
		one, two := enter(t, town, "prova"), enter(t, town, "prova")
		if err := d.Cancel(ctx, boss, one, "doppione"); err != nil {
			t.Fatal(err)
		}
		if n, found, err := d.Verify(ctx, "prova", one.Year); n != 2 || len(found) > 0 || err != nil {
			t.Error(n, found, err)
		}
		_, err := town.Store.ExecContext(ctx, "INSERT INTO register_cancelled (ente, year, number, time, operator, author, reason) VALUES ('prova',?,?,?,1,'x','x')", two.Year, two.Number, store.Time(town.Today()))
		if err != nil {
			t.Fatal(err)
		}
		if n, found, err := d.Verify(ctx, "prova", one.Year); n != 2 || len(found) != 1 || found[0].Number != two || err != nil {
			t.Error(n, found, err)
		}
		drop := "DROP TRIGGER register_cancelled_no_delete"
		if town.Store.Engine() == store.Postgres {
			drop += " ON register_cancelled"
		}
		for _, q := range []string{drop, "DELETE FROM register_cancelled"} {
			if _, err := town.Store.ExecContext(ctx, q); err != nil {
				t.Fatal(err)
			}
		}
		if n, found, err := d.Verify(ctx, "prova", one.Year); n != 2 || len(found) != 1 || found[0].Number != one || err != nil {
			t.Error(n, found, err)
		}
	})
}

// Who reads a name in the register is in the log; who sees none is not.
func TestNamesReadAreLogged(t *testing.T) {
	town.Each(t, func(t *testing.T, town *town.Town) {
		d, ctx := desk(town), t.Context()
		n := enter(t, town, "prova")
		urp, boss := town.Operator("prova", 1, "R12"), town.Operator("prova", 2, "R6")
		for _, a := range []role.Actor{urp, boss} {
			if _, err := d.Open(ctx, a, n); err != nil {
				t.Fatal(err)
			}
		}
		town.Move(3 * 24 * time.Hour)
		if err := d.CloseDays(ctx); err != nil {
			t.Fatal(err)
		}
		days, err := d.DaysOf(ctx, urp, "", 5)
		if err != nil || len(days) == 0 {
			t.Fatal(days, err)
		}
		f, err := d.OpenDay(ctx, urp, days[0].Day, true)
		if err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		var read, boxes, all int
		row := town.Store.QueryRowContext(ctx, "SELECT coalesce(sum(CASE WHEN kind = 'person-read' THEN 1 ELSE 0 END), 0), coalesce(sum(CASE WHEN kind = 'register-read' THEN 1 ELSE 0 END), 0), count(*) FROM journal WHERE kind IN ('person-read', 'register-read') AND operator = ?", urp.Operator)
		if err := row.Scan(&read, &boxes, &all); err != nil || read != 1 || boxes != 1 {
			t.Error(read, boxes, err)
		}
		if err := town.Store.QueryRowContext(ctx, "SELECT count(*) FROM journal WHERE operator = ?", boss.Operator).Scan(&all); err != nil || all != 0 {
			t.Error(all, err)
		}
	})
}

// With four eyes on, a number is cancelled by two: one asks with the reason, another who is
// in charge of the register confirms; both are beside it, and the log has them.
func TestCancelledByTwo(t *testing.T) {
	town.Each(t, func(t *testing.T, town *town.Town) {
		d, ctx := desk(town), t.Context()
		town.FourEyes()
		boss, other, urp := town.Operator("prova", 1, "R6"), town.Operator("prova", 2, "R6"), town.Operator("prova", 3, "R12")
		one, two := enter(t, town, "prova"), enter(t, town, "prova")
		cancelled := func(n register.Number) *register.Cancellation {
			t.Helper()
			e, err := d.Get(ctx, "prova", n)
			if err != nil {
				t.Fatal(err)
			}
			return e.Cancelled
		}
		for name, err := range map[string]error{"no reason": d.Cancel(ctx, boss, one, "x"), "no such number": d.Cancel(ctx, boss, register.Number{Year: one.Year, Number: 99}, "doppione"), "no right": d.Cancel(ctx, urp, one, "doppione")} {
			if err == nil || errors.Is(err, foureyes.ErrPending) {
				t.Errorf("%s: %v", name, err)
			}
		}
		for range 2 { // sent twice, it waits once
			if err := d.Cancel(ctx, boss, one, "doppione"); !errors.Is(err, foureyes.ErrPending) {
				t.Fatal(err)
			}
		}
		list, err := town.Four.List(ctx, other)
		if err != nil || len(list) != 1 || list[0].Kind != foureyes.RegisterCancelled || !strings.Contains(list[0].Subject, one.String()) || !strings.Contains(list[0].Subject, "doppione") || !register.Cancels(list[0].Payload, one) || register.Cancels(list[0].Payload, two) {
			t.Fatalf("%+v, %v", list, err)
		}
		if seen, err := town.Four.List(ctx, urp); err != nil || len(seen) != 0 || cancelled(one) != nil {
			t.Errorf("%+v, %v", seen, err)
		}
		id := list[0].ID
		for name, x := range map[string]struct {
			a    role.Actor
			want error
		}{"who asked": {boss, foureyes.ErrSame}, "no right": {urp, role.ErrDenied}, "elsewhere": {town.Operator("altro", 4, "R6"), foureyes.ErrNotFound}} {
			if err := town.Four.Decide(ctx, x.a, id, true); !errors.Is(err, x.want) || cancelled(one) != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := town.Four.Decide(ctx, other, id, true); err != nil {
			t.Fatal(err)
		}
		if c := cancelled(one); c == nil || c.Operator != boss.Operator || c.Author != boss.Name+", "+other.Name || c.Reason != "doppione" {
			t.Errorf("%+v", c)
		}
		if err := d.Cancel(ctx, boss, one, "ancora"); !errors.Is(err, register.ErrCancelled) {
			t.Error(err)
		}
		// Two requests for one number: the second cannot be confirmed any more.
		if err := errors.Join(ignored(d.Cancel(ctx, boss, two, "prima")), ignored(d.Cancel(ctx, other, two, "seconda"))); err != nil {
			t.Fatal(err)
		}
		third := town.Operator("prova", 5, "R6")
		if list, err = town.Four.List(ctx, third); err != nil || len(list) != 2 {
			t.Fatal(list, err)
		}
		if err := town.Four.Decide(ctx, third, list[0].ID, true); err != nil {
			t.Error(err)
		}
		if err := town.Four.Decide(ctx, third, list[1].ID, true); !errors.Is(err, register.ErrCancelled) {
			t.Error(err)
		}
		if err := town.Four.Decide(ctx, third, list[1].ID, false); err != nil {
			t.Error(err)
		}
		if n, found, err := d.Verify(ctx, "prova", one.Year); n != 2 || len(found) > 0 || err != nil {
			t.Error(n, found, err)
		}
		// Once it is old the table forgets whom it was about.
		town.Move(31 * 24 * time.Hour)
		if err := town.Four.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
		if n := storetest.Count(t, town.Store, "SELECT count(*) FROM pending WHERE subject <> '' OR payload <> '{}'"); n != 0 {
			t.Errorf("%d are remembered", n)
		}
	})
}

func ignored(err error) error {
	if errors.Is(err, foureyes.ErrPending) {
		return nil
	}
	return err
}
