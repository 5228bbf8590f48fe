package portal

import (
	"errors"
	"strconv"
	"time"

	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/submission"
)

// The notice before a refusal (L. 241/1990, art. 10-bis), as the person reads and answers it.

// notice adds it to the page of an application.
func (r *request) notice(x *filePage) (err error) {
	if x.A.Noticed == "" {
		return nil
	}
	if x.Notice, err = r.apps().NoticeOf(r.ctx(), x.A); err != nil {
		return err
	}
	if x.Heard, err = r.apps().Observations(r.ctx(), x.A); err != nil {
		return err
	}
	today := r.p.now().In(register.Rome()).Format(time.DateOnly)
	x.Late = x.A.Until != "" && today > x.A.Until
	x.None = x.A.Hears() && !x.Late && len(x.Heard) == 0
	x.Suspended = x.A.Suspended(r.p.now())
	return nil
}

// Stands tells whether a term stands still, for an answer of the person's or a notice.
func (v *view) Stands(a *submission.Application) bool {
	return !a.Paused.IsZero() || a.Suspended(v.p.now())
}

// observed sends what was written as observations, or that there are none, and gives what
// the page then says was done.
func (r *request) observed(a *submission.Application, do, words string) (done string, err error) {
	if do == "none" {
		return "nessuna", r.apps().NoObservations(r.ctx(), r.visitor(), a.ID)
	}
	return "osservazioni", r.apps().Observe(r.ctx(), r.visitor(), a.ID, words)
}

// fileNotice is the office's notice, sealed, as it is in the register.
func (p *Portal) fileNotice(r *request) error {
	a, err := r.sent()
	if err != nil {
		return err
	}
	f, err := r.apps().NoticePDF(r.ctx(), a)
	if errors.Is(err, submission.ErrNotFound) {
		return errNotFound
	}
	if err != nil {
		return err
	}
	return r.file(f, "application/pdf", "inline", "motivi-"+a.FileReference()+".pdf")
}

// fileObservation is the sealed receipt of what the person sent, with its text.
func (p *Portal) fileObservation(r *request) error {
	a, err := r.sent()
	if err != nil {
		return err
	}
	n, _ := strconv.Atoi(r.r.PathValue("n")) // one that is no number leads nowhere
	f, err := r.apps().ObservationPDF(r.ctx(), a, n)
	if errors.Is(err, submission.ErrNotFound) {
		return errNotFound
	}
	if err != nil {
		return err
	}
	return r.file(f, "application/pdf", "inline", "osservazioni-"+a.FileReference()+"-"+strconv.Itoa(n)+".pdf")
}
