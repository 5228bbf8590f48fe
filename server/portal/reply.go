package portal

import (
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/citel-pa/citel/server/attachment"
	"github.com/citel-pa/citel/server/kept"
	"github.com/citel-pa/citel/server/rating"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/submission"
)

// maxReplyFiles bounds the files of one form.
const maxReplyFiles = 10

// replyFile is a file that came with a form, put aside.
type replyFile struct {
	name string
	size int64
	file *os.File
}

// posted reads a form with files: each is put aside in the store's own folder, its bytes
// bounded. done takes them away again.
func (r *request) posted(field string) (values map[string]string, files []replyFile, done func(), err error) {
	values = map[string]string{}
	done = func() {
		for _, f := range files {
			_ = errors.Join(f.file.Close(), os.Remove(f.file.Name()))
		}
	}
	r.r.Body = http.MaxBytesReader(r.w, r.whole, maxReplyFiles*r.maxBytes()+maxForm)
	in, err := r.r.MultipartReader()
	if err != nil {
		return values, nil, done, errBadForm
	}
	left := int64(maxForm)
	for {
		part, err := in.NextPart()
		if errors.Is(err, io.EOF) {
			return values, files, done, nil
		}
		if err != nil {
			return values, files, done, badPart(err)
		}
		if part.FormName() != field {
			b, err := io.ReadAll(io.LimitReader(part, left+1))
			if left -= int64(len(b)); err != nil || left < 0 {
				return values, files, done, errBadForm
			}
			values[part.FormName()] = string(b)
			continue
		}
		if part.FileName() == "" || r.session == nil {
			continue // a field that was left empty; what nobody sent is read and not written
		}
		if !r.checkCSRF(values["csrf"]) { // it comes before the files
			return values, files, done, errCSRF
		}
		if len(files) == maxReplyFiles {
			return values, files, done, submission.ErrFiles
		}
		f, err := r.aside(part)
		if err != nil {
			return values, files, done, err
		}
		files = append(files, *f)
	}
}

// aside writes one byte more than is taken at most: whoever judges it says why.
func (r *request) aside(part *multipart.Part) (*replyFile, error) {
	f, err := os.CreateTemp(r.apps().Limits.Dir, "citel-upload-*")
	if err != nil {
		return nil, err
	}
	n, err := io.Copy(f, io.LimitReader(part, r.maxBytes()+1))
	if err != nil {
		return nil, errors.Join(badPart(err), f.Close(), os.Remove(f.Name()))
	}
	return &replyFile{part.FileName(), n, f}, nil
}

func badPart(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return submission.ErrTooLarge
	}
	return errBadForm
}

// problem is the sentence of what was refused; empty for what is no refusal.
func (r *request) problem(err error) string {
	var file *attachment.Refused
	var refused *submission.RefusedError
	switch {
	case errors.As(err, &file):
		return r.T("attachment."+file.Code, "limit", megabytes(r.maxBytes()))
	case errors.Is(err, submission.ErrTooLarge):
		return r.T("attachment.too-large", "limit", megabytes(r.maxBytes()))
	case errors.As(err, &refused):
		return r.T("application." + refused.Code)
	}
	return ""
}

// replySent takes a word to the office, with files where the office asked for more or told
// reasons against the istanza.
// Nothing that was written is lost: what is refused comes back with its reason, and what a
// session that ended had written is kept until the login.
func (p *Portal) replySent(r *request) error {
	if r.session == nil || r.level == session.None {
		return r.replyKept()
	}
	a, err := r.sent()
	if err != nil {
		return err
	}
	values, files, done, failed := r.posted("file")
	defer done()
	if errors.Is(failed, errCSRF) || !r.checkCSRF(values["csrf"]) {
		return errCSRF
	}
	again := func(err error) error {
		text, status := r.problem(err), http.StatusUnprocessableEntity
		if over := r.over(err); over != "" {
			text, status = over, http.StatusTooManyRequests
		}
		if text == "" {
			return err
		}
		r.status = status
		return r.showFile(a, map[string]any{"Written": values["words"], "Problem": text})
	}
	if failed != nil {
		return again(failed)
	}
	for _, f := range files {
		text, err := r.attachMore(a, f)
		if err != nil {
			return err
		}
		if text != "" {
			r.status = http.StatusUnprocessableEntity
			return r.showFile(a, map[string]any{"Written": values["words"], "Problem": f.shown() + ": " + text})
		}
	}
	if values["do"] == "attach" { // more files may follow
		return r.showFile(a, map[string]any{"Written": values["words"], "Added": len(files)})
	}
	what, words := "risposta", strings.TrimSpace(values["words"])
	if do := values["do"]; do == "observe" || do == "none" {
		what, err = r.observed(a, do, words)
	} else {
		err = r.apps().Reply(r.ctx(), r.visitor(), a.ID, words)
	}
	if err != nil {
		return again(err)
	}
	if err := p.kept.Drop(r.ctx(), r.ente.Code, replyKey(a.ID), r.owners()...); err != nil {
		return err
	}
	return r.to(r.base + "/pratiche/" + a.ID + "?fatto=" + what + "#messaggi")
}

