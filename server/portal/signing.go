package portal

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/server/form"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/session"
	"github.com/citel-pa/citel/server/submission"
)

// check shows all answers on one page before anything is made of them (C.SE.1.4).
func (p *Portal) check(r *request) error {
	a, err := r.draftHere()
	if err != nil {
		return err
	}
	return r.showCheck(a, "")
}

// gap is something that is missing, with the step where it is given.
type gap struct{ Address, Text string }

func (r *request) gaps(a *submission.Application, slots []slot) (out []gap) {
	at, errs := r.base+"/pratiche/"+a.ID, r.missing(a)
	for _, f := range form.New(a.Service.Definition, "", a.Fields, errs, r.lang).Wrong {
		out = append(out, gap{at + "/passo/" + strconv.Itoa(f.Step) + "?da=riepilogo#" + f.HTML(), f.Name() + ": " + f.Error})
	}
	for _, s := range slots {
		if s.Required && !slices.ContainsFunc(s.Files, func(f *submission.File) bool { return f.State != submission.FileInfected }) {
			out = append(out, gap{at + "/allegati#s-" + s.ID, s.Title + ": " + r.T("modulo.attachment-missing")})
		}
	}
	return out
}

func (r *request) showCheck(a *submission.Application, problem string) error {
	slots, err := r.slots(a, "", "")
	if err != nil {
		return err
	}
	at := r.base + "/pratiche/" + a.ID
	blocks := form.Read(a.Service.Definition, a.Fields, r.lang)
	for i := range blocks {
		blocks[i].Change, blocks[i].ChangeText = at+"/passo/"+strconv.Itoa(blocks[i].N)+"?da=riepilogo", r.T("modulo.change")
	}
	over, err := r.overNow(a.Service)
	if err != nil {
		return err
	}
	switch {
	case over != "" && over == problem:
		r.status = http.StatusTooManyRequests
	case problem != "":
		r.status = http.StatusUnprocessableEntity
	}
	steps := r.steps(a.Service.Definition, a, atCheck)
	last := len(steps)
	if a.Service.Signature != service.SignatureNone {
		last--
	}
	who, err := r.apps().Who(r.ctx(), a)
	if err != nil {
		return err
	}
	return r.render("riepilogo", "modulo.check-title", map[string]any{
		"Who": who, "A": a, "S": a.Service, "Blocks": blocks, "Slots": slots, "Gaps": r.gaps(a, slots), "Problem": problem, "Over": over, "Steps": steps,
		"Signs": a.Service.Signature != service.SignatureNone, "Before": len(a.Service.Sections),
		"Crumb": a.Service.Title.In(r.lang), "Title": r.T("modulo.step-title", "n", last, "of", len(steps), "step", r.T("modulo.check-title"), "service", a.Service.Title.In(r.lang)),
	})
}

// checked makes the document of what was checked: warnings and notice were accepted, each
// by its own box, the notice in the version that the page showed. What needs no signature
// is sent at once.
func (p *Portal) checked(r *request) error {
	if err := r.read(); err != nil {
		return err
	}
	a, err := r.draftHere()
	if err != nil {
		return err
	}
	privacy := ""
	if r.r.PostForm.Get("privacy") == "yes" {
		privacy = r.r.PostForm.Get("version")
	}
	made, err := r.apps().Make(r.ctx(), r.visitor(), a.ID, r.r.PostForm.Get("warned") == "yes", privacy)
	var refused *submission.RefusedError
	if errors.As(err, &refused) && refused != submission.ErrState {
		return r.showCheck(a, r.T("application."+refused.Code))
	}
	if over := r.over(err); over != "" { // still a draft, and nothing of it is lost
		return r.showCheck(a, over)
	}
	if err != nil {
		return err
	}
	if made.Service.Signature == service.SignatureNone {
		return r.send(made)
	}
	return r.to(r.nextStep(made))
}

func (r *request) send(a *submission.Application) error {
	sent, err := r.apps().Send(r.ctx(), r.visitor(), a.ID)
	if errors.Is(err, submission.ErrLevel) { // begun with less than it takes to send it
		return &needError{a.Service.Needs()}
	}
	if err != nil {
		return err
	}
	return r.to(r.base + "/pratiche/" + sent.ID)
}

// signer is one of those who sign, as the page shows it.
type signer struct {
	Code   string
	You    bool
	Signed bool
	When   time.Time
}

