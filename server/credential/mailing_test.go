package credential_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/limit"
	"github.com/citel-pa/citel/testdata/town"
)

// An e-mail address gets no more than a few links an hour, from wherever they are asked for
// and whether it has an account or not; the last one works meanwhile.
func TestMailsAnHour(t *testing.T) {
	town.Each(t, func(t *testing.T, tn *town.Town) {
		d := tn.Credentials
		if err := d.Register(t.Context(), registration(0)); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Confirm(t.Context(), tn.Link(email, "confirm-email")); err != nil {
			t.Fatal(err)
		}
		tn.Move(time.Hour)
		begun := tn.Today()
		said := map[string]string{}
		for _, to := range []string{email, "nessuno@example.org"} {
			before := len(tn.Mails(to))
			var err error
			for i := range 7 {
				if err = d.Forgot(t.Context(), "prova", to, fmt.Sprintf("203.0.113.%d:1", 10*len(said)+i+1)); i < 5 && err != nil {
					t.Fatalf("%s, %d: %v", to, i, err)
				}
			}
			var over *limit.OverError
			if !errors.As(err, &over) || over.Rule.Code != "mail-address" || !over.Again.Equal(begun.Add(time.Hour)) {
				t.Fatalf("%s: %v", to, err)
			}
			if n := len(tn.Mails(to)) - before; n != 5 {
				t.Errorf("%s got %d", to, n)
			}
			said[to] = err.Error()
		}
		if said[email] != said["nessuno@example.org"] {
			t.Errorf("the answers tell who has an account: %v", said)
		}
		tn.Move(59 * time.Minute)
		if err := d.Renew(t.Context(), tn.Link(email, "reset-debole"), []byte(other), home); err != nil {
			t.Errorf("the last link: %v", err)
		}
		tn.Move(time.Minute)
		if err := d.Forgot(t.Context(), "prova", email, "203.0.113.98:1"); err != nil {
			t.Errorf("an hour later: %v", err)
		}
	})
}

// A stranger who registers an address that has an account, over and over, uses up what
// registering may mail, which has no link in it, and nothing of its owner's new password.
func TestRegisteringKeepsNobodyFromAPassword(t *testing.T) {
	town.Each(t, func(t *testing.T, tn *town.Town) {
		d := tn.Credentials
		if err := d.Register(t.Context(), registration(0)); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Confirm(t.Context(), tn.Link(email, "confirm-email")); err != nil {
			t.Fatal(err)
		}
		tn.Move(time.Hour)
		var over *limit.OverError
		for i := range 6 {
			r := registration(1)
			r.Address = fmt.Sprintf("203.0.113.%d:1", i+1)
			if err := d.Register(t.Context(), r); i < 5 && err != nil || i == 5 && (!errors.As(err, &over) || over.Rule.Code != "mail-address") {
				t.Fatalf("%d: %v", i, err)
			}
		}
		if err := d.Forgot(t.Context(), "prova", email, home); err != nil {
			t.Fatalf("the owner: %v", err)
		}
		if err := d.Renew(t.Context(), tn.Link(email, "reset-debole"), []byte(other), home); err != nil {
			t.Errorf("the owner's link: %v", err)
		}
	})
}

// Whoever is at one network address causes no more than so many, whomever they go to; of an
// IPv6 network all addresses count as one.
func TestMailsOfACaller(t *testing.T) {
	town.Each(t, func(t *testing.T, tn *town.Town) {
		var over *limit.OverError
		n := 0
		for i := range 40 {
			err := tn.Credentials.Forgot(t.Context(), "prova", fmt.Sprintf("a%d@example.org", i), fmt.Sprintf("[2001:db8::%x]:1", i+1))
			if errors.As(err, &over) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if n != 30 || over == nil || over.Rule.Code != "mail-caller" {
			t.Errorf("%d mails, %v", n, over)
		}
		if err := tn.Credentials.Forgot(t.Context(), "prova", "altra@example.org", home); err != nil {
			t.Errorf("another caller: %v", err)
		}
	})
}
