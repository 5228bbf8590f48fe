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
)

// maxSegnatura bounds one in bytes.
const maxSegnatura = 1 << 20

// Segnatura is the registration of an application as XML with the ente's seal: what its
// register sends and deposits with the documents. It is made once. ErrState: it has no
// number of the register here; register.ErrCodes: the ente's codes are missing.
func (d *Desk) Segnatura(ctx context.Context, a *Application) ([]byte, error) {
	if a.Number.Number == 0 {
		return nil, ErrState
	}
	name := a.file("-segnatura.xml")
	f, err := d.Store.OpenFile(ctx, name)
	if err == nil {
		data, err := io.ReadAll(io.LimitReader(f, maxSegnatura))
		return data, errors.Join(err, f.Close())
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	entry, err := d.Register.Get(ctx, a.Ente, a.Number)
	if err != nil {
		return nil, err
	}
	e, err := d.Enti.Get(ctx, a.Ente)
	if err != nil {
		return nil, err
	}
	owner, _, err := d.people(ctx, a)
	if err != nil {
		return nil, err
	}
	files, err := d.registered(ctx, a)
	if err != nil {
		return nil, err
	}
	plain, err := register.Segnatura(entry, register.Body{Name: e.Name, Fiscal: e.Fiscal}, a.Service.ID, subjectOf(owner), files)
	if err != nil {
		return nil, err
	}
	signed, err := d.Seals.SignXML(ctx, a.Ente, e.Name, plain)
	if err != nil {
		return nil, err
	}
	return signed, d.Store.WriteFile(ctx, name, bytes.NewReader(signed))
}

func subjectOf(p *person.Person) register.Subject {
	s := register.Subject{Given: p.Given, Family: p.Family, Code: p.CodiceFiscale}
	if p.Kind == person.Corporate {
		s = register.Subject{Company: p.Name(), Code: p.CodiceFiscale}
	}
	return s
}

// registered are the documents: the one whose hash the register has, then the signed
// files around it, then what was attached when it was sent.
func (d *Desk) registered(ctx context.Context, a *Application) ([]register.File, error) {
	out := []register.File{{Name: "istanza.pdf", MediaType: "application/pdf", Title: a.Service.Title.It, SHA256: a.SHA256}}
	signed, err := d.Signatures(ctx, a)
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
		out = append(out, register.File{Name: fmt.Sprintf("istanza-%d.pdf.p7m", i+1), MediaType: "application/pkcs7-mime", Title: a.Service.Title.It, SHA256: sum, Signed: true})
	}
	files, err := d.Files(ctx, a)
	if err != nil {
		return nil, err
	}
	for i, f := range files {
		if f.Slot != SlotMore {
			out = append(out, register.File{Name: fmt.Sprintf("allegato-%02d%s", i+1, f.Kind.Ext()), MediaType: f.Kind.MediaType(), Title: f.Name, SHA256: f.SHA256})
		}
	}
	return out, nil
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
