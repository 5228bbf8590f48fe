package resident_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/resident"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/town"
)

const why = "Verifica per una pratica"

func upload(t testing.TB, w *town.Town, a role.Actor, data []byte) (*resident.Import, []resident.Finding) {
	t.Helper()
	i, err := w.Residents.Upload(context.Background(), a, "anagrafe.csv", true, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	var all []resident.Finding
	again, err := w.Residents.Report(context.Background(), a, i.ID, func(f resident.Finding) error { all = append(all, f); return nil })
	if err != nil || again.Plan() != i.Plan() {
		t.Fatal(err, "the report is not the dry run's")
	}
	return again, all
}

func confirm(w *town.Town, a role.Actor, i *resident.Import, f func(*resident.Decision)) error {
	x := resident.Decision{SHA256: i.SHA256, Plan: i.Plan()}
	if f != nil {
		f(&x)
	}
	return w.Residents.Confirm(context.Background(), a, i.ID, x)
}

func find(t testing.TB, w *town.Town, a role.Actor, n int) (*resident.Resident, string) {
	t.Helper()
	r, err := w.Residents.Search(context.Background(), a, resident.Query{Code: pki.Invented(n).CF}, why)
	if err != nil || len(r.Rows) != 1 {
		t.Fatal(err, r)
	}
	return r.Rows[0], r.ID
}

func TestImport(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		a, there := w.Operator("prova", 1, "R31"), w.Operator("altro", 2, "R31")
		i, _ := upload(t, w, a, file(line(10), line(11), line(12)))
		if i.Summary.New != 3 || i.Summary.Rows != 3 || i.Summary.BadLines != 0 {
			t.Fatalf("%+v", i.Summary)
		}
		if n := storetest.Count(t, w.Store, "SELECT count(*) FROM resident"); n != 0 {
			t.Fatal("a dry run wrote", n)
		}
		if err := w.Residents.Confirm(t.Context(), there, i.ID, resident.Decision{SHA256: i.SHA256, Plan: i.Plan()}); !errors.Is(err, resident.ErrNotFound) {
			t.Error("another ente's operator:", err)
		}
		if err := confirm(w, a, i, func(x *resident.Decision) { x.SHA256 = strings.Repeat("0", 64) }); !errors.Is(err, resident.ErrStale) {
			t.Error("another file:", err)
		}
		if err := confirm(w, a, i, nil); err != nil {
			t.Fatal(err)
		}
		if err := confirm(w, a, i, nil); !errors.Is(err, resident.ErrState) {
			t.Error("twice:", err)
		}
		if err := w.Store.SweepFiles(t.Context(), w.Today().Add(2*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if f, err := w.Store.OpenFile(t.Context(), "registry/"+i.ID[:2]+"/"+i.ID+".csv"); err == nil {
			_ = f.Close()
			t.Error("the file is kept")
		}
		// The same again changes nothing.
		i, all := upload(t, w, a, file(line(10), line(11), line(12)))
		if i.Summary.Same != 3 || len(all) != 0 {
			t.Fatalf("%+v %v", i.Summary, all)
		}
		if err := confirm(w, a, i, nil); err != nil {
			t.Fatal(err)
		}
		// Another ente's list is its own.
		j, _ := upload(t, w, there, file(line(10, "indirizzo", "Via Altrove 9")))
		if j.Summary.New != 1 || confirm(w, there, j, nil) != nil {
			t.Fatalf("%+v", j.Summary)
		}
		// Changed, gone, new; the two that were decided on as they were, at once.
		i, all = upload(t, w, a, file(line(10, "indirizzo", "Via Nuova 1", "cap", "56121"), line(11), line(13)))
		if s := i.Summary; s.Changed != 1 || s.Gone != 1 || s.New != 1 || s.Same != 1 || len(all) != 4 {
			t.Fatalf("%+v %+v", s, all)
		}
		if err := confirm(w, a, i, nil); !errors.Is(err, resident.ErrUndecided) {
			t.Error("people go without a word:", err)
		}
		stale, _ := upload(t, w, a, file(line(10), line(11), line(12), line(14)))
		if err := confirm(w, a, i, func(x *resident.Decision) { x.Gone = true }); err != nil {
			t.Fatal(err)
		}
		if err := confirm(w, a, stale, func(x *resident.Decision) { x.Gone = true }); !errors.Is(err, resident.ErrStale) {
			t.Error("what it was decided on has changed:", err)
		}
		if n := storetest.Count(t, w.Store, "SELECT count(*) FROM resident WHERE ente = 'prova'"); n != 4 {
			t.Error("nobody is deleted:", n)
		}
		gone, search := find(t, w, a, 12)
		if gone.Gone.IsZero() || gone.Address != "Via Prova 12" {
			t.Errorf("%+v", gone)
		}
		f, err := w.Residents.Open(t.Context(), a, gone.ID, search)
		if err != nil || len(f.History) != 1 || f.History[0].Kind != "gone" || f.History[0].ImportID != i.ID {
			t.Error(err, f)
		}
		moved, search := find(t, w, a, 10)
		f, err = w.Residents.Open(t.Context(), a, moved.ID, search)
		if err != nil || f.Address != "Via Nuova 1" || len(f.History) != 2 {
			t.Error(err, f)
		}
		// Back again.
		i, _ = upload(t, w, a, file(line(10, "indirizzo", "Via Nuova 1", "cap", "56121"), line(11), line(12), line(13)))
		if i.Summary.Back != 1 || confirm(w, a, i, nil) != nil {
			t.Fatalf("%+v", i.Summary)
		}
		if back, _ := find(t, w, a, 12); !back.Gone.IsZero() {
			t.Error("still gone")
		}
		// With a bad line nobody goes, and it is left out only with a word.
		i, all = upload(t, w, a, file(line(10, "cap", "x"), line(15)))
		if s := i.Summary; s.BadLines != 1 || s.Gone != 0 || s.New != 1 || all[0].Kind != resident.Bad || all[0].Problem.Line != 2 {
			t.Fatalf("%+v %+v", s, all)
		}
		if err := confirm(w, a, i, nil); !errors.Is(err, resident.ErrUndecided) {
			t.Error(err)
		}
		if err := confirm(w, a, i, func(x *resident.Decision) { x.LeaveBad = true }); err != nil {
			t.Error(err)
		}
		if n := storetest.Count(t, w.Store, "SELECT count(*) FROM resident WHERE ente = 'prova' AND gone <> ''"); n != 0 {
			t.Error("gone:", n)
		}
		list, err := w.Residents.Imports(t.Context(), there)
		if err != nil || len(list) != 1 {
			t.Error("another ente's imports:", err, len(list))
		}
		for name, x := range map[string]role.Actor{"a desk": w.Operator("prova", 3, "R16"), "the police": w.Operator("prova", 4, "R-POL1"), "nobody": {}} {
			if _, err := w.Residents.Upload(t.Context(), x, "x", true, strings.NewReader(head)); !errors.Is(err, role.ErrDenied) {
				t.Error(name, err)
			}
		}
		// So many files wait and no more; they go after a day.
		for n := range 9 { // one waits already
			if _, err := w.Residents.Upload(t.Context(), a, "x", false, strings.NewReader(head)); err != nil {
				t.Fatal(n, err)
			}
		}
		if _, err := w.Residents.Upload(t.Context(), a, "x", false, strings.NewReader(head)); !errors.Is(err, resident.ErrWaiting) {
			t.Error(err)
		}
		w.Move(25 * time.Hour)
		if err := w.Residents.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		i, _ = upload(t, w, a, file(line(16)))
		w.Move(25 * time.Hour)
		if err := w.Residents.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := confirm(w, a, i, nil); !errors.Is(err, resident.ErrState) {
			t.Error(err)
		}
		if _, err := w.Audit.Verify(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestCorrections(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		a, there := w.Operator("prova", 1, "R31"), w.Operator("altro", 2, "R31")
		i, _ := upload(t, w, a, file(line(1), line(10), line(11)))
		if err := confirm(w, a, i, nil); err != nil {
			t.Fatal(err)
		}
		r, _ := find(t, w, a, 10)
		self, _ := find(t, w, a, 1)
		correct := func(x role.Actor, id, field, old, value, reason string) error {
			return w.Residents.Correct(t.Context(), x, id, field, old, value, reason)
		}
		var bad *resident.ValueError
		for name, err := range map[string]error{
			"no reason":     correct(a, r.ID, "address", r.Address, "Via Giusta 1", " "),
			"other ente":    correct(there, r.ID, "address", r.Address, "Via Giusta 1", why),
			"no right":      correct(w.Operator("prova", 3, "R16"), r.ID, "address", r.Address, "Via Giusta 1", why),
			"seen old":      correct(a, r.ID, "address", "Via Vecchia", "Via Giusta 1", why),
			"the own":       correct(a, self.ID, "address", self.Address, "Via Giusta 1", why),
			"the code":      correct(a, r.ID, "code", r.Code, pki.Invented(99).CF, why),
			"a bad value":   correct(a, r.ID, "cap", r.CAP, "1", why),
			"the same":      correct(a, r.ID, "cap", r.CAP, r.CAP, why),
			"no such field": correct(a, r.ID, "x", "", "y", why),
		} {
			want := map[string]error{"no reason": resident.ErrReason, "other ente": resident.ErrNotFound, "no right": role.ErrDenied, "seen old": resident.ErrStale, "the own": resident.ErrSelf}[name]
			if want == nil && !errors.As(err, &bad) || want != nil && !errors.Is(err, want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := correct(a, r.ID, "address", r.Address, "Via Giusta 1", why); err != nil {
			t.Fatal(err)
		}
		// The registry office still has the old one: told, and decided.
		i, all := upload(t, w, a, file(line(1), line(10), line(11)))
		if i.Summary.Conflicts != 1 || len(all) != 1 || all[0].Kind != resident.Conflict || !all[0].Again || all[0].Old != "Via Giusta 1" {
			t.Fatalf("%+v %+v", i.Summary, all)
		}
		if err := confirm(w, a, i, nil); !errors.Is(err, resident.ErrUndecided) {
			t.Error(err)
		}
		key := all[0].Key()
		if err := confirm(w, a, i, func(x *resident.Decision) { x.Keep = map[string]bool{key: true} }); err != nil {
			t.Fatal(err)
		}
		if now, _ := find(t, w, a, 10); now.Address != "Via Giusta 1" {
			t.Error(now.Address)
		}
		// Something else, and the file is right.
		i, all = upload(t, w, a, file(line(1), line(10, "indirizzo", "Via Terza 3"), line(11)))
		if len(all) != 1 || all[0].Again {
			t.Fatalf("%+v", all)
		}
		if err := confirm(w, a, i, func(x *resident.Decision) { x.Take = map[string]bool{key: true} }); err != nil {
			t.Fatal(err)
		}
		now, search := find(t, w, a, 10)
		f, err := w.Residents.Open(t.Context(), a, now.ID, search)
		if err != nil || f.Address != "Via Terza 3" || len(f.Corrections) != 0 || len(f.History) != 2 || f.History[1].Kind != "correction" || f.History[1].Reason != why {
			t.Errorf("%v %+v", err, f)
		}
		// The registry office takes the correction over: it ends by itself.
		if err := correct(a, r.ID, "address", "Via Terza 3", "Via Quarta 4", why); err != nil {
			t.Fatal(err)
		}
		i, all = upload(t, w, a, file(line(1), line(10, "indirizzo", "Via Quarta 4"), line(11)))
		if len(all) != 1 || all[0].Kind != resident.Agreed || confirm(w, a, i, nil) != nil {
			t.Fatalf("%+v", all)
		}
		if n := storetest.Count(t, w.Store, "SELECT count(*) FROM resident_correction"); n != 0 {
			t.Error("corrections:", n)
		}
	})
}

func TestSearch(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		a, there := w.Operator("prova", 1, "R31"), w.Operator("altro", 2, "R31")
		var lines []string
		for n := range 60 {
			lines = append(lines, line(n, "cognome", fmt.Sprintf("Dè Pagina%02d", n%30), "indirizzo", "Via 100%_Prova"))
		}
		i, _ := upload(t, w, a, file(lines...))
		if err := confirm(w, a, i, nil); err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			a    role.Actor
			q    resident.Query
			why  string
			want error
		}{
			"no reason":   {a, resident.Query{Family: "De"}, "", resident.ErrReason},
			"a dot":       {a, resident.Query{Family: "De"}, ".", resident.ErrReason},
			"everybody":   {a, resident.Query{}, why, resident.ErrQuery},
			"one letter":  {a, resident.Query{Family: "D"}, why, resident.ErrQuery},
			"given alone": {a, resident.Query{Given: "Anna"}, why, resident.ErrQuery},
			"blanks":      {a, resident.Query{Family: "   "}, why, resident.ErrQuery},
			"no right":    {w.Operator("prova", 70, "R16"), resident.Query{Family: "De"}, why, role.ErrDenied},
		} {
			if _, err := w.Residents.Search(t.Context(), c.a, c.q, c.why); !errors.Is(err, c.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if r, err := w.Residents.Search(t.Context(), a, resident.Query{Family: "%%"}, why); err != nil || len(r.Rows) != 0 {
			t.Error("a wildcard is a letter:", err, len(r.Rows))
		}
		seen, pages, after := map[string]bool{}, 0, ""
		for {
			r, err := w.Residents.Search(t.Context(), a, resident.Query{Family: "de pag", Address: "100%_", After: after}, why)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range r.Rows {
				seen[x.ID] = true
			}
			pages++
			if after = r.Next; after == "" {
				break
			}
		}
		if len(seen) != 60 || pages != 3 {
			t.Error(len(seen), pages)
		}
		if r, err := w.Residents.Search(t.Context(), there, resident.Query{Family: "de pag"}, why); err != nil || len(r.Rows) != 0 {
			t.Error("another ente finds them:", err)
		}
		r, search := find(t, w, a, 5)
		_, theirs, err := func() (*resident.Result, string, error) {
			s, err := w.Residents.Search(t.Context(), there, resident.Query{Family: "de"}, why)
			return s, s.ID, err
		}()
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			a      role.Actor
			search string
			want   error
		}{
			"without a search": {a, "", resident.ErrSearch},
			"another's search": {w.Operator("prova", 71, "R31"), search, resident.ErrSearch},
			"another ente's":   {there, theirs, resident.ErrNotFound},
			"with the own":     {a, search, nil},
		} {
			if _, err := w.Residents.Open(t.Context(), c.a, r.ID, c.search); !errors.Is(err, c.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		w.Move(2 * time.Hour)
		if _, err := w.Residents.Open(t.Context(), a, r.ID, search); !errors.Is(err, resident.ErrSearch) {
			t.Error("a search holds an hour:", err)
		}
		// The reason is in the log, apart, and nothing personal is in what stays.
		rows, err := w.Audit.Read(t.Context(), audit.Filter{Ente: "prova", Kinds: []string{audit.RegistrySearched}})
		if err != nil || len(rows) < 4 || rows[len(rows)-1].Personal["reason"] != why {
			t.Fatal(err, rows)
		}
		for _, e := range rows {
			if s := fmt.Sprint(e.Detail); strings.Contains(s, why) || strings.Contains(strings.ToLower(s), "pag") {
				t.Error(s)
			}
		}
	})
}

// A person sees the own record and of the family what a certificate shows; erasing and the
// list of accesses of one leave another family's rows alone.
func TestOwn(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		a := w.Operator("prova", 1, "R31")
		i, _ := upload(t, w, a, file(line(30, "codice_famiglia", "A"), line(31, "codice_famiglia", "A", "relazione", "Figlia", "stato_civile", ""), line(32, "codice_famiglia", "B"), line(33, "codice_famiglia", "A")))
		if err := confirm(w, a, i, nil); err != nil {
			t.Fatal(err)
		}
		i, _ = upload(t, w, a, file(line(30, "codice_famiglia", "A"), line(31, "codice_famiglia", "A", "relazione", "Figlia", "stato_civile", ""), line(32, "codice_famiglia", "B")))
		if err := confirm(w, a, i, func(x *resident.Decision) { x.Gone = true }); err != nil {
			t.Fatal(err)
		}
		own, err := w.Residents.Of(t.Context(), w.Store, "prova", pki.Invented(30).CF)
		if err != nil || len(own.Family) != 2 || !own.Here || own.Address != "Via Prova 30" {
			t.Fatal(err, own)
		}
		text := fmt.Sprintf("%+v", own.Family)
		for _, other := range []int{31, 32, 33} {
			if strings.Contains(text, pki.Invented(other).CF) {
				t.Error("a relative's code is shown")
			}
		}
		if !strings.Contains(text, "Figlia") || strings.Contains(text, pki.Invented(32).Given+" "+pki.Invented(32).Surname) {
			t.Error(text)
		}
		if gone, err := w.Residents.Of(t.Context(), w.Store, "prova", pki.Invented(33).CF); err != nil || gone.Here || len(gone.Family) != 0 {
			t.Error("whoever is gone sees a family:", err, gone)
		}
		if _, err := w.Residents.Of(t.Context(), w.Store, "altro", pki.Invented(30).CF); !errors.Is(err, resident.ErrNotFound) {
			t.Error("another ente:", err)
		}
		// A community on one sheet is no family.
		var home []string
		for n := range 21 {
			home = append(home, line(1000+n, "codice_famiglia", "C"))
		}
		i, err = w.Residents.Upload(t.Context(), a, "casa.csv", false, bytes.NewReader(file(home...)))
		if err != nil || confirm(w, a, i, nil) != nil {
			t.Fatal(err)
		}
		if o, err := w.Residents.Of(t.Context(), w.Store, "prova", provisional(1000)); err != nil || !o.Here || len(o.Family) != 0 {
			t.Error("a community's people see each other:", err, o)
		}
		// Looked at: who has an account sees that somebody looked, and only at oneself.
		ids := map[int]int64{}
		for _, n := range []int{30, 32} {
			err := w.Store.Tx(t.Context(), func(tx *sql.Tx) error {
				p, err := person.EnsureAccount(t.Context(), tx, person.Natural, pki.Invented(n).CF, "Prova", "Esempio", w.Today())
				if err == nil {
					ids[n] = p.ID
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			r, search := find(t, w, a, n)
			if _, err := w.Residents.Open(t.Context(), a, r.ID, search); err != nil {
				t.Fatal(err)
			}
		}
		for n, id := range ids {
			rows, err := w.Audit.Accesses(t.Context(), id, 50)
			if err != nil || len(rows) != 1 || rows[0].Kind != audit.PersonRead || len(rows[0].Personal) != 0 {
				t.Error(n, err, rows)
			}
			for _, e := range rows {
				if strings.Contains(fmt.Sprintf("%+v", e), why) {
					t.Error("the desk's reason is shown to the person")
				}
			}
		}
		w.Move(time.Hour)
		if _, err := w.Audit.Erase(t.Context(), "prova", ids[30], w.Today(), "prova"); err != nil {
			t.Fatal(err)
		}
		all, err := w.Audit.Read(t.Context(), audit.Filter{Ente: "prova"})
		if err != nil {
			t.Fatal(err)
		}
		kept := fmt.Sprintf("%+v", all)
		if strings.Contains(kept, pki.Invented(30).CF) || !strings.Contains(kept, pki.Invented(32).CF) {
			t.Error("erasing one person left its code, or took another's")
		}
	})
}

// 50,000 people on an empty database, then the same file again, on both engines.
func BenchmarkImport(b *testing.B) {
	var lines []string
	for n := range 50_000 {
		lines = append(lines, line(1000+n))
	}
	data := file(lines...)
	for _, e := range []store.Engine{store.SQLite, store.Postgres} {
		b.Run(string(e), func(b *testing.B) {
			for b.Loop() {
				w := town.New(b, storetest.New(b, e))
				a := w.Operator("prova", 1, "R31")
				for range 2 {
					i, err := w.Residents.Upload(context.Background(), a, "x.csv", true, bytes.NewReader(data))
					if err == nil {
						err = w.Residents.Confirm(context.Background(), a, i.ID, resident.Decision{SHA256: i.SHA256, Plan: i.Plan()})
					}
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
