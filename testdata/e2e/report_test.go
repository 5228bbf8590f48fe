package e2e

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/report"
	"github.com/citel-pa/citel/pkcs/verify"
	"github.com/citel-pa/citel/testdata/chromium"
	"github.com/citel-pa/citel/testdata/signed"
)

// Reports as people open them: axe-core finds nothing serious, nothing is wider than a
// phone, the page's own policy lets its style work, and the first line is the answer.
func TestReportPages(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile("../../server/assets/dist-test/axe.min.js")
	if err != nil {
		t.Fatalf("%v (`make assets` fetches it)", err)
	}
	desk := signed.Shared(t)
	ctx := browser(t)
	dir := t.TempDir()
	for _, name := range []string{"valid", "stamped", "changed", "revoked", "expired", "unknown", "hostile", "none"} {
		for _, lang := range []message.Lang{message.Italian, message.English} {
			r := reportOf(t, desk, lang, name)
			page := filepath.Join(dir, name+"-"+string(lang)+".html")
			save := func(file string, write func(*bytes.Buffer) error) {
				var b bytes.Buffer
				if err := errors.Join(write(&b), os.WriteFile(file, b.Bytes(), 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			save(page, func(b *bytes.Buffer) error { return r.HTML(b) })
			do(t, ctx, name, chromedp.EmulateViewport(1200, 900))
			do(t, ctx, name, chromium.Navigate("file://"+page))
			if h1 := do(t, ctx, name, chromium.Text("h1")); h1 != strings.Join(strings.Fields(r.Answer), " ") {
				t.Errorf("%s: the first line is %q, not %q", name, h1, r.Answer)
			}
			if border := do(t, ctx, name, chromedp.Evaluate[string](`getComputedStyle(document.querySelector("h1")).borderTopStyle`)); border != "solid" {
				t.Errorf("%s: the style does not work (%q)", name, border)
			}
			do(t, ctx, name, chromedp.Evaluate[bool](string(script)+"; true"))
			if found := do(t, ctx, name, chromedp.Evaluate[string](axe, chromedp.EvalAwaitPromise)); found != "" {
				t.Errorf("%s:\n%s", name, found)
			}
			shot(t, ctx, "report-"+name+"-"+string(lang))
			do(t, ctx, name, chromedp.EmulateViewport(360, 740))
			if width := do(t, ctx, name, chromedp.Evaluate[int]("document.documentElement.scrollWidth")); width > 360 {
				t.Errorf("%s: on a phone the page is %d wide in 360", name, width)
			}
			shot(t, ctx, "report-"+name+"-"+string(lang)+"-phone")
			pdf := filepath.Join("..", "..", "build", "screenshots", "report-"+name+"-"+string(lang)+".pdf")
			save(pdf, func(b *bytes.Buffer) error { return r.PDF(b) })
			if out, err := exec.Command("qpdf", "--check", pdf).CombinedOutput(); err != nil { //nolint:gosec // our own file
				t.Errorf("%s: %v\n%s", name, err, out)
			}
		}
	}
}

func reportOf(t *testing.T, desk *signed.Desk, lang message.Lang, names ...string) *report.Report {
	t.Helper()
	now := time.Now()
	var files []report.File
	for _, name := range names {
		file := desk.Files[name]
		sum := sha256.Sum256(file.Data)
		results, err := verify.Reader(t.Context(), bytes.NewReader(file.Data), verify.Options{Store: desk.Store, Time: now})
		if err != nil && !errors.Is(err, verify.ErrNoSignature) {
			t.Fatal(err)
		}
		files = append(files, report.File{Name: file.Name, SHA256: sum[:], Results: results, NoSignature: err != nil})
	}
	return report.New(files, report.Options{Lang: lang, Time: now})
}
