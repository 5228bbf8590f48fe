package mail_test

import (
	"crypto/tls"
	"database/sql"
	"errors"
	"net/mail"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/ente"
	letters "github.com/citel-pa/citel/server/mail"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/smtp"
	"github.com/citel-pa/citel/testdata/town"
)

// set gives "prova" a mail server.
func set(t *testing.T, tn *town.Town, s *smtp.Server, security string) {
	t.Helper()
	admin := tn.Operator("prova", 5, "R6")
	err := tn.Enti.SetMail(t.Context(), admin, "prova", ente.Mail{From: "sportello@comune.example", FromName: "Sportello, Comune di Prova", Host: s.Address, Security: security, Username: "sportello", Password: "segreta"})
	if err != nil {
		t.Fatal(err)
	}
	tn.Postman.TLS = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: s.Roots}
}

func queue(t *testing.T, tn *town.Town, m letters.Message) {
	t.Helper()
	err := tn.Store.Tx(t.Context(), func(tx *sql.Tx) error { return letters.Queue(t.Context(), tx, m, tn.Today()) })
	if err != nil {
		t.Fatal(err)
	}
}

var release = letters.Message{Ente: "prova", To: "maria@example.org", Kind: letters.Released, Number: "1234", Link: "/area"}

func TestDelivery(t *testing.T) {
	for _, security := range []string{"starttls", "tls"} {
		t.Run(security, func(t *testing.T) {
			town.Each(t, func(t *testing.T, tn *town.Town) {
				s := smtp.Start(t, security == "tls")
				set(t, tn, s, security)
				queue(t, tn, release)
				if err := errors.Join(tn.Postman.Deliver(t.Context()), tn.Postman.Deliver(t.Context())); err != nil {
					t.Fatal(err)
				}
				all := s.Messages()
				if len(all) != 1 {
					t.Fatalf("%d messages", len(all))
				}
				m := all[0]
				if !m.Encrypted || m.User != "|sportello|segreta" || m.From != "sportello@comune.example" || m.To != "maria@example.org" {
					t.Errorf("%+v", m)
				}
				if from, err := mail.ParseAddress(m.Header.Get("From")); err != nil || from.Name != "Sportello, Comune di Prova" {
					t.Errorf("%q, %v", m.Header.Get("From"), err)
				}
				if m.Subject != "Comune di Prova: rilascio di credenziali" || !strings.Contains(m.Body, "1234") || m.Header.Get("Auto-Submitted") != "auto-generated" {
					t.Errorf("%+v", m)
				}
				// The address is forgotten.
				if n := storetest.Count(t, tn.Store, "SELECT count(*) FROM outbox WHERE state = 'sent' AND recipient = '' AND link = ''"); n != 1 {
					t.Error("the address is kept")
				}
				// The password of the mail server is not in the database.
				if n := storetest.Count(t, tn.Store, "SELECT count(*) FROM ente WHERE mail LIKE '%segreta%'"); n != 0 {
					t.Error("the mail's password is readable")
				}
			})
		})
	}
}

// A server that is away, or says later, is tried again; one that knows no such address is
// not; one that offers no TLS gets nothing.
func TestTrouble(t *testing.T) {
	town.Each(t, func(t *testing.T, tn *town.Town) {
		s := smtp.Start(t, false)
		queue(t, tn, release)
		state := func(want string, tries int) {
			t.Helper()
			if err := tn.Postman.Deliver(t.Context()); err != nil {
				t.Fatal(err)
			}
			var got string
			var n int
			if err := tn.Store.QueryRowContext(t.Context(), "SELECT state, tries FROM outbox").Scan(&got, &n); err != nil || got != want || n != tries {
				t.Errorf("%s after %d tries, not %s after %d; %v", got, n, want, tries, err)
			}
		}
		state("waiting", 1) // no mail is set up yet
		set(t, tn, s, "starttls")
		state("waiting", 1) // not yet due
		tn.Move(2 * time.Minute)
		s.Refuse("RCPT", "451 later")
		state("waiting", 2)
		s.Refuse("RCPT", "")
		tn.Move(3 * time.Minute)
		s.Refuse("AUTH", "535 wrong") // ours to mend: it waits
		state("waiting", 3)
		s.Refuse("AUTH", "")
		tn.Move(10 * time.Minute)
		s.NoTLS()
		state("waiting", 4)
		if len(s.Messages()) != 0 {
			t.Fatalf("%+v", s.Messages())
		}
		other := smtp.Start(t, false)
		other.Refuse("RCPT", "550 no such user")
		admin := tn.Operator("prova", 6, "R6")
		if err := tn.Enti.SetMail(t.Context(), admin, "prova", ente.Mail{From: "sportello@comune.example", Host: other.Address, Security: "starttls"}); err != nil {
			t.Fatal(err)
		}
		tn.Postman.TLS.RootCAs = other.Roots
		tn.Move(time.Hour)
		state("failed", 5)
		if w, sent, failed, err := tn.Postman.Status(t.Context(), "prova"); err != nil || w != 0 || sent != 0 || failed != 1 {
			t.Errorf("%d %d %d %v", w, sent, failed, err)
		}
		for _, bad := range []ente.Mail{
			{From: "x", Host: "mail.example:25", Security: "tls"}, {From: "a@b.example", Host: "mail.example:25", Security: "none"},
			{From: "a@b.example", Host: "mail.example", Security: "tls"}, {From: "a@b.example", FromName: "a\r\nBcc: x", Host: "mail.example:25", Security: "tls"},
		} {
			if err := tn.Enti.SetMail(t.Context(), admin, "prova", bad); !errors.Is(err, ente.ErrInvalid) {
				t.Errorf("%+v: %v", bad, err)
			}
		}
	})
}

