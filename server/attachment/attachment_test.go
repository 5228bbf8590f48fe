package attachment_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/jpeg"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/citel-pa/citel/pkcs/cades"
	"github.com/citel-pa/citel/server/attachment"
	"github.com/citel-pa/citel/testdata/pki"
)

// document writes a PDF whose catalogue and page have more in them.
func document(catalog, page string, objects ...string) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n")
	all := append([]string{
		"<</Type/Catalog/Pages 2 0 R " + catalog + ">>", "<</Type/Pages/Kids[3 0 R]/Count 1>>",
		"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Resources<<>> " + page + ">>",
	}, objects...)
	var at []int
	for i, o := range all {
		at = append(at, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	start := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(all)+1)
	for _, n := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", n)
	}
	fmt.Fprintf(&b, "trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", len(all)+1, start)
	return b.Bytes()
}

func picture(t testing.TB, kind attachment.Kind) []byte {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, 40, 30))
	var b bytes.Buffer
	var err error
	if kind == attachment.PNG {
		err = png.Encode(&b, img)
	} else {
		err = jpeg.Encode(&b, img, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var authority = sync.OnceValues(pki.New)

func signed(t testing.TB, data []byte) []byte {
	t.Helper()
	ca, err := authority()
	if err != nil {
		t.Fatal(err)
	}
	id, err := ca.Issue(pki.CNS, pki.P256, pki.Citizens[0])
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = cades.Sign(t.Context(), cades.SignOptions{Certificate: id.Cert, Sign: func(_ context.Context, digest []byte, o crypto.SignerOpts) ([]byte, error) {
		return id.Key.Sign(rand.Reader, digest, o)
	}}, bytes.NewReader(data), int64(len(data)), &out)
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func code(err error) string {
	var r *attachment.Refused
	if errors.As(err, &r) {
		return r.Code
	}
	if err != nil {
		return "error: " + err.Error()
	}
	return ""
}

func TestCheck(t *testing.T) {
	good := document("", "")
	script := document("/OpenAction<</S/JavaScript/JS(app.alert(1))>>", "")
	p7m := signed(t, good)
	cases := []struct {
		name string
		data []byte
		kind attachment.Kind
		code string
	}{
		{"PDF", good, attachment.PDF, ""},
		{"a link", document("", "/Annots[<</Type/Annot/Subtype/Link/Rect[0 0 1 1]/A<</S/URI/URI(https://example.it)>>>>]"), attachment.PDF, ""},
		{"JPEG", picture(t, attachment.JPEG), attachment.JPEG, ""},
		{"PNG", picture(t, attachment.PNG), attachment.PNG, ""},
		{"p7m", p7m, attachment.P7M, ""},
		{"p7m in base64", []byte(base64.StdEncoding.EncodeToString(p7m)), attachment.P7M, ""},
		{"p7m in PEM", pem.EncodeToMemory(&pem.Block{Type: "PKCS7", Bytes: p7m}), attachment.P7M, ""},
		{"p7m in p7m", signed(t, p7m), attachment.P7M, ""},

		{"nothing", nil, "", "empty"},
		{"HTML", []byte("<html><script>"), "", "type"},
		{"HTML before a PDF", append([]byte("<html>"), good...), "", "type"},
		{"Office with macros", []byte("PK\x03\x04word/vbaProject.bin"), "", "type"},
		{"program", []byte("MZ\x90\x00"), "", "type"},
		{"script", script, attachment.PDF, "pdf-script"},
		{"script without a type", document("/OpenAction<</JS(1)>>", ""), attachment.PDF, "pdf-script"},
		{"script by name", document("/Names<</JavaScript<</Names[(a) 4 0 R]>>>>", "", "<</S/JavaScript/JS(1)>>"), attachment.PDF, "pdf-script"},
		{"script that nobody uses", document("", "", "<</S/JavaScript/JS(1)>>"), attachment.PDF, "pdf-script"},
		{"XFA", document("/AcroForm<</Fields[]/XFA(x)>>", ""), attachment.PDF, "pdf-xfa"},
		{"layers", document("/OCProperties<</OCGs[4 0 R]/D<<>>>>", "", "<</Type/OCG/Name(a)>>"), attachment.PDF, "pdf-layers"},
		{"embedded file", document("/Names<</EmbeddedFiles<</Names[(a)4 0 R]>>>>", "", "<</Type/Filespec/F(a.exe)/EF<</F 5 0 R>>>>",
			"<</Type/EmbeddedFile/Length 1>>stream\na\nendstream"), attachment.PDF, "pdf-embedded"},
		{"file on a page", document("", "/Annots[<</Type/Annot/Subtype/FileAttachment/Rect[0 0 1 1]>>]"), attachment.PDF, "pdf-embedded"},
		{"launch", document("/OpenAction<</S/Launch/F(calc.exe)>>", ""), attachment.PDF, "pdf-external"},
		{"sends itself", document("", "/AA<</O<</S/SubmitForm/F(https://example.it)>>>>"), attachment.PDF, "pdf-external"},
		{"opens an address", document("/OpenAction<</S/URI/URI(https://example.it)>>", ""), attachment.PDF, "pdf-external"},
		{"stream elsewhere", document("", "/Contents 4 0 R", "<</F(//host/share)/Length 0>>stream\n\nendstream"), attachment.PDF, "pdf-external"},
		{"page of another file", document("", "", "<</Type/XObject/Subtype/Form/Ref<</F(a.pdf)/Page 0>>/BBox[0 0 1 1]/Length 0>>stream\n\nendstream"), attachment.PDF, "pdf-external"},
		{"film", document("", "/Annots[<</Type/Annot/Subtype/RichMedia/Rect[0 0 1 1]>>]"), attachment.PDF, "pdf-media"},
		{"encrypted", bytes.Replace(good, []byte("/Root 1 0 R"), []byte("/Root 1 0 R/Encrypt<</Filter/Standard>>"), 1), attachment.PDF, "pdf-encrypted"},
		{"cut", good[:len(good)-40], attachment.PDF, "pdf-damaged"},
		{"name of a script written otherwise", document("/OpenAction<</S/Java#53cript/J#53(1)>>", ""), attachment.PDF, "pdf-script"},
		{"script in an envelope", signed(t, script), attachment.P7M, "pdf-script"},
		{"HTML in an envelope", signed(t, []byte("<html>")), attachment.P7M, "type"},
		{"half an envelope", p7m[:len(p7m)/2], attachment.P7M, "p7m-damaged"},
		{"half a picture", picture(t, attachment.PNG)[:60], attachment.PNG, "picture-damaged"},
		{"half a photograph", picture(t, attachment.JPEG)[:200], attachment.JPEG, "picture-damaged"},
		{"picture bomb", bomb(), attachment.PNG, "picture-too-large"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			kind, err := attachment.Check(t.Context(), bytes.NewReader(c.data), int64(len(c.data)), attachment.Limits{Dir: t.TempDir()})
			if kind != c.kind || code(err) != c.code {
				t.Errorf("%q %v", kind, err)
			}
		})
	}
	if _, err := attachment.Check(t.Context(), bytes.NewReader(good), int64(len(good)), attachment.Limits{Bytes: 100}); code(err) != "too-large" {
		t.Error(err)
	}
	deep := good
	for range 7 {
		deep = signed(t, deep)
	}
	if _, err := attachment.Check(t.Context(), bytes.NewReader(deep), int64(len(deep)), attachment.Limits{}); code(err) != "p7m-nested" {
		t.Error(err)
	}
}

// bomb is a PNG header of 60,000 by 60,000 pixels.
func bomb() []byte {
	b := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR\x00\x00\xea\x60\x00\x00\xea\x60\x08\x00\x00\x00\x00")
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[12:]))
}

