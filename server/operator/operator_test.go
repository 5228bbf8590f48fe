package operator_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/delay"
	"github.com/citel-pa/citel/server/foureyes"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/limit"
	"github.com/citel-pa/citel/server/onetime"
	"github.com/citel-pa/citel/server/operator"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/town"
)

const password = "una frase nuova di prova"

// link cuts the text out of an invitation.
func link(t *testing.T, s string) string {
	t.Helper()
	text, ok := strings.CutPrefix(s, operator.ActivatePath)
	if !ok {
		t.Fatalf("no link: %q", s)
	}
	return text
}

func code(t *testing.T, e *operator.Enrolment, at time.Time) string {
	t.Helper()
	c, err := totp.GenerateCode(strings.ReplaceAll(e.Secret, " ", ""), at)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The first operator of an ente comes by a one-time link, sets password and second factor,
// logs in with both, and is an administrator of that ente alone.
func TestFirstAccess(t *testing.T) {
	town.Each(t, func(t *testing.T, tn *town.Town) {
		d := tn.Operators
		f := town.FormOf(5)
		inv, err := d.First(t.Context(), role.Actor{}, "prova", f)
		if err != nil || inv.Mailed {
			t.Fatalf("%+v, %v", inv, err)
		}
		again, err := d.First(t.Context(), role.Actor{}, "prova", f) // the link was lost
		if err != nil || again.Operator.ID != inv.Operator.ID {
			t.Fatalf("%+v, %v", again, err)
		}
		if _, err := d.Enrol(t.Context(), link(t, inv.Link)); !errors.Is(err, onetime.ErrLink) {
			t.Errorf("the older link: %v", err)
		}
		text := link(t, again.Link)
		e, err := d.Enrol(t.Context(), text)
		if err != nil || !e.Needed || !strings.HasPrefix(e.Key.URL(), "otpauth://totp/") {
			t.Fatalf("%+v, %v", e, err)
		}
		right := code(t, e, tn.Today())
		for name, x := range map[string]operator.Activation{
			"no factor":    {Link: text, Password: []byte(password)},
			"wrong code":   {Link: text, Password: []byte(password), Code: "000000"},
			"other's card": {Link: text, Password: []byte(password), CardCode: town.FormOf(6).Code},
		} {
			if _, err := d.Activate(t.Context(), x); !errors.Is(err, operator.ErrRefused) {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, weak := range []string{"", "corta", "aaaaaaaaaaaa", f.Code, strings.ToLower(f.Code) + "1"} {
			if _, err := d.Activate(t.Context(), operator.Activation{Link: text, Password: []byte(weak), Code: right}); !errors.Is(err, keys.ErrWeak) {
				t.Errorf("%q: %v", weak, err)
			}
		}
		o, err := d.Activate(t.Context(), operator.Activation{Link: text, Password: []byte(password), Code: right})
		if err != nil || o.State != operator.Active || o.Factor != operator.TOTP {
			t.Fatalf("%+v, %v", o, err)
		}
		if _, err := d.Activate(t.Context(), operator.Activation{Link: text, Password: []byte(password), Code: right}); !errors.Is(err, onetime.ErrLink) {
			t.Errorf("the link twice: %v", err)
		}
		b := tn.Browser(tn.Console)
		login := func(password string) (operator.Next, error) {
			next, _, err := d.Login(t.Context(), b.Writer(), b.Session(t), "prova", strings.ToLower(f.Code), []byte(password), "192.0.2.1:1")
			return next, err
		}
		if next, err := login(password); err != nil || next != operator.AskTOTP {
			t.Fatalf("%s, %v", next, err)
		}
		waiting := b.Session(t)
		if _, err := d.Current(t.Context(), waiting); !errors.Is(err, operator.ErrRefused) || waiting.Operator != 0 {
			t.Errorf("in without the second factor: %+v, %v", waiting, err)
		}
		if _, err := d.Code(t.Context(), b.Writer(), waiting, right, "192.0.2.1:1"); !errors.Is(err, operator.ErrRefused) {
			t.Errorf("the code of the activation once more: %v", err)
		}
		if _, err := d.ByCard(t.Context(), b.Writer(), waiting, f.Code, "192.0.2.1:1"); !errors.Is(err, operator.ErrRefused) {
			t.Errorf("by card where it is TOTP: %v", err)
		}
		tn.Move(time.Minute)
		in, err := d.Code(t.Context(), b.Writer(), waiting, code(t, e, tn.Today()), "192.0.2.1:1")
		if err != nil || in.Binding == waiting.Binding {
			t.Fatalf("%+v, %v", in, err)
		}
		who, err := d.Current(t.Context(), b.Session(t))
		if err != nil || who.ID != o.ID || !operator.Can(who, "prova", role.RolesAssign) || operator.Can(who, "altro", role.RolesAssign) || operator.Can(who, "prova", role.UsersRead) {
			t.Errorf("%+v, %v", who, err)
		}
		// The portal's realm knows nothing of it.
		if s, err := tn.Citizens.Get(t.Context(), b.Request()); s != nil || err != nil {
			t.Errorf("%+v, %v", s, err)
		}
		if err := d.Logout(t.Context(), b.Writer(), b.Session(t), "192.0.2.1:1"); err != nil || b.Session(t) != nil {
			t.Errorf("%v", err)
		}
	})
}

// An unknown user, a wrong password, another ente and one who is not active are refused
// with the same word, and the next tries wait.
func TestRefusedLogins(t *testing.T) {
	town.Each(t, func(t *testing.T, tn *town.Town) {
		d := tn.Operators
		inv, err := d.First(t.Context(), role.Actor{}, "prova", town.FormOf(5))
		if err != nil {
			t.Fatal(err)
		}
		e, err := d.Enrol(t.Context(), link(t, inv.Link))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Activate(t.Context(), operator.Activation{Link: link(t, inv.Link), Password: []byte(password), Code: code(t, e, tn.Today())}); err != nil {
			t.Fatal(err)
		}
		b := tn.Browser(tn.Console)
		try := func(ente, code, password, address string) error {
			_, _, err := d.Login(t.Context(), b.Writer(), nil, ente, code, []byte(password), address)
			return err
		}
		for name, err := range map[string]error{
			"unknown":    try("prova", town.FormOf(6).Code, password, "192.0.2.1:1"),
			"wrong":      try("prova", town.FormOf(5).Code, "sbagliata", "192.0.2.2:1"),
			"empty":      try("prova", town.FormOf(5).Code, "", "192.0.2.3:1"),
			"other ente": try("altro", town.FormOf(5).Code, password, "192.0.2.4:1"),
			"system":     try("", town.FormOf(5).Code, password, "192.0.2.5:1"),
		} {
			if !errors.Is(err, operator.ErrRefused) {
				t.Errorf("%s: %v", name, err)
			}
		}
		var wait *delay.TooSoonError
		for range 5 {
			err = try("prova", town.FormOf(5).Code, "sbagliata", "192.0.2.9:1")
		}
		if !errors.As(err, &wait) {
			t.Errorf("guessing is not slowed down: %v", err)
		}
		// The owner, from elsewhere, is not shut out for long.
		tn.Move(6 * time.Second)
		if err := try("prova", town.FormOf(5).Code, password, "198.51.100.1:1"); err != nil {
			t.Errorf("the owner: %v", err)
		}
		if n := storetest.Count(t, tn.Store, "SELECT count(*) FROM journal WHERE kind = ?", audit.OperatorRefused); n < 5 {
			t.Errorf("%d refusals in the log", n)
		}
	})
}

// Nobody raises the own rights, in no way; rights end at the ente's border.
func TestNobodyRaisesTheOwnRights(t *testing.T) {
	town.Each(t, func(t *testing.T, tn *town.Town) {
		d := tn.Operators
		admin := tn.Operator("prova", 5, "R6")
		colleague := tn.Operator("prova", 6, "R7")
		elsewhere := tn.Operator("altro", 7, "R6")
		if err := d.Assign(t.Context(), admin, colleague.Operator, "R16"); err != nil {
			t.Fatal(err)
		}
		if o, err := d.Open(t.Context(), admin, colleague.Operator); err != nil || len(o.Roles) != 2 {
			t.Errorf("%+v, %v", o, err)
		}
		for name, c := range map[string]struct {
			err, want error
		}{
			"own role":        {d.Assign(t.Context(), admin, admin.Operator, "R9"), operator.ErrSelf},
			"own role away":   {d.Remove(t.Context(), admin, admin.Operator, "R6"), operator.ErrSelf},
			"own state":       {d.SetState(t.Context(), admin, admin.Operator, operator.Suspended, "x"), operator.ErrSelf},
			"own reset":       {second(d.Reset(t.Context(), admin, admin.Operator)), operator.ErrSelf},
			"without right":   {d.Assign(t.Context(), colleague, admin.Operator, "R7"), role.ErrDenied},
			"other ente":      {d.Assign(t.Context(), elsewhere, colleague.Operator, "R7"), operator.ErrNotFound},
			"other's state":   {d.SetState(t.Context(), elsewhere, colleague.Operator, operator.Revoked, "x"), operator.ErrNotFound},
			"look elsewhere":  {second(d.Open(t.Context(), elsewhere, colleague.Operator)), operator.ErrNotFound},
			"unknown role":    {d.Assign(t.Context(), admin, colleague.Operator, "R99"), operator.ErrNotFound},
			"no reason":       {d.SetState(t.Context(), admin, colleague.Operator, operator.Suspended, " "), operator.ErrReason},
			"resume active":   {d.SetState(t.Context(), admin, colleague.Operator, operator.Active, "x"), operator.ErrState},
			"register denied": {second(d.Register(t.Context(), colleague, town.FormOf(8))), role.ErrDenied},
			"twice":           {second(d.Register(t.Context(), admin, town.FormOf(6))), operator.ErrExists},
			"first by one":    {second(d.First(t.Context(), admin, "altro", town.FormOf(9))), role.ErrDenied},
		} {
			if !errors.Is(c.err, c.want) {
				t.Errorf("%s: %v", name, c.err)
			}
		}
		list, err := d.List(t.Context(), admin, operator.Query{})
		if err != nil || len(list) != 2 {
			t.Errorf("%d operators, %v", len(list), err)
		}
		if err := d.Remove(t.Context(), admin, colleague.Operator, "R16"); err != nil {
			t.Error(err)
		}
		if err := d.SetState(t.Context(), admin, colleague.Operator, operator.Revoked, "uscito"); err != nil {
			t.Error(err)
		}
		if err := d.Assign(t.Context(), admin, colleague.Operator, "R8"); !errors.Is(err, operator.ErrState) {
			t.Errorf("a role for a revoked one: %v", err)
		}
	})
}

func second[T any](_ T, err error) error { return err }

// With four eyes on, a role over operators waits for a second operator, who is neither who
// asked nor who gets it.
func TestFourEyes(t *testing.T) {
	town.Each(t, func(t *testing.T, tn *town.Town) {
		d := tn.Operators
		first, other, third := tn.Operator("prova", 5, "R6"), tn.Operator("prova", 6, "R6"), tn.Operator("prova", 7, "R7")
		elsewhere := tn.Operator("altro", 8, "R6")
		e, err := tn.Enti.Get(t.Context(), "prova")
		if err != nil {
			t.Fatal(err)
		}
		e.FourEyes = true
		if err := tn.Enti.Update(t.Context(), first, *e); err != nil {
			t.Fatal(err)
		}
		if err := d.Assign(t.Context(), first, third.Operator, "R16"); err != nil {
			t.Errorf("a role without rights over operators waits: %v", err)
		}
		if err := d.Assign(t.Context(), first, third.Operator, "R6"); !errors.Is(err, foureyes.ErrPending) {
			t.Fatalf("%v", err)
		}
		has := func() bool {
			o, err := d.Open(t.Context(), first, third.Operator)
			if err != nil {
				t.Fatal(err)
			}
			return len(o.Roles) == 3
		}
		list, err := tn.Four.List(t.Context(), other)
		if err != nil || len(list) != 1 || list[0].AskedBy.Operator != first.Operator || has() {
			t.Fatalf("%+v, %v, %v", list, err, has())
		}
		id := list[0].ID
		for name, c := range map[string]struct {
			actor role.Actor
			want  error
		}{
			"who asked": {first, foureyes.ErrSame}, "elsewhere": {elsewhere, foureyes.ErrNotFound}, "no right": {third, role.ErrDenied},
		} {
			if err := tn.Four.Decide(t.Context(), c.actor, id, true); !errors.Is(err, c.want) || has() {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := tn.Four.Decide(t.Context(), other, id, true); err != nil || !has() {
			t.Errorf("%v, %v", err, has())
		}
		if err := tn.Four.Decide(t.Context(), other, id, true); !errors.Is(err, foureyes.ErrNotFound) {
			t.Errorf("twice: %v", err)
		}
		// What waits too long is over.
		if err := d.Assign(t.Context(), first, other.Operator, "R9"); !errors.Is(err, foureyes.ErrPending) {
			t.Fatal(err)
		}
		third.Roles = append(third.Roles, "R6")
		list, err = tn.Four.List(t.Context(), third)
		if err != nil || len(list) != 1 {
			t.Fatalf("%+v, %v", list, err)
		}
		if err := tn.Four.Decide(t.Context(), other, list[0].ID, true); !errors.Is(err, operator.ErrSelf) {
			t.Errorf("who gets it confirms it: %v", err)
		}
		tn.Move(foureyes.Life + time.Hour)
		if err := tn.Four.Decide(t.Context(), third, list[0].ID, true); !errors.Is(err, foureyes.ErrNotFound) {
			t.Errorf("after its time: %v", err)
		}
	})
}

// A reset makes password and second factor worthless; a link goes by mail where there is
// an address, never a password.
func TestReset(t *testing.T) {
	town.Each(t, func(t *testing.T, tn *town.Town) {
		d := tn.Operators
		admin := tn.Operator("prova", 5, "R6")
		inv, err := d.Register(t.Context(), admin, town.FormOf(6))
		if err != nil || !inv.Mailed || inv.Link != "" {
			t.Fatalf("%+v, %v", inv, err)
		}
		text := tn.Link(town.FormOf(6).Email, "activation")
		if _, err := d.Activate(t.Context(), operator.Activation{Link: text, Password: []byte(password), CardCode: town.FormOf(6).Code}); err != nil {
			t.Fatal(err)
		}
		b := tn.Browser(tn.Console)
		next, waiting, err := d.Login(t.Context(), b.Writer(), nil, "prova", town.FormOf(6).Code, []byte(password), "192.0.2.1:1")
		if err != nil || next != operator.AskCard {
			t.Fatalf("%s, %v", next, err)
		}
		if _, err := d.ByCard(t.Context(), b.Writer(), waiting, town.FormOf(7).Code, "192.0.2.1:1"); !errors.Is(err, operator.ErrRefused) {
			t.Errorf("another's card: %v", err)
		}
		if _, err := d.ByCard(t.Context(), b.Writer(), waiting, town.FormOf(6).Code, "192.0.2.1:1"); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Reset(t.Context(), admin, inv.Operator.ID); err != nil {
			t.Fatal(err)
		}
		if b.Session(t) != nil {
			t.Error("the session holds after a reset")
		}
		if _, _, err := d.Login(t.Context(), b.Writer(), nil, "prova", town.FormOf(6).Code, []byte(password), "192.0.2.1:1"); !errors.Is(err, operator.ErrRefused) {
			t.Errorf("the old password: %v", err)
		}
		fresh := tn.Link(town.FormOf(6).Email, "activation")
		tn.Move(73 * time.Hour)
		if _, err := d.Look(t.Context(), fresh); !errors.Is(err, onetime.ErrLink) {
			t.Errorf("after three days: %v", err)
		}
	})
}

// Who runs the server makes enti and their first operator, and sees no citizen.
func TestSystemOperator(t *testing.T) {
	town.Each(t, func(t *testing.T, tn *town.Town) {
		inv, err := tn.Operators.First(t.Context(), role.Actor{}, "", town.FormOf(5))
		if err != nil {
			t.Fatal(err)
		}
		system := inv.Operator.Actor("192.0.2.1:1")
		if _, err := tn.Operators.First(t.Context(), system, "altro", town.FormOf(6)); err != nil {
			t.Error(err)
		}
		if _, err := tn.People.Search(t.Context(), system, person.Query{}); !errors.Is(err, role.ErrDenied) {
			t.Errorf("%v", err)
		}
		if _, err := tn.Envelopes.Batches(t.Context(), system); !errors.Is(err, role.ErrDenied) {
			t.Errorf("%v", err)
		}
		if _, err := tn.Operators.List(t.Context(), system, operator.Query{}); !errors.Is(err, role.ErrDenied) {
			t.Errorf("%v", err)
		}
	})
}

// An operator is mailed no more than a few links an hour, whoever resets.
func TestInvitationsAnHour(t *testing.T) {
	town.Each(t, func(t *testing.T, tn *town.Town) {
		admin, colleague := tn.Operator("prova", 5, "R6"), tn.Operator("prova", 7, "R6")
		inv, err := tn.Operators.Register(t.Context(), admin, town.FormOf(6))
		for range 4 {
			if err == nil {
				_, err = tn.Operators.Reset(t.Context(), admin, inv.Operator.ID)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		last := tn.Link(town.FormOf(6).Email, "activation")
		var over *limit.OverError
		if _, err := tn.Operators.Reset(t.Context(), colleague, inv.Operator.ID); !errors.As(err, &over) || over.Rule.Code != "mail-operator" {
			t.Fatal(err)
		}
		if _, err := tn.Operators.Activate(t.Context(), operator.Activation{Link: last, Password: []byte(password), CardCode: town.FormOf(6).Code}); err != nil {
			t.Errorf("the last link: %v", err)
		}
	})
}
