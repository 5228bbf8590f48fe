package stack

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/envelope"
	"github.com/citel-pa/citel/server/keys"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/server/rooms"
	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/testdata/pki"
)

// Envelope is one in a citizen's hands: what is in it, and the code from the hand-out.
type Envelope struct{ Username, PIN, Holder string }

// Counter opens the invented town's desk before its server starts: an office, and an
// envelope that one operator has printed and another handed out to a citizen.
func (s *Stack) Counter(ctx context.Context, origin string, citizen pki.Person) (_ *Envelope, err error) {
	dir := s.path("data")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	db, err := store.OpenURL(ctx, os.Getenv("DATABASE_URL"), dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	ring, err := keys.Open(dir, nil)
	if err != nil {
		return nil, err
	}
	r := rooms.New(rooms.Options{Store: db, Keys: ring, Origin: origin, Demo: true, Log: slog.New(slog.DiscardHandler)})
	town, err := r.Enti.Ensure(ctx, ente.Ente{Code: "prova", IDEnte: "DEMO", Name: "Comune di Prova", Origin: origin})
	if err != nil {
		return nil, err
	}
	operator := func(who int, roles ...string) role.Actor {
		c := pki.Invented(who)
		a := role.Actor{Ente: town.Code, Code: c.CF, Name: c.Given + " " + c.Surname, Roles: roles, Address: "127.0.0.1:1"}
		now := store.Time(time.Now())
		err = errors.Join(err, db.QueryRowContext(ctx, `INSERT INTO operator (ente, code, given, family, form, state, factor, created, changed) VALUES (?,?,?,?,'{}','active','none',?,?)
			ON CONFLICT (ente, code) DO UPDATE SET changed = excluded.changed RETURNING id`, town.Code, c.CF, c.Given, c.Surname, now, now).Scan(&a.Operator))
		return a
	}
	admin, printer, urp := operator(50, "R6"), operator(51, "R8"), operator(52, "R16")
	offices, err2 := r.Enti.Offices(ctx, town.Code)
	if err = errors.Join(err, err2); err == nil && len(offices) == 0 {
		err = r.Enti.SaveOffice(ctx, admin, town.Code, ente.Office{Name: "URP", Address: "Piazza dell'Esempio 1", Hours: "lunedì-venerdì 9-13", Email: "urp@comune.example"})
	}
	if err != nil {
		return nil, err
	}
	batch, sheets, err := r.Envelopes.Print(ctx, printer, 1)
	if err == nil {
		err = r.Envelopes.Confirm(ctx, printer, batch.ID)
	}
	if err != nil {
		return nil, err
	}
	form := person.Form{Code: citizen.CF, Family: citizen.Surname, Given: citizen.Given, Born: citizen.Born.Format(person.BornLayout), BirthPlace: "Pisa", Sex: citizen.Sex, Reason: "come nel documento"}
	document := envelope.Document{Kind: "identity-card", Number: "CA00000AA", Issuer: town.Name, Issued: "01-02-2024", Expires: time.Now().AddDate(5, 0, 0).Format(person.BornLayout)}
	h, err := r.Envelopes.HandOut(ctx, urp, envelope.Release{Code: sheets[0].Code, Form: &form, Document: document, Replace: true})
	if err != nil {
		return nil, err
	}
	return &Envelope{Username: sheets[0].Username, PIN: sheets[0].PIN, Holder: h.Holder}, nil
}
