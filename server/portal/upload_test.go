package portal_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/citel-pa/citel/server/attachment"
	"github.com/citel-pa/citel/testdata/page"
)

// pdfWith writes a PDF whose catalogue and trailer have more in them.
func pdfWith(catalog, trailer string, objects ...string) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n")
	all := append([]string{"<</Type/Catalog/Pages 2 0 R " + catalog + ">>", "<</Type/Pages/Kids[3 0 R]/Count 1>>", "<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Resources<<>>>>"}, objects...)
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
	fmt.Fprintf(&b, "trailer\n<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF\n", len(all)+1, trailer, start)
	return b.Bytes()
}

// pngOf is a picture's header alone where it is large, else a picture.
func pngOf(w, h uint32) []byte {
	head := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR")
	head = binary.BigEndian.AppendUint32(head, w)
	head = append(binary.BigEndian.AppendUint32(head, h), 8, 0, 0, 0, 0)
	head = binary.BigEndian.AppendUint32(head, crc32.ChecksumIEEE(head[12:]))
	if w > 1000 {
		return head
	}
	return page.Picture(int(w), int(h))
}

func zipBomb(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create("a.pdf")
	if err == nil {
		_, err = io.CopyN(f, zeros{}, 32<<20)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// Each hostile file is refused with a sentence that says why, and leaves nothing behind.
func TestHostileUploads(t *testing.T) {
	d := newDesk(t)
	d.Applications.Limits = attachment.Limits{Bytes: 1 << 20, Dir: t.TempDir()}
	v := d.citizen(1)
	at := v.filled(nil, pairs("relation", "guardian"))
	has(t, v.get(at+"/allegati"), `id="s-custody"`, "1 MB", "Provvedimento")
	good := pdfWith("", "")
	for name, x := range map[string]struct {
		file string
		data []byte
		want string
	}{
		"script":                  {"a.pdf", pdfWith("/OpenAction<</S/JavaScript/JS(app.alert(1))>>", ""), "JavaScript"},
		"XFA":                     {"a.pdf", pdfWith("/AcroForm<</Fields[]/XFA(x)>>", ""), "XFA"},
		"embedded files":          {"a.pdf", pdfWith("/Names<</EmbeddedFiles<</Names[(a)4 0 R]>>>>", "", "<</Type/Filespec/F(a.exe)/EF<</F 5 0 R>>>>", "<</Type/EmbeddedFile/Length 1>>stream\na\nendstream"), "contiene altri file"},
		"layers":                  {"a.pdf", pdfWith("/OCProperties<</OCGs[4 0 R]/D<<>>>>", "", "<</Type/OCG/Name(a)>>"), "livelli"},
		"encrypted":               {"a.pdf", pdfWith("", "/Encrypt<</Filter/Standard>>"), "password"},
		"external content":        {"a.pdf", pdfWith("/OpenAction<</S/Launch/F(calc.exe)>>", ""), "fuori dal documento"},
		"macro document":          {"a.docm", []byte("PK\x03\x04word/vbaProject.bin"), "tipo di file"},
		"macro document as PDF":   {"a.pdf", []byte("PK\x03\x04word/vbaProject.bin"), "tipo di file"},
		"zip bomb":                {"a.zip", zipBomb(t), "tipo di file"},
		"picture bomb":            {"a.png", pngOf(60000, 60000), "troppi punti"},
		"program as a picture":    {"foto.jpg", []byte("MZ\x90\x00"), "tipo di file"},
		"page as a PDF":           {"a.pdf", []byte("<html><script>alert(1)</script>"), "tipo di file"},
		"nothing":                 {"a.pdf", nil, "vuoto"},
		"cut":                     {"a.pdf", good[:len(good)-40], "danneggiato"},
		"huge":                    {"a.pdf", append(bytes.Clone(good), make([]byte, 2<<20)...), "troppo grande: al massimo 1 MB"},
		"a byte over the limit":   {"a.pdf", append(bytes.Clone(good), make([]byte, 1<<20-len(good)+1)...), "troppo grande"},
		"envelope that is none":   {"a.p7m", []byte("0\x82\x01\x00\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"), "danneggiato"},
		"script behind a picture": {"foto.png", append(pngOf(5, 5)[:40], "<script>"...), "danneggiata"},
	} {
		t.Run(name, func(t *testing.T) {
			a := v.uploads(at+"/allegati", "custody", x.file, x.data)
			if a.code != http.StatusUnprocessableEntity || !strings.Contains(a.body, x.want) {
				t.Errorf("%d %s", a.code, regexp.MustCompile(`(?s)<ul>.*?</ul>`).FindString(a.body))
			}
			has(t, a, `id="wrong"`, `href="#f-custody"`)
			if files, err := d.Applications.Files(t.Context(), d.app(at)); err != nil || len(files) > 0 {
				t.Error(files, err)
			}
		})
	}
	if left, err := os.ReadDir(d.Applications.Limits.Dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	// The name tells nothing: a picture that is called PDF is a picture.
	if a := v.uploads(at+"/allegati", "custody", "../../<b>foto.pdf", pngOf(5, 5)); a.code != http.StatusSeeOther {
		t.Fatalf("%d", a.code)
	}
	a := v.get(at + "/allegati")
	if strings.Contains(a.body, "<b>foto") || strings.Contains(a.body, "../") {
		t.Error("the name is not tidied")
	}
	files, err := d.Applications.Files(t.Context(), d.app(at))
	if err != nil || len(files) != 1 || files[0].Kind != attachment.PNG {
		t.Fatal(files, err)
	}
	// Without the token nothing of the file is read; who is not the owner uploads nothing.
	w := d.citizen(2)
	if a := w.uploads(at+"/allegati", "custody", "a.pdf", good); a.code != http.StatusNotFound {
		t.Errorf("another's: %d", a.code)
	}
	if a := w.sendValues(at+"/allegati/"+files[0].ID+"/togli", nil); a.code != http.StatusNotFound {
		t.Errorf("another takes it away: %d", a.code)
	}
	mine := w.filled(nil, pairs("relation", "guardian"))
	if a := w.sendValues(mine+"/allegati/"+files[0].ID+"/togli", nil); a.code != http.StatusNotFound {
		t.Errorf("by the own draft: %d", a.code)
	}
	if a := v.sendValues(at+"/allegati/"+files[0].ID+"/togli", nil); a.to != at+"/allegati" {
		t.Errorf("%d %s", a.code, a.to)
	}
	// A required one is asked for before the end.
	has(t, v.get(at+"/riepilogo"), `id="gaps"`, "manca il file")
	if a := v.sendValues(at+"/riepilogo", pairs("warned", "yes", "privacy", "yes", "version", "2")); a.code != http.StatusUnprocessableEntity {
		t.Error(a.code)
	}
}

// scanner says what a test wants.
type scanner func() (attachment.Verdict, error)

func (s scanner) Scan(context.Context, io.Reader, int64) (attachment.Verdict, error) { return s() }

func TestScannerIsShown(t *testing.T) {
	d := newDesk(t)
	v := d.citizen(1)
	at := v.filled(nil, pairs("relation", "guardian"))
	d.Applications.Scanner = scanner(func() (attachment.Verdict, error) { return attachment.Verdict{}, io.ErrUnexpectedEOF })
	if a := v.uploads(at+"/allegati", "custody", "a.pdf", pdfWith("", "")); a.code != http.StatusSeeOther {
		t.Fatalf("%d", a.code)
	}
	has(t, v.get(at+"/allegati"), "in attesa del controllo antivirus")
	d.Applications.Scanner = scanner(func() (attachment.Verdict, error) { return attachment.Verdict{Threat: "Eicar"}, nil })
	a := v.uploads(at+"/allegati", "custody", "b.pdf", pdfWith("", ""))
	if a.code != http.StatusUnprocessableEntity {
		t.Fatalf("%d", a.code)
	}
	has(t, a, "antivirus ha trovato", "non accettato")
}
