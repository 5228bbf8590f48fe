// Package attachment judges files that citizens send: what they are is told by their
// content and never by their name, and what could act, hide or harm is refused with the
// reason. It keeps nothing; who calls keeps the file and shows it to nobody before the
// scanner called it clean.
package attachment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/sync/semaphore"

	"github.com/citel-pa/citel/pkcs/pdf"
)

// Kind of a file.
type Kind string

// Kinds that are taken.
const (
	PDF  Kind = "pdf"
	JPEG Kind = "jpeg"
	PNG  Kind = "png"
	P7M  Kind = "p7m" // CMS SignedData around one of the others
)

// MediaType is what a download is sent as.
func (k Kind) MediaType() string {
	switch k {
	case PDF:
		return "application/pdf"
	case JPEG:
		return "image/jpeg"
	case PNG:
		return "image/png"
	case P7M:
		return "application/pkcs7-mime"
	}
	return "application/octet-stream"
}

// Ext is what a download's name ends with.
func (k Kind) Ext() string {
	switch k {
	case JPEG:
		return ".jpg"
	case P7M:
		return ".pdf.p7m"
	}
	return "." + string(k)
}

// Refused is a file that is not taken. Code is stable ("too-large", "type",
// "pdf-script", ...), its sentence is "attachment.<code>" in the catalogue.
type Refused struct {
	Code   string
	Detail string // for the log
}

func (r *Refused) Error() string { return "attachment: " + r.Code + ": " + r.Detail }

func refuse(code, format string, args ...any) error {
	return &Refused{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Limits of one file.
type Limits struct {
	Bytes  int64 // 0: DefaultBytes
	Pixels int   // of a picture; 0: DefaultPixels
	// Dir is where the content of a .p7m is put aside while it is looked at; empty:
	// the system's temporary folder.
	Dir string
}

// Default limits: a scanned form of many pages; a photograph of a document.
const (
	DefaultBytes  = 20 << 20
	DefaultPixels = 64 << 20
)

func (l Limits) filled() Limits {
	if l.Bytes <= 0 {
		l.Bytes = DefaultBytes
	}
	if l.Pixels <= 0 {
		l.Pixels = DefaultPixels
	}
	return l
}

// maxEnvelopes bounds .p7m in .p7m.
const maxEnvelopes = 5

// Check tells what a file is, or why it is refused (*Refused). Another error is a
// failure to read, or the context's end.
func Check(ctx context.Context, r io.ReaderAt, size int64, l Limits) (Kind, error) {
	return check(ctx, r, size, l.filled(), 0)
}

func check(ctx context.Context, r io.ReaderAt, size int64, l Limits, envelopes int) (Kind, error) {
	switch {
	case size == 0:
		return "", refuse("empty", "no bytes")
	case size > l.Bytes:
		return "", refuse("too-large", "%d bytes of %d", size, l.Bytes)
	case envelopes > maxEnvelopes:
		return "", refuse("p7m-nested", "more than %d envelopes", maxEnvelopes)
	}
	head := make([]byte, min(size, 1024))
	if _, err := r.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("attachment: %w", err)
	}
	whole := io.NewSectionReader(r, 0, size)
	switch {
	case bytes.HasPrefix(head, []byte("%PDF-")):
		return PDF, checkPDF(ctx, r, size)
	case bytes.HasPrefix(head, []byte("\xff\xd8\xff")):
		return JPEG, checkPicture(ctx, whole, l, jpeg.DecodeConfig, jpeg.Decode)
	case bytes.HasPrefix(head, []byte("\x89PNG\r\n\x1a\n")):
		return PNG, checkPicture(ctx, whole, l, png.DecodeConfig, png.Decode)
	case looksLikeCMS(head):
		return P7M, checkEnvelope(ctx, whole, l, envelopes)
	}
	return "", refuse("type", "it begins with % x", head[:min(len(head), 8)])
}

// checkPDF refuses what acts, hides or reaches outside. A damaged file is refused too:
// every reader mends it in its own way, so that two people may see two documents.
func checkPDF(ctx context.Context, r io.ReaderAt, size int64) error {
	f, err := pdf.Open(r, size)
	switch {
	case errors.Is(err, pdf.ErrEncrypted):
		return refuse("pdf-encrypted", "%v", err)
	case errors.Is(err, pdf.ErrTooLarge), errors.Is(err, pdf.ErrMalformed), errors.Is(err, pdf.ErrNotPDF):
		return refuse("pdf-damaged", "%v", err)
	case err != nil:
		return fmt.Errorf("attachment: %w", err)
	}
	if f.Rebuilt {
		return refuse("pdf-damaged", "%v", f.Problem)
	}
	found, err := f.Dangers(ctx)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, pdf.ErrMalformed), errors.Is(err, pdf.ErrTooLarge):
		return refuse("pdf-damaged", "%v", err)
	case err != nil:
		return fmt.Errorf("attachment: %w", err)
	case len(found) > 0:
		return refuse("pdf-"+string(found[0]), "%v", found)
	}
	return nil
}

// Decoded pictures are large, and a file of a few bytes can claim one: what all checks of
// this process decode at once stays within decoding bytes. One that needs more goes alone.
const decoding = 512 << 20

var decoders = semaphore.NewWeighted(decoding) //nolint:gochecknoglobals // the process has one memory

// memory is how many bytes decoding a picture takes at most. A progressive JPEG's
// coefficients are held besides its samples, four bytes each.
func memory(c image.Config) int64 {
	bytes := int64(4)
	switch c.ColorModel {
	case color.GrayModel:
		bytes = 5
	case color.Gray16Model:
		bytes = 2
	case color.RGBA64Model, color.NRGBA64Model:
		bytes = 8
	case color.YCbCrModel:
		bytes = 15
	case color.CMYKModel:
		bytes = 20
	}
	return bytes * int64(c.Width) * int64(c.Height)
}

// checkPicture decodes the whole picture: a header alone proves little, and a bomb shows
// in the header before a pixel is made.
func checkPicture(ctx context.Context, r io.ReadSeeker, l Limits, config func(io.Reader) (image.Config, error), decode func(io.Reader) (image.Image, error)) error {
	c, err := config(r)
	if err != nil {
		return refuse("picture-damaged", "%v", err)
	}
	if c.Width <= 0 || c.Height <= 0 || c.Width > l.Pixels/c.Height {
		return refuse("picture-too-large", "%d x %d pixels", c.Width, c.Height)
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("attachment: %w", err)
	}
	need := min(memory(c), decoding)
	if err := decoders.Acquire(ctx, need); err != nil {
		return err
	}
	defer decoders.Release(need)
	if _, err := decode(r); err != nil {
		return refuse("picture-damaged", "%v", err)
	}
	return nil
}
