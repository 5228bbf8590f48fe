package credential_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/credential"
	"github.com/citel-pa/citel/server/delay"
	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/onetime"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/town"
)

const (
	password = "una frase nuova di prova"
	other    = "un'altra frase, diversa"
	home     = "198.51.100.7:1000"
	email    = "maria@example.org"
)

func registration(who int) credential.Registration {
	f := town.FormOf(who)
	return credential.Registration{Ente: "prova", Email: " Maria@Example.org ", Given: f.Given, Family: f.Family, Claim: f.Code, Password: []byte(password), Address: home}
}

func login(tn *town.Town, b *town.Browser, t *testing.T, username, password string) (*session.Session, error) {
	s := b.Session(t)
	risen, _, err := tn.Credentials.Login(t.Context(), b.Writer(), s, credential.Login{Ente: "prova", Username: username, Password: []byte(password), Address: home})
	return risen, err
}

// Debole: registered, confirmed by mail, in; what is claimed shows and reserves nothing.
func TestDebole(t *testing.T) {
	town.Each(t, func(t *testing.T, tn *town.Town) {
		d := tn.Credentials
		if err := d.Register(t.Context(), registration(0)); err != nil {
			t.Fatal(err)
		}
		b := tn.Browser(tn.Citizens)
		if _, err := login(tn, b, t, email, password); !errors.Is(err, credential.ErrRefused) {
			t.Errorf("before it is confirmed: %v", err)
		}
		text := tn.Link(email, "confirm-email")
		if _, err := d.Confirm(t.Context(), text); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Confirm(t.Context(), text); !errors.Is(err, onetime.ErrLink) {
			t.Errorf("confirmed twice: %v", err)
		}
		s, err := login(tn, b, t, "MARIA@example.org", password)
		if err != nil || s.Level != session.Debole || s.Person != 0 {
			t.Fatalf("%+v, %v", s, err)
		}
		// No account has come of the claim; who proves the code is another matter.
		if n := storetest.Count(t, tn.Store, "SELECT count(*) FROM person"); n != 0 {
			t.Errorf("%d persons by a claim", n)
		}
		// A registration with the address of somebody answers the same and changes nothing.
		again := registration(1)
		again.Password = []byte(other)
		if err := d.Register(t.Context(), again); err != nil {
			t.Errorf("registered again: %v", err)
		}
		if m := tn.Mails(email); m[len(m)-1][0] != "already-there" {
			t.Errorf("%v", m)
		}
		if _, err := login(tn, b, t, email, other); !errors.Is(err, credential.ErrRefused) {
			t.Errorf("taken over by registering again: %v", err)
		}
		for name, change := range map[string]func(*credential.Registration){
			"email": func(r *credential.Registration) { r.Email = "maria" }, "code": func(r *credential.Registration) { r.Claim = "RSSMRA80A01H501X" },
			"given": func(r *credential.Registration) { r.Given = " " }, "password": func(r *credential.Registration) { r.Password = []byte("maria@example.org") },
		} {
			r := registration(0)
			change(&r)
			var wrong *credential.FormError
			if err := d.Register(t.Context(), r); !errors.As(err, &wrong) || wrong.Errs[name] == "" || len(wrong.Errs) != 1 {
				t.Errorf("%s: %v", name, err)
			}
		}
		r := registration(0)
		r.Ente = "altro"
		if err := d.Register(t.Context(), r); !errors.Is(err, credential.ErrSwitchedOff) {
			t.Errorf("where it is switched off: %v", err)
		}
	})
}

// A pending registration reserves no address: the newest one counts.
func TestAPendingRegistrationReservesNothing(t *testing.T) {
	town.Each(t, func(t *testing.T, tn *town.Town) {
		squatter := registration(0)
		squatter.Password = []byte(other)
		if err := errors.Join(tn.Credentials.Register(t.Context(), squatter), tn.Credentials.Register(t.Context(), registration(0))); err != nil {
			t.Fatal(err)
		}
		if _, err := tn.Credentials.Confirm(t.Context(), tn.Link(email, "confirm-email")); err != nil {
			t.Fatal(err)
		}
		b := tn.Browser(tn.Citizens)
		if _, err := login(tn, b, t, email, other); !errors.Is(err, credential.ErrRefused) {
			t.Errorf("the squatter's password: %v", err)
		}
		if _, err := login(tn, b, t, email, password); err != nil {
			t.Error(err)
		}
	})
}

