package feedback_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/ente"
	"github.com/citel-pa/citel/server/feedback"
	"github.com/citel-pa/citel/server/role"
	"github.com/citel-pa/citel/testdata/town"
)

func TestReportAndAnswer(t *testing.T) {
	town.Each(t, func(t *testing.T, town *town.Town) {
		ctx := t.Context()
		d := feedback.New(town.Store, town.Audit, town.Enti, town.Today)
		boss, clerk, reader := town.Operator("prova", 1, "R6"), town.Operator("prova", 2, "R7"), town.Operator("prova", 3, "R-CAF1")
		if err := town.Enti.SetPublic(ctx, boss, "prova", ente.Public{Email: "urp@example.org"}); err != nil {
			t.Fatal(err)
		}
		r, err := d.Send(ctx, feedback.Report{Ente: "prova", Text: "Il pulsante\r\nnon si legge \x00\u202e", Email: "vera@example.org"}, "192.0.2.1")
		if err != nil || r.Number != 1 || r.Text != "Il pulsante\nnon si legge" || r.Due != town.Today().AddDate(0, 0, 30).Format(time.DateOnly) {
			t.Fatalf("%+v %v", r, err)
		}
		if got := town.Mails("urp@example.org"); len(got) != 1 || got[0][0] != "feedback-received" {
			t.Error(got)
		}
		// No open relay: who wrote gets nothing before somebody of the ente answers.
		if got := town.Mails("vera@example.org"); len(got) != 0 {
			t.Error(got)
		}
		if _, err := d.Get(ctx, "altro", r.ID); !errors.Is(err, feedback.ErrNotFound) {
			t.Error("in another ente", err)
		}
		if _, err := d.List(ctx, reader); !errors.Is(err, role.ErrDenied) {
			t.Error("read without the right", err)
		}
		if err := d.Answer(ctx, town.Operator("altro", 4, "R7"), 1, "x"); !errors.Is(err, feedback.ErrNotFound) {
			t.Error("another ente answers", err)
		}
		var wrong *feedback.FieldsError
		if err := d.Answer(ctx, clerk, 1, " "); !errors.As(err, &wrong) {
			t.Error("an empty answer", err)
		}
		town.Move(31 * 24 * time.Hour)
		if all, err := d.List(ctx, clerk); err != nil || len(all) != 1 || !all[0].Overdue(town.Today()) {
			t.Error(all, err)
		}
		if err := d.Answer(ctx, clerk, 1, "Corretto."); err != nil {
			t.Fatal(err)
		}
		if err := d.Answer(ctx, clerk, 1, "Altro."); !errors.Is(err, feedback.ErrState) {
			t.Error("answered twice", err)
		}
		if got := town.Mails("vera@example.org"); len(got) != 1 || got[0] != [2]string{"feedback-answered", "/accessibilita/" + r.ID} {
			t.Error(got)
		}
		if got, err := d.Get(ctx, "prova", r.ID); err != nil || got.Answer != "Corretto." || got.Overdue(town.Today()) {
			t.Error(got, err)
		}
	})
}

func TestFloodingIsBounded(t *testing.T) {
	town.Each(t, func(t *testing.T, town *town.Town) {
		ctx := t.Context()
		d := feedback.New(town.Store, town.Audit, town.Enti, town.Today)
		if err := town.Enti.SetPublic(ctx, town.Operator("prova", 1, "R6"), "prova", ente.Public{Email: "urp@example.org"}); err != nil {
			t.Fatal(err)
		}
		var soon *feedback.TooSoonError
		for i := range 6 {
			_, err := d.Send(ctx, feedback.Report{Ente: "prova", Text: "x"}, "192.0.2.1")
			if i < 5 && err != nil || i == 5 && !errors.As(err, &soon) {
				t.Fatal(i, err)
			}
		}
		var err error
		n := 5
		for i := 0; i < 250; i++ { // from everywhere
			if _, err = d.Send(ctx, feedback.Report{Ente: "prova", Text: "x"}, fmt.Sprintf("198.51.100.%d", i)); err != nil {
				break
			}
			n++
		}
		if n != 200 || !errors.Is(err, feedback.ErrFull) {
			t.Error(n, err)
		}
		if got := town.Mails("urp@example.org"); len(got) != 1 {
			t.Errorf("%d mails", len(got))
		}
	})
}
