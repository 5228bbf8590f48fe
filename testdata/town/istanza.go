package town

import (
	"context"

	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/submission"
)

// Istanza is a service whose refusal is announced (L. 241/1990, art. 10-bis), as an
// administrator types it; a card is enough to send one.
const Istanza = `id: suolo-pubblico
title: {it: Occupazione di suolo pubblico, en: Use of a public place}
topic: commercio
act: istanza
level: forte
signature: none
actors: [citizen]
mandates: [delegate]
office: Commercio
responsible: {name: Responsabile del Commercio, contact: "Ufficio Commercio"}
term: {days: 30, silence: none}
remedies: {it: "Contro la risposta puoi ricorrere al TAR entro 60 giorni.", en: "The answer can be challenged before the regional court within 60 days."}
privacy:
  version: "1"
  text: {it: "Il Comune usa i dati per questa domanda.", en: "The municipality uses the data for this application."}
sections:
  - id: place
    title: {it: Il luogo, en: The place}
    fields:
      - {id: street, kind: text, label: {it: Via o piazza, en: Street}, required: true, max: 100}
      - {id: email, kind: email, label: {it: E-mail, en: E-mail}}
`

// Publish publishes Istanza in "prova"; who is the number of the invented administrator.
func (town *Town) Publish(who int) {
	town.t.Helper()
	if _, err := town.Services.Publish(context.Background(), town.Operator("prova", who, "R6"), []byte(Istanza), 0); err != nil {
		town.t.Fatal(err)
	}
}

// WithCard is an invented person who came in with the card; without an e-mail address where
// it is empty.
func (town *Town) WithCard(p *person.Person, email string) submission.Visitor {
	return submission.Visitor{Ente: "prova", Level: session.Forte, Profile: "cns", Person: p, Email: email, Address: "192.0.2.1:1"}
}

// Applies sends an application for the service of Istanza.
func (town *Town) Applies(v submission.Visitor) *submission.Application {
	town.t.Helper()
	ctx, d := context.Background(), town.Applications
	values := map[string]string{"street": "Via Prova", "email": v.Email}
	a, err := d.Start(ctx, v, "suolo-pubblico")
	if err == nil {
		_, err = d.Save(ctx, v, a.ID, func(id string) string { return values[id] }, true)
	}
	if err == nil {
		a, err = d.Make(ctx, v, a.ID, true, "1")
	}
	if err == nil {
		a, err = d.Send(ctx, v, a.ID)
	}
	if err != nil {
		town.t.Fatal(err)
	}
	return a
}