// attachMore gives the sentence of why a file is refused; empty when it was taken.
func (r *request) attachMore(a *submission.Application, f replyFile) (string, error) {
	x, err := r.apps().Attach(r.ctx(), r.visitor(), a.ID, submission.SlotMore, f.name, f.file, f.size)
	if text := r.problem(err); text != "" {
		return text, nil
	}
	if err != nil {
		return "", err
	}
	if x.State == submission.FileInfected {
		return r.T("attachment.infected"), r.apps().Detach(r.ctx(), r.visitor(), a.ID, x.ID)
	}
	return "", nil
}

// replyKept keeps the words of a session that has ended; the window follows.
func (r *request) replyKept() error {
	id := r.r.PathValue("id")
	values, _, done, err := r.posted("file")
	done()
	if err != nil {
		return err
	}
	if _, err := r.apps().Needs(r.ctx(), r.ente.Code, id); err == nil && values["words"] != "" {
		if err := r.keep(replyKey(id), map[string]string{"words": values["words"]}); err != nil {
			return err
		}
	}
	if _, err := r.application(); err != nil {
		return err
	}
	return errNotFound
}

// keptReply is what replyKept kept.
func (r *request) keptReply(id string) (string, error) {
	x, err := r.p.kept.Get(r.ctx(), r.ente.Code, replyKey(id), r.owners()...)
	if errors.Is(err, kept.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return x.Fields["words"], nil
}

// shown is a stranger's name in a sentence.
func (u replyFile) shown() string {
	name := []rune(strings.ToValidUTF8(u.name, ""))
	return string(name[:min(len(name), 60)])
}

// replyKey is under which an answer is kept whose session ended.
func replyKey(id string) string { return "risposta-" + id }

// replyFileRemoved takes a file away that was attached and not sent.
func (p *Portal) replyFileRemoved(r *request) error {
	if err := r.read(); err != nil {
		return err
	}
	a, err := r.sent()
	if err != nil {
		return err
	}
	err = r.apps().Detach(r.ctx(), r.visitor(), a.ID, r.r.PostForm.Get("file"))
	if errors.Is(err, submission.ErrState) {
		err = nil // it was sent meanwhile, as the page says
	}
	if err != nil {
		return err
	}
	return r.to(r.base + "/pratiche/" + a.ID + "#rispondi")
}

// withdrawPage asks before an application is taken back.
func (p *Portal) withdrawPage(r *request) error {
	a, err := r.sent()
	if err != nil {
		return err
	}
	return r.showWithdraw(a, "", "")
}

func (r *request) showWithdraw(a *submission.Application, words, problem string) error {
	if !a.State.Open() {
		return r.to(r.base + "/pratiche/" + a.ID)
	}
	if problem != "" {
		r.status = http.StatusUnprocessableEntity
	}
	return r.render("ritira", "pratica.withdraw-title", map[string]any{"A": a, "Words": words, "Problem": problem})
}

func (p *Portal) withdrawSent(r *request) error {
	if err := r.read(); err != nil {
		return err
	}
	a, err := r.sent()
	if err != nil {
		return err
	}
	words := r.r.PostForm.Get("words")
	if r.r.PostForm.Get("sure") != "yes" {
		return r.showWithdraw(a, words, r.T("pratica.withdraw-sure-missing"))
	}
	err = r.apps().Withdraw(r.ctx(), r.visitor(), a.ID, strings.TrimSpace(words))
	if errors.Is(err, submission.ErrState) {
		return r.to(r.base + "/pratiche/" + a.ID) // which says what became of it
	}
	if text := r.problem(err); text != "" {
		return r.showWithdraw(a, words, text)
	}
	if err != nil {
		return err
	}
	return r.to(r.base + "/pratiche/" + a.ID + "?fatto=ritirata")
}

// rateSent takes stars (C.SE.1.7). Of a form that was sent twice the first counts.
func (p *Portal) rateSent(r *request) error {
	if err := r.read(); err != nil {
		return err
	}
	a, err := r.sent()
	if err != nil {
		return err
	}
	f := r.r.PostForm
	stars, _ := strconv.Atoi(f.Get("stars"))
	x := rating.Rating{Stars: stars, Aspect: f.Get("positive"), Text: f.Get("text")}
	if stars <= 3 {
		x.Aspect = f.Get("negative")
	}
	err = p.Rooms.Ratings.Rate(r.ctx(), r.ente.Code, a.Service.ID, a.ID, x)
	switch {
	case errors.Is(err, rating.ErrInvalid):
		r.status = http.StatusUnprocessableEntity
		return r.showFile(a, map[string]any{"RateProblem": r.T("rating.invalid"), "RateText": x.Text})
	case err != nil && !errors.Is(err, rating.ErrDone):
		return err
	}
	return r.to(r.base + "/pratiche/" + a.ID + "?fatto=valutata#valuta")
}
