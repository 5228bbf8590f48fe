package credential_test

import (
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/credential"
	"github.com/citel-pa/citel/server/envelope"
	"github.com/citel-pa/citel/server/foureyes"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/testdata/town"
)

// media makes an active media credential of a person, released by the desk of prova.
func media(t *testing.T, tn *town.Town, who int) (username string, p *person.Person) {
	t.Helper()
	printer, urp := tn.Operator("prova", 30+2*who, "R8"), tn.Operator("prova", 31+2*who, "R16")
	sheet := tn.Print(printer, 1)[0]
	f := town.FormOf(who)
	h, err := tn.Envelopes.HandOut(t.Context(), urp, envelope.Release{Code: sheet.Code, Form: &f, Document: tn.Document()})
	if err != nil {
		t.Fatal(err)
	}
	_, err = tn.Envelopes.Activate(t.Context(), tn.Browser(tn.Citizens).Writer(), nil, envelope.Activation{
		Ente: "prova", Username: sheet.Username, PIN: []byte(sheet.PIN), Holder: []byte(h.Holder), Password: []byte(password), Address: home})
	if err != nil {
		t.Fatal(err)
	}
	return sheet.Username, h.Person
}

// A password reset at the desk: a sheet, changed at first use; with the card without a
// desk; with four eyes on a second operator confirms.
func TestMediaReset(t *testing.T) {
	town.Each(t, func(t *testing.T, tn *town.Town) {
		d := tn.Credentials
		username, p := media(t, tn, 0)
		desk, elsewhere, weak := tn.Operator("prova", 5, "R8"), tn.Operator("altro", 6, "R8"), tn.Operator("prova", 7, "R7")
		all, err := d.Of(t.Context(), desk, p.ID)
		if err != nil || len(all) != 1 {
			t.Fatalf("%+v, %v", all, err)
		}
		id := all[0].ID
		for name, c := range map[string]struct{ err, want error }{
			"elsewhere":   {second(d.Reset(t.Context(), elsewhere, id, "CI 1")), credential.ErrNotFound},
			"no right":    {second(d.Reset(t.Context(), weak, id, "CI 1")), role.ErrDenied},
			"no document": {second(d.Reset(t.Context(), desk, id, " ")), credential.ErrReason},
			"own":         {second(d.Reset(t.Context(), tn.Operator("prova", 0, "R8"), id, "CI 1")), credential.ErrSelf},
			"state, own":  {d.SetState(t.Context(), role.Actor{Operator: 99, Ente: "prova", Code: town.FormOf(0).Code, Roles: []string{"R8"}}, id, credential.Suspended, "x"), credential.ErrSelf},
			"state, else": {d.SetState(t.Context(), elsewhere, id, credential.Suspended, "x"), credential.ErrNotFound},
		} {
			if !errors.Is(c.err, c.want) {
				t.Errorf("%s: %v", name, c.err)
			}
		}
		b := tn.Browser(tn.Citizens)
		if _, err := login(tn, b, t, username, password); err != nil {
			t.Fatal(err)
		}
		sheet, err := d.Reset(t.Context(), desk, id, "CI 1")
		if err != nil || sheet.Username != username || b.Session(t) != nil {
			t.Fatalf("%+v, %v", sheet, err)
		}
		s, change, err := d.Login(t.Context(), b.Writer(), nil, credential.Login{Ente: "prova", Username: username, Password: []byte(sheet.Password), Address: home})
		if err != nil || !change || s.Level != session.None || s.Person != 0 {
			t.Fatalf("%+v, %v, %v", s, change, err)
		}
		if s, err = d.ChangeFirst(t.Context(), b.Writer(), b.Session(t), []byte(other), home); err != nil || s.Level != session.Media {
			t.Fatalf("%+v, %v", s, err)
		}
		if _, err := d.ChangeFirst(t.Context(), b.Writer(), b.Session(t), []byte(password), home); !errors.Is(err, credential.ErrRefused) {
			t.Errorf("once more: %v", err)
		}
		if _, err := login(tn, tn.Browser(tn.Citizens), t, username, sheet.Password); !errors.Is(err, credential.ErrRefused) {
			t.Errorf("the sheet's password afterwards: %v", err)
		}
		before := b.Session(t)
		after, err := d.ChangePassword(t.Context(), b.Writer(), before, []byte(other), []byte(password), home)
		if err != nil || after.Binding == before.Binding || b.Session(t) == nil {
			t.Errorf("%v", err)
		}
		if _, err := d.ChangePassword(t.Context(), b.Writer(), b.Session(t), []byte(other), []byte("ancora un'altra frase"), home); !errors.Is(err, credential.ErrRefused) {
			t.Errorf("with a wrong old one: %v", err)
		}
		if _, err := d.ResetByCard(t.Context(), b.Writer(), b.Session(t), id, []byte(other), home); !errors.Is(err, credential.ErrRefused) {
			t.Errorf("by card without a card: %v", err)
		}
		forte := *b.Session(t)
		forte.Level = session.Forte
		if _, err := d.ResetByCard(t.Context(), b.Writer(), &forte, id, []byte(other), home); err != nil {
			t.Errorf("by card: %v", err)
		}
		// Four eyes.
		admin, eyes := tn.Operator("prova", 8, "R6"), tn.Operator("prova", 9, "R8")
		e, err := tn.Enti.Get(t.Context(), "prova")
		if err != nil {
			t.Fatal(err)
		}
		e.FourEyes = true
		if err := tn.Enti.Update(t.Context(), admin, *e); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Reset(t.Context(), desk, id, "CI 1"); !errors.Is(err, foureyes.ErrPending) {
			t.Fatal(err)
		}
		if _, err := d.ResetGranted(t.Context(), desk, id); !errors.Is(err, credential.ErrState) {
			t.Errorf("printed before it is confirmed: %v", err)
		}
		list, err := tn.Four.List(t.Context(), eyes)
		if err != nil || len(list) != 1 {
			t.Fatalf("%+v, %v", list, err)
		}
		if err := tn.Four.Decide(t.Context(), eyes, list[0].ID, true); err != nil {
			t.Fatal(err)
		}
		if _, err := login(tn, tn.Browser(tn.Citizens), t, username, other); !errors.Is(err, credential.ErrRefused) {
			t.Errorf("the old password: %v", err)
		}
		if sheet, err = d.ResetGranted(t.Context(), desk, id); err != nil {
			t.Fatal(err)
		}
		if _, err := d.ResetGranted(t.Context(), desk, id); !errors.Is(err, credential.ErrState) {
			t.Errorf("printed twice: %v", err)
		}
		tn.Move(31 * 24 * time.Hour)
		if _, err := login(tn, tn.Browser(tn.Citizens), t, username, sheet.Password); !errors.Is(err, credential.ErrRefused) {
			t.Errorf("after a month: %v", err)
		}
	})
}

