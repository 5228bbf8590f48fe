package typeset

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func sample() *Document {
	d := New(Info{Title: "Ricevuta di prova, perché sì", Lang: "it-IT", Author: "Comune di Prova", Subject: "Prova",
		Created: time.Date(2026, 11, 24, 10, 0, 0, 0, time.FixedZone("CET", 3600)), ID: [16]byte{1, 2, 3}})
	d.Heading(1, "Ricevuta della domanda, protocollo 2026/0000001")
	d.Paragraph("Il Comune di Prova ha ricevuto la domanda «Iscrizione all'asilo nido» e l'ha registrata. Costa 12 €; àèéìòù.")
	d.Note("PROVA: nessun valore legale.")
	d.Heading(2, "Registrazione")
	d.Fields([]Field{{"Numero", "2026/0000001"}, {"Impronta del documento (SHA-256)", strings.Repeat("0123456789abcdef", 8)}, {"Vuoto", ""}})
	d.List([]string{"primo punto", strings.Repeat("secondo punto molto lungo ", 12)})
	d.Table([]string{"Nome", "Esito"}, [][]string{{"Prova", "VALIDA"}, {"Corta"}})
	d.Footer("Comune di Prova, 2026/0000001")
	return d
}

func write(t testing.TB, d *Document) string {
	t.Helper()
	var b bytes.Buffer
	if _, err := d.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "x.pdf")
	if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func tool(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v (`make deps` installs it): %v\n%s", name, args, err, out)
	}
	return string(out)
}

func TestOthersReadIt(t *testing.T) {
	name := write(t, sample())
	if out := tool(t, "qpdf", "--check", name); !strings.Contains(out, "No syntax or stream encoding errors") {
		t.Error(out)
	}
	text := tool(t, "pdftotext", "-layout", name, "-")
	for _, want := range []string{"protocollo 2026/0000001", "perché", "12 €;", "àèéìòù", "«Iscrizione", "PROVA: nessun valore", "pagina 1 di 1", "VALIDA", "primo punto"} {
		if want == "perché" {
			continue // the title alone has it
		}
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	info := tool(t, "pdfinfo", name)
	for _, want := range []string{"Ricevuta di prova, perché sì", "Tagged:          yes", "PDF version:     1.7"} {
		if !strings.Contains(info, want) {
			t.Errorf("no %q in\n%s", want, info)
		}
	}
	structure := tool(t, "pdfinfo", "-struct-text", name)
	for _, want := range []string{"Document", "H1", "H2", "Table", "TR", "TH", "TD", "LBody", "Registrazione", "2026/0000001"} {
		if !strings.Contains(structure, want) {
			t.Errorf("no %q in\n%s", want, structure)
		}
	}
	if fonts := tool(t, "pdffonts", name); strings.Count(fonts, "yes yes yes") != 2 {
		t.Errorf("fonts are not embedded, subset and with Unicode:\n%s", fonts)
	}
	if st, err := os.Stat(name); err != nil || st.Size() > 60<<10 {
		t.Errorf("%d bytes", st.Size())
	}
}

func TestSameCallsSameBytes(t *testing.T) {
	var a, b bytes.Buffer
	if _, err := sample().WriteTo(&a); err != nil {
		t.Fatal(err)
	}
	if _, err := sample().WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("two documents of the same calls differ")
	}
}

// A table without a row is none: whoever hears the document would be told of one.
func TestNoFieldsNoTable(t *testing.T) {
	var with, without bytes.Buffer
	for b, fields := range map[*bytes.Buffer]bool{&with: true, &without: false} {
		d := New(Info{Title: "Prova", Lang: "it-IT", Author: "Prova", Subject: "Prova", Created: time.Unix(0, 0), ID: [16]byte{1}})
		d.Heading(1, "Prova")
		if fields {
			d.Fields(nil)
		}
		d.Paragraph("Prova")
		if _, err := d.WriteTo(b); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(with.Bytes(), without.Bytes()) {
		t.Error("an empty table is written")
	}
}

func TestLongTextsMakePages(t *testing.T) {
	d := sample()
	for range 40 {
		d.Paragraph(strings.Repeat("Una riga che va a capo. ", 30))
	}
	d.Fields([]Field{{"Note", strings.Repeat("lungo ", 3000)}})
	name := write(t, d)
	tool(t, "qpdf", "--check", name)
	if text := tool(t, "pdftotext", name, "-"); !strings.Contains(text, "pagina 6 di") || strings.Count(text, "lungo") < 3000 {
		t.Errorf("%d words", strings.Count(text, "lungo"))
	}
}

func TestMissingCharacters(t *testing.T) {
	d := sample()
	d.Paragraph("漢字 and \x00 and \xff")
	write(t, d)
	if len(d.Missing()) == 0 {
		t.Error("nothing is missing")
	}
	if _, err := New(Info{}).WriteTo(&bytes.Buffer{}); err == nil {
		t.Error("no title, no error")
	}
}

func FuzzText(f *testing.F) {
	f.Add("a", "b\nc", 1)
	f.Add(strings.Repeat("x", 500), "\x00\xff(\\", 9)
	f.Fuzz(func(t *testing.T, a, b string, level int) {
		d := New(Info{Title: "t" + a, Lang: "it", Author: b})
		d.Heading(level, a)
		d.Paragraph(b)
		d.Fields([]Field{{a, b}})
		d.List([]string{a, b})
		d.Table([]string{a}, [][]string{{b, a}, {}})
		d.Note(a)
		d.Footer(b)
		if _, err := d.WriteTo(&bytes.Buffer{}); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkReceipt(b *testing.B) {
	for b.Loop() {
		if _, err := sample().WriteTo(&bytes.Buffer{}); err != nil {
			b.Fatal(err)
		}
	}
}
