package mandate_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/png"
	"io"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/attachment"
	"github.com/citel-pa/citel/server/mandate"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/town"
)

func picture(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 40, 40))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// scanner says the same of each file.
type scanner struct {
	clean bool
	err   error
}

func (s scanner) Scan(context.Context, io.Reader, int64) (attachment.Verdict, error) {
	return attachment.Verdict{Clean: s.clean, Threat: "Prova"}, s.err
}

// A child's, a ward's and a company's mandate is asked with a proof, and the desk decides.
func TestAskedWithAProof(t *testing.T) {
	town.Each(t, func(t *testing.T, town *town.Town) {
		d := town.Mandates
		ctx := t.Context()
		parent := account(t, town, person.Natural, pki.Invented(2).CF)
		by := mandate.By{Person: parent, Level: session.Media}
		file := picture(t)
		wish := func(f func(*mandate.Wish)) mandate.Wish {
			w := mandate.Wish{Kind: mandate.Minor, Code: town.Child(5), Given: "Nina", Name: "Esempio", Title: "Genitore", Since: town.Today().Format(time.DateOnly),
				Proof: bytes.NewReader(file), Size: int64(len(file)), File: `C:\carte\nascita.png`}
			f(&w)
			return w
		}
		for name, c := range map[string]struct {
			w    mandate.Wish
			want error
		}{
			"no proof":         {wish(func(w *mandate.Wish) { w.Proof, w.Size = nil, 0 }), mandate.ErrProof},
			"not its code":     {wish(func(w *mandate.Wish) { w.Code = "AAAAAA00A00A000A" }), mandate.ErrInvalid},
			"of age":           {wish(func(w *mandate.Wish) { w.Code = pki.Invented(3).CF }), mandate.ErrInvalid},
			"no name":          {wish(func(w *mandate.Wish) { w.Given = " \x00" }), mandate.ErrInvalid},
			"a child gives it": {wish(func(w *mandate.Wish) { w.Giving = true }), mandate.ErrLevel},
			"in the past":      {wish(func(w *mandate.Wish) { w.Since = "2020-01-01" }), mandate.ErrInvalid},
			"for oneself":      {wish(func(w *mandate.Wish) { w.Kind, w.Code = mandate.Ward, pki.Invented(2).CF }), mandate.ErrInvalid},
		} {
			if _, err := d.Ask(ctx, "prova", by, c.w); !errors.Is(err, c.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		var refused *attachment.Refused
		hostile := []byte("<script>alert(1)</script>")
		if _, err := d.Ask(ctx, "prova", by, wish(func(w *mandate.Wish) {
			w.Proof, w.Size, w.File = bytes.NewReader(hostile), int64(len(hostile)), "x.pdf"
		})); !errors.As(err, &refused) || refused.Code != "type" {
			t.Error("a script named .pdf", err)
		}
		d.Scanner = scanner{clean: false}
		if _, err := d.Ask(ctx, "prova", by, wish(func(*mandate.Wish) {})); !errors.As(err, &refused) {
			t.Error("what the scanner found", err)
		}
		d.Scanner = scanner{err: attachment.ErrScanner}
		if _, err := d.Ask(ctx, "prova", by, wish(func(*mandate.Wish) {})); !errors.Is(err, attachment.ErrScanner) {
			t.Error("no verdict", err)
		}
		d.Scanner = nil

		m, err := d.Ask(ctx, "prova", by, wish(func(*mandate.Wish) {}))
		if err != nil || m.State != mandate.Asked || m.Until == "" || m.Proof != "nascita.png" {
			t.Fatalf("%+v %v", m, err)
		}
		if _, err := d.Acting(ctx, "prova", m.ID, parent); !errors.Is(err, mandate.ErrState) {
			t.Error("asked, and it holds", err)
		}
		// Nobody online says yes in the child's place, whoever claims to be it.
		if err := d.Decide(ctx, "prova", m.ID, mandate.By{Person: m.Principal, Level: session.Forte}, true); !errors.Is(err, mandate.ErrState) {
			t.Error("the child accepts", err)
		}
		if p, r, err := d.OwnProof(ctx, "prova", m.ID, parent); err != nil || p.Kind != attachment.PNG {
			t.Error(p, err)
		} else if got, err := io.ReadAll(r); err != nil || r.Close() != nil || !bytes.Equal(got, file) {
			t.Error("the proof is another", err)
		}
		if _, _, err := d.OwnProof(ctx, "prova", m.ID, m.Principal); !errors.Is(err, mandate.ErrNotFound) {
			t.Error("another's proof", err)
		}
		desk, elsewhere, none := town.Operator("prova", 40, "R8"), town.Operator("altro", 41, "R8"), town.Operator("prova", 42, "R11")
		own := town.Operator("prova", 2, "R8") // the parent's other job
		for name, c := range map[string]struct {
			a    role.Actor
			want error
		}{"another ente": {elsewhere, mandate.ErrNotFound}, "no right": {none, role.ErrDenied}, "the own": {own, mandate.ErrSelf}} {
			if err := d.DecideAtDesk(ctx, c.a, m.ID, true, "", ""); !errors.Is(err, c.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if all, err := d.Waiting(ctx, desk); err != nil || len(all) != 1 {
			t.Error(all, err)
		}
		if all, err := d.Waiting(ctx, elsewhere); err != nil || len(all) != 0 {
			t.Error(all, err)
		}
		if _, _, err := d.OpenProof(ctx, elsewhere, m.ID, m.ID); !errors.Is(err, mandate.ErrNotFound) {
			t.Error("another ente's proof", err)
		}
		if p, r, err := d.OpenProof(ctx, desk, m.ID, m.ID); err != nil || p.Name != "nascita.png" || r.Close() != nil {
			t.Error("the desk does not read what was sent", p, err)
		}
		if err := d.DecideAtDesk(ctx, desk, m.ID, false, "", " "); !errors.Is(err, mandate.ErrReason) {
			t.Error("refused without a reason", err)
		}
		if err := d.DecideAtDesk(ctx, desk, m.ID, true, "", ""); err != nil {
			t.Fatal(err)
		}
		if err := d.DecideAtDesk(ctx, desk, m.ID, false, "", "ripensato"); !errors.Is(err, mandate.ErrState) {
			t.Error("decided twice", err)
		}
		if got, err := d.Acting(ctx, "prova", m.ID, parent); err != nil || !got.Covers("iscrizione-nido", town.Today()) {
			t.Error(got, err)
		}
		// A name that is there stays, whatever the next one writes.
		second := account(t, town, person.Natural, pki.Invented(4).CF)
		if _, err := d.Ask(ctx, "prova", mandate.By{Person: second, Level: session.Media}, wish(func(w *mandate.Wish) { w.Given = "Altra" })); err != nil {
			t.Fatal(err)
		}
		if p, err := person.Get(ctx, town.Store, m.Principal); err != nil || p.Given != "Nina" {
			t.Error(p, err)
		}
		company := wish(func(w *mandate.Wish) {
			w.Kind, w.Code, w.Name, w.Title = mandate.Company, "00743110157", "Esempio Srl", "Legale rappresentante"
		})
		if m, err := d.Ask(ctx, "prova", by, company); err != nil || d.DecideAtDesk(ctx, desk, m.ID, false, "", "manca la visura") != nil {
			t.Error(m, err)
		}
	})
}

// A person under 18 neither asks to act nor is asked; who is asked gets a mail, and cannot
// be flooded.
func TestAskedOfPeople(t *testing.T) {
	town.Each(t, func(t *testing.T, town *town.Town) {
		d, ctx := town.Mandates, t.Context()
		one, child := account(t, town, person.Natural, pki.Invented(1).CF), account(t, town, person.Natural, town.Child(6))
		today := town.Today().Format(time.DateOnly)
		w := mandate.Wish{Kind: mandate.Delegate, Code: pki.Invented(2).CF, Title: "Delegato", Since: today}
		for name, by := range map[string]mandate.By{
			"a child acts": {Person: child, Level: session.Forte},
		} {
			if _, err := d.Ask(ctx, "prova", by, w); !errors.Is(err, mandate.ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		giving := w
		giving.Giving, giving.Code = true, town.Child(6)
		if _, err := d.Ask(ctx, "prova", mandate.By{Person: one, Level: session.Forte}, giving); !errors.Is(err, mandate.ErrInvalid) {
			t.Error("a child is asked to act", err)
		}
		giving.Code = pki.Invented(2).CF
		if _, err := d.Ask(ctx, "prova", mandate.By{Person: one, Level: session.Media}, giving); !errors.Is(err, mandate.ErrLevel) {
			t.Error("power is given without a card", err)
		}
		if _, err := d.Ask(ctx, "prova", mandate.By{Person: one, Level: session.Debole}, w); !errors.Is(err, mandate.ErrLevel) {
			t.Error("a debole asks", err)
		}
		known := account(t, town, person.Natural, pki.Invented(2).CF)
		if _, err := town.Store.ExecContext(ctx, "INSERT INTO record (person, ente, form, created, changed) VALUES (?, 'prova', ?, '', '')", known, `{"form":{"email":"due@example.org"}}`); err != nil {
			t.Fatal(err)
		}
		m, err := d.Ask(ctx, "prova", mandate.By{Person: one, Level: session.Media}, w)
		if err != nil {
			t.Fatal(err)
		}
		if got := town.Mails("due@example.org"); len(got) != 1 || got[0] != [2]string{"mandate-asked", "/deleghe"} {
			t.Error(got)
		}
		if err := d.Decide(ctx, "prova", m.ID, mandate.By{Person: known, Level: session.Media}, false); err != nil {
			t.Error("to refuse needs no card", err)
		}
		n := 0
		for i := 3; i < 20; i++ {
			w.Code = pki.Invented(i).CF
			if _, err = d.Ask(ctx, "prova", mandate.By{Person: one, Level: session.Media}, w); err != nil {
				break
			}
			n++
		}
		if n != 10 || !errors.Is(err, mandate.ErrTooMany) {
			t.Error(n, err)
		}
	})
}