func TestForgotten(t *testing.T) {
	town.Each(t, func(t *testing.T, tn *town.Town) {
		d := tn.Credentials
		if err := errors.Join(d.Register(t.Context(), registration(0)), d.Forgot(t.Context(), "prova", "nessuno@example.org", "198.51.100.8:1")); err != nil {
			t.Fatal(err)
		}
		if m := tn.Mails("nessuno@example.org"); len(m) != 1 || m[0][0] != "no-account" {
			t.Errorf("%v", m)
		}
		if _, err := d.Confirm(t.Context(), tn.Link(email, "confirm-email")); err != nil {
			t.Fatal(err)
		}
		b := tn.Browser(tn.Citizens)
		if _, err := login(tn, b, t, email, password); err != nil {
			t.Fatal(err)
		}
		if err := d.Forgot(t.Context(), "prova", email, "198.51.100.8:1"); err != nil {
			t.Fatal(err)
		}
		text := tn.Link(email, "reset-debole")
		if err := d.Renew(t.Context(), text, []byte(other), home); err != nil {
			t.Fatal(err)
		}
		if b.Session(t) != nil {
			t.Error("the old session holds")
		}
		if err := d.Renew(t.Context(), text, []byte(password), home); !errors.Is(err, onetime.ErrLink) {
			t.Errorf("the link twice: %v", err)
		}
		if _, err := login(tn, b, t, email, password); !errors.Is(err, credential.ErrRefused) {
			t.Errorf("the old password: %v", err)
		}
		if _, err := login(tn, b, t, email, other); err != nil {
			t.Errorf("the new one: %v", err)
		}
		var wait *delay.TooSoonError
		var err error
		for range 8 {
			err = errors.Join(err, d.Forgot(t.Context(), "prova", email, "198.51.100.9:1"))
		}
		if !errors.As(err, &wait) {
			t.Errorf("mail without end: %v", err)
		}
	})
}