func second[T any](_ T, err error) error { return err }

// A card that a desk suspended opens nothing; another of the same person does.
func TestCards(t *testing.T) {
	town.Each(t, func(t *testing.T, tn *town.Town) {
		_, p := media(t, tn, 0)
		desk := tn.Operator("prova", 5, "R8")
		use := func(certificate string) (c *credential.Credential, err error) {
			err = tn.Store.Tx(t.Context(), func(tx *sql.Tx) error {
				c, err = tn.Credentials.EnsureCard(t.Context(), tx, "altro", p, []byte(certificate))
				return err
			})
			return c, err
		}
		c, err := use("una")
		if err != nil {
			t.Fatal(err)
		}
		if again, err := use("una"); err != nil || again.ID != c.ID {
			t.Errorf("%+v, %v", again, err)
		}
		if err := tn.Credentials.SetState(t.Context(), desk, c.ID, credential.Suspended, "smarrita"); err != nil {
			t.Fatal(err)
		}
		if _, err := use("una"); !errors.Is(err, credential.ErrRefused) {
			t.Errorf("suspended: %v", err)
		}
		if _, err := use("due"); err != nil {
			t.Errorf("another card: %v", err)
		}
		mine, err := tn.Audit.Accesses(t.Context(), p.ID, 0)
		if err != nil || len(mine) == 0 || mine[0].Kind != audit.CredentialState {
			t.Errorf("%+v, %v", mine, err)
		}
	})
}