// Several processes with a postman each: every message goes out once.
func TestOnce(t *testing.T) {
	town.Each(t, func(t *testing.T, tn *town.Town) {
		s := smtp.Start(t, false)
		set(t, tn, s, "starttls")
		for range 30 {
			queue(t, tn, release)
		}
		var g errgroup.Group
		for range 3 {
			g.Go(func() error { return tn.Postman.Deliver(t.Context()) })
		}
		if err := g.Wait(); err != nil || len(s.Messages()) != 30 {
			t.Errorf("%d messages, %v", len(s.Messages()), err)
		}
	})
}

// Every kind has its sentences, in both languages, and none holds more than it may.
func TestEveryKindHasItsText(t *testing.T) {
	for _, k := range []letters.Kind{letters.ConfirmEmail, letters.AlreadyThere, letters.ResetDebole, letters.NoAccount, letters.Activation, letters.NewLogin,
		letters.Released, letters.Activated, letters.PasswordChanged, letters.Joined, letters.StateChanged,
		letters.ApplicationReceived, letters.ApplicationNumber, letters.ApplicationMore, letters.ApplicationNotice, letters.ApplicationObserved, letters.ApplicationMessage, letters.ApplicationAnswered, letters.ApplicationClosed, letters.ApplicationCode, letters.ApplicationSign,
		letters.DraftEnds,
		letters.RankingPublished, letters.RankingOffer, letters.RankingAnswer} {
		for _, l := range []message.Lang{message.Italian, message.English} {
			for _, part := range []string{"-subject", "-text"} {
				key := "mail." + string(k) + part
				text := message.Text(l, key, "ente", "E", "number", "N", "link", "L")
				if text == key || strings.ContainsAny(text, "{}") {
					t.Errorf("%s in %s: %q", key, l, text)
				}
			}
		}
	}
}

// A link leads to the ente's own pages: at the root of its origin, or in its part of the
// server's; the console is one for all.
func TestLinksLeadToTheEntesPages(t *testing.T) {
	tn := town.New(t, storetest.New(t, store.SQLite))
	s := smtp.Start(t, false)
	set(t, tn, s, "starttls")
	admin := tn.Operator("altro", 5, "R6")
	mine := ente.Mail{From: "sportello@altro.example", Host: s.Address, Security: "starttls"}
	if err := tn.Enti.SetMail(t.Context(), admin, "altro", mine); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ ente, origin, path, want string }{
		{"prova", "", "/pratiche/x", "http://127.0.0.1:8480/pratiche/x"},
		{"altro", "", "/pratiche/x", "http://127.0.0.1:8480/enti/altro/pratiche/x"},
		{"altro", "http://127.0.0.1:8480", "/deleghe", "http://127.0.0.1:8480/enti/altro/deleghe"},
		{"altro", "", "/registrazione/conferma?codice=y", "http://127.0.0.1:8480/enti/altro/registrazione/conferma?codice=y"},
		{"altro", "", "/consolleente/attiva?codice=y", "http://127.0.0.1:8480/consolleente/attiva?codice=y"},
		{"altro", "https://altro.example", "/deleghe", "https://altro.example/deleghe"},
	} {
		if _, err := tn.Store.ExecContext(t.Context(), "UPDATE ente SET origin = ? WHERE code = 'altro'", c.origin); err != nil {
			t.Fatal(err)
		}
		queue(t, tn, letters.Message{Ente: c.ente, To: "maria@example.org", Kind: letters.MandateAsked, Link: c.path})
		if err := tn.Postman.Deliver(t.Context()); err != nil {
			t.Fatal(err)
		}
		all := s.Messages()
		if len(all) == 0 || !strings.Contains(all[len(all)-1].Body, "\n"+c.want+"\n") && !strings.Contains(all[len(all)-1].Body, c.want+"\r") {
			t.Errorf("%+v: %+v", c, all[len(all)-1].Body)
		}
	}
}
