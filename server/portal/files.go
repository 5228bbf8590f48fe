package portal

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"

	"github.com/citel-pa/citel/server/audit"
	"github.com/citel-pa/citel/server/denial"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/submission"
	"github.com/citel-pa/citel/server/web"
)

// fileRoutes: applications that were sent: status, messages, receipt.
var fileRoutes = []route{ //nolint:gochecknoglobals // a table
	{"GET /pratiche", session.Debole, (*Portal).files, false},
	// One address for an application from draft to end, which mails name: who is not logged
	// in is led to the level of its service and back.
	{"GET /pratiche/{id}", session.None, (*Portal).file, false},
	{"POST /pratiche/{id}/risposta", session.None, (*Portal).replySent, false},
	{"POST /pratiche/{id}/risposta/togli", session.Debole, (*Portal).replyFileRemoved, false},
	{"GET /pratiche/{id}/ritira", session.Debole, (*Portal).withdrawPage, false},
	{"POST /pratiche/{id}/ritira", session.Debole, (*Portal).withdrawSent, false},
	{"POST /pratiche/{id}/valuta", session.Debole, (*Portal).rateSent, false},
	{"GET /pratiche/{id}/documento.pdf", session.None, (*Portal).fileDocument, false},
	{"GET /pratiche/{id}/ricevuta.pdf", session.None, (*Portal).fileReceipt, false},
	{"GET /pratiche/{id}/risposta.pdf", session.None, (*Portal).fileAnswer, false},
	{"GET /pratiche/{id}/preavviso.pdf", session.None, (*Portal).fileNotice, false},
	{"GET /pratiche/{id}/osservazioni/{n}", session.None, (*Portal).fileObservation, false},
	{"GET /pratiche/{id}/rapporto.json", session.None, (*Portal).fileReport, false},
	{"GET /pratiche/{id}/firmato/{n}", session.None, (*Portal).fileSigned, false},
	{"GET /pratiche/{id}/prove/{n}", session.None, (*Portal).fileEvidence, false},
	{"GET /pratiche/{id}/fascicolo.zip", session.None, (*Portal).filePapers, false},
	{"GET /pratiche/{id}/file/{file}", session.None, (*Portal).fileAttachment, false},
	{"GET /sigillo.pem", session.None, (*Portal).sealPEM, true},
	{"GET /verifica-ricevuta", session.None, (*Portal).sealPage, true},
}

// needOf is the level that opens an application: its service's; while it is a draft, the
// one that it was begun with if that is lower. A draft that an operator began was begun with
// no level at all, and has what the registry knows.
func needOf(a *submission.Application) session.Level {
	if !a.State.AtOffice() && a.Operator == 0 {
		return min(a.Service.Needs(), a.Level)
	}
	return a.Service.Needs()
}

// application finds the one of the address, if it is the visitor's and the level is enough.
// Who has proved too little to be told whose it is sees the window first; who has proved
// enough finds nothing of others.
func (r *request) application() (*submission.Application, error) {
	d, id := r.apps(), r.r.PathValue("id")
	a, err := d.Get(r.ctx(), r.visitor(), id)
	if errors.Is(err, submission.ErrNotFound) && r.level < session.Forte {
		need, err := d.Needs(r.ctx(), r.ente.Code, id)
		if errors.Is(err, submission.ErrNotFound) && r.level == session.None {
			need, err = session.Debole, nil // what there is none of looks the same
		}
		if err == nil && r.level < need {
			err = &needError{need}
		}
		if err != nil {
			return nil, err
		}
	}
	if errors.Is(err, submission.ErrNotFound) {
		return nil, other(denial.Application, id, err)
	}
	if err != nil {
		return nil, err
	}
	return a, r.enough(needOf(a))
}

// owned is application without those that the visitor only signs too.
func (r *request) owned() (*submission.Application, error) {
	a, err := r.application()
	if err != nil {
		return nil, err
	}
	owns, err := r.apps().Owns(r.ctx(), r.visitor(), a)
	if err == nil && !owns {
		err = other(denial.Application, a.ID, submission.ErrNotFound)
	}
	return a, err
}

// sent is owned, once an office has it.
func (r *request) sent() (*submission.Application, error) {
	a, err := r.owned()
	if err == nil && !a.State.AtOffice() {
		err = submission.ErrNotFound
	}
	return a, err
}

// line is an application in a list.
type line struct {
	*submission.Application
	For    string // whose it is, where the visitor acts for somebody
	Unread bool
}

// lists are a visitor's applications by what is to be done.
type lists struct {
	ToSign, Drafts, Open, Ended []line
	Closed                      int // that the level does not open
	Cut                         int // how many are shown, where there may be more
	Need                        session.Level
}

// None tells whether there is nothing at all.
func (l *lists) None() bool {
	return len(l.ToSign)+len(l.Drafts)+len(l.Open)+len(l.Ended)+l.Closed == 0
}

