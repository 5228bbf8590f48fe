package portal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/citel-pa/citel/server/attachment"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/submission"
)

// slot is something that is asked for, with the files that are there for it.
type slot struct {
	ID, Title, Error string
	Required         bool
	Files            []*submission.File
	MaxBytes         int64
	Limit            string // in words
}

func (r *request) maxBytes() int64 {
	if n := r.apps().Limits.Bytes; n > 0 {
		return n
	}
	return attachment.DefaultBytes
}

func megabytes(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d kB", n>>10)
	}
	return fmt.Sprintf("%d MB", n>>20)
}

// slots are what the answers ask for; problem is the sentence of what was just refused in
// the slot of that id.
func (r *request) slots(a *submission.Application, problem, at string) ([]slot, error) {
	files, err := r.apps().Files(r.ctx(), a)
	if err != nil {
		return nil, err
	}
	var out []slot
	for _, w := range a.Service.Wanted(a.Fields) {
		out = append(out, r.slot(w.ID, w.Title.In(r.lang), w.Required, files, problem, at))
	}
	return out, nil
}

func (r *request) slot(id, title string, required bool, files []*submission.File, problem, at string) slot {
	s := slot{ID: id, Title: title, Required: required, MaxBytes: r.maxBytes(), Limit: megabytes(r.maxBytes())}
	for _, f := range files {
		if f.Slot == id {
			s.Files = append(s.Files, f)
		}
	}
	if id == at {
		s.Error = problem
	}
	return s
}

func (p *Portal) attachments(r *request) error {
	a, err := r.draftHere()
	if err != nil {
		return err
	}
	return r.showAttachments(a, "", "")
}

func (r *request) showAttachments(a *submission.Application, problem, at string) error {
	slots, err := r.slots(a, problem, at)
	if err != nil {
		return err
	}
	if problem != "" {
		r.status = http.StatusUnprocessableEntity
	}
	steps := r.steps(a.Service.Definition, a, atAttachments)
	return r.render("allegati", "modulo.attachments-title", map[string]any{
		"A": a, "S": a.Service, "Slots": slots, "Steps": steps, "Problem": problem, "Script": "app/modulo.js", "Person": r.person, "Before": len(a.Service.Sections),
		"Crumb": a.Service.Title.In(r.lang), "Title": r.T("modulo.step-title", "n", len(a.Service.Sections)+1, "of", len(steps), "step", r.T("modulo.attachments-title"), "service", a.Service.Title.In(r.lang)),
	})
}

// attached takes one file. The form's small fields stand before it, so that nothing of the
// file is read before the page's token was.
func (p *Portal) attached(r *request) error {
	a, err := r.owned()
	if err != nil {
		return err
	}
	up, err := r.upload()
	if err != nil {
		return err
	}
	defer up.close()
	// What is signed elsewhere is attached to the document that is made.
	late := up.slot == submission.SlotPaper || up.slot == submission.SlotIdentity
	if a.State != submission.StateDraft && (!late || a.State != submission.StateToSign) {
		return &movedError{r.nextStep(a)}
	}
	if !late && !slices.ContainsFunc(a.Service.Wanted(a.Fields), func(w service.Attachment) bool { return w.ID == up.slot }) {
		return errNotFound
	}
	problem, err := r.attach(a, up)
	if err != nil {
		return err
	}
	switch {
	case problem != "" && a.State == submission.StateToSign:
		return r.showSign(a, problem)
	case problem != "":
		return r.showAttachments(a, problem, up.slot)
	case a.State == submission.StateToSign:
		return r.to(r.base + "/pratiche/" + a.ID + "/firma#a-mano")
	}
	return r.to(r.base + "/pratiche/" + a.ID + "/allegati#s-" + up.slot)
}

// attach gives the sentence of why a file is refused; empty when it was taken.
func (r *request) attach(a *submission.Application, up *upload) (string, error) {
	limit := r.T("attachment.too-large", "limit", megabytes(r.maxBytes()))
	if up.tooLarge {
		return limit, nil
	}
	f, err := r.apps().Attach(r.ctx(), r.visitor(), a.ID, up.slot, up.name, up.file, up.size)
	var refused *attachment.Refused
	switch {
	case errors.As(err, &refused) && refused.Code == "too-large":
		return limit, nil
	case errors.As(err, &refused):
		return r.T("attachment." + refused.Code), nil
	case errors.Is(err, submission.ErrFiles):
		return r.T("application.files"), nil
	case errors.Is(err, submission.ErrSpace):
		return r.T("application.space"), nil
	case err != nil:
		return "", err
	case f.State == submission.FileInfected:
		return r.T("attachment.infected"), nil
	}
	return "", nil
}

