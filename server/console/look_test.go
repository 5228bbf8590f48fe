package console_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/citel-pa/citel/server/store"
	"github.com/citel-pa/citel/server/store/storetest"
	"github.com/citel-pa/citel/testdata/chromium"
	"github.com/citel-pa/citel/testdata/pki"
	"github.com/citel-pa/citel/testdata/town"
)

// Gestione Anagrafe in a browser: accessible at both widths; upload, dry run, confirmation,
// search and correction with the keyboard alone (but for choosing the file).
func TestRegistryInABrowser(t *testing.T) {
	w := town.New(t, storetest.New(t, store.SQLite))
	b := as(t, w, pages(t, w), w.Operator("prova", 10, "R31"), "192.0.2.3:1")
	at := path + "/anagrafe"
	list := filepath.Join(t.TempDir(), "anagrafe.csv")
	write := func(lines ...string) {
		if err := os.WriteFile(list, []byte(registryHead+strings.Join(lines, "")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(registryLine(40, "Via Prova 1", "56100"), registryLine(41, "Via Prova 2", "56100"), registryLine(42, "Via Prova 3", "561"), registryLine(43, "Via Prova 4", "56100"))
	s := b.window("console")
	enter := func(selector string) {
		chromium.Do(s, selector, chromium.Focus(selector))
		chromium.Do(s, "Enter on "+selector, chromedp.KeyEvent(kb.Enter))
	}
	upload := func() {
		s.Open(at+"/importazioni", `input[type="file"]`)
		chromium.Do(s, "the file", chromium.Upload(`input[type="file"]`, list))
		enter(`form[enctype] button`)
		s.Wait(`form[action$="/conferma"]`)
	}
	s.Open(at+"/importazioni", `input[type="file"]`)
	s.Check("registry-imports")
	upload()
	s.Check("registry-dry-run")
	chromium.Do(s, "the box", chromium.Focus(`input[name="bad"]`))
	chromium.Do(s, "Space on the box", chromedp.KeyEvent(" "))
	enter(`form[action$="/conferma"] button`)
	chromium.Do(s, "done", chromium.Gone(`form[action$="/conferma"]`))
	s.Check("registry-import")

	s.Open(at, `input[name="reason"]`)
	s.Check("registry-search")
	type typed struct{ name, value string }
	for _, x := range []typed{{"reason", "pratica 12"}, {"code", pki.Invented(40).CF}} {
		chromium.Do(s, x.name, chromium.Type(`input[name="`+x.name+`"]`, x.value))
	}
	chromium.Do(s, "Enter", chromedp.KeyEvent(kb.Enter))
	s.Wait(`a[href*="/schede/"]`)
	s.Check("registry-found")
	enter(`a[href*="/schede/"]`)
	s.Wait(`form[action$="/correggi"]`)
	chromium.Do(s, "the field", chromium.SetValue(`select[name="field"]`, "cap"))
	chromium.Do(s, "the value", chromium.Type(`input[name="new-value"]`, "56121"))
	chromium.Do(s, "the reason", chromium.Type(`input[name="reason"]`, "pratica 12"))
	chromium.Do(s, "Enter", chromedp.KeyEvent(kb.Enter))
	s.Wait(`#t-corrections`)
	s.Check("registry-record")

	write(registryLine(40, "Via Prova 1", "56100"), registryLine(43, "Via Prova 9", "56100"))
	upload()
	s.Check("registry-conflict")
	s.Open(at+"/segnalazioni", "#t-reports")
	s.Check("registry-reports")
}
