package portal

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/kept"
	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/submission"
)

func (p *Portal) service(r *request) (*service.Service, error) {
	if s := service.All[r.r.PathValue("service")]; s != nil {
		return s, nil
	}
	return nil, errNotFound
}

func (p *Portal) form(r *request) error {
	s, err := p.service(r)
	if err != nil {
		return err
	}
	// Who has not proved enough yet sees the window first, and may begin to write from there.
	if r.level < s.Level && !r.r.URL.Query().Has("compila") {
		return &needError{s.Level}
	}
	values := map[string]string{}
	form, err := p.kept.Get(r.ctx(), r.ente.Code, s.ID, r.owners()...)
	switch {
	case err == nil:
		values = form.Fields
	case !errors.Is(err, kept.ErrNotFound):
		return err
	}
	return r.showForm(s, values, nil)
}

// formDropped forgets what was kept of a form.
func (p *Portal) formDropped(r *request) error {
	s, err := p.service(r)
	if err == nil {
		err = r.read()
	}
	if err != nil {
		return err
	}
	if err := p.kept.Drop(r.ctx(), r.ente.Code, s.ID, r.owners()...); err != nil {
		return err
	}
	return r.to(r.base + "/servizi/" + s.ID + "?compila=1")
}

func (r *request) showForm(s *service.Service, values map[string]string, errs service.Errors) error {
	type field struct {
		service.Field
		Value, Error string
		Help         string
	}
	type section struct {
		Name   string
		Fields []field
	}
	var sections []section
	var wrong []field
	for _, name := range s.Sections() {
		sec := section{Name: name}
		for _, f := range s.Of(name) {
			x := field{Field: f, Value: values[f.Name]}
			if code := errs[f.Name]; code != "" {
				x.Error = r.T("service." + code)
				wrong = append(wrong, x)
			}
			if help := r.T(f.Label() + "-help"); help != f.Label()+"-help" {
				x.Help = help
			}
			sec.Fields = append(sec.Fields, x)
		}
		sections = append(sections, sec)
	}
	if len(wrong) > 0 {
		r.status = http.StatusUnprocessableEntity
	}
	d := map[string]any{"Service": s, "Sections": sections, "Wrong": wrong, "Person": r.person, "Kept": len(values) > 0 && errs == nil}
	if r.level < s.Level {
		d["Person"], d["Need"] = (*person.Person)(nil), s.Level.String()
	}
	return r.render("form", "service."+s.ID+"-title", d)
}

func (p *Portal) formSent(r *request) error {
	s, err := p.service(r)
	if err != nil {
		return err
	}
	// A session that is over, or was never there, loses nothing of what was typed: it is
	// kept, nothing is done in anybody's name, and the window follows.
	if err := r.read(); err != nil && (r.session != nil || !errors.Is(err, errCSRF)) {
		return err
	}
	values, errs := s.Validate(r.r.PostFormValue, p.now())
	if r.level < s.Level || r.person == nil {
		if err := r.keep(s.ID, values); err != nil {
			return err
		}
		return &needError{max(s.Level, session.Media)}
	}
	if len(errs) > 0 {
		return r.showForm(s, values, errs)
	}
	d, err := r.office.NewDraft(r.ctx(), s, r.person, values)
	if err == nil {
		err = p.kept.Drop(r.ctx(), r.ente.Code, s.ID, r.owners()...)
	}
	if err != nil {
		return err
	}
	http.Redirect(r.w, r.r, r.base+"/bozze/"+d.ID, http.StatusSeeOther)
	return nil
}

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
	h := r.w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", mime.FormatMediaType(disposition, map[string]string{"filename": name}))
	_, err := io.Copy(r.w, f)
	if err := errors.Join(err, f.Close()); err != nil {
		r.p.Log.Debug("a download broke off", "error", err)
	}
	return nil
}
