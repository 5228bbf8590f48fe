package console

import (
	"errors"
	"net/http"

	"github.com/citel-pa/citel/server/delay"
	"github.com/citel-pa/citel/server/service"
	"github.com/citel-pa/citel/server/submission"
)

// The person signs: on paper, with the card, or with a code that is mailed. Then it is
// sent, and the receipt is printed.

func (c *Console) assistedSign(r *request) error {
	d, err := c.atDesk(r)
	if err != nil {
		return err
	}
	if !r.stateOnly(d, submission.StateToSign) {
		return nil
	}
	return c.showSign(r, http.StatusOK, d, "")
}

// signing is what the page of the signatures shows.
type signing struct {
	Card, Code, Paper bool // the ways there are
	Unsigned          bool // it can be sent without a signature
	Sent              bool // the code is on its way
	Signers           []signer
	Papers, Documents []*submission.File
	SHA256, Signer    string
}

type signer struct {
	Code string
	Done bool
}

func (c *Console) showSign(r *request, status int, d *desk, wrong string) error {
	files, err := c.Rooms.Applications.Files(r.ctx(), d.Application)
	if err != nil {
		return err
	}
	signed, err := c.Rooms.Applications.Signatures(r.ctx(), d.Application)
	if err != nil {
		return err
	}
	wanted, err := c.Rooms.Applications.Wanted(r.ctx(), d.Application)
	if err != nil {
		return err
	}
	s := signing{Card: d.Service.Signature != service.SignatureNone, Paper: true, Code: d.CodeSigns(), SHA256: d.Fingerprint(), Sent: r.query("codice") != ""}
	s.Unsigned = !s.Card && d.Service.Act != service.Istanza
	for _, code := range wanted {
		x := signer{Code: code}
		for _, y := range signed {
			x.Done = x.Done || y.Code == code
		}
		if !x.Done && s.Signer == "" {
			s.Signer = code
		}
		s.Signers = append(s.Signers, x)
	}
	for _, f := range files {
		switch f.Slot {
		case submission.SlotPaper:
			s.Papers = append(s.Papers, f)
		case submission.SlotIdentity:
			s.Documents = append(s.Documents, f)
		}
	}
	return c.deskPage(r, status, "assisted-sign", r.T("assisted.sign"), d, data{"S": s, "Wrong": wrong, "Script": "app/assistita.js"})
}

// signFailed shows on the page of the signatures why it was not signed or sent.
func (c *Console) signFailed(r *request, d *desk, err error) error {
	var soon *delay.TooSoonError
	if errors.As(err, &soon) {
		return c.showSign(r, http.StatusTooManyRequests, d, r.T("console.too-soon-body", r.args(err)...))
	}
	if over := r.over(err); over != "" {
		return c.showSign(r, http.StatusTooManyRequests, d, over)
	}
	if text := r.refusedText(err); text != "" {
		return c.showSign(r, http.StatusUnprocessableEntity, d, text)
	}
	return err
}

// toSign reads the application of the address, while it is to be signed; else it leads to
// where it is: a form that was sent twice does nothing twice.
func (c *Console) toSign(r *request) (*desk, error) {
	d, err := c.atDesk(r)
	if err != nil {
		return nil, err
	}
	if d.State != submission.StateToSign {
		r.redirect(c.assistedNext(d))
		return nil, nil
	}
	return d, nil
}

// signAndSend is the end of each way.
func (c *Console) signAndSend(r *request, d *desk, how submission.Assisted, code string) error {
	if how != "" {
		if err := c.Rooms.Applications.SignAtDesk(r.ctx(), d.v, d.ID, how, code); err != nil {
			return c.signFailed(r, d, err)
		}
	}
	if _, err := c.Rooms.Applications.Send(r.ctx(), d.v, d.ID); err != nil {
		return c.signFailed(r, d, err)
	}
	return r.done(d.path(), "assisted.sent")
}

func (c *Console) assistedPaper(r *request) error {
	d, err := c.toSign(r)
	if d == nil {
		return err
	}
	return c.signAndSend(r, d, submission.OnPaper, "")
}

// assistedCode mails the code.
func (c *Console) assistedCode(r *request) error {
	d, err := c.toSign(r)
	if d == nil {
		return err
	}
	if _, err := c.Rooms.Applications.SendCode(r.ctx(), d.v, d.ID); err != nil {
		return c.signFailed(r, d, err)
	}
	return r.done(d.path()+"/firma?codice=inviato", "assisted.code-sent")
}

func (c *Console) assistedConfirm(r *request) error {
	d, err := c.toSign(r)
	if d == nil {
		return err
	}
	return c.signAndSend(r, d, submission.WithCode, r.value("code"))
}

// assistedCard takes the file that the person's card has signed, as it is in the body. When
// everybody has signed, it is sent.
func (c *Console) assistedCard(r *request) error {
	d, err := c.atDesk(r)
	if err != nil {
		return err
	}
	if d.State == submission.StateToSign {
		if _, err = c.Rooms.Applications.Sign(r.ctx(), d.v, d.ID, r.r.Body, r.lang); err == nil {
			_, err = c.Rooms.Applications.Send(r.ctx(), d.v, d.ID)
		}
	}
	if errors.Is(err, submission.ErrSigners) { // the next one signs
		return r.json(http.StatusOK, map[string]string{"next": d.path() + "/firma"})
	}
	if err == nil {
		return r.json(http.StatusOK, map[string]string{"next": d.path() + "?fatto=assisted.sent"})
	}
	code := submission.Code(err)
	text := r.refusedText(err)
	if errors.Is(err, submission.ErrOtherSigner) { // the portal's sentence speaks to whoever logged in
		text = r.T("assisted.other-signer")
	}
	if text == "" {
		return err
	}
	return r.json(http.StatusUnprocessableEntity, map[string]string{"error": code, "text": text})
}

// assistedSend sends what is not signed.
func (c *Console) assistedSend(r *request) error {
	d, err := c.toSign(r)
	if d == nil {
		return err
	}
	return c.signAndSend(r, d, "", "")
}

// assistedReopen makes a draft of it again: document and signatures go.
func (c *Console) assistedReopen(r *request) error {
	d, err := c.toSign(r)
	if d == nil {
		return err
	}
	if err := c.Rooms.Applications.Reopen(r.ctx(), d.v, d.ID); err != nil {
		return c.signFailed(r, d, err)
	}
	return r.done(d.path()+"/riepilogo", "assisted.reopened")
}

func (c *Console) assistedDiscard(r *request) error {
	d, err := c.atDesk(r)
	if err != nil {
		return err
	}
	err = c.Rooms.Applications.Discard(r.ctx(), d.v, d.ID)
	if errors.Is(err, submission.ErrState) {
		r.redirect(d.path())
		return nil
	}
	if err != nil {
		return err
	}
	return r.done(assistedPath, "assisted.gone")
}

func (c *Console) assistedReceipt(r *request) error {
	d, err := c.atDesk(r)
	if err != nil {
		return err
	}
	f, err := c.Rooms.Applications.Receipt(r.ctx(), d.Application)
	if errors.Is(err, submission.ErrState) {
		return errNotFound
	}
	if err != nil {
		return err
	}
	return r.show("ricevuta.pdf", f)
}
