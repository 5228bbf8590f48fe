package bundle

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/pkcs/verify"
	"github.com/citel-pa/citel/pkcs/version"
)

// Document is a file as it goes into a bundle.
type Document struct {
	Name   string
	Reader io.Reader
	// SHA256 that was verified: the bytes that are read must have it.
	SHA256 []byte
	Bytes  int64
}

// Bundle is what Write puts down.
type Bundle struct {
	Lang    message.Lang
	Signed  Document
	Content *Document // of a detached signature, nil without
	// LeaveOut puts the document's hash in, not the document: of a detached signature its
	// content, else the signed file.
	LeaveOut bool

	Results  []*validation.Result
	Policy   *validation.Policy
	Time     time.Time // of the validation
	Clock    time.Time // at which evidence was asked for
	Evidence []trust.Evidence
	// Store has the anchors and what they are listed for.
	Store *trust.Store
	// Report as JSON and as HTML.
	Report, HTML []byte
}

// writer collects entries and their sums.
type writer struct {
	zip   *zip.Writer
	index index
	time  time.Time
	names map[[32]byte]string // of pieces, by their content
	count map[string]int
	form  signedForm
	shell []step
}

// Write writes a bundle, and gives the SHA-256 of its index, which stands for all of it.
func Write(w io.Writer, b *Bundle) (fingerprint string, err error) {
	out := &writer{zip: zip.NewWriter(w), time: b.Time.UTC(), names: map[[32]byte]string{}, count: map[string]int{}}
	out.index = index{Format: Format, Program: "CiTel " + version.Version, Language: string(b.Lang), Time: b.Time.UTC(), Clock: b.Clock.UTC(), Anchors: []anchor{}, Evidence: []evidence{}, Entries: []entry{}}
	facts, err := verify.Save(b.Signed.Name, b.Results)
	if err != nil {
		return "", err
	}
	policy, err := json.MarshalIndent(b.Policy, "", "  ")
	if err != nil {
		return "", fmt.Errorf("bundle: %w", err)
	}
	steps := []func() error{
		func() error { return out.documents(b) },
		func() error { return out.put(policyName, policy) },
		func() error { return out.put(factsName, facts) },
		func() error { return out.put(reportName, b.Report) },
		func() error { return out.put(htmlName, b.HTML) },
		func() error { return out.anchors(b) },
		func() error { return out.asked(b.Evidence) },
		func() error { return out.pieces(b.Results) },
		func() error { return out.put(readmeName, []byte(out.readme(b))) },
		func() error { return out.put(sumsName, out.sums()) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return "", err
		}
	}
	text, err := json.MarshalIndent(out.index, "", "  ")
	if err != nil {
		return "", fmt.Errorf("bundle: %w", err)
	}
	if err := out.put(indexName, text); err != nil {
		return "", err
	}
	if err := out.zip.Close(); err != nil {
		return "", fmt.Errorf("bundle: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

func (w *writer) put(name string, data []byte) error {
	f, err := w.zip.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: w.time})
	if err == nil {
		_, err = f.Write(data)
	}
	if err != nil {
		return fmt.Errorf("bundle: %s: %w", name, err)
	}
	w.listed(name, sha256.Sum256(data), int64(len(data)))
	return nil
}

func (w *writer) listed(name string, sum [32]byte, n int64) {
	if name != indexName {
		w.index.Entries = append(w.index.Entries, entry{Name: name, SHA256: hex.EncodeToString(sum[:]), Bytes: n})
	}
}

// piece puts evidence down once, however often it is met, and gives its name.
func (w *writer) piece(folder, ext string, data []byte) (string, error) {
	sum := sha256.Sum256(append([]byte(folder), data...))
	if name, ok := w.names[sum]; ok {
		return name, nil
	}
	w.count[folder]++
	name := fmt.Sprintf("%s/%02d.%s", folder, w.count[folder], ext)
	if len(w.index.Entries) >= maxEntries-16 {
		return "", fmt.Errorf("bundle: more than %d pieces of evidence", maxEntries)
	}
	w.names[sum] = name
	return name, w.put(name, data)
}

// documents puts the signed file and its content down.
func (w *writer) documents(b *Bundle) error {
	head := &headOf{}
	err := w.document("signed/signed"+extension(b.Signed.Name), &b.Signed, b.LeaveOut && b.Content == nil, &w.index.Signed, head)
	w.form = formOf(head.first)
	if err != nil || b.Content == nil {
		return err
	}
	w.index.Content = &document{}
	return w.document("signed/content.bin", b.Content, b.LeaveOut, w.index.Content, io.Discard)
}

func (w *writer) document(name string, d *Document, leaveOut bool, to *document, also io.Writer) error {
	to.Name, to.SHA256, to.Bytes = path.Base(d.Name), hex.EncodeToString(d.SHA256), d.Bytes
	out := io.Discard
	if !leaveOut {
		f, err := w.zip.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store, Modified: w.time})
		if err != nil {
			return fmt.Errorf("bundle: %w", err)
		}
		to.Entry, out = name, f
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(out, sum, also), d.Reader)
	switch {
	case err != nil:
		return fmt.Errorf("bundle: %s: %w", d.Name, err)
	case !bytes.Equal(sum.Sum(nil), d.SHA256):
		return fmt.Errorf("bundle: %s changed while it was verified", d.Name)
	}
	to.Bytes = n
	if !leaveOut {
		w.listed(name, [32]byte(d.SHA256), n)
	}
	return nil
}

// extension keeps what programs know a file's kind by.
func extension(name string) string {
	for _, ext := range []string{".p7m", ".p7s", ".pdf"} {
		if strings.HasSuffix(strings.ToLower(name), ext) {
			return ext
		}
	}
	return ".bin"
}

