package pades

import (
	"bytes"
	"context"
	"crypto"
	_ "crypto/sha1" //nolint:gosec // adbe.pkcs7.sha1 is read so that it can be refused by name
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/cms"
	"github.com/citel-pa/citel/pkcs/pdf"
	"github.com/citel-pa/citel/pkcs/validation"
)

// ErrNoSignature means that the PDF has no signature.
var ErrNoSignature = errors.New("pades: the PDF has no signature")

// SubFilters (ISO 32000-2, table 255; EN 319 142-1, 6.3).
const (
	subCAdES     = "ETSI.CAdES.detached"
	subTimestamp = "ETSI.RFC3161"
	subDetached  = "adbe.pkcs7.detached"
	subSHA1      = "adbe.pkcs7.sha1"
)

const (
	maxSignatures = 256
	maxContents   = 16 << 20 // of one signature
)

// signature is one value of a signature field.
type signature struct {
	field     field
	dict      pdf.Dict
	subFilter string
	contents  []byte
	ranges    []int64
	end       int64     // of what it covers; 0 when the ranges cannot be used
	revision  *pdf.File // the file as it was signed; nil when that cannot be read
	faults    []validation.Fault
	facts     *validation.Facts
	stamp     *validation.TimestampFacts
	skipped   bool // its revision was not read: too much work
	odd       bool // its form is not that of EN 319 142-1
}

func (s *signature) fault(id, format string, args ...any) {
	s.faults = append(s.faults, validation.Fault{ID: id, Text: fmt.Sprintf(format, args...)})
}

// Read collects the facts about every signature of a PDF, in the order in which they
// were made. The error says that there is nothing to judge.
func Read(ctx context.Context, r io.ReaderAt, size int64) ([]*validation.Facts, error) {
	f, err := pdf.Open(r, size)
	if errors.Is(err, pdf.ErrMalformed) || errors.Is(err, pdf.ErrTooLarge) {
		return unreadable(r, size, err)
	}
	if err != nil {
		return nil, err
	}
	d := &document{r: r, file: f, store: securityStore(f)}
	d.find()
	if len(d.signatures) == 0 {
		return nil, ErrNoSignature
	}
	slices.SortStableFunc(d.signatures, func(a, b *signature) int {
		switch {
		case a.end < b.end:
			return -1
		case a.end > b.end:
			return 1
		}
		return 0
	})
	var out []*validation.Facts
	for _, s := range d.signatures {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		d.open(s)
		if s.isStamp() {
			d.readStamp(ctx, s)
			continue
		}
		if err := d.read(ctx, s); err != nil {
			return nil, err
		}
		d.changes(ctx, s)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		out = append(out, s.facts)
	}
	if len(out) == 0 {
		return nil, ErrNoSignature
	}
	d.documentStamps()
	for _, s := range d.signatures {
		if s.stamp != nil && s.stamp.Token != nil {
			d.store.addTo(s.stamp.Token)
		}
		if s.facts != nil && !s.facts.Unread {
			d.store.addTo(s.facts)
			s.facts.Level = d.level(s)
		}
	}
	return out, nil
}

type document struct {
	r          io.ReaderAt
	file       *pdf.File
	store      *store
	signatures []*signature
	compared   int // objects, see maxCompared

	fieldsNow []field // of the file as it is
	pagesNow  []page
}

func (s *signature) isStamp() bool {
	return s.subFilter == subTimestamp || s.dict["Type"] == pdf.Name("DocTimeStamp")
}

// find lists the signatures: the values of the form's fields, each once, and, where the
// form has none, dictionaries that look like one.
func (d *document) find() {
	seen := map[pdf.Ref]bool{}
	for _, f := range fields(d.file) {
		if !f.signed() || len(d.signatures) >= maxSignatures {
			continue
		}
		ref, indirect := f.value.(pdf.Ref)
		if indirect {
			if seen[ref] {
				continue
			}
			seen[ref] = true
		}
		d.add(f, ref.Num)
	}
	if len(d.signatures) > 0 {
		return
	}
	for _, num := range d.file.Numbers() {
		o, err := d.file.Get(pdf.Ref{Num: num})
		if dict, ok := o.(pdf.Dict); err == nil && ok && dict["ByteRange"] != nil && dict["Contents"] != nil && len(d.signatures) < maxSignatures {
			d.add(field{kind: "Sig", value: pdf.Ref{Num: num}}, num)
		}
	}
}

