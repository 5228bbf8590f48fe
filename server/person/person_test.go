package person_test

import (
	"database/sql"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/server/foureyes"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/town"
)

// The check character blocks; incoherence warns and wants a reason; omocodia, the
// provisional code, people born abroad and single names have a way.
func TestForm(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	with := func(n int, change func(*person.Form)) person.Form {
		f := town.FormOf(n)
		change(&f)
		return f
	}
	nothing := func(*person.Form) {}
	for name, c := range map[string]struct {
		form     person.Form
		errs     []string // fields
		warnings []string
	}{
		"good":              {with(0, nothing), nil, nil},
		"lower case":        {with(0, func(f *person.Form) { f.Code = " cttprv80a10g702c " }), nil, nil},
		"check character":   {with(0, func(f *person.Form) { f.Code = "CTTPRV80A10G702D" }), []string{"code"}, nil},
		"empty":             {person.Form{}, []string{"birthPlace", "born", "code", "family", "sex"}, nil},
		"other family name": {with(0, func(f *person.Form) { f.Family = "Rossi" }), []string{"reason"}, []string{"warn-family"}},
		"with a reason":     {with(0, func(f *person.Form) { f.Family, f.Reason = "Rossi", "cognome cambiato" }), nil, []string{"warn-family"}},
		"other given name":  {with(0, func(f *person.Form) { f.Given = "Ugo" }), []string{"reason"}, []string{"warn-given"}},
		"other day":         {with(0, func(f *person.Form) { f.Born = "11-01-1980" }), []string{"reason"}, []string{"warn-born"}},
		"a century before":  {with(0, func(f *person.Form) { f.Born = "10-01-1980" }), nil, nil},
		"other sex":         {with(0, func(f *person.Form) { f.Sex = "F" }), []string{"reason"}, []string{"warn-sex"}},
		"born abroad":       {with(2, func(f *person.Form) { f.BirthPlace, f.BirthState = "", "Stati Uniti" }), nil, nil},
		"abroad, no state":  {with(2, nothing), []string{"reason"}, []string{"warn-state"}},
		"state, code not":   {with(0, func(f *person.Form) { f.BirthPlace, f.BirthState = "", "Francia" }), []string{"reason"}, []string{"warn-place"}},
		"omocodia":          {with(3, nothing), nil, nil},
		"single name":       {with(0, func(f *person.Form) { f.Given = "" }), []string{"reason"}, []string{"warn-single-name"}},
		"provisional":       {with(0, func(f *person.Form) { f.Code = "00000000000" }), []string{"reason"}, []string{"warn-provisional"}},
		"provisional, bad":  {with(0, func(f *person.Form) { f.Code = "00000000001" }), []string{"code"}, nil},
		"dates":             {with(0, func(f *person.Form) { f.Born = "1980-01-10" }), []string{"born"}, nil},
		"tomorrow":          {with(0, func(f *person.Form) { f.Born = "26-11-2026" }), []string{"born"}, nil},
		"contacts":          {with(0, func(f *person.Form) { f.CAP, f.Phone, f.Email = "5612", "abc", "x@y" }), []string{"cap", "email", "phone"}, nil},
		"control":           {with(0, func(f *person.Form) { f.Family = "Citta\u202edino\x00" }), []string{"reason"}, []string{"warn-family"}},
		"long":              {with(0, func(f *person.Form) { f.Residence = string(make([]byte, 1000)) + "xxxxxxxxx" }), nil, nil},
	} {
		if name == "control" { // what is left is the two words
			c.errs, c.warnings = nil, nil
		}
		clean, errs, warnings := c.form.Check(now)
		var fields []string
		for f := range errs {
			fields = append(fields, f)
		}
		slices.Sort(fields)
		if !slices.Equal(fields, c.errs) || !slices.Equal(warnings, c.warnings) {
			t.Errorf("%s: errors %v, warnings %v", name, errs, warnings)
		}
		if len(errs) == 0 { // a clean form is clean
			again, errs, w := clean.Check(now)
			if again != clean || len(errs) > 0 || !slices.Equal(w, warnings) {
				t.Errorf("%s: checked twice: %+v, %v, %v", name, again, errs, w)
			}
		}
	}
}

