package register_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
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
	"github.com/citel-pa/citel/server/seal"
	"github.com/citel-pa/citel/testdata/town"
)

func desk(town *town.Town) *register.Desk {
	return &register.Desk{Store: town.Store, Audit: town.Audit, Keys: town.Keys, Enti: town.Enti, Four: town.Four, Now: town.Today,
		Seals: &seal.Desk{Store: town.Store, Keys: town.Keys, Now: town.Today}}
}

func enter(t *testing.T, town *town.Town, ente string) register.Number {
	t.Helper()
	sum := sha256.Sum256([]byte("x"))
	e := register.Entry{Ente: ente, Time: town.Today(), Direction: register.In, Party: "Prova Esempio", Subject: "Iscrizione", SHA256: sum[:], Document: "d"}
	err := town.Store.Tx(context.Background(), func(tx *sql.Tx) error { return register.Enter(context.Background(), tx, town.Keys, &e) })
	if err != nil {
		t.Error(err)
	}
	return e.Number
}

func TestRegister(t *testing.T) {
	town.Each(t, func(t *testing.T, town *town.Town) {
		d := desk(town)
		boss, clerk := town.Operator("prova", 1, "R6"), town.Operator("prova", 2, "R12")
		var wait sync.WaitGroup
		for range 20 {
			wait.Go(func() { enter(t, town, "prova") })
		}
		wait.Wait()
		year := town.Today().In(register.Rome()).Year()
		if n := enter(t, town, "altro"); n.Number != 1 || n.String()[5:] != "0000001" {
			t.Error("another ente's", n)
		}
		n, found, err := d.Verify(t.Context(), "prova", year)
		if n != 20 || len(found) > 0 || err != nil {
			t.Fatal(n, found, err)
		}
		// A transaction that fails gives its number back.
		_ = town.Store.Tx(t.Context(), func(tx *sql.Tx) error {
			sum := sha256.Sum256(nil)
			e := register.Entry{Ente: "prova", Time: town.Today(), Direction: register.In, Party: "x", Subject: "x", SHA256: sum[:]}
			return errors.Join(register.Enter(t.Context(), tx, town.Keys, &e), errors.New("back"))
		})
		if n := enter(t, town, "prova"); n.Number != 21 {
			t.Error(n)
		}

		// Unchangeable, for the database's owner too.
		for _, q := range []string{"UPDATE register_entry SET subject = 'x'", "DELETE FROM register_entry"} {
			if _, err := town.Store.ExecContext(t.Context(), q); err == nil {
				t.Error(q)
			}
		}
		third := register.Number{Year: year, Number: 3}
		for _, c := range []struct {
			actor  role.Actor
			n      register.Number
			reason string
			want   error
		}{
			{clerk, third, "doppio", role.ErrDenied}, {boss, third, "", register.ErrReason}, {boss, register.Number{Year: year, Number: 99}, "doppio", register.ErrNotFound},
			{town.Operator("altro", 3, "R6"), third, "doppio", register.ErrNotFound}, {boss, third, "Registrato due volte", nil}, {boss, third, "ancora", register.ErrCancelled},
		} {
			if err := d.Cancel(t.Context(), c.actor, c.n, c.reason); !errors.Is(err, c.want) {
				t.Errorf("%+v: %v", c, err)
			}
		}
		e, err := d.Get(t.Context(), "prova", third)
		if err != nil || e.Cancelled == nil || e.Cancelled.Author != boss.Name || e.Subject != "Iscrizione" {
			t.Error(e, err)
		}
		if _, err := town.Store.ExecContext(t.Context(), "DELETE FROM register_cancelled"); err == nil {
			t.Error("a cancellation was deleted")
		}

		// Emergency: both numbers stay together.
		id, err := d.OpenEmergency(t.Context(), boss, "Guasto elettrico", town.Today().Add(-time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256([]byte("carta"))
		got, err := d.EnterEmergency(t.Context(), boss, id, []register.Paper{{Time: town.Today(), Party: "A", Subject: "uno", SHA256: sum[:]}, {Time: town.Today(), Party: "B", Subject: "due", SHA256: sum[:]}})
		if err != nil || len(got) != 2 || got[1].Emergency != "E1/0000002" || got[1].Number.Number != 23 {
			t.Fatal(got, err)
		}
		for _, restored := range []time.Time{{}, town.Today().Add(time.Minute), town.Today().Add(-time.Minute), town.Today().Add(-2 * time.Hour)} {
			if err := d.CloseEmergency(t.Context(), boss, id, restored); !errors.Is(err, register.ErrInvalid) {
				t.Error("restored in the future, before the last entry, or before the outage:", restored, err)
			}
		}
		if err := d.CloseEmergency(t.Context(), boss, id, town.Today()); err != nil {
			t.Error(err)
		}
		if err := d.CloseEmergency(t.Context(), boss, id, town.Today()); !errors.Is(err, register.ErrEmergency) {
			t.Error("closed twice", err)
		}
		if _, err := d.EnterEmergency(t.Context(), boss, id, []register.Paper{{Time: town.Today(), Party: "C", Subject: "tre", SHA256: sum[:]}}); !errors.Is(err, register.ErrEmergency) {
			t.Error(err)
		}
		if list, err := d.List(t.Context(), clerk, year, 20, 2); err != nil || len(list) != 2 || list[0].Number.Number != 20 {
			t.Error(list, err)
		}
	})
}

func TestDailyRegister(t *testing.T) {
	town.Each(t, func(t *testing.T, town *town.Town) {
		d := desk(town)
		now := town.Today().In(register.Rome()) // from noon, so that no day is near its end
		town.Move(time.Date(now.Year(), now.Month(), now.Day()+1, 12, 0, 0, 0, register.Rome()).Sub(now))
		enter(t, town, "prova")
		if err := d.CloseDays(t.Context()); err != nil {
			t.Fatal(err)
		}
		if days, _ := d.Days(t.Context(), "prova", 10); len(days) != 0 {
			t.Error("today is closed", days)
		}
		town.Move(3 * 24 * time.Hour)
		for range 2 {
			if err := d.CloseDays(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		days, err := d.Days(t.Context(), "prova", 10)
		if err != nil || len(days) != 3 || days[2].Entries != 1 || days[0].Entries != 0 {
			t.Fatal(days, err)
		}
		f, err := town.Store.OpenFile(t.Context(), days[2].Document)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		data, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(t.TempDir(), "giorno.pdf")
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, c := range [][]string{{"pdfsig", "-nocert", name, "Signature is Valid"}, {"pdfinfo", "-struct-text", name, "Iscrizione"}, {"qpdf", "--check", name, "No syntax"}} {
			out, err := exec.CommandContext(t.Context(), c[0], c[1:3]...).CombinedOutput()
			if err != nil || !strings.Contains(string(out), c[3]) {
				t.Errorf("%v (make deps): %v\n%s", c, err, out)
			}
		}
	})
}

// What is searched, what is hidden from whom, and a day that was tampered with.
func TestSearchAndDays(t *testing.T) {
	town.Each(t, func(t *testing.T, town *town.Town) {
		d, ctx := desk(town), t.Context()
		now := town.Today().In(register.Rome())
		town.Move(time.Date(now.Year(), now.Month(), now.Day()+1, 12, 0, 0, 0, register.Rome()).Sub(now))
		urp, boss, tied := town.Operator("prova", 1, "R12"), town.Operator("prova", 2, "R6"), town.Operator("prova", 3, "R12")
		tied.Offices = []string{"Ambiente"}
		for range 5 {
			enter(t, town, "prova")
		}
		enter(t, town, "altro")
		year := town.Today().In(register.Rome()).Year()
		if err := d.Cancel(ctx, boss, register.Number{Year: year, Number: 2}, "doppione"); err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			who  role.Actor
			q    register.Query
			n    int
			want error
		}{
			"all":               {urp, register.Query{}, 5, nil},
			"page":              {urp, register.Query{Before: register.Number{Year: year, Number: 3}}, 2, nil},
			"number":            {urp, register.Query{Number: register.Number{Number: 4}}, 1, nil},
			"another year":      {urp, register.Query{Number: register.Number{Year: year - 1, Number: 4}}, 0, nil},
			"out":               {urp, register.Query{Direction: register.Out}, 0, nil},
			"today":             {urp, register.Query{From: town.Today(), To: town.Today()}, 5, nil},
			"yesterday":         {urp, register.Query{To: town.Today().AddDate(0, 0, -1)}, 0, nil},
			"subject":           {urp, register.Query{Subject: "SCRIZ"}, 5, nil},
			"joker":             {urp, register.Query{Subject: "%"}, 0, nil},
			"party":             {urp, register.Query{Party: "esempio"}, 5, nil},
			"cancelled":         {urp, register.Query{Cancelled: true}, 1, nil},
			"no names":          {boss, register.Query{}, 5, nil},
			"party, no names":   {boss, register.Query{Party: "esempio"}, 0, role.ErrDenied},
			"party, own office": {tied, register.Query{Party: "esempio"}, 0, nil},
			"nobody":            {town.Operator("prova", 4, "R20"), register.Query{}, 0, role.ErrDenied},
			"another ente":      {town.Operator("altro", 9, "R12"), register.Query{}, 1, nil},
		} {
			got, err := d.Search(ctx, c.who, c.q)
			if len(got) != c.n || !errors.Is(err, c.want) {
				t.Errorf("%s: %d, %v", name, len(got), err)
			}
			for _, e := range got {
				if hidden := register.NamesFor(c.who) != register.NamesAll; e.Hidden != hidden || (e.Party == "") != hidden {
					t.Errorf("%s: %+v", name, e)
				}
			}
		}

		town.Move(24 * time.Hour)
		if err := d.CloseDays(ctx); err != nil {
			t.Fatal(err)
		}
		days, err := d.DaysOf(ctx, boss, "", 10)
		if err != nil || len(days) != 1 {
			t.Fatal(days, err)
		}
		if _, err := d.OpenDay(ctx, boss, days[0].Day, false); !errors.Is(err, role.ErrDenied) {
			t.Error("an administrator reads every name", err)
		}
		if _, err := d.OpenDay(ctx, tied, days[0].Day, true); !errors.Is(err, role.ErrDenied) {
			t.Error("who is tied to an office reads every name", err)
		}
		if _, err := d.CheckDay(ctx, town.Operator("altro", 10, "R12"), days[0]); !errors.Is(err, register.ErrNotFound) {
			t.Error("another ente's day", err)
		}
		state := func(x register.Day, want register.DayState) {
			t.Helper()
			if got, err := d.CheckDay(ctx, boss, &x); got != want || err != nil {
				t.Errorf("%s instead of %s, %v", got, want, err)
			}
		}
		state(*days[0], register.DayGood)
		// A cancellation of today changes nothing in yesterday's register.
		if err := d.Cancel(ctx, boss, register.Number{Year: year, Number: 3}, "doppione"); err != nil {
			t.Fatal(err)
		}
		state(*days[0], register.DayGood)
		read := func(name string) []byte {
			f, err := town.Store.OpenFile(ctx, name)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = f.Close() }()
			data, err := io.ReadAll(f)
			if err != nil {
				t.Fatal(err)
			}
			return data
		}
		write := func(name string, data []byte) {
			if err := town.Store.WriteFile(ctx, name, bytes.NewReader(data)); err != nil {
				t.Fatal(err)
			}
		}
		bad := *days[0]
		bad.Data = "register/altered.json"
		state(bad, register.DayMissing)
		altered := bytes.Replace(read(days[0].Data), []byte("Esempio"), []byte("Esempia"), 1)
		write(bad.Data, altered)
		state(bad, register.DayData)
		sum := sha256.Sum256(altered) // whoever changed the file changed the hash in the table too
		bad.SHA256 = hex.EncodeToString(sum[:])
		state(bad, register.DayEntries)
		bad = *days[0]
		town.Move(24 * time.Hour)
		if err := d.CloseDays(ctx); err != nil {
			t.Fatal(err)
		}
		next, err := d.DaysOf(ctx, boss, "", 1)
		if err != nil || len(next) != 1 || next[0].Day == bad.Day {
			t.Fatal(next, err)
		}
		state(*next[0], register.DayGood)
		bad.Document = next[0].Document // sealed well, for another day
		state(bad, register.DaySeal)
		bad.Document = "register/altered.pdf"
		write(bad.Document, bytes.Replace(read(days[0].Document), []byte("/Lang"), []byte("/Lamg"), 1))
		state(bad, register.DaySeal)
	})
}