// add reads the dictionary of a signature and the rules of its place (ISO 32000-2,
// 12.8.1): ByteRange covers the file from its first byte to the end of a revision with
// one gap, which is the value of Contents and nothing else.
func (d *document) add(f field, num int) {
	s := &signature{field: f}
	var spans map[pdf.Name]pdf.Span
	var err error
	if num > 0 {
		s.dict, spans, err = d.file.Spans(num)
	} else {
		s.dict, spans, err = d.file.InnerSpans(f.holder, "V")
	}
	if err != nil {
		s.dict = d.file.Dict(f.value)
		if s.dict == nil {
			return // V is no dictionary: an empty field
		}
		s.fault("pdf-signature-dictionary", "its dictionary cannot be read in place: %v", err)
	}
	d.signatures = append(d.signatures, s)
	s.subFilter = string(d.file.Name(s.dict["SubFilter"]))
	if s.subFilter == "" {
		s.fault("pdf-subfilter", "the signature does not say what it is (SubFilter)")
	}
	contents, ok := d.file.Resolve(s.dict["Contents"]).(pdf.String)
	if !ok || len(contents) == 0 || len(contents) > maxContents {
		s.fault("pdf-contents", "the signature has no value (Contents)")
	}
	s.contents = contents
	for _, o := range d.file.Array(s.dict["ByteRange"]) {
		n, ok := d.file.Int(o)
		if !ok || len(s.ranges) >= 64 {
			n = -1
		}
		s.ranges = append(s.ranges, n)
	}
	d.checkRanges(s, spans["Contents"])
}

func (d *document) checkRanges(s *signature, gap pdf.Span) {
	r := s.ranges
	if len(r) != 4 {
		s.fault("pdf-byte-range", "ByteRange has %d numbers, not 4", len(r))
		return
	}
	size := d.file.Size()
	if slices.ContainsFunc(r, func(n int64) bool { return n < 0 || n > size }) || r[0]+r[1] > r[2] || r[2]+r[3] > size {
		s.fault("pdf-byte-range", "ByteRange %v is not in the file's %d bytes", r, size)
		return
	}
	s.end = r[2] + r[3]
	if r[0] != 0 {
		s.fault("pdf-byte-range", "the first %d bytes are not signed", r[0])
	}
	if gap.From != r[0]+r[1] || gap.To != r[2] {
		s.fault("pdf-byte-range", "what is not signed [%d, %d) is not the signature's own value [%d, %d)", r[0]+r[1], r[2], gap.From, gap.To)
		return
	}
	var edge [1]byte
	if _, err := d.r.ReadAt(edge[:], gap.From); err != nil || edge[0] != '<' {
		s.fault("pdf-contents", "the signature's value is no hexadecimal string")
	}
}

// covered gives the bytes that the signature covers.
func (d *document) covered(s *signature) io.Reader {
	if s.end == 0 {
		return nil
	}
	return io.MultiReader(io.NewSectionReader(d.r, s.ranges[0], s.ranges[1]), io.NewSectionReader(d.r, s.ranges[2], s.ranges[3]))
}