// A claimed code takes no account over: debole joins only with media or forte proved in
// the same session, after a yes, and only with the same code; it opens no more than before.
func TestTakeOverByAClaim(t *testing.T) {
	town.Each(t, func(t *testing.T, tn *town.Town) {
		d := tn.Credentials
		username, p := media(t, tn, 0)
		attacker, owner := tn.Browser(tn.Citizens), tn.Browser(tn.Citizens)
		if err := d.Register(t.Context(), registration(0)); err != nil {
			t.Fatal(err)
		}
		c, err := d.Confirm(t.Context(), tn.Link(email, "confirm-email"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := login(tn, attacker, t, email, password)
		if err != nil || s.Person != 0 {
			t.Fatalf("%+v, %v", s, err)
		}
		if q, err := d.Question(t.Context(), s); q != nil || err != nil {
			t.Errorf("asked with debole alone: %+v, %v", q, err)
		}
		if err := d.Join(t.Context(), s, true, home); err != nil {
			t.Error(err)
		}
		if got, _ := credential.Get(t.Context(), tn.Store, c.ID); got.Person != 0 {
			t.Fatal("joined by a claim")
		}
		// The owner, in a session of the own, is asked nothing about it.
		if s, err = login(tn, owner, t, username, password); err != nil {
			t.Fatal(err)
		}
		if q, err := d.Question(t.Context(), s); q != nil || err != nil {
			t.Errorf("asked about another session's: %+v, %v", q, err)
		}
		// Both in one session: asked, and no is no.
		for _, yes := range []bool{false, true} {
			b := tn.Browser(tn.Citizens)
			if _, err := login(tn, b, t, email, password); err != nil {
				t.Fatal(err)
			}
			if _, err := login(tn, b, t, username, password); err != nil {
				t.Fatal(err)
			}
			s := b.Session(t)
			q, err := d.Question(t.Context(), s)
			if err != nil || q == nil || q.Email != email {
				t.Fatalf("%+v, %v", q, err)
			}
			if err := d.Join(t.Context(), s, yes, home); err != nil {
				t.Fatal(err)
			}
			got, err := credential.Get(t.Context(), tn.Store, c.ID)
			if err != nil || (got.Person == p.ID) != yes || b.Session(t).Waiting != "" {
				t.Errorf("%v: %+v, %v", yes, got, err)
			}
		}
		s, err = login(tn, attacker, t, email, password)
		if err != nil || s.Level != session.Debole || s.Person != p.ID {
			t.Errorf("%+v, %v", s, err)
		}
		if l, err := d.LevelAt(t.Context(), s, "prova"); err != nil || l != session.Debole {
			t.Errorf("a joined debole opens %v, %v", l, err)
		}
		// Another person's claim is not even asked about.
		r := registration(1)
		r.Email = "altra@example.org"
		if err := d.Register(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Confirm(t.Context(), tn.Link("altra@example.org", "confirm-email")); err != nil {
			t.Fatal(err)
		}
		b := tn.Browser(tn.Citizens)
		_, err1 := login(tn, b, t, "altra@example.org", password)
		_, err2 := login(tn, b, t, username, password)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if q, err := d.Question(t.Context(), b.Session(t)); q != nil || err != nil {
			t.Errorf("another's claim: %+v, %v", q, err)
		}
	})
}

// What a level opens, ente by ente: the switches, whose envelopes are accepted, death.
func TestLevelAt(t *testing.T) {
	town.Each(t, func(t *testing.T, tn *town.Town) {
		d := tn.Credentials
		username, p := media(t, tn, 0)
		b := tn.Browser(tn.Citizens)
		s, err := login(tn, b, t, username, password)
		if err != nil {
			t.Fatal(err)
		}
		at := func(code string, want session.Level, why string) {
			t.Helper()
			if l, err := d.LevelAt(t.Context(), s, code); err != nil || l != want {
				t.Errorf("%s: %v in %s, %v", why, l, code, err)
			}
		}
		admin, there := tn.Operator("prova", 5, "R6"), tn.Operator("altro", 6, "R6")
		at("prova", session.Media, "at home")
		at("altro", session.None, "a new ente lets no citizen in")
		on := func(a role.Actor, credential string, enabled bool) {
			t.Helper()
			if err := tn.Enti.SetSwitch(t.Context(), a, a.Ente, ente.Switch{Credential: credential, Category: ente.Citizen, Enabled: enabled, Reason: "prova"}); err != nil {
				t.Fatal(err)
			}
		}
		on(there, ente.Debole, true)
		on(there, ente.Media, true)
		at("altro", session.Debole, "media on, but not of this releaser")
		if err := tn.Enti.SetAccepts(t.Context(), there, "altro", "prova", true); err != nil {
			t.Fatal(err)
		}
		at("altro", session.Media, "accepted")
		on(there, ente.Media, false)
		at("altro", session.Debole, "accepted and switched off")
		on(admin, ente.Media, false)
		at("prova", session.Debole, "switched off at home")
		if _, err := login(tn, b, t, username, password); !errors.Is(err, credential.ErrSwitchedOff) {
			t.Errorf("%v", err)
		}
		on(admin, ente.Debole, false)
		at("prova", session.None, "all off")
		forte := *s
		forte.Level = session.Forte
		if l, err := d.LevelAt(t.Context(), &forte, "altro"); err != nil || l != session.Forte {
			t.Errorf("the card opens everywhere: %v, %v", l, err)
		}
		on(admin, ente.Media, true)
		desk := tn.Operator("prova", 7, "R-Ente")
		if err := tn.People.SetDead(t.Context(), desk, p.ID, true, "atto 1/2026"); err != nil {
			t.Fatal(err)
		}
		at("prova", session.None, "dead")
		if l, err := d.LevelAt(t.Context(), &forte, "altro"); err != nil || l != session.None {
			t.Errorf("dead, with the card: %v, %v", l, err)
		}
		if _, err := login(tn, b, t, username, password); !errors.Is(err, credential.ErrRefused) {
			t.Errorf("dead: %v", err)
		}
	})
}

// An unknown user and a wrong password are the same error, and after the same few tries
// from one address the same wait; a stranger shuts nobody out.
func TestEnumerationAndDelays(t *testing.T) {
	town.Each(t, func(t *testing.T, tn *town.Town) {
		username, _ := media(t, tn, 0)
		try := func(username, password, address string) error {
			_, _, err := tn.Credentials.Login(t.Context(), tn.Browser(tn.Citizens).Writer(), nil, credential.Login{Ente: "prova", Username: username, Password: []byte(password), Address: address})
			return err
		}
		outcomes := func(username, address string) (out []time.Duration) {
			for range 6 {
				err := try(username, "sbagliata", address)
				var wait *delay.TooSoonError
				switch {
				case errors.As(err, &wait):
					out = append(out, wait.Wait)
				case errors.Is(err, credential.ErrRefused):
					out = append(out, 0)
				default:
					t.Fatal(err)
				}
			}
			return out
		}
		known, unknown := outcomes(username, "203.0.113.1:1"), outcomes("nessuno1", "203.0.113.2:1")
		if !slices.Equal(known, unknown) || known[5] == 0 {
			t.Errorf("known %v, unknown %v", known, unknown)
		}
		// A day of wrong passwords from everywhere: the owner waits seconds at most.
		for i := range 40 {
			_ = try(username, "sbagliata", "203.0.113.3:1")
			tn.Move(time.Minute)
			_ = i
		}
		tn.Move(5 * time.Second)
		if err := try(username, password, home); err != nil {
			t.Errorf("the owner is shut out: %v", err)
		}
	})
}