// signState is what the page of the signatures needs to know.
type signState struct {
	owner   bool
	signers []signer
	you     *signer // who is there, if one of those who sign
	all     bool
	first   bool // who acts has signed: the others follow
}

func (r *request) signState(a *submission.Application) (s signState, err error) {
	if s.owner, err = r.apps().Owns(r.ctx(), r.visitor(), a); err != nil || a.Actor() == 0 {
		return s, err
	}
	wanted, err := r.apps().Wanted(r.ctx(), a)
	if err != nil {
		return s, err
	}
	signed, err := r.apps().Signatures(r.ctx(), a)
	if err != nil {
		return s, err
	}
	s.all = true
	for i, code := range wanted {
		x := signer{Code: code, You: r.person != nil && r.level >= session.Media && r.person.CodiceFiscale == code}
		for _, g := range signed {
			if g.Code == code {
				x.Signed, x.When = true, g.Time
			}
		}
		s.all = s.all && x.Signed
		s.first = s.first || i == 0 && x.Signed
		s.signers = append(s.signers, x)
		if x.You {
			s.you = &s.signers[len(s.signers)-1]
		}
	}
	return s, nil
}

func (p *Portal) signPage(r *request) error {
	a, err := r.application()
	if err != nil {
		return err
	}
	if a.State != submission.StateToSign {
		return r.to(r.nextStep(a))
	}
	return r.showSign(a, "")
}

// showSign shows the document and who signs it. Who only signs too sees the document that
// is signed and the own signature, and nothing else of the application.
func (r *request) showSign(a *submission.Application, problem string) error {
	st, err := r.signState(a)
	if err != nil {
		return err
	}
	steps := r.steps(a.Service.Definition, a, atSign)
	optional := a.Service.Signature != service.SignatureRequired
	d := map[string]any{
		"Script": "app/firma.js", "A": a, "S": a.Service, "SHA256": a.Fingerprint(), "Owner": st.owner, "You": st.you, "All": st.all, "Problem": problem, "Person": r.person,
		"Fingerprint": r.session.Fingerprint, "Optional": optional, "Turn": st.you != nil && !st.you.Signed && (st.owner || st.first), "First": st.first,
		"CanSend": st.owner && (st.all || optional && len(st.signers) <= 1), "Alone": len(st.signers) <= 1, "Steps": steps,
		"Crumb": a.Service.Title.In(r.lang), "Title": r.T("modulo.step-title", "n", len(steps), "of", len(steps), "step", r.T("modulo.sign-title"), "service", a.Service.Title.In(r.lang)),
	}
	if !st.owner {
		d["Title"] = r.T("modulo.cosign-title", "service", a.Service.Title.In(r.lang))
	} else {
		d["Signers"] = st.signers
		if d["Who"], err = r.apps().Who(r.ctx(), a); err != nil {
			return err
		}
		// Who was identified by a card needs no copy of anything (CAD, art. 65 c. 1 b).
		if card := r.level >= session.Forte && r.session.Profile != ""; optional && !card && len(st.signers) <= 1 && a.Service.Act == service.Istanza && r.person != nil {
			files, err := r.apps().Files(r.ctx(), a)
			if err != nil {
				return err
			}
			d["ByHand"] = []slot{
				r.slot(submission.SlotPaper, r.T("modulo.slot-paper"), false, files, "", ""),
				r.slot(submission.SlotIdentity, r.T("modulo.slot-identity"), false, files, "", ""),
			}
		}
	}
	over, err := r.overNow(a.Service)
	if err != nil {
		return err
	}
	if d["Over"] = over; problem != "" {
		r.status = http.StatusUnprocessableEntity
		if problem == over {
			r.status = http.StatusTooManyRequests
		}
	}
	return r.render("firma", "modulo.sign-title", d)
}