// lists reads them, with the messages that go with them.
func (r *request) lists() (*lists, []submission.Message, error) {
	d, v := r.apps(), r.visitor()
	all, err1 := d.List(r.ctx(), v)
	others, err2 := d.ToSign(r.ctx(), v)
	messages, err3 := d.Inbox(r.ctx(), v)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, nil, err
	}
	unread := map[string]bool{}
	open := messages[:0:0]
	for _, m := range messages {
		if r.level >= needOf(m.Application) {
			open = append(open, m)
			unread[m.Application.ID] = unread[m.Application.ID] || m.Unread
		}
	}
	out, names := &lists{}, map[int64]string{}
	if len(all) >= submission.Listed {
		out.Cut = len(all)
	}
	add := func(to *[]line, a *submission.Application) error {
		x := line{Application: a, Unread: unread[a.ID]}
		if a.Person != 0 && (v.Person == nil || a.Person != v.Person.ID) {
			if names[a.Person] == "" {
				w, err := d.Who(r.ctx(), a)
				if err != nil {
					return err
				}
				names[a.Person] = w.Owner.Name()
			}
			x.For = names[a.Person]
		}
		*to = append(*to, x)
		return nil
	}
	var failed error
	for _, a := range others {
		if v.Mandate == "" {
			failed = errors.Join(failed, r.sort(out, &out.ToSign, a, add))
		}
	}
	for _, a := range all {
		to := &out.Ended
		switch {
		case a.State == submission.StateToSign:
			to = &out.ToSign
		case a.State == submission.StateDraft:
			to = &out.Drafts
		case a.State.Open():
			to = &out.Open
		}
		failed = errors.Join(failed, r.sort(out, to, a, add))
	}
	return out, open, failed
}

// sort puts one where it belongs, or counts it where the level does not open it.
func (r *request) sort(l *lists, to *[]line, a *submission.Application, add func(*[]line, *submission.Application) error) error {
	if need := needOf(a); r.level < need {
		l.Closed++
		l.Need = max(l.Need, need)
		return nil
	}
	return add(to, a)
}

// files lists a visitor's applications, and those of before.
func (p *Portal) files(r *request) error {
	l, _, err := r.lists()
	if err != nil {
		return err
	}
	d := map[string]any{"Lists": l}
	if err := r.before(d, l); err != nil {
		return err
	}
	return r.render("pratiche", "pratica.list-title", d)
}

// before adds what was sent with the first form, which has addresses of its own.
func (r *request) before(d map[string]any, l *lists) error {
	if r.level < session.Media || r.mandate != "" {
		return nil
	}
	sent, closed, err := r.archived()
	if err != nil {
		return err
	}
	if l.Closed += closed; closed > 0 {
		l.Need = session.Forte
	}
	d["OldSent"] = sent
	return nil
}

// logged writes down that documents were taken away.
func (r *request) logged(a *submission.Application, what string) error {
	e := audit.Event{Ente: r.ente.Code, Kind: audit.Downloaded, Credential: r.session.Credential, Address: r.from(), Detail: map[string]string{"application": a.ID, "what": what, "protocol": a.Protocol()}}
	if r.person != nil {
		e.Person, e.PersonID = r.person.CodiceFiscale, r.person.ID
	}
	return r.p.Audit.Write(r.ctx(), e)
}

// fileDocument is the document; who signs too reads it before signing.
func (p *Portal) fileDocument(r *request) error {
	a, err := r.application()
	if err != nil {
		return err
	}
	f, err := r.apps().Document(r.ctx(), a)
	if err != nil {
		return err
	}
	return r.file(f, "application/pdf", "inline", a.DocumentName())
}

func (p *Portal) fileReceipt(r *request) error {
	a, err := r.sent()
	if err != nil {
		return err
	}
	if a.Service.Act == service.SelfCertification {
		return errNotFound
	}
	f, err := r.apps().Receipt(r.ctx(), a)
	if err != nil {
		return err
	}
	return r.file(f, "application/pdf", "inline", "ricevuta-"+a.FileReference()+".pdf")
}

// fileAnswer is the office's answer, sealed, as it is in the register.
func (p *Portal) fileAnswer(r *request) error {
	a, err := r.sent()
	if err != nil {
		return err
	}
	f, err := r.apps().AnswerPDF(r.ctx(), a)
	if errors.Is(err, submission.ErrNotFound) {
		return errNotFound
	}
	if err != nil {
		return err
	}
	return r.file(f, "application/pdf", "inline", "risposta-"+a.FileReference()+".pdf")
}

