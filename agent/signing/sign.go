package signing

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/wire"
	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/pades"
)

// Formats of signatures: CAdES-B-B (ETSI EN 319 122-1), and PAdES-B-B or B-T (EN 319
// 142-1) for documents that are PDFs.
const (
	FormatCAdES = "cades"
	FormatPAdES = "pades"
)

// Formats lists what Sign makes.
var Formats = []string{FormatCAdES, FormatPAdES}

// SignRequest asks for signatures over documents, all in one consent.
type SignRequest struct {
	Caller    Caller
	Documents []consent.Document
	Format    string
	Detached  bool
	Choice    Choice
	// Output is where the signature over document i goes. It is closed before
	// the next one is asked for. What was written counts only when Sign returns
	// without an error.
	Output func(i int) (io.WriteCloser, error)

	// Stamp adds a time-stamp (PAdES-B-T); nil makes B-B. CAdES gets it afterwards.
	Stamp cades.StampFunc
	// Value, unless nil, is given the CMS in the PDF of document i.
	Value func(i int, cms []byte)
	// Field and Reason of a PDF's signature; an empty Field makes a new one.
	Field, Reason string

	prepared []*pades.Prepared
}

// SignResult tells with what was signed.
type SignResult struct {
	Certificate *x509.Certificate
}

// Sign signs documents (ARCHITECTURE.md, Application, 4). What the key signs are
// the DER signed attributes that pkcs/cades builds over bytes that we have,
// never a digest from outside and never the content's own digest: a document
// that holds hash(origin) || hash(nonce) of some site gives no login there.
func (c *Ceremony) Sign(ctx context.Context, req SignRequest) (*SignResult, error) {
	if !slices.Contains(Formats, req.Format) {
		return nil, fmt.Errorf("%w: %q", ErrFormatUnsupported, req.Format)
	}
	if req.Format == FormatPAdES && (req.Detached || c.Prepare == nil) {
		return nil, fmt.Errorf("%w: PAdES is in the document", ErrFormatUnsupported)
	}
	if n := len(req.Documents); n == 0 || n > wire.MaxDocuments {
		return nil, fmt.Errorf("signing: %d documents", n)
	}
	r := &consent.Request{Purpose: consent.PurposeSign, Caller: req.Caller.Caller, Documents: req.Documents, Extend: c.moreTime}
	found, err := c.candidates(ctx, &req.Caller, r, req.Choice)
	if err != nil {
		return nil, err
	}
	if req.prepared, err = c.prepare(ctx, &req); err != nil {
		return nil, err
	}
	asked := c.now()
	answer, err := c.ask(ctx, &req.Caller, r, noEnd)
	defer answer.Wipe()
	if err != nil {
		c.used(asked, r, nil, err)
		return nil, err
	}
	result, use, err := c.sign(ctx, &req, found, &answer)
	c.used(asked, r, use, err)
	c.Asker.Outcome(ctx, r, err)
	return result, err
}

func (c *Ceremony) sign(ctx context.Context, req *SignRequest, found []candidate, answer *consent.Answer) (_ *SignResult, _ *candidate, err error) {
	use, err := chosen(found, answer)
	if err != nil {
		return nil, nil, err
	}
	req.Caller.notify(StageWorking)
	key, err := unlock(ctx, &use, answer, c.fit(consent.PurposeSign, req.Choice))
	if err != nil {
		return nil, &use, err
	}
	defer func() { err = errors.Join(err, key.Close()) }()
	for i := range req.Documents {
		if err := ctx.Err(); err != nil {
			return nil, &use, fmt.Errorf("signing: %w", err)
		}
		if err := c.signOne(ctx, req, i, use, checked(key, use.id)); err != nil {
			return nil, &use, fmt.Errorf("signing document %d: %w", i+1, err)
		}
	}
	return &SignResult{Certificate: use.id.Certificate}, &use, nil
}

func (c *Ceremony) signOne(ctx context.Context, req *SignRequest, i int, use candidate, sign signFunc) (err error) {
	doc := req.Documents[i]
	content, err := doc.Open()
	if err != nil {
		return fmt.Errorf("opening it: %w", err)
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	out, err := req.Output(i)
	if err != nil {
		return fmt.Errorf("where it goes: %w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if req.Format == FormatPAdES {
		return c.signPDF(ctx, req, i, use, sign, asShown(content, doc), out)
	}
	return cades.Sign(ctx, cades.SignOptions{
		Certificate: use.id.Certificate,
		Sign:        cades.SignFunc(sign),
		SigningTime: c.now().UTC().Truncate(time.Second),
		Detached:    req.Detached,
	}, asShown(content, doc), doc.Size, out)
}
