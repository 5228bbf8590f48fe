package pades_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/pkcs/cms"
	"github.com/citel-pa/citel/pkcs/pades"
	"github.com/citel-pa/citel/pkcs/timestamp"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/tsa"
)

// object is an indirect object of a file in the making.
type object struct {
	num  int
	body string
}

// file writes a PDF with a cross-reference table, or appends one more revision.
func file(before []byte, root int, objects ...object) []byte {
	out := bytes.Clone(before)
	prev := ""
	if before == nil {
		out = []byte("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
	} else {
		at := bytes.LastIndex(before, []byte("startxref"))
		prev = "/Prev " + strings.Fields(string(before[at+9:]))[0]
	}
	var table strings.Builder
	size := 1
	for _, m := range regexp.MustCompile(`(?m)^(\d+) 0 obj`).FindAllSubmatch(before, -1) {
		n, _ := strconv.Atoi(string(m[1]))
		size = max(size, n+1)
	}
	for _, o := range objects {
		size = max(size, o.num+1)
		fmt.Fprintf(&table, "%d 1\n%010d 00000 n\r\n", o.num, len(out))
		out = fmt.Appendf(out, "%d 0 obj\n%s\nendobj\n", o.num, o.body)
	}
	start := len(out)
	return fmt.Appendf(out, "xref\n0 1\n0000000000 65535 f\r\n%strailer\n<</Size %d/Root %d 0 R %s>>\nstartxref\n%d\n%%%%EOF\n", table.String(), size, root, prev, start)
}

func stream(dict, data string) string {
	return fmt.Sprintf("<<%s/Length %d>>\nstream\n%s\nendstream", dict, len(data), data)
}

// plain is a document of one page.
func plain() []byte {
	return file(nil, 1,
		object{1, "<</Type/Catalog/Pages 2 0 R>>"},
		object{2, "<</Type/Pages/Kids[3 0 R]/Count 1>>"},
		object{3, "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>"},
		object{4, stream("", "BT /F1 24 Tf 72 720 Td (Domanda) Tj ET")},
		object{5, "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"},
	)
}

// form has a text field, a picture and an empty signature field that locks the text.
func form() []byte {
	return file(nil, 1,
		object{1, "<</Type/Catalog/Pages 2 0 R/AcroForm 6 0 R>>"},
		object{2, "<</Type/Pages/Kids[3 0 R]/Count 1>>"},
		object{3, "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Annots 9 0 R/Resources<</Font<</F1 5 0 R>>/XObject<</Im1 10 0 R>>>>>>"},
		object{4, stream("", "BT /F1 24 Tf 72 720 Td (Modulo) Tj ET q 100 0 0 100 72 500 cm /Im1 Do Q")},
		object{5, "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"},
		object{6, "<</Fields[7 0 R 8 0 R]/DA(/F1 12 Tf 0 g)/DR<</Font<</F1 5 0 R>>>>>>"},
		object{7, "<</Type/Annot/Subtype/Widget/FT/Tx/T(nome)/Rect[72 600 300 620]/P 3 0 R/AP<</N 11 0 R>>>>"},
		object{8, "<</Type/Annot/Subtype/Widget/FT/Sig/T(firma)/Rect[72 400 300 460]/P 3 0 R/Lock<</Type/SigFieldLock/Action/Include/Fields[(nome)]>>>>"},
		object{9, "[7 0 R 8 0 R]"},
		object{10, stream("/Type/XObject/Subtype/Image/Width 1/Height 1/BitsPerComponent 8/ColorSpace/DeviceGray", "\x80")},
		object{11, stream("/Type/XObject/Subtype/Form/BBox[0 0 228 20]", "")},
	)
}

func signer(id *pki.Identity) pades.SignOptions {
	return pades.SignOptions{SignOptions: cades.SignOptions{
		Certificate: id.Cert, Chain: id.Chain,
		Sign: cades.Signer(id.Key),
	}}
}

func sign(t testing.TB, doc []byte, o pades.SignOptions, p pades.PrepareOptions) []byte {
	t.Helper()
	if p.Time.IsZero() {
		p.Time = time.Now()
	}
	var out bytes.Buffer
	if err := pades.Sign(t.Context(), o, p, bytes.NewReader(doc), int64(len(doc)), &out); err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(out.Bytes(), doc) {
		t.Fatal("the document's own bytes changed")
	}
	return out.Bytes()
}

func read(t testing.TB, doc []byte) []*validation.Facts {
	t.Helper()
	facts, err := pades.Read(t.Context(), bytes.NewReader(doc), int64(len(doc)))
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

func run(t testing.TB, name, fix string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Fatalf("%s is missing: %s", name, fix)
	}
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func save(t testing.TB, name string, data []byte) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(p, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// holds: everything that is mathematics is as it should be, and nothing is odd.
func holds(t testing.TB, f *validation.Facts) {
	t.Helper()
	if !f.Value.OverReceived || !f.Attribute.DigestMatch || !f.Attribute.SigningCertificate.Match || len(f.Faults) > 0 {
		t.Errorf("%+v %+v %+v", f.Value, f.Attribute, f.Faults)
	}
	if f.Format != "PAdES" || f.Attribute.SigningTime == nil {
		t.Errorf("%s %v", f.Format, f.Attribute.SigningTime)
	}
	for _, c := range f.PDF.Changes {
		if c.Forbidden || !slices.Contains([]string{"signature", "time-stamp", "form-fill"}, c.ID) {
			t.Errorf("%+v", c)
		}
	}
}

var byteRange = regexp.MustCompile(`/ByteRange \[0 (\d+) (\d+) (\d+)\]`)

// opensslSays has openssl verify each signature's value over its ranges.
func opensslSays(t testing.TB, doc []byte, anchors []byte) (n int) {
	t.Helper()
	for _, m := range byteRange.FindAllSubmatch(doc, -1) {
		var a, b, c int
		_, err := fmt.Sscan(string(m[1])+" "+string(m[2])+" "+string(m[3]), &a, &b, &c)
		if err != nil {
			t.Fatal(err)
		}
		value, err := hex.DecodeString(string(doc[a+1 : b-1]))
		if err != nil {
			t.Fatal(err)
		}
		content := slices.Concat(doc[:a], doc[b:b+c])
		run(t, "openssl", "sudo apt-get install openssl", "cms", "-verify", "-cades", "-binary", "-inform", "DER", "-in", save(t, "v.p7s", unpadded(value)),
			"-content", save(t, "c", content), "-CAfile", save(t, "ca.pem", anchors), "-partial_chain", "-purpose", "any", "-out", os.DevNull)
		n++
	}
	return n
}

// unpadded cuts the zeros behind the value, by its own length: it may end with one.
func unpadded(value []byte) []byte {
	el, _, err := cms.Next(value)
	if err != nil {
		return value
	}
	return el.Raw
}

// hybrid is a file whose table has a cross-reference stream beside it (7.5.8.4): the page
// is in an object stream, which old readers do not see.
func hybrid() []byte {
	out := []byte("%PDF-1.5\n")
	at := map[int]int{}
	put := func(num int, body string) {
		at[num] = len(out)
		out = fmt.Appendf(out, "%d 0 obj\n%s\nendobj\n", num, body)
	}
	put(1, "<</Type/Catalog/Pages 2 0 R>>")
	put(2, "<</Type/Pages/Kids[3 0 R]/Count 1>>")
	put(4, stream("", ""))
	packed := "3 0 <</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R>>"
	put(5, stream("/Type/ObjStm/N 1/First 4", packed))
	also := len(out)
	put(6, stream("/Type/XRef/Size 7/W[1 2 1]/Index[3 1]", "\x02\x00\x05\x00"))
	start := len(out)
	out = append(out, "xref\n0 7\n0000000000 65535 f\r\n"...)
	for n := 1; n < 7; n++ {
		if n == 3 {
			out = append(out, "0000000000 00000 f\r\n"...)
		} else {
			out = fmt.Appendf(out, "%010d 00000 n\r\n", at[n])
		}
	}
	out = append(out, "trailer\n<</Size 7/Root 1 0 R>>\n"...)
	last := len(out)
	return fmt.Appendf(out, "xref\n0 0\ntrailer\n<</Size 7/Root 1 0 R/Prev %d/XRefStm %d>>\nstartxref\n%d\n%%%%EOF\n", start, also, last)
}

// rewritten has qpdf write the document in another way.
func rewritten(t testing.TB, doc []byte, how ...string) []byte {
	t.Helper()
	in, out := save(t, "in.pdf", doc), filepath.Join(t.TempDir(), "out.pdf")
	run(t, "qpdf", "sudo apt-get install qpdf", append(how, in, out)...)
	data, err := os.ReadFile(out) //nolint:gosec // a test's file
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// printed has Chromium print a page.
func printed(t testing.TB) []byte {
	t.Helper()
	page, out := save(t, "page.html", []byte("<!doctype html><title>Modulo</title><h1>Istanza</h1><form><input value=x></form>")), filepath.Join(t.TempDir(), "out.pdf")
	run(t, "chromium", "sudo apt-get install chromium", "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir="+t.TempDir(), "--print-to-pdf="+out, "file://"+page)
	data, err := os.ReadFile(out) //nolint:gosec // a test's file
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestPeersAcceptWhatWeMake(t *testing.T) {
	p := pki.Shared(t)
	for name, doc := range map[string][]byte{
		"table": plain(), "form": form(), "hybrid": hybrid(), "printed by Chromium": printed(t),
		"streams": rewritten(t, plain(), "--object-streams=generate"), "form streams": rewritten(t, form(), "--object-streams=generate"),
		"linearized": rewritten(t, form(), "--linearize"), "linearized streams": rewritten(t, plain(), "--linearize", "--object-streams=generate"),
		"behind other bytes": append([]byte("Content-Type: application/pdf\r\n\r\n"), plain()...),
		"no end of line":     bytes.TrimSpace(plain()),
	} {
		t.Run(name, func(t *testing.T) {
			first := p.MustIssue(t, pki.CNS, pki.RSA2048, pki.Citizens[0])
			second := p.MustIssue(t, pki.CIE, pki.P384, pki.Citizens[1])
			once := sign(t, doc, signer(first), pades.PrepareOptions{Reason: "Accettazione: è così", Location: "Pisa"})
			twice := sign(t, once, signer(second), pades.PrepareOptions{})
			facts := read(t, twice)
			if len(facts) != 2 {
				t.Fatalf("%d signatures", len(facts))
			}
			for _, f := range facts {
				holds(t, f)
			}
			if facts[0].PDF.Whole || !facts[1].PDF.Whole || len(facts[0].PDF.Changes) != 1 || facts[0].PDF.Revision+1 != facts[1].PDF.Revision {
				t.Errorf("%+v %+v", facts[0].PDF, facts[1].PDF)
			}
			if n := opensslSays(t, twice, p.AnchorsPEM(pki.CNS, pki.CIE)); n != 2 {
				t.Errorf("openssl saw %d", n)
			}
			path := save(t, "signed.pdf", twice)
			run(t, "qpdf", "sudo apt-get install qpdf", "--check", path)
			if out := run(t, "pdfsig", "sudo apt-get install poppler-utils", "-nocert", path); strings.Count(out, "Signature is Valid.") != 2 {
				t.Error(out)
			}
		})
	}
}

func TestAnEmptyFieldIsSigned(t *testing.T) {
	id := pki.Shared(t).MustIssue(t, pki.CNS, pki.P256, pki.Citizens[0])
	signed := sign(t, form(), signer(id), pades.PrepareOptions{Field: "firma"})
	facts := read(t, signed)
	if len(facts) != 1 || facts[0].PDF.Field != "firma" {
		t.Fatalf("%+v", facts)
	}
	holds(t, facts[0])
	var out bytes.Buffer
	err := pades.Sign(t.Context(), signer(id), pades.PrepareOptions{Field: "firma"}, bytes.NewReader(signed), int64(len(signed)), &out)
	if err == nil {
		t.Error("a signed field was signed again")
	}
}

func TestTimestamped(t *testing.T) {
	p, err := pki.New()
	if err != nil {
		t.Fatal(err)
	}
	client := &timestamp.Client{URL: tsa.Start(t, p.TSA), Post: &trust.Fetcher{Private: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
	id := p.MustIssue(t, pki.CNS, pki.P256, pki.Citizens[0])
	o := signer(id)
	o.Stamp = client.Stamp
	facts := read(t, sign(t, plain(), o, pades.PrepareOptions{}))
	holds(t, facts[0])
	if facts[0].Level != "B-T" || len(facts[0].Timestamps) != 1 || !facts[0].Timestamps[0].ImprintMatch {
		t.Errorf("%s %+v", facts[0].Level, facts[0].Timestamps)
	}
}

func TestNoRoom(t *testing.T) {
	id := pki.Shared(t).MustIssue(t, pki.CNS, pki.P256, pki.Citizens[0])
	var out bytes.Buffer
	doc := plain()
	err := pades.Sign(t.Context(), signer(id), pades.PrepareOptions{Room: 1024}, bytes.NewReader(doc), int64(len(doc)), &out)
	if err == nil || !strings.Contains(err.Error(), pades.ErrRoom.Error()) {
		t.Errorf("%v", err)
	}
}

// Evidence is appended; what was signed stays as it is, even where no changes are
// permitted, and what is there already is not stored again.
func TestEvidenceIsAppended(t *testing.T) {
	p := pki.Shared(t)
	id := p.MustIssue(t, pki.CNS, pki.P256, pki.Citizens[0])
	list, err := p.CRL(p.CNS)
	if err != nil {
		t.Fatal(err)
	}
	other, err := p.CRL(p.CIE)
	if err != nil {
		t.Fatal(err)
	}
	for name, doc := range map[string][]byte{
		"table": sign(t, plain(), signer(id), pades.PrepareOptions{}), "certified": certify(t, form(), 1),
		"streams": sign(t, rewritten(t, form(), "--object-streams=generate"), signer(id), pades.PrepareOptions{}),
	} {
		t.Run(name, func(t *testing.T) {
			once := extend(t, doc, pades.Evidence{Certificates: [][]byte{p.CNS.Cert.Raw}, CRLs: [][]byte{list}})
			twice := extend(t, once, pades.Evidence{Certificates: [][]byte{p.CNS.Cert.Raw, p.Root.Cert.Raw}, CRLs: [][]byte{list, other}})
			f := read(t, twice)[0]
			if len(f.CRLs) != 2 || len(f.Faults) > 0 || !f.Attribute.DigestMatch {
				t.Errorf("%d lists, %+v", len(f.CRLs), f.Faults)
			}
			for _, c := range f.PDF.Changes {
				if c.Forbidden || c.ID != "dss" {
					t.Errorf("%+v", c)
				}
			}
			if n := bytes.Count(twice[len(once):], p.CNS.Cert.Raw); n != 0 {
				t.Error("a certificate was stored again")
			}
			run(t, "qpdf", "sudo apt-get install qpdf", "--check", save(t, "lt.pdf", twice))
		})
	}
}

func extend(t *testing.T, doc []byte, e pades.Evidence) []byte {
	t.Helper()
	more, err := pades.Extend(bytes.NewReader(doc), int64(len(doc)), e)
	if err != nil {
		t.Fatal(err)
	}
	return append(bytes.Clone(doc), more...)
}