// What other programs write is taken: qpdf's object streams, a program's page as PDF.
func TestFilesOfOtherPrograms(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain.pdf")
	if err := os.WriteFile(plain, document("", ""), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"--object-streams=generate"}, {"--linearize"}, {"--qdf"}} {
		out := filepath.Join(dir, "out.pdf")
		if msg, err := exec.Command("qpdf", append(args, plain, out)...).CombinedOutput(); err != nil {
			t.Fatalf("qpdf %v: %v: %s (make deps)", args, err, msg)
		}
		data, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if kind, err := attachment.Check(t.Context(), bytes.NewReader(data), int64(len(data)), attachment.Limits{}); kind != attachment.PDF || err != nil {
			t.Errorf("qpdf %v: %s, %v", args, kind, err)
		}
	}
	script := filepath.Join(dir, "script.pdf")
	if err := os.WriteFile(script, document("/OpenAction 4 0 R", "", "<</S/JavaScript/JS(1)>>"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "packed.pdf")
	if msg, err := exec.Command("qpdf", "--object-streams=generate", "--compress-streams=y", script, out).CombinedOutput(); err != nil {
		t.Fatalf("qpdf: %v: %s", err, msg)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, []byte("JavaScript")) {
		t.Fatal("the script is to be in a compressed object")
	}
	if _, err := attachment.Check(t.Context(), bytes.NewReader(data), int64(len(data)), attachment.Limits{}); code(err) != "pdf-script" {
		t.Error(err)
	}
}

// Each code has its sentence in both languages.
func TestSentences(t *testing.T) {
	data, err := os.ReadFile("../../pkcs/message/catalogue/attachment.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range strings.Fields(`empty too-large type pdf-encrypted pdf-script pdf-xfa pdf-layers pdf-embedded pdf-external pdf-media pdf-damaged
		p7m-damaged p7m-nested p7m-unsigned p7m-detached picture-damaged picture-too-large infected`) {
		if !bytes.Contains(data, []byte(`"`+code+`"`)) {
			t.Errorf("no sentence for %s", code)
		}
	}
}

func FuzzCheck(f *testing.F) {
	f.Add(document("", ""))
	f.Add(document("/OpenAction<</S/JavaScript/JS(1)>>", ""))
	f.Add(bomb())
	f.Add([]byte("\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := attachment.Check(t.Context(), bytes.NewReader(data), int64(len(data)), attachment.Limits{Bytes: 1 << 20, Pixels: 1 << 16})
		var refused *attachment.Refused
		if err != nil && !errors.As(err, &refused) {
			t.Errorf("neither taken nor refused: %v", err)
		}
	})
}