// open reads the revision that was signed.
func (d *document) open(s *signature) {
	if s.end == 0 {
		return
	}
	if !d.endsRevision(s.end) {
		s.fault("pdf-byte-range", "what is signed does not end where a revision of the file ends, at byte %d", s.end)
	}
	last := d.onlySpaceAfter(s.end)
	if last {
		s.revision = d.file
		if d.file.Rebuilt {
			s.fault("cross-reference-rebuilt", "the file's cross-reference cannot be read (%v)", d.file.Problem)
		}
		return
	}
	if d.file.Rebuilt {
		// What was found by searching is what readers show, and is compared like any other.
		s.fault("cross-reference-rebuilt", "bytes follow the signature, and the file's cross-reference cannot be read (%v)", d.file.Problem)
	}
	if d.compared > maxCompared {
		s.skipped = true
		return
	}
	f, err := pdf.Open(d.r, s.end)
	if err == nil {
		d.compared += f.Cost() / 16 // an entry costs less than an object
	}
	switch {
	case err != nil:
		s.fault("pdf-revision", "what was signed is no whole PDF: %v", err)
		return
	case f.Rebuilt:
		s.fault("cross-reference-rebuilt", "the signed revision's cross-reference cannot be read (%v)", f.Problem)
	case len(d.file.Sections) > 0 && d.file.Sections[0].Offset < s.end:
		s.fault("pdf-trailing-bytes", "%d bytes follow what was signed, and no cross-reference knows them", d.file.Size()-s.end)
	}
	s.revision = f
}

// endsRevision tells whether the last line before an end is the end-of-file marker (7.5.5).
// What little follows it in the signed range is the signer's.
func (d *document) endsRevision(end int64) bool {
	from := max(0, end-1024)
	tail := make([]byte, end-from)
	if _, err := d.r.ReadAt(tail, from); err != nil && err != io.EOF {
		return false
	}
	return bytes.LastIndex(tail, []byte("%%EOF")) > bytes.LastIndex(tail, []byte("startxref"))
}

// onlySpaceAfter tells whether nothing but white space and padding follows.
func (d *document) onlySpaceAfter(end int64) bool {
	const most = 4096
	n := d.file.Size() - end
	if n > most {
		return false
	}
	rest := make([]byte, n)
	if _, err := d.r.ReadAt(rest, end); err != nil && err != io.EOF {
		return false
	}
	return len(bytes.Trim(rest, "\x00\t\n\f\r ")) == 0
}

// value cuts the padding off Contents: what follows the structure is zeros.
func (s *signature) value() []byte {
	el, rest, err := cms.Next(s.contents)
	if err != nil {
		return s.contents
	}
	if len(bytes.Trim(rest, "\x00")) > 0 {
		s.fault("contents-padding", "%d bytes follow the signature's value and are not zero", len(rest))
	}
	return el.Raw
}

func (d *document) pdfFacts(s *signature) *validation.PDFFacts {
	p := &validation.PDFFacts{
		Field: s.field.name, SubFilter: s.subFilter, ByteRange: s.ranges, Revisions: d.file.Revisions(),
		Whole: s.end > 0 && d.onlySpaceAfter(s.end), Permissions: s.permissions(),
	}
	if d.file.Locked() {
		p.Field, p.Encrypted = "", true
	}
	if s.revision != nil {
		p.Revision = s.revision.Revisions()
	}
	return p
}

// named is a signature that is known by name only.
func named(format string) *validation.Facts {
	return &validation.Facts{Format: format, Level: "-", Unread: true}
}

func (d *document) read(ctx context.Context, s *signature) error {
	known := slices.Contains([]string{subCAdES, subDetached, subSHA1, ""}, s.subFilter)
	content := d.covered(s)
	var inner bytes.Buffer
	o := cades.ReadOptions{Content: content, Extract: &limitWriter{&inner, 64}}
	if s.subFilter == subSHA1 {
		o.Content = nil
	}
	all, err := cades.Read(ctx, bytes.NewReader(s.value()), o)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil && !known:
		s.facts = named("PDF " + s.subFilter)
		return nil
	case !known:
		// Countries have names of their own for the same thing.
		s.fault("subfilter-unknown", "the SubFilter %s is not known, and the value is a CMS", s.subFilter)
	}
	switch {
	case err != nil:
		s.fault("pdf-contents", "the signature's value cannot be read: %v", err)
	case len(all) != 1:
		// EN 319 142-1, 5.3 and ISO 32000-2, 12.8.3.3: one SignerInfo.
		s.odd = true
		s.fault("pdf-signers", "the signature's value has %d signers, not one", len(all))
	}
	if len(all) == 0 {
		all = []*validation.Facts{{}}
	}
	f := all[0]
	s.facts = f
	f.Format = "PAdES"
	if s.subFilter == subSHA1 {
		if err := d.sha1Content(s, inner.Bytes()); err != nil {
			return err
		}
	} else if err == nil && !f.Content.Detached {
		if err := d.enveloped(s); err != nil {
			return err
		}
	}
	f.PDF = d.pdfFacts(s)
	if m, ok := d.file.Resolve(s.dict["M"]).(pdf.String); ok && !d.file.Locked() && f.Attribute.SigningTime == nil {
		// EN 319 142-1, 6.3: the claimed time is in M.
		if t, err := pdf.ParseDate(m); err == nil {
			f.Attribute.SigningTime = &t
		}
	}
	f.Faults = append(f.Faults, s.faults...)
	return nil
}

