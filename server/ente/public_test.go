package ente_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/testdata/town"
)

func TestPublic(t *testing.T) {
	town.Each(t, func(t *testing.T, town *town.Town) {
		d, ctx := town.Enti, t.Context()
		if p, err := d.Public(ctx, "prova"); err != nil || *p != (ente.Public{}) {
			t.Fatal(p, err)
		}
		boss, other := town.Operator("prova", 1, "R6"), town.Operator("prova", 2, "R11")
		good := ente.Public{Region: "Regione Prova", RegionSite: "https://regione.example", Email: "urp@example.org", Europe: true}
		for name, c := range map[string]struct {
			a    role.Actor
			ente string
			p    ente.Public
			want error
		}{
			"good":         {boss, "prova", good, nil},
			"no right":     {other, "prova", good, role.ErrDenied},
			"another ente": {boss, "altro", good, role.ErrDenied},
			"a script":     {boss, "prova", ente.Public{Declaration: "javascript:alert(1)"}, ente.ErrInvalid},
			"no address":   {boss, "prova", ente.Public{Feedback: "a@b.c\r\nBcc: x@y.z"}, ente.ErrInvalid},
			"long":         {boss, "prova", ente.Public{DPO: strings.Repeat("x", 201)}, ente.ErrInvalid},
		} {
			if err := d.SetPublic(ctx, c.a, c.ente, c.p); !errors.Is(err, c.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if p, err := d.Public(ctx, "prova"); err != nil || *p != good || p.FeedbackTo() != "urp@example.org" {
			t.Error(p, err)
		}
	})
}
