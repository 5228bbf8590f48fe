package submission

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/citel-pa/citel/server/person"
	"github.com/citel-pa/citel/server/register"
	"github.com/citel-pa/citel/server/role"
)

// Behind finds the application that an entry of the register belongs to, where the
// operator may read it; ErrNotFound for what has none.
func (d *Desk) Behind(ctx context.Context, a role.Actor, e *register.Entry) (*Application, error) {
	return d.Look(ctx, a, e.Document)
}

// Segnatura is the segnatura di protocollo of an entry (DPR 445/2000, art. 55) with its
// documents, under the ente's seal. It names the party: ErrDenied for whom that is hidden,
// ErrNotFound for paper of the emergency register, which has no electronic document to mark,
// register.ErrCodes where the ente has no codes.
func (d *Desk) Segnatura(ctx context.Context, a role.Actor, n register.Number) ([]byte, error) {
	e, err := d.Register.Open(ctx, a, n)
	if err != nil {
		return nil, err
	}
	if e.Hidden {
		return nil, &role.DeniedError{Permission: role.RoutingRead, Ente: a.Ente}
	}
	if len(e.SHA256) == 0 {
		return nil, ErrNotFound
	}
	// The party was shown: the application's topic may need another right, its segnatura
	// says no more than the register does.
	x, err := d.scan(ctx, d.Store.QueryRowContext(ctx, "SELECT "+appColumns+" FROM application WHERE id = ? AND ente = ?", e.Document, a.Ente))
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	return d.segnatura(ctx, e, x)
}

// segnaturaOf is that of an application's own registration. ErrState: it has no number of
// the register here.
func (d *Desk) segnaturaOf(ctx context.Context, a *Application) ([]byte, error) {
	if a.Number.Number == 0 {
		return nil, ErrState
	}
	e, err := d.Register.Get(ctx, a.Ente, a.Number)
	if err != nil {
		return nil, err
	}
	return d.segnatura(ctx, e, a)
}

// maxSegnatura bounds one in bytes.
const maxSegnatura = 1 << 20

// segnatura is made once, and the same ever after. x is nil for an entry of no application.
func (d *Desk) segnatura(ctx context.Context, e *register.Entry, x *Application) ([]byte, error) {
	name := fmt.Sprintf("register/%s/segnatura-%d-%07d.xml", e.Ente, e.Number.Year, e.Number.Number)
	f, err := d.Store.OpenFile(ctx, name)
	if err == nil {
		data, err := io.ReadAll(io.LimitReader(f, maxSegnatura))
		return data, errors.Join(err, f.Close())
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	body, err := d.Enti.Get(ctx, e.Ente)
	if err != nil {
		return nil, err
	}
	topic, who := "protocollo", register.Subject{Company: e.Party}
	files := []register.File{{Name: "documento", MediaType: "application/octet-stream", Title: e.Subject, SHA256: e.SHA256}}
	if x != nil {
		owner, _, err := d.people(ctx, x)
		if err != nil {
			return nil, err
		}
		topic, who = x.Service.Topic, subjectOf(owner)
		if files, err = d.marked(ctx, x, e); err != nil {
			return nil, err
		}
	}
	plain, err := register.Segnatura(e, register.Body{Name: body.Name, Fiscal: body.Fiscal}, topic, who, files)
	if err != nil {
		return nil, err
	}
	signed, err := d.Seals.SignXML(ctx, e.Ente, body.Name, plain)
	if err != nil {
		return nil, err
	}
	return signed, d.Store.WriteFile(ctx, name, bytes.NewReader(signed))
}

func subjectOf(p *person.Person) register.Subject {
	if p.Kind == person.Corporate {
		return register.Subject{Company: p.Name(), Code: p.CodiceFiscale}
	}
	return register.Subject{Given: p.Given, Family: p.Family, Code: p.CodiceFiscale}
}

// marked are the documents of an entry, called as in Papers: the answer, or the one whose
// hash the register has, then the signed files around it, then what was attached.
func (d *Desk) marked(ctx context.Context, x *Application, e *register.Entry) ([]register.File, error) {
	if own, err := d.ofNotice(ctx, x, e); err != nil || own != nil {
		return own, err
	}
	if e.Direction == register.Out {
		sealed := true
		if _, err := d.AnswerOf(ctx, x); errors.Is(err, ErrNotFound) {
			sealed = false // of before answers were documents
		} else if err != nil {
			return nil, err
		}
		return []register.File{{Name: "risposta.pdf", MediaType: "application/pdf", Title: e.Subject, SHA256: e.SHA256, Sealed: sealed}}, nil
	}
	out := []register.File{{Name: x.called() + ".pdf", MediaType: "application/pdf", Title: e.Subject, SHA256: e.SHA256}}
	signed, err := d.Signatures(ctx, x)
	if err != nil {
		return nil, err
	}
	var seen []string
	for i, s := range signed {
		if slices.Contains(seen, s.File) {
			continue
		}
		seen = append(seen, s.File)
		sum, err := d.hash(ctx, s.File)
		if err != nil {
			return nil, err
		}
		out = append(out, register.File{Name: fmt.Sprintf("%s-%d.pdf.p7m", x.called(), i+1), MediaType: "application/pkcs7-mime", Title: e.Subject, SHA256: sum, Signed: true})
	}
	files, err := d.Files(ctx, x)
	if err != nil {
		return nil, err
	}
	for i, f := range files {
		if f.Sent && f.Slot != SlotMore {
			out = append(out, register.File{Name: fmt.Sprintf("allegato-%02d%s", i+1, f.Kind.Ext()), MediaType: f.Kind.MediaType(), Title: f.Name, SHA256: f.SHA256})
		}
	}
	return out, nil
}

// ofNotice is the document of an entry that is a notice's or an observation's; nil for others.
func (d *Desk) ofNotice(ctx context.Context, x *Application, e *register.Entry) ([]register.File, error) {
	if x.Noticed == "" {
		return nil, nil
	}
	one := func(name string) []register.File {
		return []register.File{{Name: name, MediaType: "application/pdf", Title: e.Subject, SHA256: e.SHA256, Sealed: true}}
	}
	n, err := d.NoticeOf(ctx, x)
	if err != nil {
		return nil, err
	}
	if n.Number == e.Number {
		return one(noticeName), nil
	}
	all, err := d.Observations(ctx, x)
	for _, o := range all {
		if o.Number == e.Number {
			return one(o.name()), err
		}
	}
	return nil, err
}

func (d *Desk) hash(ctx context.Context, name string) ([]byte, error) {
	f, err := d.Store.OpenFile(ctx, name)
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	return h.Sum(nil), errors.Join(err, f.Close())
}