// enveloped: ISO 32000-2, 12.8.3.3 wants no content in the value. One that is the same as
// what the ranges cover is only odd; from another one the document is not bound at all.
func (d *document) enveloped(s *signature) error {
	content := d.covered(s)
	if content == nil {
		return nil
	}
	h := crypto.SHA256.New()
	if _, err := io.Copy(h, content); err != nil {
		return fmt.Errorf("pades: %w", err)
	}
	s.odd = true
	if bytes.Equal(h.Sum(nil), s.facts.Content.SHA256) {
		s.fault("enveloped-copy", "the signature's value has a copy of what it signs")
	} else {
		s.fault("pdf-enveloped", "the signature's value has a content of its own, which is not the document")
	}
	return nil
}

// sha1Content is adbe.pkcs7.sha1: what is signed is the SHA-1 of the ranges.
func (d *document) sha1Content(s *signature, signed []byte) error {
	h := crypto.SHA1.New()
	content := d.covered(s)
	if content == nil {
		return nil
	}
	n, err := io.Copy(h, content)
	if err != nil {
		return fmt.Errorf("pades: %w", err)
	}
	f := s.facts
	if !bytes.Equal(h.Sum(nil), signed) {
		f.Attribute.DigestMatch, f.Attribute.Present = false, true
	}
	// The weakest digest is the one that binds the document.
	f.Value.DigestName, f.Content.Bytes = crypto.SHA1.String(), n
	return nil
}

type limitWriter struct {
	w io.Writer
	n int
}

func (l *limitWriter) Write(p []byte) (int, error) {
	k := min(len(p), l.n)
	l.n -= k
	if _, err := l.w.Write(p[:k]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// level is what the signature claims (EN 319 142-1, 6.3).
func (d *document) level(s *signature) string {
	f := s.facts
	if f.Level == "" {
		return "-" // nothing could be read
	}
	if f.Level == "CMS" || s.subFilter != subCAdES || s.odd {
		return "CMS"
	}
	var signature, later bool
	for _, t := range f.Timestamps {
		if !t.ImprintMatch {
			continue // copied from another document
		}
		switch t.Kind {
		case "signature":
			signature = true
		case "document":
			later = true
		}
	}
	evidence := len(f.CRLs)+len(f.OCSPs) > 0
	switch {
	case evidence && later && d.stampAfterStore(s):
		return "B-LTA"
	case evidence && (signature || later):
		return "B-LT"
	case signature || later:
		return "B-T"
	}
	return "B-B"
}

// permissions is P of a certification made by this signature (12.8.2.2).
func (s *signature) permissions() int {
	if s.revision == nil {
		return 0
	}
	for _, ref := range s.revision.Array(s.dict["Reference"]) {
		r := s.revision.Dict(ref)
		if s.revision.Name(r["TransformMethod"]) == "DocMDP" {
			p := s.revision.Dict(r["TransformParams"])["P"]
			if n, ok := s.revision.Int(p); ok && n >= 1 && n <= 3 {
				return int(n)
			}
			return 2 // table 257: the default
		}
	}
	return 0
}
