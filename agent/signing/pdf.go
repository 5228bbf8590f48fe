package signing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/pades"
)

// PrepareFunc has a PDF made ready for a signature. It runs elsewhere (agent/worker):
// what parses a stranger's document never shares a process with the PIN.
type PrepareFunc func(ctx context.Context, content io.ReadSeeker, size int64, o pades.PrepareOptions) (*pades.Prepared, error)

// DocumentReason is why a document cannot be signed in the format that was asked for.
type DocumentReason string

// Reasons; people read the sentence "sign.REASON" of the catalogue.
const (
	DocumentNotPDF    DocumentReason = "not-pdf"
	DocumentEncrypted DocumentReason = "encrypted"
	DocumentCertified DocumentReason = "certified"
	DocumentDamaged   DocumentReason = "damaged"
	DocumentField     DocumentReason = "field"
	DocumentTooLarge  DocumentReason = "too-large"
)

// Known tells whether it is one of them: a helper's word is a stranger's.
func (r DocumentReason) Known() bool {
	switch r {
	case DocumentNotPDF, DocumentEncrypted, DocumentCertified, DocumentDamaged, DocumentField, DocumentTooLarge:
		return true
	}
	return false
}

// ErrDocumentUnfit is what every DocumentError wraps.
var ErrDocumentUnfit = errors.New("signing: the document cannot be signed in this format")

// DocumentError names the document, from 0, and the reason.
type DocumentError struct {
	Index  int
	Name   string
	Reason DocumentReason
	Detail string // for the log
}

// Error is for the log.
func (e *DocumentError) Error() string {
	return fmt.Sprintf("%v: document %d: %s: %q", ErrDocumentUnfit, e.Index+1, e.Reason, e.Detail)
}

// Unwrap gives ErrDocumentUnfit.
func (e *DocumentError) Unwrap() error { return ErrDocumentUnfit }

// SignedName is what a signed document is called: the PDF keeps its type.
func SignedName(name, format string, detached bool) string {
	switch {
	case format == FormatPAdES:
		if ext := filepath.Ext(name); strings.EqualFold(ext, ".pdf") {
			name = name[:len(name)-len(ext)]
		}
		return name + "-signed.pdf"
	case detached:
		return name + ".p7s"
	}
	return name + ".p7m"
}

// stampRoom is what a time-stamp token with its certificates takes more.
const stampRoom = 16 << 10

// prepare makes every PDF ready before the person is asked: what cannot be signed is
// told before a PIN is typed.
func (c *Ceremony) prepare(ctx context.Context, req *SignRequest) ([]*pades.Prepared, error) {
	if req.Format != FormatPAdES {
		return nil, nil
	}
	o := pades.PrepareOptions{Field: req.Field, Time: c.now(), Reason: req.Reason, Room: pades.DefaultRoom}
	if req.Stamp != nil {
		o.Room += stampRoom
	}
	out := make([]*pades.Prepared, 0, len(req.Documents))
	for i, doc := range req.Documents {
		p, err := c.prepareOne(ctx, doc, o)
		if unfit, ok := errors.AsType[*DocumentError](err); ok {
			unfit.Index, unfit.Name = i, doc.Name
		}
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func (c *Ceremony) prepareOne(ctx context.Context, doc consent.Document, o pades.PrepareOptions) (_ *pades.Prepared, err error) {
	content, err := doc.Open()
	if err != nil {
		return nil, fmt.Errorf("opening it: %w", err)
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	return c.Prepare(ctx, content, doc.Size, o)
}

// signPDF signs what was prepared, over the bytes of the consent.
func (c *Ceremony) signPDF(ctx context.Context, req *SignRequest, i int, use candidate, sign signFunc, content io.Reader, out io.Writer) error {
	o := pades.SignOptions{SignOptions: cades.SignOptions{Certificate: use.id.Certificate, Sign: cades.SignFunc(sign)}, Stamp: req.Stamp}
	if req.Value != nil {
		o.Value = func(cms []byte) { req.Value(i, cms) }
	}
	return pades.Complete(ctx, o, req.prepared[i], content, req.Documents[i].Size, out)
}
