package ranking_test

import (
	"errors"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/ranking"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/submission"
	"github.com/citel-pa/citel/testdata/town"
)

// An operator whose child is in the ranking gives it no points, and who works at another
// office reads nobody's answers.
func TestOwnChild(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		ctx, o := t.Context(), newOffice(t, w)
		own, other := o.sends(3, 3, "disability", "yes"), o.sends(4, 4, "disability", "yes")
		parent := w.Operator("prova", 3, "R20")
		for name, do := range map[string]func(id string) error{
			"verify":  func(id string) error { return o.Rankings.Verify(ctx, parent, o.call.ID, id, "disability", "yes", "") },
			"exclude": func(id string) error { return o.Rankings.Exclude(ctx, parent, o.call.ID, id, true, "perché sì") },
		} {
			if err := do(own.ID); !errors.Is(err, ranking.ErrOwn) {
				t.Errorf("%s the own: %v", name, err)
			}
			if err := do(other.ID); err != nil {
				t.Errorf("%s another's: %v", name, err)
			}
		}
		if err := o.Rankings.AnswerAtDesk(ctx, parent, o.call.ID, own.ID, 1, true, "a voce"); !errors.Is(err, ranking.ErrOwn) {
			t.Error(err)
		}
		tied := o.school
		tied.Offices = []string{"Tributi"}
		if _, err := o.Rankings.Candidate(ctx, tied, o.call, other.ID); !errors.Is(err, submission.ErrNotFound) {
			t.Error("an application at another office", err)
		}
		if err := o.Rankings.Verify(ctx, tied, o.call.ID, other.ID, "disability", "", "perché sì"); !errors.Is(err, submission.ErrNotFound) {
			t.Error("an application at another office", err)
		}
	})
}

// The seed of a call is drawn once for its applications: no second call of the same days,
// and none whose days move away from what was sent, to draw again.
func TestLotsAreDrawnOnce(t *testing.T) {
	town.Each(t, func(t *testing.T, w *town.Town) {
		ctx, o := t.Context(), newOffice(t, w)
		o.sends(0, 0)
		day := func(n int) string { return w.Today().In(register.Rome()).AddDate(0, 0, n).Format(time.DateOnly) }
		s := func(since, until int) ranking.Settings {
			return ranking.Settings{Title: "2026/2027", Since: day(since), Until: day(until), Term: 5}
		}
		for _, x := range []ranking.Settings{s(0, 0), s(-3, 3), s(-3, 0)} {
			if _, err := o.Rankings.Make(ctx, o.school, "iscrizione-nido", x); !errors.Is(err, ranking.ErrOverlap) {
				t.Errorf("%+v: %v", x, err)
			}
		}
		for _, x := range []ranking.Settings{s(10, 20), s(1, 1), s(-20, -10)} {
			if err := o.Rankings.Change(ctx, o.school, o.call.ID, x); !errors.Is(err, ranking.ErrOverlap) {
				t.Errorf("%+v: %v", x, err)
			}
		}
		if err := o.Rankings.Change(ctx, o.school, o.call.ID, s(0, 5)); err != nil {
			t.Error("made longer", err)
		}
		next, err := o.Rankings.Make(ctx, o.school, "iscrizione-nido", s(6, 9))
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Rankings.Change(ctx, o.school, next.ID, s(5, 9)); !errors.Is(err, ranking.ErrOverlap) {
			t.Error(err)
		}
		if err := o.Rankings.Change(ctx, o.school, next.ID, s(30, 40)); err != nil {
			t.Error("nobody has sent anything", err)
		}
	})
}