func (p *Portal) detached(r *request) error {
	if err := r.read(); err != nil {
		return err
	}
	a, err := r.owned()
	if err != nil {
		return err
	}
	if err := r.apps().Detach(r.ctx(), r.visitor(), a.ID, r.r.PathValue("file")); err != nil {
		return err
	}
	if a.State == submission.StateToSign {
		return r.to(r.base + "/pratiche/" + a.ID + "/firma#a-mano")
	}
	return r.to(r.base + "/pratiche/" + a.ID + "/allegati")
}

// upload is a file that came, on disk.
type upload struct {
	slot, name string
	file       *os.File
	size       int64
	tooLarge   bool
}

func (u *upload) close() {
	if u.file != nil {
		_ = u.file.Close()
		_ = os.Remove(u.file.Name())
	}
}

// Of a file that is too large this much more is read and thrown away, so that the browser
// gets to see the sentence and not a broken connection.
const drained = 64 << 20

// upload reads a form with one file, as a stream: "csrf" and "slot" first.
func (r *request) upload() (*upload, error) {
	r.r.Body = http.MaxBytesReader(r.w, r.patient(r.whole), r.maxBytes()+drained)
	parts, err := r.r.MultipartReader()
	if err != nil { // not a form with a file
		if err := r.read(); err != nil {
			return nil, err
		}
		return nil, errBadForm
	}
	up, checked := &upload{}, false
	for range 8 {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			up.close()
			return nil, errBadForm
		}
		switch name := part.FormName(); {
		case name == "csrf" && !checked:
			if checked = r.checkCSRF(field(part)); !checked {
				return nil, errCSRF
			}
		case !checked:
			return nil, errCSRF
		case name == "slot":
			up.slot = field(part)
		case name == "file" && up.file == nil:
			if err := up.take(r.ctx(), part, r.apps().Limits.Dir, r.maxBytes()); err != nil {
				up.close()
				return nil, err
			}
		}
	}
	if !checked {
		return nil, errCSRF
	}
	if up.file == nil && !up.tooLarge {
		return nil, errBadForm
	}
	return up, nil
}

// How long an upload may take on a slow line, and how long nothing may come.
const (
	uploadTime = 15 * time.Minute
	uploadIdle = 30 * time.Second
)

// patient puts the connection's deadlines off while a file comes.
func (r *request) patient(body io.ReadCloser) io.ReadCloser {
	c, end := http.NewResponseController(r.w), time.Now().Add(uploadTime)
	if err := c.SetWriteDeadline(end.Add(time.Minute)); err != nil {
		return body // no connection of its own: a test's recorder
	}
	return &patientBody{body, c, end}
}

type patientBody struct {
	io.ReadCloser
	c   *http.ResponseController
	end time.Time
}

// Read waits for the next bytes, and not for all of them.
func (b *patientBody) Read(p []byte) (int, error) {
	next := time.Now().Add(uploadIdle)
	if next.After(b.end) {
		next = b.end
	}
	if err := b.c.SetReadDeadline(next); err != nil {
		return 0, err
	}
	return b.ReadCloser.Read(p)
}

func field(part *multipart.Part) string {
	b, err := io.ReadAll(io.LimitReader(part, 200))
	if err != nil {
		return ""
	}
	return string(b)
}

func (u *upload) take(ctx context.Context, part *multipart.Part, dir string, limit int64) (err error) {
	u.name = part.FileName()
	if u.file, err = os.CreateTemp(dir, "citel-upload-*"); err != nil {
		return fmt.Errorf("portal: %w", err)
	}
	if u.size, err = io.Copy(u.file, io.LimitReader(part, limit+1)); err == nil && u.size > limit {
		u.tooLarge = true
		_, err = io.Copy(io.Discard, part)
	}
	var over *http.MaxBytesError
	switch {
	case err == nil, errors.As(err, &over):
		u.tooLarge = u.tooLarge || err != nil
		return nil
	case ctx.Err() != nil:
		return ctx.Err() // whoever sent it has gone
	}
	return errBadForm
}
