package portal

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/denial"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/submission"
)

// archive has what was sent before services were data. A card had signed all of it, and a
// card opens it.
func (r *request) archive() *submission.Archive {
	return &submission.Archive{Ente: *r.ente, Store: r.p.Store, Keys: r.p.Rooms.Keys}
}

// archived are those that the level opens, and how many it does not.
func (r *request) archived() (open []*submission.Submission, closed int, err error) {
	all, err := r.archive().List(r.ctx(), r.person.ID)
	if r.level < session.Forte {
		return nil, len(all), err
	}
	return all, 0, err
}

// oldDraft: drafts of that time can be finished no more; what was sent is in the area.
func (p *Portal) oldDraft(r *request) error { return r.to(r.base + "/area") }

func (p *Portal) list(r *request) error {
	sent, closed, err := r.archived()
	if err != nil {
		return err
	}
	return r.render("list", "portal.list-title", map[string]any{"Sent": sent, "Closed": closed})
}

func (r *request) submission() (*submission.Submission, error) {
	id := r.r.PathValue("id")
	s, err := r.archive().Get(r.ctx(), id, r.person.ID)
	return s, other(denial.Archived, id, err)
}

func (p *Portal) receipt(r *request) error {
	s, err := r.submission()
	if err != nil {
		return err
	}
	return r.render("receipt", "portal.receipt-title", map[string]any{
		"S": s, "Person": r.person, "Title": r.T("submission.receipt-title", "number", s.Number),
	})
}

func (p *Portal) receiptPDF(r *request) error {
	s, err := r.submission()
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := r.archive().Receipt(s, r.person, &b); err != nil {
		return err
	}
	return r.file(io.NopCloser(&b), "application/pdf", "inline", "ricevuta-"+strconv.Itoa(s.Number.Year)+"-"+strconv.Itoa(s.Number.Number)+".pdf")
}

func (p *Portal) contentPDF(r *request) error {
	s, err := r.submission()
	if err != nil {
		return err
	}
	f, err := r.archive().PDF(r.ctx(), s)
	if err != nil {
		return err
	}
	return r.file(f, "application/pdf", "inline", "istanza.pdf")
}

func (p *Portal) signedFile(r *request) error {
	s, err := r.submission()
	if err != nil {
		return err
	}
	f, err := r.archive().Signed(r.ctx(), s)
	if err != nil {
		return err
	}
	if err := p.Audit.Write(r.ctx(), audit.Event{Ente: r.ente.Code, Kind: audit.Downloaded, Person: r.person.CodiceFiscale, PersonID: r.person.ID, Credential: r.session.Credential, Address: r.from(),
		Detail: map[string]string{"protocol": s.Number.String()}}); err != nil {
		return errors.Join(err, f.Close())
	}
	return r.file(f, "application/pkcs7-mime", "attachment", "istanza.pdf.p7m")
}

func (p *Portal) report(r *request) error {
	s, err := r.submission()
	if err != nil {
		return err
	}
	return r.json(http.StatusOK, s.Report)
}