// fileReport is what the verification of each signature came to, for programs.
func (p *Portal) fileReport(r *request) error {
	a, err := r.sent()
	if err != nil {
		return err
	}
	signed, err := r.apps().Signatures(r.ctx(), a)
	if err != nil {
		return err
	}
	type one struct {
		Received string `json:"received"`
		ToCheck  bool   `json:"toCheck"`
		Report   any    `json:"report"`
	}
	out := struct {
		Application string `json:"application"`
		Protocol    string `json:"protocol,omitempty"`
		SHA256      string `json:"sha256"`
		Signatures  []one  `json:"signatures"`
	}{a.ID, a.Protocol(), a.Fingerprint(), []one{}}
	for _, s := range signed {
		out.Signatures = append(out.Signatures, one{s.Time.UTC().Format("2006-01-02T15:04:05.000Z"), s.ToCheck, s.Report})
	}
	r.w.Header().Set("Content-Disposition", web.Disposition("attachment", "rapporto-"+a.FileReference()+".json"))
	return r.json(http.StatusOK, out)
}

// signature reads which one an address means.
func (r *request) signature() (*submission.Application, int, error) {
	a, err := r.sent()
	if err != nil {
		return nil, 0, err
	}
	n, err := strconv.Atoi(r.r.PathValue("n"))
	if err != nil {
		return nil, 0, errNotFound
	}
	return a, n, nil
}

func (p *Portal) fileSigned(r *request) error {
	a, n, err := r.signature()
	if err != nil {
		return err
	}
	_, f, err := r.apps().SignedFile(r.ctx(), a, n)
	if err != nil {
		return err
	}
	if err := r.logged(a, "signed"); err != nil {
		return errors.Join(err, f.Close())
	}
	return r.download(f, "application/pkcs7-mime", fmt.Sprintf("%s-firma-%d.pdf.p7m", a.FileReference(), n))
}

func (p *Portal) fileEvidence(r *request) error {
	a, n, err := r.signature()
	if err != nil {
		return err
	}
	return r.piped("application/zip", fmt.Sprintf("prove-%s-firma-%d.zip", a.FileReference(), n), func(ctx context.Context, w io.Writer) error {
		return r.apps().Evidence(ctx, a, n, r.lang, w)
	}, func() error { return r.logged(a, "evidence") })
}

// filePapers is everything of the file that is the person's, in one archive. What offices
// said to each other is not: instead of the steps it has the messages of the page.
func (p *Portal) filePapers(r *request) error {
	a, err := r.sent()
	if err != nil {
		return err
	}
	papers, err := r.apps().Papers(r.ctx(), a)
	if err != nil {
		return err
	}
	papers = slices.DeleteFunc(papers, func(x submission.Paper) bool { return x.Name == "passi.json" })
	x, err := r.filePage(a)
	if err != nil {
		return err
	}
	words, err := json.MarshalIndent(x.Words, "", " ")
	if err != nil {
		return err
	}
	papers = append(papers, submission.Paper{Name: "messaggi.json", Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(words)), nil }})
	return r.piped("application/zip", "pratica-"+a.FileReference()+".zip", func(ctx context.Context, w io.Writer) error {
		z := zip.NewWriter(w)
		for _, x := range papers {
			if err := pack(ctx, z, x); err != nil {
				return fmt.Errorf("portal: %s: %w", x.Name, err)
			}
		}
		return z.Close()
	}, func() error { return r.logged(a, "all") })
}

func pack(ctx context.Context, z *zip.Writer, x submission.Paper) error {
	f, err := x.Open(ctx)
	if err != nil {
		return err
	}
	w, err := z.Create(x.Name)
	if err == nil {
		_, err = io.Copy(w, f)
	}
	return errors.Join(err, f.Close())
}

// piped sends what is made while it is sent, once its first byte is there: what fails
// before has a page of its own, what fails later breaks the download off (web.Document).
func (r *request) piped(kind, name string, write func(context.Context, io.Writer) error, before func() error) error {
	pr, pw := io.Pipe()
	ctx, stop := context.WithCancel(r.ctx())
	defer stop()
	go func() { pw.CloseWithError(write(ctx, pw)) }() //nolint:gosec // ends with the pipe
	whole := bufio.NewReader(pr)
	if _, err := whole.Peek(1); err != nil {
		return errors.Join(err, pr.Close())
	}
	if err := before(); err != nil {
		return errors.Join(err, pr.Close())
	}
	return r.download(struct {
		io.Reader
		io.Closer
	}{whole, pr}, kind, name)
}

// fileAttachment is a download of what the person or the desk attached, once the scanner
// called it clean.
func (p *Portal) fileAttachment(r *request) error {
	a, err := r.owned()
	if err != nil {
		return err
	}
	x, f, err := r.apps().OpenFile(r.ctx(), a, r.r.PathValue("file"))
	if errors.Is(err, submission.ErrScan) {
		r.status = http.StatusConflict
		return r.render("error", "portal.error-title", map[string]any{"Body": r.T("application.scan")})
	}
	if err != nil {
		return err
	}
	return r.download(f, x.Kind.MediaType(), x.Name)
}