// anchors puts down those that a path ended at, and after them those that are called
// like an authority on a path: an authority with two keys is listed with both.
func (w *writer) anchors(b *Bundle) error {
	named := map[string]bool{}
	listed := map[[32]byte]*anchor{} // as the paths know them
	on := func(c *validation.ChainFacts) {
		for _, l := range c.Links {
			if cert, err := x509.ParseCertificate(l.Certificate); err == nil {
				named[string(cert.RawIssuer)], named[string(cert.RawSubject)] = true, true
			}
		}
		if c.Anchor == nil {
			return
		}
		key := sha256.Sum256(c.Anchor.Certificate)
		if listed[key] == nil {
			listed[key] = &anchor{Source: c.Anchor.Source, Profiles: []string{}}
		}
		for _, p := range c.Anchor.Profiles {
			if !slices.Contains(listed[key].Profiles, p) {
				listed[key].Profiles = append(listed[key].Profiles, p)
			}
		}
	}
	for _, r := range b.Results {
		walk(r.Facts, func(f *validation.Facts) {
			on(&f.Chain)
			for _, x := range f.Revocation {
				if x.By != nil {
					on(x.By)
				}
			}
		})
	}
	var all []byte
	put := func(a *trust.Anchor, x *anchor) (err error) {
		text := pemOf("CERTIFICATE", a.Certificate.Raw)
		if x.Entry, err = w.piece("anchors", "pem", text); err != nil {
			return err
		}
		w.index.Anchors = append(w.index.Anchors, *x)
		all = append(all, text...)
		return nil
	}
	anchors := b.Store.Anchors()
	for _, a := range anchors {
		if x := listed[sha256.Sum256(a.Certificate.Raw)]; x != nil {
			if err := put(a, x); err != nil {
				return err
			}
		}
	}
	for _, a := range anchors {
		if listed[sha256.Sum256(a.Certificate.Raw)] != nil || !named[string(a.Certificate.RawSubject)] {
			continue
		}
		x := &anchor{Source: a.Source, Profiles: []string{}}
		for _, p := range a.Profiles {
			x.Profiles = append(x.Profiles, string(p))
		}
		if err := put(a, x); err != nil {
			return err
		}
	}
	return w.put("anchors/all.pem", all)
}

// asked puts down what store and network said.
func (w *writer) asked(all []trust.Evidence) error {
	var seen []evidence
	for _, e := range all {
		x := evidence{Evidence: e}
		if e.DER != nil {
			folder, ext := "crls", "crl"
			if e.Kind == "ocsp" {
				folder, ext = "ocsp", "der"
			}
			var err error
			if x.Entry, err = w.piece(folder, ext, e.DER); err != nil {
				return err
			}
		}
		x.DER = nil
		if !slices.ContainsFunc(seen, func(o evidence) bool {
			return o.Entry == x.Entry && o.Kind == x.Kind && o.Source == x.Source && o.Asked == x.Asked && o.About == x.About && o.Problem == x.Problem
		}) {
			seen = append(seen, x)
		}
	}
	w.index.Evidence = append(w.index.Evidence, seen...)
	return nil
}

// pieces puts down as plain files what came inside the signed file, for checks by hand.
func (w *writer) pieces(results []*validation.Result) (err error) {
	var certs []byte
	known := map[string]bool{}
	keep := func(folder, ext string, data []byte) (name string) {
		if err == nil && len(data) > 0 {
			name, err = w.piece(folder, ext, data)
		}
		return name
	}
	certificate := func(der []byte) string {
		if _, bad := x509.ParseCertificate(der); bad != nil {
			return ""
		}
		text := pemOf("CERTIFICATE", der)
		name := keep("certificates", "pem", text)
		if !known[name] {
			known[name] = true
			certs = append(certs, text...)
		}
		return name
	}
	for i, r := range results {
		n := i + 1
		walk(r.Facts, func(f *validation.Facts) {
			for _, l := range f.Chain.Links {
				certificate(l.Certificate)
			}
			for _, der := range f.Certificates {
				certificate(der)
			}
			for _, der := range f.CRLs {
				keep("crls", "crl", der)
			}
			for _, der := range f.OCSPs {
				keep("ocsp", "der", wrapOCSP(der))
			}
		})
		w.shell = append(w.shell, step{signature: n, signer: certificate(r.Facts.Signer.Certificate), facts: r.Facts})
		s := &w.shell[len(w.shell)-1]
		for _, t := range r.Facts.Timestamps {
			st := stampStep{kind: t.Kind, token: keep("timestamps", "tst", t.Raw)}
			if t.Kind == "signature" {
				st.data = keep("timestamps", "data", r.Facts.Value.Raw)
			}
			s.stamps = append(s.stamps, st)
		}
	}
	if err != nil {
		return err
	}
	return w.put("certificates/all.pem", certs)
}

// walk visits a signature's facts and those of its time-stamps and counter-signatures.
func walk(f *validation.Facts, visit func(*validation.Facts)) {
	visit(f)
	for _, t := range f.Timestamps {
		if t.Token != nil {
			walk(t.Token, visit)
		}
	}
	for _, c := range f.Counter {
		walk(c, visit)
	}
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// sums is the index for sha256sum -c.
func (w *writer) sums() []byte {
	var b bytes.Buffer
	for _, e := range w.index.Entries {
		fmt.Fprintf(&b, "%s  %s\n", e.SHA256, e.Name)
	}
	return b.Bytes()
}

// headOf keeps the first bytes that are written.
type headOf struct{ first []byte }

// Write never fails.
func (h *headOf) Write(p []byte) (int, error) {
	if n := 64 - len(h.first); n > 0 {
		h.first = append(h.first, p[:min(n, len(p))]...)
	}
	return len(p), nil
}
