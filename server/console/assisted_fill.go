package console

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/citel-pa/citel/server/attachment"
	forms "github.com/citel-pa/citel/server/form"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/submission"
)

// stepOf reads the number of a step out of the address.
func (r *request) stepOf(d *desk) (int, error) {
	n, err := strconv.Atoi(r.r.PathValue("step"))
	if err != nil || n < 1 || n > len(d.Service.Sections) {
		return 0, errNotFound
	}
	return n, nil
}

func (c *Console) assistedStep(r *request) error {
	d, err := c.atDesk(r)
	if err != nil {
		return err
	}
	n, err := r.stepOf(d)
	if err != nil {
		return err
	}
	if !r.stateOnly(d, submission.StateDraft) {
		return nil
	}
	return c.showStep(r, http.StatusOK, d, n, nil, "")
}

func (c *Console) showStep(r *request, status int, d *desk, n int, errs service.Errors, wrong string) error {
	s := d.Service.Sections[n-1]
	f := forms.New(d.Service.Definition, s.ID, d.Fields, errs, r.lang)
	f.LookAt(r.query("voce"), r.lang)
	back := assistedPath
	if n > 1 {
		back = d.path() + "/passo/" + strconv.Itoa(n-1)
	}
	return c.deskPage(r, status, "assisted-step", s.Title.In(r.lang), d, data{
		"Script": "app/modulo.js", "Form": f, "Wrong": wrong, "N": n, "Of": len(d.Service.Sections), "Back": back, "Action": d.path() + "/passo/" + strconv.Itoa(n),
	})
}

// assistedSave keeps a step. What is wrong is told and kept all the same.
func (c *Console) assistedSave(r *request) error {
	d, err := c.atDesk(r)
	if err != nil {
		return err
	}
	n, err := r.stepOf(d)
	if err != nil {
		return err
	}
	section, posted := d.Service.Sections[n-1].ID, r.r.PostForm
	turn, err := d.Service.Turn(posted)
	if errors.Is(err, service.ErrItems) {
		return c.showStep(r, http.StatusUnprocessableEntity, d, n, nil, r.T("form.no-such-items"))
	}
	errs, err := c.Rooms.Applications.SaveOver(r.ctx(), d.v, d.ID, func(before map[string]string) func(string) string {
		return forms.Answers(d.Service.Definition, section, posted, before)
	}, turn == nil)
	if errors.Is(err, submission.ErrState) {
		r.redirect(d.path())
		return nil
	}
	if err != nil {
		return err
	}
	now, err := c.Rooms.Applications.Get(r.ctx(), d.v, d.ID)
	if err != nil {
		return err
	}
	after := &desk{now, d.v, d.w}
	switch {
	case turn != nil && turn.Code != "":
		return c.showStep(r, http.StatusUnprocessableEntity, after, n, service.Errors{d.Service.Sections[n-1].CountKey(): turn.Code}, "")
	case turn != nil:
		r.redirect(d.path() + "/passo/" + strconv.Itoa(n) + "?" + url.Values{"voce": {turn.String()}}.Encode())
		return nil
	}
	here := errs.In(d.Service.Sections[n-1])
	// What depends on an answer that was given only now was not on the page yet.
	appeared := forms.Appeared(d.Service.Definition, section, d.Fields, now.Fields)
	unseen := slices.ContainsFunc(appeared, func(id string) bool { return !posted.Has(id) && now.Fields[id] == "" })
	switch {
	case unseen && len(here) > 0 && !slices.ContainsFunc(keysList(here), func(id string) bool { return !slices.Contains(appeared, id) }):
		return c.showStep(r, http.StatusOK, after, n, nil, "")
	case len(here) > 0:
		return c.showStep(r, http.StatusUnprocessableEntity, after, n, here, "")
	case n < len(d.Service.Sections):
		r.redirect(d.path() + "/passo/" + strconv.Itoa(n+1))
	default:
		r.redirect(d.path() + "/allegati")
	}
	return nil
}

func keysList(m service.Errors) (out []string) {
	for k := range m {
		out = append(out, k)
	}
	return out
}

// wanted are the attachments that a service asks for with these answers.
type wantedFile struct {
	ID, Title string
	Required  bool
	Files     []*submission.File
}

func (c *Console) wantedFiles(r *request, d *desk) (out []wantedFile, err error) {
	files, err := c.Rooms.Applications.Files(r.ctx(), d.Application)
	if err != nil {
		return nil, err
	}
	for _, w := range d.Service.Wanted(d.Fields) {
		x := wantedFile{ID: w.ID, Title: w.Title.In(r.lang), Required: w.Required}
		for _, f := range files {
			if f.Slot == w.ID {
				x.Files = append(x.Files, f)
			}
		}
		out = append(out, x)
	}
	return out, nil
}

func (c *Console) assistedFiles(r *request) error {
	d, err := c.atDesk(r)
	if err != nil {
		return err
	}
	if !r.stateOnly(d, submission.StateDraft) {
		return nil
	}
	return c.showFiles(r, http.StatusOK, d, "")
}

func (c *Console) showFiles(r *request, status int, d *desk, wrong string) error {
	wanted, err := c.wantedFiles(r, d)
	if err != nil {
		return err
	}
	if len(wanted) == 0 && wrong == "" {
		r.redirect(d.path() + "/riepilogo")
		return nil
	}
	return c.deskPage(r, status, "assisted-files", r.T("assisted.files"), d, data{"Wanted": wanted, "Wrong": wrong, "Back": d.path() + "/passo/" + strconv.Itoa(len(d.Service.Sections))})
}

