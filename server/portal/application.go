package portal

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/submission"
)

func (p *Portal) draft(r *request) error {
	d, err := r.office.Draft(r.ctx(), r.r.PathValue("id"), r.person.ID)
	if errors.Is(err, submission.ErrNotFound) {
		// It was sent already, perhaps in another tab: that is what the person wants
		// to see.
		if s, sent := r.office.Sent(r.ctx(), r.r.PathValue("id"), r.person.ID); sent == nil {
			http.Redirect(r.w, r.r, r.base+"/domande/"+s.ID, http.StatusSeeOther)
			return nil
		}
	}
	if err != nil {
		return err
	}
	if err := r.enough(d.Service.Level); err != nil {
		return err
	}
	return r.render("sign", "portal.sign-title", map[string]any{
		"Script": "app/firma.js", "Draft": d, "SHA256": hex.EncodeToString(d.SHA256), "Person": r.person, "Fingerprint": r.session.Fingerprint,
	})
}

func (p *Portal) draftPDF(r *request) error {
	d, err := r.office.Draft(r.ctx(), r.r.PathValue("id"), r.person.ID)
	if err == nil {
		err = r.enough(d.Service.Level)
	}
	if err != nil {
		return err
	}
	f, err := r.office.DraftPDF(r.ctx(), d)
	if err != nil {
		return err
	}
	return r.file(f, "application/pdf", "inline", "istanza.pdf")
}

// apiSigned takes the signed file. It is sent as it is, in the request's body.
func (p *Portal) apiSigned(r *request) error {
	if !r.session.CheckCSRF(r.r.Header.Get("X-CSRF-Token")) {
		return errCSRF
	}
	id := r.r.PathValue("id")
	if s, err := r.office.Sent(r.ctx(), id, r.person.ID); err == nil {
		return r.json(http.StatusOK, map[string]string{"next": r.base + "/domande/" + s.ID})
	}
	d, err := r.office.Draft(r.ctx(), id, r.person.ID)
	if err == nil {
		err = r.enough(d.Service.Level)
	}
	if err != nil {
		return err
	}
	s, err := r.office.Submit(r.ctx(), d, r.person, r.r.Body, r.lang)
	if err != nil {
		code, why := submission.Code(err), ""
		status := http.StatusUnprocessableEntity
		var invalid *submission.InvalidError
		switch {
		case errors.As(err, &invalid):
			why = reason(invalid)
		case code == "internal":
			status = http.StatusInternalServerError
			p.Log.Error("submission failed", "error", err)
		}
		return r.apiError(status, code, r.T("submission."+code, "why", why))
	}
	return r.json(http.StatusOK, map[string]string{"next": r.base + "/domande/" + s.ID, "protocol": s.Number.String()})
}

// reason is the sentence of the finding that decided.
func reason(e *submission.InvalidError) string {
	for _, s := range e.Report.Signatures {
		for _, m := range s.Messages {
			if m.Level == "FAIL" {
				return m.Text
			}
		}
	}
	return ""
}

func (p *Portal) list(r *request) error {
	sent, closed, err := r.applications()
	if err != nil {
		return err
	}
	return r.render("list", "portal.list-title", map[string]any{"Sent": sent, "Closed": closed})
}

func (r *request) submission() (*submission.Submission, error) {
	s, err := r.office.Get(r.ctx(), r.r.PathValue("id"), r.person.ID)
	if err == nil {
		err = r.enough(s.Service.Level)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
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
	if err := r.office.Receipt(s, r.person, &b); err != nil {
		return err
	}
	return r.file(io.NopCloser(&b), "application/pdf", "inline", "ricevuta-"+strconv.Itoa(s.Number.Year)+"-"+strconv.Itoa(s.Number.Number)+".pdf")
}

func (p *Portal) contentPDF(r *request) error {
	s, err := r.submission()
	if err != nil {
		return err
	}
	f, err := r.office.PDF(r.ctx(), s)
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
	f, err := r.office.Signed(r.ctx(), s)
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

// file sends a file of ours.
func (r *request) file(f io.ReadCloser, kind, disposition, name string) error {
	return r.stream(f, func(h http.Header) {
		h.Set("Content-Type", kind)
		h.Set("Content-Disposition", mime.FormatMediaType(disposition, map[string]string{"filename": name}))
	})
}

// stream sends a file. What fails before its first byte has a page of its own; what fails
// later breaks the connection off: half a document must not look whole.
func (r *request) stream(f io.ReadCloser, headers func(http.Header)) error {
	whole := bufio.NewReaderSize(f, 32<<10)
	if _, err := whole.Peek(1); err != nil && !errors.Is(err, io.EOF) {
		return errors.Join(err, f.Close())
	}
	headers(r.w.Header())
	_, err := io.Copy(r.w, whole)
	if err := errors.Join(err, f.Close()); err != nil {
		r.p.Log.Warn("a download broke off", "path", r.r.URL.Path, "error", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}
