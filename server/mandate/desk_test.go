package mandate_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/attachment"
	"github.com/citel-pa/citel/server/mandate"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/town"
)

func party(n int) person.Party {
	p := pki.Invented(n)
	return person.Party{Kind: person.Natural, Code: p.CF, Given: p.Given, Family: p.Surname}
}

func count(t *testing.T, w *town.Town, query string, args ...any) (n int) {
	t.Helper()
	if err := w.Store.QueryRowContext(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Accounts are made with the mandate or not at all; a search says why, and is seen.
func TestAtDesk(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		ctx, d := t.Context(), w.Mandates
		desk := w.Operator("prova", 1, "R8")
		m := mandate.Mandate{Kind: mandate.Delegate, Title: "Delegato", Since: w.Today().Format(time.DateOnly), Proof: "Carta d'identità CA00000AA"}
		bad := m
		bad.Title = ""
		var invalid *mandate.InvalidError
		if _, err := d.GrantTo(ctx, desk, bad, party(2), party(3)); !errors.As(err, &invalid) || invalid.Code != "title" {
			t.Error(err)
		}
		if n := count(t, w, "SELECT count(*) FROM person WHERE code IN (?, ?)", pki.Invented(2).CF, pki.Invented(3).CF); n != 0 {
			t.Errorf("%d accounts of a mandate that was not granted", n)
		}
		got, err := d.GrantTo(ctx, desk, m, party(2), party(3))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.GrantTo(ctx, desk, m, party(1), party(3)); !errors.Is(err, mandate.ErrSelf) {
			t.Error("over oneself", err)
		}
		for _, q := range []mandate.Query{{Code: pki.Invented(2).CF, Reason: "allo sportello"}, {Family: pki.Invented(3).Surname, Given: pki.Invented(3).Given, Reason: "allo sportello"}} {
			found, err := d.Search(ctx, desk, q)
			if err != nil || len(found) != 1 || found[0].ID != got.ID || found[0].Whose.CodiceFiscale != pki.Invented(2).CF {
				t.Errorf("%+v: %v, %v", q, found, err)
			}
		}
		if n := count(t, w, "SELECT count(*) FROM journal j JOIN journal_personal p ON p.ente = j.ente AND p.seq = j.seq WHERE j.kind = 'person-read' AND p.data LIKE '%allo sportello%'"); n != 4 {
			t.Errorf("%d rows of who was seen", n)
		}
		for name, q := range map[string]mandate.Query{"no reason": {Code: pki.Invented(2).CF}, "everybody": {Reason: "curiosità"}} {
			if found, err := d.Search(ctx, desk, q); err == nil {
				t.Error(name, found)
			}
		}
		there := w.Operator("altro", 1, "R8")
		if found, err := d.Search(ctx, there, mandate.Query{Code: pki.Invented(2).CF, Reason: "allo sportello"}); err != nil || len(found) != 0 {
			t.Error("another ente's", found, err)
		}
		if _, err := d.Open(ctx, there, got.ID); !errors.Is(err, mandate.ErrNotFound) {
			t.Error(err)
		}
		if err := d.RevokeAtDesk(ctx, there, got.ID, "non vale"); !errors.Is(err, mandate.ErrNotFound) {
			t.Error(err)
		}
		if err := d.RevokeAtDesk(ctx, desk, got.ID, " "); !errors.Is(err, mandate.ErrReason) {
			t.Error(err)
		}
		if err := d.RevokeAtDesk(ctx, w.Operator("prova", 3, "R8"), got.ID, "non vale"); !errors.Is(err, mandate.ErrSelf) {
			t.Error("who is in it revokes as an operator", err)
		}
		if err := d.RevokeAtDesk(ctx, desk, got.ID, "non vale"); err != nil {
			t.Error(err)
		}
		if _, err := d.AddProof(ctx, desk, got.ID, "x.png", bytes.NewReader(picture(t)), int64(len(picture(t)))); !errors.Is(err, mandate.ErrState) {
			t.Error("a scan of what has ended", err)
		}
		if _, err := d.For(ctx, w.Store, "prova", got.ID, got.Agent, "x"); !errors.Is(err, mandate.ErrNotFound) {
			t.Error("revoked, and it holds", err)
		}
	})
}

// A scan is judged by its content, kept, and opened by whoever may, when it is clean.
func TestProofs(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		ctx, d := t.Context(), w.Mandates
		desk := w.Operator("prova", 1, "R8")
		m, err := d.GrantTo(ctx, desk, mandate.Mandate{Kind: mandate.Delegate, Title: "Delegato", Since: w.Today().Format(time.DateOnly), Proof: "Delega del 2026"}, party(2), party(3))
		if err != nil {
			t.Fatal(err)
		}
		b := bytes.NewBuffer(picture(t))
		var refused *attachment.Refused
		for _, bad := range []string{"<script>", "MZ\x90\x00", "%PDF-1.7\nnothing"} {
			if _, err := d.AddProof(ctx, desk, m.ID, "delega.png", strings.NewReader(bad), int64(len(bad))); !errors.As(err, &refused) {
				t.Errorf("%q: %v", bad, err)
			}
		}
		p, err := d.AddProof(ctx, desk, m.ID, `..\delega"<.exe`, bytes.NewReader(b.Bytes()), int64(b.Len()))
		if err != nil || p.Name != "delega__.exe.png" {
			t.Fatal(p, err)
		}
		_, f, err := d.OpenProof(ctx, desk, m.ID, p.ID)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(f)
		if err := errors.Join(err, f.Close()); err != nil || !bytes.Equal(got, b.Bytes()) {
			t.Error(len(got), err)
		}
		if _, _, err := d.OpenProof(ctx, w.Operator("altro", 1, "R8"), m.ID, p.ID); !errors.Is(err, mandate.ErrNotFound) {
			t.Error(err)
		}
		if _, _, err := d.OpenProof(ctx, w.Operator("prova", 4, "R12"), m.ID, p.ID); !errors.Is(err, role.ErrDenied) {
			t.Error(err)
		}
		// A scanner that gives no verdict: nobody opens it until there is one.
		d.Scanner = scanner{err: attachment.ErrScanner}
		if p, err = d.AddProof(ctx, desk, m.ID, "delega.png", bytes.NewReader(b.Bytes()), int64(b.Len())); err != nil {
			t.Fatal(err)
		}
		if _, _, err := d.OpenProof(ctx, desk, m.ID, p.ID); !errors.Is(err, attachment.ErrScanner) {
			t.Error(err)
		}
		d.Scanner = scanner{}
		for range 2 {
			if _, _, err := d.OpenProof(ctx, desk, m.ID, p.ID); !errors.Is(err, mandate.ErrScan) {
				t.Error(err)
			}
		}
		for range 8 {
			if _, err := d.AddProof(ctx, desk, m.ID, "delega.png", bytes.NewReader(b.Bytes()), int64(b.Len())); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := d.AddProof(ctx, desk, m.ID, "delega.png", bytes.NewReader(b.Bytes()), int64(b.Len())); !errors.Is(err, mandate.ErrProofs) {
			t.Error(err)
		}
		if all, err := d.Proofs(ctx, m); err != nil || len(all) != 10 {
			t.Error(len(all), err)
		}
	})
}