// sign takes a signed file; when it was the last signature and whoever sent it acts, the
// application is sent. problem is the sentence of a file that was refused.
func (r *request) sign(a *submission.Application, signed io.Reader) (after *submission.Application, code, problem string, err error) {
	if a.State.AtOffice() { // sent meanwhile, perhaps by this very file
		return a, "", "", nil
	}
	st, err := r.signState(a)
	if err != nil {
		return nil, "", "", err
	}
	if !st.owner && !st.first {
		return nil, "signers", r.T("modulo.first-signs"), nil
	}
	after, err = r.apps().Sign(r.ctx(), r.visitor(), a.ID, signed, r.lang)
	if err != nil {
		code, problem = r.signProblem(err)
		if problem == "" {
			return nil, "", "", err
		}
		return nil, code, problem, nil
	}
	if st, err = r.signState(after); err != nil || !st.owner || !st.all {
		return after, "", "", err
	}
	sent, err := r.apps().Send(r.ctx(), r.visitor(), a.ID)
	var refused *submission.RefusedError
	if errors.As(err, &refused) || r.over(err) != "" { // signed all the same: the page says what is missing
		return after, "", "", nil
	}
	return sent, "", "", err
}

// signProblem is the sentence of a refused file; empty for what is ours to know.
func (r *request) signProblem(err error) (code, text string) {
	var refused *submission.RefusedError
	if errors.As(err, &refused) {
		return refused.Code, r.T("application." + refused.Code)
	}
	code = submission.Code(err)
	if code == "internal" {
		return code, ""
	}
	why := ""
	var invalid *submission.InvalidError
	if errors.As(err, &invalid) {
		why = reason(invalid)
	}
	return code, message.Text(r.lang, "submission."+code, "why", why)
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

// apiSignature takes the signed file. It is sent as it is, in the request's body.
func (p *Portal) apiSignature(r *request) error {
	if !r.session.CheckCSRF(r.r.Header.Get("X-CSRF-Token")) {
		return errCSRF
	}
	a, err := r.application()
	var lower *needError
	if errors.As(err, &lower) {
		return r.apiError(http.StatusUnauthorized, "session", r.T("portal.session-over"))
	}
	if err != nil {
		return err
	}
	after, code, problem, err := r.sign(a, r.r.Body)
	switch {
	case err != nil:
		return err
	case problem != "":
		return r.apiError(http.StatusUnprocessableEntity, code, problem)
	}
	return r.json(http.StatusOK, map[string]string{"next": r.afterSign(after), "protocol": after.Protocol()})
}

// afterSign is where whoever signed goes on.
func (r *request) afterSign(a *submission.Application) string {
	if a.State.AtOffice() {
		return r.base + "/pratiche/" + a.ID
	}
	return r.base + "/pratiche/" + a.ID + "/firma?firmato=1"
}

// signedElsewhere takes a file that was signed with another program.
func (p *Portal) signedElsewhere(r *request) error {
	a, err := r.application()
	if err != nil {
		return err
	}
	up, err := r.upload()
	if err != nil {
		return err
	}
	defer up.close()
	if !a.State.AtOffice() && a.State != submission.StateToSign {
		return r.to(r.nextStep(a))
	}
	after, _, problem, err := r.sign(a, io.NewSectionReader(up.file, 0, up.size))
	switch {
	case err != nil:
		return err
	case problem != "":
		return r.showSign(a, problem)
	}
	return r.to(r.afterSign(after))
}

// sendNow sends what is signed, or needs no signature.
func (p *Portal) sendNow(r *request) error {
	if err := r.read(); err != nil {
		return err
	}
	a, err := r.owned()
	if err != nil {
		return err
	}
	err = r.send(a)
	if errors.Is(err, submission.ErrSigners) {
		return r.showSign(a, r.T("application.signers"))
	}
	if over := r.over(err); over != "" {
		return r.showSign(a, over)
	}
	return err
}

// reopened makes a draft of it again; document and signatures go, and the page said so.
func (p *Portal) reopened(r *request) error {
	if err := r.read(); err != nil {
		return err
	}
	a, err := r.owned()
	if err != nil {
		return err
	}
	if err := r.apps().Reopen(r.ctx(), r.visitor(), a.ID); err != nil && (!errors.Is(err, submission.ErrState) || a.State == submission.StateToSign) {
		return err
	}
	if a, err = r.owned(); err != nil {
		return err
	}
	return r.to(r.nextStep(a))
}

// discarded throws a draft away.
func (p *Portal) discarded(r *request) error {
	if err := r.read(); err != nil {
		return err
	}
	a, err := r.owned()
	if err != nil {
		return err
	}
	if err := r.apps().Discard(r.ctx(), r.visitor(), a.ID); err != nil {
		return err
	}
	return r.to(r.base + "/servizi/" + a.Service.ID + "?bozza=scartata")
}
