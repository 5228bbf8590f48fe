package signing_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/citel-pa/citel/agent/consent"
	"github.com/citel-pa/citel/agent/signing"
	"github.com/citel-pa/citel/agent/wire"
	"github.com/citel-pa/citel/pkcs/pades"
	"github.com/citel-pa/citel/testdata/pki"
)

// page is a PDF of one page; more goes into its catalogue.
func page(more string) []byte {
	out := []byte("%PDF-1.7\n")
	var at []int
	for i, body := range []string{"<</Type/Catalog/Pages 2 0 R" + more + ">>", "<</Type/Pages/Kids[3 0 R]/Count 1>>", "<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>"} {
		at = append(at, len(out))
		out = fmt.Appendf(out, "%d 0 obj\n%s\nendobj\n", i+1, body)
	}
	start := len(out)
	out = append(out, "xref\n0 4\n0000000000 65535 f\r\n"...)
	for _, n := range at {
		out = fmt.Appendf(out, "%010d 00000 n\r\n", n)
	}
	return fmt.Appendf(out, "trailer\n<</Size 4/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", start)
}

// inside prepares as the helper does (agent/worker).
func inside(_ context.Context, content io.ReadSeeker, size int64, o pades.PrepareOptions) (*pades.Prepared, error) {
	data, err := io.ReadAll(content)
	if err != nil {
		return nil, err
	}
	if bytes.Contains(data, []byte("/Damaged")) {
		return nil, &signing.DocumentError{Reason: signing.DocumentDamaged}
	}
	return pades.Prepare(bytes.NewReader(data), size, o)
}

func signPDF(t *testing.T, c *signing.Ceremony, detached bool, docs ...consent.Document) ([]*sink, error) {
	t.Helper()
	out := make([]*sink, len(docs))
	_, err := c.Sign(t.Context(), signing.SignRequest{Caller: caller(), Documents: docs, Format: signing.FormatPAdES, Detached: detached,
		Output: func(i int) (io.WriteCloser, error) { out[i] = &sink{}; return out[i], nil }})
	return out, err
}

func TestPDFsAreSignedInside(t *testing.T) {
	_, p, c := setup(t, pki.CNS)
	c.Prepare = inside
	first, second := page(""), page("/Lang(it)")
	out, err := signPDF(t, c, false, document(first), document(second))
	if err != nil || len(p.asked) != 1 {
		t.Fatal(err, len(p.asked))
	}
	for i, doc := range [][]byte{first, second} {
		signed := out[i].Bytes()
		facts, err := pades.Read(t.Context(), bytes.NewReader(signed), int64(len(signed)))
		if err != nil || len(facts) != 1 || !bytes.HasPrefix(signed, doc) {
			t.Fatal(err)
		}
		f := facts[0]
		if !f.Value.OverReceived || !f.Attribute.DigestMatch || !f.PDF.Whole || f.Level != "B-B" || f.Attribute.SigningTime == nil || len(f.Faults) > 0 {
			t.Errorf("%+v %+v", f.PDF, f.Faults)
		}
	}
}

// What cannot be signed is told before anybody is asked, and no key is opened.
func TestUnfitPDFs(t *testing.T) {
	card, p, c := setup(t, pki.CNS)
	doc := document(page(""))
	if _, err := signPDF(t, c, false, doc); !errors.Is(err, signing.ErrFormatUnsupported) {
		t.Errorf("without a helper: %v", err)
	}
	c.Prepare = inside
	if _, err := signPDF(t, c, true, doc); !errors.Is(err, signing.ErrFormatUnsupported) {
		t.Errorf("detached: %v", err)
	}
	bad := document(page("/Damaged true"))
	bad.Name = "rotto.pdf"
	_, err := signPDF(t, c, false, doc, bad)
	unfit, ok := errors.AsType[*signing.DocumentError](err)
	if !ok || unfit.Index != 1 || unfit.Name != "rotto.pdf" || unfit.Reason != signing.DocumentDamaged {
		t.Errorf("%v", err)
	}
	if code, _ := signing.Code(err); code != wire.CodeDocumentUnfit {
		t.Errorf("code %s", code)
	}
	if len(p.asked) != 0 || card.opened != 0 {
		t.Errorf("asked %d times, opened %d times", len(p.asked), card.opened)
	}
}

// The bytes that are signed are those of the consent, and the increment is what Prepare
// makes: a helper's word is not taken.
func TestPDFThatChanged(t *testing.T) {
	_, _, c := setup(t, pki.CNS)
	c.Prepare = inside
	doc, other := page("/Lang(it)"), page("/Lang(en)")
	shown := document(doc)
	n := 0
	shown.Open = func() (io.ReadSeekCloser, error) {
		if n++; n > 1 {
			return file{bytes.NewReader(other)}, nil
		}
		return file{bytes.NewReader(doc)}, nil
	}
	if _, err := signPDF(t, c, false, shown); !errors.Is(err, signing.ErrDocumentChanged) {
		t.Errorf("%v", err)
	}
	c.Prepare = func(ctx context.Context, content io.ReadSeeker, size int64, o pades.PrepareOptions) (*pades.Prepared, error) {
		p, err := inside(ctx, content, size, o)
		if err == nil {
			p.From += 2
		}
		return p, err
	}
	if _, err := signPDF(t, c, false, document(doc)); !errors.Is(err, pades.ErrPrepared) {
		t.Errorf("%v", err)
	}
}

func TestSignedNames(t *testing.T) {
	for _, x := range []struct {
		name, format string
		detached     bool
		want         string
	}{
		{"istanza.pdf", signing.FormatPAdES, false, "istanza-signed.pdf"}, {"ISTANZA.PDF", signing.FormatPAdES, false, "ISTANZA-signed.pdf"},
		{"istanza", signing.FormatPAdES, false, "istanza-signed.pdf"}, {"a.pdf", signing.FormatCAdES, false, "a.pdf.p7m"}, {"a.pdf", signing.FormatCAdES, true, "a.pdf.p7s"},
	} {
		if got := signing.SignedName(x.name, x.format, x.detached); got != x.want {
			t.Errorf("%s: %s", x.name, got)
		}
	}
}
