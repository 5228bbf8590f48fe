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
	s := b.window()
	enter := func(selector string) {
		step(s, selector, chromedp.Focus(selector))
		step(s, "Enter on "+selector, chromedp.KeyEvent(kb.Enter))
	}
	upload := func() {
		s.open(at+"/importazioni", `input[type="file"]`)
		step(s, "the file", chromedp.SetUploadFiles(`input[type="file"]`, []string{list}))
		enter(`form[enctype] button`)
		step(s, "the dry run", chromedp.WaitVisible(`form[action$="/conferma"]`))
	}
	s.open(at+"/importazioni", `input[type="file"]`)
	s.check("registry-imports")
	upload()
	s.check("registry-dry-run")
	step(s, "the box", chromedp.Focus(`input[name="bad"]`))
	step(s, "Space on the box", chromedp.KeyEvent(" "))
	enter(`form[action$="/conferma"] button`)
	step(s, "done", chromedp.WaitNotPresent(`form[action$="/conferma"]`))
	s.check("registry-import")

	s.open(at, `input[name="reason"]`)
	s.check("registry-search")
	type typed struct{ name, value string }
	for _, x := range []typed{{"reason", "pratica 12"}, {"code", pki.Invented(40).CF}} {
		step(s, x.name, chromedp.SendKeys(`input[name="`+x.name+`"]`, x.value))
	}
	step(s, "Enter", chromedp.KeyEvent(kb.Enter))
	step(s, "found", chromedp.WaitVisible(`a[href*="/schede/"]`))
	s.check("registry-found")
	enter(`a[href*="/schede/"]`)
	step(s, "the record", chromedp.WaitVisible(`form[action$="/correggi"]`))
	step(s, "the field", chromedp.SetValue(`select[name="field"]`, "cap"))
	step(s, "the value", chromedp.SendKeys(`input[name="new-value"]`, "56121"))
	step(s, "the reason", chromedp.SendKeys(`input[name="reason"]`, "pratica 12"))
	step(s, "Enter", chromedp.KeyEvent(kb.Enter))
	step(s, "corrected", chromedp.WaitVisible(`#t-corrections`))
	s.check("registry-record")

	write(registryLine(40, "Via Prova 1", "56100"), registryLine(43, "Via Prova 9", "56100"))
	upload()
	s.check("registry-conflict")
	s.open(at+"/segnalazioni", "#t-reports")
	s.check("registry-reports")
}
