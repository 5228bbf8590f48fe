package hand

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/citel-pa/citel/agent/doctor"
	"github.com/citel-pa/citel/agent/hand/pages"
	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/pkcs/message"
)

// examineTime bounds one examination.
const examineTime = 60 * time.Second

func (h *Hand) cureOf(id string) pages.Cure {
	lang := h.Lang()
	return pages.Cure{ID: id, Name: message.Text(lang, "doctor.cure-"+id), Changes: message.Text(lang, "doctor.cure-"+id+"-changes")}
}

func (h *Hand) doctor(ctx context.Context) (*pages.DoctorData, error) {
	ctx, cancel := context.WithTimeout(ctx, examineTime)
	defer cancel()
	checks := h.Patient().Examine(ctx)
	d := &pages.DoctorData{Lines: []pages.Line{}, Undo: []pages.Cure{}, Bad: doctor.CountBad(checks)}
	for _, c := range checks {
		line := pages.Line{State: string(c.State), Word: message.Text(h.Lang(), "doctor."+string(c.State)), Text: c.Text(h.Lang()), Cures: []pages.Cure{}}
		for _, id := range c.Cures {
			if h.Bench.Offered(id) {
				line.Cures = append(line.Cures, h.cureOf(id))
			}
		}
		d.Lines = append(d.Lines, line)
	}
	// What is to be mended comes first.
	rank := map[string]int{string(doctor.Bad): 0, string(doctor.Note): 1, string(doctor.Good): 2}
	slices.SortStableFunc(d.Lines, func(a, b pages.Line) int { return rank[a.State] - rank[b.State] })
	done, err := h.Bench.Done()
	if err != nil {
		return nil, err
	}
	for _, c := range h.Bench.Cures() {
		if _, ok := done[c.ID]; ok {
			d.Undo = append(d.Undo, h.cureOf(c.ID))
		}
	}
	return d, nil
}

// Times in which the system shows what a cure changed: PC/SC is asked again every few
// seconds while it does not answer.
const (
	afterCure    = 700 * time.Millisecond
	afterService = 6 * time.Second
)

func (h *Hand) await(ctx context.Context) {
	time.Sleep(afterCure)
	for end := time.Now().Add(afterService); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(afterCure / 2) {
		if _, err := h.Cards.Cards(ctx); !errors.Is(err, signing.ErrNoService) {
			return
		}
	}
}

func (h *Hand) cure(ctx context.Context, args map[string]string) (pages.Done, error) {
	return h.mend(ctx, args["cure"], h.Bench.Cure)
}

func (h *Hand) undo(ctx context.Context, args map[string]string) (pages.Done, error) {
	return h.mend(ctx, args["cure"], h.Bench.Undo)
}

func (h *Hand) mend(ctx context.Context, id string, do func(context.Context, string) error) (pages.Done, error) {
	if err := do(ctx, id); err != nil {
		return pages.Done{}, h.say("cure-failed", "why", err)
	}
	h.await(ctx)
	return pages.Done{Text: h.text("cure-done", "cure", h.cureOf(id).Name)}, nil
}

func (h *Hand) report(ctx context.Context, _ map[string]string) (pages.Done, error) {
	ctx, cancel := context.WithTimeout(ctx, examineTime)
	defer cancel()
	return pages.Done{Text: h.text("report-there"), Report: doctor.Report(h.Lang(), h.Patient().Examine(ctx))}, nil
}