func FuzzForm(f *testing.F) {
	f.Add("CTTPRV80A10G702C", "Cittadino", "Prova", "10-01-1980", "Pisa", "", "M", "")
	f.Add("00000000000", "", "x", "31-12-2999", "", "Z", "f", "r")
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, code, family, given, born, place, state, sex, reason string) {
		clean, errs, warnings := person.Form{Code: code, Family: family, Given: given, Born: born, BirthPlace: place, BirthState: state, Sex: sex, Reason: reason}.Check(now)
		if len(errs) > 0 {
			return
		}
		if _, err := profile.ParseCodiceFiscale(clean.Code); err != nil {
			t.Errorf("taken: %q", clean.Code)
		}
		if len(warnings) > 0 && clean.Reason == "" {
			t.Errorf("%v without a reason", warnings)
		}
		again, errs, _ := clean.Check(now)
		if again != clean || len(errs) > 0 {
			t.Errorf("%+v becomes %+v, %v", clean, again, errs)
		}
	})
}

// known makes an account that an ente has a record of.
func known(t *testing.T, tn *town.Town, who int, code string) *person.Person {
	t.Helper()
	var p *person.Person
	f := town.FormOf(who)
	err := tn.Store.Tx(t.Context(), func(tx *sql.Tx) (err error) {
		if p, err = person.EnsureAccount(t.Context(), tx, person.Natural, f.Code, f.Given, f.Family, tn.Today()); err != nil {
			return err
		}
		if code == "" {
			return nil
		}
		return person.Keep(t.Context(), tx, p.ID, code, person.Record{Form: &f}, tn.Today())
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// An operator sees a person only if the own ente has to do with it; walking ids finds
// nobody else, and "Verifica Precedenti" tells that somebody is there and no more.
func TestVisible(t *testing.T) {
	town.Each(t, func(t *testing.T, tn *town.Town) {
		here, there, nowhere := known(t, tn, 0, "prova"), known(t, tn, 1, "altro"), known(t, tn, 2, "")
		a := tn.Operator("prova", 10, "R16")
		for id := int64(0); id < nowhere.ID+3; id++ {
			f, err := tn.People.Open(t.Context(), a, id)
			if id == here.ID {
				if err != nil || f.Record == nil || f.Record.Form.Code != here.CodiceFiscale {
					t.Errorf("%+v, %v", f, err)
				}
			} else if !errors.Is(err, person.ErrNotFound) {
				t.Errorf("id %d: %+v, %v", id, f, err)
			}
		}
		all, err := tn.People.Search(t.Context(), a, person.Query{})
		if err != nil || len(all) != 1 || all[0].ID != here.ID {
			t.Errorf("%+v, %v", all, err)
		}
		for _, q := range []person.Query{{Family: "cittad"}, {Given: "PROVA", Family: "Cittadino"}, {Code: here.CodiceFiscale}} {
			if all, err := tn.People.Search(t.Context(), a, q); err != nil || len(all) != 1 {
				t.Errorf("%+v: %+v, %v", q, all, err)
			}
		}
		for _, q := range []person.Query{{Family: "%"}, {Family: "_ittadino"}, {Code: there.CodiceFiscale}, {Family: there.Family}, {After: here.ID}} {
			if all, err := tn.People.Search(t.Context(), a, q); err != nil || len(all) != 0 {
				t.Errorf("%+v: %+v, %v", q, all, err)
			}
		}
		for _, c := range []struct {
			code         string
			exists, seen bool
		}{{here.CodiceFiscale, true, true}, {there.CodiceFiscale, true, false}, {nowhere.CodiceFiscale, true, false}, {pki.Citizens[3].CF, false, false}} {
			p, err := tn.People.Precedents(t.Context(), a, person.Natural, c.code)
			if err != nil || p.Exists != c.exists || (p.Here != nil) != c.seen {
				t.Errorf("%s: %+v, %v", c.code, p, err)
			}
		}
		if _, err := tn.People.Precedents(t.Context(), tn.Operator("prova", 11, "R6"), person.Natural, here.CodiceFiscale); !errors.Is(err, role.ErrDenied) {
			t.Errorf("%v", err)
		}
	})
}

// A code changes by an act with a document, keeps its history, and is never anybody
// else's nor the operator's own.
func TestCodeChange(t *testing.T) {
	town.Each(t, func(t *testing.T, tn *town.Town) {
		p, taken := known(t, tn, 0, "prova"), known(t, tn, 1, "altro")
		a := tn.Operator("prova", 10, "R-Ente")
		fresh := pki.Citizens[3].CF
		change := func(a role.Actor, code, document string) error {
			return tn.People.ChangeCode(t.Context(), a, person.CodeChange{Person: p.ID, Code: code, Document: document, Reason: "omocodia"})
		}
		for name, c := range map[string]struct{ err, want error }{
			"no document": {change(a, fresh, " "), person.ErrReason}, "taken": {change(a, taken.CodiceFiscale, "d"), person.ErrCodeTaken},
			"no code": {change(a, "X", "d"), profile.ErrCodiceFiscale}, "no right": {change(tn.Operator("prova", 11, "R8"), fresh, "d"), role.ErrDenied},
			"other ente": {change(tn.Operator("altro", 12, "R-Ente"), fresh, "d"), person.ErrNotFound},
			"own":        {change(tn.Operator("prova", 0, "R-Ente"), fresh, "d"), person.ErrSelf}, "to the own": {change(a, town.FormOf(10).Code, "d"), person.ErrSelf},
		} {
			if !errors.Is(c.err, c.want) {
				t.Errorf("%s: %v", name, c.err)
			}
		}
		if err := change(a, fresh, "certificato dell'Agenzia"); err != nil {
			t.Fatal(err)
		}
		f, err := tn.People.Open(t.Context(), a, p.ID)
		if err != nil || f.Person.CodiceFiscale != fresh || len(f.Old) != 1 || f.Old[0].Code != p.CodiceFiscale || f.Old[0].Document == "" {
			t.Fatalf("%+v, %v", f, err)
		}
		if all, err := tn.People.Search(t.Context(), a, person.Query{Code: p.CodiceFiscale}); err != nil || len(all) != 1 {
			t.Errorf("not found by the old code: %v, %v", all, err)
		}
		// With four eyes on it waits.
		e, err := tn.Enti.Get(t.Context(), "prova")
		if err != nil {
			t.Fatal(err)
		}
		e.FourEyes = true
		second := tn.Operator("prova", 13, "R-Ente", "R6")
		if err := tn.Enti.Update(t.Context(), second, *e); err != nil {
			t.Fatal(err)
		}
		if err := change(a, p.CodiceFiscale, "errore"); !errors.Is(err, foureyes.ErrPending) {
			t.Fatal(err)
		}
		list, err := tn.Four.List(t.Context(), second)
		if err != nil || len(list) != 1 {
			t.Fatalf("%+v, %v", list, err)
		}
		if err := tn.Four.Decide(t.Context(), second, list[0].ID, true); err != nil {
			t.Fatal(err)
		}
		if got, err := person.Get(t.Context(), tn.Store, p.ID); err != nil || got.CodiceFiscale != p.CodiceFiscale {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

// The same card at the same time in two processes makes one account.
func TestEnsureTogether(t *testing.T) {
	town.Each(t, func(t *testing.T, tn *town.Town) {
		ids := make(chan int64, 8)
		for range 8 {
			go func() {
				var id int64
				err := tn.Store.Tx(t.Context(), func(tx *sql.Tx) error {
					p, err := person.Ensure(t.Context(), tx, profile.Person{CodiceFiscale: profile.CodiceFiscale(town.FormOf(0).Code)}, tn.Today())
					if err == nil {
						id = p.ID
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
				ids <- id
			}()
		}
		first := <-ids
		for range 7 {
			if got := <-ids; got != first {
				t.Errorf("%d and %d", first, got)
			}
		}
	})
}