// assistedAttach takes a file: of a draft on its page, of one that is to be signed (the
// signed sheet, the identity document) on that of the signatures.
func (c *Console) assistedAttach(r *request) error {
	d, err := c.atDesk(r)
	if err != nil {
		return err
	}
	show, next := c.showFiles, d.path()+"/allegati"
	if d.State == submission.StateToSign {
		show, next = c.showSign, d.path()+"/firma"
	}
	f, head, err := r.upload("file")
	if err == nil {
		_, err = c.Rooms.Applications.Attach(r.ctx(), d.v, d.ID, r.value("slot"), head.Filename, f, head.Size)
		err = errors.Join(err, f.Close())
	}
	var refused *attachment.Refused
	switch {
	case err == nil:
		return r.done(next, "assisted.saved")
	case errors.As(err, &refused):
		return show(r, http.StatusUnprocessableEntity, d, r.T("attachment."+refused.Code))
	}
	if text := r.refusedText(err); text != "" {
		return show(r, http.StatusUnprocessableEntity, d, text)
	}
	return err
}

func (c *Console) assistedDetach(r *request) error {
	d, err := c.atDesk(r)
	if err != nil {
		return err
	}
	next := d.path() + "/allegati"
	if d.State == submission.StateToSign {
		next = d.path() + "/firma"
	}
	err = c.Rooms.Applications.Detach(r.ctx(), d.v, d.ID, r.value("file"))
	if errors.Is(err, submission.ErrNotFound) || errors.Is(err, submission.ErrState) {
		r.redirect(d.path()) // it is gone, in another tab
		return nil
	}
	if err != nil {
		return err
	}
	return r.done(next, "assisted.gone")
}

func (c *Console) assistedFile(r *request) error {
	d, err := c.atDesk(r)
	if err != nil {
		return err
	}
	f, content, err := c.Rooms.Applications.OpenFile(r.ctx(), d.Application, r.r.PathValue("file"))
	switch {
	case errors.Is(err, submission.ErrNotFound):
		return errNotFound
	case errors.Is(err, submission.ErrScan):
		return r.page(http.StatusConflict, "error", r.T("assisted.files"), data{"Body": r.T("application.scan")})
	case err != nil:
		return err
	}
	return r.handOver(f.Name, f.Kind.MediaType(), content)
}

func (c *Console) assistedCheck(r *request) error {
	d, err := c.atDesk(r)
	if err != nil {
		return err
	}
	if !r.stateOnly(d, submission.StateDraft) {
		return nil
	}
	return c.showCheck(r, http.StatusOK, d, "")
}

// showCheck is what is read aloud, or printed and handed over: the answers, the warnings,
// the privacy notice.
func (c *Console) showCheck(r *request, status int, d *desk, wrong string) error {
	blocks := forms.Read(d.Service.Definition, d.Fields, r.lang)
	for i := range blocks {
		blocks[i].Change, blocks[i].ChangeText = d.path()+"/passo/"+strconv.Itoa(blocks[i].N), r.T("assisted.change")
	}
	wanted, err := c.wantedFiles(r, d)
	if err != nil {
		return err
	}
	fee := ""
	if d.Service.Fee != nil {
		fee = strconv.Itoa(d.Service.Fee.Cents/100) + "," + strconv.Itoa(d.Service.Fee.Cents%100 + 100)[1:] + " €"
	}
	return c.deskPage(r, status, "assisted-check", r.T("assisted.check"), d, data{
		"Answers": blocks, "Wanted": wanted, "Wrong": wrong, "Fee": fee, "Notice": d.Service.Privacy.Text.In(r.lang), "Version": d.Service.Privacy.Version, "Next": r.incomplete(d),
	})
}

// incomplete leads to the first step in which something is missing.
func (r *request) incomplete(d *desk) *nextStep {
	_, errs := d.Service.Validate(func(id string) string { return d.Fields[id] }, r.c.now(), true)
	if n := d.Service.FirstWrong(errs); n > 0 {
		return &nextStep{r.T("assisted.complete", "step", d.Service.Sections[n-1].Title.In(r.lang)), d.path() + "/passo/" + strconv.Itoa(n)}
	}
	return nil
}

// assistedMake makes the document that the person signs.
func (c *Console) assistedMake(r *request) error {
	d, err := c.atDesk(r)
	if err != nil {
		return err
	}
	privacy := ""
	if r.value("privacy") != "" {
		privacy = r.value("version")
	}
	_, err = c.Rooms.Applications.Make(r.ctx(), d.v, d.ID, r.value("warned") != "", privacy)
	switch {
	case err == nil, errors.Is(err, submission.ErrState): // made already, in another tab
		r.redirect(d.path())
		return nil
	}
	if text := r.refusedText(err); text != "" {
		return c.showCheck(r, http.StatusUnprocessableEntity, d, text)
	}
	return err
}

// assistedDocument is the PDF, for reading and for the printer.
func (c *Console) assistedDocument(r *request) error {
	d, err := c.atDesk(r)
	if err != nil {
		return err
	}
	f, err := c.Rooms.Applications.Document(r.ctx(), d.Application)
	if errors.Is(err, submission.ErrNotFound) {
		return errNotFound
	}
	if err != nil {
		return err
	}
	return r.show(d.DocumentName(), f)
}
