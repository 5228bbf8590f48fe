package report_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	gohtml "html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/profile"
	"github.com/citel-pa/citel/pkcs/report"
	"github.com/citel-pa/citel/pkcs/trust"
	"github.com/citel-pa/citel/pkcs/validation"
	"github.com/citel-pa/citel/pkcs/verify"
	"github.com/citel-pa/citel/testdata/signed"
)

func judged(t testing.TB, d *signed.Desk, name string, now time.Time) report.File {
	t.Helper()
	file := d.Files[name]
	results, err := verify.Reader(t.Context(), bytes.NewReader(file.Data), verify.Options{Store: d.Store, Time: now})
	if err != nil && !errors.Is(err, verify.ErrNoSignature) {
		t.Fatal(err)
	}
	sum := sha256.Sum256(file.Data)
	return report.File{Name: file.Name, SHA256: sum[:], Results: results, NoSignature: err != nil}
}

func html(t testing.TB, r *report.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.HTML(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func pdf(t testing.TB, r *report.Report) string {
	t.Helper()
	var b bytes.Buffer
	name := filepath.Join(t.TempDir(), "r.pdf")
	if err := errors.Join(r.PDF(&b), os.WriteFile(name, b.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("pdftotext", "-layout", name, "-").CombinedOutput() //nolint:gosec // our own file
	if err != nil {
		t.Fatalf("pdftotext (`make deps` installs it): %v\n%s", err, out)
	}
	return string(out)
}

// The first line is the answer, in both languages; HTML, PDF and JSON say the same.
func TestFirstLineAndAgreement(t *testing.T) {
	d := signed.Shared(t)
	now := time.Now()
	const test = " Certificato di PROVA: nessun valore legale."
	for _, c := range []struct{ name, it, en string }{
		{"valid", "La firma di Prova Cittadino è VALIDA." + test, "The signature of Prova Cittadino is VALID."},
		{"stamped", "La firma di Esempio Genitrice è VALIDA." + test, "The signature of Esempio Genitrice is VALID."},
		{"changed", "La firma di Prova Cittadino NON È VALIDA: il documento è cambiato dopo la firma." + test, "is NOT VALID: the document was changed after it was signed."},
		{"revoked", "NON SI PUÒ DIRE se la firma di Prova Cittadino vale: il certificato è stato revocato, e nulla prova che la firma sia stata fatta prima." + test, "CANNOT BE DECIDED"},
		{"expired", "NON SI PUÒ DIRE se la firma di Prova Cittadino vale: il certificato è scaduto o non ancora valido, e nulla prova che la firma sia stata fatta mentre valeva." + test, "has ended"},
		{"unknown", "nome che nessuna autorità riconosciuta garantisce) vale: chi ha emesso il certificato non è tra le autorità riconosciute.", "not among the recognised authorities"},
		{"none", "In questo file NON C'È UNA FIRMA conosciuta.", "NO known SIGNATURE"},
	} {
		file := judged(t, d, c.name, now)
		r := report.New([]report.File{file}, report.Options{Lang: message.Italian, Time: now})
		if !strings.HasSuffix(r.Answer, c.it) {
			t.Errorf("%s: %q", c.name, r.Answer)
		}
		if en := report.New([]report.File{file}, report.Options{Lang: message.English, Time: now}); !strings.Contains(en.Answer, c.en) {
			t.Errorf("%s: %q", c.name, en.Answer)
		}
		page, paper := gohtml.UnescapeString(html(t, r)), strings.Join(strings.Fields(pdf(t, r)), " ")
		if before, _, _ := strings.Cut(page, "<h1"); strings.Contains(before, "<p") {
			t.Errorf("%s: something stands before the answer", c.name)
		}
		if !strings.HasPrefix(paper, strings.Join(strings.Fields(r.Answer), " ")[:20]) {
			t.Errorf("%s: the PDF begins %.80q", c.name, paper)
		}
		for _, s := range validation.NewReport(file.Results, message.Italian).Signatures {
			var want []string
			want = append(want, string(s.Indication), string(s.SubIndication), s.Level, s.Policy)
			for _, m := range s.Messages {
				want = append(want, strings.Fields(m.Text)[0])
			}
			for _, w := range want {
				if !strings.Contains(page, w) || !strings.Contains(paper, w) {
					t.Errorf("%s: JSON says %q, a report does not", c.name, w)
				}
			}
			if !strings.Contains(page, s.Content.SHA256) || !strings.Contains(page, s.Signer.Serial) {
				t.Errorf("%s: the document's hash or the certificate's number is missing", c.name)
			}
		}
	}
}

// What nobody said of a certificate's revocation is not said by the report either.
func TestUnknownRevocationIsNotSilent(t *testing.T) {
	d := signed.Shared(t)
	now := time.Now()
	known, bare := judged(t, d, "valid", now), d.Files["valid"]
	store := trust.NewStore(trust.AllowTest())
	if _, err := store.AddPEM(d.Anchors[profile.CNS], "cns", profile.CNS); err != nil {
		t.Fatal(err)
	}
	results, err := verify.Reader(t.Context(), bytes.NewReader(bare.Data), verify.Options{Store: store, Time: now})
	if err != nil || !results[0].Passed() {
		t.Fatal(results, err)
	}
	const unknown, good = "NON si è potuto sapere", "non risulta né revocato né scaduto"
	if page := html(t, report.New([]report.File{known}, report.Options{Time: now})); !strings.Contains(page, good) || strings.Contains(page, unknown) {
		t.Error("with a list")
	}
	if page := html(t, report.New([]report.File{{Results: results}}, report.Options{Time: now})); strings.Contains(page, good) || !strings.Contains(page, unknown) {
		t.Error("without a list")
	}
}

// Several files have an answer each and one together.
func TestSeveralFiles(t *testing.T) {
	d := signed.Shared(t)
	now := time.Now()
	r := report.New([]report.File{judged(t, d, "valid", now), judged(t, d, "changed", now), judged(t, d, "revoked", now)}, report.Options{Time: now})
	if r.Answer != "File: 3. Con tutte le firme valide 1, con firme NON VALIDE 1, senza una decisione 1." || r.Tone != report.Bad {
		t.Errorf("%s %q", r.Tone, r.Answer)
	}
	page := html(t, r)
	for _, want := range []string{"è VALIDA.", "NON È VALIDA:", "NON SI PUÒ DIRE"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q", want)
		}
	}
}

// What a stranger's certificate is called changes neither page nor paper.
func TestHostileNames(t *testing.T) {
	d := signed.Shared(t)
	now := time.Now()
	file := judged(t, d, "hostile", now)
	file.Name = "fattura\u202efdp.<img src=x onerror=alert(1)>.p7m"
	r := report.New([]report.File{file}, report.Options{Time: now})
	page := html(t, r)
	for _, bad := range []string{"\u202e", "\u2066", "\x1b", "<script", "<img", "http://", "https://", " on", "javascript:"} {
		if bad == " on" {
			if regexp.MustCompile(`<[^>]*\son[a-z]+=`).MatchString(page) {
				t.Error("an event handler")
			}
			continue
		}
		if strings.Contains(page, bad) {
			t.Errorf("%q is in the page", bad)
		}
	}
	page = gohtml.UnescapeString(page)
	if !strings.Contains(page, "[U+202E]") || len(page) > 200_000 {
		t.Errorf("%d bytes, or the turned text is not shown as such", len(page))
	}
	if len(r.Answer) > 700 {
		t.Errorf("the first line has %d bytes", len(r.Answer))
	}
	if !strings.Contains(page, report.CSP[:40]) || strings.Contains(page, "unsafe") {
		t.Error("no strict policy in the page")
	}
	pdf(t, r)
}

// Every reason has a sentence and a remedy, every check a name, in both languages.
func TestEverySentence(t *testing.T) {
	for _, sub := range []validation.SubIndication{
		validation.FormatFailure, validation.HashFailure, validation.SigCryptoFailure, validation.NotYetValid, validation.SigConstraintsFailure,
		validation.ChainConstraintsFailure, validation.CertificateChainGeneral, validation.CryptoConstraintsFailure, validation.CryptoConstraintsNoPOE,
		validation.NoSigningCertificateFound, validation.NoCertificateChainFound, validation.RevokedNoPOE, validation.RevokedCANoPOE,
		validation.OutOfBoundsNotRevoked, validation.OutOfBoundsNoPOE, validation.TryLater, validation.SignedDataNotFound, validation.Revoked,
		validation.Expired, validation.SignaturePolicyNotAvailable, validation.PolicyProcessingError, validation.TimestampOrderFailure,
		validation.NoChainFoundNoPOE, validation.RevocationOutOfBounds, validation.NoPOE, "none",
	} {
		for _, key := range []string{"report.why-", "report.remedy-"} {
			if !message.Has(key + string(sub)) {
				t.Errorf("no %s%s", key, sub)
			}
		}
	}
	for _, c := range validation.Table() {
		if !message.Has("report.check-" + c.ID) {
			t.Errorf("no name of the check %s", c.ID)
		}
	}
	for _, kind := range []string{"qualified", "advanced-cie", "advanced-cns", "advanced", "seal", "other"} {
		if !message.Has("report.kind-" + kind) {
			t.Errorf("no name of the kind %s", kind)
		}
	}
}

// The same results give the same bytes.
func TestSameBytes(t *testing.T) {
	d := signed.Shared(t)
	now := time.Now()
	file := judged(t, d, "stamped", now)
	var a, b bytes.Buffer
	for _, out := range []*bytes.Buffer{&a, &b} {
		if err := report.New([]report.File{file}, report.Options{Time: now}).PDF(out); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("two reports of the same results differ")
	}
}

// Facts are a stranger's, and may have been saved by one: whatever they say gives a
// page that is closed and a PDF.
func FuzzReport(f *testing.F) {
	f.Add([]byte(`{"format":"citel-facts-1","facts":[{"chain":{"found":true},"identity":{"subject":"<b>"},"timestamps":[{"kind":"signature","imprintFound":true,"imprintMatch":true,"token":{}}],"counter":[{}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if !json.Valid(data) {
			return
		}
		saved, err := verify.ReadSaved(bytes.NewReader(data))
		if err != nil {
			return
		}
		r := report.New([]report.File{{Name: saved.File, Results: saved.Judge(nil, time.Time{})}}, report.Options{Time: time.Unix(0, 0)})
		var page, paper bytes.Buffer
		if err := errors.Join(r.HTML(&page), r.PDF(&paper)); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(page.String(), "<script") || strings.ContainsRune(page.String(), 0x202e) {
			t.Error("the page is not closed")
		}
	})
}
