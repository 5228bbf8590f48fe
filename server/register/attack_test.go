package register_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
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
