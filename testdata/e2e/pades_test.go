package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/stack"
	"github.com/citel-pa/citel/testdata/tsa"
)

// onePage is a PDF; its cross-reference is left to qpdf.
const onePage = `%PDF-1.7
1 0 obj <</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[5 0 R]>>>> endobj
2 0 obj <</Type/Pages/Kids[3 0 R]/Count 1>> endobj
3 0 obj <</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Annots[5 0 R]>> endobj
4 0 obj <</Length 0>>
stream

endstream endobj
5 0 obj <</Type/Annot/Subtype/Widget/FT/Sig/T(Sindaco)/Rect[0 0 0 0]/P 3 0 R>> endobj
trailer <</Root 1 0 R/Size 6>>
startxref
0
%%EOF
`

// pdfDesk is where a test signs PDFs with a citizen's card.
type pdfDesk struct {
	t   *testing.T
	s   *stack.Stack
	dir string
}

func (d *pdfDesk) path(name string) string { return filepath.Join(d.dir, name) }

// run gives a program's exit code and its words.
func (d *pdfDesk) run(name string, args ...string) (code int, stdout, stderr string) {
	d.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), d.s.Cards.Env()...)
	var out, words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &words
	err := cmd.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		d.t.Fatalf("%v (make deps installs it)", err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), words.String()
}

func (d *pdfDesk) must(name string, args ...string) string {
	d.t.Helper()
	code, out, words := d.run(name, args...)
	if code != 0 {
		d.t.Fatalf("%s %v: exit %d\n%s%s", filepath.Base(name), args, code, out, words)
	}
	return out
}

func (d *pdfDesk) sign(args ...string) []string {
	return append([]string{"sign", "--module", d.s.Cards.Module(), "--pin-file", d.path("pin"), "--format", "pades"}, args...)
}

