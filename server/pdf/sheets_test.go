package pdf_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/server/pdf"
)

// tool runs one that a user would have.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s (make deps installs it): %v\n%s", name, err, out)
	}
	return string(out)
}

func keep(t *testing.T, name string, write func(*bytes.Buffer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := tool(t, "qpdf", "--check", path); !strings.Contains(out, "No syntax or stream encoding errors") {
		t.Errorf("%s: %s", name, out)
	}
	return path
}

// The code and its bar code are outside, user name and PIN in the middle third, each
// sheet on a page of its own.
func TestEnvelopes(t *testing.T) {
	all := []pdf.Envelope{{Code: "1234567890128", Shown: "1234 5678 9012-8", Username: "abcd2345", PIN: "efghj67890"}, {Code: "0000000000000", Shown: "0000 0000 0000-0", Username: "zzzz9999", PIN: "yyyyy88888"}}
	path := keep(t, "buste.pdf", func(b *bytes.Buffer) error {
		return pdf.Envelopes(b, "Comune di Prova", "https://sportello.example", all, time.Now())
	})
	for i, e := range all {
		page := fmt.Sprint(i + 1)
		part := func(y int) string {
			return tool(t, "pdftotext", "-f", page, "-l", page, "-x", "0", "-y", fmt.Sprint(y), "-W", "596", "-H", "280", "-layout", path, "-")
		}
		outside, inside := part(0), part(281)
		if !strings.Contains(outside, e.Shown) || strings.Contains(outside, e.Username) || strings.Contains(outside, e.PIN[:5]) {
			t.Errorf("outside: %s", outside)
		}
		if !strings.Contains(inside, e.Username) || !strings.Contains(inside, e.PIN[:5]+" "+e.PIN[5:]) || strings.Contains(inside, all[1-i].Username) {
			t.Errorf("inside: %s", inside)
		}
	}
	if out := tool(t, "pdfinfo", path); !strings.Contains(out, "Tagged:          yes") || !strings.Contains(out, "Pages:           2") {
		t.Error(out)
	}
}

// The request forms are filled in by a program as a reader would.
func TestRequests(t *testing.T) {
	for _, company := range []bool{false, true} {
		for _, ente := range []string{"", "Comune di Prova"} {
			path := keep(t, "modulo.pdf", func(b *bytes.Buffer) error { return pdf.Request(b, ente, company, time.Now()) })
			out := tool(t, "qpdf", "--json", "--json-key=acroform", path)
			for _, name := range []string{"code", "family", "document-number", "by-post", "signature"} {
				if !strings.Contains(out, fmt.Sprintf("%q", name)) {
					t.Errorf("no field %s", name)
				}
			}
			if strings.Contains(out, `"company-vat"`) != company || strings.Contains(out, `"ente"`) != (ente == "") {
				t.Errorf("company %v, ente %q: %d bytes", company, ente, len(out))
			}
			if !strings.Contains(out, "Codice fiscale") {
				t.Error("a field has no name for a screen reader")
			}
		}
	}
}

// A PIN that is typed as it is printed is taken (envelope.Desk.Activate drops blanks), and
// the code's bar code has the code.
func TestSealed(t *testing.T) {
	path := keep(t, "foglio.pdf", func(b *bytes.Buffer) error {
		return pdf.Sealed(b, "Comune di Prova", "Maria Prova", "fuori", "come", [][2]string{{"Indirizzo", "https://sportello.example/consolleente/attiva?codice=" + strings.Repeat("x", 43)}}, time.Now())
	})
	out := tool(t, "pdftotext", "-layout", path, "-")
	if !strings.Contains(out, "Maria Prova") || !strings.Contains(strings.ReplaceAll(strings.ReplaceAll(out, "\n", ""), " ", ""), strings.Repeat("x", 43)) {
		t.Error(out)
	}
}