func newPDFDesk(t *testing.T) *pdfDesk {
	t.Helper()
	d := &pdfDesk{t: t, s: town(t), dir: t.TempDir()}
	for name, data := range map[string]string{"pin": pin, "raw.pdf": onePage, "text.pdf": "ciao"} {
		if err := os.WriteFile(d.path(name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// qpdf mends the cross-reference, and says so (3).
	if code, out, words := d.run("qpdf", d.path("raw.pdf"), d.path("istanza.pdf")); code != 0 && code != 3 {
		t.Fatalf("qpdf: %d %s%s", code, out, words)
	}
	return d
}

func (d *pdfDesk) report(file string) []validation.Signature {
	d.t.Helper()
	var r validation.Report
	out := d.must(d.s.Agent, "verify", "--json", "--trust", filepath.Join(d.s.Dir, "ca.pem"), "--crl", filepath.Join(d.s.Dir, "cns.crl"), "--offline", file)
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		d.t.Fatal(err)
	}
	return r.Signatures
}

func TestPDFIsSignedInside(t *testing.T) {
	t.Parallel()
	d := newPDFDesk(t)
	d.must(d.s.Agent, d.sign("--field", "Sindaco", "--reason", "Accettazione", d.path("istanza.pdf"))...)
	once := d.path("istanza-signed.pdf")
	if code, _, words := d.run(d.s.Agent, d.sign("--level", "T", "--tsa", "http://127.0.0.1:1/", "--out", d.path("due.pdf"), once)...); code != 69 {
		t.Errorf("no authority: exit %d %s", code, words)
	}
	address := tsa.Start(t, d.s.PKI.TSA)
	d.must(d.s.Agent, d.sign("--level", "T", "--tsa", address, "--out", d.path("due.pdf"), once)...)

	list := d.report(d.path("due.pdf"))
	if len(list) != 2 {
		t.Fatalf("%+v", list)
	}
	for i, s := range list {
		if s.Format != "PAdES" || s.Indication != validation.TotalPassed || s.Level != []string{"B-B", "B-T"}[i] || s.Signer.CodiceFiscale != pki.Citizens[0].CF {
			t.Errorf("%+v", s)
		}
		if s.PDF == nil || s.PDF.Field != []string{"Sindaco", "Firma1"}[i] || s.PDF.Whole != (i == 1) || s.PDF.SubFilter != "ETSI.CAdES.detached" {
			t.Errorf("%+v", s.PDF)
		}
	}
	// The peers' word.
	d.must("qpdf", "--check", d.path("due.pdf"))
	if out := d.must("pdfsig", "-nocert", d.path("due.pdf")); strings.Count(out, "Signature is Valid.") != 2 {
		t.Error(out)
	}
	// A PDF in an envelope is CAdES: what is inside does not name it.
	d.must(d.s.Agent, "sign", "--module", d.s.Cards.Module(), "--pin-file", d.path("pin"), d.path("due.pdf"))
	for _, s := range d.report(d.path("due.pdf.p7m")) {
		if s.Format != "CAdES" {
			t.Errorf("%+v", s)
		}
	}
}

// With its evidence inside, a PDF is verified by whoever has the authorities alone; and
// where evidence is missing, nothing is written.
func TestPDFWithEvidence(t *testing.T) {
	t.Parallel()
	d := newPDFDesk(t)
	list, err := d.s.PKI.CRL(d.s.PKI.Root)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.path("root.crl"), list, 0o600); err != nil {
		t.Fatal(err)
	}
	authorities := filepath.Join(d.dir, "authorities.pem")
	if err := os.WriteFile(authorities, d.s.PKI.AnchorsPEM(pki.CNS), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.path("root.pem"), d.s.PKI.AnchorsPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	args := d.sign("--level", "LT", "--tsa", tsa.Start(t, d.s.PKI.TSA), "--trust", authorities, "--trust", d.path("root.pem"), "--crl", filepath.Join(d.s.Dir, "cns.crl"))
	if code, _, words := d.run(d.s.Agent, append(args, d.path("istanza.pdf"))...); code != 69 || !strings.Contains(words, "evidence") {
		t.Errorf("without the root's list: exit %d %s", code, words)
	}
	if _, err := os.Stat(d.path("istanza-signed.pdf")); err == nil {
		t.Fatal("written")
	}
	d.must(d.s.Agent, append(args, "--crl", d.path("root.crl"), d.path("istanza.pdf"))...)
	out := d.must(d.s.Agent, "verify", "--json", "--offline", "--trust", authorities, "--trust", d.path("root.pem"), d.path("istanza-signed.pdf"))
	var r validation.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Signatures) != 1 || r.Signatures[0].Level != "B-LT" || r.Signatures[0].Indication != validation.TotalPassed {
		t.Errorf("%s", out)
	}
	d.must("qpdf", "--check", d.path("istanza-signed.pdf"))
	if out := d.must("pdfsig", "-nocert", d.path("istanza-signed.pdf")); !strings.Contains(out, "Signature is Valid.") {
		t.Error(out)
	}
}

// What cannot be signed is refused before a PIN is asked, with what to do.
func TestPDFsThatAreRefused(t *testing.T) {
	t.Parallel()
	d := newPDFDesk(t)
	d.must("qpdf", "--encrypt", "", "owner", "256", "--", d.path("istanza.pdf"), d.path("chiuso.pdf"))
	if err := os.Remove(d.path("pin")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.path("pin"), []byte("wrong"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		args  []string
		code  int
		words string
	}{
		"encrypted":     {[]string{d.path("chiuso.pdf")}, 1, "protetto"},
		"no PDF":        {[]string{d.path("text.pdf")}, 1, "non è un PDF"},
		"damaged":       {[]string{d.path("raw.pdf")}, 1, "danneggiata"},
		"unknown field": {[]string{"--field", "Assessore", d.path("istanza.pdf")}, 1, "--field"},
		"detached":      {[]string{"--detached", d.path("istanza.pdf")}, 64, "--detached"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, words := d.run(d.s.Agent, d.sign(x.args...)...)
			if code != x.code || !strings.Contains(words, x.words) {
				t.Errorf("exit %d: %s", code, words)
			}
			if out, err := filepath.Glob(d.path("*-signed.pdf")); err != nil || len(out) > 0 {
				t.Error(out, err)
			}
		})
	}
}

// A PDF of 200 MB is signed and verified in bounded memory, by the agent and its helper.
func TestLargePDF(t *testing.T) {
	t.Parallel()
	d := newPDFDesk(t)
	head := "%PDF-1.7\n"
	var at []int64
	f, err := os.Create(d.path("grande.pdf"))
	if err != nil {
		t.Fatal(err)
	}
	const size = 200 << 20
	offset := int64(len(head))
	put := func(text string) {
		if _, err := f.WriteAt([]byte(text), offset); err != nil {
			t.Fatal(err)
		}
		offset += int64(len(text))
	}
	offset = 0
	put(head)
	for _, o := range []string{"1 0 obj <</Type/Catalog/Pages 2 0 R>> endobj\n", "2 0 obj <</Type/Pages/Kids[3 0 R]/Count 1>> endobj\n",
		"3 0 obj <</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</XObject<</I 4 0 R>>>>>> endobj\n"} {
		at = append(at, offset)
		put(o)
	}
	at = append(at, offset)
	put(fmt.Sprintf("4 0 obj <</Type/XObject/Subtype/Image/Width 1/Height 1/ColorSpace/DeviceGray/BitsPerComponent 8/Length %d>>\nstream\n", size))
	offset += size // a hole
	put("\nendstream endobj\n")
	start := offset
	put("xref\n0 5\n0000000000 65535 f\r\n")
	for _, n := range at {
		put(fmt.Sprintf("%010d 00000 n\r\n", n))
	}
	put(fmt.Sprintf("trailer\n<</Size 5/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", start))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	trust := filepath.Join(d.s.Dir, "ca.pem")
	for _, args := range [][]string{
		d.sign("--out", d.path("una.pdf"), d.path("grande.pdf")),
		d.sign("--out", d.path("due.pdf"), d.path("una.pdf")),
		{"verify", "--offline", "--trust", trust, "--crl", filepath.Join(d.s.Dir, "cns.crl"), d.path("due.pdf")},
	} {
		peak := peakMemory(t, d.s, args)
		if peak > limit {
			t.Errorf("%s: %d MB at most", args[0], peak>>20)
		}
		t.Logf("%s: %d MB", args[0], peak>>20)
	}
}
